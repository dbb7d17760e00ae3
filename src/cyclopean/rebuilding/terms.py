"""The loss of one view rebuilt from others: the same few lines for every paper, camera and number of sources."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import unknown_name
from cyclopean.geometry import reproject
from cyclopean.geometry.camera import Border
from cyclopean.losses import (
    absolute,
    appearance,
    photometric,
    proportional_smoothness,
    smoothness,
    squared,
    squared_smoothness,
    weighted_mean,
)
from cyclopean.rebuilding.heads import HEADS, Head
from cyclopean.rebuilding.masks import MASKS, Evidence, Mask, Other, regularised
from cyclopean.rebuilding.rules import Rules
from cyclopean.rebuilding.sides import SCALES, Features, Said, Side, Source, baseline, native, resized
from cyclopean.sample import View
from cyclopean.synthesis import pull, pull_linearized, pull_nearest

Map = Float[Tensor, "b 1 h w"]
Scalar = Float[Tensor, ""]
PerItem = Float[Tensor, " b"]
Pair = tuple[Side, Float[Tensor, "b 4 4"]]  # a source at one scale, and its pose from the view that is rebuilt
Terms = dict[str, Scalar]

WARPS: dict[str, Callable[..., Tensor]] = {"linear": pull, "linearized": pull_linearized, "nearest": pull_nearest}
ERRORS: dict[str, Callable[[Tensor, Tensor], Map]] = {
    "ssim": appearance,
    "ssim-reflected": photometric,
    "l1": absolute,
    "l2": squared,
}
SMOOTHS = {"edges": smoothness, "proportional": proportional_smoothness, "squared": squared_smoothness}
EXPLAIN = 0.2  # weight of the cross-entropy that keeps a learned mask from believing nothing (Zhou et al. 2017)
FEATURES = 0.1  # weight of the features' differences (Zhan et al. 2018)


@dataclass(frozen=True)
class How:
    """The values that `Rules` name."""

    head: Head
    warp: Callable[..., Tensor]
    border: Border
    error: Callable[[Tensor, Tensor], Map]
    masks: tuple[Mask, ...]
    scales: Callable[..., list[Side]]
    smooth: Callable[..., Scalar]
    smoothness: float


def how(rules: Rules) -> How:
    """The values behind the names. Raises `InputError` for a name that none has."""

    def named(kind: str, known: dict, name: str):
        if name not in known:
            raise unknown_name(kind, name, known)
        return known[name]

    return How(
        named("head", HEADS, rules.head),
        named("warp", WARPS, rules.warp),
        rules.border,
        named("error", ERRORS, rules.error),
        tuple(named("mask", MASKS, name) for name in rules.masks()),
        named("scales", SCALES, rules.scales),
        named("smooth", SMOOTHS, rules.smooth),
        rules.smoothness,
    )


def channels(rules: Rules) -> int:
    """How many outputs of a network one view takes: its head's, and one for belief if a mask is learned."""
    return how(rules).head.outputs + ("learned" in rules.masks())


def said(raws: Sequence[Float[Tensor, "b c _ _"]], rules: Rules) -> Said:
    """What one view's channels of the network's answers mean."""
    head = how(rules).head
    nearness = tuple(head(raw[:, : head.outputs].float()) for raw in raws)
    learned = "learned" in rules.masks()
    return Said(nearness, tuple(raw[:, head.outputs :].float().sigmoid() for raw in raws) if learned else ())


def terms(own: View, said: Said, sources: Sequence[Source], rules: Rules, features: Features | None = None) -> Terms:
    """Named, weighted losses of `own`, of which the network said `said`, rebuilt from `sources`.

    Monodepth's Eq. 1 for one side: appearance, smoothness, and consistency with those sources of which something is
    said as well. Scales are added up; at full size they are averaged, as in Monodepth2.
    """
    use, n = how(rules), len(said.nearness)
    unit = use.head.unit(own.camera, baseline(sources[0].pose))
    sides = use.scales(own, said, n)
    others = zip(*(use.scales(source.view, source.said, n) for source in sources), strict=True)
    pairs = [list(zip(views, (source.pose for source in sources), strict=True)) for views in others]
    found = [_at_one_scale(side, pair, unit, use) for side, pair in zip(sides, pairs, strict=True)]
    shown = sides if use.scales is native else native(own, said, len(sides))
    total = summed(found) | {"smoothness": _smoothness(shown, use)}
    if rules.scales == "full":
        total = {name: value / n for name, value in total.items()}
    if features is not None:
        total["features"] = FEATURES * _features(sides[0], pairs[0], unit, use, features)
    return total


