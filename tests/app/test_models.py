"""The choice of a model in the app, and two known distances for models that leave scale and shift unknown."""

import json
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="the app needs the extra 'app'")

from starlette.testclient import TestClient

import foreign_models
import phones
from cyclopean.app import calibration, handlers, server
from cyclopean.app.handlers import AppState
from cyclopean.app.service import RefocusSettings
from cyclopean.app.session import Session
from cyclopean.inference.predictor import load
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
        for token in (session.token, other.token, None, "nobody"):
            handlers.choose_model(choice, token, name)
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
    handlers.choose_model(choice, session.token, "second")
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
    handlers.choose_model(choice, session.token, "second")
    brought(session, (64, 128))
    opened = calibration.open_panorama(choice, session.token)
    assert "are a guess" in opened["note"]
    files = calibration.save_panorama(choice, session.token)["files"]
    assert files[-1]["name"] == "a_disp.ply"


def test_the_page_offers_the_models_beside_the_bundled_ones(state: AppState, monkeypatch, tmp_path) -> None:
    (tmp_path / "mine").mkdir()
    loads = []
    monkeypatch.setattr("cyclopean.inference.predictor.load", lambda name, *_: loads.append(name) or blue_is_near())
    for names, models in (
        ("general", []),
        ("a,general", ["a", "general", "panorama", "panorama-selfsup"]),
        (f"{tmp_path}/mine", ["mine", "general", "panorama", "panorama-selfsup"]),
    ):
        loads.clear()
        offered = server.models_offered(names)
        page = server.assembled(state.store, Future(), offered, [], remote=False)
        with TestClient(page) as browser:
            assert browser.post("/start").json()["models"] == models
        assert loads == [], "the page does not wait for them"
        assert list(server._loaded(state.store, offered).models) == models
        assert loads == [names.split(",")[0]], "the others when somebody chooses them"


def test_a_model_of_transformers_beside_the_others(state: AppState, tmp_path) -> None:
    """Chosen in the page: a photo, then a panorama through its faces, with what its depth cannot give."""
    folder = foreign_models.save("relative", tmp_path)
    chosen = replace(state, models={"first": lambda: state.predictor, "mine": lambda: load(folder)})
    session = chosen.store.open()
    brought(session)
    handlers.choose_model(chosen, session.token, "mine")
    assert "error" not in handlers.open_photo(chosen, session.token)
    assert session.preview.depth.ambiguity == "affine"
    files = handlers.save_depth(chosen, session.token)["files"]
    side = json.loads(session.files[files[-1]["name"]].read_text())
    assert (side["ambiguity"], side["model"]["name"], side["model"]["licence"]) == ("affine", str(folder), "apache-2.0")
    brought(session, (48, 96))
    assert "are a guess" in calibration.open_panorama(chosen, session.token)["note"]


def test_depth_of_a_photos_own_file_is_taken_until_another_is_asked_for(choice: AppState) -> None:
    """A square stands before a background; where it is Apple's, its scale is that photo's alone."""
    session = choice.store.open()

    def bring(data: bytes) -> dict:
        session.receive(phones.write(session.room() / "phone.jpg", data))
        return handlers.open_photo(choice, session.token)

    def saved() -> tuple[str, str | None]:
        files = {Path(file["name"]).suffix: file for file in handlers.save_depth(choice, session.token)["files"]}
        side = json.loads(session.files[files[".json"]["name"]].read_text())
        return side["unit"], side["model"] and side["model"]["name"]

    def refocused() -> str:
        handlers.focus(choice, session.token, (0.4, 0.4), RefocusSettings(4.0), "point")
        handlers.save_photo(choice, session.token, "PNG")
        return json.loads(session.files["phone_defocus.json"].read_text())["depth_map"]["unit"]

    opened = bring(phones.gdepth())
    assert opened.get("embedded"), opened
    assert "the depth in its own file is taken (GDepth" in opened["note"]
    assert saved() == ("m", None)
    near, far = (1 / float(session.preview.depth.inverse_depth[0, 0, y, x]) for x, y in ((40, 30), (80, 70)))
    assert near == pytest.approx(phones.NEAR, rel=0.05)
    assert far == pytest.approx(phones.depth_of((96, 128))[80, 70], rel=0.1)
    assert refocused() == "m"

    opened = handlers.predict(choice, session.token)
    assert (opened["embedded"], opened["stage"], "own file" in opened["note"]) == (False, "depth", False)
    assert saved()[0] == "relative"
    assert refocused() == "relative"

    assert bring(phones.apple_jpeg())["embedded"], "that was for the photo before"
    calibration.measure(choice, session.token, [(0.4, 0.4), (0.8, 0.9)])
    assert "one length does not determine both" in calibration.set_distance(choice, session.token, 1.0)["error"]
    assert "in metres" in calibration.set_distances(choice, session.token, 1.0, 4.0)["note"]
    assert saved() == ("m", None)
    bring(phones.gdepth(units=None))
    calibration.measure(choice, session.token, [(0.4, 0.4), (0.8, 0.9)])
    for refused in (calibration.set_distance, calibration.set_height):
        assert "whose scale holds for this photo alone" in refused(choice, session.token, 1.0)["error"]
    assert not bring(phones.jpeg())["embedded"]
