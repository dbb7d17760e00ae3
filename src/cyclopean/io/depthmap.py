"""DepthMap: a map of depth that knows what its numbers are, converts what can be converted and refuses the rest.

In memory larger is always nearer. On disk any kind may stand; the sidecar says which. See docs/formats.md.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cyclopean.errors import InputError, unknown_name
from cyclopean.geometry import pixel_grid
from cyclopean.io.depth_formats import MOST_MEGAPIXELS, READERS, WRITERS, array_shape
from cyclopean.io.files import appearing, refuse_unreadable, shortened, shown
from cyclopean.io.sidecar import (
    EXAMPLE,
    Ambiguity,
    AnyCamera,
    Kind,
    Maker,
    Sidecar,
    Unit,
    read_sidecar,
    sidecar_path,
    to_json,
)

Held = Literal["inverse_depth", "disparity", "inverse_distance"]
Map = Float[Tensor, "1 1 h w"]

LARGEST = 1e12  # inverse depth, and depth, of a file: cubes of them and sums over a picture are still finite
NOTHING = 1e9  # what renderers write into an EXR where a ray meets nothing is this or more


@dataclass(frozen=True)
class DepthMap:
    """Inverse depth of one picture and what it means.

    `inverse_depth`: larger = nearer, 0 = infinitely far, NaN where `valid` is False. `kind` says what it is: 1/depth, a
    rectified disparity (fraction of the image width) or 1/distance. `unit` is that of depth: "m", or "relative" when
    the scale is unknown; `ambiguity` says what is unknown: nothing (metric), a factor (scale), or a factor and an
    offset of the inverse depth (affine). `camera` None: not known. `notes` are figures of how it was made.
    """

    inverse_depth: Map
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
                f"unit {self.unit!r} contradicts ambiguity {self.ambiguity!r}: metres are metric and only they"
            )

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.inverse_depth.shape[-2], self.inverse_depth.shape[-1]

    def __repr__(self) -> str:
        h, w = self.size
        known = self.inverse_depth[self.valid]
        span = f"{float(known.min()):.3g} to {float(known.max()):.3g}" if known.numel() else "nothing known"
        share = f"{100 * known.numel() / self.valid.numel():.0f} % known"
        scale = "metric" if self.unit == "m" else f"relative ({self.ambiguity})"
        maker = f", by {shown(self.model.name)}" if self.model else ""
        return f"DepthMap({w}x{h}, {self.kind}, {scale}, {span}, {share}{maker})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the numbers as they are held: float32, `h w`, larger = nearer, NaN where unknown."""
        array = self.inverse_depth[0, 0].detach().cpu().numpy()
        return np.array(array, dtype or np.float32, copy=True if copy is None else copy)

    def plot(self) -> Image.Image:
        """Return a Pillow picture in false colours, bright = near: notebooks show it, `.save` and `.show` work."""
        colours = colourise(self.inverse_depth, *value_range(self.inverse_depth))
        return Image.fromarray(colours[0].mul(255).round().byte().permute(1, 2, 0).cpu().numpy())

    def numbers(self, kind: Kind) -> Map:
        """This map as numbers of `kind`, in `unit`; NaN where unknown, depth and distance `inf` at infinity.

        Raises InputError for what cannot be known: depth from an affine map, disparity without a rig, distance without
        a camera.
        """
        if kind == self.kind:
            return self.inverse_depth
        if kind == "disparity":
            raise InputError(
                "disparity needs the focal length and baseline of a stereo rig, this map has none; ask for depth."
            )
        if self.ambiguity == "affine":
            raise InputError(
                f"{kind} cannot be read off a map known only up to scale and shift; align it with true depth first."
            )
        inverse = self._inverse(radial=kind.endswith("distance"))
        return inverse if kind.startswith("inverse") else torch.where(inverse >= 0, 1 / inverse.abs(), torch.nan)

    def metres(self, kind: Literal["depth", "distance"] = "depth") -> Map:
        """Depth (z for a pinhole) or distance in metres. Raises InputError when the map has no metric scale."""
        if self.unit != "m":
            raise InputError("a relative map has no metres; use a metric model, or align it with a known depth first.")
        return self.numbers(kind)

    def save(self, path: str | Path) -> None:
        """Write to `path`; its suffix names the format (.npy, .npz, .exr, .pfm, 16-bit .png). A sidecar goes along."""
        path = Path(path)
        _refuse_shared_stem(path)
        with appearing(path.parent) as folder:
            write_depth([folder / path.name], self)

    def _inverse(self, *, radial: bool) -> Map:
        """1/distance if `radial`, else 1/depth; a disparity counts as 1/depth up to its unknown factor."""
        if radial == (self.kind == "inverse_distance"):
            return self.inverse_depth
        length = _ray_length(self.camera, self.inverse_depth)
        return self.inverse_depth / length if radial else self.inverse_depth * length


