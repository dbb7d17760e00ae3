"""What the recipes of one family share: from a method to a training run."""

from collections.abc import Callable
from typing import Literal

from cyclopean.methods.base import Method
from cyclopean.recipes import feeding
from cyclopean.recipes.settings import Augment, Source
from cyclopean.run import Run

Schedule = Literal["halving", "cosine"]


def fit(  # noqa: PLR0917
    name: str,
    make: Callable[[], Method],
    run: Run,
    source: Source,
    augment: Augment,
    drawn: feeding.Drawn,
    schedule: Schedule,
) -> None:
    """Trains what `make` makes (after the seed is set) with Adam, on the stereo pairs of `source`."""
    import torch

    from cyclopean import training

    feed = feeding.feed(source, augment, drawn, run.seed)
    torch.manual_seed(run.seed)
    method = make()
    course = {"halving": training.halving, "cosine": training.cosine}[schedule]
    card = feeding.card(name, run, source, feed)
    training.fit(method, feed, run, training.adam, course, card, feeding.pictures)
