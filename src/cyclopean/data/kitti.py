"""The KITTI releases: raw drives, annotated depth and its selection, 2015, object and odometry.

All share calibration files of lines `name: numbers`, whose projections P = K [I | t] are of rectified cameras, and
laser scans that are seen from a camera.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from cyclopean.data.base import (
    Files,
    Items,
    depth_from_disparity,
    known_above_zero,
    nonempty,
    pinhole_px,
    rectified_pair,
    rectified_source,
    steps_around,
    unknown_depth,
    unposed,
)
from cyclopean.data.files import (
    Size,
    choice,
    existing_folder,
    only_pictures,
    picture_at,
    read_counts,
    read_paths,
    read_pose,
    read_rows,
    read_views,
    whole_number,
)
from cyclopean.data.kitti_files import (
    COUNTS,
    DRIVE,
    EYES,
    OTHER,
    SOURCES,
    Calibration,
    Frame,
    Matrix,
    Points,
    camera_depth,
    forward_depth,
    numbers_with_steps,
    offset,
    read_annotated,
    read_drives,
    read_frames,
    read_scan,
    rigid,
)
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, size_of
from cyclopean.io.decoding import read_image
from cyclopean.sample import Sample, view


@dataclass(frozen=True)
class Drives:
    """`DATE/calib_{cam_to_cam,velo_to_cam}.txt` and, in `DATE/DRIVE_sync`, `image_{02,03}/data/NUMBER.{png,jpg}` and
    `velodyne_points/data/NUMBER.bin`, below `root`."""

    root: Path

    def frames(self, steps: tuple[int, ...], camera: str = "02") -> Iterator[Frame]:
        """Yield every frame of a colour camera that has those `steps` before and after."""
        for folder in sorted(self.root.glob(f"????_??_??/*_sync/image_{camera}/data")):
            drive = folder.parents[1].relative_to(self.root).as_posix()
            yield from (Frame(drive, n, camera) for n in numbers_with_steps(folder, steps))

    def picture(self, frame: Frame, camera: str, step: int = 0) -> Path:
        """Return the picture of `camera`, `step` frames later: a PNG, or its JPEG copy."""
        return picture_at(self.root / frame.drive / f"image_{camera}" / "data" / f"{frame.number + step:010d}.png")

    def scan(self, frame: Frame) -> Path:
        """Return the laser scan of a frame; the release lacks a few."""
        return self.root / frame.drive / "velodyne_points" / "data" / f"{frame.number:010d}.bin"

    def calibration(self, frame: Frame, name: str = "cam_to_cam") -> Path:
        """Return a calibration file of the frame's day."""
        return self.root / Path(frame.drive).parts[0] / f"calib_{name}.txt"

    def cameras(self, frame: Frame) -> tuple[Pinhole, Pinhole, float]:
        """Return the frame's camera, the other eye's, and how far that stands to its right, metres.

        Relative to the calibrated size, so that shrunken copies of the pictures read alike.
        """
        path = self.calibration(frame)
        here, size = self._projection(frame, frame.camera)
        there, other_size = self._projection(frame, OTHER[frame.camera])
        return pinhole_px(here, size, path), pinhole_px(there, other_size, path), offset(here, there, path)

    def image_from_velodyne(self, frame: Frame, size: Size) -> Matrix:
        """Return P_rect @ R_rect_00 @ [R | T]: laser points to (x z, y z, z), pixels of the frame's picture at `size`,
        counted from the centre of the first."""
        projection, calibrated = self._projection(frame, frame.camera)
        rectify = Calibration(self.calibration(frame)).matrix("R_rect_00", 3)
        scanner = Calibration(self.calibration(frame, "velo_to_cam"))
        half = np.eye(3)
        half[:2, 2] = 0.5
        scale = np.diag([size[1] / calibrated[1], size[0] / calibrated[0], 1.0])
        resized = np.linalg.inv(half) @ scale @ half @ projection
        return resized @ rigid(rectify) @ rigid(scanner.matrix("R", 3), scanner.matrix("T", 1))

    def _projection(self, frame: Frame, camera: str) -> tuple[Matrix, Size]:
        """Return the projection of a rectified camera, and the size (height, width) of the pictures that it is for."""
        calibration = Calibration(self.calibration(frame))
        size = calibration.values.get(f"S_rect_{camera}", np.zeros(0))
        if len(size) != 2 or not 1 <= min(size) <= max(size) < np.inf:
            raise InputError(f"{calibration.path} is damaged or lacks S_rect_{camera}; it comes with the release.")
        return calibration.matrix(f"P_rect_{camera}"), (int(size[1]), int(size[0]))


