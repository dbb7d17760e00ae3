"""Depth models of others, tiny and drawn at random: our command beside the library's own processors and steps."""

import json
import math
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

import cyclopean
from cyclopean import cli
from cyclopean.cli import doctor
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, Pinhole
from cyclopean.inference import foreign
from cyclopean.inference.predictor import load
from cyclopean.inference.wrappers import flip_averaged
from cyclopean.io.image import Photo, read_photo
from cyclopean.io.sidecar import Maker
from cyclopean.methods.base import Frozen
from cyclopean.training import models
from filmed import film, walking
from foreign_models import MODELS, network, save

KINDS = {
    "relative": "affine", "metric": "metric", "midas": "affine", "dinov2": "metric", "glpn": "metric",
    "prompt": "affine", "zoe": "metric", "pro": "metric", "tips": "metric",
}  # fmt: skip
SHAPES = {"wide": (101, 150), "tall": (150, 101), "turned": (89, 133), "small": (45, 61), "whole": (84, 126)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """A folder of each model, and the photos, one of them turned by its EXIF."""
    folder = tmp_path_factory.mktemp("foreign")
    (folder / "photos").mkdir()
    rng = np.random.default_rng(3)
    for name, (h, w) in SHAPES.items():
        rough = Image.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8))
        picture = rough.resize((w, h), Image.Resampling.BICUBIC)
        exif = Image.Exif()
        if name == "turned":
            exif[274] = 6
        picture.save(folder / "photos" / f"{name}.png", exif=exif)
    for name in MODELS:
        save(name, folder)
    return folder


def command(words: list[str]) -> int:
    """Run a command here; return its exit code."""
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    return int(end.value.code or 0)


def upright(folders: Path, name: str) -> np.ndarray:
    """Return a photo as viewers show it, `h w 3`."""
    array = np.asarray(Image.open(folders / "photos" / f"{name}.png"))
    return np.rot90(array, -1).copy() if name == "turned" else array.copy()


