"""Every row of the spherical tables trains, is judged on truth and on remade views, and stands in the report."""

import json
import math
from dataclasses import replace

import pytest
import torch

from cyclopean.augmentation import rolled
from cyclopean.bench.comparison import Comparison
from cyclopean.bench.report import claim_table, table, write_report
from cyclopean.bench.sphere import BUDGETS, CLOSER, ROWS, SPHERE, START, closer, figures, near, remade
from cyclopean.data.folder import FolderDataset
from cyclopean.data.rendered import WorldsDataset
from cyclopean.evaluation.entries import Entry
from cyclopean.evaluation.evaluate import judge
from cyclopean.evaluation.protocols import named_protocol
from cyclopean.io.rendered_folder import SPHERE_BASELINE
from cyclopean.methods.base import Method
from cyclopean.sample import Sample
from cyclopean.training import checkpoint

TINY = replace(BUDGETS["tiny"], size=(32, 64))
SMALL = replace(SPHERE, judged_at=None)  # other data at the size of training


class Unlabelled:
    """Held-out rooms whose truth nobody knows, as pairs of real panoramas."""

    def __init__(self, data: FolderDataset) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Sample:
        sample = self.data[index]
        return replace(sample, depth=torch.full_like(sample.depth, torch.nan))


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    """Rooms of the smallest budget, rendered once."""
    out = tmp_path_factory.mktemp("comparison")
    list(Comparison(SMALL, out, TINY, ("ud",), workers=1).data())
    return out


def comparison(rooms, *rows: str) -> Comparison:
    held_out = FolderDataset(rooms / "data" / "held-out")
    real = {"labelled": held_out, "pairs": Unlabelled(held_out)}
    return Comparison(SMALL, rooms, TINY, rows, real=real, accelerator="cpu")


QUICK = ("tc6-circular", "sv", "lr-pull", "lr-disparity")
EVERY = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in ROWS]


@pytest.mark.parametrize("name", EVERY)
def test_every_row_trains_and_is_judged(name, rooms):
    c = comparison(rooms, name)
    result = c.do(name, 0)
    assert result["figures"]["abs_rel"] > result["figures"]["abs_rel_released"] > 0
    assert result["real"]["labelled"]["abs_rel_median"] > 0
    assert result["real"]["pairs"]["remade"] >= result["real"]["pairs"]["remade_best"] > 0
    assert "abs_rel" not in result["real"]["pairs"]
    assert c.todo() == []


def test_published_rows_are_trained_as_published(rooms):
    """AdaBound at 1e-4 all along, nothing clipped, from 5 m; so every row of the budget of that name."""
    seed = 7  # other tests train rows of the same names in this folder, by other budgets
    published = replace(TINY, how="published", learning_rate=1e-4)
    for name, budget in (("ud-published", TINY), ("ud-circular", published)):
        c = replace(comparison(rooms, name), budget=budget, real={})
        c.do(name, seed)
        state = torch.load(c.folder(name, seed) / "resume.pt", weights_only=True)
        (group,) = state["optimizer"]["param_groups"]
        assert (group["lr"], group["final_lr"], group["gamma"]) == (1e-4, 1e-3, 2e-3)
        assert (state["facts"]["schedule"], state["facts"]["clip"]) == ("constant", 0.0)
        method, _ = checkpoint.load(c.folder(name, seed) / "last")
        assert method.network.head.conv.bias.item() == pytest.approx(5, abs=0.01)
    full = BUDGETS["published"]
    assert (full.how, full.learning_rate, full.batch_size) == ("published", 1e-4, 16)
    assert full.batch_size * full.steps == 30 * full.scenes


def test_report(rooms):
    c = comparison(rooms, "ud", "tc6")
    for name, seed in c.todo():
        c.do(name, seed)
    page, values, *drawn = write_report(c, "cyclopean bench sphere OUT --budget tiny", "a machine")
    text = page.read_text()
    for part in ("TC 0.6", "(latitude mean)", "pairs, remade", f"{c.results()[0]['figures']['abs_rel']:.3f}"):
        assert part in text
    rows = json.loads(values.read_text())["results"]
    assert [r["row"] for r in rows][:2] == ["ud", "tc6"]
    assert len(rows) == 6
    assert table(SPHERE, rows).breaks == {2}
    names = ["course.png", "pictures.png", "pictures-labelled.png", "pictures-pairs.png"]
    assert [path.name for path in drawn] == names
    assert all(path.stat().st_size > 1000 for path in drawn)
    for part in ("| TC 0.6 ahead of UD |", "| not run |", "AbsRel after so many times", "| (truth) | 0.000 |"):
        assert part in text


def test_a_report_elsewhere_leaves_the_runs_alone(rooms, tmp_path):
    c = comparison(rooms, "ud")
    for name, seed in c.todo():
        c.do(name, seed)
    before = {path: path.stat().st_mtime_ns for path in rooms.rglob("*")}
    first = write_report(c, "a command", "a machine", tmp_path / "report")
    assert {path.parent for path in first} == {tmp_path / "report"}
    looked_at = (tmp_path / "report" / "closer.json").stat().st_mtime_ns
    assert write_report(c, "a command", "a machine", tmp_path / "report") == first
    assert (tmp_path / "report" / "closer.json").stat().st_mtime_ns == looked_at
    assert {path: path.stat().st_mtime_ns for path in rooms.rglob("*") if path in before} == before


