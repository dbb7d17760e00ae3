"""What every method promises, each on the rig it is for."""

from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, Pinhole, translation
from cyclopean.methods import METHODS, method_class
from cyclopean.methods.base import Frozen, Method
from cyclopean.sample import Sample, view
from cyclopean.training import checkpoint, models

ARGUMENTS: dict[str, dict[str, Any]] = {
    "aquanet": {"width": 0.05, "rules": {"levels": 5, "mask": "none"}},
    "coordnet": {"rig": "TC"},
    "deep3d": {"network": "vgg", "width": 0.05, "levels": 5, "smoothness": "each"},
    "depth_anywhere": {},
    "falnet": {"width": 0.05, "rules": {"levels": 5}},
    "garg": {"network": "compact", "width": 0.1},
    "monodepth": {"network": "vgg", "width": 0.05, "factors": 3},
    "monodepth2": {"network": "resnet18", "width": 0.1},
    "naive": {"network": "compact", "width": 0.1},
    "supervised": {"network": "vgg", "width": 0.05},
    "supervised_disparity": {"network": "vgg", "width": 0.05},
    "supervised_sphere": {"network": "unifuse", "width": 0.25},
    "trinocular": {"network": "compact", "width": 0.1},
}


def built(name: str) -> Method:
    torch.manual_seed(0)
    return method_class(name)(**ARGUMENTS[name])


def panoramas() -> Sample:
    """A target with one source above and one to its right."""
    poses = [translation(torch.tensor([t]).expand(2, 3)) for t in ((0.0, 0.26, 0.0), (-0.26, 0.0, 0.0))]
    sources = tuple(view(torch.rand(2, 3, 128, 256), Equirectangular(), pose) for pose in poses)
    return Sample(view(torch.rand(2, 3, 128, 256), Equirectangular()), sources, 1 + 9 * torch.rand(2, 1, 128, 256))


@pytest.fixture
def stereo(request) -> Sample:
    if request.node.callspec.params.get("name") in ("coordnet", "depth_anywhere", "supervised_sphere"):
        return panoramas()
    camera = Pinhole(torch.tensor([[0.8, 1.2]]).expand(2, 2), torch.tensor([[0.5, 0.5]]).expand(2, 2))
    pose = translation(torch.tensor([[-0.2, 0.0, 0.0]]).expand(2, 3))
    left, right = torch.rand(2, 3, 128, 256), torch.rand(2, 3, 128, 256)
    depth = 1 + 9 * torch.rand(2, 1, 128, 256)
    depth[:, :, :20], depth[:, :, 100:] = torch.inf, torch.nan
    return Sample(view(left, camera), (view(right, camera, pose),), depth)


def test_every_method_has_arguments_here():
    assert set(ARGUMENTS) == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_losses_are_finite_named_scalars_and_reach_every_parameter(name, stereo):
    method = built(name)
    terms = method(stereo)
    assert terms
    assert all(isinstance(k, str) and v.shape == () and v.isfinite() for k, v in terms.items())
    sum(terms.values()).backward()
    for k, p in method.named_parameters():
        assert p.grad is not None, k
        assert p.grad.isfinite().all(), k
        assert p.grad.abs().sum() > 0, k


@pytest.mark.parametrize("name", METHODS)
def test_predictions_are_positive_and_as_large_as_the_picture(name, stereo):
    method = built(name).eval()
    with torch.no_grad():
        rho = method.predict(stereo.target).inverse_depth
    assert rho.shape == (2, 1, 128, 256)
    assert (rho > 0).all()
    assert method.ambiguity in ("metric", "scale", "affine")


