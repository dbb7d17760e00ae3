"""Models as ONNX files: the answers of torch, in a file that says what its numbers are."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from cyclopean.cli import main
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, Pinhole
from cyclopean.inference import export
from cyclopean.inference.export import WholeGraph, export_onnx
from cyclopean.inference.graphs import BareGraph, bare_program, save_program, untyped_and_quiet
from cyclopean.inference.onnx_model import OnnxSession
from cyclopean.inference.panorama import add_details
from cyclopean.inference.panorama import canonical_yaw as yaw_of
from cyclopean.inference.predictor import Predictor, load, working_size
from cyclopean.io.image import Photo, resize
from cyclopean.methods import method_class
from cyclopean.networks import NETWORKS, STUDENTS

SIZES = (150, 211), (224, 160)  # neither is that of tracing


def tiny(name: str = "supervised", **arguments: object) -> Predictor:
    torch.manual_seed(0)
    method = method_class(name)(**{"width": 0.1, **arguments}).eval()
    around = method.projection == "equirectangular" or name in ("supervised_sphere", "coordnet")
    if around:
        return Predictor(method, (128, 256), projection="equirectangular")
    return Predictor(method, (96, 128), two_scale=0.5)


def photograph(size: tuple[int, int]) -> np.ndarray:
    """A crop of a photograph, resized; uint8 h w 3."""
    from skimage import data

    image = torch.from_numpy(data.coffee()).permute(2, 0, 1)[None] / 255
    return resize(image, size)[0].mul(255).round().byte().permute(1, 2, 0).numpy()


def agrees(answer: np.ndarray, true: torch.Tensor) -> bool:
    """The bar: 99.9 % of pixels within 1e-3 of torch."""
    near = np.abs(answer - true.numpy()) <= 1e-3 * np.abs(true.numpy())
    return answer.shape == tuple(true.shape) and near.mean() >= 0.999


def test_what_a_graph_computes_is_what_the_predictor_does():
    torch.manual_seed(0)
    layout, details = torch.rand(1, 1, 64, 96) + 0.2, torch.rand(1, 1, 64, 96)
    usual = add_details(layout, details, 96 / 30, around=False)
    torch.testing.assert_close(export.add_details(layout, details), usual, rtol=1e-5, atol=1e-6)
    for before, after in (((60, 90), (32, 64)), ((40, 60), (64, 96)), ((80, 40), (64, 96)), ((7, 9), (7, 9))):
        image = torch.rand(1, 3, *before)
        torch.testing.assert_close(export.resample(image, after), resize(image, after), rtol=1e-5, atol=1e-6)
    for _ in range(5):
        panorama = torch.rand(1, 3, 16, 32)
        assert int(export.canonical_yaw(panorama)) % 32 == yaw_of(panorama)
    model, photo = load(), photograph((150, 211))
    with torch.no_grad():
        answer = WholeGraph(model)(torch.from_numpy(photo)[None], torch.ones(1, 2))
    assert agrees(answer.numpy(), model(photo).inverse_depth)
    whole, image = load("panorama"), photograph((100, 200))
    with torch.no_grad():
        answer = WholeGraph(whole)(torch.from_numpy(image)[None], torch.ones(1, 2))
    around = Photo(torch.from_numpy(image).permute(2, 0, 1)[None] / 255, Equirectangular())
    assert agrees(answer.numpy(), replace(whole, details=None)(around).inverse_depth)


def test_sizes_in_the_graph_are_those_of_the_predictor():
    graph = WholeGraph(tiny(network="compact"))

    class Symbolic(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image.new_zeros(graph.working_size(image, (96, 128)))

    free = {2: torch.export.Dim("h", min=32), 3: torch.export.Dim("w", min=32)}
    with untyped_and_quiet():
        program = torch.export.export(Symbolic(), (torch.zeros(1, 3, 100, 150),), dynamic_shapes=(free,), strict=False)
    for size in ((100, 150), (64, 300), (500, 333), (1000, 750), (97, 101), (2000, 1000)):
        made = program.module()(torch.zeros(1, 3, *size))
        assert tuple(made.shape) == working_size(size, (96, 128), graph.multiple), size


@pytest.mark.slow
def test_a_file_answers_as_torch_does_and_says_what_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "rendered", lambda around: [torch.rand(1, 3, 64, 96)])
    path = tmp_path / "tiny.onnx"
    model = tiny("monodepth", network="compact", rig=(0.7, 0.5))
    model = replace(model, two_scale=None)
    (one,) = export_onnx(model, path, size=None, precision="float32", bare=False, check=None, anyway=False)
    assert one.error < 1e-5
    assert one.alike > 0.999
    again = load(path)
    assert (again.method.ambiguity, again.method.rig, again.look) == ("metric", (0.7, 0.5), "own")
    for size in SIZES:
        photo = photograph(size)
        camera = Pinhole(torch.tensor([[0.9, 0.9 * size[1] / size[0]]]), torch.tensor([[0.5, 0.5]]))
        seen = Photo(torch.from_numpy(photo).permute(2, 0, 1)[None] / 255, camera)
        assert agrees(again(seen).inverse_depth.numpy(), model(seen).inverse_depth), size
        assert agrees(again(photo).inverse_depth.numpy(), model(photo).inverse_depth), size  # the rig's focal length
    assert again(photo).unit == "m"
    assert again(photo).model.sha256 != ""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["general", "panorama"])
def test_bundled_models_as_files(name, tmp_path):
    path = tmp_path / f"{name}.onnx"
    model = replace(load(name), details=None)
    (one,) = export_onnx(load(name), path, size=None, precision="float32", bare=False, check=None, anyway=False)
    assert one.count == 16
    assert one.error < 1e-4
    session = OnnxSession(str(path), path.read_bytes())
    assert session.metadata["licence"] == "Apache-2.0"
    assert session.metadata["sha256"] == model.model.sha256
    assert ("without the details of general" in session.metadata.get("note", "")) == (name == "panorama")
    sizes = ((256, 384), (301, 200)) if name == "general" else ((256, 512), (150, 300))
    for size in sizes:
        photo = photograph(size)
        camera = Equirectangular() if name == "panorama" else None
        seen = Photo(torch.from_numpy(photo).permute(2, 0, 1)[None] / 255, camera)
        assert agrees(session(photo[None]), model(seen).inverse_depth), size
        assert agrees(load(path)(seen).inverse_depth.numpy(), model(seen).inverse_depth), size
    for precision in ("float16", "int8"):
        (one,) = export_onnx(load(name), path, size=None, precision=precision, bare=True, check=None, anyway=True)
        assert one.error < 0.02, precision


LONG = {"resnet50-elu", "resnet50-elu-projected", "egformer"}  # twins of others, and one that takes two minutes
CASES = {
    **{f"supervised {name}": ("supervised", {"network": name}) for name in NETWORKS if name not in LONG},
    **{name: (name, {"network": "compact"}) for name in ("monodepth", "monodepth2", "garg", "trinocular", "deep3d")},
    "falnet": ("falnet", {}),
    **{f"aquanet {name}": ("aquanet", {"rules": {"network": name}}) for name in ("aquanet", "plade")},
    "aquanet dirnet": ("aquanet", {"rules": {"network": "dirnet", "warp": "backward"}}),
    **{f"sphere {name}": ("supervised_sphere", {"network": name}) for name in STUDENTS if name not in LONG},
    "coordnet": ("coordnet", {"network": "coordnet"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_every_network_as_a_file(case, tmp_path):
    name, arguments = CASES[case]
    model = tiny(name, **arguments)
    around, multiple = model.projection == "equirectangular", model.method.input_multiple
    graph, path = BareGraph(model.method, around=around), tmp_path / "network.onnx"
    save_program(bare_program(graph), path, {})
    session = OnnxSession(str(path), path.read_bytes())
    sizes = ((128, 256), (192, 384)) if around else ((128, 256), (256, 128))
    for size in sizes:
        assert not any(side % multiple for side in size)
        image = torch.from_numpy(photograph(size)).permute(2, 0, 1)[None] / 255
        focal = torch.tensor([[0.8, 0.8 * size[1] / size[0]]])
        with torch.no_grad():
            assert agrees(session(image.numpy(), focal.numpy()), graph(image, focal)), size


@pytest.mark.slow
def test_precisions_are_measured_and_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "rendered", lambda around: [torch.rand(1, 3, 64, 96) for _ in range(2)])
    model = replace(tiny(network="compact"), two_scale=None)
    program, path = bare_program(BareGraph(model.method, around=False), (64, 96)), tmp_path / "small.onnx"
    monkeypatch.setattr(export, "bare_program", lambda graph, size: program)  # translated once
    arguments = {"size": (64, 96), "precision": "int8", "bare": True, "check": None}
    (one,) = export_onnx(model, path, **arguments, anyway=False)
    assert 1e-5 < one.error < 0.02
    assert path.stat().st_size < 0.7 * sum(4 * weight.numel() for weight in model.method.parameters())
    path.unlink()
    monkeypatch.setattr(export, "MOST_ERROR", 1e-9)
    with pytest.raises(InputError, match=r"int8 puts depth .* off on 2 rendered scenes.*--anyway"):
        export_onnx(model, path, **arguments, anyway=False)
    assert list(tmp_path.iterdir()) == []
    export_onnx(model, path, **arguments, anyway=True)
    assert path.exists()
    for wrong, sentence in (
        ({"size": (60, 96)}, "multiples of"),
        ({"model": replace(model, look="own")}, "not a model of cyclopean"),
    ):
        with pytest.raises(InputError, match=sentence):
            export_onnx(wrong.pop("model", model), path, **{**arguments, **wrong}, anyway=False)


def test_bad_words_are_one_sentence(tmp_path, capsys, monkeypatch):
    (tmp_path / "there.onnx").write_bytes(b"no graph")
    for words, sentence in (
        ("export nothing", "unknown model 'nothing'"),
        ("export general --size 3", "--size 3 is not a size"),
        ("export general --out general.pt", "does not end in .onnx"),
        ("export general --precision int4", "unknown value of --precision 'int4'"),
        (f"export {tmp_path / 'there.onnx'}", "is an ONNX file already"),
        (f"predict {tmp_path / 'there.onnx'} --model {tmp_path / 'gone.onnx'}", "there is no file"),
        ("predict photo.jpg --backend onnx", "did you mean 'onnxruntime'"),
    ):
        with pytest.raises(SystemExit) as end:
            main(words.split())
        said = capsys.readouterr().err
        assert end.value.code == 2
        assert sentence in said, said
        assert said.count("\n") == 1
    monkeypatch.setattr("cyclopean.cli.export.find_spec", lambda name: None)
    monkeypatch.setattr("cyclopean.cli.early.find_spec", lambda name: None)
    for words, extra in (("export general", "export"), ("predict photo.jpg --backend onnxruntime", "fast")):
        with pytest.raises(SystemExit):
            main(words.split())
        assert f"pip install 'cyclopean[{extra}]'" in capsys.readouterr().err


def test_commands_without_it_do_not_load_it():
    code = "import json, sys, cyclopean; cyclopean.load(); print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert not {"onnx", "onnxscript", "onnxruntime"} & set(loaded)
