"""Judge the mask of what was clicked, and what of it stays sharp, on rendered scenes that know every object.

One family at a time is left out of training; depth is predicted by the bundled model, as for a photo.
"""

import dataclasses
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float

from cyclopean.bench.subject_training import inner_point, read_pictures, train
from cyclopean.data.folder import FolderDataset
from cyclopean.defocus.edges import refined
from cyclopean.defocus.focus import Sharp
from cyclopean.defocus.lens import amount_scale, depth_range
from cyclopean.defocus.subject import coherent, grabcut
from cyclopean.evaluation.tables import Table
from cyclopean.inference.predictor import Predictor, load
from cyclopean.inference.subject import SEEN, SubjectSelector
from cyclopean.io.depthmap import DepthMap
from cyclopean.io.files import write_text
from cyclopean.io.image import Photo
from cyclopean.networks.mobile import Mobile
from cyclopean.networks.subject import SubjectNet
from cyclopean.synthetic.folder import RenderJob, write

FAMILIES = ("table", "clutter", "street", "room")  # each left out once
# always trained on; `handheld` and `night` are not, since they show rooms and streets, too
MORE = ("landscape", "people", "animals", "plants", "thin", "vehicles", "houses", "meal")
TRAINED, JUDGED = 72_000_000, 60_000_000  # first seeds: no model of ours has seen them
WHOLE = 2  # times the steps, for the network of all families
LEAST = 0.02  # of a picture: smaller objects are not clicked
PHOTO = 866, 1155  # the size of a photo of 1 megapixel, for which sharpness is counted
SHARP = 0.5  # pixels of radius
ROWS = ("depth range", "GrabCut", "outline", "network")

Mask = Bool[np.ndarray, "h w"]
Plane = Float[np.ndarray, "h w"]


@dataclass(frozen=True)
class Budget:
    """How much: scenes a family and steps to train (0: no network), pictures and clicks a family to judge."""

    scenes: int = 500
    steps: int = 0
    pictures: int = 70
    clicks: int = 200
    seed: int = 0


@dataclass(frozen=True)
class Click:
    """A picture, its predicted depth, the clicked pixel (x, y) and the mask of the object there."""

    photo: Photo
    depth: DepthMap
    pixel: tuple[int, int]
    truth: Mask


def rendered(out: Path, budget: Budget) -> Iterator[str]:
    """Render what is missing, yielding what was rendered: OUT/train and OUT/judged, a folder for each family."""
    for family in (*FAMILIES, *MORE) if budget.steps else ():
        yield from (family for _ in write(_job(family, TRAINED, budget.scenes), out / "train" / family))
    for family in FAMILIES:
        yield from (family for _ in write(_job(family, JUDGED, budget.pictures), out / "judged" / family))


def total(budget: Budget) -> int:
    """Return how many scenes a budget has."""
    return len(FAMILIES) * budget.pictures + bool(budget.steps) * len((*FAMILIES, *MORE)) * budget.scenes


def _job(family: str, seed: int, count: int) -> RenderJob:
    return RenderJob((family,), "stereo", seed, count, SEEN)


def trained(out: Path, budget: Budget, left_out: str, predictor: Predictor) -> SubjectNet:
    """Return the network trained on all families but one (none: "")."""
    data = []
    for family in (*FAMILIES, *MORE):
        if family != left_out:
            cache = out / "predicted" / f"{family}-{budget.scenes}.safetensors"
            data.append(read_pictures(out / "train" / family, budget.scenes, predictor, cache))
    steps = budget.steps if left_out else WHOLE * budget.steps
    name = f"{f'without-{left_out}' if left_out else 'all'}-{budget.scenes}-{steps}-{budget.seed}"
    start = cast(Mobile, predictor.method.network).encoder.state_dict()
    return train(data, steps, budget.seed, out / "models" / name, start)


def clicks(folder: Path, count: int, predictor: Predictor, seed: int) -> Iterator[Click]:
    """Yield `count` clicks on random inner pixels of random objects of at least `LEAST` of their picture."""
    data, rng = FolderDataset(folder), random.Random(f"clicks {seed}")
    choices = []
    for n in range(len(data)):
        objects = data.objects(n)[0, 0].numpy()
        numbers, sizes = np.unique(objects, return_counts=True)
        choices += [(n, int(k)) for k, size in zip(numbers, sizes, strict=True) if k and size >= LEAST * objects.size]
    last, photo, depth = -1, None, None
    for n, number in sorted(rng.choice(choices) for _ in range(count)):
        if n != last:
            photo = Photo(data[n].target.image)
            depth, last = refined(predictor(photo), photo.image), n  # as refocus does
        assert photo is not None
        assert depth is not None
        truth = data.objects(n)[0, 0].numpy() == number
        yield Click(photo, depth, inner_point(truth, rng), truth)


