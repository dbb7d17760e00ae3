"""AQUANet and FAL-Net: equations beside the releases and plain loops, views made of analytic worlds, learning."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from analytic import F64, RIGS, photograph, psnr
from cyclopean import kernels
from cyclopean.augmentation import crop, resize
from cyclopean.errors import InputError
from cyclopean.geometry import Levels, Pencil, Pinhole, axis_angle, invert, pixel_grid, reproject, translation
from cyclopean.losses import curvature_smoothness
from cyclopean.methods import aquanet
from cyclopean.methods.aquanet import (
    Aquanet,
    PreviousEpoch,
    boosted,
    dispersion,
    expected,
    geometry_inputs,
    levels_of,
    relative_variance,
    zoomed,
)
from cyclopean.methods.base import known_pose
from cyclopean.networks.falnet import MEAN, resize_corners
from cyclopean.sample import Sample, map_tensors, view
from cyclopean.synthesis import sweep, swept_coverage
from cyclopean.training.options import VolumeConfig

NO_MASK = {"levels": 5, "mask": "none"}


def small(**rules) -> Aquanet:
    return Aquanet(0.05, rules={"levels": 5, **rules})


def clip(b: int = 2, size: tuple[int, int] = (64, 96), zoom: Tensor | None = None) -> Sample:
    """Noise, with sources behind and ahead."""
    camera = Pinhole(torch.tensor([[0.8, 1.2]]).expand(b, 2), torch.tensor([[0.5, 0.5]]).expand(b, 2))
    poses = [translation(torch.tensor([[0.02, 0.0, z]]).expand(b, 3)) for z in (0.8, -0.8)]
    images = torch.rand(3, b, 3, *size)
    sources = tuple(view(image, camera, pose) for image, pose in zip(images[1:], poses, strict=True))
    return Sample(view(images[0], camera), sources, torch.ones(b, 1, *size), zoom=zoom)


# --- equations ---


def test_masks_beside_the_release(golden) -> None:
    truth = golden("aqua_spimo")

    def network(image: Tensor, where: Tensor, focal: Tensor) -> Tensor:
        near = torch.sigmoid(20 * (image.mean(1, keepdim=True) - 0.6))
        return 0.05 + 0.1 * image[:, :1] + 0.12 * near * (where.sum(1, keepdim=True) + 2)

    torch.testing.assert_close(relative_variance(truth["disp_volume"]), truth["dispersion"], rtol=1e-5, atol=0)
    for passes in (3, 4):
        for name in ("curr", "prev", "next"):
            spread = dispersion(network, truth[name], truth["grid"], torch.ones(2, 2, dtype=F64), passes=passes)
            static = truth[f"mask_{name}_{passes}"]
            assert ((spread < 0.03) == (static > 0)).all(), (name, passes)
            assert 0.05 < static.mean() < 1


def test_the_mask_is_equation_7_in_a_plain_loop() -> None:
    inverse = 0.02 + 0.2 * torch.rand(2, 4, 3, 5, dtype=F64)
    ours = relative_variance(inverse)
    for b in range(2):
        for y in range(3):
            for x in range(5):
                depths = [1 / float(inverse[b, i, y, x]) for i in range(4)]
                mean = sum(depths) / 4
                value = sum((d - mean) ** 2 for d in depths) / (mean**2 * 3)
                assert float(ours[b, 0, y, x]) == pytest.approx(value, rel=1e-12)


def test_the_boosted_depth_enters_the_mask_and_the_top_is_static() -> None:
    """AQUANet(full): one more depth in Eq. 6, of the same network at the same size."""
    image, where, focal = torch.rand(2, 3, 30, 48), torch.rand(2, 2, 30, 48), torch.ones(2, 2)
    sizes = []

    def network(image: Tensor, where: Tensor, focal: Tensor) -> Tensor:
        sizes.append(image.shape[-1])
        return (
            0.1 + 0.2 * image[:, :1] * where[:, :1].sigmoid() + 0.001 * image.shape[-1] + 0.1 * focal[:, :1, None, None]
        )

    volumes = []

    def spread(inverse: Tensor) -> Tensor:
        volumes.append(inverse)
        return relative_variance(inverse)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aquanet, "relative_variance", spread)
        plain = dispersion(network, image, where, focal)
        full = dispersion(network, image, where, focal, boosting="paper")
    assert [v.shape[1] for v in volumes] == [4, 5]
    torch.testing.assert_close(volumes[1][:, :4], volumes[0])
    assert sizes[4:] == [32] * 5 + [24, 40]  # two thirds; three quarters and five quarters of it
    shrunk = torch.nn.functional.interpolate(image, (20, 32), mode="bilinear", align_corners=True)
    better = boosted(network, shrunk, resize_corners(where, (20, 32)), focal * 2 / 3)
    torch.testing.assert_close(volumes[1][:, 4:], torch.nn.functional.interpolate(better, (30, 48), mode="nearest"))
    assert not torch.equal(plain, full)

    method, target = small(threshold=1e-9, full=True, ignore_top=True), clip().target
    method.first = method.frozen()
    static, v = method.static(target, *geometry_inputs(target)), geometry_inputs(target)[0][:, 1:]
    assert (static[v < -0.25] == 1).all()
    assert static[v >= -0.25].mean() < 0.2


def test_the_mean_of_levels_and_its_gradient() -> None:
    rules = VolumeConfig(levels=6, mask="none")
    logits, exponents = torch.randn(1, 6, 2, 3, dtype=F64), 0.5 + torch.rand(1, 1, 2, 3, dtype=F64)
    ours = expected(rules, logits, exponents)
    weights = logits.softmax(1)
    for y in range(2):
        for x in range(3):
            beta = float(exponents[0, 0, y, x])
            d = [0.3 * math.exp(math.log(60) * ((n / 5) ** beta - 1)) for n in range(6)]
            assert float(ours[0, 0, y, x]) == pytest.approx(
                float((weights[0, :, y, x] * torch.tensor(d)).sum()), rel=1e-6
            )
    leaves = (logits.requires_grad_(), exponents.requires_grad_())
    assert torch.autograd.gradcheck(lambda a, b: expected(rules, a, b), leaves)
    one = torch.ones(1, 1, 1, 1)
    linear = levels_of(replace(rules, spacing="linear"), one).values
    assert linear == pytest.approx(np.linspace(0.005, 0.3, 6))


def test_training_begins_at_levels_in_equal_proportions() -> None:
    method = small(mask="none")
    _, exponents = aquanet.volume(method.network, torch.rand(1, 3, 64, 96), *geometry_inputs(clip(1).target))
    assert (exponents == 1).all()


def test_smoothness_beside_a_plain_loop() -> None:
    d, image = torch.rand(1, 1, 4, 5, dtype=F64), torch.rand(1, 3, 4, 5, dtype=F64)
    g = (image * torch.tensor([0.299, 0.587, 0.114], dtype=F64)[:, None, None]).sum(1)[0]
    for padding in ("constant", "replicate"):
        total = 0.0

        def at(x: Tensor, i: int, j: int, padding: str = padding) -> float:
            h, w = x.shape
            inside = 0 <= i < h and 0 <= j < w
            return (
                0.0 if padding == "constant" and not inside else float(x[min(max(i, 0), h - 1), min(max(j, 0), w - 1)])
            )

        for i in range(4):
            for j in range(5):
                for di, dj in ((0, 1), (1, 0)):
                    here, before, after = ((i + k * di, j + k * dj) for k in (0, -1, 1))
                    slope = sum(abs(at(d[0, 0], *here) - at(d[0, 0], *there)) for there in (before, after))
                    bend = abs(2 * at(g, *here) - at(g, *before) - at(g, *after))
                    total += slope * math.exp(-2 * bend) / 20
        assert float(curvature_smoothness(d, image, padding=padding)) == pytest.approx(total, rel=1e-12)  # type: ignore


def test_translations_by_the_picture_s_size() -> None:
    pose = translation(torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]))
    zoom = torch.tensor([2.0, 0.5])
    for how, factor in (("direct", 1 / zoom), ("invariant", torch.ones(2)), ("inverse", zoom)):
        torch.testing.assert_close(zoomed(pose, zoom, how), translation(pose[:, :3, 3] * factor[:, None]))
    assert zoomed(pose, None, "direct") is pose


def test_traps_of_the_draft() -> None:
    """Focal lengths of the camera, the kick-start's ground by the row of the full frame, outside by place not colour,
    exponents of the pixel that is made, mirrored principal points."""
    camera = Pinhole(torch.tensor([[0.58, -1.9]]), torch.tensor([[0.49, 0.46]]))
    target = view(torch.rand(1, 3, 64, 96), camera)
    focal = geometry_inputs(target)[1]
    torch.testing.assert_close(focal, torch.tensor([[0.58 * 96, 1.9 * 64]]) / 2000)
    mirrored = camera.mirrored().center[0, 0] * 96 - 0.5
    assert float(mirrored) == pytest.approx(96 - 1 - (0.49 * 96 - 0.5), abs=1e-4)  # W - 1 - c_x, in pixels

    # The kick-start: nothing nearer than `least` above the middle of the full frame, `most` at its last row.
    rules, seen = VolumeConfig(levels=5, mask="none"), []
    lower = crop(clip(1), (32, 0, 32, 96))
    for sample in (clip(1), lower):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(aquanet, "reproject", lambda depth, *rest: seen.append(depth) or reproject(depth, *rest))
            aquanet.kick_start(sample, rules)
    whole, part = seen[0][0, 0, :, 0], seen[2][0, 0, :, 0]
    assert (whole[:32] == rules.least).all()
    assert (whole[32:].diff() > 0).all()
    assert float(whole[-1]) == pytest.approx(rules.most)
    torch.testing.assert_close(part, whole[32:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aquanet, "reproject", lambda depth, *rest: seen.append(depth) or reproject(depth, *rest))
        aquanet.kick_start(clip(1), replace(rules, ground="paper"))
    torch.testing.assert_close(seen[-1][0, 0, :, 0], torch.linspace(rules.least, rules.most, 64))
    # In a picture twice as large the told ground is as near as things that are pushed by t / zoom must be.
    plain = clip(1)
    twice = replace(plain, zoom=torch.full((1,), 2.0))
    for how, factor in (("direct", 0.5), ("invariant", 1.0), ("inverse", 2.0)):
        poses = [zoomed(known_pose("", source), twice.zoom, how) for source in plain.sources]
        assert factor == float(poses[0][0, :3, 3].norm() / known_pose("", plain.sources[0])[0, :3, 3].norm())
        moved = tuple(replace(s, from_target=pose) for s, pose in zip(plain.sources, poses, strict=True))
        told_rules = replace(rules, translation=how)
        torch.testing.assert_close(
            aquanet.kick_start(replace(twice, sources=moved), told_rules), aquanet.kick_start(plain, told_rules)
        )

    # A grey of the family's mean colour, which the release takes for what is outside, is compared like any other.
    grey = view(torch.tensor(MEAN)[None, :, None, None].expand(1, 3, 64, 96), camera)
    still = Sample(grey, (replace(target, image=torch.zeros(1, 3, 64, 96)),), torch.ones(1, 1, 64, 96))
    assert small(mask="none")(still)["photometric"].item() == pytest.approx(sum(MEAN) / 3, rel=1e-3)

    # Exponents are read, un-warped, where the new view's pixel stands.
    exponents = 0.5 + torch.rand(1, 1, 64, 96)
    sample = clip(1)
    method, source = small(mask="none", planes="source"), sample.sources[0]
    there = method.level_uv(exponents, source, invert(source.from_target), sample.target)(2)
    for row, column in ((20, 40), (40, 50)):
        depth = 0.3 * math.exp(math.log(60) * (0.5 ** float(exponents[0, 0, row, column]) - 1))
        one = reproject(torch.full((1, 1, 64, 96), depth), source.camera, invert(source.from_target), source.camera)
        torch.testing.assert_close(there[0, row, column], one.uv[0, row, column])


def test_weights_have_no_gradient() -> None:
    """What is covered, and the target's mask in the new view, weigh the loss and are not learned by it."""
    method, sample = small(), clip(1)
    method.first = method.frozen()
    weights = []

    def reconstruction(made: Tensor, real: Tensor, weight: Tensor, features: object) -> dict[str, Tensor]:
        weights.append(weight)
        return {"photometric": (weight * (made - real)).abs().mean()}

    for warp in ("forward", "backward"):
        method = small(warp=warp)
        method.first = method.frozen()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(aquanet, "reconstruction", reconstruction)
            method(sample)
    assert len(weights) == 4
    assert not any(weight.requires_grad for weight in weights)


