"""Rolling panoramas: pictures, truth and poses turn together."""

from dataclasses import replace

import pytest
import torch

from analytic import F64, RIGS, SPHERE, WIDE, photograph, psnr
from cyclopean.augmentation import roll_sample, rolled
from cyclopean.errors import InputError
from cyclopean.geometry import reproject
from cyclopean.sample import Sample, view
from cyclopean.synthesis import pull


@pytest.fixture(params=["up", "right", "turned"])
def sample(request) -> Sample:
    pair = photograph(replace(RIGS[request.param], size=(64, 128)))
    source = view(pair.source, SPHERE, pair.rig.source_from_target)
    return Sample(view(pair.target, SPHERE), (source,), 1 / pair.rho_target)


def rebuilt(sample: Sample) -> torch.Tensor:
    source = sample.sources[0]
    match = reproject(1 / sample.depth, sample.target.camera, source.from_target, source.camera)
    return pull(source.image, match.uv, "sphere")


@pytest.mark.parametrize("columns", [1, 32, 77])
def test_the_source_still_rebuilds_the_target(sample, columns):
    """The release's trap: it rolls pictures only, and a horizontal baseline then points elsewhere."""
    turned = roll_sample(sample, columns)
    everywhere = torch.ones_like(turned.target.valid)
    torch.testing.assert_close(rebuilt(turned), rebuilt(sample).roll(columns, -1), rtol=0, atol=1e-9)
    assert psnr(rebuilt(turned), turned.target.image, everywhere) > 50


def test_rolled_pictures_with_the_old_pose_do_not_fit():
    pair = photograph(replace(RIGS["right"], size=(64, 128)))
    source = view(pair.source, SPHERE, pair.rig.source_from_target)
    turned = roll_sample(Sample(view(pair.target, SPHERE), (source,), 1 / pair.rho_target), 32)
    wrong = replace(turned, sources=(replace(turned.sources[0], from_target=source.from_target),))
    assert psnr(rebuilt(wrong), turned.target.image, torch.ones_like(turned.target.valid)) < 30


def test_all_the_way_round_is_nothing(sample):
    once = roll_sample(sample, 128)
    assert torch.equal(once.target.image, sample.target.image)
    torch.testing.assert_close(once.sources[0].from_target, sample.sources[0].from_target)


def test_any_column_is_drawn(sample):
    firsts = {
        int((rolled(sample, torch.Generator().manual_seed(k)).depth - sample.depth).abs().sum() > 0) for k in range(8)
    }
    assert 1 in firsts
    a, b = (rolled(sample, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(a.target.image, b.target.image)


def test_pinholes_do_not_roll():
    image = torch.rand(1, 3, 4, 8, dtype=F64)
    with pytest.raises(InputError, match="only panoramas"):
        roll_sample(Sample(view(image, WIDE), (), torch.ones(1, 1, 4, 8, dtype=F64)), 1)
