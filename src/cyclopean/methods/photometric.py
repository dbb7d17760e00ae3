"""The photometric loss of view synthesis (Monodepth's Eq. 1), put together from parts that a `LossConfig` names.

At each scale of a disparity pyramid, the sources are warped into the target view and compared with the target. A method
adds up such losses, one for each view whose disparity it predicts.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError, unknown_name
from cyclopean.geometry import Correspondence, Pinhole, reproject, size_of
from cyclopean.geometry.cameras import Border, Pose
from cyclopean.losses import (
    PerSource,
    Scalar,
    absolute,
    appearance,
    photometric_error,
    proportional_smoothness,
    pyramid,
    smoothness,
    squared,
    squared_smoothness,
    weighted_mean,
)
from cyclopean.methods.base import Losses, Paired
from cyclopean.methods.heads import HEADS, Head
from cyclopean.methods.masks import (
    MASKS,
    Error,
    MaskFunction,
    MaskInputs,
    ScaledView,
    explainability_regularization,
)
from cyclopean.networks import build
from cyclopean.networks.falnet import centred
from cyclopean.networks.resnet import Encoder, pretrained
from cyclopean.sample import Map, View
from cyclopean.synthesis import pull, pull_linearized, pull_nearest
from cyclopean.training.options import LossConfig

EXPLAIN = 0.2  # weight of the cross-entropy that keeps an explainability mask from vanishing (Zhou et al. 2017)
PERCEPTUAL = 0.01  # weight of differences of features in views that are rendered (AQUANet, Eq. 11)
FEATURES = 0.1  # weight of the difference of features (Zhan et al. 2018)

PerItem = Float[Tensor, " b"]
FeatureExtractor = Callable[[Float[Tensor, "b 3 h w"]], list[Tensor]]


@dataclass(frozen=True)
class DisparityPyramid:
    """Disparity of one view at each scale, finest first; with it explainability in [0,1] where a mask is learned."""

    disparities: tuple[Tensor, ...]
    explainability: tuple[Tensor, ...] = ()

    def __getitem__(self, items: slice) -> "DisparityPyramid":
        """Return some items of the batch."""
        return DisparityPyramid(tuple(x[items] for x in self.disparities), tuple(x[items] for x in self.explainability))


@dataclass(frozen=True)
class SourceView:
    """A view that the target is warped from, its pose (`source_from_target`), and, if predicted, its disparities and
    how far each pixel of the target is explained by it, at each scale."""

    view: View
    pose: Pose
    disparities: DisparityPyramid | None = None
    explainability: tuple[Tensor, ...] = ()


class PhotometricLoss:
    """The loss of reconstructing one view from others by the disparities predicted for it.

    `own_features` returns the first features of the method's network, for `LossConfig.features` "own". Attributes:
    `head`, and `channels`, the number of network outputs per scale for one view. Raises `InputError` for unknown names.
    """

    def __init__(self, config: LossConfig, own_features: FeatureExtractor) -> None:
        self.config = config
        self.head: Head = _named("head", HEADS, config.head)
        self.warp: Callable[..., Tensor] = _named("warp", WARPS, config.warp)
        self.error: Error = _named("error", ERRORS, config.error)
        self.masks: list[MaskFunction] = [_named("mask", MASKS, name) for name in config.masks]
        self.scales: Callable[..., list[ScaledView]] = _named("scales", SCALES, config.scales)
        self.smooth: Callable[..., Scalar] = _named("smooth", SMOOTHS, config.smooth)
        self.border: Border = config.border
        self.smoothness = config.smoothness
        self.features: FeatureExtractor | None = None
        if config.features != "none":
            self.features = own_features if config.features == "own" else PerceptualFeatures(Path(config.features))
        self.predicts_mask = "learned" in config.masks
        self.channels = self.head.outputs + self.predicts_mask

    def decode(self, raws: Sequence[Float[Tensor, "b c _ _"]]) -> DisparityPyramid:
        """Convert a network's raw outputs for one view to its disparity pyramid, finest first."""
        n = self.head.outputs
        disparities = tuple(self.head(raw[:, :n].float()) for raw in raws)
        return DisparityPyramid(disparities, tuple(raw[:, n:].float().sigmoid() for raw in raws if self.predicts_mask))

    def __call__(
        self,
        target: View,
        predicted: DisparityPyramid,
        sources: Sequence[SourceView],
        length: PerItem | None = None,
    ) -> Losses:
        """Return the named, weighted losses of `target`, warped from `sources` by the disparities `predicted` for it.

        Monodepth's Eq. 1 for one view: appearance, consistency with those sources whose disparities are predicted as
        well, and smoothness. Scales are added up; at full size they are averaged (Monodepth2). `length` is the baseline
        that heads count in, by default that of the first source: then `InputError` for a source at the target's place.
        """
        n = len(predicted.disparities)
        poses = [source.pose for source in sources]
        length = baseline(poses[0]) if length is None else length
        unit = self.head.unit(target.camera, length)[:, None, None, None]
        targets = self.scales(target, predicted, n)
        others = list(zip(*(self._source_scales(source, n) for source in sources), strict=True))
        at_own_size = native_scales(target, predicted, n) if self.scales is full_scales else targets
        losses: dict[str, list[Scalar]] = defaultdict(list)

        for s, (view, sources_s, small) in enumerate(zip(targets, others, at_own_size, strict=True)):
            errors, matches = self.reprojection_errors(view, sources_s, poses, unit, self.error)
            losses["appearance"].append(weighted_mean(errors, view.weight))

            masks = [x.explainability for x in (view, *sources_s) if x.explainability is not None]
            if masks:
                disbelief = explainability_regularization(torch.cat(masks, 1))
                losses["explained"].append(EXPLAIN * weighted_mean(disbelief, view.weight))

            # Left-right consistency: the source's disparity at the corresponding pixel equals the target's.
            theirs = [
                pull(source.disparity, match.uv, self._border(source))
                for source, match in zip(sources_s, matches, strict=True)
                if source.disparity is not None
            ]
            if theirs:
                assert view.disparity is not None
                difference = (torch.cat(theirs, 1) - view.disparity).abs()
                losses["consistency"].append(weighted_mean(difference, view.weight))

            losses["smoothness"].append(self.smooth(small.disparity, small.image, small.weight) / 2**s)

        total = {name: torch.stack(values).sum() for name, values in losses.items()}
        total["smoothness"] = self.smoothness * total["smoothness"]
        if self.scales is full_scales:
            total = {name: value / n for name, value in total.items()}
        if self.features is not None:
            costs = []
            for view, with_features in self._feature_scales(targets[0], others[0], self.features):
                errors, _ = self.reprojection_errors(view, with_features, poses, unit, absolute)
                costs.append(weighted_mean(errors, view.weight))
            total["features"] = FEATURES * torch.stack(costs).mean()
        return total

    def reprojection_errors(
        self,
        target: ScaledView,
        sources: Sequence[ScaledView],
        poses: Sequence[Pose],
        unit: Float[Tensor, "b 1 1 1"],
        error: Error,
    ) -> tuple[PerSource, list[Correspondence]]:
        """Return the masked error between the target and each warped source, and the correspondences in the sources.

        `unit` is disparity / inverse depth.
        """
        assert target.disparity is not None
        rho = target.disparity / unit
        views = list(zip(sources, poses, strict=True))
        matches = [reproject(rho, target.camera, pose, source.camera) for source, pose in views]
        warped = (
            self.warp(source.image, match.uv, self._border(source))
            for source, match in zip(sources, matches, strict=True)
        )
        errors = torch.cat([error(image, target.image) for image in warped], 1)
        inputs = MaskInputs(target, sources, poses, rho, matches, errors, error)
        return reduce(torch.mul, (mask(inputs) for mask in self.masks), errors), matches

    def _source_scales(self, source: SourceView, n: int) -> list[ScaledView]:
        """Return a source at each scale, with its explainability there."""
        views = self.scales(source.view, source.disparities, n)
        if not source.explainability:
            return views
        masks = zip(views, source.explainability, strict=False)
        return [replace(view, explainability=resized(mask, size_of(view.image))) for view, mask in masks]

    def _border(self, source: ScaledView) -> Border:
        return "sphere" if source.camera.border == "sphere" else self.border

    @staticmethod
    def _feature_scales(
        target: ScaledView, sources: Sequence[ScaledView], features: FeatureExtractor
    ) -> Iterator[tuple[ScaledView, list[ScaledView]]]:
        """Yield target and sources with features of length 1 instead of colours (Zhan et al. 2018, Eq. 6).

        Features are constants here: a loss that trained them would make them all equal.
        """
        with torch.no_grad():
            pyramids = [features(view.image) for view in (target, *sources)]
        for maps in zip(*pyramids, strict=True):
            size = size_of(maps[0])
            first, *others = (
                ScaledView(
                    view.camera,
                    F.normalize(map_.float(), dim=1),
                    resized(view.weight, size),
                    *(x if x is None else resized(x, size) for x in (view.disparity, view.explainability)),
                )
                for view, map_ in zip((target, *sources), maps, strict=True)
            )
            yield first, others


