"""What every data set of files offers, and how a damaged item is counted and named while the rest goes on."""

import logging
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset, Subset

from cyclopean.data.files import (
    check_fits,
    check_one_size,
    check_whole,
    existing_folder,
    finite,
    image_size,
    map_size,
    pictures_among,
    read_image,
)
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, translation
from cyclopean.io.files import read_text, shortened
from cyclopean.sample import Sample, View, view

LOG = logging.getLogger(__name__)
NAMED = 5  # of many left out, so many are named in a log


@dataclass(frozen=True)
class Files:
    """What an item is made of: its pictures, which need one size, and calibration and truth beside them (what is a
    picture or an array among those, a map of depth or a mask, needs the size of the pictures)."""

    pictures: tuple[Path, ...]
    others: tuple[Path, ...] = ()


@runtime_checkable
class Items(Protocol):
    """A data set of files. A damaged item keeps its number, so that lists and result arrays stay aligned: reading it
    raises `InputError` with the name of the file."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample:
        """Item `index`, batch 1."""
        ...

    def far(self, index: int) -> float:
        """The largest depth of item `index` that counts, metres."""
        ...

    def files(self, index: int) -> Files:
        """What item `index` is made of."""
        ...


def check_files(files: Files) -> None:
    """Raises `InputError` for the first file that is missing or empty, for pictures and arrays that are cut short or
    without a header, and for sizes that differ. Reads their first and last bytes only."""
    check_one_size(files.pictures)
    for path in files.others:
        size = map_size(path)
        if size is not None and files.pictures:
            check_fits(path, size, image_size(files.pictures[0]))
    for path in (*files.pictures, *files.others):
        check_whole(path)


def sound(data: Items) -> tuple[list[int], list[str]]:
    """Numbers of the items whose files pass `check_files`, and a sentence for each other item."""
    good: list[int] = []
    bad: list[str] = []
    for index in range(len(data)):
        try:
            check_files(data.files(index))
            good.append(index)
        except InputError as error:
            bad.append(str(error))
    return good, bad


def sound_part(data: Items) -> Dataset[Sample]:
    """`data` without the items whose files are missing or damaged, which are counted and named in the log."""
    good, bad = sound(data)
    if not bad:
        return data  # type: ignore[return-value]
    if not good:
        raise InputError(f"none of the {len(bad)} items can be used; the first: {bad[0]}")
    more = f" And {len(bad) - NAMED} more; cyclopean check names them all." if len(bad) > NAMED else ""
    LOG.warning("%d of %d items are left out: %s%s", len(bad), len(data), " ".join(bad[:NAMED]), more)
    return Subset(data, good)  # type: ignore[arg-type]


def read_each(data: Items, indices: Iterable[int]) -> Iterator[tuple[int, Sample | InputError]]:
    """Items one by one; a damaged one is handed out as its error, and the rest goes on."""
    for index in indices:
        try:
            yield index, data[index]
        except InputError as error:
            yield index, error


DRIVE = re.compile(r"\d{4}_\d{2}_\d{2}_drive_\d{4}")
SIDES = {"l": "02", "r": "03"}  # of a KITTI drive: the left and the right colour camera


@dataclass(frozen=True)
class Frame:
    """One picture of a KITTI drive: `2011_09_26/2011_09_26_drive_0001_sync`, its number, and the camera, 02 or 03."""

    drive: str
    number: int
    camera: str

    @property
    def name(self) -> str:
        """`2011_09_26/2011_09_26_drive_0001_sync/0000000005_02`."""
        return f"{self.drive}/{self.number:010d}_{self.camera}"


def read_frames(path: Path | str) -> list[Frame]:
    """The frames of a KITTI split, in the order of its lines.

    Two formats: Monodepth's, `DRIVE/image_02/data/NUMBER.jpg DRIVE/image_03/data/NUMBER.jpg` (the first is the target;
    the suffix is not believed), and Monodepth2's, `DRIVE NUMBER l` or `r`.
    """
    file = Path(path).expanduser()
    return [_frame(line, f"{file}, line {n}") for n, line in _lines(file)]


def read_drives(path: Path | str) -> set[str]:
    """The drives, such as `2011_09_26_drive_0001`, that a text names anywhere."""
    file = Path(path).expanduser()
    drives = set(DRIVE.findall(read_text(file)))
    if not drives:
        raise InputError(f"{file} names no KITTI drive, such as 2011_09_26_drive_0001; give the list of a test set.")
    return drives


def read_paths(path: Path | str) -> list[str]:
    """The first path of each line: the left pictures of a list in Monodepth's format, relative to the data set."""
    return [line.split()[0] for _, line in _lines(Path(path).expanduser())]


