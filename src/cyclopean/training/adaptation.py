"""From a clip to a model of one's own: poses by geometry, then view synthesis from the frames, without labels.

The result is never worse than the start on held-out frames: what gained nothing is rolled back.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cyclopean import augmentation
from cyclopean.augmentation import Sometimes, Steps
from cyclopean.data import is_clip, open_dataset
from cyclopean.data.diagnose_clip import clip_problems, teaches, verdict, wrong_focal
from cyclopean.data.files import whole_number
from cyclopean.data.inspect_clip import ClipInspection, examine_clip
from cyclopean.data.posed_clip import Clip, PosedClip, posed_triplets, split
from cyclopean.data.video import RenderedClipDataset, camera_of
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, size_of
from cyclopean.inference.predictor import working_size
from cyclopean.io.files import read_json, write_text
from cyclopean.methods.adaptation import Adaptation
from cyclopean.methods.base import Method
from cyclopean.sample import collate
from cyclopean.training import checkpoint, models
from cyclopean.training.dataset import TrainData
from cyclopean.training.loop import fit, training_device
from cyclopean.training.optimisation import adam, cosine
from cyclopean.training.options import STATE, Run
from cyclopean.training.state import mean_losses

RUN, PLAN = "run", "plan.json"  # inside the folder of the model: the run, and what it was begun with
MOST, FEWEST = 240, 12  # triplets
VALIDATIONS = 12  # during a run
BATCH, RATE, CLIPPED = 2, 1e-4, 1.0
TIMED = 3  # steps that tell how many fit into the minutes
LEAST = 40  # steps, whatever the minutes: 11 explained the held-out frames of one clip better and made depth 21 % worse
GAIN = 1e-3  # share of the photometric error that must be gained
KEPT = 1.02  # the error at points that were followed may grow by 2 %, since those are few

Say = Callable[[str], None]
Bar = Callable[[str], Any]  # a context that yields what takes (done, all)


@dataclass(frozen=True)
class Plan:
    """The facts that a run begins with; it is resumed with the same. `angle`: the field of view along the longer
    side.
    """

    clip: str
    model: str
    step: int
    angle: float
    steps: int


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run: whether the model gained, and its losses on held-out frames before and after (empty where
    nothing was tried).
    """

    gained: bool
    before: dict[str, float]
    after: dict[str, float]


