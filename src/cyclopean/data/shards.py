"""Data sets packed into shards: tar files of samples that are decoded already, read by their place, near or far.

A folder of shards holds `shard-000000.tar` and so on, `index.npy` with the place of every item, and `shards.json`.
A member of a tar file is one sample in safetensors: pictures in 8 bits where these are all that there is, depth in
float32, cameras and poses. An item is one read at a known place, so that any order costs the same: the order of
training stays the function of seed and epoch that it is for every data set, without a buffer that shuffles, and a run
goes on exactly where it stopped, on any number of processes. Streams of the kept libraries (webdataset) shuffle in such
a buffer and cannot go on exactly; of these we use the format only, and fsspec for what lies far away.
"""

import hashlib
import io
import json
import math
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from cyclopean.augmentation import resize
from cyclopean.data import open_dataset
from cyclopean.data.base import Depth, Files, Items
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, Pinhole
from cyclopean.io.files import appearing, at_home, read_json, write_anew
from cyclopean.io.remote import file_system, is_url
from cyclopean.sample import Sample, View, view

FORMAT = 1
INDEX, ABOUT, SAID = "index.npy", "shards.json", "command.json"
MOST_BYTES = 2**30  # of one sample: more was made to break its reader
COLUMNS = 4  # of the index: shard, first byte, bytes, and a number for the rig


def pack(sample: Sample, far: float = math.inf, filed: Depth | None = None) -> bytes:
    """Return a sample of batch 1 as bytes that `unpack` gives back bit-equal. `frames` and `zoom` are of training, and
    not kept. `far` and `filed` come from its data set (`Items.far`, `Items.filed_depth`).
    """
    tensors: dict[str, Tensor] = {}
    kinds = []
    for name, seen in _named_views(sample):
        tensors[f"{name}.image"] = _counts(seen.image)
        plain = view(seen.image, seen.camera)
        if not torch.equal(seen.seen, seen.image):
            tensors[f"{name}.seen"] = _counts(seen.seen)
        if seen.from_target is not None:
            tensors[f"{name}.from_target"] = seen.from_target
        if not torch.equal(seen.window, plain.window):
            tensors[f"{name}.window"] = seen.window
        if not seen.valid.all():
            tensors[f"{name}.valid"] = seen.valid
        if isinstance(seen.camera, Pinhole):
            tensors[f"{name}.focal"], tensors[f"{name}.center"] = seen.camera.focal, seen.camera.center
        kinds.append({"pinhole": isinstance(seen.camera, Pinhole), "posed": seen.from_target is not None})
    if not sample.depth.isnan().all():
        tensors["depth"] = sample.depth
    if filed is not None:
        tensors["filed"] = filed
    about = {"format": FORMAT, "name": "".join(sample.name), "far": far, "views": kinds}
    return save(
        {name: tensor.contiguous().clone() for name, tensor in tensors.items()}, {"cyclopean": json.dumps(about)}
    )


@dataclass(frozen=True)
class Packed:
    """A sample of a shard, and the facts that its data set added."""

    sample: Sample
    far: float
    filed: Depth | None


def unpack(content: bytes) -> Packed:
    """Return what `pack` was given. Raises ValueError for bytes that are no sample of ours."""
    try:
        about = json.loads(
            json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["cyclopean"]
        )
        if about["format"] != FORMAT:
            raise ValueError(f"format {about['format']!r}")
        tensors = load(content)
        views = []
        for number, kind in enumerate(about["views"]):
            name = f"view{number}"
            image = _values(tensors[f"{name}.image"])
            camera = (
                Pinhole(tensors[f"{name}.focal"], tensors[f"{name}.center"]) if kind["pinhole"] else Equirectangular()
            )
            plain = view(image, camera)
            seen = _values(tensors[f"{name}.seen"]) if f"{name}.seen" in tensors else image
            pose = tensors[f"{name}.from_target"] if kind["posed"] else None
            views.append(
                View(
                    image, seen, camera, pose, tensors.get(f"{name}.window", plain.window),
                    tensors.get(f"{name}.valid", plain.valid),
                )
            )  # fmt: skip
        depth = tensors.get("depth", torch.full_like(views[0].image[:, :1], math.nan))
        sample = Sample(views[0], tuple(views[1:]), depth, name=(str(about["name"]),))
        return Packed(sample, float(about["far"]), tensors.get("filed"))
    except (SafetensorError, KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"not a sample of shards: {error}") from error


