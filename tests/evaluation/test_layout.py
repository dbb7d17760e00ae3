"""One table in three faces, and the reports made of them."""

import json
import math
from dataclasses import replace

import pytest
from evaluation_parts import Items, guess, item, laser

from cyclopean.errors import InputError
from cyclopean.evaluation.evaluate import evaluate_variants
from cyclopean.evaluation.protocols import named_protocol
from cyclopean.evaluation.report import as_json, latex, markdown, screens, text
from cyclopean.evaluation.summary import Result, summarise
from cyclopean.evaluation.tables import Table, latex_text
from cyclopean.evaluation.trivial import guesses

TABLE = Table(("name", "δ1", "95 %"), (("a_b", "1.0", "0.1"), ("c", "22.0", "-")), 1, frozenset({1}))


def results() -> list[Result]:
    data = Items(item(laser(1), "one"), item(laser(2), "two"), InputError("three.png is empty"))
    rows, variants = [*guesses(), guess(scale=1.3)], named_protocol("kitti-eigen-raw")
    judged = evaluate_variants(rows, data, range(3), variants, {"guess": 0.8})
    return [
        Result("kitti", v, (v.far or 0.0,), tuple(summarise(m, rows)), tuple(m), c, 0, {"guess": 0.8})
        for v, (m, c) in zip(variants, judged, strict=True)
    ]


RESULTS = results()


def test_words_stand_left_and_numbers_right():
    assert TABLE.plain().splitlines() == [
        "name    δ1  95 %",
        "----  ----  ----",
        "a_b    1.0   0.1",
        "",
        "c     22.0     -",
    ]
    assert TABLE.markdown().splitlines()[:3] == ["| name | δ1 | 95 % |", "| --- | ---: | ---: |", "| a_b | 1.0 | 0.1 |"]


def test_names_that_would_steer_a_terminal_are_escaped_and_still_stand_in_their_columns():
    lines = Table(("name", "x"), (("a\x1b[31mb", "1"), ("c", "2")), 1).plain().splitlines()
    assert lines[2:] == [r"a\x1b[31mb  1", "c           2"]
    assert Table(("name", "x"), (("a\x1b[31mb", "1"),), 1).width == len(lines[2])


def test_latex_escapes_its_own_characters():
    lines = TABLE.latex().splitlines()
    assert lines[0] == r"\begin{tabular}{lrr}"
    assert lines[2] == r"name & $\delta$1 & 95 \% \\"
    assert lines[4] == r"a\_b & 1.0 & 0.1 \\"
    assert lines.count(r"\midrule") == 2
    assert latex_text("a\\b{c}~1 & #2") == r"a\textbackslash{}b\{c\}\textasciitilde{}1 \& \#2"


@pytest.mark.parametrize("face", [text, markdown, latex])
def test_every_face_says_all_of_it(face):
    at80, at50 = (face(result) for result in RESULTS)
    for page, result in ((at80, RESULTS[0]), (at50, RESULTS[1])):
        assert result.protocol.fingerprint() in page
        assert result.data_hash() in page
        assert "three.png is empty" in page
        assert "garg crop" in page
        assert f"{result.counts.cropped} outside the crop" in page
        for word in ("none", "factor", "median", "affine", "pooled", "bias", "AbsRel", "(constant)", "guess 0.8"):
            assert word in page
        row = next(r for r in result.rows if r.entry == "guess" and r.alignment == "median")
        assert f"{row.figures['abs_rel']:.4f}" in page
        assert f"{row.pooled['abs_rel']:.4f}" in page
    assert "50-80 m" in at80
    assert "50-80 m" not in at50
    assert "nan" not in at80.lower()


def test_screens_of_one_protocol_have_the_same_columns():
    def heads(pages):
        return [next(line for line in page.splitlines() if line.startswith("alignment")).split() for page in pages]

    first, second = RESULTS
    rows = tuple(replace(row, entry="g" * 28) if row.entry == "guess" else row for row in second.rows)
    long = replace(second, rows=rows, ambiguities={"g" * 28: "metric"})
    alone, narrow = heads(screens([first])), heads(screens([long]))
    assert "RMSElog" in alone[0]
    assert "RMSElog" not in narrow[0]
    assert heads(screens([first, long])) == 2 * narrow
    other = replace(first, protocol=named_protocol("worlds")[0])
    assert heads(screens([first, other, long]))[::2] == 2 * narrow
    assert all(len(line) <= 100 for page in screens([first, long]) for line in page.splitlines())


def test_many_groups_stand_in_the_json_only():
    few, many = (
        [replace(row, group=group) for row in RESULTS[0].rows for group in ("all", *(f"day{i}" for i in range(n)))]
        for n in (4, 5)
    )
    assert "day3" in text(replace(RESULTS[0], rows=tuple(few)))
    page = text(replace(RESULTS[0], rows=tuple(many)))
    assert "day3" not in page
    assert "JSON only" in page


def test_the_data_hash_follows_what_was_judged():
    at80, at50 = RESULTS
    assert at80.data_hash() != at50.data_hash()
    again = results()[0]
    assert again.data_hash() == at80.data_hash()
    assert replace(at80, images=at80.images[:8]).data_hash() != at80.data_hash()
    images = tuple(replace(one, image=f"stra\udcdfe {one.image}") for one in at80.images)  # names outside UTF-8
    assert len(replace(at80, images=images).data_hash()) == 12
    failed = replace(at80, counts=replace(at80.counts, failed={}))
    assert failed.data_hash() != at80.data_hash()


def test_json_holds_every_image_and_only_numbers():
    content = json.loads(json.dumps(as_json(RESULTS, ["cyclopean"]), allow_nan=False))
    first = content["results"][0]
    assert first["hashes"] == {"protocol": RESULTS[0].protocol.fingerprint(), "data": RESULTS[0].data_hash()}
    assert first["protocol"]["far"] == [80.0]
    assert first["counts"]["failed"] == {"item 2": "three.png is empty"}
    assert first["factors"] == {"guess": 0.8, "fitted": True}
    for name, models in first["per_image"].items():
        own = first["per_image_bands"]["images"][name]["guess"]["median"]
        assert sum(band[2] for band in own) == first["per_image_pixels"][name]
        mean = sum(band[2] * band[3] for band in own) / first["per_image_pixels"][name]
        assert models["guess"]["median"]["abs_rel"] == pytest.approx(mean)
        assert math.isfinite(models["guess"]["none"]["scale"])
