"""The base of data sets of files: items, damaged ones among them, cameras, rectified pairs and true depth."""

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch.utils.data import Dataset, Subset

from cyclopean.data.files import (
    Depth,
    Size,
    check_fits,
    check_one_size,
    check_whole,
    finite,
    image_size,
    is_archive,
    map_size,
)
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, translation
from cyclopean.io.depth_formats import known_depth
from cyclopean.sample import OneImage, Sample, View, view

LOG = logging.getLogger(__name__)
NAMED = 5  # of many left out, so many are named in a log
Item = TypeVar("Item")


@dataclass(frozen=True)
class Files:
    """The files of an item: its pictures, which need one size, and calibration and truth beside them (what is a
    picture or an array among those, a map of depth or a mask, needs the size of the pictures)."""

    pictures: tuple[Path, ...]
    others: tuple[Path, ...] = ()


class Items(Dataset[Sample], ABC):
    """A data set of files. A damaged item keeps its number, so that lists and result arrays stay aligned: reading it
    raises `InputError` with the name of the file.

    `items` is one entry for each item, of whatever the reader needs; `most_depth` the largest depth that counts when
    the data set is judged by a protocol without a cap of its own, in metres.
    """

    items: Sequence[Any]
    most_depth: float = 80.0

    def __len__(self) -> int:
        return len(self.items)

    @abstractmethod
    def __getitem__(self, index: int) -> Sample:
        """Return item `index`, batch 1."""

    @abstractmethod
    def files(self, index: int) -> Files:
        """Return the files of item `index`: pictures (target first), then calibration, then truth if there is any."""

    def check(self, index: int) -> None:
        """Raise InputError if the files of item `index` are missing or damaged, by their first and last bytes."""
        check_files(self.files(index))

    def far(self, index: int) -> float:  # noqa: ARG002
        """Return the largest depth of item `index` that counts, metres. It differs between the items of some sets
        (rooms and streets in one folder), so that no protocol can state it."""
        return self.most_depth

    def rig_key(self, index: int) -> Hashable:
        """Return a key by which the rig of item `index` differs from others: its calibration files; equal for items of
        one rig.
        """
        return tuple(path for path in self.files(index).others if path.suffix in (".json", ".txt"))

    def filed_depth(self, index: int) -> Depth | None:  # noqa: ARG002
        """Return the target's depth as its file has it, also what lies too far to count; None where the sample's own
        depth is that, or without a file."""
        return None


def nonempty(items: Iterable[Item], path: Path | str, kind: str, needs: str) -> list[Item]:
    """Return `items` as a list. Raises InputError if the data set at `path` holds none of the `kind`."""
    listed = list(items)
    if not listed:
        packed = [file.name for file in Path(path).glob("*") if is_archive(file)] if path else []
        first = f"; unpack {', '.join(packed[:NAMED])} first" if packed else ""
        raise InputError(f"{path} holds no {kind}; it needs {needs}{first}.")
    return listed


def check_files(files: Files) -> None:
    """Raise `InputError` for the first file that is missing or empty, for pictures and arrays that are cut short or
    without a header, and for sizes that differ. Reads their first and last bytes only."""
    check_one_size(files.pictures)
    for path in files.others:
        size = map_size(path)
        if size is not None and files.pictures:
            check_fits(path, size, image_size(files.pictures[0]))
    for path in (*files.pictures, *files.others):
        check_whole(path)


def usable_items(data: Items) -> tuple[list[int], list[str]]:
    """Return the numbers of the items that pass `check`, and a sentence for each other item."""
    good: list[int] = []
    bad: list[str] = []
    for index in range(len(data)):
        try:
            data.check(index)
            good.append(index)
        except InputError as error:
            bad.append(str(error))
    return good, bad


def usable_part(data: Items) -> Dataset[Sample]:
    """Return `data` without the items whose files are missing or damaged, which are counted and named in the log."""
    good, bad = usable_items(data)
    if not bad:
        return data
    if not good:
        raise none_usable(bad)
    LOG.warning("%d of %d items are left out: %s", len(bad), len(data), first_of(bad))
    return Subset(data, good)


def none_usable(problems: Sequence[str]) -> InputError:
    """Return the error of data of which every item that was opened has one of `problems`."""
    return InputError(f"none of {len(problems)} items can be used: {first_of(problems)}")


def first_of(problems: Sequence[str]) -> str:
    """Return the first sentences of many, and how many more there are."""
    more = f" And {len(problems) - NAMED} more; cyclopean check names them all." if len(problems) > NAMED else ""
    return " ".join(problems[:NAMED]) + more


# Pairs that people and cars carry: 20 px of disparity are between 3 cm and 1 km away, at a baseline of 0.5 mm to 5 m.
USUAL_PX, NEAREST, FARTHEST, SHORTEST, LONGEST = 20.0, 0.03, 1000.0, 0.0005, 5.0
EDGE = 0.02  # of the picture: where no principal point lies, unless a small part was cut out
WIDEST, LONG = 0.15, 20.0  # focal lengths in image widths: 147 degrees across, and a long telephoto lens


def pinhole_px(matrix: Float[np.ndarray, "3 columns"], size: Size, path: Path) -> Pinhole:
    """Return the camera of a 3x3 or 3x4 matrix in pixels of a picture of `size` (height, width), read from `path`.

    Calibration files count from the centre of the first pixel, `uv` from its corner: hence the half. Raises InputError
    for numbers that are not finite and for focal lengths that are not above 0.
    """
    with np.errstate(over="ignore"):
        finite(path, "its camera", np.asarray(matrix, np.float32))
    if not min(matrix[0, 0], matrix[1, 1]) > 0:
        raise InputError(
            f"{path} has focal lengths {matrix[0, 0]:g} and {matrix[1, 1]:g}; they are above 0, in pixels."
        )
    height, width = size
    focal = [[matrix[0, 0] / width, matrix[1, 1] / height]]
    center = [[(matrix[0, 2] + 0.5) / width, (matrix[1, 2] + 0.5) / height]]
    return Pinhole(torch.tensor(focal, dtype=torch.float32), torch.tensor(center, dtype=torch.float32))


