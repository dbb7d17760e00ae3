"""What a photographer sets: how much blur, its shape, what stays sharp; and how wide the blur of a depth then is."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from PIL import ExifTags, Image

from cyclopean.errors import InputError
from cyclopean.refocus.measures import diagonal
from cyclopean.refocus.shapes import Shape

Plane = Float[np.ndarray, "h w"]
Radius = Callable[[Plane], Plane]  # inverse depth -> signed radius of blur in pixels, positive nearer than the focus

PART = 0.012  # of the picture's diagonal: the radius that amount 1 gives a difference of the whole range of depth
WIDEST = 0.1  # of the picture's diagonal: no blur is wider
FULL_FRAME = 36.0  # mm
NORMAL = 50.0  # mm
F_NUMBER, FOCAL_LENGTH = ExifTags.Base.FNumber, ExifTags.Base.FocalLength


@dataclass(frozen=True)
class Optics:
    """A real lens: f-number, focal length and the sensor's longer side, both in mm."""

    f_number: float
    focal_mm: float = NORMAL
    sensor_mm: float = FULL_FRAME

    def __post_init__(self) -> None:
        for name, value in (("f-number", self.f_number), ("focal length", self.focal_mm), ("sensor", self.sensor_mm)):
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"the {name} is {value:g}; it must be above 0.")

    def scale(self, size: tuple[int, int]) -> float:
        """Radius of blur in pixels of a picture of `size`, per difference of inverse depth in 1/m, focus far away.

        The circle of confusion of a thin lens: A f / (1 - f/z_focus) |1/z - 1/z_focus| with A = f / N, in any optics
        textbook; here per |1/z - 1/z_focus| and as a radius.
        """
        return self.focal_mm / self.f_number * self.focal_mm / 1000 / self.sensor_mm * max(size) / 2

    def closer(self, inverse_distance: float) -> float:
        """By what factor blur grows when the focus is at 1/`inverse_distance` metres and not far away."""
        left = 1 - self.focal_mm / 1000 * inverse_distance
        if left <= 0:
            raise InputError(
                f"a lens of {self.focal_mm:g} mm cannot focus at {1 / inverse_distance:.3g} m; give a longer distance."
            )
        return 1 / left


def optics_of(
    exif: bytes,
    longer: float | None,
    *,
    f_number: float | None = None,
    focal_mm: float | None = None,
    sensor_mm: float | None = None,
) -> Optics:
    """A lens from what is given, else from the photo's EXIF, else 50 mm, 36 mm.

    `longer` is its focal length in lengths of its longer side, None when not known. Raises InputError
    when nobody knows the f-number.
    """
    tags = _camera_tags(exif)
    number = f_number if f_number is not None else tags.get(F_NUMBER)
    if number is None:
        raise InputError("this photo does not tell its f-number; give one, such as --f-number 1.8.")
    focal = focal_mm or tags.get(FOCAL_LENGTH)
    sensor = sensor_mm or (focal / longer if focal and longer else FULL_FRAME)
    return Optics(number, focal or (sensor * longer if longer else NORMAL), sensor)


def _camera_tags(exif: bytes) -> dict[int, float]:
    """The positive numbers among the tags of the camera."""
    if not exif:
        return {}
    content = Image.Exif()
    content.load(exif)
    found = {}
    for tag, value in content.get_ifd(ExifTags.IFD.Exif).items():
        try:
            number = float(value)
        except (TypeError, ValueError, ZeroDivisionError):
            continue
        if math.isfinite(number) and number > 0:
            found[tag] = number
    return found


@dataclass(frozen=True)
class Lens:
    """How to blur: by a plain `amount`, or as real `optics` would (these need depth in metres).

    Amount 1 blurs a point as far from the focus as the whole range of inverse depth by 1.2 % of the picture's diagonal.
    `range` is the part of that range around the focus that stays sharp, `before` and `behind` are factors for what is
    nearer and farther than the focus. Light that is as bright as the photo can show counts as 1 + `highlights` times as
    bright where it is blurred.
    """

    amount: float = 1.0
    optics: Optics | None = None
    shape: Shape = field(default_factory=Shape)
    range: float = 0.0
    before: float = 1.0
    behind: float = 1.0
    highlights: float = 0.0

    def __post_init__(self) -> None:
        for name in ("amount", "range", "before", "behind", "highlights"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name} is {value:g}; it must be 0 or more.")
        if self.range > 1:
            raise InputError(f"range is {self.range:g}; it is a part of the depth range, from 0 to 1.")


def span(inverse_depth: Plane) -> float:
    """The range of inverse depth, without the 1 % at either end: a few wild values must not rule."""
    some = inverse_depth.reshape(-1)[:: max(1, inverse_depth.size // 100_000)]
    low, high = np.percentile(some, (1, 99))
    return float(high - low) or float(inverse_depth.max() - inverse_depth.min())


def amount_scale(amount: float, size: tuple[int, int], whole: float) -> float:
    """Radius of blur in pixels per inverse depth, for an `amount`; 0 when all is at one depth, `whole` 0."""
    return amount * PART * diagonal(size) / whole if whole > 0 else 0.0


def radius(lens: Lens, scale: float, focus: float, size: tuple[int, int], whole: float) -> Radius:
    """From inverse depth to signed radius in pixels, positive nearer than `focus`; `whole` is the range of depth."""
    sharp, most = np.float32(lens.range * whole * scale / 2), np.float32(WIDEST * diagonal(size))

    def of(inverse_depth: Plane) -> Plane:
        away = (inverse_depth - np.float32(focus)) * np.float32(scale)
        if sharp:
            away = np.sign(away) * np.maximum(np.abs(away) - sharp, 0)
        if lens.before != 1 or lens.behind != 1:
            away = np.where(away > 0, away * np.float32(lens.before), away * np.float32(lens.behind))
        return np.clip(away, -most, most)

    return of
