"""One file per paper. Names to classes and to training in literal dicts; nothing is imported before it is needed."""

import importlib
from typing import TYPE_CHECKING

from cyclopean.errors import unknown_name

if TYPE_CHECKING:
    from cyclopean.methods.base import Method

METHODS = {
    "aquanet": "cyclopean.methods.aquanet:Aquanet",
    "coordnet": "cyclopean.methods.spherical_view_synthesis:SphericalViewSynthesis",
    "deep3d": "cyclopean.methods.deep3d:Deep3d",
    "falnet": "cyclopean.methods.aquanet:Falnet",
    "garg": "cyclopean.methods.garg:Garg",
    "monodepth": "cyclopean.methods.monodepth:Monodepth",
    "monodepth2": "cyclopean.methods.monodepth2:Monodepth2",
    "naive": "cyclopean.methods.naive:Naive",
    "supervised": "cyclopean.methods.supervised:Supervised",
    "trinocular": "cyclopean.methods.three_net:ThreeNet",
}


# What `cyclopean train` trains, and by which function; its arguments are the flags.
RECIPES = {
    "naive": ("cyclopean.training.recipes:naive", "stereo pairs; paints the right view, no disparity inside"),
    "deep3d": ("cyclopean.training.recipes:deep3d", "stereo pairs; selects among shifted views (Xie et al. 2016)"),
    "deep3ds": ("cyclopean.training.recipes:deep3ds", "the same, smooth (Godard et al. 2017, supplement)"),
    "garg": ("cyclopean.training.recipes:garg", "stereo pairs; a linearised warp, coarse to fine (Garg et al. 2016)"),
    "monodepth": ("cyclopean.training.recipes:monodepth", "stereo pairs, no depth labels (Godard et al. 2017)"),
    "trinocular": ("cyclopean.training.recipes:trinocular", "stereo pairs as two of three (Poggi et al. 2018)"),
    "monodepth2": ("cyclopean.training.recipes:monodepth2", "pairs, posed views, or video (Godard et al. 2019)"),
    "falnet": (
        "cyclopean.training.volume_recipes:falnet",
        "pairs; the right view through levels (Gonzalez Bello, Kim 2020)",
    ),
    "aquanet": (
        "cyclopean.training.volume_recipes:aquanet",
        "video; free views, masks of what moves (the same, Moon 2022)",
    ),
    "coordnet": ("cyclopean.training.recipes:coordnet", "panoramas above or beside each other (Zioulis et al. 2019)"),
    "panorama": ("cyclopean.training.recipes:panorama", "panoramas with views above and beside; the bundled model"),
    "supervised": ("cyclopean.training.recipes:supervised", "true depth of worlds, the directly supervised twin"),
}

# What papers say, as flags: `--published` stands for them. The optimiser and the augmentations are the recipes' own.
_MONODEPTH = "--size 256x512 --batch-size 8 --epochs 50 --learning-rate 1e-4 --schedule halving"
PUBLISHED = {
    "deep3d": _MONODEPTH,  # as Monodepth's comparison has it
    "deep3ds": _MONODEPTH,
    "monodepth": _MONODEPTH,
    "monodepth2": "--size 192x640 --batch-size 12 --epochs 20 --learning-rate 1e-4 --schedule tenth",
    "falnet": "--size 192x640 --batch-size 4 --epochs 70 --learning-rate 1e-4",
    "aquanet": "--size 192x640 --batch-size 8 --epochs 220 --learning-rate 1e-4",
    "coordnet": "--size 256x512 --batch-size 16 --epochs 30 --learning-rate 1e-4",
}


def method_class(name: str) -> "type[Method]":
    """Return the method of that name. Raises `InputError` with the nearest name if there is none."""
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    module, attribute = METHODS[name].split(":")
    return getattr(importlib.import_module(module), attribute)
