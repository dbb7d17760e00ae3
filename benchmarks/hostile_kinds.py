"""What strangers could hand in: sound files of every kind, and what reads them.

Trees of data sets, films and small trainings are those of the tests.
"""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

TESTS = Path(__file__).parents[1] / "tests"
SIZE = (24, 32)
MEGAPIXELS = 2.0  # the limit given to readers: what claims more is refused before memory is taken


@dataclass(frozen=True)
class Kind:
    """`make` writes sound inputs into a folder, each in a folder of its own; `read` does with one what users do.

    One file of an input is spoiled; `share` of each 100 inputs are of this kind. `read` may write below `out` alone.
    """

    share: int
    make: Callable[[Path], None]
    read: Callable[[Path], object]


def _picture(size: tuple[int, int] = SIZE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def _plane() -> np.ndarray:
    return np.linspace(1, 9, SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE)


def _depth(values: np.ndarray | None = None, kind: str = "depth") -> Any:
    from cyclopean.io.depthmap import from_numbers

    return from_numbers(torch.from_numpy(_plane() if values is None else values)[None, None], kind)  # type: ignore[arg-type]


def _photo() -> Any:
    from cyclopean.io.image import Photo

    return Photo(torch.from_numpy(_picture()).permute(2, 0, 1)[None].float() / 255)


def _only(folder: Path, *without: str) -> Path:
    return next(p for p in sorted(folder.iterdir()) if p.is_file() and p.suffix not in without)


def _in(folder: Path, name: str) -> Path:
    """The place of a file in a folder of its own, as each input has."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    return folder / name / name


def _make_photos(folder: Path) -> None:
    import cv2
    from PIL import Image

    from cyclopean.io.image import write_photo

    exif = Image.Exif()
    exif[0x0112], exif[0x0110] = 6, "camera"
    exif.get_ifd(0x8769)[0x920A] = 35.0
    for suffix in ("jpg", "png", "tif", "webp", "gif", "bmp", "ppm", "jp2"):
        more = {"exif": exif} if suffix in ("jpg", "png", "webp", "tif") else {}
        Image.fromarray(_picture()).save(_in(folder, f"a.{suffix}"), **more)
    for suffix in ("png", "tif"):
        cv2.imwrite(str(_in(folder, f"deep.{suffix}")), _picture().astype(np.uint16) * 257)
    cv2.imwrite(str(_in(folder, "a.hdr")), _picture().astype(np.float32) / 99)
    for suffix in ("heic", "avif"):
        write_photo(_in(folder, f"a.{suffix}"), _photo())


def _read_photos(folder: Path) -> None:
    from cyclopean.io.image import read_photo, write_photo

    photo = read_photo(_only(folder), MEGAPIXELS)
    assert photo.image.isfinite().all(), "a photo that is not finite"
    for suffix in (".png", ".jpg", ".tif"):
        write_photo(folder / "out" / f"a{suffix}", photo)


def _make_depths(folder: Path) -> None:
    from cyclopean.geometry import Pinhole

    camera = Pinhole(torch.tensor([[1.0, 1.3]]), torch.tensor([[0.5, 0.5]]))
    for suffix in ("npy", "npz", "exr", "pfm", "png"):
        from dataclasses import replace

        replace(_depth(), camera=camera).save(_in(folder, f"d.{suffix}"))
        if suffix != "png":
            shutil.copy(_in(folder, f"d.{suffix}"), _in(folder, f"bare.{suffix}"))


def _read_depths(folder: Path) -> None:
    from cyclopean.io.depthmap import depth_size, read_depth
    from cyclopean.io.sidecar import outputs_named_in

    outputs_named_in(folder)
    path = _only(folder, ".json")
    size = depth_size(path)
    depth = read_depth(path, MEGAPIXELS)
    assert depth.size == size, "another size than its header's"
    assert bool(depth.inverse_depth[depth.valid].isfinite().all()), "depth that is not finite"
    depth.save(folder / "out" / "d.npz")


def _make_refocusing(folder: Path) -> None:
    np.save(_in(folder, "d.npy"), _plane())


def _read_refocusing(folder: Path) -> None:
    import cyclopean
    from cyclopean.io.depthmap import read_depth

    depth = read_depth(_only(folder, ".json"), MEGAPIXELS)
    for method in ("thin-lens", "gaussian"):
        image = cyclopean.refocus(_photo(), depth, (0.5, 0.5), method=method).image
        assert image.isfinite().all(), "a photo that is not finite"


def _make_models(folder: Path) -> None:
    from cyclopean.methods import method_class
    from cyclopean.training import checkpoint

    for name, network in (("vgg", "vgg"), ("resnet", "resnet18")):
        card = {"input_size": [64, 64], "licence": "none", "glance": 0.5}
        torch.manual_seed(0)
        checkpoint.save(_in(folder, name).parent, method_class("monodepth")(network, 0.05), card, torch.float16)


def _make_foreign(folder: Path) -> None:
    from foreign_models import save

    for name in ("relative", "glpn", "zoe", "pro"):
        save(name, folder)


def _read_models(folder: Path) -> None:
    from cyclopean.inference.predictor import load

    predictor = load(folder)
    assert _pixels(predictor.input_size) > 0
    if _pixels(predictor.input_size) <= 64 * 64:
        assert not bool(predictor(_photo()).inverse_depth.isinf().any()), "infinitely near"


def _read_foreign(folder: Path) -> None:
    from cyclopean.inference.predictor import load

    predictor = load(folder)
    assert _pixels(predictor.input_size) > 0
    if max(predictor.input_size) <= 128 or predictor.method.processing.own_size is None:
        assert not bool(predictor(_photo()).inverse_depth.isinf().any()), "infinitely near"


def _pixels(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _make_profiles(folder: Path) -> None:
    from cyclopean.geometry import Pinhole
    from cyclopean.inference.metric_calibration import CameraProfile, write_profile
    from cyclopean.io.sidecar import Maker

    camera = Pinhole(torch.tensor([[1.0, 1.3]]), torch.tensor([[0.5, 0.5]]))
    write_profile(_in(folder, "p.json"), CameraProfile(2.0, "by hand", Maker("general", "ab"), camera))


def _read_profiles(folder: Path) -> None:
    from cyclopean.geometry import Pinhole
    from cyclopean.inference.metric_calibration import read_profile

    profile = read_profile(_only(folder))
    assert profile.applied(_depth()).metres().isfinite().all(), "metres that are not finite"
    if isinstance(profile.camera, Pinhole):
        assert profile.camera.focal.shape == profile.camera.center.shape == (1, 2), "a camera of another shape"
        assert bool((profile.camera.focal > 0).all()), "a focal length of 0 or less"


def _make_keys(folder: Path) -> None:
    from cyclopean.defocus.video import EXAMPLE

    _in(folder, "focus.json").write_text(EXAMPLE)


def _read_keys(folder: Path) -> None:
    from cyclopean.defocus.video import between, check_keyframes, read_keyframes

    keys = read_keyframes(_only(folder))
    check_keyframes(keys, SIZE, 3.0)
    between(keys, 1.0)


def _make_clips(folder: Path) -> None:
    from filmed import film, walking

    for suffix, codecs in (
        ("mp4", ("libx264", "aac")),
        ("mkv", ("libx264", "libopus")),
        ("webm", ("libvpx", "libopus")),
    ):
        film(_in(folder, f"c.{suffix}"), walking(4), codecs)


def _read_clips(folder: Path) -> None:
    from itertools import islice

    from cyclopean.io.video import describe, frames

    path = _only(folder)
    describe(path)
    assert all(bool(frame.isfinite().all()) for frame in islice(frames(path), 50)), "a frame that is not finite"


def _sets() -> dict[str, tuple[Callable[[Path], Path], str]]:
    import panorama_trees
    import trees

    return {
        "camvid": (trees.camvid, ""),
        "cityscapes": (trees.cityscapes, ":part=train"),
        "eth3d": (lambda root: trees.calibrated(root / "a", "disp0GT.pfm").parent, ":truth=all"),
        "kitti_2015": (trees.kitti_2015, ":truth=occ"),
        "kitti_improved": (trees.kitti_improved, ""),
        "kitti_selection": (trees.kitti_selection, ""),
        "kitti_odometry": (trees.kitti_odometry, ""),
        "kitti_raw": (trees.kitti_raw, ":truth=none"),
        "make3d": (trees.make3d, ""),
        "middlebury": (lambda root: trees.calibrated(root / "a").parent, ""),
        "nyu": (trees.nyu_frames, ":part=test"),
        "seven_scenes": (trees.seven_scenes, ":sources=video"),
        "stereo_photos": (trees.stereo_photos, ""),
        **panorama_trees.TREES,
    }


def _make_sets(folder: Path) -> None:
    for kind, (make, _) in _sets().items():
        (folder / kind).mkdir()
        make(folder / kind)


def _read_sets(folder: Path) -> None:
    from cyclopean.data import open_dataset
    from cyclopean.data.diagnose import problems
    from cyclopean.data.inspect import examine

    kind = folder.name
    problems(examine(kind, open_dataset(f"{kind}:{folder}{_sets()[kind][1]}"), 2))


def _make_splits(folder: Path) -> None:
    line = "2011_09_26/2011_09_26_drive_0001_sync"
    _in(folder, "frames.txt").write_text(f"{line} 5 l\n{line} 6 r\n")
    _in(folder, "paths.txt").write_text(f"{line}/image_02/data/0000000005.jpg {line}/image_03/data/0000000005.jpg\n")


def _read_splits(folder: Path) -> None:
    from cyclopean.data.files import read_pairs, read_paths
    from cyclopean.data.kitti_files import read_frames

    for read in (read_frames, read_paths, read_pairs):
        read(_only(folder))


def _make_predictions(folder: Path) -> None:
    from evaluation_parts import item

    names = ("000", "001")
    assert item(_plane(), names[0]).depth.shape[-2:] == SIZE
    for suffix in ("npy", "npz", "pfm", "exr"):
        for name in names:
            _depth().save(_in(folder, suffix).parent / f"{name}.{suffix}")
        for side in _in(folder, suffix).parent.glob("*.json"):
            side.unlink()
    np.save(_in(folder, "stack.npy"), np.stack([_plane()] * 2))


def _read_predictions(folder: Path) -> None:
    from evaluation_parts import Items, item

    from cyclopean.evaluation.evaluate import evaluate
    from cyclopean.evaluation.predictions import Meaning, read_predictions
    from cyclopean.evaluation.protocols import named_protocol

    data = Items(item(_plane(), "000"), item(_plane(), "001"))
    path = folder / "stack.npy" if folder.name == "stack.npy" else folder
    entry = read_predictions(path, Meaning("depth"), data)
    evaluate([entry], data, range(2), named_protocol("worlds")[0])


def _make_states(folder: Path) -> None:
    from training_parts import run, train

    out = folder / "run"
    train(run(out, steps=2))
    for path in sorted(out.rglob("*"), reverse=True):
        if path.name != "resume.pt" and path.is_file():
            path.unlink()


def _read_states(folder: Path) -> None:
    from training_parts import run, train

    shutil.copytree(folder, folder / "out", dirs_exist_ok=True, ignore=shutil.ignore_patterns("out"))
    train(run(folder / "out", steps=2, resume=True))


def _read_written(folder: Path) -> None:
    """The numbers of the file as a map, whatever they are, in every format that is written."""
    from cyclopean.errors import InputError
    from cyclopean.geometry import Pinhole
    from cyclopean.io.scenes import mesh, point_cloud, write_glb, write_ply
    from cyclopean.io.viewer import write_viewer

    data = _only(folder).read_bytes()[128:]
    values = np.resize(np.frombuffer(data[: len(data) // 4 * 4] or bytes(4), "<f4"), SIZE)
    camera, image, out = Pinhole(torch.tensor([[1.0, 1.3]]), torch.tensor([[0.5, 0.5]])), _photo().image, folder / "out"
    depth = _depth(np.array(values), "disparity" if len(data) % 2 else "depth")
    for suffix in ("npy", "npz", "exr", "pfm", "png"):
        depth.save(out / f"{suffix}.{suffix}")
    refusals = []
    for write in (
        lambda: write_ply(out / "a.ply", point_cloud(depth, image, camera)),
        lambda: write_glb(out / "a.glb", mesh(depth, camera), image),
        lambda: write_viewer(out / "a.html", depth, image, camera, "{{scene}}\udcff"),
    ):
        try:
            write()
        except InputError as error:
            refusals.append(error)
    if (out / "a.ply").exists():
        import trimesh

        assert np.isfinite(trimesh.load(out / "a.ply").vertices).all(), "points that are not finite"
    if refusals:
        raise refusals[0]


def _make_mattes(folder: Path) -> None:
    from PIL import Image

    values = np.zeros((*SIZE, 4), np.uint8)
    values[6:18, 8:24] = 255
    Image.fromarray(values[..., 0]).save(_in(folder, "mask.png"))
    Image.fromarray(values, "RGBA").save(_in(folder, "cut.png"))
    Image.fromarray(values[..., :3]).save(_in(folder, "mask.jpg"))


def _read_mattes(folder: Path) -> None:
    from cyclopean.defocus.edges import matted
    from cyclopean.defocus.matte import read_matte

    assert matted(_depth(), read_matte(_only(folder))).inverse_depth.isfinite().all(), "depth that is not finite"


KINDS = {
    "photo": Kind(16, _make_photos, _read_photos),
    "depth": Kind(18, _make_depths, _read_depths),
    "refocusing": Kind(4, _make_refocusing, _read_refocusing),
    "model": Kind(6, _make_models, _read_models),
    "foreign model": Kind(4, _make_foreign, _read_foreign),
    "profile": Kind(8, _make_profiles, _read_profiles),
    "keys": Kind(6, _make_keys, _read_keys),
    "clip": Kind(8, _make_clips, _read_clips),
    "data set": Kind(11, _make_sets, _read_sets),
    "split": Kind(4, _make_splits, _read_splits),
    "predictions": Kind(4, _make_predictions, _read_predictions),
    "run": Kind(3, _make_states, _read_states),
    "written": Kind(4, _make_refocusing, _read_written),
    "matte": Kind(4, _make_mattes, _read_mattes),
}
assert sum(kind.share for kind in KINDS.values()) == 100


def prepare() -> None:
    """Let the parts of the tests be imported."""
    sys.path += [str(TESTS), str(TESTS / "evaluation"), str(TESTS / "training")]
