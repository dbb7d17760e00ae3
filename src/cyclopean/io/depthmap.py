"""DepthMap: a map of depth with the meaning of its numbers, in memory and in files.

In memory larger is always nearer. A file may hold any kind, which its sidecar names. See docs/formats.md.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.geometry import pixel_grid, size_of
from cyclopean.io.depth_formats import (
    LARGEST,
    MOST_MEGAPIXELS,
    plane_header,
    plane_shape,
    read_plane,
    sky_at_infinity,
    write_plane,
)
from cyclopean.io.files import appearing, printable
from cyclopean.io.sidecar import (
    EXAMPLE,
    Ambiguity,
    AnyCamera,
    Kind,
    Maker,
    Sidecar,
    Unit,
    check_kind,
    check_meaning,
    read_sidecar,
    sidecar_path,
    sidecar_to_json,
)
from cyclopean.sample import OneMap

LOG = logging.getLogger(__name__)

Held = Literal["inverse_depth", "disparity", "inverse_distance"]

# Pillow's and OpenCV's own choices take twice as long for a tenth less of a file.
FAST_PNG = (
    cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE,
    cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG,
)  # fmt: skip
FARTHEST_MEDIAN = 500.0  # metres: a map with a farther median probably has another unit


@dataclass(frozen=True)
class DepthMap:
    """Inverse depth of one picture and its meaning.

    `inverse_depth`: larger = nearer, 0 = infinitely far, NaN where `valid` is False. `kind` names it: 1/depth, a
    rectified disparity (fraction of the image width) or 1/distance. `unit` is that of depth: "m", or "relative" when
    the scale is unknown; `ambiguity` names what is unknown: nothing (metric), a factor (scale), or a factor and an
    offset of the inverse depth (affine). `camera` None: not known. `notes` are figures on how it was made.
    """

    inverse_depth: OneMap
    kind: Held
    unit: Unit
    camera: AnyCamera | None
    valid: Bool[Tensor, "1 1 h w"]
    model: Maker | None
    ambiguity: Ambiguity
    notes: Mapping[str, float | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.valid.shape != self.inverse_depth.shape:
            raise ValueError(
                f"valid {tuple(self.valid.shape)} and inverse_depth {tuple(self.inverse_depth.shape)} differ"
            )
        if (self.unit == "m") != (self.ambiguity == "metric"):
            raise ValueError(
                f"unit {self.unit!r} contradicts ambiguity {self.ambiguity!r}: metres are metric, and only metres"
            )

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return size_of(self.inverse_depth)

    def __repr__(self) -> str:
        h, w = self.size
        known = self.inverse_depth[self.valid]
        span = f"{float(known.min()):.3g} to {float(known.max()):.3g}" if known.numel() else "nothing known"
        share = f"{100 * known.numel() / self.valid.numel():.0f} % known"
        scale = "metric" if self.unit == "m" else f"relative ({self.ambiguity})"
        maker = f", by {printable(self.model.name)}" if self.model else ""
        return f"DepthMap({w}x{h}, {self.kind}, {scale}, {span}, {share}{maker})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the numbers in memory: float32, `h w`, larger = nearer, NaN where unknown."""
        array = self.inverse_depth[0, 0].detach().cpu().numpy()
        return np.array(array, dtype or np.float32, copy=True if copy is None else copy)

    def plot(self) -> Image.Image:
        """Return a Pillow picture in false colours, bright = near: notebooks show it, `.save` and `.show` work."""
        colours = _painted(self.inverse_depth, *value_range(self.inverse_depth))
        return Image.fromarray(np.ascontiguousarray(colours[..., ::-1]))

    def numbers(self, kind: Kind | str) -> OneMap:
        """Return this map as numbers of `kind`, in `unit`; NaN where unknown, depth and distance `inf` at infinity.

        A disparity counts as 1/depth up to its unknown factor. Raises InputError for numbers that cannot be computed:
        depth from an affine map, disparity without a rig, distance without a camera; and for unknown kinds.
        """
        check_kind(kind)
        if kind == self.kind:
            return self.inverse_depth
        if kind == "disparity":
            raise InputError(
                "disparity needs the focal length and baseline of a stereo rig, and this map has none; use depth."
            )
        if self.ambiguity == "affine":
            raise InputError(
                f"{kind} cannot be computed from a map known only up to scale and shift; align it to true depth."
            )
        inverse, radial = self.inverse_depth, kind.endswith("distance")
        if radial != (self.kind == "inverse_distance"):
            if self.camera is None:
                raise InputError(
                    "converting depth and distance needs a camera, and this map has none; give it in the sidecar."
                )
            length = torch.linalg.vector_norm(self.camera.rays(pixel_grid(self.size, inverse)), dim=-1)[:, None]
            inverse = inverse / length if radial else inverse * length
        return inverse if kind.startswith("inverse") else torch.where(inverse >= 0, 1 / inverse.abs(), torch.nan)

    def metres(self, kind: Literal["depth", "distance"] = "depth") -> OneMap:
        """Return depth (z for a pinhole) or distance in metres. Raises InputError for a map without metric scale."""
        if self.unit != "m":
            raise InputError(
                "a relative map is not in metres; use a metric model, or align it with a known depth first."
            )
        return self.numbers(kind)

    def seen_by(self, camera: AnyCamera) -> "DepthMap":
        """Return a map of distances along the rays of `camera` as one of depth (z for a pinhole), others as they are.

        An affine map of distances stays as it is, too: its shift would be another one in every pixel.
        """
        if self.kind != "inverse_distance" or self.ambiguity == "affine":
            return self
        inverse = replace(self, camera=camera).numbers("inverse_depth")
        return replace(self, inverse_depth=inverse, kind="inverse_depth", camera=camera)

    def save(self, path: str | Path) -> None:
        """Write to `path`, in the format of its suffix (.npy, .npz, .exr, .pfm, 16-bit .png), with a sidecar.

        A 16-bit PNG shares its sidecar with no other file, since it holds the scale of the numbers.
        """
        path = Path(path)
        earlier = read_sidecar(path)
        others = [name for name in earlier.files if name != path.name] if earlier else []
        if others and ".png" in (path.suffix.lower(), *(Path(name).suffix.lower() for name in others)):
            raise InputError(
                f"{sidecar_path(path)} belongs to {', '.join(others)}; save {path.name} under another stem."
            )
        with appearing(path.parent) as folder:
            write_depth([folder / path.name], self)


