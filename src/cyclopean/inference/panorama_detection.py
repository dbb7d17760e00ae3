"""Decide whether a picture is a panorama: by its metadata, by its user, and by its borders and poles."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cyclopean.errors import InputError, unknown_name
from cyclopean.geometry import Equirectangular
from cyclopean.inference import CAMERAS
from cyclopean.io.depthmap import DepthMap
from cyclopean.io.image import Photo, resize
from cyclopean.io.metadata import Gpano
from cyclopean.sample import OneImage

# Of 17 panoramas the step over the seam was at most 2.0 of the steps beside it, and their outer columns correlated by
# 0.82 or more; of 102 crops of photographs, twice as wide as high, at least 3.7, and 0.84 or less.
LARGEST_STEP, LEAST_LIKENESS, PLAINEST = 2.8, 0.75, 0.02
# The margins of pages, slides and framed photographs look alike because nothing is there. Of 29 panoramas, real and
# traced, the outer columns differed by 1.0/255 or more in the mean, and 39 % or more of their rows from the next row by
# 2/255; even and graded margins do not differ at all, and 4 % of the rows of even ones do, which narrow ones blur.
LEAST_DIFFERENCE, LEAST_UNEVEN, UNEVEN = 0.3 / 255, 0.25, 2 / 255
ANALYSED = (128, 256)  # the size at which borders are analysed
# A row at a pole is one point. Of 15 panoramas with a closed seam the deviation along the outer rows was at most 0.050,
# and what changes along them in a sixteenth of the turn at most 0.28 of what changes in the middle.
MOST_ALONG, MOST_TURNING = 0.06, 0.4
# Objects are visible all around: of 8 sectors, the one over the seam and most others hold an edge. Of 15 panoramas the
# weakest over the seam was 0.042, and 6 sectors were above that; a plain background before a studio's wall has 0.02.
SECTORS, LEAST_EDGE, LEAST_SECTORS = 8, 0.03, 5
DARK, LIT = 0.08, 0.7  # outside a fisheye's circle it is darker than this; this share of its rim is brighter
# Of 39 pairs of panoramas from places 0.2 to 0.26 m apart, real, traced and rendered, `similarity` was at least 0.79;
# of the halves of single ones, where both close as panoramas do, at most 0.41; of 325 pairs of different places, 0.65.
LEAST_SIMILARITY = 0.72
COMPARED = (16, 32)  # the size at which two panoramas are compared: near objects lie elsewhere in the other
BLACK = 2 / 255  # and below, in all three colours: padding, also of a JPEG
NEARLY = 0.15  # of the ratio of sides: this near to 2, it may be a whole panorama that was resized (16:9 is not)

Half = Float[Tensor, "1 3 _ _"]


@dataclass(frozen=True)
class Seam:
    """The meeting of a picture's last column and its first.

    `difference` is the mean step between them, `step` the same as a multiple of the steps beside it, `likeness` the
    correlation of the two columns, `spread` the deviation along them (a plain border is not evidence), `uneven` the
    share of rows that differ from the next.
    """

    difference: float
    step: float
    likeness: float
    spread: float
    uneven: float

    @property
    def closed(self) -> bool:
        """Return whether the picture continues from its right border at its left one."""
        alike = self.step <= LARGEST_STEP and self.likeness >= LEAST_LIKENESS
        plain = self.spread < PLAINEST or self.uneven < LEAST_UNEVEN or self.difference < LEAST_DIFFERENCE
        return alike and not plain


def seam(image: OneImage) -> Seam:
    """Measure the seam of a picture at 256 pixels of width at most."""
    small = resize(image, (min(ANALYSED[0], image.shape[-2]), min(ANALYSED[1], image.shape[-1])))
    beside = torch.cat([small[..., :9].diff(dim=-1), small[..., -9:].diff(dim=-1)], -1).abs().mean()
    difference = (small[..., 0] - small[..., -1]).abs().mean()
    columns = small[0].mean(0)[:, [0, -1]].T
    spread = columns.std(1).min()
    likeness = torch.corrcoef(columns)[0, 1] if spread > 0 else spread
    steps = small[0][..., [0, -1]].diff(dim=1).abs().amax(0)
    uneven = (steps > UNEVEN).float().mean(0).min()
    step = difference / beside.clamp_min(1e-6)
    return Seam(float(difference), float(step), float(likeness), float(spread), float(uneven))


def is_panorama(image: OneImage) -> bool:
    """Return whether a picture twice as wide as high shows the whole sphere, by strong evidence.

    It continues over its seam, its outer rows each look like one point, and there are edges all around, also at the
    seam.
    """
    if not seam(image).closed:
        return False
    small = resize(image, (min(ANALYSED[0], image.shape[-2]), min(ANALYSED[1], image.shape[-1])))
    rows, columns = small.shape[-2:]
    turned = (small.roll(columns // 16, -1) - small).abs().mean((0, 1, 3))
    turned = turned / turned[rows // 4 : -rows // 4].mean().clamp_min(1e-6)
    for pole in (0, -1):
        if small[..., pole, :].std(-1).mean() > MOST_ALONG or turned[pole] > MOST_TURNING:
            return False
    less = resize(small, (min(ANALYSED[0] // 2, rows), min(ANALYSED[1] // 2, columns)))  # with less noise
    edges = (less.roll(-1, -1) - less).abs().mean((0, 1))[less.shape[-2] // 4 : -less.shape[-2] // 4]
    around = edges.roll(edges.shape[-1] // (2 * SECTORS), -1).chunk(SECTORS, -1)  # the first lies over the seam
    strongest = torch.stack([sector.flatten().quantile(0.99) for sector in around])
    return bool(strongest[0] >= LEAST_EDGE) and int((strongest >= LEAST_EDGE).sum()) >= LEAST_SECTORS


def padding(image: OneImage) -> Bool[Tensor, "1 1 h w"]:
    """Return True for pixels of a panorama's black bands: whole rows at the poles, then whole columns around the back.

    A partial sphere is padded to the whole in this way. A band is at least a 64th of the height.
    """
    dark = image.amax(1, keepdim=True) <= BLACK
    least = max(1, image.shape[-2] // 64)
    rows = _border_bands(dark.all(-1)[0, 0], least)
    columns = _border_bands(dark[..., ~rows, :].all(-2)[0, 0], least)
    return (rows[:, None] | columns)[None, None]


def without_padding(depth: DepthMap, photo: Photo) -> DepthMap:
    """Return `depth` unknown in the black bands of a panorama, where networks invent depth."""
    valid = depth.valid & ~padding(photo.image)
    return replace(depth, inverse_depth=torch.where(valid, depth.inverse_depth, torch.nan), valid=valid)


def is_two_fisheyes(image: OneImage) -> bool:
    """Return whether a picture holds the two circles of a 360° camera, side by side or one above the other."""
    h, w = image.shape[-2:]
    if min(abs(w - 2 * h), abs(h - 2 * w)) > 2:
        return False
    upright = image if w > h else image.transpose(-1, -2)
    side = ANALYSED[0]
    halves = resize(upright, (side, 2 * side)).mean(1)[0].chunk(2, -1)
    across = (torch.arange(side) + 0.5) / side * 2 - 1
    radius = (across[:, None] ** 2 + across**2).sqrt()
    outside, rim = radius > 1.06, (radius > 0.75) & (radius < 0.85)
    return all(
        bool(half[outside].quantile(0.95) < DARK) and bool((half[rim] > DARK).float().mean() > LIT) for half in halves
    )


def resolve_camera(photo: Photo, camera: str = "auto") -> tuple[Photo, str | None]:
    """Return `photo` with the camera it has, and, if it is a panorama, a sentence with the reason.

    `camera` is one of `CAMERAS`; "auto" decides: by GPano metadata; else a picture twice as wide as high is a panorama
    if it is `is_panorama` (one of light, .hdr, if only its seam is closed). A picture that only looks like a panorama
    gets no `gpano`, so that no file declares it one. Raises InputError, with advice, for a picture that does not fit
    `camera`.
    """
    if camera not in CAMERAS:
        raise unknown_name("camera", camera, CAMERAS)
    if camera == "pinhole":
        return (replace(photo, camera=None) if isinstance(photo.camera, Equirectangular) else photo), None
    if camera == "equirectangular":
        _check_shape(photo)
        return _declared(photo), f"{photo.name} is treated as a panorama, as requested."
    if camera == "auto":
        return _detected(photo)
    halves = _halves(photo.image)[camera]
    first, side = replace(photo, image=halves[0]), {"top-bottom": "upper", "side-by-side": "left"}[camera]
    if _is_whole(photo.size) and _are_two(*halves):  # squeezed ones are stretched to the size of the frame
        first = replace(photo, image=resize(halves[0], (photo.size[1] // 2, photo.size[1])))
    _check_shape(first, f"the {side} half of {photo.name}")
    return _declared(first), f"the {side} panorama of {photo.name} is used, as requested; results have its size."


def _detected(photo: Photo) -> tuple[Photo, str | None]:
    """Return `photo` with the camera that its metadata or its content show, and the reason if it is a panorama."""
    if isinstance(photo.camera, Equirectangular):
        return photo, f"{photo.name} is a panorama by its metadata (GPano)."
    if photo.camera is None:
        _check_stacked(photo)
    if photo.gpano is not None:
        raise _unusable_gpano(photo)
    if is_two_fisheyes(photo.image):
        advice = (
            f"{photo.name} looks like the two fisheye circles of a 360° camera; it is treated as an ordinary photo: "
            "stitch it to one equirectangular panorama with the camera's program first."
        )
        return replace(photo, notes=(*photo.notes, advice)), None
    if photo.camera is not None or not _is_whole(photo.size):
        return photo, None
    if is_panorama(photo.image) or (photo.format == "HDR" and seam(photo.image).closed):
        why = "it is twice as wide as high and continues over its seam (if not: --camera pinhole)"
        return replace(photo, camera=Equirectangular()), f"{photo.name} is treated as a panorama: {why}."
    return photo, None


def _halves(image: OneImage) -> dict[str, tuple[Half, Half]]:
    h, w = image.shape[-2:]
    return {
        "top-bottom": (image[..., : h // 2, :], image[..., h - h // 2 :, :]),
        "side-by-side": (image[..., : w // 2], image[..., w - w // 2 :]),
    }


def _declared(photo: Photo) -> Photo:
    """Return `photo` as a panorama declared by its user; its results may be marked as one."""
    pose = () if photo.gpano is None else photo.gpano.pose
    return replace(photo, camera=Equirectangular(), gpano=Gpano("equirectangular", pose=pose))


def _is_whole(size: tuple[int, int]) -> bool:
    """Return whether a size is twice as wide as high, to the rounding of an odd side."""
    return abs(size[1] - 2 * size[0]) <= 1


def _check_shape(photo: Photo, name: str | None = None) -> None:
    if not _is_whole(photo.size):
        h, w = photo.size
        what = f"{name or photo.name} is {w}x{h}, and a whole panorama is twice as wide as high"
        raise InputError(f"{what}; {_advice(photo.size)}.")


def _advice(size: tuple[int, int]) -> str:
    """Return advice for a picture that has not the shape of a panorama."""
    h, w = size
    advice = "if it is a part of the sphere, pad it to the whole, black where nothing was seen"
    if abs(w / h - 2) < NEARLY:
        advice += f"; if it shows the whole, resize it to {2 * h}x{h}"
    for camera, fits in _stacked(size).items():
        advice += f"; if it holds two panoramas, give --camera {camera}" if fits else ""
    return advice


def check_panorama(photo: Photo) -> None:
    """Raise InputError for a photo that is not recognised as a panorama, where a command needs one."""
    if isinstance(photo.camera, Equirectangular):
        return
    h, w = photo.size
    way = _advice(photo.size)
    if _is_whole(photo.size):
        way = "if it is one all the same, give --camera equirectangular"
    raise InputError(
        f"{photo.name} is {w}x{h} and not recognised as a panorama, which --via-cube is for: twice as wide as high, "
        f"and its right border continues at its left one; {way}; if it is an ordinary photo, leave out --via-cube."
    )


def _check_stacked(photo: Photo) -> None:
    """Raise InputError for two panoramas in one picture, as they are or squeezed into the frame of one."""
    for camera, fits in _stacked(photo.size).items():
        if (fits or _is_whole(photo.size)) and _are_two(*_halves(photo.image)[camera]):
            other = "equirectangular if it is one panorama" if not fits else "pinhole if it is an ordinary photo"
            raise InputError(
                f"{photo.name} holds two panoramas ({camera} stereo); give --camera {camera} for the depth of the "
                f"first, cut them apart, or give --camera {other}."
            )


def _stacked(size: tuple[int, int]) -> dict[str, bool]:
    """Return by layout whether a picture has the shape of two whole panoramas."""
    h, w = size
    return {"top-bottom": abs(w - h) <= 1, "side-by-side": abs(w - 4 * h) <= 4}


def _are_two(first: OneImage, second: OneImage) -> bool:
    """Return whether two halves are panoramas of one place: each continues over its own seam, and both look alike."""
    return seam(first).closed and seam(second).closed and similarity(first, second) >= LEAST_SIMILARITY


def similarity(first: OneImage, second: OneImage) -> float:
    """Return how similar two small panoramas are, up to 1; 0 if one of them is plain.

    The mean of two correlations: of the pictures, and of what is left without the mean of each row (all have a bright
    sky or ceiling above and a dark floor below).
    """
    small = torch.cat([resize(resize(half, ANALYSED), COMPARED) for half in (first, second)])
    level = small - small.mean(-1, keepdim=True)
    if bool((torch.stack([small.flatten(1).std(1), level.flatten(1).std(1)]) < PLAINEST).any()):
        return 0.0
    return sum(float(torch.corrcoef(values.flatten(1))[0, 1]) for values in (small, level)) / 2


def _unusable_gpano(photo: Photo) -> InputError:
    assert photo.gpano is not None
    h, w = photo.size
    what = f"{photo.name} is {w}x{h} and declares (GPano) that it is"
    if photo.gpano.projection != "equirectangular":
        what += f" a {photo.gpano.projection} panorama, which is not supported; convert it to equirectangular"
    elif photo.gpano.whole:
        what += " a whole sphere, which would be twice as wide as high; correct its metadata"
    else:
        what += " a part of a sphere; "
        padded = "it has the shape of the whole: if it was padded to it, give --camera equirectangular"
        what += padded if _is_whole(photo.size) else "pad it to the whole sphere"
    return InputError(f"{what}, or give --camera pinhole to treat it as an ordinary photo.")


def _border_bands(dark: Bool[Tensor, " n"], least: int) -> Bool[Tensor, " n"]:
    """Return True along the runs of `dark` at both ends that are at least `least` long; none where all is dark."""
    if bool(dark.all()):
        return torch.zeros_like(dark)
    first, last = (dark.int() == 0).nonzero()[[0, -1], 0].tolist()
    bands = torch.zeros_like(dark)
    if first >= least:
        bands[:first] = True
    if len(dark) - 1 - last >= least:
        bands[last + 1 :] = True
    return bands
