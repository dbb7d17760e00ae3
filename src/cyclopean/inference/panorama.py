"""Is a picture a panorama? What its metadata say, what its user says, and what can be seen at its borders."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean.choices import CAMERAS
from cyclopean.errors import InputError, unknown_name
from cyclopean.geometry import Equirectangular, pixel_grid
from cyclopean.io.image import Photo, resize
from cyclopean.io.metadata import Gpano
from cyclopean.sample import View, view
from cyclopean.synthesis import pull

# Of 17 panoramas the step over the seam was at most 2.0 of the steps beside it, and their outer columns correlated by
# 0.82 or more; of 102 cuts twice as wide as high out of photographs, at least 3.7, and 0.84 or less.
LARGEST_STEP, LEAST_LIKENESS, PLAINEST = 2.8, 0.75, 0.02
SIGHT = (128, 256)  # the size at which borders are looked at
# A row at a pole is one point. Of 15 panoramas with a closed seam the deviation along the outer rows was at most 0.050,
# and what changes along them in a sixteenth of the turn at most 0.28 of what changes in the middle.
MOST_ALONG, MOST_TURNING = 0.06, 0.4
# Things are seen all around: of 8 sectors, the one over the seam and most others hold an edge. Of 15 panoramas the
# weakest over the seam was 0.042, and 6 sectors were above that; a plain background before a studio's wall has 0.02.
SECTORS, LEAST_EDGE, LEAST_SECTORS = 8, 0.03, 5
DARK, LIT = 0.08, 0.7  # what a fisheye leaves is darker than this; so much of the rim of its circle is brighter
# Of 39 pairs of panoramas from places 0.2 to 0.26 m apart, real, traced and rendered, `alikeness` was at least 0.79; of
# the halves of single ones, where both close as panoramas do, at most 0.41; of 325 pairs of different places, 0.65.
ALIKE = 0.72
GLANCE = (16, 32)  # the size at which two panoramas are compared: what is near lies elsewhere in the other
ABOUT = 0.15  # of the ratio of sides: so near to 2 it may be a whole panorama that was resized (16:9 is not)

Image = Float[Tensor, "1 3 h w"]
Half = Float[Tensor, "1 3 _ _"]


@dataclass(frozen=True)
class Seam:
    """How a picture's last column meets its first: the mean step between them as a multiple of the steps beside it, how
    the two columns correlate, and the deviation along the first (a plain border says nothing)."""

    step: float
    likeness: float
    spread: float

    @property
    def closed(self) -> bool:
        """Whether the picture goes on from its right border to its left one."""
        return self.step <= LARGEST_STEP and self.likeness >= LEAST_LIKENESS and self.spread >= PLAINEST


def seam(image: Image) -> Seam:
    """The seam of a picture, looked at 256 pixels wide at most."""
    small = resize(image, (min(SIGHT[0], image.shape[-2]), min(SIGHT[1], image.shape[-1])))
    beside = torch.cat([small[..., :9].diff(dim=-1), small[..., -9:].diff(dim=-1)], -1).abs().mean()
    step = (small[..., 0] - small[..., -1]).abs().mean()
    columns = small[0].mean(0)[:, [0, -1]].T
    spread = columns.std(1).min()
    likeness = torch.corrcoef(columns)[0, 1] if spread > 0 else spread
    return Seam(float(step / beside.clamp_min(1e-6)), float(likeness), float(spread))


def all_around(image: Image) -> bool:
    """Whether a picture twice as wide as high shows the whole sphere, by strong evidence: it goes on over its seam, its
    outer rows are each one point, and things are seen all around, also at the seam."""
    if not seam(image).closed:
        return False
    small = resize(image, (min(SIGHT[0], image.shape[-2]), min(SIGHT[1], image.shape[-1])))
    rows, columns = small.shape[-2:]
    turned = (small.roll(columns // 16, -1) - small).abs().mean((0, 1, 3))
    turned = turned / turned[rows // 4 : -rows // 4].mean().clamp_min(1e-6)
    for pole in (0, -1):
        if small[..., pole, :].std(-1).mean() > MOST_ALONG or turned[pole] > MOST_TURNING:
            return False
    less = resize(small, (min(SIGHT[0] // 2, rows), min(SIGHT[1] // 2, columns)))  # with less noise
    edges = (less.roll(-1, -1) - less).abs().mean((0, 1))[less.shape[-2] // 4 : -less.shape[-2] // 4]
    around = edges.roll(edges.shape[-1] // (2 * SECTORS), -1).chunk(SECTORS, -1)  # the first lies over the seam
    strongest = torch.stack([sector.flatten().quantile(0.99) for sector in around])
    return bool(strongest[0] >= LEAST_EDGE) and int((strongest >= LEAST_EDGE).sum()) >= LEAST_SECTORS


def two_fisheyes(image: Image) -> bool:
    """Whether a picture holds the two circles of a 360° camera, side by side or one above the other."""
    h, w = image.shape[-2:]
    if min(abs(w - 2 * h), abs(h - 2 * w)) > 2:
        return False
    upright = image if w > h else image.transpose(-1, -2)
    side = SIGHT[0]
    halves = resize(upright, (side, 2 * side)).mean(1)[0].chunk(2, -1)
    across = (torch.arange(side) + 0.5) / side * 2 - 1
    radius = (across[:, None] ** 2 + across**2).sqrt()
    outside, rim = radius > 1.06, (radius > 0.75) & (radius < 0.85)
    return all(
        bool(half[outside].quantile(0.95) < DARK) and bool((half[rim] > DARK).float().mean() > LIT) for half in halves
    )


def framed(photo: Photo, camera: str = "auto") -> tuple[Photo, str | None]:
    """`photo` with the camera it has, and, if it is a panorama, a sentence that says why it is taken for one.

    `camera` is one of `CAMERAS`; "auto" decides: by GPano metadata; else a picture twice as wide as high is a panorama
    if it is `all_around` (one of light, .hdr, if only its seam is closed). What only looks like a panorama has no
    `gpano`, so that no file will say it is one. Raises InputError for what cannot be used as asked, saying what to do.
    """
    if camera not in CAMERAS:
        raise unknown_name("camera", camera, CAMERAS)
    return {"auto": _auto, "pinhole": _pinhole, "equirectangular": _asked}.get(camera, _halved(camera))(photo)


def _pinhole(photo: Photo) -> tuple[Photo, None]:
    return (replace(photo, camera=None) if isinstance(photo.camera, Equirectangular) else photo), None


def _asked(photo: Photo) -> tuple[Photo, str]:
    _refuse_shape(photo)
    return _sphere(photo), f"{photo.name} is taken for a panorama, as asked."


def _auto(photo: Photo) -> tuple[Photo, str | None]:
    if isinstance(photo.camera, Equirectangular):
        return photo, f"{photo.name} is a panorama: its file says so (GPano)."
    if photo.camera is None:
        _refuse_stacked(photo)
    if photo.gpano is not None:
        raise _unusable(photo)
    if two_fisheyes(photo.image):
        said = (
            f"{photo.name} looks like the two fisheye circles of a 360° camera; it is treated as an ordinary photo: "
            "stitch it to one equirectangular panorama with the camera's program first."
        )
        return replace(photo, notes=(*photo.notes, said)), None
    if photo.camera is not None or not _is_whole(photo.size):
        return photo, None
    if all_around(photo.image) or (photo.format == "HDR" and seam(photo.image).closed):
        why = "it is twice as wide as high and goes on over its seam (if not: --camera pinhole)"
        return replace(photo, camera=Equirectangular()), f"{photo.name} is taken for a panorama: {why}."
    return photo, None


def _halved(camera: str) -> Callable[[Photo], tuple[Photo, str]]:
    """The upper or the left panorama of two; two that were squeezed into the frame of one are stretched to its size."""

    def half(photo: Photo) -> tuple[Photo, str]:
        halves = _halves(photo.image)[camera]
        first, side = replace(photo, image=halves[0]), {"top-bottom": "upper", "side-by-side": "left"}[camera]
        if _is_whole(photo.size) and _are_two(*halves):
            first = replace(photo, image=resize(halves[0], (photo.size[1] // 2, photo.size[1])))
        _refuse_shape(first, f"the {side} half of {photo.name}")
        return _sphere(first), f"the {side} panorama of {photo.name} is used, as asked; results have its size."

    return half


def _halves(image: Image) -> dict[str, tuple[Half, Half]]:
    h, w = image.shape[-2:]
    return {
        "top-bottom": (image[..., : h // 2, :], image[..., h - h // 2 :, :]),
        "side-by-side": (image[..., : w // 2], image[..., w - w // 2 :]),
    }


def _sphere(photo: Photo) -> Photo:
    """A panorama by its user's word, which its results may repeat."""
    return replace(photo, camera=Equirectangular(), gpano=Gpano("equirectangular"))


