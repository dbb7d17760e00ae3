"""Depth Anywhere: its losses, a perfect teacher's loss of zero, and the release's traps, one by one."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from cyclopean.errors import InputError
from cyclopean.geometry import (
    CUBE,
    Equirectangular,
    Pinhole,
    euler,
    face_from_sphere,
    pixel_grid,
    rotate,
)
from cyclopean.geometry.cameras import rigid
from cyclopean.losses import affine_invariant, affine_invariant_error, berhu_beyond, min_max
from cyclopean.methods.base import Frozen
from cyclopean.methods.depth_anywhere import DepthAnywhere, FaceLabels, OnlineTeacher, label_faces, on_faces
from cyclopean.networks import STUDENTS
from cyclopean.sample import Sample, View, collate, view

F64, F32 = torch.float64, torch.float32
SPHERE = Equirectangular()


# --- the loss ---------------------------------------------------------------------------------------------------------


def normalised(values, mask):
    """One item in loops: the lower middle value, the mean distance from it."""
    known = sorted(float(v) for v, m in zip(values.flatten(), mask.flatten(), strict=True) if m)
    if not known:
        return torch.zeros_like(values)
    t = known[(len(known) - 1) // 2]
    s = sum(abs(v - t) for v in known) / len(known)
    return (values - t) / s if s else torch.zeros_like(values)


def test_affine_invariant_is_the_released_one(golden):
    """Goldens `da_affine_invariant` (the third item has no pixels) and `da_affine_loss`; loops say the same."""
    arrays = golden("da_affine_invariant")
    depth, mask = arrays["depth"][:, None], torch.from_numpy(arrays["mask"])[:, None]
    ours = affine_invariant(depth, mask.double())
    for k in range(3):
        torch.testing.assert_close(ours[k][mask[k]], arrays["normalised"][k][mask[k][0]], rtol=0, atol=1e-5)
        torch.testing.assert_close(ours[k][mask[k]], normalised(depth[k], mask[k])[mask[k]], rtol=0, atol=1e-9)
    assert bool((ours[~mask] == 0).all())
    arrays = golden("da_affine_loss")
    pred, gt, mask = arrays["pred"], arrays["gt"], torch.from_numpy(arrays["mask"])
    loss = affine_invariant_error(pred, gt, mask.double())
    assert loss.item() == pytest.approx(arrays["loss"].item(), rel=1e-5)
    a, b = torch.tensor([0.2, 7.0], dtype=F64).view(2, 1, 1, 1), torch.tensor([3.0, -1.0], dtype=F64).view(2, 1, 1, 1)
    assert affine_invariant_error(a * pred + b, gt, mask.double()).item() == pytest.approx(loss.item(), rel=1e-9)
    both = torch.cat([pred[:1], 5 * pred[1:]])  # per item: one scale for the whole batch would differ
    assert affine_invariant_error(both, gt, mask.double()).item() == pytest.approx(loss.item(), rel=1e-9)


def test_what_does_not_count_has_no_gradient():
    """No pixel, one pixel, one value, and NaN under the mask: zeros, and never NaN."""
    values = torch.rand(5, 1, 4, 4, dtype=F64, requires_grad=True)
    mask = torch.zeros(5, 1, 4, 4, dtype=F64)
    mask[1, 0, 0, 0] = 1
    mask[2:] = 1
    mask[4, 0, 2] = 0
    poisoned = values.clone()
    poisoned[2] = 0.3 + 0 * poisoned[2]  # one value everywhere
    poisoned[4, 0, 2] = torch.nan
    loss = affine_invariant_error(poisoned, torch.rand(5, 1, 4, 4, dtype=F64), mask)
    loss.backward()
    assert loss.isfinite()
    assert values.grad.isfinite().all()
    assert bool((values.grad[:3] == 0).all())
    assert bool((values.grad[4, 0, 2] == 0).all())
    assert bool((values.grad[3] != 0).any())
    assert affine_invariant_error(values[:1], values[:1], mask[:1]) == 0
    stretched = min_max(values.detach(), mask)
    for k in range(5):
        inside = values[k].detach()[mask[k] > 0]
        expected = (inside - inside.min()) / (inside.max() - inside.min()) if len(inside) > 1 else inside * 0
        torch.testing.assert_close(stretched[k][mask[k] > 0], expected)
    assert bool((stretched[mask == 0] == 0).all())


# --- a teacher that is never wrong ------------------------------------------------------------------------------------

BOX = torch.tensor([[0.5, 0, 0], [0, 1 / 1.5, 0], [0, 0, 1 / 3], [-0.4, 0, 0], [0, -1.0, 0], [0, 0, -0.25]])
BOX = BOX @ euler(torch.tensor([[0.2, 0.1, -0.15]]))[0]  # no face looks straight at a plane, whose map would be flat
WALL = torch.tensor([[0.0, 0.3, 1 / 2.5]])


def nearness(planes, d):
    """Inverse distance along unit directions of a scene of planes n·X = 1; 0 where there is none."""
    return (d @ planes.to(d).T).amax(-1).clamp_min(0)


class Says(nn.Module):
    """A network that predicts one map, whatever it sees."""

    multiple = 1

    def __init__(self, values):
        super().__init__()
        self.values = nn.Parameter(values)

    def forward(self, image):
        return self.values.expand(len(image), -1, -1, -1)


class Perfect:
    """True inverse depth of the faces' pixels, with a scale and a shift of its own for each face."""

    def __init__(self, planes, side, rotation, stated=None):
        self.planes, self.side, self.rotation = planes, side, rotation
        self.stated = rotation if stated is None else stated

    def __call__(self, panoramas: View, names) -> FaceLabels:
        faces = face_from_sphere(self.rotation) @ self.rotation
        camera = Pinhole(torch.full((6, 2), 0.5).to(faces), torch.full((6, 2), 0.5).to(faces))
        pose = rigid(faces.transpose(1, 2), torch.zeros_like(faces[:, 0]))
        rays = rotate(pose, camera.rays(pixel_grid((self.side, self.side), faces)))
        unit = rays / rays.norm(dim=-1, keepdim=True)
        z = nearness(self.planes, unit) / CUBE.cosine(self.side, unit)[:, 0]
        factor, shift = (torch.arange(1, 7).to(z) ** p for p in (1, 0.5))
        labels = z * factor[:, None, None] + shift[:, None, None]
        b = len(panoramas.image)
        stated = face_from_sphere(self.stated) @ self.stated
        return FaceLabels(stated.expand(b, 6, 3, 3), labels.expand(b, -1, -1, -1), (z > 0.02).expand(b, -1, -1, -1))


