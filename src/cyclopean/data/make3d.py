"""Make3D: photographs of a campus with coarse laser depth (Saxena et al. 2009)."""

import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch.utils.data import Dataset

from cyclopean.data.decoding import read_image
from cyclopean.data.items import Files
from cyclopean.data.matlab import read_mat
from cyclopean.data.reading import existing_folder
from cyclopean.data.rigs import Depth, Size, size_of, uncalibrated
from cyclopean.errors import InputError
from cyclopean.sample import Sample, view


class Make3dDataset(Dataset[Sample]):
    """`img-NAME.jpg` and `depth_sph_corr-NAME.mat` anywhere below `path` (the archives unpack to `Test134`,
    `Train400Img`, `Gridlaserdata`, ...); needs scipy.

    The laser's grid, `Position3DGrid[..., 3]` (55 rows of 305), spans the whole picture (2272 rows of 1704): its depth
    in metres stands at the one pixel in the middle of each cell and is NaN elsewhere, so that every reading counts once
    and none is made up between them. Beyond some 80 m the laser saw nothing; C1 counts what is below 70 m, and that is
    `far`. The release has no camera: one of a focal length of one picture width is assumed.
    """

    def __init__(self, path: Path | str) -> None:
        root = existing_folder(path)
        self.lasers = {p.stem.removeprefix("depth_sph_corr-"): p for p in root.glob("**/depth_sph_corr-*.mat")}
        images = {p.stem.removeprefix("img-"): p for p in sorted(root.glob("**/img-*.jpg"))}
        self.names = sorted(set(images) | set(self.lasers))
        self.images = images
        if not self.names:
            raise InputError(f"{path} holds no Make3D picture; it needs img-NAME.jpg and depth_sph_corr-NAME.mat.")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        files = self.files(index)
        image = read_image(files.pictures[0])
        grid = read_mat(files.others[0], "Position3DGrid")
        if grid.ndim != 3 or grid.shape[2] != 4:
            raise InputError(f"{files.others[0]} holds a grid of shape {grid.shape}; it needs rows x columns x 4.")
        depth = scattered(np.asarray(grid[..., 3], np.float32), size_of(image))
        return Sample(view(image, uncalibrated(size_of(image))), (), depth, name=(self.names[index],))

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return 70.0

    def files(self, index: int) -> Files:
        """Picture; laser depth."""
        name = self.names[index]
        image, laser = Path(f"img-{name}.jpg"), Path(f"depth_sph_corr-{name}.mat")
        image = self.images.get(name, self.lasers.get(name, laser).with_name(image.name))
        return Files((image,), (self.lasers.get(name, image.with_name(laser.name)),))


def scattered(grid: Float[np.ndarray, "rows columns"], size: Size) -> Depth:
    """A coarse grid over a picture of `size`: each value at the pixel in the middle of its cell, NaN elsewhere."""
    rows, columns = ((np.arange(n) + 0.5) / n for n in grid.shape)
    depth = torch.full((1, 1, *size), math.nan)
    row, column = (torch.from_numpy((at * side).astype(int)) for at, side in zip((rows, columns), size, strict=True))
    depth[0, 0, row[:, None], column] = torch.from_numpy(np.where(grid > 0, grid, np.float32(math.nan)))
    return depth
