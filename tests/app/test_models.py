"""The choice of a model in the app, and two known distances for models that leave scale and shift unknown."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="the app needs the extra 'app'")

from cyclopean.app import calibration, handlers, page, server
from cyclopean.app.handlers import AppState
from cyclopean.app.session import Session
from filmed import blue_is_near


def brought(session: Session, size: tuple[int, int] = (64, 96)) -> None:
    """A picture that is nearer (bluer) to the right."""
    path = session.room() / "a.png"
    ramp = np.zeros((*size, 3), np.uint8)
    ramp[..., 2] = np.linspace(0, 255, size[1])
    Image.fromarray(ramp).save(path)
    session.receive(path)


@pytest.fixture
def choice(state: AppState) -> AppState:
    """The app's state with two models: the second one sees an affine ramp."""
    affine = replace(blue_is_near(), infer=lambda _method, view: 3 + 2 * view.seen[:, 2:3])
    affine.method.ambiguity = "affine"
    return replace(state, models={"first": lambda: state.predictor, "second": lambda: affine})


def test_a_model_is_chosen_for_what_is_opened_next(choice: AppState) -> None:
    session, other = choice.store.open(), choice.store.open()
    brought(session)
    assert "error" not in handlers.open_photo(choice, session.token)
    assert session.preview.depth.ambiguity == "scale"
    for name in ("second", "no such model", "../second"):
        handlers.choose_model(choice, [session.token, other.token, None, "nobody"], name)
    assert (session.chosen, other.chosen, session.model) == ("second", "second", None)
    saved = []
    for _ in range(2):
        files = handlers.save_depth(choice, session.token)["files"]
        saved.append(json.loads(session.files[files[-1]["name"]].read_text())["ambiguity"])
        brought(session)
        handlers.open_photo(choice, session.token)
    assert saved == ["scale", "affine"]  # first that of the photo that was open
    assert session.preview.depth.ambiguity == "affine"


def test_two_distances_put_a_photo_of_such_a_model_in_metres(choice: AppState) -> None:
    session = choice.store.open()
    handlers.choose_model(choice, [session.token], "second")
    brought(session)
    handlers.open_photo(choice, session.token)
    assert "wo points are needed" in calibration.set_distances(choice, session.token, 1.0, 4.0)["error"]
    calibration.measure(choice, session.token, [(0.9, 0.5), (0.1, 0.5)])
    assert "give how far away two points are" in calibration.set_distance(choice, session.token, 1.0)["error"]
    assert "do not give" in calibration.set_distances(choice, session.token, 4.0, 1.0)["error"]
    assert "in metres" in calibration.set_distances(choice, session.token, 1.0, 4.0)["note"]
    note = calibration.measure(choice, session.token, [(0.9, 0.5), (0.1, 0.5)])["note"]
    assert "4.00 m from the camera" in note
    files = handlers.save_depth(choice, session.token)["files"]
    side = json.loads(session.files[files[-1]["name"]].read_text())
    assert (side["unit"], side["ambiguity"]) == ("m", "metric")


def test_a_panorama_of_such_a_model_is_a_guess_in_space(choice: AppState) -> None:
    session = choice.store.open()
    handlers.choose_model(choice, [session.token], "second")
    brought(session, (64, 128))
    opened = calibration.open_panorama(choice, session.token)
    assert "are a guess" in opened["note"]
    files = calibration.save_panorama(choice, session.token)["files"]
    assert files[-1]["name"] == "a_disp.ply"


PAGE = """
import sys, tempfile
from pathlib import Path
from cyclopean.app import handlers, page
from cyclopean.app.limits import Limits
from cyclopean.app.session import Store
for models in ({}, {"first": None, "second": None}):
    state = handlers.AppState(None, Store(Limits(), Path(tempfile.gettempdir())), [], models)
    blocks = page.build(state, [], remote=False).blocks.values()
    print([name for block in blocks if getattr(block, "elem_id", None) == "model" for name, _ in block.choices])
"""


def test_the_page_offers_the_models_beside_the_bundled_ones(state: AppState, monkeypatch, tmp_path) -> None:
    done = subprocess.run([sys.executable, "-c", PAGE], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["[]", "['first', 'second']"], done.stderr
    (tmp_path / "mine").mkdir()
    loads, built = [], []

    def build(state: AppState, *_: object, **__: object) -> None:
        built.append(state)
        raise KeyError

    monkeypatch.setattr("cyclopean.inference.predictor.load", lambda name: loads.append(name) or blue_is_near())
    monkeypatch.setattr(page, "build", build)
    for names, models, first in (
        ("general", [], 1),
        ("a,general", ["a", "general", "panorama"], 2),
        (f"{tmp_path}/mine", ["mine", "general", "panorama"], 1),
    ):
        loads.clear()
        with pytest.raises(KeyError):
            server.assembled(state.store, names, server.Address())
        assert list(built[-1].models) == models
        assert len(loads) == first  # the others when somebody chooses them