def unlabelled(size, b=1):
    image = torch.rand(b, 3, *size, dtype=F32)
    return Sample(view(image, SPHERE), (), torch.full((b, 1, *size), torch.nan, dtype=F32), name=tuple("abcdef"[:b]))


def student(values, **options):
    method = DepthAnywhere("mobile", **options)
    method.network = Says(values)
    return method


@pytest.mark.parametrize("planes", [BOX, WALL], ids=["room", "wall"])
def test_the_truth_costs_nothing(planes):
    """However the cube is turned; turned the other way, or without 1/cosine, it costs a lot."""
    size, side = (256, 512), 64
    truth = nearness(planes, SPHERE.rays(pixel_grid(size, torch.zeros((), dtype=F32))))[:, None]
    method = student(truth)
    for angles in ((0.0, 0.0, 0.0), (20.0, -35.0, 10.0), (44.0, 44.0, -44.0)):
        rotation = euler(torch.tensor([angles], dtype=F32).deg2rad())[0]
        method.teacher = Perfect(planes, side, rotation)
        right = float(method(unlabelled(size))["pseudo"].detach())
        assert right < 0.01, angles
        flat = student(torch.ones_like(truth))
        flat.teacher = method.teacher
        assert float(flat(unlabelled(size))["pseudo"].detach()) > 0.2
        if any(angles):
            method.teacher = Perfect(planes, side, rotation, rotation.T)
            assert float(method(unlabelled(size))["pseudo"].detach()) > 10 * right


def test_a_wall_on_a_face_is_a_plane():
    """Inverse depth along the axis is linear in the picture, inverse distance is not (the trap of the cosine)."""
    size, side = (256, 512), 32
    d = SPHERE.rays(pixel_grid(size, torch.zeros((), dtype=F32)))
    from cyclopean.methods.depth_anywhere import on_faces

    faces = face_from_sphere(d)[None]
    distance = on_faces(nearness(WALL, d)[:, None], faces, side)[:1]
    plane = (distance / CUBE.cosine(side, distance))[0, 0]
    assert plane.diff(dim=0).diff(dim=0).abs().max() < 1e-3
    assert distance[0, 0].diff(dim=0).diff(dim=0).abs().max() > 4e-4
    assert (plane - plane[:, :1]).abs().max() < 1e-3  # it leans only up and down


# --- traps ------------------------------------------------------------------------------------------------------------