@pytest.mark.parametrize("name", METHODS)
def test_losses_are_float32_under_bfloat16(name, stereo):
    """The network answers in bfloat16; from its answers on, autocast changes nothing at all."""
    method = built(name)
    answers: list[Any] = []
    handle = method.network.register_forward_hook(lambda module, inputs, outputs: answers.append(outputs))
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        terms = method(stereo)
    handle.remove()
    heads = answers[0] if isinstance(answers[0], list | tuple) else answers
    assert {a.dtype for a in heads} == {torch.bfloat16}
    method.network.register_forward_hook(lambda module, inputs, outputs: answers[0])
    with torch.no_grad():
        plain = method(stereo)
    for k, v in terms.items():
        assert v.dtype == torch.float32
        torch.testing.assert_close(v, plain[k], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 0.0), (torch.float16, 2e-3)])
def test_a_checkpoint_comes_back(name, dtype, tolerance, stereo, tmp_path):
    method = built(name).eval()
    checkpoint.save(tmp_path / "model", method, {"input_size": [128, 256], "licence": "Apache-2.0"}, dtype)
    loaded, config = checkpoint.load(tmp_path / "model")
    assert not loaded.training
    assert type(loaded) is type(method)
    assert loaded.config() == method.config() == config["arguments"]
    assert config["input_size"] == [128, 256]
    assert next(loaded.parameters()).dtype == torch.float32
    with torch.no_grad():
        before, after = (m.predict(stereo.target).inverse_depth for m in (method, loaded))
    off = ((after - before).abs() > tolerance * (1 + before.abs())).float().mean()
    assert off <= (0.01 if name == "naive" and tolerance else 0)  # which matches: a few pixels jump
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == ["config.json", "model.safetensors"]


def test_an_encoder_starts_another_methods_network(tmp_path):
    """Of one that sees coordinates beside colours, its colour filters, shared by two pictures. The decoder stays; other
    sizes are refused."""
    donor = method_class("coordnet")(rig="TC", network="mobile")
    checkpoint.save(tmp_path, donor, {})
    method, other = (method_class("monodepth")("mobile", width) for width in (1.0, 0.5))
    before = {k: v.clone() for k, v in method.state_dict().items()}
    checkpoint.initialise_encoder(method, tmp_path)
    theirs, ours = donor.network.dense.encoder, method.network.encoder
    assert torch.equal(ours.stem.weight, theirs.stem.weight[:, :3])
    assert torch.equal(ours.stages[6][0].project.weight, theirs.stages[6][0].project.weight)
    assert all(torch.equal(v, before[k]) for k, v in method.state_dict().items() if ".encoder." not in k)
    both = method_class("monodepth")("mobile", variant="stereo")
    checkpoint.initialise_encoder(both, tmp_path)
    image = torch.rand(1, 3, 32, 32)
    twice = both.network.encoder.stem(image.repeat(1, 2, 1, 1))
    torch.testing.assert_close(twice, ours.stem(image), rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="same network and width"):
        checkpoint.initialise_encoder(other, tmp_path)


@pytest.mark.parametrize("network", ["vgg", "compact", "mobile"])
def test_a_model_of_several_maps_starts_one_of_fewer(network, stereo_pair, tmp_path):
    """Monodepth tells both views' disparity: the supervised twin begins with the left one's."""
    small = {"network": network, "width": 0.1}
    monodepth, twin = method_class("monodepth")(**small).eval(), method_class("supervised")(**small).eval()
    checkpoint.save(tmp_path, monodepth, {})
    checkpoint.initialise(twin, tmp_path)
    with torch.no_grad():
        theirs = monodepth.network(stereo_pair)
        ours = twin.network(stereo_pair)
    if network == "vgg":  # whose next scale reads the right view's map too; the coarsest is told before
        theirs, ours = theirs[-1:], ours[-1:]
    for x, y in zip(theirs, ours, strict=True):
        torch.testing.assert_close(x[:, :1], y)
    for other in (method_class("supervised")(network, 0.2), method_class("monodepth")(**small, variant="stereo")):
        with pytest.raises(InputError, match="other names or shapes"):
            checkpoint.initialise(other, tmp_path)


