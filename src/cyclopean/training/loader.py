"""The stream of items: which are in a step, with which seeds, and what reads them."""

import hashlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator
from torch.utils.data import DataLoader, Dataset, Sampler

from cyclopean.errors import InputError
from cyclopean.sample import Sample, collate
from cyclopean.training.options import Run

STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
Augmentation = Callable[[Sample, Generator], Sample]


def mix(*parts: int | str) -> int:
    """A seed out of names and numbers, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()) >> 1


def several(data: Dataset[Sample], indices: list[int]) -> list[Sample]:
    """Items of a data set, at once if it can: worlds on a GPU are rendered together."""
    together = getattr(data, "__getitems__", None)
    return [data[index] for index in indices] if together is None else together(indices)


class Stream(Sampler[list[tuple[int, int]]]):
    """Batches of (index, seed): one endless shuffled stream of items, dealt to the processes.

    An item's seed depends on its position in the stream only: two processes with a batch of 4 see what one with 8 sees.
    """

    def __init__(self, length: int, run: Run, rank: int, processes: int, start: int = 0) -> None:
        self.length, self.run, self.rank, self.processes, self.start = length, run, rank, processes, start
        self._epoch, self._order = -1, list[int]()

    def since(self, step: int) -> "Stream":
        """The same stream from `step` on."""
        return Stream(self.length, self.run, self.rank, self.processes, step)

    def epochs_ended(self, step: int) -> int:
        """How often the last item of the training set is in the batch of `step`."""
        each = self.run.batch_size * self.processes
        return (step + 1) * each // self.length - step * each // self.length

    def __len__(self) -> int:
        return max(0, self.run.steps - self.start)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        size = self.run.batch_size
        for step in range(self.start, self.run.steps):
            first = (step * self.processes + self.rank) * size
            yield [self._item(position) for position in range(first, first + size)]

    def _item(self, position: int) -> tuple[int, int]:
        epoch, place = divmod(position, self.length)
        if epoch != self._epoch:
            generator = Generator().manual_seed(mix(self.run.seed, "order", epoch))
            self._epoch, self._order = epoch, torch.randperm(self.length, generator=generator).tolist()
        return self._order[place], mix(self.run.seed, "item", position)


@dataclass(frozen=True)
class Items(Dataset[Any]):
    """Batches of changed items. An `InputError` is handed over as a value: loaders garble what workers raise."""

    data: Dataset[Sample]
    augment: Augmentation | None

    def __getitem__(self, draws: list[tuple[int, int]]) -> Sample | InputError:
        try:
            read = several(self.data, [index for index, _ in draws])
            return one_batch([self._changed(sample, seed) for sample, (_, seed) in zip(read, draws, strict=True)])
        except InputError as error:
            return error

    def _changed(self, sample: Sample, seed: int) -> Sample:
        return sample if self.augment is None else self.augment(sample, Generator().manual_seed(seed))


def loader(items: Items, stream: Stream, run: Run, lie: torch.device, device: torch.device) -> DataLoader[Any]:
    """Batches for `device`. Samples that `lie` on a GPU are made in this process, and are not copied through the host:
    a GPU cannot be used in a process that was forked after its start.
    """
    on_host = lie.type == "cpu"
    workers = run.workers if on_host else 0
    return DataLoader(
        items,
        batch_size=None,
        sampler=stream,
        num_workers=workers,
        collate_fn=_as_it_is,
        prefetch_factor=4 if workers else None,
        pin_memory=on_host and device.type == "cuda",
        worker_init_fn=_start_worker,
    )


def _as_it_is(batch: Any) -> Any:
    return batch


def _start_worker(_: int) -> None:
    """Workers leave signals to the main process, which stops them when it has saved, and use one core each.

    Ctrl-C, schedulers and closed terminals signal the whole group of processes. A worker whose main process was killed
    notices and ends by itself.
    """
    import cv2

    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(0)


def good(batch: Sample | InputError) -> Sample:
    if isinstance(batch, InputError):
        raise batch
    return batch


def one_batch(samples: list[Sample]) -> Sample:
    sizes = {tuple(s.depth.shape[-2:]) for s in samples}
    if len(sizes) > 1:
        raise InputError(f"pictures of one batch have different sizes {sorted(sizes)}; give one with --size.")
    return collate(samples)


def length(data: Dataset[Sample]) -> int:
    return len(data)  # type: ignore[arg-type]
