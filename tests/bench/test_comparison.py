"""Every row of the comparison trains, is judged, and resumes; the page says what was measured."""

import json
import os
import signal
from dataclasses import replace

import pytest
import torch

from cyclopean.bench.comparison import Comparison, Sized, resized_for
from cyclopean.bench.family import Family, alone
from cyclopean.bench.report import write_report
from cyclopean.bench.stereo import BUDGETS, ROWS, STEREO, far, figures, rig
from cyclopean.data.folder import FolderDataset
from cyclopean.geometry import Pinhole, translation
from cyclopean.methods.base import Method
from cyclopean.methods.monodepth import Monodepth
from cyclopean.sample import Sample, view
from cyclopean.training import checkpoint

CAMERA = Pinhole(torch.tensor([[0.7, 0.7]]), torch.tensor([[0.5, 0.5]]))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Streets of the smallest budget, rendered once."""
    out = tmp_path_factory.mktemp("comparison")
    list(Comparison(STEREO, out, BUDGETS["tiny"], ("lr",), workers=1).data())
    return out


def test_all_pairs_have_one_rig(data):
    sample = FolderDataset(data / "data" / "train")[0]
    focal, baseline = rig()
    assert sample.target.camera.focal[0, 0].item() == pytest.approx(focal, rel=1e-5)
    assert sample.sources[0].from_target[0, 0, 3].item() == pytest.approx(-baseline, rel=1e-5)


QUICK = ("lr", "elsewhere-first-pp", "nearest", "deep3ds", "stereo", "twin", "supervised")
EVERY = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in ROWS]


@pytest.mark.parametrize("name", EVERY)
def test_every_row_trains_and_is_judged(name, data):
    held_out = FolderDataset(data / "data" / "held-out")
    c = Comparison(STEREO, data, BUDGETS["tiny"], (name,), real={"again": held_out}, workers=1, accelerator="cpu")
    list(c.data())
    result = c.do(name, 0)
    assert result["figures"]["abs_rel"] > 0
    assert result["real"]["again"]["abs_rel_median"] > 0
    assert {"d1", "delta2", "delta3"} <= result["figures"].keys()
    assert c.todo() == []
    assert json.loads((c.folder(name, 0) / "result.json").read_text()) == json.loads(json.dumps(result))


def test_a_cut_row_goes_on_where_it_stopped(data, tmp_path):
    """Interrupted at the end of its first epoch; what comes out is what an uncut run says, its course too."""
    budget, cut = replace(BUDGETS["tiny"], steps=6), []

    def interrupting(rho: torch.Tensor, sample: Sample) -> dict[str, float]:
        if not cut:
            cut.append(True)
            os.kill(os.getpid(), signal.SIGINT)
        return figures(rho, sample)

    def comparison(name: str, family: Family = STEREO) -> Comparison:
        (tmp_path / name).mkdir(exist_ok=True)
        if not (tmp_path / name / "data").exists():
            (tmp_path / name / "data").symlink_to(data / "data")
        return Comparison(family, tmp_path / name, budget, ("lr",), accelerator="cpu")

    with pytest.raises(KeyboardInterrupt):
        comparison("cut", replace(STEREO, figures=interrupting)).do("lr", 0)
    assert torch.load(tmp_path / "cut" / "runs" / "lr-0" / "resume.pt", weights_only=True)["step"] < 6
    assert comparison("cut").todo() == [("lr", 0)]
    resumed, uncut = (comparison(name).do("lr", 0) for name in ("cut", "uncut"))
    assert resumed["figures"] == uncut["figures"]
    assert resumed["course"] == uncut["course"]
    assert len(uncut["course"]) == 3


def test_other_data_is_shown_at_the_size_of_training(data):
    """A square photograph to a network trained on wide ones: stretched, as published evaluations do."""
    shown = []

    def looking(method: Method, sample: Sample) -> torch.Tensor:
        shown.append(tuple(sample.target.seen.shape[-2:]))
        return alone(method, sample)

    rows = {"lr": ROWS["lr"], "looking": replace(ROWS["lr"], predict=looking, trained_as="lr")}
    square = FolderDataset(data / "data" / "held-out")
    wide = replace(BUDGETS["tiny"], size=(64, 128))
    c = Comparison(replace(STEREO, rows=rows), data, wide, ("looking",), real={"square": square}, accelerator="cpu")
    judged = c.do("looking", 0)["real"]["square"]
    assert {(64, 128), (64, 64)} == set(shown)  # the other ones are held out: rendered square here
    assert judged["abs_rel_median"] > 0


def test_report(data):
    c = Comparison(STEREO, data, BUDGETS["tiny"], ("lr", "lr-pp"), accelerator="cpu")
    for name, seed in c.todo():
        c.do(name, seed)
    (data / "guesses.json").write_text("[]")  # of a version whose tables had no guesses
    page, _, course, pictures = write_report(c, "cyclopean bench stereo OUT --budget tiny", "a machine")
    text = page.read_text()
    for part in ("Monodepth (LR) + pp", "(training mean)", "D1-all, %", "| δ3 |", "| ahead of Garg (to 50 m) |"):
        assert part in text
    mean = next(r for r in c.guesses() if r["row"] == "training mean")["figures"]
    said = next(line for line in text.splitlines() if "ahead of the training set's mean" in line)
    assert f"{mean['abs_rel']:.3f} |" in said
    assert said.endswith("of 5 |")
    assert f"{c.results()[0]['figures']['abs_rel']:.3f}" in text
    assert course.stat().st_size > 1000
    assert pictures.stat().st_size > 1000


def test_pre_trained_rows_start_from_what_was_learned_elsewhere(tmp_path):
    """Landscapes by another camera are rendered for them alone; their weights are where streets begin."""
    tiny = replace(BUDGETS["tiny"], steps=1)
    still = replace(STEREO, rows={**ROWS, "still": replace(ROWS["elsewhere-first"], learning_rate=1e-30)})
    c = Comparison(still, tmp_path, tiny, ("still",), workers=1, accelerator="cpu")
    list(c.data())
    theirs = FolderDataset(tmp_path / "data" / "elsewhere")[0]
    assert theirs.sources[0].from_target[0, 0, 3].item() == pytest.approx(-0.22, rel=1e-5)
    assert theirs.target.camera.focal[0, 0].item() == pytest.approx(2262 / 2048, rel=1e-3)
    c.do("still", 0)
    before, after = (checkpoint.load(c.folder(name, 0) / "last")[0].parameters() for name in ("elsewhere", "still"))
    assert all(torch.allclose(there, here, atol=1e-9) for there, here in zip(before, after, strict=True))
    own = Comparison(STEREO, tmp_path / "own", tiny, ("lr",))
    assert own.missing() == tiny.scenes + tiny.held_out


def test_d1_counts_three_pixels_of_kittis_width():
    """Of pairs only: 3 px of 1242, and 5 %."""
    focal, baseline = rig()
    camera = Pinhole(torch.tensor([[focal, focal * 24 / 16]]), torch.tensor([[0.5, 0.5]]))
    images = torch.zeros(1, 3, 16, 24)
    right = view(images, camera, translation(torch.tensor([[-baseline, 0.0, 0.0]])))
    depth = torch.full((1, 1, 16, 24), focal * baseline * 1242 / 40)  # 40 px
    pair = Sample(view(images, camera), (right,), depth)
    off = torch.full((1, 1, 16, 24), 2.9)
    off[..., :4, :] = -3.1
    assert figures((40 + off) / (focal * baseline * 1242), pair)["d1"] == pytest.approx(25)
    assert "d1" not in figures(1 / depth, replace(pair, sources=()))


def test_claims_name_rows_and_guesses_that_there_are():
    assert {name for claim in STEREO.claims for name in (claim.ahead, claim.behind)} <= {*ROWS, "training mean"}


def scene(depth: torch.Tensor) -> Sample:
    return Sample(view(torch.zeros(1, 3, *depth.shape[-2:]), CAMERA), (), depth)


def test_truth_is_judged_perfect_and_a_wrong_scale_is_not():
    depth = torch.rand(1, 1, 16, 24) * 20 + 1
    depth[..., :4, :] = torch.inf
    right, wrong = figures(1 / depth, scene(depth)), figures(2 / depth, scene(depth))
    assert right["abs_rel"] < 1e-6
    assert right["contours"] == pytest.approx(1, abs=1e-6)
    assert wrong["abs_rel"] == pytest.approx(0.5, abs=1e-6)
    assert wrong["abs_rel_median"] < 1e-6


def test_what_is_infinitely_far_is_clipped():
    depth = torch.full((1, 1, 8, 8), 10.0)
    assert figures(torch.zeros(1, 1, 8, 8), scene(depth))["abs_rel"] == pytest.approx(7)  # 80 m for 10 m


def test_photographs_keep_their_shape(data):
    sized = Sized(FolderDataset(data / "data" / "held-out"), (32, 96), 32)
    h, w = sized[0].depth.shape[-2:]
    assert (h, w) == (64, 64)


def test_photographs_fit_every_network():
    """Photographs of 96x64 in the report: ResNet50 needs multiples of 64, or its skips do not meet."""
    deep = Monodepth(network="resnet50-elu", width=0.05).eval()
    shown = resized_for(deep, scene(torch.full((1, 1, 96, 64), 5.0)))
    assert deep.predict(shown.target).inverse_depth.shape[-2:] == (128, 64)


def test_seeds_differ_and_budgets_are_values(data):
    two = replace(BUDGETS["tiny"], seeds=2)
    assert Comparison(STEREO, data / "new", two, ("lr", "deep3d")).todo() == [
        ("lr", 0),
        ("deep3d", 0),
        ("lr", 1),
        ("deep3d", 1),
    ]


@pytest.mark.parametrize("network", ["compact", "vgg", "resnet50-elu"])
def test_maps_start_far_away(network):
    """A tenth of the largest disparity, whatever the network calls its heads."""
    torch.manual_seed(0)
    method = Monodepth(network, 0.125 if network != "resnet50-elu" else 0.0625)
    far(method)
    with torch.no_grad():
        disparity = method.predict(view(torch.rand(1, 3, 128, 128), CAMERA)).extras["disparity_left"]
    assert disparity.median().item() == pytest.approx(0.03, rel=0.35)