@pytest.fixture
def stereo_pair() -> torch.Tensor:
    return torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))


def test_a_rig_survives_a_checkpoint(tmp_path):
    checkpoint.save(tmp_path, method_class("monodepth")("vgg", 0.05, rig=(0.58, 0.54)), {})
    assert checkpoint.load(tmp_path)[0].ambiguity == "metric"


@pytest.fixture
def model(tmp_path):
    checkpoint.save(tmp_path, built("monodepth"), {})
    return tmp_path


def broken(model, name, content):
    (model / name).write_bytes(content)
    return model


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"has no config\.json"):
        checkpoint.load(tmp_path)


FOREIGN = (
    (b"not json", "is not readable JSON"),
    (b'{"model_type": "dpt"}', "not a model of cyclopean"),
    (b"[1]", "not a model of cyclopean"),
    (b'{"method": "monodepth3", "arguments": {}}', '"method" is "monodepth3"; it needs one that this version has'),
    (
        b'{"method": "monodepth", "arguments": {"depth": 3}}',
        r'"arguments\.depth" is 3; it needs to be one of network, width',
    ),
    (b'{"method": "monodepth", "arguments": {"network": "vgg", "width": 0.1}}', "other names or shapes"),
    (b'{"method": "monodepth", "arguments": {"network": "resnet"}}', "unknown network 'resnet'"),
    (
        b'{"method": "monodepth", "arguments": {"network": "vgg", "width": "wide"}}',
        r'"arguments\.width" is .*; it needs one that monodepth takes, such as 1\.0',
    ),
    (b'{"method": [], "arguments": {}}', "does not name a method"),
    (b'{"method": {}, "arguments": {}}', "does not name a method"),
    (
        b'{"method": "monodepth", "arguments": {"network": "vgg", "width": Infinity}}',
        r'"arguments\.width" is .*; it needs one that monodepth takes, such as 1\.0',
    ),
    (
        b'{"method": "monodepth", "arguments": {"network": "vgg", "width": 1' + b"0" * 400 + b"}}",
        r'"arguments\.width" is .*; it needs one that monodepth takes, such as 1\.0',
    ),
    (
        b'{"method": "monodepth", "arguments": {"network": [], "width": 1}}',
        r'"arguments\.network" is \[\]; it needs',
    ),
    (b'{"method": "monodepth", "arguments": {"network": "vgg", "width": 256.0}}', "other names or shapes"),
    (b'{"method": "' + b"x" * 5000 + b'", "arguments": {}}', r"^.{,700}$"),
    (b"[" * 5000, "nested too deeply"),
)


def test_a_foreign_config_is_refused(model):
    for content, sentence in FOREIGN:
        with pytest.raises(InputError, match=sentence):
            checkpoint.load(broken(model, "config.json", content))


