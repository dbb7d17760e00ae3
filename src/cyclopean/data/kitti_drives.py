"""The folder tree of KITTI raw: where a frame's pictures, calibration and laser scan lie, and what they say."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cyclopean.data.kitti import Matrix, matrix, offset, read_calibration, rigid
from cyclopean.data.reading import found
from cyclopean.data.rigs import Size, pinhole_px
from cyclopean.data.splits import Frame
from cyclopean.errors import InputError
from cyclopean.files import PHOTOS
from cyclopean.geometry import Pinhole

OTHER = {"02": "03", "03": "02"}


@dataclass(frozen=True)
class Drives:
    """`DATE/calib_{cam_to_cam,velo_to_cam}.txt` and, in `DATE/DRIVE_sync`, `image_{02,03}/data/NUMBER.{png,jpg}` and
    `velodyne_points/data/NUMBER.bin`, below `root`."""

    root: Path

    def frames(self, steps: tuple[int, ...]) -> Iterator[Frame]:
        """Every frame of the left colour camera that has those `steps` before and after."""
        for folder in sorted(self.root.glob("????_??_??/*_sync/image_02/data")):
            numbers = {int(p.stem) for p in folder.iterdir() if p.suffix.lower() in PHOTOS and p.stem.isdigit()}
            drive = folder.parents[1].relative_to(self.root).as_posix()
            yield from (Frame(drive, n, "02") for n in sorted(numbers) if all(n + step in numbers for step in steps))

    def picture(self, frame: Frame, camera: str, step: int = 0) -> Path:
        """The picture of `camera`, `step` frames later: a PNG, or its JPEG copy."""
        return found(self.root / frame.drive / f"image_{camera}" / "data" / f"{frame.number + step:010d}.png")

    def scan(self, frame: Frame) -> Path:
        """The laser scan of a frame; the release lacks a few."""
        return self.root / frame.drive / "velodyne_points" / "data" / f"{frame.number:010d}.bin"

    def calibration(self, frame: Frame, name: str = "cam_to_cam") -> Path:
        """A calibration file of the frame's day."""
        return self.root / Path(frame.drive).parts[0] / f"calib_{name}.txt"

    def cameras(self, frame: Frame) -> tuple[Pinhole, Pinhole, float]:
        """The frame's camera, the other eye's, and how far that stands to its right, metres.

        Relative to the calibrated size, so that shrunken copies of the pictures read alike.
        """
        here, size = self._projection(frame, frame.camera)
        there, other_size = self._projection(frame, OTHER[frame.camera])
        path = self.calibration(frame)
        cameras = pinhole_px(here, size, path), pinhole_px(there, other_size, path)
        return *cameras, offset(here, there, path)

    def image_from_velodyne(self, frame: Frame, size: Size) -> Matrix:
        """P_rect @ R_rect_00 @ [R | T]: laser points to (x z, y z, z), pixels of the frame's picture at `size`, counted
        from the centre of the first."""
        projection, calibrated = self._projection(frame, frame.camera)
        cameras, scanner = self.calibration(frame), self.calibration(frame, "velo_to_cam")
        rectify = matrix(cameras, read_calibration(cameras), "R_rect_00", 3)
        moved = read_calibration(scanner)
        half = np.eye(3)
        half[:2, 2] = 0.5
        scale = np.diag([size[1] / calibrated[1], size[0] / calibrated[0], 1.0])
        resized = np.linalg.inv(half) @ scale @ half @ projection
        return resized @ rigid(rectify) @ rigid(matrix(scanner, moved, "R", 3), matrix(scanner, moved, "T", 1))

    def _projection(self, frame: Frame, camera: str) -> tuple[Matrix, Size]:
        """Projection of a rectified camera, and the size (height, width) of the pictures that it is for."""
        path = self.calibration(frame)
        calibration = read_calibration(path)
        size = calibration.get(f"S_rect_{camera}", np.zeros(0))
        if len(size) != 2 or not 1 <= min(size) <= max(size) < np.inf:
            raise InputError(f"{path} is damaged or lacks S_rect_{camera}; it comes with the release.")
        return matrix(path, calibration, f"P_rect_{camera}"), (int(size[1]), int(size[0]))
