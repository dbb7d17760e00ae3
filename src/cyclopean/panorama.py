"""Is a picture a panorama? What its metadata say, what its user says, and what can be seen at its borders."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError, unknown_name
from cyclopean.geometry import Equirectangular
from cyclopean.images import Photo, resize

CAMERAS = ("auto", "pinhole", "equirectangular", "top-bottom", "side-by-side")
# Of 17 panoramas the step over the seam was at most 2.0 of the steps beside it, and their outer columns correlated by
# 0.82 or more; of 102 cuts twice as wide as high out of photographs, at least 3.7, and 0.84 or less.
LARGEST_STEP, LEAST_LIKENESS, PLAINEST = 2.8, 0.75, 0.02
SIGHT = (128, 256)  # the size at which borders are looked at

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


def framed(photo: Photo, camera: str = "auto") -> tuple[Photo, str | None]:
    """`photo` with the camera it has, and, if it is a panorama, a sentence that says why it is taken for one.

    `camera` is one of `CAMERAS`; "auto" decides: by GPano metadata; else a picture twice as wide as high is a panorama
    if it goes on over its seam. Raises InputError for what cannot be used as asked, saying what to do.
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
    if photo.gpano is not None:
        raise _unusable(photo)
    if photo.camera is not None:
        return photo, None
    _refuse_stacked(photo)
    if _is_whole(photo.size) and seam(photo.image).closed:
        why = "it is twice as wide as high and goes on over its seam (if not: --camera pinhole)"
        return _sphere(photo), f"{photo.name} is taken for a panorama: {why}."
    return photo, None


def _halved(camera: str) -> Callable[[Photo], tuple[Photo, str]]:
    """The upper or the left panorama of two."""

    def half(photo: Photo) -> tuple[Photo, str]:
        first = replace(photo, image=_halves(photo.image)[camera][0])
        side = {"top-bottom": "upper", "side-by-side": "left"}[camera]
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
    return replace(photo, camera=Equirectangular())


def _is_whole(size: tuple[int, int]) -> bool:
    """Twice as wide as high, to the rounding of an odd side."""
    return abs(size[1] - 2 * size[0]) <= 1


def _refuse_shape(photo: Photo, name: str | None = None) -> None:
    (h, w), name = photo.size, name or photo.name
    if _is_whole((h, w)):
        return
    advice = "if it is a part of the sphere, pad it to the whole, black where nothing was seen"
    if abs(w - h) <= 1 or abs(w - 4 * h) <= 4:
        stacked = "top-bottom" if abs(w - h) <= 1 else "side-by-side"
        advice = f"if it holds two panoramas, give --camera {stacked}"
    raise InputError(f"{name} is {w}x{h}, and a whole panorama is twice as wide as high; {advice}.")


def _refuse_stacked(photo: Photo) -> None:
    """Two panoramas in one picture: each half goes on over its own seam, and both look alike."""
    h, w = photo.size
    for camera, fits in (("top-bottom", abs(w - h) <= 1), ("side-by-side", abs(w - 4 * h) <= 4)):
        if fits and _are_two(*_halves(photo.image)[camera]):
            raise InputError(
                f"{photo.name} holds two panoramas ({camera} stereo); give --camera {camera} for the depth of the "
                "first, cut them apart, or give --camera pinhole if it is an ordinary photo."
            )


def _are_two(first: Image, second: Image) -> bool:
    small = torch.stack([resize(half, SIGHT).flatten() for half in (first, second)])
    alike = float(torch.corrcoef(small)[0, 1]) if bool((small.std(1) > PLAINEST).all()) else 0.0
    return alike > LEAST_LIKENESS and seam(first).closed and seam(second).closed


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