def test_guesses_are_judged_once(rooms):
    c = comparison(rooms, "ud")
    first = c.guesses()
    assert [g["title"] for g in first][:2] == ["training mean", "latitude mean"]
    assert first == c.guesses()
    far = next(g for g in first if g["title"].startswith("everything"))
    assert far["figures"]["abs_rel"] > 2 * first[0]["figures"]["abs_rel"]


@pytest.fixture(scope="module")
def room() -> Sample:
    return WorldsDataset(("room",), "sphere", 5, (64, 128), 1)[0]


def test_figures_are_those_of_the_protocol(room):
    rho = 1 / (room.depth * 1.3)
    found = figures(rho, room)
    measured = judge(Entry("a", "metric", lambda _: rho), room, 20.0, named_protocol("spherical")[0])
    assert found["abs_rel"] == measured[0].figures["abs_rel"] == pytest.approx(0.3, rel=1e-4)
    assert found["abs_rel_median"] < 1e-5


def test_true_depth_remakes_the_view_above(room):
    """Better than depth off by a factor, and the best factor makes up for it: for baselines known from memory."""
    blind = replace(room, depth=torch.full_like(room.depth, torch.nan))
    right, far, wrong = (remade(rho, blind) for rho in (1 / room.depth, room.depth * 0 + 0.05, 0.5 / room.depth))
    assert right["remade"] < 0.7 * min(far["remade"], wrong["remade"])
    assert wrong["remade_best"] == pytest.approx(right["remade_best"], rel=0.05)
    assert 0.8 < right["covered"] <= 1


@pytest.mark.parametrize("name", ["ud", "tc6", "ud-disparity", "lr-magnitude"])
def test_rows_start_at_two_metres(name, room):
    """Of disparities where the rig sees depth well: elsewhere a degree is another depth."""
    torch.manual_seed(0)
    method = ROWS[name].make(replace(TINY, width=1.0))
    near(method)
    silence(method)
    with torch.no_grad():
        depth = 1 / method.predict(room.target).inverse_depth[0, 0]
    height, width = depth.shape
    assert float(depth[height // 2, width // 2]) == pytest.approx(START, rel=0.02)


def silence(method: Method) -> None:
    """The last layer says its bias only."""
    torch.nn.init.zeros_(method.network.head.conv.weight)


def test_signed_disparities_start_at_none(room):
    method = ROWS["lr-disparity"].make(TINY)
    near(method)
    silence(method)
    with torch.no_grad():
        rho = method.predict(room.target).inverse_depth
    assert float(rho.max()) == pytest.approx(1 / 20)
    assert math.degrees(SPHERE_BASELINE / START) == pytest.approx(7.45, abs=0.01)


def test_what_predicts_disparities_is_not_turned():
    turned = {name for name, row in ROWS.items() if row.augment is rolled}
    assert set(ROWS) - turned == {"lr-disparity", "lr-magnitude", "ud-disparity", "lr-not-turned"}


def test_a_closer_look_at_the_truth_and_at_all_too_far(room):
    truth, far = (closer(1 / (room.depth * factor), room) for factor in (1.0, 1.3))
    assert set(truth) == set(CLOSER) - {"seam"}
    for name in ("floor", "horizon", "ceiling", "near", "middle", "far"):
        assert truth[name] == pytest.approx(0, abs=1e-5)
        assert far[name] == pytest.approx(0.3, abs=1e-4)
    assert truth["variation"] == pytest.approx(1)
    assert far["variation"] == pytest.approx(1, abs=1e-3)
    assert closer(torch.full_like(room.depth, 0.5), room)["variation"] == 0
    assert truth["above"] < 0.8 * far["above"]
    assert truth["beside"] < 0.8 * far["beside"]


def test_a_closer_look_finds_where_it_is_wrong(room):
    half = room.depth.clone()
    half[..., 32:, :] *= 0.5
    found = closer(1 / half, room)
    assert found["floor"] == pytest.approx(0.5, abs=1e-5)
    assert found["ceiling"] == pytest.approx(0, abs=1e-5)
    assert 0.2 < found["horizon"] < 0.3


def test_a_seam_is_seen_at_the_seam_only(room):
    wave = torch.linspace(0, 2 * math.pi, 129)[:-1].sin() * 0.2
    smooth = closer(1 / (room.depth * (1 + wave)), room)["seam"]
    torn = closer(1 / (room.depth * (1 + wave.abs().cumsum(0) / 10)), room)["seam"]
    assert 0.5 < smooth < 2
    assert torn > 10
    assert closer(1 / (room.depth * (1 + wave)).roll(40, -1), replace(room, depth=room.depth.roll(40, -1)))["seam"] < 2


def test_claims_name_rows_that_there_are():
    assert {name for claim in SPHERE.claims for name in (claim.ahead, claim.behind)} <= set(ROWS)


def test_claims_are_judged_by_the_sign_of_each_figure():
    def result(row: str, abs_rel: float, delta1: float) -> dict:
        figures = {"abs_rel": abs_rel, "abs_rel_median": 0.2, "rmse": 1.0, "delta1": delta1}
        return {"row": row, "title": row, "figures": figures, "real": {}, "course": [], "seconds": 1.0}

    by_claim = {row[0]: row for row in claim_table(SPHERE, [result("ud", 0.1, 0.9), result("lr", 0.2, 0.8)]).rows}
    assert by_claim["UD ahead of LR"][2:] == (
        "0.100 / 0.200",
        "0.200 / 0.200",
        "1.000 / 1.000",
        "0.900 / 0.800",
        "2 of 4",
    )
    assert by_claim["TC 0.6 ahead of UD"][-1] == "not run"
