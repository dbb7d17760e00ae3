"""CoordNet: depth of panoramas from 360° rigs, by spherical view synthesis (Zioulis et al. 2019).

Its first-order displacement (Eq. 2) is `geometry.spherical.displacement`, its attention (Eq. 5) `attention` there.
"""

import math
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cyclopean.errors import InputError
from cyclopean.geometry import (
    Correspondence,
    Equirectangular,
    around,
    attention,
    pixel_grid,
    reproject,
    reproject_first_order,
    size_of,
    translation,
)
from cyclopean.geometry.spherical import correspondence_from_degrees, disparity_per_inverse_depth, inverse_depth_from
from cyclopean.io.rendered_folder import SPHERE_BASELINE
from cyclopean.losses import ALPHA, Scalar, berhu_of_batch, dissimilarity, ssim
from cyclopean.methods.base import Losses, Method, Prediction, full_precision, known_pose
from cyclopean.networks.coordnet import Coordnet
from cyclopean.networks.mobile import Panoramic
from cyclopean.sample import Image, Map, Sample, View
from cyclopean.synthesis import pull, splat

RECONSTRUCTION, SMOOTHNESS = 0.95, 0.05  # Eq. 4
WINDOW = 5  # of SSIM (sec. 4)
COVERED = 1e-3  # of splatted weight: a pixel with less is a hole
SHARPEST = 1.0  # per metre: a point 7 m away just reaches COVERED; untrained networks predict 5 m
NEAREST, FARTHEST = 0.05, 20.0  # metres: smaller predictions are clamped; larger true depths are ignored (sec. 4)
RIGS = ("UD", "LR", "TC", "SV")
OFFSETS = {"UD": (0.0, 1.0, 0.0), "LR": (-1.0, 0.0, 0.0)}  # of the target's points in a source above, or to the right
UP, RIGHT = (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)  # directions of baselines; attention ignores their sign

Degrees = Float[Tensor, "b 2 h w"]
Weight = Float[Tensor, "#b 1 h w"]
Direction = Float[Tensor, "#b 3"]
Synthesized = tuple[Image, Image, Map, Direction]  # synthesised, real, mask (0 or 1), direction of the baseline


