"""ONNX files as models: networks of others with a card, hostile files, and onnxruntime behind models of cyclopean."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular
from cyclopean.inference import onnx_model
from cyclopean.inference.predictor import Predictor, load
from cyclopean.inference.wrappers import flip_averaged
from cyclopean.io.image import Photo
from cyclopean.training import checkpoint

CARD = {"kind": "inverse_depth", "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.5], "multiple": 8, "layout": "NCHW"}


def written(path: Path, shape: tuple, output: tuple, layout: str = "NCHW", kind: int = TensorProto.FLOAT) -> Path:
    """A "network" that adds the three channels it is shown."""
    nodes = [helper.make_node("Cast", ["picture"], ["x"], to=TensorProto.FLOAT)]
    axis = 1 if layout == "NCHW" else 3
    nodes += [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=int(len(output) == 4))]
    graph = helper.make_graph(
        nodes, "sum", [helper.make_tensor_value_info("picture", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(np.array([axis]), "axes")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


def photo(height: int = 40, width: int = 64) -> Photo:
    return Photo(torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)))


def carded(path: Path, **card: object) -> Path:
    path.with_suffix(".json").write_text(json.dumps({**CARD, **card}))
    return path


def test_networks_of_others_are_shown_pictures_as_their_card_says(tmp_path):
    free = written(tmp_path / "free.onnx", (1, 3, "h", "w"), (1, 1, "h", "w"))
    seen, shown = photo(), photo().image
    normal = (shown - torch.tensor(CARD["mean"])[:, None, None]) / torch.tensor(CARD["std"])[:, None, None]
    sums = normal.sum(1, keepdim=True)
    model = load(carded(free, size=[40, 64]))
    assert model.look is None
    depth = model(seen)
    torch.testing.assert_close(depth.inverse_depth, sums, rtol=1e-4, atol=1e-4)
    assert (depth.unit, depth.ambiguity) == ("relative", "scale")
    depth = load(carded(free, size=[40, 64], kind="depth", unit="m", mean=[0, 0, 0], std=[1, 1, 1]))(seen)
    torch.testing.assert_close(depth.inverse_depth, 1 / shown.sum(1, keepdim=True), rtol=1e-4, atol=1e-4)
    assert depth.unit == "m"
    assert load(carded(free, ambiguity="affine"))(seen).ambiguity == "affine"

    last = written(tmp_path / "last.onnx", (1, 40, 64, 3), (1, 40, 64), "NHWC", TensorProto.UINT8)
    depth = load(carded(last, layout="NHWC"))(seen)
    torch.testing.assert_close(depth.inverse_depth, shown.mul(255).round().sum(1, keepdim=True))
    fixed = written(tmp_path / "fixed.onnx", (1, 3, 24, 32), (1, 24, 32))
    model = load(carded(fixed))
    assert model.look == "own"  # a size that is no multiple is taken as it is
    assert model(seen).inverse_depth.shape == (1, 1, 40, 64)


def test_wrong_files_and_cards_are_one_sentence(tmp_path):
    good = written(tmp_path / "good.onnx", (1, 3, "h", "w"), (1, 1, "h", "w"))
    for card, sentence in (
        ({"std": [1, 0, 1]}, '"std" is .* above 0'),
        ({"mean": 3}, '"mean" is 3; it needs three numbers'),
        ({"layout": "CHW"}, '"layout" is "CHW"'),
        ({"multiple": 0}, '"multiple" is 0'),
        ({"kind": "deph"}, "unknown kind"),
        ({"unit": "feet"}, "unit"),
        ({"unit": "m", "ambiguity": "scale"}, '"unit" is "m"'),
        ({"size": [4, 1e9]}, '"size" is'),
        ({"Mean": [0, 0, 0]}, "did you mean 'mean'"),
    ):
        with pytest.raises(InputError, match=sentence):
            load(carded(good, **card))
    good.with_suffix(".json").write_text("[]")
    with pytest.raises(InputError, match="is not an object"):
        load(good)
    good.with_suffix(".json").unlink()
    with pytest.raises(InputError, match=r"does not state what it predicts; write good\.json"):
        load(good)
    for name, shape, sentence in (
        ("grey.onnx", (1, 1, 8, 8), "pictures of 1 channels"),
        ("flat.onnx", (1, 3), "four axes"),
        ("huge.onnx", (1, 3, 100_000, 16), "a side needs 16 to 8192"),
    ):
        with pytest.raises(InputError, match=sentence):
            load(carded(written(tmp_path / name, shape, shape[:1] + shape[2:])))
    for content in (b"", b"\x08\x0a", good.read_bytes()[:-20], b"PK\x03\x04" * 100):
        (tmp_path / "bad.onnx").write_bytes(content)
        carded(tmp_path / "bad.onnx")
        with pytest.raises(InputError, match=r"is damaged|is empty"):
            load(tmp_path / "bad.onnx")


def test_weights_in_other_files_are_not_read(tmp_path):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.ones(3, np.float32).tobytes())
    path = carded(written(tmp_path / "thief.onnx", (1, 3, "h", "w"), (1, 1, "h", "w")))
    model = onnx.load(path)
    tensor = TensorProto(name="stolen", data_type=TensorProto.FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "secret.bin"), ("offset", "0"), ("length", "12")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    model.graph.initializer.append(tensor)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="keeps weights in another file"):
        load(path)
    longer = path.read_bytes().replace(b"\x0a\x08location", b"\x0a\x88\x00location")  # the same length, written longer
    assert onnx_model.ELSEWHERE.search(longer)
    plain = path.read_bytes().replace(b"\x0a\x08location", b"\x0a\x08somewher")
    assert not onnx_model.ELSEWHERE.search(plain)


def test_answers_that_are_no_depth_are_one_sentence(tmp_path):
    path = carded(written(tmp_path / "three.onnx", (1, 3, "h", "w"), (1, 1, "h", "w")))
    model = onnx.load(path)
    model.graph.node[1].op_type = "Identity"
    del model.graph.node[1].input[1], model.graph.node[1].attribute[:]
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 3
    onnx.save(model, path)
    with pytest.raises(InputError, match="one map of finite numbers"):
        load(path)(photo())


def test_bundled_models_answer_the_same_in_onnxruntime():
    seen = photo(60, 90)
    for name, camera in (("general", None), ("panorama", Equirectangular())):
        torch_model, fast = load(name), load(name, backend="onnxruntime")
        assert fast.model == torch_model.model  # the same weights: what is there is not made again
        assert isinstance(fast.method, onnx_model.Accelerated)
        pictured = replace(seen, camera=camera)
        a, b = torch_model(pictured).inverse_depth, fast(pictured).inverse_depth
        assert ((a - b).abs() <= 1e-3 * a).float().mean() >= 0.999
    a, b = (replace(load(backend=backend), infer=flip_averaged)(seen) for backend in ("torch", "onnxruntime"))
    torch.testing.assert_close(a.inverse_depth, b.inverse_depth, rtol=1e-3, atol=1e-3)
    for wrong in ({"backend": "tensorrt"}, {"backend": "onnxruntime", "device": "cuda"}):
        with pytest.raises(InputError, match=r"backend|CPU"):
            load("general", **wrong)


@pytest.mark.slow
def test_other_models_are_translated_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    from cyclopean.methods.supervised import Supervised

    torch.manual_seed(0)
    method = Supervised("compact", 0.1)
    checkpoint.save(tmp_path / "mine", method, {"input_size": [64, 96], "licence": "mine"})
    fast = load(tmp_path / "mine", backend="onnxruntime")
    assert "once" in caplog.text
    (kept,) = (tmp_path / "cache" / "cyclopean").iterdir()
    made = kept.stat().st_mtime_ns
    slow: Predictor = load(tmp_path / "mine")
    for size in ((60, 90), (97, 50)):
        seen = photo(*size)
        torch.testing.assert_close(fast(seen).inverse_depth, slow(seen).inverse_depth, rtol=1e-3, atol=1e-5)
    load(tmp_path / "mine", backend="onnxruntime")
    assert kept.stat().st_mtime_ns == made
