"""AVIF of 10 bits: all its bits, with grids, turns, alpha, and tags of their own; Pillow's 8 bits are the reference."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageOps

from cyclopean.io import yuv
from cyclopean.io.avif import bits
from cyclopean.io.heif_items import items_of
from cyclopean.io.image import read_photo
from scenes import as_array

H, W = 64, 96


def box(kind: bytes, *bodies: bytes) -> bytes:
    body = b"".join(bodies)
    return struct.pack(">I", 8 + len(body)) + kind + body


def coded(path: Path, luma: np.ndarray, blue: float = 512, red: float = 512) -> tuple[bytes, bytes]:
    """Return a picture in AV1 of 10 bits, of luma and even colour in a limited range, and its configuration."""
    if "libsvtav1" not in av.codecs_available:
        pytest.skip("this build of FFmpeg has no encoder of AV1")
    with av.open(str(path), "w", format="avif") as container:
        track = container.add_stream("libsvtav1", rate=1, options={"crf": "1", "preset": "8"})
        track.width, track.height, track.pix_fmt = luma.shape[1], luma.shape[0], "yuv420p10le"
        frame = av.VideoFrame(luma.shape[1], luma.shape[0], "yuv420p10le")
        for plane, value in zip(frame.planes, (luma, blue, red), strict=True):
            rows = np.zeros((plane.height, plane.line_size // 2), "<u2")
            rows[:, : plane.width] = np.rint(value)
            plane.update(rows.tobytes())
        frame.pts, frame.time_base = 0, Fraction(1)
        container.mux([*track.encode(frame), *track.encode(None)])
    items = items_of(path.read_bytes())
    return items.content(items.main), dict(items.properties[items.main])[b"av1C"]


def nclx(matrix: int, full: int) -> bytes:
    return box(b"colr", b"nclx" + struct.pack(">HHHB", 1, 13, matrix, full << 7))


def avif(
    path: Path,
    contents: list[tuple[bytes, bytes, tuple[bytes, ...]]],
    references: tuple[bytes, ...] = (),
) -> Path:
    """Write items, each of a kind, bytes and properties; the first is the main one."""
    infos = (
        box(b"infe", b"\2\0\0\0", struct.pack(">HH", n + 1, 0), kind, b"\0") for n, (kind, *_) in enumerate(contents)
    )
    ipco = b"".join(b"".join(properties) for *_, properties in contents)
    ipma, at = b"", 1
    for number, (*_, properties) in enumerate(contents):
        essential = (0x80 if name[4:8] in (b"irot", b"imir") else 0 for name in properties)
        ipma += struct.pack(">HB", number + 1, len(properties))
        ipma += bytes(at + n | mark for n, mark in enumerate(essential))
        at += len(properties)
    iprp = box(b"iprp", box(b"ipco", ipco), box(b"ipma", bytes(4), struct.pack(">I", len(contents)), ipma))

    def meta(start: int) -> bytes:
        iloc = b"\0\0\0\0\x44\0" + struct.pack(">H", len(contents))
        for number, (_, body, _) in enumerate(contents):
            iloc += struct.pack(">HHHII", number + 1, 0, 1, start, len(body))
            start += len(body)
        return box(
            b"meta", bytes(4), box(b"hdlr", bytes(8), b"pict", bytes(13)), box(b"pitm", bytes(4), b"\0\1"),
            box(b"iloc", iloc), box(b"iinf", bytes(4), struct.pack(">H", len(contents)), *infos_now), iprp,
            *([box(b"iref", bytes(4), *references)] if references else []),
        )  # fmt: skip

    infos_now = list(infos)
    head = box(b"ftyp", b"avif\0\0\0\0avifmif1miaf")
    body = b"".join(content for _, content, _ in contents)
    path.write_bytes(head + meta(len(head) + len(meta(0)) + 8) + box(b"mdat", body))
    return path


def sized(configuration: bytes, height: int, width: int, channels: int = 3) -> tuple[bytes, ...]:
    return (
        box(b"av1C", configuration),
        box(b"ispe", bytes(4), struct.pack(">II", width, height)),
        box(b"pixi", bytes(4), bytes([channels, *[10] * channels])),
    )


def test_all_bits_of_an_avif_are_read_with_its_grids_turns_alpha_and_tags(tmp_path: Path) -> None:
    ramp = np.linspace(300, 400, W)[None].repeat(H, 0) + np.linspace(0, 300, H)[:, None]
    first, configuration = coded(tmp_path / "first.avif", ramp, 480, 600)
    second, _ = coded(tmp_path / "second.avif", ramp[::-1, ::-1] - 100, 600, 450)
    seen, alpha_configuration = coded(tmp_path / "seen.avif", np.linspace(300, 1023, W)[None].repeat(H, 0))
    one, usual = sized(configuration, H, W), nclx(1, 0)
    auxiliary = box(b"auxC", bytes(4), b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0")
    alpha = (b"av01", seen, (*sized(alpha_configuration, H, W, 1), auxiliary))
    grid = (b"grid", b"\0\0\1\0" + struct.pack(">HH", W - 4, 2 * H - 6), (*sized(b"", 2 * H - 6, W - 4)[1:], usual))
    tiles = [(b"av01", first, one), (b"av01", second, one)]
    cases = {
        "one": avif(tmp_path / "one.avif", [(b"av01", first, (*one, usual))]),
        "full": avif(tmp_path / "full.avif", [(b"av01", first, (*one, nclx(9, 1)))]),
        "untagged": avif(tmp_path / "untagged.avif", [(b"av01", first, one)]),
        "turned": avif(
            tmp_path / "turned.avif",
            [(b"av01", first, (*one, usual, box(b"irot", b"\1"), box(b"imir", b"\1")))],
        ),
        "alpha": avif(
            tmp_path / "alpha.avif", [(b"av01", first, (*one, usual)), alpha], (box(b"auxl", b"\0\2\0\1\0\1"),)
        ),
        "premultiplied": avif(
            tmp_path / "premultiplied.avif", [(b"av01", second, (*one, usual)), alpha],
            (box(b"auxl", b"\0\2\0\1\0\1"), box(b"prem", b"\0\1\0\1\0\2")),
        ),
        "grid": avif(tmp_path / "grid.avif", [grid, *tiles], (box(b"dimg", b"\0\1\0\2\0\2\0\3"),)),
    }  # fmt: skip
    for name, path in cases.items():
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGBA")
        by_pillow = np.asarray(picture).astype(float) / 255
        opacity = by_pillow[..., 3:]
        photo = read_photo(path)
        assert (photo.bits, photo.notes) == (16, ()), name
        error = as_array(photo) - (by_pillow[..., :3] * opacity + 1 - opacity)
        most, mean = {"premultiplied": (8, 2), "grid": (6, 1.5)}.get(name, (3.5, 0.6))  # 8 bits divided; a seam
        assert np.abs(error).max() < most / 255, name
        assert np.abs(error.mean((0, 1))).max() < mean / 255, name
    levels = np.unique(as_array(read_photo(cases["one"]))[10, :, 1])
    assert len(levels) > 90, "one level for each number of 10 bits"
    expected = yuv.to_rgb([ramp.round().astype(np.uint16)], yuv.YuvCoding(1, False, 10))[0]
    assert np.abs(as_array(read_photo(cases["one"])) @ [0.2126, 0.7152, 0.0722] - expected).mean() < 0.3 / 255
    strange = avif(tmp_path / "strange.avif", [(b"av01", first, (*one, nclx(12, 0)))])
    assert "10 bits per colour, of which the first 8 are read" in read_photo(strange).notes[0]
    twelve = bytes([*configuration[:2], configuration[2] | 0x20, *configuration[3:]])
    assert bits(cases["one"].read_bytes()) == 10
    assert bits(cases["grid"].read_bytes().replace(configuration, twelve)) == 12
