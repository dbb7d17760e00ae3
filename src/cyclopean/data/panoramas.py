"""Panoramas: full spheres, twice as wide as high; alone, with depth, and with sources above or beside them."""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

import numpy as np
import torch

from cyclopean.data.base import Files, Items, known_above_zero, nonempty, unknown_depth
from cyclopean.data.files import (
    FULL,
    Depth,
    check_fits,
    choice,
    entry,
    existing_folder,
    list_images,
    only_pictures,
    picture_at,
    pictures_among,
    read_counts,
    read_depth,
    read_list,
    read_mask,
    read_object,
    read_pairs,
    read_paths,
    read_views,
    refuse_unknown,
)
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, size_of, translation
from cyclopean.io.decoding import read_image
from cyclopean.io.files import at_home, shortened
from cyclopean.io.rendered_folder import SPHERE_BASELINE
from cyclopean.io.video import describe
from cyclopean.io.video_seeking import frames_at, index_of
from cyclopean.sample import OneImage, OneMask, Sample, View, view

ROOM_FAR = 20.0  # metres: what lies further counts as unknown in rooms (spherical view synthesis, section 4.1)


def panorama(image: OneImage, path: Path) -> View:
    """Return the target of a rig of panoramas. Raises InputError, naming `path`, unless it is twice as wide as high."""
    height, width = image.shape[-2:]
    if width != 2 * height:
        raise InputError(
            f"{path} has {width}x{height} pixels; a panorama of the full sphere is twice as wide as high. "
            "Crop, pad or stitch it to that shape."
        )
    return view(image, Equirectangular())


def above(image: OneImage, baseline: float) -> View:
    """Return a source that stands `baseline` above the target: a point of the target lies lower in it."""
    return view(image, Equirectangular(), translation(torch.tensor([[0.0, baseline, 0.0]])))


def beside(image: OneImage, baseline: float) -> View:
    """Return a source that stands `baseline` to the target's right: a point straight ahead lies further left in it."""
    return view(image, Equirectangular(), translation(torch.tensor([[-baseline, 0.0, 0.0]])))


def panoramas(path: Path | str, masks: str = "", every: str = "", split: str = "") -> Items:
    """Open a folder of panoramas (`PanoramaPicturesDataset`), or a film of them (`PanoramaFilmDataset`), of which one
    frame in `every` seconds counts (1 without it)."""
    if not at_home(path).is_file():
        if every:
            raise InputError(f"{path} is not a film, and every={every} is for films; leave it out.")
        return PanoramaPicturesDataset(path, masks, split)
    if split:
        raise InputError(f"{path} is a film, and split={split} is for folders; leave it out.")
    return PanoramaFilmDataset(path, masks, every or "1")


class PanoramaFilmDataset(Items):
    """Frames of a film, each a full sphere, one in `every` seconds. Names are FILM/NUMBER, numbers those of the film.

    Frames are decoded when they are needed, from the last keyframe before them: nothing is unpacked. `masks` is a
    folder with FILM/NUMBER.png, as of `PanoramaPicturesDataset`.
    """

    most_depth = ROOM_FAR

    def __init__(self, path: Path | str, masks: str = "", every: str = "1") -> None:
        self.path = at_home(path)
        self.masks = existing_folder(masks) if masks else None
        try:
            seconds = float(every)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < float("inf"):
            raise InputError(f"every={shortened(every)} is no time between frames; give seconds above 0, such as 0.5.")
        self.size, self.index = describe(self.path).size, index_of(self.path)
        times = np.array(self.index.seconds)
        steps = seconds * np.arange(int(times[-1] / seconds) + 1) - 1e-6  # the clocks of films are counted in ticks
        self.items: list[int] = sorted(set(np.searchsorted(times, steps).tolist()))

    def name(self, index: int) -> str:
        """Return the name of item `index`."""
        return f"{self.path.stem}/{self.items[index]:06d}"

    def __getitem__(self, index: int) -> Sample:
        (image,) = frames_at(self.path, self.index, (self.items[index],), self.size)
        target, name = panorama(image, self.path), self.name(index)
        mask = None if self.masks is None else self.masks / f"{name}.png"
        if mask is not None and mask.exists():
            target = replace(target, valid=read_mask(mask, self.size) >= 0.5)
        return Sample(target, (), unknown_depth(self.size), name=(name,))

    def files(self, index: int) -> Files:  # noqa: ARG002
        """Return the film, which is not a picture."""
        return Files((), (self.path,))

    def check(self, index: int) -> None:
        """Do nothing: the film was looked through when it was opened."""


