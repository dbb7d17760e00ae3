"""FAL-Net: occlusion beside the release, its second stage, and patches of zoomed pictures."""

from collections.abc import Callable
from dataclasses import asdict

import pytest
import torch
from torch import Tensor, nn

from cyclopean.augmentation import ZoomedPatch
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, pixel_grid, translation
from cyclopean.losses import curvature_smoothness
from cyclopean.methods import aquanet
from cyclopean.methods.falnet import Falnet
from cyclopean.methods.photometric import reconstruction
from cyclopean.networks.falnet import centred
from cyclopean.sample import Sample, view
from cyclopean.synthesis import swept_coverage
from methods.test_aquanet import clip, stacked


def test_fal_nets_occlusion_masks_beside_the_release(golden) -> None:
    truth = golden("falnet_synth")
    image, logits, levels = truth["image_left"], truth["logits"], truth["levels"]
    h, w = image.shape[-2:]
    grid = pixel_grid((h, w), image)

    def uv(sign: int):
        return lambda k: (grid + image.new_tensor([sign * float(levels[k]) * (w - 1) / w**2, 0.0])).expand(
            len(image), -1, -1, -1
        )

    warped = torch.cat([aquanet.pull(logits[:, k : k + 1], uv(1)(k), "zeros") for k in range(len(levels))], 1)
    of_left = truth["maskL_left_content_visible_in_right"]
    torch.testing.assert_close(swept_coverage(warped, uv(-1)), of_left, atol=5e-6, rtol=0)


def test_features_are_compared_where_the_weight_is_one() -> None:
    made, real, weight = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    features = nn.Conv2d(3, 4, 3, padding=1)
    nothing = reconstruction(made, real, weight, lambda x: [features(x)])
    assert nothing["photometric"] == nothing["perceptual"] == 0
    everything = reconstruction(made, real, weight + 1, lambda x: [features(x)])
    expectation = 0.01 * (features(centred(made)) - features(centred(real))).square().mean()
    torch.testing.assert_close(everything["perceptual"], expectation)
    torch.testing.assert_close(everything["photometric"], (made - real).abs().mean())


def test_the_second_stage_of_fal_net() -> None:
    camera = Pinhole(torch.tensor([[0.8, 1.2]]), torch.tensor([[0.5, 0.5]]))
    right = view(torch.rand(1, 3, 64, 96), camera, translation(torch.tensor([[-0.5, 0.0, 0.0]])))
    sample = Sample(view(torch.rand(1, 3, 64, 96), camera), (right,), torch.ones(1, 1, 64, 96))
    first, second = Falnet(0.05, rules={"levels": 7}), Falnet(0.05, stage=2, rules={"levels": 7})
    with pytest.raises(InputError, match="second stage of falnet"):
        second(sample)
    second.first = aquanet.Frozen(first.network)
    terms = second(sample)
    assert set(terms) == {"photometric", "smoothness", "mirror"}
    sum(terms.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in second.parameters())
    assert second.state_dict().keys() == first.state_dict().keys()
    assert asdict(second.rules)["levels"] == 7


def test_the_second_stage_of_fal_net_term_by_term() -> None:
    """From stacks of moved probabilities: what either camera sees of the other's, by either's volume; the first stage
    teaches what only the left one sees; 20 % of the columns at the outer borders are compared all the same."""
    torch.manual_seed(0)
    camera = Pinhole(torch.tensor([[0.8, 1.2]]), torch.tensor([[0.5, 0.5]]))
    left, right = torch.rand(2, 1, 3, 64, 96)
    beside = view(right, camera, translation(torch.tensor([[-0.5, 0.0, 0.0]])))
    sample = Sample(view(left, camera), (beside,), torch.ones(1, 1, 64, 96))
    first, second = (Falnet(0.05, stage=stage, rules={"levels": 7}) for stage in (1, 2))
    second.first = aquanet.Frozen(first.network)
    with torch.no_grad():
        terms = second(sample)
        logits, side = second.network(left, second.side(left)), second.side(left)
        mirrored, of_right = (first.network(image.flip(-1), side).flip(-1) for image in (left, right))
        values = [2 / 1242 * 150 ** (k / 6) for k in range(7)]
        grid = pixel_grid((64, 96), left)

        def places(sign: int) -> Callable[[int], Tensor]:
            return lambda k: grid + torch.tensor([sign * values[k], 0.0])

        def seen(volume: Tensor, sign: int) -> Tensor:
            return stacked(volume.softmax(1), places(sign)).sum(1, keepdim=True).clamp(max=1)

        there, back = stacked(logits, places(1)), stacked(of_right, places(-1))
        left_seen, right_seen = seen(there, -1) * seen(of_right, -1), seen(logits, 1) * seen(back, 1)
        left_seen[..., :19], right_seen[..., 77:] = 1, 1
        disparity, taught = (
            (x.softmax(1) * torch.tensor(values)[:, None, None]).sum(1, True) for x in (logits, mirrored)
        )
        weights = there.softmax(1)
        made = sum(weights[:, k : k + 1] * aquanet.pull(left, places(1)(k), "zeros") for k in range(7))
        wanted = {
            "photometric": (right_seen * (made - right).abs()).mean(),
            "mirror": ((1 - left_seen) * (disparity - taught).abs()).mean() / taught.max(),
            "smoothness": 2 * 0.2 * 2 / 512 * curvature_smoothness(disparity[..., 19:] * 96, left[..., 19:]),
        }
    assert terms.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-4, atol=1e-7)


def test_patches_of_zoomed_pictures() -> None:
    whole = clip(1, (40, 60))
    generator = torch.Generator().manual_seed(0)
    zooms = []
    for _ in range(20):
        part = ZoomedPatch((32, 48), 0.5, 1.5)(whole, generator)
        assert part.target.image.shape[-2:] == part.depth.shape[-2:] == (32, 48)
        (zoom,) = part.zoom.tolist()
        extent = part.target.window[:, 2:] - part.target.window[:, :2]
        assert float(extent.prod() ** -0.5) == pytest.approx(zoom, rel=1e-5)  # 1 is the whole picture at this size
        camera = part.target.camera
        torch.testing.assert_close(camera.focal * extent, whole.target.camera.focal)  # type: ignore[attr-defined]
        zooms.append(zoom)
    assert 1 <= min(zooms) < 1.1
    assert 1.65 < max(zooms) <= 1.5 / 0.8 + 0.02
    assert ZoomedPatch((40, 60), 1.0, 1.0)(whole, generator).zoom == 1
