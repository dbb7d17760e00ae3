"""Sample -> Sample. Nothing is drawn in secret: every random function takes the generator it draws from.

Geometry changes pictures, cameras, poses, windows and truth together; colour changes what is `seen`, and for Monodepth
what losses compare with too.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, Pinhole, axis_angle, invert, mirror, rigid, size_of, uv_rotated
from cyclopean.losses import gaussian_taps
from cyclopean.sample import Image, Sample, View
from cyclopean.synthesis import pull, pull_nearest

Augmentation = Callable[[Sample, Generator], Sample]
Box = tuple[int, int, int, int]  # top, left, height, width in pixels


@dataclass(frozen=True)
class Steps:
    """Augmentations, one after the other."""

    steps: tuple[Augmentation, ...]

    def __call__(self, sample: Sample, generator: Generator) -> Sample:
        for step in self.steps:
            sample = step(sample, generator)
        return sample


@dataclass(frozen=True)
class Sometimes:
    """A `step` taken with that probability."""

    probability: float
    step: Augmentation

    def __call__(self, sample: Sample, generator: Generator) -> Sample:
        return self.step(sample, generator) if uniform(generator, 0.0, 1.0) < self.probability else sample


def derived_seed(*parts: int | str) -> int:
    """Return a seed made of names and numbers, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()) >> 1


def uniform(generator: Generator, low: float, high: float) -> float:
    """Draw one number in [low, high)."""
    return low + (high - low) * torch.rand((), generator=generator).item()


# --- geometry ---------------------------------------------------------------------------------------------------------


def mirror_sample(sample: Sample) -> Sample:
    """Mirror everything; target and sources keep their roles, so a source on the right is now on the left."""
    frames = None if sample.frames is None else sample.frames.flip(-1)
    sources = tuple(_mirrored(v) for v in sample.sources)
    return replace(sample, target=_mirrored(sample.target), sources=sources, depth=sample.depth.flip(-1), frames=frames)


def flip_stereo(sample: Sample) -> Sample:
    """Mirror a stereo pair and swap its roles: the source stays on the right.

    The new target is the old source, whose true depth is not known: it is NaN.
    """
    if not sample.sources:
        raise InputError("a stereo pair is needed, and this data set has single pictures; give pairs (docs/data.md).")
    if len(sample.sources) != 1 or sample.sources[0].from_target is None:
        raise InputError(
            f"a stereo pair is needed, one source whose place is known, and there are {len(sample.sources)} sources "
            f"({sum(s.from_target is None for s in sample.sources)} without a pose, as frames of a video are); give "
            "pairs (sources=stereo), or take a method that predicts poses, such as monodepth2."
        )
    return mirror_sample(swap_stereo(sample))


def swap_stereo(sample: Sample) -> Sample:
    """Swap the roles of a stereo pair and mirror nothing: the source stands on the other side now.

    Feeding left and right at random (Monodepth2 on pairs) spreads what is hidden over both sides of things. The new
    target's true depth is not known: it is NaN.
    """
    if len(sample.sources) != 1 or sample.sources[0].from_target is None:
        raise InputError("swapping needs one source with a known pose; give --swap 0 for other rigs.")
    source, pose = sample.sources[0], sample.sources[0].from_target
    eye = torch.eye(4, dtype=pose.dtype, device=pose.device).expand_as(pose)
    target, source = replace(source, from_target=eye), replace(sample.target, from_target=invert(pose))
    frames = None if sample.frames is None else sample.frames.flip(1)
    return replace(
        sample, target=target, sources=(source,), depth=torch.full_like(sample.depth, torch.nan), frames=frames
    )


def crop(sample: Sample, box: Box) -> Sample:
    """Crop every view to one box (top, left, height, width in pixels); cameras and windows follow. Pinholes only.

    `frames` stay whole: how the camera moved is seen best in all of the picture.
    """
    h, w = sample.depth.shape[-2:]
    top, left, height, width = box
    if not (top >= 0 and left >= 0 and 0 < height <= h - top and 0 < width <= w - left):
        raise InputError(
            f"cannot crop {height}x{width} at ({top}, {left}) out of {h}x{w} pixels; choose a part inside."
        )
    part = sample.depth.new_tensor([left / w, top / h, (left + width) / w, (top + height) / h])
    cut = sample.depth[..., top : top + height, left : left + width]
    views = [_cropped(v, box, part.expand(len(sample), 4)) for v in (sample.target, *sample.sources)]
    return replace(sample, target=views[0], sources=tuple(views[1:]), depth=cut)