class PanoramaPicturesDataset(Items):
    """Every picture below `path`, or those of a list, `split`, with a path below `path` on each line; each a full
    sphere. No second view, no depth. Names are paths without suffix. Pictures of high dynamic range (.hdr) are exposed
    and brought to sRGB, as for `cyclopean predict`.

    `masks` is a folder of grey pictures under the same names, 255 where the panorama shows the scene and 0 where it
    does not (sky, watermarks, the tripod), as Depth Anywhere keeps them; a panorama without a mask is valid everywhere.
    """

    most_depth = ROOM_FAR

    def __init__(self, path: Path | str, masks: str = "", split: str = "") -> None:
        self.root = existing_folder(path)
        self.masks = existing_folder(masks) if masks else None
        if split:
            for line, place in read_list(split):
                if Path(line).is_absolute() or ".." in Path(line).parts:
                    raise InputError(f"{place} is {shortened(repr(line))}; it needs a path below {self.root}.")
            self.items = [picture_at(self.root / line) for line, _ in read_list(split)]
            return
        paths = (p for p in self.root.rglob("*") if self.masks is None or not p.is_relative_to(self.masks))
        self.items = pictures_among(paths, self.root)

    def __getitem__(self, index: int) -> Sample:
        files = self.files(index)
        path = files.pictures[0]
        target = panorama(read_image(path), path)
        size = size_of(target.image)
        for mask in files.others:
            target = replace(target, valid=read_mask(mask, size) >= 0.5)
        name = path.relative_to(self.root).with_suffix("").as_posix()
        return Sample(target, (), unknown_depth(size), name=(name,))

    def files(self, index: int) -> Files:
        """Return the panorama; its mask, if there is one."""
        path = self.items[index]
        mask = None if self.masks is None else picture_at(self.masks / path.relative_to(self.root))
        return Files((path,), (mask,) if mask and mask.exists() else ())


LIGHTS, FURNITURE = ("raw", "cold", "warm"), ("full", "simple", "empty")


def all_valid(image: OneImage) -> OneMask:
    """Return every pixel as one of the scene."""
    return torch.ones_like(image[:, :1], dtype=torch.bool)


def not_black(image: OneImage) -> OneMask:
    """Return where the picture is not black: true black marks what no scan covers."""
    return (image > 0).any(1, keepdim=True)


def between_caps(image: OneImage) -> OneMask:
    """Return what lies between the black caps at the top and the bottom edge; black in between is a dark thing."""
    bright = not_black(image)
    return (bright.cumsum(-2) > 0) & (bright.flip(-2).cumsum(-2) > 0).flip(-2)


class Panorama(NamedTuple):
    """A name, its picture and its depth file."""

    name: str
    picture: Path
    depth: Path


class PanoramasWithDepth(Items):
    """Panoramas that stand alone: no sources, depth the radius in metres, NaN where unknown.

    `metres` reads a depth file; `valid` returns which pixels of a picture are of the scene. At most 10 m count, as in
    the tables of these sets (Depth Anywhere, section 4; Pano3D, section 4).
    """

    most_depth = 10.0

    def __init__(
        self,
        panoramas: list[Panorama],
        metres: Callable[[Path], Depth],
        valid: Callable[[OneImage], OneMask] = all_valid,
    ) -> None:
        self.items, self.metres, self.valid = panoramas, metres, valid

    def __getitem__(self, index: int) -> Sample:
        name, picture, path = self.items[index]
        image = read_image(picture)
        target, depth = panorama(image, picture), self.metres(path)
        check_fits(path, size_of(depth), size_of(image))
        return Sample(replace(target, valid=self.valid(image)), (), depth, name=(name,))

    def filed_depth(self, index: int) -> Depth:
        return self.metres(self.items[index].depth)

    def files(self, index: int) -> Files:
        """Return the panorama; its depth."""
        return Files((self.items[index].picture,), (self.items[index].depth,))


def matterport3d(path: Path | str, split: str = "") -> PanoramasWithDepth:
    """Open `SCENE/pano_skybox_color/ID.jpg` with `SCENE/pano_depth/ID.png`, metres * 4000, 0 unknown."""
    items = _panoramas(
        path, split, "*/pano_skybox_color/*.jpg", "SCENE/pano_skybox_color/ID.jpg",
        lambda picture: picture.parents[1] / "pano_depth" / f"{picture.stem}.png",
    )  # fmt: skip
    return PanoramasWithDepth(items, _counts(4000))


