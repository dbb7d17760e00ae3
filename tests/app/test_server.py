"""The app as a process: what it says at start, what it keeps shut, what it does when it is full, what it leaves."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image
from visiting import Client, Server, Visitor, ask, started, wait_until

from filmed import film, walking

# A machine below the minimum, room for one photo, a queue for one step, little patience.
SMALL = """
import os
os.cpu_count = lambda: 1
from cyclopean.app import guard, server, uploads
guard.SLOWEST_BODY = uploads.STALLED = server.HALF_REQUEST = 3.0
from cyclopean.app.limits import Limits
from cyclopean.app.server import Address, models_offered, serve
serve(Address(port=0), models_offered("general"), Limits(visitors=1, waiting=1), browser=False, anyway=True,
      opened=lambda url: print(f"The app is at {url} (", flush=True))
"""


@pytest.fixture
def visitors_of(browser: Any) -> Iterator[Any]:
    """`visitors_of(server)`: one more person with its page open."""
    people: list[Visitor] = []

    def more(server: Server) -> Visitor:
        people.append(Visitor(browser, server))
        return people[-1]

    yield more
    for person in people:
        person.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory):
    pytest.importorskip("starlette", reason="the app needs the extra 'app'")
    running = started([sys.executable, "-c", SMALL], tmp_path_factory.mktemp("small"))
    yield running
    running.end()


BEYOND = (
    *(
        "/assets/../../../../../../etc/passwd",
        "/static/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/svelte/../../routes.py",
    ),
    *("/example/..%2f..%2fetc%2fpasswd", "/space/..%2f..%2f..%2fetc%2fpasswd", "/picture/../../etc/passwd"),
    *("/assets/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/static//etc/passwd", "/file/x//etc/passwd"),
)


def test_what_the_app_does_not_need_of_its_server_is_shut(server: Server):
    for path in Client.SHUT:
        assert ask(server, path).status == 404, path
        assert ask(server, path, b"{}").status == 404, path
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"):
        assert ask(server, "/", method=method).status == 405


def test_no_path_leads_to_files_of_the_machine(server: Server):
    for path in BEYOND:
        answer = ask(server, path)
        assert answer.status >= 400, path
        assert b"root:" not in answer.content, path


def test_no_step_opens_a_path_that_it_is_given(client: Client, server: Server, tmp_path: Path):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    forged = {"path": str(tmp_path / "secret.jpg"), "meta": {"_type": "gradio.FileData"}}
    for named in (forged, [forged], [[forged]], [[0.1, forged]], {"amount": forged}):
        assert client.every_step_with(named) == {400}, named
    for word in (str(tmp_path / "secret.jpg"), "../secret.jpg", "https://example.com/a.jpg"):
        assert client.every_step_with(word) <= {200, 400}
    copies = [path for path in server.temporary.rglob("*") if path.is_file() and path.read_bytes() == b"secret"]
    assert copies == []


def test_the_whole_way_without_a_browser(client: Client, photo: Path, tmp_path: Path):
    """What each event answers, in all tabs, and that a file of one tab is not opened in another."""
    shown = client.give(photo)
    assert (shown["stage"], shown["name"], shown["full"]) == ("depth", "holiday.jpg", [741, 500])
    assert client.fetch(shown["depth"]).content[:3] == b"\xff\xd8\xff"
    assert client.click(0.4, 0.6)["point"] == [0.4, 0.6]
    names = [[file["name"] for file in step["files"]] for step in (client.save_photo(), client.save_depth())]
    assert names == [
        ["holiday_defocus.png", "holiday_defocus.json"],
        [f"holiday_disp.{s}" for s in ("png", "npy", "json")],
    ]
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    assert "2 frames" in client.give(tmp_path / "two.gif")["note"]
    assert client.give(photo)["note"] == ""
    film(tmp_path / "walk.mp4", walking(6))
    assert client.give(tmp_path / "walk.mp4", "video")["full"] == [160, 96]
    assert client.click(0.2, 0.5, "video")["note"] == "Sharp points at 0.0 s."
    assert "photo" in client.moment(0.1)
    done = client.film()
    assert done["note"].startswith("6 frames")
    assert client.fetch(done["film"]).content[4:8] == b"ftyp"

    assert client.give(photo, "video") == {"error": "holiday.jpg is a photo by its name; give it in the Photo tab."}
    for tab in ("photo", "panorama"):
        refused = client.give(tmp_path / "walk.mp4", tab)
        assert refused == {"error": "walk.mp4 is a clip by its name; give it in the Video tab."}
    assert client.click(0.5, 0.5)["stage"] == "focus", "the photo is still there"
    client.leave()
    assert client.fetch(done["film"]).status == 404
    assert "reload" in client.click(0.5, 0.5)["error"]


def test_strange_steps_are_refused_and_fill_no_log(client: Client, server: Server):
    log = server.temporary / "stderr"
    before = len(log.read_text())
    for value in ("x" * 10_000, [[[1]]], [1], {"x": {}}, [[1, 2, 3]], [[0.1]] * 5, [[0.1, 0.2]] * 500, float("inf")):
        assert client.every_step_with(value) == {400}, str(value)[:80]
    for body in (
        *(b"[" * 60_000, b'{"at":' + b"[" * 30_000 + b"]" * 30_000 + b"}", b"", b"{", b"null", b"\xff\xfe", b"1e999"),
        *(b'{"number": 1}', b'{"number": NaN}', b'{"step": 1e400}', b'{"step":' + b"9" * 5000 + b"}", b"[]", b'"x"'),
    ):
        assert client.post(body).status == 400, body[:80]
    for name in ("nothing", "%2e%2e", "STEPS", "__init__", "x" * 5000):
        assert client.post(b"{}", name).status == 400, name
    assert client.post(b" " * 100_000).status == 413
    assert log.read_text()[before:] == ""
    for at in ([1e300, -1e300], None):
        assert client.post(json.dumps({**client.STEPS["focus"], "at": at}).encode()).status == 200
    assert "error" in client.click("a", None)
    told = log.read_text()[before:]
    assert "Traceback" not in told
    assert not [token for token in client.tokens.values() if token in told]


def test_other_names_for_this_computer_are_refused_whatever_a_proxy_says(server: Server):
    refused = ask(server, "/", host="evil.example")
    assert refused.status == 400
    assert b"--trusted-host" in refused.content
    answer = ask(server, "/start", b"", x_forwarded_host="evil.example", forwarded="host=evil.example")
    assert answer.status == 200
    assert b"evil.example" not in answer.content


def test_who_has_not_the_key_of_this_start_gets_nothing(server: Server, client: Client):
    """Nor does a page elsewhere, whose browser has the cookie. The key stays in it, for reloading and a second tab."""
    for cookie in ("", server.cookie[:-1], server.cookie.replace("cyclopean", "other"), server.cookie.lower()):
        for path in ("/", "/start", "/static/main.js", "/example/0.jpg", f"/here/{client.tokens['photo']}", "/x"):
            answer = ask(server, path, b"" if "start" in path or "here" in path else None, cookie=cookie)
            assert answer.status == 403, (cookie, path)
            assert server.key.encode() not in answer.content
            assert "set-cookie" not in answer.headers
        assert ask(server, "/?key=", cookie=cookie).status == 403
        assert ask(server, f"/?key={server.key}x", cookie=cookie).status == 403
    opened = ask(server, f"/?key={server.key}", cookie="")
    assert opened.status == 200
    kept = opened.headers["set-cookie"]
    assert kept.split("; ") == [server.cookie, "HttpOnly", "SameSite=Strict"]
    secured = ask(server, f"/?key={server.key}", cookie="", x_forwarded_proto="https")
    assert secured.headers["set-cookie"].endswith("; Secure")
    assert ask(server, "/", cookie=f"a=b; {server.cookie}; c").status == 200
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
        assert ask(server, "/start", b"", sec_fetch_site=site).status == status
    assert ask(server, "/", sec_fetch_site="cross-site").status == 200, "a link"


@pytest.mark.slow
def test_half_requests_end_by_themselves(small: Server):
    """A request that never comes whole, an event that never comes whole, a file of which nothing more comes."""
    person = Client(small)
    host = urlsplit(small.url).netloc.encode()
    head = b" HTTP/1.1\r\nHost: " + host
    halves = (
        *(b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"GET /" + head + b"\r\n\r\nGET /"),
        b"POST /here/x" + head + b"\r\nContent-Length: 10\r\n\r\n1",
        f"POST /upload/{person.tokens['photo']}?name=a.jpg".encode() + head + b"\r\nContent-Length: 9\r\n\r\n1",
    )
    doors = [socket.create_connection(urlsplit(small.url).netloc.split(":"), timeout=60) for _ in halves]
    for door, half in zip(doors, halves, strict=True):
        door.sendall(half)
    for door in doors:
        while door.recv(65_536):  # until the other side ends it
            pass
        door.close()
    assert person.upload("b.jpg", b"x").status == 200
    person.leave()


def test_a_machine_below_the_minimum_is_told_at_start_and_on_the_page(small: Server):
    assert "1 processor core, the app wants 2" in (small.temporary / "stderr").read_text()
    assert b"1 processor core, the app wants 2" in ask(small, "/start", b"").content


def test_the_queue_is_bounded(small: Server):
    """Steps of pages that nobody listens to stay in the queue; the next one is told that it is full."""
    person = Client(small)
    person.open()  # waits for the network
    with ThreadPoolExecutor(8) as many:
        answers = [*many.map(lambda _: person.post(b'{"number": 0}', "example"), range(8))]
    assert {answer.status for answer in answers} == {200, 503}
    assert any("its queue is full" in answer.error for answer in answers if answer.status == 503)
    person.leave()


def test_pages_that_nobody_looks_at_shut_nobody_out(small: Server, photo: Path):
    for _ in range(40):
        Client(small)
    person = Client(small)
    assert person.give(photo)["stage"] == "depth"
    person.leave()


def test_more_photos_than_there_is_room_for_are_told(small: Server, photo: Path, visitors_of: Any):
    first, second = visitors_of(small), visitors_of(small)
    assert first.page.locator(".warn").inner_text().startswith("This machine has 1 processor core")
    first.choose(photo)
    first.see("depth")
    second.choose(photo)
    assert "as many people as it can" in second.sentence()
    first.page.goto("about:blank")  # who leaves makes room
    wait_until(lambda: not any(path.is_dir() for path in next(small.temporary.glob("cyclopean-app-*")).iterdir()))
    second.choose(photo)
    second.see("depth")
    assert not second.part("alert").is_visible()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--model", "nowhere-at-all"], "nowhere-at-all"),
        (["--port", "99999"], "there is no port 99999"),
        (["--host", "not.a.host.example.invalid"], "cannot listen"),
    ],
)
def test_what_is_missing_at_start_is_one_sentence(flags: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("starlette", reason="the app needs the extra 'app'")
    from cyclopean.cli import main

    with pytest.raises(SystemExit) as end:
        main(["app", "--no-browser", *flags])
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_a_machine_below_the_minimum_is_refused_with_a_way_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    pytest.importorskip("starlette", reason="the app needs the extra 'app'")
    from cyclopean.cli import main

    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    with pytest.raises(SystemExit) as end:
        main(["app", "--no-browser", "--port", "0"])
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert "1 processor core, the app wants 2" in told
    assert "--anyway" in told


QUICK = """
import sys, tempfile
from concurrent.futures import Future
from pathlib import Path
from starlette.testclient import TestClient
from cyclopean.app import server
from cyclopean.app.limits import Limits
store = server.Store(Limits(), Path(tempfile.gettempdir()))
app = server.assembled(store, Future(), server.models_offered("general"), [], remote=False)
with TestClient(app) as browser:
    token = browser.post("/start").json()["tokens"]["photo"]
    answers = browser.get("/").status_code, browser.get("/static/main.js").status_code
    waits = browser.post(f"/step/{token}/open", json={}).json()
    taken = browser.post(f"/upload/{token}?name=a.png", content=b"x").status_code
