import math
from dataclasses import replace

import pytest
import torch
from torch import Generator, Tensor

from analytic import RIGS, Pair, photograph
from cyclopean import augmentation
from cyclopean.errors import InputError
from cyclopean.geometry import reproject
from cyclopean.sample import Sample, View, view
from cyclopean.synthesis import pull


def sample_of(pair: Pair) -> Sample:
    """A sample whose truth is known in both views: the source's in its `seen`, to follow it through changes."""
    target = view(pair.target, pair.rig.target)
    source = view(pair.source, pair.rig.source, pair.rig.source_from_target)
    return Sample(target, (source,), 1 / pair.rho_target, name=("one",))


@pytest.fixture(params=["rectified", "posed", "forward"])
def pinhole(request) -> Sample:
    return sample_of(photograph(RIGS[request.param]))


def rebuilt_error(sample: Sample, rho: Tensor) -> float:
    """Mean error of the target rebuilt from the source where it lands inside: small only if everything agrees."""
    source = sample.sources[0]
    assert source.from_target is not None
    match = reproject(rho, sample.target.camera, source.from_target, source.camera)
    error = (pull(source.image, match.uv, "edge") - sample.target.image).abs().mean(1, keepdim=True)
    assert match.valid.double().mean() > 0.2
    return error[match.valid].mean().item()


def same(one: Sample, other: Sample) -> None:
    for a, b in zip((one.target, *one.sources), (other.target, *other.sources), strict=True):
        for name in ("image", "seen", "from_target", "window", "valid"):
            torch.testing.assert_close(getattr(a, name), getattr(b, name))
        torch.testing.assert_close(a.camera.focal, b.camera.focal)
        torch.testing.assert_close(a.camera.center, b.camera.center)
    torch.testing.assert_close(one.depth, other.depth, equal_nan=True)


def test_a_mirrored_sample_still_fits_its_truth(pinhole):
    mirrored = augmentation.mirror_sample(pinhole)
    assert rebuilt_error(mirrored, 1 / mirrored.depth) == pytest.approx(
        rebuilt_error(pinhole, 1 / pinhole.depth), rel=0.05
    )
    assert rebuilt_error(mirrored, 1 / mirrored.depth) < 2e-3
    same(augmentation.mirror_sample(mirrored), pinhole)


def test_panoramas_mirror_too():
    sample = sample_of(photograph(RIGS["right"]))
    mirrored = augmentation.mirror_sample(sample)
    assert rebuilt_error(mirrored, 1 / mirrored.depth) < 5e-3
    assert mirrored.sources[0].from_target[0, 0, 3] == -sample.sources[0].from_target[0, 0, 3]


def test_a_flipped_pair_keeps_its_source_on_the_right_and_fits_the_swapped_truth():
    pair = photograph(RIGS["rectified"])
    flipped = augmentation.flip_stereo(sample_of(pair))
    assert flipped.sources[0].from_target[0, 0, 3] < 0
    torch.testing.assert_close(flipped.target.image, pair.source.flip(-1))
    assert rebuilt_error(flipped, pair.rho_source.flip(-1)) < 2e-3
    assert flipped.depth.isnan().all()
    twice = augmentation.flip_stereo(flipped)
    same(replace(twice, depth=1 / pair.rho_target), sample_of(pair))


def test_a_swapped_pair_has_its_source_on_the_left_and_fits_the_swapped_truth():
    pair = photograph(RIGS["rectified"])
    swapped = augmentation.swap_stereo(sample_of(pair))
    pose = swapped.sources[0].from_target
    assert pose is not None
    assert pose[0, 0, 3].item() == pytest.approx(0.5)
    assert torch.equal(swapped.target.image, pair.source)
    assert swapped.depth.isnan().all()
    assert rebuilt_error(swapped, pair.rho_source) < 1e-3
    same(augmentation.flip_stereo(sample_of(pair)), augmentation.mirror_sample(swapped))
    with pytest.raises(InputError, match="give --swap 0"):
        augmentation.swap_stereo(replace(swapped, sources=swapped.sources * 2))


