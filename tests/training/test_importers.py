"""Weights as others release them: names and order of the published network, in numbers that are drawn here."""

import json
import pickle
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from commands import here
from cyclopean.geometry import Pinhole
from cyclopean.inference.predictor import load
from cyclopean.sample import view
from cyclopean.training import checkpoint
from cyclopean.training.importers import KITTI_RIG
from cyclopean.training.licences import manifest, strictest

CHANNELS = {18: (64, 64, 128, 256, 512), 50: (64, 256, 512, 1024, 2048)}
BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
DECODER = (16, 32, 64, 128, 256)


def encoder_file(depth: int, inputs: int = 3) -> dict[str, Tensor]:
    """Return tensors by the names of a ResNet of torchvision, below "encoder."."""
    tensors: dict[str, Tensor] = {}

    def conv(name: str, out: int, into: int, side: int) -> None:
        tensors[f"encoder.{name}.weight"] = torch.randn(out, into, side, side) / (into * side * side) ** 0.5

    def norm(name: str, count: int) -> None:
        for part in ("weight", "bias", "running_mean"):
            tensors[f"encoder.{name}.{part}"] = 0.1 * torch.randn(count) + (part == "weight")
        tensors[f"encoder.{name}.running_var"] = torch.rand(count) + 0.5

    conv("conv1", 64, inputs, 7)
    norm("bn1", 64)
    before = 64
    for k, blocks in enumerate(BLOCKS[depth]):
        inner, out = 64 << k, CHANNELS[depth][k + 1]
        for j in range(blocks):
            name = f"layer{k + 1}.{j}"
            sides = (3, 3) if depth == 18 else (1, 3, 1)
            for n, side in enumerate(sides, 1):
                conv(f"{name}.conv{n}", out if n == len(sides) else inner, before if n == 1 else inner, side)
                norm(f"{name}.bn{n}", out if n == len(sides) else inner)
            if j == 0 and (k or depth == 50):
                conv(f"{name}.downsample.0", out, before, 1)
                norm(f"{name}.downsample.1", out)
            before = out
    tensors["encoder.fc.weight"], tensors["encoder.fc.bias"] = torch.randn(10, before), torch.randn(10)
    return tensors


def decoder_file(depth: int) -> dict[str, Tensor]:
    tensors, place = {}, 0

    def conv(name: str, out: int, into: int) -> None:
        tensors[f"{name}.weight"] = torch.randn(out, into, 3, 3) / (9 * into) ** 0.5
        tensors[f"{name}.bias"] = 0.1 * torch.randn(out)

    for level in range(4, -1, -1):
        below = CHANNELS[depth][-1] if level == 4 else DECODER[level + 1]
        conv(f"decoder.{place}.conv.conv", DECODER[level], below)
        conv(
            f"decoder.{place + 1}.conv.conv",
            DECODER[level],
            DECODER[level] + (CHANNELS[depth][level - 1] if level else 0),
        )
        place += 2
    for scale in range(4):
        conv(f"decoder.{place + scale}.conv", 1, DECODER[scale])
    return tensors


def pose_file() -> dict[str, Tensor]:
    shapes = ((256, 512, 1, 1), (256, 256, 3, 3), (256, 256, 3, 3), (12, 256, 1, 1))
    weights = {f"net.{n}.weight": torch.randn(shape) / shape[1] ** 0.5 for n, shape in enumerate(shapes)}
    return weights | {f"net.{n}.bias": torch.randn(shape[0]) for n, shape in enumerate(shapes)}


