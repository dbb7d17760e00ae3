"""The step across the cube's faces as a figure, and every row of the tables trains and is judged."""

import json
from dataclasses import replace
from functools import partial

import pytest
import torch

import foreign_models
from cyclopean.augmentation import Steps
from cyclopean.bench.comparison import Comparison
from cyclopean.bench.distil import (
    BUDGETS,
    CLAIMS,
    DISTIL,
    ROWS,
    cube_step,
    figures,
    guarded,
    in_metres,
    taught_by,
)
from cyclopean.bench.distil_pictures import from_above
from cyclopean.bench.report import write_report
from cyclopean.errors import InputError
from cyclopean.geometry import CUBE, Equirectangular, pixel_grid
from cyclopean.sample import Sample, view
from filmed import blue_is_near

SIZE = (64, 128)
TINY = replace(BUDGETS["tiny"], size=(32, 64), scenes=3, held_out=3, steps=2)


def room() -> Sample:
    d = Equirectangular().rays(pixel_grid(SIZE, torch.zeros(())))
    depth = 1 / torch.stack([d[..., 0].abs() / 2, d[..., 1].abs(), d[..., 2].abs() / 3], -1).amax(-1)[:, None]
    return Sample(view(torch.rand(1, 3, *SIZE), Equirectangular()), (), depth, name=("room/000000",))


def test_the_cube_step_sees_faces_and_nothing_else():
    sample = room()
    rho = 1 / sample.depth
    noise = torch.exp(0.1 * torch.randn(rho.shape, generator=torch.Generator().manual_seed(0)))
    assert cube_step(rho, sample) == {}  # without an error there is no step
    assert cube_step(2 * rho, sample) == {}
    assert cube_step(rho * noise, sample)["cube_step"] == pytest.approx(1, abs=0.1)
    face, _ = CUBE.nearest(SIZE, 16, rho)
    stepped = rho * noise * torch.exp(0.3 * face.float())[None, None]
    assert cube_step(stepped, sample)["cube_step"] > 4
    assert cube_step(stepped.roll(16, -1), replace(sample, depth=sample.depth.roll(16, -1)))["cube_step"] < 4
    hidden = replace(sample, depth=torch.full_like(sample.depth, torch.nan))
    assert cube_step(rho, hidden) == {}
    inside = figures(rho * noise, sample)
    assert inside["abs_rel"] < 0.2
    outside = figures(rho * noise, replace(sample, name=("street/000000",)))
    assert {"abs_rel_outside", "delta1_outside", "cube_step"} <= set(outside)
    assert "abs_rel" not in outside


def test_metres_and_guarded_figures_say_what_they_are():
    """Beyond infinity is far where guarded; metres are not aligned, and only metric rows have them."""
    sample = room()
    rho = 1 / sample.depth
    sky = rho.clone()
    sky[..., 30:34, :8] = -3.0  # far beyond infinity, of what is 2 to 3 m away: 0.1 m, or 10 m
    assert guarded(rho, sample)["abs_rel"] == pytest.approx(0, abs=1e-5)
    assert guarded(sky, sample)["abs_rel"] > figures(sky, sample)["abs_rel"] + 0.001
    assert in_metres(rho, sample)["metres_abs_rel"] == pytest.approx(0, abs=1e-5)
    assert in_metres(2 * rho, sample)["metres_abs_rel"] == pytest.approx(0.5, abs=1e-5)
    assert figures(2 * rho, sample)["abs_rel"] == pytest.approx(0, abs=1e-5)
    assert {name for name, row in ROWS.items() if row.metric} >= {"metric", "metric-pseudo", "fine-tuned"}
    assert not any(ROWS[name].metric for name in ("alone", "pseudo", "unifuse"))