class Bright(nn.Module):
    """A teacher whose inverse depth is the brightness; keeps what it was shown."""

    def forward(self, faces: View):
        self.shown = faces
        return faces.image.mean(1, keepdim=True)


def test_masks_count():
    """The trap `depth > 0 & mask`, which ignores the mask: nothing under the mask matters, and neither does what the
    teacher calls farthest."""
    size = (32, 64)
    torch.manual_seed(0)
    values = torch.rand(1, 1, *size, dtype=F32)
    sample = unlabelled(size)
    valid = torch.ones(1, 1, *size, dtype=torch.bool)
    valid[..., :14, :] = False
    losses = {}
    for name, mask in (("masked", valid), ("open", torch.ones_like(valid))):
        for sky in (0.0, 0.9):
            method = student(values)
            method.teacher = OnlineTeacher(Frozen(Bright()), 16, 0.0)
            image = torch.where(valid, sample.target.image, sky)
            # one pixel more is painted than masked, since faces look between pixels
            image[..., 12:14, :] = sample.target.image[..., 12:14, :]
            painted = replace(sample.target, image=image, seen=image, valid=mask)
            losses[name, sky] = float(method(replace(sample, target=painted))["pseudo"].detach())
    assert losses["masked", 0.0] == pytest.approx(losses["masked", 0.9], abs=1e-12)
    assert abs(losses["open", 0.0] - losses["open", 0.9]) > 1e-3
    faces = face_from_sphere(values)[None]
    valid, inverse = torch.rand(1, 6, 8, 8) > 0.3, torch.rand(1, 6, 8, 8)
    inverse[..., :2, :] = 0.0  # as far as it gets
    method = student(values)

    def loss(inverse, valid):
        method.teacher = lambda panoramas, names: FaceLabels(faces, inverse, valid)
        return float(method(sample)["pseudo"].detach())

    right = loss(inverse, valid)
    assert loss(torch.where(valid, inverse, 0.7), valid) == right
    assert loss(inverse, valid & (inverse > 0)) == right
    assert abs(loss(inverse, torch.ones_like(valid)) - right) > 1e-3
    # A mask of the panoramas themselves counts too, whatever files of labels say.
    half = torch.arange(64)[None, None, None, :].expand(1, 1, 32, 64) < 32
    sample = replace(sample, target=replace(sample.target, valid=half))
    hidden = ~(on_faces(half.to(F32), faces, inverse.shape[-1]) > 1 - 1e-3).view_as(valid)
    assert loss(torch.where(hidden, 0.7, inverse), valid) == loss(inverse, valid)


def test_masks_turn_with_the_pictures():
    """What a mask hides, no valid pixel of a face shows, however the cube is turned."""
    size = (64, 128)
    d = SPHERE.rays(pixel_grid(size, torch.zeros((), dtype=F32)))
    hidden = (d @ torch.tensor([0.3, -0.5, 0.8], dtype=F32) > 0.9)[:, None]
    image = torch.where(hidden, 1.0, 0.25).to(F32).expand(1, 3, -1, -1)
    target = replace(view(image, SPHERE), valid=~hidden)
    for k in range(4):
        torch.manual_seed(k)
        bright = Bright()
        labels = OnlineTeacher(bright, 24, 45.0)(target, ())
        picture = bright.shown.image.mean(1).view(1, 6, 24, 24)
        assert bool((picture[labels.valid] < 0.2501).all())
        assert 0 < (~labels.valid).double().mean() < 0.2


def test_weights_arrive():
    """The trap: in the release they are passed by position into other arguments, and stay 0.5."""
    size = (32, 64)
    torch.manual_seed(0)
    values = 1 + torch.rand(1, 1, *size, dtype=F32)
    with_truth = replace(unlabelled(size), depth=1 + torch.rand(1, 1, *size, dtype=F32))
    both = collate([with_truth, unlabelled(size)])
    terms = {}
    for gt, pseudo in ((0.5, 0.5), (0.25, 0.5), (0.5, 2.0)):
        method = student(values, gt_weight=gt, pseudo_weight=pseudo)
        method.teacher = OnlineTeacher(Frozen(Bright()), 16)
        torch.manual_seed(1)
        terms[gt, pseudo] = {k: float(v.detach()) for k, v in method(both).items()}
    usual = terms[0.5, 0.5]
    assert min(usual.values()) > 0.1
    assert terms[0.25, 0.5] == pytest.approx({"labelled": usual["labelled"] / 2, "pseudo": usual["pseudo"]})
    assert terms[0.5, 2.0] == pytest.approx({"labelled": usual["labelled"], "pseudo": 4 * usual["pseudo"]})
    assert set(method(with_truth)) == {"labelled"}
    method.teacher = None
    with pytest.raises(InputError, match="need a teacher"):
        method(both)
    for wrong in ({"gt_weight": -1.0}, {"gt_weight": 0.0, "pseudo_weight": 0.0}, {"far": 0.0}, {"predicts": "height"}):
        with pytest.raises(InputError):
            DepthAnywhere(**wrong)


