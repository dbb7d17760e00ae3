"""Pictures in folders: what `cyclopean render` writes, and stereo pairs of your own. Formats in docs/data.md."""

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from cyclopean.data.items import Files
from cyclopean.data.reading import (
    existing_folder,
    image_size,
    is_finite,
    is_positive,
    list_images,
    read_array,
    read_counts,
    read_json,
    read_positive,
    read_views,
)
from cyclopean.data.rigs import fitting, known_above_zero, size_of, unknown_depth
from cyclopean.errors import InputError
from cyclopean.geometry import Camera, Equirectangular, Pinhole, translation
from cyclopean.sample import Sample, View, view

# Names of the two folders of a stereo set, in use by well-known data sets.
PAIRS = (("left", "right"), ("image_l", "image_r"), ("image_02", "image_03"), ("image_2", "image_3"), ("im0", "im1"))
FAR = {"street": 80.0, "landscape": 80.0, "room": 20.0, "table": 80.0, "clutter": 20.0}


class FolderDataset(Dataset[Sample]):
    """Items of a folder on disc, each a `Sample` of batch 1.

    Two layouts: a folder with `dataset.json` (rendered worlds: stereo, clip or sphere), or a left and a right folder of
    rectified pictures with one `calibration.json`. Depth is in metres, NaN where unknown (everywhere, without depth
    files) and inf for sky; the target is invalid where it shows a moving object. Names are `family/stem` for worlds.

    Items of an unfinished rendering, still without a camera file, are passed over. Raises `InputError` for an empty
    folder and a missing calibration at once; for an item without its partner, of two sizes, or with a damaged file when
    it is read (`items.sound_part` leaves such items out by name).
    """

    def __init__(self, path: Path | str) -> None:
        self.path = existing_folder(path)
        described = (self.path / "dataset.json").exists()
        self.description = _described(self.path) if described else _stereo(self.path)
        self.views: list[str] = self.description["views"]
        self.target: str = self.description["target"]
        files = {name: list_images(_subfolder(self.path, name)) for name in self.views}
        self.stems = [s for s in files[self.target] if not described or (self.path / "camera" / f"{s}.json").exists()]
        if not self.stems:
            raise InputError(
                f"{self.path} holds no finished item (camera/*.json comes last); run cyclopean render again."
            )
        self._pictures = files
        self.calibration = None if described else _calibration(self.path, files[self.target][self.stems[0]])

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, index: int) -> Sample:
        stem = self.stems[index]
        names = [self.target, *(name for name in self.views if name != self.target)]
        images = dict(zip(names, read_views(self.files(index).pictures), strict=True))
        size = size_of(images[self.target])
        camera, poses, family = self._cameras(stem, size)
        target = _without_moving(view(images[self.target], camera), self.path / "moving" / f"{stem}.png")
        sources = tuple(view(images[name], camera, poses(name)) for name in self.views if name != self.target)
        name = f"{family}/{stem}" if family else stem
        return Sample(target, sources, self._depth(stem, size), name=(name,))

    def far(self, index: int) -> float:
        """The largest depth that counts when judging, metres: "far" of its JSON file, else by family, else 80."""
        values = self.description if self.calibration is None else self.calibration
        if is_positive(values.get("far")):
            return float(values["far"])
        family = self._camera_file(self.stems[index]).get("family") if self.calibration is None else None
        return FAR.get(str(family), 80.0)

    def files(self, index: int) -> Files:
        """Target, then the other views; camera or calibration, and the depth if there is any."""
        stem = self.stems[index]
        names = [self.target, *(name for name in self.views if name != self.target)]
        camera = self.path / "calibration.json" if self.calibration else self.path / "camera" / f"{stem}.json"
        depth = self._depth_file(stem)
        return Files(tuple(self._picture(name, stem) for name in names), (camera, *([depth] if depth else [])))

    def _picture(self, name: str, stem: str) -> Path:
        """The picture of a view; one that is missing would be called like the target's."""
        return self._pictures[name].get(stem, self.path / name / self._pictures[self.target][stem].name)

    def _cameras(self, stem: str, size: tuple[int, int]) -> tuple[Camera, Callable[[str], Tensor], str]:
        if self.calibration is not None:
            camera, baseline = _rig(self.calibration, self.path / "calibration.json", size)
            return camera, lambda _: translation(torch.tensor([[-baseline, 0.0, 0.0]])), ""
        path = self.path / "camera" / f"{stem}.json"
        values = self._camera_file(stem)
        return _camera(values, path), lambda name: _pose(values, name, path), str(values.get("family", ""))

    def _camera_file(self, stem: str) -> dict[str, Any]:
        return read_json(self.path / "camera" / f"{stem}.json")

    def _depth(self, stem: str, size: tuple[int, int]) -> Float[Tensor, "1 1 h w"]:
        path = self._depth_file(stem)
        if path is None:
            return unknown_depth(size)
        return fitting(self._counts_to_metres(path) if path.suffix == ".png" else read_array(path), size, path)

    def _depth_file(self, stem: str) -> Path | None:
        paths = (self.path / "depth" / f"{stem}{suffix}" for suffix in (".npy", ".npz", ".png"))
        return next((path for path in paths if path.exists()), None)

    def _counts_to_metres(self, path: Path) -> Float[Tensor, "1 1 h w"]:
        scale = (self.calibration or self.description).get("depth_scale", 0.0)
        if not is_positive(scale):
            raise InputError(
                f'{path} is a depth picture without a unit; add "depth_scale" (metres per count) to calibration.json.'
            )
        counts = read_counts(path)
        return known_above_zero(counts) * scale


