"""Two results beside each other: what separates them is found again."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from evaluation_parts import Items, guess, item

from cyclopean.errors import InputError
from cyclopean.evaluation.compare import compare, load, tables
from cyclopean.evaluation.entries import Entry
from cyclopean.evaluation.evaluate import evaluate, fitted_factors
from cyclopean.evaluation.protocols import Protocol, named_protocol
from cyclopean.evaluation.report import as_json, notes
from cyclopean.evaluation.summary import Result, summarise
from cyclopean.evaluation.trivial import guesses

WORLDS = named_protocol("worlds")[0]


def depth(seed: int) -> np.ndarray:
    truth = np.linspace(3, 35, 30)[None] * np.ones((20, 1))
    return truth + seed


DATA = Items(*(item(depth(i), f"{i:02d}") for i in range(12)))


def measured(*models: Entry, data: Items = DATA) -> dict:
    """What `evaluate --json` would have written."""
    rows = [*guesses()[:1], *models]
    indices = range(len(data))
    factors = fitted_factors(models, data, indices, WORLDS)
    found, counts = evaluate(rows, data, indices, WORLDS, factors)
    result = Result("worlds/test", WORLDS, (80.0,), tuple(summarise(found, rows)), tuple(found), counts, 0, factors)
    result = replace(result, ambiguities={model.name: model.ambiguity for model in models})
    return json.loads(json.dumps(as_json([result], ["cyclopean", "evaluate"])))


def changed(model: Entry, change) -> Entry:
    """`model` with `change(sample, inverse depth)` for an answer."""
    return replace(model, predict=lambda s: change(s, model.predict(s)))


def test_a_wrong_unit_is_one_factor_for_the_whole_set():
    a, b = guess(), changed(guess(), lambda s, rho: rho / 3)
    (found,) = compare(measured(a), measured(b))
    parts = {change.alignment: change for change in found.changes}
    assert found.main == "none"
    assert parts["none"].difference > 1
    assert parts["none"].explained == pytest.approx(parts["none"].difference, rel=1e-4)
    assert parts["none"].interval[0] > 0
    assert parts["none"].b_better == 0
    for alignment in ("factor", "median", "affine"):
        assert parts[alignment].difference == pytest.approx(0, abs=1e-5)
    sentences, _ = tables(found)
    assert any("A is better" in s for s in sentences)
    assert any("one factor for the whole set" in s for s in sentences)
    assert found.images[0].scales[1] == pytest.approx(found.images[0].scales[0] / 3, rel=1e-4)


def test_the_verdict_is_under_an_alignment_that_fits_what_is_left_open():
    """Of a model without a scale, depth at face value says nothing; of a metric one it says most."""
    for ambiguity, main in (("metric", "none"), ("scale", "factor"), ("affine", "affine")):
        model = replace(guess(), ambiguity=ambiguity)
        (found,) = compare(measured(model), measured(changed(model, lambda s, rho: rho / 3)))
        assert found.main == main
        assert "none" in {change.alignment for change in found.changes}


def test_open_1_says_whose_scale_is_not_known():
    models = replace(guess(), name="metric"), replace(guess(), name="relative", ambiguity="scale")
    for shown, said in ((models, ["Alignment none: at face value; no scale is known of relative."]), (models[:1], [])):
        found, counts = evaluate(shown, DATA, range(2), Protocol())
        rows = tuple(summarise(found, shown))
        kinds = {model.name: model.ambiguity for model in shown}
        result = Result("test", Protocol(), (80.0,), rows, tuple(found), counts, 0, ambiguities=kinds)
        assert notes(result) == said


def test_wandering_scale_lies_between_factor_and_median():
    a = guess()
    b = changed(a, lambda s, rho: rho * np.exp(0.5 * (int(s.name[0]) % 3 - 1)))
    (found,) = compare(measured(a), measured(b))
    largest = max(found.changes, key=lambda change: change.explained)
    assert largest.by == "scale that varies between images"
    assert sum(change.explained for change in found.changes) == pytest.approx(found.changes[0].difference)


def test_a_fault_at_a_distance_shows_in_its_band_and_parts_add_up():
    a = guess()
    b = changed(a, lambda s, rho: torch.where(s.depth > 20, rho / 1.5, rho))
    (found,) = compare(measured(a), measured(b))
    difference = found.changes[0].difference
    parts = {edge: part["none"] for edge, _, part in found.bands}
    assert sum(parts.values()) == pytest.approx(difference)
    assert parts[20, 40] + parts.get((40, 80), 0) == pytest.approx(difference)
    assert sum(share for _, share, _ in found.bands) == pytest.approx(1)
    assert any("20-40 m" in s for s in tables(found)[0])


def test_one_bad_image_comes_first():
    a = guess()
    b = changed(a, lambda s, rho: rho.flip(-1) if s.name == ("07",) else rho)
    (found,) = compare(measured(a), measured(b), alignment="median")
    assert found.main == "median"
    assert found.images[0].image == "07"
    assert found.images[0].differences["median"] > 0.1
    assert all(abs(other.differences["median"]) < 1e-9 for other in found.images[1:])
    assert any("do not show" in s for s in tables(found)[0])  # one image of twelve is not evidence


def test_only_equal_images_are_compared():
    a, other = guess(), depth(3)
    other[:2] = np.nan
    changed_truth = Items(*DATA.samples[:3], item(other, "03"), *DATA.samples[4:10])
    (found,) = compare(measured(a), measured(a, data=changed_truth))
    assert {image.image for image in found.images} == {f"{i:02d}" for i in range(10)} - {"03"}
    remarks = " ".join(found.remarks)
    assert "9 images are in both" in remarks
    assert "2 only in A: 10, 11" in remarks
    assert "1 are left out here, since their numbers of counted pixels differ" in remarks
    assert found.changes[0].difference == pytest.approx(0, abs=1e-9)


def test_models_are_paired_by_name_or_as_asked():
    one, two = measured(guess(), guess(1, "other")), measured(guess(2), guess(3, "third"))
    assert [(c.a, c.b) for c in compare(one, two)] == [("guess", "guess")]
    assert [(c.a, c.b) for c in compare(one, two, ["other", "third"])] == [("other", "third")]
    assert [(c.a, c.b) for c in compare(measured(guess()), measured(guess(3, "third")))] == [("guess", "third")]
    with pytest.raises(InputError, match="did you mean 'third'"):
        compare(one, two, ["other", "thrid"])
    with pytest.raises(InputError, match="--model A,B"):
        compare(one, measured(guess(3, "third"), guess(3, "fourth")))
    with pytest.raises(InputError, match="alignment"):
        compare(one, two, alignment="medain")


def test_what_cannot_be_compared_is_told_in_words(tmp_path):
    one = measured(guess())
    two = json.loads(json.dumps(one))
    two["results"][0]["data"] = "nyu:elsewhere"
    with pytest.raises(InputError, match="share no data set"):
        compare(one, two)
    bare = '{"format": "cyclopean-evaluation"'
    for content, words in [
        ("{", "is not readable JSON"),
        ('{"format": "x"}', "is not a result"),
        ("[]", "is not a result"),
        (bare + "}", 'lacks some of data, per_image, protocol, rows in its "results"'),
        (bare + ', "results": [{"data": "x"}]}', "lacks some of"),
        (bare + ', "results": [3]}', "lacks some of"),
        (bare + ', "results": [], "photometric": [{}]}', "evaluated by view synthesis"),
    ]:
        (tmp_path / "a.json").write_text(content)
        with pytest.raises(InputError, match=words):
            load(tmp_path / "a.json")
    with pytest.raises(InputError, match="there is no file"):
        load(tmp_path / "none.json")
    rules = json.loads(json.dumps(one))
    rules["results"][0]["hashes"]["protocol"] = "0" * 12
    assert any("two versions" in remark for remark in compare(one, rules)[0].remarks)