RAW_TRUTHS: dict[str, Callable[[Points, Matrix, Size], Float[np.ndarray, "h w"]] | None] = {
    "camera": camera_depth,
    "forward": forward_depth,
    "none": None,
}


class KittiRawDataset(Items):
    """Frames of the drives below `path` (see `Drives` for the tree).

    `split` is a list of frames in Monodepth's or Monodepth2's format (the Eigen split, Zhou's part of it, the KITTI
    split, ...); without one, every frame of the left colour camera. A line may name the right camera: then the left one
    is the source, at t = (+b, 0, 0). Focal length, centre and baseline are those of the drive's day.

    `without` is a list whose drives are left out as whole scenes, in any format that names them: with
    `train_mapping.txt` of KITTI 2015's development kit what remains is the KITTI split (Monodepth, sec. 4.1), with a
    list of Eigen's test frames his training scenes, standing frames included.

    `truth`: `camera` (z of the target's camera, metres), `forward` (the export behind the Eigen tables, see
    `kitti.forward_depth`) or `none` (scans are not opened: for training). NaN where no laser point falls; a frame
    without a scan has no truth, as in four frames of the release. `sources`: `stereo`; `video`, the frames before and
    after, their poses to be predicted; or `both`, in this order. `reach`: how many frames before, and how many after.
    `eyes`: whose frames are targets: `left`, `right`, or `both`, one after the other; of a split, those that it names,
    and with `both` the other eye's as well.
    """

    def __init__(
        self,
        path: Path | str,
        split: Path | str | None = None,
        truth: str = "camera",
        sources: str = "stereo",
        without: Path | str | None = None,
        *,
        reach: str | int = 1,
        eyes: str = "left",
    ) -> None:
        self.drives = Drives(existing_folder(path))
        self._truth = RAW_TRUTHS[choice("truth of KITTI raw", truth, RAW_TRUTHS)]
        self._stereo, steps = SOURCES[choice("sources of KITTI raw", sources, SOURCES)]
        self._steps = steps_around(1, whole_number("reach", reach)) if steps else ()
        cameras = EYES[choice("eyes of KITTI raw", eyes, EYES)]
        if split:
            frames = read_frames(split)
            if eyes == "both":
                frames = [replace(f, camera=camera) for f in frames for camera in (f.camera, OTHER[f.camera])]
        else:
            frames = [frame for camera in cameras for frame in self.drives.frames(self._steps, camera)]
        if without:
            scenes = read_drives(without)
            frames = [frame for frame in frames if scenes.isdisjoint(DRIVE.findall(frame.drive))]
        needs = "folders such as 2011_09_26/2011_09_26_drive_0001_sync/image_02/data"
        self.items = nonempty(frames, path, "KITTI drive", needs)

    def __getitem__(self, index: int) -> Sample:
        frame = self.items[index]
        target, *others = read_views(self.files(index).pictures)
        here, there, offset = self.drives.cameras(frame)
        sources = [rectified_source(others[0], there, offset)] if self._stereo else []
        sources += [unposed(image, here) for image in others[len(sources) :]]
        size, depth = size_of(target), unknown_depth(size_of(target))
        if self._truth is not None and self.drives.scan(frame).exists():
            points, image_from_points = (
                read_scan(self.drives.scan(frame)),
                self.drives.image_from_velodyne(frame, size),
            )
            depth = torch.from_numpy(self._truth(points, image_from_points, size))[None, None]
        return Sample(view(target, here), tuple(sources), depth, name=(frame.name,))

    def files(self, index: int) -> Files:
        """Return target, the other eye, frames before and after; calibration, and the scan if there is one."""
        frame = self.items[index]
        eyes = [frame.camera, OTHER[frame.camera]] if self._stereo else [frame.camera]
        pictures = [self.drives.picture(frame, camera) for camera in eyes]
        pictures += [self.drives.picture(frame, frame.camera, step) for step in self._steps]
        others = [self.drives.calibration(frame)]
        if self._truth is not None and self.drives.scan(frame).exists():
            others += [self.drives.calibration(frame, "velo_to_cam"), self.drives.scan(frame)]
        return Files(tuple(pictures), tuple(others))


