"""The protocol against plain numpy, and what a bootstrap must do."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from cyclopean.errors import InputError
from cyclopean.evaluation.entries import Entry
from cyclopean.evaluation.evaluate import evaluate, judge
from cyclopean.evaluation.protocols import Protocol
from cyclopean.evaluation.report import as_json, markdown, text
from cyclopean.evaluation.summary import Result, summarise
from cyclopean.evaluation.trivial import guesses
from cyclopean.geometry import Pinhole, translation
from cyclopean.sample import Sample, view

CAMERA = Pinhole(torch.tensor([[0.8, 1.2]]), torch.full((1, 2), 0.5))
OFF = Pinhole(torch.tensor([[0.8, 1.2]]), torch.tensor([[0.9, 0.5]]))
H, W = 12, 20


class Scenes:
    """Random scenes with unknown, sky, too far and too near pixels; the last one has nothing that counts."""

    def __init__(self, count: int = 5) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng(index)
        depth = rng.uniform(1, 30, (H, W)).astype(np.float32)
        depth[0], depth[1, :5], depth[2, 0] = np.inf, np.nan, 0.05
        if index == self.count - 1:
            depth[:] = np.inf
        image = torch.zeros(1, 3, H, W)
        right = view(image, OFF, translation(torch.tensor([[-25.0, 0.0, 0.0]])))
        name = f"{'even' if index % 2 == 0 else 'odd'}/{index}"
        return Sample(view(image, CAMERA), (right,), torch.from_numpy(depth)[None, None], name=(name,))

    def far(self, index: int) -> float:
        return 20.0


def noisy(ambiguity: str = "metric") -> Entry:
    def predict(sample: Sample) -> torch.Tensor:
        noise = torch.from_numpy(np.random.default_rng(7).lognormal(0, 0.4, (1, 1, H, W)).astype(np.float32))
        return noise / torch.where(sample.depth.isfinite(), sample.depth, 30.0)

    return Entry("noisy", ambiguity, predict)


def by_numpy(truth: np.ndarray, rho: np.ndarray, alignment: str) -> dict[str, float]:
    """The issue's rules, written once more without torch."""
    counts = (truth > 0.1) & (truth < 20)
    z, r = truth[counts].astype(np.float64), rho[counts].astype(np.float64)
    if alignment == "affine":
        a, b = np.linalg.lstsq(np.stack([r, np.ones_like(r)], 1), 1 / z, rcond=None)[0]
        d = 1 / np.maximum(a * r + b, 1 / 20)
    else:
        d = 1 / r
        d = d * np.median(z) / np.median(d) if alignment == "median" else d
    d = np.clip(d, 0.05, 20)
    factor, shift = W * 0.8 * 25, W * 0.4
    real, ours = factor / z - shift, factor / d - shift
    seen = real > 0
    off = np.abs(ours - real)[seen]
    return {
        "abs_rel": float(np.mean(np.abs(d - z) / z)),
        "rmse": float(np.sqrt(np.mean((d - z) ** 2))),
        "delta1": float(np.mean(np.maximum(d / z, z / d) < 1.25)),
        "d1": float(np.mean((off >= 3) & (off / real[seen] >= 0.05))),
    }


def test_figures_are_those_of_plain_numpy():
    data = Scenes()
    entries = [noisy(), guesses()[1]]
    measured, counts = evaluate(entries, data, range(5), Protocol())
    assert {(m.entry, m.alignment) for m in measured} == {
        ("noisy", "none"), ("noisy", "median"), ("noisy", "affine"), ("ramp", "median"), ("ramp", "affine")
    }  # fmt: skip
    for m in measured:
        index = int(m.image.split("/")[1])
        entry = entries[0] if m.entry == "noisy" else entries[1]
        sample = data[index]
        expected = by_numpy(sample.depth[0, 0].numpy(), entry.predict(sample)[0, 0].numpy(), m.alignment)
        assert {key: m.figures[key] for key in expected} == pytest.approx(expected, rel=1e-6)
    truths = np.concatenate([data[i].depth.numpy().ravel() for i in range(5)])
    assert counts.images == 4
    assert counts.left_out == ("even/4",)
    assert counts.pixels == int(((truths > 0.1) & (truths < 20)).sum())
    assert counts.unknown == int(np.isnan(truths).sum())
    assert counts.far == int((truths >= 20).sum())
    assert counts.near == int((truths <= 0.1).sum())


def test_ambiguity_decides_what_is_judged():
    """Without any alignment always: an alignment hides what it takes away."""
    sample = Scenes()[0]
    for ambiguity, fitting in [
        ("metric", ["median", "affine"]),
        ("scale", ["median", "affine"]),
        ("affine", ["affine"]),
    ]:
        assert [m.alignment for m in judge(noisy(ambiguity), sample, 20.0, Protocol())] == ["none", *fitting]


