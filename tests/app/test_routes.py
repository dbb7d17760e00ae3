"""Pictures in and results out: what a visitor may name, how much may come, and that nothing is left behind."""

import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import Future
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("starlette", reason="the app needs the extra 'app'")

from cyclopean.app import routes, uploads
from cyclopean.app.guard import Guard, answers_to
from cyclopean.app.limits import Limits
from cyclopean.app.session import Session, Store
from cyclopean.io.files import CLIPS, PHOTOS


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Limits(megabytes=0.001, visitors=2), tmp_path)


@pytest.fixture
def session(store: Store) -> Session:
    return store.open()


@pytest.fixture
def client(store: Store):
    from starlette.applications import Starlette
    from starlette.testclient import TestClient

    app = Guard(Starlette(routes=routes.routes(store, [], Future(), {})), host="127.0.0.1")
    with TestClient(app, base_url="http://127.0.0.1") as browser:
        yield browser


def left_in(session: Session) -> list[str]:
    return sorted(str(path.relative_to(session.folder)) for path in session.folder.rglob("*") if path.is_file())


def test_uploads_lie_in_the_folder_of_their_session_whatever_their_names(client, session: Session):
    kind = {"content-type": "image/jpeg"}
    names = (
        "../../../etc/passwd.jpg",
        "/etc/x.JPEG",
        "..\\..\\x.jpg",
        "a/b.jpg",
        "%2e%2e%2fx.png",
        "",
        "\0.png",
        "~/x.mov",
    )
    for name in names:
        answer = client.post(
            f"/upload/{session.token}", params={"name": name}, content=b"of " + name.encode(), headers=kind
        )
        assert answer.status_code == 200, name
        assert session.arrived is not None, name
        assert session.arrived.parent.parent == session.folder, name
        assert session.arrived.read_bytes() == b"of " + name.encode(), name
        assert len(left_in(session)) == 1, name  # the one before, which nobody opened, is gone


TAKEN = (
    *[(f"a{suffix}", "") for suffix in (*PHOTOS, *CLIPS)],
    *[("image", "image/png"), ("a", "video/mp4; codecs=x"), ("A.JPG", ""), ("a.txt.png", "text/plain")],
)
NOT_TAKEN = (
    *[(f"a{suffix}", "video/mp4") for suffix in (".m3u8", ".M3U", ".txt", ".ffconcat", ".sdp", ".mpd", ".svg", ".NEF")],
    *[("noname", "application/json"), ("noname", "application/octet-stream")],
    *[("a.mp4.m3u8", ""), ("a.mp4\0.m3u8", ""), ("a.mp4/x", ""), ("x", "text/html")],
    ("a", "application/vnd.apple.mpegurl"),
)


def test_only_photos_and_clips_by_their_names_are_taken(client, session: Session):
    for name, kind in TAKEN:
        headers = {"content-type": kind}
        answer = client.post(f"/upload/{session.token}", params={"name": name}, content=b"x", headers=headers)
        assert answer.status_code == 200, name
        assert session.arrived is not None
        assert session.arrived.suffix.lower() in (*PHOTOS, *CLIPS)
    kept = left_in(session)
    for name, kind in NOT_TAKEN:
        headers = {"content-type": kind}
        answer = client.post(f"/upload/{session.token}", params={"name": name}, content=b"x", headers=headers)
        assert answer.status_code == 415, name
        assert "give" in answer.json()["error"]
        assert name != "noname" or "oname is neither" in answer.json()["error"], "no suffix that the name has not"
        assert left_in(session) == kept


def test_a_page_that_is_closed_while_a_file_arrives_leaves_nothing(client, store: Store, session: Session):
    def parts() -> Iterator[bytes]:
        yield b"first"
        store.close(session)
        yield b"second"

    answer = client.post(f"/upload/{session.token}?name=a.jpg", content=parts())
    assert answer.status_code == 410
    assert "reload" in answer.json()["error"]
    assert not session.folder.exists()


def test_who_comes_when_the_app_is_full_is_told_before_anything_is_written(client, store: Store, session: Session):
    for _ in range(2):
        client.post(f"/upload/{store.open().token}?name=a.jpg", content=b"x")
    answer = client.post(f"/upload/{session.token}?name=a.jpg", content=b"x")
    assert answer.status_code == 503
    assert "A place may be free in 5 minutes" in answer.json()["error"]
    assert not session.folder.exists()


def test_an_open_page_says_so(client, store: Store, session: Session):
    assert session.seen < 0
    assert client.post(f"/here/{session.token}").status_code == 204
    assert session.seen > 0
    assert client.post("/here/nobody").status_code == 410


def test_bodies_are_small_unless_they_are_files(client, session: Session):
    for path in (f"/leave/{session.token}", f"/here/{session.token}", f"/step/{session.token}/focus", "/", "/start"):
        for content in (b"x" * 70_000, iter([b"x" * 40_000] * 5)):
            assert client.post(path, content=content).status_code == 413, path
    assert client.post(f"/upload/{session.token}?name=a.jpg", content=b"x" * 999).status_code == 200


