"""KITTI raw: drives in colour stereo, with truth from the laser scanner (Geiger et al. 2013)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch.utils.data import Dataset

from cyclopean.data.decoding import read_views
from cyclopean.data.items import Files
from cyclopean.data.kitti import FAR, SOURCES, Matrix, camera_depth, forward_depth, read_scan
from cyclopean.data.kitti_drives import OTHER, Drives
from cyclopean.data.reading import choice, existing_folder
from cyclopean.data.rigs import Depth, Size, beside, size_of, unknown_depth, unposed
from cyclopean.data.splits import DRIVE, Frame, read_drives, read_frames
from cyclopean.errors import InputError
from cyclopean.sample import Sample, view

TRUTHS: dict[str, Callable[[Float[np.ndarray, "n 3"], Matrix, Size], Float[np.ndarray, "h w"]] | None] = {
    "camera": camera_depth,
    "forward": forward_depth,
    "none": None,
}


class KittiRawDataset(Dataset[Sample]):
    """Frames of the drives below `path` (see `Drives` for the tree).

    `split` is a list of frames in Monodepth's or Monodepth2's format (the Eigen split, Zhou's part of it, the KITTI
    split, ...); without one, every frame of the left colour camera. A line may name the right camera: then the left one
    is the source, at t = (+b, 0, 0). Focal length, centre and baseline are those of the drive's day.

    `without` is a list whose drives are left out as whole scenes, in any format that names them: with
    `train_mapping.txt` of KITTI 2015's development kit what remains is the KITTI split (Monodepth, sec. 4.1), with a
    list of Eigen's test frames his training scenes, standing frames included.

    `truth`: `camera` (z of the target's camera, metres), `forward` (the export behind the Eigen tables, see
    `kitti.forward_depth`) or `none` (scans are not opened: for training). NaN where no laser point falls; a frame
    without a scan has no truth, as in four frames of the release. `sources`: `stereo`; `video`, the frames before and
    after, their poses to be predicted; or `both`, in this order.
    """

    def __init__(
        self,
        path: Path | str,
        split: Path | str | None = None,
        truth: str = "camera",
        sources: str = "stereo",
        without: Path | str | None = None,
    ) -> None:
        self.drives = Drives(existing_folder(path))
        self._truth = TRUTHS[choice("truth of KITTI raw", truth, TRUTHS)]
        self._stereo, self._steps = SOURCES[choice("sources of KITTI raw", sources, SOURCES)]
        self.frames = read_frames(split) if split else list(self.drives.frames(self._steps))
        if without:
            scenes = read_drives(without)
            self.frames = [frame for frame in self.frames if scenes.isdisjoint(DRIVE.findall(frame.drive))]
        if not self.frames:
            raise InputError(
                f"{path} holds no KITTI drive; it needs folders such as "
                "2011_09_26/2011_09_26_drive_0001_sync/image_02/data."
            )

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Sample:
        frame = self.frames[index]
        target, *others = read_views(self.files(index).pictures)
        here, there, offset = self.drives.cameras(frame)
        sources = [beside(others[0], there, offset)] if self._stereo else []
        sources += [unposed(image, here) for image in others[len(sources) :]]
        depth = self._depth(frame, size_of(target))
        return Sample(view(target, here), tuple(sources), depth, name=(frame.name,))

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return FAR

    def files(self, index: int) -> Files:
        """Target, the other eye, frames before and after; calibration, and the scan if there is one."""
        frame = self.frames[index]
        eyes = [frame.camera, OTHER[frame.camera]] if self._stereo else [frame.camera]
        pictures = [self.drives.picture(frame, camera) for camera in eyes]
        pictures += [self.drives.picture(frame, frame.camera, step) for step in self._steps]
        others = [self.drives.calibration(frame)]
        if self._measured(frame):
            others += [self.drives.calibration(frame, "velo_to_cam"), self.drives.scan(frame)]
        return Files(tuple(pictures), tuple(others))

    def _measured(self, frame: Frame) -> bool:
        return self._truth is not None and self.drives.scan(frame).exists()

    def _depth(self, frame: Frame, size: Size) -> Depth:
        if self._truth is None or not self._measured(frame):
            return unknown_depth(size)
        points = read_scan(self.drives.scan(frame))
        return torch.from_numpy(self._truth(points, self.drives.image_from_velodyne(frame, size), size))[None, None]
