"""Stereo pairs: photographs as people keep them, Middlebury, ETH3D, Cityscapes (and its clips), the motorcycle."""

import re
from pathlib import Path

import numpy as np
import torch

from cyclopean.augmentation import crop
from cyclopean.data.base import (
    Files,
    Items,
    baseline_of,
    depth_from_disparity,
    intrinsics,
    known_above_zero,
    nonempty,
    pinhole_px,
    rectified_pair,
    steps_around,
    uncalibrated,
    unknown_depth,
    unposed,
)
from cyclopean.data.files import (
    choice,
    existing_folder,
    finite,
    only_pictures,
    picture_at,
    pictures_among,
    read_counts,
    read_numbers,
    read_object,
    read_paths,
    read_views,
    whole_number,
)
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, size_of
from cyclopean.io.decoding import read_image
from cyclopean.io.files import read_text, shortened
from cyclopean.sample import Sample, view

LEFT = re.compile(r"(.*[-_. ])?left", re.IGNORECASE)
BOTH = re.compile(r"(.*[-_. ])?(left[-_]right|sbs)", re.IGNORECASE)


class StereoPhotosDataset(Items):
    """`NAME-left.jpg` with `NAME-right.jpg`, or `NAME.left-right.jpg` (or `NAME-sbs.jpg`) with both halves in one.

    Nobody calibrated them: the focal length is one width, the baseline 1, so disparity is an inverse depth and what is
    learned holds up to scale. They count as rectified, which photographs taken by hand are not: run cyclopean check.
    """

    def __init__(self, path: Path | str) -> None:
        root = existing_folder(path)
        pictures = pictures_among(root.iterdir(), root)
        items = (p for p in pictures if LEFT.fullmatch(p.stem) or BOTH.fullmatch(p.stem))
        self.items = nonempty(items, path, "stereo photo", "NAME-left and NAME-right, or NAME.left-right")

    def __getitem__(self, index: int) -> Sample:
        files = self.files(index).pictures
        if len(files) == 2:
            left, right = read_views(files)
        else:
            both = read_image(files[0])
            half = both.shape[-1] // 2
            left, right = both[..., :half], both[..., -half:]
        camera = uncalibrated(size_of(left))
        return rectified_pair((left, right), (camera, camera), 1.0, unknown_depth(size_of(left)), files[0].stem)

    def files(self, index: int) -> Files:
        """Return left and right, or the one picture of both."""
        path = self.items[index]
        if BOTH.fullmatch(path.stem):
            return Files((path,))
        stem = path.stem[:-4] + {"left": "right", "LEFT": "RIGHT"}.get(path.stem[-4:], "Right")
        return Files((path, path.with_name(stem + path.suffix)))


MILLIMETRES = 1000.0  # calib.txt states the baseline in them
AGREE, APART_PX = 1e-3, 0.5  # by how much numbers that mean one thing may differ: a share, and pixels
VISIBLE = 255  # in mask0nocc.png: visible to both cameras
DISPARITIES = ("disp0GT.pfm", "disp0.pfm")
TRUTHS = ("all", "noc")


