"""7-Scenes: frames of a hand-held RGB-D camera in rooms (Shotton et al. 2013)."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from cyclopean.data.decoding import read_counts, read_views
from cyclopean.data.items import Files
from cyclopean.data.reading import choice, existing_folder, read_pose, read_rows
from cyclopean.data.rigs import fitting, pinhole_px, size_of
from cyclopean.errors import InputError
from cyclopean.files import PHOTOS
from cyclopean.geometry import Pinhole
from cyclopean.sample import Sample, view

PUBLISHED = np.array([[585.0, 0, 320], [0, 585, 240], [0, 0, 1]])  # of the release's page, for 640x480 pixels
SIZE = (480, 640)
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
        return pinhole_px(PUBLISHED, SIZE, frame)


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
