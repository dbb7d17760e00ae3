"""Poses that nobody measured: a step Sample -> Sample that predicts them from whole frames, with its network."""

from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.errors import InputError, unknown_name
from cyclopean.geometry import axis_angle, invert, rigid
from cyclopean.methods.base import full_precision
from cyclopean.networks.pose import PoseCnn, PoseResnet
from cyclopean.sample import Sample, View

POSES = {"resnet": PoseResnet, "cnn": PoseCnn}
PowerOfZoom = Literal[-1, 0, 1]
FIRST = 0.1  # how far away a source of known pose stands, in the unit of predicted translations (Monodepth2)


class PredictedPose(nn.Module):
    """The step that fills each `from_target` that is None, by a network of two frames (Monodepth2, sec. 3.1).

    Sources without a pose stand in the order of time: the first half of them, rounded down, was taken before the
    target, the rest after it. The network is always shown the earlier frame first, so that it learns one direction of
    time; its motion takes points of the first frame's camera to the second's, and is inverted for earlier sources.

    A translation is divided by `zoom` to the `power` 1: what is enlarged looks nearer by that factor (a network sees
    no resolution), and all lengths with it. 0 and -1 are the ablations of papers. Translations are in the unit of the
    depth; where the pose of another source is known, that source stands 0.1 away in it.
    """

    def __init__(self, network: nn.Module, power: PowerOfZoom = 1) -> None:
        super().__init__()
        self.network, self.power = network, power

    def forward(self, sample: Sample) -> Sample:
        """Return `sample` with every pose. Raises `InputError` if a pose is missing and there are no `frames`."""
        unposed = [n for n, source in enumerate(sample.sources) if source.from_target is None]
        if not unposed:
            return sample
        if sample.frames is None:
            raise InputError("poses cannot be predicted without frames; give the Sample `frames`.")
        target, *others = sample.frames.unbind(1)
        before = unposed[: len(unposed) // 2]
        pairs = [(others[n], target) if n in before else (target, others[n]) for n in unposed]
        first, second = (torch.cat(frames) for frames in zip(*pairs, strict=True))

        motions = self.network(first, second).float().unflatten(0, (len(unposed), -1))
        length = translation_unit(sample)
        if sample.zoom is not None:
            length = length / sample.zoom**self.power
        sources = list(sample.sources)
        with full_precision(sample.depth):
            for n, motion in zip(unposed, motions, strict=True):
                pose = rigid(axis_angle(motion[:, :3]), motion[:, 3:] * length[:, None])
                sources[n] = replace(sources[n], from_target=invert(pose) if n in before else pose)
        return replace(sample, sources=tuple(sources))


def pose_network(name: str, width: float = 1.0) -> nn.Module:
    """Return a new pose network. Raises `InputError` with the nearest name for one that nothing has."""
    if name not in POSES:
        raise unknown_name("pose network", name, POSES)
    return POSES[name](width)


def translation_unit(sample: Sample) -> Float[Tensor, " b"]:
    """Return the unit of predicted translations: 1, or ten times the distance of the first source of known pose."""
    known = next((source for source in sample.sources if source.from_target is not None), None)
    return sample.depth.new_ones(len(sample)) if known is None else distance(known) / FIRST


def distance(source: View) -> Float[Tensor, " b"]:
    """Return how far from the target's camera a source of known pose stands."""
    assert source.from_target is not None
    return source.from_target[:, :3, 3].norm(dim=1)
