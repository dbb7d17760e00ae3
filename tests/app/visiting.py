"""Servers in processes of their own, and people with the page open: in a real browser, or sending what they like.

This is the only module of the tests that knows how a page talks to its server.
"""

import base64
import http.client
import io
import json
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

import numpy as np
from PIL import Image

PATIENCE = 60_000  # ms: machines that test are often busy


@dataclass(frozen=True)
class Server:
    """A running app: its address, its process, where it keeps uploads, and the key of its start."""

    url: str
    process: subprocess.Popen[str]
    temporary: Path
    key: str = ""

    @property
    def address(self) -> str:
        """The address as it is printed."""
        return f"{self.url}/?key={self.key}" if self.key else self.url

    @property
    def cookie(self) -> str:
        """The header of who has opened the page."""
        return f"cyclopean-{urlsplit(self.url).port}={self.key}"

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
    url, _, key = found[0].partition("/?key=")
    return Server(url.rstrip("/"), process, temporary, key)


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
    headers = {"cookie": server.cookie} | headers
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

    SHUT = (  # what is not there, and what earlier pages had
        *("/gradio_api/file=/etc/passwd", "/file=/etc/passwd", "/gradio_api/queue/join", "/config", "/upload", "/job"),
        *(
            "/docs",
            "/openapi.json",
            "/redoc",
            "/login",
            "/static",
            "/step",
            "/start/",
            "/index.html",
            "/token",
            "/user",
        ),
        *("/../../../../etc/passwd", "/assets/x", "/theme.css", "/proxy=https://example.com/", "//etc/passwd"),
    )
    LOOK: ClassVar[dict[str, Any]] = {"amount": 1, "shape": "disc", "range": 0, "highlights": 0, "method": "thin-lens"}
    STEPS: ClassVar[dict[str, dict[str, Any]]] = {  # the steps of a page that take values, and usual ones
        "model": {"name": "general"},
        "example": {"number": 0},
        "focus": {"at": [0.5, 0.5], "look": LOOK, "why": "point"},
        "mend": {"kind": "add", "points": [[0.5, 0.5]], "radius": 0.02, "look": LOOK},
        "go": {"step": "focus"},
        "save_photo": {"kept": "PNG"},
        "full": {"view": "photo"},
        "measure": {"points": [[0.1, 0.1], [0.9, 0.9]]},
        "set_distance": {"metres": 1.0},
        "set_height": {"metres": 1.0},
        "set_distances": {"first": 1.0, "second": 2.0},
        "moment": {"seconds": 0.0},
        "key": {"at": [0.5, 0.5], "seconds": 0.0},
        "film": {"look": LOOK, "follow": True},
    }
    OPENING: ClassVar[dict[str, str]] = {"photo": "open", "video": "open_clip", "panorama": "open_panorama"}

    def __init__(self, server: Server) -> None:
        """Open the page."""
        self.server, self.seconds = server, 0.0
        self.card = json.loads(ask(server, "/start", b"").content)
        self.tokens = self.card["tokens"]

    # ---- what a page does
    def upload(self, name: str, content: bytes, tab: str = "photo", **headers: str) -> Answer:
        """Send a file."""
        return ask(self.server, f"/upload/{self.tokens[tab]}?name={quote(name)}", content, **headers)

    def open(self, tab: str = "photo") -> dict[str, Any]:
        """Let the file that was sent last be opened; what the page is to show."""
        return self.step(self.OPENING[tab], tab)

    def give(self, path: Path, tab: str = "photo") -> dict[str, Any]:
        """Send a file and let it be opened."""
        answer = self.upload(path.name, path.read_bytes(), tab)
        return self.open(tab) if answer.status == 200 else {"error": answer.error}

    def example(self, number: int) -> dict[str, Any]:
        return self.step("example", number=number)

    def click(self, x: object, y: object, tab: str = "photo") -> dict[str, Any]:
        """Say what should be sharp, in fractions of the picture."""
        if tab == "video":
            return self.step("key", tab, at=[x, y], seconds=self.seconds)
        return self.step("focus", at=[x, y], look=self.LOOK, why="point")

    def mend(self, kind: str, points: object, radius: object = 0.03) -> dict[str, Any]:
        """Paint over the depth."""
        return self.step("mend", kind=kind, points=points, radius=radius, look=self.LOOK)

    def measure(self, points: object) -> dict[str, Any]:
        return self.step("measure", points=points)

    def moment(self, seconds: float) -> dict[str, Any]:
        """Move to another moment of the clip."""
        self.seconds = seconds
        return self.step("moment", "video", seconds=seconds)

    def save_depth(self) -> dict[str, Any]:
        return self.step("save_depth")

    def save_photo(self, kept: str = "PNG") -> dict[str, Any]:
        return self.step("save_photo", kept=kept)

    def film(self) -> dict[str, Any]:
        """Refocus the clip and wait for it."""
        return self.step("film", "video", look=self.LOOK, follow=True)

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
    def post(self, body: bytes, step: str = "focus") -> Answer:
        """Send any bytes where steps go."""
        answer = ask(self.server, f"/step/{self.tokens['photo']}/{step}", body)
        return self.post(body, step) if b'"again"' in answer.content else answer  # the network is loading

    def every_step_with(self, value: object) -> set[int]:
        """The statuses when `value` stands for any one value of each step that takes some."""
        strange = [(name, {**usual, part: value}) for name, usual in self.STEPS.items() for part in usual]
        return {self.post(json.dumps(values).encode(), name).status for name, values in strange}

    # ---- how
    def step(self, name: str, tab: str = "photo", **values: object) -> dict[str, Any]:
        """Do a step and wait until it is done; what the page is to show."""
        address = f"/step/{self.tokens[tab]}/{name}"
        told = json.loads(ask(self.server, address, json.dumps(values).encode()).content)
        while told.get("again"):
            told = json.loads(ask(self.server, address, json.dumps(values).encode()).content)
        while "job" in told:
            told = json.loads(ask(self.server, f"/job/{self.tokens[tab]}/{told['job']}").content)
        return told


class Visitor:
    """One person with the page open."""

    def __init__(self, browser: Any, server: Server, preview: str = "server", **window: Any) -> None:
        """Open the page. Only with another `preview` than the server's the browser refocuses by itself."""
        self.context = browser.new_context(**({"viewport": {"width": 1280, "height": 860}} | window))
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.asked: list[str] = []
        self.wrong: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda said: said.type == "error" and self.wrong.append(said.text))
        self.page.goto(f"{server.address}{'&' if server.key else '/?'}preview={preview}")
        self.page.wait_for_selector("#stage-photo .limit:has-text('MB')")

    def part(self, selector: str, stage: str = "photo") -> Any:
        """A part of a stage."""
        return self.page.locator(f"#stage-{stage} .{selector}")

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
        shown = self.page.locator(f"#stage-{stage} .under[src*='{kind}']")
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
