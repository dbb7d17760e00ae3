"""Any combination that a user can name runs: head x warp x error x mask x scales x smoothness x camera."""

import itertools
from dataclasses import asdict
from typing import get_args

import pytest
import torch

from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, Pinhole, axis_angle, rigid, translation
from cyclopean.methods.heads import HEADS
from cyclopean.methods.masks import MASKS
from cyclopean.methods.monodepth2 import Monodepth2
from cyclopean.methods.photometric import ERRORS, SCALES, SMOOTHS, WARPS, PhotometricLoss, SourceView
from cyclopean.sample import view
from cyclopean.training import options
from cyclopean.training.options import LossConfig

SIZE = (24, 48)
PINHOLE = Pinhole(torch.tensor([[0.8, 1.6]]), torch.tensor([[0.5, 0.5]]))
TURNED = rigid(axis_angle(torch.tensor([[0.02, 0.05, -0.03]])), torch.tensor([[0.1, -0.05, 0.2]]))
BESIDE, OTHER_SIDE = (translation(torch.tensor([[t, 0.0, 0.0]])) for t in (-0.1, 0.2))
RIGS = {
    "pair": (PINHOLE, (BESIDE,)),
    "three": (PINHOLE, (BESIDE, OTHER_SIDE)),
    "posed": (PINHOLE, (TURNED,)),
    "sphere": (Equirectangular(), (TURNED, BESIDE)),
}


def loss_of(config: LossConfig) -> PhotometricLoss:
    return PhotometricLoss(config, lambda image: [image])


def losses(config: LossConfig, rig: str) -> dict[str, torch.Tensor]:
    """Of random answers to a random picture; every answer gets a finite gradient."""
    generator = torch.Generator().manual_seed(0)
    camera, poses = RIGS[rig]
    loss = loss_of(config)
    raws = [torch.randn(1, loss.channels, SIZE[0] >> s, SIZE[1] >> s, generator=generator) for s in range(4)]
    raws = [raw.requires_grad_() for raw in raws]
    pictures = [torch.rand(1, 3, *SIZE, generator=generator) for _ in range(1 + len(poses))]
    sources = [SourceView(view(image, camera, pose), pose) for image, pose in zip(pictures[1:], poses, strict=True)]
    terms = loss(view(pictures[0], camera), loss.decode(raws), sources)
    torch.stack(list(terms.values())).sum().backward()
    for raw in raws[:1] if config.scales == "finest" else raws:
        assert raw.grad is not None
        assert raw.grad.isfinite().all()
    return terms


def test_every_name_has_a_value_and_every_value_a_name():
    kinds = {"Head": HEADS, "Warp": WARPS, "Error": ERRORS, "Scales": SCALES, "Smooth": SMOOTHS}
    for kind, values in kinds.items():
        assert set(get_args(getattr(options, f"{kind}Name"))) == set(values), kind


@pytest.mark.parametrize("rig", RIGS)
def test_heads_warps_errors_and_masks(rig):
    """Every value meets every value of the other kinds (of each two, not of all four at once)."""
    masks = ["none", *(name for name in MASKS if name != "explained"), "inside+best+auto+learned+unoccluded"]
    with pytest.raises(InputError, match="predicted with the motion"):
        losses(LossConfig(mask="explained"), rig)
    heads, warps, errors = list(HEADS), list(WARPS), list(ERRORS)
    chosen = [(heads[k % 3], warps[k // 3 % 3], errors[k % 4], masks[k % 7]) for k in range(28)]
    for pair in itertools.combinations((heads, warps, errors, masks), 2):
        assert all(any({a, b} <= set(c) for c in chosen) for a, b in itertools.product(*pair))
    for head, warp, error, mask in chosen:
        found = losses(LossConfig(head, warp, "zeros", error, mask, "finest"), rig)
        assert all(value.isfinite() and value >= 0 for value in found.values()), (head, warp, error, mask)


@pytest.mark.parametrize("rig", RIGS)
def test_scales_borders_and_smoothness(rig):
    for scales, border, smooth in itertools.product(SCALES, ("zeros", "edge"), SMOOTHS):
        found = losses(LossConfig(border=border, scales=scales, smooth=smooth), rig)
        assert found["smoothness"] > 0


def test_rules_survive_a_config_and_wrong_names_suggest_the_nearest():
    rules = LossConfig("levels", mask="best+auto", features="own")
    config = Monodepth2("compact", 0.1, rules=rules).config()
    assert config["rules"] == asdict(rules)
    assert Monodepth2(**config).config() == config
    assert rules.masks == ("best", "auto")
    with pytest.raises(InputError, match="unknown mask 'insde': did you mean 'inside'"):
        loss_of(LossConfig(mask="best+insde"))
    with pytest.raises(InputError, match="smoothness is -1"):
        LossConfig(smoothness=-1.0)


def test_two_views_from_one_place_are_refused():
    picture, loss = view(torch.rand(1, 3, *SIZE), PINHOLE), loss_of(LossConfig())
    raws = [torch.randn(1, 1, SIZE[0] >> s, SIZE[1] >> s) for s in range(4)]
    with pytest.raises(InputError, match="from one place"):
        loss(picture, loss.decode(raws), [SourceView(picture, torch.eye(4)[None])])
