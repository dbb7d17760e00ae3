"""Files as strangers write them that fooled an earlier version: contradictions, loops, odd suffixes, two runs apart."""

import hashlib
import json
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from clips import write_video
from cyclopean.data import open_dataset
from cyclopean.errors import InputError
from cyclopean.io.depthmap import read_depth
from cyclopean.io.files import read_json
from cyclopean.io.image import read_photo, write_photo
from cyclopean.io.video import describe, frames


def test_json_that_says_a_thing_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text('{"baseline_m": 0.2, "inner": {"a": 1}, "baseline_m": 2.0}')
    with pytest.raises(InputError, match="has 'baseline_m' twice"):
        read_json(path)
    path.write_text('{"baseline_m": 0.2, "inner": {"baseline_m": 1}}')
    assert read_json(path)["inner"] == {"baseline_m": 1}


def test_sidecars_that_contradict_themselves_or_are_no_files(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", np.linspace(1, 2, 400, dtype=np.float32).reshape(20, 20))
    side = tmp_path / "d.json"
    for card, why in (
        ({"kind": "depth", "larger_is": "nearer"}, "larger is farther"),
        ({"kind": "disparity", "larger_is": "farther"}, "larger is nearer"),
        ({"kind": "disparity", "format": "cyclopean-depth", "version": 99}, "version 99"),
    ):
        side.write_text(json.dumps(card))
        with pytest.raises(InputError, match=why):
            read_depth(tmp_path / "d.npy")
    side.write_text(json.dumps({"kind": "depth", "larger_is": "farther"}))
    assert float(read_depth(tmp_path / "d.npy").inverse_depth[0, 0, -1, -1]) == pytest.approx(0.5)
    side.unlink()
    os.mkfifo(side)
    with pytest.raises(InputError, match="pipe or a device"):
        read_depth(tmp_path / "d.npy")
    side.unlink()
    side.symlink_to(side.name)  # a loop
    with pytest.raises(InputError, match=r"d\.json"):
        read_depth(tmp_path / "d.npy")


def test_truth_with_a_suffix_in_capitals_and_focal_lengths_that_do_not_fit(tmp_path: Path, caplog) -> None:
    rng = np.random.default_rng(0)
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        for k in range(2):
            Image.fromarray(rng.integers(0, 255, (32, 64, 3), np.uint8)).save(tmp_path / side / f"{k}.png")
    (tmp_path / "depth").mkdir()
    for k in range(2):
        np.save(tmp_path / "depth" / f"{k}.npy", np.full((32, 64), 3, np.float32))
        (tmp_path / "depth" / f"{k}.npy").rename(tmp_path / "depth" / f"{k}.NPY")
    calibration = tmp_path / "calibration.json"
    calibration.write_text(json.dumps({"focal_px": 60, "width": 64, "baseline_m": 0.2}))
    data = open_dataset(str(tmp_path))
    assert float(data[0].depth.mean()) == 3
    assert not caplog.records
    calibration.write_text(json.dumps({"focal_px": [60, 1], "width": 64, "baseline_m": 0.2}))
    open_dataset(str(tmp_path))
    assert "do not belong together" in caplog.text
    calibration.write_text(json.dumps({"focal_px": "60", "width": 64, "baseline_m": 0.2}))
    with pytest.raises(InputError, match="one of them for both"):
        open_dataset(str(tmp_path))


def test_directories_of_exif_that_hold_tags_of_others(tmp_path: Path) -> None:
    """Orientation and pointers inside the camera's directory would turn an upright picture, or never end."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x8769] = {0x0112: 6, 0x8825: 8, 0x829A: 0.5, 0x9003: "2026:01:01 00:00:00"}
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.jpg", exif=exif)
    photo = read_photo(tmp_path / "a.jpg")
    assert photo.size == (40, 30)
    write_photo(tmp_path / "b.jpg", photo)
    with Image.open(tmp_path / "b.jpg") as again:
        kept = dict(again.getexif().get_ifd(0x8769))
        assert 0x0112 not in again.getexif()
    assert set(kept) == {0x829A, 0x9003}


def moving(count: int, size: tuple[int, int] = (64, 96)):
    ramp = torch.linspace(0, 0.84, 3 * size[0] * size[1]).reshape(*size, 3).permute(2, 0, 1)[None]
    for k in range(count):
        yield ramp + 0.16 * torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(k))


def test_clips_by_raw_streams_odd_turns_and_the_same_bytes_twice(tmp_path: Path) -> None:
    for suffix, codec in ((".y4m", "rawvideo"), (".mjpg", "mjpeg")):
        path, kind = tmp_path / f"clip{suffix}", "yuv4mpegpipe" if suffix == ".y4m" else "mjpeg"
        with av.open(str(path), "w", format=kind) as container:
            film = container.add_stream("wrapped_avframe" if suffix == ".y4m" else codec, rate=10)
            film.width, film.height, film.pix_fmt = 96, 64, "yuv420p" if suffix == ".y4m" else "yuvj420p"
            for image in moving(6):
                array = (255 * image[0].permute(1, 2, 0)).byte().numpy()
                container.mux(film.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
            container.mux(film.encode())
        assert len(list(frames(path))) == 6
    hashes = set()
    for n in range(6):
        write_video(tmp_path / f"{n}.mp4", moving(12, (120, 160)), Fraction(10))
        hashes.add(hashlib.md5((tmp_path / f"{n}.mp4").read_bytes()).hexdigest())
    assert len(hashes) == 1
    with av.open(str(tmp_path / "turned.mp4"), "w") as container:
        film = container.add_stream("libx264", rate=10)
        film.width, film.height, film.pix_fmt = 96, 64, "yuv420p"
        half = round(2**16 * 0.5**0.5)
        film.set_display_matrix((half, half, 0, -half, half, 0, 0, 0, 2**30))
        container.mux(film.encode(av.VideoFrame.from_ndarray(np.zeros((64, 96, 3), np.uint8), format="rgb24")))
        container.mux(film.encode())
    assert any("only quarter turns" in remark for remark in describe(tmp_path / "turned.mp4").remarks)