def stanford2d3d(path: Path | str, split: str = "") -> PanoramasWithDepth:
    """Open `area_1/pano/rgb/camera_*_rgb.png` with `area_1/pano/depth/camera_*_depth.png`, metres * 512, 65535 unknown.

    Also without `pano` between, and `rgb_` for `rgb`, as some copies have it. The black caps above and below are not
    valid.
    """
    items = _panoramas(
        path, split, "**/rgb*/camera_*_rgb.*", "area_1/pano/rgb/camera_ID_rgb.png",
        lambda picture: picture.parents[1] / "depth" / f"{picture.stem.removesuffix('_rgb')}_depth.png",
    )  # fmt: skip
    return PanoramasWithDepth(items, _counts(512), between_caps)


def structured3d(path: Path | str, split: str = "", furniture: str = "full", light: str = "raw") -> PanoramasWithDepth:
    """Open `scene_00000/2D_rendering/ROOM/panorama/full/rgb_rawlight.png` with `depth.png`, millimetres, 0 unknown.

    `furniture` is full, simple or empty; `light` is raw, cold or warm.
    """
    folder, kind = choice("furniture", furniture, FURNITURE), choice("light", light, LIGHTS)
    pattern = f"**/scene_*/2D_rendering/*/panorama/{folder}/rgb_{kind}light.*"
    example = f"scene_00000/2D_rendering/ROOM/panorama/{folder}/rgb_{kind}light.png"
    items = _panoramas(path, split, pattern, example, lambda picture: picture.with_name("depth.png"))
    return PanoramasWithDepth(items, _counts(1000))


def pano3d(path: Path | str) -> PanoramasWithDepth:
    """Open `*_emission_*.png` with `*_depth_*.exr` of the same name, metres; inf and 0 unknown, black pixels not valid.

    Renderings of Matterport3D and GibsonV2 from several places: each is an item of its own.
    """

    def metres(path: Path) -> Depth:
        depth = known_above_zero(read_depth(path))
        return torch.where(depth.isfinite(), depth, torch.nan)

    items = _panoramas(
        path, "", "**/*emission*.png", "SCENE/0_emission_center_0.png",
        lambda picture: picture.with_name(re.sub("emission", "depth", picture.stem) + ".exr"),
    )  # fmt: skip
    return PanoramasWithDepth(items, metres, not_black)


def _counts(per_metre: int) -> Callable[[Path], Depth]:
    """Return a reader of 16-bit pictures. 0 and the largest number mean unknown in all of these releases."""

    def metres(path: Path) -> Depth:
        counts = read_counts(path, 16)
        return torch.where((counts > 0) & (counts < FULL), counts / per_metre, torch.nan)

    return metres


def _panoramas(
    path: Path | str, split: str, pattern: str, example: str, depth_of: Callable[[Path], Path]
) -> list[Panorama]:
    """Return the items of a list with lines `PICTURE DEPTH`, relative to the data set; without one, of a pattern."""
    root = existing_folder(path)
    if split:
        pairs: Iterable[tuple[Path, Path, Path]] = (
            (Path(rgb), picture_at(root / rgb), root / depth) for rgb, depth in read_pairs(split)
        )
    else:
        pictures = (p for p in only_pictures(root.glob(pattern)) if not p.name.startswith("."))
        pairs = ((p.relative_to(root), p, depth_of(p)) for p in pictures)
    items = [Panorama(name.with_suffix("").as_posix(), picture, depth) for name, picture, depth in pairs]
    return nonempty(items, root, "such panorama", f"files such as {example}")


# Names of the two folders, in use by published sets: the upper camera's, the lower one's.
PAIRS = (("image_up", "image_down"), ("up", "down"), ("top", "bottom"), ("image_top", "image_bottom"))


class TopBottomDataset(Items):
    """Pairs of panoramas in two folders, of equal names and sizes. The lower camera is the target; no truth.

    `baseline` in metres, or `"baseline_m"` of a `calibration.json` beside the folders. A baseline of 1 leaves the unit
    open: what is learned is then known in baselines. Raises `InputError` for a folder without such pairs or baseline.
    """

    most_depth = ROOM_FAR

    def __init__(self, path: Path | str, baseline: str = "") -> None:
        folder = existing_folder(path)
        pair = next((pair for pair in PAIRS if all(entry(folder, name).is_dir() for name in pair)), None)
        if pair is None:
            known = ", ".join(f"{top} and {bottom}" for top, bottom in PAIRS)
            raise InputError(f"{folder} holds no top-bottom pairs; it needs two folders, named {known}.")
        self.top = entry(folder, pair[0])
        self.tops, self.bottoms = (list_images(entry(folder, name)) for name in pair)
        self.items = sorted(self.bottoms)
        calibration = entry(folder, "calibration.json")
        values = read_object(calibration) if calibration.exists() else {}
        refuse_unknown(values, ("baseline_m",), calibration)
        value = baseline or values.get("baseline_m", "")
        try:
            self.baseline = float(value)
        except (TypeError, ValueError, OverflowError):
            self.baseline = 0.0
        if not 0 < self.baseline < float("inf"):
            raise InputError(
                f"{folder} was given the baseline {shortened(value)!r}; say how far apart the two cameras stood, in "
                f"metres: topbottom:{folder}:baseline=0.2, or "
                f'{{"baseline_m": 0.2}} in {calibration.name} (1 when nobody knows).'
            )

    def __getitem__(self, index: int) -> Sample:
        files = self.files(index)
        bottom, top = read_views(files.pictures)
        target = panorama(bottom, files.pictures[0])
        depth = unknown_depth(size_of(bottom))
        return Sample(target, (above(top, self.baseline),), depth, name=(self.items[index],))

    def files(self, index: int) -> Files:
        """Return bottom, top."""
        stem = self.items[index]
        return Files((self.bottoms[stem], self.tops.get(stem, self.top / self.bottoms[stem].name)))


