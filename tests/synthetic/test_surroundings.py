"""Where panoramas are taken: inside the room, with nothing within reach of any eye of the rig."""

import pytest
import torch

from cyclopean.synthetic import rigs
from cyclopean.synthetic.scene_types import REACH, scene, surroundings

SEEDS = range(40, 46)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_panorama_of_a_room_sees_walls_all_around_and_nothing_within_reach(seed: int):
    depth = rigs.sample("room", seed, (32, 64), "sphere").depth
    assert torch.isfinite(depth).float().mean() > 0.99  # a window may show the sky; a missing wall would be a quarter
    assert depth.amin() > REACH


def test_the_room_is_the_one_that_other_rigs_see():
    """Same walls and furniture, but for what stands in the way of one camera or the other."""
    for seed in SEEDS:
        one, two = scene("room", seed)[0].center, surroundings("room", seed)[0].center
        common = {tuple(p) for p in one.tolist()} & {tuple(p) for p in two.tolist()}
        assert len(common) > 0.8 * len(two)


def test_outdoors_a_panorama_is_taken_where_the_camera_stands():
    for family in ("street", "landscape", "table"):
        place = surroundings(family, 3)[1].world_from_camera
        assert torch.equal(place, scene(family, 3)[1].world_from_camera)
