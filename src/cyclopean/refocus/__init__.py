"""Refocusing: a photo, its depth, a point that shall be sharp. The package is also the function `cyclopean.refocus`."""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclopean.refocus.choosing import BINS as BINS
    from cyclopean.refocus.choosing import METHODS as METHODS
    from cyclopean.refocus.choosing import THIN_LENS as THIN_LENS
    from cyclopean.refocus.choosing import canonical as canonical
    from cyclopean.refocus.choosing import check_choice as check_choice
    from cyclopean.refocus.choosing import check_distance as check_distance
    from cyclopean.refocus.choosing import focus_pixel as focus_pixel
    from cyclopean.refocus.lens import Lens as Lens
    from cyclopean.refocus.refocusing import focusable as focusable
    from cyclopean.refocus.refocusing import refocus as refocus

# public name -> module beside this file; imported when first asked for, so that words are checked without torch
_PUBLIC = {
    **dict.fromkeys(
        ("BINS", "METHODS", "THIN_LENS", "canonical", "check_choice", "check_distance", "focus_pixel"), "choosing"
    ),
    "Lens": "lens",
    **dict.fromkeys(("focusable", "refocus"), "refocusing"),
}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'cyclopean.refocus' has no attribute {name!r}")
    return getattr(importlib.import_module(f"cyclopean.refocus.{_PUBLIC[name]}"), name)


class _Callable(ModuleType):
    """A package by its files, a function by its use: `cyclopean.refocus(photo, depth, at)`."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.refocus(*arguments, **named)


sys.modules[__name__].__class__ = _Callable