def test_mild_colours_are_mild_and_keep_grey_grey(pinhole):
    """Monodepth2's: seen only, the same for all views; hue and saturation do nothing to grey."""
    grey = pinhole.target.image.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    sample = replace(pinhole, target=replace(pinhole.target, seen=grey))
    for seed in range(5):
        changed = augmentation.mild_colour(sample, Generator().manual_seed(seed))
        assert torch.equal(changed.target.image, pinhole.target.image)
        colours = changed.target.seen
        assert (colours - colours.mean(1, keepdim=True)).abs().max() < 2e-3
        assert 0.6 < colours.mean() / grey.mean() < 1.3
        other = changed.sources[0]
        assert (other.seen - other.image).abs().max() > 0.01


def test_flipping_clips_with_a_swap_is_refused():
    sample = sample_of(photograph(RIGS["rectified"]))
    with pytest.raises(InputError, match="a stereo pair is needed, and this data set has single pictures"):
        augmentation.flip_stereo(replace(sample, sources=()))
    with pytest.raises(InputError, match="one source whose place is known, and there are 2 sources"):
        augmentation.flip_stereo(replace(sample, sources=sample.sources * 2))


def test_a_crop_changes_camera_and_window_together(pinhole):
    cropped = augmentation.crop(pinhole, (16, 40, 96, 160))
    assert rebuilt_error(cropped, 1 / cropped.depth) < 2e-3
    h, w = pinhole.depth.shape[-2:]
    expected = torch.tensor([[40 / w, 16 / h, 200 / w, 112 / h]], dtype=torch.float64)
    torch.testing.assert_close(cropped.target.window, expected)
    again = augmentation.crop(cropped, (8, 10, 64, 100))
    same(again, augmentation.crop(pinhole, (24, 50, 64, 100)))


@pytest.mark.parametrize("box", [(0, 0, 129, 10), (-1, 0, 10, 10), (0, 220, 10, 10), (0, 0, 0, 10)])
def test_a_crop_outside_is_refused(box):
    with pytest.raises(InputError, match="choose a part inside"):
        augmentation.crop(sample_of(photograph(RIGS["rectified"])), box)


def test_panoramas_are_not_cropped():
    with pytest.raises(InputError, match="panorama"):
        augmentation.crop(sample_of(photograph(RIGS["up"])), (0, 0, 16, 16))


def test_resizing_changes_no_camera_and_fits_the_truth(pinhole):
    small = augmentation.resize(pinhole, (64, 112))
    assert small.target.camera is pinhole.target.camera
    assert small.depth.shape[-2:] == small.target.image.shape[-2:] == small.sources[0].valid.shape[-2:] == (64, 112)
    assert rebuilt_error(small, 1 / small.depth) < 6e-3


def test_shrunk_sizes_are_even_in_their_logarithm(pinhole):
    """Between a half and the whole the middle is 0.71; sides are the nearest that the network takes, never none."""
    big = augmentation.resize(pinhole, (256, 384))
    heights = [augmentation.shrunk(big, 0.5, 2, Generator().manual_seed(seed)).depth.shape[-2] for seed in range(200)]
    assert 128 <= min(heights) < 132
    assert 252 < max(heights) <= 256
    assert sorted(heights)[100] == pytest.approx(256 * 0.5**0.5, rel=0.04)


def test_shrinking_never_rounds_below_the_share(pinhole):
    """0.55 of 192 rows is 3.3 times 32: not 3 times."""
    big = augmentation.resize(pinhole, (192, 288))
    rows = {augmentation.shrunk(big, 0.55, 32, Generator().manual_seed(seed)).depth.shape[-2] for seed in range(60)}
    assert rows == {128, 160, 192}


