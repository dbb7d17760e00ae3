"""Visitors are kept apart, and nothing of them stays."""

import os
import tempfile
from pathlib import Path

import pytest

from cyclopean.app import session as sessions
from cyclopean.app.limits import Limits, shortcomings
from cyclopean.app.session import STAGES, Store, safe_name
from cyclopean.errors import InputError
from cyclopean.profile import CameraProfile


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_every_session_has_a_long_token_and_a_folder_of_its_own():
    store = Store(Limits())
    first, second = store.open(), store.open()
    assert first.token != second.token
    assert len(first.token) >= 32
    assert first.folder != second.folder
    assert first.folder.stat().st_mode & 0o077 == 0
    assert store.get(first.token) is first
    assert store.get("x" * 32) is None
    store.end()
    assert not store.root.exists()


def test_closing_removes_the_files():
    store = Store(Limits())
    one = store.open()
    (one.room() / "photo.jpg").write_bytes(b"x")
    store.close(one)
    assert not one.folder.exists()
    assert store.get(one.token) is None
    store.close(one)
    store.close(None)


def test_what_is_not_used_is_forgotten():
    store = Store(Limits(idle_minutes=0.0))
    one = store.open()
    store.sweep()
    assert store.get(one.token) is None


def test_too_many_visitors_are_told():
    store = Store(Limits(visitors=1))
    for _ in range(STAGES):
        store.open()
    with pytest.raises(InputError, match="as many people"):
        store.open()


def test_only_the_last_pictures_are_kept():
    one = Store(Limits()).open()
    addresses = [one.show("result", bytes([n])) for n in range(sessions.KEPT_PICTURES + 3)]
    assert len(set(addresses)) == len(addresses)
    assert len(one.pictures) == sessions.KEPT_PICTURES
    assert one.pictures[addresses[-1].split("/")[-1]] == bytes([sessions.KEPT_PICTURES + 2])


def test_leftovers_of_killed_servers_are_removed_and_those_of_running_ones_stay(tmp_path: Path):
    dead, alive = tmp_path / f"{sessions.PREFIX}999999999-x", tmp_path / f"{sessions.PREFIX}{os.getpid()}-x"
    dead.mkdir()
    alive.mkdir()
    Store(Limits())
    assert not dead.exists()
    assert alive.exists()


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\IMG 1.JPG", "IMG 1.JPG"),
        ("<img src=x>.png", "_img src_x_.png"),
        ("süß 夏.heic", "süß 夏.heic"),
        (".bashrc", "bashrc"),
        ("", "photo"),
        ("..", "photo"),
        ("a\0b\n.png", "a_b_.png"),
        ("x" * 300 + ".jpeg", "x" * 80 + ".jpeg"),
    ],
)
def test_names_of_visitors_are_made_safe(given, safe):
    assert safe_name(given) == safe


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


def test_the_metres_of_one_photo_are_not_the_next_ones():
    """Relative depth has another scale in every photo."""
    store = Store(Limits())
    one = store.open()
    one.profile = CameraProfile(2.0, "two points 1 m apart")
    one.forget()
    assert one.profile is None
    store.end()