def read_calibrated(scene: Path, truths: Path | None = None, truth: str = "all") -> Sample:
    """Read `im0.png` (left), `im1.png`, `calib.txt` of `scene`, and `disp0GT.pfm` or `disp0.pfm` there or in `truths`.

    Disparity is in pixels, inf where unknown; depth = f * baseline / (disparity + doffs) in metres, z of the left
    camera. `doffs` is by how much the right principal point lies further right. `truth` is `all`, or `noc` for the
    pixels that `mask0nocc.png` calls visible to both.
    """
    files = calibrated_files(scene, truths)
    images, path = read_views(files.pictures), files.others[0]
    values: dict[str, np.ndarray] = {}
    for name, words in re.findall(r"^[ \t]*(\w+)[ \t]*=[ \t]*\[?([^\]\n]*)", read_text(path), re.MULTILINE):
        try:
            values[name] = np.array(words.replace(";", " ").split(), np.float64)
        except ValueError:
            continue
    for name, count in {"cam0": 9, "cam1": 9, "doffs": 1, "baseline": 1, "width": 1, "height": 1}.items():
        if len(values.get(name, ())) != count:
            raise InputError(f"{path} is damaged or lacks {name}; it comes with the scene.")
        finite(path, name, values[name])
    left, right, doffs = values["cam0"].reshape(3, 3), values["cam1"].reshape(3, 3), float(values["doffs"][0])
    if abs(left[0, 0] - right[0, 0]) > AGREE * abs(left[0, 0]):
        raise InputError(
            f"{path} has focal lengths {left[0, 0]:g} and {right[0, 0]:g} px; a rectified pair has one focal length; "
            "correct the file."
        )
    if abs(right[0, 2] - left[0, 2] - doffs) > APART_PX:
        raise InputError(
            f"{path} contradicts itself: doffs is {doffs:g} and the principal points of cam0 and cam1 are "
            f"{right[0, 2] - left[0, 2]:g} px apart; mend whichever is wrong."
        )
    size = int(values["height"][0]), int(values["width"][0])
    if size != size_of(images[0]):
        raise InputError(
            f"{files.pictures[0]} has {images[0].shape[-1]}x{images[0].shape[-2]} pixels and {path} is for "
            f"{size[1]}x{size[0]}; take both from one release."
        )
    baseline = baseline_of(float(values["baseline"][0]) / MILLIMETRES, path)
    depth = unknown_depth(size)
    if len(files.others) > 1:
        choice("truth of this data set", truth, TRUTHS)
        disparity = read_numbers(files.others[1], size)
        if truth == "noc":
            visible = read_counts(files.others[1].with_name("mask0nocc.png"), 8, size) == VISIBLE
            disparity = disparity.where(visible, disparity.new_tensor(float("inf")))
        depth = depth_from_disparity(disparity, float(left[0, 0]), baseline, doffs)
    cameras = pinhole_px(left, size, path), pinhole_px(right, size, path)
    return rectified_pair(images, cameras, baseline, depth, scene.name)


def calibrated_files(scene: Path, truths: Path | None = None) -> Files:
    """Return left, right; calibration, and the disparity if there is one."""
    places = [folder / name for folder in (scene, truths or scene) for name in DISPARITIES]
    disparity = next((path for path in places if path.exists()), None)
    return Files((scene / "im0.png", scene / "im1.png"), (scene / "calib.txt", *([disparity] if disparity else [])))


FOCAL_PX, BASELINE = 3740.0, 0.160  # 2005 and 2006, of the release's page: full size; metres between view1 and view5
# height of the pictures -> by how much they were shrunk, and by how much disparity was multiplied to be stored
REDUCED_2005 = {1110: 1, 555: 2, 370: 3}
REDUCED_2003 = {1500: 1, 750: 2, 375: 4}


# The releases name their files differently: a file that only scenes of one release have -> that release
RELEASES = {"calib.txt": 2014, "dmin.txt": 2005, "disp1.png": 2005, "disp2.png": 2003, "disp2.pgm": 2003}


