"""Panoramas of published sets in miniature: poses, units and unknowns as each release defines them."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import panorama_trees as trees
from cyclopean.data import named_panoramas, open_dataset
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, reproject
from cyclopean.sample import Sample
from cyclopean.synthesis import pull
from filmed import film

LARGE = (128, 256)  # enough to tell one place from another
REAL = Path(__file__).parents[3] / "shared" / "data"


def misfit(sample: Sample, number: int, factor: float = 1.0) -> float:
    """Median colour error of a source fetched by the true depth, with its pose times `factor`."""
    known = sample.depth.isfinite()
    rho = torch.where(known, 1 / torch.where(known, sample.depth, 1), 0)
    source = sample.sources[number]
    pose = source.from_target.clone()
    pose[:, :3, 3] *= factor
    uv = reproject(rho, sample.target.camera, pose, source.camera).uv
    error = (pull(source.image, uv, "sphere") - sample.target.image).abs().mean(1, keepdim=True)
    return float(error[known].median())


def fits(sample: Sample) -> bool:
    """Whether each source shows the target where its pose says, and nowhere near as well from the other side."""
    return all(misfit(sample, n) < 0.5 * misfit(sample, n, -1) for n in range(len(sample.sources)))


def test_traced360_reads_both_sources_where_they_stand(tmp_path):
    data = open_dataset(f"traced360:{trees.traced360(tmp_path, LARGE)}")
    assert len(data) == 2
    assert data[1].name == ("indoor360/001",)
    assert data[1].sources[0].from_target[0, :3, 3].tolist() == pytest.approx([0, 0.26, 0])
    assert data[1].sources[1].from_target[0, :3, 3].tolist() == pytest.approx([-0.26, 0, 0])
    assert fits(data[0])
    assert fits(data[1])
    (tmp_path / "indoor360_000.json").write_text("{}")
    with pytest.raises(InputError, match=r'indoor360_000.json lacks "baseline"'):
        data[0]


def test_topbottom_has_the_lower_camera_as_target(tmp_path):
    trees.top_bottom(tmp_path, LARGE)
    sample = open_dataset(f"topbottom:{tmp_path}:baseline=0.26")[0]
    for folder in [path for path in tmp_path.iterdir() if path.is_dir()]:
        folder.rename(folder.with_name(folder.name.upper()))
    assert torch.equal(open_dataset(f"topbottom:{tmp_path}:baseline=0.26")[0].target.image, sample.target.image)
    assert isinstance(sample.target.camera, Equirectangular)
    assert sample.sources[0].from_target[0, :3, 3].tolist() == pytest.approx([0, 0.26, 0])
    assert sample.depth.isnan().all()
    truth = torch.from_numpy(trees.room(size=LARGE)[1])[None, None]
    assert fits(Sample(sample.target, sample.sources, truth))


def test_topbottom_wants_to_know_the_baseline(tmp_path):
    trees.top_bottom(tmp_path)
    with pytest.raises(InputError, match="say how far apart the two cameras stood"):
        open_dataset(f"topbottom:{tmp_path}")
    with pytest.raises(InputError, match="was given the baseline '-1'"):
        open_dataset(f"topbottom:{tmp_path}:baseline=-1")
    (tmp_path / "calibration.json").write_text(json.dumps({"baseline_m": 0.2}))
    assert open_dataset(f"topbottom:{tmp_path}")[0].sources[0].from_target[0, 1, 3] == pytest.approx(0.2)
    assert open_dataset(f"topbottom:{tmp_path}:baseline=1")[0].sources[0].from_target[0, 1, 3] == 1


def test_a_part_of_the_sphere_is_refused(tmp_path):
    for name in ("image_up", "image_down"):
        trees.write_rgb(tmp_path / name / "a.png", np.zeros((32, 60, 3), np.uint8))
    with pytest.raises(InputError, match=r"a.png has 60x32 pixels; a panorama of the full sphere is twice as wide"):
        open_dataset(f"topbottom:{tmp_path}:baseline=1")[0]


def test_3d60_reads_centre_up_and_right_where_they_stand(tmp_path):
    trees.threed60(tmp_path, LARGE)
    data = open_dataset(f"3d60:{tmp_path}")
    assert [data[n].name[0] for n in range(2)] == ["Matterport3D/0_7812e14df5e74", "Matterport3D/1_7812e14df5e74"]
    assert data.far(0) == 20
    assert data[0].sources[0].from_target[0, :3, 3].tolist() == pytest.approx([0, 0.26, 0])
    assert data[0].sources[1].from_target[0, :3, 3].tolist() == pytest.approx([-0.26, 0, 0])
    assert fits(data[0])
    assert torch.equal(data[0].depth[0, 0], torch.from_numpy(trees.room(size=LARGE)[1]))
    assert data[1].depth[0, 0, 0].isnan().tolist() == [True] * 3 + [False] * 253
    right = open_dataset(f"3d60:{tmp_path}:sources=right")[0]
    assert len(right.sources) == 1
    assert fits(right)


@pytest.mark.parametrize(
    "top", [".\\Matterport3D\\", "D:\\Data\\3D60\\Matterport3D\\", "/Matterport3D/", "Matterport3D/", "/Matteport3D/"]
)
def test_3d60_understands_the_paths_of_its_lists(top, tmp_path):
    """As in the lists of 2018 (one folder misspelt), 2019 and version 1, for a data set anywhere."""
    folder = "." if top == "/Matteport3D/" else "Matterport3D"
    trees.threed60(tmp_path / "set", folder=folder)
    split = tmp_path / "test.txt"
    split.write_text("".join(trees.threed60_line(n, top) + "\n" for n in (1, 0, 7)))
    data = open_dataset(f"3d60:{tmp_path / 'set'}:split={split}")
    assert [Path(data[n].name[0]).name for n in (0, 1)] == ["1_7812e14df5e74", "0_7812e14df5e74"]
    with pytest.raises(InputError, match="7_7812e14df5e74_color_0_Left_Down"):
        data[2]
    split.write_text("Matterport3D/0_7812e14df5e74_color_0_Up_0.0.png\n")
    with pytest.raises(InputError, match="names no centre"):
        open_dataset(f"3d60:{tmp_path / 'set'}:split={split}")


@pytest.mark.parametrize("suffix", ["npy", "npz", "pfm"])
def test_3d60_reads_depth_that_was_converted(suffix, tmp_path):
    from trees import pfm

    trees.threed60(tmp_path)
    exr = tmp_path / "Matterport3D" / "0_7812e14df5e74_depth_0_Left_Down_0.0.exr"
    exr.unlink()
    path, plane = exr.with_suffix(f".{suffix}"), trees.room()[1]
    {"npy": np.save, "npz": lambda p, a: np.savez(p, depth=a), "pfm": pfm}[suffix](path, plane)
    assert np.array_equal(open_dataset(f"3d60:{tmp_path}")[0].depth[0, 0].numpy(), plane)


@pytest.mark.parametrize(
    ("kind", "step"), [("matterport3d", 1 / 4000), ("stanford2d3d", 1 / 512), ("structured3d", 1 / 1000), ("pano3d", 0)]
)
def test_each_release_has_a_unit_of_its_own(kind, step, tmp_path):
    make, options = trees.TREES[kind]
    sample = open_dataset(f"{kind}:{make(tmp_path)}{options}")[0]
    truth = torch.from_numpy(trees.room()[1])
    unknown = sample.depth[0, 0].isnan()
    assert int(unknown.sum()) == 1
    assert bool(unknown[3, 4] if kind == "pano3d" else unknown[0, 0])
    assert float((sample.depth[0, 0] - truth)[~unknown].abs().max()) <= 0.51 * step
    assert not sample.sources


def test_only_the_black_caps_of_stanford2d3d_are_not_valid(tmp_path):
    for between, rgb in (("pano/", "rgb"), ("", "rgb_")):
        root = trees.stanford2d3d(tmp_path / rgb, between, rgb)
        valid = open_dataset(f"stanford2d3d:{root}")[0].target.valid[0, 0]
        assert valid[4:-3].all()
        assert not valid[:4].any()
        assert not valid[-3:].any()


def test_only_true_black_of_pano3d_is_not_valid(tmp_path):
    valid = open_dataset(f"pano3d:{trees.pano3d(tmp_path)}")[0].target.valid[0, 0]
    assert not valid[3, 4]
    assert int((~valid).sum()) == 1


def test_structured3d_has_rooms_with_and_without_furniture_in_three_lights(tmp_path):
    trees.structured3d(tmp_path)
    full, empty, cold = (
        open_dataset(f"structured3d:{tmp_path}{options}")[0]
        for options in ("", ":furniture=empty", ":furniture=empty:light=cold")
    )
    for sample, seed in ((full, 0), (empty, 1), (cold, 3)):
        rgb = (sample.target.image[0].permute(1, 2, 0) * 255).round().byte().numpy()
        assert np.array_equal(rgb, trees.room(seed=seed)[0])
    with pytest.raises(InputError, match="did you mean 'simple'"):
        open_dataset(f"structured3d:{tmp_path}:furniture=simpel")


@pytest.mark.parametrize("kind", ["matterport3d", "stanford2d3d", "structured3d"])
def test_lists_of_picture_and_depth_say_what_and_in_which_order(kind, tmp_path):
    whole = open_dataset(f"{kind}:{trees.TREES[kind][0](tmp_path / 'set')}")
    files = whole.files(0)
    words = [path.relative_to(tmp_path / "set").as_posix() for path in (*files.pictures, *files.others)]
    split = tmp_path / "list.txt"
    split.write_text(f"a/b.png c/d.png\n{' '.join(words)}\n")
    data = open_dataset(f"{kind}:{tmp_path / 'set'}:split={split}")
    assert len(data) == 2
    assert torch.equal(data[1].target.image, whole[0].target.image)
    assert data[1].name == whole[0].name
    with pytest.raises(InputError, match=r"a/b\.png"):
        data[0]
    split.write_text("only/one.png\n")
    with pytest.raises(InputError, match=r"list.txt, line 1 is 'only/one.png'; it needs two paths"):
        open_dataset(f"{kind}:{tmp_path / 'set'}:split={split}")


def test_masks_of_plain_panoramas_say_what_is_valid(tmp_path):
    root, mask = trees.panoramas(tmp_path / "set"), np.full(trees.SIZE, 255, np.uint8)
    mask[:5] = 0
    cv2.imwrite(str(tmp_path / "set" / "masks.png"), mask)
    (root / "masks" / "kitchen").mkdir(parents=True)
    (root / "masks.png").rename(root / "masks" / "kitchen" / "a.png")
    data = open_dataset(f"panoramas:{root}:masks={root / 'masks'}")
    assert [data[n].name[0] for n in range(len(data))] == ["b", "kitchen/a"]
    assert data[0].target.valid.all()
    assert not data[1].target.valid[..., :5, :].any()
    assert data[1].target.valid[..., 5:, :].all()
    assert data[1].depth.isnan().all()


def test_a_list_of_plain_panoramas_names_those_that_count(tmp_path):
    root, listed = trees.panoramas(tmp_path / "set"), tmp_path / "list.txt"
    listed.write_text("# rooms\nkitchen/a.png\n")
    data = open_dataset(f"panoramas:{root}:split={listed}")
    assert [data[n].name[0] for n in range(len(data))] == ["kitchen/a"]
    for line in ("../set/b.png", str(root / "b.png")):
        listed.write_text(f"b.png\n{line}\n")
        with pytest.raises(InputError, match=r"list.txt, line 2 is .*; it needs a path below"):
            open_dataset(f"panoramas:{root}:split={listed}")


def test_panoramas_of_high_dynamic_range_are_read_as_for_predict(tmp_path):
    from cyclopean.data.base import usable_items
    from cyclopean.io.image import read_photo

    light = (trees.room()[0] / 255.0) ** 2.2 * 40
    assert cv2.imwrite(str(tmp_path / "lamp.hdr"), light[..., ::-1].astype(np.float32))
    assert cv2.imwrite(str(tmp_path / "cut.hdr"), light[:, :50, ::-1].astype(np.float32))
    (tmp_path / "text.hdr").write_text("hello")
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "masks" / "lamp.png"), np.zeros(trees.SIZE, np.uint8))
    data = open_dataset(f"panoramas:{tmp_path}:masks={tmp_path / 'masks'}")
    assert len(data) == 3
    assert torch.equal(data[1].target.image, read_photo(tmp_path / "lamp.hdr").image)
    assert not data[1].target.valid.any()
    with pytest.raises(InputError, match=r"cut.hdr has 50x32 pixels; a panorama"):
        data[0]
    good, bad = usable_items(data)
    assert good == [0, 1]
    assert "text.hdr cannot be read as a picture" in bad[0]


def test_rendered_worlds_of_the_sphere_rig_are_read_as_panoramas(tmp_path):
    from cyclopean.synthetic.folder import RenderJob, write

    for _ in write(RenderJob(("room",), "sphere", 4, 1, LARGE), tmp_path):
        pass
    sample = open_dataset(f"folder:{tmp_path}")[0]
    assert isinstance(sample.target.camera, Equirectangular)
    assert [source.from_target[0, :3, 3].round(decimals=4).tolist() for source in sample.sources] == [
        pytest.approx([0, 0.26, 0], abs=1e-4),
        pytest.approx([-0.26, 0, 0], abs=1e-4),
    ]
    assert fits(sample)


@pytest.mark.skipif(not (REAL / "traced").is_dir(), reason="the traced scenes are not here")
def test_the_real_traced_panoramas_fit_their_depth():
    data = open_dataset(f"traced360:{REAL / 'traced'}")
    assert len(data) == 6
    assert all(misfit(data[n], k) < 0.2 * misfit(data[n], k, -1) for n in (0, 5) for k in (0, 1))


@pytest.mark.skipif(not (REAL / "pano_top_bottom").is_dir(), reason="the top-bottom pairs are not here")
def test_real_top_bottom_pairs_show_points_lower_from_above():
    from cyclopean.data.inspect import match

    data = open_dataset(f"topbottom:{REAL / 'pano_top_bottom'}:baseline=0.2")
    assert len(data) == 3
    for sample in data:
        across, down = np.median(match(sample.target.image, sample.sources[0].image)[1], 0)
        assert abs(across) < 1.5
        assert down < -5


def test_a_film_is_panoramas(tmp_path):
    """One frame a second, or as often as told, by its times; named and masked by its numbers."""
    path = tmp_path / "walk.mp4"
    film(path, (torch.full((1, 3, 32, 64), 0.2 + 0.008 * k) for k in range(65)))  # 30 a second
    data = open_dataset(f"panoramas:{path}")
    assert [s.name[0] for s in (data[k] for k in range(len(data)))] == ["walk/000000", "walk/000030", "walk/000060"]
    shades_seen = [float(data[k].target.image.mean()) for k in range(3)]
    assert shades_seen == pytest.approx([0.2, 0.44, 0.68], abs=0.02)
    assert bool(data[0].depth.isnan().all())
    assert isinstance(data[0].target.camera, Equirectangular)
    assert len(open_dataset(f"panoramas:{path}:every=0.5")) == 5
    mask = np.full((32, 64), 255, np.uint8)
    mask[:10] = 0
    (tmp_path / "masks" / "walk").mkdir(parents=True)
    Image.fromarray(mask).save(tmp_path / "masks" / "walk" / "000030.png")
    masked = open_dataset(f"panoramas:{path}:masks={tmp_path / 'masks'}")
    assert bool(masked[0].target.valid.all())
    assert float(masked[1].target.valid.float().mean()) == pytest.approx(22 / 32)
    for options in ("every=0", "every=x"):
        with pytest.raises(InputError, match="seconds above 0"):
            open_dataset(f"panoramas:{path}:{options}")
    with pytest.raises(InputError, match="not a film"):
        open_dataset(f"panoramas:{tmp_path}:every=2")
    assert named_panoramas(str(path)) == f"panoramas:{path}"
    wide = tmp_path / "wide.mp4"
    film(wide, (torch.rand(1, 3, 32, 96) for _ in range(3)))
    with pytest.raises(InputError, match="twice as wide"):
        open_dataset(f"panoramas:{wide}")[0]
