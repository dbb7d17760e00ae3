"""Matlab's files, old (scipy) and new (HDF5, h5py): both are optional and asked for in one sentence."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from cyclopean.data.base import Depth, Files, Size, fitting, known_above_zero, pinhole_px, size_of, uncalibrated
from cyclopean.data.files import choice, existing_folder, read_counts, read_image, read_pose, read_rows, read_views
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole
from cyclopean.io.files import PHOTOS, refuse_unreadable
from cyclopean.sample import Sample, view

NEEDED = "install what reads it with pip install 'cyclopean[matlab]'."


def read_mat(path: Path, key: str) -> np.ndarray:
    """Array `key` of a .mat file of version 5."""
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
    """An open .mat file of version 7.3, whose arrays have Matlab's axes in reverse order."""
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{path} is a Matlab file of version 7.3; {NEEDED}") from error
    refuse_unreadable(path)
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path} is missing or damaged; it comes with the release.") from error


# Of the colour camera, pixels of 640x480, published in the release's toolbox (camera_params.m).
NYU_INTRINSICS = np.array([[518.857901, 0, 325.582449], [0, 519.469611, 253.736166], [0, 0, 1]])
SIZE = (480, 640)
MILLIMETRES = 1000.0
PARTS = {"train": "trainNdxs", "test": "testNdxs"}


class NyuDataset(Dataset[Sample]):
    """`nyu_depth_v2_labeled.mat` itself (needs h5py), or a folder of `rgb_NNNNN.jpg` with `sync_depth_NNNNN.png` in
    millimetres, as the synchronised raw frames are passed round; both 640x480.

    Depth is z of the colour camera in metres, 0 unknown (in the .mat none is: holes were filled in). `splits` names the
    release's `splits.mat` and `part` which of its lists counts, `train` or `test`; without it, all. The camera is the
    one of the release's toolbox, or that of a `camera-intrinsics.txt` (3x3) beside the data.
    """

    def __init__(self, path: Path | str, splits: Path | str | None = None, part: str = "test") -> None:
        self.path = Path(path).expanduser()
        chosen = PARTS[choice("part of NYU", part, PARTS)]
        self._items: _Labelled | _Frames = _Labelled(self.path) if self.path.suffix == ".mat" else _Frames(self.path)
        self._picked: Sequence[int] = range(len(self._items))
        if splits is not None:
            # Matlab counts from 1.
            self._picked = [int(n) - 1 for n in read_mat(Path(splits).expanduser(), chosen).ravel()]
            if not all(0 <= n < len(self._items) for n in self._picked):
                raise InputError(f"{splits} lists items that {path} does not have; give the .mat that it is for.")

    def __len__(self) -> int:
        return len(self._picked)

    def __getitem__(self, index: int) -> Sample:
        n = self._picked[index]
        image, depth = self._items.read(n)
        return Sample(
            view(image, self._camera(size_of(image))), (), known_above_zero(depth), name=(self._items.name(n),)
        )

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return 10.0

    def files(self, index: int) -> Files:
        """Colour and depth picture, or the one file of all."""
        return self._items.files(self._picked[index])

    def _camera(self, size: Size) -> Pinhole:
        own = (self.path if self.path.is_dir() else self.path.parent) / "camera-intrinsics.txt"
        if own.exists():
            return pinhole_px(read_rows(own, 3), size, own)
        if size != SIZE:
            raise InputError(f"{self.path} has pictures of {size[1]}x{size[0]}; the toolbox's camera is for 640x480.")
        return pinhole_px(NYU_INTRINSICS, SIZE, self.path)