# --- views that are made ---


@pytest.mark.parametrize("planes", ["target", "source"])
@pytest.mark.parametrize("name", ["forward", "posed"])
def test_true_levels_make_the_other_view(name: str, planes: str) -> None:
    """Of a camera that goes forward; of the paper's planes before the source if logits are its view's."""
    rig = RIGS[name]
    pair = photograph(rig)
    rules = VolumeConfig(levels=96, least=0.6 * float(pair.rho_target.min()), most=1.5 * float(pair.rho_target.max()))
    method = Aquanet(0.05, rules=replace(rules, planes=planes, mask="none"))  # type: ignore[arg-type]
    target, source = view(pair.target, rig.target), view(pair.source, rig.source, rig.source_from_target)
    back = invert(rig.source_from_target)
    ones = torch.ones_like(pair.rho_target)
    levels = torch.cat([levels_of(rules, ones).map(k, ones) for k in range(96)], 1)
    if planes == "target":
        rho = pair.rho_target
    else:  # what the source has at the place of each pixel of the target
        match = reproject(pair.rho_target, rig.target, rig.source_from_target, rig.source)
        rho = aquanet.pull(pair.rho_source, match.uv, "edge")
    step = float((levels[0, 1, 0, 0] / levels[0, 0, 0, 0]).log())
    logits = 12 - 12 * ((rho / levels).log() / step).square().clamp(max=4)
    there = method.level_uv(ones, source, back, target)
    made = sweep(pair.target, logits, there)
    inner = reproject(pair.rho_source, rig.source, back, rig.target).valid & (swept_coverage(logits, there) > 0.9)
    assert psnr(made, pair.source, inner) > 36
    wrong = Aquanet(0.05, rules=replace(rules, planes="source" if planes == "target" else "target", mask="none"))
    other = sweep(pair.target, logits, wrong.level_uv(ones, source, back, target))
    assert psnr(other, pair.source, inner) < psnr(made, pair.source, inner) - 6


