"""KITTI stereo 2015: 200 pairs of streets with semi-dense true disparity (Menze and Geiger 2015)."""

from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from cyclopean.data.decoding import read_counts, read_views
from cyclopean.data.items import Files
from cyclopean.data.kitti import FAR, matrix, offset, read_calibration
from cyclopean.data.reading import choice, existing_folder, found
from cyclopean.data.rigs import (
    depth_from_disparity,
    fitting,
    known_above_zero,
    pinhole_px,
    rectified_pair,
    size_of,
    unknown_depth,
)
from cyclopean.data.splits import read_paths
from cyclopean.errors import InputError
from cyclopean.files import PHOTOS
from cyclopean.sample import Sample

COUNTS = 256.0  # per pixel of disparity; 0 is unknown
TRUTHS = {"noc": "disp_noc_0", "occ": "disp_occ_0"}


class Kitti2015Dataset(Dataset[Sample]):
    """`image_{2,3}/NNNNNN_10.png`, `disp_{noc,occ}_0/NNNNNN_10.png` (pixels * 256) and `calib_cam_to_cam/NNNNNN.txt` of
    the folder `training`, or of `path` itself.

    `truth`: `noc`, pixels that both cameras see, as in Monodepth's tables, or `occ`, all pixels, as in the benchmark's.
    Depth is focal * baseline / disparity in metres with the pair's own calibration (Monodepth: a table of focal lengths
    by width and 0.54 m). `testing` has no truth. `split` is a list in Monodepth's format.
    """

    def __init__(self, path: Path | str, truth: str = "noc", split: Path | str | None = None) -> None:
        root = existing_folder(path)
        self.folder = root / "training" if (root / "training").is_dir() else root
        self.truth = TRUTHS[choice("truth of KITTI 2015", truth, TRUTHS)]
        listed = (
            read_paths(split)
            if split
            else sorted(p for p in (self.folder / "image_2").glob("*_10.*") if p.suffix.lower() in PHOTOS)
        )
        self.stems = [Path(p).stem for p in listed]
        if not self.stems:
            raise InputError(f"{path} holds no KITTI 2015 pair; it needs training/image_2/000000_10.png and image_3.")

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, index: int) -> Sample:
        files = self.files(index)
        images = read_views(files.pictures)
        calibration = read_calibration(files.others[0])
        left, right = (matrix(files.others[0], calibration, key) for key in ("P_rect_02", "P_rect_03"))
        size, apart = size_of(images[0]), offset(left, right, files.others[0])
        depth = unknown_depth(size)
        if len(files.others) > 1:
            disparity = known_above_zero(fitting(read_counts(files.others[1], 16), size, files.others[1]) / COUNTS)
            depth = depth_from_disparity(disparity, float(left[0, 0]), apart, float(right[0, 2] - left[0, 2]))
        cameras = [pinhole_px(np.asarray(p), size, files.others[0]) for p in (left, right)]
        return rectified_pair(images, cameras, apart, depth, self.stems[index])

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return FAR

    def files(self, index: int) -> Files:
        """Left, right; calibration, and the disparity unless this is the testing folder."""
        stem = self.stems[index]
        eyes = tuple(found(self.folder / name / f"{stem}.png") for name in ("image_2", "image_3"))
        others = [self.folder / "calib_cam_to_cam" / f"{stem.split('_')[0]}.txt"]
        if (self.folder / self.truth).is_dir():
            others.append(self.folder / self.truth / f"{stem}.png")
        return Files(eyes, tuple(others))
