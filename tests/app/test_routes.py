"""Pictures in and results out: what a visitor may name, how much may come, and that nothing is left behind."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("fastapi", reason="the app needs the extra 'app'")

from cyclopean.app import routes, server
from cyclopean.app.guard import Guard
from cyclopean.app.limits import Limits
from cyclopean.app.session import Session, Store


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store(Limits(megabytes=0.001))
    yield made
    made.end()


@pytest.fixture
def session(store: Store) -> Session:
    return store.open()


@pytest.fixture
def client(store: Store):
    from fastapi import FastAPI
    from starlette.testclient import TestClient

    app = FastAPI()
    routes.add_routes(app, store, [])
    app.add_middleware(Guard)
    with TestClient(app) as browser:
        yield browser


def left_in(session: Session) -> list[str]:
    return sorted(str(path.relative_to(session.folder)) for path in session.folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "/etc/passwd", "..\\..\\x.jpg", "a/b.jpg", "%2e%2e%2fx.png", "", "\0.png", "~/x"]
)
def test_uploads_lie_in_the_folder_of_their_session_whatever_their_names(client, session: Session, name: str):
    answer = client.post(f"/upload/{session.token}", params={"name": name}, content=b"picture")
    assert answer.status_code == 200
    assert session.arrived is not None
    assert session.arrived.parent.parent == session.folder
    assert session.arrived.read_bytes() == b"picture"
    assert len(left_in(session)) == 1


def test_a_second_file_takes_the_place_of_the_first(client, session: Session):
    for name in ("a.jpg", "b.jpg"):
        client.post(f"/upload/{session.token}?name={name}", content=b"x")
    assert [Path(path).name for path in left_in(session)] == ["b.jpg"]


def test_too_large_is_refused_before_or_while_it_arrives_and_nothing_stays(client, session: Session):
    promised = client.post(f"/upload/{session.token}?name=a.jpg", content=b"x" * 1001)
    streamed = client.post(f"/upload/{session.token}?name=a.jpg", content=iter([b"x" * 600] * 5))
    for answer in (promised, streamed):
        assert answer.status_code == 413
        assert "give a smaller file" in answer.json()["error"]
    assert left_in(session) == []
    assert session.arrived is None


def test_strange_lengths_change_nothing(client, session: Session):
    answer = client.post(f"/upload/{session.token}", content=b"x", headers={"content-length": "many"})
    assert answer.status_code in (200, 400)


def test_a_full_disk_is_a_sentence(client, session: Session, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    answer = client.post(f"/upload/{session.token}", content=b"x")
    assert answer.status_code == 507
    assert "no space left" in answer.json()["error"]
    assert left_in(session) == []


def test_a_disk_that_fills_up_meanwhile_is_a_sentence_too(client, session: Session, monkeypatch: pytest.MonkeyPatch):
    async def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(routes, "_written", full)
    assert client.post(f"/upload/{session.token}", content=b"x").status_code == 507
    assert list(session.folder.iterdir()) == []


def test_one_page_sends_two_files_at_a_time_at_most(client, session: Session):
    session.arriving = routes.ARRIVING
    answer = client.post(f"/upload/{session.token}", content=b"x")
    assert answer.status_code == 429
    assert "wait" in answer.json()["error"]
    session.arriving = 0
    assert client.post(f"/upload/{session.token}", content=b"x").status_code == 200
    assert session.arriving == 0


def test_pictures_and_files_are_given_to_their_own_page_only(client, store: Store, session: Session):
    other = store.open()
    picture = session.show("photo", b"jpeg")
    file = session.folder / "out" / "a.png"
    file.parent.mkdir()
    file.write_bytes(b"png")
    address = session.keep([file])[0]["url"]
    assert client.get(f"/{picture}").content == b"jpeg"
    assert client.get(f"/{address}").content == b"png"
    for mine in (picture, address):
        assert client.get("/" + mine.replace(session.token, other.token)).status_code == 404
        assert client.get("/" + mine.replace(session.token, "x" * 32)).status_code == 404


@pytest.mark.parametrize("name", ["..%2f..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "a.png", "..", "in-1%2fphoto.jpg"])
@pytest.mark.parametrize("kind", ["file", "picture"])
def test_names_that_the_session_did_not_make_lead_nowhere(client, session: Session, kind: str, name: str):
    (session.room() / "photo.jpg").write_bytes(b"mine")
    assert client.get(f"/{kind}/{session.token}/{name}").status_code == 404


def test_addresses_of_nobody(client):
    assert client.post("/upload/nobody", content=b"x").status_code == 410
    assert client.get("/glance/nobody?x=0.5&y=0.5").status_code == 204
    assert client.get("/space/nobody").status_code == 404
    assert client.get("/example/99.jpg").status_code == 404
    assert client.get("/example/-1.jpg").status_code in (404, 422)


def test_who_closes_the_page_leaves_nothing(client, store: Store, session: Session):
    client.post(f"/upload/{session.token}?name=a.jpg", content=b"x")
    assert client.post(f"/leave/{session.token}").status_code == 204
    assert store.get(session.token) is None
    assert not session.folder.exists()
    assert session.stopped
    assert client.post(f"/leave/{session.token}").status_code == 204


def test_every_answer_forbids_loading_from_elsewhere(client, session: Session):
    answer = client.get(f"/{session.show('photo', b'jpeg')}")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("said", "told"),
    [("no photo.", "No photo."), ("a.jpg is cut.", "a.jpg is cut.")],
)
def test_sentences_begin_with_a_capital_and_files_keep_their_names(said: str, told: str):
    assert routes.capital(said) == told


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("{}/in-8hs/photo.jpg is damaged", "photo.jpg is damaged"),
        ("cannot write {}/out/a_disp.png", "cannot write a_disp.png"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_sentences_hide_where_files_lie(session: Session, said: str, told: str):
    assert routes.leave_no_trace(session.folder, said.format(session.folder)) == told


@pytest.mark.parametrize(
    ("host", "asked", "status"),
    [
        ("127.0.0.1", "127.0.0.1:7860", 200),
        ("127.0.0.1", "evil.example", 400),
        ("127.0.0.1", "[::1]:7860", 400),
        ("::1", "[::1]:7860", 200),
        ("::1", "localhost", 200),
        ("::1", "evil.example", 400),
    ],
)
def test_the_local_names_of_this_computer_are_answered(host: str, asked: str, status: int):
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import Response
    from starlette.routing import Route
    from starlette.testclient import TestClient

    around = Middleware(TrustedHostMiddleware, allowed_hosts=server.trusted(host))
    app = Starlette(routes=[Route("/", lambda _: Response())], middleware=[around])
    with TestClient(app) as browser:
        assert browser.get("/", headers={"host": asked}).status_code == status
