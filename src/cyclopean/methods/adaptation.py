"""Adaptation of a depth network to one clip, by view synthesis with poses known up to scale."""

import copy
from dataclasses import replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from cyclopean.geometry import reproject, size_of
from cyclopean.losses import photometric_error, proportional_smoothness, weighted_mean
from cyclopean.methods.base import Frozen, Losses, Method, Prediction, full_precision, known_pose
from cyclopean.methods.photometric import resized
from cyclopean.sample import Map, Sample, View
from cyclopean.synthesis import pull

LEAST = 1e-3  # of the median of a picture: smaller inverse depths are not told apart
APPEARANCE, POINTS, PRIOR, SMOOTHNESS = 1.0, 0.3, 0.05, 1e-3  # weights
FEWEST = 16  # points that tell the unit of a picture


class Adaptation(Method):
    """A model that keeps learning from one clip (a test-time training, as Luo et al., SIGGRAPH 2020, and Monodepth2).

    `start` is the model; what is saved is it alone, under its own name. Poses come with the sample, known up to a
    factor for each, and so does the inverse depth of some points, in the same unit. The model's own unit is brought to
    that of the sample by the median ratio at those points, so that the network need not learn it. Four losses: the
    photometric error, of the better source, or of the better one as it is if that is less (Monodepth2, Eq. 4 and 5, as
    one minimum over both, so that errors of two models are means over the same pixels); the error of the logarithm at
    the points; closeness to what the start predicted; smoothness (Eq. 3).

    `glance`: the share of the size at which the model sees the picture once more, as its predictor does.
    """

    name: ClassVar[str] = "adaptation"

    def __init__(self, start: Method, glance: float | None = None) -> None:
        super().__init__()
        self.model, self.glance = start, glance
        self.start = Frozen(copy.deepcopy(start))
        self.input_multiple, self.ambiguity, self.rig = start.input_multiple, start.ambiguity, start.rig
        self.name = start.name  # type: ignore[misc]

    def config(self) -> dict[str, Any]:
        return self.model.config()

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return the weights of the model alone."""
        return self.model.state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Fill the model alone."""
        return self.model.load_state_dict(*args, **kwargs)

    def train(self, mode: bool = True) -> "Adaptation":  # noqa: ARG002
        """Keep the model in eval mode: the statistics of one clip are not those of the pictures it was made for."""
        return super().train(False)

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:
        return self.model.predict(target, sources)

    def losses(self, sample: Sample) -> Losses:
        target, multiple = sample.target, self.input_multiple
        views = [target]
        if self.glance is not None:  # the view at about that share of its size, by area
            size = tuple(max(multiple, round(self.glance * n / multiple) * multiple) for n in size_of(target.image))
            image, seen, valid = (
                F.interpolate(x.float(), size, mode="area") for x in (target.image, target.seen, target.valid.float())
            )
            views.append(replace(target, image=image, seen=seen, valid=valid > 0.5))
        totals: Losses = {}
        for view in views:
            now = self.model.predict(view).inverse_depth
            with torch.no_grad():
                before = self.start.module.predict(view).inverse_depth  # type: ignore[operator]
            with full_precision(sample.depth):
                for name, value in self._losses(sample, now, before).items():
                    totals[name] = totals.get(name, 0.0) + value / len(views)
        return totals

    def _losses(self, sample: Sample, seen: Map, before: Map) -> Losses:
        size = size_of(sample.depth)
        inverse, start = (resized(x.float(), size) for x in (seen, before))
        medians = (x.detach().flatten(1).median(1).values[:, None, None, None] for x in (inverse, start))
        inverse, start = (x + LEAST * median for x, median in zip((inverse, start), medians, strict=True))
        known = ~sample.depth.isnan()
        rho = inverse * unit_of(inverse.detach(), sample.depth, known)

        target, sources = sample.target, sample.sources
        matches = [reproject(rho, target.camera, known_pose(self.name, s), s.camera) for s in sources]
        errors = [
            photometric_error(s.image, target.image) for s in sources
        ]  # as if nothing moved: those have no gradient
        for source, match in zip(sources, matches, strict=True):
            error = photometric_error(pull(source.image, match.uv, "edge"), target.image)
            errors.append(torch.where(match.valid, error, torch.full_like(error, torch.inf)))
        least = torch.cat(errors, 1).amin(1, keepdim=True)

        truth = torch.where(known, 1 / sample.depth, torch.ones_like(rho))
        at_points = F.huber_loss(rho.log(), truth.log(), reduction="none", delta=0.1) / 0.1
        return {
            "appearance": APPEARANCE * weighted_mean(least, target.valid.to(rho.dtype)),
            "points": POINTS * weighted_mean(at_points, known.to(rho.dtype)),
            "prior": PRIOR * (inverse / start).log().abs().mean(),
            "smoothness": SMOOTHNESS * proportional_smoothness(inverse, target.image, target.valid.to(rho.dtype)),
        }


def unit_of(inverse: Map, depth: Map, known: Bool[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 1 1"]:
    """Return the median ratio of true to predicted inverse depth at the known points of each picture."""
    ratios = torch.where(known, -(inverse * depth).log(), torch.nan).flatten(1)
    return ratios.nanmedian(1).values.exp()[:, None, None, None]