def from_numbers(
    numbers: Tensor | NDArray[Any],
    kind: Kind | str,
    unit: Unit | str = "relative",
    *,
    camera: AnyCamera | None = None,
    model: Maker | None = None,
    ambiguity: Ambiguity | None = None,
) -> DepthMap:
    """Return a DepthMap from numbers of any kind: a tensor or an array `h w`, also with leading axes of one element.

    Depth and distance are known from 1e-12 (of their unit) on and at `inf`, the others up to 1e12, since arithmetic
    with what is nearer overflows; inverse depths below 1e-12 are infinitely far. Raises InputError for unknown kinds
    and units, for depth or distance that is affine, and for anything but one plane of real numbers.
    """
    ambiguity = ambiguity or ("metric" if unit == "m" else "scale")
    check_meaning(kind, unit, ambiguity)
    if isinstance(numbers, np.ndarray) and numbers.dtype.kind in "fiu":
        with np.errstate(over="ignore"):  # overflows of float32 become infinite
            numbers = torch.from_numpy(np.array(numbers, np.float32))
    if not isinstance(numbers, Tensor) or numbers.is_complex() or numbers.dtype == torch.bool:
        what = f"{numbers.dtype}" if isinstance(numbers, Tensor | np.ndarray) else type(numbers).__name__
        raise InputError(f"the numbers are {what}; give a tensor or an array (height, width) of real numbers.")
    numbers = numbers.reshape(1, 1, *plane_shape("the input", tuple(numbers.shape)))
    away = kind in ("depth", "distance")
    inverse = torch.where(numbers > 0, 1 / numbers, torch.nan) if away else numbers
    inverse = torch.where(inverse.abs() < 1 / LARGEST, 0, inverse)
    valid = inverse.abs() <= LARGEST
    known = torch.where(valid, inverse, torch.nan)
    held: Any = {"depth": "inverse_depth", "distance": "inverse_distance"}.get(kind, kind)
    return DepthMap(known, held, "m" if unit == "m" else "relative", camera, valid, model, ambiguity)


