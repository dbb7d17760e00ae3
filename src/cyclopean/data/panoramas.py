"""What data sets of panoramas have in common: full spheres, twice as wide as high, and where their sources stand."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.data import Dataset

from cyclopean.data.base import Depth, Files, Size, fitting, read_pairs, read_paths, size_of, unknown_depth
from cyclopean.data.files import (
    choice,
    existing_folder,
    found,
    list_images,
    pictures_among,
    read_counts,
    read_depth,
    read_image,
    read_mask,
    read_object,
    read_views,
    refuse_unknown,
)
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, translation
from cyclopean.io.files import PHOTOS, shortened
from cyclopean.sample import Sample, View, view

ROOM_FAR = 20.0  # metres: what lies further counts as unknown in rooms (spherical view synthesis, section 4.1)


def whole_sphere(image: Float[Tensor, "1 channels h w"], path: Path) -> Float[Tensor, "1 channels h w"]:
    """`image` read from `path`, after checking that it is twice as wide as high."""
    height, width = image.shape[-2:]
    if width != 2 * height:
        raise InputError(
            f"{path} has {width}x{height} pixels; a panorama of the full sphere is twice as wide as high. "
            "Crop, pad or stitch it to that shape."
        )
    return image


def centre(image: Float[Tensor, "1 3 h w"]) -> View:
    """The target of a rig of panoramas."""
    return view(image, Equirectangular())


def above(image: Float[Tensor, "1 3 h w"], baseline: float) -> View:
    """A source that stands `baseline` above the target: a point of the target lies lower in it."""
    return view(image, Equirectangular(), translation(torch.tensor([[0.0, baseline, 0.0]])))


def beside(image: Float[Tensor, "1 3 h w"], baseline: float) -> View:
    """A source that stands `baseline` to the target's right: a point straight ahead lies further left in it."""
    return view(image, Equirectangular(), translation(torch.tensor([[-baseline, 0.0, 0.0]])))


class PanoramaPicturesDataset(Dataset[Sample]):
    """Every picture below `path`, each a full sphere. No second view, no depth. Names are paths without suffix.
    Pictures of high dynamic range (.hdr) are exposed and brought to sRGB, as for `cyclopean predict`.

    `masks` is a folder of grey pictures under the same names, 255 where the panorama shows the scene and 0 where it
    does not (sky, watermarks, the tripod), as Depth Anywhere keeps them; a panorama without a mask is valid everywhere.
    """

    def __init__(self, path: Path | str, masks: str = "") -> None:
        self.root = existing_folder(path)
        self.masks = existing_folder(masks) if masks else None
        paths = (p for p in self.root.rglob("*") if self.masks is None or not p.is_relative_to(self.masks))
        self.images = pictures_among(paths, self.root)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        path = self.images[index]
        target = centre(whole_sphere(read_image(path), path))
        size = size_of(target.image)
        for mask in self._masks(path):
            target = replace(target, valid=fitting(read_mask(mask), size, mask) >= 0.5)
        name = path.relative_to(self.root).with_suffix("").as_posix()
        return Sample(target, (), unknown_depth(size), name=(name,))

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return ROOM_FAR

    def files(self, index: int) -> Files:
        """The panorama; its mask, if there is one."""
        path = self.images[index]
        return Files((path,), self._masks(path))

    def _masks(self, path: Path) -> tuple[Path, ...]:
        """The mask of a panorama, if there is one."""
        if self.masks is None:
            return ()
        mask = found(self.masks / path.relative_to(self.root))
        return (mask,) if mask.exists() else ()


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


# Names of the two folders, in use by published sets: the upper camera's, the lower one's.
PAIRS = (("image_up", "image_down"), ("up", "down"), ("top", "bottom"), ("image_top", "image_bottom"))


class TopBottomDataset(Dataset[Sample]):
    """Pairs of panoramas in two folders, of equal names and sizes. The lower camera is the target; no truth.

    `baseline` in metres, or `"baseline_m"` of a `calibration.json` beside the folders. A baseline of 1 leaves the unit
    open: what is learned is then known in baselines. Raises `InputError` for a folder without such pairs or baseline.
    """

    def __init__(self, path: Path | str, baseline: str = "") -> None:
        self.path = existing_folder(path)
        pair = next((pair for pair in PAIRS if all((self.path / name).is_dir() for name in pair)), None)
        if pair is None:
            known = ", ".join(f"{top} and {bottom}" for top, bottom in PAIRS)
            raise InputError(f"{self.path} holds no top-bottom pairs; it needs two folders, named {known}.")
        self._top, self._bottom = pair
        self._pictures = {name: list_images(self.path / name) for name in pair}
        self.stems = sorted(self._pictures[self._bottom])
        self.baseline = _baseline(self.path, baseline)

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, index: int) -> Sample:
        files = self.files(index)
        bottom, top = read_views(files.pictures)
        whole_sphere(bottom, files.pictures[0])
        depth = unknown_depth(size_of(bottom))
        return Sample(centre(bottom), (above(top, self.baseline),), depth, name=(self.stems[index],))

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return ROOM_FAR

    def files(self, index: int) -> Files:
        """Bottom, top."""
        stem = self.stems[index]
        bottom = self._pictures[self._bottom][stem]
        return Files((bottom, self._pictures[self._top].get(stem, self.path / self._top / bottom.name)))


def _baseline(folder: Path, given: str) -> float:
    """Metres between the cameras, as given or as the calibration says."""
    path = folder / "calibration.json"
    stated = read_object(path) if path.exists() else {}
    refuse_unknown(stated, ("baseline_m",), path)
    value = given or stated.get("baseline_m", "")
    try:
        metres = float(value)
    except (TypeError, ValueError, OverflowError):
        metres = 0.0
    if not 0 < metres < float("inf"):
        raise InputError(
            f"{folder} was given the baseline {shortened(value)!r}; say how far apart the two cameras stood, in "
            f'metres: topbottom:{folder}:baseline=0.2, or {{"baseline_m": 0.2}} in {path.name} (1 when nobody knows).'
        )
    return metres


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
        return ROOM_FAR

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
    return torch.where((depth > 0) & (depth <= ROOM_FAR), depth, torch.nan)
