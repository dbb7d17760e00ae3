"""Depth judged without truth: what remakes the other view best is the truth, whatever is left open of it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from cyclopean.data.folder import FolderDataset
from cyclopean.errors import InputError
from cyclopean.evaluation.entries import Entry
from cyclopean.evaluation.trivial import guesses
from cyclopean.evaluation.view_synthesis import as_json, figures, has_truth, judge, screen, unmoved
from cyclopean.geometry import Equirectangular
from stereo_pairs import H, W, disparity, write_depth, write_pairs

TRUTH = torch.from_numpy(disparity() / (W * 0.1)).float()[None, None, :, None].expand(1, 1, H, W)


def known(name: str, ambiguity: str, factor: float = 1.0, offset: float = 0.0) -> Entry:
    return Entry(name, ambiguity, lambda _: factor * TRUTH + offset)


def test_the_truth_remakes_the_other_view_whatever_is_left_open(tmp_path):
    data = FolderDataset(write_pairs(tmp_path))
    assert not has_truth(data, range(len(data)))
    wavy = 1 + 0.4 * torch.sin(torch.arange(W) / 15)
    entries = [
        known("true", "metric"), known("scaled", "scale", 37.0), known("shifted", "affine", 5.0, 3.0),
        known("wrong scale", "metric", 1.5), Entry("wavy", "scale", lambda _: TRUTH * wavy),
        unmoved(), *guesses(),
    ]  # fmt: skip
    remade = judge(entries, "pairs", data, range(len(data)))
    rows = {row.entry: row for row in remade.rows}
    assert (remade.images, remade.failed) == (3, {})
    assert remade.seen > 0.8
    assert rows["true"].l1 < 0.01
    assert rows["true"].psnr > 35
    assert rows["true"].ssim > 0.98
    for name in ("scaled", "shifted"):
        assert rows[name].l1 < 1.5 * rows["true"].l1
    for name in ("wrong scale", "wavy", "un-warped", "constant"):
        assert rows[name].l1 > 3 * rows["true"].l1
        assert rows[name].ssim < rows["true"].ssim
    assert [rows[name].aligned for name in ("true", "scaled", "shifted", "un-warped", "ramp")] == [
        "as it is", "best factor", "best factor and offset", "as it is", "best factor",
    ]  # fmt: skip
    assert max(rows["true"].ratios.values())[2] < 0.5
    page = screen(remade)
    assert max(map(len, page.splitlines())) <= 100
    assert "true: L1 0." in page
    assert " ".join(page.split()).count("better than looking at no picture") >= 3
    assert page.index("true  ") < page.index("(un-warped)")
    assert as_json(remade)["rows"][0]["images"].keys() == {"000", "001", "002"}


def test_metres_of_a_pair_that_nobody_calibrated_are_aligned_too(tmp_path):
    write_pairs(tmp_path)
    (tmp_path / "calibration.json").write_text('{"focal": [1, 2], "baseline_m": 1}')
    data = FolderDataset(tmp_path)
    remade = judge([known("metric", "metric"), unmoved()], "pairs", data, [0])
    assert remade.rows[0].aligned == "best factor"
    assert remade.rows[0].l1 < 0.01


def test_figures_are_those_of_the_field():
    rng = np.random.default_rng(0)
    target = rng.random((40, 50, 3)).astype(np.float32)
    picture = (target + 0.1 * rng.normal(size=target.shape)).clip(0, 1).astype(np.float32)
    a, b = (torch.from_numpy(x).permute(2, 0, 1)[None] for x in (picture, target))
    found = figures(a, b, torch.ones(1, 1, 40, 50, dtype=torch.bool))
    assert found["psnr"] == pytest.approx(peak_signal_noise_ratio(target, picture, data_range=1), rel=1e-5)
    assert found["l1"] == pytest.approx(np.abs(picture - target).mean(), rel=1e-5)
    expected = structural_similarity(
        target, picture, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, channel_axis=2
    )
    assert found["ssim"] == pytest.approx(expected, abs=1e-4)
    part = torch.zeros(1, 1, 40, 50, dtype=torch.bool)
    part[..., 20:, :] = True
    assert figures(a, b, part)["l1"] == pytest.approx(np.abs(picture - target)[20:].mean(), rel=1e-5)


def test_what_cannot_be_judged_is_named_and_left_out_for_all(tmp_path):
    data = FolderDataset(write_pairs(tmp_path / "pairs"))
    samples = [data[0], data[1], data[2]]

    class Some:
        def __len__(self) -> int:
            return len(samples)

        def __getitem__(self, index: int):
            return samples[index]

        def far(self, _: int) -> float:
            return 80.0

    holes = Entry(
        "holes", "scale", lambda s: torch.where(TRUTH > 0.3, math.nan, TRUTH) if s.name[0] == "001" else TRUTH
    )
    remade = judge([holes, unmoved()], "some", Some(), range(3))
    assert (remade.images, list(remade.failed)) == (2, ["001"])
    assert "holes" in remade.failed["001"]
    everywhere = Entry("far off", "metric", lambda _: TRUTH * 100)
    with pytest.raises(InputError, match="fewest in far off"):
        judge([everywhere, unmoved()], "some", Some(), range(3))
    samples[0] = replace(samples[0], sources=())
    samples[1] = replace(samples[1], target=replace(samples[1].target, camera=Equirectangular()))
    remade = judge([unmoved()], "some", Some(), range(3))
    assert "neither true depth nor a second view" in remade.failed["000"]
    assert "panorama" in remade.failed["001"]
    write_depth(tmp_path / "pairs")
    assert has_truth(FolderDataset(tmp_path / "pairs"), range(3))