def _described(folder: Path) -> dict[str, Any]:
    path = folder / "dataset.json"
    values = read_json(path)
    if values.get("format") != "cyclopean-folder" or values.get("version") != 1:
        raise InputError(
            f"{path} has format {values.get('format')!r} version {values.get('version')!r}; "
            "this version of cyclopean reads 'cyclopean-folder' version 1."
        )
    views, target = values.get("views"), values.get("target")
    if not isinstance(views, list) or not all(isinstance(name, str) for name in views) or target not in views:
        raise InputError(
            f'{path} names views {views} and target {target!r}; "views" must be a list of names with the target in it.'
        )
    return values


def _stereo(folder: Path) -> dict[str, Any]:
    for left, right in PAIRS:
        if (folder / left).is_dir() and (folder / right).is_dir():
            return {"views": [left, right], "target": left}
    if not any(folder.iterdir()):
        raise InputError(
            f"{folder} is empty; it needs a dataset.json (see cyclopean render), or folders left and right."
        )
    raise InputError(
        f"{folder} has neither a dataset.json (see cyclopean render) nor folders left and right; see docs/data.md."
    )


def _subfolder(folder: Path, name: str) -> Path:
    if not (folder / name).is_dir():
        raise InputError(f"{folder} lacks the folder {name!r} that its dataset.json names.")
    return folder / name


def _calibration(folder: Path, picture: Path) -> dict[str, Any]:
    path = folder / "calibration.json"
    if path.exists():
        return read_json(path)
    height, width = image_size(picture)
    raise InputError(
        f'{path} is missing; write {{"focal_px": F, "width": {width}, "baseline_m": B}} with your camera\'s '
        f"focal length in pixels and baseline in metres, or, uncalibrated, "
        f'{{"focal": [1, {width / height:.6g}], "baseline_m": 1}}.'
    )


def _rig(values: dict[str, Any], path: Path, size: tuple[int, int]) -> tuple[Pinhole, float]:
    """Camera and baseline of a `calibration.json`. Pixel coordinates count from the centre of the first pixel."""
    height, width = size
    baseline = read_positive(values, "baseline_m", "a length in metres", path)
    if "focal" in values:
        focal, center = values["focal"], values.get("center", [0.5, 0.5])
    elif is_positive(values.get("focal_px")) and is_positive(values.get("width")):
        scale = width / values["width"]  # the calibrated picture may have been larger than these
        focal = [values["focal_px"] * scale / width, values["focal_px"] * scale / height]
        center = [0.5, 0.5]
        if values.get("center_px") is not None:
            px, py = _two_numbers(values["center_px"], "center_px", "pixels across and down", path)
            center = [(px + 0.5) * scale / width, (py + 0.5) * scale / height]
    else:
        raise InputError(
            f'{path} has no focal length; it needs "focal_px" and "width" (pixels), or "focal": [fu, fv] in image '
            "widths and heights."
        )
    return Pinhole(_pair(focal, "focal", path), _pair(center, "center", path)), baseline


def _camera(values: dict[str, Any], path: Path) -> Camera:
    kind = values.get("camera")
    if kind == "equirectangular":
        return Equirectangular()
    if kind == "pinhole":
        return Pinhole(_pair(values.get("focal"), "focal", path), _pair(values.get("center"), "center", path))
    raise InputError(f"{path} has camera {kind!r}; it needs 'pinhole' or 'equirectangular'.")


def _pose(values: dict[str, Any], name: str, path: Path) -> Float[Tensor, "1 4 4"]:
    poses = values.get("from_target")
    try:
        pose = torch.tensor(poses[name], dtype=torch.float32).reshape(1, 4, 4)  # type: ignore[index]
    except (TypeError, KeyError, ValueError, RuntimeError, OverflowError) as error:
        raise InputError(
            f'{path} has "from_target": {_short(poses)}; it needs an object with a 4x4 matrix for the view {name!r}.'
        ) from error
    if not pose.isfinite().all():
        raise InputError(f'{path} has numbers that are not finite in "from_target" of {name!r}; mend or remove it.')
    return pose


def _pair(value: Any, key: str, path: Path) -> Float[Tensor, "1 2"]:
    u, v = _two_numbers(value, key, "in image widths and heights", path)
    if key == "focal" and min(u, v) <= 0:
        raise InputError(f'{path} has "focal": {value!r}; focal lengths are above 0.')
    return torch.tensor([[u, v]], dtype=torch.float32)


def _two_numbers(value: Any, key: str, meaning: str, path: Path) -> tuple[float, float]:
    if not (isinstance(value, list) and len(value) == 2 and all(is_finite(x) for x in value)):
        raise InputError(f'{path} has "{key}": {_short(value)}; it needs a list of two numbers, {meaning}.')
    return float(value[0]), float(value[1])


def _short(value: Any) -> str:
    return textwrap.shorten(repr(value), 60, placeholder=" ...")


def _without_moving(target: View, path: Path) -> View:
    """`target`, invalid where the mask of moving objects is set (255), if there is one."""
    if not path.exists():
        return target
    size = (target.image.shape[-2], target.image.shape[-1])
    still = fitting(read_counts(path), size, path) < 128
    return View(target.image, target.seen, target.camera, target.from_target, target.window, still)
