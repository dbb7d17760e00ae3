"""The video family: every row trains and is judged, masks are judged and pictured, figures are of the right pixels."""

import json
import os
import signal
from dataclasses import replace

import pytest
import torch

from cyclopean.bench.comparison import Comparison
from cyclopean.bench.report import claim_table, write_report
from cyclopean.bench.video import (
    BUDGETS,
    MASKS,
    PATCHES,
    ROWS,
    VIDEO,
    blind,
    figures,
    mask_figures,
    patch_size,
    static_by_automask,
    static_by_spimo,
    unposed,
    where_static,
)
from cyclopean.data.folder import FolderDataset
from cyclopean.errors import InputError
from cyclopean.methods.aquanet import Aquanet
from cyclopean.methods.base import Prediction
from cyclopean.metrics import holes, mask_errors
from cyclopean.sample import Sample
from cyclopean.synthetic import rigs
from cyclopean.training.options import VolumeConfig

TINY = BUDGETS["tiny"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Clips of the smallest budget, rendered once."""
    out = tmp_path_factory.mktemp("comparison")
    list(Comparison(VIDEO, out, TINY, ("first", "falnet"), workers=1).data())
    return out


def comparison(clips, *rows: str, **changes) -> Comparison:
    return Comparison(VIDEO, clips, replace(TINY, **changes), rows, accelerator="cpu")


QUICK = ("first-static", "spimo", "full", "dirnet", "vplade", "monodepth2", "falnet")
EVERY = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in ROWS]


@pytest.mark.parametrize("name", EVERY)
def test_every_row_trains_and_is_judged(name, clips):
    c = comparison(clips, name)
    result = c.do(name, 0)
    assert {"abs_rel", "delta1", "static", "movers", "holes"} <= result["figures"].keys()
    assert c.todo() == []
    method = c.trained(name, 0)
    assert isinstance(method, torch.nn.Module)
    if ROWS[name].taught_by:
        assert (c.folder(ROWS[name].taught_by, 0) / "result.json").exists()


def with_first(clips, out, family=VIDEO, *rows: str, **changes) -> Comparison:
    """A comparison in a new folder, with the same data and first stage."""
    comparison(clips, "first").do("first", 0)
    if not (out / "runs").exists():
        (out / "runs").mkdir(parents=True)
        for part in ("data", "runs/first-0"):
            (out / part).symlink_to(clips / part)
    return Comparison(family, out, replace(TINY, **changes), rows, accelerator="cpu")


def test_a_taught_row_has_its_teacher_in_every_loss(clips, tmp_path, monkeypatch):
    """And is not begun as it: it learns from scratch, here nothing. No row is told what moves."""
    seen, losses, logits = [], Aquanet.losses, "unet.logits.weight"
    c = with_first(clips, tmp_path, VIDEO, "exponential", learning_rate=1e-30)

    def looking(self, sample):
        seen.append(self.first.module.network.state_dict()[logits])
        assert sample.target.valid.all()
        return losses(self, sample)

    monkeypatch.setattr(Aquanet, "losses", looking)
    c.do("exponential", 0)
    first = c.trained("first", 0).network.state_dict()[logits]
    assert len(seen) >= TINY.steps
    assert all(torch.equal(weight, first) for weight in seen)
    torch.manual_seed(0)
    scratch = ROWS["exponential"].make(TINY).network.state_dict()[logits]
    assert torch.allclose(c.trained("exponential", 0).network.state_dict()[logits], scratch, atol=1e-9)
    assert not torch.allclose(first, scratch, atol=1e-9)


def test_a_cut_row_of_the_second_stage_goes_on_where_it_stopped(clips, tmp_path):
    """With its teacher of the previous epoch: killed at the end of its second one, the same as uncut."""
    judged = []

    def interrupting(rho: torch.Tensor, sample: Sample) -> dict[str, float]:
        judged.append(True)
        if len(judged) == 2 * TINY.held_out:
            os.kill(os.getpid(), signal.SIGINT)
        return figures(rho, sample)

    with pytest.raises(KeyboardInterrupt):
        with_first(clips, tmp_path / "cut", replace(VIDEO, figures=interrupting), "boost", steps=6).do("boost", 0)
    assert torch.load(tmp_path / "cut" / "runs" / "boost-0" / "resume.pt", weights_only=True)["step"] < 6
    resumed, uncut = (with_first(clips, tmp_path / x, VIDEO, "boost", steps=6).do("boost", 0) for x in ("cut", "uncut"))
    assert resumed["figures"] == uncut["figures"]
    assert resumed["course"] == uncut["course"]
    lines = (tmp_path / "uncut" / "runs" / "boost-0" / "log.jsonl").read_text()
    assert '"boost"' in lines  # from the second epoch on


def test_report(clips, tmp_path):
    c = comparison(clips, "first", "spimo", "first-static", "monodepth2")
    for name, seed in c.todo():
        c.do(name, seed)
    page, values, *drawn = write_report(c, "cyclopean bench video OUT", "a machine", tmp_path)
    text = page.read_text()
    for part in (
        *("| AQUANet, first stage", "| SPIMO, 0.03 (the paper) |", "| (everything) |"),
        *("AbsRel, moving", "| masks of what moves help |", "auto-mask of Monodepth2", "(training mean)"),
    ):
        assert part in text
    assert "auto-mask of AQUANet" not in text  # its row is not done
    assert [path.name for path in drawn] == ["course.png", "pictures.png", "masks.png", "levels.png"]
    assert all(path.stat().st_size > 1000 for path in drawn)
    masks = {row["title"]: row["figures"] for row in json.loads(values.read_text())["masks"]}
    assert masks["everything"]["recall"] == masks["everything"]["dropped"] == 1
    before = (tmp_path / "masks.json").stat().st_mtime_ns
    write_report(c, "cyclopean bench video OUT", "a machine", tmp_path)
    assert (tmp_path / "masks.json").stat().st_mtime_ns == before


@pytest.fixture(scope="module")
def clip() -> Sample:
    return rigs.sample("traffic", 3, (48, 96), "clip", field_of_view=70.0)


def test_truth_is_perfect_and_errors_are_told_apart_by_what_moves(clip):
    """Movers three times too far and the rest as it is, or the other way round."""
    moves = ~clip.target.valid
    assert 100 < moves.sum() < 0.4 * moves.numel()
    perfect = figures(1 / clip.depth, clip)
    assert max(perfect[name] for name in ("abs_rel", "static", "movers", "holes")) < 1e-6
    far = figures(1 / (clip.depth * torch.where(moves, 3.0, 1.0)), clip)
    assert far["holes"] == 1
    assert far["movers"] == pytest.approx(2, abs=0.5)
    assert far["static"] < 0.1
    near = figures(1 / (clip.depth * torch.where(moves, 0.4, 1.0)), clip)
    assert near["holes"] == 1
    assert near["movers"] == pytest.approx(0.6, abs=0.1)
    off = figures(1 / (clip.depth * torch.where(moves, 1.0, 1.5)), clip)
    assert off["holes"] == 0
    assert off["static"] < off["movers"]  # the median is that of what stands still


def test_what_is_nan_is_not_judged_and_all_nan_is_no_result(clip):
    moves = ~clip.target.valid
    wrong = 1 / (clip.depth * torch.where(moves, 30.0, 1.0))
    left = figures(torch.where(moves, torch.nan, wrong), clip)
    assert left["abs_rel"] < 1e-6
    assert "movers" not in left
    for rho in (torch.full_like(wrong, torch.nan), torch.where(moves, torch.inf, wrong)):
        with pytest.raises(InputError, match="cannot be judged"):
            figures(rho, clip)


def test_masks_are_counted_against_loops():
    generator = torch.Generator().manual_seed(0)
    masked, moves = (torch.rand(200, generator=generator) < share for share in (0.4, 0.3))
    pairs = list(zip(masked.tolist(), moves.tolist(), strict=True))
    both = sum(a and b for a, b in pairs)
    found = mask_errors(masked, moves)
    assert float(found.precision) == pytest.approx(both / sum(a for a, _ in pairs))
    assert float(found.recall) == pytest.approx(both / sum(b for _, b in pairs))
    assert float(found.iou) == pytest.approx(both / sum(a or b for a, b in pairs))
    assert float(found.dropped) == pytest.approx(sum(a and not b for a, b in pairs) / sum(not b for _, b in pairs))
    assert mask_errors(masked & False, moves).precision.isnan()
    depth, truth = torch.tensor([1.0, 2.1, 0.49, 2.0, 0.5]), torch.ones(5)
    assert float(holes(depth, truth)) == pytest.approx(0.4)


def test_mask_figures_read_static_as_one(clip):
    assert mask_figures(clip.target.valid.float(), clip) == {"precision": 1, "recall": 1, "iou": 1, "dropped": 0}
    nothing = mask_figures(torch.ones_like(clip.depth), clip)
    assert nothing == {"recall": 0, "iou": 0, "dropped": 0}
    still = replace(clip, target=replace(clip.target, valid=torch.ones_like(clip.target.valid)))
    assert mask_figures(torch.ones_like(clip.depth), still) == {}


class Told(Aquanet):
    """Predicts what it is given, at any size, and depth by the column where positions are shifted."""

    truth: torch.Tensor

    def predict(self, target, sources=()):
        return Prediction(self.truth)


def test_automasks_keep_what_warps_and_drop_what_stays():
    """With the true inverse depth, of pictures half as large again as patches: what goes with the camera is dropped,
    most of the rest is kept; with another power of the zoom far less is."""
    clips = [rigs.sample("traffic", seed, (96, 288), "clip", field_of_view=70.0) for seed in (1, 6, 8)]
    kept, dropped, others = [], [], []
    for made in clips:
        method = Told(0.125, rules=VolumeConfig(levels=3, boost=0.0))
        method.truth = 1.5 / made.depth.clamp(max=1e4)
        static = static_by_automask(method, made) > 0
        textured = (made.sources[1].image - made.target.image).abs().mean(1, keepdim=True) > 0.05
        kept.append(static[textured & made.target.valid].float().mean())
        dropped.append(1 - static[~made.target.valid].float().mean())
        method.truth = 1 / 1.5 / made.depth.clamp(max=1e4)
        others.append((static_by_automask(method, made) > 0)[textured & made.target.valid].float().mean())
    assert min(kept) > 0.65
    assert sum(dropped) > 1.0
    assert sum(others) < sum(kept)


def test_masks_say_zero_where_depth_depends_on_positions(clip):
    """A network that reads the column where it is told to stand only in the left half of its picture."""
    method = Aquanet(0.125, rules=VolumeConfig(levels=3, boost=0.0))

    class Half(torch.nn.Module):
        def forward(self, image, where, focal):
            left = torch.arange(image.shape[-1]) < image.shape[-1] / 2
            return torch.where(left, 0.1 + 0.04 * where[:, :1], torch.full_like(where[:, :1], 0.1))

    method.frozen = Half
    static = static_by_spimo(method, clip, passes=3)
    assert static.shape == clip.depth.shape
    assert not static[..., :40].any()
    assert static[..., 56:].all()
    everywhere = static_by_spimo(method, clip, passes=3, threshold=10.0)
    assert everywhere.all()


def test_where_static_leaves_out_what_the_mask_drops(clip):
    torch.manual_seed(0)
    method = Aquanet(0.125, rules=VolumeConfig(levels=3, boost=0.0))
    left = where_static(method, clip)
    assert torch.equal(left.isnan(), static_by_spimo(method, clip) == 0)


def test_what_moves_is_not_told_and_patches_fit(clip):
    generator = torch.Generator().manual_seed(0)
    assert not clip.target.valid.all()
    assert blind(clip, generator).target.valid.all()
    zooms = [PATCHES(clip, generator) for _ in range(30)]
    assert all(made.target.valid.all() for made in zooms)
    assert {tuple(made.depth.shape[-2:]) for made in zooms} == {patch_size((48, 96))} == {(32, 64)}
    zooms = torch.cat([made.zoom for made in zooms])
    assert 0.99 < zooms.min() < 1.2
    assert 1.9 < zooms.max() <= 2.26
    hidden = unposed(clip, generator)
    assert all(source.from_target is None for source in hidden.sources)
    assert hidden.frames.shape == (1, 3, 3, 48, 96)


def test_pairs_are_of_the_same_camera(clips):
    """What FAL-Net learns from is traffic too, through the camera of the clips."""
    pair, made = (FolderDataset(clips / "data" / name)[0] for name in ("elsewhere", "train"))
    assert torch.equal(pair.target.camera.focal, made.target.camera.focal)
    assert pair.sources[0].from_target[0, 0, 3].item() == pytest.approx(-0.54, abs=1e-5)
    assert len(made.sources) == 2


def test_claims_and_masks_name_rows_that_there_are():
    assert {name for claim in VIDEO.claims for name in (claim.ahead, claim.behind)} <= {*ROWS, "training mean"}
    assert {mask.row for mask in MASKS.values()} <= set(ROWS)
    for row in ROWS.values():
        assert {row.taught_by, row.begun_as, row.trained_as} - {None} <= set(ROWS)


def test_fewer_holes_are_ahead():
    def result(row: str, holes: float, delta1: float) -> dict:
        figures = {"abs_rel": 0.2, "static": 0.1, "movers": 0.3, "holes": holes, "delta1": delta1}
        return {"row": row, "title": row, "figures": figures, "real": {}, "course": [], "seconds": 1.0}

    table = claim_table(VIDEO, [result("spimo", 0.1, 0.9), result("first", 0.2, 0.8)])
    said = {row[0]: row for row in table.rows}["masks of what moves help"]
    assert said[5:] == ("0.100 / 0.200", "0.900 / 0.800", "2 of 5")


def test_no_two_rows_are_the_same():
    """By method, augmentation, prediction and teacher."""
    told = [
        (json.dumps(row.make(TINY).config()), str(row.augment), str(row.predict), row.taught_by, row.begun_as)
        for row in ROWS.values()
    ]
    assert len(set(told)) == len(ROWS)
