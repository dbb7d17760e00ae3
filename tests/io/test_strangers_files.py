"""Files as strangers write them that fooled an earlier version: contradictions, loops, odd suffixes, two runs apart."""

import hashlib
import json
import os
import struct
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
    good = {"focal_px": 60, "width": 64, "baseline_m": 0.2}
    for card in ({"focal_px": "60"}, {"focal_px": ["60", "60"]}, {"baseline_m": "0.2 m"}, {"width": "64"}):
        calibration.write_text(json.dumps(good | card))
        with pytest.raises(InputError, match=r"text \(write numbers without quotes\); it needs"):
            open_dataset(str(tmp_path))
    for card in ({"focal_px": "wide"}, {"focal_px": [60, None]}, {"baseline_m": -0.2}):
        calibration.write_text(json.dumps(good | card))
        with pytest.raises(InputError, match=r"(wide'|None\]); it needs.*or one of them for both|-0\.2; it needs"):
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


def jpeg2000(path: Path, colours: np.ndarray, kind: str) -> None:
    """Write colours of 16 bits (h, w, 4) in FFmpeg's pixel format `kind`, without loss."""
    encoder = av.codec.CodecContext.create("jpeg2000", "w")
    encoder.height, encoder.width = colours.shape[:2]
    encoder.pix_fmt, encoder.time_base = kind, Fraction(1, 1)
    encoder.options = {"format": path.suffix[1:], "pred": "dwt53"}
    frame = av.VideoFrame.from_ndarray(colours, format="rgba64le").reformat(format=kind)
    frame.pts = 0
    path.write_bytes(b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)]))


def test_white_of_9_to_16_bits_is_white(tmp_path: Path, capfd) -> None:
    ramp = np.linspace(0, 65535, 64 * 48).round().astype(np.uint16).reshape(48, 64)
    ramp[:4] = 65535
    ramp = np.stack([ramp, ramp[::-1], ramp[:, ::-1], np.full_like(ramp, 65535)], -1)
    for suffix in (".jp2", ".j2k"):
        for kind, bits in {"gbrp9le": 9, "gbrp10le": 10, "gbrp12le": 12, "gbrp14le": 14, "rgb48le": 16}.items():
            jpeg2000(tmp_path / f"a{suffix}", ramp, kind)
            photo = read_photo(tmp_path / f"a{suffix}")
            found = photo.image[0].permute(1, 2, 0).numpy()
            assert np.abs(found - ramp[..., :3] / 65535).max() < 1.01 / (2**bits - 1), (kind, suffix)
            assert photo.bits == 16
            assert photo.notes == ()
        for kind in ("gray10le", "gray12le", "gray16le"):
            jpeg2000(tmp_path / f"a{suffix}", np.full_like(ramp, 65535), kind)
            assert float(read_photo(tmp_path / f"a{suffix}").image.min()) == 1, kind
    half = ramp.copy()
    half[..., :3], half[..., 3] = 0, 32768
    jpeg2000(tmp_path / "a.jp2", half, "gbrap12le")  # black, half opaque over white
    assert float(read_photo(tmp_path / "a.jp2").image.mean()) == pytest.approx(0.5, abs=1e-3)
    for kind, why in {"yuv444p12le": "12 bits whose colours", "yuv420p10le": "10 bits whose colours"}.items():
        jpeg2000(tmp_path / "a.jp2", ramp, kind)
        with pytest.raises(InputError, match=why):
            read_photo(tmp_path / "a.jp2")
    jpeg2000(tmp_path / "a.j2k", ramp, "yuv420p10le")
    with pytest.raises(InputError, match="cannot be decoded; save it as PNG"):
        read_photo(tmp_path / "a.j2k")
    codes = (ramp[..., 0] >> 4).astype(np.uint16)
    pairs = codes.reshape(-1, 2)
    packed = np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], -1)
    body = packed.astype(np.uint8).tobytes()  # three bytes hold two numbers
    path = tmp_path / "packed.tif"
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(body)) + body + directory(64, 48, 12, 8, len(body)))
    photo = read_photo(path)
    np.testing.assert_allclose(photo.image[0, 1].numpy(), codes / 4095, atol=1e-6)
    assert photo.bits == 16
    assert photo.notes == ()
    assert capfd.readouterr().err == ""


def directory(width: int, height: int, bits: int, start: int, length: int) -> bytes:
    """The directory of a grey TIFF of one strip."""
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: start, 277: 1, 278: height, 279: length}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return struct.pack("<H", len(tags)) + entries + bytes(4)


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
