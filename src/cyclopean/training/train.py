"""Train a method by its recipe: the loop, with the model's card and the pictures of the log."""

import logging
import math
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cyclopean.geometry import size_of
from cyclopean.methods.base import Method
from cyclopean.sample import Sample
from cyclopean.training.dataset import ITEMS_READ, TrainData
from cyclopean.training.loop import fit
from cyclopean.training.optimisation import MakeOptimizer, Schedule
from cyclopean.training.options import Run, Source
from cyclopean.training.wrappers import length

LOG = logging.getLogger(__name__)


def train(
    recipe: str,
    method: Method,
    data: TrainData,
    run: Run,
    source: Source,
    *,
    optimizer: MakeOptimizer,
    schedule: Schedule,
    each_epoch: Sequence[Callable[[Method], None]] = (),
    facts: Mapping[str, Any] = {},
) -> None:
    """Train `method` on `data` and save it with its card, to which `facts` about its training are added.

    What `fit` raises; a camera that was learned is logged.
    """
    card = model_card(recipe, run, source, data)
    card["training"] |= facts
    run = run.of(length(data.training))
    fit(method, data, run, optimizer, schedule, card=card, pictures=pictures, each_epoch=each_epoch)
    if method.config().get("intrinsics") == "learned":
        log_learned_camera(method, data)


def model_card(recipe: str, run: Run, source: Source, data: TrainData) -> dict[str, Any]:
    """Return the metadata of a saved model: its input size, its licence, how it was trained."""
    facts = {
        "recipe": recipe,
        "data": [str(p) for p in source.data] or list(source.world),
        "items": length(data.training),
        **({"shrink": data.shrink} if data.shrink < 1 else {}),
        **{name: getattr(run, name) for name in ("batch_size", "learning_rate", "seed", "precision")},
        "average": run.ema_decay,
        "init": run.init,
        "torch": torch.__version__,
        **({"command": shlex.join(["cyclopean", *sys.argv[1:]])} if sys.argv[1:2] == ["train"] else {}),
    }
    shape = source.size or size_of(data.training[0].depth)
    return {"input_size": list(shape), "licence": "Apache-2.0", "training": facts}


def pictures(method: Method, sample: Sample) -> dict[str, Tensor]:
    """Return two pictures of a batch's first item for the log: the network's input and its inverse depth in grey."""
    with torch.no_grad():
        rho = method.eval().predict(sample.target, sample.sources).inverse_depth[:1]
    low, high = rho.amin(), rho.amax()
    grey = (rho - low) / torch.where(high > low, high - low, torch.ones_like(high))
    return {"seen": sample.target.seen[0], "inverse depth": grey[0].expand(3, -1, -1)}


def log_learned_camera(method: Method, data: TrainData) -> None:
    """Log the mean camera of held-out items, whole pictures, that a method with a `pose` step predicts."""
    items = data.training if data.validation is None else data.validation
    count = min(length(items), ITEMS_READ)
    device = next(method.parameters()).device
    with torch.no_grad():
        cameras = [method.eval().pose(items[index].to(device)).target.camera for index in range(count)]  # type: ignore
    focal = torch.cat([camera.focal for camera in cameras]).mean(0).tolist()
    LOG.warning(
        "by what was learned of %d items, the camera sees %.1f degrees across: its focal lengths are %.3f image widths "
        "and %.3f heights.", count, 2 * math.degrees(math.atan(0.5 / focal[0])), *focal,
    )  # fmt: skip