def read_pairs(path: Path | str) -> list[tuple[str, str]]:
    """The two paths of each line, a picture's and its depth's, relative to the data set."""
    file = Path(path).expanduser()
    pairs = []
    for n, line in _lines(file):
        words = line.split()
        if len(words) != 2:
            raise InputError(
                f"{file}, line {n} is {shortened(repr(line))}; it needs two paths, of the picture and of its depth."
            )
        pairs.append((words[0], words[1]))
    return pairs


def _lines(file: Path) -> list[tuple[int, str]]:
    lines = [(n, line.strip()) for n, line in enumerate(read_text(file).splitlines(), 1)]
    lines = [(n, line) for n, line in lines if line and not line.startswith("#")]
    if not lines:
        raise InputError(f"{file} is an empty list; it needs a line for each item.")
    return lines


def _frame(line: str, where: str) -> Frame:
    words = line.split()
    if len(words) == 3 and words[1].isdigit() and words[2] in SIDES:
        return Frame(words[0].rstrip("/"), int(words[1]), SIDES[words[2]])
    parts = re.fullmatch(r"(.+)/image_(02|03)/data/(\d+)\.\w+", words[0])
    if parts and len(words) <= 2:
        return Frame(parts[1], int(parts[3]), parts[2])
    raise InputError(
        f"{where} is {shortened(repr(line))}; a KITTI split has lines 'DRIVE NUMBER l' or "
        "'DRIVE/image_02/data/NUMBER.png DRIVE/image_03/data/NUMBER.png'."
    )


MATCHING_WIDTH = 1280  # pictures are shrunk to this width first: rows are judged relative to the width
FEATURES, RATIO, FAINT = 1500, 0.75, 0.02


@dataclass(frozen=True)
class Matches:
    """Points seen in both pictures, in pixels of the target as it is stored: `at` (x, y), counted from the picture's
    corner, and `shift` (x, y), by how much each lies further left and further up in the source."""

    at: Float[np.ndarray, "n 2"]
    shift: Float[np.ndarray, "n 2"]

    def __len__(self) -> int:
        return len(self.at)


def match(target: Float[Tensor, "1 3 h w"], source: Float[Tensor, "1 3 h w"]) -> Matches:
    """SIFT features (Lowe 2004) that choose each other and have no near rival; finds any shift, either way.

    Where repeated patterns or noise match by chance, shifts up and down scatter: those far from the median are dropped.
    """
    scale = max(1.0, target.shape[-1] / MATCHING_WIDTH)
    sift = cv2.SIFT.create(FEATURES, contrastThreshold=FAINT)
    (points, codes), (others, other_codes) = (_features(sift, image, scale) for image in (target, source))
    if len(points) < 2 or len(others) < 2:
        return Matches(np.zeros((0, 2)), np.zeros((0, 2)))
    best, back = _best(codes, other_codes), _best(other_codes, codes)
    pairs = [(n, m) for n, m in best.items() if back.get(m) == n]
    at = np.array([points[n] for n, _ in pairs]).reshape(-1, 2)
    shift = at - np.array([others[m] for _, m in pairs]).reshape(-1, 2)
    kept = _together(shift[:, 1])
    return Matches((at[kept] + 0.5) * scale, shift[kept] * scale)


