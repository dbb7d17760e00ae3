"""Stereo photographs as people keep them: two files with `left` and `right` in their names, or one side by side."""

import re
from pathlib import Path

from torch.utils.data import Dataset

from cyclopean.data.decoding import read_image, read_views
from cyclopean.data.items import Files
from cyclopean.data.reading import existing_folder, pictures_among
from cyclopean.data.rigs import rectified_pair, size_of, uncalibrated, unknown_depth
from cyclopean.errors import InputError
from cyclopean.sample import Sample

LEFT = re.compile(r"(.*[-_. ])?left", re.IGNORECASE)
BOTH = re.compile(r"(.*[-_. ])?(left[-_]right|sbs)", re.IGNORECASE)


class StereoPhotosDataset(Dataset[Sample]):
    """`NAME-left.jpg` with `NAME-right.jpg`, or `NAME.left-right.jpg` (or `NAME-sbs.jpg`) with both halves in one.

    Nobody calibrated them: the focal length is one width, the baseline 1, so disparity is an inverse depth and what is
    learned holds up to scale. They count as rectified, which photographs taken by hand are not: run cyclopean check.
    """

    def __init__(self, path: Path | str) -> None:
        self.root = existing_folder(path)
        pictures = pictures_among(self.root.iterdir(), self.root)
        self.items = [p for p in pictures if LEFT.fullmatch(p.stem) or BOTH.fullmatch(p.stem)]
        if not self.items:
            raise InputError(f"{path} holds no stereo photo; it needs NAME-left and NAME-right, or NAME.left-right.")

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        files = self.files(index).pictures
        if len(files) == 2:
            left, right = read_views(files)
        else:
            both = read_image(files[0])
            half = both.shape[-1] // 2
            left, right = both[..., :half], both[..., -half:]
        camera = uncalibrated(size_of(left))
        return rectified_pair((left, right), (camera, camera), 1.0, unknown_depth(size_of(left)), files[0].stem)

    def far(self, _: int) -> float:
        """The largest depth that counts; there is none to count."""
        return 80.0

    def files(self, index: int) -> Files:
        """Left and right, or the one picture of both."""
        path = self.items[index]
        if BOTH.fullmatch(path.stem):
            return Files((path,))
        stem = path.stem[:-4] + {"left": "right", "LEFT": "RIGHT"}.get(path.stem[-4:], "Right")
        return Files((path, path.with_name(stem + path.suffix)))