def test_a_clip_of_panoramas_goes_through_the_same_lines(monkeypatch) -> None:
    """By spheres around the camera whose depth is predicted: true logits make the other panoramas, wrong ones do not;
    the network learns from them, forward, inversely, and in the kick-start."""
    rig = RIGS["turned"]
    pair = photograph(rig)
    rho = pair.rho_target
    rules = VolumeConfig(levels=48, least=0.6 * float(rho.min()), most=1.5 * float(rho.max()), mask="none")
    values = rho.new_tensor(levels_of(rules, torch.ones(1, 1, 1, 1)).values)[None, :, None, None]
    step = float((values[0, 1] / values[0, 0]).log())
    logits = 12 - 12 * ((rho / values).log() / step).square().clamp(max=4)
    sources = (view(pair.source, rig.source, rig.source_from_target),)
    sample = Sample(view(pair.target, rig.target), sources, 1 / rho)
    errors = []
    for given in (logits, logits.roll(15, 1)):
        with monkeypatch.context() as patch:
            patch.setattr(aquanet, "volume", lambda *_, given=given: (given, torch.ones_like(rho)))
            errors.append(float(Aquanet(0.05, rules=rules)(sample)["photometric"]))
    assert errors[0] < 0.00045  # without the seam 0.00055, by planes before the source 0.0025
    assert errors[1] > 40 * errors[0]

    small_sample = map_tensors(lambda x: x.float() if x.is_floating_point() else x, resize(sample, (64, 128)))
    focal = geometry_inputs(small_sample.target)[1]
    torch.testing.assert_close(focal, torch.tensor([[128 / (2 * math.pi), 64 / math.pi]]) / 2000)
    for warp in ("forward", "backward"):
        method = small(mask="none", warp=warp)
        torch.stack(list(method(small_sample).values())).sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())
    assert aquanet.kick_start(small_sample, rules).isfinite()


