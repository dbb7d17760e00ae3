"""Pictures in folders: what `cyclopean render` writes, and stereo pairs of your own. Formats in docs/data.md."""

import logging
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cyclopean.data.base import Files, Items, implausible, known_above_zero, uncalibrated, unknown_depth
from cyclopean.data.files import (
    FULL,
    Depth,
    Size,
    check_fits,
    counted,
    entry,
    existing_folder,
    image_size,
    is_finite,
    is_positive,
    list_images,
    pictures_among,
    png_header,
    read_counts,
    read_depth,
    read_mask,
    read_object,
    read_pose,
    read_positive,
    read_views,
    refuse_unknown,
    shown_value,
)
from cyclopean.errors import InputError
from cyclopean.geometry import Camera, Equirectangular, Pinhole, size_of, translation
from cyclopean.io.decoding import read_image
from cyclopean.io.files import shortened
from cyclopean.sample import Sample, view
from cyclopean.synthetic import FAMILIES

# Names of the two folders of a stereo set, in use by well-known data sets.
PAIRS = (("left", "right"), ("image_l", "image_r"), ("image_02", "image_03"), ("image_2", "image_3"), ("im0", "im1"))
DEPTHS = (".npy", ".npz", ".exr", ".pfm", ".png")
BESIDE = ("depth", "ids", "moving")  # folders that an item may have besides its views
LOG = logging.getLogger(__name__)
KEYS = (  # of a calibration.json
    *("baseline_m", "focal_px", "width", "height", "center_px", "center_right_px", "doffs", "focal", "center"),
    *("center_right", "depth_scale", "far"),
)
AGREE = 0.01  # by how much two statements of one thing may differ: a share, or of the image
LONGEST = 100  # characters of a folder's name
APART_PX = 0.5  # the same of principal points, in pixels
CAMVID = "701_StillsRaw_full"  # of the release; its labels lie in other folders


