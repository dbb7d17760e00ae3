"""Two maps of one view, each wrong at another border, made one."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.errors import InputError, unknown_name
from cyclopean.geometry import Camera, Correspondence, Pinhole, pixel_grid, reproject, rotate
from cyclopean.geometry.cameras import Border
from cyclopean.losses import (
    absolute,
    appearance,
    photometric,
    proportional_smoothness,
    pyramid,
    smoothness,
    squared,
    squared_smoothness,
    weighted_mean,
)
from cyclopean.networks.resnet import Encoder, pretrained
from cyclopean.sample import View
from cyclopean.synthesis import pull, pull_linearized, pull_nearest, push

Map = Float[Tensor, "b 1 h w"]


def postprocess(disparity: Map, flipped_back: Map) -> Map:
    """Averages a disparity with the one of the flipped image, flipped back; each alone at the border it sees well.

    `flipped_back` within 5 % of the left border, `disparity` within 5 % of the right one, ramps to 10 %. The columns
    are those of the text and the release, not of the supplement's formula, whose weights sum to 1.5 at the borders.
    """
    j = torch.linspace(0, 1, disparity.shape[-1], dtype=disparity.dtype, device=disparity.device)
    left, right = _ramp(j), _ramp(1 - j)
    return right * disparity + left * flipped_back + (1 - left - right) * (disparity + flipped_back) / 2


def _ramp(j: Float[Tensor, " w"]) -> Float[Tensor, " w"]:
    return 1 - (20 * (j - 0.05)).clamp(0, 1)


HeadName = Literal["disparity", "range", "levels"]
Warp = Literal["linear", "linearized", "nearest"]
BorderName = Literal["zeros", "edge"]
Error = Literal["ssim", "ssim-reflected", "l1", "l2"]
Scales = Literal["native", "full", "finest"]
Smooth = Literal["edges", "proportional", "squared"]


@dataclass(frozen=True)
class Rules:
    """How a view is rebuilt from others, and what the difference costs. The defaults are Monodepth's."""

    head: HeadName = "disparity"
    """Disparity up to 0.3 of the width (Monodepth), a range of depths (Monodepth2), or a mean over levels (FAL-Net)."""
    warp: Warp = "linear"
    """How colours are fetched: bilinear; Garg's linearisation; nearest, without a gradient, teaches nothing."""
    border: BorderName = "zeros"
    """What lies outside a picture: black, or its last pixel again. Panoramas wrap around."""
    error: Error = "ssim"
    """SSIM on whole windows and L1 (Monodepth), SSIM on reflected borders and L1 (Monodepth2), L1, or L2."""
    mask: str = "none"
    """What of the error counts, joined by +: inside, best (source), auto (nothing that looks static), unoccluded
    (Schellevis), learned (Zhou), or none."""
    scales: Scales = "native"
    """Compared at each scale's own size, at full size, or only the finest scale."""
    smooth: Smooth = "edges"
    """Smooth but for edges (Monodepth), the same in proportion to the mean (Monodepth2), or squared (Garg)."""
    smoothness: float = 0.1
    """Weight of smoothness at the finest scale; halved from scale to scale."""
    features: str = "none"
    """Compare features too: own (the network's first ones), or a folder or file with a ResNet's weights."""

    def __post_init__(self) -> None:
        if not 0 <= self.smoothness < math.inf:
            raise InputError(f"smoothness is {self.smoothness}; it needs a weight of at least 0.")

    def masks(self) -> tuple[str, ...]:
        """The names in `mask`."""
        return tuple(name for name in self.mask.split("+") if name not in ("", "none"))

    def config(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


MONODEPTH2 = Rules("range", "linear", "edge", "ssim-reflected", "best+auto", "full", "proportional", 1e-3)
GARG = Rules("disparity", "linearized", "zeros", "l2", "none", "finest", "squared", 0.01)


def rules_of(given: Rules | Mapping[str, Any]) -> Rules:
    """Rules, or those of a saved config."""
    return given if isinstance(given, Rules) else Rules(**given)


Features = Callable[[Float[Tensor, "b 3 h w"]], list[Tensor]]


@dataclass(frozen=True)
class Said:
    """What a network says of one view at each scale, finest first: nearness, and how far to believe it ([0,1])."""

    nearness: tuple[Tensor, ...]
    beliefs: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Side:
    """One view at one scale. `nearness` is None for a view of which nothing is said."""

    camera: Camera
    image: Float[Tensor, "b c h w"]
    weight: Map
    nearness: Map | None = None
    belief: Map | None = None


@dataclass(frozen=True)
class Source:
    """Another view: what is said of it if anything, and its pose from the view that is rebuilt."""

    view: View
    pose: Float[Tensor, "b 4 4"]
    said: Said | None = None


def native(view: View, said: Said | None, scales: int) -> list[Side]:
    """Each scale at its own size: pictures shrunk by area."""
    images, weights = (pyramid(x, scales) for x in (view.image, view.valid.to(view.image.dtype)))
    return [
        Side(view.camera, image, weight, *_at(said, s))
        for s, (image, weight) in enumerate(zip(images, weights, strict=True))
    ]


def full(view: View, said: Said | None, scales: int) -> list[Side]:
    """Each scale at full size: what is said is enlarged (Monodepth2, sec. 3.2)."""
    weight, size = view.valid.to(view.image.dtype), (view.image.shape[-2], view.image.shape[-1])
    return [
        Side(view.camera, view.image, weight, *(x if x is None else resized(x, size) for x in _at(said, s)))
        for s in range(scales)
    ]


def finest(view: View, said: Said | None, scales: int) -> list[Side]:  # noqa: ARG001
    """Only the finest scale."""
    return native(view, said, 1)


SCALES = {"native": native, "full": full, "finest": finest}


def resized(x: Map, size: tuple[int, int]) -> Float[Tensor, "b 1 h2 w2"]:
    """At another (height, width), smoothly."""
    return x if x.shape[-2:] == size else F.interpolate(x, size, mode="bilinear", align_corners=False)


def baseline(pose: Float[Tensor, "b 4 4"]) -> Float[Tensor, " b"]:
    """How far apart the cameras stand. Raises `InputError` if they do not."""
    length = pose[:, :3, 3].norm(dim=1)
    if not bool((length > 0).all()):
        raise InputError("two views were taken from one place, which shows no depth; leave such pairs out.")
    return length


def _at(said: Said | None, scale: int) -> tuple[Tensor | None, Tensor | None]:
    if said is None:
        return None, None
    return said.nearness[scale], said.beliefs[scale] if said.beliefs else None


def features_of(name: str, network: nn.Module, views: int = 1) -> Features | None:
    """The function behind `Rules.features`: none, own, or a folder or file with a ResNet's weights.

    A network that looks at two `views` at once is shown the same picture twice.
    """
    if name == "none":
        return None
    return Own(network, views) if name == "own" else Perceptual(Path(name))


@dataclass(frozen=True)
class Own:
    """What the first layers of the method's network say of one picture."""

    network: nn.Module
    views: int

    def __call__(self, image: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        return self.network.features(image.repeat(1, self.views, 1, 1))  # type: ignore[operator]


@dataclass
class Perceptual:
    """A ResNet's features at 1/2 and 1/4. Its file is read when first needed: who only predicts does not need it."""

    path: Path
    held: list[Encoder] = field(default_factory=list)

    def __call__(self, image: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        if not self.held:
            self.held.append(pretrained(self.path).eval().requires_grad_(False))
        return self.held[0].to(image.device)(image)[:2]


PerItem = Float[Tensor, " b"]


@runtime_checkable  # so that annotations can be checked while tests run
class Head(Protocol):
    """What methods ask of a head."""

    @property
    def outputs(self) -> int:
        """How many channels of the network it reads."""
        ...

    def __call__(self, raw: Float[Tensor, "b c h w"]) -> Map:
        """Nearness, positive."""
        ...

    def unit(self, camera: Camera, baseline: PerItem) -> PerItem:
        """Nearness / inverse depth."""
        ...


@dataclass(frozen=True)
class Disparity:
    """Up to `most` of the image width (Monodepth, sec. 4.1). On a sphere: what a point abeam at the horizon moves."""

    most: float = 0.3
    outputs: int = 1

    def __call__(self, raw: Float[Tensor, "b 1 h w"]) -> Map:
        return self.most * raw.sigmoid()

    def unit(self, camera: Camera, baseline: PerItem) -> PerItem:
        return baseline * _widths(camera)


@dataclass(frozen=True)
class Range:
    """Inverse depth between 1/farthest and 1/nearest, where the first baseline is 0.1 (Monodepth2).

    Its unit is no metre: with KITTI's baseline of 0.54 m, depth is 5.4 times what it says.
    """

    nearest: float = 0.1
    farthest: float = 100.0
    outputs: int = 1

    def __call__(self, raw: Float[Tensor, "b 1 h w"]) -> Map:
        low, high = 1 / self.farthest, 1 / self.nearest
        return low + (high - low) * raw.sigmoid()

    def unit(self, camera: Camera, baseline: PerItem) -> PerItem:  # noqa: ARG002
        return 10 * baseline


@dataclass(frozen=True)
class Levels:
    """The mean of N = `outputs` disparities in equal proportions, d_n = most (most/least)^(n/(N-1)-1) (FAL-Net).

    A paper of that family prints n/N, which gives N + 1 levels.
    """

    least: float = 0.002
    most: float = 0.3
    outputs: int = 33

    def levels(self) -> list[float]:
        """Smallest first."""
        n = self.outputs - 1
        return [self.most * math.exp(math.log(self.most / self.least) * (k / n - 1)) for k in range(n + 1)]

    def __call__(self, raw: Float[Tensor, "b n h w"]) -> Map:
        return torch.einsum("bnhw,n->bhw", raw.softmax(1), raw.new_tensor(self.levels()))[:, None]

    def unit(self, camera: Camera, baseline: PerItem) -> PerItem:
        return baseline * _widths(camera)


HEADS: dict[str, Head] = {"disparity": Disparity(), "range": Range(), "levels": Levels()}


def rig_unit(head: Head, rig: Sequence[float]) -> float:
    """Nearness / inverse depth of a rig (focal length in image widths, baseline in metres)."""
    focal, baseline = rig
    with torch.device("cpu"):  # also while a method is built without memory
        camera = Pinhole(torch.tensor([[focal, focal]]), torch.tensor([[0.5, 0.5]]))
        return head.unit(camera, torch.tensor([baseline])).item()


def _widths(camera: Camera) -> PerItem | float:
    """Image widths that a point moves which is a baseline away ahead (pinhole) or abeam (sphere)."""
    return camera.focal[:, 0] if isinstance(camera, Pinhole) else 1 / (2 * math.pi)


PerSource = Float[Tensor, "b s h w"]

SHARP = 40.0  # of the soft z-buffer: what is a tenth nearer weighs 50 times as much
HIDDEN = 0.05  # a point this part farther than what is in front of it is behind it


@dataclass(frozen=True)
class Other:
    """A source, where the rebuilt view's pixels land in it, and the pose that took them there."""

    side: Side
    pose: Float[Tensor, "b 4 4"]
    landing: Correspondence


@dataclass(frozen=True)
class Evidence:
    """What masks judge by: errors after rebuilding and of sources as they are, inverse depth, where pixels land."""

    own: Side
    inverse_depth: Map
    others: tuple[Other, ...]
    errors: PerSource
    unmoved: Callable[[], PerSource]


Mask = Callable[[Evidence], PerSource]


def inside(evidence: Evidence) -> PerSource:
    """What lands in front of the source and inside its picture."""
    return torch.cat([other.landing.valid for other in evidence.others], 1).to(evidence.errors.dtype)


def best(evidence: Evidence) -> PerSource:
    """At each pixel only the source that rebuilds it best (Monodepth2, Eq. 4); n-fold, as sources are averaged."""
    errors = evidence.errors.detach()
    chosen = torch.zeros_like(errors).scatter_(1, errors.argmin(1, keepdim=True), 1.0)
    return chosen * errors.shape[1]


def auto(evidence: Evidence) -> PerSource:
    """Only pixels that rebuilding explains better than no motion at all does (Monodepth2, Eq. 5).

    A tie is no motion; the release breaks ties by noise. The share of masked pixels is not made up for elsewhere.
    """
    moved = evidence.errors.detach().amin(1, keepdim=True) < evidence.unmoved().amin(1, keepdim=True)
    return moved.to(evidence.errors.dtype).expand_as(evidence.errors)


def learned(evidence: Evidence) -> PerSource:
    """The network's own belief (Zhou et al. 2017, Eq. 3); `regularised` keeps it from believing nothing.

    One map for all sources, of the depth network; Zhou has one for each, of the pose network.
    """
    belief = evidence.own.belief
    assert belief is not None
    return belief.expand_as(evidence.errors)


def unoccluded(evidence: Evidence) -> PerSource:
    """What the source sees too, by predicted depth alone (Schellevis 2019): nothing nearer lands on the same place.

    Pixels are splatted into the source with weights that grow with nearness, a soft z-buffer, which each then reads.
    """
    with torch.no_grad():
        return torch.cat([_seen(evidence, other) for other in evidence.others], 1)


MASKS: dict[str, Mask] = {
    "inside": inside,
    "best": best,
    "auto": auto,
    "learned": learned,
    "unoccluded": unoccluded,
}


def regularised(belief: Map) -> Map:
    """Cross-entropy of belief with 1 (Zhou et al. 2017, sec. 3.3)."""
    return -belief.clamp(min=1e-6).log()


def _seen(evidence: Evidence, other: Other) -> Map:
    rho = inverse_depth_there(evidence.inverse_depth, evidence.own.camera, other.pose, other.side.camera)
    rho = torch.where(other.landing.valid, rho, torch.zeros_like(rho))
    nearest = rho.amax((1, 2, 3), keepdim=True).clamp(min=torch.finfo(rho.dtype).tiny)
    weight = torch.where(other.landing.valid, (SHARP * (rho / nearest - 1)).exp(), torch.zeros_like(rho))
    border: Border = "sphere" if other.side.camera.border == "sphere" else "zeros"
    canvas = push(torch.cat([weight * rho, weight], 1), other.landing.uv, border)
    front, covered = pull(canvas, other.landing.uv, border).split(1, 1)
    visible = rho * covered > (1 - HIDDEN) * front
    return (visible & other.landing.valid).to(rho.dtype)


def inverse_depth_there(rho: Map, camera: Camera, other_from_own: Tensor, other: Camera) -> Map:
    """Inverse depth, for the other camera, of this one's pixels."""
    rays = camera.rays(pixel_grid((rho.shape[-2], rho.shape[-1]), rho))
    points = rotate(other_from_own, rays) + rho.permute(0, 2, 3, 1) * other_from_own[:, None, None, :3, 3]
    return rho / other.depth(points)


Scalar = Float[Tensor, ""]
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