def reconstruction(
    made: Float[Tensor, "b 3 h w"], real: Float[Tensor, "b 3 h w"], weight: Map, features: FeatureExtractor | None
) -> Losses:
    """Return |made - real| under `weight`, and of features, compared with `real` where the weight is 1.

    AQUANet, Eq. 11, and FAL-Net. Means over all pixels. The network that makes features sees the same picture where the
    weight is 0.
    """
    losses = {"photometric": (weight * absolute(made, real)).mean()}
    if features is not None:
        mixed = weight * real + (1 - weight) * made
        pairs = zip(features(centred(made)), features(centred(mixed)), strict=True)
        losses["perceptual"] = PERCEPTUAL * torch.stack([squared(x, y).mean() for x, y in pairs]).sum()
    return losses


def add(*losses: Losses) -> Losses:
    """Return losses of several views added up by name."""
    names = dict.fromkeys(name for terms in losses for name in terms)
    return {name: torch.stack([terms[name] for terms in losses if name in terms]).sum() for name in names}


def baseline(pose: Pose) -> PerItem:
    """Return the distance between two cameras. Raises `InputError` if it is 0."""
    length = pose[:, :3, 3].norm(dim=1)
    if not bool((length > 0).all()):
        raise InputError("two views were taken from one place, which gives no depth; leave such pairs out.")
    return length


