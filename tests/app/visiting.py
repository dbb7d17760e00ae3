"""Servers in processes of their own, and people with the page open in a real browser."""

import base64
import io
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    assert found, f"the app did not start: {line!r} {(temporary / 'stderr').read_text()}"
    return Server(found[0], process, temporary)


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
