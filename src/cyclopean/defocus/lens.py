"""The lens: the shape and kernel of its blur, its optics, and the radius of blur at each depth. No torch here."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float
from PIL import ExifTags, Image

from cyclopean.errors import InputError, unknown_name
from cyclopean.io.files import shortened
from cyclopean.io.planes import Plane

Kernel = Float[np.ndarray, "k k"]
Grid = Float[np.ndarray, "n n"]
Radius = Callable[[Plane], Plane]  # inverse depth -> signed radius of blur in pixels, positive nearer than the focus
Point = tuple[float | int, float | int]  # (x, y) in pixels, or in fractions of width and height

SHAPES = ("disc", "ring", "polygon", "cateye")
SUPERSAMPLING = 12
BISECTIONS = 10
RING = 0.7  # the hole of a ring, as a part of its radius
FEWEST_BLADES, MOST_BLADES = 3, 12  # of a polygon
LONGEST = 6.0  # times its shorter side: a longer picture is measured as one of this shape with as many pixels
PART = 0.012  # of the picture's diagonal: the radius that amount 1 gives a difference of the whole range of depth
WIDEST = 0.1  # of the picture's diagonal: no blur is wider
FULL_FRAME = 36.0  # mm
NORMAL = 50.0  # mm
F_NUMBER, FOCAL_LENGTH = ExifTags.Base.FNumber, ExifTags.Base.FocalLength

DISTANCE_ALONE = (
    "a focus distance alone needs depth in metres, and this depth is only relative; give the point at that distance "
    "away, too."
)
F_NUMBER_ALONE = (
    "an f-number needs depth in metres, and this depth is only relative; give the distance of the point "
    "(--focus-distance), or give an amount."
)
FOCUS_RANGE_ALONE = (
    "a focus range is in metres, and this depth is only relative; give how far away what is nearest and farthest is "
    "(--nearest, --farthest), or how far two points are (--known)."
)


@dataclass(frozen=True)
class Shape:
    """The outline of the aperture: `kind` disc, ring, polygon or cateye.

    `blades` and `rotation` (degrees, clockwise in the picture) are a polygon's. `tilt` is a cat's eye's: the offset of
    the centres of its two rims along x and y, in radii.
    """

    kind: str = "disc"
    blades: int = 6
    rotation: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.0)


def parse_shape(text: str) -> Shape:
    """Return the shape of "disc", "ring", "cateye", "polygon:6" or "polygon:6:15" (blades, degrees of rotation)."""
    kind, *numbers = text.strip().lower().split(":")
    if kind not in SHAPES:
        raise unknown_name("shape", text, ["disc", "ring", "polygon:6", "cateye"])
    if not numbers:
        return Shape(kind)
    try:
        blades, rotation = int(numbers[0]), float(numbers[1]) if len(numbers) > 1 else 0.0
        good = kind == "polygon" and len(numbers) <= 2 and FEWEST_BLADES <= blades <= MOST_BLADES
        good = good and math.isfinite(rotation)
    except ValueError:
        good = False
    if not good:
        raise InputError(
            f"the shape {text} cannot be understood; give polygon:BLADES or polygon:BLADES:DEGREES with "
            f"{FEWEST_BLADES} to {MOST_BLADES} blades, such as polygon:6:15."
        )
    return Shape(kind, blades, rotation)


@lru_cache(maxsize=4096)
def kernel(shape: Shape, radius: float, spare: float = 0.0) -> Kernel:
    """Return the blur of a point at `radius` pixels: odd, of sum 1, each pixel the part that the shape covers.

    Pixels widen a shape, and so do steps of resizing (by `spare`, a variance per axis in pixels²): the shape is drawn
    smaller, so that the total second moment is that of the continuous shape at `radius`. Thus a radius of half a pixel
    blurs by exactly that, while coverage alone would not blur at all.
    """
    if radius <= 0:
        return np.ones((1, 1), np.float32)
    unit = _unit_variance(shape)
    target = max(unit * radius * radius - spare, 0.0)
    low, high = 0.3, math.sqrt(target / unit) + 1
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _variance(_coverage(shape, middle, high)) < target else (low, middle)
    smaller, larger = _coverage(shape, low, high), _coverage(shape, high, high)
    less, more = _variance(smaller), _variance(larger)
    part = (target - less) / (more - less) if more > less else 1.0
    return (smaller + part * (larger - smaller)).astype(np.float32)


@lru_cache(maxsize=1024)
def _unit_variance(shape: Shape) -> float:
    axis = np.linspace(-1, 1, 401)
    x, y = np.meshgrid(axis, axis)
    inside = _inside(shape, x, y)
    return float((x[inside].var() + y[inside].var()) / 2)


def _coverage(shape: Shape, radius: float, room: float) -> Kernel:
    """Return the part of each pixel that the shape covers, of sum 1; as large as a radius of `room` needs."""
    half = math.ceil(room - 0.5)
    side = (2 * half + 1) * SUPERSAMPLING
    axis = ((np.arange(side) + 0.5) / SUPERSAMPLING - half - 0.5) / radius
    x, y = np.meshgrid(axis, axis)
    covered = _inside(shape, x, y)
    parts = covered.reshape(2 * half + 1, SUPERSAMPLING, 2 * half + 1, SUPERSAMPLING).mean((1, 3))
    return parts / parts.sum()


def _inside(shape: Shape, x: Grid, y: Grid) -> Bool[np.ndarray, "n n"]:
    """Return which points lie in the shape of radius 1."""
    match shape.kind:
        case "ring":
            return (x * x + y * y <= 1) & (x * x + y * y >= RING * RING)
        case "polygon":  # a corner points up at rotation 0
            step = 2 * math.pi / shape.blades
            angle = np.arctan2(y, x) + math.pi / 2 - math.radians(shape.rotation)
            return np.hypot(x, y) * np.cos(np.mod(angle, step) - step / 2) <= math.cos(step / 2)
        case "cateye":  # off the axis the barrel cuts the aperture: the intersection of two discs, moved apart evenly
            tx, ty = shape.tilt[0] / 2, shape.tilt[1] / 2
            return ((x - tx) ** 2 + (y - ty) ** 2 <= 1) & ((x + tx) ** 2 + (y + ty) ** 2 <= 1)
        case _:
            return x * x + y * y <= 1


def _variance(weights: Kernel) -> float:
    """Return the mean of the variances along x and y, in pixels²."""
    place = np.arange(len(weights)) - len(weights) // 2
    rows, columns = weights.sum(1), weights.sum(0)
    spread = (rows @ place**2 - (rows @ place) ** 2) + (columns @ place**2 - (columns @ place) ** 2)
    return float(spread / 2)


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
        """Return the radius of blur in pixels of a picture of `size`, per inverse depth in 1/m, focus at infinity.

        The circle of confusion of a thin lens: A f / (1 - f/z_focus) |1/z - 1/z_focus| with A = f / N, in any optics
        textbook; here per |1/z - 1/z_focus| and as a radius.
        """
        return self.focal_mm / self.f_number * self.focal_mm / 1000 / self.sensor_mm * max(size) / 2

    def magnification(self, inverse_distance: float) -> float:
        """Return the blur with the focus at 1/`inverse_distance` metres, relative to that with focus at infinity."""
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
    """Return a lens from the arguments, else from the photo's EXIF, else with 50 mm and 36 mm.

    `longer` is its focal length in lengths of its longer side, None when not known. Raises InputError for an unknown
    f-number.
    """
    content, tags = Image.Exif(), dict[int, float]()
    if exif:
        content.load(exif)
        for tag, value in content.get_ifd(ExifTags.IFD.Exif).items():
            try:
                number = float(value)
            except (TypeError, ValueError, ZeroDivisionError):
                continue
            if math.isfinite(number) and number > 0:
                tags[tag] = number
    aperture = f_number if f_number is not None else tags.get(F_NUMBER)
    if aperture is None:
        raise InputError("this photo has no f-number in its metadata; give one, such as --f-number 1.8.")
    focal = focal_mm or tags.get(FOCAL_LENGTH)
    sensor = sensor_mm or (focal / longer if focal and longer else FULL_FRAME)
    return Optics(aperture, focal or (sensor * longer if longer else NORMAL), sensor)


@dataclass(frozen=True)
class Lens:
    """The amount and shape of blur: a plain `amount`, or real `optics`, which need depth in metres.

    Amount 1 blurs a point as far from the focus as the whole range of inverse depth by 1.2 % of the picture's diagonal.
    `range` is the part of that range around the focus that stays sharp, `before` and `behind` are factors for what is
    nearer and farther than the focus. Where it is blurred, light at the photo's white counts as 1 + `highlights` times
    as bright.
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