def test_what_is_behind_the_camera_is_outside() -> None:
    sample = clip(1)
    method = small(mask="none", least=1.0, most=100.0)
    back = invert(translation(torch.tensor([[0.0, 0.0, -3.0]])))
    there = method.level_uv(torch.ones(1, 1, 64, 96), sample.sources[0], invert(back), sample.target)
    assert (there(4) == -1).all()


def test_the_free_view_of_the_release_whose_flows_are_added(golden) -> None:
    """The draft adds a flow of rotation, at depth 1, to one of translation; ours composes them. The rest is alike."""
    truth = golden("aqua_freeview_as_released")
    image, logits, camera = truth["image"], truth["logits"], truth["K"]
    b, _, h, w = image.shape
    pixels = pixel_grid((h, w), image)[0].flatten(0, 1).T * torch.tensor([[w], [h]], dtype=F64) - 0.5
    rays = torch.linalg.inv(camera) @ torch.cat([pixels, torch.ones_like(pixels[:1])])
    offset, angles = truth["pose_t_then_euler"].split(3, 1)
    turn = torch.eye(3, dtype=F64).expand(b, 3, 3)
    for axis in range(3):
        turn = turn @ axis_angle(angles * torch.eye(3, dtype=F64)[axis])

    def flow(points: Tensor) -> Tensor:
        projected = camera @ points
        return projected[:, :2] / projected[:, 2:].clamp(min=1e-3) - pixels

    def there(k: int) -> Tensor:
        place = pixels + flow(turn @ rays) + flow(rays / truth["levels"][k] + offset[..., None])
        return ((place + 0.5) / torch.tensor([[w], [h]], dtype=F64)).unflatten(2, (h, w)).permute(0, 2, 3, 1)

    # The same places as lines: start + rho * slope is z * (place + 1/2, 1) in uv, for the fused pass.
    flat, extent = torch.ones_like(pixels[:1]).expand(b, 1, -1), torch.tensor([w, h, 1, 1], dtype=F64)[:, None]
    added = torch.cat([flow(turn @ rays) + 0.5, flat], 1)
    ends = []
    for points in (camera @ rays.expand(b, 3, -1), camera @ offset[..., None].expand(b, 3, h * w)):
        x, y, z = (torch.cat([points[:, :2], 0 * flat], 1) + points[:, 2:] * added).split(1, 1)
        ends.append((torch.cat([x, y, z, z], 1) / extent).unflatten(2, (h, w)))
    lines = Pencil(Levels(tuple(truth["levels"].tolist())), *ends, margin=math.inf)
    mixture = torch.cat([image, truth["static_mask"]], 1)
    assert kernels.fused_sweep(lines, "zeros", mixture, logits) is not None
    for places in (there, lines):
        carried, seen = sweep(mixture, logits, places), swept_coverage(logits, places)
        for ours, name in (
            (carried[:, :3], "synth"), (carried[:, 3:], "static_mask_projected"), (seen, "maskR"),
        ):  # fmt: skip
            torch.testing.assert_close(ours, truth[name], atol=5e-6, rtol=0)


