"""A real server in its own process, a real browser to open its page with, and what stands behind a page alone."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms
from visiting import Client, Server, Visitor, started

COMMAND = Path(sys.executable).with_name("cyclopean")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app as its command starts it, for all tests; small limits, so that they are quick to reach."""
    pytest.importorskip("starlette", reason="the app needs the extra 'app'")
    flags = ["--no-browser", "--port", "0", "--max-megabytes", "8", "--max-megapixels", "4"]
    running = started([COMMAND, "app", *flags], tmp_path_factory.mktemp("served"))
    yield running
    running.end()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """One person without a browser."""
    person = Client(server)
    yield person
    person.leave()


@pytest.fixture
def visitor(browser: Any, server: Server) -> Iterator[Visitor]:
    """One person, whose page must make no error and ask nothing of other machines."""
    person = Visitor(browser, server)
    yield person
    person.close()
    assert not person.wrong
    elsewhere = [url for url in person.asked if not url.startswith((server.url, "data:", "blob:"))]
    assert not elsewhere


@pytest.fixture
def visitors(browser: Any, server: Server) -> Iterator[Any]:
    """`visitors()`: one person more."""
    people: list[Visitor] = []

    def more(**window: Any) -> Visitor:
        people.append(Visitor(browser, server, **window))
        return people[-1]

    yield more
    for person in people:
        person.close()


@pytest.fixture
def state(tmp_path: Path) -> Any:
    """A `AppState` without a page, to which blue is near."""
    from cyclopean.app.handlers import AppState
    from cyclopean.app.limits import Limits
    from cyclopean.app.session import Store
    from filmed import blue_is_near

    return AppState(blue_is_near(), Store(Limits(), tmp_path), [])


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real photograph as a phone would give it: lying on its side, with EXIF and a profile."""
    data = pytest.importorskip("skimage.data", reason="the photograph is scikit-image's")
    path = tmp_path_factory.mktemp("photos") / "holiday.jpg"
    with Image.open(Path(data.__file__).with_name("motorcycle_left.png")) as picture:
        exif = Image.Exif()
        exif[0x010F], exif[0x0110], exif[0x0112] = "Acme", "Snap 3", 6
        exif.get_ifd(0x8769)[0x829D] = 1.8
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        lying = picture.convert("RGB").transpose(Image.Transpose.ROTATE_90)
        lying.save(path, quality=95, exif=exif, icc_profile=profile)
    return path
