"""Models that are listed, sent to a Hub and fetched from it: a Hub on this machine, the Hub's own client."""

import inspect
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from commands import here
from cyclopean import InputError, Predictor
from cyclopean.io.image import Photo
from cyclopean.methods import METHODS, SPHERICAL, method_class
from cyclopean.methods.monodepth import Monodepth
from cyclopean.training import checkpoint, models
from cyclopean.training.licences import manifest, permission, strictest
from hub_server import TOKEN, Hub, serving

# of the Hub's client, when it sends a large file by plain HTTP
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

PERMITTED = "any use, with its notice"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Be the Hub that the client speaks to; nothing was fetched yet, and the user has a token."""
    with serving() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
        files = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", files)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "fetched"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # files go to it by plain HTTP
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield hub


@pytest.fixture
def own(model, tmp_path):
    """Return a folder with a model of the user's own, which learned from worlds and states a figure."""
    folder = tmp_path / "own"
    shutil.copytree(model, folder)
    facts = {"data": ["street"], "command": "cyclopean train monodepth --seed 3", "figures": {"AbsRel": 0.21}}
    edit(folder, training=facts)
    return folder


def edit(folder: Path, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def front(text: str) -> dict:
    return yaml.safe_load(text.split("---")[1])


def test_push_sends_what_it_showed_and_the_hub_gives_it_back(hub: Hub, own, tmp_path, capsys):
    """A repository is made once; a second push changes it; the card says what the config knows."""
    (own / "depth.png").write_bytes(b"picture")
    code, out, err = here(capsys, "push", own, "me/own", "--dry-run")
    assert (code, hub.requests) == (0, [])
    card = out
    code, out, err = here(capsys, "push", own, "me/own", "--yes", "--private")
    assert (code, out.strip()) == (0, f"{hub.address}/me/own"), err
    sent = hub.repositories["me/own"]
    assert {name: sent[name] for name in sent if name != "README.md"} == {p.name: p.read_bytes() for p in own.iterdir()}
    assert sent["README.md"].decode() == card.removesuffix("\n")
    for name, content in sent.items():
        assert f"{name:<24} {len(content):>12,} bytes" in err
    assert hub.private == {"me/own": True}
    meta = front(card)
    assert meta["license"] == "cc0-1.0"
    assert (meta["pipeline_tag"], meta["library_name"]) == ("depth-estimation", "cyclopean")
    assert "monodepth" in meta["tags"]
    for words in ("| AbsRel | 0.21 |", "cyclopean train monodepth --seed 3", "| data | street | rendered", PERMITTED):
        assert words in card, words

    (own / "README.md").write_text("---\nlicense: mit\npipeline_tag: depth-estimation\n---\nmine\n")
    assert here(capsys, "push", own, "me/own", "--yes")[0] == 0
    assert sent["README.md"].endswith(b"mine\n")

    hub.requests.clear()
    assert not (tmp_path / "fetched").exists()
    fetched = Predictor.from_pretrained("me/own")
    assert fetched.model.name == "me/own"
    assert any("/resolve/" in request for request in hub.requests)
    hub.requests.clear()
    again = Predictor.from_pretrained("me/own", local_files_only=True)
    assert hub.requests == []
    photo = Photo(torch.rand(1, 3, 64, 96))
    wanted = np.asarray(Predictor(checkpoint.load(own)[0], (128, 128))(photo))
    for predictor in (fetched, again):
        assert np.array_equal(np.asarray(predictor(photo)), wanted)


def test_push_refuses_before_anything_is_sent(hub: Hub, own, tmp_path, capsys, monkeypatch):
    """Every refusal is one sentence with the name of what is wrong, and the Hub hears nothing."""
    run = tmp_path / "run"
    shutil.copytree(own, run / "best")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "config.json").write_text('{"model_type": "dpt"}')

    def spoiled(name: str, make) -> Path:
        folder = tmp_path / f"spoiled {name}"
        shutil.copytree(own, folder)
        make(folder)
        return folder

    def broken_weights(folder: Path) -> None:
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])

    folders = {
        "state.pt": lambda folder: (folder / "state.pt").write_bytes(b"pickle"),
        "run.py": lambda folder: (folder / "run.py").touch(),
        ".hidden.json": lambda folder: (folder / ".hidden.json").touch(),
        "logs": lambda folder: (folder / "logs").mkdir(),
        "secret.png": lambda folder: (folder / "secret.png").symlink_to("/etc/hosts"),
        "damaged": broken_weights,
        "takes its details from ../other": lambda folder: edit(folder, details="../other"),
    }
    cases = [((spoiled(str(n), make), "me/own"), said) for n, (said, make) in enumerate(folders.items())]
    cases += [
        ((own, "me"), "'me' is not a Hub repository"),
        ((own, "https://example.org/x"), "is not a Hub repository"),
        ((run, "me/own"), "is a training run, which holds several models; push"),
        ((tmp_path / "nothing", "me/own"), "there is no model folder"),
        ((foreign, "me/own"), "is not a model of cyclopean"),
        ((own,), "it needs a model and a repository"),
    ]
    for words, said in cases:
        code, _, err = here(capsys, "push", *words, "--yes")
        assert code == 2, words
        assert said in err, (words, err)
        assert len(err.splitlines()) == 1, err
    assert "give --yes" in here(capsys, "push", own, "me/own")[2]  # nobody watches a test
    monkeypatch.setattr(sys, "stdin", Answer("n"))
    assert here(capsys, "push", own, "me/own")[0] == 1
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    code, _, err = here(capsys, "push", own, "me/own", "--yes")
    assert (code, "needs a token" in err) == (2, True)
    assert hub.requests == []