def write_depth(
    paths: Iterable[Path],
    depth: DepthMap,
    source: str | None = None,
    source_size: tuple[int, int] | None = None,
    also: tuple[str, ...] = (),
    *,
    source_hash: str | None = None,
    settings: str = "",
) -> list[Path]:
    """Write `depth` to every path (the suffix names the format) and one sidecar per stem; return all paths written.

    `source` names the picture it belongs to, `source_hash` is the SHA-256 of its file; `also` names other files made
    from it, so that runs over the folder skip them; `settings` is a hash of how it was made.
    """
    paths = list(paths)
    numbers = depth.inverse_depth[0, 0].to(torch.float32).cpu().numpy()
    written = []
    for stem in dict.fromkeys(path.with_suffix("") for path in paths):
        group = [path for path in paths if path.with_suffix("") == stem]
        if len(group) > 1 and any(path.suffix.lower() == ".png" for path in group):
            raise ValueError(f"{stem.name}.png needs a stem of its own: its sidecar holds the scale of its numbers")
        coding: dict[str, float] = {}
        for path in group:
            coding |= write_plane(path, numbers, depth.kind)
        sidecar = Sidecar(
            depth.kind, depth.unit, depth.ambiguity, depth.camera, depth.model, source, source_size, depth.size,
            **coding, files=(*(path.name for path in group), *also), notes=dict(depth.notes), source_hash=source_hash,
            settings=settings,
        )  # fmt: skip
        side = stem.with_name(stem.name + ".json")
        side.write_text(json.dumps(sidecar_to_json(sidecar), indent=2) + "\n")
        written += [*group, side]
    return written


def depth_size(path: str | Path) -> tuple[int, int]:
    """Return (height, width) of a depth file from its header alone. Raises InputError as `read_depth` does."""
    return plane_header(Path(path))[0]


def read_depth(path: str | Path, most_megapixels: float = MOST_MEGAPIXELS) -> DepthMap:
    """Return the depth map of a file and its sidecar; without one a file holds disparity (a PNG needs one).

    An EXR channel named Z or depth is depth even without a sidecar. Depth of 1e9 and more, before its scale, and what
    `sky_at_infinity` names besides, is infinitely far. Inverse depths below 1e-12 count as infinitely far,
    above 1e12 as unknown, since arithmetic with them overflows. In a disparity or inverse depth with unknown scale
    only, numbers below 0 are unknown too. Such numbers, a map of one value, and implausible metres are logged. Raises
    InputError for files that are not depth maps, or larger than `most_megapixels`, for a sidecar that contradicts its
    file, and for missing files.
    """
    path = Path(path)
    raw, named = read_plane(path, most_megapixels)
    sidecar = _sidecar_for(path, named, raw.shape)
    with np.errstate(all="ignore"):  # overflows become infinite, and are treated so below
        unknown = raw == sidecar.unknown
        array = (sky_at_infinity(raw) if sidecar.kind in ("depth", "distance") else raw).astype(np.float64)
        del raw
        array *= sidecar.scale
        array += sidecar.offset
        array[unknown] = np.nan
        numbers = torch.from_numpy(array.astype(np.float32))[None, None]
    depth = from_numbers(
        numbers, sidecar.kind, sidecar.unit,
        camera=sidecar.camera, model=sidecar.model, ambiguity=sidecar.ambiguity,
    )  # fmt: skip
    inverse, valid = depth.inverse_depth, depth.valid
    side = sidecar_path(path).name
    if sidecar.scale < 0 and not bool((inverse[valid] >= 0).any()):
        raise InputError(
            f"{path} has no depth of at least 0: the scale in {side} is {sidecar.scale:g}; a scale below 0 turns "
            "numbers above 0 into negative ones."
        )
    if not bool(valid.any()):
        raise InputError(
            f"{path} has no known depth: every value is NaN, marked unknown, or out of range (docs/formats.md)."
        )
    if depth.ambiguity != "affine" and bool((inverse[valid] < 0).all()):
        raise InputError(
            f"{path} holds negative numbers only, and {depth.kind.replace('_', ' ')} counts from 0 (infinitely far) "
            f"up; change its sign, or state in {side} beside it what its numbers are."
        )
    if depth.ambiguity != "affine" and bool((inverse[valid] > 0).any()):
        negative = valid & (inverse < 0)
        valid = valid & ~negative
        if count := int(negative.sum()):
            LOG.warning(
                "%s: %d of %d numbers are below 0, where %s has none; they count as unknown.",
                path.name, count, negative.numel(), depth.kind.replace("_", " "),
            )  # fmt: skip
    known = inverse[valid]
    if known.numel() > 1 and bool((known == known[0]).all()):
        holes = valid.numel() - known.numel()
        all_of_them = (
            f"{holes} of {valid.numel()} numbers are unknown and the others" if holes else "all of its numbers"
        )
        LOG.warning(
            "%s: %s are the same, so nothing is nearer than the rest, and a refocused photo would be equally sharp "
            "everywhere.",
            path.name, all_of_them,
        )  # fmt: skip
    away = 1 / known[known > 0]
    if depth.unit == "m" and away.numel() and (typical := float(away.median())) > FARTHEST_MEDIAN:
        LOG.warning(
            '%s: half of it is farther away than %.0f m. If its numbers are millimetres, write "scale": 0.001 in %s.',
            path.name, typical, side,
        )  # fmt: skip
    return replace(depth, inverse_depth=torch.where(valid, inverse, torch.nan), valid=valid)


