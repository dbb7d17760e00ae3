"""Rooms and scenes by a laser: NYU, Make3D (Matlab's files, old and new, by scipy and h5py) and 7-Scenes."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from cyclopean.data.base import (
    Files,
    Items,
    intrinsics,
    known_above_zero,
    nonempty,
    pinhole_px,
    uncalibrated,
)
from cyclopean.data.files import (
    FULL,
    Depth,
    Size,
    choice,
    existing_folder,
    only_pictures,
    read_counts,
    read_pose,
    read_rows,
    read_views,
)
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, size_of
from cyclopean.io.decoding import read_image
from cyclopean.io.files import at_home, refuse_unreadable
from cyclopean.sample import Sample, view

NEEDED = "install what reads it with pip install 'cyclopean[matlab]'."


def read_mat(path: Path, key: str) -> np.ndarray:
    """Return array `key` of a .mat file of version 5."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise InputError(f"{path} is a Matlab file; {NEEDED}") from error
    refuse_unreadable(path)
    try:
        return np.asarray(loadmat(path, variable_names=[key])[key])
    except MemoryError:
        raise
    except Exception as error:  # scipy has no base class for what it raises of a damaged file
        raise InputError(f"{path} is missing, damaged or lacks {key}; it comes with the release.") from error


def open_hdf5(path: Path) -> Any:
    """Return an open .mat file of version 7.3, whose arrays have Matlab's axes in reverse order."""
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{path} is a Matlab file of version 7.3; {NEEDED}") from error
    refuse_unreadable(path)
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path} is missing or damaged; it comes with the release.") from error


def stated_camera(folders: tuple[Path, ...], usual: np.ndarray, size: Size, what: str) -> Pinhole:
    """Return the camera of the first `camera-intrinsics.txt` (3x3, pixels) in `folders`, else the release's `usual` one
    for 640x480. Raises InputError, naming `what` is read, without such a file for pictures of another size."""
    for path in (folder / INTRINSICS for folder in folders):
        if path.exists():
            return pinhole_px(read_rows(path, 3), size, path)
    if size != USUAL_SIZE:
        raise InputError(
            f"{what} has {size[1]}x{size[0]} pixels and the release's camera is for 640x480; add a {INTRINSICS}."
        )
    return pinhole_px(usual, size, Path(what))


INTRINSICS, USUAL_SIZE = "camera-intrinsics.txt", (480, 640)
# Of the colour camera, pixels of 640x480, published in the release's toolbox (camera_params.m).
NYU_INTRINSICS = intrinsics(518.857901, 519.469611, 325.582449, 253.736166)
KINECT_INTRINSICS = intrinsics(585.0, 585.0, 320.0, 240.0)  # of 7-Scenes' page, for 640x480 pixels
MILLIMETRES = 1000.0
LABELLED = "nyu_depth_v2_labeled.mat"
PARTS = {"train": "trainNdxs", "test": "testNdxs"}