def test_the_cube_turns_anew():
    """One rotation for a batch, another for each seed; within the degrees; faces by themselves, min-max inside."""
    target = unlabelled((32, 64), 2).target
    bright = Bright()
    seen = []
    for k in (0, 1, 0):
        torch.manual_seed(k)
        seen.append(OnlineTeacher(bright, 16, 30.0)(target, ()))
    assert torch.equal(seen[0].rotations, seen[2].rotations)
    assert torch.equal(seen[0].inverse_depth, seen[2].inverse_depth)
    assert not torch.allclose(seen[0].rotations, seen[1].rotations)
    assert torch.equal(seen[0].rotations[0], seen[0].rotations[1])
    assert torch.equal(OnlineTeacher(bright, 16, 0.0)(target, ()).rotations[0], face_from_sphere(target.image))
    tilts = []
    for k in range(50):
        torch.manual_seed(k)
        tilts.append(
            OnlineTeacher(bright, 8, 30.0)(target, ()).rotations[0, 0]
        )  # of the face in front: the rotation itself
    x = torch.stack([torch.atan2(-r[1, 2], r[2, 2]) for r in tilts]).rad2deg().abs()
    assert 20 < x.max() <= 30.001
    flat = seen[0].inverse_depth.flatten(2)
    assert torch.equal(flat.amin(-1), torch.zeros_like(flat[..., 0]))
    assert torch.equal(flat.amax(-1), torch.ones_like(flat[..., 0]))

    # a teacher whose faces agree in no scale and no shift teaches the same
    class Affine(Bright):
        def forward(self, faces):
            factors = torch.arange(1.0, 13.0, dtype=F32).view(12, 1, 1, 1)
            return factors * super().forward(faces) - 3 * factors

    torch.manual_seed(0)
    other = OnlineTeacher(Affine(), 16, 30.0)(target, ())
    torch.testing.assert_close(other.inverse_depth, seen[0].inverse_depth)


def test_disparity_below_zero_is_shifted_by_item():
    """The trap: 1/cosine means nothing for a negative disparity; the release shifts the whole batch by one number."""
    values = torch.linspace(-1, 1, 8, dtype=F32).view(1, 1, 2, 4)
    method = student(values)
    both = method.inverse_depth(torch.cat([values, values + 3]))
    assert both[0].min() == 0
    torch.testing.assert_close(both[1], values[0] + 3)
    torch.testing.assert_close(both[0], values[0] + 1)


def test_truth_as_disparity():
    """0 < d <= 10 m, then 1/d, then min-max: beyond, unknown and masked depth have no part in it."""
    torch.manual_seed(0)
    size = (8, 16)
    values = torch.rand(1, 1, *size, dtype=F32)
    depth = 0.5 + 9 * torch.rand(1, 1, *size, dtype=F32)
    valid = torch.ones(1, 1, *size, dtype=torch.bool)
    depth[0, 0, 0, :4] = torch.tensor([torch.inf, torch.nan, 11.0, 0.0])
    valid[0, 0, 1] = False
    sample = replace(unlabelled(size), depth=depth)
    sample = replace(sample, target=replace(sample.target, valid=valid))
    counted = valid & (depth > 0) & (depth <= 10)
    rho = torch.where(counted, 1 / depth, 0)
    expected = normalised(values[0], counted[0]) - normalised(rho[0], counted[0])
    loss = student(values)(sample)["labelled"]
    assert float(loss.detach()) == pytest.approx(0.5 * float(expected[counted[0]].abs().mean()))
    near = student(values, far=5.0)(sample)["labelled"]
    assert abs(float(near.detach()) - float(loss.detach())) > 1e-4


