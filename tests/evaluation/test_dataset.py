"""Sets of images: equal images for every row, what fails is named, one factor for all, means and pools."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from evaluation_parts import Items, guess, item

from cyclopean.errors import InputError
from cyclopean.evaluation.entries import Entry
from cyclopean.evaluation.evaluate import evaluate, evaluate_variants, fitted_factors, judge
from cyclopean.evaluation.protocols import Protocol, named_protocol
from cyclopean.evaluation.summary import summarise
from cyclopean.evaluation.trivial import guesses, leave_one_out

WORLDS = named_protocol("worlds")[0]


def dense(seed: int, size: tuple[int, int] = (24, 32)) -> np.ndarray:
    """A wall with a near box and a strip of sky; the box moves with the seed."""
    depth = np.full(size, 30.0, np.float32) + np.linspace(0, 20, size[1], dtype=np.float32)
    depth[8:20, 4 + seed : 14 + seed] = 3 + 0.1 * seed
    depth[0] = np.inf
    return depth


DATA = Items(*(item(dense(i), f"street/{i}" if i % 2 else f"room/{i}") for i in range(6)))


def test_an_image_that_fails_for_one_is_left_out_for_all_and_the_rest_goes_on():
    holey = replace(
        guess(name="holey"), predict=lambda s: torch.full_like(s.depth, math.nan) if s.name[0] == "b" else s.depth
    )
    odd = replace(guess(name="odd"), predict=lambda s: s.nothing)
    bad = (InputError("c.png is empty"), item(dense(3), "d"), KeyError("P2"), item(dense(3), "f"))
    data = Items(item(dense(0), "a"), item(dense(1), "b"), *bad)
    assert evaluate([odd], data, [5], Protocol())[1].failed["f"].startswith("f failed in a way that nobody foresaw")
    measured, counts = evaluate([guess(), holey], data, range(5), Protocol())
    assert {m.image for m in measured} == {"a", "d"}
    assert {m.entry for m in measured} == {"guess", "holey"}
    assert counts.images == 2
    assert counts.failed.keys() == {"b", "item 2", "item 4"}
    assert "KeyError" in counts.failed["item 4"]
    assert "NaN" in counts.failed["b"]
    assert counts.failed["item 2"] == "c.png is empty"


def test_every_pixel_is_accounted_for():
    depth = dense(0, (375, 1242))
    depth[200, 100:150], depth[201, 100:140] = np.nan, 0.0
    depth[202:204, :] = 79.0
    (_, at80), (_, at50) = evaluate_variants([], Items(item(depth)), [0], named_protocol("kitti-eigen-raw"))
    for counts in (at80, at50):
        assert counts.pixels + counts.unknown + counts.far + counts.near + counts.cropped == depth.size
        assert counts.cropped == depth.size - (371 - 153) * (1197 - 44)
        assert counts.unknown == 50
        assert counts.near == 40
    assert (at80.far, at50.far >= 2 * (1197 - 44)) == (0, True)


def test_caps_share_one_prediction():
    calls = []
    model = guess()
    counted = replace(model, predict=lambda s: calls.append(s.name) or model.predict(s))
    results = evaluate_variants([counted], DATA, range(3), (WORLDS, Protocol(), replace(WORLDS, far=20.0)))
    assert len(calls) == 3
    for (measured, _), protocol in zip(results, (WORLDS, Protocol(), replace(WORLDS, far=20.0)), strict=True):
        alone, _ = evaluate([model], DATA, range(3), protocol)
        assert measured == alone


def test_one_factor_for_the_set_is_the_median_of_the_scales():
    sizes = (2.0, 4.0, 5.0, 8.0, 10.0)
    data = Items(*(item(dense(0), str(size)) for size in sizes))
    model = Entry("m", "scale", lambda s: float(s.name[0]) / torch.where(s.depth.isfinite(), s.depth, 30.0))
    factors = fitted_factors([model], data, range(5), WORLDS)
    assert factors == {"m": pytest.approx(5.0)}
    measured, _ = evaluate([model], data, range(5), WORLDS, factors)
    found = {(m.alignment, m.image): m.figures["abs_rel"] for m in measured}
    assert found["factor", "5.0"] == pytest.approx(0, abs=1e-6)
    assert found["factor", "4.0"] == pytest.approx(0.25, rel=1e-3)
    assert found["median", "4.0"] == pytest.approx(0, abs=1e-6)
    assert [m.figures["scale"] for m in measured if m.alignment == "none"] == pytest.approx(sizes)


def test_alignments_stand_side_by_side():
    """Named protocols show models under all four, open-1 under what their ambiguity allows and under none at all;
    guesses only under what theirs allows."""
    trivial, model, sample = guesses()[0], guess(ambiguity="affine"), DATA[0]
    assert [m.alignment for m in judge(model, sample, 80.0, WORLDS, 2.0)] == ["none", "factor", "median", "affine"]
    assert [m.alignment for m in judge(model, sample, 80.0, WORLDS)] == ["none", "median", "affine"]
    assert [m.alignment for m in judge(model, sample, 80.0, Protocol(), 2.0)] == ["none", "affine"]
    assert [m.alignment for m in judge(trivial, sample, 80.0, WORLDS, 2.0)] == ["factor", "median", "affine"]


def test_bands_by_numpy():
    model, truth = guess(scale=0.8), DATA[1].depth[0, 0].numpy().astype(float)
    (measured,) = (m for m in judge(model, DATA[1], 80.0, WORLDS) if m.alignment == "none")
    ours = np.clip(1 / model.predict(DATA[1])[0, 0].numpy().astype(float), 0.05, 80)
    assert [(b.near, b.far) for b in measured.bins] == [(2, 5), (20, 40), (40, 80)]
    for band in measured.bins:
        inside = (truth >= band.near) & (truth < band.far)
        error = (ours - truth)[inside]
        assert band.pixels == inside.sum()
        assert band.abs_rel == pytest.approx(np.mean(np.abs(error) / truth[inside]), rel=1e-5)
        assert band.bias == pytest.approx(np.mean(error / truth[inside]), rel=1e-4)
        assert band.rmse == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-5)
    assert sum(b.pixels for b in measured.bins) == measured.pixels == np.isfinite(truth).sum()


def test_edges_need_dense_truth_and_tell_sharp_from_soft():
    sharp = Entry("sharp", "scale", lambda s: 2 / torch.where(s.depth.isfinite(), s.depth, 80.0))
    soft = replace(sharp, predict=lambda s: torch.nn.functional.avg_pool2d(sharp.predict(s), 5, 1, 2, False, False))
    crisp, blurred = (
        {m.alignment: m.figures for m in judge(c, DATA[2], 80.0, WORLDS)}["median"] for c in (sharp, soft)
    )
    assert crisp["edge_f1"] == pytest.approx(1)
    assert crisp["edge_rel"] == pytest.approx(0, abs=1e-6)
    assert blurred["edge_f1"] < 0.8
    assert blurred["edge_rel"] > 1.2 * blurred["abs_rel"]
    sparse = dense(2)
    sparse[np.random.default_rng(0).random(sparse.shape) < 0.6] = np.nan
    assert "edge_f1" not in judge(sharp, item(sparse), 80.0, WORLDS)[0].figures


def test_figures_at_edges_are_of_the_images_that_have_edges():
    flat = item(np.full((24, 32), 9.0), "flat")
    data = Items(item(dense(0), "a"), flat, item(dense(2), "b"))
    measured, _ = evaluate([guess()], data, range(3), WORLDS)
    row = summarise(measured, [guess()])[0]
    values = [m.figures["edge_rel"] for m in measured if m.alignment == "none" and m.image != "flat"]
    assert row.edge_images == 2
    assert row.figures["edge_rel"] == pytest.approx(np.mean(values))
    assert row.images == 3


def test_pooled_figures_weigh_pixels_and_means_weigh_images():
    """The papers average over images; pooling all pixels is another number wherever truth is uneven."""
    thin = dense(1)
    thin[:, :10] = np.nan
    data, model = Items(item(dense(0), "full"), item(thin, "thin")), guess(scale=1.2)
    measured, _ = evaluate([model], data, range(2), WORLDS)
    row = summarise(measured, [model])[0]
    errors, squares = [], []
    for i in range(2):
        truth = data[i].depth[0, 0].numpy().astype(float)
        counts = np.isfinite(truth)
        ours = np.clip(1 / model.predict(data[i])[0, 0].numpy().astype(float), 0.05, 80)
        errors.append(np.abs(ours - truth)[counts] / truth[counts])
        squares.append(((ours - truth) ** 2)[counts])
    assert row.pooled["abs_rel"] == pytest.approx(np.concatenate(errors).mean(), rel=1e-5)
    assert row.pooled["rmse"] == pytest.approx(np.sqrt(np.concatenate(squares).mean()), rel=1e-5)
    assert row.figures["abs_rel"] == pytest.approx(np.mean([e.mean() for e in errors]), rel=1e-5)
    assert abs(row.pooled["abs_rel"] - row.figures["abs_rel"]) > 1e-4
    band = next(b for b in row.bins if b.near == 2)
    near = [m.bins[0] for m in measured if m.alignment == "none"]
    assert band.pixels == sum(b.pixels for b in near)
    assert band.abs_rel == pytest.approx(sum(b.pixels * b.abs_rel for b in near) / band.pixels)
    assert band.interval[0] <= band.abs_rel <= band.interval[1]


def test_a_mean_of_others_passes_over_what_cannot_be_read():
    mean = leave_one_out(Items(DATA[0], InputError("broken.npy"), DATA[2]), range(3))
    assert mean is not None
    assert mean.predict(DATA[0]).shape == (1, 1, 96, 128)
    for error in (InputError("broken.npy"), KeyError("broken.npy"), MemoryError("broken.npy")):
        assert leave_one_out(Items(DATA[0], error, DATA[2]), range(3)) is not None
        with pytest.raises(InputError, match=r"broken\.npy|item 0 needs more memory"):
            leave_one_out(Items(error), range(1))


def test_where_one_item_has_truth_there_is_no_mean_of_others():
    unknown = item(np.full((8, 12), np.nan), "b")
    assert leave_one_out(Items(DATA[0], unknown), range(2)) is None