class NyuDataset(Items):
    """`nyu_depth_v2_labeled.mat` or its folder (needs h5py), or a folder of `rgb_NNNNN.jpg` with
    `sync_depth_NNNNN.png` in millimetres, as the synchronised raw frames are passed round; both 640x480.

    Depth is z of the colour camera in metres, 0 unknown (in the .mat none is: holes were filled in). `splits` names the
    release's `splits.mat` and `part` which of its lists counts, `train` or `test`; without it, all. The camera is the
    one of the release's toolbox, or that of a `camera-intrinsics.txt` (3x3) beside the data.
    """

    most_depth = 10.0

    def __init__(self, path: Path | str, splits: Path | str | None = None, part: str = "test") -> None:
        self.path = at_home(path)
        if (self.path / LABELLED).is_file():
            self.path = self.path / LABELLED
        chosen = PARTS[choice("part of NYU", part, PARTS)]
        self.labelled = self.path.suffix == ".mat"
        frames: list[Any]  # of the .mat their numbers, of a folder their pictures
        if self.labelled:
            with open_hdf5(self.path) as file:
                if "images" not in file or "depths" not in file:
                    raise InputError(f"{path} lacks images or depths; give {LABELLED}.")
                frames = list(range(len(file["images"])))
        else:
            pictures = only_pictures(existing_folder(self.path).rglob("rgb_*"))
            needs = f"{LABELLED}, or a folder with rgb_00000.jpg and sync_depth_00000.png"
            frames = nonempty(pictures, path, "NYU frame", needs)
        if splits is not None:
            numbers = [int(n) - 1 for n in read_mat(at_home(splits), chosen).ravel()]  # Matlab counts from 1
            if not all(0 <= n < len(frames) for n in numbers):
                raise InputError(f"{splits} lists items that {path} does not have; give the .mat that it is for.")
            frames = [frames[n] for n in numbers]
        self.items = frames

    def __getitem__(self, index: int) -> Sample:
        frame = self.items[index]
        if self.labelled:  # opened anew each time: an open HDF5 file does not survive into the workers of a loader
            with open_hdf5(self.path) as file:
                try:
                    rgb, metres = np.asarray(file["images"][frame]), np.asarray(file["depths"][frame])
                except OSError as error:
                    raise InputError(f"{self.path} is damaged at item {frame}; it comes with the release.") from error
            image = torch.from_numpy(np.ascontiguousarray(rgb.transpose(0, 2, 1)))[None].float() / 255
            depth = torch.from_numpy(np.ascontiguousarray(metres.T.astype(np.float32)))[None, None]
            name, folder = f"{frame:04d}", self.path.parent
        else:
            image = read_image(frame)
            depth = read_counts(self.files(index).others[0], 16, size_of(image)) / MILLIMETRES
            name, folder = frame.relative_to(self.path).with_suffix("").as_posix(), self.path
        camera = stated_camera((folder,), NYU_INTRINSICS, size_of(image), str(self.path))
        return Sample(view(image, camera), (), known_above_zero(depth), name=(name,))

    def files(self, index: int) -> Files:
        """Return colour and depth picture, or the one file of all."""
        if self.labelled:
            return Files((), (self.path,))
        image = self.items[index]
        return Files((image,), (image.with_name(f"sync_depth_{image.stem.removeprefix('rgb_')}.png"),))


class Make3dDataset(Items):
    """`img-NAME.jpg` and `depth_sph_corr-NAME.mat` anywhere below `path` (the archives unpack to `Test134`,
    `Train400Img`, `Gridlaserdata`, ...); needs scipy.

    The laser's grid, `Position3DGrid[..., 3]` (55 rows of 305), spans the whole picture (2272 rows of 1704): its depth
    in metres stands at the one pixel in the middle of each cell and is NaN elsewhere, so that every reading counts once
    and none is made up between them. Beyond some 80 m the laser saw nothing; C1 counts what is below 70 m, and that is
    `most_depth`. The release has no camera: one of a focal length of one picture width is assumed.
    """

    most_depth = 70.0

    def __init__(self, path: Path | str) -> None:
        root = existing_folder(path)
        self.lasers = {p.stem.removeprefix("depth_sph_corr-"): p for p in root.glob("**/depth_sph_corr-*.mat")}
        self.images = {p.stem.removeprefix("img-"): p for p in sorted(root.glob("**/img-*.jpg"))}
        names = sorted(set(self.images) | set(self.lasers))
        self.items = nonempty(names, path, "Make3D picture", "img-NAME.jpg and depth_sph_corr-NAME.mat")

    def __getitem__(self, index: int) -> Sample:
        files = self.files(index)
        image = read_image(files.pictures[0])
        grid = read_mat(files.others[0], "Position3DGrid")
        if grid.ndim != 3 or grid.shape[2] != 4:
            raise InputError(f"{files.others[0]} holds a grid of shape {grid.shape}; it needs rows x columns x 4.")
        depth = scattered(np.asarray(grid[..., 3], np.float32), size_of(image))
        return Sample(view(image, uncalibrated(size_of(image))), (), depth, name=(self.items[index],))

    def files(self, index: int) -> Files:
        """Return picture; laser depth."""
        name = self.items[index]
        image, laser = Path(f"img-{name}.jpg"), Path(f"depth_sph_corr-{name}.mat")
        image = self.images.get(name, self.lasers.get(name, laser).with_name(image.name))
        return Files((image,), (self.lasers.get(name, image.with_name(laser.name)),))


