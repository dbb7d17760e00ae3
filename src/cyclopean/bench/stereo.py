"""The stereo family: the rows of Monodepth's table 1 on worlds, the tutorial's ablations, and what came after."""

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cyclopean import augmentation
from cyclopean.bench.family import Budget, Claim, Family, Row, Samples, post_processed, together
from cyclopean.errors import InputError
from cyclopean.evaluation.entries import Entry
from cyclopean.evaluation.rig import rig_of
from cyclopean.evaluation.trivial import guesses as unscaled
from cyclopean.evaluation.trivial import mean_inverse_depth, training_mean
from cyclopean.geometry import size_of
from cyclopean.io.image import resize
from cyclopean.methods.base import Method
from cyclopean.methods.deep3d import Deep3d, Rising
from cyclopean.methods.garg import Garg
from cyclopean.methods.monodepth import Monodepth
from cyclopean.methods.monodepth2 import Monodepth2
from cyclopean.methods.naive import Naive
from cyclopean.methods.supervised import Supervised
from cyclopean.methods.supervised_disparity import SupervisedDisparity
from cyclopean.methods.three_net import ThreeNet
from cyclopean.metrics import align_median, boundary_f1, countable, d1, depth_errors, near_boundaries, to_depth
from cyclopean.networks.coarse_to_fine import CoarseToFine
from cyclopean.sample import Sample
from cyclopean.synthetic.folder import RenderJob
from cyclopean.training.options import GARG, MONODEPTH, MONODEPTH2, LossConfig, Rig

FIELD_OF_VIEW = 70.0  # degrees
BASELINES = {"street": 0.54, "room": 0.2}  # metres: one rig for all scenes of a world, so that depth is metric
THEIR_BASELINE, THEIR_FIELD_OF_VIEW = 0.22, 48.7  # of the data from elsewhere: those of Cityscapes' camera
THEIR_WIDTH = 512  # pixels of Monodepth's pictures, for which Deep3Ds' smoothness was weighted
RISING = 5  # passes in which Deep3Ds' terms rise
KITTI_WIDE = 1242  # pixels: D1-all counts 3 of them
NEAR, NEAREST, FAR = 0.1, 0.05, 80.0  # metres: truth that counts, and what predictions are clipped to
Make = Callable[[Budget], Method]

# Rooms: nothing is out of reach of parallax, and no sky.
SMALL = Budget((64, 96), 800, 40, 2000, 1, "mobile-residual", 1.0, 4, learning_rate=1.5e-3, world="room")
BUDGETS = {
    "tiny": Budget((64, 64), 4, 2, 2, 1, "compact", 0.25, 2),  # for tests: that everything runs
    "small": replace(SMALL, encoder="panorama-selfsup"),  # which has seen photographs, and no depth
    "small-scratch": SMALL,
    "middle": Budget((128, 192), 2000, 100, 3000, 3, "compact", 0.75),
    "full": Budget((192, 384), 8000, 200, 12_000, 3, "vgg", 0.5),
}


def rig(world: str = "street") -> Rig:
    """Return (focal_u in image widths, baseline in metres) of every pair of a world."""
    return (0.5 / torch.tan(torch.deg2rad(torch.tensor(FIELD_OF_VIEW / 2))).item(), BASELINES[world])


def in_frame(rules: LossConfig) -> LossConfig:
    """Return `rules` that leave out what the other camera does not see.

    Ours: small pictures are border in good part, and compared with black there, depth that collapses to infinity at the
    border costs less than the truth (`python -m benchmarks.stereo_learning`), and is learned. The rows "as published"
    do without.
    """
    return replace(rules, border="edge", mask="+".join(dict.fromkeys(("inside", *rules.masks))))


def far(method: Method) -> None:
    """Let every map start at a tenth of its range, 3 % of the width as disparity.

    Ours: from the middle, where a sigmoid starts, the true disparities of small pictures are out of reach of image
    gradients, and nothing is learned.
    """
    for name, layer in method.named_modules():
        if isinstance(layer, nn.Conv2d) and ("heads" in name.split(".") or name.endswith(".head")):
            nn.init.constant_(layer.bias, math.log(1 / 9))  # type: ignore[arg-type]
    for network in method.modules():
        for head in network.corrections if isinstance(network, CoarseToFine) else ():
            nn.init.zeros_(head.bias)  # type: ignore[arg-type]


