"""One file per paper. Names to classes in one literal dict; nothing is imported before it is asked for."""

import importlib
from typing import TYPE_CHECKING

from cyclopean.errors import unknown_name

if TYPE_CHECKING:
    from cyclopean.methods.base import Method

METHODS = {
    "coordnet": "cyclopean.methods.coordnet:Coordnet",
    "deep3d": "cyclopean.methods.deep3d:Deep3d",
    "garg": "cyclopean.methods.garg:Garg",
    "monodepth": "cyclopean.methods.monodepth:Monodepth",
    "monodepth2": "cyclopean.methods.monodepth2:Monodepth2",
    "naive": "cyclopean.methods.naive:Naive",
    "supervised": "cyclopean.methods.supervised:Supervised",
    "trinocular": "cyclopean.methods.trinocular:Trinocular",
}


def method_class(name: str) -> "type[Method]":
    """The method of that name."""
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    module, attribute = METHODS[name].split(":")
    return getattr(importlib.import_module(module), attribute)