def resize(sample: Sample, size: tuple[int, int]) -> Sample:
    """Resize every view and the truth to (height, width): colours by area, truth and validity by nearest pixel.

    No camera changes, cameras know no resolution; `zoom`, where there is one, is multiplied by how much larger things
    become (the geometric mean of both directions).
    """
    h, w = sample.depth.shape[-2:]
    if (h, w) == size:
        return sample
    views = [_resized(v, size) for v in (sample.target, *sample.sources)]
    depth = F.interpolate(sample.depth, size, mode="nearest-exact")
    zoom = None if sample.zoom is None else sample.zoom * math.sqrt(size[0] * size[1] / (h * w))
    return replace(sample, target=views[0], sources=tuple(views[1:]), depth=depth, zoom=zoom)


def with_frames(sample: Sample, size: tuple[int, int]) -> Sample:
    """Return `sample` with its pictures at `size` as `frames` for a pose network, if the pose of a source is unknown.

    `zoom` is then how much larger things are in the pictures than in the frames: 1 once the whole pictures are resized
    to `size`. Precondition: nothing is cropped yet.
    """
    if all(v.from_target is not None for v in sample.sources):
        return sample
    h, w = sample.depth.shape[-2:]
    frames = torch.stack([resize_image(v.image, size) for v in (sample.target, *sample.sources)], 1)
    return replace(
        sample, frames=frames, zoom=sample.depth.new_full((len(sample),), math.sqrt(h * w / math.prod(size)))
    )


@dataclass(frozen=True)
class Resize:
    """The step `resize`."""

    size: tuple[int, int]

    def __call__(self, sample: Sample, generator: Generator) -> Sample:  # noqa: ARG002
        return resize(sample, self.size)


@dataclass(frozen=True)
class Zoom:
    """A random part at least `smallest` as high as the largest that fits, at `size` (height, width).

    Its aspect is that of `size` times a factor in [1/stretch, stretch]. Teaches many fields of view.
    """

    size: tuple[int, int]
    smallest: float
    stretch: float

    def __call__(self, sample: Sample, generator: Generator) -> Sample:
        h, w = sample.depth.shape[-2:]
        aspect = self.size[1] / self.size[0] * self.stretch ** uniform(generator, -1.0, 1.0)
        height = min(h, w / aspect) * uniform(generator, self.smallest, 1.0)
        rows, columns = min(h, max(1, round(height))), min(w, max(1, round(height * aspect)))
        top = round(uniform(generator, 0.0, 1.0) * (h - rows))
        left = round(uniform(generator, 0.0, 1.0) * (w - columns))
        return resize(crop(sample, (top, left, rows, columns)), self.size)


@dataclass(frozen=True)
class ZoomedPatch:
    """A random part of `size` (height, width) of the pictures resized by a factor in [`least`, `most`].

    The factor is at least what makes the part fit. `zoom` is how much larger things are than in whole pictures resized
    to `size`; `frames` stay whole (AQUANet, sec. 3.3).
    """

    size: tuple[int, int]
    least: float
    most: float

    def __call__(self, sample: Sample, generator: Generator) -> Sample:
        h, w = sample.depth.shape[-2:]
        fits = max(self.size[0] / h, self.size[1] / w)
        factor = max(fits, uniform(generator, max(self.least, min(fits, self.most)), self.most))
        rows, columns = max(self.size[0], round(h * factor)), max(self.size[1], round(w * factor))
        top = round(uniform(generator, 0.0, 1.0) * (rows - self.size[0]))
        left = round(uniform(generator, 0.0, 1.0) * (columns - self.size[1]))
        part = crop(resize(sample, (rows, columns)), (top, left, *self.size))
        zoom = math.sqrt(rows * columns / (self.size[0] * self.size[1]))
        return replace(part, zoom=sample.depth.new_full((len(sample),), zoom))


def shrunk(sample: Sample, smallest: float, multiple: int, generator: Generator) -> Sample:
    """Resize the whole batch to one size between `smallest` times its own and its own, whose sides `multiple` divides.

    The height is drawn evenly in its logarithm (1/2 to 0.7 is as likely as 0.7 to 1) and rounded, the width follows, so
    that the shape stays as near as the multiple allows. Teaches one network to look at pictures small, where it sees
    the layout, and large, where it sees edges.
    """
    h, w = sample.depth.shape[-2:]
    least, _ = smallest_size((h, w), smallest, multiple)
    rows = max(least, round(h * smallest ** uniform(generator, 0.0, 1.0) / multiple) * multiple)
    return resize(sample, (rows, _as_wide((h, w), rows, multiple)))