def _is_whole(size: tuple[int, int]) -> bool:
    """Twice as wide as high, to the rounding of an odd side."""
    return abs(size[1] - 2 * size[0]) <= 1


def _refuse_shape(photo: Photo, name: str | None = None) -> None:
    if not _is_whole(photo.size):
        h, w = photo.size
        what = f"{name or photo.name} is {w}x{h}, and a whole panorama is twice as wide as high"
        raise InputError(f"{what}; {_ways_out(photo.size)}.")


def _ways_out(size: tuple[int, int]) -> str:
    """What may be done with a picture that has not the shape of a panorama."""
    h, w = size
    advice = "if it is a part of the sphere, pad it to the whole, black where nothing was seen"
    if abs(w / h - 2) < ABOUT:
        advice += f"; if it shows the whole, resize it to {2 * h}x{h}"
    for camera, fits in _stacked(size).items():
        advice += f"; if it holds two panoramas, give --camera {camera}" if fits else ""
    return advice


def refuse_flat(photo: Photo) -> None:
    """Raises InputError for what shall be seen through faces around and is not taken for a panorama."""
    if isinstance(photo.camera, Equirectangular):
        return
    h, w = photo.size
    way = _ways_out(photo.size)
    if _is_whole(photo.size):
        way = "if it is one all the same, give --camera equirectangular"
    raise InputError(
        f"{photo.name} is {w}x{h} and not taken for a panorama, which --via-cube is for: twice as wide as high, and "
        f"its right border goes on at its left one; {way}; if it is an ordinary photo, leave out --via-cube."
    )