def grey(image: Float[Tensor, "1 3 h w"]) -> Float[np.ndarray, "h w"]:
    """Luma in [0,1]."""
    return np.tensordot(np.array([0.299, 0.587, 0.114], np.float32), image[0].numpy(), 1)


def _features(
    sift: "cv2.SIFT", image: Float[Tensor, "1 3 h w"], scale: float
) -> tuple[Float[np.ndarray, "n 2"], np.ndarray]:
    plane = grey(image)
    if scale > 1:
        height, width = plane.shape
        plane = cv2.resize(plane, (round(width / scale), round(height / scale)), interpolation=cv2.INTER_AREA)
    found, codes = sift.detectAndCompute(np.rint(plane * 255).astype(np.uint8), None)
    points = np.array([point.pt for point in found], np.float64).reshape(-1, 2)
    return points, np.zeros((0, 128), np.float32) if codes is None else codes


def _best(codes: np.ndarray, others: np.ndarray) -> dict[int, int]:
    """The nearest of `others` to each code, where the second is clearly worse."""
    two = cv2.BFMatcher(cv2.NORM_L2).knnMatch(codes, others, 2)
    return {a.queryIdx: a.trainIdx for a, b in two if a.distance < RATIO * b.distance}


def _together(values: Float[np.ndarray, " n"]) -> np.ndarray:
    """Which values lie within 5 median deviations, and at least 3 pixels, of the median."""
    if not len(values):
        return np.zeros(0, bool)
    away = np.abs(values - np.median(values))
    return away <= max(3.0, 5 * float(np.median(away)))


Image = Float[Tensor, "1 3 h w"]
Depth = Float[Tensor, "1 1 h w"]
Size = tuple[int, int]

# Pairs that people and cars carry: 20 px of disparity are between 3 cm and 1 km away, at a baseline of 0.5 mm to 5 m.
USUAL_PX, NEAREST, FARTHEST, SHORTEST, LONGEST = 20.0, 0.03, 1000.0, 0.0005, 5.0
EDGE = 0.02  # of the picture: where no principal point lies, unless a small part was cut out
WIDEST, LONG = 0.15, 20.0  # focal lengths in image widths: 147 degrees across, and a long telephoto lens


