"""Depth Anywhere: a panorama network learns from a perspective one (Wang and Liu, NeurIPS 2024).

Two streams go through the student in one batch: panoramas with true depth, and panoramas without, whose six cube faces
a frozen perspective network labels. The cube is turned at random in every step, so that its borders lie elsewhere each
time and the student cannot learn them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cyclopean.errors import InputError
from cyclopean.geometry import (
    CUBE,
    Equirectangular,
    Faces,
    Pinhole,
    euler,
    face_camera,
    tangents,
    uv_on_sphere,
)
from cyclopean.losses import Scalar, affine_invariant_error, berhu_of_batch, min_max, weighted_mean
from cyclopean.methods.base import Losses, Method, Prediction, full_precision
from cyclopean.networks import build_student
from cyclopean.sample import Map, Mask, Sample, View, view
from cyclopean.synthesis import pull

ANGLE = CUBE.field_of_view
TANGENT = 18, 80.0  # images and degrees of view, of tangent planes
FAR = 10.0  # metres: larger true depths are ignored
NEAREST, FARTHEST = 0.1, 100.0  # metres, between which metric depth that comes from disparity is kept
PREDICTS = ("disparity", "depth", "metric-disparity")


@dataclass(frozen=True)
class FaceLabels:
    """Labels of a teacher for each panorama: `rotations` into the frames of its n faces, and on each its inverse depth
    along the face's axis, from 0 to 1 where `valid` (min-max inside the mask), up to a scale and a shift of its own."""

    rotations: Float[Tensor, "b n 3 3"]
    inverse_depth: Float[Tensor, "b n side side"]
    valid: Bool[Tensor, "b n side side"]
    field_of_view: float = ANGLE


@runtime_checkable  # so that annotations can be checked while tests run
class Teacher(Protocol):
    """A source of labels: a network that looks at faces, or files that it wrote before."""

    def __call__(self, panoramas: View, names: Sequence[str]) -> FaceLabels:
        """Return labels of a batch of panoramas, of these names; random draws are those of `torch.rand`."""
        ...


