"""Monodepth: unsupervised depth with left-right consistency (Godard, Mac Aodha, Brostow, CVPR 2017)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError, unknown_name
from cyclopean.geometry import invert, reproject
from cyclopean.losses import item_mean, photometric, pyramid
from cyclopean.methods.base import Paired, Prediction, full_precision, known_pose, source_on_the_right
from cyclopean.methods.photometric import (
    Rules,
    Said,
    Source,
    baseline,
    channels,
    features_of,
    how,
    rig_unit,
    rules_of,
    said,
    summed,
    terms,
)
from cyclopean.networks import build
from cyclopean.sample import Sample, View
from cyclopean.synthesis import pull

JUDGED = 2  # the scale whose images judge a common factor: a quarter
MOST_FACTOR = 12.0  # and its inverse: the largest and smallest factor tried

Map = Float[Tensor, "b 1 h w"]
Scalar = Float[Tensor, ""]


@dataclass(frozen=True)
class Variant:
    """Of how many views the network tells the depth, and how many it is shown."""

    told: int
    shown: int


VARIANTS = {"lr": Variant(2, 1), "no-lr": Variant(1, 1), "stereo": Variant(2, 2)}  # rows of the paper's Table 1


class Monodepth(Paired):
    """From the left image, the disparities of both; each image is rebuilt from the other and compared.

    Samples need one pinhole source to the right of the target (t = (-baseline, 0, 0)). Disparities are fractions of the
    image width, d = focal_u * baseline * rho. A model for one rig stores `rig` = (focal_u in image widths, baseline in
    metres) and is metric; without it depth is known up to scale.

    `variant`: "lr"; "no-lr" predicts and rebuilds only the left image (sec. 3.2, Fig. 3); "stereo" is shown both
    images, when it predicts too (sec. 4.3). `rules` are the paper's unless told otherwise.

    Ours, not the paper's: pairs of many rigs and scenes of many sizes, whose disparities no one picture tells. With
    `factors` > 1 each pair's disparities are multiplied by the common factor, of so many between 1/12 and 12 and then
    as many around the best, that rebuilds its left image best; the network is left to learn their proportions.
    """

    name: ClassVar[str] = "monodepth"

    def __init__(  # noqa: PLR0917
        self,
        network: str = "vgg",
        width: float = 1.0,
        rig: Sequence[float] | None = None,
        factors: int = 1,
        variant: str = "lr",
        rules: Rules | Mapping[str, Any] = Rules(),  # noqa: B008
    ) -> None:
        super().__init__()
        if factors > 1 and rig is not None:
            raise InputError("monodepth for one rig learns metric depth and has no free factor; drop rig or factors.")
        if factors < 1 or factors == 2:
            raise InputError(f"monodepth is to try {factors} factors; give 1 (none is tried) or at least 3, 13 say.")
        if variant not in VARIANTS:
            raise unknown_name("variant", variant, VARIANTS)
        self._variant, self._rules = VARIANTS[variant], rules_of(rules)
        self.views = self._variant.shown
        self.network = build(network, width, self._variant.told * channels(self._rules), 3 * self.views)
        self.input_multiple: int = self.network.multiple  # type: ignore[assignment]
        self._arguments: dict[str, Any] = {
            "network": network,
            "width": width,
            "rig": None if rig is None else list(rig),
            "factors": factors,
            "variant": variant,
            "rules": self._rules.config(),
        }
        self._features = features_of(self._rules.features, self.network, self.views)
        self.keep_rig(rig, partial(rig_unit, how(self._rules).head))

    def config(self) -> dict[str, Any]:
        return dict(self._arguments)

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:
        nearness = [side.nearness[0] for side in self._said(target, sources)]
        extras = {f"disparity_{name}": x for name, x in zip(("left", "right"), nearness, strict=False)}
        return Prediction(self.inverse_depth(nearness[0], target), extras=extras)

    def losses(self, sample: Sample) -> dict[str, Scalar]:
        left, right = sample.target, source_on_the_right("monodepth", sample)
        both = self._said(left, sample.sources)
        with full_precision(left.image):
            there = known_pose("monodepth", right)
            if (n := self._arguments["factors"]) > 1:
                unit = how(self._rules).head.unit(left.camera, baseline(there))
                factor = _best_factor(left, right, both[0].nearness[JUDGED] / unit[:, None, None, None], n)
                both = [_times(side, factor) for side in both]
            towards = Source(right, there, both[1] if len(both) > 1 else None)
            found = [terms(left, both[0], [towards], self._rules, self._features)]
            if len(both) > 1:
                back = Source(left, invert(there), both[0])
                found.append(terms(right, both[1], [back], self._rules, self._features))
            return summed(found)

    def _said(self, target: View, sources: tuple[View, ...]) -> list[Said]:
        """Of the left view, and of the right one if it is told."""
        if self.views == 1:
            raws = self.network(target.seen)
        elif len(sources) == 1:
            raws = self.network(torch.cat([target.seen, sources[0].seen], 1))
        else:
            raise InputError("this model looks at two pictures, left and right; give it both, or another model.")
        sides = [raw.chunk(self._variant.told, 1) for raw in raws]
        return [said(side, self._rules) for side in zip(*sides, strict=True)]


def _times(side: Said, factor: Float[Tensor, " b"]) -> Said:
    """With its disparities multiplied."""
    return replace(side, nearness=tuple(x * factor[:, None, None, None] for x in side.nearness))


@torch.no_grad()
def _best_factor(left: View, right: View, rho: Map, n: int) -> Float[Tensor, " b"]:
    """For each pair the factor of its inverse depth that rebuilds the left image best: a coarse search, a finer one."""
    best, reach = rho.new_ones(len(rho)), MOST_FACTOR
    ours, theirs, weights = (
        pyramid(x, JUDGED + 1)[JUDGED] for x in (left.image, right.image, left.valid.to(left.image.dtype))
    )
    for _ in range(2):
        tried = torch.logspace(-1, 1, n, base=reach, device=best.device)[:, None] * best
        scaled = (rho * factor[:, None, None, None] for factor in tried)
        errors = [item_mean(_error(x, (left, right), ours, theirs), weights).flatten() for x in scaled]
        best = tried.gather(0, torch.stack(errors).argmin(0)[None])[0]
        reach = reach ** (2 / (n - 1))
    return best


def _error(rho: Map, views: tuple[View, View], ours: Tensor, theirs: Tensor) -> Map:
    """Of the left image rebuilt; what lands outside the right one counts as a mean error of 1/2."""
    left, right = views
    landing = reproject(rho, left.camera, known_pose("monodepth", right), right.camera)
    error = photometric(pull(theirs, landing.uv, "edge"), ours)
    return torch.where(landing.valid, error, torch.full_like(error, 0.5))
