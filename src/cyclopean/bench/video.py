"""The video family: the rows of AQUANet's table 1 on clips of traffic, with what they do to things that move."""

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from cyclopean import augmentation
from cyclopean.augmentation import Sometimes, Steps, ZoomedPatch
from cyclopean.bench.comparison import sized
from cyclopean.bench.family import DEPTH_FIGURES, Budget, Claim, Family, Lines, MaskRow, Row, Samples, alone
from cyclopean.errors import InputError
from cyclopean.evaluation.entries import Entry
from cyclopean.evaluation.trivial import mean_inverse_depth, training_mean
from cyclopean.geometry import reproject, size_of
from cyclopean.io.image import resize
from cyclopean.losses import absolute, automask
from cyclopean.methods.aquanet import (
    Aquanet,
    PreviousEpoch,
    dispersion,
    expected,
    geometry_inputs,
    spimo,
    volume,
    zoomed,
)
from cyclopean.methods.base import Frozen, Method, known_pose
from cyclopean.methods.falnet import Falnet
from cyclopean.methods.monodepth2 import Monodepth2
from cyclopean.metrics import align_median, countable, depth_errors, holes, mask_errors, to_depth
from cyclopean.sample import OneMap, Sample
from cyclopean.synthesis import pull
from cyclopean.synthetic.folder import RenderJob
from cyclopean.synthetic.movers import INTERVAL
from cyclopean.training.options import MONODEPTH2, Boosting, FalnetConfig, LossConfig, VolumeConfig

if TYPE_CHECKING:
    from cyclopean.bench.comparison import Comparison

FIELD_OF_VIEW, BASELINE = 70.0, 0.54  # degrees and metres: one camera for all clips, and the pairs of FAL-Net
PATCH = 2 / 3  # of the pictures' sides: what is learned from at a time
ZOOM = (0.5, 1.5)  # pictures are resized by a factor between these, if the patch fits
MOST = 0.3  # 1/m, the nearest level: 3.3 m, or 5 m in pictures enlarged by 1.5
NEAR, FAR = 0.1, 25.0  # metres: truth that counts; what is farther shifts by less than half a pixel
NEAREST, FARTHEST = 1.0, 80.0  # metres: what predictions are clipped to
SUPERSAMPLE = 3  # without it texture flickers from frame to frame, and blurred mixtures of levels beat true depth
LINE = 2 / 3  # of the height: the row of pixels whose levels are pictured
SHOWN = 4  # clips whose levels are pictured
LEAST = 50  # pixels that move, or it is not told how they are judged
THRESHOLDS = (0.01, 0.03, 0.1)  # of SPIMO; the paper's is the second
Make = Callable[[Budget], Method]

BUDGETS = {
    "tiny": Budget((48, 96), 4, 2, 2, 1, "compact", 0.125, 2, levels=5),  # for tests: that everything runs
    "small": Budget((48, 144), 400, 40, 2400, 1, "compact", 0.25, 4, 3e-4, levels=17),
    "middle": Budget((48, 144), 1000, 80, 12_000, 3, "compact", 0.25, 4, 3e-4, levels=17),
    "full": Budget((288, 960), 6000, 200, 20_000, 1, "resnet18", 1.0, 8, 1e-4),
}


