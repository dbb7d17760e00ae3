"""Data sets: each yields `Sample`s of batch 1. Their names are for the command line: `KIND:PATH:OPTION=VALUE`."""

import difflib
import importlib
import re
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopean.errors import InputError, unknown_name
from cyclopean.io.files import CLIPS, PHOTOS, at_home, is_film

if TYPE_CHECKING:
    from cyclopean.data.base import Items

# name -> "module:maker"; it takes the path of the data set (motorcycle: nothing), then its options as keywords
DATASETS = {
    "3d60": "cyclopean.data.panoramas:ThreeD60Dataset",
    "camvid": "cyclopean.data.folder:PicturesDataset",
    "cityscapes": "cyclopean.data.stereo:CityscapesDataset",
    "cityscapes_sequence": "cyclopean.data.stereo:CityscapesSequenceDataset",
    "clip": "cyclopean.data.video:clip",
    "eth3d": "cyclopean.data.stereo:Eth3dDataset",
    "folder": "cyclopean.data.folder:FolderDataset",
    "kitti_2015": "cyclopean.data.kitti:Kitti2015Dataset",
    "kitti_improved": "cyclopean.data.kitti:KittiImprovedDataset",
    "kitti_object": "cyclopean.data.kitti:KittiObjectDataset",
    "kitti_odometry": "cyclopean.data.kitti:KittiOdometryDataset",
    "kitti_raw": "cyclopean.data.kitti:KittiRawDataset",
    "kitti_selection": "cyclopean.data.kitti:KittiSelectionDataset",
    "make3d": "cyclopean.data.indoor:Make3dDataset",
    "matterport3d": "cyclopean.data.panoramas:matterport3d",
    "middlebury": "cyclopean.data.stereo:MiddleburyDataset",
    "motorcycle": "cyclopean.data.stereo:MotorcycleDataset",
    "nyu": "cyclopean.data.indoor:NyuDataset",
    "pano3d": "cyclopean.data.panoramas:pano3d",
    "panoramas": "cyclopean.data.panoramas:panoramas",
    "pictures": "cyclopean.data.folder:PicturesDataset",
    "shards": "cyclopean.data.shards:ShardsDataset",
    "seven_scenes": "cyclopean.data.indoor:SevenScenesDataset",
    "stanford2d3d": "cyclopean.data.panoramas:stanford2d3d",
    "stereo_photos": "cyclopean.data.stereo:StereoPhotosDataset",
    "structured3d": "cyclopean.data.panoramas:structured3d",
    "topbottom": "cyclopean.data.panoramas:TopBottomDataset",
    "traced": "cyclopean.data.rendered:TracedDataset",
    "traced360": "cyclopean.data.rendered:Traced360Dataset",
}
PATHLESS = {"motorcycle"}
SINGLE = {  # without a second view
    *("camvid", "kitti_object", "kitti_selection", "make3d", "matterport3d", "nyu", "pano3d", "panoramas", "pictures"),
    *("stanford2d3d", "structured3d"),
}
OPTION = re.compile(r":([a-z]+)=((?:(?!:[a-z]+=).)*)$")  # a value may be a path with colons


def open_dataset(name: str) -> "Items":
    """Open the data set of `KIND:PATH`, `PATH` (a folder of worlds or pairs, or a film) or `KIND` (motorcycle).

    Options stand behind it.

    Raises InputError for an unknown kind or option, with the nearest suggested, and for a bad data set.
    """
    kind, path, options = named(name)
    module, attribute = DATASETS[kind].split(":")
    make = getattr(importlib.import_module(module), attribute)
    known = [option for option in signature(make).parameters if option != "path"]
    for option in options:
        if option not in known and not known:
            raise InputError(f"{kind} takes no options and was given {option}={options[option]}; leave it out.")
        if option not in known:
            raise unknown_name(f"option of {kind}", option, known)
    return make(path, **options) if path else make(**options)


