"""`cyclopean shard`: a data set, decoded once and packed into tar files, for trainings that read it many times."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopean.cli.early import loading
from cyclopean.cli.output import emit
from cyclopean.cli.parsing import check_writable, height_width, parse, with_progress
from cyclopean.data import named
from cyclopean.errors import InputError
from cyclopean.flags import Flag
from cyclopean.io.files import printable, reserved

MEGABYTE = 1_000_000
NAMED = 20  # of the items that are left out


@dataclass(frozen=True)
class Shard:
    """Pack a data set into shards: tar files of samples that are decoded already. `--data OUT` then reads them wherever
    a data set is read, and `--data shards:s3://BUCKET/FOLDER` where they lie elsewhere.

    An interrupted run continues where it stopped; damaged items are named and left out.
    """

    data: Annotated[str, Flag("DATA", positional=True, default="(required)")] = ""
    """A folder, or a data set as KIND:PATH (docs/data.md)."""
    out: Annotated[Path | None, Flag("OUT", positional=True, folder=True, default="(required)")] = None
    """Folder of the shards."""
    size: Annotated[str, Flag("HEIGHTxWIDTH", default="(their own)")] = ""
    """Size that pictures and depth are resized to, such as that of the training."""
    shard_size: Annotated[int, Flag("MB")] = 256
    """About how many megabytes a shard has."""
    workers: int = 1
    """Processes of this machine, or of the cluster."""
    cluster: Annotated[str | None, Flag("auto|ADDRESS")] = None
    """Work on a Ray cluster that shares these folders: auto (the one that this machine belongs to, or this machine
    alone), or its address."""


def main(arguments: list[str]) -> int:
    return run(parse(Shard, arguments, "cyclopean shard"))


def run(options: Shard) -> int:
    """Write every shard that is not there, then the index; return 0 when all went well, 2 when an item was bad."""
    if not options.data or options.out is None:
        raise InputError("it needs a data set and a folder, such as: cyclopean shard DATA OUT")
    named(options.data)
    size = height_width("--size", options.size) if options.size else None
    if options.workers < 1 or not 1 <= options.shard_size <= 100_000:
        raise InputError(
            f"--workers {options.workers} --shard-size {options.shard_size}: give at least 1 worker and 1 to 100000 MB."
        )
    loading("shard", options.data)
    check_writable([options.out])
    from cyclopean.data import open_dataset
    from cyclopean.data.shards import SAID, Sharding, items_for, shard_name, write_index
    from cyclopean.inference import bulk

    with reserved(options.out):
        items = open_dataset(options.data)
        each = items_for(items, size, options.shard_size * MEGABYTE)
        about = {"source": options.data, "size": size, "each": each, "of": len(items)}
        bulk.begin(options.out / SAID, about)
        shards = -(-len(items) // each)
        todo = [number for number in range(shards) if not (options.out / shard_name(number)).exists()]
        work = Sharding(options.data, options.out, each, size)
        bad: list[str] = []
        for _, error, left_out in with_progress(
            bulk.run(work, todo, options.workers, options.cluster), "packing", len(todo)
        ):
            if error:
                raise InputError(f"{error} The same command continues where it stopped.")
            bad += left_out
        count = write_index(options.out, shards, about)
    print(f"{count} of {len(items)} items in {shards} shards in {printable(options.out)}; {len(bad)} left out.")
    emit({"out": options.out, "items": count, "of": len(items), "shards": shards, "left_out": bad})
    for sentence in bad[:NAMED]:
        print(f"cyclopean shard: left out: {printable(sentence)}", file=sys.stderr)
    if len(bad) > NAMED:
        print(f"cyclopean shard: and {len(bad) - NAMED} more; cyclopean check DATA names them all.", file=sys.stderr)
    return 2 if bad else 0
