"""cyclopean: depth from one eye, learned from two."""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from cyclopean.depthmap import DepthMap as DepthMap
    from cyclopean.depthmap import from_numbers as from_numbers
    from cyclopean.depthmap import read_depth as read_depth
    from cyclopean.errors import InputError as InputError
    from cyclopean.geometry import Equirectangular as Equirectangular
    from cyclopean.geometry import Pinhole as Pinhole
    from cyclopean.images import Photo as Photo
    from cyclopean.images import read_photo as read_photo
    from cyclopean.photolike import as_photo as as_photo
    from cyclopean.predictor import Predictor as Predictor
    from cyclopean.predictor import load as load
    from cyclopean.refocus import refocus as refocus
    from cyclopean.sample import Sample as Sample
    from cyclopean.sample import View as View

# public name -> (module, attribute); imported when first asked for, since torch alone takes over a second
_PUBLIC = {
    "DepthMap": ("cyclopean.depthmap", "DepthMap"),
    "Equirectangular": ("cyclopean.geometry", "Equirectangular"),
    "InputError": ("cyclopean.errors", "InputError"),
    "Photo": ("cyclopean.images", "Photo"),
    "Pinhole": ("cyclopean.geometry", "Pinhole"),
    "Predictor": ("cyclopean.predictor", "Predictor"),
    "Sample": ("cyclopean.sample", "Sample"),
    "View": ("cyclopean.sample", "View"),
    "as_photo": ("cyclopean.photolike", "as_photo"),
    "from_numbers": ("cyclopean.depthmap", "from_numbers"),
    "load": ("cyclopean.predictor", "load"),
    "read_depth": ("cyclopean.depthmap", "read_depth"),
    "read_photo": ("cyclopean.images", "read_photo"),
}
_PACKAGES = ("refocus",)  # also a function: the package can be called

__all__ = [*_PUBLIC, *_PACKAGES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"cyclopean.{name}")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'cyclopean' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