def summed(several: Sequence[Terms]) -> Terms:
    """Terms of several views or scales added up by name."""
    names = dict.fromkeys(name for terms in several for name in terms)
    return {name: torch.stack([terms[name] for terms in several if name in terms]).sum() for name in names}


def _at_one_scale(own: Side, pairs: Sequence[Pair], unit: PerItem, use: How) -> Terms:
    assert own.nearness is not None
    evidence = _evidence(own, pairs, unit, use)
    counted = reduce(torch.mul, (mask(evidence) for mask in use.masks), evidence.errors)
    found = {"appearance": weighted_mean(counted, own.weight)}
    if own.belief is not None:
        found["explained"] = EXPLAIN * weighted_mean(regularised(own.belief), own.weight)
    known = [(other, other.side.nearness) for other in evidence.others if other.side.nearness is not None]
    if known:
        theirs = torch.cat([pull(x, other.landing.uv, _border(other, use)) for other, x in known], 1)
        found["consistency"] = weighted_mean((theirs - own.nearness).abs(), own.weight)
    return found


def _evidence(own: Side, pairs: Sequence[Pair], unit: PerItem, use: How) -> Evidence:
    """Where pixels land, and what the view rebuilt from there differs by."""
    assert own.nearness is not None
    rho = own.nearness / unit[:, None, None, None]
    others = tuple(Other(side, pose, reproject(rho, own.camera, pose, side.camera)) for side, pose in pairs)
    rebuilt = (use.warp(other.side.image, other.landing.uv, _border(other, use)) for other in others)
    errors = torch.cat([use.error(image, own.image) for image in rebuilt], 1)
    return Evidence(own, rho, others, errors, lambda: _unmoved(own, others, use))


@torch.no_grad()
def _unmoved(own: Side, others: Sequence[Other], use: How) -> Float[Tensor, "b s h w"]:
    return torch.cat([use.error(other.side.image, own.image) for other in others], 1)


def _border(other: Other, use: How) -> Border:
    return "sphere" if other.side.camera.border == "sphere" else use.border


def _smoothness(sides: Sequence[Side], use: How) -> Scalar:
    """Of each scale at its own size, halved from one to the next."""
    rough = [use.smooth(side.nearness, side.image, side.weight) / 2**s for s, side in enumerate(sides)]
    return use.smoothness * torch.stack(rough).sum()


def _features(own: Side, pairs: Sequence[Pair], unit: PerItem, use: How, features: Features) -> Scalar:
    """Features warped instead of colours (Zhan et al. 2018, Eq. 6), each pixel's of length 1.

    They are data here: were they learned from this loss, they would all become equal.
    """
    with torch.no_grad():
        ours = features(own.image)
        theirs = [features(side.image) for side, _ in pairs]
    costs = []
    for k, image in enumerate(ours):
        size = (image.shape[-2], image.shape[-1])
        seen = [(_seen_as(side, maps[k], size, None), pose) for (side, pose), maps in zip(pairs, theirs, strict=True)]
        side = _seen_as(own, image, size, own.nearness)
        costs.append(_at_one_scale(side, seen, unit, replace(use, error=absolute))["appearance"])
    return torch.stack(costs).mean()


def _seen_as(side: Side, features: Tensor, size: tuple[int, int], nearness: Map | None) -> Side:
    small = (x if x is None else resized(x, size) for x in (nearness, side.belief))
    return Side(side.camera, F.normalize(features.float(), dim=1), resized(side.weight, size), *small)
