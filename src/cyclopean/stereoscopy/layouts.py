"""A pair as one picture: side by side, as an anaglyph, or one eye alone."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.geometry import size_of
from cyclopean.io.colour import srgb, srgb_linear
from cyclopean.io.image import resize
from cyclopean.sample import OneImage

Wide = Float[Tensor, "1 3 h w2"]

# Dubois, A projection method to generate anaglyph stereo images (ICASSP 2001): least squares of what both eyes see
# through red and cyan filters, for linear light; the numbers are those that he published for such glasses and screens.
LEFT = np.array([[0.456, 0.500, 0.176], [-0.040, -0.038, -0.016], [-0.015, -0.021, -0.005]])
RIGHT = np.array([[-0.043, -0.088, -0.002], [0.378, 0.734, -0.018], [-0.072, -0.113, 1.226]])


def side_by_side(left: OneImage, right: OneImage) -> Wide:
    """Return both pictures beside each other, each at its full width."""
    return torch.cat([left, right], -1)


def half_side_by_side(left: OneImage, right: OneImage) -> OneImage:
    """Return both pictures beside each other at half their width, as televisions and headsets take them."""
    return resize(side_by_side(left, right), size_of(left))


def anaglyph(left: OneImage, right: OneImage) -> OneImage:
    """Return one picture for glasses that are red on the left and cyan on the right (`LEFT`, `RIGHT`)."""
    light = sum(
        np.einsum("ij,jhw->ihw", matrix.astype(np.float32), srgb_linear(image[0].cpu().numpy()))
        for matrix, image in ((LEFT, left), (RIGHT, right))
    )
    return torch.from_numpy(srgb(np.clip(light, 0, 1)).astype(np.float32))[None]


# All but mpo, which is a file of two pictures: io.mpo.
ARRANGED: dict[str, Callable[[OneImage, OneImage], Wide]] = {
    "sbs": side_by_side,
    "half-sbs": half_side_by_side,
    "anaglyph": anaglyph,
    "left": lambda left, _: left,
    "right": lambda _, right: right,
}
