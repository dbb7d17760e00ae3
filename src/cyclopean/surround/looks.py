"""A network for panoramas, made blind to where the picture happens to be cut open."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.geometry import Equirectangular, pixel_grid
from cyclopean.images import resize
from cyclopean.sample import View, view
from cyclopean.synthesis import pull

Map = Float[Tensor, "1 1 h w"]
Resized = Float[Tensor, "1 1 _ _"]
Image = Float[Tensor, "1 3 h w"]
See = Callable[[View], Float[Tensor, "b 1 h w"]]


def heading(image: Image) -> int:
    """The column that a panorama itself says is its first: rolling the picture rolls it along.

    The phase of its brightness around the horizon (the first Fourier coefficient of the columns' means). A network
    whose answer depends on the heading gives the same depth, rolled, for a rolled panorama, if it is shown it from
    here. Where the brightness has no first harmonic (such as a picture of one colour), any column may be named.
    """
    columns = image[0].double().mean((0, 1)).cpu()
    phase = float(torch.fft.fft(columns)[1].angle())
    width = image.shape[-1]
    return round(-phase / (2 * math.pi) * width) % width


def looked_at_twice(see: See, image: Image, size: tuple[int, int]) -> Resized:
    """Inverse depth at `size` (height, even width) of a panorama, of two looks half a turn apart.

    Each counts by cos² of half the angle from its own centre: nothing at its own seam, and both add up to one, so the
    result is as smooth over the seam as elsewhere, whatever the network does at its borders.
    """
    small, half = resize(image, size), size[1] // 2
    u = pixel_grid(size, small)[..., 0][:, None]
    centred = (math.pi * (u - 0.5)).cos().square()
    front, back = (see(view(small.roll(turn, -1), Equirectangular())).roll(-turn, -1) for turn in (0, half))
    return centred * front + (1 - centred) * back


def enlarged(values: Map, size: tuple[int, int]) -> Resized:
    """A panorama's values at `size`: bilinear over the seam and the poles, but means of areas at half the size or less.

    Areas are of whole pixels: near the same size their centres would stand unevenly, farthest apart over the seam.
    """
    if 2 * size[1] <= values.shape[-1]:
        return resize(values, size)
    return pull(values, pixel_grid(size, values), "sphere")


def seam_score(values: Map) -> float:
    """The mean step over the seam as a multiple of the mean step between the other neighbouring columns: about 1 where
    the seam is closed. 0 for a constant map."""
    values = values.double()
    step = (values[..., 0] - values[..., -1]).abs().nanmean()
    inside = values.diff(dim=-1).abs().nanmean()
    return float(step / inside) if float(inside) > 0 else 0.0
