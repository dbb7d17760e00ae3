"""`shard`: a data set in tar files is the data set, near and far, whole and damaged, for any reader of `--data`."""

import functools
import http.server
import json
import os
import shutil
import tarfile
import threading
import time
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save

from commands import here
from cyclopean.data import open_dataset
from cyclopean.data.shards import ABOUT, INDEX, pack, shard_name, unpack
from cyclopean.errors import InputError
from cyclopean.io.remote import SCHEMES
from cyclopean.sample import Sample, map_tensors
from cyclopean.synthetic.folder import RenderJob, write
from cyclopean.training.rig import common_rig

RIGS = {"pairs": ("stereo", ("room", "street")), "clip": ("clip", ("room",)), "sphere": ("sphere", ("room",))}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("worlds")
    for name, (rig, families) in RIGS.items():
        for _ in write(RenderJob(families, rig, 0, 4, (32, 64)), place / name):
            pass
    return place


@pytest.fixture(scope="module")
def packed(worlds, tmp_path_factory) -> Path:
    """The pairs, packed: two items in each shard, since one has 20 kB and a shard at least one item."""
    from cyclopean.data.shards import Sharding, write_index

    out = tmp_path_factory.mktemp("packed")
    work = Sharding(str(worlds / "pairs"), out, 2, None).load()
    assert [work(number) for number in range(2)] == [[], []]
    assert write_index(out, 2, {}) == 4
    return out


def same(one: Sample, other: Sample) -> bool:
    """Whether two samples are bit-equal in everything."""
    tensors: list[list[torch.Tensor]] = [[], []]
    for found, sample in zip(tensors, (one, other), strict=True):
        map_tensors(lambda x, found=found: (found.append(x), x)[1], sample)
    return one.name == other.name and all(
        a.dtype == b.dtype and torch.equal(a.nan_to_num(-1.0), b.nan_to_num(-1.0))
        if a.is_floating_point()
        else torch.equal(a, b)
        for a, b in zip(*tensors, strict=True)
    )


def test_every_rig_comes_back_bit_equal(worlds, tmp_path, capsys):
    for name in RIGS:
        out = tmp_path / name
        code, said, error = here(capsys, "shard", worlds / name, out, "--shard-size", "1")
        assert (code, "4 of 4 items in 1 shards" in said) == (0, True), error
        items, shards = open_dataset(str(worlds / name)), open_dataset(str(out))
        for k in range(4):
            assert same(items[k], shards[k]), (name, k)
            assert shards.far(k) == items.far(k)
            one, other = items.filed_depth(k), shards.filed_depth(k)
            assert (one is None) == (other is None)
            assert one is None or torch.equal(one.nan_to_num(-1), other.nan_to_num(-1))
    first = (tmp_path / "pairs" / shard_name(0)).read_bytes()
    assert here(capsys, "shard", worlds / "pairs", tmp_path / "again", "--shard-size", "1", "--workers", "2")[0] == 0
    assert (tmp_path / "again" / shard_name(0)).read_bytes() == first  # no time and no owner in it
    code, _, error = here(capsys, "shard", worlds / "pairs", tmp_path / "pairs", "--size", "16x32")
    assert (code, "holds results that were made otherwise (size, each" in error) == (2, True)
    assert here(capsys, "shard", worlds / "pairs", tmp_path / "small", "--size", "16x32")[0] == 0
    assert open_dataset(str(tmp_path / "small"))[0].depth.shape == (1, 1, 16, 32)


