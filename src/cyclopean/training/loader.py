"""The stream of batches: which items are in a step, with which seeds, and the processes that read them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator
from torch.utils.data import DataLoader, Dataset, Sampler

from cyclopean.augmentation import derived_seed, shrunk
from cyclopean.errors import InputError, lacks_memory
from cyclopean.sample import Sample, collate
from cyclopean.training.dataset import TrainData
from cyclopean.training.dataset_wrappers import several
from cyclopean.training.options import Run

Draws = tuple[int, list[tuple[int, int]]]  # a step, and (index, seed) of each of its items


class Stream(Sampler[Draws]):
    """One endless shuffled stream of items, distributed to the processes in batches.

    An item's seed depends only on its position in the stream: two processes with batches of 4 get the same items as one
    with batches of 8.
    """

    def __init__(self, length: int, run: Run, rank: int, processes: int, start: int = 0) -> None:
        self.length, self.run, self.rank, self.processes, self.start = length, run, rank, processes, start

    def __len__(self) -> int:
        return max(0, self.run.steps - self.start)

    def __iter__(self) -> Iterator[Draws]:
        size, current, order = self.run.batch_size, -1, list[int]()
        for step in range(self.start, self.run.steps):
            first = (step * self.processes + self.rank) * size
            draws = []
            for position in range(first, first + size):
                epoch, place = divmod(position, self.length)
                if epoch != current:
                    generator = Generator().manual_seed(derived_seed(self.run.seed, "order", epoch))
                    current, order = epoch, torch.randperm(self.length, generator=generator).tolist()
                draws.append((order[place], derived_seed(self.run.seed, "item", position)))
            yield step, draws

    def epochs_ended(self, step: int) -> int:
        """Return how many epochs end within the batch of `step`."""
        each = self.run.batch_size * self.processes
        return (step + 1) * each // self.length - step * each // self.length


@dataclass(frozen=True)
class Batches(Dataset[Any]):
    """Batches of `data`: items are read, augmented, collated, and shrunk together to the size of their step.

    That size is a function of the step, so that all processes share it; `multiple` divides its sides. An `InputError`,
    also for lack of memory, is returned as a value, since data loaders garble the exceptions of workers.
    """

    data: TrainData
    seed: int
    multiple: int

    def __getitem__(self, draws: Draws) -> Sample | InputError:
        step, items = draws
        try:
            samples = several(self.data.training, [index for index, _ in items])
            if self.data.augment is not None:
                seeds = [Generator().manual_seed(seed) for _, seed in items]
                samples = [self.data.augment(*pair) for pair in zip(samples, seeds, strict=True)]
            batch = one_batch(samples)
            if self.data.shrink == 1:
                return batch
            generator = Generator().manual_seed(derived_seed(self.seed, "size", step))
            return shrunk(batch, self.data.shrink, self.multiple, generator)
        except InputError as error:
            return error
        except Exception as error:
            if not lacks_memory(error):
                raise
            return InputError(
                f"memory ran out while a batch of {len(items)} was read; give a smaller --batch-size or --size, or "
                "fewer --workers."
            )


def loader(
    batches: Batches,
    stream: Stream,
    workers: int,
    data_device: torch.device,
    device: torch.device,
    *,
    begin: Callable[..., None],
) -> DataLoader[Any]:
    """Return a loader of batches for `device`, whose processes call `begin` first.

    If the samples are on a GPU (`data_device`), they are made in this process and not copied through the host: a GPU
    cannot be used in a process that was forked after the GPU was initialised.
    """
    on_host = data_device.type == "cpu"
    workers = workers if on_host else 0
    return DataLoader(
        batches,
        batch_size=None,
        sampler=stream,
        num_workers=workers,
        collate_fn=_identity,
        prefetch_factor=4 if workers else None,
        pin_memory=on_host and device.type == "cuda",
        worker_init_fn=begin,
    )


def one_batch(samples: list[Sample]) -> Sample:
    """Return `samples` collated. Raises `InputError` if their sizes differ."""
    sizes = {tuple(s.depth.shape[-2:]) for s in samples}
    if len(sizes) > 1:
        raise InputError(f"pictures of one batch have different sizes {sorted(sizes)}; give one with --size.")
    return collate(samples)


def _identity(batch: Any) -> Any:  # at module level, so that it can be sent to other processes
    return batch
