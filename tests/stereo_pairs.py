"""A textured pair with known disparity: what stands lower is nearer, as on a floor."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np

H, W = 120, 240
NEAREST, FARTHEST = 12.0, 2.0  # disparities in pixels, in the last and the first row


def texture(seed: int, size: tuple[int, int]) -> np.ndarray:
    """Blobs of several sizes, 0..255, three channels."""
    rng = np.random.default_rng(seed)
    total = np.zeros((*size, 3))
    for blur in (1.2, 2.5, 5.0):
        blobs = cv2.GaussianBlur(rng.normal(size=(*size, 3)), (0, 0), blur)
        total += blobs / blobs.std()
    return np.clip(128 + 30 * total, 0, 255)


def disparity() -> np.ndarray:
    """Pixels of each row, columns alike."""
    return np.linspace(FARTHEST, NEAREST, H)


@cache
def left_and_right(seed: int, down: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Left and right as 8-bit BGR; points lie `down` pixels higher in the right than in the left."""
    wall = texture(seed, (H + 40, W + 40))
    x, y = np.meshgrid(np.arange(W) + 20.0, np.arange(H) + 20.0)
    across = np.interp(np.arange(H) + down, np.arange(H), disparity())[:, None]

    def seen(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (
            cv2.remap(wall, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
        )

    return seen(x, y), seen(x + across, y + down)


def write_pairs(folder: Path, count: int = 3, down: float = 0.0, swapped: bool = False) -> Path:
    """A stereo folder with calibration: focal length 1 width, baseline 0.1."""
    names = ("right", "left") if swapped else ("left", "right")
    for n in range(count):
        for name, picture in zip(names, left_and_right(n, down), strict=True):
            (folder / name).mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(folder / name / f"{n:03d}.png"), picture)
    (folder / "calibration.json").write_text('{"focal": [1, 2], "baseline_m": 0.1}')
    return folder


def write_depth(folder: Path, count: int = 3, factor: float = 1.0) -> None:
    """The true depth of those pairs, times `factor`."""
    (folder / "depth").mkdir()
    for n in range(count):
        depth = np.repeat(factor * W * 0.1 / disparity()[:, None], W, 1)
        np.save(folder / "depth" / f"{n:03d}.npy", depth.astype(np.float32))
