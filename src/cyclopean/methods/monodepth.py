"""Monodepth: unsupervised depth with left-right consistency (Godard, Mac Aodha, Brostow, CVPR 2017)."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.geometry import Camera, Pinhole, invert, reproject
from cyclopean.losses import appearance, item_mean, photometric, pyramid, smoothness, weighted_mean
from cyclopean.methods.base import Ambiguity, Method, Prediction, full_precision
from cyclopean.networks import build
from cyclopean.sample import Sample, View
from cyclopean.synthesis import pull

SCALES = 4
MOST = 0.3  # the largest disparity, a fraction of the image width (sec. 4.1)
JUDGED = 2  # the scale whose images judge a common factor: a quarter
MOST_FACTOR = 12.0  # and its inverse: the largest and smallest factor tried
SMOOTHNESS = 0.1  # alpha_ds at the finest scale, halved from scale to scale

Disparity = Float[Tensor, "b 1 h w"]
Scalar = Float[Tensor, ""]


class Monodepth(Method):
    """From the left image, the disparities of both; each image is rebuilt from the other and compared.

    Samples need one pinhole source to the right of the target (t = (-baseline, 0, 0)). Disparities are fractions of the
    image width, d = focal_u * baseline * rho. A model for one rig stores `rig` = (focal_u in image widths, baseline in
    metres) and is metric; without it depth is known up to scale.

    Ours, not the paper's: pairs of many rigs and scenes of many sizes, whose disparities no one picture tells. With
    `factors` > 1 each pair's disparities are multiplied by the common factor, of so many between 1/12 and 12 and then
    as many around the best, that rebuilds its left image best; the network is left to learn their proportions.
    """

    name: ClassVar[str] = "monodepth"

    def __init__(
        self, network: str = "vgg", width: float = 1.0, rig: Sequence[float] | None = None, factors: int = 1
    ) -> None:
        super().__init__()
        if factors > 1 and rig is not None:
            raise InputError("monodepth for one rig learns metric depth and has no free factor; drop rig or factors.")
        self.network = build(network, width, 2)
        self.input_multiple: int = self.network.multiple  # type: ignore[assignment]
        self.ambiguity: Ambiguity = "scale" if rig is None else "metric"
        self._arguments: dict[str, Any] = {
            "network": network,
            "width": width,
            "rig": None if rig is None else list(rig),
            "factors": factors,
        }
        self._unit = 1.0 if rig is None else math.prod(rig)

    def config(self) -> dict[str, Any]:
        return dict(self._arguments)

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:  # noqa: ARG002
        left, right = self._disparities(target.seen)[0].split(1, 1)
        return Prediction(left / self._unit, extras={"disparity_left": left, "disparity_right": right})

    def losses(self, sample: Sample) -> dict[str, Scalar]:
        left, right = sample.target, _right_of(sample)
        disparities = [d.split(1, 1) for d in self._disparities(left.seen)]
        with full_precision(left.image):
            right_from_left = _pose(right)
            left_from_right = invert(right_from_left)
            sides = [
                (_Side(left.camera, *here, d_left), _Side(right.camera, *there, d_right))
                for here, there, (d_left, d_right) in zip(_levels(left), _levels(right), disparities, strict=True)
            ]
            if (n := self._arguments["factors"]) > 1:
                factor = _best_factor(*sides[JUDGED], right_from_left, n)
                sides = [(here.times(factor), there.times(factor)) for here, there in sides]
            total = {name: left.image.new_zeros(()) for name in ("appearance", "smoothness", "consistency")}
            for s, (here, there) in enumerate(sides):
                for terms in (_terms(here, there, right_from_left, s), _terms(there, here, left_from_right, s)):
                    total = {name: total[name] + terms[name] for name in total}
        return total

    def _disparities(self, image: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b 2 _ _"]]:
        return [MOST * raw.float().sigmoid() for raw in self.network(image)]


@dataclass(frozen=True)
class _Side:
    """One of the two images at one scale: its camera, colours, weights and own disparity."""

    camera: Camera
    image: Float[Tensor, "b 3 h w"]
    weight: Float[Tensor, "b 1 h w"]
    disparity: Disparity

    def times(self, factor: Float[Tensor, " b"]) -> "_Side":
        """With its disparities multiplied."""
        return replace(self, disparity=self.disparity * factor[:, None, None, None])


@torch.no_grad()
def _best_factor(own: _Side, other: _Side, other_from_own: Float[Tensor, "b 4 4"], n: int) -> Float[Tensor, " b"]:
    """For each pair the factor of its disparities that rebuilds `own` best: a coarse search, then a finer one."""
    best = own.disparity.new_ones(len(own.disparity))
    reach = MOST_FACTOR
    for _ in range(2):
        tried = torch.logspace(-1, 1, n, base=reach, device=best.device)[:, None] * best
        errors = torch.stack([_rebuilding_error(own.times(factor), other, other_from_own) for factor in tried])
        best = tried.gather(0, errors.argmin(0)[None])[0]
        reach = reach ** (2 / (n - 1))
    return best


def _rebuilding_error(own: _Side, other: _Side, other_from_own: Float[Tensor, "b 4 4"]) -> Float[Tensor, " b"]:
    """Of each item, over what lands inside the other image; what lands outside counts as a mean error of 1/2."""
    landing = reproject(_inverse_depth(own, other_from_own), own.camera, other_from_own, other.camera)
    error = photometric(pull(other.image, landing.uv, "edge"), own.image)
    error = torch.where(landing.valid, error, torch.full_like(error, 0.5))
    return item_mean(error, own.weight).flatten()


def _terms(own: _Side, other: _Side, other_from_own: Float[Tensor, "b 4 4"], scale: int) -> dict[str, Scalar]:
    """Eq. 2, 3 and 4 for one image at one scale. What lands outside is compared with black, as in the paper."""
    uv = reproject(_inverse_depth(own, other_from_own), own.camera, other_from_own, other.camera).uv
    rebuilt, theirs = pull(other.image, uv, "zeros"), pull(other.disparity, uv, "zeros")
    return {
        "appearance": appearance(rebuilt, own.image, own.weight),
        "smoothness": SMOOTHNESS / 2**scale * smoothness(own.disparity, own.image, own.weight),
        "consistency": weighted_mean((theirs - own.disparity).abs(), own.weight),
    }


def _inverse_depth(side: _Side, other_from_own: Float[Tensor, "b 4 4"]) -> Disparity:
    """rho = d / (focal_u * baseline)."""
    assert isinstance(side.camera, Pinhole)
    baseline = other_from_own[:, 0, 3].abs()
    return side.disparity / (side.camera.focal[:, 0] * baseline)[:, None, None, None]


def _levels(view: View) -> Iterable[tuple[Tensor, Tensor]]:
    """Image and weights at every scale, finest first."""
    return zip(pyramid(view.image, SCALES), pyramid(view.valid.to(view.image.dtype), SCALES), strict=True)


def _right_of(sample: Sample) -> View:
    """The source, after checking that it is what the right-aligned head is for."""
    if len(sample.sources) != 1:
        raise InputError(
            f"monodepth learns from stereo pairs and was given {len(sample.sources)} sources; use a stereo folder."
        )
    right = sample.sources[0]
    if not isinstance(sample.target.camera, Pinhole) or not isinstance(right.camera, Pinhole):
        raise InputError("monodepth needs pinhole cameras; panoramas need another method.")
    if not bool((_pose(right)[:, 0, 3] < 0).all()):
        raise InputError("monodepth needs its source to the right of the target (t_x < 0); swap left and right.")
    return right


def _pose(source: View) -> Float[Tensor, "b 4 4"]:
    if source.from_target is None:
        raise InputError("monodepth needs the pose of the right camera; give the pair a calibration.")
    return source.from_target


def postprocess(disparity: Disparity, flipped_back: Disparity) -> Disparity:
    """Averages a disparity with the one of the flipped image, flipped back; each alone at the border it sees well.

    `flipped_back` within 5 % of the left border, `disparity` within 5 % of the right one, ramps to 10 %. The columns
    are those of the text and the release, not of the supplement's formula, whose weights sum to 1.5 at the borders.
    """
    j = torch.linspace(0, 1, disparity.shape[-1], dtype=disparity.dtype, device=disparity.device)
    left, right = _ramp(j), _ramp(1 - j)
    return right * disparity + left * flipped_back + (1 - left - right) * (disparity + flipped_back) / 2


def _ramp(j: Float[Tensor, " w"]) -> Float[Tensor, " w"]:
    return 1 - (20 * (j - 0.05)).clamp(0, 1)
