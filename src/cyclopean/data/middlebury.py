"""Middlebury 2005: rectified pairs of still lifes with dense disparity from structured light, third size."""

import math
from pathlib import Path

import torch
from torch.utils.data import Dataset

from cyclopean.data.reading import existing_folder, read_counts, read_image
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, translation
from cyclopean.sample import Sample, view

FOCAL_PX, BASELINE, REDUCED = 3740.0, 0.160, 3  # full-size focal length; metres between view1 and view5; third size
WIDEST = 500


class MiddleburyDataset(Dataset[Sample]):
    """Scenes `NAME/{view1,view5,disp1}.png` and `dmin.txt` of the third-size release (Scharstein and Pal 2007).

    Disparity in pixels is disp1 / 3, 0 unknown; the pictures were cropped so that pixels at infinity shift by
    dmin / 3 to the other side, hence depth = focal * baseline / (disparity + dmin / 3), and the right camera's centre
    lies dmin / 3 pixels further right than the left one's. Depth is z of view1, metres.
    """

    def __init__(self, path: Path | str) -> None:
        folder = existing_folder(path)
        self.scenes = sorted(p.parent for p in folder.glob("*/disp1.png"))
        if not self.scenes:
            raise InputError(
                f"{folder} holds no Middlebury scene; it needs folders with view1.png, view5.png, disp1.png, dmin.txt."
            )

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Sample:
        scene = self.scenes[index]
        left, right = read_image(scene / "view1.png"), read_image(scene / "view5.png")
        height, width = left.shape[-2:]
        if width > WIDEST:
            raise InputError(f"{scene} is {width} pixels wide; only the third-size release (about 460) is read.")
        disparity, shift, focal = read_counts(scene / "disp1.png") / REDUCED, _dmin(scene) / REDUCED, FOCAL_PX / REDUCED
        depth = torch.where(disparity > 0, focal * BASELINE / (disparity + shift), math.nan)
        lens = torch.tensor([[focal / width, focal / height]])
        target = view(left, Pinhole(lens, torch.tensor([[0.5, 0.5]])))
        other = Pinhole(lens, torch.tensor([[0.5 + shift / width, 0.5]]))
        source = view(right, other, translation(torch.tensor([[-BASELINE, 0.0, 0.0]])))
        return Sample(target, (source,), depth, name=(scene.name,))

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return 20.0


def _dmin(scene: Path) -> float:
    path = scene / "dmin.txt"
    try:
        return float(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is missing or holds no number; it comes with the scene.") from error