# --- losses ---


@pytest.mark.parametrize(
    "rules",
    [
        *(
            {"warp": "backward"},
            {"mask": "auto"},
            {"spacing": "linear"},
            {"spacing": "exponential"},
            {"planes": "source"},
        ),
        *({"network": "plade"}, {"network": "dirnet", "warp": "backward"}),
    ],
)
def test_every_choice_reaches_every_parameter(rules) -> None:
    method = small(**{"mask": "none", **rules})
    terms = method(clip())
    assert set(terms) == {"photometric", "smoothness"}
    sum(terms.values()).backward()
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_the_papers_other_networks() -> None:
    """vPLADE-Net's levels stand still, whatever the spacing; DIRNet-BW has none, and learns by masks and boosting."""
    plade, sample = small(network="plade", mask="none"), clip()
    prediction = plade.predict(sample.target)
    assert (prediction.extras["exponents"] == 1).all()
    logits, _ = aquanet.volume(plade.network, sample.target.seen, *geometry_inputs(sample.target))
    wanted = expected(VolumeConfig(levels=5, spacing="exponential"), logits, torch.ones_like(logits[:, :1]))
    torch.testing.assert_close(prediction.inverse_depth, wanted)
    dirnet = small(network="dirnet", warp="backward", threshold=1e-12)
    inverse = dirnet.predict(sample.target).inverse_depth
    assert inverse.shape == (2, 1, 64, 96)
    assert 0.005 < inverse.min() < inverse.max() < 0.3
    dirnet.first = dirnet.teacher = dirnet.frozen()
    terms = dirnet(sample)
    assert terms["photometric"] < 0.1
    assert terms["boost"] > 0
    with pytest.raises(InputError, match="--warp backward"):
        small(network="dirnet")


