"""Middlebury: rectified pairs of still lifes with dense disparity from structured light, of 2003, 2005, 2006, 2014."""

from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from cyclopean.data.calibrated_pairs import calibrated_files, read_calibrated
from cyclopean.data.decoding import read_counts, read_views
from cyclopean.data.items import Files
from cyclopean.data.reading import existing_folder, finite, found
from cyclopean.data.rigs import (
    depth_from_disparity,
    fitting,
    known_above_zero,
    pinhole_px,
    rectified_pair,
    size_of,
    uncalibrated,
)
from cyclopean.errors import InputError
from cyclopean.files import read_text
from cyclopean.sample import Sample

FOCAL_PX, BASELINE = 3740.0, 0.160  # 2005 and 2006, of the release's page: full size; metres between view1 and view5
# height of the pictures -> by how much they were shrunk, and by how much disparity was multiplied to be stored
REDUCED_2005 = {1110: 1, 555: 2, 370: 3}
REDUCED_2003 = {1500: 1, 750: 2, 375: 4}


class MiddleburyDataset(Dataset[Sample]):
    """Scenes of any of the four releases below `path`, told apart by their files; depth is z of the left, metres.

    - 2014, and the third evaluation's: `im0.png`, `im1.png`, `disp0.pfm` or `disp0GT.pfm`, `calib.txt`; see
      `calibrated_pairs`.
    - 2005 and 2006 (Scharstein and Pal 2007; Hirschmueller and Scharstein 2007), full, half and third size:
      `view1.png`, `view5.png`, `disp1.png`, `dmin.txt`. Disparity is disp1 / r pixels with r = 1, 2, 3, 0 unknown;
      pictures were cropped so that pixels at infinity shift by dmin / r to the other side, hence depth = focal *
      baseline / (disparity + dmin / r), and the right camera's centre lies dmin / r pixels further right.
    - 2003 (Scharstein and Szeliski), full, half and quarter size: `im2`, `im6`, `disp2` as .png or .ppm and .pgm.
      Disparity is disp2 / r pixels with r = 1, 2, 4, 0 unknown. Not calibrated: focal length one width, baseline 1, so
      depth is in units of its own.
    """

    def __init__(self, path: Path | str) -> None:
        root = existing_folder(path)
        marks = {p.parent: reader for mark, reader in READERS.items() for p in root.glob(f"**/{mark}")}
        self.scenes = sorted(marks.items(), key=lambda scene: scene[0])
        if not self.scenes:
            raise InputError(
                f"{path} holds no Middlebury scene; it needs folders with view1.png, view5.png, disp1.png, dmin.txt, "
                "or with im0.png, im1.png, calib.txt, or with im2, im6, disp2."
            )

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Sample:
        scene, (read, _) = self.scenes[index]
        return read(scene)

    def far(self, index: int) -> float:
        """The largest depth that counts: 20 metres; 1000 units of the pairs of 2003, less than a pixel of disparity."""
        return 1000.0 if self.scenes[index][1][0] is _read_2003 else 20.0

    def files(self, index: int) -> Files:
        """Left, right; calibration, disparity."""
        scene, (_, files) = self.scenes[index]
        return files(scene)


def _files_2003(scene: Path) -> Files:
    left, right, disparity = (found(scene / f"{name}.png") for name in ("im2", "im6", "disp2"))
    return Files((left, right), (disparity,))


def _files_2005(scene: Path) -> Files:
    return Files((scene / "view1.png", scene / "view5.png"), (scene / "dmin.txt", scene / "disp1.png"))


def _read_2003(scene: Path) -> Sample:
    files = _files_2003(scene)
    images = read_views(files.pictures)
    size = size_of(images[0])
    disparity = fitting(read_counts(files.others[0], 8), size, files.others[0]) / _reduced(scene, size[0], REDUCED_2003)
    camera = uncalibrated(size)
    depth = depth_from_disparity(known_above_zero(disparity), float(size[1]), 1.0)
    return rectified_pair(images, (camera, camera), 1.0, depth, scene.name)


def _read_2005(scene: Path) -> Sample:
    files = _files_2005(scene)
    images = read_views(files.pictures)
    size = height, width = size_of(images[0])
    reduced = _reduced(scene, height, REDUCED_2005)
    disparity = known_above_zero(fitting(read_counts(files.others[1], 8), size, files.others[1])) / reduced
    focal, shift = FOCAL_PX / reduced, _dmin(files.others[0]) / reduced
    left = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    right = left + np.array([[0, 0, shift], [0, 0, 0], [0, 0, 0]])
    cameras = pinhole_px(left, size, scene), pinhole_px(right, size, scene)
    return rectified_pair(
        images, cameras, BASELINE, depth_from_disparity(disparity, focal, BASELINE, shift), scene.name
    )


# a file of a scene -> how its release is read, and what an item is made of
READERS = {
    "calib.txt": (read_calibrated, calibrated_files),
    "dmin.txt": (_read_2005, _files_2005),
    "disp1.png": (_read_2005, _files_2005),
    "disp2.png": (_read_2003, _files_2003),
    "disp2.pgm": (_read_2003, _files_2003),
}


def _reduced(scene: Path, height: int, known: dict[int, int]) -> int:
    if height not in known:
        raise InputError(
            f"{scene} has pictures of {height} rows; the release has {', '.join(map(str, known))}, which tell by how "
            "much disparity was multiplied."
        )
    return known[height]


def _dmin(path: Path) -> float:
    try:
        return finite(path, "it", float(read_text(path)))
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path} is missing or holds no number; it comes with the scene.") from error
