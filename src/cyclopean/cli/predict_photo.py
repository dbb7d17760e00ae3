"""The files that `cyclopean predict` writes for one photo."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclopean.inference.calibration import CameraProfile
    from cyclopean.inference.predictor import Predictor
    from cyclopean.io.depthmap import DepthMap
    from cyclopean.io.image import Photo
    from cyclopean.io.sidecar import AnyCamera

# --save name -> what follows the stem
ARRAYS = {"npy": "_disp.npy", "npz": "_disp.npz", "exr": "_disp.exr", "pfm": "_disp.pfm", "png16": "_disp16.png"}
APART = 0.5  # of the depth: faces of a panorama that differ by more were not brought together
CLOUDS = {"ply": "_disp.ply", "glb": "_disp.glb"}


@dataclass(frozen=True)
class Asked:
    """What to write beside the array, its colours and its sidecar: formats, the spread of so many looks, a viewer; and
    what puts depth in metres."""

    saved: tuple[str, ...] = ()
    uncertainty: int = 0
    view: bool = False
    profile: "CameraProfile | None" = None


def photo_results(
    stem: Path, photo: "Photo", predictor: "Predictor", asked: Asked, right: "Photo | None" = None
) -> None:
    """Predict, and write all files; their names begin with `stem`. `right` is of a stereo pair."""
    from cyclopean.io.depthmap import colourise, value_range
    from cyclopean.io.image import Photo, write_photo

    depth = predictor(photo, right)
    depth = asked.profile.applied(depth) if asked.profile else depth
    _warn(photo.name, depth.notes)
    colours = Photo(colourise(depth.inverse_depth, *value_range(depth.inverse_depth)))
    write_photo(_path(stem, "_disp.png"), colours)
    more = _uncertainty(stem, predictor, photo, asked) if asked.uncertainty else ()
    more += _in_space(stem, depth, photo, asked)
    arrays(stem, depth, ("npy", *asked.saved), photo, more)


def _warn(name: str, notes: "Mapping[str, float | str]") -> None:
    """Says it when the faces of a panorama could not be brought together."""
    apart = notes.get("disagreement_after", 0.0)
    if isinstance(apart, float) and apart > APART:
        print(
            f"{name}: neighbouring faces of the cube disagree by {apart:.2f} of the depth where both look; do not "
            "trust this depth.",
            file=sys.stderr,
        )


def arrays(stem: Path, depth: "DepthMap", saved: tuple[str, ...], photo: "Photo", more: tuple[str, ...] = ()) -> None:
    """Write the arrays among `saved`, with a sidecar that also names `more` files."""
    from cyclopean.io.depthmap import write_depth

    paths = [_path(stem, ARRAYS[name]) for name in dict.fromkeys(saved) if name in ARRAYS]
    write_depth(paths, depth, photo.name, photo.size, (f"{stem.name}_disp.png", *more))


def _path(stem: Path, ending: str) -> Path:
    return stem.with_name(stem.name + ending)


def _uncertainty(stem: Path, predictor: "Predictor", photo: "Photo", asked: Asked) -> tuple[str, ...]:
    """Writes the spread over so many looks as numbers and in colours; their names."""
    import numpy as np

    from cyclopean.io.depthmap import colourise, value_range
    from cyclopean.io.image import Photo, write_photo

    spread = predictor.uncertainty(photo, asked.uncertainty) / (asked.profile.scale if asked.profile else 1)
    paths = (_path(stem, "_uncertainty.npy"), _path(stem, "_uncertainty.png"))
    np.save(paths[0], spread[0, 0].numpy())
    write_photo(paths[1], Photo(colourise(spread, *value_range(spread))))
    return tuple(path.name for path in paths)


def _in_space(stem: Path, depth: "DepthMap", photo: "Photo", asked: Asked) -> tuple[str, ...]:
    """Writes point cloud, mesh and viewer if they were asked for; their names."""
    from cyclopean.inference.predictor import assumed_camera

    names = [name for name in asked.saved if name in CLOUDS]
    if not names and not asked.view:
        return ()
    if depth.camera is None:
        print(f"{photo.name} does not tell its focal length: 60 degrees of view are assumed.", file=sys.stderr)
    camera = depth.camera or assumed_camera(photo.size)
    paths = [_path(stem, CLOUDS[name]) for name in names]
    for name, path in zip(names, paths, strict=True):
        _surface(name, path, depth, photo, camera)
    if asked.view:
        from cyclopean.io.viewer import write_viewer

        paths.append(_path(stem, "_view.html"))
        write_viewer(paths[-1], depth, photo.image, camera, photo.name)
    return tuple(path.name for path in paths)


def _surface(name: str, path: Path, depth: "DepthMap", photo: "Photo", camera: "AnyCamera") -> None:
    """A cloud of points as PLY; the surface as GLB. Both without what hangs in the air between near and far."""
    from cyclopean.io.scenes import mesh, point_cloud, without_flying_pixels, write_glb, write_ply

    if name == "ply":
        write_ply(path, point_cloud(without_flying_pixels(depth, camera), photo.image, camera))
    else:
        write_glb(path, mesh(depth, camera), photo.image)