def check_depth_map(depth: object) -> None:
    """Raise InputError for what is not a DepthMap."""
    if not isinstance(depth, DepthMap):
        raise InputError(
            f"the depth is a {type(depth).__name__}; give a DepthMap: load()(photo), read_depth(path), or "
            "from_numbers(tensor, kind)."
        )


def is_turned(size: tuple[int, int], photo: tuple[int, int]) -> bool:
    """Return whether a map of `size` (height, width) has the shape of the photo turned by 90 degrees."""
    return size[0] != size[1] and size[0] * photo[0] == size[1] * photo[1]


def _sidecar_for(path: Path, named: str | None, size: tuple[int, ...]) -> Sidecar:
    """Return the sidecar of `path`, checked against the kind that the file itself names and its size.

    Without a sidecar, return what such a file means.
    """
    sidecar = read_sidecar(path)
    side = sidecar_path(path).name
    likely = (path.with_name(name) for name in (f"{path.name}.json", f"{path.stem}.JSON", f"{path.stem}.Json"))
    if sidecar is None and (other := next((name for name in likely if name.exists()), None)):
        raise InputError(f"{path} has no sidecar {side}, and {other.name} beside it is not read; rename it to {side}.")
    if sidecar is None and path.suffix.lower() == ".png":
        raise InputError(f"{path} does not state what its numbers mean: put {side} beside it, such as {EXAMPLE}")
    if sidecar is None and named is None and path.suffix.lower() == ".exr":
        LOG.warning(
            "%s has no channel named Z or depth, and no %s says what it holds: it is taken for a disparity, larger = "
            'nearer. If it is depth, write {"kind": "depth"} into %s.',
            path.name, side, side,
        )  # fmt: skip
    if sidecar is None:
        return Sidecar(named or "disparity")  # type: ignore[arg-type]
    if path.suffix.lower() == ".npz" and named and named != sidecar.kind:
        raise InputError(f"{path} holds {named!r} but {side} has {sidecar.kind!r}; correct one of them.")
    if sidecar.size and sidecar.size != size:
        ours, theirs = (f"{width}x{height}" for height, width in (size, sidecar.size))
        raise InputError(f"{path} is {ours} but {side} has {theirs}; they do not belong together.")
    return sidecar


def colourise(values: Float[Tensor, "1 1 h w"], low: float, high: float) -> Float[Tensor, "1 3 h w"]:
    """Return false colours of `values`: dark purple at `low`, bright yellow at `high`, grey where NaN."""
    rgb = np.ascontiguousarray(_painted(values, low, high)[..., ::-1].transpose(2, 0, 1)[None], np.float32)
    return torch.from_numpy(rgb).to(values.device) / 255


def write_colours(path: Path, values: Float[Tensor, "1 1 h w"]) -> None:
    """Write false colours of `values`, in their range (`value_range`), as a PNG."""
    good, code = cv2.imencode(".png", _painted(values, *value_range(values)), FAST_PNG)
    assert good
    path.write_bytes(code.tobytes())


def _painted(values: Float[Tensor, "1 1 h w"], low: float, high: float) -> UInt8[np.ndarray, "h w 3"]:
    """Return the false colours as OpenCV has them: blue, green, red."""
    plane = values[0, 0].detach().cpu()
    position = (plane - low) / (high - low) if high > low else torch.full_like(plane, 0.5)
    index = position.nan_to_num(0, 0, 0).clamp(0, 1).mul(255).round().byte().numpy()
    bgr = cv2.applyColorMap(index, cv2.COLORMAP_INFERNO)
    bgr[plane.isnan().numpy()] = 128
    return bgr


def value_range(values: Float[Tensor, "*shape"]) -> tuple[float, float]:
    """Return the range to show: the 1st to the 99th percentile of the finite values, so that outliers do not determine
    it."""
    some = values.flatten()[:: max(1, values.numel() // 100_000)]
    some = some[some.isfinite()]
    if some.numel() < 10_000:  # most are unknown
        some = values[values.isfinite()]
    if some.numel() == 0:
        return 0.0, 1.0
    low, high = np.quantile(some.detach().cpu().numpy(), (0.01, 0.99)).tolist()  # ten times as fast as torch's
    return low, high
