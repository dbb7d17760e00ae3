"""KITTI object benchmark: left colour pictures of a car, truth from the laser scanner."""

import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch.utils.data import Dataset

from cyclopean.data.reading import existing_folder, read_image
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole
from cyclopean.sample import Sample, view


class KittiObjectDataset(Dataset[Sample]):
    """`image_2/NNNNNN.png`, `velodyne/NNNNNN.bin`, `calib/NNNNNN.txt` (Geiger et al. 2012).

    Depth is z of the left colour camera, metres, at the pixels that a laser point hits (the nearest, if several),
    elsewhere NaN. (The exports behind Monodepth's Eigen tables hold the scanner's forward axis, some 0.27 m more.)
    """

    def __init__(self, path: Path | str) -> None:
        self.folder = existing_folder(path)
        scans = sorted((self.folder / "velodyne").glob("*.bin"))
        self.stems = [p.stem for p in scans if (self.folder / "image_2" / f"{p.stem}.png").exists()]
        if not self.stems:
            raise InputError(
                f"{self.folder} holds no KITTI object frame; it needs the folders image_2, velodyne and calib."
            )

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, index: int) -> Sample:
        stem = self.stems[index]
        image = read_image(self.folder / "image_2" / f"{stem}.png")
        height, width = image.shape[-2], image.shape[-1]
        calibration = _matrices(self.folder / "calib" / f"{stem}.txt")
        depth = project_scan(
            _scan(self.folder / "velodyne" / f"{stem}.bin"), image_from_velodyne(calibration), (height, width)
        )
        p = calibration["P2"]
        # KITTI counts from the centre of the first pixel.
        focal = torch.tensor([[p[0, 0] / width, p[1, 1] / height]], dtype=torch.float32)
        center = torch.tensor([[(p[0, 2] + 0.5) / width, (p[1, 2] + 0.5) / height]], dtype=torch.float32)
        return Sample(view(image, Pinhole(focal, center)), (), torch.from_numpy(depth)[None, None], name=(stem,))

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return 80.0


def image_from_velodyne(calibration: dict[str, Float[np.ndarray, "rows columns"]]) -> Float[np.ndarray, "3 4"]:
    """P2 @ R0_rect @ Tr_velo_to_cam: laser points to (u z, v z, z) in pixels of the left colour picture."""
    rectify, move = np.eye(4), np.eye(4)
    rectify[:3, :3] = calibration["R0_rect"]
    move[:3] = calibration["Tr_velo_to_cam"]
    return calibration["P2"] @ rectify @ move


def project_scan(
    points: Float[np.ndarray, "n 3"], image_from_points: Float[np.ndarray, "3 4"], size: tuple[int, int]
) -> Float[np.ndarray, "h w"]:
    """Depth of the nearest point in each pixel of a picture of `size` (height, width), NaN where there is none.

    Pixel coordinates count from the centre of the first pixel, so rounding gives the pixel.
    """
    x, y, z = image_from_points @ np.c_[points, np.ones(len(points))].T
    front = z > 0
    x, y, z = x[front] / z[front], y[front] / z[front], z[front]
    column, row = np.rint(x), np.rint(y)
    inside = (column >= 0) & (column < size[1]) & (row >= 0) & (row < size[0])
    depth = np.full(size, math.inf, np.float32)
    np.minimum.at(depth, (row[inside].astype(int), column[inside].astype(int)), z[inside].astype(np.float32))
    return np.where(np.isinf(depth), np.float32(math.nan), depth)


def _scan(path: Path) -> Float[np.ndarray, "n 3"]:
    values = np.fromfile(path, np.float32)
    if not len(values) or len(values) % 4:
        raise InputError(f"{path} holds {len(values)} numbers; a scan has x, y, z and reflectance of each point.")
    return values.reshape(-1, 4)[:, :3].astype(np.float64)


def _matrices(path: Path) -> dict[str, np.ndarray]:
    try:
        lines = [line.split(":") for line in path.read_text().splitlines() if ":" in line]
        rows = {key.strip(): np.array(values.split(), np.float64).reshape(3, -1) for key, values in lines}
        return {key: rows[key] for key in ("P2", "R0_rect", "Tr_velo_to_cam")}
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path} is missing or lacks P2, R0_rect or Tr_velo_to_cam; it comes with the frame."
        ) from error
