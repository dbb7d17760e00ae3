"""What the recipes of one family share: from a method to a training run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from cyclopean.methods.base import Method
from cyclopean.training import dataset
from cyclopean.training.dataset import Rig, common_rig
from cyclopean.training.options import Augment, Run, Source

Schedule = Literal["halving", "tenth", "cosine"]


def fit(  # noqa: PLR0917
    name: str,
    make: Callable[[Rig | None], Method],
    run: Run,
    source: Source,
    augment: Augment,
    mirror: dataset.Augmentation,
    schedule: Schedule,
    start: Path | None = None,
    rig: Rig | None = None,
) -> None:
    """Trains what `make` makes of a rig (after the seed is set) with Adam, on pairs of `source`.

    The rig is the given one, else the one rig of the data if there is one; the model keeps it and tells metres.
    `start`: trained weights of the encoder, unless the run goes on or starts from a whole model.
    """
    import torch

    from cyclopean.networks.resnet import start_from
    from cyclopean.training.loop import adam, cosine, halving, tenth
    from cyclopean.training.loop import fit as fit_

    feed = dataset.train_data(source, augment, run, mirror, rig=rig)
    run = run.of(len(feed.training))  # type: ignore[arg-type]
    found, about = common_rig(feed.training)
    torch.manual_seed(run.seed)
    method = make(rig or found)
    if rig is None and method.rig == found:
        feed = replace(feed, about=(*feed.about, about))
    if start is not None:
        start_from(method.network, start)  # type: ignore[arg-type]
    _check_features(method)
    course = {"halving": halving, "tenth": tenth, "cosine": cosine}[schedule]
    card = dataset.card(name, run, source, feed)
    fit_(method, feed, run, adam, course, card=card, pictures=dataset.pictures)


def _check_features(method: Method) -> None:
    """Raises `InputError` now for weights that features are to be compared with and that are none (rebuilding)."""
    from cyclopean.networks.resnet import pretrained

    named = method.config().get("rules", {}).get("features", "none")
    if named not in ("none", "own"):
        pretrained(Path(named))