class DepthAnywhere(Method):
    """A student for panoramas: disparity up to scale and shift, or metric depth.

    `network` is a name of `networks.STUDENTS`; `width` multiplies its channels. `predicts`: "disparity" learns from
    1/depth by the affine-invariant L1 (the paper's lower tables), "depth" from metres by BerHu (its upper tables), and
    "metric-disparity" is the first fine-tuned to the second: the network's output is put in 1/m by a scale and a shift
    that are learned too. `gt_weight` and `pseudo_weight` multiply the losses of the two streams (the trap: the
    release reads them under other names, so that both stay 0.5). `far`: larger true depths are ignored.

    Items whose depth is all NaN are the unlabelled ones: for them it needs a `teacher`, which is not part of the model.
    """

    name: ClassVar[str] = "depth_anywhere"
    projection: ClassVar[Literal["pinhole", "equirectangular"]] = "equirectangular"
    ambiguity = "affine"

    def __init__(
        self,
        network: str = "mobile",
        *,
        width: float = 1.0,
        predicts: str = "disparity",
        gt_weight: float = 0.5,
        pseudo_weight: float = 0.5,
        far: float = FAR,
    ) -> None:
        super().__init__(
            network=network, width=width, predicts=predicts, gt_weight=gt_weight, pseudo_weight=pseudo_weight, far=far
        )
        if predicts not in PREDICTS:
            raise InputError(f"depth_anywhere cannot predict {predicts!r}; it takes {', '.join(PREDICTS)}.")
        if not (min(gt_weight, pseudo_weight) >= 0 and 0 < gt_weight + pseudo_weight < math.inf and 0 < far < math.inf):
            raise InputError(
                f"weights of losses are {gt_weight} and {pseudo_weight}, far is {far}; weights need at least 0, one of "
                "them more, and far needs metres above 0."
            )
        self.network = build_student(network, width)
        self.input_multiple: int = self.network.multiple  # type: ignore[assignment]
        self.predicts, self.gt_weight, self.pseudo_weight, self.far = predicts, gt_weight, pseudo_weight, far
        if predicts == "metric-disparity":
            self.scale, self.shift = nn.Parameter(torch.ones(())), nn.Parameter(torch.zeros(()))
        self.teacher: Teacher | None = None

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:  # noqa: ARG002
        return Prediction(self.inverse_depth(self.network(target.seen).float()))

    def losses(self, sample: Sample) -> Losses:
        output = self.network(sample.target.seen).float()  # both streams in one batch
        with full_precision(output):
            labelled = ~sample.depth.isnan().flatten(1).all(1)
            losses = {}
            if bool(labelled.any()):
                valid = sample.target.valid[labelled]
                losses["labelled"] = self.gt_weight * self.supervised_loss(
                    output[labelled], sample.depth[labelled], valid
                )
            if not bool(labelled.all()):
                # The teacher sees what losses compare with.
                image = sample.target.image[~labelled]
                panoramas = replace(view(image, Equirectangular()), valid=sample.target.valid[~labelled])
                names = [name for name, known in zip(sample.name, labelled.tolist(), strict=False) if not known]
                pseudo = self.pseudo_loss(self.inverse_depth(output)[~labelled], panoramas, names)
                losses["pseudo"] = self.pseudo_weight * pseudo
        return losses

    def supervised_loss(self, output: Map, depth: Map, valid: Mask) -> Scalar:
        """Return the loss of labelled panoramas: the affine-invariant L1 of disparity, or BerHu of depth in metres."""
        counted = (valid & (depth > 0) & (depth <= self.far)).to(output.dtype)
        known = torch.where(counted > 0, depth, torch.ones_like(depth))
        if self.predicts == "disparity":
            return affine_invariant_error(self.inverse_depth(output), min_max(1 / known, counted), counted)
        metres = output if self.predicts == "depth" else 1 / self.inverse_depth(output)
        error = torch.where(counted > 0, metres - known, torch.zeros_like(known))
        return weighted_mean(berhu_of_batch(error), counted)

    def pseudo_loss(self, disparity: Map, panoramas: View, names: Sequence[str]) -> Scalar:
        """Return the loss of unlabelled panoramas: the affine-invariant L1 on each face by itself, since the teacher's
        faces agree in no scale and no shift."""
        if self.teacher is None:
            raise InputError(
                "panoramas without true depth need a teacher, which labels them; give one (cyclopean train distil)."
            )
        labels = self.teacher(panoramas, names)
        side, angle = labels.inverse_depth.shape[-1], labels.field_of_view
        mine = on_faces(disparity, labels.rotations, side, angle) / Faces(field_of_view=angle).cosine(side, disparity)
        theirs = labels.inverse_depth.flatten(0, 1)[:, None]
        valid = on_faces(panoramas.valid.to(mine.dtype), labels.rotations, side, angle) > 1 - 1e-3
        # The trap: `theirs > 0 & mask`, as in the release, is theirs > (0 & mask).
        counted = ((theirs > 0) & labels.valid.flatten(0, 1)[:, None] & valid).to(mine.dtype)
        return affine_invariant_error(mine, theirs, counted)

    def inverse_depth(self, output: Map) -> Map:
        """Return inverse distance from the network's output: in 1/m, or as disparity, which is never below 0.

        A disparity below 0 is shifted up with its whole picture, so that what is farthest is at infinity: on faces it
        is divided by a cosine, which has no meaning for numbers below 0 (the release shifts the whole batch).
        """
        if self.predicts == "disparity":
            least = output.detach().amin((1, 2, 3), keepdim=True)
            return output - least.clamp_max(0)
        if self.predicts == "depth":
            return 1 / output.clamp_min(NEAREST)
        return (self.scale * output + self.shift).clamp(1 / FARTHEST, 1 / NEAREST)

    def metric(self, far: float) -> "DepthAnywhere":
        """Return a method with this one's network that predicts metric depth; of disparity, `fit_metres` makes it."""
        predicts = "depth" if self.predicts == "depth" else "metric-disparity"
        network, width = str(self.arguments["network"]), float(str(self.arguments.get("width", 1.0)))
        method = DepthAnywhere(network, width=width, predicts=predicts, far=far)
        new = {name: value for name, value in method.state_dict().items() if name in ("scale", "shift")}
        method.load_state_dict(new | self.state_dict())  # strict: no other name may be missing
        return method

    @torch.no_grad()
    def fit_metres(self, samples: Sequence[Sample]) -> None:
        """Set scale and shift to the least squares of all items' true inverse depth; nothing where depth is metric."""
        if self.predicts != "metric-disparity":
            return
        outputs, goals = [], []
        training = self.training
        self.eval()
        for sample in samples:
            counted = sample.target.valid & (sample.depth > 0) & (sample.depth <= self.far)
            outputs.append(self.network(sample.target.seen).float()[counted])
            goals.append(1 / sample.depth[counted])
        self.train(training)
        x, y = torch.cat(outputs).double(), torch.cat(goals).double()
        slope = ((x - x.mean()) * (y - y.mean())).mean() / (x - x.mean()).square().mean()
        self.scale.fill_(float(slope))
        self.shift.fill_(float(y.mean() - slope * x.mean()))