def named(name: str) -> tuple[str, str, dict[str, str]]:
    """Return kind, path and options of a data set's name, without loading anything.

    Raises InputError for an unknown kind, a missing or needless path, and a path that does not exist.
    """
    options: dict[str, str] = {}
    place = name
    while (match := OPTION.search(place)) and not at_home(place).exists():
        options = {match[1]: match[2]} | options
        place = place[: match.start()]
    kind, colon, path = place.partition(":")
    known = kind in DATASETS and (not path or at_home(path).exists())
    if colon and not known and at_home(place).exists():  # such as 12:30.mp4
        kind, colon, path = place, "", ""
    if not colon and kind not in PATHLESS:
        kind, path = "clip" if is_film(at_home(place)) else "folder", place
        if kind == "folder" and (at_home(place) / "shards.json").is_file():
            kind = "shards"
        if kind == "folder" and not at_home(place).exists() and "/" not in place:
            raise _no_folder(place)
    if kind not in DATASETS:
        raise unknown_name("kind of data set", kind, DATASETS)
    if (kind in PATHLESS) == bool(path):
        raise InputError(f"{name!r} does not fit; motorcycle takes no path, every other kind needs one: {kind}:PATH.")
    if kind == "shards":
        path = re.sub(r"^(\w+):/+", r"\1://", path)  # a Path has lost one of the two
    if path and not (kind == "shards" and "://" in path) and not at_home(path).exists():
        needed = "file" if path.lower().endswith(CLIPS) else "folder of a data set"
        raise InputError(f"{path} does not exist; give the {needed}.")
    return kind, path, options


def is_clip(name: str) -> bool:
    """Return whether a name means a film, or a folder of numbered frames and nothing else, as `named` takes it."""
    kind, path, _ = named(name)
    place = at_home(path)
    if kind == "clip":
        return not (place / "dataset.json").exists()
    if kind != "folder" or name.startswith("folder:") or not place.is_dir():
        return False
    there = [entry.name.lower() for entry in place.iterdir()]
    rig = any(entry in there for entry in ("dataset.json", "calibration.json", "left", "right"))
    return not rig and any(re.search(r"\d\D*$", Path(entry).stem) and entry.endswith(PHOTOS) for entry in there)


def is_single(name: str) -> bool:
    """Return whether a data set's pictures have no second view, as far as its name tells, as `named` takes it."""
    kind, _, options = named(name)
    return kind in SINGLE or (kind == "seven_scenes" and options.get("sources", "none") == "none")


def named_panoramas(name: str) -> str:
    """Return the full name of a data set of panoramas: of a plain folder or a film, `panoramas:PATH`, unless it is a
    folder that `cyclopean render` wrote."""
    place = at_home(name)
    plain = place.is_dir() and not (place / "dataset.json").exists()
    return f"panoramas:{name}" if plain or (place.is_file() and is_film(place)) else name


def same_data(one: str, other: str) -> bool:
    """Return whether two names of data sets mean the same items: one kind, one place and the same options."""
    try:
        (kind, path, options), (other_kind, other_path, other_options) = named(one), named(other)
    except InputError:  # what is not there any more is not the same
        return False
    places = (at_home(place).resolve() for place in (path, other_path))
    return (kind, options) == (other_kind, other_options) and next(places) == next(places)


def _no_folder(place: str) -> InputError:
    """Return the error for what is not a folder: perhaps the name of a kind, right or misspelt."""
    if place in DATASETS:
        return InputError(f"{place} needs the folder of the data set; write {place}:PATH.")
    near = difflib.get_close_matches(place, set(DATASETS) - {"folder"}, n=1, cutoff=0.8)
    hint = "see docs/data.md for the kinds."
    if near:
        hint = f"did you mean {near[0] if near[0] in PATHLESS else f'{near[0]}:PATH'!r}?"
    return InputError(
        f"there is no folder {place!r}; check the path. Data of another kind is written KIND:PATH, such as "
        f"kitti_raw:PATH; {hint}"
    )