@pytest.mark.parametrize(
    ("size", "multiple", "expected"),
    [
        ((128, 256), 128, {(128, 256)}),
        ((256, 512), 128, {(128, 256), (256, 512)}),
        ((224, 320), 32, {(128, 192), (160, 224), (192, 288), (192, 256), (224, 320)}),
        ((160, 224), 32, {(96, 128), (128, 192), (160, 224)}),
    ],
)
def test_shrinking_keeps_the_shape_as_well_as_the_network_lets_it(pinhole, size, multiple, expected):
    """Sides rounded apart would bend it by half: 128x384 of 256x512. Never under the share asked for."""
    big = augmentation.resize(pinhole, size)
    found = {
        tuple(augmentation.shrunk(big, 0.5, multiple, Generator().manual_seed(s)).depth.shape[-2:]) for s in range(60)
    }
    assert found <= expected
    assert len(found) >= min(3, len(expected))
    assert augmentation.smallest_size(size, 0.5, multiple) in found
    assert all(abs(math.log(w / h * size[0] / size[1])) < 0.08 for h, w in found)


def test_resizing_keeps_sky_and_unknown_depth_apart():
    sample = sample_of(photograph(RIGS["rectified"]))
    depth = sample.depth.clone()
    depth[..., :40, :], depth[..., 40:80, :] = torch.inf, torch.nan
    small = augmentation.resize(replace(sample, depth=depth), (64, 112)).depth
    assert small[..., :20, :].isinf().all()
    assert small[..., 20:40, :].isnan().all()
    assert small[..., 40:, :].isfinite().all()


def test_order_of_flip_and_crop_does_not_matter(pinhole):
    w = pinhole.depth.shape[-1]
    one = augmentation.mirror_sample(augmentation.crop(pinhole, (10, 20, 64, 100)))
    same(one, augmentation.crop(augmentation.mirror_sample(pinhole), (10, w - 120, 64, 100)))


def test_a_zoom_is_a_crop_of_the_size_asked_for(pinhole):
    step = augmentation.Zoom((64, 96), 0.5, 1.3)
    seen = []
    for seed in range(20):
        zoomed = step(pinhole, Generator().manual_seed(seed))
        assert zoomed.depth.shape[-2:] == (64, 96)
        assert rebuilt_error(zoomed, 1 / zoomed.depth) < 8e-3
        u0, v0, u1, v1 = zoomed.target.window[0].tolist()
        assert 0 <= u0 < u1 <= 1
        assert 0 <= v0 < v1 <= 1
        seen.append((v1 - v0, u1 - u0))
    heights = [height for height, _ in seen]
    assert min(heights) < 0.7
    assert max(heights) > 0.85


COLOURS = [
    augmentation.monodepth_colour,
    augmentation.separate_colour,
    augmentation.strong_colour,
    augmentation.blurred,
    augmentation.noisy,
    augmentation.erased,
]


