"""The browser that tests open pages with."""

import os
import shutil

CHROMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
NO_BROWSER = (
    "no browser was found: install Chromium, or name one in CYCLOPEAN_BROWSER, or run `playwright install chromium`"
)


def browser_path() -> str | None:
    """What the environment names, else what the system has."""
    named = os.environ.get("CYCLOPEAN_BROWSER")
    return named or next((path for name in CHROMES if (path := shutil.which(name))), None)
