"""KITTI improved depth: truth of several laser scans joined and freed of outliers (Uhrig et al. 2017)."""

import re
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from cyclopean.data.decoding import read_counts, read_image, read_views
from cyclopean.data.items import Files
from cyclopean.data.kitti import FAR
from cyclopean.data.kitti_drives import OTHER, Drives
from cyclopean.data.reading import existing_folder, read_rows
from cyclopean.data.rigs import Depth, Size, fitting, known_above_zero, pinhole_px, rectified_pair, size_of
from cyclopean.data.splits import Frame, read_frames
from cyclopean.errors import InputError
from cyclopean.sample import Sample, view

COUNTS = 256.0  # per metre; 0 is unknown
ANNOTATED = "proj_depth/groundtruth"
ABOVE = ("*_sync", "*/*_sync", "*/*/*_sync")  # train/ or DATE/ above the drives, or data_depth_annotated/train/


class KittiImprovedDataset(Dataset[Sample]):
    """`{train,val}/DRIVE_sync/proj_depth/groundtruth/image_{02,03}/NUMBER.png`, z of that camera in metres * 256.

    The pictures and their calibration are those of KITTI raw, below `raw`; without it they are looked for below `path`,
    where `DATE/DRIVE_sync/proj_depth` may lie as well. `split` is a list of frames in Monodepth's or Monodepth2's
    format (the 652 of the improved Eigen split, say); without one, every annotated frame.
    """

    def __init__(self, path: Path | str, raw: Path | str | None = None, split: Path | str | None = None) -> None:
        self.root = existing_folder(path)
        self.drives = Drives(existing_folder(raw) if raw else self.root)
        self.truths = {_frame(p): p for above in ABOVE for p in sorted(self.root.glob(f"{above}/{ANNOTATED}/*/*.png"))}
        self.frames = read_frames(split) if split else list(self.truths)
        if not self.truths:
            raise InputError(
                f"{path} holds no annotated depth; it needs folders such as "
                f"train/2011_09_26_drive_0001_sync/{ANNOTATED}/image_02."
            )

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Sample:
        frame = self.frames[index]
        images = read_views(self.files(index).pictures)
        here, there, offset = self.drives.cameras(frame)
        depth = _read_depth(self._truth(frame), size_of(images[0]))
        return rectified_pair(images, (here, there), offset, depth, frame.name)

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return FAR

    def files(self, index: int) -> Files:
        """Target and the other eye; calibration, truth."""
        frame = self.frames[index]
        eyes = tuple(self.drives.picture(frame, camera) for camera in (frame.camera, OTHER[frame.camera]))
        return Files(eyes, (self.drives.calibration(frame), self._truth(frame)))

    def _truth(self, frame: Frame) -> Path:
        missing = Path(frame.drive).name, ANNOTATED, f"image_{frame.camera}", f"{frame.number:010d}.png"
        return self.truths.get(frame, self.root.joinpath(*missing))


class KittiSelectionDataset(Dataset[Sample]):
    """`val_selection_cropped/{image,groundtruth_depth,intrinsics}`: the release's own 1000 validation crops of 1216x352
    pixels, each with its camera. No second view."""

    def __init__(self, path: Path | str) -> None:
        self.root = existing_folder(path)
        self.images = sorted((self.root / "image").glob("*.png"))
        if not self.images:
            raise InputError(f"{path} holds no selection; it needs the folders image, groundtruth_depth, intrinsics.")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        files = self.files(index)
        image = read_image(files.pictures[0])
        matrix = read_rows(files.others[0], 9)[0].reshape(3, 3)
        camera = pinhole_px(matrix.astype(np.float64), size_of(image), files.others[0])
        depth = _read_depth(files.others[1], size_of(image))
        return Sample(view(image, camera), (), depth, name=(self.images[index].stem,))

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return FAR

    def files(self, index: int) -> Files:
        """Picture; camera, truth."""
        image = self.images[index]
        camera = self.root / "intrinsics" / f"{image.stem}.txt"
        truth = self.root / "groundtruth_depth" / image.name.replace("_sync_image_", "_sync_groundtruth_depth_")
        return Files((image,), (camera, truth))


def _read_depth(path: Path, size: Size) -> Depth:
    """Annotated depth, metres, NaN where unknown."""
    return known_above_zero(fitting(read_counts(path, 16), size, path) / COUNTS)


def _frame(path: Path) -> Frame:
    """The raw frame that an annotated depth picture belongs to; a drive's name begins with its date."""
    drive = path.parents[3].name
    date = re.match(r"\d{4}_\d{2}_\d{2}", drive)
    return Frame(f"{date[0] if date else ''}/{drive}", int(path.stem), path.parent.name.removeprefix("image_"))
