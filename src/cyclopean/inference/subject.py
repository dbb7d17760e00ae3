"""From a click to the soft matte of the object that was clicked, by the bundled network.

select = SubjectSelector(photo, depth)  # features of the photo, once
matte = select([(0.4, 0.6)])            # 1 1 h w, 1 on the subject; None where there is no object, but ground or sky
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor

from cyclopean.defocus.focus import Sharp, fill_unknown
from cyclopean.defocus.lens import Point, focus_pixel
from cyclopean.defocus.subject import coherent, outlined, recut, soft_matte
from cyclopean.errors import InputError
from cyclopean.inference.predictor import load, weights_hash, working_size
from cyclopean.io.depthmap import DepthMap
from cyclopean.io.image import Photo, resize
from cyclopean.networks.mobile import Mobile
from cyclopean.networks.subject import FEATURES, SubjectNet
from cyclopean.training.models import BUNDLED, DEFAULT, WEIGHTS

FOLDER, CARD = BUNDLED / "subject", "card.json"
SMALL = 80, 112  # of the pictures in which an object is outlined without a network
SEEN = 160, 224  # (height, width) of the pictures that the network was trained on
LIKELY = 0.5  # probability at the point, below which there is no object there

Pixel = tuple[int, int]  # x, y
Outline = Callable[[Any, Any, Sequence[Pixel]], Any]
Matte = Float[Tensor, "1 1 h w"]
Region = Float[np.ndarray, "_ _"]


@dataclass(frozen=True)
class Backbone:
    """The network that predicts depth, as a source of features."""

    network: Mobile

    def seen(self, image: Float[Tensor, "b 3 h w"]) -> tuple[list[Tensor], Float[Tensor, "b 4 _ _"]]:
        """Return features of pictures, encoder and decoder joined, coarse to fine (1/32 to 1/4), and evidence.

        The evidence, at the size of the finest, are the colours, and predicted inverse depth as a share of its range.
        """
        with torch.inference_mode():
            encoded, decoded = self.network.pyramids(image)
            features = [torch.cat(pair, 1) for pair in zip(encoded, decoded, strict=True)][: len(FEATURES)]
            size = features[-1].shape[-2:]
            inverse = F.interpolate(F.softplus(self.network.heads[1](decoded[-1])), size=size, mode="area")
            low, high = (inverse.flatten(1).quantile(q, 1)[:, None, None, None] for q in (0.01, 0.99))
            share = (inverse - low) / (high - low).clamp(min=1e-9)
            return features, torch.cat([F.interpolate(image, size=size, mode="area"), share], 1)


@cache
def bundled_networks() -> tuple[Backbone, SubjectNet] | None:
    """Return the bundled networks; None where this version has none. Raises InputError if they do not fit together."""
    if not (FOLDER / WEIGHTS).exists():
        return None
    method = load(DEFAULT).method
    stated = json.loads((FOLDER / CARD).read_text())["features"]["sha256"]
    if stated != weights_hash(method):
        raise InputError(
            f"{FOLDER / WEIGHTS} was trained on the features of another {DEFAULT}; install cyclopean again."
        )
    with torch.random.fork_rng(devices=[]):  # its own weights are drawn, and replaced
        network = SubjectNet()
    stored = load_file(FOLDER / WEIGHTS)
    network.load_state_dict({k: x.float() if x.is_floating_point() else x for k, x in stored.items()}, assign=True)
    return Backbone(cast(Mobile, method.network)), network.eval()


def with_subject(photo: Photo, depth: DepthMap, point: Point) -> tuple[DepthMap, Sharp | None]:
    """Return depth in which the object at `point` is one surface, and its inverse depths; where there is no object,
    depth as it was, and None."""
    matte = SubjectSelector(photo, depth, bundled_networks())([point])
    return (depth, None) if matte is None else coherent(depth, matte)


class SubjectSelector:
    """Finds the object at points of one photo; what does not depend on the points is computed once.

    Without `networks`, by `outline`: a function of small colours, inverse depth and points, such as `outlined`.
    """

    def __init__(
        self,
        photo: Photo,
        depth: DepthMap,
        networks: tuple[Backbone, SubjectNet] | None = None,
        *,
        outline: Outline = outlined,
    ) -> None:
        self.photo, self.depth, self.networks, self.outline = photo, depth, networks, outline

    def __call__(self, points: Sequence[Point], without: Sequence[Point] = ()) -> Matte | None:
        """Return the soft matte of the object at `points` but not at `without` (pixels, or fractions).

        None where there is no object: ground, walls, sky.
        """
        pixels, others = ([focus_pixel(point, self.photo.size) for point in some] for some in (points, without))
        rough = self.rough(pixels, others)
        if rough is None:
            return None
        matte = soft_matte(rough, self._guide)
        subject = matte >= 0.5
        return torch.from_numpy(matte)[None, None] if subject.any() and not subject.all() else None

    def rough(self, pixels: Sequence[Pixel], others: Sequence[Pixel] = ()) -> Region | None:
        """Return the probability of the object at pixels (x, y) of the photo, at a small size; None: no object."""
        if self.networks is None:
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
        assert self.networks is not None
        h, w = self.photo.size
        points = torch.tensor([[((x + 0.5) / w, (y + 0.5) / h) for x, y in pixels]])
        mirrored = torch.stack([1 - points[..., 0], points[..., 1]], -1)
        logits = self.networks[1](self._embeddings, torch.cat([points, mirrored])[:, None])
        return (logits[:1] + logits[1:].flip(-1)) / 2

    @cached_property
    def _embeddings(self) -> list[Tensor]:
        """The embeddings of the photo and of its mirror image."""
        assert self.networks is not None
        backbone, network = self.networks
        image = resize(self.photo.image, working_size(self.photo.size, SEEN, Mobile.multiple))
        features, evidence = backbone.seen(torch.cat([image, image.flip(-1)]))
        with torch.inference_mode():
            return network.embed(features, evidence)

    @cached_property
    def _guide(self) -> Float[np.ndarray, "h w 3"]:
        return np.ascontiguousarray(self.photo.image[0].permute(1, 2, 0).numpy(), np.float32)

    @cached_property
    def _small(self) -> tuple[Float[np.ndarray, "_ _ 3"], Region]:
        size = working_size(self.photo.size, SMALL, 1)
        plane = fill_unknown(self.depth.inverse_depth[0, 0], self.depth.valid[0, 0])
        image, inverse = resize(self.photo.image, size), resize(torch.from_numpy(plane)[None, None], size)
        return np.ascontiguousarray(image[0].permute(1, 2, 0).numpy()), inverse[0, 0].numpy()