def patch_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the (height, width) of what is learned from at a time, of pictures of `size`."""
    return round(PATCH * size[0]), round(PATCH * size[1])


def blind(sample: Sample, _: torch.Generator) -> Sample:
    """Remove what the renderer provides about the things that move, which no row may learn from."""
    target = sample.target
    return replace(sample, target=replace(target, valid=torch.ones_like(target.valid)))


def patch(sample: Sample, generator: torch.Generator) -> Sample:
    """Return a random part of the pictures, resized at random (AQUANet, sec. 3.3)."""
    return ZoomedPatch(patch_size(size_of(sample.depth)), *ZOOM)(sample, generator)


def shrunk(sample: Sample, _: torch.Generator) -> Sample:
    """Return whole pictures at the size of a patch."""
    return augmentation.resize(sample, patch_size(size_of(sample.depth)))


def unposed(sample: Sample, _: torch.Generator) -> Sample:
    """Take away the poses, which are then predicted from whole frames."""
    sources = tuple(replace(source, from_target=None) for source in sample.sources)
    return augmentation.with_frames(replace(sample, sources=sources), size_of(sample.depth))


COLOUR = Sometimes(0.5, augmentation.monodepth_colour)
MIRROR = Sometimes(0.5, augmentation.mirrored)
PATCHES = Steps((blind, patch, MIRROR, COLOUR))
TOLD = Steps((patch, MIRROR, COLOUR))  # what moves in the target does not count: rendering knows
WHOLE = Steps((blind, shrunk, MIRROR, COLOUR))
FILM = Steps((blind, shrunk, unposed, MIRROR, COLOUR))
PAIRS = Steps((shrunk, Sometimes(0.5, augmentation.flipped), COLOUR))


def at_patch_size(method: Method, sample: Sample) -> OneMap:
    """Return inverse depth from the whole target at the size of a patch, as it was trained."""
    return alone(method, sized(sample, patch_size(size_of(sample.depth)), method.input_multiple))


# --- masks ---


@torch.no_grad()
def static_by_spimo(
    method: Method,
    sample: Sample,
    *,
    threshold: float = THRESHOLDS[1],
    passes: int = 4,
    boosting: Boosting | None = None,
) -> OneMap:
    """Return 1 where the depth of a first stage does not depend on where it is told that things stand (Eq. 7)."""
    assert isinstance(method, Aquanet)
    spread = dispersion(
        method.frozen(), sample.target.image, *geometry_inputs(sample.target), passes=passes, boosting=boosting,
        power=method.size_power,
    )  # fmt: skip
    return spimo(spread, threshold)


@torch.no_grad()
def static_by_automask(method: Method, sample: Sample) -> OneMap:
    """Return 1 where a source warped to the target is more like it than every source as it is (Monodepth2, Eq. 5)."""
    size = size_of(sample.depth)
    if isinstance(method, Monodepth2):
        assert method.pose is not None
        generator, error = torch.Generator(), method.loss.error
        sample = method.pose(unposed(shrunk(sample, generator), generator))
    else:
        assert isinstance(method, Aquanet)
        translation, error = method.rules.translation, absolute
        zoom = sample.depth.new_full((len(sample),), 1 / PATCH)  # of the pictures, in patches
        sources = tuple(
            replace(source, from_target=zoomed(known_pose(method.name, source), zoom, translation))
            for source in sample.sources
        )
        sample = replace(sample, sources=sources)
    target = sample.target
    rho = method.predict(target).inverse_depth
    warped, static = [], []
    for source in sample.sources:
        match = reproject(rho, target.camera, known_pose(method.name, source), source.camera)
        warped.append(error(pull(source.image, match.uv, "edge"), target.image))
        static.append(error(source.image, target.image))
    mask = automask(torch.cat(warped, 1), torch.cat(static, 1))[:, :1]
    return torch.nn.functional.interpolate(mask, size, mode="nearest-exact")


def where_static(method: Method, sample: Sample) -> OneMap:
    """Return inverse depth where the method's own masks leave it, NaN elsewhere."""
    return torch.where(static_by_spimo(method, sample) > 0, alone(method, sample), torch.nan)


