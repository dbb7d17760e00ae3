"""What several tests share: a browser, and arrays made by running the papers' released code on seeded inputs."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from browsing import NO_BROWSER, browser_path

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in the background of a shell; some tests press Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)

Golden = Callable[[str], dict[str, Tensor]]


@pytest.fixture
def golden() -> Golden:
    """`golden("md1_sampler")`: its arrays as float64 tensors by name (texts and integers as they are in numpy)."""

    def load(name: str) -> dict[str, Tensor]:
        with np.load(Path(__file__).parent / "golden" / f"{name}.npz") as arrays:
            return {k: torch.from_numpy(v).double() if v.dtype.kind == "f" else v for k, v in arrays.items()}

    return load


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium: the one in CYCLOPEAN_BROWSER, the system's, or Playwright's own. Without one the test is skipped."""
    playwright = pytest.importorskip("playwright.sync_api", reason="browser tests need Playwright")
    with playwright.sync_playwright() as engine:
        path = browser_path()
        if path is None and not Path(engine.chromium.executable_path).is_file():
            pytest.skip(NO_BROWSER)
        flags = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        chromium = engine.chromium.launch(executable_path=path, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
