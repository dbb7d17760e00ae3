"""What data sets of panoramas have in common: full spheres, twice as wide as high, and where their sources stand."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, translation
from cyclopean.sample import View, view

FAR = 20.0  # metres: what lies further counts as unknown in rooms (spherical view synthesis, section 4.1)


def whole_sphere(image: Float[Tensor, "1 channels h w"], path: Path) -> Float[Tensor, "1 channels h w"]:
    """`image` read from `path`, after checking that it is twice as wide as high."""
    height, width = image.shape[-2:]
    if width != 2 * height:
        raise InputError(
            f"{path} has {width}x{height} pixels; a panorama of the full sphere is twice as wide as high. "
            "Crop, pad or stitch it to that shape."
        )
    return image


def centre(image: Float[Tensor, "1 3 h w"]) -> View:
    """The target of a rig of panoramas."""
    return view(image, Equirectangular())


def above(image: Float[Tensor, "1 3 h w"], baseline: float) -> View:
    """A source that stands `baseline` above the target: a point of the target lies lower in it."""
    return view(image, Equirectangular(), translation(torch.tensor([[0.0, baseline, 0.0]])))


def beside(image: Float[Tensor, "1 3 h w"], baseline: float) -> View:
    """A source that stands `baseline` to the target's right: a point straight ahead lies further left in it."""
    return view(image, Equirectangular(), translation(torch.tensor([[-baseline, 0.0, 0.0]])))
