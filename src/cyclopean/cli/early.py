"""Checks of names and files before anything heavy is loaded: a typing error costs no seconds."""

import sys
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from cyclopean.cli.output import quiet
from cyclopean.data import is_single
from cyclopean.errors import InputError, unknown_name, usable_device
from cyclopean.inference import CAMERAS, NEEDS_ONNXRUNTIME, NEEDS_TRANSFORMERS
from cyclopean.io.files import at_home, printable, read_json, refuse_unreadable, shortened
from cyclopean.methods import FROM_SINGLE, METHODS, is_metric
from cyclopean.training.models import BUNDLED, CONFIG, bundled, is_foreign, is_model, is_onnx, models_in, not_a_model


def refuse_unknown_model(name: str) -> None:
    """Raise InputError for a name that is certainly no model: neither bundled nor a folder, and no Hub repository; for
    a file, and a folder that holds no model; and for one that needs transformers where this is not installed.

    "auto" and "none" are words of commands. What `models.locate` alone can decide passes.
    """
    if name in ("auto", "none", *bundled()) or ":" in name:
        return
    if is_onnx(name):
        refuse_unreadable(Path(name))
        refuse_missing_backend("onnxruntime", name)
        return
    try:
        if find_spec("transformers") is None and is_foreign(Path(name)):
            raise InputError(f"the depth model {shortened(name)} {NEEDS_TRANSFORMERS}.")
        place = at_home(name)
        if is_model(place):
            return
        if place.exists():
            raise not_a_model(place)
    except OSError:
        raise InputError(f"there is no model folder {shortened(name)!r}; no folder can have that name.") from None
    if "/" not in name and "\\" not in name:
        raise unknown_name("model", name, bundled())
    if name.count("/") > 1 or name.startswith((".", "/", "~")):
        folder = Path(name).parent
        others = models_in(folder)
        beside = f"{folder} holds {shortened(', '.join(others))}." if others else "give a folder that training wrote."
        raise InputError(f"there is no model folder {shortened(name)!r}; {beside}")


def refuse_single_pictures(method: str, folders: Sequence[str]) -> None:
    """Raise InputError for data sets of single pictures, by their names, for a method that learns from two views."""
    single = None if method in FROM_SINGLE else next((folder for folder in folders if is_single(folder)), None)
    if single is not None:
        raise InputError(
            f"{method} learns from two views of a place or more, and {printable(single)} has single pictures; give "
            f"pairs or a film (docs/data.md), or a method that needs one view: {', '.join(FROM_SINGLE)}."
        )


def refuse_missing_backend(backend: str, name: str = "--backend onnxruntime") -> None:
    """Raise InputError, naming what needs it, where onnxruntime is not installed."""
    if backend == "onnxruntime" and find_spec("onnxruntime") is None:
        raise InputError(f"{shortened(name)} {NEEDS_ONNXRUNTIME}.")


def refuse_unknown_device(name: str) -> None:
    """Raise InputError for a device that cannot be used here; torch is loaded only for one that is not the CPU."""
    if name not in ("auto", "cpu"):
        usable_device(name)


def refuse_metres(profile: str | None, known: tuple[float, ...] | None) -> None:
    """Raise InputError for a camera profile that cannot be read, and for two sources of metres at once."""
    if profile is not None and known is not None:
        raise InputError("--known and --profile both put depth in metres; give one of them.")
    if profile is not None:
        refuse_unreadable(Path(profile))


def known_camera(camera: str, field_of_view: float | None) -> tuple[str, Path | float | None]:
    """Return which kind of camera is meant ("auto" for a file), and what is known of its focal length: a file, degrees
    along the longer side, or None. Raises InputError for a name that is none, and for values that mean nothing."""
    if field_of_view is not None and not 1 <= field_of_view < 180:
        raise InputError(
            f"--field-of-view is {field_of_view:g}; it needs degrees along the longer side, 1 to below 180."
        )
    if not camera.endswith(".json"):
        if camera not in CAMERAS:
            raise unknown_name("camera", camera, CAMERAS)
        return camera, field_of_view
    if field_of_view is not None:
        raise InputError("--camera FILE and --field-of-view both tell the focal length; give one of them.")
    refuse_unreadable(Path(camera))
    return "auto", Path(camera)


def says_metric(name: str) -> bool | None:
    """Return whether the depth of a bundled model or a model's folder is in metres by its config, None if unknown."""
    places = (BUNDLED / name, at_home(name), Path(name) / "best", Path(name) / "last")
    try:
        config = read_json(next(place for place in places if (place / CONFIG).is_file()) / CONFIG)
        if config["method"] in METHODS:
            return is_metric(config["method"], config["arguments"])
    except (StopIteration, OSError, ValueError, LookupError, TypeError, AttributeError):
        pass  # its reader reports what is wrong
    return None


def header_size(photo: Path, most_megapixels: float) -> tuple[int, int] | None:
    """Return (height, width) of a photo as viewers turn it, out of its header.

    None for kinds whose header does not have it, for damaged photos, and beyond the limit.
    """
    from PIL import Image

    from cyclopean.io.metadata import orientation

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(photo, formats=("BMP", "GIF", "JPEG", "PNG", "WEBP")) as picture:
                width, height = picture.size
                if width * height > most_megapixels * 1e6:
                    return None
                sideways = orientation(picture.getexif()) > 4
    except Exception:  # whatever is wrong with it, its reader reports
        return None
    return (width, height) if sideways else (height, width)


def loading(command: str, what: str) -> None:
    """Print what takes the next seconds on the error stream, where somebody watches; of `train` into logs, too."""
    if not quiet() and (command == "train" or sys.stderr.isatty()):
        print(f"cyclopean {command}: loading {printable(what)} ...", file=sys.stderr, flush=True)
