"""Poses that were not measured, and cameras: a step Sample -> Sample that predicts them from whole frames."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.errors import InputError, unknown_name
from cyclopean.geometry import Pinhole, axis_angle, euler, invert, pixel_grid, rigid
from cyclopean.methods.base import full_precision
from cyclopean.networks.pose import ExplainabilityDecoder, PoseCnn, PoseNet, PoseNetDr, PoseResnet
from cyclopean.sample import Map, Sample, View
from cyclopean.synthesis import pull
from cyclopean.training.options import Intrinsics

Pose = Float[Tensor, "b 4 4"]
Motion = Float[Tensor, "b 6"]
Rule = Callable[[Motion], Pose]
PowerOfZoom = Literal[-1, 0, 1]
FOCAL, MIDDLE = 2.0, 0.1  # how far a predicted camera may be from the data's: by a factor, by a share of the picture
FIRST = 0.1  # how far away a source of known pose stands, in the unit of predicted translations (Monodepth2)


class PredictedPose(nn.Module):
    """The step that fills each `from_target` that is None, by a network of two frames (Monodepth2, sec. 3.1).

    Sources without a pose stand in the order of time: the first half of them, rounded down, was taken before the
    target, the rest after it. The network is always shown the earlier frame first, so that it learns one direction of
    time; its motion takes points of the first frame's camera to the second's, and is inverted for earlier sources.

    A translation is divided by `zoom` to the `power` 1: what is enlarged looks nearer by that factor (a network sees
    no resolution), and all lengths with it. 0 and -1 are the ablations of papers. Translations are in the unit of the
    depth; where the pose of another source is known, that source stands 0.1 away in it.

    `rule` makes a pose of six numbers. With `intrinsics` "learned" the camera is predicted too, from the same features
    (Gordon et al., ICCV 2019, sec. 3.3): both focal lengths as factors of those of the sample, from 1/2 to 2, the
    principal point as a shift by a tenth of the picture at most, all none at the beginning. One camera is that of the
    whole frames of an item, mean of what its pairs of frames tell. Rotations show it; a camera that only goes straight
    ahead does not tell how wide it looks.

    `explain` reads masks off the features of a `PoseCnn` (Zhou et al. 2017).
    """

    def __init__(
        self,
        network: nn.Module,
        power: PowerOfZoom = 1,
        rule: Rule | None = None,
        intrinsics: Intrinsics = "known",
        explain: ExplainabilityDecoder | None = None,
    ) -> None:
        super().__init__()
        self.explain = explain
        self.network, self.power, self.rule = network, power, rule or axis_angle_first
        self.lens: nn.Linear | None = None
        if intrinsics == "learned":
            self.lens = nn.Linear(network.channels, 4)  # type: ignore[arg-type]
            nn.init.zeros_(self.lens.weight)
            nn.init.zeros_(self.lens.bias)

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

        if self.lens is None:
            motions = self.network(first, second).float().unflatten(0, (len(unposed), -1))
        else:
            features = self.network.features(first, second)  # type: ignore[operator]
            motions = self.network.motion(features).float().unflatten(0, (len(unposed), -1))  # type: ignore[operator]
            lens = self.lens(features.mean((2, 3))).float().unflatten(0, (len(unposed), -1)).mean(0)
            bounded = lens.tanh()  # an unbounded camera can look past all pictures, where nothing is compared
            sample = with_lens(sample, FOCAL ** bounded[:, :2], MIDDLE * bounded[:, 2:])
        length = translation_unit(sample)
        if sample.zoom is not None:
            length = length / sample.zoom**self.power
        sources = list(sample.sources)
        with full_precision(sample.depth):
            for n, motion in zip(unposed, motions, strict=True):
                pose = self.rule(motion)
                pose = rigid(pose[:, :3, :3], pose[:, :3, 3] * length[:, None])
                sources[n] = replace(sources[n], from_target=invert(pose) if n in before else pose)
        return replace(sample, sources=tuple(sources))

    def explainability(self, sample: Sample, sizes: Sequence[tuple[int, int]]) -> list[tuple[Map, ...]]:
        """Return how far each pixel of the target is explained by each source, in [0, 1], at `sizes` (height, width).

        One mask for each source (Zhou et al. 2017, Eq. 3). Unlike the paper's, the network sees one source at a time,
        after the target. Masks are those of whole frames, of which the target's window is taken.
        """
        assert isinstance(self.network, PoseCnn)
        assert self.explain is not None
        if sample.frames is None:
            raise InputError("explainability cannot be predicted without frames; give the Sample `frames`.")
        target, *others = sample.frames.unbind(1)
        count = len(others)
        masks = self.explain(self.network.fifth(target.repeat(count, 1, 1, 1), torch.cat(others)))
        corner, extent = sample.target.window[:, None, None, :2], sample.target.window[:, None, None, 2:]
        parts = []
        for mask, size in zip(masks, sizes, strict=False):
            uv = corner + (extent - corner) * pixel_grid(size, sample.depth)
            parts.append(pull(mask.float(), uv.repeat(count, 1, 1, 1), "edge").chunk(count))
        return list(zip(*parts, strict=True))


def axis_angle_first(motion: Motion) -> Pose:
    """Return the pose of an axis-angle vector and a translation (Monodepth2)."""
    return rigid(axis_angle(motion[:, :3]), motion[:, 3:])


def euler_last(motion: Motion) -> Pose:
    """Return the pose of a translation and of Euler angles, whose rotation is R_x R_y R_z (AQUANet's draft)."""
    return rigid(euler(motion[:, 3:]), motion[:, :3])


def with_lens(sample: Sample, factor: Float[Tensor, "b 2"], shift: Float[Tensor, "b 2"]) -> Sample:
    """Return `sample` seen by another camera: focal lengths times `factor`, centres moved by `shift` of whole frames.

    Raises `InputError` for cameras that are no pinholes, and for samples with a source of known pose: a calibrated rig.
    """

    def moved(view: View) -> View:
        if not isinstance(view.camera, Pinhole):
            raise InputError("only the intrinsics of pinhole cameras are learned; leave --intrinsics out.")
        extent = view.window[:, 2:] - view.window[:, :2]
        return replace(view, camera=Pinhole(view.camera.focal * factor, view.camera.center + shift / extent))

    if any(source.from_target is not None for source in sample.sources):
        raise InputError(
            "intrinsics are learned from clips, and these data know where a camera stood; leave --intrinsics out."
        )
    return replace(sample, target=moved(sample.target), sources=tuple(map(moved, sample.sources)))


# name -> the network, and what its numbers mean
POSES: dict[str, tuple[Callable[[float], nn.Module], Rule]] = {
    "resnet": (PoseResnet, axis_angle_first),
    "cnn": (PoseCnn, axis_angle_first),
    "posenet": (PoseNet, euler_last),
    "posenet-dr": (PoseNetDr, euler_last),
}


def predicted_pose(
    name: str, width: float = 1.0, power: PowerOfZoom = 1, intrinsics: Intrinsics = "known", masks: int = 0
) -> PredictedPose:
    """Return the step with a new network, which predicts explainability at so many sizes (`masks`), if at any.

    Raises `InputError` with the nearest name for one that nothing has, and for masks of another network than "cnn".
    """
    if name not in POSES:
        raise unknown_name("pose network", name, POSES)
    if masks and name != "cnn":
        raise InputError(f"the mask explained is read off the pose network cnn, and {name} was given; give --pose cnn.")
    network, rule = POSES[name]
    explain = ExplainabilityDecoder(width, masks) if masks else None
    return PredictedPose(network(width), power, rule, intrinsics, explain)


def translation_unit(sample: Sample) -> Float[Tensor, " b"]:
    """Return the unit of predicted translations: 1, or ten times the distance of the first source of known pose."""
    known = next((source for source in sample.sources if source.from_target is not None), None)
    return sample.depth.new_ones(len(sample)) if known is None else distance(known) / FIRST


def distance(source: View) -> Float[Tensor, " b"]:
    """Return how far from the target's camera a source of known pose stands."""
    assert source.from_target is not None
    return source.from_target[:, :3, 3].norm(dim=1)
