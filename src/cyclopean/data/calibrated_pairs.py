"""Scenes of the form that Middlebury 2014 began and ETH3D took over: a pair, `calib.txt`, disparity as float map."""

import re
from pathlib import Path

import numpy as np

from cyclopean.data.items import Files
from cyclopean.data.reading import choice, read_counts, read_depth, read_text, read_views
from cyclopean.data.rigs import Depth, depth_from_disparity, fitting, pinhole_px, rectified_pair, size_of, unknown_depth
from cyclopean.errors import InputError
from cyclopean.sample import Sample

MILLIMETRES = 1000.0  # calib.txt states the baseline in them
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
    baseline = float(values["baseline"]) / MILLIMETRES
    depth = unknown_depth(size)
    if len(files.others) > 1:
        disparity = _disparity(files.others[1], size, choice("truth of this data set", truth, TRUTHS))
        depth = depth_from_disparity(disparity, float(left[0, 0]), baseline, float(values["doffs"]))
    cameras = pinhole_px(left, size), pinhole_px(right, size)
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
    visible = fitting(read_counts(mask), size, mask) == VISIBLE
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
    return {name: found[name].reshape(3, 3) if count == 9 else found[name][0] for name, count in needed.items()}
