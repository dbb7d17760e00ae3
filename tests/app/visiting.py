"""Servers in processes of their own, and people with the page open: in a real browser, or sending what they like.

This is the only module of the tests that knows how a page talks to its server.
"""

import base64
import http.client
import io
import json
import os
import re
import secrets
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
from PIL import Image

PATIENCE = 60_000  # ms: machines that test are often busy


@dataclass(frozen=True)
class Server:
    """A running app: its address, its process and where it keeps uploads."""

    url: str
    process: subprocess.Popen[str]
    temporary: Path

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        if self.process.stdout:
            self.process.stdout.close()


def started(command: list[Any], temporary: Path) -> Server:
    """An app in a process of its own, whose temporary files and errors go to a folder of this test."""
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"}
    with (temporary / "stderr").open("w") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment, start_new_session=True
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    assert found, f"the app did not start: {line!r} {(temporary / 'stderr').read_text()}"
    return Server(found[0], process, temporary)


@dataclass(frozen=True)
class Answer:
    """What a server says."""

    status: int
    content: bytes
    headers: dict[str, str]

    @property
    def error(self) -> str:
        """The sentence of a refusal."""
        return json.loads(self.content)["error"]


def ask(
    server: Server, path: str, content: bytes | None = None, *, method: str | None = None, **headers: str
) -> Answer:
    """Ask for an address, which is sent as it is. Headers with _ for -; bodies of nobody's type are JSON."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    method = method or ("GET" if content is None else "POST")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, content, {"content-type": "application/json", **named})
        with connection.getresponse() as answer:
            return Answer(answer.status, answer.read(2_000_000), {k.lower(): v for k, v in answer.getheaders()})
    finally:
        connection.close()


class Client:
    """One person without a browser: what a page can do, and what no page does."""

    SHUT = (  # what the app does not need of the server beneath it
        *("/gradio_api/file=/etc/passwd", "/file=/etc/passwd", "/gradio_api/file/etc/passwd", "/gradio_api/upload"),
        *("/gradio_api/proxy=https://example.com/", "/gradio_api/run/predict", "/gradio_api/call/x"),
        *("/gradio_api/stream/x", "/gradio_api/component_server", "/gradio_api/upload_progress", "/docs"),
        *("/openapi.json", "/redoc", "/login", "/monitoring", "/gradio_api/mcp/sse", "/custom_component/x/y/z"),
        *("/gradio_api/heartbeat/x", "/gradio_api/cancel", "/gradio_api/reset", "/gradio_api/info"),
        *("/gradio_api/queue/join/", "/gradio_api/queue/data/", "/gradio_api/queue/status", "/pwa_icon/9"),
        *("/../../../../etc/passwd", "/gradio_api/vibe-edit", "/gradio_api/process_recording", "/token", "/user"),
    )

    def __init__(self, server: Server, *, listening: bool = True) -> None:
        """Open the page. Who is not `listening` asks for one, and does not wait for what comes."""
        self.server, self.name = server, secrets.token_hex(6)
        config = json.loads(ask(server, "/config").content)
        parts = {part["id"]: part["props"] for part in config["components"]}
        self._ids = {props["elem_id"]: number for number, props in parts.items() if props.get("elem_id")}
        self._values = {number: props.get("value") for number, props in parts.items()}
        self._events = {event["id"]: event for event in config["dependencies"]}
        begin = next(event for event in self._events.values() if any(kind == "load" for _, kind in event["targets"]))
        self.opened = self.send(begin, [])
        if listening:
            self._heard(begin, self.opened)
            self.tokens = {
                tab: self._values[self._ids[f"stage-{tab}"]]["token"] for tab in ("photo", "video", "panorama")
            }
            self.here()

    # ---- what a page does
    def upload(self, name: str, content: bytes, tab: str = "photo", **headers: str) -> Answer:
        """Send a file."""
        return ask(self.server, f"/upload/{self.tokens[tab]}?name={quote(name)}", content, **headers)

    def open(self, tab: str = "photo") -> dict[str, Any]:
        """Let the file that was sent last be opened; what the page is to show."""
        return self._event(f"stage-{tab}", "arrived")

    def give(self, path: Path, tab: str = "photo") -> dict[str, Any]:
        """Send a file and let it be opened."""
        answer = self.upload(path.name, path.read_bytes(), tab)
        return self.open(tab) if answer.status == 200 else {"error": answer.error}

    def example(self, number: int) -> dict[str, Any]:
        return self._event("stage-photo", "example", {"number": number})

    def click(self, x: object, y: object, tab: str = "photo") -> dict[str, Any]:
        """Say what shall be sharp, in fractions of the picture."""
        return self._event(f"stage-{tab}", "point", {"x": x, "y": y})

    def measure(self, points: object) -> dict[str, Any]:
        return self._event("stage-measure", "measured", {"points": points})

    def moment(self, seconds: float) -> dict[str, Any]:
        """Move to another moment of the clip."""
        self._values[self._ids["moment"]] = seconds
        return self._event("moment", "input")

    def save_depth(self) -> dict[str, Any]:
        return self._event("save-depth", "click")

    def save_photo(self) -> dict[str, Any]:
        return self._event("save-photo", "click")

    def film(self) -> dict[str, Any]:
        """Refocus the clip and wait for it."""
        self._event("film", "click")
        asked = self._of("film", "click")["id"]
        then = next(event for event in self._events.values() if event["trigger_after"] == asked and event["outputs"])
        return self._heard(then, self.send(then, [self._values[number] for number in then["inputs"]]))

    def fetch(self, address: str) -> Answer:
        return ask(self.server, f"/{address}")

    def here(self) -> list[int]:
        """Say that the page is open."""
        return [ask(self.server, f"/here/{token}", b"").status for token in self.tokens.values()]

    def leave(self) -> None:
        """Close the page."""
        for token in self.tokens.values():
            ask(self.server, f"/leave/{token}", b"")

    # ---- what no page does
    def send(self, event: dict[str, Any], values: list[object], said: object = None) -> Answer:
        """Ask for an event, and do not wait for what comes of it."""
        body = {"fn_index": event["id"], "data": values, "session_hash": self.name, "event_data": said}
        return self.post(json.dumps({**body, "trigger_id": None}).encode())

    def post(self, body: bytes) -> Answer:
        """Send any bytes where events go."""
        return ask(self.server, "/gradio_api/queue/join", body)

    def forged(self, **parts: object) -> bytes:
        """An event whose `number`, `values`, `name` or `said` are strange."""
        event = self._of("stage-photo", "point")
        usual = [self._values[number] for number in event["inputs"]]
        body = {"fn_index": parts.get("number", event["id"]), "data": parts.get("values", usual)}
        name = parts.get("name", self.name)
        return json.dumps({**body, "session_hash": name, "event_data": parts.get("said")}).encode()

    def every_event_with(self, value: object) -> list[int]:
        """The statuses when `value` stands for every value of each event that takes some."""
        events = [event for event in self._events.values() if event["inputs"]]
        return [self.send(event, [value] * len(event["inputs"])).status for event in events]

    def crowd(self, count: int) -> list[Answer]:
        """Ask for slow work in as many names, and wait for none."""
        event, answers = self._of("stage-photo", "arrived"), []
        for _ in range(count):
            self.name = secrets.token_hex(6)
            answers.append(self.send(event, [None] * len(event["inputs"])))
        return answers

    # ---- how
    def _of(self, part: str, kind: str) -> dict[str, Any]:
        target = [self._ids[part], kind]
        return next(event for event in self._events.values() if target in event["targets"])

    def _event(self, part: str, kind: str, said: object = None) -> dict[str, Any]:
        event = self._of(part, kind)
        values = [self._values[number] for number in event["inputs"]]
        return self._heard(event, self.send(event, values, said))

    def _heard(self, event: dict[str, Any], asked: Answer) -> dict[str, Any]:
        """Wait until the event is done; the value of its stage."""
        assert asked.status == 200, asked
        heard = ask(self.server, f"/gradio_api/queue/data?session_hash={self.name}").content.decode()
        messages = [json.loads(line[6:]) for line in heard.splitlines() if line.startswith("data: ")]
        done = next(message for message in messages if message["msg"] == "process_completed")
        if not done["success"]:
            return {"error": f"the event failed: {done['output']}"}
        stage: dict[str, Any] = {}
        for number, value in zip(event["outputs"], done["output"]["data"], strict=True):
            if isinstance(value, dict) and value.get("__type__") == "update":
                self._values[number] = value.get("value", self._values[number])
            elif value is not None:
                self._values[number] = value
                stage = value if isinstance(value, dict) and not stage else stage
        return stage


class Visitor:
    """One person with the page open."""

    def __init__(self, browser: Any, server: Server, **window: Any) -> None:
        self.context = browser.new_context(**({"viewport": {"width": 1280, "height": 860}} | window))
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.asked: list[str] = []
        self.wrong: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.goto(server.url)
        self.page.wait_for_selector("#stage-photo .cy-limit:has-text('MB')")

    def part(self, selector: str, stage: str = "photo") -> Any:
        """A part of a stage."""
        return self.page.locator(f"#stage-{stage} .cy-{selector}")

    def choose(self, path: Path, stage: str = "photo") -> None:
        """Choose a file by the dialog."""
        with self.page.expect_file_chooser() as dialog:
            self.part("pick", stage).click()
        dialog.value.set_files(path)

    def drop(self, path: Path, kind: str = "image/jpeg") -> None:
        """Drop a file on the stage."""
        data = self.page.evaluate_handle(
            """([content, name, type]) => {
              const data = new DataTransfer()
              data.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], name, { type }))
              return data
            }""",
            [_base64(path), path.name, kind],
        )
        self.part("drop").dispatch_event("drop", {"dataTransfer": data})

    def see(self, kind: str, stage: str = "photo") -> np.ndarray:
        """Wait until a picture of this kind is shown, and look at it."""
        shown = self.page.locator(f"#stage-{stage} .cy-under[src*='{kind}']")
        shown.wait_for()
        return self.fetch(shown.get_attribute("src"))

    def fetch(self, address: str) -> np.ndarray:
        """A picture behind an address of the page."""
        return np.asarray(_image(self.page.evaluate(_BYTES, address)), float)

    def click(self, at: tuple[float, float], stage: str = "photo") -> None:
        """Click at fractions of the shown picture."""
        box = self.part("under", stage).bounding_box()
        self.page.mouse.click(box["x"] + at[0] * box["width"], box["y"] + at[1] * box["height"])

    def tab(self, name: str) -> None:
        """Go to another tab."""
        self.page.get_by_role("tab", name=name).click()

    def sentence(self, stage: str = "photo") -> str:
        """What went wrong, as the page says it."""
        alert = self.part("alert", stage)
        alert.wait_for()
        return alert.inner_text()

    def close(self) -> None:
        self.context.close()


_BYTES = """async (address) => Array.from(new Uint8Array(await (await fetch(address)).arrayBuffer()))"""


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _image(content: list[int]) -> Image.Image:
    return Image.open(io.BytesIO(bytes(content))).convert("RGB")


def wait_until(true: Any, seconds: float = 60.0) -> None:
    """Ask again and again."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)