ANNOTATED = "proj_depth/groundtruth"
ABOVE = ("*_sync", "*/*_sync", "*/*/*_sync")  # train/ or DATE/ above the drives, or data_depth_annotated/train/


class KittiImprovedDataset(Items):
    """`{train,val}/DRIVE_sync/proj_depth/groundtruth/image_{02,03}/NUMBER.png`, z of that camera in metres * 256.

    The pictures and their calibration are those of KITTI raw, below `raw`; without it they are looked for below `path`,
    where `DATE/DRIVE_sync/proj_depth` may lie as well. `split` is a list of frames in Monodepth's or Monodepth2's
    format (the 652 of the improved Eigen split, say); without one, every annotated frame.
    """

    def __init__(self, path: Path | str, raw: Path | str | None = None, split: Path | str | None = None) -> None:
        self.root = existing_folder(path)
        self.drives = Drives(existing_folder(raw) if raw else self.root)
        self.truths: dict[Frame, Path] = {}
        for truth in (p for above in ABOVE for p in sorted(self.root.glob(f"{above}/{ANNOTATED}/*/*.png"))):
            drive = truth.parents[3].name  # begins with the date, which is the folder above it in the raw data
            date = re.match(r"\d{4}_\d{2}_\d{2}", drive)
            camera = truth.parent.name.removeprefix("image_")
            self.truths[Frame(f"{date[0] if date else ''}/{drive}", int(truth.stem), camera)] = truth
        self.items = read_frames(split) if split else list(self.truths)
        needs = f"folders such as train/2011_09_26_drive_0001_sync/{ANNOTATED}/image_02"
        nonempty(self.truths, path, "annotated depth", needs)

    def __getitem__(self, index: int) -> Sample:
        files, frame = self.files(index), self.items[index]
        images = read_views(files.pictures)
        here, there, offset = self.drives.cameras(frame)
        depth = read_annotated(files.others[1], size_of(images[0]))
        return rectified_pair(images, (here, there), offset, depth, frame.name)

    def files(self, index: int) -> Files:
        """Return target and the other eye; calibration, truth."""
        frame = self.items[index]
        eyes = tuple(self.drives.picture(frame, camera) for camera in (frame.camera, OTHER[frame.camera]))
        missing = Path(frame.drive).name, ANNOTATED, f"image_{frame.camera}", f"{frame.number:010d}.png"
        return Files(eyes, (self.drives.calibration(frame), self.truths.get(frame, self.root.joinpath(*missing))))


class KittiSelectionDataset(Items):
    """`val_selection_cropped/{image,groundtruth_depth,intrinsics}`: the release's own 1000 validation crops of 1216x352
    pixels, each with its camera. No second view."""

    def __init__(self, path: Path | str) -> None:
        self.root = existing_folder(path)
        images = sorted((self.root / "image").glob("*.png"))
        self.items = nonempty(images, path, "selection", "the folders image, groundtruth_depth, intrinsics")

    def __getitem__(self, index: int) -> Sample:
        files = self.files(index)
        image = read_image(files.pictures[0])
        size = size_of(image)
        camera = pinhole_px(read_rows(files.others[0], 9)[0].reshape(3, 3), size, files.others[0])
        depth = read_annotated(files.others[1], size)
        return Sample(view(image, camera), (), depth, name=(self.items[index].stem,))

    def files(self, index: int) -> Files:
        """Return the picture; camera, truth."""
        image = self.items[index]
        camera = self.root / "intrinsics" / f"{image.stem}.txt"
        truth = self.root / "groundtruth_depth" / image.name.replace("_sync_image_", "_sync_groundtruth_depth_")
        return Files((image,), (camera, truth))


DISPARITIES = {"noc": "disp_noc_0", "occ": "disp_occ_0"}


