"""3D60 (Zioulis et al. 2018, 2019): rooms rendered as panoramas from three places, with depth."""

from pathlib import Path, PureWindowsPath

import torch
from torch.utils.data import Dataset

from cyclopean.data.decoding import read_views
from cyclopean.data.items import Files
from cyclopean.data.panoramas import FAR, above, beside, centre, whole_sphere
from cyclopean.data.reading import choice, existing_folder, found, read_depth
from cyclopean.data.rigs import Depth, Size, fitting, size_of, unknown_depth
from cyclopean.data.splits import read_paths
from cyclopean.errors import InputError
from cyclopean.files import PHOTOS, shortened
from cyclopean.sample import Sample

BASELINE = 0.26  # metres, up and to the right alike (spherical view synthesis, section 4.1)
CENTRE = "_color_0_Left_Down_0.0"  # how names of the centre's pictures end: it is left of one and below the other
PLACES = {"up": (above, "Up"), "right": (beside, "Right")}
SOURCES = {"both": ("up", "right"), "up": ("up",), "right": ("right",)}
DEPTHS = (".exr", ".npy", ".npz", ".pfm")


class ThreeD60Dataset(Dataset[Sample]):
    """Triples `N_ID_color_0_{Left_Down,Right,Up}_0.0.png` with `N_ID_depth_0_Left_Down_0.0.exr`, wherever below `path`.

    The centre (`Left_Down`) is the target; `sources` says which of the others follow. Depth is the radius in metres,
    from EXR or, converted, .npy, .npz, .pfm; what is 0, not finite or beyond 20 m is unknown, as in the release.
    `split` is a list of the release, of nine paths a line, of which the first counts; backslashes, drive letters and
    folders above `path` are understood. Names are paths without `_color_0_Left_Down_0.0`.

    The light of these renderings stands at the camera, so that brightness gives depth away: see `cyclopean check`.
    """

    def __init__(self, path: Path | str, split: str = "", sources: str = "both") -> None:
        self.root = existing_folder(path)
        self.sources = SOURCES[choice("sources", sources, SOURCES)]
        self.centres = [_below(self.root, line) for line in read_paths(split)] if split else _centres(self.root)
        if not self.centres:
            raise InputError(f"{self.root} holds no panorama of 3D60; it needs files such as 0_ID{CENTRE}.png.")

    def __len__(self) -> int:
        return len(self.centres)

    def __getitem__(self, index: int) -> Sample:
        files = self.files(index)
        picture, *others = read_views(files.pictures)
        whole_sphere(picture, files.pictures[0])
        size = size_of(picture)
        stands = [PLACES[name][0] for name in self.sources]
        views = tuple(stand(other, BASELINE) for stand, other in zip(stands, others, strict=True))
        return Sample(centre(picture), views, _depth(files, size), name=(self._name(index),))

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return FAR

    def filed_depth(self, index: int) -> Depth | None:
        """The centre's depth as its file has it, however far; None without a file."""
        depths = self.files(index).others
        return read_depth(depths[0]) if depths else None

    def files(self, index: int) -> Files:
        """Centre and sources; the depth of the centre, if it is there."""
        middle = self.centres[index]
        others = (middle.with_name(middle.name.replace("Left_Down", PLACES[name][1])) for name in self.sources)
        stem = middle.stem.replace("_color_", "_depth_")
        depths = (middle.with_name(stem + suffix) for suffix in DEPTHS)
        return Files((found(middle), *map(found, others)), tuple(path for path in depths if path.exists())[:1])

    def _name(self, index: int) -> str:
        middle = self.centres[index]
        return middle.relative_to(self.root).with_name(middle.stem.removesuffix(CENTRE)).as_posix()


def _centres(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob(f"*{CENTRE}.*") if path.suffix.lower() in PHOTOS)


def _below(root: Path, line: str) -> Path:
    """The picture that a line of a list names. Lists were written on Windows, some from the top of a drive."""
    named = PureWindowsPath(line)
    parts = named.parts[1:] if named.anchor else named.parts
    if CENTRE not in named.name:
        raise InputError(
            f"{shortened(repr(line))} names no centre; lines of a 3D60 list begin with a path that ends in "
            f"{CENTRE}.png."
        )
    candidates = [root.joinpath(*parts[n:]) for n in range(len(parts))]
    return next((path for path in candidates if found(path).exists()), candidates[0])


def _depth(files: Files, size: Size) -> Depth:
    if not files.others:
        return unknown_depth(size)
    depth = fitting(read_depth(files.others[0]), size, files.others[0])
    return torch.where((depth > 0) & (depth <= FAR), depth, torch.nan)
