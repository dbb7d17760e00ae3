"""AQUANet: depth from video (Gonzalez Bello, Moon, Kim 2022). Its stereo ancestor FAL-Net is `falnet.py`.

It predicts logits of N hypothesised inverse depths for every pixel of one picture, and makes other views by volume
rendering through them. It masks what moves by itself: depth that it predicts by where things stand in the picture
changes when the positions that it reads are shifted.
"""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.errors import InputError
from cyclopean.geometry import Levels, Pinhole, invert, reproject, size_of, surfaces
from cyclopean.geometry.cameras import Border, Uv, extent
from cyclopean.losses import absolute, automask, curvature_smoothness
from cyclopean.methods.base import Frozen, Losses, Method, Prediction, full_precision, known_pose
from cyclopean.methods.photometric import FeatureExtractor, reconstruction
from cyclopean.methods.pose import PowerOfZoom, predicted_pose
from cyclopean.methods.post_processing import DepthNetwork, boosted
from cyclopean.networks.falnet import AquanetUnet, PladeUnet, positions, resize_corners
from cyclopean.sample import Image, Map, Sample, View
from cyclopean.synthesis import expected_level, pull, sweep, swept_coverage
from cyclopean.training.options import Boosting, Intrinsics, VolumeConfig

SPREAD = math.log(2)  # exponents lie in [1/2, 2]
SHIFTS = ((0.0, 0.0), (0.5, 0.0), (-0.5, 0.0), (0.0, -0.25))  # of positions (u, v), Eq. 6
SHARE = 2 / 3  # of the picture's size, at which positions are shifted (the release)
POWERS: dict[str, PowerOfZoom] = {"direct": 1, "invariant": 0, "inverse": -1}  # of `zoom`, by which they are divided
RADIAN = (0.5 / math.pi, 1 / math.pi)  # in widths and heights of a panorama
TOP = -0.25  # of positions v in [-1, 1]: above it the draft takes everything for static (`ignore_top`)