def scattered(grid: Float[np.ndarray, "rows columns"], size: Size) -> Depth:
    """Return a coarse grid over a picture of `size`: each value at the pixel in the middle of its cell, else NaN."""
    rows, columns = ((np.arange(n) + 0.5) / n for n in grid.shape)
    depth = torch.full((1, 1, *size), math.nan)
    row, column = (torch.from_numpy((at * side).astype(int)) for at, side in zip((rows, columns), size, strict=True))
    depth[0, 0, row[:, None], column] = torch.from_numpy(np.where(grid > 0, grid, np.float32(math.nan)))
    return depth


SOURCES: dict[str, tuple[int, ...]] = {"none": (), "video": (-1, 1)}


class SevenScenesDataset(Items):
    """Frames `frame-NNNNNN.color.{jpg,png}` with `frame-NNNNNN.depth.png` of one sequence, or of all `seq-*` below.

    Depth is z in millimetres of the depth camera, here metres, 0 and 65535 unknown. The release does not register depth
    to colour: edges are some pixels off. One camera is stated for both: that of `camera-intrinsics.txt` (3x3 in pixels)
    beside the frames or in `path`, else the release's page's for 640x480. With `sources=video` a sequence's frames
    before and after are sources, their poses those of `frame-NNNNNN.pose.txt` (camera to world, 4x4, metres).
    """

    most_depth = 20.0

    def __init__(self, path: Path | str, sources: str = "none") -> None:
        self.root = existing_folder(path)
        steps = SOURCES[choice("sources of 7-Scenes", sources, SOURCES)]
        frames = only_pictures((*self.root.glob("frame-*.color.*"), *self.root.glob("**/seq-*/frame-*.color.*")))
        items = []
        for n, frame in enumerate(frames):
            others = [frames[n + step] for step in steps if 0 <= n + step < len(frames)]
            if len(others) == len(steps) and all(other.parent == frame.parent for other in others):
                items.append((frame, *others))
        needs = "frame-000000.color.png (or .jpg) and frame-000000.depth.png"
        self.items = nonempty(items, path, "frame", needs)

    def __getitem__(self, index: int) -> Sample:
        frame, files = self.items[index][0], self.files(index)
        target, *images = read_views(files.pictures)
        counts = read_counts(files.others[0], 16, size_of(target))
        depth = torch.where((counts > 0) & (counts < FULL), counts / MILLIMETRES, torch.nan)
        camera = stated_camera((frame.parent, self.root), KINECT_INTRINSICS, size_of(target), str(frame))
        sources = []
        for image, path in zip(images, files.others[2:], strict=True):
            here, there = (read_pose(p, read_rows(p, 4)) for p in (files.others[1], path))
            pose = torch.tensor(np.linalg.inv(there) @ here, dtype=torch.float32)[None]
            sources.append(view(image, camera, pose))
        name = frame.with_name(frame.name.split(".")[0]).relative_to(self.root).as_posix()
        return Sample(view(target, camera), tuple(sources), depth, name=(name,))

    def files(self, index: int) -> Files:
        """Return frames; the target's depth, and all their poses if there are sources."""
        frames = self.items[index]
        stems = [frame.with_name(frame.name.split(".")[0]) for frame in frames]
        poses = [stem.with_name(f"{stem.name}.pose.txt") for stem in stems] if len(frames) > 1 else []
        return Files(frames, (stems[0].with_name(f"{stems[0].name}.depth.png"), *poses))