def intrinsics(focal_x: float, focal_y: float, center_x: float, center_y: float) -> Float[np.ndarray, "3 3"]:
    """Return the matrix of a camera in pixels."""
    return np.array([[focal_x, 0, center_x], [0, focal_y, center_y], [0, 0, 1]], np.float64)


def uncalibrated(size: Size) -> Pinhole:
    """Return the camera of pictures without calibration: a focal length of one width, the centre in the middle.

    With a baseline of 1 a disparity is then an inverse depth in units of its own, and depth is known up to scale.
    """
    return Pinhole(torch.tensor([[1.0, size[1] / size[0]]]), torch.tensor([[0.5, 0.5]]))


def unknown_depth(size: Size) -> Depth:
    """Return the truth of an item without labels."""
    return torch.full((1, 1, *size), math.nan)


def depth_from_disparity(disparity: Depth, focal_px: float, baseline: float, shift: float = 0.0) -> Depth:
    """Return focal * baseline / (disparity + shift), in the baseline's unit; disparity in pixels, NaN where it is not
    finite, or depth not known (`known_above_zero`).

    `shift` is by how many pixels the right camera's principal point lies further right than the left one's.
    """
    sum_ = disparity + shift
    known = torch.isfinite(sum_) & (sum_ > 0)
    return known_above_zero(torch.where(known, focal_px * baseline / torch.where(known, sum_, 1), math.nan))


def known_above_zero(values: Depth) -> Depth:
    """Return `values` with NaN where they are below 1e-12, `inf` from 1e12 on. In every file of true depth, values of
    0 or below, NaN and numbers too small to be a depth are unknown, and +inf is infinitely far."""
    return torch.from_numpy(known_depth(values.numpy()))


def baseline_of(offset: float, path: Path) -> float:
    """Return `offset`, metres between two cameras. Raises InputError, naming `path`, unless it is finite and not 0."""
    if not math.isfinite(offset) or offset == 0:
        raise InputError(f"{path} has two cameras {offset:g} m apart; correct the baseline.")
    return offset


def implausible(camera: Pinhole, baseline: float, width: int) -> str:
    """Return what is unusual about the left camera of a pair, `baseline` metres, pictures `width` pixels wide; "" if
    nothing is.

    A wrong unit, or a number of another picture, shows so before anything is matched or trained.
    """
    focal, focal_down = camera.focal[0].tolist()
    if not 0.1 <= focal_down / focal <= 10:  # pixels are about square, and pictures not ten times as wide as high
        return f"focal lengths of {focal:.3g} image widths and {focal_down:.3g} heights, which do not belong together"
    if not WIDEST <= focal <= LONG:
        return f"a focal length of {focal:.3g} image widths ({focal * width:.4g} px of {width})"
    far = focal * width * abs(baseline) / USUAL_PX
    if not NEAREST <= far <= FARTHEST or not SHORTEST <= abs(baseline) <= LONGEST:
        distance = f"{far / 1000:.3g} km" if far >= 1000 else f"{far:.3g} m"
        return f"a baseline of {abs(baseline):g} m, by which {USUAL_PX:g} px of disparity would mean {distance}"
    across, down = camera.center[0].tolist()
    if not all(EDGE <= place <= 1 - EDGE for place in (across, down)):
        return f"a principal point at the edge of the picture or outside, {across:.3g} widths and {down:.3g} heights"
    return ""


def log_unusual_rig(source: str, rig: tuple[float, float], size: tuple[int, int]) -> None:
    """Warn of a rig (focal length in image widths, baseline in metres) whose numbers look like those of another unit.

    `source` names its place; its pictures have `size` (height, width). The rule is that for calibrations of data sets.
    """
    (focal, baseline), (height, width) = rig, size
    camera = Pinhole(torch.tensor([[focal, focal * width / height]]), torch.tensor([[0.5, 0.5]]))
    if unusual := implausible(camera, baseline, width):
        LOG.warning("%s states %s; check its unit.", source, unusual)


def rectified_source(image: OneImage, camera: Pinhole, offset: float) -> View:
    """Return a source of a rectified pair, whose camera stands `offset` to the target's right (negative: left)."""
    return view(image, camera, translation(torch.tensor([[-offset, 0.0, 0.0]])))


def rectified_pair(
    images: Sequence[OneImage], cameras: Sequence[Pinhole], offset: float, depth: Depth, name: str
) -> Sample:
    """Return a target and the other picture of a rectified pair, `offset` to its right in the unit of `depth`."""
    source = rectified_source(images[1], cameras[1], offset)
    return Sample(view(images[0], cameras[0]), (source,), depth, name=(name,))


def unposed(image: OneImage, camera: Pinhole) -> View:
    """Return a source of a video whose pose is to be predicted."""
    return replace(view(image, camera), from_target=None)


def steps_around(step: int, reach: int) -> tuple[int, ...]:
    """Return how far the sources of a video are from the target: `reach` before it, nearest first, then as many after.

    The nearest is `step` frames away, the next one twice as far. Poses that are predicted need this order.
    """
    return (*range(-step, -step * reach - 1, -step), *range(step, step * reach + 1, step))
