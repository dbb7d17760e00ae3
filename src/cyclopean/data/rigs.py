"""From the numbers of calibration files to cameras, rectified pairs and depth."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.data.reading import check_fits, finite
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, translation
from cyclopean.sample import Sample, View, view

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