def _changed(mirror: augmentation.Augmentation) -> augmentation.Augmentation:
    """Return an augmentation: mirrored half of the time by `mirror`, Monodepth's colours half of the time."""
    colour = augmentation.Sometimes(0.5, augmentation.monodepth_colour)
    return augmentation.Steps((augmentation.Sometimes(0.5, mirror), colour))


OURS = in_frame(MONODEPTH)
EYES_SWAPPED = _changed(augmentation.flipped)


def _deep3d(smoothness: Literal["none", "each"], smoothness_width: int | None = None) -> Make:
    return lambda b: Deep3d(
        b.network, b.width, smoothness=smoothness, smoothness_width=smoothness_width, rig=rig(b.world)
    )


def _garg(rules: LossConfig) -> Make:
    return lambda b: Garg(b.network, b.width, rig=rig(b.world), rules=rules)


def _monodepth(variant: str = "lr", rules: LossConfig = OURS) -> Make:
    return lambda b: Monodepth(b.network, b.width, rig=rig(b.world), variant=variant, rules=rules)


def _trinocular(rules: LossConfig) -> Make:
    return lambda b: ThreeNet(b.network, b.width, rig=rig(b.world), rules=rules)


def _monodepth2(rules: LossConfig) -> Make:
    return lambda b: Monodepth2(b.network, b.width, rig=rig(b.world), rules=rules)


def _resnet50(b: Budget) -> Method:
    return Monodepth("resnet50-elu", b.width, rig=rig(b.world), rules=OURS)


_lr = _monodepth()
_from_far = partial(Row, augment=EYES_SWAPPED, start=far)
_published = partial(_from_far, by_name=True)

ROWS = {
    # without maps of disparity at their ends, these start as they are
    "naive": Row("naive (no disparity inside)", lambda b: Naive(b.network, b.width, rig=rig(b.world)), EYES_SWAPPED),
    "deep3d": Row("Deep3D", _deep3d("none"), EYES_SWAPPED),
    "deep3ds": Row(
        "Deep3Ds",
        _deep3d("each", THEIR_WIDTH),
        EYES_SWAPPED,
        each_epoch=lambda method: [Rising(method, RISING)],
    ),
    "garg": _from_far("Garg, end to end", _garg(in_frame(GARG))),
    "no-lr": _from_far("Monodepth, No LR", _monodepth("no-lr")),
    "lr": _from_far("Monodepth (LR)", _lr),
    "lr-pp": _from_far("Monodepth (LR) + pp", _lr, predict=post_processed, trained_as="lr"),
    "resnet50": _from_far("Monodepth (LR), ResNet50", _resnet50),
    "resnet50-pp": _from_far("Monodepth (LR), ResNet50 + pp", _resnet50, predict=post_processed, trained_as="resnet50"),
    "stereo": _from_far("Monodepth (LR), shown both views", _monodepth("stereo"), predict=together),
    "elsewhere": _from_far("Monodepth (LR), of landscapes only", _lr, learns_from="elsewhere"),
    "elsewhere-first": _from_far("Monodepth (LR), of landscapes first", _lr, begun_as="elsewhere"),
    "elsewhere-first-pp": _from_far(
        "Monodepth (LR), of landscapes first + pp", _lr, predict=post_processed, trained_as="elsewhere-first"
    ),
    "l1": _from_far("LR, L1 alone", _monodepth(rules=replace(OURS, error="l1"))),
    "l2": _from_far("LR, L2 alone", _monodepth(rules=replace(OURS, error="l2"))),
    "nearest": _from_far("LR, nearest pixels", _monodepth(rules=replace(OURS, warp="nearest"))),
    "features": _from_far("LR + feature loss (its own encoder)", _monodepth(rules=replace(OURS, features="own"))),
    "full-scales": _from_far("LR, all scales at full size", _monodepth(rules=replace(OURS, scales="full"))),
    "unoccluded": _from_far("LR + occlusion mask from the warp", _monodepth(rules=replace(OURS, mask="unoccluded"))),
    "learned-mask": _from_far("No LR + learned mask", _monodepth("no-lr", replace(OURS, mask="inside+learned"))),
    "trinocular": _from_far("virtual trinocular", _trinocular(OURS)),
    "monodepth2": _from_far("Monodepth2 on pairs", _monodepth2(in_frame(MONODEPTH2))),
    "either-view": _from_far(
        "Monodepth2, fed either view", _monodepth2(in_frame(MONODEPTH2)), augment=_changed(augmentation.swapped)
    ),
    "deep3ds-published": Row("Deep3Ds, its terms as published", _deep3d("each"), EYES_SWAPPED, by_name=True),
    "garg-published": _published("Garg, end to end, border as published", _garg(GARG)),
    "no-lr-published": _published("Monodepth, No LR, border as published", _monodepth("no-lr", MONODEPTH)),
    "lr-published": _published("Monodepth (LR), border as published", _monodepth("lr", MONODEPTH)),
    "trinocular-published": _published("virtual trinocular, border as published", _trinocular(MONODEPTH)),
    "monodepth2-published": _published("Monodepth2 on pairs, border as published", _monodepth2(MONODEPTH2)),
    "twin": _from_far(
        "directly supervised, in metres",
        lambda b: SupervisedDisparity(b.network, b.width, rig=rig(b.world)),
        augment=_changed(augmentation.mirrored),
    ),
    "supervised": Row(
        "directly supervised, up to scale",
        lambda b: Supervised(b.network, b.width),
        _changed(augmentation.mirrored),
    ),
}