def zoe_depth(processor, raw: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The steps of ZoeDepth's post-processing with `source_sizes`, torchvision's resize written out."""
    pad_h, pad_w = (int(np.sqrt(side / 2) * 3) for side in size)
    whole = (size[0] + 2 * pad_h, size[1] + 2 * pad_w)
    depth = F.interpolate(raw[:, None], whole, mode="bicubic", antialias=False, align_corners=False)
    return depth[0, 0, pad_h:-pad_h, pad_w:-pad_w]


def pro_inverse(model, array: np.ndarray) -> tuple[torch.Tensor, float]:
    """The steps of Depth Pro's processor and post-processing; also returns the focal length in pixels."""
    pixels = torch.from_numpy(array).permute(2, 0, 1)[None].float() * (1 / 255)
    pixels = F.interpolate((pixels - 0.5) / 0.5, (64, 64), mode="bilinear", antialias=False, align_corners=False)
    outputs = model(pixel_values=pixels)
    height, width = array.shape[:2]
    focal = 0.5 * width / math.tan(0.5 * math.radians(float(outputs.field_of_view)))
    depth = F.interpolate((outputs.predicted_depth * width / focal)[:, None], (height, width), mode="bilinear")
    return depth.clamp(1e-4, 1e4)[0, 0], focal


def dinov2_depth(model, array: np.ndarray) -> torch.Tensor:
    """DPT on DINOv2: colours normalised, zeros around the centre up to multiples of 14, and all of that undone."""
    h, w = array.shape[:2]
    tall, wide = -(-h // 14) * 14, -(-w // 14) * 14
    top, left = (tall - h) // 2, (wide - w) // 2
    pixels = np.zeros((1, 3, tall, wide), np.float32)
    mean, deviation = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    pixels[0, :, top : top + h, left : left + w] = ((array - mean) / deviation).transpose(2, 0, 1)
    raw = model(torch.from_numpy(pixels)).predicted_depth
    if (tall, wide) == (h, w):  # as the library does
        return F.interpolate(raw[:, None], (h, w), mode="bicubic", align_corners=False)[0, 0]
    whole = F.interpolate(raw[:, None], (tall, wide), mode="bicubic", align_corners=False)
    return whole[0, 0, top : top + h, left : left + w]


@torch.no_grad()
def expected(name: str, folder: Path, array: np.ndarray) -> np.ndarray:
    """Return the inverse depth of a picture by the library: by its processor where that loads, else by its steps."""
    model = transformers.AutoModelForDepthEstimation.from_pretrained(folder).eval()
    h, w = array.shape[:2]
    if name == "pro":
        return pro_inverse(model, array)[0].numpy()
    if name == "tips":
        pixels = torch.from_numpy(array).permute(2, 0, 1)[None].float()
        pixels = F.interpolate(pixels, (56, 56), mode="bilinear", antialias=True, align_corners=False).round() / 255
        raw = model(pixels).predicted_depth[None]
        return (1 / F.interpolate(raw, (h, w), mode="bilinear", align_corners=False))[0, 0].numpy()
    if name == "dinov2" and (h % 14 or w % 14):
        return (1 / dinov2_depth(model, array)).numpy()
    processor_class = getattr(transformers, foreign.PROCESSORS[MODELS[name][0]])
    processor = processor_class.from_pretrained(folder)
    outputs = model(**processor(Image.fromarray(array), return_tensors="pt"))
    if name == "zoe":
        return (1 / zoe_depth(processor, outputs.predicted_depth, (h, w))).numpy()
    depth = processor.post_process_depth_estimation(outputs, target_sizes=[(h, w)])[0]["predicted_depth"]
    return (depth if KINDS[name] == "affine" else 1 / depth).numpy()


@pytest.mark.parametrize("name", MODELS)
def test_the_command_gives_what_the_library_gives(name, folders, tmp_path, capsys):
    words = ["predict", str(folders / "photos"), "--model", str(folders / name), "--out", str(tmp_path)]
    assert command(words) == 0, capsys.readouterr().err
    for photo in SHAPES:
        array = upright(folders, photo)
        ours, library = np.load(tmp_path / f"{photo}_disp.npy"), expected(name, folders / name, array)
        assert ours.shape == array.shape[:2]
        assert library.std() > 0.02 * library.mean()  # else the comparison means nothing
        if KINDS[name] == "affine":
            assert np.abs(ours - library).max() < 1e-4 * np.abs(library).mean(), photo
        else:
            assert (np.abs(ours - library) < 1e-4 * library).all(), (photo, np.abs(ours / library - 1).max())
        side = json.loads((tmp_path / f"{photo}_disp.json").read_text())
        assert side["ambiguity"] == KINDS[name]
        assert side["unit"] == ("m" if KINDS[name] == "metric" else "relative")
        assert side["model"]["licence"] == "apache-2.0"
        assert side["kind"] == "inverse_depth"


def test_every_class_of_the_library_is_known_or_has_a_sentence(folders, tmp_path):
    classes = foreign.depth_classes()
    assert {MODELS[name][0] for name in MODELS} == set(foreign.PROCESSORS)
    assert set(classes) == {*foreign.PROCESSORS, *foreign.SENSELESS}
    for model_type, sentence in (("chmv2", "how high trees are"), ("dptt", "did you mean 'dpt'"), ([1], "choose one")):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
        with pytest.raises(InputError, match=sentence):
            load(tmp_path)
    changed = {**json.loads((folders / "prompt" / "config.json").read_text()), "depth_estimation_type": "metric"}
    (tmp_path / "config.json").write_text(json.dumps(changed))
    with pytest.raises(InputError, match="needs a prompt"):
        load(tmp_path)


def test_depth_pro_takes_the_focal_length_that_is_known_and_predicts_the_others(folders):
    predictor, model = load(folders / "pro"), network("pro")
    for photo in ("wide", "tall"):
        picture = read_photo(folders / "photos" / f"{photo}.png")
        array = upright(folders, photo)
        with torch.no_grad():
            inverse, pixels = pro_inverse(model, array)
        h, w = picture.size
        depth = predictor(picture)
        assert isinstance(depth.camera, Pinhole)
        torch.testing.assert_close(depth.camera.focal, torch.tensor([[pixels / w, pixels / h]]), rtol=1e-4, atol=0)
        assert depth.notes["focal_is"] == "predicted by the model"
        camera = Pinhole(torch.tensor([[1.5, 1.5 * w / h]]), torch.tensor([[0.5, 0.5]]))
        known = predictor(Photo(picture.image, camera))
        assert known.camera is camera
        torch.testing.assert_close(known.inverse_depth[0, 0], inverse * (pixels / w / 1.5), rtol=1e-4, atol=1e-6)
        flipped = cyclopean.Predictor(
            predictor.method, predictor.input_size, predictor.model, flip_averaged, look="own"
        )(picture)
        mirrored = predictor(Photo(picture.image.flip(-1))).camera.focal  # type: ignore[union-attr]
        torch.testing.assert_close(flipped.camera.focal, (depth.camera.focal + mirrored) / 2, rtol=1e-4, atol=0)
    without = dict(MODELS["pro"][1], use_fov_model=False)
    relative = foreign.Foreign(
        transformers.DepthProForDepthEstimation(transformers.DepthProConfig(**without)),
        predictor.method.processing, "canonical inverse depth",
    )  # fmt: skip
    assert (relative.ambiguity, relative.finds_focal) == ("scale", False)


class WhatItIsShown(torch.nn.Module):
    """A network that returns its picture, as far as whole patches reach."""

    def __init__(self, patch: int, config) -> None:
        super().__init__()
        self.patch, self.config, self.weight = patch, config, torch.nn.Parameter(torch.zeros(1))

    def forward(self, pixel_values: torch.Tensor):
        h, w = (side // self.patch * self.patch for side in pixel_values.shape[-2:])
        return transformers.modeling_outputs.DepthEstimatorOutput(
            predicted_depth=2 + pixel_values[:, :, :h, :w].mean(1)
        )


def test_padding_and_resizing_are_undone_exactly(folders, tmp_path):
    """A slope comes back where it was, on sides that no patch divides, and of very long pictures."""
    for name in ("relative", "midas", "dinov2", "glpn", "zoe", "tips", "unrounded"):
        folder = folders / ("relative" if name == "unrounded" else name)
        if name == "unrounded":  # sizes that patches do not divide, as a careless author would have it
            folder = shutil.copytree(folder, tmp_path / name)
            shown = {**MODELS["relative"][2], "ensure_multiple_of": 1, "size": {"height": 75, "width": 75}}
            (folder / "preprocessor_config.json").write_text(json.dumps(shown))
        opened = foreign.open_foreign(folder)
        patch = 32 if name == "glpn" else 14 if name in ("relative", "dinov2", "tips", "unrounded") else 16
        method = foreign.Foreign(
            WhatItIsShown(patch, opened.method.model.config), opened.method.processing, "inverse depth"
        )
        predictor = cyclopean.Predictor(method, opened.input_size, look="own")
        for h, w in ((101, 150), (150, 101), (83, 71), (40, 400)):
            for axis in (-1, -2):
                slope = torch.linspace(0.2, 0.8, (h, w)[axis])
                image = (slope if axis == -1 else slope[:, None]).expand(1, 3, h, w).contiguous()
                result = predictor(Photo(image)).inverse_depth[0, 0]
                line = result.mean(0 if axis == -1 else 1)
                inner = slice(len(line) // 6, -(len(line) // 6))
                x, y = slope[inner].double(), line[inner].double()
                gain = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
                off = (y - y.mean()) / gain - (x - x.mean())
                shift = float(y.mean() / gain - x.mean())
                colours = predictor(Photo(torch.full((1, 3, h, w), 0.5))).inverse_depth[0, 0]
                middle = float(colours[h // 4 : -h // 4, w // 4 : -w // 4].mean())
                shift = (float(y.mean()) - middle) / float(gain) - (float(x.mean()) - 0.5)
                steps = float(slope[1] - slope[0])
                assert abs(shift) < 0.3 * steps + 2e-3, (name, h, w, axis, shift / steps)
                assert float(off.abs().max()) < 0.5 * steps + 6e-3, (name, h, w, axis)


def test_panoramas_go_through_faces_and_teachers_are_frozen(folders):
    sphere = Photo(read_photo(folders / "photos" / "wide.png").image[..., :50, :100], Equirectangular())
    for name in ("relative", "pro"):
        predictor = load(folders / name)
        depth = predictor(sphere)
        assert depth.size == (50, 100)
        assert depth.ambiguity == KINDS[name]
        assert depth.notes["seen"] == "ten faces around"
        assert bool(depth.valid.all())
    teacher = Frozen(predictor.method)
    assert not list(teacher.parameters())
    assert not teacher.module.training


def test_a_stranger_can_run_nothing_and_reach_nothing(folders, tmp_path, monkeypatch):
    """Each spoiled folder gives one sentence; code, kernels and other repositories that it names are not looked at."""
    reached = []
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *a, **k: reached.append(a))
    monkeypatch.setattr("socket.getaddrinfo", lambda *a, **k: reached.append(a) or [])  # whatever library asks
    monkeypatch.setattr("socket.socket.connect", lambda *a, **k: reached.append(a))
    config = json.loads((folders / "relative" / "config.json").read_text())
    shown = MODELS["relative"][2]
    tensors = load_file(folders / "relative" / "model.safetensors")
    some = next(iter(tensors))

    def spoiled(change: dict, preprocessor: object = shown, weights: dict | None = tensors) -> Path:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({**config, **change}))
        if preprocessor is not None:
            (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
        if weights is not None:
            save_file(weights, folder / "model.safetensors")
        return folder

    backbone = config["backbone_config"]
    harmless = {
        "auto_map": {"AutoModelForDepthEstimation": "evil/repo--evil.Model"}, "_name_or_path": "evil/repo",
        "attn_implementation": "evil/kernel", "_attn_implementation": "evil/kernel", "quantization_config": {"a": 1},
        "transformers_weights": "../evil", "fusion_config": {"a": 1},
        "backbone_config": {**backbone, "_attn_implementation": "evil/kernel", "auto_map": {"a": "evil/repo--e.M"}},
    }  # fmt: skip
    folder = spoiled(harmless, {**shown, "auto_map": {"AutoImageProcessor": "evil/repo--evil.P"}})
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "evil/repo"}')
    (folder / "evil.py").write_text("raise SystemExit('run')")
    photo = read_photo(folders / "photos" / "wide.png")
    assert torch.equal(load(folder)(photo).inverse_depth, load(folders / "relative")(photo).inverse_depth)
    pickles = spoiled({}, weights=None)
    torch.save({"a": torch.zeros(1)}, pickles / "pytorch_model.bin")
    cases = {
        pickles: "can run code and are not read",
        spoiled({"backbone": "evil/repo", "backbone_config": None}): "not in this folder",
        spoiled({"backbone_config": {"model_type": "timm_backbone", "backbone": "resnet18"}}): "not in this folder",
        spoiled({"use_timm_backbone": True}): "not in this folder",
        spoiled({"backbone_config": {**backbone, "num_hidden_layers": 10**6}}): "at most 128 layers",
        spoiled({"backbone_config": {**backbone, "hidden_size": 10**6}}): "fewer weights|cannot be loaded",
        spoiled({"max_depth": 20.5}): "max_depth",
        spoiled({"reassemble_hidden_size": "wide"}): "cannot be loaded",
        spoiled({}, None): "has no preprocessor_config.json",
        spoiled({}, []): "is not an object",
        spoiled({}, {**shown, "size": {"height": 10**6, "width": 64}}): "needs 16 to 4096 pixels",
        spoiled({}, {**shown, "ensure_multiple_of": 10**6}): "multiples of 1 to 4096",
        spoiled({}, {**shown, "image_mean": [0.5] * 5}): "cannot be loaded",
        spoiled({}, {**shown, "image_std": [0.0] * 3}): "finite|cannot be loaded",
        spoiled({}, weights={k: v for k, v in tensors.items() if k != some}): "lacks weights|fewer weights",
        spoiled({}, weights={**tensors, some: torch.full_like(tensors[some], torch.nan)}): "not finite",
    }
    for folder, sentence in cases.items():
        with pytest.raises(InputError, match=sentence) as caught:
            load(folder)
        assert str(folder) in str(caught.value)
        assert "\n" not in str(caught.value)
    (spoiled({}) / "model.safetensors").write_bytes(b"\x80\x04")
    with pytest.raises(InputError, match="damaged"):
        load(max(tmp_path.iterdir(), key=lambda path: int(path.name)))
    assert not reached
    unfit = load(folders / "relative")
    unfit.method.model.neck.convs = unfit.method.model.neck.convs[:2]
    with pytest.raises(InputError, match="does not run"):
        unfit(photo)
    whole_number = spoiled({"max_depth": 1.0})  # the library takes 1 only
    assert load(whole_number).method.model.config.max_depth == 1


def test_weights_that_nothing_uses_may_be_left_out(folders, tmp_path):
    """As in Intel's DPT; the same weights have the same hash in every run. Sizes may be one number, as they were."""
    folder = shutil.copytree(folders / "midas", tmp_path / "midas")
    tensors = load_file(folder / "model.safetensors")
    kept = {name: x for name, x in tensors.items() if "fusion_stage.layers.0.residual_layer1" not in name}
    assert len(kept) < len(tensors)
    save_file(kept, folder / "model.safetensors")
    (folder / "preprocessor_config.json").write_text(json.dumps({**MODELS["midas"][2], "size": 64}))
    photo = read_photo(folders / "photos" / "tall.png")
    first, second = load(folder), load(folder)
    assert torch.equal(first(photo).inverse_depth, load(folders / "midas")(photo).inverse_depth)
    assert first.model.sha256 == second.model.sha256


def test_shards_of_large_models_are_one_model(folders, tmp_path):
    model = network("relative")
    model.save_pretrained(tmp_path, max_shard_size="60KB")
    shutil.copy(folders / "relative" / "preprocessor_config.json", tmp_path)
    shards = sorted(tmp_path.glob("*.safetensors"))
    assert len(shards) > 2
    photo = read_photo(folders / "photos" / "tall.png")
    assert torch.equal(load(tmp_path)(photo).inverse_depth, load(folders / "relative")(photo).inverse_depth)
    shards[1].unlink()
    with pytest.raises(InputError, match="has no model"):
        load(tmp_path)


def test_licences_come_from_the_card_and_limits_are_said_once(folders, tmp_path, caplog):
    for text, licence in (
        ("---\nlicense: cc-by-nc-4.0\n---\n", "cc-by-nc-4.0"),
        ('---\nlicense: "mit"\n---\n', "mit"),
        ("---\nlicense: other\nlicense_name: apple-amlr\n---\n", "apple-amlr"),
        ("# license: mit\n", "unknown"),
        ("---\ntags: [a]\n---\nlicense: mit\n", "unknown"),
        ("", "unknown"),
    ):
        (tmp_path / "README.md").write_text(text)
        assert foreign.licence_of(tmp_path) == licence
    assert foreign.licence_of(folders) == "unknown"
    for name in ("cc-by-nc-4.0", "apple-amlr", "research-only", "mit", "apache-2.0"):
        caplog.clear()
        for _ in range(2):
            foreign.log_licence(f"a model under {name}", name)
        assert len(caplog.records) == (name not in ("mit", "apache-2.0"))
    ours = replace(load("general"), model=Maker("ours", "", "CC BY-NC 4.0"))  # as of a model that was imported
    ours.save_pretrained(tmp_path / "ours")
    save("relative", tmp_path, "cc-by-nc-4.0")
    for name, licence in (("ours", "CC BY-NC 4.0"), ("relative", "cc-by-nc-4.0")):
        caplog.clear()
        for _ in range(2):
            load(tmp_path / name)
        assert [record.message.count(licence) for record in caplog.records] == [1], name


def test_without_the_library_one_sentence_says_what_to_install(folders, monkeypatch, capsys):
    for module in ("cyclopean.inference.foreign", "cyclopean.cli.early"):
        monkeypatch.setattr(f"{module}.find_spec", lambda name: None)
    photo, model = str(folders / "photos" / "wide.png"), str(folders / "relative")
    commands = (["predict", photo], ["refocus", photo, "--at", "0.5", "0.5"], ["app", "--no-browser"])
    for words in (*commands, ["bench", "lens", str(folders)], ["bench", "robust", str(folders)]):
        assert command([*words, "--model", model]) == 2
        said = capsys.readouterr().err
        assert "pip install 'cyclopean[foreign]'" in said
        assert len(said.splitlines()) == 1
    with pytest.raises(InputError, match="pip install"):
        load(model)


@pytest.mark.slow
def test_offline_a_repository_is_one_sentence_at_once_and_one_that_is_here_is_used(folders, tmp_path, monkeypatch):
    """A cached repository, as the Hub's client lays it out, needs no network."""
    env = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
    cached = tmp_path / "hub" / "models--somebody--depth"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("a" * 40)
    shutil.copytree(folders / "relative", cached / "snapshots" / ("a" * 40))
    photo = str(folders / "photos" / "small.png")
    for name, code in (("nobody/nothing", 2), ("hub:somebody/depth", 0)):
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "cyclopean", "predict", photo, "--model", name, "--out", str(tmp_path / "out")],
            capture_output=True, text=True, check=False, env=env, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        if code:
            assert time.monotonic() - start < 20  # of which most is to load torch
            assert "could be fetched" in done.stderr
            assert len(done.stderr.splitlines()) == 1, done.stderr
        else:
            assert done.stderr == ""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    (finding,) = doctor._fetched()
    assert finding.name == "somebody/depth"
    assert finding.text.startswith("depth of photos (depth_anything), ")
    assert "apache-2.0" in finding.text


def test_every_size_of_photo_is_taken(folders):
    """The smallest that are read, and very long ones, either way."""
    for name in MODELS:
        predictor = load(folders / name)
        for size in ((16, 16), (16, 200), (200, 16), (31, 33)):
            depth = predictor(Photo(torch.rand(1, 3, *size)))
            assert depth.size == size, name
            assert bool(depth.valid.all()), name


def test_sizes_are_the_models_own(folders, tmp_path, capsys):
    photo, model = str(folders / "photos" / "wide.png"), str(folders / "relative")
    for flags in (["--look", "trained"], ["--size", "64x64"]):
        assert command(["predict", photo, "--model", model, "--out", str(tmp_path), *flags]) == 2
        assert "by a rule of its own" in capsys.readouterr().err
    assert models.trained_on(folders / "relative") == []


def test_what_affine_depth_cannot_give_is_said_with_the_way_out(folders, tmp_path, capsys):
    photo, model = str(folders / "photos" / "wide.png"), str(folders / "relative")
    words = ["--model", model, "--out", str(tmp_path)]
    assert command(["predict", photo, *words, "--save", "ply,glb", "--view", "html"]) == 0
    said = capsys.readouterr().err
    assert "scale and shift" in said
    assert "--known" in said
    assert all((tmp_path / f"wide_{end}").stat().st_size > 1000 for end in ("disp.ply", "disp.glb", "view.html"))
    side = json.loads((tmp_path / "wide_disp.json").read_text())
    assert side["ambiguity"] == "affine"  # the arrays are as predicted
    raw = np.load(tmp_path / "wide_disp.npy")
    near, far = (np.unravel_index(pick(raw[5:-5, 5:-5]), raw[5:-5, 5:-5].shape) for pick in (np.argmax, np.argmin))
    known = [str(x) for (row, column), metres in ((near, 1), (far, 5)) for x in (column + 5, row + 5, metres)]
    assert command(["predict", photo, *words, "--save", "ply", "--known", *known]) == 0
    assert "guess" not in capsys.readouterr().err
    side = json.loads((tmp_path / "wide_disp.json").read_text())
    assert (side["unit"], side["ambiguity"]) == ("m", "metric")
    assert 1 / np.load(tmp_path / "wide_disp.npy").min() > 3
    point = ["refocus", photo, "--at", "0.5", "0.5", *words]
    assert command(point) == 0
    capsys.readouterr()
    assert command([*point, "--focus-distance", "2"]) == 2
    assert "--known" in capsys.readouterr().err
    assert command([*point, "--f-number", "2"]) == 0  # two distances give scale and shift, and are stated
    assert "nearest is taken as 1 m away" in capsys.readouterr().err
    for flags in (["--f-number", "2"], ["--focus-distance", "2"]):
        assert command([*point, *flags, "--known", *known]) == 0
    assert command(["predict", photo, *words, "--known", *known, "--profile", photo]) == 2
    assert "give one of them" in capsys.readouterr().err
    assert command(["predict", str(folders / "photos"), *words, "--known", *known]) == 2


def test_evaluate_and_the_bench_of_lenses_take_them(folders, tmp_path, capsys):
    """On rendered worlds with true depth; affine models are aligned by scale and shift, and by nothing less."""
    world, lenses = tmp_path / "worlds", tmp_path / "lenses"
    assert command(["render", "room", str(world), "--count", "1", "--size", "64x96"]) == 0
    capsys.readouterr()
    names = ",".join(str(folders / name) for name in ("relative", "metric"))
    assert command(["evaluate", "--data", str(world), "--model", names]) == 0
    rows = [line.split()[:2] for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert [name for kind, name in (row for row in rows if len(row) == 2) if kind == "affine"][:2] == [
        "relative",
        "metric",
    ]
    assert ["none", "metric"] in rows
    assert ["median", "metric"] in rows
    assert ["median", "relative"] not in rows
    lenses.mkdir()
    shutil.copy(folders / "photos" / "small.png", lenses / "a_sharp.png")
    shutil.copy(folders / "photos" / "small.png", lenses / "a_near.png")
    np.savez(lenses / "a_sharp_depth.npz", depth=np.full(SHAPES["small"], 2.0) + np.arange(SHAPES["small"][1]) / 20)
    shots = {"kind": "lens", "focal_mm": 50, "sensor_mm": 36, "shots": [{"tag": "near", "focus_m": 2, "fstop": 2}]}
    (lenses / "a.json").write_text(json.dumps(shots))
    assert command(["bench", "lens", str(lenses), "--model", str(folders / "relative")]) == 0
    assert "scale and offset fitted to the truth" in capsys.readouterr().out


def test_every_command_takes_them_or_says_why(folders, tmp_path, capsys):
    """Clips with one range, panoramas through faces, refocused clips, a second eye; what needs a method of ours is
    one sentence."""
    model, out, clip = str(folders / "relative"), tmp_path / "out", str(tmp_path / "walk.mp4")
    film(Path(clip), walking(6))
    around = str(tmp_path / "around.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 96, 3), np.uint8)).save(around)
    common = ["--model", model, "--out", str(out)]
    for words in (
        ["predict", clip, *common, "--save", "npy"],
        ["refocus", clip, "--at", "0.3", "0.5", *common],
        ["predict", around, "--camera", "equirectangular", "--save", "ply", *common],
        ["stereo", str(folders / "photos" / "wide.png"), *common],
    ):
        assert command(words) == 0, capsys.readouterr().err
    card = json.loads((out / "walk_disp.json").read_text())
    assert (card["ambiguity"], card["frames"], card["model"]["licence"]) == ("affine", 6, "apache-2.0")
    assert card["flicker_after"] <= card["flicker_before"]
    assert len(list((out / "walk_disp").glob("*_disp.npy"))) == 6
    assert json.loads((out / "walk_defocus.json").read_text())["model"]["name"] == model
    sphere = json.loads((out / "around_disp.json").read_text())
    assert (sphere["ambiguity"], "equirectangular" in json.dumps(sphere["camera"])) == ("affine", True)
    assert sphere["notes"]["seen"] == "ten faces around"
    capsys.readouterr()
    for words, why in (
        (["predict", clip, *common, "--save", "ply"], "no single point cloud"),
        (["export", model, "--out", str(out / "x.onnx")], "not a model of cyclopean"),
        (["adapt", clip, *common], "not a model of cyclopean"),
        (["train", "monodepth2", "--world", "street", "--init", model, "--out", str(out / "r")], "not a model of cycl"),
    ):
        assert command(words) == 2
        said = capsys.readouterr().err
        assert why in said, said