def test_a_source_without_a_pose_asks_the_step_that_predicts_them_once() -> None:
    method, sample = small(mask="none"), clip()
    bare = replace(sample, sources=tuple(replace(source, from_target=None) for source in sample.sources))
    with pytest.raises(InputError, match="needs the pose of each camera"):
        method(bare)
    calls = []

    def pose(given: Sample) -> Sample:
        calls.append(given)
        return sample

    method.pose = pose  # type: ignore[assignment]
    assert method(bare)["photometric"] == method(sample)["photometric"]
    assert calls == [bare]


def test_zoom_divides_translations() -> None:
    method, sample = small(mask="none"), clip()
    scaled = tuple(
        replace(source, from_target=zoomed(source.from_target, torch.full((2,), 2.0), "inverse"))
        for source in sample.sources
    )
    twice = replace(sample, sources=scaled, zoom=torch.full((2,), 2.0))
    torch.testing.assert_close(method(twice)["photometric"], method(sample)["photometric"])


def test_the_second_stage_masks_what_the_first_finds_moving() -> None:
    """A first stage that tells depth by position on the left half only."""

    class First(nn.Module):
        def forward(self, image: Tensor, where: Tensor, focal: Tensor) -> Tensor:
            left = (torch.arange(image.shape[-1]) < image.shape[-1] // 2).to(image)
            return 0.1 + 0.09 * left * where[:, :1].clamp(-1, 1)

    method, sample = small(boost=0.1), clip()
    with pytest.raises(InputError, match="first stage"):
        method(sample)
    method.first = aquanet.Frozen(First())
    static = method.static(sample.target, *geometry_inputs(sample.target))
    assert set(static.unique().tolist()) == {0.0, 1.0}
    assert static[..., 50:].all()
    assert static[..., :44].mean() < 0.2
    with torch.no_grad():
        unsure = method.predict(sample.target)
    relative = unsure.uncertainty / unsure.inverse_depth
    assert relative[..., 50:].max() < 0.01
    torch.testing.assert_close((relative.square() < 0.03).float(), static)
    depths = [1 / (0.1 + 0.09 * max(-1, min(1, u))) for u in (-0.8, -0.3, -1.3)]  # of a column 0.2 from the left
    sideways = small(boost=0.1, passes=3)
    sideways.first = method.first
    with torch.no_grad():
        three = sideways.predict(sample.target)
    expected = np.std(depths, ddof=1) / np.mean(depths)
    column = (three.uncertainty / three.inverse_depth)[0, 0, :, round(0.1 * 95)]
    assert column.mean() == pytest.approx(expected, rel=0.05)
    assert small(mask="none").predict(sample.target).uncertainty is None
    masked, without = method(sample)["photometric"], small(mask="none")
    without.load_state_dict(method.state_dict())
    assert masked < 0.7 * without(sample)["photometric"]

    teacher = PreviousEpoch(method)
    assert teacher.state_dict() == {}
    assert "boost" not in method(sample)
    teacher(method)
    terms = method(sample)
    assert terms["boost"] > 0
    terms["boost"].backward()
    assert method.network.unet.logits.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in method.teacher.module.parameters())
    assert "boost" not in method.eval()(sample)
    again = small(boost=0.1)
    PreviousEpoch(again).load_state_dict(teacher.state_dict())
    assert again.state_dict().keys() == method.state_dict().keys() == small(mask="none").state_dict().keys()
    image, inputs = sample.target.image, geometry_inputs(sample.target)
    torch.testing.assert_close(again.teacher(image, *inputs), method.teacher(image, *inputs))


