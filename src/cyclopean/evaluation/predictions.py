"""Read predictions made elsewhere: a folder of .npy or 16-bit PNG files, or one array of all maps."""

import logging
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from cyclopean.errors import InputError, unknown_name
from cyclopean.evaluation.entries import DepthDataset, Entry, finder
from cyclopean.evaluation.rig import rig_of
from cyclopean.geometry import Pinhole, size_of
from cyclopean.io.depth_formats import SUFFIXES, npy_shape, read_plane, sky_at_infinity
from cyclopean.io.depthmap import from_numbers, is_turned
from cyclopean.io.files import at_home, refuse_unreadable, shortened
from cyclopean.methods.base import Ambiguity
from cyclopean.metrics import CROPS
from cyclopean.sample import OneMap, Sample

KINDS = {
    "disparity": "a fraction of the image width, as in Monodepth's disparities.npy",
    "disparity_px": "pixels of the map's own width",
    "inverse_depth": "1 / depth, as in Monodepth2's disps_*.npy",
    "depth": "depth",
}


LOG = logging.getLogger(__name__)
UNITS = ("m", "relative")
BENCHMARK = (352, 1216)  # height, width of KITTI's benchmark crop: the middle columns, down to the last row
COVERS = ("picture", "crop", "kitti_benchmark", *CROPS)
ALIKE = 0.02  # tolerance between the aspect ratios of a map and of the part that it covers


@dataclass(frozen=True)
class Meaning:
    """The meaning of numbers: their kind (see `KINDS`), whether depth is in metres, and how many counts make a unit.

    Disparity is converted to metres by the rig of the data, or by `baseline` in metres (with the camera's focal length,
    or with `focal` in image widths where the predictions assume another camera, as Monodepth did on Make3D). `covers`:
    what a map shows, the whole picture, the protocol's crop alone, or the named part of the picture (see `covered`).
    """

    kind: str
    unit: str = "m"
    per_unit: float = 1.0
    baseline: float | None = None
    focal: float | None = None
    covers: str = "picture"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown_name("kind of prediction", self.kind, KINDS)
        if self.unit not in UNITS:
            raise unknown_name("unit of prediction", self.unit, UNITS)
        if self.covers not in COVERS:
            raise unknown_name("part that predictions cover", self.covers, COVERS)
        for name, value in (("per_unit", self.per_unit), ("baseline", self.baseline), ("focal", self.focal)):
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"{name} is {value:g}; it needs a number above 0.")

    def inverse_depth(self, numbers: Float[Tensor, "1 1 h w"], sample: Sample) -> OneMap:
        """Return numbers of any size as inverse depth of that size, by the rules for every depth file: NaN where a
        depth is not above 0, or nearer than 1e-12; 0 where it is farther than 1e12.

        Disparities become fractions of their own width before anything is resized: pixels of a small map are not pixels
        of the picture. Raises InputError for numbers that are all NaN.
        """
        if bool(numbers.isnan().all()):
            raise InputError(f"the prediction for {sample.name[0]} is NaN everywhere; write it again.")
        numbers = numbers / self.per_unit
        if self.kind in ("depth", "inverse_depth"):
            return from_numbers(numbers, self.kind).inverse_depth
        disparity = numbers / numbers.shape[-1] if self.kind == "disparity_px" else numbers
        if self.unit == "relative":
            return disparity
        if self.baseline is None:
            rig = rig_of(sample)
            if rig is None:
                raise InputError(
                    f"{sample.name[0]} has no rectified pair to turn disparity into metres; "
                    "give --baseline, or --unit relative."
                )
            return from_numbers((disparity + rig.shift) / rig.factor, "inverse_depth").inverse_depth
        camera = sample.target.camera
        if self.focal is None and not isinstance(camera, Pinhole):
            raise InputError(f"{sample.name[0]} has no focal length; give --focal, in image widths.")
        focal = self.focal if self.focal is not None else float(camera.focal[0, 0])  # type: ignore[attr-defined]
        return from_numbers(disparity / (focal * self.baseline), "inverse_depth").inverse_depth


def covered(covers: str, size: tuple[int, int]) -> tuple[slice, slice]:
    """Return rows and columns of a picture of `size` (height, width) that maps of the named part show.

    `kitti_benchmark`: the 352 x 1216 pixels of KITTI's depth benchmark; the others are crops of protocols. Raises
    InputError for a picture that is too small for the part.
    """
    height, width = size
    if covers in CROPS:
        return CROPS[covers](size)
    if covers != "kitti_benchmark":
        return slice(0, height), slice(0, width)
    top, left = height - BENCHMARK[0], (width - BENCHMARK[1]) // 2
    if min(top, left) < 0:
        raise InputError(
            f"a picture of {width}x{height} pixels is smaller than {covers} ({BENCHMARK[1]}x{BENCHMARK[0]}); name "
            "another part with --covers."
        )
    return slice(top, height), slice(left, left + BENCHMARK[1])