class SphericalViewSynthesis(Method):
    """Metric depth of a panorama. The network takes one view; the others are synthesised from it and compared.

    Rigs: UD learns from the source above (or below) the target, LR from the one beside it, TC from both, the vertical
    one with the share `ratio` (the paper's TC6 is 0.6); SV from true depth, for comparison. Samples may hold more
    sources than the rig needs. `sharpness`, per metre, of the soft z-buffer, whose weights are exp(-sharpness * depth):
    2 / 20 in the release, 1 / 20 in the paper. `window`: of SSIM, in pixels. `warp` "pull" is inverse warping, with
    which the paper's LR did not converge. `landing` "first-order" is the paper's displacement; "exact" also holds for
    near points. `coordinates`, `attention`: False for the paper's ablations. `network`: the paper's, or `mobile`, which
    may start from an object detector; `width` multiplies the channels of the paper's.

    `predicts`: depth, or (rigs UD and LR) disparities in degrees, by which pixels move directly; depth then follows
    from the known rig, 0.26 m without rotation. With LR these are two maps whose signs change over the picture, which
    CNNs cannot regress according to the paper (sec. 3.3). With "magnitude" the rig gives the signs, which does not
    converge either according to the paper. With UD both are the same.

    The self-supervised rigs never use true depth. The release masks with it and leaves the splat's own mask unused;
    without true depth it would compare holes as black. The mask here is the area that the splat covers.
    """

    name: ClassVar[str] = "coordnet"
    projection: ClassVar[Literal["pinhole", "equirectangular"]] = "equirectangular"

    def __init__(
        self,
        rig: str = "TC",
        ratio: float = 0.6,
        *,
        coordinates: bool = True,
        circular: bool = False,
        attention: bool = True,
        warp: str = "splat",
        landing: str = "exact",
        sharpness: float = 0.1,
        network: str = "coordnet",
        width: float = 1.0,
        predicts: str = "depth",
        window: int = WINDOW,
    ) -> None:
        arguments = {
            "rig": rig,
            "ratio": ratio,
            "coordinates": coordinates,
            "circular": circular,
            "attention": attention,
            "warp": warp,
            "landing": landing,
            "sharpness": sharpness,
            "network": network,
            "width": width,
            "predicts": predicts,
            "window": window,
        }
        check(arguments)
        super().__init__(**arguments)
        self.network: Coordnet | Panoramic
        if network == "mobile":
            self.network = Panoramic(coordinates, circular)
        else:
            self.network = Coordnet(coordinates, circular, width, 2 if predicts != "depth" and rig == "LR" else 1)
            if predicts == "disparity" and rig == "LR":  # signs change over the picture, so no bias
                nn.init.zeros_(self.network.head.conv.bias)  # type: ignore[arg-type]
        self.input_multiple = self.network.multiple
        self.rig_name, self.predicts = rig, predicts
        self.shares = {"UD": (1.0, 0.0), "LR": (0.0, 1.0), "TC": (ratio, 1 - ratio), "SV": (0.0, 0.0)}[rig]
        self.attended, self.sharpness, self.window = attention, sharpness, window
        self.synthesize, self.reproject = WARPS[warp], LANDINGS[landing]

    def config(self) -> dict[str, Any]:
        """Return the arguments, without a `window` of 5, so that configs older than this option stay equal."""
        return {name: value for name, value in self.arguments.items() if (name, value) != ("window", WINDOW)}

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:  # noqa: ARG002
        return Prediction(1 / self.depth(target)[0])

    def losses(self, sample: Sample) -> Losses:
        target, (vertical, horizontal) = sample.target, self.shares
        if not all(isinstance(v.camera, Equirectangular) for v in (target, *sample.sources)):
            raise InputError("coordnet learns from panoramas; render with --rig sphere, or choose a stereo method.")
        depth, degrees = self.depth(target)
        with full_precision(depth):
            rays = target.camera.rays(pixel_grid(size_of(depth), depth))
            up, right = depth.new_tensor([UP]), depth.new_tensor([RIGHT])

            def weight(baseline: Direction) -> Weight:
                """Return the attention of Eq. 5, or ones for the ablation without it."""
                shares = attention(rays, baseline)
                return shares if self.attended else torch.ones_like(shares)

            losses = {}
            if self.rig_name == "SV":
                known = (sample.depth <= FARTHEST) & target.valid  # in the release, the largest error of all pixels
                error = torch.where(known, depth - sample.depth, torch.zeros_like(depth))
                losses["berhu"] = RECONSTRUCTION * attended(berhu_of_batch(error), known.float(), weight(up))
            for name, share, upright in (("vertical", vertical, True), ("horizontal", horizontal, False)):
                if share > 0:
                    source = self.source(sample, upright)
                    match = self.correspondence(depth, degrees, target, source)
                    made, true, mask, baseline = self.synthesize(target, source, depth, match, self.sharpness)
                    error = synthesis_loss(made, true, mask, weight(baseline), self.window)
                    losses[name] = RECONSTRUCTION * share * error
            # Eq. 7, weighted by 1 - attention, of the vertical rig if it is used
            points = rays * depth[:, 0, ..., None]
            left = 1 - attention(rays, right if horizontal and not vertical else up)
            losses["smoothness"] = SMOOTHNESS * cartesian_smoothness(points, target.image, left, target.valid)
        return losses

    def depth(self, view: View) -> tuple[Map, Degrees | None]:
        """Return depth and, for models that predict them, disparities in degrees: along longitude (0 for UD) and down.

        Depth is the absolute value of the network's output, as in the release; or, clamped to [NEAREST, FARTHEST], the
        depth whose disparity is closest to the prediction, FARTHEST where that would be negative. Magnitudes get the
        signs of the rig.
        """
        raw = self.network(view.seen).float()
        if self.predicts == "depth":
            return raw.abs().clamp_min(NEAREST), None
        degrees = raw if raw.shape[1] == 2 else torch.cat([torch.zeros_like(raw), raw], 1)
        rays = view.camera.rays(pixel_grid(size_of(degrees), degrees))
        offset = degrees.new_tensor([OFFSETS[self.rig_name]]) * SPHERE_BASELINE
        if self.predicts == "magnitude":
            degrees = degrees.abs() * disparity_per_inverse_depth(rays, offset).sign()
        rho = inverse_depth_from(degrees, rays, offset)
        return 1 / rho.clamp(1 / FARTHEST, 1 / NEAREST), degrees

    def source(self, sample: Sample, upright: bool) -> View:
        """Return the first source above or below the target (`upright`), or the first beside it."""
        for source in sample.sources:
            x, y, z = known_pose(self.name, source)[:, :3, 3].unbind(1)
            if bool((y.abs() > torch.hypot(x, z)).all()) is upright:
                return source
        raise InputError(
            f"coordnet with rig {self.rig_name} needs a source displaced {'up or down' if upright else 'sideways'}, "
            "and no source is; choose another --rig."
        )

    def correspondence(self, depth: Map, degrees: Degrees | None, target: View, source: View) -> Correspondence:
        """Return the correspondences of the target's pixels in the source, by depth, or by `degrees` if not None.

        Raises `InputError` for a source at another baseline than `degrees` are for.
        """
        pose = known_pose(self.name, source)
        if degrees is None:
            return self.reproject(1 / depth, target.camera, pose, source.camera)
        expected = translation(depth.new_tensor([OFFSETS[self.rig_name]]) * SPHERE_BASELINE)
        if not torch.allclose(pose, expected.expand_as(pose), atol=1e-3):
            raise InputError(
                f"coordnet that predicts {self.predicts} with rig {self.rig_name} needs every source at "
                f"{SPHERE_BASELINE} m {'above' if self.rig_name == 'UD' else 'to the right'}, and pictures that are "
                "not rotated."
            )
        return correspondence_from_degrees(degrees)