def smallest_size(size: tuple[int, int], smallest: float, multiple: int) -> tuple[int, int]:
    """Return the smallest (height, width) that `shrunk` gives."""
    rows = math.ceil(smallest * size[0] / multiple) * multiple
    return rows, _as_wide(size, rows, multiple)


def _as_wide(size: tuple[int, int], rows: int, multiple: int) -> int:
    return max(1, round(rows * size[1] / size[0] / multiple)) * multiple


def one_each_way(sample: Sample, generator: Generator) -> Sample:
    """Draw one of the frames before the target and one of those after it: AQUANet's random skip of frames.

    Of sources whose poses are to be predicted the first half was taken before the target (`methods.pose`). With one on
    each side, or none, nothing is drawn.
    """
    half = len(_unposed(sample)) // 2
    if half < 2:
        return sample
    before, after = (int(torch.randint(half, (), generator=generator)) for _ in range(2))
    return _each_way(sample, before, after)


def nearest_each_way(sample: Sample) -> Sample:
    """Keep the nearest frame before the target and the nearest after it, where there are more: for validation."""
    return _each_way(sample, 0, 0) if len(_unposed(sample)) > 3 else sample


def _each_way(sample: Sample, before: int, after: int) -> Sample:
    """Keep one source of each half of those without a pose, and all that have one."""
    unposed = _unposed(sample)
    half = len(unposed) // 2
    posed = [n for n in range(len(sample.sources)) if n not in unposed]
    return _with_sources(sample, [*posed, unposed[:half][before], unposed[half:][after]])


def reversed_time(sample: Sample, _: Generator) -> Sample:
    """Swap what was taken before the target and what was taken after it, as if the film ran backwards."""
    unposed = _unposed(sample)
    half, order = len(unposed) // 2, list(range(len(sample.sources)))
    for n, other in zip(unposed, (*unposed[half:], *unposed[:half]), strict=True):
        order[n] = other
    return _with_sources(sample, order)


def _unposed(sample: Sample) -> list[int]:
    return [n for n, source in enumerate(sample.sources) if source.from_target is None]


def _with_sources(sample: Sample, order: Sequence[int]) -> Sample:
    """Return `sample` with these of its sources, in this order; so are the frames for pose networks."""
    frames = None if sample.frames is None else sample.frames[:, [0, *(n + 1 for n in order)]]
    return replace(sample, sources=tuple(sample.sources[n] for n in order), frames=frames)


def flipped(sample: Sample, _: Generator) -> Sample:
    """Apply `flip_stereo` as a step."""
    return flip_stereo(sample)


def swapped(sample: Sample, _: Generator) -> Sample:
    """Apply `swap_stereo` as a step."""
    return swap_stereo(sample)


def mirrored(sample: Sample, _: Generator) -> Sample:
    """Apply `mirror_sample` as a step."""
    return mirror_sample(sample)


def roll_sample(sample: Sample, columns: int) -> Sample:
    """Roll panoramas to the right by whole columns, all views alike; poses turn with them.

    The trap of the spherical release, which rolls its pictures only: a horizontal baseline then points elsewhere.
    """
    angle = 2 * math.pi * columns / sample.depth.shape[-1]
    spin = axis_angle(sample.depth.new_tensor([[0.0, angle, 0.0]]).expand(len(sample), 3))
    turn = rigid(spin, torch.zeros_like(spin[:, 0]))
    views = [_turned(v, turn, lambda x: x.roll(columns, -1)) for v in (sample.target, *sample.sources)]
    return replace(sample, target=views[0], sources=tuple(views[1:]), depth=sample.depth.roll(columns, -1))


def rolled(sample: Sample, generator: Generator) -> Sample:
    """Apply `roll_sample` with a random number of columns."""
    width = sample.depth.shape[-1]
    return roll_sample(sample, int(torch.randint(width, (), generator=generator)))


def rotate_sample(sample: Sample, rotation: Float[Tensor, "b 3 3"]) -> Sample:
    """Rotate panoramas about any axis, all views alike; poses turn with them: out(d) = in(R^T d).

    Colours are sampled bilinearly, true depth (the radius, which no rotation changes) at the nearest pixel; what is
    valid all around a pixel is valid there. No rotation at all changes nothing, to the last bit.
    """
    if torch.equal(rotation, torch.eye(3).to(rotation).expand_as(rotation)):
        return sample
    uv = uv_rotated(rotation, size_of(sample.depth))
    turn = rigid(rotation, torch.zeros_like(rotation[:, 0]))
    views = [_turned(v, turn, lambda x: pull(x, uv, "sphere")) for v in (sample.target, *sample.sources)]
    depth = pull_nearest(sample.depth, uv, "sphere")
    return replace(sample, target=views[0], sources=tuple(views[1:]), depth=depth)