def stacked(logits: Tensor, places: Callable[[int], Tensor]) -> Tensor:
    """Logits, moved: all levels beside each other."""
    return torch.cat([aquanet.pull(logits[:, k : k + 1], places(k), "zeros") for k in range(logits.shape[1])], 1)


def test_the_second_stage_term_by_term() -> None:
    """Eq. 10 to 12 from stacks of moved probabilities: half of each source's, where it is seen and both stand still;
    the previous epoch's boosted depth where the target moves, over its maximum."""
    torch.manual_seed(0)
    sample, method = clip(1), small(boost=0.1, threshold=0.03)
    masks = [(torch.rand(1, 1, 64, 96) > 0.3).float() for _ in range(3)]
    better = 0.05 + 0.2 * torch.rand(1, 1, 64, 96)
    method.first = method.teacher = method.frozen()
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        taken = iter(masks)
        patch.setattr(Aquanet, "static", lambda *_: next(taken))
        patch.setattr(aquanet, "boosted", lambda *_, **__: better)
        terms = method.train()(sample)
    with torch.no_grad():
        logits, exponents = aquanet.volume(method.network, sample.target.seen, *geometry_inputs(sample.target))
        inverse = expected(method.rules, logits, exponents)
        photometric = []
        for source, static in zip(sample.sources, masks[1:], strict=True):
            places = method.level_uv(exponents, source, invert(source.from_target), sample.target)
            weights = stacked(logits, places).softmax(1)
            made, projected = (
                sum(weights[:, k : k + 1] * aquanet.pull(x, places(k), "zeros") for k in range(5))
                for x in (sample.target.image, masks[0])
            )
            seen = stacked(logits.softmax(1), places).sum(1, keepdim=True).clamp(max=1)
            photometric.append((seen * static * projected * (made - source.image).abs()).mean())
        wanted = {
            "photometric": (photometric[0] + photometric[1]) / 2,
            "smoothness": 0.1 * curvature_smoothness(inverse, sample.target.image),
            "boost": 0.1 * ((1 - masks[0]) * (inverse - better).abs()).mean() / better.max(),
        }
    assert terms.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-4, atol=1e-7)