class ShardsDataset(Items):
    """The samples of a folder of shards, here or at an address such as `s3://BUCKET/FOLDER`.

    Nothing but the index is read when it is opened, whatever the number of items. Raises InputError for what is not a
    folder of shards; a shard that is cut short or cannot be reached makes its own items damaged, and no others.
    """

    def __init__(self, path: Path | str) -> None:
        self.place = str(path).rstrip("/")
        self._fetch, local = _reader(self.place)
        try:
            about = read_json(local / ABOUT) if local else json.loads(self._fetch(ABOUT, 0, None))
            if not isinstance(about, dict) or about.get("format") != FORMAT:
                raise ValueError(f"{ABOUT} is not of format {FORMAT}")
            self.sizes = [int(size) for size in about["bytes"]]
            if local:
                items = np.load(local / INDEX, mmap_mode="r", allow_pickle=False)
            else:
                items = np.load(io.BytesIO(self._fetch(INDEX, 0, None)), allow_pickle=False)
            if items.ndim != 2 or items.shape[1] != COLUMNS or items.dtype != np.int64 or not len(items):
                raise ValueError(f"{INDEX} has shape {items.shape} and type {items.dtype}")
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise InputError(
                f"{self.place} is not a folder of shards ({error}); cyclopean shard DATA OUT makes one."
            ) from None
        self.items: Any = items
        self._cut = dict[int, str]()
        self._last: tuple[int, Packed] | None = None  # evaluation asks for a sample, then for what was said of it
        if local:
            for number, size in enumerate(self.sizes):
                path = local / shard_name(number)
                there = path.stat().st_size if path.is_file() else None
                if there != size:
                    what = "missing" if there is None else f"{there} bytes long and should be {size}"
                    self._cut[number] = f"{path} is {what}; make it again, or fetch it again."

    def __getitem__(self, index: int) -> Sample:
        return self._packed(index).sample

    def check(self, index: int) -> None:
        """Raise InputError if the shard of item `index` is missing or cut short."""
        if self._cut and (reason := self._cut.get(int(self.items[index, 0]))):
            raise InputError(reason)

    def files(self, index: int) -> Files:  # noqa: ARG002
        """Return no files: an item is a part of one."""
        return Files(())

    def rig_key(self, index: int) -> int:
        """Return a number that items of one rig share."""
        return int(self.items[index, 3])

    def far(self, index: int) -> float:
        """Return what was packed of the data set's own answer."""
        return self._packed(index).far

    def filed_depth(self, index: int) -> Depth | None:
        """Return what was packed of the data set's own answer."""
        return self._packed(index).filed

    def _packed(self, index: int) -> Packed:
        if self._last is not None and self._last[0] == index:
            return self._last[1]
        self.check(index)
        shard, first, count, _ = (int(value) for value in self.items[index])
        name = shard_name(shard)
        try:
            if not (first >= 0 and 0 < count <= MOST_BYTES):
                raise ValueError(f"bytes {first} to {first + count} are no place of a sample")
            content = self._fetch(name, first, first + count)
            if len(content) != count:
                raise ValueError(f"it ends after {len(content)} of {count} bytes")
            self._last = index, unpack(content)
            return self._last[1]
        except (OSError, ValueError) as error:
            raise InputError(f"item {index} of {self.place}, in {name}, cannot be read: {error}.") from None


@dataclass(frozen=True)
class Sharding:
    """The work of packing a data set, shard by shard (`inference.bulk.Work`): input `k` is the number of a shard.

    `each` items are in a shard. `size` (height, width) is what pictures are resized to, None for their own.
    """

    data: str
    out: Path
    each: int
    size: tuple[int, int] | None

    def load(self) -> Callable[[int], list[str]]:
        """Open the data set; return what packs one shard and returns a sentence for each item that is left out."""
        items = open_dataset(self.data)

        def packed(number: int) -> list[str]:
            left_out: list[str] = []
            first = number * self.each
            with (
                appearing(self.out) as folder,
                tarfile.open(folder / shard_name(number), "w", format=tarfile.USTAR_FORMAT) as tar,
            ):
                for index in range(first, min(first + self.each, len(items))):
                    try:
                        content = packed_item(items, index, self.size)
                    except InputError as error:
                        left_out.append(str(error))
                        continue
                    member = tarfile.TarInfo(f"{index:09d}.safetensors")  # no time, no owner: equal runs, equal bytes
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
            return left_out

        return packed