class FolderDataset(Items):
    """Items of a folder on disc, each a `Sample` of batch 1.

    Two layouts: a folder with `dataset.json` (rendered worlds: stereo, clip or sphere), or a left and a right folder of
    rectified pictures with one `calibration.json`. All these names may be in capitals. Depth is in metres, NaN where
    unknown (everywhere, without depth files) and inf for sky; the target is invalid where it shows a moving object.
    Names are `family/stem` for worlds.

    Items of an unfinished rendering, still without a camera file, are passed over. Raises `InputError` for an empty
    folder and a missing calibration at once; for an item without its partner, of two sizes, or with a damaged file when
    it is read (`base.usable_part` leaves such items out by name).
    """

    def __init__(self, path: Path | str) -> None:
        self.path = existing_folder(path)
        rendered = entry(self.path, "dataset.json").exists()
        self.description = _described(self.path) if rendered else _stereo(self.path)
        self.views: list[str] = self.description["views"]
        self.target: str = self.description["target"]
        folders = (*self.views, *BESIDE, *(["camera"] if rendered else []))
        self._places = {name: entry(self.path, name) for name in (*folders, "calibration.json")}
        for name in self.views:
            if not self._places[name].is_dir():
                raise InputError(f"{self.path} lacks the folder {name!r} that its dataset.json names.")
        self._pictures = {name: list_images(self._places[name]) for name in self.views}
        targets = self._pictures[self.target]
        self.items = [s for s in targets if not rendered or (self._places["camera"] / f"{s}.json").exists()]
        if not self.items:
            raise InputError(
                f"{self.path} holds no finished item (camera/*.json comes last); run cyclopean render again."
            )
        if not rendered:
            _check_names(self._pictures)
        # files that belong to no item: misnamed truth would leave its item unlabelled in silence
        lost = [p for name in self.views for s, p in self._pictures[name].items() if s not in targets]
        self._depths: dict[str, Path] = {}
        unread = []
        if self._places["depth"].is_dir():
            depths = sorted(p for p in self._places["depth"].iterdir() if p.name[0] != ".")
            lost += [p for p in depths if p.stem not in targets or p.suffix.lower() not in DEPTHS]
            files = [p for p in depths if p.stem in targets and p.suffix.lower() in DEPTHS]
            for file in sorted(files, key=lambda p: DEPTHS.index(p.suffix.lower())):
                if self._depths.setdefault(file.stem, file) != file:
                    unread.append(file)
        masks = [p for name in ("ids", "moving") for p in sorted(self._places[name].glob("[!.]*"))]
        masks = [p for p in masks if p.stem not in targets or p.suffix != ".png"]
        others = sorted(p for p in self.path.iterdir() if p.is_dir() and p not in self._places.values())
        first = f"their pictures have another depth file, which is read (first of {', '.join(DEPTHS)})"
        for why, paths, remedy in (
            (first, unread, "; remove one of them"),
            (f"no {self.target} picture has their name, or they are not depth files", lost, ""),
            (f"no {self.target} picture has their name, or they are not .png", masks, ""),
            (f"of folders only {', '.join(folders)} are read", [p for p in others if p.name[0] != "."], ""),
        ):
            if paths:
                names = [path.relative_to(self.path).as_posix() for path in paths]
                LOG.warning("%s: left out, since %s: %s%s.", self.path, why, counted(names), remedy)
        self.calibration = None if rendered else _calibration(self.path, [targets[stem] for stem in self.items])

    def __getitem__(self, index: int) -> Sample:
        stem = self.items[index]
        names = [self.target, *(name for name in self.views if name != self.target)]
        images = dict(zip(names, read_views(self.files(index).pictures), strict=True))
        size = size_of(images[self.target])
        here: Camera
        there: Camera
        if self.calibration is not None:
            _check_shape(self.calibration, self._pictures[self.target][stem], size)
            here, there, baseline = _rig(self.calibration, self._places["calibration.json"], size)
            poses = dict.fromkeys(names, translation(torch.tensor([[-baseline, 0.0, 0.0]])))
            name = stem
        else:
            path = self._places["camera"] / f"{stem}.json"
            values = read_object(path)
            here = there = _camera(values, path)
            poses = {name: _pose(values, name, path) for name in names[1:]}
            name = f"{values['family']}/{stem}" if values.get("family") else stem
        target = view(images[self.target], here)
        moving = self._places["moving"] / f"{stem}.png"
        if moving.exists():  # 255 where an object moves
            target = replace(target, valid=read_mask(moving, size) < 0.5)
        sources = tuple(view(images[name], there, poses[name]) for name in self.views if name != self.target)
        depth, filed = unknown_depth(size), self._depths.get(stem)
        if filed is not None:
            depth, saturated = self._read_depth(filed)
            check_fits(filed, size_of(depth), size)
            depth = torch.where(saturated, torch.nan, known_above_zero(depth))
        return Sample(target, sources, depth, name=(name,))

    def far(self, index: int) -> float:
        """Return "far" of the item's JSON file; else by family; else 80 metres."""
        values = self.description if self.calibration is None else self.calibration
        if is_positive(values.get("far")):
            return float(values["far"])
        if self.calibration is not None:
            return self.most_depth
        family = read_object(self._places["camera"] / f"{self.items[index]}.json").get("family")
        known = FAMILIES.get(str(family))
        return self.most_depth if known is None else known.far

    def files(self, index: int) -> Files:
        """Return target, then the other views; camera or calibration, and the depth if there is any."""
        stem = self.items[index]
        pictures = [self._pictures[self.target][stem]]
        for name in self.views:
            if name != self.target:  # a missing one would have the name of the target's
                pictures.append(self._pictures[name].get(stem, self._places[name] / pictures[0].name))
        camera = self._places["calibration.json"] if self.calibration else self._places["camera"] / f"{stem}.json"
        depth = self._depths.get(stem)
        return Files(tuple(pictures), (camera, *([depth] if depth else [])))

    def check(self, index: int) -> None:
        """Raise InputError also for pictures of another shape than calibrated, and for depth pictures of few bits."""
        super().check(index)
        files = self.files(index)
        if self.calibration is not None:
            _check_shape(self.calibration, files.pictures[0], image_size(files.pictures[0]))
        for depth in files.others[1:]:
            if depth.suffix.lower() == ".png" and (header := png_header(depth)) and header[0] != 16:
                self._read_depth(depth)

    def objects(self, index: int) -> Int[Tensor, "1 1 h w"]:
        """Return the number of the object that each pixel of the target shows; 0 for ground, walls and sky."""
        path = self._places["ids"] / f"{self.items[index]}.png"
        if not path.exists():
            raise InputError(f"there is no {path}, which says what each pixel shows; render the folder again.")
        return read_counts(path, 16).to(torch.int32)

    def filed_depth(self, index: int) -> Depth | None:
        """Return the target's depth as its file has it, None without a file."""
        path = self._depths.get(self.items[index])
        return None if path is None else self._read_depth(path)[0]

    def _read_depth(self, path: Path) -> tuple[Depth, Bool[Tensor, "1 1 h w"]]:
        """Return depth in metres, and where it is farther than the file can hold, or unknown: 65535 of a picture."""
        if path.suffix.lower() != ".png":
            depth = read_depth(path)
            return depth, torch.zeros_like(depth, dtype=torch.bool)
        scale = (self.calibration or self.description).get("depth_scale", 0.0)
        if not is_positive(scale):
            raise InputError(
                f'{path} is a depth picture without a unit; add "depth_scale" (metres per count) to calibration.json.'
            )
        counts = read_counts(path, 16)
        return counts * scale, counts == FULL


