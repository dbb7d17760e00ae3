"""KITTI odometry: long stereo sequences with the car's path (Geiger et al. 2012)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from cyclopean.data.decoding import read_views
from cyclopean.data.items import Files
from cyclopean.data.kitti import FAR, SOURCES, Matrix, matrix, offset, read_calibration, rigid
from cyclopean.data.reading import choice, existing_folder, found, read_pose, read_rows
from cyclopean.data.rigs import beside, pinhole_px, size_of, unknown_depth, unposed
from cyclopean.errors import InputError
from cyclopean.files import PHOTOS
from cyclopean.sample import Sample, view

# Folders of the left and the right camera, and the names of their projections.
EYES = (("image_2", "image_3", "P2", "P3"), ("image_0", "image_1", "P0", "P1"), ("image_l", "image_r", "P0", "P1"))


@dataclass(frozen=True)
class Drive:
    """One sequence: its folder, folder names and projections of its eyes, and the file of its path."""

    folder: Path
    left: str
    right: str
    names: tuple[str, str]
    poses: Path


class KittiOdometryDataset(Dataset[Sample]):
    """`sequences/NN/{image_2,image_3}/NNNNNN.png` (or the grey `image_0`, `image_1`), `sequences/NN/calib.txt`, and
    `poses/NN.txt` where the release has them; or one such sequence, with `poses.txt` beside its `calib.txt`.

    Calibration is the sequence's own. `sources`: `stereo`; `video`, the frames before and after with their true poses
    (to be predicted where a sequence has none); or `both`, in this order. No depth.
    """

    def __init__(self, path: Path | str, sources: str = "stereo") -> None:
        root = existing_folder(path)
        self._stereo, self._steps = SOURCES[choice("sources of KITTI odometry", sources, SOURCES)]
        folders = sorted(p.parent for p in root.glob("sequences/*/calib.txt")) or [root]
        drives = (drive for folder in folders for drive in _drives(root, folder))
        self.frames = [(drive, n) for drive in drives for n in _numbers(drive, self._steps)]
        if not self.frames:
            raise InputError(
                f"{path} holds no KITTI sequence; it needs folders such as sequences/00 with image_2, image_3 and "
                "calib.txt."
            )

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Sample:
        drive, number = self.frames[index]
        target, *others = read_views(self.files(index).pictures)
        left, right = _projections(drive)
        calibration = drive.folder / "calib.txt"
        here, there = (pinhole_px(p, size_of(target), calibration) for p in (left, right))
        sources = [beside(others[0], there, offset(left, right, calibration))] if self._stereo else []
        for step, image in zip(self._steps, others[len(sources) :], strict=True):
            pose = _motion(drive, number, step, left)
            sources.append(unposed(image, here) if pose is None else view(image, here, pose))
        name = f"{drive.folder.name}/{number:06d}"
        return Sample(view(target, here), tuple(sources), unknown_depth(size_of(target)), name=(name,))

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return FAR

    def files(self, index: int) -> Files:
        """Left, right, frames before and after; calibration, and the path if there is one."""
        drive, number = self.frames[index]
        eyes = [(drive.left, 0), (drive.right, 0)] if self._stereo else [(drive.left, 0)]
        wanted = [*eyes, *((drive.left, step) for step in self._steps)]
        others = [drive.folder / "calib.txt", *([drive.poses] if drive.poses.exists() else [])]
        paths = (found(drive.folder / eye / f"{number + step:06d}.png") for eye, step in wanted)
        return Files(tuple(paths), tuple(others))


def _drives(root: Path, folder: Path) -> Iterator[Drive]:
    poses = folder / "poses.txt" if folder == root else root / "poses" / f"{folder.name}.txt"
    for left, right, *names in EYES:
        if (folder / left).is_dir():
            yield Drive(folder, left, right, (names[0], names[1]), poses)
            return


def _numbers(drive: Drive, steps: tuple[int, ...]) -> list[int]:
    """Numbers of the left pictures that have those `steps` before and after."""
    paths = (drive.folder / drive.left).iterdir()
    numbers = {int(p.stem) for p in paths if p.suffix.lower() in PHOTOS and p.stem.isdigit()}
    return sorted(n for n in numbers if all(n + step in numbers for step in steps))


def _projections(drive: Drive) -> tuple[Matrix, Matrix]:
    """Projections of both eyes. Copies of the release without its names (`P0:`) list them from P0 on."""
    path = drive.folder / "calib.txt"
    calibration = read_calibration(path)
    if not calibration:
        calibration = {f"P{n}": row for n, row in enumerate(read_rows(path, 12))}
    left, right = (matrix(path, calibration, name) for name in drive.names)
    return left, right


def _motion(drive: Drive, number: int, step: int, left: Matrix) -> Float[Tensor, "1 4 4"] | None:
    """`source_from_target` for the left camera `step` frames later; None for a sequence without a path.

    A line of the path is `first_from_now` of camera 0; the left colour camera stands K^-1 p beside it.
    """
    if not drive.poses.exists():
        return None
    rows = read_rows(drive.poses, 12)
    if (last := max(number, number + step)) >= len(rows):
        raise InputError(f"{drive.poses} has {len(rows)} poses and none of frame {last}; it needs all.")
    first_from_now, first_from_then = (read_pose(drive.poses, rows[n].reshape(3, 4)) for n in (number, number + step))
    left_from_0 = rigid(np.eye(3), np.linalg.solve(left[:, :3], left[:, 3:]))
    pose = left_from_0 @ np.linalg.inv(first_from_then) @ first_from_now @ np.linalg.inv(left_from_0)
    return torch.tensor(pose, dtype=torch.float32)[None]