@torch.no_grad()
def levels_sheet(comparison: "Comparison") -> Lines:
    """Return what AQUANet makes depth of (the paper's Fig. 3; first seed): exponents, and levels along one row of
    pixels. Nothing where its row is not done."""
    if not any((r["row"], r["seed"]) == ("spimo", 0) for r in comparison.results()):
        return {}
    method, data = comparison.trained("spimo", 0), comparison.held_out()
    assert isinstance(method, Aquanet)
    titles = ("picture", "inverse depth", "exponent of the levels: bright has more of them far away (1/2 to 2)",
              f"probability of the levels, near above, of the row at {LINE:.0%} of the height")  # fmt: skip
    lines: dict[str, list[np.ndarray]] = {title: [] for title in titles}
    for n in range(min(SHOWN, len(data))):
        target = data[n].target
        h = size_of(target.image)[0]
        logits, exponents = volume(method.network, target.seen, *geometry_inputs(target))
        row = logits.softmax(1)[0, :, round(LINE * h)].flip(0).numpy()
        pictures = (
            target.image[0].permute(1, 2, 0).numpy(), expected(method.rules, logits, exponents)[0, 0].numpy(),
            exponents[0, 0].numpy() - 0.5, row[np.arange(h) * len(row) // h],
        )  # fmt: skip
        for title, picture in zip(titles, pictures, strict=True):
            lines[title].append(picture)
    return lines


# --- rows ---


def _aquanet(levels: float = 1.0, **rules: object) -> Make:
    """Return what makes an AQUANet with so many times the levels of the budget."""

    def make(b: Budget) -> Method:
        return Aquanet(b.width, rules=VolumeConfig(levels=int(levels * b.levels), most=MOST, **rules))  # type: ignore[arg-type]

    return make


def _monodepth2(rules: LossConfig) -> Make:
    return lambda b: Monodepth2(b.network, b.width, rules=rules, pose="cnn")


def _falnet(stage: int) -> Make:
    return lambda b: Falnet(b.width, stage=stage, rules=FalnetConfig(levels=b.levels))


def _of_first(method: Method, first: Method) -> None:
    """Let a first stage tell what moves."""
    assert isinstance(method, Aquanet)
    assert isinstance(first, Aquanet)
    method.first = first.frozen()


def _of_mirror(method: Method, first: Method) -> None:
    """Let a first stage that sees the picture mirrored tell what the right camera does not see."""
    assert isinstance(method, Falnet)
    assert isinstance(first, Falnet)
    method.first = Frozen(first.network)


def _previous(method: Method) -> tuple[PreviousEpoch, ...]:
    assert isinstance(method, Aquanet)
    return (PreviousEpoch(method),)


_first = partial(Row, augment=PATCHES)
_second = partial(Row, augment=PATCHES, taught_by="first", teach=_of_first)

ROWS = {  # the most telling first: a run may be cut
    "first": _first("AQUANet, first stage: no masks", _aquanet(mask="none", boost=0.0)),
    "spimo": _second("AQUANet: SPIMO, adaptive levels", _aquanet(boost=0.0)),
    "first-static": _first(
        "first stage, judged where its masks leave it",
        _aquanet(mask="none", boost=0.0),
        predict=where_static,
        trained_as="first",
    ),
    "oracle": _first("true masks of what moves, of targets", _aquanet(mask="none", boost=0.0), augment=TOLD),
    "auto": _first("AQUANet with Monodepth2's masks", _aquanet(mask="auto", boost=0.0)),
    "dirnet": _second("DIRNet-BW: inverse warping, SPIMO", _aquanet(network="dirnet", warp="backward", boost=0.0)),
    "vplade": _second("vPLADE-Net: fixed levels, SPIMO", _aquanet(49 / 33, network="plade", boost=0.0)),
    "invariant": _second("translations left alone", _aquanet(translation="invariant", boost=0.0)),
    "inverse": _second("translations times the zoom", _aquanet(translation="inverse", boost=0.0)),
    "no-aug": _second("whole pictures at one size", _aquanet(boost=0.0), augment=WHOLE, predict=at_patch_size),
    "boost": _second("AQUANet, boosted", _aquanet(boost=0.1), each_epoch=_previous),
    "full": _second("AQUANet (full)", _aquanet(boost=0.1, full=True), each_epoch=_previous),
    "backward": _second("AQUANet, inverse warping", _aquanet(warp="backward", boost=0.0)),
    "exponential": _second("AQUANet, fixed levels", _aquanet(spacing="exponential", boost=0.0)),
    "monodepth2": Row("Monodepth2 (poses predicted)", _monodepth2(MONODEPTH2), FILM, at_patch_size),
    "zhou": Row("Zhou et al. (poses predicted)", _monodepth2(replace(MONODEPTH2, mask="learned")), FILM, at_patch_size),
    "falnet-first": Row("FAL-Net on pairs, first stage", _falnet(1), PAIRS, at_patch_size, learns_from="elsewhere"),
    "falnet": Row(
        "FAL-Net on pairs (twice the steps)",
        _falnet(2),
        PAIRS,
        at_patch_size,
        begun_as="falnet-first",
        learns_from="elsewhere",
        taught_by="falnet-first",
        teach=_of_mirror,
    ),
}

CLAIMS = (  # AbsRel of AQUANet's tables 1 and 2
    Claim("masks of what moves help", "0.080 / 0.120", "spimo", "first"),
    Claim("the first stage is better where its masks leave it", "0.080 / 0.120", "first-static", "first"),
    Claim("ours: true masks help", "", "oracle", "first"),
    Claim("SPIMO ahead of Monodepth2's masks", "0.080 / 0.113", "spimo", "auto"),
    Claim("ahead of DIRNet-BW", "0.080 / 0.098", "spimo", "dirnet"),
    Claim("ahead of vPLADE-Net", "0.080 / 0.084", "spimo", "vplade"),
    Claim("ours: views made forward help, all else equal", "", "spimo", "backward"),
    Claim("ours: adaptive levels help, all else equal", "", "spimo", "exponential"),
    Claim("translations over the zoom ahead of ones left alone", "0.080 / 0.087", "spimo", "invariant"),
    Claim("translations left alone ahead of ones times the zoom", "0.087 / 0.091", "invariant", "inverse"),
    Claim("translations times the zoom ahead of whole pictures", "0.091 / 0.098", "inverse", "no-aug"),
    Claim("boosting helps", "0.078 / 0.080", "boost", "spimo"),
    Claim("boosted depth in the masks helps", "0.077 / 0.078", "full", "boost"),
    Claim("ahead of Monodepth2", "0.079 / 0.092", "spimo", "monodepth2"),
    Claim("ahead of the training set's mean", "", "spimo", "training mean"),
)

MASKS = {
    **{
        f"spimo-{threshold:g}": MaskRow(
            f"SPIMO, {threshold:g}{' (the paper)' if threshold == THRESHOLDS[1] else ''}",
            "first",
            partial(static_by_spimo, threshold=threshold),
        )
        for threshold in THRESHOLDS
    },
    "spimo-3": MaskRow("SPIMO, 0.03, three passes", "first", partial(static_by_spimo, passes=3)),
    "spimo-full": MaskRow(
        "SPIMO, 0.03, with boosted depth (full)", "first", partial(static_by_spimo, boosting="paper")
    ),
    "auto": MaskRow("auto-mask of AQUANet", "auto", static_by_automask),
    "auto-monodepth2": MaskRow("auto-mask of Monodepth2", "monodepth2", static_by_automask),
}


def _order(budget: Budget, seed: int, count: int) -> RenderJob:
    return RenderJob(
        ("traffic",), "clip", seed, count, budget.size, field_of_view=FIELD_OF_VIEW, supersample=SUPERSAMPLE
    )


def _pairs(budget: Budget, seed: int, count: int) -> RenderJob:
    return RenderJob(
        ("traffic",), "stereo", seed, count, budget.size, BASELINE, field_of_view=FIELD_OF_VIEW, supersample=SUPERSAMPLE
    )


def figures(rho: OneMap, sample: Sample) -> dict[str, float]:
    """Return the errors of one image after median alignment: of all that counts, of what stands still, of what moves.

    `rho`, inverse depth of any size, is NaN where it is not to be judged. `holes`: share of what moves whose depth is
    more than twice the truth, or less than half. Raises InputError where nothing is left, or what is left is infinite.
    """
    depth = sample.depth
    rho = resize(rho, size_of(depth))
    counts = countable(depth, NEAR, FAR) & ~rho.isnan()
    if not (bool(counts.any()) and bool(rho[counts].isfinite().all())):
        raise InputError("a prediction is NaN or infinite; the run cannot be judged.")
    truth, moves = depth.double()[counts], ~sample.target.valid[counts]
    ours = align_median(to_depth(rho.double()[counts]), truth).clamp(NEAREST, FARTHEST)
    relative = (ours - truth).abs() / truth
    errors = {name: float(value) for name, value in asdict(depth_errors(ours, truth)).items()}
    if int(moves.sum()) >= LEAST:
        errors |= {"movers": float(relative[moves].mean()), "holes": float(holes(ours[moves], truth[moves]))}
    return errors | ({"static": float(relative[~moves].mean())} if bool((~moves).any()) else {})


def mask_figures(static: OneMap, sample: Sample) -> dict[str, float]:
    """Return how well a mask finds what moves; {} of a picture in which next to nothing does."""
    moves = ~sample.target.valid
    if int(moves.sum()) < LEAST:
        return {}
    errors = asdict(mask_errors(static.flatten() < 0.5, moves.flatten()))
    return {name: float(value) for name, value in errors.items() if bool(value.isfinite())}


def _guesses(data: Samples) -> list[Entry]:
    """Return means of the training set: as it is, and in each row."""
    mean = mean_inverse_depth(data)  # type: ignore[arg-type]
    rows = mean.mean(-1, keepdim=True).expand_as(mean)
    return [training_mean(mean), Entry("training mean of each row", "metric", lambda _: rows, trivial=True)]


def _about(b: Budget) -> str:
    height, width = patch_size(b.size)
    return (
        f"{b.scenes} clips of traffic, three frames of {b.size[0]}x{b.size[1]} pixels {INTERVAL:g} s apart, one "
        f"camera; {b.steps} steps of {b.batch_size} clips in each stage, patches of {height}x{width} of pictures "
        f"resized by {max(ZOOM[0], PATCH):.2g} to {ZOOM[1]:g}; AQUANet and FAL-Net at width {b.width:g}, {b.levels} "
        f"levels, poses known; Monodepth2 and Zhou et al. with the network `{b.network}` and predicted poses, on "
        "whole pictures of "
        "the size of a patch. All but AQUANet with patches are judged at that size, these at full size. "
        f"{b.held_out} held-out clips, truth within (0.1 m, {FAR:g} m), depth aligned by the median and "
        f"clipped to [1 m, 80 m], means over images (and standard deviation over seeds). Still and moving: AbsRel "
        "there, by the true masks. Holes: share of what moves whose depth is more than twice the truth or less than "
        "half of it. What moves is told to no row but the one with true masks. Best / last: the lowest AbsRel along "
        "the run over that at its end."
    )


VIDEO = Family(
    name="video",
    scenes="clips",
    rows=ROWS,
    budgets=BUDGETS,
    order=_order,
    figures=figures,
    columns={
        **DEPTH_FIGURES,
        "static": "AbsRel, still",
        "movers": "AbsRel, moving",
        "holes": "holes",
    },
    real_columns={"abs_rel": "AbsRel", "delta1": "δ1"},
    about=_about,
    guesses=_guesses,
    drawn=("abs_rel", "static", "movers", "holes"),
    claims=CLAIMS,
    claimed=("abs_rel", "static", "movers", "holes", "delta1"),
    elsewhere=_pairs,
    sheets={"levels.png": levels_sheet},
    masks=MASKS,
    mask_figures=mask_figures,
    mask_columns={
        "precision": "precision",
        "recall": "recall",
        "iou": "IoU",
        "dropped": "of what stands still, dropped",
    },
    about_masks=(
        "Masks of what moves on held-out clips where at least "
        f"{LEAST} pixels do, against the truth: means over images. Precision: of what is masked, what moves; recall: "
        "of what moves, what is masked. A mask of everything has the share of what moves as its precision."
    ),
)