def _described(folder: Path) -> dict[str, Any]:
    path = entry(folder, "dataset.json")
    values = read_object(path)
    if values.get("format") != "cyclopean-folder" or values.get("version") != 1:
        raise InputError(
            f"{path} has format {_short(values.get('format'))} version {_short(values.get('version'))}; "
            "this version of cyclopean reads 'cyclopean-folder' version 1."
        )
    views, target = values.get("views"), values.get("target")

    def is_plain(name: object) -> bool:
        """Return whether this is the name of a folder, with no way to another place."""
        return isinstance(name, str) and len(name) < LONGEST and Path(name).name == name

    if not isinstance(views, list) or not all(map(is_plain, views)) or target not in views:
        raise InputError(
            f'{path} names views {_short(views)} and target {_short(target)}; "views" must be a list of names with the '
            "target in it."
        )
    return values


def _stereo(folder: Path) -> dict[str, Any]:
    for left, right in PAIRS:
        if entry(folder, left).is_dir() and entry(folder, right).is_dir():
            return {"views": [left, right], "target": left}
    if not any(folder.iterdir()):
        raise InputError(
            f"{folder} is empty; it needs a dataset.json (see cyclopean render), or folders left and right."
        )
    one = next((name for names in PAIRS for name in names if entry(folder, name).is_dir()), None)
    raise InputError(
        f"{folder} has neither a dataset.json (see cyclopean render) nor folders left and right"
        f"{f', of which it has {one} alone' if one else ''}; else its kind stands in front of it: clip:{folder} for "
        "numbered frames, pictures: for single pictures, middlebury: and others for what was published (docs/data.md)."
    )


def _check_names(pictures: dict[str, dict[str, Path]]) -> None:
    """Raise InputError if no picture of the left folder has a partner: recorders put the view into the names, too."""
    left, right = pictures.values()
    if not left.keys() & right.keys():
        one, other = (next(iter(paths.values())) for paths in (left, right))
        raise InputError(
            f"no picture in {one.parent} has a partner in {other.parent}: both of a pair need one name, and these are "
            f"called {one.name}, ... and {other.name}, ...; rename them."
        )


