"""The same work on very many inputs: in this process, in several, or on a cluster by Ray Data.

Nothing is kept but files, which appear by renaming: an interrupted run continues with the inputs whose results are
missing, and an input that was begun twice is written twice alike. Inputs are taken one by one, as processes are free,
so that memory does not grow with their number.
"""

import itertools
import json
import logging
import os
import pickle
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import torch

from cyclopean.data import open_dataset
from cyclopean.data.panoramas import PanoramaFilmDataset, PanoramaPicturesDataset, PanoramasWithDepth
from cyclopean.errors import InputError, sentence
from cyclopean.io.files import read_json, write_anew
from cyclopean.processes import in_processes

STORE = 200_000_000  # bytes of a local cluster's shared memory: only names of inputs go through it
PART = 4096  # inputs that Ray Data plans at once


class Done(NamedTuple):
    """An input that was worked on; None, or a sentence on what is wrong with it; what the work returned."""

    input: Any
    error: str | None
    result: Any = None


@runtime_checkable  # so that annotations can be checked while tests run
class Work(Protocol):
    """Work on inputs such as numbers or paths: values that can be hashed and sent to other processes."""

    def __hash__(self) -> int: ...

    def load(self) -> Callable[[Any], Any]:
        """Load what every input needs, such as a model, and return what does the work on one."""
        ...


def run(work: Work, inputs: Iterable[Hashable], workers: int = 1, cluster: str | None = None) -> Iterator[Done]:
    """Do the work on `inputs`; yield each when it is done, in any order.

    An input that fails is yielded with its reason, and the rest is done. `workers` are processes of this machine, or of
    the `cluster`: "auto" (the one that this machine belongs to, else this machine) or its address. A process that is
    killed is replaced and what was begun is done again, an input at a time, to see which one kills; raises `InputError`
    if processes die without any input done.
    """
    if cluster is not None:
        yield from _on_cluster(work, inputs, workers, cluster)
    elif workers == 1:
        for one in inputs:
            yield _done(work, one)
    else:
        yield from in_processes(partial(_done, work), inputs, workers, _killed)


def begin(path: Path, about: dict[str, Any]) -> None:
    """Write what all results of a folder have in common to `path`, beside them.

    Raises InputError for a folder whose results were made otherwise.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_anew(path, (json.dumps(about, indent=1) + "\n").encode())
    elif (there := read_json(path)) != json.loads(json.dumps(about)):
        differ = [k for k in about if not isinstance(there, dict) or there.get(k) != about[k]]
        raise InputError(
            f"{path.parent} holds results that were made otherwise ({', '.join(differ)}, see {path.name}); give "
            "another --out, or the first command again."
        )


def unfinished(data: str, out: Path, suffix: str) -> list[int]:
    """Return the numbers of the items of a data set of panoramas whose result OUT/NAME is not there, or perhaps not."""
    items = open_dataset(data)

    def known_name(number: int) -> str | None:
        """Return the name that the item's sample will have, where it is known before its picture is decoded."""
        if isinstance(items, PanoramaPicturesDataset):
            return items.items[number].relative_to(items.root).with_suffix("").as_posix()
        if isinstance(items, PanoramaFilmDataset):
            return items.name(number)
        return items.items[number].name if isinstance(items, PanoramasWithDepth) else None

    return [n for n in range(len(items)) if not (out / f"{known_name(n)}{suffix}").exists()]


def _on_cluster(work: Work, inputs: Iterable[Hashable], workers: int, cluster: str) -> Iterator[Done]:
    """Let actors that hold the model take one input after the other; Ray replaces those that are killed."""
    try:
        import ray
        import ray.data
    except ImportError:
        raise InputError(
            "--cluster needs Ray, which is not installed: pip install 'cyclopean[cluster]'; without it --workers uses "
            "several processes of this machine."
        ) from None
    if not ray.is_initialized():
        _join(ray, cluster, workers)
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    pool, actor = ray.data.ActorPoolStrategy(size=workers), cast(Any, _Actor)  # Ray's stubs know functions only
    left = iter(inputs)
    while part := [{"input": pickle.dumps(one)} for one in itertools.islice(left, PART)]:
        rows = ray.data.from_items(part, override_num_blocks=len(part))
        for row in rows.map(actor, fn_constructor_args=(work,), compute=pool, num_cpus=1).iter_rows():
            yield pickle.loads(row["done"])


def _join(ray: Any, cluster: str, workers: int) -> None:
    """Connect to a cluster; with "auto" and none, start one of this machine, with two CPUs more than there are actors:
    where actors take all, what reads has none, and waits for ever."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(address=cluster, log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError as error:
        if cluster != "auto":
            raise InputError(f"there is no Ray cluster at {cluster} ({error}); check the address.") from error
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # else a file for tokens is expected
        ray.init(
            address="local", num_cpus=workers + 2, object_store_memory=STORE, include_dashboard=False,
            log_to_driver=False, logging_level=logging.ERROR,
        )  # fmt: skip


class _Actor:
    """One process of the cluster, and what it has loaded."""

    def __init__(self, work: Work) -> None:
        torch.set_num_threads(1)
        self.work = work

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"done": pickle.dumps(_done(self.work, pickle.loads(row["input"])))}


@cache  # once in each process
def _loaded(work: Work) -> Callable[[Any], Any]:
    return work.load()


def _done(work: Work, one: Hashable) -> Done:
    try:
        return Done(one, None, _loaded(work)(one))
    except Exception as error:
        return Done(one, sentence(error, _name(one)))


def _killed(one: Hashable) -> Done:
    return Done(one, f"{_name(one)}: the process that was at it was killed, twice.")


def _name(one: Hashable) -> str:
    """Return how sentences name an input."""
    return f"item {one}" if isinstance(one, int) else str(one)