def test_a_small_prediction_is_resized_and_a_broken_one_refused():
    sample = Scenes()[0]
    half = torch.tensor([1.0, 3.0])[None, None, None].expand(1, 1, 2, 2)
    weight = ((torch.arange(W) + 0.5) / W * 2 - 0.5).clamp(0, 1)  # of the right one, at each column's centre
    small = Entry("small", "scale", lambda _: half)
    large = Entry("large", "scale", lambda s: (1 + 2 * weight).expand_as(s.depth))
    figures = [judge(c, sample, 20.0, Protocol())[0].figures for c in (small, large)]
    assert figures[0] == pytest.approx(figures[1], rel=1e-6)
    broken = Entry("broken", "scale", lambda s: torch.full_like(s.depth, math.nan))
    with pytest.raises(InputError, match=r"broken has no depth on even.0 at 130 of 130 pixels"):
        judge(broken, sample, 20.0, Protocol())


def test_unaligned_zero_inverse_depth_is_clipped_to_far():
    sample = Scenes()[0]
    sky = Entry("sky", "metric", lambda s: torch.zeros_like(s.depth))
    truth = sample.depth[(sample.depth > 0.1) & (sample.depth < 20)].double()
    figures = judge(sky, sample, 20.0, Protocol())[0].figures
    assert figures["abs_rel"] == pytest.approx(float(((20 - truth) / truth).mean()))


def test_summary_pools_groups_and_compares_on_equal_images():
    entries = [noisy("scale"), *guesses()]
    measured, _ = evaluate(entries, Scenes(20), range(20), Protocol())
    rows = summarise(measured, entries, seed=1)
    assert rows == summarise(measured, entries, seed=1)
    find = {(r.entry, r.alignment, r.group): r for r in rows}
    ours, ramp = find["noisy", "median", "all"], find["ramp", "median", "all"]
    values = [m.figures["abs_rel"] for m in measured if (m.entry, m.alignment) == ("noisy", "median")]
    assert ours.figures["abs_rel"] == pytest.approx(np.mean(values))
    assert find["noisy", "median", "even"].images + find["noisy", "median", "odd"].images == ours.images == 19
    low, high = ours.intervals["abs_rel"]
    assert low < ours.figures["abs_rel"] < high
    assert high - low == pytest.approx(2 * 1.96 * np.std(values) / math.sqrt(19), rel=0.25)
    assert ours.ratios["ramp"][0] == pytest.approx(ours.figures["abs_rel"] / ramp.figures["abs_rel"])
    assert ramp.ratios["ramp"] == (1, 1, 1)
    best = min(find[g.name, "median", "all"].figures["abs_rel"] for g in guesses())
    assert ours.best_ratio()[0] == pytest.approx(ours.figures["abs_rel"] / best)


def test_d1_of_a_group_needs_a_pair_for_every_image():
    class Mixed(Scenes):
        def __getitem__(self, index: int) -> Sample:
            sample = super().__getitem__(index)
            return sample if index % 2 else replace(sample, sources=())

    measured, _ = evaluate([noisy()], Mixed(), range(4), Protocol())
    found = {row.group: "d1" in row.figures for row in summarise(measured, [noisy()])}
    assert found == {"all": False, "even": False, "odd": True}


def test_a_model_alone_has_no_ratio():
    measured, _ = evaluate([noisy()], Scenes(3), range(3), Protocol())
    assert all(row.best_ratio() is None for row in summarise(measured, [noisy()]))


def test_tables_say_what_was_counted():
    entries = [noisy(), *guesses()]
    measured, counts = evaluate(entries, Scenes(), range(5), Protocol())
    result = Result("scenes", Protocol(), (20.0,), tuple(summarise(measured, entries)), tuple(measured), counts, 0)
    for table in (text(result), markdown(result)):
        assert "4 images" in table
        assert "1 image left out" in table
        assert f"{counts.pixels} pixels with truth in (0.1 m, 20 m)" in table
        assert "(constant)" in table
    content = as_json([result], ["cyclopean", "evaluate", "--data", "my scenes"])
    assert content["command"] == "cyclopean evaluate --data 'my scenes'"
    assert content["results"][0]["protocol"]["name"] == "open-1"
    one = next(m for m in measured if (m.entry, m.alignment, m.image) == ("noisy", "median", "odd/1"))
    assert content["results"][0]["per_image"]["odd/1"]["noisy"]["median"] == one.figures
