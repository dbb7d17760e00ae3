"""The protocol of panoramas: whole tables, its two caps, its trivial rows."""

import json

import numpy as np
import pytest
import torch
from evaluation_parts import Items, item

from cyclopean.data.rendered import WorldsDataset
from cyclopean.errors import InputError
from cyclopean.evaluation.compare import compare
from cyclopean.evaluation.entries import Entry, one_look, open_entry
from cyclopean.evaluation.evaluate import evaluate, judge
from cyclopean.evaluation.protocols import named_protocol
from cyclopean.evaluation.report import as_json
from cyclopean.evaluation.report import text as text_
from cyclopean.evaluation.summary import Result, summarise
from cyclopean.evaluation.trivial import guesses, latitude_mean
from cyclopean.geometry import Equirectangular
from cyclopean.inference.predictor import load
from cyclopean.io.image import resize
from cyclopean.metrics import sphere_errors
from cyclopean.sample import Sample, view

SIZE = (32, 64)
WIDE, NARROW = named_protocol("spherical")


def panorama(seed: int, name: str = "a") -> Sample:
    """A panorama with depth from 1 to 25 m, some of it unknown."""
    rng = torch.Generator().manual_seed(seed)
    depth = 1 + 24 * torch.rand(1, 1, *SIZE, generator=rng) ** 2
    depth[torch.rand(1, 1, *SIZE, generator=rng) < 0.1] = torch.nan
    return Sample(view(torch.rand(1, 3, *SIZE, generator=rng), Equirectangular()), (), depth, name=(name,))


def wrong(times: float) -> Entry:
    """The truth, wrong by noise and by a factor."""

    def predict(sample: Sample) -> torch.Tensor:
        noise = torch.randn(sample.depth.shape, generator=torch.Generator().manual_seed(7))
        return 1 / (sample.depth.nan_to_num(5.0) * (0.2 * noise).exp() * times)

    return Entry(f"wrong {times}", "metric", predict)


@pytest.mark.parametrize("protocol", [WIDE, NARROW], ids=lambda p: f"{p.far:g} m")
def test_figures_are_those_of_the_sphere(protocol):
    sample = panorama(0)
    counts = (sample.depth < protocol.far)[0, 0]
    depth = 1 / wrong(1.2).predict(sample)[0, 0].double().clamp(min=1 / protocol.far)
    expected = sphere_errors(depth, sample.depth[0, 0].double(), counts)
    measured = judge(wrong(1.2), sample, 80.0, protocol)
    assert [m.alignment for m in measured] == ["none", "median"]
    for key in protocol.shown:
        assert measured[0].figures[key] == pytest.approx(float(getattr(expected, key)), rel=1e-5)
    assert measured[1].figures["abs_rel"] < measured[0].figures["abs_rel"]
    assert measured[0].pixels == int(counts.sum()) > measured[0].weight > 0.5 * int(counts.sum())


def test_a_picture_that_is_no_panorama_is_refused():
    with pytest.raises(InputError, match="is not a panorama"):
        judge(wrong(1.0), item(np.full(SIZE, 3.0)), 80.0, WIDE)


def test_tables_and_pooled_figures():
    """Pooled: by the solid angle of what is known, so that it is that of both panoramas set side by side."""
    data = Items(panorama(0, "a"), panorama(1, "b"), far=20.0)
    data.samples[1].depth[..., :, 20:] = torch.nan
    rows = [*guesses(), wrong(1.2)]
    measured, counts = evaluate(rows, data, range(2), WIDE)
    summary = summarise(measured, rows)
    row = next(r for r in summary if r.entry == "wrong 1.2" and r.alignment == "none")
    own = [m for m in measured if m.entry == "wrong 1.2" and m.alignment == "none"]
    pooled = sum(m.weight * m.figures["abs_rel"] for m in own) / sum(m.weight for m in own)
    assert row.pooled["abs_rel"] == pytest.approx(pooled)
    assert "abs_rel_released" not in row.pooled
    result = Result("two", WIDE, (20.0,), tuple(summary), tuple(measured), counts, 0)
    text = text_(result)
    assert "AbsRel as released" in text
    assert "solid angle" in text
    assert "affine" not in text


def test_the_mean_of_latitudes_does_not_turn():
    mean = torch.rand(1, 1, 4, 8)
    guess = latitude_mean(mean)
    rho = guess.predict(panorama(0))
    assert guess.trivial
    torch.testing.assert_close(rho, latitude_mean(mean.roll(3, -1)).predict(panorama(0)))
    torch.testing.assert_close(rho.mean(-1), mean.mean(-1))


