"""Scenes of the form that Middlebury 2014 began and ETH3D took over: a pair, `calib.txt`, disparity as float map."""

import re
from pathlib import Path

import numpy as np

from cyclopean.data.decoding import read_counts, read_views
from cyclopean.data.items import Files
from cyclopean.data.reading import choice, finite, read_depth
from cyclopean.data.rigs import (
    Depth,
    baseline_of,
    depth_from_disparity,
    fitting,
    pinhole_px,
    rectified_pair,
    size_of,
    unknown_depth,
)
from cyclopean.errors import InputError
from cyclopean.files import read_text
from cyclopean.sample import Sample

MILLIMETRES = 1000.0  # calib.txt states the baseline in them
AGREE, APART_PX = 1e-3, 0.5  # by how much numbers that say one thing may differ: a share, and pixels
VISIBLE = 255  # in mask0nocc.png: seen by both cameras
DISPARITIES = ("disp0GT.pfm", "disp0.pfm")
TRUTHS = ("all", "noc")


def read_calibrated(scene: Path, truths: Path | None = None, truth: str = "all") -> Sample:
    """`im0.png` (left), `im1.png`, `calib.txt` of `scene`, and `disp0GT.pfm` or `disp0.pfm` there or in `truths`.

    Disparity is in pixels, inf where unknown; depth = f * baseline / (disparity + doffs) in metres, z of the left
    camera. `doffs` is by how much the right principal point lies further right. `truth` is `all`, or `noc` for the
    pixels that `mask0nocc.png` calls visible to both.
    """
    files = calibrated_files(scene, truths)
    images = read_views(files.pictures)
    values = _read_calibration(files.others[0])
    left, right, size = values["cam0"], values["cam1"], (int(values["height"]), int(values["width"]))
    if size != size_of(images[0]):
        raise InputError(
            f"{files.pictures[0]} has {images[0].shape[-1]}x{images[0].shape[-2]} pixels and {files.others[0]} is for "
            f"{size[1]}x{size[0]}; take both from one release."
        )
    baseline = baseline_of(float(values["baseline"]) / MILLIMETRES, files.others[0])
    depth = unknown_depth(size)
    if len(files.others) > 1:
        disparity = _disparity(files.others[1], size, choice("truth of this data set", truth, TRUTHS))
        depth = depth_from_disparity(disparity, float(left[0, 0]), baseline, float(values["doffs"]))
    cameras = [pinhole_px(matrix, size, files.others[0]) for matrix in (left, right)]
    return rectified_pair(images, cameras, baseline, depth, scene.name)


def calibrated_files(scene: Path, truths: Path | None = None) -> Files:
    """Left, right; calibration, and the disparity if there is one."""
    places = [folder / name for folder in (scene, truths or scene) for name in DISPARITIES]
    disparity = next((path for path in places if path.exists()), None)
    return Files((scene / "im0.png", scene / "im1.png"), (scene / "calib.txt", *([disparity] if disparity else [])))


def _disparity(path: Path, size: tuple[int, int], truth: str) -> Depth:
    disparity = fitting(read_depth(path), size, path)
    if truth == "all":
        return disparity
    mask = path.with_name("mask0nocc.png")
    visible = fitting(read_counts(mask, 8), size, mask) == VISIBLE
    return disparity.where(visible, disparity.new_tensor(float("inf")))


def _read_calibration(path: Path) -> dict[str, np.ndarray]:
    """cam0 and cam1 as 3x3 matrices in pixels, doffs, baseline, width and height as single numbers."""
    found = {}
    for name, words in re.findall(r"^\s*(\w+)\s*=\s*\[?([^\]\n]*)", read_text(path), re.MULTILINE):
        try:
            found[name] = np.array(words.replace(";", " ").split(), np.float64)
        except ValueError:
            continue
    needed = {"cam0": 9, "cam1": 9, "doffs": 1, "baseline": 1, "width": 1, "height": 1}
    for name, count in needed.items():
        if len(found.get(name, ())) != count:
            raise InputError(f"{path} is damaged or lacks {name}; it comes with the scene.")
        finite(path, name, found[name])
    left, right = found["cam0"].reshape(3, 3), found["cam1"].reshape(3, 3)
    if abs(left[0, 0] - right[0, 0]) > AGREE * abs(left[0, 0]):
        raise InputError(
            f"{path} has focal lengths {left[0, 0]:g} and {right[0, 0]:g} px; a rectified pair has one, mend it."
        )
    if abs(right[0, 2] - left[0, 2] - found["doffs"][0]) > APART_PX:
        raise InputError(
            f"{path} contradicts itself: doffs is {found['doffs'][0]:g} and the principal points of cam0 and cam1 are "
            f"{right[0, 2] - left[0, 2]:g} px apart; mend whichever is wrong."
        )
    return {name: found[name].reshape(3, 3) if count == 9 else found[name][0] for name, count in needed.items()}