print(*answers, waits["busy"], taken, "torch" in sys.modules, "cv2" in sys.modules)
"""


def test_the_page_and_uploads_need_no_network_yet():
    """So that they are there at once: libraries that take seconds are loaded while somebody chooses a photo."""
    pytest.importorskip("starlette", reason="the app needs the extra 'app'")
    done = subprocess.run([sys.executable, "-c", QUICK], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "200 200 Loading the network 200 False False", done.stderr


@pytest.mark.slow
@pytest.mark.alone
def test_the_page_is_usable_within_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    times = []
    for _ in range(3):
        begin = time.monotonic()
        running = started([sys.executable, "-m", "cyclopean", "app", "--no-browser", "--port", "0"], tmp_path)
        assert all(ask(running, f"/{path}").status == 200 for path in ("", "static/main.js", "static/style.css"))
        assert Client(running).tokens
        times.append(time.monotonic() - begin)
        running.end()
    with capsys.disabled():
        print(f"\nfrom the command to a usable page: {min(times):.2f} s, the best of three")
    assert min(times) < 2.5


def test_the_end_leaves_no_files(small: Server, photo: Path):
    person = Client(small)
    person.give(photo)
    assert any(path.is_file() for path in small.temporary.glob("cyclopean-app-*/*/*/*"))
    small.process.send_signal(signal.SIGINT)
    small.process.wait(60)
    assert list(small.temporary.glob("cyclopean-app-*")) == []


@pytest.mark.slow
def test_files_of_a_killed_app_go_and_those_of_a_running_one_stay(tmp_path: Path, photo: Path):
    """They share their folder for temporary files. In the end a service stops one, the other's terminal is closed."""
    pytest.importorskip("starlette", reason="the app needs the extra 'app'")
    alive, killed = (started([sys.executable, "-c", SMALL], tmp_path) for _ in range(2))
    folders = set(tmp_path.glob("cyclopean-app-*"))
    Client(alive).give(photo)
    mine = next(tmp_path.glob("cyclopean-app-*/*/*/*")).parents[2]
    os.killpg(killed.process.pid, signal.SIGKILL)
    killed.end()
    long_ago = time.time() - 3600
    for folder in folders:
        os.utime(folder, (long_ago, long_ago))
    third = started([sys.executable, "-c", SMALL], tmp_path)
    left = set(tmp_path.glob("cyclopean-app-*"))
    assert len(left) == 2
    assert left & folders == {mine}
    for running, name in ((alive, signal.SIGTERM), (third, signal.SIGHUP)):
        os.killpg(running.process.pid, name)
        running.process.wait(60)
        running.end()
    assert list(tmp_path.glob("cyclopean-app-*")) == []
