"""From a click to the soft matte of the object that was clicked, by the bundled network.

select = SubjectSelector(photo, depth)  # features of the photo, once
matte = select([(0.4, 0.6)])            # 1 1 h w, 1 on the subject; None where there is no object, but ground or sky
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from operator import itemgetter
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from safetensors.torch import load_file
from torch import Tensor

from cyclopean.defocus.focus import Sharp, fill_unknown
from cyclopean.defocus.lens import Point, focus_pixel
from cyclopean.defocus.subject import coherent, outlined, recut, soft_matte
from cyclopean.geometry import Equirectangular
from cyclopean.inference.predictor import working_size
from cyclopean.io.depthmap import DepthMap
from cyclopean.io.image import Photo, resize
from cyclopean.networks.mobile import Mobile
from cyclopean.networks.subject import SubjectNet
from cyclopean.training.models import BUNDLED, WEIGHTS

FOLDER = BUNDLED / "subject"
SMALL = 80, 112  # of the pictures in which an object is outlined without a network
SEEN = 160, 224  # (height, width) of the pictures that the network was trained on
WINDOWS = 0.25, 0.5  # of a panorama's width, and twice as much of its height: in which an object is looked for
LIKELY = 0.5  # probability at the point, below which there is no object there

Pixel = tuple[int, int]  # x, y
Outline = Callable[[Any, Any, Sequence[Pixel]], Any]
Matte = Float[Tensor, "1 1 h w"]
Region = Float[np.ndarray, "_ _"]


@cache
def bundled_network() -> SubjectNet | None:
    """Return the bundled network; None where this version has none."""
    if not (FOLDER / WEIGHTS).exists():
        return None
    with torch.random.fork_rng(devices=[]):  # its own weights are drawn, and replaced
        network = SubjectNet()
    stored = load_file(FOLDER / WEIGHTS)
    network.load_state_dict({k: x.float() if x.is_floating_point() else x for k, x in stored.items()}, assign=True)
    return network.eval()


def with_subject(photo: Photo, depth: DepthMap, point: Point) -> tuple[DepthMap, Sharp | None]:
    """Return depth in which the object at `point` is one surface, and its inverse depths; where there is no object,
    depth as it was, and None."""
    return selector(photo, depth).surface(point)


def selector(photo: Photo, depth: DepthMap) -> "SubjectSelector | PanoramaSelector":
    """Return what finds objects of a photo or a panorama (by its camera) with the bundled network."""
    network = bundled_network()
    if isinstance(photo.camera, Equirectangular):
        return PanoramaSelector(photo, depth, network)
    return SubjectSelector(photo, depth, network)


class SubjectSelector:
    """Finds the object at points of one photo; what does not depend on the points is computed once.

    Without a network, by `outline`: a function of small colours, inverse depth and points, such as `outlined`.
    """

    def __init__(
        self,
        photo: Photo,
        depth: DepthMap,
        network: SubjectNet | None = None,
        *,
        outline: Outline = outlined,
    ) -> None:
        self.photo, self.depth, self.network, self.outline = photo, depth, network, outline

    def __call__(self, points: Sequence[Point], without: Sequence[Point] = ()) -> Matte | None:
        """Return the soft matte of the object at `points` but not at `without` (pixels, or fractions).

        None where there is no object: ground, walls, sky.
        """
        pixels, others = ([focus_pixel(point, self.photo.size) for point in some] for some in (points, without))
        rough = self.rough(pixels, others)
        if rough is None:
            return None
        matte = soft_matte(rough, self.guide)
        subject = matte >= 0.5
        return torch.from_numpy(matte)[None, None] if subject.any() and not subject.all() else None

    def surface(self, point: Point) -> tuple[DepthMap, Sharp | None]:
        """Return as `with_subject` does."""
        matte = self([point])
        return (self.depth, None) if matte is None else coherent(self.depth, matte)

    def rough(self, pixels: Sequence[Pixel], others: Sequence[Pixel] = ()) -> Region | None:
        """Return the probability of the object at pixels (x, y) of the photo, at a small size; None: no object."""
        if self.network is None:
            colours, inverse_depth = self._small
            inside = self.outline(colours, inverse_depth, self._there(pixels, inverse_depth.shape))
            for pixel in self._there(others, inverse_depth.shape):
                inside = inside & ~self.outline(colours, inverse_depth, [pixel])
            return inside.astype(np.float32)
        with torch.inference_mode():
            logits = self._logits(pixels)
            for pixel in others:  # a pixel is that object's to which it fits better
                logits = torch.minimum(logits, logits - self._logits([pixel]))
            probability = logits.sigmoid()[0, 0].numpy()
        if max(float(probability[y, x]) for x, y in self._there(pixels, probability.shape)) < LIKELY:
            return None
        colours, inverse_depth = self._small
        (h, w), there = inverse_depth.shape, self._there(pixels, inverse_depth.shape)
        return recut(colours, inverse_depth, there, cv2.resize(probability, (w, h))).astype(np.float32)

    def _there(self, pixels: Sequence[Pixel], size: tuple[int, ...]) -> list[Pixel]:
        """Return pixels of the photo as those of a picture of `size` (height, width)."""
        return [(x * size[1] // self.photo.size[1], y * size[0] // self.photo.size[0]) for x, y in pixels]

    def _logits(self, pixels: Sequence[Pixel]) -> Float[Tensor, "1 1 _ _"]:
        """Return the mean of what the network says of the photo and of its mirror image."""
        assert self.network is not None
        h, w = self.photo.size
        points = torch.tensor([[((x + 0.5) / w, (y + 0.5) / h) for x, y in pixels]], dtype=torch.float32)
        mirrored = torch.stack([1 - points[..., 0], points[..., 1]], -1)
        logits = self.network(self._embeddings, torch.cat([points, mirrored])[:, None])
        return (logits[:1] + logits[1:].flip(-1)) / 2

    @cached_property
    def _embeddings(self) -> list[Tensor]:
        """The embeddings of the photo and of its mirror image."""
        assert self.network is not None
        size = working_size(self.photo.size, SEEN, Mobile.multiple)
        shown = resize(self.photo.image, size), resize(torch.from_numpy(self._plane)[None, None], size)
        with torch.inference_mode():
            return self.network.embed(*(torch.cat([x, x.flip(-1)]) for x in shown))

    @cached_property
    def _plane(self) -> Region:
        return fill_unknown(self.depth.inverse_depth[0, 0], self.depth.valid[0, 0])

    @cached_property
    def guide(self) -> Float[np.ndarray, "h w 3"]:
        return np.ascontiguousarray(self.photo.image[0].permute(1, 2, 0).numpy(), np.float32)

    @cached_property
    def _small(self) -> tuple[Float[np.ndarray, "_ _ 3"], Region]:
        size = working_size(self.photo.size, SMALL, 1)
        image, inverse = resize(self.photo.image, size), resize(torch.from_numpy(self._plane)[None, None], size)
        return np.ascontiguousarray(image[0].permute(1, 2, 0).numpy()), inverse[0, 0].numpy()


@dataclass(frozen=True)
class PanoramaSelector:
    """Finds the object at a point of a panorama, also over the seam: in a window around it, as in a photo."""

    photo: Photo
    depth: DepthMap
    network: SubjectNet | None

    def surface(self, point: Point) -> tuple[DepthMap, Sharp | None]:
        """Return as `with_subject` does."""
        h, w = self.photo.size
        x, y = focus_pixel(point, (h, w))
        shift = w // 2 - x
        photo = dataclasses.replace(self.photo, image=self.photo.image.roll(shift, -1), camera=None)
        depth = _parted(self.depth, lambda plane: plane.roll(shift, -1))
        for share in WINDOWS:
            high, wide = min(h, max(1, round(2 * share * h))), max(1, round(share * w))
            top, left = min(max(y - high // 2, 0), h - high), (w - wide) // 2
            there = ..., slice(top, top + high), slice(left, left + wide)
            part = dataclasses.replace(photo, image=photo.image[there].contiguous())
            select = SubjectSelector(part, _parted(depth, itemgetter(there)), self.network)
            matte = select([(w // 2 - left, y - top)])
            if matte is None:
                return self.depth, None
            whole = torch.zeros(1, 1, h, w)
            whole[there] = matte
            if not _is_cut(matte[0, 0] >= 0.5, top > 0, top + high < h):
                break
        surface, sharp = coherent(depth, whole)
        return dataclasses.replace(
            self.depth, inverse_depth=surface.inverse_depth.roll(-shift, -1), valid=surface.valid.roll(-shift, -1)
        ), sharp


def _parted(depth: DepthMap, change: Callable[[Tensor], Tensor]) -> DepthMap:
    return dataclasses.replace(
        depth, inverse_depth=change(depth.inverse_depth), valid=change(depth.valid), camera=None, kind="inverse_depth"
    )


def _is_cut(subject: Bool[Tensor, "h w"], above: bool, below: bool) -> bool:
    """Return whether a subject goes on beside its window, or above or below, where the picture does."""
    sides = [subject[:, 0], subject[:, -1], *([subject[0]] if above else []), *([subject[-1]] if below else [])]
    return any(bool(side.any()) for side in sides)