class Aquanet(Method):
    """One picture's inverse depth, learned from the frames before and after it.

    `rules` is what the loss is made of (`VolumeConfig`), also as JSON values. The first stage learns without masks. The
    second (`mask` spimo, `boost`) needs `first`, the model of the first one, and learns from scratch. `pose` predicts
    the motion between frames of a video, whose poses are None (`methods.pose.POSES`); "none" needs known poses. With
    `intrinsics` "learned" it predicts their camera too; the depth network still reads the focal lengths of the data, as
    it does when it predicts. With the `translation` direct of its rules, translations are divided by the sample's
    `zoom`, so that inverse depth is proportional to it (`zoomed` has the others).

    Three things are not part of the config; who trains sets them: `first`; `features`, which a perceptual loss compares
    (None: there is no such loss); `kick_start`, whether the pose network alone learns, by a depth that is given.

    The exponent of Eq. 4 is exp(ln 2 tanh z), z a map of the network that begins at 0; the paper states none.
    """

    name: ClassVar[str] = "aquanet"
    ambiguity = "scale"
    input_multiple = 1

    def __init__(
        self,
        width: float = 1.0,
        *,
        rules: VolumeConfig | Mapping[str, Any] = VolumeConfig(),  # noqa: B008
        pose: str = "none",
        intrinsics: Intrinsics = "known",
    ) -> None:
        predicted: dict[str, Any] = {} if pose == "none" else {"pose": pose}
        predicted |= {} if intrinsics == "known" else {"intrinsics": intrinsics}
        super().__init__(width=width, rules=rules if isinstance(rules, Mapping) else asdict(rules), **predicted)
        self.rules = VolumeConfig(**rules) if isinstance(rules, Mapping) else rules
        self.network = level_network(self.rules, width)
        self.first: Frozen | None = None
        self.teacher: Frozen | None = None  # of the boosting loss: what the network was an epoch before
        self.features: FeatureExtractor | None = None
        power = self.size_power = POWERS[self.rules.translation]
        self.pose = None if pose == "none" else predicted_pose(pose, width, power, intrinsics)
        self.kick_start = False

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:  # noqa: ARG002
        """Return inverse depth and, with a model of the first stage (`first`), its standard deviation as that model's
        depth varies when positions are shifted (Eq. 7, to first order)."""
        logits, exponents = volume(self.network, target.seen, *geometry_inputs(target))
        inverse_depth, uncertainty = expected(self.rules, logits, exponents), None
        if self.first is not None:
            uncertainty = inverse_depth * self.spread(target, *geometry_inputs(target)).sqrt()
        return Prediction(inverse_depth, uncertainty, extras={"exponents": exponents})

    def losses(self, sample: Sample) -> Losses:
        """Return the losses of Eq. 10: views made from the target beside the real ones, smoothness, boosting."""
        if not sample.sources:
            raise InputError("aquanet makes other views from one and was given none; use clips or pairs.")
        known = [source.from_target is not None for source in sample.sources]
        inputs = [geometry_inputs(view) for view in (sample.target, *sample.sources)]  # before a camera is predicted
        if self.pose is not None and not all(known):
            sample = self.pose(sample)  # whose translations suit `zoom` already
        if self.kick_start:
            with full_precision(sample.depth):
                return {"kick-start": kick_start(sample, self.rules)}
        target, sources, rules = sample.target, sample.sources, self.rules
        logits, exponents = volume(self.network, target.seen, *inputs[0])
        with full_precision(sample.depth):
            inverse_depth = expected(self.rules, logits, exponents)

            # 1 where nothing moves by itself: Eq. 7, of the target and of each source.
            static = [view.valid.to(logits.dtype) for view in (target, *sources)]
            if rules.mask == "spimo":
                views = (target, *sources)
                static = [
                    here * self.static(view, *what) for here, view, what in zip(static, views, inputs, strict=True)
                ]

            terms = []
            border: Border = "zeros" if isinstance(target.camera, Pinhole) else target.camera.border
            for source, source_static, measured in zip(sources, static[1:], known, strict=True):
                pose = known_pose(self.name, source)
                if measured:
                    pose = zoomed(pose, sample.zoom, rules.translation)
                if rules.warp == "forward":
                    there = self.level_uv(exponents, source, invert(pose), target)
                    both = torch.cat([target.image, static[0]], 1)
                    made, made_static = sweep(both, logits, there, border).split((3, 1), 1)
                    weight = swept_coverage(logits, there, border) * source_static * made_static.detach()
                    real, still = source.image, target.image
                else:  # DIRNet-BW: the target from its source, by its inverse depth
                    match = reproject(inverse_depth, target.camera, pose, source.camera)
                    made = pull(source.image, match.uv, source.camera.border)
                    weight = match.valid * static[0] * pull(source_static, match.uv.detach(), border)
                    real, still = target.image, source.image
                if rules.mask == "auto":
                    weight = weight * automask(absolute(made, real), absolute(still, real))
                terms.append(reconstruction(made, real, weight, self.features))
            losses = {name: torch.stack([term[name] for term in terms]).mean() for name in terms[0]}
            losses["smoothness"] = rules.smoothness * curvature_smoothness(inverse_depth, target.image)

            if rules.boost and self.training and self.teacher is not None:  # Eq. 12
                how: dict[str, Any] = {"power": self.size_power, "boosting": rules.boosting}
                better = boosted(self.teacher, target.image, *inputs[0], **how)
                off = target.valid * (1 - static[0]) * (inverse_depth - better).abs()
                losses["boost"] = rules.boost * off.mean() / better.max()
            return losses

    def level_uv(
        self, exponents: Map, source: View, target_from_source: Float[Tensor, "b 4 4"], target: View
    ) -> Callable[[int], Uv]:
        """Return where the pixels of `source` land in `target` if level k is true; outside if it is out of sight.

        The levels are planes before the target, whose depth is predicted, or (`planes` source, Eq. 1) before the source
        that is made: the two differ by how far the camera went forward. Exponents are read at the pixels that are made.
        """
        of: Literal["other", "this"] = "other" if self.rules.planes == "target" else "this"
        levels = levels_of(self.rules, exponents)
        return surfaces(levels, size_of(exponents), source.camera, target_from_source, target.camera, of=of)

    def static(self, view: View, where: Float[Tensor, "b 2 h w"], focal: Float[Tensor, "b 2"]) -> Map:
        """Return the mask of `view`: 0 where the first stage's depth changes when positions are shifted (Eq. 7).

        `where` and `focal`: `geometry_inputs` of the view.
        """
        mask = spimo(self.spread(view, where, focal), self.rules.threshold)
        return torch.where(where[:, 1:] < TOP, 1.0, mask) if self.rules.ignore_top else mask

    def spread(self, view: View, where: Float[Tensor, "b 2 h w"], focal: Float[Tensor, "b 2"]) -> Map:
        """Return the first stage's `dispersion`: how far its depth of `view` depends on the positions that it reads."""
        if self.first is None:
            raise InputError("masks of moving things come from a model of the first stage, and none was given.")
        rules, extra = self.rules, self.rules.boosting if self.rules.full else None
        return dispersion(
            self.first, view.image, where, focal, passes=rules.passes, boosting=extra, power=self.size_power
        )

    def begin_with_pose(self) -> None:
        """Kick-start from now on: the pose network learns alone, by a depth and a camera that are given."""
        self.kick_start = True
        self.network.requires_grad_(False)  # several processes wait for the gradients of all that is trained
        if self.pose is not None and self.pose.lens is not None:
            self.pose.lens.requires_grad_(False)  # it would bend the camera to suit that depth

    def frozen(self) -> Frozen:
        """Return a copy of the network as it is now, which makes inverse depth of picture, positions and focal."""
        return Frozen(InverseDepth(copy.deepcopy(self.network), self.rules))


