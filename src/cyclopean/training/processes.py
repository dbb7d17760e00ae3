"""The processes of a run: how they start, what they agree on, who speaks for all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning_fabric import Fabric

from cyclopean.errors import InputError
from cyclopean.sample import Sample
from cyclopean.training.loader import good
from cyclopean.training.options import Run


def engine(run: Run) -> Fabric:
    """What `run` computes on; no other process is started yet. Raises `InputError` for devices that are not there."""
    strategy = "ddp" if run.devices * run.nodes > 1 else "auto"
    try:
        return Fabric(accelerator=run.accelerator, devices=run.devices, num_nodes=run.nodes, strategy=strategy)
    except (RuntimeError, ValueError) as error:  # an accelerator that is not there, more devices than there are
        raise InputError(f"cannot use {run.devices} {run.accelerator} devices: {error}") from error


def launch(fabric: Fabric) -> None:
    """Starts the other processes, which run the whole command again, and waits for them."""
    if "LT_CLI_USED" not in os.environ:  # `fabric run` has started the processes, and refuses a second start
        fabric.launch()


@contextmanager
def one_voice(fabric: Fabric) -> Iterator[None]:
    """Within it every process raises the same `InputError`s, and is stopped by Ctrl-C after the same step; the first
    tells of it, the others end without a word.

    Their exit code is 0, since a launcher kills the first when another fails, perhaps before it has spoken.
    """
    try:
        yield
    except (InputError, KeyboardInterrupt) as error:
        if fabric.is_global_zero:
            raise
        raise SystemExit(0) from error


def anyone(fabric: Fabric, asked: bool) -> bool:
    """Whether any process was asked to stop: all must stop after the same step."""
    if fabric.world_size == 1:
        return asked
    flag = torch.tensor(float(asked), device=fabric.device)
    return bool(fabric.all_reduce(flag, reduce_op="sum").item())  # type: ignore[union-attr]


def all_good(fabric: Fabric, batch: Sample | InputError) -> Sample:
    """`batch`, if every process has one; what one cannot read is raised by all, who would wait for it otherwise."""
    if fabric.world_size == 1 or not anyone(fabric, isinstance(batch, InputError)):
        return good(batch)
    said: list[str | None] = [None] * fabric.world_size
    torch.distributed.all_gather_object(said, str(batch) if isinstance(batch, InputError) else None)
    raise InputError(next(sentence for sentence in said if sentence is not None))