def _refuse_stacked(photo: Photo) -> None:
    """Two panoramas in one picture, as they are or squeezed into the frame of one."""
    for camera, fits in _stacked(photo.size).items():
        if (fits or _is_whole(photo.size)) and _are_two(*_halves(photo.image)[camera]):
            other = "equirectangular if it is one panorama" if not fits else "pinhole if it is an ordinary photo"
            raise InputError(
                f"{photo.name} holds two panoramas ({camera} stereo); give --camera {camera} for the depth of the "
                f"first, cut them apart, or give --camera {other}."
            )


def _stacked(size: tuple[int, int]) -> dict[str, bool]:
    """Whether a picture has the shape of two whole panoramas, one above the other or side by side."""
    h, w = size
    return {"top-bottom": abs(w - h) <= 1, "side-by-side": abs(w - 4 * h) <= 4}


def _are_two(first: Image, second: Image) -> bool:
    """Whether two halves are panoramas of one place: each goes on over its own seam, and both look alike."""
    return seam(first).closed and seam(second).closed and alikeness(first, second) >= ALIKE


def alikeness(first: Image, second: Image) -> float:
    """How alike two panoramas are at a glance, up to 1; 0 if one of them is plain.

    The mean of two correlations: of the pictures, and of what is left without the mean of each row (all have a bright
    sky or ceiling above and a dark floor below).
    """
    small = torch.cat([resize(resize(half, SIGHT), GLANCE) for half in (first, second)])
    level = small - small.mean(-1, keepdim=True)
    if bool((torch.stack([small.flatten(1).std(1), level.flatten(1).std(1)]) < PLAINEST).any()):
        return 0.0
    return sum(float(torch.corrcoef(values.flatten(1))[0, 1]) for values in (small, level)) / 2


def _unusable(photo: Photo) -> InputError:
    assert photo.gpano is not None
    h, w = photo.size
    what = f"{photo.name} is {w}x{h} and says (GPano) that it is"
    if photo.gpano.projection != "equirectangular":
        what += f" a {photo.gpano.projection} panorama, which is not known here; convert it to equirectangular"
    elif photo.gpano.whole:
        what += " a whole sphere, which would be twice as wide as high; correct its metadata"
    else:
        what += " a part of a sphere; pad it to the whole sphere"
    return InputError(f"{what}, or give --camera pinhole to treat it as an ordinary photo.")


Map = Float[Tensor, "1 1 h w"]
Resized = Float[Tensor, "1 1 _ _"]
See = Callable[[View], Float[Tensor, "b 1 h w"]]


