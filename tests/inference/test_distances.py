"""Distances along the rays and depth along the axis: whatever uses a map, one scene gives one result by both."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from commands import here
from cyclopean import Photo, Pinhole, from_numbers, refocus
from cyclopean.evaluation.entries import depth_files
from cyclopean.geometry import assumed_camera, pixel_grid
from cyclopean.inference.metric_calibration import TwoDistances, point_at
from cyclopean.io.depthmap import DepthMap
from cyclopean.io.scenes import point_cloud
from cyclopean.io.viewer import write_viewer
from cyclopean.sample import Sample, view

SIZE = (48, 96)
WIDE = Pinhole(torch.tensor([[0.4, 0.8]]), torch.tensor([[0.5, 0.5]]))  # 103 degrees


def scene(camera: Pinhole, unit: str = "m", stated: bool = True) -> tuple[Photo, DepthMap, DepthMap]:
    """A wall at 2 m before one at 6 m, seen by `camera`: the photo, its depth, and its distances."""
    image = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    z = torch.full((1, 1, *SIZE), 6.0)
    z[..., :40] = 2
    lengths = camera.rays(pixel_grid(SIZE, z)).norm(dim=-1)[:, None]
    known = camera if stated else None
    return (
        Photo(image, name="p.png"),
        from_numbers(z, "depth", unit, camera=camera),
        from_numbers(z * lengths, "distance", unit, camera=known),
    )


def test_what_uses_a_map_has_one_result_by_distance_and_by_depth(tmp_path: Path) -> None:
    photo, depth, distance = scene(WIDE)
    uses = {
        "refocused": lambda m: refocus(photo, m, at=(80, 24), subject=False).image,
        "refocused in metres": lambda m: refocus(photo, m, distance=6.0).image,
        "by the report": lambda m: refocus(photo, m, at=(80, 24), method="gaussian", subject=False).image,
        "points": lambda m: point_cloud(m, photo.image, WIDE).points,
        "one point": lambda m: point_at(m, WIDE, (90, 40)),
        "seen": lambda m: m.seen_by(WIDE).inverse_depth,
    }
    for name, use in uses.items():
        assert torch.allclose(use(depth), use(distance), atol=2e-5), name
    for name, each in (("depth", depth), ("distance", distance)):
        write_viewer(tmp_path / f"{name}.html", each, photo.image, WIDE, "p")
    assert (tmp_path / "depth.html").read_text() == (tmp_path / "distance.html").read_text()
    _, far, relative = scene(WIDE, "relative")
    points = TwoDistances(((10, 20), (90, 40)), (float(1 / distance.inverse_depth[0, 0, 20, 10]), 9.0))
    ours, theirs = (points.applied(each).seen_by(WIDE).inverse_depth for each in (far, relative))
    assert torch.allclose(ours[..., 20, 10], theirs[..., 20, 10], atol=1e-3)
    for name, each in (("depth", depth), ("distance", distance)):
        (tmp_path / name).mkdir()
        each.save(tmp_path / name / "p.npy")
    target = view(photo.image, WIDE)
    sample = Sample(target, (), depth.numbers("depth"), None, torch.ones(1), ("p",))
    assert torch.allclose(*(depth_files(tmp_path / n).predict(sample) for n in ("depth", "distance")), atol=1e-6)


def test_an_unknown_camera_is_the_photos_or_assumed_and_said(tmp_path, capsys, caplog) -> None:
    """A sidecar's counts first; the border of the nearer wall is then as sharp as its middle."""
    caplog.set_level(logging.WARNING)
    photo, depth, distance = scene(WIDE, stated=False)
    known = replace(photo, camera=WIDE)
    assert torch.allclose(
        refocus(known, distance, at=(80, 24), subject=False).image,
        refocus(photo, depth, at=(80, 24), subject=False).image,
    )
    assert not caplog.messages
    photo, depth, distance = scene(assumed_camera(SIZE), stated=False)
    assert torch.allclose(
        refocus(photo, distance, at=(80, 24), subject=False).image,
        refocus(photo, depth, at=(80, 24), subject=False).image,
    )
    assert [message[:45] for message in caplog.messages] == ["the depth holds distances along the rays, and"]

    photo, depth, distance = scene(WIDE)
    Image.fromarray((photo.image[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)).save(tmp_path / "p.png")
    for name, each in (("z", depth), ("r", distance)):
        each.save(tmp_path / f"{name}.npy")
        words = ("refocus", tmp_path / "p.png", "--depth", tmp_path / f"{name}.npy", "--at", "80", "24", "--no-subject")
        code, _, error = here(capsys, *words, "--refine", "off", "--out", tmp_path / name)
        assert (code, error) == (0, "")
    one, other = (np.asarray(Image.open(tmp_path / name / "p_defocus.png")).astype(int) for name in "zr")
    assert np.abs(one - other).max() <= 1
