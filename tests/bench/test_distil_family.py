"""The step across the cube's faces as a figure, and every row of the tables trains and is judged."""

import json
from dataclasses import replace

import pytest
import torch

from cyclopean.bench.comparison import Comparison
from cyclopean.bench.distil import BUDGETS, CLAIMS, DISTIL, ROWS, cube_step, figures
from cyclopean.bench.report import write_report
from cyclopean.geometry import CUBE, Equirectangular, pixel_grid
from cyclopean.sample import Sample, view

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


def test_claims_name_rows():
    assert {name for claim in CLAIMS for name in (claim.ahead, claim.behind)} <= set(ROWS)


@pytest.mark.slow
@pytest.mark.timeout(1500)  # labels are most of it
def test_every_row_trains_and_stands_in_the_report(tmp_path):
    comparison = Comparison(DISTIL, tmp_path, TINY, tuple(ROWS), accelerator="cpu", workers=1)
    for _ in comparison.data():
        pass
    for row, seed in comparison.todo():
        comparison.do(row, seed)
    assert comparison.todo() == []
    write_report(comparison, "cyclopean bench distil OUT", "a machine")
    page = (tmp_path / "comparison.md").read_text()
    assert all(row.title in page for row in ROWS.values())
    results = json.loads((tmp_path / "comparison.json").read_text())["results"]
    assert all("cube_step" in result["figures"] for result in results if "seconds" in result)
    assert sorted(path.name for path in (tmp_path / "data" / "labels").iterdir()) == [
        "cube-0", "cube-45", "cube-45-unmasked", "tangent-45",
    ]  # fmt: skip
