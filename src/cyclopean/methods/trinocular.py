"""Virtual trinocular: every image is the middle of three (Poggi, Tosi, Mattoccia, 3DV 2018)."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.geometry import invert
from cyclopean.methods.base import Paired, Prediction, full_precision, known_pose, source_on_the_right
from cyclopean.methods.photometric import (
    Rules,
    Said,
    Source,
    channels,
    features_of,
    how,
    postprocess,
    rig_unit,
    rules_of,
    said,
    summed,
    terms,
)
from cyclopean.networks import build
from cyclopean.sample import Sample, View

TOLD = 4  # of the middle towards the right, of the right one; of the middle towards the left, of the left one


class Trinocular(Paired):
    """What is hidden on one side is seen on the other: two baselines, and no second look at a mirror image.

    A pair has no middle, so each image is it in turn (sec. 3.3): the left one learns what lies to its right, the right
    one what lies to its left, each with Monodepth's loss for a pair. `predict` joins both maps of the middle view as
    Monodepth's post-processing does, each alone at the border it sees well. One decoder serves both baselines; the
    paper has two.
    """

    name: ClassVar[str] = "trinocular"

    def __init__(
        self,
        network: str = "vgg",
        width: float = 1.0,
        rig: Sequence[float] | None = None,
        rules: Rules | Mapping[str, Any] = Rules(),  # noqa: B008
    ) -> None:
        super().__init__()
        self._rules = rules_of(rules)
        self.network = build(network, width, TOLD * channels(self._rules))
        self.input_multiple: int = self.network.multiple  # type: ignore[assignment]
        self._arguments: dict[str, Any] = {
            "network": network,
            "width": width,
            "rig": None if rig is None else list(rig),
            "rules": self._rules.config(),
        }
        self._features = features_of(self._rules.features, self.network)
        self.keep_rig(rig, partial(rig_unit, how(self._rules).head))

    def config(self) -> dict[str, Any]:
        return dict(self._arguments)

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:  # noqa: ARG002
        rightwards, _, leftwards, _ = (side.nearness[0] for side in self._said(target.seen))
        extras = {"towards_right": rightwards, "towards_left": leftwards}
        return Prediction(self.inverse_depth(postprocess(rightwards, leftwards), target), extras=extras)

    def losses(self, sample: Sample) -> dict[str, Float[Tensor, ""]]:
        left, right = sample.target, source_on_the_right("trinocular", sample)
        both = self._said(torch.cat([left.seen, right.seen]))
        with full_precision(left.image):
            right_from_left = known_pose("trinocular", right)
            left_from_right = invert(right_from_left)
            n = len(sample)
            middle, beyond = (_items(said, slice(n)) for said in both[:2])
            found = [self._pair((left, right), (middle, beyond), (right_from_left, left_from_right))]
            middle, beyond = (_items(said, slice(n, None)) for said in both[2:])
            found.append(self._pair((right, left), (middle, beyond), (left_from_right, right_from_left)))
            return summed(found)

    def _pair(
        self, views: tuple[View, View], saids: tuple[Said, Said], poses: tuple[Tensor, Tensor]
    ) -> dict[str, Tensor]:
        """Monodepth's loss of two views, each rebuilt from the other."""
        one, other = (
            terms(views[k], saids[k], [Source(views[1 - k], poses[k], saids[1 - k])], self._rules, self._features)
            for k in (0, 1)
        )
        return summed([one, other])

    def _said(self, images: Float[Tensor, "b 3 h w"]) -> list[Said]:
        sides = zip(*(raw.chunk(TOLD, 1) for raw in self.network(images)), strict=True)
        return [said(side, self._rules) for side in sides]


def _items(said: Said, which: slice) -> Said:
    return Said(tuple(x[which] for x in said.nearness), tuple(x[which] for x in said.beliefs))
