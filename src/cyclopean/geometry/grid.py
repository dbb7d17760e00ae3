"""Pixel centres. The half-pixel rule lives here and in `synthesis.pull`, nowhere else."""

import torch
from jaxtyping import Float
from torch import Tensor


def pixel_grid(size: tuple[int, int], like: Tensor) -> Float[Tensor, "1 h w 2"]:
    """The `uv` of every pixel centre of an image of `size` (height, width), in dtype and on the device of `like`.

    The centre of (row i, column j) is ((j + 1/2) / W, (i + 1/2) / H): the image spans [0, 1]² corner to corner.
    """
    height, width = size
    v = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) / height
    u = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / width
    return torch.stack(torch.meshgrid(u, v, indexing="xy"), -1)[None]
