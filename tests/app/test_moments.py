"""The video tab without a browser: moments and their points."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="the app needs the extra 'app'")

from cyclopean.app import filming
from cyclopean.app.developing import Look
from cyclopean.app.handlers import Studio
from cyclopean.app.limits import Limits
from cyclopean.app.session import Store
from filmed import blue_is_near, film, walking


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store = Store(Limits())
    yield Studio(blue_is_near(), store, [])
    store.end()


def test_after_the_last_frame_is_the_last_frame(studio: Studio):
    session = studio.store.open()
    path = session.room() / "walk.mp4"
    film(path, walking(6, step=8.0))
    session.receive(path)
    arrived = filming.clip_arrived(studio, session)
    assert arrived["seconds"] == pytest.approx(5 / 30, abs=0.002), "of the last frame, not of the clip"

    first = session.pictures[arrived["photo"].split("/")[-1]]
    exact = filming.moment(studio, session, 5 / 30)["photo"]
    after = filming.moment(studio, session, 0.2)["photo"]
    last, beyond = (session.pictures[address.split("/")[-1]] for address in (exact, after))
    assert last == beyond
    assert last != first

    filming.key(studio, session, (0.5, 0.5), 0.2)
    assert filming.moment(studio, session, 0.3)["point"] == [0.5, 0.5]
    done = [*filming.film(studio, session, Look(), False)][-1]
    assert done["note"].startswith("6 frames"), done
    again = [*filming.film(studio, session, Look(), False)][-1]
    assert again["film"] != done["film"], "another film has another address"
