"""Views and samples: what they refuse, how they batch and move."""

import math
from dataclasses import fields, replace
from types import SimpleNamespace

import pytest
import torch

from analytic import SPHERE
from cyclopean.geometry import Camera, Pinhole, translation
from cyclopean.sample import Sample, View, collate, implausible_numbers, map_tensors, view


def pinhole(focal: float) -> Pinhole:
    return Pinhole(torch.full((1, 2), focal), torch.full((1, 2), 0.5))


def sample(name: str = "a", camera: Camera = SPHERE, size: tuple[int, int] = (4, 6)) -> Sample:
    target, source = (view(torch.rand(1, 3, *size), camera) for _ in range(2))
    source = replace(source, from_target=translation(torch.tensor([[-0.5, 0.0, 0.0]])))
    return Sample(target, (source,), torch.rand(1, 1, *size), zoom=torch.ones(1), name=(name,))


def tensors(value: object) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    map_tensors(lambda x: (found.append(x), x)[1], value)
    return found


def test_a_plain_view_is_a_whole_valid_target():
    image = torch.rand(2, 3, 4, 6)
    made = view(image, SPHERE)
    assert made.image is made.seen is image
    assert made.valid.all()
    assert made.valid.shape == (2, 1, 4, 6)
    torch.testing.assert_close(made.from_target, torch.eye(4).expand(2, 4, 4))
    torch.testing.assert_close(made.window, torch.tensor([[0.0, 0, 1, 1]]).expand(2, 4))


def check(value: View | Sample, **changes: object) -> None:
    """What construction with `changes` checks when no type checker stands before it, as it does in these tests."""
    known = {f.name: getattr(value, f.name) for f in fields(value)}
    type(value).__post_init__(SimpleNamespace(**{**known, **changes}))


def test_a_view_checks_sizes_and_batch():
    good = view(torch.rand(2, 3, 4, 6), SPHERE)
    check(good)
    with pytest.raises(ValueError, match="one size"):
        check(good, seen=torch.rand(2, 3, 4, 8))
    with pytest.raises(ValueError, match="one size"):
        check(good, valid=torch.ones(2, 1, 5, 6, dtype=torch.bool))
    with pytest.raises(ValueError, match="one batch size"):
        check(good, window=torch.zeros(1, 4))


def test_a_sample_checks_sizes_and_batch():
    good = sample()
    check(good)
    with pytest.raises(ValueError, match="one size"):
        check(good, depth=torch.rand(1, 1, 5, 6))
    with pytest.raises(ValueError, match="one batch size"):
        check(good, depth=torch.rand(2, 1, 4, 6))
    with pytest.raises(ValueError, match="one batch size"):
        check(good, sources=(view(torch.rand(2, 3, 4, 6), SPHERE),))


def test_sources_may_have_another_size():
    assert len(replace(sample(), sources=(view(torch.rand(1, 3, 8, 16), SPHERE),))) == 1


def test_samples_are_frozen():
    with pytest.raises(AttributeError):
        sample().depth = torch.zeros(1, 1, 4, 6)  # type: ignore[misc]


def test_collate_keeps_every_item():
    """Images, cameras, poses, names: item i of the batch is sample i, in order."""
    parts = [sample("a", pinhole(0.6)), sample("b", pinhole(0.8)), sample("c", pinhole(1.0))]
    batch = collate(parts)
    assert len(batch) == 3
    assert batch.name == ("a", "b", "c")
    assert len(batch.sources) == 1
    for i, part in enumerate(parts):
        for whole, alone in zip(tensors(batch), tensors(part), strict=True):
            torch.testing.assert_close(whole[i : i + 1], alone)


def test_collate_of_panoramas_and_of_predicted_poses():
    parts = [sample(), sample()]
    parts = [replace(p, sources=(replace(p.sources[0], from_target=None),)) for p in parts]
    batch = collate(parts)
    assert batch.target.camera == SPHERE
    assert batch.sources[0].from_target is None
    assert batch.frames is None


def test_collate_refuses_a_field_that_only_some_have():
    with pytest.raises(ValueError, match="all have a field"):
        collate([sample(), replace(sample(), zoom=None)])
    with pytest.raises(ValueError, match="all have a field"):
        collate([replace(sample(), zoom=None), sample()])


def test_to_moves_every_tensor():
    moved = sample(camera=pinhole(0.7)).to("meta")
    assert {x.device.type for x in tensors(moved)} == {"meta"}
    assert len(tensors(moved)) == 16
    assert moved.name == ("a",)
    assert isinstance(moved.target, View)


def test_numbers_that_make_a_loss_overflow_are_named_by_item() -> None:
    camera, picture = Pinhole(torch.ones(3, 2), torch.full((3, 2), 0.5)), torch.rand(3, 3, 4, 6)
    depth = torch.full((3, 1, 4, 6), 5.0)
    depth[0, 0, 0, :3] = torch.tensor([math.nan, math.inf, 1e5])
    plain = Sample(view(picture, camera), (), depth, name=("a", "b", "c"))
    assert implausible_numbers(plain) == ""
    for value in (1e-9, 1e8):
        odd = depth.clone()
        odd[1, 0, 2, 2] = value
        assert implausible_numbers(replace(plain, depth=odd)).startswith("b, with depth of ")
    broken = picture.clone()
    broken[2, 1, 0, 0] = math.nan
    told = implausible_numbers(replace(plain, target=view(broken, camera), depth=odd))
    assert told == "b, with depth of 5 to 1e+08 and c, with a picture that is not finite"