def from_numbers(
    numbers: Float[Tensor, "1 1 h w"],
    kind: Kind,
    unit: Unit = "relative",
    *,
    camera: AnyCamera | None = None,
    model: Maker | None = None,
    ambiguity: Ambiguity | None = None,
) -> DepthMap:
    """A DepthMap from numbers of any kind. Depth and distance are known from above 0 to `inf`, the rest when finite."""
    away = kind in ("depth", "distance")
    inverse = torch.where(numbers > 0, 1 / numbers, torch.nan) if away else numbers
    valid = inverse.isfinite()  # also of depths above 0, the smallest of which have none
    known = torch.where(valid, inverse, torch.nan)
    ambiguity = ambiguity or ("metric" if unit == "m" else "scale")
    held: Held = {"depth": "inverse_depth", "distance": "inverse_distance"}.get(kind, kind)  # type: ignore[assignment]
    return DepthMap(known, held, unit, camera, valid, model, ambiguity)


def write_depth(
    paths: Iterable[Path],
    depth: DepthMap,
    source: str | None = None,
    source_size: tuple[int, int] | None = None,
    also: tuple[str, ...] = (),
) -> list[Path]:
    """Write `depth` to every path (the suffix names the format) and one sidecar per stem; returns all paths written.

    `source` names the picture it belongs to; `also` names further files made from it, so that folder runs skip them.
    """
    paths = list(paths)
    numbers = depth.inverse_depth[0, 0].to(torch.float32).cpu().numpy()
    written = []
    for stem in dict.fromkeys(path.with_suffix("") for path in paths):
        own = [path for path in paths if path.with_suffix("") == stem]
        if len(own) > 1 and any(path.suffix.lower() == ".png" for path in own):
            raise ValueError(f"{stem.name}.png needs a stem of its own: its sidecar holds the scale of its numbers")
        coding: dict[str, float] = {}
        for path in own:
            coding |= writer(path)(path, numbers, depth.kind)
        card = Sidecar(
            depth.kind, depth.unit, depth.ambiguity, depth.camera, depth.model, source, source_size, depth.size,
            **coding, files=(*(path.name for path in own), *also), notes=dict(depth.notes),
        )  # fmt: skip
        side = stem.with_name(stem.name + ".json")
        side.write_text(json.dumps(to_json(card), indent=2) + "\n")
        written += [*own, side]
    return written


def writer(path: Path) -> Any:
    """The function that writes the format of `path`'s suffix; InputError names the known ones."""
    if path.suffix.lower() not in WRITERS:
        raise unknown_name("depth format", path.suffix, WRITERS)
    return WRITERS[path.suffix.lower()]


def depth_size(path: str | Path) -> tuple[int, int]:
    """Return (height, width) of a depth file from its header alone. Raises InputError as `read_depth` does."""
    path = Path(path)
    _refuse_other_files(path)
    return _plane_shape(path, array_shape(path))


def read_depth(path: str | Path, most_megapixels: float = MOST_MEGAPIXELS) -> DepthMap:
    """The depth map of a file and its sidecar; without one a file holds disparity, larger = nearer (PNG needs one).

    An EXR channel that is named Z or depth is depth without a sidecar too. Inverse depths nearer to 0 than 1e-12 are
    infinitely far, larger than 1e12 unknown: no arithmetic goes on well with them. Raises InputError for files that are
    no depth maps, or larger than `most_megapixels`, for a sidecar that contradicts its file, and for missing files.
    """
    path = Path(path)
    _refuse_other_files(path)
    raw, named = READERS[path.suffix.lower()](path, most_megapixels)
    size = _plane_shape(path, raw.shape)
    if raw.dtype.kind not in "fiu":
        raise InputError(f"{path} holds {raw.dtype}; a depth map is one plane (height, width) of numbers.")
    card = _card(path, named, size)
    with np.errstate(all="ignore"):  # what overflows is infinite, and counts as such below
        array = raw.reshape(size).astype(np.float64)
        del raw
        unknown = array == card.unknown
        array *= card.scale
        array += card.offset
        array[unknown] = np.nan
        numbers = torch.from_numpy(array.astype(np.float32))[None, None]
    if path.suffix.lower() == ".exr" and card.kind in ("depth", "distance"):
        numbers[numbers >= NOTHING] = torch.inf
    return _bounded(
        path,
        from_numbers(numbers, card.kind, card.unit, camera=card.camera, model=card.model, ambiguity=card.ambiguity),
    )


