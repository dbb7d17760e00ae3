"""KITTI object benchmark: left colour pictures of a car, truth from the laser scanner."""

from pathlib import Path

import torch
from torch.utils.data import Dataset

from cyclopean.data.decoding import read_image
from cyclopean.data.items import Files
from cyclopean.data.kitti import FAR, Matrix, camera_depth, matrix, read_calibration, read_scan, rigid
from cyclopean.data.reading import existing_folder
from cyclopean.data.rigs import pinhole_px, size_of
from cyclopean.errors import InputError
from cyclopean.sample import Sample, view


class KittiObjectDataset(Dataset[Sample]):
    """`image_2/NNNNNN.png`, `velodyne/NNNNNN.bin`, `calib/NNNNNN.txt` (Geiger et al. 2012).

    Depth is z of the left colour camera, metres, at the pixels that a laser point hits (the nearest, if several),
    elsewhere NaN. (The exports behind Monodepth's Eigen tables hold the scanner's forward axis, some 0.27 m more.)
    """

    def __init__(self, path: Path | str) -> None:
        self.folder = existing_folder(path)
        self.stems = [p.stem for p in sorted((self.folder / "velodyne").glob("*.bin"))]
        if not self.stems:
            raise InputError(
                f"{self.folder} holds no KITTI object frame; it needs the folders image_2, velodyne and calib."
            )

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, index: int) -> Sample:
        files = self.files(index)
        image = read_image(files.pictures[0])
        projection, image_from_velodyne = _read_calibration(files.others[0])
        depth = camera_depth(read_scan(files.others[1]), image_from_velodyne, size_of(image))
        camera = pinhole_px(projection, size_of(image), files.others[0])
        return Sample(view(image, camera), (), torch.from_numpy(depth)[None, None], name=(self.stems[index],))

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return FAR

    def files(self, index: int) -> Files:
        """Picture; calibration, scan."""
        stem = self.stems[index]
        image, scan = self.folder / "image_2" / f"{stem}.png", self.folder / "velodyne" / f"{stem}.bin"
        return Files((image,), (self.folder / "calib" / f"{stem}.txt", scan))


def _read_calibration(path: Path) -> tuple[Matrix, Matrix]:
    """P2, and P2 @ R0_rect @ Tr_velo_to_cam: laser points to (x z, y z, z) in pixels of the left colour picture."""
    calibration = read_calibration(path)
    projection, move = matrix(path, calibration, "P2"), matrix(path, calibration, "Tr_velo_to_cam")
    rectify = matrix(path, calibration, "R0_rect", 3)
    return projection, projection @ rigid(rectify) @ rigid(move[:, :3], move[:, 3:])