def _calibration(folder: Path, pictures: list[Path]) -> dict[str, Any]:
    """Return what a `calibration.json` states, checked against the first picture that has its shape.

    A single picture of another shape counts as damaged.
    """
    path = entry(folder, "calibration.json")
    values = read_object(path) if path.exists() else {}
    for picture in pictures:
        with suppress(InputError):
            height, width = image_size(picture)
            _check_shape(values, picture, (height, width))
            break
    else:
        height, width = image_size(pictures[0])
    if not path.exists():
        raise InputError(
            f'{path} is missing; write {{"focal_px": F, "width": {width}, "baseline_m": B}} with your camera\'s '
            f"focal length in pixels and baseline in metres, or, uncalibrated, "
            f'{{"focal": [1, {width / height:.6g}], "baseline_m": 1}}.'
        )
    refuse_unknown(values, KEYS, path)
    for key, meaning in (("depth_scale", "metres per count"), ("far", "metres")):
        if key in values:
            read_positive(values, key, meaning, path)
    camera, _, baseline = _rig(values, path, (height, width))
    if unusual := implausible(camera, baseline, width):
        LOG.warning("%s states %s; check its unit.", path, unusual)
    return values


def _rig(values: dict[str, Any], path: Path, size: Size) -> tuple[Pinhole, Pinhole, float]:
    """Return left camera, right camera and baseline of a `calibration.json`, for pictures of `size` (height, width).

    Pixel coordinates count from the centre of the first pixel, of pictures of `width`: these may be smaller. Whatever
    is stated twice must agree.
    """
    height, width = size
    baseline = read_positive(values, "baseline_m", "a length in metres", path)
    stated = read_positive(values, "width", "a number of pixels", path) if "width" in values else float(width)
    if "height" in values:
        tall = read_positive(values, "height", "a number of pixels", path)
        _check_agree(path, ("width / height", stated / tall), ("the pictures'", width / height), AGREE * width / height)
    in_px = {key: values[key] for key in ("focal_px", "center_px", "center_right_px", "doffs") if key in values}
    if in_px and "width" not in values:
        raise InputError(
            f'{path} has "{next(iter(in_px))}" and lacks "width", of the calibrated picture in pixels (these may be '
            f'smaller); add "width": {width} if it is that of the pictures here.'
        )
    shape = width / height

    def both(key: str, usual: list[float] | None, half: float) -> list[float] | None:
        """Return `key` in image widths and heights, from itself or from its twin in pixels."""
        from_px = None
        if f"{key}_px" in values:
            number = values[f"{key}_px"]
            alike = [number, number] if key == "focal" and is_finite(number) else number
            meaning = "or one of them for both, in pixels" if key == "focal" else "pixels across and down"
            x, y = _two_numbers(alike, f"{key}_px", meaning, path)
            from_px = [(x + half) / stated, (y + half) / stated * shape]
        if key in values:
            u, v = _two_numbers(values[key], key, "in image widths and heights", path)
            for a, b in zip(from_px or (u, v), (u, v), strict=True):
                _check_agree(path, (key, b), (f"{key}_px", a), AGREE)
            return [u, v]
        return from_px or usual

    focal = both("focal", None, 0.0)
    if focal is None:
        raise InputError(
            f'{path} has no focal length; it needs "focal_px" and "width" (pixels), or "focal": [fu, fv] in image '
            "widths and heights."
        )
    center = both("center", [0.5, 0.5], 0.5) or [0.5, 0.5]
    right = both("center_right", None, 0.5)
    if "doffs" in values:
        if not is_finite(values["doffs"]):
            raise InputError(f'{path} has "doffs": {shown_value(values["doffs"])}; it needs a number of pixels.')
        if right is not None:
            apart = (right[0] - center[0]) * stated
            _check_agree(path, ("doffs", float(values["doffs"])), ("the principal points' distance", apart), APART_PX)
        right = right or [center[0] + values["doffs"] / stated, center[1]]
    eyes = [_pinhole(focal, place, path) for place in (center, right or center)]
    return eyes[0], eyes[1], baseline