def pinhole_px(matrix: Float[np.ndarray, "3 columns"], size: Size, path: Path) -> Pinhole:
    """The camera of a 3x3 or 3x4 matrix in pixels of a picture of `size` (height, width), read from `path`.

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


def uncalibrated(size: Size) -> Pinhole:
    """The camera of pictures that nobody calibrated: a focal length of one image width, the centre in the middle.

    With a baseline of 1 a disparity is then an inverse depth in units of its own, and depth is known up to scale.
    """
    return Pinhole(torch.tensor([[1.0, size[1] / size[0]]]), torch.tensor([[0.5, 0.5]]))


def size_of(image: Float[Tensor, "1 channels h w"]) -> Size:
    """(height, width)."""
    return image.shape[-2], image.shape[-1]


def unknown_depth(size: Size) -> Depth:
    """The truth of an item without labels."""
    return torch.full((1, 1, *size), math.nan)


def depth_from_disparity(
    disparity: Depth, focal_px: float, baseline: float, shift: float = 0.0
) -> Float[Tensor, "1 1 h w"]:
    """focal * baseline / (disparity + shift), in the baseline's unit; disparity in pixels, NaN where it is not finite.

    `shift` is by how many pixels the right camera's principal point lies further right than the left one's.
    """
    sum_ = disparity + shift
    known = torch.isfinite(sum_) & (sum_ > 0)
    return torch.where(known, focal_px * baseline / torch.where(known, sum_, 1), math.nan)


def fitting(values: Depth, size: Size, path: Path) -> Float[Tensor, "1 1 h2 w2"]:
    """`values` read from `path`, after checking that they have the size of their picture."""
    check_fits(path, size_of(values), size)
    return values


def known_above_zero(values: Depth) -> Depth:
    """`values` with NaN where they are 0 or below. The one rule of all truth, in files of any kind: what is not above
    0 is unknown, as NaN is, and +inf is infinitely far."""
    return torch.where(values > 0, values, math.nan)


def baseline_of(offset: float, path: Path) -> float:
    """`offset` in metres between two cameras, read from `path`. Raises InputError unless it is finite and not 0."""
    if not math.isfinite(offset) or offset == 0:
        raise InputError(f"{path} has two cameras {offset:g} m apart; a pair needs a baseline, mend the calibration.")
    return offset


def implausible(camera: Pinhole, baseline: float, width: int) -> str:
    """What is unusual about the left camera of a pair, `baseline` metres, pictures `width` pixels wide; "" if nothing.

    A wrong unit, or a number of another picture, shows so before anything is matched or trained.
    """
    focal, center = float(camera.focal[0, 0]), camera.center[0].tolist()
    upright = float(
        camera.focal[0, 1]
    )  # in heights: pixels are about square, and pictures not ten times as wide as high
    if not 0.1 <= upright / focal <= 10:
        return f"focal lengths of {focal:.3g} image widths and {upright:.3g} heights, which do not belong together"
    if not WIDEST <= focal <= LONG:
        return f"a focal length of {focal:.3g} image widths ({focal * width:.4g} px of {width})"
    far = focal * width * abs(baseline) / USUAL_PX
    if not NEAREST <= far <= FARTHEST or not SHORTEST <= abs(baseline) <= LONGEST:
        shown = f"{far / 1000:.3g} km" if far >= 1000 else f"{far:.3g} m"
        return f"a baseline of {abs(baseline):g} m, by which {USUAL_PX:g} px of disparity would mean {shown}"
    if not all(EDGE <= place <= 1 - EDGE for place in center):
        across, down = center
        return f"a principal point at the edge of the picture or outside, {across:.3g} widths and {down:.3g} heights"
    return ""


def beside(image: Image, camera: Pinhole, offset: float) -> View:
    """A source of a rectified pair, whose camera stands `offset` to the target's right (negative: left)."""
    return view(image, camera, translation(torch.tensor([[-offset, 0.0, 0.0]])))


def rectified_pair(
    images: Sequence[Image], cameras: Sequence[Pinhole], offset: float, depth: Depth, name: str
) -> Sample:
    """A target and the other picture of a rectified pair, `offset` to its right in the unit of `depth`."""
    source = beside(images[1], cameras[1], offset)
    return Sample(view(images[0], cameras[0]), (source,), depth, name=(name,))


def unposed(image: Image, camera: Pinhole) -> View:
    """A source of a video whose pose is to be predicted."""
    return replace(view(image, camera), from_target=None)


CAMVID = "701_StillsRaw_full"  # of the release; its labels lie in other folders


class PicturesDataset(Dataset[Sample]):
    """Every picture below `path`, or below CamVid's `701_StillsRaw_full` in it. No second view, no depth.

    A camera of a focal length of one picture width is assumed. Names are paths without suffix.
    """

    def __init__(self, path: Path | str) -> None:
        root = existing_folder(path)
        self.root = root / CAMVID if (root / CAMVID).is_dir() else root
        self.images = pictures_among(self.root.rglob("*"), self.root)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        image = read_image(self.images[index])
        name = self.images[index].relative_to(self.root).with_suffix("").as_posix()
        return Sample(view(image, uncalibrated(size_of(image))), (), unknown_depth(size_of(image)), name=(name,))

    def far(self, _: int) -> float:
        """The largest depth that counts; there is none to count."""
        return 80.0

    def files(self, index: int) -> Files:
        """The picture."""
        return Files((self.images[index],))