def test_damaged_weights_are_refused(model):
    whole = (model / "model.safetensors").read_bytes()
    for content in (b"", b"garbage", whole[: len(whole) // 2]):
        with pytest.raises(InputError, match=r"damaged or no safetensors file|is empty \(0 bytes\)"):
            checkpoint.load(broken(model, "model.safetensors", content))
    (model / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"has no model\.safetensors"):
        checkpoint.load(model)


def test_unknown_models_are_refused_without_asking_the_network(tmp_path):
    with pytest.raises(InputError, match="unknown model 'generl'"):
        checkpoint.load("generl")
    with pytest.raises(InputError, match="there is no model folder"):
        checkpoint.load(tmp_path / "nowhere" / "model")
    with pytest.raises(InputError, match="there is no model folder"):
        checkpoint.load("./nowhere")
    checkpoint.save(tmp_path / "run" / "last", built("monodepth"), {})
    with pytest.raises(InputError, match=f"there is no model folder '{tmp_path}/run/best'; {tmp_path}/run holds last"):
        checkpoint.load(tmp_path / "run" / "best")


def test_weights_of_other_types_are_read_or_refused(model):
    """Half precision of every kind becomes float32; no number of it may be infinite."""
    tensors = load_file(model / "model.safetensors")
    for dtype in (torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn):
        save_file({name: tensor.to(dtype) for name, tensor in tensors.items()}, model / "model.safetensors")
        assert next(checkpoint.load(model)[0].parameters()).dtype == torch.float32
    name = next(iter(tensors))
    for wrong in (torch.inf, torch.nan):
        for dtype in (torch.float32, torch.float8_e5m2):
            changed = {**tensors, name: torch.full_like(tensors[name], wrong).to(dtype)}
            save_file(changed, model / "model.safetensors")
            with pytest.raises(InputError, match="not finite"):
                checkpoint.load(model)


def test_only_a_name_that_nothing_here_has_is_asked_of_the_hub(model, tmp_path, monkeypatch):
    asked = []

    def fetched(name: str, allow_patterns: list[str], local_files_only: bool = False, **_: object) -> str:
        if local_files_only:
            raise OSError("it was never fetched")
        asked.append(name)
        raise ReadError("broken pipe")  # of a library that has no base class in common with others

    class ReadError(Exception):
        pass

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetched)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "p.jpg").write_bytes(b"a photo")
    (tmp_path / "file").write_bytes(b"")
    for name in (
        "runs/my_run",
        "a/p.jpg",
        "file/model",
        "file",
        "./x/y",
        "../x",
        "x/y/z",
        "x y/z",
        "/a/b",
        "n" * 300 + "/m",
    ):
        with pytest.raises(InputError):
            checkpoint.load(name)
    assert asked == []
    for name in ("nobody/model", "hub:runs/my_run"):
        with pytest.raises(InputError, match="could be fetched"):
            checkpoint.load(name)
    with pytest.raises(InputError, match="owner/name"):
        checkpoint.load("hub:../x")
    assert asked == ["nobody/model", "runs/my_run"]
    for other in ("attacker/weights", "hub:attacker/weights", "//host/share", "x" * 300, "a\0b"):
        with pytest.raises(InputError, match="neither a bundled model"):
            models.companion(model, other)
    assert len(asked) == 2


def test_a_hub_model_is_fetched_by_its_name_and_nothing_but_the_model(model, monkeypatch):
    asked = []

    def fetched(name: str, allow_patterns: list[str], local_files_only: bool = False, **_: object) -> str:
        if local_files_only:
            raise OSError("it was never fetched")
        asked.append((name, allow_patterns))
        return str(model)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetched)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: asked.append("is it there?"))
    method, _ = checkpoint.load("somebody/depth")
    files = ["model.safetensors", "model-*-of-*.safetensors", "config.json", "preprocessor_config.json", "README.md"]
    words = ["tokenizer*.json", "special_tokens_map.json", "vocab.json", "vocab.txt", "merges.txt"]
    assert asked == ["is it there?", ("somebody/depth", [*files, *words])]  # nothing that can be run
    own = checkpoint.load(model)[0].state_dict()
    assert all(torch.equal(value, own[name]) for name, value in method.state_dict().items())


def test_frozen_parts_stay_out_of_training_and_checkpoints():
    class Student(torch.nn.Module):
        def __init__(self, teacher: torch.nn.Module) -> None:
            super().__init__()
            self.own = torch.nn.Linear(2, 2)
            self.teacher = Frozen(teacher)

    teacher = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5))
    student = Student(teacher).train()
    assert list(student.state_dict()) == ["own.weight", "own.bias"]
    assert len(list(student.parameters())) == 2
    assert not teacher.training
    assert not teacher[1].training
    assert not student.teacher(torch.rand(3, 2)).requires_grad
    student.load_state_dict(student.state_dict())
    student.to(torch.float64)
    assert teacher[0].weight.dtype == torch.float64