def _turned(v: View, turn: Float[Tensor, "b 4 4"], moved: Callable[[Tensor], Tensor]) -> View:
    """Return a panorama rotated by `turn`, which `moved` does to its pixels."""
    if not isinstance(v.camera, Equirectangular):
        raise InputError("only panoramas can be rotated; take panoramas, or a method for ordinary pictures.")
    image = moved(v.image)
    seen = image if v.seen is v.image else moved(v.seen)
    pose = None if v.from_target is None else turn @ v.from_target @ invert(turn)
    valid = moved(v.valid.to(image.dtype)) > 1 - 1e-3
    return replace(v, image=image, seen=seen, from_target=pose, valid=valid)


def _mirrored(v: View) -> View:
    u0, v0, u1, v1 = v.window.unbind(-1)
    return View(
        image=v.image.flip(-1),
        seen=v.seen.flip(-1),
        camera=v.camera.mirrored(),
        from_target=None if v.from_target is None else mirror(v.from_target),
        window=torch.stack([1 - u1, v0, 1 - u0, v1], -1),
        valid=v.valid.flip(-1),
    )


def _cropped(v: View, box: Box, part: Float[Tensor, "b 4"]) -> View:
    if not isinstance(v.camera, Pinhole):
        raise InputError("only pinhole pictures can be cropped; a panorama's neighbours are all around it.")
    top, left, height, width = box
    rows, columns = slice(top, top + height), slice(left, left + width)
    corner, extent = v.window[:, :2], v.window[:, 2:] - v.window[:, :2]
    window = torch.cat([corner + part[:, :2] * extent, corner + part[:, 2:] * extent], 1)
    camera = v.camera.cropped(part)
    image, seen, valid = (x[..., rows, columns] for x in (v.image, v.seen, v.valid))
    return View(image, seen, camera, v.from_target, window, valid)


def _resized(v: View, size: tuple[int, int]) -> View:
    image = resize_image(v.image, size)
    seen = image if v.seen is v.image else resize_image(v.seen, size)
    valid = F.interpolate(v.valid.to(image.dtype), size, mode="nearest-exact") > 0
    return View(image, seen, v.camera, v.from_target, v.window, valid)


def resize_image(image: Image, size: tuple[int, int]) -> Float[Tensor, "b 3 h2 w2"]:
    """Resize colours to (height, width), each new pixel a weighted mean of those under it."""
    return F.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


# --- colour -----------------------------------------------------------------------------------------------------------


def monodepth_colour(sample: Sample, generator: Generator) -> Sample:
    """Change gamma by [0.8, 1.2], then brightness in [0.5, 2], then each channel by [0.8, 1.2]; one draw for all views.

    Monodepth's, which also compares with the changed images: both `seen` and `image` change.
    """
    gamma, brightness = uniform(generator, 0.8, 1.2), uniform(generator, 0.5, 2.0)
    channels = 0.8 + 0.4 * torch.rand(3, generator=generator)

    def change(image: Image) -> Image:
        return (image**gamma * (brightness * channels.to(image)[:, None, None])).clamp(0, 1)

    return _every_view(sample, lambda v: replace(v, image=change(v.image), seen=change(v.seen)))


def separate_colour(sample: Sample, generator: Generator) -> Sample:
    """Change gamma, brightness and channels as `monodepth_colour` does, each with a probability of a half by itself.

    FAL-Net's and AQUANet's. The draft of AQUANet dims channels only (0.8 to 1); the others of the family go up to 1.2.
    """
    gamma, brightness = uniform(generator, 0.8, 1.2), uniform(generator, 0.5, 2.0)
    channels = 0.8 + 0.4 * torch.rand(3, generator=generator)
    chosen = torch.rand(3, generator=generator) < 0.5
    power = gamma if chosen[0] else 1.0
    gain = (brightness if chosen[1] else 1.0) * (channels if chosen[2] else torch.ones(3))

    def change(image: Image) -> Image:
        return (image**power * gain.to(image)[:, None, None]).clamp(0, 1)

    return _every_view(sample, lambda v: replace(v, image=change(v.image), seen=change(v.seen)))