class OnlineTeacher(nn.Module):
    """A teacher that looks at faces of `side` pixels, turned by up to `degrees` about each axis, anew each time.

    `infer` (such as `Frozen`) returns the inverse depth of a batch of perspective views at their size; `planes` is a
    name of `PLANES`. One rotation for the whole batch, as in the paper; it is that of the faces, so that pictures are
    sampled once.
    """

    def __init__(self, infer: nn.Module, side: int = 256, degrees: float = 45.0, planes: str = "cube") -> None:
        super().__init__()
        self.infer, self.side, self.degrees, self.planes = infer, side, degrees, planes

    def forward(self, panoramas: View, names: Sequence[str]) -> FaceLabels:  # noqa: ARG002
        faces, field_of_view = turned_faces(self.planes, self.degrees, panoramas.image)
        faces = faces.expand(len(panoramas.image), -1, -1, -1)
        return label_faces(self.infer, panoramas, faces, self.side, field_of_view)


PLANES: dict[str, Callable[[], Faces]] = {"cube": lambda: CUBE, "tangent": lambda: tangents(*TANGENT)}


def turned_faces(
    planes: str, degrees: float, like: Tensor, generator: torch.Generator | None = None
) -> tuple[Float[Tensor, "n 3 3"], float]:
    """Return the faces of a panorama turned by R_x R_y R_z, each angle evenly within `degrees`, and their view."""
    faces = PLANES[planes]()
    angles = math.radians(degrees) * (2 * torch.rand(1, 3, generator=generator) - 1)
    return faces.face_from_sphere(like) @ euler(angles.to(like)), faces.field_of_view


@torch.no_grad()
def label_faces(
    infer: Callable[[View], Map],
    panoramas: View,
    rotations: Float[Tensor, "b n 3 3"],
    side: int,
    field_of_view: float = ANGLE,
) -> FaceLabels:
    """Return the labels of a perspective network for faces of panoramas; a pixel is valid if all four around it are."""
    b, n = rotations.shape[:2]
    pictures = on_faces(panoramas.image, rotations, side, field_of_view).clamp(0, 1)
    camera = face_camera(field_of_view, pictures)
    views = view(pictures, Pinhole(camera.focal.expand(b * n, 2), camera.center.expand(b * n, 2)))
    inverse = infer(views).float()
    valid = on_faces(panoramas.valid.to(inverse.dtype), rotations, side, field_of_view) > 1 - 1e-3
    labels = min_max(inverse, valid.to(inverse.dtype))
    return FaceLabels(rotations, labels.view(b, n, side, side), valid.view(b, n, side, side), field_of_view)


def on_faces(
    values: Float[Tensor, "b c h w"], rotations: Float[Tensor, "b n 3 3"], side: int, field_of_view: float = ANGLE
) -> Float[Tensor, "faces c side side"]:
    """Return panoramas sampled bilinearly on their faces: those of the first one, then those of the second ..."""
    uv = uv_on_sphere(side, field_of_view, rotations.flatten(0, 1))
    return pull(values.repeat_interleave(rotations.shape[1], 0), uv, "sphere")