def test_points_from_above_stand_where_the_depth_puts_them():
    """A red ball ahead is in the upper half of the picture, one behind in the lower, one to the right on the right."""
    sample = room()
    d = Equirectangular().rays(pixel_grid(SIZE, torch.zeros(())))
    for axis, inside in (
        ((0.0, 0.3, 1.0), lambda y, x: y < 0.45 and abs(x - 0.5) < 0.05),
        ((0.0, 0.8, -1.0), lambda y, x: y > 0.55 and abs(x - 0.5) < 0.05),
        ((1.0, 0.3, 0.0), lambda y, x: x > 0.55),
    ):
        ball = (d @ torch.tensor(axis) / torch.tensor(axis).norm() > 0.97)[:, None]
        image = torch.where(ball, torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1), 0.2).expand(1, 3, -1, -1)
        drawn = from_above(replace(sample, target=replace(sample.target, image=image)), sample.depth)
        red = (drawn[..., 0] > 0.8) & (drawn[..., 1] < 0.2)
        assert red.any()
        y, x = (place.mean() / side for place, side in zip(red.nonzero(), red.shape, strict=True))
        assert inside(y, x), (axis, y, x)


def test_published_students_are_rows_by_name():
    """At equal work, narrow where panoramas are small; the others are what "all" means."""
    for student in ("unifuse", "bifuse++", "hohonet", "egformer"):
        rows = {name for name in ROWS if name.startswith(student)}
        assert rows == {student + end for end in ("", "-pseudo", "-metric", "-metric-pseudo")}
        assert not rows & set(DISTIL.of_all())
        for height, width in ((64, 0.25), (512, 1.0)):
            row = ROWS[f"{student}-pseudo"]
            with torch.device("meta"):
                method = row.make(replace(BUDGETS["small"], size=(height, 2 * height)))
            assert (method.arguments["network"], method.arguments["width"]) == (student, width)
    assert set(DISTIL.of_all()) >= {"alone", "pseudo", "fine-tuned"}


def test_rows_take_a_part_of_the_labelled_and_kinds_of_the_unlabelled(tmp_path, monkeypatch):
    """As the paper's sets of panoramas: a quarter of the rooms, and rooms or the outside alone."""
    seen: dict[str, tuple[int, set[str]]] = {}
    rows = ("few", "few-pseudo", "pseudo-rooms", "pseudo-outside", "pseudo")
    comparison = Comparison(DISTIL, tmp_path, replace(TINY, scenes=4, held_out=1), rows, accelerator="cpu", workers=1)
    for _ in comparison.data():
        pass

    def remember(method, feed, run, *_, **__):
        others = feed.augment.steps[-1].data if isinstance(feed.augment, Steps) else ()
        kinds = {others[n].name[0].partition("/")[0] for n in range(len(others))}
        seen[run.out.name.removesuffix("-0")] = len(feed.training), kinds
        return method

    monkeypatch.setattr("cyclopean.bench.comparison.fit", remember)
    monkeypatch.setattr("cyclopean.bench.distil.bulk.run", lambda *_: iter(()))  # no labels are looked at
    for row, seed in comparison.todo():
        comparison.do(row, seed)
    everywhere = {"room", "street", "landscape"}
    assert seen == {
        "few": (1, set()), "few-pseudo": (1, everywhere), "pseudo-rooms": (4, {"room"}),
        "pseudo-outside": (4, {"street", "landscape"}), "pseudo": (4, everywhere),
    }  # fmt: skip


def test_the_teacher_on_a_plain_cube(monkeypatch):
    """Planes at one depth on all faces: 1/radius is the largest component of the direction."""
    flat = replace(blue_is_near(), infer=lambda _method, view: torch.ones_like(view.seen[:, :1]))
    monkeypatch.setattr("cyclopean.bench.distil.predictor.load", lambda _name: flat)
    monkeypatch.setattr("cyclopean.bench.distil.mean_inverse_depth", lambda _rooms: torch.ones(1, 1, 2, 4))
    (cube,) = (guess for guess in DISTIL.guesses([room()]) if "plain cube" in guess.name)
    largest = Equirectangular().rays(pixel_grid(SIZE, torch.zeros(()))).abs().amax(-1)[:, None]
    assert (cube.predict(room()) - largest).abs().max() < 0.02