def heading(image: Image) -> int:
    """The column that a panorama itself says is its first: rolling the picture rolls it along.

    The phase of its brightness around the horizon (the first Fourier coefficient of the columns' means). A network
    whose answer depends on the heading gives the same depth, rolled, for a rolled panorama, if it is shown it from
    here. Where the brightness has no first harmonic (such as a picture of one colour), any column may be named.
    """
    columns = image[0].double().mean((0, 1)).cpu()
    phase = float(torch.fft.fft(columns)[1].angle())
    width = image.shape[-1]
    return round(-phase / (2 * math.pi) * width) % width


def looked_at_twice(see: See, image: Image, size: tuple[int, int]) -> Resized:
    """Inverse depth at `size` (height, even width) of a panorama, of two looks half a turn apart.

    Each counts by cos² of half the angle from its own centre: nothing at its own seam, and both add up to one, so the
    result is as smooth over the seam as elsewhere, whatever the network does at its borders.
    """
    small, half = resize(image, size), size[1] // 2
    u = pixel_grid(size, small)[..., 0][:, None]
    centred = (math.pi * (u - 0.5)).cos().square()
    front, back = (see(view(small.roll(turn, -1), Equirectangular())).roll(-turn, -1) for turn in (0, half))
    return centred * front + (1 - centred) * back


def enlarged(values: Map, size: tuple[int, int]) -> Resized:
    """A panorama's values at `size`: bilinear over the seam and the poles, but means of areas at half the size or less.

    Areas are of whole pixels: near the same size their centres would stand unevenly, farthest apart over the seam.
    """
    if 2 * size[1] <= values.shape[-1]:
        return resize(values, size)
    return pull(values, pixel_grid(size, values), "sphere")


def seam_score(values: Map) -> float:
    """The mean step over the seam as a multiple of the mean step between the other neighbouring columns: about 1 where
    the seam is closed. 0 for a constant map."""
    values = values.double()
    step = (values[..., 0] - values[..., -1]).abs().nanmean()
    inside = values.diff(dim=-1).abs().nanmean()
    return float(step / inside) if float(inside) > 0 else 0.0


FAR = 0.05  # of the median inverse depth is added before logarithms, which have no end where there is sky
LEAST = 0.03  # of that is left

Maps = Float[Tensor, "b 1 h w"]


def add_details(layout: Maps, seen: Maps, deviation: float, around: bool) -> Maps:
    """Inverse depth with the layout (and the unit) of one map and the details of another of its size.

    Details are what a Gaussian of `deviation` pixels takes away, of logarithms: ratios of depths. With `around` the
    left border goes on at the right one, as that of a panorama. (Miangoleh et al., CVPR 2021, merge a small and a large
    look by a network; this needs none.)
    """
    far = _far(layout)
    change = _details(seen, deviation, around) - _details(layout, deviation, around)
    return ((layout + far) * change.exp() - far).clamp_min(LEAST * far)


def _far(inverse: Maps) -> Float[Tensor, "b 1 1 1"]:
    median = inverse.flatten(1).median(1).values[:, None, None, None]
    return FAR * median.clamp_min(torch.finfo(inverse.dtype).eps)


def _details(inverse: Maps, deviation: float, around: bool) -> Maps:
    """What a Gaussian takes away from logarithms."""
    logs = (inverse.clamp_min(0) + _far(inverse)).log()
    reach = max(1, min(round(3 * deviation), *(side - 1 for side in logs.shape[-2:])))
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1).to(logs) / deviation) ** 2)
    taps = taps / taps.sum()
    sides = F.pad(logs, (reach, reach, 0, 0), mode="circular" if around else "replicate")
    along = F.conv2d(sides, taps.view(1, 1, 1, -1))
    return logs - F.conv2d(F.pad(along, (0, 0, reach, reach), mode="replicate"), taps.view(1, 1, -1, 1))


FINE = 1 / 48  # of the width, 7.5 degrees of longitude: the deviation of the Gaussian that parts details from layout


def with_details(layout: Map, seen: Resized) -> Resized:
    """Inverse distances with the layout (and the metres) of one map and the details of another, at the size of `seen`.

    A network that sees a panorama whole knows rooms, and one that sees faces around large knows things.
    """
    whole = enlarged(layout, (seen.shape[-2], seen.shape[-1]))
    return add_details(whole, seen, FINE * seen.shape[-1], around=True)