class MiddleburyDataset(Items):
    """Scenes of any of the four releases below `path`, distinguished by their files; depth is z of the left, metres.

    - 2014, and the third evaluation's: `im0.png`, `im1.png`, `disp0.pfm` or `disp0GT.pfm`, `calib.txt`; see
      `read_calibrated`.
    - 2005 and 2006 (Scharstein and Pal 2007; Hirschmueller and Scharstein 2007), full, half and third size:
      `view1.png`, `view5.png`, `disp1.png`, `dmin.txt`. Disparity is disp1 / r pixels with r = 1, 2, 3, 0 unknown;
      pictures were cropped so that pixels at infinity shift by dmin / r to the other side, hence depth = focal *
      baseline / (disparity + dmin / r), and the right camera's centre lies dmin / r pixels further right.
    - 2003 (Scharstein and Szeliski), full, half and quarter size: `im2`, `im6`, `disp2` as .png or .ppm and .pgm.
      Disparity is disp2 / r pixels with r = 1, 2, 4, 0 unknown. Not calibrated: focal length one width, baseline 1, so
      depth is in units of its own.
    """

    def __init__(self, path: Path | str) -> None:
        root = existing_folder(path)
        scenes = {p.parent: release for mark, release in RELEASES.items() for p in root.glob(f"**/{mark}")}
        needs = "folders with view1.png, view5.png, disp1.png, dmin.txt, or with im0.png, im1.png, calib.txt, or with "
        self.items = nonempty(sorted(scenes.items()), path, "Middlebury scene", f"{needs}im2, im6, disp2")

    def __getitem__(self, index: int) -> Sample:
        scene, release = self.items[index]
        if release == 2014:
            return read_calibrated(scene)
        files = self.files(index)
        images, stored = read_views(files.pictures), files.others[-1]
        size = height, width = size_of(images[0])
        shrunk = REDUCED_2003 if release == 2003 else REDUCED_2005
        counts = read_counts(stored, 8, size)
        if height not in shrunk:
            raise InputError(
                f"{scene} has pictures of {height} rows; the release has {', '.join(map(str, shrunk))}, by which "
                "the factor of its disparity is known."
            )
        disparity = known_above_zero(counts) / shrunk[height]
        if release == 2003:
            camera = uncalibrated(size)
            depth = depth_from_disparity(disparity, float(width), 1.0)
            return rectified_pair(images, (camera, camera), 1.0, depth, scene.name)
        try:
            dmin = float(read_text(files.others[0]))
        except ValueError as error:
            raise InputError(f"{files.others[0]} is missing or holds no number; it comes with the scene.") from error
        focal, shift = FOCAL_PX / shrunk[height], finite(files.others[0], "it", dmin) / shrunk[height]
        middle = (width - 1) / 2, (height - 1) / 2
        left = pinhole_px(intrinsics(focal, focal, *middle), size, scene)
        right = pinhole_px(intrinsics(focal, focal, middle[0] + shift, middle[1]), size, scene)
        depth = depth_from_disparity(disparity, focal, BASELINE, shift)
        return rectified_pair(images, (left, right), BASELINE, depth, scene.name)

    def files(self, index: int) -> Files:
        """Return left, right; calibration, disparity."""
        scene, release = self.items[index]
        if release == 2014:
            return calibrated_files(scene)
        if release == 2005:
            return Files((scene / "view1.png", scene / "view5.png"), (scene / "dmin.txt", scene / "disp1.png"))
        left, right, disparity = (picture_at(scene / f"{name}.png") for name in ("im2", "im6", "disp2"))
        return Files((left, right), (disparity,))

    def far(self, index: int) -> float:
        """Return 20 metres; 1000 units for the pairs of 2003, less than a pixel of disparity."""
        return 1000.0 if self.items[index][1] == 2003 else 20.0


class Eth3dDataset(Items):
    """Scenes `NAME/{im0.png,im1.png,calib.txt}` with `disp0GT.pfm`, below `path` or in its folder `two_view_training`;
    the truth may lie apart, in `two_view_training_gt/NAME`, as the archives unpack.

    Depth is z of the left, metres. `truth`: `all`, or `noc` for pixels that both cameras see.
    """

    def __init__(self, path: Path | str, truth: str = "all") -> None:
        root = existing_folder(path)
        self.truth = choice("truth of ETH3D", truth, TRUTHS)
        scenes = sorted(p.parent for p in root.glob("**/calib.txt"))
        self.items = nonempty(scenes, path, "ETH3D scene", "folders with im0.png, im1.png and calib.txt")

    def __getitem__(self, index: int) -> Sample:
        return read_calibrated(self.items[index], self._truths(index), self.truth)

    def files(self, index: int) -> Files:
        """Return left, right; calibration, and the disparity if there is one."""
        return calibrated_files(self.items[index], self._truths(index))

    def _truths(self, index: int) -> Path:
        scene = self.items[index]
        return scene.parent.with_name(f"{scene.parent.name}_gt") / scene.name


