"""Distillation teaches: streets that nobody labelled, by a teacher that is right face by face; masks matter, and
turning the cube hides its borders."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cyclopean import augmentation
from cyclopean.bench.distil import cube_step
from cyclopean.data.folder import FolderDataset
from cyclopean.evaluation.entries import Entry
from cyclopean.evaluation.evaluate import judge
from cyclopean.evaluation.protocols import named_protocol
from cyclopean.evaluation.trivial import latitude_mean, mean_inverse_depth
from cyclopean.geometry import CUBE
from cyclopean.losses import affine_invariant_error
from cyclopean.methods.depth_anywhere import DepthAnywhere, FaceLabels, on_faces, turned_faces
from cyclopean.sample import Sample, collate
from cyclopean.synthetic.folder import RenderJob, write
from cyclopean.training.dataset import target_only, without_truth

SIZE, SIDE, STEPS, BATCH, RATE = (32, 64), 16, 250, 4, 5e-3
PROTOCOL = replace(named_protocol("depth-anywhere-guarded")[0], far=80.0)


class Right(nn.Module):
    """True inverse depth of faces that are turned by up to `degrees` anew each time, each with a scale and a shift of
    its own; where `spoilt` (columns of the panorama from, to, shares of its width) it is upside down. Labels of faces
    `lean`: too near at their right by that share, too far at their left."""

    def __init__(
        self,
        data: list[Sample],
        spoilt: tuple[float, float] = (0.0, 0.0),
        degrees: float = 45.0,
        lean: float = 0.0,
    ):
        super().__init__()
        self.degrees = degrees
        self.lean = 1 + lean * torch.linspace(-1, 1, SIDE).expand(SIDE, SIDE)
        self.nearness = {s.name[0]: 1 / s.depth for s in data}
        u = (torch.arange(SIZE[1]) + 0.5) / SIZE[1]
        self.spoilt = ((u > spoilt[0]) & (u < spoilt[1])).expand(1, 1, *SIZE)

    def forward(self, panoramas, names) -> FaceLabels:
        right = torch.cat([self.nearness[name] for name in names])
        wrong = right.amax((1, 2, 3), keepdim=True) - right.flip(-2)
        rotations, _ = turned_faces("cube", self.degrees, right)
        rotations = rotations.expand(len(right), -1, -1, -1)
        z = on_faces(torch.where(self.spoilt, wrong, right), rotations, SIDE) / CUBE.cosine(SIDE, right)
        scale, shift = (0.5 + torch.rand(2, len(z), 1, 1, 1)).unbind()
        labels = (scale * z * self.lean + shift).view(len(right), 6, SIDE, SIDE)
        return FaceLabels(rotations, labels, torch.ones_like(labels, dtype=torch.bool))


class Tiny(nn.Module):
    """A student of some thousand weights: colours and latitude, their neighbourhood, and the whole picture's mean. With
    `placed` it knows the longitude too, as networks with positions or large padding do."""

    multiple = 1

    def __init__(self, placed: bool = False):
        super().__init__()
        first = 11 if placed else 5
        self.placed = placed
        self.layers = nn.ModuleList(
            nn.Conv2d(c, 24, 3, padding=d, dilation=d) for c, d in ((first, 1), (24, 2), (24, 4))
        )
        self.whole, self.last = nn.Linear(24, 24), nn.Conv2d(24, 1, 1)

    def forward(self, image):
        up = torch.linspace(1, -1, image.shape[-2])[:, None].expand(len(image), 1, *image.shape[-2:])
        x = torch.cat([2 * image - 1, up, up.abs()], 1)
        if self.placed:
            u = ((torch.arange(image.shape[-1]) + 0.5) * (2 * torch.pi / image.shape[-1])).expand_as(up)
            x = torch.cat([x, *(wave(k * u) for k in (1, 4, 8) for wave in (torch.sin, torch.cos))], 1)
        for layer in self.layers:
            x = torch.relu(layer(x))
            x = x + self.whole(x.mean((2, 3)))[..., None, None]
        return F.softplus(self.last(x))


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """A few rooms with depth, many streets and landscapes, and others of these that nothing is learned from."""
    sets = {}
    for name, families, seed, count in (
        ("rooms", ("room",), 0, 6),
        ("outside", ("street", "landscape"), 100, 24),
        ("unseen", ("street", "landscape"), 900, 8),
    ):
        folder = tmp_path_factory.mktemp(name)
        for _ in write(RenderJob(families, "sphere", seed, count, SIZE), folder):
            pass
        data = FolderDataset(folder)
        sets[name] = [target_only(data[k]) for k in range(len(data))]
        sets[f"mean of {name}"] = latitude_mean(mean_inverse_depth(data))
    return sets


def errors(predict, data: list[Sample]) -> tuple[float, float]:
    """The affine-invariant error of inverse depth over the whole picture, the sky (0) too; and 1 - δ1 to 80 m."""
    apart, worse = [], []
    for sample in data:
        rho = F.interpolate(predict(sample).float(), SIZE, mode="bilinear")
        apart.append(float(affine_invariant_error(rho, 1 / sample.depth, torch.ones_like(rho))))
        judged = judge(Entry("x", "affine", lambda _, rho=rho: rho), sample, 80.0, PROTOCOL)
        worse.append(1 - next(m.figures["delta1"] for m in judged if m.alignment == "affine-median"))
    return sum(apart) / len(apart), sum(worse) / len(worse)


def taught(worlds, outside: list[Sample], teacher: nn.Module | None, seed: int, placed: bool = False) -> DepthAnywhere:
    torch.manual_seed(seed)
    method = DepthAnywhere("coordnet", width=0.1)
    method.network = Tiny(placed)
    method.teacher = teacher
    optimiser = torch.optim.Adam(method.parameters(), RATE)
    generator = torch.Generator().manual_seed(seed)
    for step in range(STEPS):
        chosen = [worlds["rooms"][k] for k in torch.randint(len(worlds["rooms"]), (BATCH,), generator=generator)]
        chosen = [augmentation.rolled(augmentation.mirrored(s, generator), generator) for s in chosen]
        if teacher is not None:
            chosen += [without_truth(outside[k]) for k in torch.randint(len(outside), (BATCH,), generator=generator)]
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 10, (STEPS - step) / 40)
        optimiser.zero_grad()
        sum(method.train()(collate(chosen)).values()).backward()
        nn.utils.clip_grad_norm_(method.parameters(), 1.0)
        optimiser.step()
    return method.eval()


def reached(worlds, second: list[Sample], teacher: nn.Module | None, seed: int = 0) -> tuple[float, float]:
    method = taught(worlds, second, teacher, seed)
    with torch.no_grad():
        return errors(lambda s: method.predict(s.target).inverse_depth, worlds["unseen"])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_a_teacher_of_the_unlabelled_teaches(worlds, seed):
    """On streets and landscapes that nobody saw: the whole picture better than by labelled rooms alone, and than what
    rooms are like at each latitude. What is near, rooms tell as well: there only the guess is beaten for certain."""
    guess = errors(worlds["mean of rooms"].predict, worlds["unseen"])
    alone = reached(worlds, worlds["outside"], None, seed)
    both = reached(worlds, worlds["outside"], Right(worlds["outside"]), seed)
    found = {"guess": guess, "alone": alone, "both": both}
    assert both[0] < 0.6 * min(alone[0], guess[0]), found
    assert both[1] < 0.8 * guess[1], found


@pytest.mark.slow
def test_masks_keep_what_wrong_labels_would_spoil(worlds):
    """Half of the labels are wrong: under a mask they do no harm, and without it much is lost."""
    outside = worlds["outside"]
    spoilt = Right(outside, (0.25, 0.75))
    hidden = [replace(s, target=replace(s.target, valid=~spoilt.spoilt)) for s in outside]
    guess = errors(worlds["mean of rooms"].predict, worlds["unseen"])
    alone = reached(worlds, outside, None)
    masked, open_ = reached(worlds, hidden, spoilt), reached(worlds, outside, spoilt)
    found = {"guess": guess, "alone": alone, "masked": masked, "open": open_}
    assert masked[0] < 0.6 * min(alone[0], guess[0]), found
    assert masked[0] < 0.85 * open_[0], found
    assert masked[1] < 0.75 * open_[1], found


@pytest.mark.slow
def test_turning_the_cube_hides_its_borders(worlds):
    """Of a teacher whose faces lean, as networks do that see the middle of a picture best: on a cube that stands still
    the student learns its borders; turned anew in every step they are nowhere. (The loss takes any scale and shift of a
    face, so faces that disagree in these alone teach no border, turned or not.)"""
    steps = {}
    for degrees in (0.0, 45.0):
        teacher = Right(worlds["outside"], degrees=degrees, lean=0.6)
        method = taught(worlds, worlds["outside"], teacher, 0, placed=True)
        with torch.no_grad():
            found = [cube_step(method.predict(s.target).inverse_depth, s)["cube_step"] for s in worlds["unseen"]]
        steps[degrees] = sum(found) / len(found)
    assert steps[45.0] < 0.85 * steps[0.0], steps
