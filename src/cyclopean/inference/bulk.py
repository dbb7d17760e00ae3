"""The same work on very many inputs: in this process, in several, or on a cluster by Ray Data.

Nothing is kept but files, which appear by renaming: a run that was cut goes on with the inputs whose results are
missing, and an input that was begun twice is written twice alike.
"""

import concurrent.futures
import json
import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import torch

from cyclopean.data import open_dataset
from cyclopean.data.panoramas import PanoramaPicturesDataset, PanoramasWithDepth
from cyclopean.errors import InputError, sentence
from cyclopean.io.files import read_json, write_anew

STORE = 200_000_000  # bytes of a local cluster's shared memory: only numbers of inputs go through it
RESTARTS = 3  # of processes that were killed, often for lack of memory
Done = tuple[int, str | None]  # the number of an input; None, or a sentence on what is wrong with it


@runtime_checkable  # so that annotations can be checked while tests run
class Work(Protocol):
    """What is done to inputs, which have numbers: values that can be hashed and sent to other processes."""

    def __hash__(self) -> int: ...

    def load(self) -> Callable[[int], None]:
        """Load what every input needs, such as a model, and return what does the work on one."""
        ...


def run(work: Work, numbers: Sequence[int], workers: int = 1, cluster: str | None = None) -> Iterator[Done]:
    """Do the work on the inputs of these `numbers`; yield each when it is done, in any order.

    An input that fails is yielded with its reason, and the rest goes on. `workers` are processes of this machine, or
    of the `cluster`: "auto" (the one that this machine belongs to, else this machine) or its address. A process that is
    killed is replaced and its input done again; raises `InputError` if that happens again and again.
    """
    if cluster is not None:
        yield from _on_cluster(work, numbers, workers, cluster)
    elif workers == 1 or len(numbers) <= 1:
        for number in numbers:
            yield _done(work, number)
    else:
        yield from _in_processes(work, numbers, workers)


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
        return items.items[number].name if isinstance(items, PanoramasWithDepth) else None

    return [n for n in range(len(items)) if not (out / f"{known_name(n)}{suffix}").exists()]


def _in_processes(work: Work, numbers: Sequence[int], workers: int) -> Iterator[Done]:
    left = dict.fromkeys(numbers)
    context = multiprocessing.get_context("spawn")
    for _ in range(RESTARTS):
        pool = concurrent.futures.ProcessPoolExecutor(
            min(workers, len(left)), context, initializer=torch.set_num_threads, initargs=(1,)
        )
        try:
            for future in concurrent.futures.as_completed([pool.submit(_done, work, number) for number in left]):
                result = future.result()
                del left[result[0]]
                yield result
            return
        except BrokenProcessPool:
            continue
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    raise InputError(
        f"processes were killed {RESTARTS} times, often because memory ran out, and {len(left)} inputs are left; "
        "repeat the command with fewer --workers: it goes on where it stopped."
    )


def _on_cluster(work: Work, numbers: Sequence[int], workers: int, cluster: str) -> Iterator[Done]:
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
    rows = ray.data.from_items([{"number": number} for number in numbers], override_num_blocks=len(numbers))
    pool, actor = ray.data.ActorPoolStrategy(size=workers), cast(Any, _Actor)  # Ray's stubs know functions only
    for row in rows.map(actor, fn_constructor_args=(work,), compute=pool, num_cpus=1).iter_rows():
        yield int(row["number"]), row["error"] or None


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
        number, error = _done(self.work, int(row["number"]))
        return {"number": number, "error": error or ""}


@cache  # once in each process
def _loaded(work: Work) -> Callable[[int], None]:
    return work.load()


def _done(work: Work, number: int) -> Done:
    try:
        _loaded(work)(number)
    except Exception as error:
        return number, sentence(error, f"item {number}")
    return number, None
