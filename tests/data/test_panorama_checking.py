"""What `cyclopean check` sees of panoramas: nothing wrong with good ones, and each fault once it is put in."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import panorama_trees as trees
from cyclopean.cli import _main as cyclopean
from cyclopean.data import open_dataset
from cyclopean.data.diagnose import as_json, problems, rows
from cyclopean.data.files import read_depth
from cyclopean.data.inspect import Inspection, examine, glow, measure, measure_panorama, roll_of, seam_step
from cyclopean.data.panoramas import TopBottomDataset
from cyclopean.geometry import Equirectangular, translation
from cyclopean.sample import Sample, View, view

SIZE = (128, 256)
REAL = Path(__file__).parents[3] / "shared" / "data"


@cache
def good(seed: int) -> Sample:
    """The room from the centre, from above and from the right, with its depth; a dark cupboard stands in it."""
    views = [colours(trees.room(place, SIZE, seed)[0]) for place in (trees.CENTRE, trees.UP, trees.RIGHT)]
    camera = Equirectangular()
    up, right = (translation(torch.tensor([t])) for t in ([0.0, 0.26, 0.0], [-0.26, 0.0, 0.0]))
    target, *sources = (view(image, camera, pose) for image, pose in zip(views, (None, up, right), strict=True))
    depth = torch.from_numpy(trees.room(size=SIZE, seed=seed)[1].copy())[None, None]
    return Sample(target, tuple(sources), depth, name=(str(seed),))


def colours(rgb: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(rgb.transpose(2, 0, 1).copy())[None].float() / 255


def painted(old: View, image: torch.Tensor) -> View:
    return replace(old, image=image, seen=image)


def kinds(samples: list[Sample]) -> list[str]:
    return [problem.kind for problem in problems(seen(samples))]


def seen(samples: list[Sample]) -> Inspection:
    return Inspection("mine", len(samples), (), tuple(measure(sample) for sample in samples))


def scaled(sample: Sample, factor: float) -> Sample:
    return replace(sample, depth=sample.depth * factor)


def clipped(sample: Sample) -> Sample:
    return replace(sample, depth=sample.depth.clamp(max=2.4))


def cut(sample: Sample) -> Sample:
    """Nine tenths of the turn, stretched to the full width."""
    part = sample.target.image[..., : round(0.85 * SIZE[1])]
    image = torch.nn.functional.interpolate(part, SIZE, mode="bilinear", align_corners=False)
    return Sample(painted(sample.target, image), (), torch.full_like(sample.depth, torch.nan), name=sample.name)


def lit_from_the_camera(sample: Sample) -> Sample:
    """As 3D60 is lit: light falls off by the square of the distance from the camera."""
    linear = sample.target.image**2.2 * (1.6 / sample.depth) ** 2
    return replace(sample, target=painted(sample.target, linear.clamp(0, 1) ** (1 / 2.2)), sources=())


def swapped(sample: Sample, number: int) -> Sample:
    """Target and one source change places, their poses do not."""
    other = sample.sources[number]
    target, source = painted(sample.target, other.image), painted(other, sample.target.image)
    return Sample(target, (source,), torch.full_like(sample.depth, torch.nan), name=sample.name)


def exchanged(sample: Sample) -> Sample:
    """The picture from above as that from the right, and the other way round."""
    up, right = sample.sources
    return replace(sample, sources=(painted(up, right.image), painted(right, up.image)))


def rolled_source(sample: Sample) -> Sample:
    up = painted(sample.sources[0], sample.sources[0].image.roll(4, -1))
    return replace(sample, sources=(up,))


def test_good_panoramas_pass_and_are_measured():
    samples = [good(seed) for seed in range(2)]
    assert kinds(samples) == []
    for sample in samples:
        sphere = measure_panorama(sample)
        assert [pair.vertical for pair in sphere.pairs] == [True, False]
        for pair in sphere.pairs:
            assert pair.factor == pytest.approx(1, abs=0.03)
            assert pair.off < 0.5
            assert pair.behind < 0.1
        assert sphere.below == pytest.approx(1.5, abs=0.05)
        assert sphere.seam < 1.2
        assert sphere.clipped < 0.001
    table = dict(rows(seen(samples)))
    assert table["panoramas"] == "2, 4 sources, 4 judged"
    assert table["motion / truth"].startswith("+1.0")


FAULTS = (
    (lambda s: scaled(s, 1000), {"calibration", "unit"}),
    (lambda s: scaled(s, 0.25), {"calibration", "unit"}),
    (lambda s: replace(scaled(s, 4), sources=()), {"unit"}),
    (clipped, {"clipped"}),
    (cut, {"seam"}),
    (lit_from_the_camera, {"glow"}),
    (lambda s: swapped(s, 0), {"swapped"}),
    (lambda s: swapped(s, 1), {"swapped"}),
    (exchanged, {"exchanged"}),
    (rolled_source, {"rows"}),
)


def test_each_fault_is_found():
    for number, (broken, expected) in enumerate(FAULTS):
        count = 4 if "glow" in expected else 2
        found = set(kinds([broken(good(seed)) for seed in range(count)]))
        assert expected <= found <= expected | {"calibration"}, number


def test_two_panoramas_do_not_tell_how_they_are_lit():
    assert kinds([lit_from_the_camera(good(seed)) for seed in range(2)]) == []


def test_what_is_said_of_a_fault():
    (problem,) = problems(seen([swapped(good(seed), 0) for seed in range(2)]))
    assert problem.sentence == (
        "2 of 2 panoramas show points moving up where the source should stand above: "
        "upper and lower picture are swapped (0, 1); swap the two pictures."
    )
    sentences = [problem.sentence for problem in problems(seen([scaled(good(0), 1000)]))]
    assert any("their floor 1.5e+03 m below the camera" in sentence for sentence in sentences)


def test_depth_that_was_rolled_against_its_picture_is_found():
    """Worlds have edges in depth that show in the picture, which an empty room lacks."""
    from cyclopean.synthetic import sample

    worlds = [sample("room", seed, SIZE, "sphere") for seed in (100, 103)]
    assert "rolled" not in kinds(worlds)
    turned = [replace(world, depth=world.depth.roll(64, -1), sources=()) for world in worlds]
    found = {problem.kind: problem.sentence for problem in problems(seen(turned))}
    assert "25.0% of the width further right than their picture" in found["rolled"]


def test_a_known_roll_is_measured_either_way():
    light = np.zeros((64, 128))
    for column in np.random.default_rng(0).choice(128, 12, replace=False):
        light[:, column : column + 3] = 1
    depth = 2 + light
    for by in (-40, -1, 0, 3, 60):
        assert roll_of(light, np.roll(depth, by, 1)) == by
    assert np.isnan(roll_of(light, np.full_like(depth, 3.0)))


def test_a_seam_is_like_any_other_column_and_light_at_the_camera_is_not_like_texture():
    rng = np.random.default_rng(0)
    light = rng.uniform(0.4, 0.6, (32, 64))
    assert seam_step(light) < 1.2
    pillar = light.copy()
    pillar[:12, 0] += 0.4
    assert seam_step(pillar) < 1.5
    light[:, 32:] += 0.4
    assert seam_step(light) > 3
    depth = rng.uniform(1, 5, (32, 64))
    assert abs(glow(rng.uniform(size=(32, 64)), depth)) < 0.15
    assert glow(1 / depth**2, depth) > 0.9
    assert glow(depth, depth) < -0.9
    assert np.isnan(glow(light, np.full_like(depth, np.nan)))


def test_pictures_without_texture_are_not_judged():
    sample = good(0)
    blank = torch.full_like(sample.target.image, 0.5)
    flat = replace(
        sample, target=painted(sample.target, blank), sources=tuple(painted(s, blank) for s in sample.sources)
    )
    sphere = measure_panorama(flat)
    assert [pair.matches for pair in sphere.pairs] == [0, 0]
    assert np.isnan(sphere.glow)
    assert "swapped" not in kinds([flat])
    assert as_json(seen([flat]))["looked_at"][0]["sphere"]["pairs"][0]["along"] is None


def test_the_command_tells_of_swapped_folders(tmp_path, capsys):
    trees.top_bottom(tmp_path, SIZE)
    assert cyclopean(["check", f"topbottom:{tmp_path}:baseline=0.26"]) == 0
    (tmp_path / "image_up").rename(tmp_path / "x")
    (tmp_path / "image_down").rename(tmp_path / "image_up")
    (tmp_path / "x").rename(tmp_path / "image_down")
    assert cyclopean(["check", f"topbottom:{tmp_path}:baseline=0.26"]) == 1
    assert "upper and lower picture are swapped" in capsys.readouterr().out
    assert [p.kind for p in problems(examine("x", TopBottomDataset(tmp_path, "0.26"), 5))] == ["swapped"]


def rewritten(path: Path, change) -> None:
    rgb = cv2.imread(str(path))
    assert cv2.imwrite(str(path), change(rgb))


def depths(root: Path, change) -> None:
    """Every depth file of the tree, changed."""
    for path in root.glob("*_depth.npz"):
        with np.load(path) as file:
            radius = file["depth"]
        np.savez(path, depth=change(radius.astype(np.float32)).astype(np.float16))


def exchange(root: Path, first: str, second: str) -> None:
    for path in root.glob(f"*_{first}.png"):
        other, spare = path.with_name(path.name.replace(first, second)), path.with_suffix(".spare")
        path.rename(spare)
        other.rename(path)
        spare.rename(other)


def light_at_the_camera(root: Path) -> None:
    for path in root.glob("*_centre.png"):
        with np.load(path.with_name(path.stem + "_depth.npz")) as file:
            fall = (1.6 / file["depth"].astype(np.float32)[..., None]) ** 2
        rewritten(path, lambda rgb, fall=fall: 255 * np.clip((rgb / 255) ** 2.2 * fall, 0, 1) ** (1 / 2.2))


def stretch(root: Path) -> None:
    for path in root.glob("*_centre.png"):
        rewritten(path, lambda rgb: cv2.resize(rgb[:, : round(0.85 * rgb.shape[1])], rgb.shape[1::-1]))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: depths(root, lambda depth: depth * 4), "floor 6 m below the camera"),
        (lambda root: depths(root, lambda depth: depth.clip(max=2.4)), "depth cut off"),
        (stretch, "do not close"),
        (light_at_the_camera, "brightness gives depth away"),
        (lambda root: exchange(root, "centre", "up"), "upper and lower picture are swapped"),
        (lambda root: exchange(root, "centre", "right"), "left and right are swapped"),
        (lambda root: exchange(root, "right", "up"), "as up and right exchanged"),
    ],
    ids=["unit", "clipped", "seam", "light", "centre-up", "centre-right", "up-right"],
)
def test_the_command_tells_of_each_fault(spoil, said, tmp_path, capsys):
    trees.traced360(tmp_path, SIZE, 4 if spoil is light_at_the_camera else 2)
    spoil(tmp_path)
    assert cyclopean(["check", f"traced360:{tmp_path}"]) == 1
    assert said in capsys.readouterr().out


def depth_of_3d60(root: Path, change) -> None:
    """Every depth file of the tree, changed."""
    for path in root.rglob("*_depth_*.exr"):
        trees.exr(path, change(read_depth(path)[0, 0].numpy()), "RGB")


UNITS = (
    (lambda depth: depth * 1000, "floor 1.5e+03 m below the camera"),
    (lambda depth: depth * 100, "floor 150 m below the camera"),
    (lambda depth: depth * 10, "floor 15 m below the camera"),
    (lambda depth: depth * 4, "floor 6 m below the camera"),
    (lambda depth: depth / 1000, "floor 0.0015 m below the camera"),
    (np.zeros_like, "2 of 2 panoramas have a depth file with hardly a known pixel"),
    (lambda depth: np.full_like(depth, 1e10), "2 of 2 panoramas have a depth file with hardly a known pixel"),
)


def test_a_wrong_unit_of_3d60_is_found_though_its_reader_drops_what_is_far(tmp_path):
    trees.threed60(tmp_path, SIZE)
    name = f"3d60:{tmp_path}"
    assert problems(examine(name, open_dataset(name), 5)) == []
    files = {path: path.read_bytes() for path in tmp_path.rglob("*_depth_*.exr")}
    for change, words in UNITS:
        depth_of_3d60(tmp_path, change)
        sentences = " ".join(problem.sentence for problem in problems(examine(name, open_dataset(name), 5)))
        assert words in sentences
        assert "depth cut off" not in sentences
        for path, content in files.items():
            path.write_bytes(content)


@pytest.mark.parametrize("kind", ["matterport3d", "stanford2d3d", "structured3d", "pano3d"])
def test_depth_files_that_know_nothing_are_found(kind, tmp_path, capsys):
    make, options = trees.TREES[kind]
    name = f"{kind}:{make(tmp_path)}{options}"
    assert "blank" not in [problem.kind for problem in problems(examine(name, open_dataset(name), 5))]
    for path in (path for path in tmp_path.rglob("*.*") if "depth" in path.relative_to(tmp_path).as_posix()):
        if path.suffix == ".exr":
            trees.exr(path, np.full(trees.SIZE, np.inf), "Z")
        else:
            cv2.imwrite(str(path), np.full(trees.SIZE, 65535, np.uint16))
    assert cyclopean(["check", name]) == 1
    assert "a depth file with hardly a known pixel" in capsys.readouterr().out


def test_a_few_gaps_in_a_render_are_no_fault(tmp_path):
    """Blender's number for nothing, 1e10, on a tenth of the picture."""
    trees.threed60(tmp_path, SIZE)
    depth_of_3d60(tmp_path, lambda depth: np.where(np.arange(SIZE[1]) < 26, 1e10, depth))
    name = f"3d60:{tmp_path}"
    assert problems(examine(name, open_dataset(name), 5)) == []


def test_the_command_finds_nothing_wrong_with_a_good_set(tmp_path, capsys):
    trees.traced360(tmp_path, SIZE)
    assert cyclopean(["check", f"traced360:{tmp_path}"]) == 0
    assert "Nothing wrong was found." in capsys.readouterr().out


@pytest.mark.skipif(not (REAL / "traced").is_dir(), reason="the traced scenes are not here")
def test_the_real_panoramas_pass():
    for name in (f"traced360:{REAL / 'traced'}", f"topbottom:{REAL / 'pano_top_bottom'}:baseline=0.2"):
        assert problems(examine(name, open_dataset(name), 3)) == []
