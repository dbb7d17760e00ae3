"""Methods, one file per paper or idea. Dicts map names to classes and recipes; modules are imported when needed."""

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from cyclopean.errors import unknown_name

if TYPE_CHECKING:
    from cyclopean.methods.base import Method

METHODS = {
    "aquanet": "cyclopean.methods.aquanet:Aquanet",
    "coordnet": "cyclopean.methods.spherical_view_synthesis:SphericalViewSynthesis",
    "deep3d": "cyclopean.methods.deep3d:Deep3d",
    "depth_anywhere": "cyclopean.methods.depth_anywhere:DepthAnywhere",
    "falnet": "cyclopean.methods.falnet:Falnet",
    "garg": "cyclopean.methods.garg:Garg",
    "monodepth": "cyclopean.methods.monodepth:Monodepth",
    "monodepth2": "cyclopean.methods.monodepth2:Monodepth2",
    "naive": "cyclopean.methods.naive:Naive",
    "supervised": "cyclopean.methods.supervised:Supervised",
    "supervised_disparity": "cyclopean.methods.supervised_disparity:SupervisedDisparity",
    "supervised_sphere": "cyclopean.methods.supervised_sphere:SupervisedSphere",
    "trinocular": "cyclopean.methods.three_net:ThreeNet",
}

# Methods that learn metres, or numbers up to scale and shift, by an argument: its values that mean metres.
METRIC = {
    "depth_anywhere": ("predicts", ("depth", "metric-disparity")),
    "supervised_sphere": ("loss", ("berhu", "reverse-huber", "l1")),
}

SPHERICAL = ("coordnet", "depth_anywhere", "supervised_sphere")  # methods for panoramas

# The methods of `cyclopean train`: the recipe, whose arguments are the flags, and a line of help.
RECIPES = {
    "naive": ("cyclopean.training.recipes:naive", "stereo pairs; outputs the right view, without disparity"),
    "deep3d": ("cyclopean.training.recipes:deep3d", "stereo pairs; selects among shifted views (Xie et al. 2016)"),
    "deep3ds": ("cyclopean.training.recipes:deep3ds", "the same with smoothness (Godard et al. 2017, supplement)"),
    "garg": ("cyclopean.training.recipes:garg", "stereo pairs; a linearised warp, coarse to fine (Garg et al. 2016)"),
    "monodepth": ("cyclopean.training.recipes:monodepth", "stereo pairs, no depth labels (Godard et al. 2017)"),
    "trinocular": ("cyclopean.training.recipes:trinocular", "stereo pairs as two views of three (Poggi et al. 2018)"),
    "monodepth2": ("cyclopean.training.recipes:monodepth2", "pairs, posed views, or video (Godard et al. 2019)"),
    "falnet": (
        "cyclopean.training.volume_recipes:falnet",
        "pairs; the right view through levels (Gonzalez Bello, Kim 2020)",
    ),
    "aquanet": (
        "cyclopean.training.volume_recipes:aquanet",
        "video; free views, masks of what moves (the same, Moon 2022)",
    ),
    "coordnet": (
        "cyclopean.training.sphere_recipes:coordnet",
        "panoramas above or beside each other (Zioulis et al. 2019)",
    ),
    "panorama": (
        "cyclopean.training.sphere_recipes:panorama",
        "panoramas with views above and beside; the bundled model",
    ),
    "distil": (
        "cyclopean.training.distil_recipes:distil",
        "panoramas, some labelled, many not: a perspective model teaches (Wang, Liu 2024)",
    ),
    "finetune": ("cyclopean.training.distil_recipes:finetune", "a distilled model on panoramas with depth: metres"),
    "supervised": ("cyclopean.training.recipes:supervised", "worlds with true depth: direct supervision"),
    "supervised-sphere": (
        "cyclopean.training.sphere_recipes:supervised_sphere",
        "panoramas with true depth; UniFuse, BiFuse++, HoHoNet, EGformer",
    ),
}

FROM_SINGLE = ("supervised", "supervised-sphere", "distil", "finetune")  # which need no second view of a place

# The papers' settings as flags, set by `--published`. Optimisers and augmentations are in the recipes.
_MONODEPTH = "--size 256x512 --batch-size 8 --epochs 50 --learning-rate 1e-4 --schedule halving"
PUBLISHED = {
    "deep3d": _MONODEPTH,  # as in Monodepth's comparison
    "deep3ds": _MONODEPTH,
    "monodepth": _MONODEPTH,
    "monodepth2": "--size 192x640 --batch-size 12 --epochs 20 --learning-rate 1e-4 --schedule tenth",
    "falnet": "--size 192x640 --batch-size 4 --epochs 70 --learning-rate 1e-4",
    "aquanet": "--size 192x640 --batch-size 8 --epochs 220 --learning-rate 1e-4",
    "coordnet": "--size 256x512 --batch-size 16 --epochs 30 --learning-rate 1e-4",
    "supervised-sphere": "--network unifuse --size 512x1024 --batch-size 6 --epochs 100 --learning-rate 1e-4",
    "finetune": "--size 512x1024 --epochs 1 --learning-rate 1e-4",
}


def is_metric(method: str, arguments: Mapping[str, Any]) -> bool:
    """Return whether depth of a method made with `arguments` is in metres: that of panoramas is, of pairs by a rig."""
    argument, values = METRIC.get(method, ("", ()))
    return method == "coordnet" or arguments.get("rig") is not None or arguments.get(argument) in values


def method_class(name: str) -> "type[Method]":
    """Return the method of that name. Raises `InputError` with the nearest name if there is none."""
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return resolve_name(METHODS[name])