class Answer:
    """A person at a terminal, who says one word."""

    def __init__(self, word: str) -> None:
        self.word = word

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return f"{self.word}\n"


def test_a_person_is_asked_and_a_refused_token_stays_secret(hub: Hub, own, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Answer("y"))
    code, out, err = here(capsys, "push", own, "me/own")
    assert (code, out.strip()) == (0, f"{hub.address}/me/own")
    assert "where everybody can read it? [y/N]" in err
    monkeypatch.setenv("HF_TOKEN", "hf_ofsomebodyelse")
    code, _, err = here(capsys, "push", own, "you/own", "--yes")
    assert code == 2
    assert "you/own could not be pushed" in err
    assert "hf_ofsomebodyelse" not in err
    assert "you/own" not in hub.repositories


def test_a_predictor_saves_what_it_loads_as_the_hubs_own_classes_do(hub: Hub, own, tmp_path):
    """Names of files and of keywords are the library's; numbers, facts and settings survive."""
    from huggingface_hub import PyTorchModelHubMixin, constants

    assert (models.WEIGHTS, models.CONFIG) == (constants.SAFETENSORS_SINGLE_FILE, constants.CONFIG_NAME)
    theirs, ours = (inspect.signature(c.from_pretrained).parameters for c in (PyTorchModelHubMixin, Predictor))
    assert set(theirs) - {"model_kwargs"} <= set(ours)
    assert next(iter(inspect.signature(PyTorchModelHubMixin.save_pretrained).parameters.values())).name == "self"
    for name in ("save_directory", "repo_id", "push_to_hub"):
        assert name in inspect.signature(Predictor.save_pretrained).parameters
        assert name in inspect.signature(PyTorchModelHubMixin.save_pretrained).parameters

    edit(own, glance=0.5, look="trained")
    first = Predictor.from_pretrained(own)
    assert first.save_pretrained(tmp_path / "copy") is None
    assert front((tmp_path / "copy" / "README.md").read_text())["library_name"] == "cyclopean"
    second = Predictor.from_pretrained(tmp_path / "copy")
    assert second.model.sha256 == first.model.sha256
    assert (second.two_scale, second.look, second.input_size) == (0.5, "trained", (128, 128))
    assert second.card["training"] == first.card["training"]
    first.resized("aspect", (64, 64)).save_pretrained(tmp_path / "small")
    small = Predictor.from_pretrained(tmp_path / "small")
    assert (small.look, small.input_size) == ("aspect", (64, 64))

    address = second.save_pretrained(tmp_path / "copy", repo_id="me/copy", push_to_hub=True)
    assert address == f"{hub.address}/me/copy"
    assert set(hub.repositories["me/copy"]) == {"config.json", "model.safetensors", "README.md"}
    panorama = Predictor.from_pretrained("panorama")
    panorama.save_pretrained(tmp_path / "sphere")
    sphere = Predictor.from_pretrained(tmp_path / "sphere")
    assert sphere.details.model == panorama.details.model
    assert (sphere.model.sha256, sphere.projection) == (panorama.model.sha256, "equirectangular")
    hub.requests.clear()
    hub.repositories["me/empty"] = {}
    for name, keywords, said in [
        ("me/nothing", {"local_files_only": True}, "could be fetched"),
        ("me/nothing", {}, "could be fetched"),
        ("me/empty", {}, "holds no model"),
    ]:
        with pytest.raises(InputError, match=said):
            Predictor.from_pretrained(name, **keywords)
        assert (hub.requests == []) == bool(keywords), name


