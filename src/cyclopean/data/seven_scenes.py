"""7-Scenes: frames of a hand-held RGB-D camera in rooms."""

import math
from pathlib import Path

import torch
from torch.utils.data import Dataset

from cyclopean.data.reading import existing_folder, read_counts, read_image
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole
from cyclopean.sample import Sample, view

FOCAL_PX, CENTER_PX, SIZE = 585.0, (320.0, 240.0), (480, 640)  # the release's page, for 640x480 pixels
UNKNOWN = 65535


class SevenScenesDataset(Dataset[Sample]):
    """Frames `frame-NNNNNN.color.{jpg,png}` with `frame-NNNNNN.depth.png` of one sequence (Shotton et al. 2013).

    Depth is z in millimetres of the depth camera, here metres, 0 and 65535 unknown. The release does not register depth
    to colour: edges are some pixels off. One camera is stated for both.
    """

    def __init__(self, path: Path | str) -> None:
        folder = existing_folder(path)
        self.frames = sorted(p for p in folder.glob("frame-*.color.*") if _depth_file(p).exists())
        if not self.frames:
            raise InputError(
                f"{folder} holds no frame; it needs frame-000000.color.png (or .jpg) and frame-000000.depth.png."
            )

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Sample:
        path = self.frames[index]
        image, millimetres = read_image(path), read_counts(_depth_file(path))
        if image.shape[-2:] != SIZE or millimetres.shape[-2:] != SIZE:
            raise InputError(f"{path} or its depth is not 640x480; the calibration of 7-Scenes is for that size.")
        known = (millimetres > 0) & (millimetres < UNKNOWN)
        depth = torch.where(known, millimetres / 1000, math.nan)
        height, width = SIZE
        camera = Pinhole(
            torch.tensor([[FOCAL_PX / width, FOCAL_PX / height]]),
            torch.tensor([[CENTER_PX[0] / width, CENTER_PX[1] / height]]),
        )
        return Sample(view(image, camera), (), depth, name=(path.name.split(".")[0],))

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return 20.0


def _depth_file(colour: Path) -> Path:
    return colour.with_name(colour.name.split(".")[0] + ".depth.png")
