"""Procedural worlds: stereo pairs with depth, by family, other rigs, batches, and a folder as the command makes it."""

import tempfile
from itertools import count
from pathlib import Path

from benchmarks.measure import Case, Work

SIZE = (192, 384)
FAMILIES = ("street", "room", "table", "landscape")
THINGS = ("people", "animals", "plants", "thin", "vehicles", "houses", "meal", "handheld", "night")
BATCH = 16
FOLDER = 48


def _case(family: str, rig: str, unit: str) -> Case:
    def prepare(device: str) -> Work:
        from cyclopean.synthetic import rigs

        seeds = count(1000)
        return lambda: rigs.sample(family, next(seeds), SIZE, rig, device=device)

    return Case(prepare, unit=unit, repeat=40)


def _batch(device: str) -> Work:
    """What a training step would take: scenes of all families in one batch, rendered together on a GPU."""
    from cyclopean.data.rendered import WorldsDataset
    from cyclopean.sample import collate

    items = WorldsDataset(FAMILIES, "stereo", 1000, (128, 256), 50 * BATCH, device=device)
    numbers = count()
    return lambda: collate(items.__getitems__([next(numbers) for _ in range(BATCH)]))


def _folder(_: str) -> Work:
    """`cyclopean render all` with two processes of one thread each, their start included."""
    from cyclopean.synthetic.folder import RenderJob, write

    order = RenderJob(FAMILIES, "stereo", 5000, FOLDER, SIZE)

    def work() -> None:
        with tempfile.TemporaryDirectory() as out:
            assert len(list(write(order, Path(out), workers=2))) == FOLDER

    return work


CASES = {
    f"{family}, stereo {SIZE[0]}x{SIZE[1]}": _case(family, "stereo", "pairs") for family in (*FAMILIES, *THINGS)
} | {
    "street, clip of three": _case("street", "clip", "clips"),
    "room, sphere of three": _case("room", "sphere", "triples"),
    f"all, batch of {BATCH} pairs 128x256": Case(_batch, items=BATCH, unit="pairs", repeat=10),
    f"all, {FOLDER} pairs to a folder, two processes": Case(_folder, FOLDER, "pairs", repeat=1, on_device=False),
}