def test_berhu_is_unifuses(golden):
    """Golden `unifuse_berhu`, and metres: the largest error of the whole batch, by a fifth of it."""
    arrays = golden("unifuse_berhu")
    gt, pred = (arrays[k].float().view(1, 1, 4, 10) for k in ("gt", "pred"))
    sample = replace(unlabelled((4, 10)), depth=gt)
    method = student(pred, predicts="depth", far=1e9)
    assert method.ambiguity == "metric"
    assert float(method(sample)["labelled"].detach()) == pytest.approx(0.5 * arrays["loss"].item(), rel=1e-5)
    two = collate([sample, replace(sample, depth=gt + 5)])
    error = torch.cat([pred - gt, pred - gt - 5])
    expected = berhu_beyond(error, 0.2 * error.abs().amax().view(1, 1, 1, 1)).mean()
    assert float(method(two)["labelled"].detach()) == pytest.approx(0.5 * expected.item(), rel=1e-6)
    torch.testing.assert_close(method.predict(sample.target).inverse_depth, 1 / pred.clamp_min(0.1))


def test_fine_tuned_disparity_is_metric_and_all_of_it_learns():
    """The trap: optimisers that take parameters by the end of their names leave tables and scalars behind."""
    method = student(0.2 + torch.rand(1, 1, 8, 16, dtype=F32), predicts="metric-disparity")
    sample = replace(unlabelled((8, 16)), depth=1 + 4 * torch.rand(1, 1, 8, 16, dtype=F32))
    before = {k: v.clone() for k, v in method.named_parameters()}
    optimiser = torch.optim.Adam(method.parameters(), lr=0.1)
    sum(method(sample).values()).backward()
    optimiser.step()
    assert {"scale", "shift", "network.values"} == set(before)
    assert all(bool((v != before[k]).any()) for k, v in method.named_parameters())
    assert method.ambiguity == "metric"


def test_metres_are_fitted_to_the_disparity_of_a_network_that_is_kept():
    before = DepthAnywhere("mobile")
    method = before.metric(10.0)
    assert all(torch.equal(value, method.state_dict()[name]) for name, value in before.state_dict().items())
    assert (method.scale.item(), method.shift.item()) == (1.0, 0.0)
    method.scale.data.fill_(3.0)
    assert method.metric(10.0).scale.item() == 3.0
    before.network.extra = nn.Linear(1, 1)  # a name that the other one lacks
    with pytest.raises(RuntimeError, match=r"network\.extra\.weight"):
        before.metric(10.0)

    disparity = torch.rand(1, 1, 8, 16, dtype=F32)
    method = student(disparity, predicts="metric-disparity")
    sample = replace(unlabelled((8, 16)), depth=1 / (2 * disparity + 0.5))
    for training in (True, False):
        method.train(training).fit_metres([sample])
        assert method.training is method.network.training is training
        torch.testing.assert_close((method.scale.data, method.shift.data), (torch.tensor(2.0), torch.tensor(0.5)))


def test_a_teacher_is_no_part_of_the_student():
    """Frozen, moved along, and not saved; what it says has no gradient."""
    method = DepthAnywhere("mobile")
    own = set(method.state_dict())
    teacher = nn.Conv2d(3, 1, 1)

    class Sees(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = teacher

        def forward(self, faces):
            return self.conv(faces.image)

    method.teacher = OnlineTeacher(Frozen(Sees()), 32)
    assert set(method.state_dict()) == own
    assert not any(p is teacher.weight for p in method.parameters())
    sample = collate([replace(unlabelled((64, 128)), depth=torch.rand(1, 1, 64, 128, dtype=F32) + 1),
                      unlabelled((64, 128))])  # fmt: skip
    sum(method(sample).values()).backward()
    assert teacher.weight.grad is None
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())
    half = label_faces(Sees(), sample.target, face_from_sphere(sample.depth).expand(2, 6, 3, 3), 8)
    assert not half.inverse_depth.requires_grad
    assert math.isclose(float(half.inverse_depth.max()), 1.0)
    method.to("meta")
    assert teacher.weight.is_meta


@pytest.mark.slow
@pytest.mark.parametrize("network", STUDENTS)
def test_every_student_learns_from_both_streams(network):
    """Finite losses, and a gradient for every parameter, whatever its output's sign and range."""
    torch.manual_seed(0)
    method = DepthAnywhere(network)
    method.teacher = OnlineTeacher(Bright(), 16)
    size = (128, 256)
    both = collate([replace(unlabelled(size), depth=1 + torch.rand(1, 1, *size)), unlabelled(size)])
    losses = method(both)
    assert set(losses) == {"labelled", "pseudo"}
    sum(losses.values()).backward()
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    with torch.no_grad():
        assert method.eval().predict(both.target).inverse_depth.amin() >= 0
