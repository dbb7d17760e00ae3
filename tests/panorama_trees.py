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


def traced360(root: Path, size: tuple[int, int] = SIZE, count: int = 2) -> Path:
    for n in range(count):
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


def exr(path: Path, plane: np.ndarray, channels: str = "Z") -> Path:
    """Float EXR, the same plane in every channel."""
    import OpenEXR

    path.parent.mkdir(parents=True, exist_ok=True)
    OpenEXR.File({"type": OpenEXR.scanlineimage}, {name: plane.astype(np.float32) for name in channels}).write(
        str(path)
    )
    return path


def threed60(root: Path, size: tuple[int, int] = SIZE, folder: str = "Matterport3D") -> Path:
    """Two triples as released; the second's depth holds what is unknown: 0, infinity, and further than 20 m."""
    for n in range(2):
        for name, position in (("Left_Down", CENTRE), ("Right", RIGHT), ("Up", UP)):
            rgb, radius = room(position, size, n)
            write_rgb(root / folder / f"{n}_7812e14df5e74_color_0_{name}_0.0.png", rgb)
            depth = radius.copy()
            if n:
                depth[0, :3] = 0, np.inf, 20.5
            exr(root / folder / f"{n}_7812e14df5e74_depth_0_{name}_0.0.exr", depth, "RGB")
    return root


def threed60_line(number: int, top: str = ".\\Matterport3D\\") -> str:
    """A line of a released list: nine paths, of colours, depths and normals."""
    kinds = (("color", "png"), ("depth", "exr"), ("normal", "exr"))
    stem = f"{top}{number}_7812e14df5e74"
    return " ".join(
        f"{stem}_{kind}_0_{name}_0.0.{suffix}" for kind, suffix in kinds for name in ("Left_Down", "Right", "Up")
    )


def depth_counts(path: Path, per_metre: int, unknown: int) -> Path:
    """The room's depth as a 16-bit picture; its first pixel is `unknown`."""
    values = np.rint(room()[1] * per_metre).astype(np.uint16)
    values[0, 0] = unknown
    trees.counts(path, values)
    return path


def matterport3d(root: Path) -> Path:
    scene = root / "17DRP5sb8fy"
    write_rgb(scene / "pano_skybox_color" / "00ebbf3782c64d74aaf7dd39cd561175.jpg", room()[0])
    depth_counts(scene / "pano_depth" / "00ebbf3782c64d74aaf7dd39cd561175.png", 4000, 0)
    return root


def stanford2d3d(root: Path, between: str = "pano/", rgb: str = "rgb") -> Path:
    stem = "camera_00d10d86db1e435081a837ced388375f_office_24_frame_equirectangular_domain"
    colours = room()[0].copy()
    colours[:4], colours[-3:], colours[16, 5] = 0, 0, 0  # the caps, and one dark thing
    write_rgb(root / f"area_1/{between}{rgb}" / f"{stem}_rgb.png", colours)
    depth_counts(root / f"area_1/{between}depth" / f"{stem}_depth.png", 512, 65535)
    return root


def structured3d(root: Path) -> Path:
    for furniture, seed in (("full", 0), ("empty", 1)):
        folder = root / "scene_00000" / "2D_rendering" / "485142" / "panorama" / furniture
        for k, light in enumerate(("raw", "cold")):
            write_rgb(folder / f"rgb_{light}light.png", room(seed=seed + 2 * k)[0])
        depth_counts(folder / "depth.png", 1000, 0)
    return root


def pano3d(root: Path) -> Path:
    colours, radius = (array.copy() for array in room())
    colours[3, 4], radius[3, 4] = 0, np.inf
    write_rgb(root / "1LXtFkjw3qL" / "0_emission_center_0.png", colours)
    exr(root / "1LXtFkjw3qL" / "0_depth_center_0.exr", radius, "Z")
    exr(root / "1LXtFkjw3qL" / "0_normal_map_center_0.exr", radius, "RGB")
    return root


def panoramas(root: Path) -> Path:
    write_rgb(root / "kitchen" / "a.png", room()[0])
    write_rgb(root / "b.jpg", room(seed=1)[0])
    return root


# kind -> who writes its tree, and options
TREES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "3d60": (threed60, ":sources=both"),
    "matterport3d": (matterport3d, ""),
    "pano3d": (pano3d, ""),
    "panoramas": (panoramas, ""),
    "stanford2d3d": (stanford2d3d, ""),
    "structured3d": (structured3d, ":furniture=full"),
    "topbottom": (top_bottom, f":baseline={BASELINE}"),
    "traced360": (traced360, ""),
}