class _Placement:
    """A step that places maps in the picture; it warns once if their aspect ratio is that of another part.

    Raises InputError for maps without a number of at least 0 (infinitely far), whose sign or kind is wrong, and for
    those that lie on their side.
    """

    def __init__(self, name: str, covers: str) -> None:
        self.name, self.covers, self.warned = name, covers, False

    def __call__(self, plane: OneMap, sample: Sample) -> Float[Tensor, "1 1 h2 w2"]:
        if not bool((plane >= 0).any()):
            raise InputError(
                f"{self.name} has no number of at least 0 (infinitely far) for {sample.name[0]}; change its sign, or "
                "--kind."
            )
        if self.covers == "crop":  # which depends on the protocol
            return plane
        size = size_of(sample.depth)
        rows, columns = covered(self.covers, size)
        part = rows.stop - rows.start, columns.stop - columns.start
        shape = size_of(plane)
        if is_turned(shape, part):
            raise InputError(
                f"{self.name} has a map of {shape[1]}x{shape[0]} for {sample.name[0]}, which is {part[1]}x{part[0]} as "
                "viewers show it: turn the map by 90 degrees (the program that made it passed over EXIF's orientation)."
            )
        stretch = (part[1] / part[0]) / (shape[1] / shape[0])
        if not self.warned and abs(stretch - 1) > ALIKE:
            self.warned = True
            known = ("kitti_benchmark", *CROPS) if self.covers == "picture" else ()
            fitting = next((name for name in known if _size_of(name, size) == shape), None)
            hint = f"they have the size of {fitting}: --covers {fitting}" if fitting else "name it with --covers"
            LOG.warning(
                "%s: maps of %dx%d are stretched by %.3g across over %dx%d pixels. That is right for a network that "
                "takes stretched pictures; if they show a part of the picture, %s.",
                *(self.name, shape[1], shape[0], stretch, part[1], part[0], hint),
            )
        if part == size:
            return plane
        if shape != part:
            plane = F.interpolate(plane, part, mode="bilinear", align_corners=False)
        edges = (columns.start, size[1] - columns.stop, rows.start, size[0] - rows.stop)
        return F.pad(plane, edges, value=torch.nan)


def _size_of(covers: str, size: tuple[int, int]) -> tuple[int, int] | None:
    """Return (height, width) of a named part of a picture of `size`; None if it is not a part of it."""
    try:
        rows, columns = covered(covers, size)
    except InputError:
        return None
    return rows.stop - rows.start, columns.stop - columns.start


def read_predictions(path: Path | str, meaning: Meaning, data: DepthDataset, in_order: bool = False) -> Entry:
    """Return maps made elsewhere, to be evaluated on `data`: one .npy (items, height, width), or a folder of files.

    An array, and with `in_order` the sorted files of a folder, belong to the items of `data` in order; otherwise files
    are named as the pictures are. Raises `InputError` if numbers of items differ.
    """
    path = at_home(path)
    ambiguity: Ambiguity = "metric" if meaning.unit == "m" else "scale"
    name = path.name if path.is_file() else f"{path.name}/"
    place = _Placement(name, meaning.covers)

    def inverse_depth(array: NDArray, sample: Sample) -> OneMap:
        array = sky_at_infinity(array) if meaning.kind == "depth" else array
        numbers = torch.from_numpy(np.array(array, dtype=np.float32, order="C"))[None, None]
        return place(meaning.inverse_depth(numbers, sample), sample)

    def by_place(at: Callable[[int], NDArray]) -> Entry:
        def nameless(sample: Sample) -> OneMap:
            raise InputError(
                f"{name} finds its maps by index only; evaluate it on a whole data set, not {sample.name}."
            )

        def ordered(index: int, sample: Sample) -> OneMap:
            return inverse_depth(at(index), sample)

        return Entry(name, ambiguity, nameless, covers=meaning.covers, ordered=ordered)

    if path.is_file():
        maps = _stack(path)
        _check_number(f"{path} holds {len(maps)} maps", len(maps), len(data))
        return by_place(lambda index: np.asarray(maps[index]))
    if not path.is_dir():
        raise InputError(f"{path} does not exist; give a folder of depth files, or a .npy of all maps.")
    files = [p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    if not files:
        raise InputError(f"{path} holds no depth files; it needs {', '.join(SUFFIXES)}.")
    if in_order:
        files.sort(key=lambda file: [natural(part) for part in file.relative_to(path).parts])
        twins = len(files) - len({file.with_suffix("") for file in files})
        remark = f" ({twins} of the same name with another suffix: keep one kind in the folder)" if twins else ""
        _check_number(f"{path} holds {len(files)} files{remark}", len(files), len(data))
        return by_place(lambda index: read_plane(files[index])[0])
    find = finder(path, SUFFIXES)

    def by_name(sample: Sample) -> OneMap:
        return inverse_depth(read_plane(find(sample.name[0]))[0], sample)

    return Entry(name, ambiguity, by_name, covers=meaning.covers)


def natural(name: str) -> list[tuple[str, int]]:
    """Return a sort key that compares numbers by value: pred_6 before pred_10."""
    return [(text, int(digits or -1)) for text, digits in re.findall(r"([^0-9]*)([0-9]*)", name)]


def _stack(path: Path) -> NDArray:
    """Return the maps of a .npy, left on disk until they are needed; axes of one channel are dropped."""
    refuse_unreadable(path)
    try:
        maps = np.load(path, mmap_mode="r", allow_pickle=False)
        with path.open("rb") as file:
            if isinstance(maps, np.ndarray) and maps.dtype.kind in "fiu":
                npy_shape(path, file)
    except Exception as error:  # numpy's headers are Python and fail in many ways
        reason = shortened((str(error).strip().splitlines() or [type(error).__name__])[0], 100)
        raise InputError(f"{path} cannot be read as one array of numbers ({reason}).") from None
    if not isinstance(maps, np.ndarray):
        raise InputError(f"{path} is a .npz; give one .npy of all maps, or a folder of files.")
    if maps.ndim == 4 and 1 in (maps.shape[1], maps.shape[-1]):
        maps = maps[:, 0] if maps.shape[1] == 1 else maps[..., 0]
    if maps.ndim != 3 or maps.dtype.kind not in "fiu":
        raise InputError(
            f"{path} holds {maps.dtype} of shape {shortened(maps.shape)}; it needs numbers (items, height, width)."
        )
    return maps


def _check_number(content: str, number: int, items: int) -> None:
    if number != items:
        raise InputError(f"{content} and the data {items} items; give one map for each item, in the same order.")
