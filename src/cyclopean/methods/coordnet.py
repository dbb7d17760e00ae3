"""CoordNet: depth of panoramas from 360° rigs, by spherical view synthesis (Zioulis et al. 2019)."""

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
    translation,
)
from cyclopean.geometry.spherical import disparity_per_inverse_depth, inverse_depth_from, moved
from cyclopean.losses import ALPHA, berhu_beyond, dissimilarity, ssim
from cyclopean.methods.base import Ambiguity, Method, Prediction, full_precision, known_pose
from cyclopean.networks.coordnet import Coordnet as Network
from cyclopean.networks.panoramic import Panoramic
from cyclopean.sample import Sample, View
from cyclopean.synthesis import pull, splat

RECONSTRUCTION, SMOOTHNESS = 0.95, 0.05  # Eq. 4
WINDOW = 5  # of SSIM (sec. 4)
COVERED = 1e-3  # of weight that fell on a pixel: below, it is a hole
SHARPEST = 1.0  # per metre: what is 7 m away just counts as covering; the first guess is 5 m
NEAREST, FARTHEST = 0.05, 20.0  # metres: depths below are not told apart; truths beyond do not count (sec. 4)
BASELINE = 0.26  # metres, of the paper's rigs; methods that predict disparities know no other

Map = Float[Tensor, "b 1 h w"]
Degrees = Float[Tensor, "b 2 h w"]
Weight = Float[Tensor, "#b 1 h w"]
Image = Float[Tensor, "b 3 h w"]
Scalar = Float[Tensor, ""]
Rebuilt = tuple[Image, Image, Map, Weight]  # made, true, where to compare (0 or 1), attention

RIGS = ("UD", "LR", "TC", "SV")
LANDINGS: dict[str, Callable[..., Correspondence]] = {"exact": reproject, "first-order": reproject_first_order}


