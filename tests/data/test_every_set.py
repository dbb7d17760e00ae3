"""What holds for every data set: names on the command line, files that are listed, damage that is named."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import panorama_trees
import trees
from cyclopean.data import DATASETS, SINGLE, named, open_dataset
from cyclopean.data.base import Items, usable_items
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, Pinhole
from trees import read_each


def raw_with_scans(root: Path) -> Path:
    trees.scan(trees.kitti_raw(root), 4)
    return root


def odometry_with_path(root: Path) -> Path:
    trees.kitti_odometry(root)
    trees.text(root / "poses" / "00.txt", "1 0 0 0 0 1 0 0 0 0 1 0\n" * 4)
    return root


def middlebury(root: Path) -> Path:
    trees.calibrated(root / "a2014")
    trees.middlebury_2005(root / "b2005")
    trees.middlebury_2003(root / "c2003")
    return root


def eth3d(root: Path) -> Path:
    trees.calibrated(root / "playground_1l", "disp0GT.pfm")
    return root


# kind -> who writes its tree (what is opened is what that returns), and options
TREES = {
    "camvid": (trees.camvid, ""),
    "cityscapes": (trees.cityscapes, ":part=train"),
    "cityscapes_sequence": (trees.cityscapes_sequence, ":step=2:reach=2"),
    "eth3d": (eth3d, ":truth=all"),
    "kitti_2015": (trees.kitti_2015, ":truth=occ"),
    "kitti_improved": (trees.kitti_improved, ""),
    "kitti_odometry": (odometry_with_path, ":sources=both"),
    "kitti_raw": (raw_with_scans, ":truth=forward:sources=stereo"),
    "kitti_selection": (trees.kitti_selection, ""),
    "make3d": (trees.make3d, ""),
    "middlebury": (middlebury, ""),
    "nyu": (trees.nyu_frames, ":part=test"),
    "pictures": (trees.camvid, ""),
    "seven_scenes": (trees.seven_scenes, ":sources=video"),
    "stereo_photos": (trees.stereo_photos, ""),
    **panorama_trees.TREES,
}
OPENED_ELSEWHERE = {"shards", "clip", "folder", "motorcycle", "traced", "kitti_object"}  # by the tests of their own


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> dict[str, Items]:
    """Every kind of data set, opened, in a tree of its own."""
    root = tmp_path_factory.mktemp("sets")
    opened = {}
    for kind, (make, options) in TREES.items():
        (root / kind).mkdir()
        opened[kind] = open_dataset(f"{kind}:{make(root / kind)}{options}")
    return opened


def test_no_set_is_forgotten():
    assert set(TREES) | OPENED_ELSEWHERE == set(DATASETS)


def test_every_item_is_read_and_its_files_are_listed(sets):
    for kind, data in sets.items():
        assert isinstance(data, Items), kind
        assert usable_items(data) == (list(range(len(data))), []), kind
        for index in range(len(data)):
            sample, files = data[index], data.files(index)
            assert len(sample.target.image) == 1, kind
            assert len(files.pictures) in (1, 1 + len(sample.sources)), kind
            camera = Equirectangular if kind in panorama_trees.TREES else Pinhole
            assert isinstance(sample.target.camera, camera), kind
            assert (sample.depth[sample.depth.isfinite()] > 0).all(), kind
            assert (kind in SINGLE) == (not sample.sources), kind
            assert data.far(index) > 0, kind
        with pytest.raises(IndexError):
            data[len(data)]


def test_whatever_file_is_damaged_is_named_and_the_rest_goes_on(sets):
    for kind, data in sets.items():
        intact = data[0]
        for path in sorted({*data.files(0).pictures, *data.files(0).others}):
            content = path.read_bytes()
            for damage in (None, b"", b"?!\n"):
                case = f"{kind}: {path.name} with {damage}"
                path.unlink(missing_ok=True)
                if damage is not None:
                    path.write_bytes(damage)
                ((_, item),) = read_each(data, [0])
                if isinstance(item, InputError):
                    assert path.stem in str(item), case
                    assert len(str(item).splitlines()) == 1, case
                else:  # what is not there is not missed: an item without its truth or path is unlabelled
                    assert damage is None, case
                    assert item.depth.isnan().all(), case
                    assert not intact.depth.isnan().all() or item.sources[-1].from_target is None, case
                if damage == b"" or path in data.files(0).pictures:
                    good, bad = usable_items(data)
                    assert 0 not in good, case
                    assert any(path.stem in sentence for sentence in bad), case
            path.write_bytes(content)
        assert np.array_equal(data[0].target.image, intact.target.image), kind


def test_texts_are_read_as_any_editor_saves_them(sets):
    """By every set, with the line ends of Windows and of old Macs, and with marks of UTF-8 and UTF-16."""
    rewritten = set()
    for kind, data in sets.items():
        whole = data[0]
        for path in data.files(0).others:
            content = path.read_bytes()
            if path.suffix not in (".txt", ".json"):
                continue
            for coding, end in (("utf-8", "\r"), ("utf-8-sig", "\r\n"), ("utf-16", "\r")):
                path.write_bytes(content.decode().replace("\n", end).encode(coding))
                item, case = data[0], f"{kind}: {path.name} in {coding} with {end!r}"
                assert torch.equal(item.depth.nan_to_num(-1), whole.depth.nan_to_num(-1)), case
                assert repr(item.target.camera) == repr(whole.target.camera), case
                for one, two in zip(item.sources, whole.sources, strict=True):
                    assert (one.from_target is None and two.from_target is None) or torch.equal(
                        one.from_target, two.from_target
                    ), case
            path.write_bytes(content)
            rewritten.add(f"{kind} {path.name}")
    assert {"middlebury calib.txt", "eth3d calib.txt", "kitti_odometry calib.txt"} <= rewritten, rewritten


def test_a_folder_of_something_else_is_told(tmp_path):
    (tmp_path / "notes.md").write_text("nothing here")
    for kind in TREES:
        with pytest.raises(InputError, match=r"holds no .*needs"):
            open_dataset(f"{kind}:{tmp_path}")
        with pytest.raises(InputError, match="does not exist"):
            open_dataset(f"{kind}:{tmp_path / 'nowhere'}")


NAMES = (
    ("kiti_raw:{0}", "unknown kind of data set 'kiti_raw': did you mean 'kitti_raw'"),
    ("kitti_raw:{0}:spilt=x.txt", "unknown option of kitti_raw 'spilt': did you mean 'split'"),
    ("make3d:{0}:split=x.txt", "make3d takes no options and was given split=x.txt"),
    ("kitti_raw:{0}:split=nowhere.txt", "there is no file nowhere.txt"),
    ("kitti_2015:{0}:truth=ocu", "did you mean 'occ'"),
    ("kitti_raw", "kitti_raw needs the folder of the data set; write kitti_raw:PATH"),
    ("motorcycle:{0}", "motorcycle takes no path"),
    ("eth3d:", "every other kind needs one"),
    ("motorcylce", "there is no folder 'motorcylce'; check the path. Data of another kind is written KIND:PATH"),
    ("motorcylce", "did you mean 'motorcycle'?"),
    ("kitti_rw", "did you mean 'kitti_raw:PATH'?"),
    ("nofolder", "there is no folder 'nofolder'; check the path."),
    ("nofolder", "kitti_raw:PATH; see docs/data.md for the kinds."),
)


def test_names_that_do_not_fit_are_told_with_the_nearest(tmp_path):
    for name, words in NAMES:
        with pytest.raises(InputError) as error:
            open_dataset(name.format(tmp_path))
        assert words in str(error.value), name


def test_options_may_hold_paths(tmp_path):
    trees.kitti_raw(tmp_path)
    split = trees.text(tmp_path / "with space" / "split=1.txt", f"{trees.DRIVE} 5 r\n")
    data = open_dataset(f"kitti_raw:{tmp_path}:truth=none:split={split}")
    assert [data[n].name for n in range(len(data))] == [(f"{trees.DRIVE}/0000000005_03",)]


def test_a_folder_that_is_named_like_options_or_a_kind_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("set:fov=70", "folder:there", "there", "~x", "12:30"):
        Path(name).mkdir()
    assert named("set:fov=70") == ("folder", "set:fov=70", {})
    assert named("set:fov=70:depth=no") == ("folder", "set:fov=70", {"depth": "no"})
    assert named("folder:there") == ("folder", "there", {})  # the kind comes first where both are there
    Path("there").rmdir()
    assert named("folder:there") == ("folder", "folder:there", {})
    assert named("./~x") == ("folder", "./~x", {})
    assert named("12:30") == ("folder", "12:30", {})


def test_numbers_saved_anew_with_8_bits_are_refused_by_every_reader(sets):
    for data in sets.values():
        for path in data.files(0).others:
            numbers = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.suffix == ".png" else None
            if numbers is not None and numbers.dtype == np.uint16:
                content = path.read_bytes()
                cv2.imwrite(str(path), (numbers // 256).astype(np.uint8))
                ((_, item),) = read_each(data, [0])
                path.write_bytes(content)
                assert f"{path} has 8 bits a pixel and its format 16" in str(item)