def _order(budget: Budget, seed: int, count: int) -> RenderJob:
    baseline = BASELINES[budget.world]
    return RenderJob((budget.world,), "stereo", seed, count, budget.size, baseline, field_of_view=FIELD_OF_VIEW)


def _elsewhere(budget: Budget, seed: int, count: int) -> RenderJob:
    return RenderJob(
        ("landscape",), "stereo", seed, count, budget.size, THEIR_BASELINE, field_of_view=THEIR_FIELD_OF_VIEW
    )


CLAIMS = (  # AbsRel and D1-all of Monodepth's table 1 (K; pp and ResNet50: CS + K) and AbsRel of its table 2
    Claim("the left-right check helps", "0.124 / 0.123, 30.27 / 30.32 %", "lr", "no-lr"),
    Claim("ahead of Deep3D", "0.124 / 0.412, 30.27 / 66.85 %", "lr", "deep3d"),
    Claim("ahead of Deep3Ds", "0.124 / 0.151, 30.27 / 59.64 %", "lr", "deep3ds"),
    Claim("smoothness helps Deep3D", "0.151 / 0.412, 59.64 / 66.85 %", "deep3ds", "deep3d"),
    Claim("another camera's pictures alone do not do", "0.124 / 0.699, 30.27 / 94.76 %", "lr", "elsewhere"),
    Claim("to begin with them helps", "0.104 / 0.124, 25.52 / 30.27 %", "elsewhere-first", "lr"),
    Claim("post-processing helps", "0.100 / 0.104, 25.08 / 25.52 %", "elsewhere-first-pp", "elsewhere-first"),
    Claim("ResNet50 helps", "0.097 / 0.100, 23.81 / 25.08 %", "resnet50-pp", "lr-pp"),
    Claim("two pictures are better than one", "0.068 / 0.124, 9.19 / 30.27 %", "stereo", "lr"),
    Claim("ahead of Garg (to 50 m)", "0.140 / 0.169", "lr", "garg"),
    Claim("ahead of the training set's mean", "0.148 / 0.361", "lr", "training mean"),
    Claim("the tutorial: L1 alone struggles", "no figures", "lr", "l1"),
    Claim("the tutorial: L2 alone struggles", "no figures", "lr", "l2"),
    Claim("the tutorial: sampling must be bilinear", "no figures", "lr", "nearest"),
)


