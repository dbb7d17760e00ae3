"""Panoramas of published sets in miniature: poses, units and unknowns as each release defines them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import panorama_trees as trees
from cyclopean.data import open_dataset
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, reproject
from cyclopean.sample import Sample
from cyclopean.synthesis import pull

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


@pytest.mark.skipif(not (REAL / "traced").is_dir(), reason="the traced scenes are not here")
def test_the_real_traced_panoramas_fit_their_depth():
    data = open_dataset(f"traced360:{REAL / 'traced'}")
    assert len(data) == 6
    assert all(misfit(data[n], k) < 0.2 * misfit(data[n], k, -1) for n in (0, 5) for k in (0, 1))


@pytest.mark.skipif(not (REAL / "pano_top_bottom").is_dir(), reason="the top-bottom pairs are not here")
def test_real_top_bottom_pairs_show_points_lower_from_above():
    from cyclopean.data.matching import match

    data = open_dataset(f"topbottom:{REAL / 'pano_top_bottom'}:baseline=0.2")
    assert len(data) == 3
    for sample in data:
        across, down = np.median(match(sample.target.image, sample.sources[0].image).shift, 0)
        assert abs(across) < 1.5
        assert down < -5
