"""Cityscapes: stereo pictures of German cities with a camera file for each (Cordts et al. 2016)."""

from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from cyclopean.augmentation import crop
from cyclopean.data.decoding import read_counts, read_views
from cyclopean.data.items import Files
from cyclopean.data.reading import existing_folder, found, read_object
from cyclopean.data.rigs import (
    baseline_of,
    depth_from_disparity,
    fitting,
    pinhole_px,
    rectified_pair,
    size_of,
    unknown_depth,
)
from cyclopean.data.splits import read_paths
from cyclopean.errors import InputError
from cyclopean.files import PHOTOS, shortened
from cyclopean.sample import Sample

KEPT = 4, 5  # Monodepth: the top 80 % of the rows, without the car's own bonnet
CALIBRATED = 1024, 2048  # height, width that the camera files are for
COUNTS = 256.0  # per pixel of disparity, after taking one away; 0 is unknown


class CityscapesDataset(Dataset[Sample]):
    """`leftImg8bit/{train,val,test,train_extra}/CITY/NAME_leftImg8bit.png`, the same below `rightImg8bit`, `camera`
    (`NAME_camera.json`) and, where it was downloaded, `disparity` (`NAME_disparity.png`).

    The top four fifths of the rows are kept (rounded down), the camera's centre and the window follow. Depth is
    fx * baseline / disparity in metres with disparity = (p - 1) / 256: made by semi-global matching, not measured.
    `part` is one of the four folders (all without it); `split` a list of left pictures in Monodepth's format.
    """

    def __init__(self, path: Path | str, part: str = "*", split: Path | str | None = None) -> None:
        self.root = existing_folder(path)
        lefts = sorted(
            p for p in (self.root / "leftImg8bit").glob(f"{part}/*/*_leftImg8bit.*") if p.suffix.lower() in PHOTOS
        )
        listed = read_paths(split) if split else [p.relative_to(self.root).as_posix() for p in lefts]
        self.items = [_parts(p) for p in listed]
        if not self.items:
            raise InputError(
                f"{path} holds no Cityscapes picture; it needs folders such as leftImg8bit/train/aachen, "
                "rightImg8bit and camera."
            )

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        files = self.files(index)
        images = read_views(files.pictures)
        size = height, width = size_of(images[0])
        matrix, baseline = _read_camera(files.others[0])
        depth = unknown_depth(size)
        if len(files.others) > 1:
            disparity = (fitting(read_counts(files.others[1], 16), size, files.others[1]) - 1) / COUNTS
            depth = depth_from_disparity(disparity, float(matrix[0, 0]) * width / CALIBRATED[1], baseline)
        camera = pinhole_px(matrix, CALIBRATED, files.others[0])
        sample = rectified_pair(images, (camera, camera), baseline, depth, "/".join(self.items[index][1:]))
        return crop(sample, (0, 0, height * KEPT[0] // KEPT[1], width))

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return 80.0

    def files(self, index: int) -> Files:
        """Left, right; camera, and the disparity if it was downloaded."""
        part, city, name = self.items[index]
        eyes = (f"{eye}/{part}/{city}/{name}_{eye}.png" for eye in ("leftImg8bit", "rightImg8bit"))
        camera = self.root / "camera" / part / city / f"{name}_camera.json"
        disparity = self.root / "disparity" / part / city / f"{name}_disparity.png"
        others = (camera, disparity) if disparity.exists() else (camera,)
        return Files(tuple(found(self.root / eye) for eye in eyes), others)


def _parts(path: str) -> tuple[str, str, str]:
    """(part, city, name) of `leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png`."""
    parts = Path(path).parts
    if len(parts) < 3:
        raise InputError(
            f"{shortened(repr(path))} is no Cityscapes picture; lists need leftImg8bit/PART/CITY/NAME_leftImg8bit.png."
        )
    return parts[-3], parts[-2], Path(path).stem.removesuffix("_leftImg8bit")


def _read_camera(path: Path) -> tuple[np.ndarray, float]:
    """The matrix in pixels of a full picture, and the baseline in metres."""
    values = read_object(path)
    try:
        k = {name: float(values["intrinsic"][name]) for name in ("fx", "fy", "u0", "v0")}
        baseline = float(values["extrinsic"]["baseline"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path} lacks fx, fy, u0, v0 or the baseline; it comes with the release.") from error
    baseline_of(baseline, path)
    return np.array([[k["fx"], 0, k["u0"]], [0, k["fy"], k["v0"]], [0, 0, 1]]), baseline