class Coordnet(Method):
    """Metric depth of a panorama. The network is shown one view; the others are made from it and compared.

    Rigs: UD learns from the source above (or below) the target, LR from the one beside it, TC from both, `ratio` of it
    from the vertical one (the paper's TC6 is 0.6); SV from true depth, to compare with. Samples may hold more sources
    than the rig needs. `sharpness` per metre of the soft z-buffer, whose weights are exp(-sharpness * depth): 2 / 20 as
    released, the paper prints 1 / 20. `window`: of SSIM, in pixels. `warp` pull is inverse warping, with which the
    paper's LR did not converge. `landing` first-order is the paper's displacement; exact holds for near things too.
    `coordinates`, `attention`: without them, the paper's ablations. `network`: the paper's, or `mobile`, which may
    start from a detector of things; `width` multiplies the channels of the paper's.

    `predicts` depth, or (rigs UD and LR) disparities in degrees, which move pixels as they are; depth then follows from
    the known rig, of 0.26 m and never turned. With LR that is two maps whose signs change over the picture: the paper
    (sec. 3.3) says that CNNs cannot regress those. `magnitude`: their signs are given by the rig, which it says does
    not converge either. With UD both are the same.

    Nothing of the self-supervised rigs reads true depth: the release masks with it and computes the splat's own mask in
    vain, so that holes would be compared as black. The mask here is what the splat covered.
    """

    name: ClassVar[str] = "coordnet"
    projection: ClassVar[Literal["pinhole", "equirectangular"]] = "equirectangular"

    def __init__(  # noqa: PLR0917
        self,
        rig: str = "TC",
        ratio: float = 0.6,
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
        super().__init__()
        self._arguments: dict[str, Any] = {
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
        _check(self._arguments)
        self.ambiguity: Ambiguity = "metric"
        self.network = NETWORKS[network](self._arguments)
        self.input_multiple = self.network.multiple
        self._shares = {"UD": (1.0, 0.0), "LR": (0.0, 1.0), "TC": (ratio, 1 - ratio), "SV": (0.0, 0.0)}[rig]
        self._attended = attention
        self._warp, self._land, self._sharpness = WARPS[warp], LANDINGS[landing], sharpness
        self._window = window
        self._answer = PREDICTS[predicts]

    def config(self) -> dict[str, Any]:
        """Without a `window` of 5, so that runs and models from before there was a choice are of the same kind."""
        return {name: value for name, value in self._arguments.items() if (name, value) != ("window", WINDOW)}

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:  # noqa: ARG002
        return Prediction(1 / self._answer(self, target)[0])

    def losses(self, sample: Sample) -> dict[str, Scalar]:
        target = sample.target
        if not all(isinstance(v.camera, Equirectangular) for v in (target, *sample.sources)):
            raise InputError("coordnet learns from panoramas; render with --rig sphere, or take a stereo method.")
        depth, degrees = self._answer(self, target)
        with full_precision(depth):
            terms = {} if any(self._shares) else {"berhu": RECONSTRUCTION * self._supervised(depth, sample)}
            for name, source, share in self._compared(sample):
                landing = self._landing(depth, degrees, target, source)
                made, true, mask, weight = self._warp(self, landing, depth, target, source)
                terms[name] = RECONSTRUCTION * share * photometric(made, true, mask, weight, self._window)
            terms["smoothness"] = SMOOTHNESS * self._smoothness(depth, target)
        return terms

    def _landing(self, depth: Map, degrees: Degrees | None, target: View, source: View) -> Correspondence:
        pose = known_pose("coordnet", source)
        if degrees is None:
            return self._land(1 / depth, target.camera, pose, source.camera)
        expected = translation(_offset(self._arguments["rig"], depth))
        if not torch.allclose(pose, expected.expand_as(pose), atol=1e-3):
            raise InputError(
                f"coordnet that predicts {self._arguments['predicts']} with rig {self._arguments['rig']} needs every "
                f"source at {BASELINE} m {'above' if self._shares[0] else 'to the right'}, and pictures not turned."
            )
        return moved(degrees)

    def _compared(self, sample: Sample) -> list[tuple[str, View, float]]:
        """Name, source and share of each comparison of this rig."""
        found = []
        for name, share, upright in (("vertical", self._shares[0], True), ("horizontal", self._shares[1], False)):
            if share > 0:
                fitting = [v for v in sample.sources if _is_vertical(known_pose("coordnet", v)) is upright]
                if not fitting:
                    raise InputError(
                        f"coordnet with rig {self._arguments['rig']} needs a source displaced "
                        f"{'up or down' if upright else 'sideways'}, and no source is; choose another --rig."
                    )
                found.append((name, fitting[0], share))
        return found

    def _attention(self, view: View, baseline: Float[Tensor, "#b 3"]) -> Weight:
        """Eq. 5, or ones for the ablation without."""
        size = (view.image.shape[-2], view.image.shape[-1])
        map_ = attention(view.camera.rays(pixel_grid(size, view.image)), baseline)
        return map_ if self._attended else torch.ones_like(map_)

    def _supervised(self, depth: Map, sample: Sample) -> Scalar:
        """BerHu with a fifth of the batch's largest error that counts (the release asks all pixels), attended."""
        known = (sample.depth <= FARTHEST) & sample.target.valid
        error = torch.where(known, depth - sample.depth, torch.zeros_like(depth))
        threshold = 0.2 * error.detach().abs().amax().view(1, 1, 1, 1)
        return attended(berhu_beyond(error, threshold), known.float(), self._attention(sample.target, _up(depth)))

    def _smoothness(self, depth: Map, target: View) -> Scalar:
        """Eq. 7, weighed by what attention leaves: of the vertical rig if it takes part."""
        baseline = _up(depth) if self._shares[0] or not any(self._shares) else _right(depth)
        size = (depth.shape[-2], depth.shape[-1])
        rays = target.camera.rays(pixel_grid(size, depth))
        points = rays * depth[:, 0, ..., None]
        return cartesian_smoothness(points, target.image, 1 - attention(rays, baseline), target.valid)


def _papers(arguments: dict[str, Any]) -> Network:
    """The paper's network. Where signs change over the picture, none comes first: it starts at 0."""
    signed = arguments["predicts"] == "disparity" and arguments["rig"] == "LR"
    outputs = 2 if arguments["predicts"] != "depth" and arguments["rig"] == "LR" else 1
    network = Network(arguments["coordinates"], arguments["circular"], arguments["width"], outputs)
    if signed:
        nn.init.zeros_(network.head.conv.bias)  # type: ignore[arg-type]
    return network


def _mobile(arguments: dict[str, Any]) -> Panoramic:
    if arguments["width"] != 1 or arguments["predicts"] != "depth":
        raise InputError("the network mobile has one width and predicts depth; take the network coordnet.")
    return Panoramic(arguments["coordinates"], arguments["circular"])


NETWORKS: dict[str, Callable[[dict[str, Any]], Network | Panoramic]] = {"coordnet": _papers, "mobile": _mobile}


def _check(arguments: dict[str, Any]) -> None:
    """Refuses what there is not, and what does not go together."""
    choices = {"rig": RIGS, "warp": WARPS, "landing": LANDINGS, "network": NETWORKS, "predicts": PREDICTS}
    for name, known in choices.items():
        if arguments[name] not in known:
            raise InputError(f"coordnet was given the {name} {arguments[name]!r}; it takes {', '.join(known)}.")
    _check_numbers(arguments)
    rig, ratio, predicts = arguments["rig"], arguments["ratio"], arguments["predicts"]
    if not 0 < ratio < 1:
        raise InputError(f"ratio is {ratio}; it needs a share between 0 and 1. For one source take rig UD or LR.")
    if predicts != "depth" and rig not in OFFSETS:
        raise InputError(
            f"coordnet with rig {rig} was asked to predict {predicts}; it predicts disparities with the rigs "
            f"{' and '.join(OFFSETS)} only."
        )


def _check_numbers(arguments: dict[str, Any]) -> None:
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


def _depth(method: Coordnet, view: View) -> tuple[Map, None]:
    """The network's output without its sign, as released."""
    return method.network(view.seen).float().abs().clamp_min(NEAREST), None


def _disparities(method: Coordnet, view: View) -> tuple[Map, Degrees]:
    """The network's outputs as they are, degrees along longitude (not UD) and down; depth by the nearest disparity."""
    return _from_degrees(method, view, _both(method.network(view.seen).float()))


def _magnitudes(method: Coordnet, view: View) -> tuple[Map, Degrees]:
    """As `_disparities`, with the signs that the rig gives."""
    size = (view.image.shape[-2], view.image.shape[-1])
    offset = _offset(method._arguments["rig"], view.image)
    signs = disparity_per_inverse_depth(view.camera.rays(pixel_grid(size, view.image)), offset).sign()
    return _from_degrees(method, view, _both(method.network(view.seen).float()).abs() * signs)


def _from_degrees(method: Coordnet, view: View, degrees: Degrees) -> tuple[Map, Degrees]:
    """Depth within (NEAREST, FARTHEST); what seems behind is as far as can be."""
    rays = view.camera.rays(pixel_grid((degrees.shape[-2], degrees.shape[-1]), degrees))
    rho = inverse_depth_from(degrees, rays, _offset(method._arguments["rig"], degrees))
    return 1 / rho.clamp(1 / FARTHEST, 1 / NEAREST), degrees


def _both(raw: Float[Tensor, "b n h w"]) -> Degrees:
    """Along longitude and down; of one output, down."""
    return raw if raw.shape[1] == 2 else torch.cat([torch.zeros_like(raw), raw], 1)


def _offset(rig: str, like: Tensor) -> Float[Tensor, "1 3"]:
    return like.new_tensor([OFFSETS[rig]]) * BASELINE


OFFSETS = {"UD": (0.0, 1.0, 0.0), "LR": (-1.0, 0.0, 0.0)}  # of points of the target in a source above, on the right
PREDICTS: dict[str, Callable[[Coordnet, View], tuple[Map, Degrees | None]]] = {
    "depth": _depth,
    "disparity": _disparities,
    "magnitude": _magnitudes,
}


def _splatted(method: Coordnet, landing: Correspondence, depth: Map, target: View, source: View) -> Rebuilt:
    """The source made from the target by depth-image-based rendering; compared where something fell: the paper's
    M_t = W < epsilon marks the empty pixels, and what multiplies losses is its opposite."""
    weight = torch.exp(-method._sharpness * depth) * (target.valid & landing.valid)
    made, coverage = splat(target.image, landing.uv, weight, source.camera.border)
    mask = (coverage.detach() > COVERED) & source.valid
    return made, source.image, mask.float(), method._attention(source, known_pose("coordnet", source)[:, :3, 3])


def _pulled(method: Coordnet, landing: Correspondence, depth: Map, target: View, source: View) -> Rebuilt:  # noqa: ARG001
    """The target made from the source by inverse warping, which knows nothing of what is hidden."""
    pose = known_pose("coordnet", source)
    made = pull(torch.cat([source.image, source.valid.float()], 1), landing.uv, source.camera.border)
    mask = landing.valid & target.valid & (made[:, 3:].detach() > 0.999)
    towards = (pose[:, :3, :3].transpose(1, 2) @ pose[:, :3, 3:])[..., 0]
    return made[:, :3], target.image, mask.float(), method._attention(target, towards)


WARPS: dict[str, Callable[[Coordnet, Correspondence, Map, View, View], Rebuilt]] = {"splat": _splatted, "pull": _pulled}


def photometric(made: Image, true: Image, mask: Map, weight: Weight, window: int = WINDOW) -> Scalar:
    """Eq. 5 and 6: 0.85 dissimilarity + 0.15 |difference| of masked images, summed over colours, attended.

    SSIM's windows (odd, in pixels) go on over the seam and the poles; the release's box leaves a border with a penalty
    of 1/2. Raises InputError for a picture lower than half a window.
    """
    if window // 2 > made.shape[-2]:
        raise InputError(f"SSIM's window is {window} pixels, too large for pictures {made.shape[-2]} high; take less.")
    x, y = made * mask, true * mask
    likeness = ssim(around(x, window // 2), around(y, window // 2), window)
    return attended(ALPHA * dissimilarity(likeness) + (1 - ALPHA) * (x - y).abs(), mask, weight)


def attended(error: Float[Tensor, "b c h w"], mask: Map, weight: Weight) -> Scalar:
    """Eq. 6: each item's sum of weight * error over channels and valid pixels, by how many are valid; mean over items.

    Not by the sum of weights: a rig with less attention learns more slowly. 0 for an item with nothing valid.
    """
    count = mask.sum((1, 2, 3))
    return ((error * weight * mask).sum((1, 2, 3)) / count.clamp_min(1)).mean()


def cartesian_smoothness(
    points: Float[Tensor, "b h w 3"], image: Image, weight: Weight, valid: Bool[Tensor, "b 1 h w"]
) -> Scalar:
    """Eq. 7: how far neighbouring `points` are apart, |dx| + |dy| + |dz| along each axis, both together by the root
    of the sum of their squares; less where colours change; weighed, by how many pixels of the batch are valid.

    Traps: the paper prints exp(+|dI|), which would ask for smoothness *at* edges: it is exp(-|dI|). "Central"
    differences are forward ones; to the right they go over the seam (ours), below the last row there is nothing.
    """
    du, dv = _forward(points.movedim(-1, 1))
    apart = torch.linalg.vector_norm(torch.stack([du.abs().sum(1), dv.abs().sum(1)]), dim=0)[:, None]
    colours = torch.linalg.vector_norm(torch.cat(_forward(image), 1), dim=1, keepdim=True)
    value = apart * (-colours).exp() * weight * valid
    return value.sum() / valid.sum().clamp_min(1)


def _forward(values: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b c h w"]]:
    """Differences to the right, over the seam, and down, 0 in the last row."""
    return values.roll(-1, -1) - values, F.pad(values.diff(dim=2), (0, 0, 0, 1))


def _is_vertical(pose: Float[Tensor, "b 4 4"]) -> bool:
    t = pose[:, :3, 3]
    return bool((t[:, 1].abs() > torch.hypot(t[:, 0], t[:, 2])).all())


def _up(like: Tensor) -> Float[Tensor, "1 3"]:
    return like.new_tensor([[0.0, 1.0, 0.0]])


def _right(like: Tensor) -> Float[Tensor, "1 3"]:
    return like.new_tensor([[1.0, 0.0, 0.0]])