class InverseDepth(nn.Module):
    """A network and its levels: inverse depth of a picture, of where its pixels stand, and of its focal lengths."""

    def __init__(self, network: nn.Module, rules: VolumeConfig) -> None:
        super().__init__()
        self.network, self.rules = network, rules

    def forward(self, image: Image, where: Float[Tensor, "b 2 h w"], focal: Float[Tensor, "b 2"]) -> Map:
        return expected(self.rules, *volume(self.network, image, where, focal))


class PreviousEpoch:
    """Gives an `Aquanet` a teacher at the end of every epoch: what its network is then (Eq. 12). Its state is kept."""

    def __init__(self, method: Aquanet) -> None:
        self.method = method

    def __call__(self, method: Method) -> None:
        assert method is self.method
        self.method.teacher = self.method.frozen()

    def state_dict(self) -> dict[str, Any]:
        teacher = self.method.teacher
        return {} if teacher is None else teacher.module.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state:
            self.method.teacher = self.method.frozen()
            self.method.teacher.module.load_state_dict(state)


# --- parts that have an equation ---


def geometry_inputs(view: View) -> tuple[Float[Tensor, "b 2 h w"], Float[Tensor, "b 2"]]:
    """Return the network's other inputs: positions of pixels in the full frame, and |f| in units of 2000 pixels.

    Of a panorama f is the pixels of a radian, which is what a focal length is where a camera looks.
    """
    size, camera = size_of(view.image), view.camera
    focal = (
        camera.focal.abs()
        if isinstance(camera, Pinhole)
        else view.window.new_tensor([RADIAN]).expand(len(view.window), 2)
    )
    return positions(view.window, size), focal * extent(size, view.image) / 2000


def level_network(rules: VolumeConfig, width: float) -> nn.Module:
    """Return a new network of picture, positions and focal lengths: logits of levels, of one level for DIRNet-BW.

    The paper's vPLADE-Net reads the focal lengths where PLADE-Net reads its range of disparities, which a video lacks.
    """
    match rules.network:
        case "plade":
            return PladeUnet(rules.levels, width)
        case "dirnet":
            return AquanetUnet(1, width, adaptive=False)
        case _:
            return AquanetUnet(rules.levels, width, adaptive=rules.spacing == "adaptive")


def volume(
    network: nn.Module, image: Image, where: Float[Tensor, "b 2 h w"], focal: Float[Tensor, "b 2"]
) -> tuple[Float[Tensor, "b n h w"], Map]:
    """Return the logits of each level, farthest first, and the exponents of the levels' spacing (Eq. 4)."""
    made = network(image, where, focal)
    logits, raw = made if isinstance(made, tuple) else (made, None)
    logits = logits.float()
    return logits, torch.ones_like(logits[:, :1]) if raw is None else (SPREAD * raw.float().tanh()).exp()


def levels_of(rules: VolumeConfig, exponents: Map) -> Levels:
    """Return the inverse depths that pixels with these `exponents` may have (Eq. 4); in equal steps if the spacing is
    linear."""
    n, least, most = rules.levels, rules.least, rules.most
    if rules.spacing == "linear":
        return Levels(tuple(least + (most - least) * k / (n - 1) for k in range(n)))
    return Levels.proportional(n, least, most, exponents if rules.spacing == "adaptive" else None)