def packed_item(items: Items, index: int, size: tuple[int, int] | None) -> bytes:
    """Return item `index` of a data set, resized, as bytes. Raises InputError for a damaged one."""
    items.check(index)
    sample, filed = items[index], items.filed_depth(index)
    if size is not None:
        sample, filed = resize(sample, size), None
    return pack(replace(sample, frames=None, zoom=None), items.far(index), filed)


def items_for(items: Items, size: tuple[int, int] | None, most_bytes: int) -> int:
    """Return how many items make a shard of about `most_bytes`, by the first one that can be read.

    Raises InputError if none of the first ten can.
    """
    errors = []
    for index in range(min(10, len(items))):
        try:
            return max(1, most_bytes // len(packed_item(items, index, size)))
        except InputError as error:
            errors.append(str(error))
    raise InputError(f"none of the first {len(errors)} items can be read; the first: {errors[0]}")


def write_index(out: Path, shards: int, about: dict[str, Any]) -> int:
    """Write the index of `shards` shards that are all there, from what they hold; return the number of items."""
    rows = [row for number in range(shards) for row in _places(out / shard_name(number), number)]
    if not rows:
        raise InputError(f"no item could be packed into {out}.")
    content = io.BytesIO()
    np.save(content, np.array(rows, np.int64))
    sizes = [(out / shard_name(number)).stat().st_size for number in range(shards)]
    write_anew(out / INDEX, content.getvalue())
    text = json.dumps({"format": FORMAT, "items": len(rows), "bytes": sizes, **about}, indent=1)
    write_anew(out / ABOUT, f"{text}\n".encode())
    return len(rows)


def shard_name(number: int) -> str:
    """Return the name of a shard's file."""
    return f"shard-{number:06d}.tar"


def _places(path: Path, number: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield shard, first byte, bytes and rig of each item of one shard."""
    with tarfile.open(path) as tar, path.open("rb") as file:
        for member in tar:
            file.seek(member.offset_data)
            sample = unpack(file.read(member.size)).sample
            rig = hashlib.sha256()
            for _, one in _named_views(sample):
                if isinstance(one.camera, Pinhole):
                    rig.update(one.camera.focal.numpy().tobytes() + one.camera.center.numpy().tobytes())
                if one.from_target is not None:
                    rig.update(one.from_target.numpy().tobytes())
            yield number, member.offset_data, member.size, int.from_bytes(rig.digest()[:7], "little")


def _named_views(sample: Sample) -> Iterator[tuple[str, View]]:
    for number, one in enumerate((sample.target, *sample.sources)):
        yield f"view{number}", one


def _counts(image: Tensor) -> Tensor:
    """Return a picture in 8 bits, or in 16, if nothing is lost by it, else as it is."""
    for kind, most in ((torch.uint8, 255), (torch.uint16, 65535)):
        counts = (image.double() * most).round().to(kind)
        if torch.equal(_values(counts), image):
            return counts
    return image


def _values(counts: Tensor) -> Tensor:
    """Return a picture in [0,1] from its counts."""
    if counts.dtype == torch.uint8:
        return counts.float() / 255
    return counts.float() / 65535 if counts.dtype == torch.uint16 else counts


def _reader(place: str) -> tuple[Callable[[str, int, int | None], bytes], Path | None]:
    """Return what reads bytes `first` to `last` of a file of a folder, and the folder if it is here.

    Raises InputError for a URL of a scheme that is not known, or whose library is not installed.
    """
    if not is_url(place):
        folder = at_home(place)

        def here(name: str, first: int, last: int | None) -> bytes:
            with (folder / name).open("rb") as file:
                file.seek(first)
                return file.read(-1 if last is None else last - first)

        return here, folder
    files, root = file_system(place)

    def there(name: str, first: int, last: int | None) -> bytes:
        return files.cat_file(f"{root}/{name}", start=first or None, end=last)

    return there, None
