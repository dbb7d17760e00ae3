"""A box-shaped room seen by panoramas, in plain numpy, and small trees of it in the true layout of each release."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np

import stereo_pairs
import trees

SIZE = (32, 64)
BASELINE = 0.26
# The room's corners in the centre camera's frame (x right, y down, z forward), which is not its middle.
LOW, HIGH = np.array([-1.9, -1.3, -2.6]), np.array([2.4, 1.5, 3.1])
CENTRE, UP, RIGHT = (0.0, 0.0, 0.0), (0.0, -BASELINE, 0.0), (BASELINE, 0.0, 0.0)


def directions(size: tuple[int, int]) -> np.ndarray:
    """Unit rays `h w 3` of a panorama: its middle looks forward, its top up."""
    height, width = size
    longitude = ((np.arange(width) + 0.5) / width - 0.5) * 2 * np.pi
    latitude = (0.5 - (np.arange(height) + 0.5) / height)[:, None] * np.pi
    level = np.cos(latitude)
    return np.stack(
        np.broadcast_arrays(level * np.sin(longitude), -np.sin(latitude), level * np.cos(longitude)), axis=-1
    )


@cache
def room(
    position: tuple[float, float, float] = CENTRE, size: tuple[int, int] = SIZE, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """What a camera at `position` sees: 8-bit RGB, and radius in metres."""
    rays, origin = directions(size), np.array(position)
    with np.errstate(divide="ignore"):
        reach = np.where(rays > 0, HIGH - origin, LOW - origin) / rays
    wall, radius = reach.argmin(-1), reach.min(-1)
    points = origin + radius[..., None] * rays
    rgb = np.zeros((*size, 3), np.uint8)
    for axis in range(3):
        for positive in (False, True):
            here = (wall == axis) & ((np.take(rays, axis, -1) > 0) == positive)
            rgb[here] = _painted(points[here], axis, seed + 10 * axis + positive)
    return rgb, radius.astype(np.float32)


@cache
def _texture(seed: int) -> np.ndarray:
    return stereo_pairs.texture(seed, (240, 240)).astype(np.float32)


def _painted(points: np.ndarray, axis: int, seed: int) -> np.ndarray:
    """Colours of points of one wall: blobs, some 3 cm to the texel."""
    texture = _texture(seed)
    across, down = ((points[:, k] + 3.5) * 34 for k in range(3) if k != axis)
    seen = cv2.remap(texture, across.astype(np.float32)[None], down.astype(np.float32)[None], cv2.INTER_LINEAR)
    return seen[0].clip(0, 255).astype(np.uint8)


def write_rgb(path: Path, rgb: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), rgb[..., ::-1])
    return path


def traced360(root: Path, size: tuple[int, int] = SIZE) -> Path:
    for n in range(2):
        for name, position in (("centre", CENTRE), ("up", UP), ("right", RIGHT)):
            rgb, radius = room(position, size, n)
            write_rgb(root / f"indoor360_{n:03d}_{name}.png", rgb)
            if name == "centre":
                np.savez(root / f"indoor360_{n:03d}_centre_depth.npz", depth=radius.astype(np.float16))
        trees.text(root / f"indoor360_{n:03d}.json", json.dumps({"kind": "indoor360", "baseline": BASELINE}))
    return root


def top_bottom(root: Path, size: tuple[int, int] = SIZE, count: int = 2) -> Path:
    for n in range(count):
        write_rgb(root / "image_up" / f"room{n}.png", room(UP, size, n)[0])
        write_rgb(root / "image_down" / f"room{n}.png", room(CENTRE, size, n)[0])
    return root


# kind -> who writes its tree, and options
TREES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "topbottom": (top_bottom, f":baseline={BASELINE}"),
    "traced360": (traced360, ""),
}