def expected(rules: VolumeConfig, logits: Float[Tensor, "b n h w"], exponents: Map) -> Map:
    """Return the mean of the levels, weighted by the softmax of their logits (Eq. 5); without levels, a sigmoid."""
    if rules.network == "dirnet":
        return rules.least + (rules.most - rules.least) * logits.sigmoid()
    return expected_level(logits, levels_of(rules, exponents))


def zoomed(pose: Float[Tensor, "b 4 4"], zoom: Float[Tensor, " b"] | None, translation: str) -> Float[Tensor, "b 4 4"]:
    """Return a pose whose translation t suits pictures resized by `zoom`: t / zoom (direct), t, or t * zoom (inverse).

    Sec. 3.3: with the first, a picture twice as large has things half as far, as its appearance suggests.
    """
    if zoom is None or translation == "invariant":
        return pose
    factor = (1 / zoom ** POWERS[translation])[:, None]
    return torch.cat([pose[:, :, :3], torch.cat([pose[:, :3, 3] * factor, pose[:, 3:, 3]], 1)[..., None]], 2)


def kick_start(sample: Sample, rules: VolumeConfig) -> Float[Tensor, ""]:
    """Return |warped - target| of sources warped by an inverse depth that depends on the row of the full frame only.

    It is least above the middle and grows below it (draft), or grows from the first row on (paper). The pose network
    learns from it before there is any depth.
    """
    target = sample.target
    v = geometry_inputs(target)[0][:, 1:]
    rise = v if rules.ground == "draft" else (v + 1) / 2
    ground = rules.least + (rules.most - rules.least) * rise.clamp(min=0, max=1)
    if sample.zoom is not None:  # by which translations are divided
        ground = ground * sample.zoom[:, None, None, None] ** POWERS[rules.translation]
    errors = []
    for source in sample.sources:
        match = reproject(ground, target.camera, known_pose("aquanet", source), source.camera)
        errors.append((match.valid * absolute(pull(source.image, match.uv, source.camera.border), target.image)).mean())
    return torch.stack(errors).mean()


def spimo(spread: Map, threshold: float) -> Map:
    """Return 1 where the `dispersion` of depth stays below `threshold`: what does not move by itself (Eq. 7)."""
    return (spread < threshold).to(spread.dtype)


@torch.no_grad()
def dispersion(
    network: DepthNetwork,
    image: Image,
    where: Float[Tensor, "b 2 h w"],
    focal: Float[Tensor, "b 2"],
    *,
    passes: int = 4,
    boosting: Boosting | None = None,
    power: int = 1,
) -> Map:
    """Return var / mean² of the depths that `network` predicts when positions are shifted (Eq. 6 and 7; unbiased).

    As released, pictures are two thirds as large. With four passes the last one shifts positions up, which changes the
    depth of everything: its inverse depth is brought to the mean and deviation of the others' mean. With a rule of
    `boosting`, the network's `boosted` depth is one more of them (AQUANet(full), sec. 4.2): the paper does not tell of
    which network, and only this one's has the unit of the others.
    """
    size = size_of(image)
    small = (int(size[0] * SHARE), int(size[1] * SHARE))
    image, where = F.interpolate(image, small, mode="bilinear", align_corners=True), resize_corners(where, small)
    inverse = [network(image, where + where.new_tensor(s)[:, None, None], focal * SHARE) for s in SHIFTS[:passes]]
    if passes == len(SHIFTS):
        common, up = torch.stack(inverse[:-1]).mean(0), inverse[-1]
        means, deviations = ([f(x, (1, 2, 3), keepdim=True) for x in (common, up)] for f in (torch.mean, torch.std))
        inverse[-1] = (up - means[1]) / deviations[1] * deviations[0] + means[0]
    if boosting is not None:
        inverse.append(boosted(network, image, where, focal * SHARE, power=power, boosting=boosting))
    return relative_variance(F.interpolate(torch.cat(inverse, 1), size, mode="nearest"))


def relative_variance(inverse_depths: Float[Tensor, "b n h w"]) -> Map:
    """Return the unbiased variance of n depths over the square of their mean (Eq. 7)."""
    depths = 1 / inverse_depths
    return depths.var(1, keepdim=True) / depths.mean(1, keepdim=True).square()
