"""How large a picture is for a lens: the length that blur, windows and rims are parts of."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float
from PIL import ExifTags, Image

from cyclopean.errors import InputError, unknown_name

LONGEST = 6.0  # times its shorter side: a picture that is longer is measured as one of this shape and its pixels


def diagonal(size: tuple[int, ...]) -> float:
    """Return the diagonal of a picture of `size` (height, width) in pixels.

    That of a very long one is bounded by its pixels, or a strip of 16x60000 would be blurred by thousands of pixels.
    """
    return min(math.hypot(*size), math.sqrt(math.prod(size) * (LONGEST + 1 / LONGEST)))


Kernel = Float[np.ndarray, "k k"]
Grid = Float[np.ndarray, "n n"]
Inside = Callable[["Shape", Grid, Grid], Bool[np.ndarray, "n n"]]

SUPERSAMPLING = 12
BISECTIONS = 10
RING = 0.7  # the hole of a ring, as a part of its radius
LEAST, MOST = 3, 12  # blades of a polygon


@dataclass(frozen=True)
class Shape:
    """The outline of the aperture: `kind` disc, ring, polygon or cateye.

    `blades` and `rotation` (degrees, clockwise in the picture) are a polygon's. `tilt` is a cat's eye's: how far the
    centres of its two rims lie apart along x and y, in radii.
    """

    kind: str = "disc"
    blades: int = 6
    rotation: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.0)


def named(text: str) -> Shape:
    """A shape from "disc", "ring", "cateye", "polygon:6" or "polygon:6:15" (blades, degrees of rotation)."""
    kind, *numbers = text.strip().lower().split(":")
    if kind not in INSIDE:
        raise unknown_name("shape", text, ["disc", "ring", "polygon:6", "cateye"])
    if not numbers:
        return Shape(kind)
    try:
        blades, rotation = int(numbers[0]), float(numbers[1]) if len(numbers) > 1 else 0.0
        good = kind == "polygon" and len(numbers) <= 2 and LEAST <= blades <= MOST and math.isfinite(rotation)
    except ValueError:
        good = False
    if not good:
        raise InputError(
            f"the shape {text} cannot be understood; give polygon:BLADES or polygon:BLADES:DEGREES with {LEAST} to "
            f"{MOST} blades, such as polygon:6:15."
        )
    return Shape(kind, blades, rotation)


def _disc(_: Shape, x: Grid, y: Grid) -> Bool[np.ndarray, "n n"]:
    return x * x + y * y <= 1


def _ring(_: Shape, x: Grid, y: Grid) -> Bool[np.ndarray, "n n"]:
    return (x * x + y * y <= 1) & (x * x + y * y >= RING * RING)


def _polygon(shape: Shape, x: Grid, y: Grid) -> Bool[np.ndarray, "n n"]:
    """A corner points up at rotation 0."""
    step = 2 * math.pi / shape.blades
    angle = np.arctan2(y, x) + math.pi / 2 - math.radians(shape.rotation)
    return np.hypot(x, y) * np.cos(np.mod(angle, step) - step / 2) <= math.cos(step / 2)


def _cateye(shape: Shape, x: Grid, y: Grid) -> Bool[np.ndarray, "n n"]:
    """Off the axis the barrel of the lens cuts the aperture: the common part of two discs, moved apart evenly."""
    tx, ty = shape.tilt[0] / 2, shape.tilt[1] / 2
    return ((x - tx) ** 2 + (y - ty) ** 2 <= 1) & ((x + tx) ** 2 + (y + ty) ** 2 <= 1)


INSIDE: dict[str, Inside] = {"disc": _disc, "ring": _ring, "polygon": _polygon, "cateye": _cateye}


@lru_cache(maxsize=4096)
def kernel(shape: Shape, radius: float, spare: float = 0.0) -> Kernel:
    """The blur of a point at `radius` pixels: odd, sums to 1, each pixel has the part of the shape that covers it.

    Pixels widen a shape and steps of resizing do too (by `spare`, a variance per axis in pixels²): the shape is drawn
    smaller so that the second moment of the whole is that of the continuous shape at `radius`. So a radius of half a
    pixel blurs by exactly that, where coverage alone would not blur at all.
    """
    if radius <= 0:
        return np.ones((1, 1), np.float32)
    unit = _unit_variance(shape)
    wanted = max(unit * radius * radius - spare, 0.0)
    low, high = 0.3, math.sqrt(wanted / unit) + 1
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _variance(_coverage(shape, middle, high)) < wanted else (low, middle)
    smaller, larger = _coverage(shape, low, high), _coverage(shape, high, high)
    less, more = _variance(smaller), _variance(larger)
    part = (wanted - less) / (more - less) if more > less else 1.0
    return (smaller + part * (larger - smaller)).astype(np.float32)


@lru_cache(maxsize=1024)
def _unit_variance(shape: Shape) -> float:
    axis = np.linspace(-1, 1, 401)
    x, y = np.meshgrid(axis, axis)
    inside = INSIDE[shape.kind](shape, x, y)
    return float((x[inside].var() + y[inside].var()) / 2)


def _coverage(shape: Shape, radius: float, room: float) -> Float[np.ndarray, "k k"]:
    """The part of each pixel that the shape covers, scaled to the sum 1; as large as a radius of `room` needs."""
    half = math.ceil(room - 0.5)
    side = (2 * half + 1) * SUPERSAMPLING
    axis = ((np.arange(side) + 0.5) / SUPERSAMPLING - half - 0.5) / radius
    x, y = np.meshgrid(axis, axis)
    covered = INSIDE[shape.kind](shape, x, y)
    parts = covered.reshape(2 * half + 1, SUPERSAMPLING, 2 * half + 1, SUPERSAMPLING).mean((1, 3))
    return parts / parts.sum()


def _variance(weights: Float[np.ndarray, "k k"]) -> float:
    """Mean of the variances along x and y, in pixels²."""
    place = np.arange(len(weights)) - len(weights) // 2
    rows, columns = weights.sum(1), weights.sum(0)
    spread = (rows @ place**2 - (rows @ place) ** 2) + (columns @ place**2 - (columns @ place) ** 2)
    return float(spread / 2)


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