def _check_shape(values: dict[str, Any], picture: Path, size: Size) -> None:
    """Raise InputError, naming the picture, unless it has the shape that a `calibration.json` states, if it does."""
    width, height = values.get("width"), values.get("height")
    if is_positive(width) and is_positive(height):
        shape = size[1] / size[0]
        if abs(width / height - shape) > AGREE * shape:  # type: ignore[operator]
            raise InputError(
                f"{picture} has {size[1]}x{size[0]} pixels, another shape than the {width:g}x{height:g} of its "
                "calibration.json; crop it, remove it, or mend the calibration."
            )


def _check_agree(path: Path, one: tuple[str, float], other: tuple[str, float], most: float) -> None:
    """Raise InputError if two named numbers, which mean one thing, differ by more than `most`."""
    if abs(one[1] - other[1]) > most:
        raise InputError(
            f"{path} contradicts itself: {one[0]} is {one[1]:.6g} and {other[0]} {other[1]:.6g}; mend whichever is "
            "wrong."
        )


def _camera(values: dict[str, Any], path: Path) -> Camera:
    kind = values.get("camera")
    if kind == "equirectangular":
        return Equirectangular()
    if kind == "pinhole":
        return _pinhole(values.get("focal"), values.get("center"), path)
    raise InputError(f"{path} has camera {_short(kind)}; it needs 'pinhole' or 'equirectangular'.")


def _pinhole(focal: Any, center: Any, path: Path) -> Pinhole:
    fu, fv = _two_numbers(focal, "focal", "in image widths and heights", path)
    if min(fu, fv) <= 0:
        raise InputError(f'{path} has "focal": {shown_value(focal)}; focal lengths are above 0.')
    cu, cv = _two_numbers(center, "center", "in image widths and heights", path)
    return Pinhole(torch.tensor([[fu, fv]], dtype=torch.float32), torch.tensor([[cu, cv]], dtype=torch.float32))


def _pose(values: dict[str, Any], name: str, path: Path) -> Float[Tensor, "1 4 4"]:
    poses = values.get("from_target")
    try:
        pose = np.array(poses[name], np.float64).reshape(4, 4)  # type: ignore[index]
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise InputError(
            f'{path} has "from_target": {_short(poses)}; it needs an object with a 4x4 matrix for the view {name!r}.'
        ) from error
    return torch.tensor(read_pose(path, pose), dtype=torch.float32)[None]


def _two_numbers(value: Any, key: str, meaning: str, path: Path) -> tuple[float, float]:
    if not (isinstance(value, list) and len(value) == 2 and all(is_finite(x) for x in value)):
        raise InputError(f'{path} has "{key}": {shown_value(value)}; it needs a list of two numbers, {meaning}.')
    return float(value[0]), float(value[1])


def _short(value: Any) -> str:
    return shortened(repr(value), 60)


class PicturesDataset(Items):
    """Every picture below `path`, or below CamVid's `701_StillsRaw_full` in it. No second view, no depth.

    The focal length is assumed to be one picture width. Names are paths without suffix.
    """

    def __init__(self, path: Path | str) -> None:
        root = existing_folder(path)
        self.root = root / CAMVID if (root / CAMVID).is_dir() else root
        self.items = pictures_among(self.root.rglob("*"), self.root)

    def __getitem__(self, index: int) -> Sample:
        image = read_image(self.items[index])
        name = self.items[index].relative_to(self.root).with_suffix("").as_posix()
        return Sample(view(image, uncalibrated(size_of(image))), (), unknown_depth(size_of(image)), name=(name,))

    def files(self, index: int) -> Files:
        return Files((self.items[index],))