def judge(click: Click, select: SubjectSelector | None) -> tuple[float, float]:
    """Return the IoU of the mask, and the share of the object that is sharp; by depth alone without a selector."""
    plane = click.depth.inverse_depth[0, 0].numpy()
    x, y = click.pixel
    focus = Sharp(float(plane[y, x]), float(plane[y, x]))
    matte = None if select is None else select([click.pixel])
    mask = is_sharp(plane, focus, depth_range(plane))
    if matte is not None and 0 < int((matte >= 0.5).sum()) < matte.numel():
        surface, focus = coherent(click.depth, matte)
        mask = matte[0, 0].numpy() >= 0.5
        sharp = is_sharp(surface.inverse_depth[0, 0].numpy(), focus, depth_range(plane))
    else:
        sharp = mask
    overlap = float((mask & click.truth).sum() / (mask | click.truth).sum())
    return overlap, float(sharp[click.truth].mean())


def is_sharp(inverse_depth: Plane, focus: Sharp, whole: float) -> Mask:
    """Return which pixels are blurred by a radius of at most `SHARP` pixels in a photo of `PHOTO`, by the amount 1."""
    away = np.maximum(inverse_depth - focus.near, focus.far - inverse_depth)
    return away * amount_scale(1.0, PHOTO, whole) <= SHARP


def results(out: Path, budget: Budget) -> Iterator[dict[str, dict[str, list[list[float]]]]]:
    """Yield all figures after each row and family: row -> family -> IoU and sharp share of each click.

    They are kept in OUT, in a file for each budget: rows that are there already are not judged again.
    """
    predictor = load()
    path = out / f"{'-'.join(str(number) for number in dataclasses.astuple(budget))}.json"
    figures = json.loads(path.read_text()) if path.exists() else {}
    rows = ROWS if budget.steps else ROWS[:3]
    for family in FAMILIES:
        missing = [row for row in rows if family not in figures.setdefault(row, {})]
        if missing:
            made = judged(out, budget, family, missing, predictor)
            for row in missing:
                figures[row][family] = made[row]
            write_text(path, json.dumps(figures) + "\n")
        yield figures


def judged(
    out: Path, budget: Budget, family: str, rows: Sequence[str], predictor: Predictor
) -> dict[str, list[list[float]]]:
    """Return IoU and sharp share of each click on a family, for each row; its network is trained if needed."""
    own = trained(out, budget, family, predictor) if "network" in rows else None
    made: dict[str, list[list[float]]] = {row: [] for row in rows}
    kept: dict[str, SubjectSelector | None] = {}
    photo = None
    for click in clicks(out / "judged" / family, budget.clicks, predictor, budget.seed):
        if click.photo is not photo:  # its features serve all clicks on it
            photo = click.photo
            kept = {
                "depth range": None,
                "GrabCut": SubjectSelector(photo, click.depth, outline=grabcut),
                "outline": SubjectSelector(photo, click.depth),
                "network": SubjectSelector(photo, click.depth, own),
            }
        for row in rows:
            made[row].append(list(judge(click, kept[row])))
    return made


def report(figures: dict[str, dict[str, list[list[float]]]]) -> str:
    """Return Markdown: mean IoU and mean sharp share of each family and over families."""
    rows = []
    for row, families in figures.items():
        means = [np.mean(families[family], 0) for family in FAMILIES if family in families]
        cells = [f"{value:.3f}" for k in (0, 1) for value in (*(m[k] for m in means), np.mean([m[k] for m in means]))]
        rows.append((row, *cells))
    done = [family for family in FAMILIES if all(family in families for families in figures.values())]
    heads = ("mask by", *(f"IoU {name}" for name in (*done, "mean")), *(f"sharp {name}" for name in (*done, "mean")))
    return Table(heads, tuple(rows), 1).markdown()


def ship(out: Path, budget: Budget, folder: Path) -> None:
    """Train on all families and write the network that is bundled, with its card, into `folder`."""
    from safetensors.torch import save_file

    from cyclopean.io.files import appearing

    predictor = load()
    network = trained(out, budget, "", predictor)
    assert predictor.model is not None
    card = {
        "what": "the mask of the object at a point of a picture with depth",
        "licence": "Apache-2.0",
        "encoder": {"began as that of": predictor.model.name, "sha256": predictor.model.sha256},
        "training": {
            "command": f"cyclopean bench subject OUT --scenes {budget.scenes} --steps {budget.steps} "
            f"--seed {budget.seed} --ship FOLDER",
            "data": f"{budget.scenes} rendered scenes of each of {', '.join((*FAMILIES, *MORE))}, seed {TRAINED}",
            "steps": WHOLE * budget.steps,
        },
        "torch": torch.__version__,
    }
    with appearing(folder) as private:
        stored = network.state_dict().items()
        weights = {name: (x.half() if x.is_floating_point() else x).contiguous() for name, x in stored}
        save_file(weights, private / "model.safetensors")
        (private / "card.json").write_text(json.dumps(card, indent=2) + "\n")
