"""Single panoramas with depth as released: Matterport3D, Stanford2D3D, Structured3D and Pano3D."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.data import Dataset

from cyclopean.data.decoding import read_counts, read_image
from cyclopean.data.items import Files
from cyclopean.data.panoramas import centre, whole_sphere
from cyclopean.data.reading import choice, existing_folder, found, read_depth
from cyclopean.data.rigs import Depth, fitting, size_of
from cyclopean.data.splits import read_pairs
from cyclopean.errors import InputError
from cyclopean.files import PHOTOS
from cyclopean.sample import Sample

FAR = 10.0  # metres: what the tables of these sets count (Depth Anywhere, section 4; Pano3D, section 4)
LIGHTS, FURNITURE = ("raw", "cold", "warm"), ("full", "simple", "empty")


def all_seen(image: Float[Tensor, "1 3 h w"]) -> Bool[Tensor, "1 1 h w"]:
    """Every pixel is of the scene."""
    return torch.ones_like(image[:, :1], dtype=torch.bool)


def not_black(image: Float[Tensor, "1 3 h w"]) -> Bool[Tensor, "1 1 h w"]:
    """True black marks what no scan saw."""
    return (image > 0).any(1, keepdim=True)


def between_caps(image: Float[Tensor, "1 3 h w"]) -> Bool[Tensor, "1 1 h w"]:
    """Black from the top or the bottom edge on is where the camera does not look; black in between is a dark thing."""
    seen = not_black(image)
    return (seen.cumsum(-2) > 0) & (seen.flip(-2).cumsum(-2) > 0).flip(-2)


@dataclass(frozen=True)
class Panorama:
    """A name, its picture and its depth file."""

    name: str
    picture: Path
    depth: Path


@dataclass(frozen=True)
class PanoramasWithDepth(Dataset[Sample]):
    """Panoramas that stand alone: no sources, depth the radius in metres, NaN where unknown.

    `metres` reads a depth file; `seen` tells from the picture which of its pixels are valid.
    """

    panoramas: tuple[Panorama, ...]
    metres: Callable[[Path], Depth]
    seen: Callable[[Float[Tensor, "1 3 h w"]], Bool[Tensor, "1 1 h w"]]

    def __len__(self) -> int:
        return len(self.panoramas)

    def __getitem__(self, index: int) -> Sample:
        item = self.panoramas[index]
        image = whole_sphere(read_image(item.picture), item.picture)
        depth = fitting(self.metres(item.depth), size_of(image), item.depth)
        return Sample(replace(centre(image), valid=self.seen(image)), (), depth, name=(item.name,))

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return FAR

    def filed_depth(self, index: int) -> Depth:
        """Its depth, of which nothing is left out."""
        return self.metres(self.panoramas[index].depth)

    def files(self, index: int) -> Files:
        """The panorama; its depth."""
        return Files((self.panoramas[index].picture,), (self.panoramas[index].depth,))


def matterport3d(path: Path | str, split: str = "") -> PanoramasWithDepth:
    """`SCENE/pano_skybox_color/ID.jpg` with `SCENE/pano_depth/ID.png`, metres * 4000, 0 unknown."""
    root = existing_folder(path)
    items = _listed(root, split) or _pairs(root, "*/pano_skybox_color/*.jpg", _matterport_depth)
    return PanoramasWithDepth(_some(items, root, "SCENE/pano_skybox_color/ID.jpg"), _counts(4000), all_seen)


def stanford2d3d(path: Path | str, split: str = "") -> PanoramasWithDepth:
    """`area_1/pano/rgb/camera_*_rgb.png` with `area_1/pano/depth/camera_*_depth.png`, metres * 512, 65535 unknown.

    Also without `pano` between, and `rgb_` for `rgb`, as some copies have it. The black caps above and below are not
    valid.
    """
    root = existing_folder(path)
    items = _listed(root, split) or _pairs(root, "**/rgb*/camera_*_rgb.*", _stanford_depth)
    return PanoramasWithDepth(_some(items, root, "area_1/pano/rgb/camera_ID_rgb.png"), _counts(512), between_caps)


def structured3d(path: Path | str, split: str = "", furniture: str = "full", light: str = "raw") -> PanoramasWithDepth:
    """`scene_00000/2D_rendering/ROOM/panorama/full/rgb_rawlight.png` with `depth.png`, millimetres, 0 unknown.

    `furniture` is full, simple or empty; `light` is raw, cold or warm.
    """
    root = existing_folder(path)
    folder, kind = choice("furniture", furniture, FURNITURE), choice("light", light, LIGHTS)
    pattern = f"**/scene_*/2D_rendering/*/panorama/{folder}/rgb_{kind}light.*"
    items = _listed(root, split) or _pairs(root, pattern, lambda picture: picture.with_name("depth.png"))
    example = f"scene_00000/2D_rendering/ROOM/panorama/{folder}/rgb_{kind}light.png"
    return PanoramasWithDepth(_some(items, root, example), _counts(1000), all_seen)


def pano3d(path: Path | str) -> PanoramasWithDepth:
    """`*_emission_*.png` with `*_depth_*.exr` of the same name, metres; inf and 0 unknown, black pixels not valid.

    Renderings of Matterport3D and GibsonV2 from several places: each is an item of its own.
    """
    root = existing_folder(path)
    items = _pairs(root, "**/*emission*.png", _pano3d_depth)
    return PanoramasWithDepth(_some(items, root, "SCENE/0_emission_center_0.png"), _finite, not_black)


def _counts(per_metre: int) -> Callable[[Path], Depth]:
    """A reader of 16-bit pictures. 0 and the largest number mean unknown in all of these releases."""

    def metres(path: Path) -> Depth:
        counts = read_counts(path, 16)
        return torch.where((counts > 0) & (counts < 65535), counts / per_metre, torch.nan)

    return metres


def _finite(path: Path) -> Depth:
    depth = read_depth(path)
    return torch.where((depth > 0) & depth.isfinite(), depth, torch.nan)


def _listed(root: Path, split: str) -> list[Panorama]:
    """Items of a list with lines `PICTURE DEPTH`, relative to the data set; none without a list."""
    pairs = read_pairs(split) if split else []
    return [Panorama(Path(rgb).with_suffix("").as_posix(), found(root / rgb), root / depth) for rgb, depth in pairs]


def _pairs(root: Path, pattern: str, depth_of: Callable[[Path], Path]) -> list[Panorama]:
    paths = sorted(path for path in root.glob(pattern) if path.name[0] != "." and path.suffix.lower() in PHOTOS)
    return [Panorama(p.relative_to(root).with_suffix("").as_posix(), p, depth_of(p)) for p in paths]


def _some(items: Iterable[Panorama], root: Path, example: str) -> tuple[Panorama, ...]:
    every = tuple(items)
    if not every:
        raise InputError(f"{root} holds no such panorama; it needs files such as {example}.")
    return every


def _matterport_depth(picture: Path) -> Path:
    return picture.parents[1] / "pano_depth" / f"{picture.stem}.png"


def _stanford_depth(picture: Path) -> Path:
    return picture.parents[1] / "depth" / f"{picture.stem.removesuffix('_rgb')}_depth.png"


def _pano3d_depth(picture: Path) -> Path:
    return picture.with_name(re.sub("emission", "depth", picture.stem) + ".exr")