class Kitti2015Dataset(Items):
    """`image_{2,3}/NNNNNN_10.png`, `disp_{noc,occ}_0/NNNNNN_10.png` (pixels * 256) and `calib_cam_to_cam/NNNNNN.txt` of
    the folder `training`, or of `path` itself.

    `truth`: `noc`, pixels that both cameras see, as in Monodepth's tables, or `occ`, all pixels, as in the benchmark's.
    Depth is focal * baseline / disparity in metres with the pair's own calibration (Monodepth: a table of focal lengths
    by width and 0.54 m). `testing` has no truth. `split` is a list in Monodepth's format.
    """

    def __init__(self, path: Path | str, truth: str = "noc", split: Path | str | None = None) -> None:
        root = existing_folder(path)
        self.folder = root / "training" if (root / "training").is_dir() else root
        self.truth = DISPARITIES[choice("truth of KITTI 2015", truth, DISPARITIES)]
        listed = read_paths(split) if split else only_pictures((self.folder / "image_2").glob("*_10.*"))
        stems = (Path(picture).stem for picture in listed)
        self.items = nonempty(stems, path, "KITTI 2015 pair", "training/image_2/000000_10.png and image_3")

    def __getitem__(self, index: int) -> Sample:
        files = self.files(index)
        path = files.others[0]
        images, calibration = read_views(files.pictures), Calibration(path)
        left, right = calibration.matrix("P_rect_02"), calibration.matrix("P_rect_03")
        size, apart = size_of(images[0]), offset(left, right, path)
        depth = unknown_depth(size)
        if len(files.others) > 1:
            disparity = known_above_zero(read_counts(files.others[1], 16, size) / COUNTS)
            depth = depth_from_disparity(disparity, float(left[0, 0]), apart, float(right[0, 2] - left[0, 2]))
        cameras = pinhole_px(left, size, path), pinhole_px(right, size, path)
        return rectified_pair(images, cameras, apart, depth, self.items[index])

    def files(self, index: int) -> Files:
        """Return left, right; calibration, and the disparity unless this is the testing folder."""
        stem = self.items[index]
        eyes = tuple(picture_at(self.folder / name / f"{stem}.png") for name in ("image_2", "image_3"))
        others = [self.folder / "calib_cam_to_cam" / f"{stem.split('_')[0]}.txt"]
        if (self.folder / self.truth).is_dir():
            others.append(self.folder / self.truth / f"{stem}.png")
        return Files(eyes, tuple(others))


class KittiObjectDataset(Items):
    """`image_2/NNNNNN.png`, `velodyne/NNNNNN.bin`, `calib/NNNNNN.txt` (Geiger et al. 2012).

    Depth is z of the left colour camera, metres, at the pixels that a laser point hits (the nearest, if several),
    elsewhere NaN. (The exports behind Monodepth's Eigen tables hold the scanner's forward axis, some 0.27 m more.)
    """

    def __init__(self, path: Path | str) -> None:
        self.folder = existing_folder(path)
        stems = (scan.stem for scan in sorted((self.folder / "velodyne").glob("*.bin")))
        self.items = nonempty(stems, self.folder, "KITTI object frame", "the folders image_2, velodyne and calib")

    def __getitem__(self, index: int) -> Sample:
        files = self.files(index)
        image, calibration = read_image(files.pictures[0]), Calibration(files.others[0])
        projection, move = calibration.matrix("P2"), calibration.matrix("Tr_velo_to_cam")
        rectify = calibration.matrix("R0_rect", 3)
        image_from_velodyne = projection @ rigid(rectify) @ rigid(move[:, :3], move[:, 3:])
        depth = camera_depth(read_scan(files.others[1]), image_from_velodyne, size_of(image))
        camera = pinhole_px(projection, size_of(image), files.others[0])
        return Sample(view(image, camera), (), torch.from_numpy(depth)[None, None], name=(self.items[index],))

    def files(self, index: int) -> Files:
        """Return the picture; calibration, scan."""
        stem = self.items[index]
        image, scan = self.folder / "image_2" / f"{stem}.png", self.folder / "velodyne" / f"{stem}.bin"
        return Files((image,), (self.folder / "calib" / f"{stem}.txt", scan))


# Folders of the left and the right camera, and the names of their projections.
PAIRS = (("image_2", "image_3", "P2", "P3"), ("image_0", "image_1", "P0", "P1"), ("image_l", "image_r", "P0", "P1"))


