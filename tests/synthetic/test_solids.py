"""Tapered shapes and cut-outs: where rays meet them, which way they face, what can be seen through them."""

import numpy as np
import pytest
import torch

from cyclopean.geometry import Pinhole, pixel_grid
from cyclopean.synthetic import render
from cyclopean.synthetic.batch import batch_scenes
from cyclopean.synthetic.cutouts import CUTOUTS
from cyclopean.synthetic.scene import CUTS, Atmosphere, Builder, Light, Material, turn
from cyclopean.synthetic.shading import points

SIZE = (40, 60)
CAMERA = Pinhole(torch.tensor([[0.8, 1.2]]), torch.tensor([[0.5, 0.5]]))
HERE = torch.eye(4)[None]
AIR = Atmosphere(ambient=1.0, haze=0.0)


def excess(shape, p, taper, stretch):
    """Return a function of unit coordinates that is below 0 inside and above 0 outside."""
    x, y, z = p
    across = np.hypot(x, z)
    low = 1 - (y + 1) / 2  # 0 below, 1 above
    if shape == "wedge":
        wide, deep = (1 - low * (1 - t) for t in taper)
        return np.maximum(np.maximum(abs(x) - wide, abs(z) - deep), abs(y) - 1)
    if shape == "frustum":
        return np.maximum(across - (1 - low * (1 - taper[0])), abs(y) - 1)
    centres = np.linspace(stretch - 1, taper[0] - stretch, 200)  # balls side by side, of y stretched
    radii = np.linspace(1, taper[0], 200)
    return (np.hypot(across[..., None], stretch * y[..., None] - centres) - radii).min(-1)


@pytest.mark.parametrize("shape", ["capsule", "wedge", "frustum"])
@pytest.mark.parametrize(
    ("taper", "rotation"),
    [((0.4, 0.7), turn(0.4, 0.3, 0.8)), ((1.0, 0.2), turn(0.2, 1.4)), ((0.1, 1.0), turn(1, -1.4))],
)
def test_rays_meet_a_tapered_shape_where_they_enter_it(shape, taper, rotation):
    """Against steps along each ray; from the side, from above and from below."""
    half, center = np.array([0.7, 1.3, 0.5]), np.array([0.2, -0.1, 4.0])
    b = Builder()
    b.add(shape, tuple(center.tolist()), tuple(half.tolist()), Material(), rotation, taper=taper)
    scene = b.scene((), AIR, "street", 0)
    depth = render.render(scene, CAMERA, HERE, SIZE).depth[0, 0].numpy()
    rays = CAMERA.rays(pixel_grid(SIZE, HERE))[0].double().numpy()

    def outside(t):
        unit = ((rays * t[..., None] - center) @ rotation / half).transpose(2, 0, 1)
        return excess(shape, unit, taper, half[1] / half[0])

    first = np.full(SIZE, np.inf)
    for t in np.linspace(6, 2, 120):
        first[outside(np.full(SIZE, t)) < 0] = t
    met = np.isfinite(depth)
    assert met.sum() > 100
    assert (met == np.isfinite(first)).mean() > 0.99  # a step may miss an edge
    both = met & np.isfinite(first)
    assert (depth[both] <= first[both] + 1e-4).all()
    assert np.quantile(first[both] - depth[both], 0.99) < 0.06
    assert abs(outside(np.where(met, depth, 4)))[met].max() < 0.01


@pytest.mark.parametrize("shape", ["capsule", "wedge", "frustum"])
def test_normals_of_tapered_shapes_are_those_of_the_surface(shape):
    """They are at a right angle to the differences between neighbouring points."""
    b, rotation = Builder(), turn(0.5, 0.6, 0.4)
    b.add(shape, (0, 0, 4), (0.7, 1.3, 0.7), Material(), rotation, taper=(0.5, 0.3))
    scene = batch_scenes([b.scene((), AIR, "street", 0)])
    fine = (160, 240)
    depth = render.render_batch(scene, CAMERA, HERE[None], fine).depth[0, 0]
    rays = CAMERA.rays(pixel_grid(fine, depth))[0]
    ray, t = rays.flatten(0, 1).T, depth.flatten().nan_to_num(posinf=1.0)
    zero = torch.zeros(t.shape, dtype=torch.int64)
    normal = points(scene, torch.zeros(1, 3), ray, t, zero, view=zero).normal.unflatten(1, fine)
    at = (rays * depth[..., None]).permute(2, 0, 1)
    for axis in (1, 2):
        n = fine[axis - 1]
        step = at.narrow(axis, 2, n - 2) - at.narrow(axis, 0, n - 2)
        cosine = (step * normal.narrow(axis, 1, n - 2)).sum(0) / step.norm(dim=0)
        cosine = cosine[cosine.isfinite()]
        assert cosine.abs().quantile(0.85) < 0.02  # the rest are edges
    seen = depth.isfinite()
    assert ((normal * rays.permute(2, 0, 1)).sum(0)[seen] < 1e-3).float().mean() > 0.999


def test_each_cut_leaves_some_and_takes_some_and_depth_is_the_sheets():
    assert set(CUTS) == set(CUTOUTS)
    wall = ("box", (0, 0, 9), (9, 9, 1), Material())
    for cut, holes, scale in (
        *(("leaf", 0.5, 1), ("petals", 0.6, 1), ("strands", 0.7, 9), ("noise", 0.5, 5)),
        *(("bars", 0.6, 5), ("net", 0.7, 5), ("spokes", 0.8, 1), ("frond", 0.5, 9), ("tuft", 0.5, 9)),
    ):
        b = Builder()
        b.add(*wall)
        round_ = cut in ("petals", "spokes")
        look = Material(scale=scale, holes=holes, cut=cut, seed=5)
        half, rotation = ((1, 0.01, 1), turn(0, np.pi / 2)) if round_ else ((1, 1, 0.01), None)
        b.add("cylinder" if round_ else "box", (0, 0, 4), half, look, rotation)
        depth = render.render(b.scene((), AIR, "street", 0), CAMERA, HERE, SIZE).depth[0, 0]
        square = depth[14:26, 24:36].flatten()  # inside the sheet's outline
        sheet = (square - 4).abs() < 0.02
        assert (sheet | (square == 8)).all()
        assert sheet.float().mean() > 0.05, cut
        if cut != "leaf":
            assert sheet.float().mean() < 0.98, cut


def test_leaves_cast_a_shadow_and_nets_do_not():
    lit = []
    for cut in ("leaf", "net"):
        b = Builder()
        b.add("plane", (0, 0, 0), (1, 1, 1), Material())
        b.add("box", (0, -3, 8), (2, 0.01, 2), Material(holes=0.5, cut=cut, scale=3))
        scene = b.scene((Light((0, -1, 0), (3, 3, 3)),), Atmosphere(ambient=0.1, haze=0), "street", 0)
        eye = HERE.clone()
        eye[0, 1, 3] = -2
        light = render.render(scene, CAMERA, eye, SIZE).light[0].mean(0)
        lit.append(float(light[31:35, 24:36].mean()))
    assert lit[0] < 0.5 * lit[1]