def adapt(
    clip: str, path: Path, options: dict[str, str], model: str, out: Path, *,
    minutes: float, steps: int, resume: bool, say: Say, bar: Bar,
) -> Outcome:  # fmt: skip
    """Adapt `model` to the clip at `path` (named `clip`, with `options` as in `clip:PATH`) and write it to `out`.

    It takes about `minutes`, at least `LEAST` steps; exactly `steps` if they are above 0. What explains held-out frames
    best is kept; if that is not better than the start, or the clip cannot teach depth, `out` is the start itself. On
    Ctrl-C the best so far is written, and `KeyboardInterrupt` raised. Raises InputError for what is no clip, or a model
    that does not fit.
    """
    begun = time.monotonic()
    start, card = checkpoint.load(model)
    if start.projection != "pinhole" or start.views > 1:
        raise InputError(f"the model {model!r} is not for single ordinary pictures, which a clip has; give another.")
    plan = _read_plan(out, clip, model) if resume else None
    facts: dict[str, Any] = {"clip": path.name}
    keep = partial(_write, out, start, card)
    if plan is None and is_clip(clip):
        with bar("looking at the clip") as update:
            inspection = examine_clip(clip, path, options, update)
        say(verdict(inspection))
        if not teaches(inspection):
            say(f"{' '.join(problem.sentence for problem in clip_problems(inspection))} The start is kept.".lstrip())
            keep(**facts, gained=False, why=verdict(inspection))
            return Outcome(False, {}, {})
        angle = _angle(inspection, say)
        plan = Plan(clip, model, whole_number("step", options.get("step", str(inspection.step))), angle, steps)
    plan = plan or Plan(clip, model, 1, 0.0, steps)

    name = f"clip:{path}:step={plan.step}:fov={plan.angle:.3f}" if is_clip(clip) else clip
    data: Any = open_dataset(name)
    size_of_data, camera = _pictures(data, path, plan.angle, options)
    size = working_size(size_of_data, (card["input_size"][0], card["input_size"][1]), start.input_multiple)
    chosen = [round(n) for n in np.linspace(0, len(data) - 1, min(MOST, len(data)))]
    with bar("measuring how the camera moved") as update:
        triplets = posed_triplets(data, chosen, size, camera, update)
    say(f"the camera's motion is known at {len(triplets)} of {len(chosen)} frames, {plan.step} apart.")
    taught, held = split(data, list(triplets)) if triplets else ([], [])
    if len(triplets) < FEWEST or len(taught) < FEWEST // 2:
        why = (
            f"the camera's motion is known at {len(triplets)} frames, and {FEWEST} are needed; give a longer clip, or "
            "one in which the camera moves more"
        )
        if len(triplets) >= FEWEST:
            why = (
                f"{len(taught)} frames are left beside those held out, and {FEWEST // 2} are needed; give a longer clip"
            )
        say(f"{why}: the start is kept.")
        keep(**facts, gained=False, why=why)
        return Outcome(False, {}, {})

    training, validation = (PosedClip([triplets[n] for n in part], camera) for part in (taught, held))
    method = Adaptation(start, card.get("glance"))
    augment = Steps((Sometimes(0.5, augmentation.mirrored), Sometimes(0.5, augmentation.mild_colour)))
    left = 60 * minutes - (time.monotonic() - begun)
    method.to(training_device(Run(out / RUN)))  # before steps are timed
    if plan.steps == 0:
        plan = replace(plan, steps=_fitting_steps(method, training, validation, left, say))
    run = Run(
        out / RUN, plan.steps, batch_size=BATCH, learning_rate=RATE, clip_grad_norm=CLIPPED, workers=0,
        validate_every=max(1, plan.steps // VALIDATIONS), resume=resume and (out / RUN / STATE).exists(),
        save_every=60.0, report_every=max(1, plan.steps // 50),
    )  # fmt: skip
    run.out.mkdir(parents=True, exist_ok=True)
    write_text(run.out / PLAN, json.dumps(vars(plan), indent=1) + "\n")
    before = mean_losses(method, validation, run)
    facts |= {
        "triplets": len(taught), "held_out": [triplets[n].name for n in held], "frames_apart": plan.step,
        "field_of_view": round(plan.angle, 1), "batch_size": BATCH, "learning_rate": RATE, "steps": plan.steps,
    }  # fmt: skip
    try:
        fit(
            method,
            TrainData(training, augment, validation),
            run,
            adam,
            cosine,
            card={**_plain(card), "training": facts},
            seconds=None if steps or plan.steps == LEAST else 1.2 * max(left, 1.0),
        )
    finally:  # on Ctrl-C, too
        outcome = _finish(method, validation, run, before=before, keep=partial(keep, **facts), say=say)
    return outcome


def _finish(
    method: Adaptation,
    validation: PosedClip,
    run: Run,
    *,
    before: dict[str, float],
    keep: Callable[..., None],
    say: Say,
) -> Outcome:
    """Write the model of the run that explains held-out frames best, else the start, and return which."""
    candidates = []
    for folder in (run.out / "best", run.out / "last"):
        if (folder / models.WEIGHTS).exists():
            checkpoint.initialise(method.model, folder)
            candidates.append((mean_losses(method, validation, run), folder))
    after, folder = min(candidates, key=lambda one: sum(one[0].values()), default=(before, run.out))
    gained = after["appearance"] < (1 - GAIN) * before["appearance"] and after["points"] <= KEPT * before["points"]
    errors = f"photometric error of held-out frames {before['appearance']:.4f} before, {after['appearance']:.4f} after"
    if gained:
        checkpoint.initialise(method.model, folder)
        say(f"the model explains held-out frames better: {errors}.")
    else:
        method.model.load_state_dict(method.start.module.state_dict())
        say(f"nothing was gained ({errors}): rolled back to the start.")
    keep(gained=gained, before=before, after=after)
    return Outcome(gained, before, after)


def _write(out: Path, model: Method, card: dict[str, Any], /, **facts: Any) -> None:
    """Write a model with the card of the start, and how it was adapted."""
    training = {**card.get("training", {}), "adapted": facts}
    checkpoint.save(out, model, {**_plain(card), "training": training})


def _plain(card: dict[str, Any]) -> dict[str, Any]:
    """Return a card without what its method adds."""
    return {key: value for key, value in card.items() if key not in ("method", "arguments")}


def _angle(inspection: ClipInspection, say: Say) -> float:
    """Return the field of view to learn with: the stated one, or, where none is, the one measured by parallax."""
    focal = inspection.focal
    if focal is None:
        if inspection.source == "assumed":
            say(f"the focal length is not known: {inspection.angle:.0f} degrees along the longer side are assumed.")
        return inspection.angle
    if inspection.source == "assumed":
        say(f"the file does not tell its focal length; parallax tells about {focal.best:.0f} degrees, which are used.")
        return focal.best
    if wrong_focal(inspection):
        say(f"{inspection.angle:.0f} degrees are stated, but parallax tells about {focal.best:.0f}: give "
            f"fov={focal.best:.0f} if the result is poor.")  # fmt: skip
    return inspection.angle


def _pictures(data: Clip, path: Path, angle: float, options: dict[str, str]) -> tuple[tuple[int, int], Pinhole]:
    """Return size (height, width) and camera of the clip's upright pictures."""
    if isinstance(data, RenderedClipDataset):
        target = data[0].target
        assert isinstance(target.camera, Pinhole)
        return size_of(target.image), target.camera
    size, camera, _ = camera_of(path, f"{angle:.3f}", options.get("camera", ""))
    return size, camera


def _fitting_steps(method: Adaptation, training: PosedClip, validation: PosedClip, seconds: float, say: Say) -> int:
    """Return how many steps fit into `seconds`, by a few whose changes are undone; at least `LEAST`, which is said."""
    weights = {name: value.clone() for name, value in method.state_dict().items()}
    optimiser = adam(method.parameters(), RATE)
    device = next(method.parameters()).device
    times = []
    for _ in range(TIMED):
        begun = time.monotonic()
        sample = collate([training[n % len(training)] for n in range(BATCH)]).to(device)
        torch.stack(list(method(sample).values())).sum().backward()
        optimiser.step()
        next(method.parameters()).sum().item()  # waits for a GPU
        optimiser.zero_grad()
        times.append(time.monotonic() - begun)
    method.load_state_dict(weights)
    each = sorted(times)[TIMED // 2]
    judging = (VALIDATIONS + 2) * len(validation) / BATCH * each / 3  # forward alone
    fitting = max(0, int((seconds - judging) / each))
    if fitting < LEAST:
        many = f"{fitting} step{'s' * (fitting != 1)} would fit into the minutes"
        say(f"{many}; {LEAST} are the least, {LEAST * each / 60:.1f} minutes here.")
    return max(LEAST, fitting)


def _read_plan(out: Path, clip: str, model: str) -> Plan | None:
    """Return the plan of a run that was begun; None where it had not come so far."""
    path = out / RUN / PLAN
    if not path.exists():
        return None
    with suppress(TypeError):
        plan = Plan(**read_json(path))
        if (Path(plan.clip).name, plan.model) == (Path(clip).name, model):
            return plan
        raise InputError(
            f"{out} was begun with {plan.clip} and the model {plan.model}; repeat that, or give another --out."
        )
    raise InputError(f"{path} cannot be understood; remove {out}, or give another --out.")
