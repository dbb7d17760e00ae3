"""Visitors are kept apart, and nothing of them stays."""

import os
from pathlib import Path

import pytest

from cyclopean.app import session as sessions
from cyclopean.app.limits import Limits, shortcomings
from cyclopean.app.session import STAGES, Session, Store, safe_name
from cyclopean.errors import InputError
from cyclopean.inference.metric_calibration import CameraProfile


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Limits(visitors=2, pages=2, gone_minutes=3.0), tmp_path)


def gave(session: Session) -> Session:
    """The session of somebody who has sent a file."""
    path = session.room() / "photo.jpg"
    path.write_bytes(b"x")
    session.receive(path)
    return session


def test_every_session_has_a_long_token_and_a_folder_of_its_own(store: Store):
    first, second = gave(store.open()), gave(store.open())
    assert first.token != second.token
    assert len(first.token) >= 32
    assert first.folder != second.folder
    assert first.folder.stat().st_mode & 0o077 == 0
    assert store.get(first.token) is first
    assert store.get("x" * 32) is None


def test_closing_removes_the_files_and_those_that_come_later(store: Store):
    one = gave(store.open())
    late = one.room() / "late.jpg"
    store.close(one)
    assert not one.folder.exists()
    assert store.get(one.token) is None
    late.parent.mkdir(parents=True)
    one.receive(late)
    assert not one.folder.exists()
    store.close(one)
    store.close(None)


def test_what_is_not_used_is_forgotten(store: Store):
    unseen, seen, used = store.open(), store.open(), gave(store.open())
    store.see(seen.token)
    wait(sessions.UNSEEN + 1, unseen, seen, used)
    store.sweep()
    assert store.see(unseen.token) is None, "no page ever asked for it"
    assert store.see(seen.token)
    wait(60 * 60, seen, used)
    store.sweep()
    assert store.see(seen.token) is None
    assert store.see(used.token) is None


def test_pages_without_a_photo_shut_nobody_out(store: Store):
    mine = store.open()
    store.see(mine.token)
    kept = gave(store.open())
    for _ in range(500):
        store.open()
    assert len(store) <= 2 * len(STAGES)
    assert store.see(kept.token), "it has a photo"
    assert store.see(mine.token), "its page is open"
    store.begin(mine)


def test_too_many_visitors_are_told_for_how_long(store: Store):
    first, second, third = gave(store.open()), gave(store.open()), store.open()
    for session in (first, second):
        store.see(session.token)
    store.begin(first)
    with pytest.raises(InputError, match="A place may be free in 3 minutes"):
        store.begin(third)
    wait(2.5 * 60, first, second)
    store.see(second.token)
    with pytest.raises(InputError, match="in a minute"):
        store.begin(third)
    wait(0.6 * 60, first, second)
    store.begin(third)
    assert store.see(first.token) is None, "its page has said nothing for three minutes"
    assert store.see(second.token)


def wait(seconds: float, *those: Session) -> None:
    """As if these sessions had been here for so much longer."""
    for session in those:
        session.opened -= seconds
        session.used -= seconds
        session.seen -= seconds


def test_only_the_last_pictures_are_kept(store: Store):
    one = store.open()
    addresses = [one.show("result", bytes([n])) for n in range(sessions.KEPT_PICTURES + 3)]
    assert len(set(addresses)) == len(addresses)
    assert len(one.pictures) == sessions.KEPT_PICTURES
    assert one.pictures[addresses[-1].split("/")[-1]] == bytes([sessions.KEPT_PICTURES + 2])


NAMES = (  # as they come, and as they are kept
    ("photo.jpg", "photo.jpg"),
    ("../../etc/passwd", "passwd"),
    ("C:\\Users\\me\\IMG 1.JPG", "IMG 1.JPG"),
    ("<img src=x>.png", "_img src_x_.png"),
    ("süß 夏.heic", "süß 夏.heic"),
    (".bashrc", "bashrc"),
    ("", "photo"),
    ("..", "photo"),
    ("a\0b\n.png", "a_b_.png"),
    ("x" * 300 + ".jpeg", "x" * 100 + ".jpeg"),
    ("\U00020000" * 300 + ".jpeg", "\U00020000" * 25 + ".jpeg"),
    ("a." + "y" * 300, "a." + "y" * 7),
    ("\U00020000" * 300 + "." + "\U00020000" * 300, "\U00020000" * 25 + "." + "\U00020000" * 7),
    ("a\x1b[31m\u202egpj.png", "a__31m_gpj.png"),
)


def test_names_of_visitors_are_made_safe():
    assert [safe_name(name) for name, _ in NAMES] == [safe for _, safe in NAMES]
    assert all(len(safe.encode()) <= 143 for _, safe in NAMES)


def test_a_machine_below_the_minimum_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setattr("cyclopean.app.limits._memory_gb", lambda: 1.0)
    monkeypatch.setattr("shutil.disk_usage", lambda _: os.terminal_size((0, 0)) and type("D", (), {"free": 1e6}))
    cores, memory, disk = shortcomings(tmp_path)
    assert "1 processor core" in cores
    assert "1.0 GB of memory" in memory
    assert "free some space" in disk


def test_a_machine_that_has_enough_is_told_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr("cyclopean.app.limits._memory_gb", lambda: 8.0)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("D", (), {"free": 9e9}))
    assert shortcomings(tmp_path) == []


def test_the_metres_of_one_photo_are_not_the_next_ones(store: Store):
    """Relative depth has another scale in every photo."""
    one = store.open()
    one.profile = CameraProfile(2.0, "two points 1 m apart")
    one.forget()
    assert one.profile is None
