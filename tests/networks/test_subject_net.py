"""The network of clicks: sizes, what it depends on, and that its training learns, repeats itself and goes on."""

import random
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cyclopean.bench import subject_training
from cyclopean.bench.subject_training import Item, key_loss, look, thing, train
from cyclopean.networks.subject import FEATURES, SubjectNet


def items(count: int) -> list[Item]:
    """Two discs, each a thing; their number is in the features at every scale."""
    made = []
    rng = np.random.default_rng(0)
    for _ in range(count):
        v, u = np.mgrid[:64, :96]
        objects = np.zeros((64, 96), np.int32)
        for k, x in enumerate(rng.permutation((26, 70))):
            objects[(u - x - rng.integers(-4, 5)) ** 2 + (v - rng.integers(24, 40)) ** 2 < 15**2] = k + 1
        plane = torch.from_numpy(objects.astype(np.float32))[None, None]
        sizes = [(2 << k, 3 << k) for k in range(4)]
        small = [torch.nn.functional.interpolate(plane, size=size, mode="area") for size in sizes]
        features = tuple((x / 2).expand(-1, n, -1, -1).half() for x, n in zip(small, FEATURES, strict=True))
        evidence = (small[-1] / 2).expand(-1, 4, -1, -1).half()
        ground, *things = (thing(objects == k, random.Random(k)) for k in range(3))
        made.append(Item(features, evidence, tuple(things), ground))
    return made


def test_a_mask_at_a_quarter_of_the_size_depends_on_the_point() -> None:
    torch.manual_seed(0)
    network, item = SubjectNet().eval(), items(1)[0]
    assert sum(p.numel() for p in network.parameters()) * 2 < 8e6  # bytes, as bundled
    embedded = network.embed([x.float() for x in item.features], item.evidence.float())
    points = torch.tensor([[[(0.27, 0.5)], [(0.73, 0.5)]]])
    with torch.inference_mode():
        masks = network(embedded, points)
        again = torch.cat([network(embedded, points[:, k : k + 1]) for k in range(2)], 1)
        both = network(embedded, torch.tensor([[[(0.27, 0.5), (0.73, 0.5)]]]))[:, 0]
    assert masks.shape == (1, 2, 16, 24)
    assert torch.allclose(masks, again, atol=1e-5)  # a mask does not depend on the others
    assert not torch.allclose(masks[:, 0], masks[:, 1], atol=1e-3)
    assert not torch.allclose(both, masks[:, 0], atol=1e-3)


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
    some = items(3)
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
    network = train(items(24), 80, 0, tmp_path)
    for item in items(30)[24:]:  # not seen, as they are and mirrored
        points = torch.from_numpy(np.stack([known.points.mean(0) for known in item.things]))[None, :, None]
        for mirrored in (False, True):
            seen = [x.float().flip(-1) if mirrored else x.float() for x in (*item.features, item.evidence)]
            at = torch.stack([1 - points[..., 0], points[..., 1]], -1) if mirrored else points
            with torch.inference_mode():
                masks = network(network.embed(seen[:-1], seen[-1]), at)[0].numpy() > 0
            for found, known in zip(masks, item.things, strict=True):
                truth = (known.mask[:, ::-1] if mirrored else known.mask) > 0.5
                assert (found & truth).sum() / (found | truth).sum() > 0.7


def test_looks_keep_colours_and_objects_together() -> None:
    v, u = np.mgrid[:40, :60]
    objects = ((u // 8 + v // 8) % 3).astype(np.int32)
    image = np.where((objects == 1)[..., None], (0.9, 0.8, 0.7), (0.1, 0.2, 0.3)).astype(np.float32)
    for k in range(20):
        seen, shown = look(image, objects, random.Random(k), crop=k % 2 == 0)
        assert seen.shape == image.shape
        assert shown.shape == objects.shape
        inside = cv2.erode((shown == 1).astype(np.uint8), np.ones((5, 5))) > 0
        others = cv2.erode((shown != 1).astype(np.uint8), np.ones((5, 5))) > 0
        assert seen[inside].min() > seen[others].max(), k