def _bounded(path: Path, depth: DepthMap) -> DepthMap:
    """`depth` within what arithmetic in float32 bears."""
    inverse = torch.where(depth.inverse_depth.abs() < 1 / LARGEST, 0, depth.inverse_depth)
    valid = depth.valid & (inverse.abs() <= LARGEST)
    if not bool(valid.any()):
        raise InputError(f"{path} has no known depth: every value is NaN or means unknown.")
    if depth.ambiguity != "affine" and bool((inverse[valid] < 0).all()):
        raise InputError(
            f"{path} holds negative numbers only, and {depth.kind.replace('_', ' ')} counts from 0 (infinitely far) "
            f"up; change its sign, or say in {sidecar_path(path).name} beside it what its numbers are."
        )
    return replace(depth, inverse_depth=torch.where(valid, inverse, torch.nan), valid=valid)


def _refuse_other_files(path: Path) -> None:
    if not os.path.exists(path):  # which takes any name, also one too long for the disk
        raise InputError(f"there is no depth file {shortened(path)}; check the path.")
    refuse_unreadable(path)
    if path.suffix.lower() not in READERS:
        raise InputError(f"{path} is no depth file: give {', '.join(READERS)} (a 16-bit .png needs its sidecar).")


def _card(path: Path, named: str | None, size: tuple[int, ...]) -> Sidecar:
    """The sidecar of `path`, checked against what the file says itself; without one, what such a file means."""
    card = read_sidecar(path)
    side = sidecar_path(path).name
    if card is None and path.suffix.lower() == ".png":
        raise InputError(f"{path} does not say what its numbers mean: put {side} beside it, such as {EXAMPLE}")
    if card is None:
        return Sidecar(named or "disparity")  # type: ignore[arg-type]
    if path.suffix.lower() == ".npz" and named and named != card.kind:
        raise InputError(f"{path} holds {named!r} but {side} says {card.kind!r}; correct one of them.")
    if card.size and card.size != size:
        raise InputError(f"{path} is {_wxh(size)} but {side} says {_wxh(card.size)}; they do not belong together.")
    return card


def _refuse_shared_stem(path: Path) -> None:
    """A 16-bit PNG's sidecar holds the scale of its numbers: no other file may share it."""
    earlier = read_sidecar(path)
    others = [name for name in earlier.files if name != path.name] if earlier else []
    if others and ".png" in (path.suffix.lower(), *(Path(name).suffix.lower() for name in others)):
        raise InputError(f"{sidecar_path(path)} belongs to {', '.join(others)}; save {path.name} under another stem.")


def _plane_shape(path: Path, shape: tuple[int, ...]) -> tuple[int, int]:
    """`shape` as that of one plane: leading and trailing axes of one element are dropped."""
    sides = list(shape)
    while len(sides) > 2 and 1 in (sides[0], sides[-1]):
        sides.pop(0 if sides[0] == 1 else -1)
    if len(sides) != 2 or 0 in sides:
        raise InputError(
            f"{path} holds an array of shape {shortened(shape)}; a depth map is one plane (height, width) of numbers."
        )
    return sides[0], sides[1]


def _ray_length(camera: AnyCamera | None, like: Map) -> Map:
    if camera is None:
        raise InputError(
            "depth and distance differ by the camera, and this map has none; give its camera in the sidecar."
        )
    rays = camera.rays(pixel_grid((like.shape[-2], like.shape[-1]), like))
    return torch.linalg.vector_norm(rays, dim=-1)[:, None]


def _wxh(size: tuple[int, ...]) -> str:
    return f"{size[1]}x{size[0]}"


def colourise(values: Float[Tensor, "1 1 h w"], low: float, high: float) -> Float[Tensor, "1 3 h w"]:
    """Return false colours of `values`: dark purple at `low`, bright yellow at `high`, grey where NaN."""
    position = (values - low) / (high - low) if high > low else torch.full_like(values, 0.5)
    index = torch.where(values.isfinite(), position, 0).clamp(0, 1).mul(255).round().byte()
    bgr = cv2.applyColorMap(index[0, 0].cpu().numpy(), cv2.COLORMAP_INFERNO)
    rgb = np.ascontiguousarray(bgr[..., ::-1].transpose(2, 0, 1)[None], np.float32)
    return torch.where(values.isnan(), 0.5, torch.from_numpy(rgb).to(values.device) / 255)


def value_range(values: Float[Tensor, "*shape"]) -> tuple[float, float]:
    """Return the range to show: the 1st to the 99th percentile of the finite values; a few outliers must not rule."""
    finite = values[values.isfinite()]
    if finite.numel() == 0:
        return 0.0, 1.0
    some = finite[:: max(1, finite.numel() // 100_000)]
    return float(some.quantile(0.01)), float(some.quantile(0.99))
