"""Ten faces around a panorama: where they look, what aligns them, and that a known world comes back whole."""

import math
from dataclasses import replace

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.geometry import (
    FACES,
    Equirectangular,
    face_camera,
    face_from_sphere,
    pixel_grid,
    ten_from_sphere,
    uv_on_faces,
    uv_on_sphere,
)
from cyclopean.inference import cubemap
from cyclopean.inference.cubemap import CubeFaces, blend_gradients
from cyclopean.inference.panorama import resize_sphere, seam_score
from cyclopean.sample import View
from cyclopean.synthetic import rigs

UNEVEN = torch.tensor([1.0, 0.4, 2.5, 1.6, 0.7, 3.0, 0.5, 1.3, 2.0, 0.8])
SHIFTED = torch.tensor([0.02, -0.01, 0.03, 0.0, -0.02, 0.01, -0.01, 0.02, 0.0, 0.01])
CUBE = face_from_sphere(torch.zeros(1))


def test_faces_look_where_their_names_say() -> None:
    uv = uv_on_sphere(3, 90.0, CUBE)[:, 1, 1]
    expected = {"front": (0.5, 0.5), "right": (0.75, 0.5), "left": (0.25, 0.5), "back": (0.0, 0.5)}
    for name, (u, v) in expected.items():
        assert float(uv[FACES.index(name), 0]) % 1 == pytest.approx(u, abs=1e-6)
        assert float(uv[FACES.index(name), 1]) == pytest.approx(v)
    assert float(uv[FACES.index("up"), 1]) == pytest.approx(0, abs=1e-6)
    assert float(uv[FACES.index("down"), 1]) == pytest.approx(1, abs=1e-6)
    # the lower edge of "up" and the upper edge of "down" are in front
    sights = uv_on_sphere(4, 90.0, CUBE)
    assert torch.allclose(sights[FACES.index("up"), -1, 1:3, 0], torch.tensor(0.5), atol=0.1)
    assert torch.allclose(sights[FACES.index("down"), 0, 1:3, 0], torch.tensor(0.5), atol=0.1)


def test_four_faces_stand_between_the_upright_ones() -> None:
    uv = uv_on_sphere(3, 90.0, ten_from_sphere(torch.zeros(1)))
    assert torch.equal(uv[:6], uv_on_sphere(3, 90.0, CUBE))
    assert torch.allclose(uv[6:, 1, 1, 0] % 1, torch.tensor([0.625, 0.875, 0.125, 0.375]))
    assert torch.allclose(uv[6:, 1, 1, 1], torch.tensor(0.5), atol=1e-6)
    assert bool((uv[6:, 0, :, 1] < uv[6:, 2, :, 1]).all())  # upright, not turned over


def test_there_and_back_between_faces_and_sphere() -> None:
    camera = Equirectangular()
    rays = camera.rays(pixel_grid((8, 16), torch.zeros(1, dtype=torch.double)))
    turned = ten_from_sphere(rays)
    uv, seen, cosine = uv_on_faces(rays, 90.0, turned)
    assert int(seen[:6].sum(0).min()) >= 1
    for face in range(10):
        there = uv_on_sphere(1, 90.0, turned)  # centre only, as an independent check of the rotation
        axis = camera.rays(there[face][None])[0, 0, 0]
        assert torch.allclose(cosine[face], rays[0] @ axis, atol=1e-12)
        points = face_camera(90.0, rays).rays(uv[face][None])[0]
        length = torch.linalg.vector_norm(points, dim=-1)
        assert torch.allclose((1 / length)[seen[face]], cosine[face][seen[face]], atol=1e-12)


def room(seed: int = 4) -> tuple[Float[Tensor, "1 3 h w"], Float[Tensor, "1 1 h w"]]:
    """A rendered room whose "colours" are its inverse radius (made to lie in [0,1]), and that inverse radius."""
    inverse = 1 / rigs.sample("room", seed, (128, 256), "sphere").depth
    inverse = 0.9 * inverse / inverse.max()
    return inverse.expand(-1, 3, -1, -1), inverse