def test_a_size_above_the_limit_looks_larger_than_the_limit():
    for size, most, said in (
        (8_000_001, 8.0, "is 8.000001 MB, the limit is 8 MB"),
        (8_400_000, 8.0, "is 8.4 MB"),
        (160_000_000, 100.0, "is 160 MB"),
        (1_001, 0.001, "is 0.001001 MB, the limit is 0.001 MB"),
    ):
        assert said in uploads._too_large("a.jpg", size, most)


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
    answer = client.post(f"/upload/{session.token}?name=a.jpg", content=b"x", headers={"content-length": "many"})
    assert answer.status_code in (200, 400)


def test_a_full_disk_is_a_sentence(client, session: Session, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    answer = client.post(f"/upload/{session.token}?name=a.jpg", content=b"x")
    assert answer.status_code == 507
    assert "no space left" in answer.json()["error"]
    assert left_in(session) == []


def test_a_disk_that_fills_up_meanwhile_is_a_sentence_too(client, session: Session, monkeypatch: pytest.MonkeyPatch):
    async def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(uploads, "_written", full)
    assert client.post(f"/upload/{session.token}?name=a.jpg", content=b"x").status_code == 507
    assert list(session.folder.iterdir()) == []


def test_one_page_sends_two_files_at_a_time_at_most(client, session: Session):
    session.arriving = uploads.ARRIVING
    answer = client.post(f"/upload/{session.token}?name=a.jpg", content=b"x")
    assert answer.status_code == 429
    assert "wait" in answer.json()["error"]
    session.arriving = 0
    assert client.post(f"/upload/{session.token}?name=a.jpg", content=b"x").status_code == 200
    assert session.arriving == 0


def test_pictures_and_files_are_given_to_their_own_page_only(client, store: Store, session: Session):
    other = store.open()
    picture = session.show("photo", b"jpeg")
    file = session.folder / "out" / "a.png"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"png")
    address = session.keep([file])[0]["url"]
    assert client.get(f"/{picture}").content == b"jpeg"
    assert client.get(f"/{address}").content == b"png"
    for mine in (picture, address):
        assert client.get("/" + mine.replace(session.token, other.token)).status_code == 404
        assert client.get("/" + mine.replace(session.token, "x" * 32)).status_code == 404


def test_names_that_the_session_did_not_make_lead_nowhere(client, session: Session):
    (session.room() / "photo.jpg").write_bytes(b"mine")
    names = ("..%2f..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "a.png", "..", "in-1%2fphoto.jpg")
    for kind, name in product(("file", "picture"), names):
        assert client.get(f"/{kind}/{session.token}/{name}").status_code == 404, (kind, name)
    for name in ("..%2fserver.py", "%2fetc%2fpasswd", "a.png", "", "%2e%2e%2froutes.py", "style.css%00"):
        assert client.get(f"/static/{name}").status_code == 404, name


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
    assert "default-src 'none'" in answer.headers["content-security-policy"]
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


HERE = socket.gethostname()
NAMED = {  # where the app listens -> names under which it answers, and others
    "127.0.0.1": (
        ("127.0.0.1:7860", "localhost", "LOCALHOST:1", "localhost.", "proxy.lan"),
        *[("evil.example", "[::1]:7860", "192.168.1.5", "localhost.evil.example", "", "localhost:x", "a b", "::1")],
    ),
    "::1": (("[::1]:7860", "localhost", "127.0.0.1"), ("evil.example", "[::2]")),
    "0.0.0.0": (
        ("192.168.1.5:7860", "[fe80::1]", "localhost", "proxy.lan:80", HERE, f"{HERE.split('.')[0]}.local:7860"),
        ("evil.example", "1.2.3.4.evil.example", "127.1", "0x7f000001", "", "evil.example:127.0.0.1"),
    ),
    "photos.lan": (("photos.lan:80",), ("evil.example", "photos.lan.evil.example")),
}


def test_other_names_for_this_computer_are_refused():
    """A page elsewhere must not reach the app under a name of its own."""
    for host, (good, bad) in NAMED.items():
        assert [name for name in good if not answers_to(name, host, {"proxy.lan"})] == []
        assert [name for name in bad if answers_to(name, host, {"proxy.lan"})] == []


def test_what_breaks_is_one_line_of_the_log_without_the_token(store: Store, session: Session, caplog):
    from starlette.applications import Starlette
    from starlette.routing import Route
    from starlette.testclient import TestClient

    def broken(_: object) -> None:
        raise OSError(5, "Input/output error", str(session.folder))

    app = Guard(Starlette(routes=[Route("/file/{token}", broken)]), "127.0.0.1")
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as browser:
        assert browser.get(f"/file/{session.token}").status_code == 500
    (record,) = [record for record in caplog.records if record.name == "cyclopean.app"]
    assert "Input/output error" in record.getMessage()
    assert session.token not in caplog.text
    assert "\n" not in record.getMessage()
