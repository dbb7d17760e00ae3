"""Stereo photographs as people keep them: two files with `left` and `right` in their names, or one side by side."""

import re
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from cyclopean.augmentation import crop
from cyclopean.data.base import (
    Depth,
    Files,
    baseline_of,
    depth_from_disparity,
    fitting,
    known_above_zero,
    pinhole_px,
    read_paths,
    rectified_pair,
    size_of,
    uncalibrated,
    unknown_depth,
)
from cyclopean.data.files import (
    choice,
    existing_folder,
    finite,
    found,
    pictures_among,
    read_counts,
    read_depth,
    read_image,
    read_object,
    read_views,
)
from cyclopean.errors import InputError
from cyclopean.io.files import PHOTOS, read_text, shortened
from cyclopean.sample import Sample

LEFT = re.compile(r"(.*[-_. ])?left", re.IGNORECASE)
BOTH = re.compile(r"(.*[-_. ])?(left[-_]right|sbs)", re.IGNORECASE)


class StereoPhotosDataset(Dataset[Sample]):
    """`NAME-left.jpg` with `NAME-right.jpg`, or `NAME.left-right.jpg` (or `NAME-sbs.jpg`) with both halves in one.

    Nobody calibrated them: the focal length is one width, the baseline 1, so disparity is an inverse depth and what is
    learned holds up to scale. They count as rectified, which photographs taken by hand are not: run cyclopean check.
    """

    def __init__(self, path: Path | str) -> None:
        self.root = existing_folder(path)
        pictures = pictures_among(self.root.iterdir(), self.root)
        self.items = [p for p in pictures if LEFT.fullmatch(p.stem) or BOTH.fullmatch(p.stem)]
        if not self.items:
            raise InputError(f"{path} holds no stereo photo; it needs NAME-left and NAME-right, or NAME.left-right.")

    def __len__(self) -> int:
        return len(self.items)

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

    def far(self, _: int) -> float:
        """The largest depth that counts; there is none to count."""
        return 80.0

    def files(self, index: int) -> Files:
        """Left and right, or the one picture of both."""
        path = self.items[index]
        if BOTH.fullmatch(path.stem):
            return Files((path,))
        stem = path.stem[:-4] + {"left": "right", "LEFT": "RIGHT"}.get(path.stem[-4:], "Right")
        return Files((path, path.with_name(stem + path.suffix)))


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


# Of scikit-image's documentation: pixels of the quarter-size pictures, metres.
MOTORCYCLE_FOCAL_PX, CENTER_PX, SHIFT_PX, MOTORCYCLE_BASELINE = 994.978, (311.193, 254.877), 31.086, 0.193001


class MotorcycleDataset(Dataset[Sample]):
    """One rectified pair with dense true disparity; depth = focal * baseline / (disparity + shift).

    Depth is z of the left, metres; `shift` is by how many pixels the right camera's principal point lies further right.
    Needs scikit-image.
    """

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

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        if index:
            raise IndexError(index)
        disparity = torch.from_numpy(self.disparity.astype(np.float32))[None, None]
        depth = depth_from_disparity(disparity, MOTORCYCLE_FOCAL_PX, MOTORCYCLE_BASELINE, SHIFT_PX)
        left = np.array([[MOTORCYCLE_FOCAL_PX, 0, CENTER_PX[0]], [0, MOTORCYCLE_FOCAL_PX, CENTER_PX[1]], [0, 0, 1]])
        right = left + np.array([[0, 0, SHIFT_PX], [0, 0, 0], [0, 0, 0]])
        cameras = [pinhole_px(matrix, size_of(disparity), Path("motorcycle")) for matrix in (left, right)]
        return rectified_pair(
            [_image(self.left), _image(self.right)], cameras, MOTORCYCLE_BASELINE, depth, "motorcycle"
        )

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return 20.0

    def files(self, _: int) -> Files:
        """Nothing of the user's."""
        return Files(())


def _image(rgb: UInt8[np.ndarray, "h w 3"]) -> Float[Tensor, "1 3 h w"]:
    return torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None] / 255


FOCAL_PX, BASELINE = 3740.0, 0.160  # 2005 and 2006, of the release's page: full size; metres between view1 and view5
# height of the pictures -> by how much they were shrunk, and by how much disparity was multiplied to be stored
REDUCED_2005 = {1110: 1, 555: 2, 370: 3}
REDUCED_2003 = {1500: 1, 750: 2, 375: 4}