def check(arguments: dict[str, Any]) -> None:
    """Raise `InputError` for unknown names, numbers out of range, and arguments that contradict each other."""
    choices = {
        "rig": RIGS,
        "warp": WARPS,
        "landing": LANDINGS,
        "network": ("coordnet", "mobile"),
        "predicts": ("depth", "disparity", "magnitude"),
    }
    for name, known in choices.items():
        if arguments[name] not in known:
            raise InputError(f"coordnet was given the {name} {arguments[name]!r}; it takes {', '.join(known)}.")
    width, sharpness, window = arguments["width"], arguments["sharpness"], arguments["window"]
    if not 0 < width < math.inf:
        raise InputError(f"width is {width}; it needs a number above 0.")
    if not 0 <= sharpness <= SHARPEST:
        raise InputError(
            f"sharpness is {sharpness} per metre; it needs 0 (near things hide nothing) to {SHARPEST:g}: with more, "
            "walls of a room weigh too little to be compared."
        )
    if window < 3 or window % 2 == 0:
        raise InputError(f"window is {window}; SSIM needs an odd number of pixels, at least 3.")
    rig, ratio, predicts = arguments["rig"], arguments["ratio"], arguments["predicts"]
    if not 0 < ratio < 1:
        raise InputError(f"ratio is {ratio}; it needs a share between 0 and 1. For one source take rig UD or LR.")
    if predicts != "depth" and rig not in OFFSETS:
        raise InputError(
            f"coordnet with rig {rig} cannot predict {predicts}; it predicts disparities with the rigs "
            f"{' and '.join(OFFSETS)} only."
        )
    if arguments["network"] == "mobile" and (width != 1 or predicts != "depth"):
        raise InputError("the network mobile has one width and predicts depth; use the network coordnet.")