@pytest.mark.parametrize("step", COLOURS)
def test_colours_stay_in_range_and_are_functions_of_their_generator(step, pinhole):
    one, again, other = (step(pinhole, Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(one.target.seen, again.target.seen)
    assert not torch.equal(one.target.seen, other.target.seen)
    for v in (one.target, *one.sources):
        assert v.seen.min() >= 0
        assert v.seen.max() <= 1
        assert v.seen.dtype == pinhole.target.seen.dtype
    assert not torch.equal(one.target.seen, pinhole.target.seen)
    torch.testing.assert_close(one.depth, pinhole.depth)


COMPARED = (augmentation.monodepth_colour, augmentation.separate_colour)


def test_gamma_brightness_and_channels_are_drawn_apart(pinhole):
    """Each alone in an eighth of the draws; ranges are the family's."""
    kinds = {"none": 0, "gamma": 0, "brightness": 0, "channels": 0, "several": 0}
    image = torch.full_like(pinhole.target.image, 0.25)
    image[..., 1] = 0.0625
    plain = replace(pinhole, target=replace(pinhole.target, image=image, seen=image))
    for seed in range(400):
        x = augmentation.separate_colour(plain, Generator().manual_seed(seed)).target.image[0, :, 0, :2]
        power = float((x[0, 0] / x[0, 1]).log() / math.log(4))
        gains = x[:, 0] / 0.25**power
        coloured = float(gains.max() / gains.min()) > 1 + 1e-5
        dimmed = not coloured and abs(float(gains[0]) - 1) > 1e-4
        curved = abs(power - 1) > 1e-4
        assert 0.79 < power < 1.21
        assert 0.39 < float(gains.min()) <= float(gains.max()) < 2.41
        changes = [name for name, is_ in (("gamma", curved), ("brightness", dimmed), ("channels", coloured)) if is_]
        kinds["several" if len(changes) > 1 else changes[0] if changes else "none"] += 1
    assert 25 < kinds["none"] < 75
    assert 25 < kinds["gamma"] < 75
    assert 25 < kinds["brightness"] < 75


def film(b: int = 2, known: int = 0) -> Sample:
    """Frames that are their number: target 0, before -1 and -2, after 1 and 2; `known` sources of known pose first."""
    camera = RIGS["forward"].target
    pictures = {n: torch.full((1, 3, 4, 6), 0.5 + n / 10, dtype=torch.float64) for n in (0, -1, -2, 1, 2, 3)}
    posed = [view(pictures[3], camera, RIGS["forward"].source_from_target)] * known
    unposed = [replace(view(pictures[n], camera), from_target=None) for n in (-1, -2, 1, 2)]
    frames = torch.stack([pictures[n] for n in (0, *[3] * known, -1, -2, 1, 2)], 1)
    depth = torch.ones(1, 1, 4, 6, dtype=torch.float64)
    return Sample(view(pictures[0], camera), (*posed, *unposed), depth, frames)


def numbers(sample: Sample) -> list[int]:
    """Numbers of the sources; the frames for pose networks follow."""
    found = [round(10 * (float(source.image[0, 0, 0, 0]) - 0.5)) for source in sample.sources]
    assert [round(10 * (float(x) - 0.5)) for x in sample.frames[0, :, 0, 0, 0]] == [0, *found]
    return found


def test_one_frame_before_and_one_after_are_drawn_and_time_runs_backwards():
    drawn = {tuple(numbers(augmentation.one_each_way(film(), Generator().manual_seed(n)))) for n in range(40)}
    assert drawn == {(-1, 1), (-1, 2), (-2, 1), (-2, 2)}
    generator = Generator().manual_seed(0)
    both = augmentation.one_each_way(film(known=1), generator)
    assert numbers(both)[0] == 3
    assert numbers(augmentation.reversed_time(both, generator)) == [3, numbers(both)[2], numbers(both)[1]]
    assert numbers(augmentation.reversed_time(film(), generator)) == [1, 2, -1, -2]
    assert numbers(augmentation.nearest_each_way(film(known=1))) == [3, -1, 1]
    assert augmentation.nearest_each_way(both) is both
    before = generator.get_state()
    assert augmentation.one_each_way(both, generator) is both  # nothing is drawn where there is no choice
    assert torch.equal(generator.get_state(), before)


def test_only_monodepths_colours_change_what_is_compared(pinhole):
    for step in COLOURS:
        changed = step(pinhole, Generator().manual_seed(0))
        assert torch.equal(changed.target.image, pinhole.target.image) == (step not in COMPARED)


def test_monodepths_colours_are_gamma_then_brightness_then_channels():
    """Recovered from three grey levels: c * x**gamma, the same for both views."""
    x = torch.tensor([0.1, 0.2, 0.4]).expand(1, 3, 8, 3)
    camera = RIGS["rectified"].target
    pose = RIGS["rectified"].source_from_target
    sample = Sample(view(x, camera), (view(x, camera, pose),), torch.ones(1, 1, 8, 3))
    for seed in range(30):
        changed = augmentation.monodepth_colour(sample, Generator().manual_seed(seed))
        y = changed.target.image[0, :, 0]
        assert torch.equal(changed.sources[0].image, changed.target.image)
        if y.max() >= 1:
            continue
        gamma = (y[:, 1] / y[:, 0]).log2()
        torch.testing.assert_close(gamma, (y[:, 2] / y[:, 1]).log2(), rtol=1e-3, atol=1e-3)
        assert 0.8 <= gamma[0] <= 1.2
        gain = y[:, 0] / 0.1**gamma
        assert 0.4 <= gain.min() <= gain.max() <= 2.4
        assert gain.max() / gain.min() <= 1.5 + 1e-4


def test_sometimes_is_as_often_as_asked():
    sample = sample_of(photograph(RIGS["rectified"]))
    generator = Generator().manual_seed(0)
    step = augmentation.Steps((augmentation.Sometimes(0.3, lambda s, g: replace(s, name=("changed",))),))
    assert 60 <= sum(step(sample, generator).name == ("changed",) for _ in range(300)) <= 120


def test_steps_can_be_sent_to_workers():
    """Spawned workers pickle them."""
    import pickle

    steps = augmentation.Steps(
        (
            augmentation.Zoom((8, 8), 0.5, 1.0),
            augmentation.Resize((8, 8)),
            augmentation.Sometimes(0.5, augmentation.flipped),
        )
    )
    assert pickle.loads(pickle.dumps(steps)) == steps


def test_views_share_no_memory_with_the_original(pinhole):
    before = pinhole.target.seen.clone()
    augmentation.erased(pinhole, Generator().manual_seed(0)).target.seen.zero_()
    assert torch.equal(pinhole.target.seen, before)
    assert isinstance(pinhole.target, View)


def test_zoom_and_frames_follow_pictures_of_unknown_pose(pinhole):
    assert augmentation.with_frames(pinhole, (32, 56)).frames is None  # poses are known
    unposed = replace(pinhole, sources=tuple(replace(s, from_target=None) for s in pinhole.sources))
    framed = augmentation.with_frames(unposed, (32, 56))
    h, w = pinhole.depth.shape[-2:]
    assert framed.frames.shape == (1, 2, 3, 32, 56)
    torch.testing.assert_close(framed.zoom, torch.full((1,), h / 32, dtype=framed.zoom.dtype))
    whole = augmentation.resize(framed, (32, 56))
    torch.testing.assert_close(whole.zoom, torch.ones_like(whole.zoom))
    torch.testing.assert_close(whole.target.image, framed.frames[:, 0])

    part = augmentation.crop(framed, (h // 4, w // 4, h // 2, w // 2))
    torch.testing.assert_close(part.zoom, framed.zoom)
    assert part.frames is framed.frames
    enlarged = augmentation.resize(part, (32, 56))  # half of the picture at the size of the frames: twice as large
    torch.testing.assert_close(enlarged.zoom, torch.full_like(enlarged.zoom, 2.0))
    torch.testing.assert_close(enlarged.target.window, framed.depth.new_tensor([[0.25, 0.25, 0.75, 0.75]]))
    # geometry's own pixels: the same ray has the same colour, in the part as in the whole
    torch.testing.assert_close(part.target.camera.focal, 2 * framed.target.camera.focal)

    generators = (Generator().manual_seed(3) for _ in range(2))
    zoom = augmentation.Zoom((32, 56), 0.5, 1.2)
    one, two = (zoom(s, g) for s, g in zip((augmentation.mirror_sample(framed), framed), generators, strict=True))
    torch.testing.assert_close(one.zoom, two.zoom)  # mirroring changes no size
    torch.testing.assert_close(one.frames, two.frames.flip(-1))


def test_crops_enlarged_and_moved_less_fit_as_the_whole_does(pinhole):
    """Direct: what is enlarged z times and taken for z times nearer, with translations z times shorter, still fits."""
    framed = augmentation.with_frames(
        replace(pinhole, sources=tuple(replace(s, from_target=None) for s in pinhole.sources)), (64, 112)
    )
    h, w = pinhole.depth.shape[-2:]
    part = augmentation.resize(augmentation.crop(framed, (h // 4, w // 4, h // 2, w // 2)), (64, 112))
    z = part.zoom[:, None, None, None]
    pose = pinhole.sources[0].from_target.clone()
    pose[:, :3, 3] /= part.zoom[:, None]
    posed = replace(part, sources=(replace(part.sources[0], from_target=pose),))
    assert rebuilt_error(posed, z / posed.depth) < 5e-3