def figures(rho: Float[Tensor, "1 1 h2 w2"], sample: Sample) -> dict[str, float]:
    """Return the figures of one image; `rho` in 1/m, of any size.

    Metric figures, AbsRel after median alignment and near discontinuities, F1 of contours; D1-all in % where the sample
    is a pair, at the width of KITTI's pictures. Raises InputError where the prediction is not finite.
    """
    depth, pair = sample.depth, rig_of(sample)
    rho = resize(rho, size_of(depth))
    counts = countable(depth, NEAR, FAR)
    if not bool(rho[counts].isfinite().all()):
        raise InputError("a prediction is NaN or infinite; the run cannot be judged.")
    inverse, truth = rho.double()[counts], depth.double()[counts]
    ours = to_depth(inverse)
    errors = asdict(depth_errors(ours.clamp(NEAREST, FAR), truth))
    aligned = align_median(ours, truth).clamp(NEAREST, FAR)
    edges = near_boundaries(depth[0, 0])[None, None][counts]
    relative = (ours.clamp(NEAREST, FAR) - truth).abs() / truth
    off = {} if pair is None else {"d1": 100 * float(d1(*(KITTI_WIDE * pair.factor * x for x in (inverse, 1 / truth))))}
    return {
        **{name: float(value) for name, value in errors.items()},
        **off,
        "abs_rel_median": float(((aligned - truth).abs() / truth).mean()),
        **({"abs_rel_edges": float(relative[edges].mean())} if bool(edges.any()) else {}),
        "contours": float(boundary_f1((1 / rho.clamp(min=1 / FAR))[0, 0], depth.clamp(max=FAR)[0, 0])),
    }


def _guesses(data: Samples) -> list[Entry]:
    """Return means of the training set: as it is, in each row, one depth for everything; level ground as deep."""
    mean = mean_inverse_depth(data)  # type: ignore[arg-type]
    ground = next(guess for guess in unscaled() if guess.name == "ground")
    factor = mean.mean() / ground.predict(data[0]).mean()
    rows, one = mean.mean(-1, keepdim=True).expand_as(mean), mean.mean().expand_as(mean)
    return [
        training_mean(mean),
        Entry("training mean of each row", "metric", lambda _: rows, trivial=True),
        Entry("training constant", "metric", lambda _: one, trivial=True),
        Entry("ground plane", "metric", lambda sample: factor * ground.predict(sample), trivial=True),
    ]


def _start(b: Budget) -> str:
    return "random weights" if b.encoder is None else f"whose encoder starts from that of `{b.encoder}`"


def _about(b: Budget) -> str:
    return (
        f"{b.scenes} {b.world}s of {b.size[0]}x{b.size[1]} pixels, one rig of baseline {BASELINES[b.world]:g} m; "
        f"{b.steps} steps of {b.batch_size} pairs, the network `{b.network}` at width {b.width:g}, {_start(b)}, "
        f"learning rate {b.learning_rate:g}; {b.held_out} held-out {b.world}s, metric depth, truth within (0.1 m, "
        "80 m), means over images (and standard deviation over seeds). D1-all: disparities wrong by at least 5 % and 3 "
        f"pixels of a picture {KITTI_WIDE} wide, as KITTI's are. Of landscapes: as many pairs and steps, a camera of "
        "49 degrees with a baseline of 0.22 m, in the place of Cityscapes; what was learned there is judged by the rig "
        "of the others, as in the paper, and what goes on with their scenes has had twice the steps. AbsRel at edges: "
        "within 4 pixels of a depth discontinuity. Best / last: the lowest AbsRel along the run over that at its end."
    )


STEREO = Family(
    name="stereo",
    scenes="scenes",
    rows=ROWS,
    budgets=BUDGETS,
    order=_order,
    figures=figures,
    columns={
        "abs_rel": "AbsRel",
        "sq_rel": "SqRel",
        "rmse": "RMSE",
        "rmse_log": "RMSElog",
        "d1": "D1-all, %",
        "delta1": "δ1",
        "delta2": "δ2",
        "delta3": "δ3",
        "abs_rel_edges": "AbsRel at edges",
        "contours": "contour F1",
        "abs_rel_median": "AbsRel, median-aligned",
    },
    real_columns={"abs_rel_median": "median-aligned"},
    about=_about,
    guesses=_guesses,
    claims=CLAIMS,
    claimed=("abs_rel", "sq_rel", "rmse", "d1", "delta1"),
    elsewhere=_elsewhere,
)