KEPT = 4, 5  # Monodepth: the top 80 % of the rows, without the car's own bonnet
SNIPPET = 19, 10  # frames of a clip before and after the one that is annotated
CALIBRATED = 1024, 2048  # height, width that the camera files are for
COUNTS = 256.0  # per pixel of disparity, after taking one away; 0 is unknown


class CityscapesDataset(Items):
    """`leftImg8bit/{train,val,test,train_extra}/CITY/NAME_leftImg8bit.png`, the same below `rightImg8bit`, `camera`
    (`NAME_camera.json`) and, where it was downloaded, `disparity` (`NAME_disparity.png`).

    The top four fifths of the rows are kept (rounded down), the camera's centre and the window follow. Depth is
    fx * baseline / disparity in metres with disparity = (p - 1) / 256: made by semi-global matching, not measured.
    `part` is one of the four folders (all without it); `split` a list of left pictures in Monodepth's format.
    """

    def __init__(self, path: Path | str, part: str = "*", split: Path | str | None = None) -> None:
        self.root = existing_folder(path)
        lefts = only_pictures((self.root / "leftImg8bit").glob(f"{part}/*/*_leftImg8bit.*"))
        items = []  # (part, city, name)
        for picture in read_paths(split) if split else [p.relative_to(self.root).as_posix() for p in lefts]:
            parts = Path(picture).parts
            if len(parts) < 3:
                raise InputError(
                    f"{shortened(repr(picture))} is not a Cityscapes picture; lists need "
                    "leftImg8bit/PART/CITY/NAME_leftImg8bit.png."
                )
            items.append((parts[-3], parts[-2], Path(picture).stem.removesuffix("_leftImg8bit")))
        needs = "folders such as leftImg8bit/train/aachen, rightImg8bit and camera"
        self.items = nonempty(items, path, "Cityscapes picture", needs)

    def __getitem__(self, index: int) -> Sample:
        files = self.files(index)
        images = read_views(files.pictures)
        size = height, width = size_of(images[0])
        camera, focal, baseline = _cityscapes_camera(files.others[0])
        depth = unknown_depth(size)
        if len(files.others) > 1:
            disparity = (read_counts(files.others[1], 16, size) - 1) / COUNTS
            depth = depth_from_disparity(disparity, focal * width / CALIBRATED[1], baseline)
        sample = rectified_pair(images, (camera, camera), baseline, depth, "/".join(self.items[index][1:]))
        return crop(sample, (0, 0, height * KEPT[0] // KEPT[1], width))

    def files(self, index: int) -> Files:
        """Return left, right; camera, and the disparity if it was downloaded."""
        part, city, name = self.items[index]
        eyes = (f"{eye}/{part}/{city}/{name}_{eye}.png" for eye in ("leftImg8bit", "rightImg8bit"))
        camera = self.root / "camera" / part / city / f"{name}_camera.json"
        disparity = self.root / "disparity" / part / city / f"{name}_disparity.png"
        others = (camera, disparity) if disparity.exists() else (camera,)
        return Files(tuple(picture_at(self.root / eye) for eye in eyes), others)


class CityscapesSequenceDataset(Items):
    """`leftImg8bit_sequence/{train,val,test}/CITY/CITY_DRIVE_FRAME_leftImg8bit.png`, 30 frames around each annotated
    one (19 before it, 10 after it), and `camera` as in `CityscapesDataset`: the annotated frame's is that of all 30.

    Every frame is a target that has the frames `step` before and after it among the 30, and with a `reach` of 2 those
    twice as far as well, and so on; their poses are to be predicted. Step 2 skips every other frame (AQUANet). The top
    four fifths of the rows are kept. No depth.
    """

    def __init__(self, path: Path | str, part: str = "*", step: str | int = 2, reach: str | int = 1) -> None:
        self.root = existing_folder(path)
        self._steps = steps_around(whole_number("step", step), whole_number("reach", reach))
        items = []
        for camera in sorted((self.root / "camera").glob(f"{part}/*/*_camera.json")):
            folder = self.root / "leftImg8bit_sequence" / camera.parents[1].name / camera.parent.name
            drive, _, number = camera.stem.removesuffix("_camera").rpartition("_")
            if not number.isdecimal():
                raise InputError(f"{camera} is no camera of Cityscapes; it needs names such as {drive}_000019_camera.")
            around = range(int(number) - SNIPPET[0], int(number) + SNIPPET[1] + 1)
            pictures = {n: folder / f"{drive}_{n:06d}_leftImg8bit.png" for n in around}
            there = {n for n, picture in pictures.items() if picture_at(picture).exists()}
            items += [
                (camera, tuple(pictures[n + away] for away in (0, *self._steps)))
                for n in around
                if there >= {n + away for away in (0, *self._steps)}
            ]
        needs = "the folders leftImg8bit_sequence and camera, such as leftImg8bit_sequence/train/aachen"
        self.items = nonempty(items, path, "Cityscapes sequence", needs)

    def __getitem__(self, index: int) -> Sample:
        path, pictures = self.items[index]
        target, *others = read_views(self.files(index).pictures)
        height, width = size_of(target)
        camera, _, _ = _cityscapes_camera(path)
        name = f"{pictures[0].parent.name}/{pictures[0].stem.removesuffix('_leftImg8bit')}"
        sources = tuple(unposed(image, camera) for image in others)
        sample = Sample(view(target, camera), sources, unknown_depth((height, width)), name=(name,))
        return crop(sample, (0, 0, height * KEPT[0] // KEPT[1], width))

    def files(self, index: int) -> Files:
        """Return target, frames before and after; camera."""
        camera, pictures = self.items[index]
        return Files(tuple(map(picture_at, pictures)), (camera,))


def _cityscapes_camera(path: Path) -> tuple[Pinhole, float, float]:
    """Return the camera of a file of Cityscapes, its focal length in pixels of full size, and the baseline, metres."""
    values = read_object(path)
    try:
        fx, fy, u0, v0 = (float(values["intrinsic"][name]) for name in ("fx", "fy", "u0", "v0"))
        baseline = float(values["extrinsic"]["baseline"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path} lacks fx, fy, u0, v0 or the baseline; it comes with the release.") from error
    return pinhole_px(intrinsics(fx, fy, u0, v0), CALIBRATED, path), fx, baseline_of(baseline, path)


# Of scikit-image's documentation: pixels of the quarter-size pictures, metres.
MOTORCYCLE_FOCAL_PX, CENTER_PX, SHIFT_PX, MOTORCYCLE_BASELINE = 994.978, (311.193, 254.877), 31.086, 0.193001


class MotorcycleDataset(Items):
    """One rectified pair with dense true disparity; depth = focal * baseline / (disparity + shift).

    Depth is z of the left, metres; `shift` is by how many pixels the right camera's principal point lies further right.
    Needs scikit-image.
    """

    items = ("motorcycle",)
    most_depth = 20.0

    def __init__(self) -> None:
        try:
            from skimage.data import stereo_motorcycle

            self.left, self.right, self.disparity = stereo_motorcycle()
        except ImportError as error:
            raise InputError(
                "the motorcycle pair is a part of scikit-image; install it with pip install 'cyclopean[samples]'."
            ) from error
        except OSError as error:
            raise InputError(
                "this scikit-image lacks the motorcycle pair and cannot fetch it; reinstall it."
            ) from error

    def __getitem__(self, index: int) -> Sample:
        name = self.items[index]
        images = [torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None] / 255 for rgb in (self.left, self.right)]
        disparity = torch.from_numpy(self.disparity.astype(np.float32))[None, None]
        focal, size = MOTORCYCLE_FOCAL_PX, size_of(disparity)
        depth = depth_from_disparity(disparity, focal, MOTORCYCLE_BASELINE, SHIFT_PX)
        left = pinhole_px(intrinsics(focal, focal, *CENTER_PX), size, Path(name))
        right = pinhole_px(intrinsics(focal, focal, CENTER_PX[0] + SHIFT_PX, CENTER_PX[1]), size, Path(name))
        return rectified_pair(images, (left, right), MOTORCYCLE_BASELINE, depth, name)

    def files(self, _: int) -> Files:
        """Return nothing of the user's."""
        return Files(())
