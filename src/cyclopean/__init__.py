"""cyclopean: depth from one eye, learned from two."""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

if TYPE_CHECKING:
    from cyclopean.errors import InputError as InputError
    from cyclopean.geometry import Equirectangular as Equirectangular
    from cyclopean.geometry import Pinhole as Pinhole
    from cyclopean.inference.predictor import Predictor as Predictor
    from cyclopean.inference.predictor import load as load
    from cyclopean.inference.refocusing import refocus as refocus
    from cyclopean.io.depthmap import DepthMap as DepthMap
    from cyclopean.io.depthmap import from_numbers as from_numbers
    from cyclopean.io.depthmap import read_depth as read_depth
    from cyclopean.io.image import Photo as Photo
    from cyclopean.io.image import read_photo as read_photo
    from cyclopean.io.photolike import as_photo as as_photo
    from cyclopean.sample import Sample as Sample
    from cyclopean.sample import View as View
    from cyclopean.stereoscopy.pair import stereo as stereo

# public name -> (module, attribute); imported when first asked for, since torch alone takes over a second
_PUBLIC = {
    "DepthMap": ("cyclopean.io.depthmap", "DepthMap"),
    "Equirectangular": ("cyclopean.geometry", "Equirectangular"),
    "InputError": ("cyclopean.errors", "InputError"),
    "Photo": ("cyclopean.io.image", "Photo"),
    "Pinhole": ("cyclopean.geometry", "Pinhole"),
    "Predictor": ("cyclopean.inference.predictor", "Predictor"),
    "Sample": ("cyclopean.sample", "Sample"),
    "View": ("cyclopean.sample", "View"),
    "as_photo": ("cyclopean.io.photolike", "as_photo"),
    "from_numbers": ("cyclopean.io.depthmap", "from_numbers"),
    "load": ("cyclopean.inference.predictor", "load"),
    "read_depth": ("cyclopean.io.depthmap", "read_depth"),
    "read_photo": ("cyclopean.io.image", "read_photo"),
    "refocus": ("cyclopean.inference.refocusing", "refocus"),
    "stereo": ("cyclopean.stereoscopy.pair", "stereo"),
}

__all__ = [*_PUBLIC]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'cyclopean' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
