"""The network of clicks: sizes, what it depends on, and that its training learns, repeats itself and goes on."""

import random
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cyclopean.bench import subject_training
from cyclopean.bench.subject_training import Pictures, key_loss, look, looked, train
from cyclopean.inference.predictor import load
from cyclopean.networks.subject import SubjectNet, in_range

H, W = 64, 96


def discs(count: int, seed: int) -> Pictures:
    """Two discs of one colour, each a thing."""
    rng = np.random.default_rng(seed)
    v, u = np.mgrid[:H, :W]
    objects = np.zeros((count, H, W), np.uint16)
    for plane in objects:
        for k, x in enumerate(rng.permutation((26, 70))):
            plane[(u - x - rng.integers(-4, 5)) ** 2 + (v - rng.integers(24, 40)) ** 2 < 15**2] = k + 1
    images = np.where((objects > 0)[..., None], (200, 150, 60), (40, 60, 90)).astype(np.uint8)
    return Pictures(images, objects, (objects > 0) * np.float32(0.5) + np.float32(0.1))


def test_a_mask_at_a_quarter_of_the_size_depends_on_the_point() -> None:
    torch.manual_seed(0)
    network, some = SubjectNet().eval(), discs(1, 0)
    assert sum(p.numel() for p in network.parameters()) * 2 < 8e6  # bytes, as bundled
    image = torch.from_numpy(some.images[0]).permute(2, 0, 1)[None] / 255
    inverse = torch.from_numpy(some.inverse_depth)[:, None]
    points = torch.tensor([[[(0.27, 0.5)], [(0.73, 0.5)]]])
    with torch.inference_mode():
        embedded = network.embed(image, inverse)
        masks = network(embedded, points)
        again = torch.cat([network(embedded, points[:, k : k + 1]) for k in range(2)], 1)
        both = network(embedded, torch.tensor([[[(0.27, 0.5), (0.73, 0.5)]]]))[:, 0]
        scaled = network(network.embed(image, 7 * inverse + 3), points)
    assert masks.shape == (1, 2, H // 4, W // 4)
    assert torch.allclose(masks, again, atol=1e-5)  # a mask does not depend on the others
    assert torch.allclose(masks, scaled, atol=1e-4), "depth of any scale and shift"
    assert not torch.allclose(masks[:, 0], masks[:, 1], atol=1e-3)
    assert not torch.allclose(both, masks[:, 0], atol=1e-3)
    ramp = torch.linspace(0, 2, 1001).view(1, 1, 1, -1)
    ramp[..., -1] = 1e9  # something touches the camera
    assert in_range(ramp).max() == 1.5
    assert float(in_range(ramp)[..., 500]) == pytest.approx(0.5, abs=0.01)
    assert in_range(torch.ones(1, 1, 4, 4)).abs().max() == 0


def test_keys_of_one_thing_are_pulled_together_and_those_of_two_apart() -> None:
    owners = np.repeat([1, 2, 0, -1], 60)

    def loss(*values: float) -> float:
        key = torch.tensor(values, dtype=torch.float32).repeat_interleave(60).view(1, 16, 15).expand(4, -1, -1)
        return float(key_loss(key, owners, np.random.default_rng(0)))

    apart = loss(0, 5, 10, 0)
    assert apart < 0.1, "what is not known does not count"
    assert loss(0, 0, 10, 0) > loss(0, 1, 10, 0) > apart, "two things of one key"
    mixed = torch.linspace(0, 9, 240).view(1, 16, 15).expand(4, -1, -1)
    assert float(key_loss(mixed, owners, np.random.default_rng(0))) > 3 * apart, "one thing of several keys"
    only = float(key_loss(torch.zeros(4, 16, 15), np.zeros(240, np.int64), np.random.default_rng(0)))
    assert only == 0, "a picture of ground"


def test_a_run_goes_on_as_if_it_had_not_been_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = [discs(2, 0), discs(2, 1)]
    whole = train(some, 3, 1, tmp_path / "whole")
    monkeypatch.setattr(subject_training, "SAVED", 2)

    def cut(_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(subject_training.json, "dumps", cut)  # after the state at step 2 is saved
    with pytest.raises(KeyboardInterrupt):
        train(some, 3, 1, tmp_path / "again")
    monkeypatch.undo()
    assert torch.load(tmp_path / "again" / "state.pt", weights_only=True)["step"] == 2
    again = train(some, 3, 1, tmp_path / "again")
    read = train(some, 3, 1, tmp_path / "whole")
    for a, b, c in zip(whole.parameters(), again.parameters(), read.parameters(), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


@pytest.mark.slow
def test_it_learns_to_tell_two_things_apart(tmp_path: Path) -> None:
    network = train([discs(24, 0)], 150, 0, tmp_path, load().method.network.encoder.state_dict())
    some = discs(6, 1)  # not seen
    for image, objects, inverse in zip(some.images, some.objects, some.inverse_depth, strict=True):
        masks = np.stack([objects == k for k in (1, 2)])
        points = [(np.argwhere(mask).mean(0)[::-1] + 0.5) / (W, H) for mask in masks]
        seen = torch.from_numpy(image).permute(2, 0, 1)[None] / 255, torch.from_numpy(inverse)[None, None]
        with torch.inference_mode():
            found = network(network.embed(*seen), torch.tensor(np.stack(points)[None, :, None], dtype=torch.float32))
        for logits, mask in zip(found[0].numpy(), masks, strict=True):
            grown = cv2.resize(logits, (W, H)) > 0
            assert (grown & mask).sum() / (grown | mask).sum() > 0.7


def test_looks_keep_colours_and_objects_together() -> None:
    v, u = np.mgrid[:40, :60]
    objects = ((u // 8 + v // 8) % 3).astype(np.float32)[..., None]
    image = np.where(objects == 1, (0.9, 0.8, 0.7), (0.1, 0.2, 0.3)).astype(np.float32)
    for k in range(20):
        seen, shown = look(image, objects, random.Random(k), crop=k % 2 == 0)
        assert seen.shape == image.shape
        assert shown.shape == objects.shape
        inside = cv2.erode((shown == 1).astype(np.uint8), np.ones((5, 5))) > 0
        others = cv2.erode((shown != 1).astype(np.uint8), np.ones((5, 5))) > 0
        assert seen[inside].min() > seen[others].max(), k


def test_clicks_are_on_their_masks_and_some_on_the_ground() -> None:
    some, empty = discs(4, 0), 0
    for seed in range(40):
        one = looked(some, random.Random(seed))
        assert one is not None
        assert one.masks.shape == (8, H // 4, W // 4)
        assert {0, 1} <= {*one.owners.flat} <= {-1, 0, 1, 2}
        for (u, v), mask in zip(one.points, one.masks, strict=True):
            near = one.inverse_depth[int(v * H), int(u * W)]
            assert mask[int(v * H / 4), int(u * W / 4)] > 0.2 if mask.any() else near < 0.2
            empty += not mask.any()
    assert 5 < empty < 60
    nothing = Pictures(some.images, np.zeros_like(some.objects), some.inverse_depth)
    assert looked(nothing, random.Random(0)) is None