class _Labelled:
    """Arrays `images` (n, 3, 640, 480) and `depths` (n, 640, 480), metres: Matlab's axes in reverse."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_hdf5(path) as file:
            if "images" not in file or "depths" not in file:
                raise InputError(f"{path} lacks images or depths; give nyu_depth_v2_labeled.mat.")
            self.count = len(file["images"])

    def __len__(self) -> int:
        return self.count

    def read(self, n: int) -> tuple[Float[Tensor, "1 3 h w"], Depth]:
        # Opened anew each time: an open HDF5 file does not survive into the workers of a loader.
        with open_hdf5(self.path) as file:
            try:
                image, depth = np.asarray(file["images"][n]), np.asarray(file["depths"][n])
            except OSError as error:
                raise InputError(f"{self.path} is damaged at item {n}; it comes with the release.") from error
        rgb = torch.from_numpy(np.ascontiguousarray(image.transpose(0, 2, 1)))[None].float() / 255
        return rgb, torch.from_numpy(np.ascontiguousarray(depth.T.astype(np.float32)))[None, None]

    def name(self, n: int) -> str:
        return f"{n:04d}"

    def files(self, _: int) -> Files:
        return Files((), (self.path,))


class _Frames:
    """`rgb_NNNNN.jpg` with `sync_depth_NNNNN.png` anywhere below the folder."""

    def __init__(self, path: Path) -> None:
        self.root = existing_folder(path)
        self.images = sorted(p for p in self.root.rglob("rgb_*") if p.suffix.lower() in PHOTOS)
        if not self.images:
            raise InputError(
                f"{path} holds no NYU frame; give nyu_depth_v2_labeled.mat, or a folder with rgb_00000.jpg and "
                "sync_depth_00000.png."
            )

    def __len__(self) -> int:
        return len(self.images)

    def read(self, n: int) -> tuple[Float[Tensor, "1 3 h w"], Depth]:
        files = self.files(n)
        image = read_image(files.pictures[0])
        return image, fitting(read_counts(files.others[0], 16), size_of(image), files.others[0]) / MILLIMETRES

    def name(self, n: int) -> str:
        return self.images[n].relative_to(self.root).with_suffix("").as_posix()

    def files(self, n: int) -> Files:
        image = self.images[n]
        return Files((image,), (image.with_name(f"sync_depth_{image.stem.removeprefix('rgb_')}.png"),))


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


KINECT_INTRINSICS = np.array([[585.0, 0, 320], [0, 585, 240], [0, 0, 1]])  # of the release's page, for 640x480 pixels
UNKNOWN, MILLIMETRES = 65535, 1000.0
INTRINSICS = "camera-intrinsics.txt"
SOURCES: dict[str, tuple[int, ...]] = {"none": (), "video": (-1, 1)}


class SevenScenesDataset(Dataset[Sample]):
    """Frames `frame-NNNNNN.color.{jpg,png}` with `frame-NNNNNN.depth.png` of one sequence, or of all `seq-*` below.

    Depth is z in millimetres of the depth camera, here metres, 0 and 65535 unknown. The release does not register depth
    to colour: edges are some pixels off. One camera is stated for both: that of `camera-intrinsics.txt` (3x3 in pixels)
    beside the frames or in `path`, else the release's page's for 640x480. With `sources=video` a sequence's frames
    before and after are sources, their poses those of `frame-NNNNNN.pose.txt` (camera to world, 4x4, metres).
    """

    def __init__(self, path: Path | str, sources: str = "none") -> None:
        self.root = existing_folder(path)
        steps = SOURCES[choice("sources of 7-Scenes", sources, SOURCES)]
        found = (*self.root.glob("frame-*.color.*"), *self.root.glob("**/seq-*/frame-*.color.*"))
        frames = sorted(path for path in found if path.suffix.lower() in PHOTOS)
        self.items = [
            (frames[n], *(frames[n + s] for s in steps)) for n in range(len(frames)) if _within(frames, n, steps)
        ]
        if not self.items:
            raise InputError(
                f"{path} holds no frame; it needs frame-000000.color.png (or .jpg) and frame-000000.depth.png."
            )

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        frame, *others = self.items[index]
        target, *images = read_views(self.items[index])
        counts = fitting(read_counts(_beside(frame, "depth.png"), 16), size_of(target), _beside(frame, "depth.png"))
        depth = torch.where((counts > 0) & (counts < UNKNOWN), counts / MILLIMETRES, torch.nan)
        camera = self._camera(frame, target)
        sources = [view(i, camera, _motion(frame, other)) for i, other in zip(images, others, strict=True)]
        folder = frame.parent.relative_to(self.root).as_posix()
        name = frame.name.split(".")[0] if folder == "." else f"{folder}/{frame.name.split('.')[0]}"
        return Sample(view(target, camera), tuple(sources), depth, name=(name,))

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return 20.0

    def files(self, index: int) -> Files:
        """Frames; the target's depth, and all their poses if there are sources."""
        frames = self.items[index]
        poses = [_beside(frame, "pose.txt") for frame in frames] if len(frames) > 1 else []
        return Files(frames, (_beside(frames[0], "depth.png"), *poses))

    def _camera(self, frame: Path, image: Float[Tensor, "1 3 h w"]) -> Pinhole:
        for path in (frame.parent / INTRINSICS, self.root / INTRINSICS):
            if path.exists():
                return pinhole_px(read_rows(path, 3), size_of(image), path)
        if size_of(image) != SIZE:
            raise InputError(f"{frame} is not 640x480, which the release's camera is for; add a {INTRINSICS}.")
        return pinhole_px(KINECT_INTRINSICS, SIZE, frame)


def _within(frames: list[Path], n: int, steps: tuple[int, ...]) -> bool:
    """Whether the frames `steps` before and after are there and of the same sequence."""
    return all(0 <= n + s < len(frames) and frames[n + s].parent == frames[n].parent for s in steps)


def _beside(colour: Path, what: str) -> Path:
    return colour.with_name(f"{colour.name.split('.')[0]}.{what}")


def _motion(target: Path, source: Path) -> Float[Tensor, "1 4 4"]:
    """`source_from_target`."""
    paths = (_beside(picture, "pose.txt") for picture in (target, source))
    world_from_target, world_from_source = (read_pose(path, read_rows(path, 4)) for path in paths)
    return torch.tensor(np.linalg.inv(world_from_source) @ world_from_target, dtype=torch.float32)[None]