CENTRE = "_color_0_Left_Down_0.0"  # how names of the centre's pictures end: it is left of one and below the other
PLACES = {"up": (above, "Up"), "right": (beside, "Right")}
SOURCES = {"both": ("up", "right"), "up": ("up",), "right": ("right",)}
DEPTHS = (".exr", ".npy", ".npz", ".pfm")


class ThreeD60Dataset(Items):
    """Triples `N_ID_color_0_{Left_Down,Right,Up}_0.0.png` with `N_ID_depth_0_Left_Down_0.0.exr`, wherever below `path`.

    The centre (`Left_Down`) is the target; `sources` is which of the others follow. Depth is the radius in metres,
    from EXR or, converted, .npy, .npz, .pfm; what is 0, not finite or beyond 20 m is unknown, as in the release.
    `split` is a list of the release, of nine paths a line, of which the first counts; backslashes, drive letters and
    folders above `path` are understood. Names are paths without `_color_0_Left_Down_0.0`.

    The light of these renderings stands at the camera, so that brightness gives depth away: see `cyclopean check`.
    """

    most_depth = ROOM_FAR

    def __init__(self, path: Path | str, split: str = "", sources: str = "both") -> None:
        self.root = existing_folder(path)
        self.sources = SOURCES[choice("sources", sources, SOURCES)]
        if split:
            centres = [_below(self.root, line) for line in read_paths(split)]
        else:
            centres = only_pictures(self.root.rglob(f"*{CENTRE}.*"))
        self.items = nonempty(centres, self.root, "panorama of 3D60", f"files such as 0_ID{CENTRE}.png")

    def __getitem__(self, index: int) -> Sample:
        files, centre = self.files(index), self.items[index]
        picture, *others = read_views(files.pictures)
        target = panorama(picture, files.pictures[0])
        sources = (PLACES[name][0](other, SPHERE_BASELINE) for name, other in zip(self.sources, others, strict=True))
        depth = unknown_depth(size_of(picture))
        if files.others:
            depth = known_above_zero(read_depth(files.others[0], size_of(picture)))
            depth = torch.where(depth <= ROOM_FAR, depth, torch.nan)
        name = centre.relative_to(self.root).with_name(centre.stem.removesuffix(CENTRE)).as_posix()
        return Sample(target, tuple(sources), depth, name=(name,))

    def filed_depth(self, index: int) -> Depth | None:
        """Return the centre's depth as its file has it, however far; None without a file."""
        depths = self.files(index).others
        return read_depth(depths[0]) if depths else None

    def files(self, index: int) -> Files:
        """Return centre and sources; the depth of the centre, if it is there."""
        centre = self.items[index]
        others = (centre.with_name(centre.name.replace("Left_Down", PLACES[name][1])) for name in self.sources)
        stem = centre.stem.replace("_color_", "_depth_")
        depths = (centre.with_name(stem + suffix) for suffix in DEPTHS)
        return Files(
            (picture_at(centre), *map(picture_at, others)), tuple(path for path in depths if path.exists())[:1]
        )


def _below(root: Path, line: str) -> Path:
    """Return the picture that a line of a list names. Lists were written on Windows, some from the top of a drive."""
    path = PureWindowsPath(line)
    parts = path.parts[1:] if path.anchor else path.parts
    if CENTRE not in path.name:
        raise InputError(
            f"{shortened(repr(line))} names no centre; lines of a 3D60 list begin with a path that ends in "
            f"{CENTRE}.png."
        )
    candidates = [root.joinpath(*parts[n:]) for n in range(len(parts))]
    return next((candidate for candidate in candidates if picture_at(candidate).exists()), candidates[0])