@dataclass(frozen=True)
class Sequence:
    """One drive of the odometry release: its folder, folder names and projections of its eyes, the file of its path."""

    folder: Path
    left: str
    right: str
    names: tuple[str, str]
    poses: Path

    def projections(self) -> tuple[Matrix, Matrix]:
        """Return the projections of both eyes. Copies of the release without names (`P0:`) list them from P0 on."""
        calibration = Calibration(self.folder / "calib.txt")
        if not calibration.values:
            calibration.values = {f"P{n}": row for n, row in enumerate(read_rows(calibration.path, 12))}
        return calibration.matrix(self.names[0]), calibration.matrix(self.names[1])

    def motion(self, number: int, step: int, left: Matrix) -> Float[torch.Tensor, "1 4 4"] | None:
        """Return `source_from_target` for the left camera `step` frames later; None for a sequence without a path.

        A line of the path is `first_from_now` of camera 0; the left colour camera stands K^-1 p beside it.
        """
        if not self.poses.exists():
            return None
        rows = read_rows(self.poses, 12)
        if (last := max(number, number + step)) >= len(rows):
            raise InputError(f"{self.poses} has {len(rows)} poses and none of frame {last}; it needs all.")
        first_from_now, first_from_then = (
            read_pose(self.poses, rows[n].reshape(3, 4)) for n in (number, number + step)
        )
        left_from_0 = rigid(np.eye(3), np.linalg.solve(left[:, :3], left[:, 3:]))
        pose = left_from_0 @ np.linalg.inv(first_from_then) @ first_from_now @ np.linalg.inv(left_from_0)
        return torch.tensor(pose, dtype=torch.float32)[None]


class KittiOdometryDataset(Items):
    """`sequences/NN/{image_2,image_3}/NNNNNN.png` (or the grey `image_0`, `image_1`), `sequences/NN/calib.txt`, and
    `poses/NN.txt` where the release has them; or one such sequence, with `poses.txt` beside its `calib.txt`.

    Calibration is the sequence's own. `sources`: `stereo`; `video`, the frames before and after with their true poses
    (to be predicted where a sequence has none); or `both`, in this order. No depth.
    """

    def __init__(self, path: Path | str, sources: str = "stereo") -> None:
        root = existing_folder(path)
        self._stereo, self._steps = SOURCES[choice("sources of KITTI odometry", sources, SOURCES)]
        frames = []
        for folder in sorted(p.parent for p in root.glob("sequences/*/calib.txt")) or [root]:
            poses = folder / "poses.txt" if folder == root else root / "poses" / f"{folder.name}.txt"
            for left, right, *names in (pair for pair in PAIRS if (folder / pair[0]).is_dir()):
                drive = Sequence(folder, left, right, (names[0], names[1]), poses)
                frames += [(drive, n) for n in numbers_with_steps(folder / left, self._steps)]
                break
        needs = "folders such as sequences/00 with image_2, image_3 and calib.txt"
        self.items = nonempty(frames, path, "KITTI sequence", needs)

    def __getitem__(self, index: int) -> Sample:
        drive, number = self.items[index]
        target, *others = read_views(self.files(index).pictures)
        left, right = drive.projections()
        calibration = drive.folder / "calib.txt"
        here, there = (pinhole_px(p, size_of(target), calibration) for p in (left, right))
        sources = [rectified_source(others[0], there, offset(left, right, calibration))] if self._stereo else []
        for step, image in zip(self._steps, others[len(sources) :], strict=True):
            pose = drive.motion(number, step, left)
            sources.append(unposed(image, here) if pose is None else view(image, here, pose))
        name = f"{drive.folder.name}/{number:06d}"
        return Sample(view(target, here), tuple(sources), unknown_depth(size_of(target)), name=(name,))

    def files(self, index: int) -> Files:
        """Return left, right, frames before and after; calibration, and the path if there is one."""
        drive, number = self.items[index]
        eyes = [(drive.left, 0), (drive.right, 0)] if self._stereo else [(drive.left, 0)]
        views = [*eyes, *((drive.left, step) for step in self._steps)]
        paths = (picture_at(drive.folder / eye / f"{number + step:06d}.png") for eye, step in views)
        others = [drive.folder / "calib.txt", *([drive.poses] if drive.poses.exists() else [])]
        return Files(tuple(paths), tuple(others))
