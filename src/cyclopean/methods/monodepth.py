"""Monodepth: unsupervised depth with left-right consistency (Godard, Mac Aodha, Brostow, CVPR 2017)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError, unknown_name
from cyclopean.geometry import invert, reproject
from cyclopean.losses import item_mean, photometric_error, pyramid
from cyclopean.methods.base import Losses, Prediction, full_precision, known_pose, source_on_the_right
from cyclopean.methods.photometric import DisparityPyramid, PhotometricMethod, SourceView, add, baseline
from cyclopean.sample import Sample, View
from cyclopean.synthesis import pull
from cyclopean.training.options import MONODEPTH, LossConfig

# Rows of the paper's Table 1: the number of views whose disparities are predicted, and of views the network takes.
VARIANTS = {"lr": (2, 1), "no-lr": (1, 1), "stereo": (2, 2)}
SEARCHED = 2  # the scale (a quarter) at which the common factor is searched
MOST_FACTOR = 12.0  # and its inverse: the largest and smallest factor tried


class Monodepth(PhotometricMethod):
    """Disparities of both images from the left one; each image is warped from the other and compared.

    Samples need one pinhole source to the right of the target (t = (-baseline, 0, 0)). Disparities are fractions of the
    image width, d = focal_u * baseline * rho. A model for one rig stores `rig` = (focal_u in image widths, baseline in
    metres) and is metric; without it depth is known up to scale.

    `variant`: "lr"; "no-lr" predicts and compares only the left image (sec. 3.2, Fig. 3); "stereo" takes both images,
    at inference too (sec. 4.3). `rules` are the paper's by default.

    Not in the paper: `factors` > 1 is for pairs of many rigs and scenes of many sizes, where one picture does not
    determine the absolute disparity. Each pair's disparities are multiplied by the common factor that explains its left
    image best: the best of `factors` factors between 1/12 and 12, then of as many around it. The network learns
    relative disparity only.
    """

    name: ClassVar[str] = "monodepth"

    def __init__(
        self,
        network: str = "vgg",
        width: float = 1.0,
        *,
        rig: Sequence[float] | None = None,
        factors: int = 1,
        variant: str = "lr",
        rules: LossConfig | Mapping[str, Any] = MONODEPTH,
    ) -> None:
        if factors > 1 and rig is not None:
            raise InputError("monodepth for one rig learns metric depth and has no free factor; drop rig or factors.")
        if factors < 1 or factors == 2:
            raise InputError(f"monodepth has {factors} factors to try; give 1 (no search) or at least 3, such as 13.")
        if variant not in VARIANTS:
            raise unknown_name("variant", variant, VARIANTS)
        maps, views = VARIANTS[variant]
        super().__init__(network, width, rules, maps=maps, views=views, rig=rig, factors=factors, variant=variant)
        self.factors = factors

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:
        finest = [side.disparities[0] for side in self.disparities(target, sources)]
        extras = {f"disparity_{name}": x for name, x in zip(("left", "right"), finest, strict=False)}
        return Prediction(self.inverse_depth(finest[0], target), extras=extras)

    def losses(self, sample: Sample) -> Losses:
        """Return Eq. 1 of every scale: α_ap (C_ap^l + C_ap^r) + α_ds (C_ds^l + C_ds^r) + α_lr (C_lr^l + C_lr^r).

        Appearance, smoothness and consistency of one view are the terms of `PhotometricLoss` (methods.photometric).
        """
        left, right = sample.target, source_on_the_right(self.name, sample)
        both = self.disparities(left, sample.sources)
        with full_precision(left.image):
            pose = known_pose(self.name, right)
            if self.factors > 1:
                both = best_multiples(both, left, right, self.loss.head.unit(left.camera, baseline(pose)), self.factors)
            if self.maps == 1:
                return self.loss(left, both[0], [SourceView(right, pose)])
            d_left, d_right = both
            # α_ap = α_lr = 1 (sec. 4.1): no factor stands before appearance and consistency. α_ds = 0.1 / r is in the
            # smoothness that `self.loss` returns: `LossConfig.smoothness`, halved from scale to scale.
            return add(
                self.loss(left, d_left, [SourceView(right, pose, d_right)]),
                self.loss(right, d_right, [SourceView(left, invert(pose), d_left)]),
            )

    def disparities(self, target: View, sources: tuple[View, ...]) -> list[DisparityPyramid]:
        """Return the disparities of the left view and, except for "no-lr", of the right one."""
        if self.views == 1:
            return self.decode(self.network(target.seen))
        if len(sources) != 1:
            raise InputError("this model takes two pictures, left and right; give both, or use another model.")
        return self.decode(self.network(torch.cat([target.seen, sources[0].seen], 1)))


def best_multiples(
    both: list[DisparityPyramid], left: View, right: View, unit: Float[Tensor, " b"], n: int
) -> list[DisparityPyramid]:
    """Return disparities times the factor that explains each pair's left image best, by a coarse and a fine search.

    `unit` is disparity / inverse depth. Pixels that project outside the right image count as an error of 1/2.
    """
    with torch.no_grad():
        rho = both[0].disparities[SEARCHED] / unit[:, None, None, None]
        pose = known_pose("monodepth", right)
        target, source, weight = (
            pyramid(x, SEARCHED + 1)[SEARCHED] for x in (left.image, right.image, left.valid.to(left.image.dtype))
        )
        factor, reach = rho.new_ones(len(rho)), MOST_FACTOR
        for _ in range(2):
            tried = torch.logspace(-1, 1, n, base=reach, device=factor.device)[:, None] * factor
            errors = []
            for one in tried:
                match = reproject(rho * one[:, None, None, None], left.camera, pose, right.camera)
                error = photometric_error(pull(source, match.uv, "edge"), target)
                error = torch.where(match.valid, error, torch.full_like(error, 0.5))
                errors.append(item_mean(error, weight).flatten())
            factor = tried.gather(0, torch.stack(errors).argmin(0)[None])[0]
            reach = reach ** (2 / (n - 1))
    factors = factor[:, None, None, None]
    return [replace(side, disparities=tuple(x * factors for x in side.disparities)) for side in both]