def features(tensors: dict[str, Tensor], depth: int, image: Tensor) -> list[Tensor]:
    """Return a ResNet's features as He et al. describe it, read off the names of torchvision."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            tensors[f"encoder.{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, var, weight, bias)

    x = F.relu(norm(F.conv2d((image - 0.45) / 0.225, tensors["encoder.conv1.weight"], stride=2, padding=3), "bn1"))
    found, x = [x], F.max_pool2d(x, 3, 2, 1)
    for k, blocks in enumerate(BLOCKS[depth]):
        for j in range(blocks):
            name, step = f"layer{k + 1}.{j}", 2 if k and j == 0 else 1
            y = x
            for n in range(1, 3 if depth == 18 else 4):
                weight = tensors[f"encoder.{name}.conv{n}.weight"]
                stride = step if n == (1 if depth == 18 else 2) else 1
                y = norm(F.conv2d(y, weight, stride=stride, padding=weight.shape[-1] // 2), f"{name}.bn{n}")
                y = F.relu(y) if n < (2 if depth == 18 else 3) else y
            if f"encoder.{name}.downsample.0.weight" in tensors:
                down = F.conv2d(x, tensors[f"encoder.{name}.downsample.0.weight"], stride=step)
                x = norm(down, f"{name}.downsample.1")
            x = F.relu(x + y)
        found.append(x)
    return found


def sigmoid_disparity(tensors: dict[str, Tensor], skips: list[Tensor]) -> Tensor:
    """Return the finest output of the decoder as the paper's supplement lists it."""

    def conv(x: Tensor, name: str) -> Tensor:
        padded = F.pad(x, (1, 1, 1, 1), "reflect")
        return F.conv2d(padded, tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    x = skips[-1]
    for level in range(4, -1, -1):
        place = 2 * (4 - level)
        x = F.interpolate(F.elu(conv(x, f"decoder.{place}.conv.conv")), scale_factor=2, mode="nearest")
        x = torch.cat([x, skips[level - 1]], 1) if level else x
        x = F.elu(conv(x, f"decoder.{place + 1}.conv.conv"))
    return conv(x, "decoder.10.conv").sigmoid()


def write(folder: Path, files: dict[str, dict]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, tensors in files.items():
        torch.save(tensors, folder / name)
    return folder


def write_encoder(folder: Path, tensors: dict[str, Tensor], *names: str) -> None:
    """Write one encoder's file into several new folders, as links."""
    torch.save(tensors, folder / "encoder.pth")
    for name in names:
        (folder / name).mkdir()
        (folder / name / "encoder.pth").hardlink_to(folder / "encoder.pth")


def test_released_weights_predict_what_the_published_network_does(tmp_path, capsys):
    """ResNet18 of video, against plain functions of the same tensors."""
    check_import(tmp_path, capsys, 18, {"height": 64, "width": 96, "use_stereo": False})


@pytest.mark.slow
def test_released_weights_of_pairs_and_of_a_resnet50_predict_metres(tmp_path, capsys):
    check_import(tmp_path, capsys, 50, {"use_stereo": True})


def check_import(tmp_path: Path, capsys, depth: int, extra: dict) -> None:
    image = torch.rand(1, 3, 64, 96)
    camera = Pinhole(torch.tensor([[1.2, 1.8]]), torch.tensor([[0.5, 0.5]]))
    encoder, decoder = encoder_file(depth), decoder_file(depth)
    files = {"encoder.pth": encoder | extra, "depth.pth": decoder}
    if depth == 18:
        files |= {"pose_encoder.pth": encoder_file(18, inputs=6), "pose.pth": pose_file()}
    out = tmp_path / f"out{depth}"
    code, said, err = here(capsys, "import", "monodepth2", write(tmp_path / str(depth), files), out)
    assert code == 0, err
    assert "non-commercial" in err
    assert ("metres" if depth == 50 else "up to scale") in said
    method, config = checkpoint.load(out)
    with torch.no_grad():
        inverse = method.predict(view(image, camera)).inverse_depth
        wanted = 0.01 + 9.99 * sigmoid_disparity(decoder, features(encoder, depth, image))
    if depth == 50:
        assert method.rig == KITTI_RIG
        assert config["input_size"] == [192, 640]
        wanted = wanted / 5.4 * (KITTI_RIG[0] / 1.2)
    else:
        assert method.rig is None
        assert config["input_size"] == [64, 96]
        first, second = torch.rand(2, 1, 3, 64, 96)
        pose, tensors = files["pose.pth"], files["pose_encoder.pth"]
        x = features(tensors, 18, torch.cat([first, second], 1))[-1]
        for n in range(4):
            x = F.conv2d(x, pose[f"net.{n}.weight"], pose[f"net.{n}.bias"], padding=int(n in (1, 2)))
            x = F.relu(x) if n < 3 else x
        with torch.no_grad():
            motion = method.pose.network(first, second)
        assert torch.allclose(motion, 0.01 * x.mean((2, 3))[:, :6], atol=1e-6)
    assert torch.allclose(inverse, wanted, rtol=1e-4), depth
    assert strictest(manifest(out)) == "no commercial use"
    assert load(out).model.licence.endswith("non-commercial")


class Harm:
    def __reduce__(self):
        return (Path.touch, (Path("harm"),))


def test_files_that_do_not_fit_are_one_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    encoder, decoder = encoder_file(18), decoder_file(18)
    short = {name: tensor for name, tensor in decoder.items() if name != "decoder.3.conv.conv.bias"}
    wide = decoder | {"decoder.13.conv.weight": torch.zeros(1, 64, 3, 3)}
    endless = decoder | {"decoder.0.conv.conv.bias": torch.full((256,), torch.inf)}
    cases = {
        "no": ({"depth.pth": decoder}, "there is no file no/encoder.pth"),
        "short": ({"depth.pth": short}, "network.merge.3.bias is missing"),
        "wide": ({"depth.pth": wide}, "network.heads.3.weight is of shape (1, 64, 3, 3)"),
        "endless": ({"depth.pth": endless}, "are not finite (network.grow.4.bias)"),
        "list": ({"encoder.pth": [1], "depth.pth": decoder}, "does not hold tensors by name"),
        "text": ({"encoder.pth": {"x": "y"}, "depth.pth": decoder}, "does not hold tensors by name"),
        "huge": ({"encoder.pth": {"height": 10**9}, "depth.pth": decoder}, "states a size of"),
    }
    write_encoder(tmp_path, encoder, "short", "wide", "endless")
    for name, (files, said) in cases.items():
        write(tmp_path / name, files)
        code, _, err = here(capsys, "import", "monodepth2", name, "out")
        assert (code, said in err, len(err.splitlines())) == (2, True, 1), (name, err)
    harmful = write(tmp_path / "harmful", {"depth.pth": decoder})
    (harmful / "encoder.pth").write_bytes(pickle.dumps({"encoder.conv1.weight": Harm()}))
    code, _, err = here(capsys, "import", "monodepth2", "harmful", "out")
    assert (code, "holds more than tensors" in err) == (2, True)
    assert not Path("harm").exists()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "config.json").write_text(json.dumps({}))
    for words, said in (
        (["monodepth3", "short", "out"], "did you mean 'monodepth2'?"),
        (["monodepth2", "short"], "it needs a kind, a folder and a place"),
        (["monodepth2", "wide", "taken"], "holds a model already"),
    ):
        code, _, err = here(capsys, "import", *words)
        assert (code, said in err) == (2, True), err
    assert not any((tmp_path / "out").glob("*"))