def truthful(scale: Tensor, shift: Tensor):
    """A "network" that reads the truth of its cubemap, along their axes, and scales and shifts each differently."""

    def see(target: View) -> Float[Tensor, "f 1 side side"]:
        side = target.image.shape[-1]
        length = torch.linalg.vector_norm(target.camera.rays(pixel_grid((side, side), target.image)), dim=-1)
        return scale.view(-1, 1, 1, 1) * target.seen[:, :1] * length[:, None] + shift.view(-1, 1, 1, 1)

    return see


@pytest.mark.parametrize("shift", [torch.zeros(10), SHIFTED])
def test_a_known_world_comes_back_up_to_one_scale(shift: Tensor) -> None:
    image, truth = room()
    merged = CubeFaces(truthful(UNEVEN, shift), 96)(image)
    found = resize_sphere(merged.inverse_depth, (128, 256))
    ratio = found / truth
    typical = ratio.median()
    off = (ratio / typical - 1).abs()
    assert float(merged.notes["disagreement_before"]) > 0.5
    assert float(merged.notes["disagreement_after"]) < 0.05 * float(merged.notes["disagreement_before"])
    assert float(off.quantile(0.9)) < (0.05 if bool(shift.any()) else 0.03)
    # scales multiply to one: the result has the geometric mean of the faces' scales
    assert math.log(float(typical)) == pytest.approx(float(UNEVEN.log().mean()), abs=0.1)
    assert seam_score(found) == pytest.approx(seam_score(truth), abs=0.3)


def test_faces_of_a_model_whose_shift_means_nothing_agree_too() -> None:
    """Large shifts of each face, which a prior for no shift would keep in part."""
    image, truth = room()
    errors = []
    for prior in (cubemap.PRIOR, cubemap.AFFINE_PRIOR):
        merged = CubeFaces(truthful(UNEVEN, 4 * SHIFTED), 96, prior=prior)(image)
        found = resize_sphere(merged.inverse_depth, (128, 256))
        ratio = found / truth
        errors.append(float((ratio / ratio.median() - 1).abs().mean()))
    assert errors[1] < 0.02
    assert errors[1] < 0.5 * errors[0]


