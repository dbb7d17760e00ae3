"""NYU depth v2: rooms seen by a Kinect, the labelled part (Silberman et al. 2012)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from cyclopean.data.decoding import read_counts, read_image
from cyclopean.data.items import Files
from cyclopean.data.matlab import open_hdf5, read_mat
from cyclopean.data.reading import choice, existing_folder, read_rows
from cyclopean.data.rigs import Depth, Size, fitting, known_above_zero, pinhole_px, size_of
from cyclopean.errors import InputError
from cyclopean.files import PHOTOS
from cyclopean.geometry import Pinhole
from cyclopean.sample import Sample, view

# Of the colour camera, pixels of 640x480, published in the release's toolbox (camera_params.m).
PUBLISHED = np.array([[518.857901, 0, 325.582449], [0, 519.469611, 253.736166], [0, 0, 1]])
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
        return pinhole_px(PUBLISHED, SIZE, self.path)


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
