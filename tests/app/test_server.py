"""The app as a process: what it says at start, what it keeps shut, what it does when it is full, what it leaves."""

import http.client
import json
import secrets
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from visiting import Server, started, wait_until

# A machine below the minimum, room for one page, a queue for one step.
SMALL = """
import os
os.cpu_count = lambda: 1
from cyclopean.app.limits import Limits
from cyclopean.app.server import Address, serve
serve(Address(port=0), "general", Limits(visitors=1, waiting=1), browser=False)
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory):
    pytest.importorskip("gradio", reason="the app needs the extra 'app'")
    running = started([sys.executable, "-c", SMALL], tmp_path_factory.mktemp("small"))
    yield running
    running.end()


def ask(server: Server, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
    """The status and the content of the answer; the path is sent as it is."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    content = None if body is None else json.dumps(body)
    connection.request(
        "GET" if body is None else "POST", path, content, {"content-type": "application/json", **headers}
    )
    with connection.getresponse() as answer:
        found = answer.status, answer.read(2_000_000)
    connection.close()
    return found


def join(server: Server, event: int, data: list[object], visitor: str) -> tuple[int, bytes]:
    """Ask for an event of the page as its script does."""
    body = {"fn_index": event, "data": data, "session_hash": visitor, "event_data": None, "trigger_id": None}
    return ask(server, "/gradio_api/queue/join", body)


def events(server: Server) -> list[dict]:
    return json.loads(ask(server, "/config")[1])["dependencies"]


SHUT = (
    *("/gradio_api/file=/etc/passwd", "/file=/etc/passwd", "/gradio_api/file/etc/passwd", "/gradio_api/upload"),
    *(
        "/gradio_api/proxy=https://example.com/",
        "/gradio_api/run/predict",
        "/gradio_api/call/x",
        "/gradio_api/stream/x",
    ),
    *("/gradio_api/component_server", "/gradio_api/upload_progress", "/docs", "/openapi.json", "/redoc", "/login"),
    *("/monitoring", "/gradio_api/mcp/sse", "/../../../../etc/passwd", "/custom_component/x/y/z"),
)
BEYOND = (
    *(
        "/assets/../../../../../../etc/passwd",
        "/static/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/svelte/../../routes.py",
    ),
    *("/example/..%2f..%2fetc%2fpasswd", "/space/..%2f..%2f..%2fetc%2fpasswd", "/picture/../../etc/passwd"),
    *("/assets/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/static//etc/passwd", "/file/x//etc/passwd"),
)


def test_what_the_app_does_not_need_of_gradio_is_shut(server: Server):
    for path in SHUT:
        assert ask(server, path)[0] == 404, path
        assert ask(server, path, {})[0] == 404, path


def test_no_path_leads_to_files_of_the_machine(server: Server):
    for path in BEYOND:
        status, content = ask(server, path)
        assert status >= 400, path
        assert b"root:" not in content, path


def test_no_event_opens_a_path_that_it_is_given(server: Server, tmp_path: Path):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    forged = {"path": str(tmp_path / "secret.jpg"), "meta": {"_type": "gradio.FileData"}}
    me = secrets.token_hex(6)
    for number, event in enumerate(events(server)):
        for named in (forged, [forged]):
            assert join(server, number, [named] * len(event["inputs"]), me)[0] in (400, 200 * (not event["inputs"]))
    copies = [path for path in server.temporary.rglob("*") if path.is_file() and path.read_bytes() == b"secret"]
    assert copies == []


def test_other_names_for_this_computer_are_refused(server: Server):
    assert ask(server, "/", host="evil.example")[0] == 400
    assert ask(server, "/")[0] == 200


def test_a_machine_below_the_minimum_is_told_at_start_and_on_the_page(small: Server):
    assert "1 processor core, the app wants 2" in (small.temporary / "stderr").read_text()
    assert b"1 processor core, the app wants 2" in ask(small, "/config")[1]


def test_the_queue_is_bounded(small: Server):
    """Steps of pages that nobody listens to stay in the queue; the next one is told that it is full."""
    slow = next(n for n, event in enumerate(events(small)) if event["targets"] and event["targets"][0][1] == "arrived")
    inputs = [None] * len(events(small)[slow]["inputs"])
    answers = [join(small, slow, inputs, secrets.token_hex(6)) for _ in range(40)]
    assert {status for status, _ in answers} == {200, 503}
    assert any(b"full" in content.lower() for status, content in answers if status == 503)


def test_more_pages_than_there_is_room_for_are_told(small: Server, browser):
    pages = [browser.new_page(), browser.new_page()]
    try:
        pages[0].goto(small.url)
        pages[0].wait_for_selector("#stage-photo .cy-limit:has-text('MB')")
        assert pages[0].locator(".cy-warn").inner_text().startswith("This machine has 1 processor core")
        pages[1].goto(small.url)
        assert "as many people as it can" in pages[1].wait_for_selector("#stage-photo .cy-alert:visible").inner_text()
        pages[0].goto("about:blank")  # who leaves makes room
        wait_until(lambda: not any(path.is_dir() for path in next(small.temporary.glob("cyclopean-app-*")).iterdir()))
        pages[1].reload()
        pages[1].wait_for_selector("#stage-photo .cy-limit:has-text('MB')")
        assert not pages[1].locator("#stage-photo .cy-alert").is_visible()
    finally:
        for page in pages:
            page.close()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--model", "nowhere-at-all"], "nowhere-at-all"),
        (["--port", "99999"], "there is no port 99999"),
        (["--host", "not.a.host.example.invalid"], "cannot listen"),
    ],
)
def test_what_is_missing_at_start_is_one_sentence(flags: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("gradio", reason="the app needs the extra 'app'")
    from cyclopean.cli import main

    with pytest.raises(SystemExit) as end:
        main(["app", "--no-browser", *flags])
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_the_end_leaves_no_files(small: Server):
    assert list(small.temporary.glob("cyclopean-app-*"))
    small.process.send_signal(signal.SIGINT)
    small.process.wait(60)
    assert not list(small.temporary.glob("cyclopean-app-*"))