def test_what_samples_may_hold_is_kept():
    """Pictures of 8 bits, 16 bits and neither; unknown poses, masks, windows and truth."""
    from dataclasses import replace

    from cyclopean.geometry import Equirectangular
    from cyclopean.sample import view

    rng = torch.Generator().manual_seed(0)
    counts = torch.randint(0, 65536, (1, 3, 8, 16), generator=rng)
    for image in (counts // 256 / 255, counts / 65535, torch.rand(1, 3, 8, 16, generator=rng)):
        target = view(image, Equirectangular())
        target = replace(target, valid=torch.rand(1, 1, 8, 16, generator=rng) > 0.5, seen=image.flip(3))
        source = replace(target, from_target=None, window=torch.tensor([[0.0, 0.25, 1.0, 0.5]]))
        for depth in (torch.full((1, 1, 8, 16), torch.nan), torch.full((1, 1, 8, 16), torch.inf)):
            sample = Sample(target, (source,), depth, name=("a/ü",))
            there = unpack(pack(sample, 3.5))
            assert same(there.sample, sample)
            assert (there.sample.sources[0].from_target, there.far, there.filed) == (None, 3.5, None)
    assert len(pack(Sample(view(counts // 256 / 255, Equirectangular()), (), depth))) < 1400  # three bytes a pixel
    assert len(pack(Sample(view(counts / 65535, Equirectangular()), (), depth))) < 1800  # six


def test_damaged_shards_lose_their_own_items_only(worlds, packed, tmp_path, capsys, caplog):
    out = tmp_path / "cut"
    shutil.copytree(packed, out)
    with (out / shard_name(1)).open("r+b") as file:
        file.truncate(2000)
    shards = open_dataset(str(out))
    assert same(shards[0], open_dataset(str(packed))[0])
    with pytest.raises(InputError, match=r"shard-000001.tar is 2000 bytes long and should be \d+; make it again"):
        shards[2]
    train = ("train", "supervised", "--network", "compact", "--width", "0.05", "--size", "32x64", "--steps", "2")
    train = (*train, "--batch-size", "1", "--workers", "0", "--out")
    assert here(capsys, *train, tmp_path / "run", "--data", out)[0] == 0
    assert "2 of 4 items are left out" in caplog.text
    (out / shard_name(1)).unlink()
    code, said, _ = here(capsys, "check", out)
    assert (code, "shard-000001.tar is missing" in said) == (1, True), said
    # what is damaged in the data set is named, and the rest is packed
    pairs = tmp_path / "pairs"
    shutil.copytree(worlds / "pairs", pairs)
    next(iter(sorted((pairs / "left").glob("*.png")))).write_bytes(b"no picture")
    code, said, error = here(capsys, "shard", pairs, tmp_path / "three")
    assert (code, "3 of 4 items" in said, error.count("left out: ")) == (2, True, 1), error
    assert same(open_dataset(str(tmp_path / "three"))[0], open_dataset(str(pairs))[1])


def test_strangers_shards_are_refused_in_a_sentence(packed, tmp_path):
    index = np.load(packed / INDEX)
    bad = [
        (ABOUT, b"[]"), (ABOUT, b'{"format": 2}'), (ABOUT, b'{"format": 1}'), (ABOUT, b"{"),
        (INDEX, b"no array"), (INDEX, b""),
    ]  # fmt: skip
    for number, (name, content) in enumerate(bad):
        out = tmp_path / f"{number}"
        shutil.copytree(packed, out)
        (out / name).write_bytes(content)
        with pytest.raises(InputError, match="is not a folder of shards"):
            open_dataset(f"shards:{out}")
    for number, row in enumerate(
        [(0, -5, 100, 0), (0, 512, 2**40, 0), (7, 512, 100, 0), (0, 512, 2**29, 0), (0, 0, 512, 0)]
    ):
        out = tmp_path / f"row{number}"
        shutil.copytree(packed, out)
        np.save(out / INDEX, np.array([row, *index[1:]], np.int64))
        shards = open_dataset(str(out))
        with pytest.raises(InputError, match=r"item 0 of .* cannot be read"):
            shards[0]
        assert len(shards[1].name) == 1
    for tensors, about in (({}, {}), ({"view0.image": torch.zeros(2, 3, 4, 4)}, {"format": 1, "views": [{}]})):
        with pytest.raises(ValueError, match="not a sample"):
            unpack(save(tensors, {"cyclopean": json.dumps(about)}))
    for place, reason in (
        ("ftp://host/x", "ftp:// is not read"),
        ("reference://x", "is not read"),
        ("s3://a/b", "s3fs"),
    ):
        if reason != "s3fs" or not _installed("s3fs"):
            with pytest.raises(InputError, match=reason):
                open_dataset(f"shards:{place}")
    assert "file" not in SCHEMES


def _installed(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None


def test_rigs_are_told_apart(worlds, packed):
    """Rendered pairs have rigs of their own: no one rig is taken from the first item."""
    assert len({open_dataset(str(packed)).rig_key(k) for k in range(4)}) == 4
    assert common_rig(open_dataset(str(packed)))[0] is None
    assert common_rig(open_dataset(str(worlds / "pairs")))[0] is None


def test_training_from_shards_is_training_from_the_folder(worlds, packed, tmp_path, capsys):
    """The weights are bit-equal after some steps, from the folder, from shards here, and from an address."""
    memory = fsspec.filesystem("memory")
    for path in packed.iterdir():
        memory.pipe_file(f"/bucket/{path.name}", path.read_bytes())
    weights = []
    flags = ("--network", "compact", "--width", "0.05", "--size", "32x64", "--steps", "3", "--batch-size", "2")
    for number, data in enumerate((worlds / "pairs", packed, "shards:memory://bucket")):
        out = tmp_path / f"{number}"
        code, _, error = here(capsys, "train", "monodepth", "--data", data, "--out", out, *flags, "--workers", "0")
        assert code == 0, error
        weights.append(load_file(out / "last" / "model.safetensors"))
    for other in weights[1:]:
        assert all(torch.equal(weights[0][name], other[name]) for name in weights[0])


class Ranges(http.server.SimpleHTTPRequestHandler):
    """A file server that answers requests for parts, as object stores do, and counts the bytes."""

    sent = 0

    def do_GET(self) -> None:
        part = self.headers.get("Range")
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            return self.send_error(404)
        content = path.read_bytes()
        if part:
            first, last = (int(text) for text in part.removeprefix("bytes=").split("-"))
            content = content[first : last + 1]
        Ranges.sent += len(content)
        self.send_response(206 if part else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_) -> None:
        pass


@pytest.mark.filterwarnings("ignore")  # of the client's event loop, when the test ends
def test_items_are_fetched_from_a_web_server_one_by_one(packed):
    pytest.importorskip("aiohttp", reason="http:// needs the extra 'remote'")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Ranges, directory=str(packed)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        shards = open_dataset(f"shards:http://127.0.0.1:{server.server_address[1]}")
        Ranges.sent = 0
        assert same(shards[3], open_dataset(str(packed))[3])
        shards.far(3), shards.filed_depth(3)
        assert Ranges.sent == shards.items[3, 2]  # once for all three
        with pytest.raises(InputError, match="is not a folder of shards"):
            open_dataset(f"shards:http://127.0.0.1:{server.server_address[1]}/none")
    finally:
        server.shutdown()
        server.server_close()


def test_many_items_are_open_at_once(packed, tmp_path):
    """Opening, looking for damage and finding the rig take seconds, and the first item is there."""
    out = tmp_path / "many"
    shutil.copytree(packed, out)
    index = np.tile(np.load(packed / INDEX), (25_000, 1))
    index[:, 3] = 1
    np.save(out / INDEX, index)
    from cyclopean.data.base import usable_part

    begun = time.process_time()
    data = usable_part(open_dataset(str(out)))
    common_rig(data)
    assert len(data[99_999].name) == 1
    assert time.process_time() - begun < 5  # 0.1 s without the checks of shapes


def test_a_cut_run_goes_on(worlds, tmp_path, capsys):
    """Shards that are there are not made again; of one that was cut nothing is there."""
    out = tmp_path / "out"
    assert here(capsys, "shard", worlds / "pairs", out)[0] == 0
    there = out / shard_name(0)
    before = there.stat().st_mtime_ns
    (out / ABOUT).unlink()
    assert here(capsys, "shard", worlds / "pairs", out)[0] == 0
    assert (there.stat().st_mtime_ns, (out / ABOUT).exists()) == (before, True)
    with tarfile.open(there) as tar:
        assert [member.name for member in tar] == [f"{k:09d}.safetensors" for k in range(4)]
    assert sorted(os.listdir(out)) == ["command.json", INDEX, shard_name(0), ABOUT]
