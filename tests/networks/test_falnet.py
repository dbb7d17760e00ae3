"""FAL-Net, PLADE-Net, AQUANet: parameter counts as published, and the backbones beside runs of their releases."""

import numpy as np
import pytest
import torch
from torch import nn

from cyclopean.networks.falnet import AquanetUnet, FalnetUnet, PladeUnet, plane, positions, resize_corners


def formula_weights(parameters: list[nn.Parameter], names: np.ndarray) -> None:
    """Fill `parameters`, in the order of `names` ("name:shape"), as those of the recorded runs were."""
    for k, (parameter, entry) in enumerate(zip(parameters, names, strict=True)):
        shape = tuple(map(int, str(entry).split(":")[1].split("x")))
        assert parameter.shape == shape, entry
        draw = np.random.RandomState(1000 + k).randn(*shape)
        scale = 0.01 if len(shape) == 1 else np.sqrt(2 / np.prod(shape[1:]))
        parameter.data = torch.from_numpy((scale * draw).astype(np.float32))


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def in_order(unet: nn.Module) -> list[nn.Parameter]:
    """The parameters of a U-net as the releases list them: down, then each enlargement with what joins it."""
    found = [*unet.first.parameters(), *(p for stage in unet.down for p in stage.parameters())]  # type: ignore
    for k, grow in enumerate(unet.up):  # type: ignore[arg-type]
        found += [*grow.parameters(), *(unet.join[k].parameters() if k < len(unet.join) else ())]  # type: ignore
    return [*found, *unet.logits.parameters()]  # type: ignore[union-attr,operator]


def test_as_many_parameters_as_published() -> None:
    unused = 96 * 48 * 9 + 48 + 48 * 9  # FAL-Net's release builds a head that it never reads
    assert count(FalnetUnet()) == 16_974_354 - unused
    assert count(FalnetUnet(33)) == 16_959_202 - unused
    assert count(PladeUnet()) == 14_767_050
    assert count(AquanetUnet(adaptive=False)) == 14_546_232
    assert count(AquanetUnet()) == 14_546_232 + 1_153
    assert (
        count(AquanetUnet(1, adaptive=False)) == 14_543_928 - 128 * 30 * 9
    )  # DIRNet-BW, whose release has a head unused
    assert count(AquanetUnet(width=0.25)) < 14_546_232 / 12


def test_backbones_beside_their_releases(golden) -> None:
    truth = golden("aqua_backbone")
    network = AquanetUnet(adaptive=False)
    formula_weights([*network.encoding.parameters(), *in_order(network.unet)], truth["param_names"])
    image, grid, focal = (truth[name].float() for name in ("input", "grid", "focal_fx_fy_over_2000"))
    with torch.no_grad():
        code = network.encoding(grid)
        logits, _ = network.unet(image, lambda _, size: [resize_corners(code, size), plane(focal[None], size)])
    torch.testing.assert_close(logits[..., ::4, ::4], truth["logits_stride4"].float(), atol=1e-4, rtol=1e-4)
    truth = golden("falnet_backbone")
    fal = FalnetUnet()
    formula_weights(in_order(fal.unet), truth["param_names"][:-3])  # the last three are of the unused head
    with torch.no_grad():
        constant = torch.tensor([[float(truth["max_disp_channel"])]])
        logits, _ = fal.unet(truth["input"].float(), lambda stage, size: [] if stage else [plane(constant, size)])
    torch.testing.assert_close(logits[..., ::4, ::4], truth["logits_stride4"].float(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", [(64, 96), (65, 131)])
def test_any_size_and_every_parameter_learns(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    image, window = torch.rand(2, 3, *size), torch.tensor([[0.0, 0, 1, 1], [0.25, 0.5, 0.75, 1]])
    where = positions(window, size)
    for network, arguments in (
        (FalnetUnet(5, 0.125), (torch.ones(2, 1),)),
        (PladeUnet(5, 0.125), (where, torch.ones(2, 2))),
        (AquanetUnet(5, 0.125), (where, torch.ones(2, 2))),
    ):
        out = network(image, *arguments)
        maps = out if isinstance(out, tuple) else (out,)
        assert [m.shape for m in maps] == [(2, n, *size) for n in (5, 1)[: len(maps)]]
        torch.stack([m.square().mean() + m.mean() for m in maps]).sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_positions_of_whole_frames_and_crops() -> None:
    whole = positions(torch.tensor([[0.0, 0, 1, 1]], dtype=torch.float64), (5, 9))[0]
    torch.testing.assert_close(whole[0, 0], torch.linspace(-1, 1, 9, dtype=torch.float64))
    torch.testing.assert_close(whole[1, :, 0], torch.linspace(-1, 1, 5, dtype=torch.float64))
    crop = positions(torch.tensor([[2 / 9, 1 / 5, 6 / 9, 4 / 5]], dtype=torch.float64), (3, 4))[0]
    torch.testing.assert_close(crop, whole[:, 1:4, 2:6])
