"""Small trees in the true layout of each release, written as the release writes them."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from cyclopean.data.base import Items
from cyclopean.errors import InputError
from cyclopean.geometry import reproject
from cyclopean.sample import Sample

DATE, DRIVE = "2011_09_26", "2011_09_26/2011_09_26_drive_0001_sync"
# Cameras 2 and 3 of a made-up day, 60x40 pixels: 0.06 m left and 0.48 m right of camera 0.
P2 = [50, 0, 30, 3.0, 0, 52, 20, 0.1, 0, 0, 1, 0.005]
P3 = [50, 0, 30, -24.0, 0, 52, 20, -0.1, 0, 0, 1, 0.002]
KITTI_SIZE, BASELINE = (40, 60), 0.54
TURN = [0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1]


def picture(path: Path, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Write a random picture; return it as RGB."""
    rgb = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), rgb[..., ::-1])
    return rgb


def counts(path: Path, values: np.ndarray) -> None:
    """Write 8- or 16-bit numbers as a grey picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), values)


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def lines(values: dict[str, list[float]]) -> str:
    return "".join(f"{key}: {' '.join(map(str, numbers))}\n" for key, numbers in values.items())


def kitti_raw(root: Path, numbers: tuple[int, ...] = (4, 5, 6), suffix: str = "png") -> Path:
    for camera, seed in (("02", 0), ("03", 100)):
        for n in numbers:
            picture(root / DRIVE / f"image_{camera}" / "data" / f"{n:010d}.{suffix}", KITTI_SIZE, seed + n)
    cameras = {"S_rect_02": [60, 40], "S_rect_03": [60, 40], "R_rect_00": TURN, "P_rect_02": P2, "P_rect_03": P3}
    text(root / DATE / "calib_cam_to_cam.txt", "calib_time: 09-Jan-2012 13:57:47\n" + lines(cameras))
    # The scanner looks along x, z up; it sits 0.3 m behind and 0.1 m above camera 0.
    scanner = {"R": [0, -1, 0, 0, 0, -1, 1, 0, 0], "T": [0, -0.1, -0.3]}
    text(root / DATE / "calib_velo_to_cam.txt", "calib_time: 15-Mar-2012 11:37:16\n" + lines(scanner))
    return root


def scan(root: Path, number: int, count: int = 500) -> np.ndarray:
    """A laser scan of that frame; returns its points."""
    rng = np.random.default_rng(number)
    points = np.c_[rng.uniform(-20, 40, count), rng.uniform(-10, 10, count), rng.uniform(-3, 3, count)]
    path = root / DRIVE / "velodyne_points" / "data" / f"{number:010d}.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.c_[points, np.ones(count)].astype(np.float32).tofile(path)
    return points.astype(np.float32).astype(float)


def kitti_improved(root: Path) -> Path:
    kitti_raw(root)
    values = np.full(KITTI_SIZE, 256 * 12, np.uint16)
    values[0, 0] = 0
    for camera in ("02", "03"):
        folder = root / "train" / Path(DRIVE).name / "proj_depth" / "groundtruth" / f"image_{camera}"
        counts(folder / "0000000005.png", values)
    return root


def kitti_selection(root: Path) -> Path:
    name = "2011_09_26_drive_0002_sync_{}_0000000005_image_02"
    picture(root / "image" / f"{name.format('image')}.png", KITTI_SIZE)
    truth = np.full(KITTI_SIZE, 512, np.uint16)
    counts(root / "groundtruth_depth" / f"{name.format('groundtruth_depth')}.png", truth)
    text(root / "intrinsics" / f"{name.format('image')}.txt", "50 0 29.5 0 52 19.5 0 0 1")
    return root


def kitti_2015(root: Path) -> Path:
    for eye in ("image_2", "image_3"):
        for name in ("000000_10", "000000_11"):
            picture(root / "training" / eye / f"{name}.png", KITTI_SIZE)
        picture(root / "testing" / eye / "000000_10.png", KITTI_SIZE)
    for kind, missing in (("noc", 10), ("occ", 1)):
        values = np.full(KITTI_SIZE, 256 * 3, np.uint16)
        values[:, :missing] = 0
        counts(root / "training" / f"disp_{kind}_0" / "000000_10.png", values)
    for part in ("training", "testing"):
        text(root / part / "calib_cam_to_cam" / "000000.txt", lines({"P_rect_02": P2, "P_rect_03": P3}))
    return root


def kitti_odometry(root: Path, names: bool = True) -> Path:
    folder = root / "sequences" / "00" if names else root
    for eye in ("image_2", "image_3") if names else ("image_l", "image_r"):
        for n in range(4):
            picture(folder / eye / f"{n:06d}.png", KITTI_SIZE, n)
    p0 = [50, 0, 30, 0, 0, 52, 20, 0, 0, 0, 1, 0]
    p1 = [50, 0, 30, -27, 0, 52, 20, 0, 0, 0, 1, 0]
    if names:
        text(folder / "calib.txt", lines({"P0": p0, "P1": p1, "P2": P2, "P3": P3, "Tr": p0}))
    else:
        text(folder / "calib.txt", "".join(" ".join(map(str, p)) + "\n" for p in (p0, p1)))
    return root


def cityscapes(root: Path) -> Path:
    stem, city = "aachen_000000_000019", "train/aachen"
    for n, eye in enumerate(("leftImg8bit", "rightImg8bit")):
        picture(root / eye / city / f"{stem}_{eye}.png", (64, 128), n)
    values = np.full((64, 128), 256 * 4 + 1, np.uint16)
    values[0, 0] = 0
    counts(root / "disparity" / city / f"{stem}_disparity.png", values)
    camera = {
        "extrinsic": {"baseline": 0.21, "pitch": 0.04},
        "intrinsic": {"fx": 2262.5, "fy": 2265.3, "u0": 1096.98, "v0": 513.137},
    }
    text(root / "camera" / city / f"{stem}_camera.json", json.dumps(camera))
    return root


def cityscapes_sequence(root: Path, size: tuple[int, int] = (64, 128)) -> Path:
    """A clip of 30 frames around an annotated one, and a second one of the same drive right after it."""
    cityscapes(root)
    camera = root / "camera" / "train" / "aachen" / "aachen_000000_000019_camera.json"
    text(camera.with_name("aachen_000000_000049_camera.json"), camera.read_text())
    for n in range(60):
        picture(root / f"leftImg8bit_sequence/train/aachen/aachen_000000_{n:06d}_leftImg8bit.png", size, n)
    return root


def make3d(root: Path) -> Path:
    from scipy.io import savemat

    picture(root / "Test134" / "img-op57-p-016t000.jpg", (284, 213))
    grid = np.zeros((55, 305, 4))
    grid[..., 3] = 5 + np.arange(55)[:, None] + np.arange(305) / 1000
    (root / "Gridlaserdata").mkdir()
    savemat(root / "Gridlaserdata" / "depth_sph_corr-op57-p-016t000.mat", {"Position3DGrid": grid})
    return root


def pfm(path: Path, plane: np.ndarray) -> None:
    """Rows from the bottom up, little-endian."""
    head = f"Pf\n{plane.shape[1]} {plane.shape[0]}\n-0.003922\n".encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + np.flipud(plane).astype("<f4").tobytes())


CALIBRATION = """cam0=[80 0 30; 0 80 20; 0 0 1]
cam1=[80 0 35; 0 80 20; 0 0 1]
doffs=5
baseline=200
width=60
height=40
ndisp=20
isint=0
vmin=1
vmax=18
"""


def calibrated(scene: Path, disparity: str = "disp0.pfm") -> Path:
    """A scene of Middlebury 2014: disparity 3, unknown at the top left; all but the last row seen by both cameras."""
    for n, name in enumerate(("im0", "im1")):
        picture(scene / f"{name}.png", (40, 60), n)
    plane = np.full((40, 60), 3.0)
    plane[0, 0] = np.inf
    pfm(scene / disparity, plane)
    mask = np.full((40, 60), 255, np.uint8)
    mask[-1] = 128
    counts(scene / "mask0nocc.png", mask)
    text(scene / "calib.txt", CALIBRATION)
    return scene


def middlebury_2005(scene: Path, height: int = 370) -> Path:
    for name in ("view1", "view5"):
        picture(scene / f"{name}.png", (height, 16))
    stored = np.full((height, 16), 12, np.uint8)
    stored[0, 0] = 0
    counts(scene / "disp1.png", stored)
    text(scene / "dmin.txt", "200\n")
    return scene


def middlebury_2003(scene: Path, suffixes: tuple[str, str] = ("png", "png")) -> Path:
    for name in ("im2", "im6"):
        picture(scene / f"{name}.{suffixes[0]}", (375, 16))
    stored = np.full((375, 16), 12, np.uint8)
    stored[0, 0] = 0
    counts(scene / f"disp2.{suffixes[1]}", stored)
    return scene


def nyu_frames(root: Path) -> Path:
    for n in (7, 45):
        picture(root / "kitchen" / f"rgb_{n:05d}.jpg", (480, 640))
        values = np.full((480, 640), 1000 + n, np.uint16)
        values[0, 0] = 0
        counts(root / "kitchen" / f"sync_depth_{n:05d}.png", values)
    return root


def nyu_labelled(root: Path) -> Path:
    import h5py

    rng = np.random.default_rng(0)
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = rng.integers(0, 256, (3, 3, 640, 480), dtype=np.uint8)
        file["depths"] = rng.uniform(1, 9, (3, 640, 480)).astype(np.float32)
    return root / "nyu_depth_v2_labeled.mat"


def seven_scenes(root: Path, sequence: str = "seq-01") -> Path:
    for n in range(4):
        stem = root / sequence / f"frame-{n:06d}"
        picture(stem.with_name(stem.name + ".color.png"), (48, 64), n)
        values = np.full((48, 64), 2500, np.uint16)
        values[0, :2] = 0, 65535
        counts(stem.with_name(stem.name + ".depth.png"), values)
        pose = np.eye(4)
        pose[:3, 3] = 0.1 * n, 0, 0.2 * n
        np.savetxt(stem.with_name(stem.name + ".pose.txt"), pose)
    text(root / "camera-intrinsics.txt", "58.5 0 32\n0 58.5 24\n0 0 1\n")
    return root


def stereo_photos(root: Path) -> Path:
    for n, side in enumerate(("left", "right")):
        picture(root / f"DMC-{side}.jpg", (30, 40), n)
    picture(root / "card.left-right.png", (30, 81), 5)
    return root


def camvid(root: Path) -> Path:
    picture(root / "701_StillsRaw_full" / "0001TP_006690.png", (30, 40))
    picture(root / "LabeledApproved_full" / "0001TP_006690_L.png", (30, 40))
    return root


def shift_px(sample: Sample) -> torch.Tensor:
    """By how many pixels each target pixel lies further left in the first source, where its depth is known."""
    known = sample.depth.isfinite()
    rho = torch.where(known, 1 / torch.where(known, sample.depth, 1), 0)
    source = sample.sources[0]
    u = reproject(rho, sample.target.camera, source.from_target, source.camera).uv[..., 0]
    width = sample.depth.shape[-1]
    return torch.where(known[:, 0], torch.arange(width) + 0.5 - u * width, torch.nan)[0]


def read_each(data: Items, indices: Iterable[int]) -> Iterator[tuple[int, Sample | InputError]]:
    """Yield items one by one; a damaged one as its error, and the rest follows."""
    for index in indices:
        try:
            yield index, data[index]
        except InputError as error:
            yield index, error