def test_stanfords_caps_do_not_count():
    """68 of 512 rows above and below, as in the zero-shot tables."""
    sample = room()
    inside = DISTIL.real_steps["stanford2d3d"](sample)
    assert inside.depth[..., :8, :].isnan().all()
    assert inside.depth[..., -8:, :].isnan().all()
    assert torch.equal(inside.depth[..., 8:-8, :], sample.depth[..., 8:-8, :])


def test_claims_name_rows():
    assert {name for claim in CLAIMS for name in (claim.ahead, claim.behind)} <= set(ROWS)


@pytest.mark.slow
@pytest.mark.timeout(1500)  # labels are most of it
def test_every_row_trains_and_stands_in_the_report(tmp_path):
    comparison = Comparison(DISTIL, tmp_path, TINY, DISTIL.of_all(), accelerator="cpu", workers=1)
    for _ in comparison.data():
        pass
    for row, seed in comparison.todo():
        comparison.do(row, seed)
    assert comparison.todo() == []
    paths = write_report(comparison, "cyclopean bench distil OUT", "a machine")
    sheets = ("errors.png", "clouds.png", "labels.png", "masks.png")
    assert {*sheets, "pictures.png", "course.png"} <= {path.name for path in paths}
    page = (tmp_path / "comparison.md").read_text()
    assert all(row.title in page for name, row in ROWS.items() if name in DISTIL.of_all())
    results = json.loads((tmp_path / "comparison.json").read_text())["results"]
    assert all("cube_step" in result["figures"] for result in results if "seconds" in result)
    closer = {r["row"]: r["figures"] for r in json.loads((tmp_path / "comparison.json").read_text())["closer"]}
    assert {name for name, f in closer.items() if "metres_abs_rel" in f} >= {"metric", "metric-pseudo", "fine-tuned"}
    assert "metres_abs_rel" not in closer["pseudo"]
    assert sorted(path.name for path in (tmp_path / "data" / "labels").iterdir()) == [
        "cube-0", "cube-45", "cube-45-unmasked", "tangent-45",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_foreign_teacher_and_a_published_student(tmp_path):
    """A model of transformers labels, through the bench; another one in the same folder is refused."""
    teacher = foreign_models.save("relative", tmp_path / "teacher")
    family = taught_by(str(teacher))
    tiny, rows = replace(TINY, size=(64, 128), scenes=2, held_out=2, steps=1), ("unmasked", "unifuse-pseudo")
    unmasked = replace(family, rows=family.rows | {
        "unifuse-pseudo": replace(
            family.rows["unifuse-pseudo"], prepare=partial(family.rows["unifuse-pseudo"].prepare, masked=False)
        )
    })  # fmt: skip
    comparison = Comparison(unmasked, tmp_path / "out", tiny, rows, accelerator="cpu", workers=1)
    for _ in comparison.data():
        pass
    for row, seed in comparison.todo():
        assert comparison.do(row, seed)["figures"]["abs_rel"] > 0
    about = json.loads((tmp_path / "out" / "data" / "labels" / "cube-45-unmasked" / "labels.json").read_text())
    assert "teacher" in about["teacher"]
    assert str(tmp_path / "teacher") not in family.about(tiny)
    assert "`relative` labelled" in family.about(tiny)
    assert comparison.trained("unifuse-pseudo", 0).arguments["width"] == 0.25
    again = Comparison(DISTIL, tmp_path / "out", replace(tiny, steps=2), ("unmasked",), accelerator="cpu", workers=1)
    (again.folder("unmasked", 0) / "result.json").unlink()
    with pytest.raises(InputError, match="made otherwise"):
        again.do("unmasked", 0)
