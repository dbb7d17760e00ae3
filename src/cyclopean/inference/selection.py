"""From a click to the soft matte of the thing that was clicked, by the bundled network.

select = Selector(photo, depth)        # features of the photo, once
matte = select([(0.4, 0.6)])           # 1 1 h w, 1 on the subject; None where there is no thing, but ground or sky
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor

from cyclopean.defocus.focus import fill_unknown
from cyclopean.defocus.lens import Point, focus_pixel
from cyclopean.defocus.selection import connected, grabcut, soft_matte
from cyclopean.errors import InputError
from cyclopean.inference.predictor import load, weights_hash, working_size
from cyclopean.io.depthmap import DepthMap
from cyclopean.io.image import Photo, resize
from cyclopean.networks.clicked import Clicked
from cyclopean.networks.mobile import Mobile
from cyclopean.training.checkpoint import BUNDLED, DEFAULT, WEIGHTS

FOLDER, CARD = BUNDLED / "subject", "card.json"
SEEN = 160, 224  # (height, width) of the pictures that the network was trained on
THING = 0.3  # probability at the point, below which there is no thing there

Matte = Float[Tensor, "1 1 h w"]
Region = Float[np.ndarray, "_ _"]


@dataclass(frozen=True)
class Backbone:
    """The network that predicts depth, as a source of features."""

    network: Mobile

    def features(self, image: Float[Tensor, "1 3 h w"]) -> list[Tensor]:
        """Return features of encoder and decoder, joined, coarse to fine. Sides are multiples of 32."""
        with torch.inference_mode():
            return [torch.cat(pair, 1) for pair in zip(*self.network.pyramids(image), strict=True)]

    def seen(self, image: Float[Tensor, "1 3 h w"]) -> tuple[list[Tensor], Float[Tensor, "1 4 _ _"]]:
        """Return features and `evidence` of a picture by its depth at this size: as in training."""
        with torch.inference_mode():
            encoded, decoded = self.network.pyramids(image)
            features = [torch.cat(pair, 1) for pair in zip(encoded, decoded, strict=True)]
            inverse = F.softplus(self.network.finish(image, decoded)[0])
            height, width = features[-1].shape[-2:]
            return features, evidence(image, inverse, (height, width))


def evidence(
    image: Float[Tensor, "1 3 h w"], inverse_depth: Float[Tensor, "1 1 h2 w2"], size: tuple[int, int]
) -> Float[Tensor, "1 4 _ _"]:
    """Return colours, and inverse depth as a share of its range, at `size`."""
    image, inverse_depth = resize(image, size), resize(inverse_depth, size)
    low, high = np.percentile(inverse_depth.numpy(), (1, 99))
    return torch.cat([image, (inverse_depth - float(low)) / max(float(high - low), 1e-9)], 1)


@cache
def bundled_networks() -> tuple[Backbone, Clicked] | None:
    """Return the bundled networks; None where this version has none. Raises InputError if they do not fit together."""
    if not (FOLDER / WEIGHTS).exists():
        return None
    method = load(DEFAULT).method
    stated = json.loads((FOLDER / CARD).read_text())["features"]["sha256"]
    if stated != weights_hash(method):
        raise InputError(
            f"{FOLDER / WEIGHTS} was trained on the features of another {DEFAULT}; install cyclopean again."
        )
    network = Clicked()
    network.load_state_dict(load_file(FOLDER / WEIGHTS))
    return Backbone(cast(Mobile, method.network)), network.eval()


class Selector:
    """Finds the thing at points of one photo; what does not depend on the points is computed once.

    Without networks, and with `networks` None, by GrabCut on colours and depth.
    """

    def __init__(self, photo: Photo, depth: DepthMap, networks: tuple[Backbone, Clicked] | None = None) -> None:
        self.photo, self.depth, self.networks = photo, depth, networks

    def __call__(self, points: Sequence[Point], without: Sequence[Point] = ()) -> Matte | None:
        """Return the soft matte of the thing at `points` but not at `without` (pixels, or fractions).

        None where there is no thing: ground, walls, sky.
        """
        pixels, others = ([focus_pixel(point, self.photo.size) for point in some] for some in (points, without))
        rough = self.rough(pixels, others)
        if rough is None:
            return None
        matte = soft_matte(rough, self._guide)
        subject = matte >= 0.5
        return torch.from_numpy(matte)[None, None] if subject.any() and not subject.all() else None

    def rough(self, pixels: Sequence[tuple[int, int]], others: Sequence[tuple[int, int]] = ()) -> Region | None:
        """Return the probability of the thing at pixels (x, y) of the photo, at a small size; None: no thing."""
        if self.networks is None:
            inside = grabcut(self._small[0], self._small[1], self._there(pixels))
            return inside.astype(np.float32)
        with torch.inference_mode():
            logits = self._logits(pixels)
            for pixel in others:  # a pixel is that thing's to which it fits better
                logits = torch.minimum(logits, logits - self._logits([pixel]))
            probability = logits.sigmoid()[0, 0].numpy()
        h, w = probability.shape
        there = [(x * w // self.photo.size[1], y * h // self.photo.size[0]) for x, y in pixels]
        if max(float(probability[y, x]) for x, y in there) < THING:
            return None
        return np.where(connected(probability >= THING, there), probability, 0)

    def _logits(self, pixels: Sequence[tuple[int, int]]) -> Float[Tensor, "1 1 _ _"]:
        assert self.networks is not None
        h, w = self.photo.size
        points = torch.tensor([[((x + 0.5) / w, (y + 0.5) / h) for x, y in pixels]])
        quarter, half = self._embeddings
        return self.networks[1](quarter, half, points)

    @cached_property
    def _embeddings(self) -> tuple[Tensor, Tensor]:
        assert self.networks is not None
        backbone, network = self.networks
        image = resize(self.photo.image, working_size(self.photo.size, SEEN, Mobile.multiple))
        features = backbone.features(image)
        height, width = features[-1].shape[-2:]
        with torch.inference_mode():
            return network.embed(features, evidence(image, self._filled, (height, width)))

    @cached_property
    def _filled(self) -> Float[Tensor, "1 1 h w"]:
        plane = fill_unknown(self.depth.inverse_depth[0, 0], self.depth.valid[0, 0])
        return torch.from_numpy(plane)[None, None]

    @cached_property
    def _guide(self) -> Float[np.ndarray, "h w 3"]:
        return np.ascontiguousarray(self.photo.image[0].permute(1, 2, 0).numpy(), np.float32)

    @cached_property
    def _small(self) -> tuple[Float[np.ndarray, "_ _ 3"], Region]:
        size = working_size(self.photo.size, SEEN, 1)
        image, plane = resize(self.photo.image, size), resize(self._filled, size)
        return np.ascontiguousarray(image[0].permute(1, 2, 0).numpy()), plane[0, 0].numpy()

    def _there(self, pixels: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        (h, w), (height, width) = self._small[1].shape, self.photo.size
        return [(x * w // width, y * h // height) for x, y in pixels]