class MiddleburyDataset(Dataset[Sample]):
    """Scenes of any of the four releases below `path`, told apart by their files; depth is z of the left, metres.

    - 2014, and the third evaluation's: `im0.png`, `im1.png`, `disp0.pfm` or `disp0GT.pfm`, `calib.txt`; see
      `calibrated_pairs`.
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
        marks = {p.parent: reader for mark, reader in READERS.items() for p in root.glob(f"**/{mark}")}
        self.scenes = sorted(marks.items(), key=lambda scene: scene[0])
        if not self.scenes:
            raise InputError(
                f"{path} holds no Middlebury scene; it needs folders with view1.png, view5.png, disp1.png, dmin.txt, "
                "or with im0.png, im1.png, calib.txt, or with im2, im6, disp2."
            )

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Sample:
        scene, (read, _) = self.scenes[index]
        return read(scene)

    def far(self, index: int) -> float:
        """The largest depth that counts: 20 metres; 1000 units of the pairs of 2003, less than a pixel of disparity."""
        return 1000.0 if self.scenes[index][1][0] is _read_2003 else 20.0

    def files(self, index: int) -> Files:
        """Left, right; calibration, disparity."""
        scene, (_, files) = self.scenes[index]
        return files(scene)


def _files_2003(scene: Path) -> Files:
    left, right, disparity = (found(scene / f"{name}.png") for name in ("im2", "im6", "disp2"))
    return Files((left, right), (disparity,))


def _files_2005(scene: Path) -> Files:
    return Files((scene / "view1.png", scene / "view5.png"), (scene / "dmin.txt", scene / "disp1.png"))


def _read_2003(scene: Path) -> Sample:
    files = _files_2003(scene)
    images = read_views(files.pictures)
    size = size_of(images[0])
    disparity = fitting(read_counts(files.others[0], 8), size, files.others[0]) / _reduced(scene, size[0], REDUCED_2003)
    camera = uncalibrated(size)
    depth = depth_from_disparity(known_above_zero(disparity), float(size[1]), 1.0)
    return rectified_pair(images, (camera, camera), 1.0, depth, scene.name)


def _read_2005(scene: Path) -> Sample:
    files = _files_2005(scene)
    images = read_views(files.pictures)
    size = height, width = size_of(images[0])
    reduced = _reduced(scene, height, REDUCED_2005)
    disparity = known_above_zero(fitting(read_counts(files.others[1], 8), size, files.others[1])) / reduced
    focal, shift = FOCAL_PX / reduced, _dmin(files.others[0]) / reduced
    left = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    right = left + np.array([[0, 0, shift], [0, 0, 0], [0, 0, 0]])
    cameras = pinhole_px(left, size, scene), pinhole_px(right, size, scene)
    return rectified_pair(
        images, cameras, BASELINE, depth_from_disparity(disparity, focal, BASELINE, shift), scene.name
    )


# a file of a scene -> how its release is read, and what an item is made of
READERS = {
    "calib.txt": (read_calibrated, calibrated_files),
    "dmin.txt": (_read_2005, _files_2005),
    "disp1.png": (_read_2005, _files_2005),
    "disp2.png": (_read_2003, _files_2003),
    "disp2.pgm": (_read_2003, _files_2003),
}


def _reduced(scene: Path, height: int, known: dict[int, int]) -> int:
    if height not in known:
        raise InputError(
            f"{scene} has pictures of {height} rows; the release has {', '.join(map(str, known))}, which tell by how "
            "much disparity was multiplied."
        )
    return known[height]


def _dmin(path: Path) -> float:
    try:
        return finite(path, "it", float(read_text(path)))
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path} is missing or holds no number; it comes with the scene.") from error


class Eth3dDataset(Dataset[Sample]):
    """Scenes `NAME/{im0.png,im1.png,calib.txt}` with `disp0GT.pfm`, below `path` or in its folder `two_view_training`;
    the truth may lie apart, in `two_view_training_gt/NAME`, as the archives unpack.

    Depth is z of the left, metres. `truth`: `all`, or `noc` for pixels that both cameras see.
    """

    def __init__(self, path: Path | str, truth: str = "all") -> None:
        root = existing_folder(path)
        self.truth = choice("truth of ETH3D", truth, TRUTHS)
        self.scenes = sorted(p.parent for p in root.glob("**/calib.txt"))
        if not self.scenes:
            raise InputError(f"{path} holds no ETH3D scene; it needs folders with im0.png, im1.png and calib.txt.")

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Sample:
        return read_calibrated(self.scenes[index], _truths(self.scenes[index]), self.truth)

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return 80.0

    def files(self, index: int) -> Files:
        """Left, right; calibration, and the disparity if there is one."""
        return calibrated_files(self.scenes[index], _truths(self.scenes[index]))


def _truths(scene: Path) -> Path:
    return scene.parent.with_name(f"{scene.parent.name}_gt") / scene.name


KEPT = 4, 5  # Monodepth: the top 80 % of the rows, without the car's own bonnet
CALIBRATED = 1024, 2048  # height, width that the camera files are for
COUNTS = 256.0  # per pixel of disparity, after taking one away; 0 is unknown


class CityscapesDataset(Dataset[Sample]):
    """`leftImg8bit/{train,val,test,train_extra}/CITY/NAME_leftImg8bit.png`, the same below `rightImg8bit`, `camera`
    (`NAME_camera.json`) and, where it was downloaded, `disparity` (`NAME_disparity.png`).

    The top four fifths of the rows are kept (rounded down), the camera's centre and the window follow. Depth is
    fx * baseline / disparity in metres with disparity = (p - 1) / 256: made by semi-global matching, not measured.
    `part` is one of the four folders (all without it); `split` a list of left pictures in Monodepth's format.
    """

    def __init__(self, path: Path | str, part: str = "*", split: Path | str | None = None) -> None:
        self.root = existing_folder(path)
        lefts = sorted(
            p for p in (self.root / "leftImg8bit").glob(f"{part}/*/*_leftImg8bit.*") if p.suffix.lower() in PHOTOS
        )
        listed = read_paths(split) if split else [p.relative_to(self.root).as_posix() for p in lefts]
        self.items = [_parts(p) for p in listed]
        if not self.items:
            raise InputError(
                f"{path} holds no Cityscapes picture; it needs folders such as leftImg8bit/train/aachen, "
                "rightImg8bit and camera."
            )

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        files = self.files(index)
        images = read_views(files.pictures)
        size = height, width = size_of(images[0])
        matrix, baseline = _read_camera(files.others[0])
        depth = unknown_depth(size)
        if len(files.others) > 1:
            disparity = (fitting(read_counts(files.others[1], 16), size, files.others[1]) - 1) / COUNTS
            depth = depth_from_disparity(disparity, float(matrix[0, 0]) * width / CALIBRATED[1], baseline)
        camera = pinhole_px(matrix, CALIBRATED, files.others[0])
        sample = rectified_pair(images, (camera, camera), baseline, depth, "/".join(self.items[index][1:]))
        return crop(sample, (0, 0, height * KEPT[0] // KEPT[1], width))

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return 80.0

    def files(self, index: int) -> Files:
        """Left, right; camera, and the disparity if it was downloaded."""
        part, city, name = self.items[index]
        eyes = (f"{eye}/{part}/{city}/{name}_{eye}.png" for eye in ("leftImg8bit", "rightImg8bit"))
        camera = self.root / "camera" / part / city / f"{name}_camera.json"
        disparity = self.root / "disparity" / part / city / f"{name}_disparity.png"
        others = (camera, disparity) if disparity.exists() else (camera,)
        return Files(tuple(found(self.root / eye) for eye in eyes), others)


def _parts(path: str) -> tuple[str, str, str]:
    """(part, city, name) of `leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png`."""
    parts = Path(path).parts
    if len(parts) < 3:
        raise InputError(
            f"{shortened(repr(path))} is no Cityscapes picture; lists need leftImg8bit/PART/CITY/NAME_leftImg8bit.png."
        )
    return parts[-3], parts[-2], Path(path).stem.removesuffix("_leftImg8bit")


def _read_camera(path: Path) -> tuple[np.ndarray, float]:
    """The matrix in pixels of a full picture, and the baseline in metres."""
    values = read_object(path)
    try:
        k = {name: float(values["intrinsic"][name]) for name in ("fx", "fy", "u0", "v0")}
        baseline = float(values["extrinsic"]["baseline"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path} lacks fx, fy, u0, v0 or the baseline; it comes with the release.") from error
    baseline_of(baseline, path)
    return np.array([[k["fx"], 0, k["u0"]], [0, k["fy"], k["v0"]], [0, 0, 1]]), baseline