def test_bands_of_distance_make_up_the_whole():
    """Their errors weighed by their part of the sphere are AbsRel and RMSE of the picture."""
    found = judge(wrong(1.2), panorama(0), 80.0, WIDE)[0]
    assert sum(band.weight for band in found.bins) == pytest.approx(found.weight)
    assert sum(band.pixels for band in found.bins) == found.pixels
    for key, power in (("abs_rel", 1), ("rmse", 2)):
        total = sum(band.weight * getattr(band, key) ** power for band in found.bins) / found.weight
        assert total ** (1 / power) == pytest.approx(found.figures[key])


def test_a_difference_falls_on_bands():
    """What separates two models on panoramas: the parts of the bands add up to the difference."""
    data = Items(panorama(0, "a"), panorama(1, "b"), far=20.0)
    results = []
    for entry in (wrong(1.0), wrong(1.3)):
        measured, counts = evaluate([entry], data, range(2), WIDE)
        rows = tuple(summarise(measured, [entry]))
        results.append(Result("two", WIDE, (20.0,), rows, tuple(measured), counts, 0))
    a, b = (json.loads(json.dumps(as_json([r], ["evaluate"]))) for r in results)
    found = compare(a, b)[0]
    change = next(c for c in found.changes if c.alignment == "none")
    assert change.difference > 0.05
    assert sum(parts["none"] for *_, parts in found.bands) == pytest.approx(change.difference, rel=1e-6)


def test_medians_of_the_whole_panorama_as_released():
    """torch's medians of all that is known, farther than 20 m too, nothing clipped; sums divided by how many count."""
    protocol = named_protocol("spherical-released")[0]
    sample, entry = panorama(11), wrong(0.4)
    depth = sample.depth[0, 0].numpy().astype(np.float64)
    ours = 1 / entry.predict(sample)[0, 0].numpy().astype(np.float64)
    ours[5, 5], depth[5, 5] = 400.0, 15.0
    sample.depth[0, 0, 5, 5] = 15.0
    known, counts = ~np.isnan(depth), depth < 20
    low = (known.sum() - 1) // 2
    scale = np.sort(depth[known])[low] / np.sort(ours[known])[low]
    assert scale != pytest.approx(np.median(depth[counts]) / np.median(ours[counts]), rel=1e-3)
    weight = np.broadcast_to(np.sin(np.arange(SIZE[0]) / SIZE[0] * np.pi)[:, None], SIZE)[counts]
    entry = Entry("given", "metric", lambda _: torch.from_numpy(1 / ours)[None, None])
    found = {m.alignment: m.figures for m in judge(entry, sample, 20.0, protocol)}
    for alignment, times in (("none", 1.0), ("median", scale)):
        gt, z = depth[counts], ours[counts] * times
        expected = {
            "abs_rel_released": np.sum(weight * np.abs(z - gt) / gt) / counts.sum(),
            "sq_rel_released": np.sum(weight * (z - gt) ** 2 / gt) / counts.sum(),
            "rmse_released": np.sqrt(np.sum(weight * (z - gt) ** 2) / counts.sum()),
            "rmse_log_released": np.sqrt(np.sum(weight * np.log(z / gt) ** 2) / counts.sum()),
        }
        assert {key: found[alignment][key] for key in expected} == pytest.approx(expected, rel=1e-5), alignment


def test_one_look_is_the_network_alone():
    """As papers judge theirs: at the size of training, without a second look, without details."""
    predictor = load("panorama")
    sample = WorldsDataset(("room",), "sphere", 3, (96, 192), 1)[0]
    once = one_look("panorama")
    image = resize(sample.target.image, predictor.input_size)
    with torch.no_grad():
        expected = predictor.method.predict(view(image, Equirectangular())).inverse_depth
    torch.testing.assert_close(once.predict(sample), expected)
    usual = open_entry("panorama").predict(sample)
    assert (resize(usual, predictor.input_size) / expected - 1).abs().mean() > 0.01
    assert (once.name, once.ambiguity) == ("panorama, one look", "metric")
    with pytest.raises(InputError, match="for ordinary photos"):
        one_look("general")
    with pytest.raises(InputError, match="not a panorama"):
        once.predict(item(np.ones((8, 16))))
