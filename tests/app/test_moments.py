"""The video tab without a browser: moments and their points."""

import threading
import time
from collections.abc import Callable

import pytest

pytest.importorskip("gradio", reason="the app needs the extra 'app'")

from cyclopean.app import filming, handlers
from cyclopean.app.developing import Look
from cyclopean.app.handlers import Studio
from filmed import film, walking


def test_after_the_last_frame_is_the_last_frame(studio: Studio):
    session = studio.store.open()
    path = session.room() / "walk.mp4"
    film(path, walking(6, step=8.0))
    session.receive(path)
    arrived = filming.clip_arrived(studio, session.token)
    assert arrived["seconds"] == pytest.approx(5 / 30, abs=0.002), "of the last frame, not of the clip"

    first = session.pictures[arrived["photo"].split("/")[-1]]
    exact = filming.moment(studio, session.token, 5 / 30)["photo"]
    after = filming.moment(studio, session.token, 0.2)["photo"]
    last, beyond = (session.pictures[address.split("/")[-1]] for address in (exact, after))
    assert last == beyond
    assert last != first

    filming.key(studio, session.token, (0.5, 0.5), 0.2)
    assert filming.moment(studio, session.token, 0.3)["point"] == [0.5, 0.5]
    done = [*filming.film(studio, session.token, Look(), False)][-1]
    assert done["note"].startswith("6 frames"), done
    again = [*filming.film(studio, session.token, Look(), False)][-1]
    assert again["film"] != done["film"], "another film has another address"


def test_nobody_waits_for_a_film(studio: Studio, monkeypatch: pytest.MonkeyPatch):
    """Another step meanwhile is refused with a sentence, so that its lane is free for other visitors."""

    def endless(*_: object, progress: Callable[[int, int], None]) -> None:
        while True:
            time.sleep(0.01)
            progress(1, 2)

    monkeypatch.setattr("cyclopean.clip.refocus_clip", endless)
    monkeypatch.setattr(handlers, "PATIENCE", 0.2)
    session = studio.store.open()
    path = session.room() / "walk.mp4"
    film(path, walking(2))
    session.receive(path)
    filming.clip_arrived(studio, session.token)
    filming.key(studio, session.token, (0.5, 0.5), 0.0)
    at_work = filming.film(studio, session.token, Look(), False)
    assert "busy" in next(at_work)
    for step in (filming.clip_arrived, filming.forget_keys):
        assert step(studio, session.token)["error"] == "This clip is being refocused; press Stop first."
    session.stopped = True
    assert [*at_work][-1]["note"].startswith("Stopped")
    assert "photo" in filming.moment(studio, session.token, 0.0)


def test_short_work_is_waited_for(studio: Studio, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(handlers, "PATIENCE", 0.01)
    session = studio.store.open()
    session.lock.acquire()
    threading.Timer(0.2, session.lock.release).start()
    assert filming.forget_keys(studio, session.token)["note"].startswith("No point yet")
