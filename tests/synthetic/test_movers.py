"""Cameras among things that move: who goes where, how often, what the masks show, how the camera moves."""

import torch

from cyclopean.geometry import pixel_grid, reproject
from cyclopean.synthesis import pull
from cyclopean.synthetic import rigs, scene_types

FAMILIES = ("traffic", "crowd", "flight")


def camera_velocity(stand):
    """In m/s, of the frames around this one."""
    return (stand.after[0, :3, 3] - stand.before[0, :3, 3]) / (2 * stand.interval)


def test_every_motion_is_often_there_with_twins_that_stand():
    """Wheels tell cars from all else; what they do is told from the camera's speed."""
    counts = dict.fromkeys(("with", "faster", "towards", "across", "still"), 0)
    for seed in range(40):
        scene, stand = scene_types.scene("traffic", seed)
        speed = camera_velocity(stand)[2]
        assert 3.5 < speed < 14.5
        wheels = torch.isclose(scene.half, torch.tensor([0.33, 0.12, 0.33])).all(1)
        moving = scene.velocity[wheels]
        along, aside = moving[:, 2], moving[:, 0].abs()
        kinds = {
            "with": (along - speed).abs() < 0.5,
            "faster": along > 1.2 * speed,
            "towards": along < -0.4 * speed,
            "across": aside > 0.1 * speed,
            "still": moving.norm(dim=1) == 0,
        }
        assert sum(kinds.values()).max() == 1
        for name, found in kinds.items():
            counts[name] += bool(found.any())
        place = scene.center[wheels, 0]  # of wheels, up to a metre beside the middle of a lane
        assert (place[kinds["with"] | kinds["faster"]] > -0.9).all()
        assert (place[kinds["towards"]] < 0.9).all()
    assert counts["still"] >= 36
    assert all(counts[name] >= 10 for name in ("with", "faster", "towards")), counts
    assert counts["across"] >= 4, counts


def test_what_goes_with_the_camera_stays_where_it_is():
    """Its place before the camera does not change, but by what the camera sways; nothing else moves so."""
    staying = 0
    for family in FAMILIES:
        for seed in range(12):
            scene, stand = scene_types.scene(family, seed)
            way = camera_velocity(stand)
            flat = way.clone()
            flat[1] = 0
            same = (scene.velocity.norm(dim=1) > 0) & ((scene.velocity - flat).norm(dim=1) < 0.3)
            staying += bool(same.any())
            for pose, time in ((stand.before, -stand.interval), (stand.after, stand.interval)):
                offset = scene.at(time).center[same] - pose[0, :3, 3] - scene.center[same]
                offset = offset + stand.world_from_camera[0, :3, 3]
                assert (offset[:, [0, 2]].abs() < 0.1).all(), (family, seed)
    assert staying > 12


def test_motion_shows_in_the_masks_and_in_a_fair_share_of_the_picture():
    for family, least in (("traffic", 0.02), ("crowd", 0.05), ("flight", 0.005)):
        shares = [
            float((~rigs.sample(family, seed, (48, 96), "clip").target.valid).float().mean()) for seed in range(12)
        ]
        assert least < sum(shares) / 12 < 0.4, (family, shares)


def test_true_depth_and_poses_make_the_still_part_of_the_other_frames():
    """The path is in the poses: what stands still is found again, what moves is not."""
    still, moved = [], []
    for family in FAMILIES:
        for seed in range(6):
            made = rigs.sample(family, seed, (96, 160), "clip", field_of_view=70.0)
            stand = scene_types.scene(family, seed)[1]
            for source, pose in zip(made.sources, (stand.before, stand.after), strict=True):
                torch.testing.assert_close(pose @ source.from_target, stand.world_from_camera, atol=1e-4, rtol=0)
            rho = torch.where(made.depth.isfinite(), 1 / made.depth, torch.zeros_like(made.depth))
            for source in made.sources:
                match = reproject(rho, made.target.camera, source.from_target, source.camera)
                error = (pull(source.image, match.uv, "edge") - made.target.image).abs().mean(1, keepdim=True)
                still.append(error[match.valid & made.target.valid].median())
                away = match.valid & ~made.target.valid
                if away.sum() > 100:
                    moved.append(error[away].median())
    assert sum(still) / len(still) < 0.02
    assert sum(moved) / len(moved) > 2 * sum(still) / len(still)


def test_cameras_move_as_they_are_carried():
    """Forward in a car, at a walk or not at all in a hand, in any direction in the air; hands sway most."""
    turned = {}
    for family, seeds in (("traffic", 12), ("crowd", 24), ("flight", 24)):
        stands = [scene_types.scene(family, seed)[1] for seed in range(seeds)]
        steps = torch.stack([s.world_from_camera[0, :3, :3].T @ camera_velocity(s) for s in stands])
        speeds, forward = steps.norm(dim=1), steps[:, 2]
        spins = [s.after[0, :3, :3].T @ s.before[0, :3, :3] for s in stands]
        turned[family] = float(torch.stack([(3 - spin.trace()).clamp(min=0).sqrt() for spin in spins]).median())
        if family == "traffic":
            assert (forward > 0.85 * speeds).all()
        elif family == "crowd":
            assert 2 < (speeds < 0.2).sum() < 15
            assert speeds.max() < 2
        else:
            assert (forward < 0).any()
            heights = [-float(s.world_from_camera[0, 1, 3]) for s in stands]
            assert 7 <= min(heights) < 10
            assert 15 < max(heights) <= 18
    assert turned["traffic"] < turned["flight"]
    assert turned["traffic"] < turned["crowd"]


def test_places_in_the_picture_are_fixed_between_rigs():
    """A pair is taken where the frame of a clip is."""
    pair, made = (rigs.sample("traffic", 3, (32, 64), rig, field_of_view=70.0) for rig in ("stereo", "clip"))
    assert torch.equal(pair.depth, made.depth)
    assert torch.allclose(pair.sources[0].from_target[0, :3, 3], torch.tensor([-0.54, 0.0, 0.0]), atol=1e-5)
    grid = pixel_grid((32, 64), made.depth)
    assert torch.equal(pair.target.camera.rays(grid), made.target.camera.rays(grid))