def test_the_manifest_has_everything_that_a_model_came_from(own, tmp_path):
    """Parents of parents count, what is unknown is said, what its maker states comes first, circles end."""
    assert {name: permission(name) for name in ("Apache-2.0", "MIT", "CC0-1.0", "CC BY 4.0", "BSD-3-Clause")} == (
        dict.fromkeys(("Apache-2.0", "MIT", "CC0-1.0", "CC BY 4.0", "BSD-3-Clause"), PERMITTED)
    )
    for licence, permits in {
        "CC BY-NC-SA 3.0": "no commercial use",
        "Monodepth2 licence (non-commercial)": "no commercial use",
        "cc-by-nc-4.0": "no commercial use",
        "CC BY-SA 4.0": "any use, results under the same licence",
        "unknown": "unknown",
        "": "unknown",
        "permitted by my uncle": "unknown",
    }.items():
        assert permission(licence) == permits, licence
    assert strictest(manifest(own)) == PERMITTED
    child, mine = tmp_path / "child", tmp_path / "mine"
    shutil.copytree(own, child)
    shutil.copytree(own, mine)
    edit(own, training={"data": ["kitti_raw:/data/kitti:split=eigen"], "init": str(child)})
    edit(child, training={"data": ["room"], "init": str(own), "teacher": "other", "teacher_licence": "MIT"})
    parts = manifest(child)
    assert [(part.role, part.licence) for part in parts] == [
        ("these weights", "CC0-1.0"), ("teacher", "MIT"), ("parent", "CC0-1.0"), ("parent", "unknown"),
        ("data", "CC BY-NC-SA 3.0"), ("data", "rendered by cyclopean: no licence"),
    ]  # fmt: skip
    assert strictest(parts) == "no commercial use"
    worlds, meshes = tmp_path / "worlds", tmp_path / "meshes"
    for folder, made_by in ((worlds, {"families": ["room"], "pictures": False}), (meshes, {"mesh": "house.glb"})):
        folder.mkdir()
        (folder / "dataset.json").write_text(json.dumps({"made_by": made_by}))
    edit(mine, training={"data": [str(worlds), str(meshes), "my/rig"], "licences": {"my/rig": "CC BY-SA 4.0"}})
    rest = {part.name: part.permits for part in manifest(mine)[1:]}
    assert rest == {
        str(worlds): PERMITTED, str(meshes): "unknown", "my/rig": "any use, results under the same licence",
    }  # fmt: skip
    assert strictest(manifest(mine)) == "unknown"
    for name in models.bundled():
        assert strictest(manifest(models.BUNDLED / name)) == PERMITTED, name
    spherical = {name for name in METHODS if method_class(name).projection == "equirectangular"}
    assert spherical == set(SPHERICAL)


def test_models_lists_what_is_here_and_at_the_hub(hub: Hub, own, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    shutil.copytree(own, tmp_path / "runs" / "mine" / "best")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "config.json").write_text('{"model_type": "bert"}')
    code, out, err = here(capsys, "models")
    assert (code, err) == (0, "")
    rows = [line.split()[0] for line in out.splitlines()[2:]]
    assert rows == [*models.bundled(), "own", "runs/mine/best"]
    assert "AbsRel 0.21" in out
    assert "depth of panoramas, metres" in out

    torch.manual_seed(1)
    checkpoint.save(tmp_path / "metric", Monodepth(width=0.05, rig=[0.6, 0.5]), {"input_size": [64, 64]})
    assert here(capsys, "push", own, "me/own", "--yes")[0] == 0
    hub.repositories["you/far"] = {}
    Predictor.from_pretrained("me/own")
    code, out, err = here(capsys, "models", "metric", "--hub", "--output", "json")
    listed = {one["name"]: one for one in map(json.loads, out.splitlines())}
    assert (code, list(listed)) == (0, [*models.bundled(), "metric", "hub:me/own", "hub:you/far"])
    assert listed["metric"]["predicts"] == "depth of photos, metres"
    assert listed["metric"]["licence"] == "unknown"
    assert listed["hub:me/own"]["where"] == "fetched"
    assert listed["hub:me/own"]["figures"] == {"AbsRel": "0.21"}
    assert listed["hub:you/far"] | {"megabytes": None, "where": "Hub"} == listed["hub:you/far"]
    for words, said in ((["letters"], "letters holds no model"), (["nowhere"], "nowhere holds no model")):
        code, out, err = here(capsys, "models", *words)
        assert (code, said in err) == (2, True)
        assert "general" in out
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    code, out, err = here(capsys, "models", "--hub")
    assert (code, "the Hub could not be asked" in err, "hub:me/own" in out) == (2, True, True)