def splat_target(target: View, source: View, depth: Map, match: Correspondence, sharpness: float) -> Synthesized:
    """Synthesise the source from the target by depth-image-based rendering; the mask is where it is covered.

    The paper's M_t = W < epsilon marks the empty pixels; losses are multiplied by its complement.
    """
    weight = torch.exp(-sharpness * depth) * (target.valid & match.valid)
    made, coverage = splat(target.image, match.uv, weight, source.camera.border)
    mask = (coverage.detach() > COVERED) & source.valid
    return made, source.image, mask.float(), known_pose("coordnet", source)[:, :3, 3]


def pull_source(target: View, source: View, depth: Map, match: Correspondence, sharpness: float) -> Synthesized:  # noqa: ARG001
    """Synthesise the target from the source by inverse warping, which ignores occlusion."""
    pose = known_pose("coordnet", source)
    made = pull(torch.cat([source.image, source.valid.float()], 1), match.uv, source.camera.border)
    mask = match.valid & target.valid & (made[:, 3:].detach() > 0.999)
    towards = (pose[:, :3, :3].transpose(1, 2) @ pose[:, :3, 3:])[..., 0]
    return made[:, :3], target.image, mask.float(), towards


WARPS: dict[str, Callable[..., Synthesized]] = {"splat": splat_target, "pull": pull_source}
LANDINGS: dict[str, Callable[..., Correspondence]] = {"exact": reproject, "first-order": reproject_first_order}


def synthesis_loss(made: Image, true: Image, mask: Map, weight: Weight, window: int = WINDOW) -> Scalar:
    """Return Eq. 5 and 6: 0.85 dissimilarity + 0.15 |difference| of masked images, summed over colours, weighted.

    SSIM's windows (odd, in pixels) wrap over the seam and the poles; the release's box leaves a border with a penalty
    of 1/2. Raises InputError for a picture lower than half a window.
    """
    if window // 2 > made.shape[-2]:
        raise InputError(
            f"SSIM's window is {window} pixels, too large for pictures {made.shape[-2]} high; use a smaller one."
        )
    x, y = made * mask, true * mask
    likeness = ssim(around(x, window // 2), around(y, window // 2), window)
    return attended(ALPHA * dissimilarity(likeness) + (1 - ALPHA) * (x - y).abs(), mask, weight)


def attended(error: Float[Tensor, "b c h w"], mask: Map, weight: Weight) -> Scalar:
    """Return Eq. 6: each item's sum of weight * error over channels and valid pixels, by their number; mean over items.

    It is not divided by the sum of weights, so a rig with less attention learns more slowly. 0 for an item without
    valid pixels.
    """
    count = mask.sum((1, 2, 3))
    return ((error * weight * mask).sum((1, 2, 3)) / count.clamp_min(1)).mean()


def cartesian_smoothness(
    points: Float[Tensor, "b h w 3"], image: Image, weight: Weight, valid: Bool[Tensor, "b 1 h w"]
) -> Scalar:
    """Return Eq. 7: the distance between neighbouring `points`, weighted less where colours change.

    It is |dx| + |dy| + |dz| along each axis, and the root of the sum of squares of both; the weighted sum is divided by
    the number of valid pixels of the batch.

    Pitfalls: the paper prints exp(+|dI|), which would enforce smoothness *at* edges: it is exp(-|dI|). "Central"
    differences are forward ones; to the right they wrap over the seam (not in the paper), downwards they are 0 in the
    last row.
    """
    du, dv = _forward(points.movedim(-1, 1))
    apart = torch.linalg.vector_norm(torch.stack([du.abs().sum(1), dv.abs().sum(1)]), dim=0)[:, None]
    colours = torch.linalg.vector_norm(torch.cat(_forward(image), 1), dim=1, keepdim=True)
    value = apart * (-colours).exp() * weight * valid
    return value.sum() / valid.sum().clamp_min(1)


def _forward(values: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b c h w"]]:
    """Return forward differences: to the right, wrapping over the seam, and down, 0 in the last row."""
    return values.roll(-1, -1) - values, F.pad(values.diff(dim=2), (0, 0, 0, 1))
