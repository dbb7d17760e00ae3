"""Whole panoramas: canonical yaw, rotated test-time augmentation, and transfer of details.

Inference on a panorama must close at the seam and roll with the picture, whatever the network does at its borders.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean.geometry import Equirectangular, pixel_grid, size_of
from cyclopean.io.image import resize
from cyclopean.losses import gaussian_taps
from cyclopean.sample import OneImage, OneMap, View, view
from cyclopean.synthesis import pull

FAR = 0.05  # of the median inverse depth, added before logarithms, which are infinite at sky
LEAST = 0.03  # of that: the smallest inverse depth returned
SKY = 0.05, 0.2  # of the mean inverse depth: what is farther than the first is sky, nearer than the second is not
BESIDE = 1e-3  # weight of the whole picture's mean in a blur, which stands alone in the middle of sky
DETAIL_DEVIATION = 1 / 48  # of the width, 7.5 degrees of longitude: the Gaussian that separates details from layout

Maps = Float[Tensor, "b 1 h w"]
Resized = Float[Tensor, "1 1 _ _"]


@dataclass(frozen=True)
class PanoramaDepth:
    """Inverse distance of a panorama at a size of its own, and figures of how it was made."""

    inverse_depth: Resized
    notes: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class WholePanorama:
    """A panorama as it is: for methods that resize it, and see over its seam, by themselves."""

    infer: Callable[[View], Maps]

    def __call__(self, image: OneImage) -> PanoramaDepth:
        """Return the inverse depth of a panorama at its size."""
        return PanoramaDepth(self.infer(view(image, Equirectangular())), {"seen": "whole"})


@dataclass(frozen=True)
class RotatedAverage:
    """Test-time augmentation of a panorama: the mean of two predictions half a turn apart.

    Each is weighted by cos² of half the angle from its own centre: nothing at its own seam, and both add up to one, so
    the result is as smooth over the seam as elsewhere. `infer` takes a view and the picture it was resized from;
    `working_size` maps the panorama's size to that of inference, of even width.
    """

    infer: Callable[[View, Sequence[Float[Tensor, "1 3 _ _"]]], Maps]
    working_size: Callable[[tuple[int, int]], tuple[int, int]]

    def __call__(self, image: OneImage) -> PanoramaDepth:
        """Return the inverse depth of a panorama at the working size."""
        size = self.working_size(size_of(image))
        small, half = resize(image, size), size[1] // 2
        u = pixel_grid(size, small)[..., 0][:, None]
        weight = (math.pi * (u - 0.5)).cos().square()
        views = [view(small.roll(turn, -1), Equirectangular()) for turn in (0, half)]
        front, back = (self.infer(one, [one.seen]) for one in views)
        return PanoramaDepth(weight * front + (1 - weight) * back.roll(-half, -1), {"seen": "whole, twice"})


@dataclass(frozen=True)
class DetailTransfer:
    """The layout (and the metres) of one panorama wrapper with the details of another.

    A network on the whole panorama is better at the layout of rooms, one on large faces at objects. `source` names the
    model of the details in the notes.
    """

    layout: Callable[[OneImage], PanoramaDepth]
    details: Callable[[OneImage], PanoramaDepth]
    source: str

    def __call__(self, image: OneImage) -> PanoramaDepth:
        """Return the inverse depth of a panorama at the size of the details."""
        layout, details = self.layout(image), self.details(image)
        notes = {**layout.notes, "details": f"by ten faces around: {self.source}"}
        return PanoramaDepth(transfer_details(layout.inverse_depth, details.inverse_depth), notes)


def canonical_yaw(image: OneImage) -> int:
    """Return the column that a panorama's content defines as its first: it rolls with the picture.

    The phase of its brightness around the horizon (the first Fourier coefficient of the columns' means). If panoramas
    are first rolled to this column, a rolled panorama gets the same depth, rolled, even from a network whose prediction
    depends on the yaw. Where the brightness has no first harmonic (such as in a picture of one colour), any column may
    be returned.
    """
    columns = image[0].double().mean((0, 1)).cpu()
    phase = float(torch.fft.fft(columns)[1].angle())
    width = image.shape[-1]
    return round(-phase / (2 * math.pi) * width) % width


def resize_sphere(values: OneMap, size: tuple[int, int]) -> Resized:
    """Resize a panorama's values to `size`: bilinear over the seam and the poles, or means of areas.

    Areas of whole pixels are averaged at half the size or less: nearer to the same size their centres would be unevenly
    spaced, most of all over the seam.
    """
    if 2 * size[1] <= values.shape[-1]:
        return resize(values, size)
    return pull(values, pixel_grid(size, values), "sphere")


def seam_score(values: OneMap) -> float:
    """Return the mean step over the seam as a multiple of the mean step between the other neighbouring columns.

    About 1 where the seam is closed; 0 for a constant map.
    """
    values = values.cpu().double()  # mps has no double precision
    step = (values[..., 0] - values[..., -1]).abs().nanmean()
    inside = values.diff(dim=-1).abs().nanmean()
    return float(step / inside) if float(inside) > 0 else 0.0


def transfer_details(layout: OneMap, details: Resized) -> Resized:
    """Return inverse distances with the layout (and the metres) of one map and the details of another, at its size."""
    enlarged = resize_sphere(layout, size_of(details))
    mean = details.mean().clamp_min(torch.finfo(details.dtype).eps)  # a median would be sky where most is
    near = ((details / mean - SKY[0]) / (SKY[1] - SKY[0])).clamp(0, 1)
    return add_details(enlarged, details, DETAIL_DEVIATION * details.shape[-1], around=True, counts=near)


def add_details(layout: Maps, details: Maps, deviation: float, around: bool, counts: Maps | None = None) -> Maps:
    """Return inverse depth with the layout (and the unit) of one map and the details of another of its size.

    Details are logarithms minus their Gaussian blur of `deviation` pixels: ratios of depths. With `around` the left
    border continues at the right one, as in a panorama. `counts`, 0 to 1, is how much each pixel is part of the blur:
    0 for sky, or what stands before it would be a detail, and near. (Miangoleh et al., CVPR 2021, merge a small and a
    large scale by a network; this needs none.)
    """
    far = FAR * _median(layout)
    change = _high_pass(details, deviation, around, counts) - _high_pass(layout, deviation, around, counts)
    return ((layout + far) * change.exp() - far).clamp_min(LEAST * far)


def _median(inverse: Maps) -> Float[Tensor, "b 1 1 1"]:
    median = inverse.flatten(1).median(1).values[:, None, None, None]
    return median.clamp_min(torch.finfo(inverse.dtype).eps)


def _high_pass(inverse: Maps, deviation: float, around: bool, counts: Maps | None = None) -> Maps:
    """Return logarithms minus their Gaussian blur, of the pixels that count; of all where none is near."""
    logs = (inverse.clamp_min(0) + FAR * _median(inverse)).log()
    if counts is None:
        return logs - _blurred(logs, deviation, around)
    weight = counts + torch.finfo(logs.dtype).tiny
    whole = (weight * logs).mean((1, 2, 3), keepdim=True) / weight.mean((1, 2, 3), keepdim=True)
    total = _blurred(counts * logs, deviation, around) + BESIDE * whole
    return logs - total / (_blurred(counts, deviation, around) + BESIDE)


def _blurred(values: Maps, deviation: float, around: bool) -> Maps:
    """Return the Gaussian blur; over the borders the nearest pixel counts, or with `around` those at the other side."""
    reach = max(1, min(round(3 * deviation), *(side - 1 for side in values.shape[-2:])))
    taps = gaussian_taps(reach, deviation, values)
    sides = F.pad(values, (reach, reach, 0, 0), mode="circular" if around else "replicate")
    along = F.conv2d(sides, taps.view(1, 1, 1, -1))
    return F.conv2d(F.pad(along, (0, 0, reach, reach), mode="replicate"), taps.view(1, 1, -1, 1))
