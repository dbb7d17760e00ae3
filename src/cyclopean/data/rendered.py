"""Rendered scenes: worlds made on the fly (no files, item n is scene seed + n), and folders of a path tracer."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from cyclopean.data import panoramas
from cyclopean.data.base import Files, Items, known_above_zero, nonempty, rectified_pair
from cyclopean.data.files import existing_folder, read_depth, read_object, read_positive, read_views
from cyclopean.errors import InputError, unknown_name
from cyclopean.geometry import Pinhole, size_of
from cyclopean.sample import Sample
from cyclopean.synthetic import FAMILIES, RIGS, rigs
from cyclopean.synthetic.folder import load_pictures


@dataclass(frozen=True)
class WorldsDataset(Dataset[Sample]):
    """`count` scenes, the families taking turns; each a Sample with b = 1 at `size` (height, width).

    `pictures` is a folder of photographs for walls and things, read once per process. Raises InputError for unknown
    names, for nothing to make and for a folder without pictures.

    On a CPU rendering beside training slows both: render to a folder first (`cyclopean render`) and train on that.
    With a GPU as `device` scenes are laid out on the CPU and rendered there, and the samples lie there: read them in
    the training process (`num_workers=0`, no pinned memory).
    """

    families: Sequence[str]
    rig: str
    seed: int
    size: tuple[int, int]
    count: int
    pictures: Path | None = None
    device: torch.device | str = "cpu"

    def __post_init__(self) -> None:
        for family in self.families:
            if family not in FAMILIES:
                raise unknown_name("world", family, FAMILIES)
        if self.rig not in RIGS:
            raise unknown_name("rig", self.rig, RIGS)
        if self.count < 1:
            raise InputError(f"{self.count} scenes were asked for; at least 1 is needed.")
        if self.pictures is not None:
            load_pictures(self.pictures)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, n: int) -> Sample:
        return self.__getitems__([n])[0]

    def __getitems__(self, numbers: Sequence[int]) -> list[Sample]:
        """Return several items, together where `device` is a GPU (PyTorch's loaders and `Subset` call this)."""
        for n in numbers:
            if not 0 <= n < self.count:
                raise IndexError(n)
        pictures = None if self.pictures is None else _pictures(self.pictures, self.device)
        scenes = [(self.families[n % len(self.families)], self.seed + n) for n in numbers]
        return rigs.samples(scenes, self.size, self.rig, pictures=pictures, device=self.device)


@cache
def _pictures(folder: Path, device: torch.device | str) -> Tensor:
    """Return the pictures of a folder, copied to a GPU once, not for every scene."""
    return load_pictures(folder).to(device)


MOST_DEPTH = {"indoor": 20.0, "street": 80.0}


class TracedDataset(Items):
    """Scenes `indoor_*`, `street_*` of a flat folder: `NAME_{left,right}.png`, `NAME_left_depth.npz`, `NAME.json`.

    The JSON gives the focal length in pixels and the baseline in metres; the depth of the left picture is z in metres,
    inf for sky. Names are `indoor/000`. Panoramas (`indoor360_*`) in the same folder are `Traced360Dataset`'s.
    """

    def __init__(self, path: Path | str) -> None:
        folder = existing_folder(path)
        scenes = sorted(scene for kind in MOST_DEPTH for scene in folder.glob(f"{kind}_*.json"))
        needs = "files such as street_000.json and street_000_left.png"
        self.items = nonempty(scenes, folder, "traced scene", needs)

    def __getitem__(self, index: int) -> Sample:
        scene, files = self.items[index], self.files(index)
        values = read_object(scene)
        left, right = read_views(files.pictures)
        height, width = size_of(left)
        focal = read_positive(values, "focal", "a length in pixels", scene)
        baseline = read_positive(values, "baseline", "a length in metres", scene)
        camera = Pinhole(torch.tensor([[focal / width, focal / height]]), torch.tensor([[0.5, 0.5]]))
        depth = known_above_zero(read_depth(files.others[1], (height, width)))
        return rectified_pair((left, right), (camera, camera), baseline, depth, scene.stem.replace("_", "/", 1))

    def far(self, index: int) -> float:
        """Return 80 metres on streets, 20 in rooms."""
        return MOST_DEPTH[self.items[index].name.split("_")[0]]

    def files(self, index: int) -> Files:
        """Return left, right; JSON, depth."""
        return _files(self.items[index], ("left", "right"))


class Traced360Dataset(Items):
    """Scenes `indoor360_*` of a flat folder: `NAME_{centre,up,right}.png`, `NAME_centre_depth.npz`, `NAME.json`.

    The JSON gives the baseline in metres, from the centre up and to the right; the depth is the radius around the
    centre in metres. Names are `indoor360/000`.
    """

    most_depth = panoramas.ROOM_FAR

    def __init__(self, path: Path | str) -> None:
        folder = existing_folder(path)
        needs = "files such as indoor360_000.json and indoor360_000_centre.png"
        self.items = nonempty(sorted(folder.glob("indoor360_*.json")), folder, "traced panorama", needs)

    def __getitem__(self, index: int) -> Sample:
        scene, files = self.items[index], self.files(index)
        centre, up, right = read_views(files.pictures)
        target = panoramas.panorama(centre, files.pictures[0])
        baseline = read_positive(read_object(scene), "baseline", "a length in metres", scene)
        depth = known_above_zero(read_depth(files.others[1], size_of(centre)))
        sources = (panoramas.above(up, baseline), panoramas.beside(right, baseline))
        return Sample(target, sources, depth, name=(scene.stem.replace("_", "/", 1),))

    def files(self, index: int) -> Files:
        """Return centre, up, right; JSON, depth."""
        return _files(self.items[index], ("centre", "up", "right"))


def _files(scene: Path, views: tuple[str, ...]) -> Files:
    pictures = tuple(scene.with_name(f"{scene.stem}_{name}.png") for name in views)
    return Files(pictures, (scene, scene.with_name(f"{scene.stem}_{views[0]}_depth.npz")))