def depth_range(inverse_depth: Plane) -> float:
    """Return the range of inverse depth without the 1 % at either end, so that a few outliers do not determine it."""
    some = inverse_depth.reshape(-1)[:: max(1, inverse_depth.size // 100_000)]
    low, high = np.percentile(some, (1, 99))
    return float(high - low) or float(inverse_depth.max() - inverse_depth.min())


def amount_scale(amount: float, size: tuple[int, int], inverse_range: float) -> float:
    """Return the radius of blur in pixels per inverse depth, for an `amount`; 0 if `inverse_range` is 0."""
    return amount * PART * diagonal(size) / inverse_range if inverse_range > 0 else 0.0


def radius(lens: Lens, scale: float, focus: float, size: tuple[int, int], inverse_range: float) -> Radius:
    """Return the function from inverse depth to signed radius in pixels, positive nearer than `focus`.

    `scale` is the radius in pixels per inverse depth, `inverse_range` that of inverse depth.
    """
    sharp, most = np.float32(lens.range * inverse_range * scale / 2), np.float32(WIDEST * diagonal(size))

    def of(inverse_depth: Plane) -> Plane:
        away = (inverse_depth - np.float32(focus)) * np.float32(scale)
        if sharp:
            away = np.sign(away) * np.maximum(np.abs(away) - sharp, 0)
        if lens.before != 1 or lens.behind != 1:
            away = np.where(away > 0, away * np.float32(lens.before), away * np.float32(lens.behind))
        return np.clip(away, -most, most)

    return of


def diagonal(size: tuple[int, ...]) -> float:
    """Return the diagonal of a picture of `size` (height, width) in pixels: blur, windows and rims are parts of it.

    That of a very long one is bounded by its number of pixels; otherwise a strip of 16x60000 would be blurred by
    thousands of pixels.
    """
    return min(math.hypot(*size), math.sqrt(math.prod(size) * (LONGEST + 1 / LONGEST)))


def check_distance(distance: float | None) -> None:
    """Raise InputError for a focus distance that is not a number of metres above 0; None is allowed."""
    if distance is not None and not (math.isfinite(distance) and distance > 0):
        raise InputError(f"the focus distance is {distance:g}; it must be above 0 metres.")


def as_point(at: object) -> Point | None:
    """Return a point of two numbers, or None. Raises InputError for anything else."""
    try:
        x, y = (None, None) if at is None else (float(part) for part in at)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        x, y = math.nan, None
    if isinstance(at, str) or (x is None) != (y is None):
        raise InputError(f"the point is {shortened(at, 40)!r}; give two numbers (x, y), such as (0.4, 0.6).")
    return None if x is None or y is None else (x, y)


def focus_pixel(at: Point, size: tuple[int, int]) -> tuple[int, int]:
    """Return the pixel (x, y) of `at` in a picture of `size` (height, width).

    If both numbers are below 1, they are fractions of width and height, else pixels. Raises InputError for a point
    outside, and for a fraction mixed with pixels.
    """
    x, y = at
    h, w = size
    if 0 <= x < 1 and 0 <= y < 1:
        return min(int(x * w), w - 1), min(int(y * h), h - 1)
    if not (0 <= x < w and 0 <= y < h):
        hint = "; fractions stay below 1" if 0 <= x <= 1 and 0 <= y <= 1 else ""
        raise InputError(
            f"the point {x:g} {y:g} lies outside the photo, which is {w}x{h}{hint}; give a point inside it."
        )
    if 0 < x < 1 or 0 < y < 1:
        raise InputError(
            f"the point {x:g} {y:g} mixes a fraction with pixels; give two fractions below 1, or two numbers of pixels."
        )
    return int(x), int(y)