def strong_colour(sample: Sample, generator: Generator) -> Sample:
    """Show the network another camera's picture: balance, gamma, contrast, saturation, sometimes grey.

    For data that must stand for all photographs. Losses still compare with the untouched images.
    """
    gamma, gain = 2 ** uniform(generator, -0.6, 0.6), 2 ** uniform(generator, -0.5, 0.5)
    balance = 0.8 + 0.4 * torch.rand(3, generator=generator)
    contrast = uniform(generator, 0.6, 1.4)
    saturation = 0.0 if uniform(generator, 0.0, 1.0) < 0.1 else uniform(generator, 0.3, 1.6)

    def change(image: Image) -> Image:
        x = image.clamp(1e-3, 1) ** gamma * (gain * balance.to(image)[:, None, None])
        mean = x.mean((1, 2, 3), keepdim=True)
        x = mean + contrast * (x - mean)
        grey = x.mean(1, keepdim=True)
        return (grey + saturation * (x - grey)).clamp(0, 1)

    return _seen(sample, change)


def mild_colour(sample: Sample, generator: Generator) -> Sample:
    """Change brightness, contrast and saturation by [0.8, 1.2] and hue by up to a tenth of a turn, of the input alone.

    Monodepth2's, whose losses compare the untouched images; hue is turned in the plane of chrominance (YIQ).
    """
    brightness, contrast, saturation = (uniform(generator, 0.8, 1.2) for _ in range(3))
    turn = uniform(generator, -0.1, 0.1) * 2 * math.pi
    to_yiq = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    cos, sin = saturation * math.cos(turn), saturation * math.sin(turn)
    turned = torch.tensor([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])
    matrix = torch.linalg.inv(to_yiq) @ turned @ to_yiq

    def change(image: Image) -> Image:
        x = image * brightness
        mean = x.mean((1, 2, 3), keepdim=True)
        return torch.einsum("ij,bjhw->bihw", matrix.to(image), mean + contrast * (x - mean)).clamp(0, 1)

    return _seen(sample, change)


def blurred(sample: Sample, generator: Generator) -> Sample:
    """Blur the input by a Gaussian of up to 1.5 pixels, as if out of focus or enlarged."""
    deviation = uniform(generator, 0.3, 1.5)
    reach = max(1, round(3 * deviation))
    kernel = gaussian_taps(reach, deviation, torch.zeros(())).expand(3, 1, 1, -1)

    def change(image: Image) -> Image:
        taps = kernel.to(image)
        across = F.conv2d(F.pad(image, (reach, reach, 0, 0), mode="replicate"), taps, groups=3)
        return F.conv2d(F.pad(across, (0, 0, reach, reach), mode="replicate"), taps.transpose(2, 3), groups=3)

    return _seen(sample, change)


def noisy(sample: Sample, generator: Generator) -> Sample:
    """Add sensor noise to the input: standard deviation up to 0.05, coarser on some."""
    deviation, step = uniform(generator, 0.0, 0.05), 1 + int(uniform(generator, 0.0, 2.0))

    def change(image: Image) -> Image:
        h, w = image.shape[-2:]
        grain = torch.randn(len(image), 3, -(-h // step), -(-w // step), generator=generator).to(image)
        grain = F.interpolate(grain, (h, w), mode="nearest-exact")
        return (image + deviation * grain).clamp(0, 1)

    return _seen(sample, change)


def erased(sample: Sample, generator: Generator) -> Sample:
    """Paint a patch of one colour over the input, up to a sixth of each side, so that context must fill in."""
    h, w = sample.depth.shape[-2:]
    rows, columns = (max(1, int(n * uniform(generator, 0.02, 1 / 6))) for n in (h, w))
    top, left = round(uniform(generator, 0.0, 1.0) * (h - rows)), round(uniform(generator, 0.0, 1.0) * (w - columns))
    colour = torch.rand(3, 1, 1, generator=generator)

    def change(image: Image) -> Image:
        patched = image.clone()
        patched[..., top : top + rows, left : left + columns] = colour.to(image)
        return patched

    return _seen(sample, change)


def _seen(sample: Sample, change: Callable[[Image], Image]) -> Sample:
    return _every_view(sample, lambda v: replace(v, seen=change(v.seen)))


def _every_view(sample: Sample, change: Callable[[View], View]) -> Sample:
    return replace(sample, target=change(sample.target), sources=tuple(map(change, sample.sources)))
