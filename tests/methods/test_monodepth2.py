"""Monodepth2's loss with two sources, computed again in numpy from its paper and its release."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cyclopean.geometry import Pinhole, translation
from cyclopean.methods.monodepth2 import Monodepth2
from cyclopean.sample import Sample, view

H, W, FOCAL, BASELINE = 16, 24, 0.9, 0.5
Array = np.ndarray[Any, Any]


class Prescribed(nn.Module):
    multiple = 8

    def __init__(self, raws: list[Tensor]) -> None:
        super().__init__()
        self.raws = raws

    def forward(self, image: Tensor) -> list[Tensor]:
        return self.raws


def enlarged(small: Array) -> Array:
    """Bilinear to H x W, pixel centres at half integers, edges repeated."""
    h, w = small.shape

    def weights(n: int, big: int) -> Array:
        at = np.clip((np.arange(big) + 0.5) * n / big - 0.5, 0, n - 1)
        low = np.minimum(at.astype(int), max(n - 2, 0))
        found = np.zeros((big, n))
        found[np.arange(big), low] += 1 - (at - low)
        found[np.arange(big), np.minimum(low + 1, n - 1)] += at - low
        return found

    return weights(h, H) @ small @ weights(w, W).T


def shrunk(image: Array, s: int) -> Array:
    return image.reshape(3, H >> s, 2**s, W >> s, 2**s).mean((2, 4))


def moved(image: Array, columns: Array) -> Array:
    """`image` fetched at x + `columns`, linearly, the border's pixel beyond it."""
    x = np.clip(np.arange(W) + columns, 0, W - 1)
    low = np.minimum(x.astype(int), W - 2)
    rows = np.arange(H)[:, None]
    return image[:, rows, low] * (1 - (x - low)) + image[:, rows, low + 1] * (x - low)


def error(x: Array, y: Array) -> Array:
    """0.85 (1 - SSIM) / 2 on 3 x 3 windows of pictures reflected at their borders, and 0.15 |x - y|."""

    def box(values: Array) -> Array:
        wide = np.pad(values, ((0, 0), (1, 1), (1, 1)), mode="reflect")
        return sum(wide[:, i : i + H, j : j + W] for i in range(3) for j in range(3)) / 9

    mx, my = box(x), box(y)
    sx, sy, sxy = box(x * x) - mx**2, box(y * y) - my**2, box(x * y) - mx * my
    ssim = (2 * mx * my + 0.01**2) * (2 * sxy + 0.03**2) / ((mx**2 + my**2 + 0.01**2) * (sx + sy + 0.03**2))
    return (0.85 * np.clip((1 - ssim) / 2, 0, 1) + 0.15 * np.abs(x - y)).mean(0)


def smoothness(inverse: Array, image: Array) -> float:
    d = inverse / inverse.mean()
    x = np.abs(np.diff(d, axis=1)) * np.exp(-np.abs(np.diff(image, axis=2)).mean(0))
    y = np.abs(np.diff(d, axis=0)) * np.exp(-np.abs(np.diff(image, axis=1)).mean(0))
    return float(x.mean() + y.mean())


def test_two_sources_by_numpy():
    """One to the right, one to the left, farther away; of each pixel the better one, unless it looks static."""
    random = np.random.default_rng(0)
    own, right, left = (random.random((3, H, W)) for _ in range(3))
    raws = [random.normal(-1.5, 0.5, (H >> s, W >> s)) for s in range(4)]
    total, unmoved = {"appearance": 0.0, "smoothness": 0.0}, np.minimum(error(right, own), error(left, own))
    masked = 0.0
    for s, raw in enumerate(raws):
        inverse = 0.01 + 9.99 / (1 + np.exp(-raw))  # in units in which the first source stands 0.1 away
        pixels = enlarged(inverse) * 0.1 * FOCAL * W
        best = np.minimum(error(moved(right, -pixels), own), error(moved(left, 2 * pixels), own))
        counted = best < unmoved
        masked += 1 - counted.mean()
        total["appearance"] += (best * counted).mean() / 4
        total["smoothness"] += 1e-3 / 2**s * smoothness(inverse, shrunk(own, s)) / 4
    assert 0.1 < masked / 4 < 0.9  # the case is one in which the mask matters
    camera = Pinhole(torch.tensor([[FOCAL, FOCAL * W / H]]), torch.tensor([[0.5, 0.5]]))
    views = [torch.from_numpy(image).float()[None] for image in (own, right, left)]
    poses = [translation(torch.tensor([[x, 0.0, 0.0]])) for x in (-BASELINE, 2 * BASELINE)]
    sources = tuple(view(image, camera, pose) for image, pose in zip(views[1:], poses, strict=True))
    method = Monodepth2("compact", 0.1)
    method.network = Prescribed([torch.from_numpy(raw).float()[None, None] for raw in raws])
    found = method.losses(Sample(view(views[0], camera), sources, torch.full((1, 1, H, W), torch.nan)))
    assert {name: value.item() for name, value in found.items()} == pytest.approx(total, rel=1e-4)
