"""The tables of Depth Anywhere at any budget: rooms with depth, the world outside without, and what neither has seen.

Labelled are rooms; unlabelled, labelled by `general`, are streets, landscapes and other rooms; judged are unseen rooms
(the paper's benchmark), unseen streets and landscapes (which the labelled set does not show), and other data
(zero-shot).
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Subset

from cyclopean import augmentation
from cyclopean.augmentation import Resize, Steps
from cyclopean.bench.distil_pictures import SHEETS
from cyclopean.bench.family import Budget, Claim, Family, Row, Samples, alone, panoramas_of_rooms
from cyclopean.data.folder import FolderDataset
from cyclopean.errors import InputError
from cyclopean.evaluation.entries import Entry
from cyclopean.evaluation.evaluate import judge
from cyclopean.evaluation.protocols import Alignment, Protocol, named_protocol
from cyclopean.evaluation.trivial import latitude_mean, mean_inverse_depth
from cyclopean.geometry import CUBE, Equirectangular, Pinhole, face_from_sphere, pixel_grid, size_of
from cyclopean.inference import bulk, predictor
from cyclopean.inference.labels import FaceModel, LabelFiles, Labelling
from cyclopean.inference.masks import Masking
from cyclopean.inference.panorama import resize_sphere
from cyclopean.methods.base import Method
from cyclopean.methods.depth_anywhere import DepthAnywhere
from cyclopean.metrics import affine_fit, area_crop
from cyclopean.sample import OneMap, Sample, view
from cyclopean.synthesis import faces_from_sphere, sphere_from_faces
from cyclopean.synthetic.folder import RenderJob
from cyclopean.training import dataset
from cyclopean.training.dataset_wrappers import Joined

TEACHER = "general"
OUTSIDE = ("street", "landscape")
EVERYWHERE = (*OUTSIDE, "room")  # where the unlabelled panoramas are from
FEW = 0.25  # of the labelled rooms
FAR_OUTSIDE = 80.0  # metres: the protocol's 10 m would count little but the ground
FINER = 2  # times the students' size, of panoramas that are labelled: the teacher sees more of them
FITTED_ON = 16  # rooms, by which disparity is put in metres before it is fine-tuned
ROUNDING = 1e-5  # of a logarithm: smaller steps of an error are none
TURNS = 4  # rotations of each panorama, of which a step takes one
PUBLISHED_HEIGHT, NARROW = 256, 0.25  # of smaller panoramas, published students have a quarter of their channels
PROTOCOL = named_protocol("depth-anywhere")[0]
GUARDED = named_protocol("depth-anywhere-guarded")[0]

BUDGETS: Mapping[str, Budget] = {
    "tiny": Budget((32, 64), 6, 3, 4, 1, "mobile", batch_size=2),
    "small": Budget((64, 128), 200, 60, 800, 1, "mobile", batch_size=4, learning_rate=3e-4),
    "middle": Budget((128, 256), 1000, 150, 6000, 3, "mobile", batch_size=4, learning_rate=2e-4),
    "full": Budget((512, 1024), 8000, 300, 200_000, 3, "mobile", batch_size=3, learning_rate=1e-4),
}


def _streams(
    method: Method,
    data: Path,
    *,
    teacher: str = TEACHER,
    ratio: int = 1,
    planes: str = "cube",
    degrees: float = 45.0,
    masked: bool = True,
    kinds: tuple[str, ...] = EVERYWHERE,
    size: tuple[int, int] | None = None,
) -> augmentation.Augmentation:
    """Label the panoramas in `data`/elsewhere, as far as no other row has; return what joins those of some `kinds` of
    worlds to labelled ones."""
    assert isinstance(method, DepthAnywhere)
    elsewhere = f"folder:{data / 'elsewhere'}"
    height, width = dataset.unlabelled((Path(elsewhere),), None)[0].depth.shape[-2:]
    masks = data / "masks" if masked else None
    name = f"{planes}-{degrees:g}{'' if masked else '-unmasked'}"
    labels = data / "labels" / name
    turns = TURNS if degrees else 1
    work = [Masking(elsewhere, masks)] if masks else []
    work += [Labelling(elsewhere, teacher, labels, planes, turns, degrees, height // FINER, masks)]  # type: ignore[list-item]
    for one in work:
        for _, error, _ in bulk.run(one, one.begin()):
            if error:
                raise InputError(error)
    method.teacher = LabelFiles(labels)
    fitted = Resize(size or (height // FINER, width // FINER))
    others, worlds = dataset.unlabelled((Path(elsewhere),), masks), FolderDataset(data / "elsewhere")
    chosen = [n for n in range(len(worlds)) if worlds.family(n) in kinds]
    return Joined(Subset(others, chosen), ratio, Steps((fitted,)))


def _row(
    title: str,
    student: str | None = None,
    streams: Mapping[str, Any] | None = None,
    part: float = 1.0,
    **options: Any,
) -> Row:
    """Return a row; `streams` are arguments of the second stream, None for labelled panoramas alone, of which it takes
    a `part`. A `student` of the papers is trained by its name only, narrow where panoramas are small."""

    def make(budget: Budget) -> Method:
        if student is None:
            return DepthAnywhere(budget.network, **options)
        return DepthAnywhere(student, width=1.0 if budget.size[0] >= PUBLISHED_HEIGHT else NARROW, **options)

    prepare = None if streams is None else partial(_streams, **streams)
    metric = options.get("predicts", "disparity") != "disparity"
    predict = alone if metric else from_least
    return Row(
        title, make, _target_rolled, predict, prepare=prepare, metric=metric, part=part, by_name=student is not None
    )


def from_least(method: Method, sample: Sample) -> OneMap:
    """Return disparity from 0 at what is farthest: its shift is unknown, and pictures are drawn from 0."""
    disparity = alone(method, sample)
    return disparity - disparity.amin()


def _target_rolled(sample: Sample, generator: torch.Generator) -> Sample:
    return augmentation.rolled(dataset.target_only(sample), generator)


def _network(method: Method, before: Method) -> None:
    """Start from the network of a distilled model."""
    method.load_state_dict(before.state_dict(), strict=False)


def _metres(method: Method, data: Path) -> augmentation.Augmentation:
    """Put the disparity of a distilled network in metres by some of the data."""
    assert isinstance(method, DepthAnywhere)
    rooms = FolderDataset(data / "train")
    method.fit_metres([rooms[n] for n in range(min(FITTED_ON, len(rooms)))])
    return Steps(())


ROWS: dict[str, Row] = {  # the most telling first: a run may be cut
    "alone": _row("labelled alone"),
    "pseudo": _row("+ pseudo labels, 1:1", streams={}),
    "still": _row("+ pseudo labels, the cube not turned", streams={"degrees": 0.0}),
    "unmasked": _row("+ pseudo labels, without masks", streams={"masked": False}),
    "pseudo-2": _row("+ pseudo labels, 1:2", streams={"ratio": 2}),
    "pseudo-4": _row("+ pseudo labels, 1:4", streams={"ratio": 4}),
    "unlabelled": _row("pseudo labels alone", streams={}, gt_weight=0.0, pseudo_weight=1.0),
    "tangent": _row("+ pseudo labels on tangent planes", streams={"planes": "tangent"}),
    "metric": _row("labelled alone, BerHu in metres", predicts="depth"),
    "metric-pseudo": _row("BerHu + pseudo labels", predicts="depth", streams={}),
    "pseudo-rooms": _row("+ pseudo labels of other rooms only", streams={"kinds": ("room",)}),
    "pseudo-outside": _row("+ pseudo labels of streets and landscapes only", streams={"kinds": OUTSIDE}),
    "few": _row("a quarter of the labelled alone", part=FEW),
    "few-pseudo": _row("a quarter of the labelled + pseudo labels", streams={}, part=FEW),
    "fine-tuned": replace(
        _row("+ pseudo labels, then fine-tuned in metres", predicts="metric-disparity"),
        taught_by="pseudo",
        teach=_network,
        prepare=_metres,
    ),
}
PUBLISHED = {"unifuse": "UniFuse", "bifuse++": "BiFuse++", "hohonet": "HoHoNet", "egformer": "EGformer"}
for _name, _title in PUBLISHED.items():
    ROWS |= {
        _name: _row(f"{_title}, labelled alone", _name),
        f"{_name}-pseudo": _row(f"{_title} + pseudo labels", _name, {}),
        f"{_name}-metric": _row(f"{_title}, labelled alone, BerHu", _name, predicts="depth"),
        f"{_name}-metric-pseudo": _row(f"{_title}, BerHu + pseudo labels", _name, {}, predicts="depth"),
    }

CLAIMS = (  # the source at hand has captions, and no figures of any table
    Claim("pseudo labels help, most of all where nothing is labelled", "no figures", "pseudo", "alone"),
    Claim("in metres too (BerHu)", "no figures", "metric-pseudo", "metric"),
    Claim("turning the cube removes its borders", "no figures", "pseudo", "still"),
    Claim("masks matter", "no figures", "pseudo", "unmasked"),
    Claim("1:2 about as good as 1:1 (either way)", "no figures", "pseudo-2", "pseudo"),
    Claim("1:4 about as good as 1:1 (either way)", "no figures", "pseudo-4", "pseudo"),
    Claim("a cube as good as tangent planes (either way)", "no figures", "pseudo", "tangent"),
    Claim("other rooms help (as Structured3D does)", "no figures", "pseudo-rooms", "alone"),
    Claim("films of the outside help (as SpatialAudioGen does)", "no figures", "pseudo-outside", "alone"),
    Claim("ours: with few labels, too", "", "few-pseudo", "few"),
    Claim("ours: true depth helps the labels", "", "pseudo", "unlabelled"),
    *(Claim(f"any student: {title}", "no figures", f"{name}-pseudo", name) for name, title in PUBLISHED.items()),
)


def figures(rho: OneMap, sample: Sample) -> dict[str, float]:
    """Return the protocol's figures of one panorama, under names that tell rooms from outside, and the cube's step."""
    return _figures(rho, sample, PROTOCOL, "affine-median") | cube_step(rho, sample)


def guarded(rho: OneMap, sample: Sample) -> dict[str, float]:
    """Return the same with what the alignment puts beyond infinity taken as far, not near."""
    return _figures(rho, sample, GUARDED, "affine-median")


def in_metres(rho: OneMap, sample: Sample) -> dict[str, float]:
    """Return figures of depth in metres as predicted, under names of their own."""
    return {f"metres_{key}": value for key, value in _figures(rho, sample, PROTOCOL, "none").items()}


def _figures(rho: OneMap, sample: Sample, protocol: Protocol, alignment: Alignment) -> dict[str, float]:
    outside = sample.name[0].partition("/")[0] in OUTSIDE
    protocol = replace(protocol, far=FAR_OUTSIDE) if outside else protocol
    measured = judge(Entry("row", "affine", lambda _: rho), sample, protocol.far or 0.0, protocol)
    by = next(m.figures for m in measured if m.alignment == alignment)
    kept = ("abs_rel", "delta1", "delta2", "delta3", "mae", "rmse", "rmse_log10_1p")
    return {f"{key}_outside" if outside else key: by[key] for key in kept}


def cube_step(rho: OneMap, sample: Sample) -> dict[str, float]:
    """Return how much larger steps of log depth's error are across borders of the unturned cube's faces than elsewhere.

    After scale and shift of inverse depth by least squares. 1 where the borders are not seen; nothing without two
    neighbours whose truth is known.
    """
    truth = sample.depth
    rho = resize_sphere(rho, size_of(truth))
    known = truth.isfinite() & (truth > 0) & sample.target.valid
    if not bool(known.any()):
        return {}
    middle, slope, level = affine_fit(rho[known].double(), truth[known].double())
    aligned = (slope * (rho - middle) + level).clamp_min(1 / FAR_OUTSIDE)
    error = torch.where(known, (aligned * torch.where(known, truth, 1)).log(), 0)
    rays = Equirectangular().rays(pixel_grid(size_of(truth), rho))
    face = torch.einsum("fj,bhwj->bfhw", face_from_sphere(rho)[:, 2], rays).argmax(1, keepdim=True)
    steps: dict[bool, list[Tensor]] = {True: [], False: []}
    for axis in (-1, -2):
        both = _neighbours(known, axis, torch.logical_and)
        across = _neighbours(face, axis, torch.ne)
        size = _neighbours(error, axis, torch.sub).abs()
        for border in (True, False):
            steps[border].append(size[both & (across == border)])
    at, off = torch.cat(steps[True]), torch.cat(steps[False])
    return {"cube_step": float(at.mean() / off.mean())} if len(at) and len(off) and float(off.mean()) > ROUNDING else {}


def _neighbours(x: Tensor, axis: int, how: Any) -> Tensor:
    n = x.shape[axis] - 1
    return how(x.narrow(axis, 1, n), x.narrow(axis, 0, n))


def within_area(sample: Sample) -> Sample:
    """Return a sample of Stanford2D3D whose depth counts between its black caps alone, as the zero-shot tables do."""
    depth, crop = torch.full_like(sample.depth, torch.nan), area_crop(size_of(sample.depth))
    depth[..., crop[0], crop[1]] = sample.depth[..., crop[0], crop[1]]
    return replace(sample, depth=depth)


def _guesses(data: Samples, name: str = TEACHER) -> list[Entry]:
    """Return guesses that look at no picture, and the teacher by itself: ten faces that are aligned and blended, and a
    plain cube, which shows its borders."""
    mean = mean_inverse_depth(data)  # type: ignore[arg-type]
    one = mean.mean().float().view(1, 1, 1, 1).expand_as(mean)
    teacher = predictor.load(name)
    infer = FaceModel(teacher)

    def by_faces(sample: Sample) -> OneMap:
        with torch.inference_mode():
            return teacher.faces(sample.target.image).inverse_depth.clone()

    def on_a_cube(sample: Sample) -> OneMap:
        image, side = sample.target.image, sample.depth.shape[-2] // 2
        with torch.inference_mode():
            pictures = faces_from_sphere(image, CUBE, side)
            lens = CUBE.camera(side, pictures)
            lens = Pinhole(lens.focal.expand(len(pictures), 2), lens.center.expand(len(pictures), 2))
            rho = infer(view(pictures, lens)) * CUBE.cosine(side, pictures)
            return sphere_from_faces(rho, CUBE, size_of(image)).clone()

    return [
        Entry(f"the teacher, {Path(name).name}, by faces", "scale", by_faces),
        Entry(f"the teacher, {Path(name).name}, on a plain cube", "scale", on_a_cube),
        latitude_mean(mean),
        Entry("training constant", "metric", lambda _: one, trivial=True),
    ]


def _held_out(budget: Budget, seed: int, count: int) -> RenderJob:
    return RenderJob(("room", *OUTSIDE), "sphere", seed, count, budget.size)


def _elsewhere(budget: Budget, seed: int, count: int) -> RenderJob:
    height, width = budget.size
    return RenderJob(EVERYWHERE, "sphere", seed, count, (FINER * height, FINER * width))


def _about(b: Budget, teacher: str = TEACHER) -> str:
    height, width = b.size
    return (
        f"{b.scenes} labelled rooms, {b.scenes} unlabelled streets, landscapes and rooms ({FINER} times as fine), "
        f"which `{Path(teacher).name}` labelled on faces, {TURNS} random rotations each; panoramas of {height}x{width} "
        f"pixels, network {b.network}; {b.steps} steps of {b.batch_size} labelled items and as many unlabelled (twice, "
        f"four times in rows 1:2, 1:4), Adam with a cosine, {b.learning_rate:g}. {b.held_out} held-out panoramas, a "
        "third rooms, the rest outside; protocol `depth-anywhere` (affine, then median; truth to 10 m, outside to "
        f"{FAR_OUTSIDE:g} m), means over images (and standard deviation over seeds). Cube step: steps of the error of "
        "log depth across borders of an unturned cube over those elsewhere. Minutes of the first row that needs labels "
        f"include making them. Published students below {PUBLISHED_HEIGHT} rows: {NARROW:g} of their channels."
    )


ABOUT_CLOSER = (
    "A closer look. Guarded: protocol `depth-anywhere-guarded`, where what least squares put beyond infinity is far, "
    "not near. In metres: as predicted, without alignment, of rows that predict metres; RMSElog is of log10(1 + depth)."
)

DISTIL = Family(
    name="distil",
    scenes="panoramas",
    rows=ROWS,
    budgets=BUDGETS,
    order=panoramas_of_rooms,
    held_out=_held_out,
    figures=figures,
    columns={
        "abs_rel": "AbsRel, rooms",
        "delta1": "δ1, rooms",
        "delta2": "δ2, rooms",
        "delta3": "δ3, rooms",
        "abs_rel_outside": "AbsRel, outside",
        "delta1_outside": "δ1, outside",
        "cube_step": "cube step",
    },
    real_columns={"abs_rel": "AbsRel", "delta1": "δ1", "delta2": "δ2", "delta3": "δ3", "cube_step": "cube step"},
    about=_about,
    guesses=_guesses,
    headline="abs_rel",
    drawn=("abs_rel", "abs_rel_outside", "delta1", "cube_step"),
    claims=CLAIMS,
    claimed=("abs_rel", "abs_rel_outside", "delta1_outside", "cube_step"),
    elsewhere=_elsewhere,
    closer=guarded,
    closer_columns={
        "abs_rel": "AbsRel guarded, rooms",
        "abs_rel_outside": "AbsRel guarded, outside",
        "delta1_outside": "δ1 guarded, outside",
    },
    about_closer=ABOUT_CLOSER,
    in_metres=in_metres,
    metre_columns={
        "metres_abs_rel": "in metres: AbsRel, rooms",
        "metres_mae": "MAE",
        "metres_rmse": "RMSE",
        "metres_rmse_log10_1p": "RMSElog",
        "metres_delta1": "δ1",
        "metres_delta2": "δ2",
        "metres_delta3": "δ3",
        "metres_abs_rel_outside": "in metres: AbsRel, outside",
    },
    real_metre_columns={"metres_abs_rel": "in metres: AbsRel", "metres_rmse": "RMSE", "metres_delta1": "δ1"},
    real_steps={"stanford2d3d": within_area},
    sheets=SHEETS,
)


def taught_by(teacher: str) -> Family:
    """Return the family with another teacher in the place of `general`: any model for ordinary photos."""
    rows = {
        name: row if row.prepare in (None, _metres) else replace(row, prepare=partial(row.prepare, teacher=teacher))  # type: ignore[call-arg]
        for name, row in ROWS.items()
    }
    guesses, about = partial(_guesses, name=teacher), partial(_about, teacher=teacher)
    return replace(DISTIL, rows=rows, guesses=guesses, about=about)