class PhotometricMethod(Paired):
    """A method that predicts disparities of one or more views and learns them by a `PhotometricLoss`.

    `maps`: the number of predicted disparity pyramids, one for each view (or baseline). `views`: the number of pictures
    that the network takes. `rules` configures the loss, and may be JSON values; other `arguments` are kept for the
    config.
    """

    def __init__(
        self,
        network: str,
        width: float,
        rules: LossConfig | Mapping[str, Any],
        *,
        maps: int = 1,
        views: int = 1,
        **arguments: Any,
    ) -> None:
        config = rules if isinstance(rules, LossConfig) else LossConfig(**rules)
        super().__init__(network=network, width=width, **arguments, rules=asdict(config))
        self.maps, self.views = maps, views
        self.loss = PhotometricLoss(config, self.own_features)
        self.network = build(network, width, maps * self.loss.channels, 3 * views)
        self.input_multiple: int = self.network.multiple  # type: ignore[assignment]

    def unit(self, rig: Sequence[float]) -> float:
        focal, length = rig
        with torch.device("cpu"):  # even while a method is built on the meta device
            camera = Pinhole(torch.tensor([[focal, focal]]), torch.tensor([[0.5, 0.5]]))
            return self.loss.head.unit(camera, torch.tensor([length])).item()

    def decode(self, raws: Sequence[Float[Tensor, "b c _ _"]]) -> list[DisparityPyramid]:
        """Split the network's raw outputs into `maps` pyramids, in the order of their channels."""
        return [self.loss.decode(one) for one in zip(*(raw.chunk(self.maps, 1) for raw in raws), strict=True)]

    def own_features(self, image: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """Return the network's first features of one picture; a network of two pictures gets it twice."""
        return self.network.features(image.repeat(1, self.views, 1, 1))  # type: ignore[operator]


# --- scales: a view and its disparities at the sizes at which they are compared ---


def native_scales(view: View, predicted: DisparityPyramid | None, n: int) -> list[ScaledView]:
    """Return each scale at its own size: pictures shrunk by area."""
    images, weights = (pyramid(x, n) for x in (view.image, view.valid.to(view.image.dtype)))
    return [
        ScaledView(view.camera, image, weight, *_at(predicted, s))
        for s, (image, weight) in enumerate(zip(images, weights, strict=True))
    ]


def full_scales(view: View, predicted: DisparityPyramid | None, n: int) -> list[ScaledView]:
    """Return each scale at full size: disparities are upsampled (Monodepth2, sec. 3.2)."""
    weight, size = view.valid.to(view.image.dtype), size_of(view.image)
    return [
        ScaledView(view.camera, view.image, weight, *(x if x is None else resized(x, size) for x in _at(predicted, s)))
        for s in range(n)
    ]


def finest_scale(view: View, predicted: DisparityPyramid | None, n: int) -> list[ScaledView]:  # noqa: ARG001
    """Return only the finest scale."""
    return native_scales(view, predicted, 1)


def resized(x: Map, size: tuple[int, int]) -> Float[Tensor, "b 1 h2 w2"]:
    """Resize to (height, width), bilinearly."""
    return x if x.shape[-2:] == size else F.interpolate(x, size, mode="bilinear", align_corners=False)


def _at(predicted: DisparityPyramid | None, s: int) -> tuple[Tensor | None, Tensor | None]:
    """Return disparity and explainability at scale `s`."""
    if predicted is None:
        return None, None
    return predicted.disparities[s], predicted.explainability[s] if predicted.explainability else None


# --- features: compared beside colours ---


@dataclass
class PerceptualFeatures:
    """A ResNet's features at 1/2 and 1/4. The file is read on first use, since prediction does not need it."""

    path: Path
    encoders: list[Encoder] = field(default_factory=list)

    def __call__(self, image: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        if not self.encoders:
            self.encoders.append(pretrained(self.path).eval().requires_grad_(False))
        return self.encoders[0].to(image.device)(image)[:2]


# --- names to values ---

WARPS: dict[str, Callable[..., Tensor]] = {"linear": pull, "linearized": pull_linearized, "nearest": pull_nearest}
ERRORS: dict[str, Error] = {"ssim": appearance, "ssim-reflected": photometric_error, "l1": absolute, "l2": squared}
SCALES: dict[str, Callable[..., list[ScaledView]]] = {
    "native": native_scales,
    "full": full_scales,
    "finest": finest_scale,
}
SMOOTHS: dict[str, Callable[..., Scalar]] = {
    "edges": smoothness,
    "proportional": proportional_smoothness,
    "squared": squared_smoothness,
}


def _named(kind: str, known: Mapping[str, Any], name: str) -> Any:
    """Return the value of that name. Raises `InputError` with the nearest name if there is none."""
    if name not in known:
        raise unknown_name(kind, name, known)
    return known[name]