def test_sky_in_some_faces_does_not_draw_the_rest_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two faces and the one between call the upper half of the room sky, and their neighbours do not; below all are
    right."""
    image, truth = room()
    see = truthful(torch.tensor([1.0, 1.0, 1.0, 1.0, 0.01, 1.0, 1.0, 1.0, 1.0, 1.0]), torch.zeros(10))

    def blind(target: View) -> Float[Tensor, "f 1 side side"]:
        found = see(target)
        found[[0, 1, 6], :, :32] = 0
        return found

    def off() -> float:
        found = resize_sphere(CubeFaces(blind, 64)(image).inverse_depth, (128, 256))
        assert bool((found > 0).all())
        ratio = (found / truth)[..., 90:, :]
        return float((ratio / ratio.median()).log().abs().quantile(0.9))

    assert off() < 0.3
    monkeypatch.setattr(cubemap, "FAR", 1e-4)  # nearly the plain logarithm
    assert off() > 0.6


def bent(target: View) -> Float[Tensor, "f 1 side side"]:
    """The truth of each face, bent smoothly up or down towards its corners, by turns: no scale and shift mends that."""
    side = target.image.shape[-1]
    uv = pixel_grid((side, side), target.image)
    bowl = (2 * uv - 1).square().sum(-1)
    turns = torch.tensor([1.0, -1.0] * 5).view(-1, 1, 1)
    return truthful(torch.ones(10), torch.zeros(10))(target) * (0.3 * turns * bowl)[:, None].exp()


def steepest(truth: Tensor) -> float:
    """The largest step between neighbours along the middle rows that the truth does not have, in log depth."""
    found = resize_sphere(CubeFaces(bent, 96)(truth.expand(-1, 3, -1, -1)).inverse_depth, (128, 256))
    off = (found / truth).log()[0, 0, 40:88]
    return float((off - off.roll(1, -1)).abs().amax(0).quantile(0.99))


def test_faces_that_bend_leave_no_steps_at_their_borders(monkeypatch: pytest.MonkeyPatch) -> None:
    """A smooth world, so that only faces make steps. Taking the nearest face alone shows each border; blending with
    feathered weights spreads it, slopes spread it further."""
    u, v = (torch.arange(n) / n for n in (256, 128))
    truth = (0.5 + 0.1 * (2 * math.pi * u).sin() + 0.2 * v[:, None])[None, None]
    merged = steepest(truth)
    monkeypatch.setattr(cubemap, "blend_gradients", lambda logs, weights, level: (torch.zeros(logs.shape[1:]),) * 2)
    blended = steepest(truth)
    sight = cubemap._face_grid

    def nearest(*given: object) -> object:
        seen = sight(*given)
        return replace(seen, weight=(seen.weight == seen.weight.amax(0)).to(seen.weight) + 1e-9)

    monkeypatch.setattr(cubemap, "_face_grid", nearest)
    cut = steepest(truth)
    assert merged < 0.8 * blended
    assert blended < 0.5 * cut


def test_faces_that_disagreed_come_out_as_if_they_had_agreed() -> None:
    image, _ = room()
    aligned = CubeFaces(truthful(UNEVEN, SHIFTED), 48)(image)
    even = CubeFaces(truthful(torch.ones(10), torch.zeros(10)), 48)(image)
    assert float(even.notes["disagreement_before"]) < 0.05
    both = (aligned.inverse_depth / aligned.inverse_depth.median(), even.inverse_depth / even.inverse_depth.median())
    assert float((both[0] / both[1] - 1).abs().quantile(0.9)) < 0.06


def test_slopes_remove_what_blending_leaves() -> None:
    """Two faces that differ by a constant: the blend has a step where they meet, slopes spread it."""
    h, w = 16, 64
    u = torch.arange(w) / w
    truth = torch.sin(2 * math.pi * u).expand(h, w)
    front = ((u > 0.2) & (u < 0.8)).double().expand(h, w)
    back = ((u < 0.3) | (u > 0.7)).double().expand(h, w)
    logs = torch.stack([truth + 0.5, truth])
    smooth, blend = blend_gradients(logs, torch.stack([front, back]), torch.ones(h))
    step = blend.diff(dim=-1).sub(truth.diff(dim=-1)).abs().max()
    assert float(step) > 0.2
    assert float(smooth.diff(dim=-1).sub(truth.diff(dim=-1)).abs().max()) < 0.15 * float(step)
    whole, _ = blend_gradients(torch.stack([truth, truth]), torch.stack([front, back]), torch.ones(h))
    assert torch.allclose(whole, truth.double(), atol=1e-4)


def test_no_lobe_of_each_face_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that bends every picture alike, as networks bend walls: with the faces of a cube alone the horizon goes
    up and down four times around; the faces between go down where those go up."""
    truth = torch.full((1, 1, 128, 256), 0.5)

    def bowl(target: View) -> Float[Tensor, "f 1 side side"]:
        side = target.image.shape[-1]
        outward = (2 * pixel_grid((side, side), target.image) - 1).square().sum(-1)
        flat = truthful(torch.ones(1), torch.zeros(1))(target)
        return flat * (-0.3 * outward)[:, None].exp()

    def uneven() -> tuple[float, float]:
        found = resize_sphere(CubeFaces(bowl, 96)(truth.expand(-1, 3, -1, -1)).inverse_depth, (128, 256))
        horizon = found[0, 0, 56:72].log().mean(0)
        bend = horizon.roll(4) + horizon.roll(-4) - 2 * horizon
        return float(horizon.std()), float(bend.abs().amax())

    ten = uneven()
    monkeypatch.setattr(cubemap, "ten_from_sphere", face_from_sphere)
    six = uneven()
    assert ten[0] < 0.1 * six[0]
    assert ten[1] < 0.1 * six[1]
