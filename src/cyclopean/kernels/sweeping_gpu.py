"""The steps of a sweep on a GPU: one launch forward, one backward; nothing is kept of a level."""

import torch
from torch import Tensor

from cyclopean.geometry.levels import Levels
from cyclopean.kernels.sweeping import Step, tables

BLOCK = 128  # pixels of one program


def on_gpu(step: Step, levels: Levels, margin: float, *batches: Tensor) -> None:
    """Run a step in Triton's kernels.

    Pixels add to the gradients of logits and image in whatever order the GPU takes them, so that the last bits change
    from run to run.
    """
    from cyclopean.kernels import sweeping_triton

    first, bent = batches[0], batches[4].numel() > 0
    image = batches[0] if step == "cover" else batches[1]  # of the size of the view that is known
    h, w = image.shape[-2:]
    pixels = batches[2][0, 0].numel()
    constants = {"N": image.shape[1], "BENT": bent, "BLOCK": BLOCK}
    if step != "cover":
        c = first.shape[1]
        constants |= {"C": c, "ROOM": 1 << (c - 1).bit_length()}
    if step == "differentiate":
        d_image, d_logits = batches[8:10]
        d_image.zero_(), d_logits.zero_()
        constants["WANTED"] = d_image.numel() > 0
    numbers = [first.new_tensor(table.tolist()) for table in tables(levels, bent=bent)]
    with torch.cuda.device_of(first):
        grid = -(-pixels // BLOCK), len(first)
        getattr(sweeping_triton, step)[grid](*numbers, margin, *batches, h, w, pixels, **constants)
