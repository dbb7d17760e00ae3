"""What a screen shows of a clip is what is read of it, and what a clip with other pictures shows."""

import struct
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice, product
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from clips import write_video
from cyclopean.io.video import Still, decoded, describe, frames, greys, opened, still_at, stills
from cyclopean.io.video_frames import Orientation, cropped, size_of, upright
from cyclopean.io.video_seeking import frames_at, index_of
from cyclopean.io.video_writing import rewrite, write_timed
from filmed import encode, growing

RED, GREEN, BLUE, GREY = (200, 40, 40), (30, 160, 50), (40, 50, 190), (90, 90, 90)


def quarters(h: int = 48, w: int = 64) -> np.ndarray:
    """Four colours: what is turned or mirrored shows."""
    picture = np.empty((h, w, 3), np.uint8)
    picture[: h // 2, : w // 2], picture[: h // 2, w // 2 :] = RED, GREEN
    picture[h // 2 :, : w // 2], picture[h // 2 :, w // 2 :] = BLUE, GREY
    return picture


def same(clip: Iterator[Still]) -> Iterator[torch.Tensor]:
    for still in clip:
        yield still.image


def corners(image: torch.Tensor) -> list[tuple[int, ...]]:
    """The colours in the middle of the four quarters."""
    h, w = image.shape[-2:]
    return [
        tuple((image[0, :, y, x] * 255).round().int().tolist())
        for y in (h // 4, 3 * h // 4)
        for x in (w // 4, 3 * w // 4)
    ]


def near(found: list[tuple[int, ...]], wanted: list[tuple[int, ...]], most: int = 4) -> bool:
    return (
        max(abs(a - b) for one, two in zip(found, wanted, strict=True) for a, b in zip(one, two, strict=True)) <= most
    )


def test_all_eight_orientations(tmp_path: Path) -> None:
    """By the rule of the format: (x, y) is shown at (a x + c y, b x + d y), moved into view."""
    for (a, b, c, d), suffix in product(
        [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0), (-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0),
         (0, -1, -1, 0)],
        (".mp4", ".mov", ".mkv"),
    ):  # fmt: skip
        matrix = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]
        encode(tmp_path / f"a{suffix}", [quarters()] * 3, matrix=matrix)
        shown = {}
        for (x, y), colour in zip([(-1, -1), (1, -1), (-1, 1), (1, 1)], (RED, GREEN, BLUE, GREY), strict=True):
            shown[a * x + c * y, b * x + d * y] = colour
        wanted = [shown[-1, -1], shown[1, -1], shown[-1, 1], shown[1, 1]]
        image = next(frames(tmp_path / f"a{suffix}"))
        assert image.shape[-2:] == describe(tmp_path / f"a{suffix}").size == ((64, 48) if b else (48, 64))
        assert near(corners(image), wanted), (a, b, c, d, suffix)
        rewrite(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}", same)
        assert near(corners(next(frames(tmp_path / f"b{suffix}"))), wanted), (a, b, c, d, suffix)
        with av.open(str(tmp_path / f"b{suffix}")) as container:  # for other programs too
            data = next(container.decode(video=0)).side_data.get("DISPLAYMATRIX")
            told = [1, 0, 0, 1] if data is None else (np.frombuffer(bytes(data), np.int32)[[0, 1, 3, 4]] >> 16).tolist()
            assert told == [a, b, c, d]
    array = np.arange(24).reshape(4, 6)
    for words in product((False, True), repeat=3):
        assert np.array_equal(Orientation(*words).coded(Orientation(*words).upright(array)), array)


def test_turn_of_key_frames_lasts(tmp_path: Path) -> None:
    """H.264 states it beside a key frame: so are the frames up to the next one shown, wherever reading begins."""
    path, message = (
        tmp_path / "a.mp4",
        bytes.fromhex("00000007 062f03 080009 80"),
    )  # SEI 47: a quarter counter-clockwise
    encode(tmp_path / "plain.mp4", [quarters()] * 12, g="5", sc_threshold="0")
    with av.open(str(tmp_path / "plain.mp4")) as source, av.open(str(path), "w") as result:
        track = result.add_stream_from_template(source.streams.video[0])
        for packet in [packet for packet in source.demux(video=0) if packet.size]:
            told = packet.is_keyframe and packet.pts < 10 * packet.duration  # of three key frames the last has none
            changed = av.Packet((message if told else b"") + bytes(packet))
            changed.stream, changed.time_base, changed.is_keyframe = track, packet.time_base, packet.is_keyframe
            changed.pts, changed.dts, changed.duration = packet.pts, packet.dts, packet.duration
            result.mux(changed)
    with av.open(str(path)) as container:
        assert [frame.rotation for frame in container.decode(video=0)] == [90, 0, 0, 0, 0] * 2 + [0, 0]
    with opened(path) as (container, stream):
        sizes = [size_of(frame) for frame in decoded(path, 1.0, container.demux(stream), stream)]
    assert sizes == [(64, 48)] * 10 + [(48, 64)] * 2
    turned = [*islice(frames(path), 10), *frames_at(path, index_of(path), [3, 8], (64, 48))]
    assert all(near(corners(image), [GREEN, GREY, RED, BLUE]) for image in turned)


def test_tags_agree_with_pixels(tmp_path: Path) -> None:
    """Whatever the pixels are coded in: what is written shows the same colours, by its own tags."""
    full = {"color_range": 2}
    kinds = [
        ("libx264rgb", "rgb24", {}), ("libx264", "yuvj420p", {"colorspace": 5, **full}), ("ffv1", "gbrp10le", {}),
        ("libx264", "yuv444p", {"colorspace": 1, "color_range": 1}), ("libx264", "yuv420p", {"colorspace": 1, **full}),
        ("libx264", "yuv422p", {"colorspace": 6}), ("libx264", "yuv420p", {"colorspace": 9, "color_primaries": 9}),
        ("libx264", "yuv420p10le", {"colorspace": 1, "color_range": 1}), ("ffv1", "bgr0", {}),
        ("mjpeg", "yuvj422p", full),
    ]  # fmt: skip
    for codec, pix_fmt, tags in kinds:
        encode(tmp_path / "a.mkv", [quarters()] * 3, codec, pix_fmt, tags=tags)
        assert near(corners(next(frames(tmp_path / "a.mkv"))), [RED, GREEN, BLUE, GREY]), (codec, pix_fmt)
        rewrite(tmp_path / "a.mkv", tmp_path / "b.mkv", same)
        with av.open(str(tmp_path / "b.mkv")) as container:
            frame = next(container.decode(video=0))
            rgb = pix_fmt in ("rgb24", "gbrp10le", "bgr0")
            assert frame.format.name in ("yuv420p", "yuvj420p")
            assert frame.colorspace == (1 if rgb else tags.get("colorspace", frame.colorspace)) != 0
            assert frame.color_primaries == tags.get("color_primaries", 2)
            kr, kb = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}.get(frame.colorspace, (0.299, 0.114))
            y = [frame.to_ndarray()[i, j] for i in (12, 36) for j in (16, 48)]
            luma = [kr * r + (1 - kr - kb) * g + kb * b for r, g, b in (RED, GREEN, BLUE, GREY)]
            told = luma if frame.color_range == 2 else [16 + v * 219 / 255 for v in luma]
            assert y == pytest.approx(told, abs=3), (codec, pix_fmt)


def test_untagged_films_are_of_bt709_from_hd_on(tmp_path: Path) -> None:
    """As players take them; results, and films made anew, are tagged, so that no player has to guess."""
    for (height, width), matrix in (((576, 720), 5), ((720, 1280), 1), ((544, 1280), 1)):
        chart = np.kron(quarters()[::24, ::32], np.ones((height // 2, width // 2, 1), np.uint8))
        encode(tmp_path / "a.mp4", [chart] * 2, tags={"colorspace": matrix})
        with av.open(str(tmp_path / "a.mp4")) as tagged, av.open(str(tmp_path / "b.avi"), "w") as plain:
            copy = plain.add_stream("rawvideo", rate=25)
            copy.height, copy.width, copy.pix_fmt = height, width, "yuv420p"
            for frame in tagged.decode(video=0):
                frame.colorspace = 2
                plain.mux(copy.encode(frame))
        wanted = [RED, GREEN, BLUE, GREY]
        assert near(corners(next(frames(tmp_path / "b.avi"))), wanted), matrix
        rewrite(tmp_path / "b.avi", tmp_path / "c.mkv", same)
        assert near(corners(next(frames(tmp_path / "c.mkv"))), wanted), matrix
        with av.open(str(tmp_path / "c.mkv")) as container:
            assert next(container.decode(video=0)).colorspace == (1 if matrix == 1 else 2)
        picture = torch.from_numpy(chart).permute(2, 0, 1)[None] / 255
        write_video(tmp_path / "d.mp4", [picture], Fraction(25))
        assert near(corners(next(frames(tmp_path / "d.mp4"))), wanted), matrix
        with av.open(str(tmp_path / "d.mp4")) as container:
            assert next(container.decode(video=0)).colorspace == 1


def test_transparent_pixels_are_over_white(tmp_path: Path) -> None:
    array = np.dstack([quarters(), np.full((48, 64), 255, np.uint8)])
    array[:24, :32, 3], array[24:, 32:, 3] = 0, 128
    mixed = tuple(round(v * 128 / 255 + 255 * 127 / 255) for v in GREY)
    for codec, pix_fmt, suffix in (
        ("png", "rgba", ".mov"), ("qtrle", "argb", ".mov"), ("ffv1", "yuva444p", ".mkv"),
        ("libvpx-vp9", "yuva420p", ".webm"), ("libvpx", "yuva420p", ".webm"),
    ):  # fmt: skip
        path = tmp_path / f"a{suffix}"
        more = {"auto-alt-ref": "0", "crf": "4", "b": "4M"} if "vpx" in codec else {}
        encode(path, [array] * 3, codec, pix_fmt, **more)
        wanted = [(255, 255, 255), GREEN, BLUE, mixed]
        assert near(corners(next(frames(path))), wanted, 6), codec
        assert any("laid over white" in remark for remark in describe(path).remarks), codec


def test_an_alpha_that_hides_a_whole_clip_is_ignored_and_fades_are_not(tmp_path: Path) -> None:
    """As of uncompressed AVIs of 32 bits, whose fourth byte nobody wrote; by every way to frames."""
    colours = [RED, GREEN, BLUE, GREY]
    seen = {"never": (0,) * 6, "at the end": (0, 0, 0, 0, 0, 255), "at first": (255, 255, 0, 0, 0, 0)}
    for (when, opacities), (codec, pix_fmt, suffix) in product(
        seen.items(),
        (
            ("rawvideo", "bgra", ".avi"), ("png", "rgba", ".mov"), ("qtrle", "argb", ".mov"),
            ("ffv1", "yuva444p", ".mkv"), ("libvpx-vp9", "yuva420p", ".webm"),
        ),
    ):  # fmt: skip
        path = tmp_path / f"{when}{suffix}"
        pictures = [np.dstack([quarters(), np.full((48, 64), opacity, np.uint8)]) for opacity in opacities]
        encode(path, pictures, codec, pix_fmt, **({"crf": "4", "b": "4M"} if "vpx" in codec else {}))
        case, white = (when, codec), [(255, 255, 255)] * 4
        wanted = [colours if when == "never" or opacity else white for opacity in opacities]
        for way in (
            list(frames(path)),
            [still_at(path, index / 25).image for index in range(6)],
            frames_at(path, index_of(path), range(6), (48, 64)),
        ):
            assert all(near(corners(image), want, 6) for image, want in zip(way, wanted, strict=True)), case
        rewrite(path, tmp_path / "b.mkv", same)
        assert near(corners(list(frames(tmp_path / "b.mkv"))[3]), wanted[3], 8), case
        (remark,) = (remark for remark in describe(path).remarks if "transparen" in remark)
        assert ("its transparency is ignored" if when == "never" else "laid over white") in remark, case


def test_colours_of_a_palette_are_transparent_where_they_are(tmp_path: Path) -> None:
    for opacity, suffix in product((255, 128, 0), (".mov", ".avi")):
        with av.open(str(tmp_path / f"a{suffix}"), "w") as container:
            track = container.add_stream("png", rate=25)
            track.height, track.width, track.pix_fmt = 48, 64, "pal8"
            frame = av.VideoFrame(64, 48, "pal8")
            indices = np.zeros((48, frame.planes[0].line_size), np.uint8)
            indices[:24, :64], indices[24:, :64] = np.repeat([0, 1], 32), np.repeat([2, 3], 32)
            table = np.zeros((256, 4), np.uint8)  # of numbers that no pixel has too
            table[:4, :3], table[:4, 3] = np.array([RED, GREEN, BLUE, GREY])[:, ::-1], (opacity, 255, 255, 255)
            frame.planes[0].update(indices.tobytes())
            frame.planes[1].update(table.tobytes())
            frame.pts, frame.time_base = 0, Fraction(1, 25)
            container.mux([*track.encode(frame), *track.encode()])
        mixed = tuple(round((v * opacity + 255 * (255 - opacity)) / 255) for v in RED)
        path = tmp_path / f"a{suffix}"
        assert near(corners(next(frames(path))), [mixed, GREEN, BLUE, GREY]), (opacity, suffix)
        assert any("transparent" in remark for remark in describe(path).remarks) == (opacity < 255), (opacity, suffix)


def test_high_dynamic_range_is_shown_as_bright_as_it_is(tmp_path: Path) -> None:
    """Greys of known light, by the curves of SMPTE ST 2084 and BT.2100 written out here."""
    nits = np.array([2.0, 20.0, 100.0, 203.0])

    def pq(light: np.ndarray) -> np.ndarray:
        p = (light / 10000) ** 0.1593017578125
        return ((0.8359375 + 18.8515625 * p) / (1 + 18.6875 * p)) ** 78.84375

    def hlg(light: np.ndarray) -> np.ndarray:
        scene = (light / 1000) ** (1 / 1.2)
        high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
        return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)

    linear = nits / 203
    wanted = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    for curve, number in ((pq, 16), (hlg, 18)):
        array = np.empty((48, 64, 3), np.uint16)
        for k, value in enumerate(curve(nits)):
            array[24 * (k // 2) : 24 * (k // 2) + 24, 32 * (k % 2) : 32 * (k % 2) + 32] = round(value * 65535)
        tags = {"colorspace": 9, "color_range": 1, "color_primaries": 9, "color_trc": number}
        encode(tmp_path / "a.mkv", [array] * 3, "ffv1", "yuv420p10le", tags=tags)
        rewrite(tmp_path / "a.mkv", tmp_path / "b.mkv", same)
        for path in (tmp_path / "a.mkv", tmp_path / "b.mkv"):
            assert near(corners(next(frames(path))), [(round(v),) * 3 for v in wanted], 8), (number, path)
        assert any("high dynamic range" in remark for remark in describe(tmp_path / "a.mkv").remarks)
        with av.open(str(tmp_path / "b.mkv")) as container:
            frame = next(container.decode(video=0))
            assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (1, 1, 13)


def test_odd_sizes_of_every_subsampling_and_depth_have_their_colours() -> None:
    """A frame of one colour, by the matrix of BT.2020 and the curve of SMPTE ST 2084, up to its last row and column."""
    nits, kr, kb = np.array([80.0, 40.0, 20.0]), 0.2627, 0.0593
    power = (nits / 10000) ** 0.1593017578125
    pq = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    light = np.linalg.inv([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]) @ nits / 203
    light = light.clip(0)
    shown = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    kinds = product(("420", "422", "444", "440", "411", "410"), ("p", "p10le", "p12le"), ("", "a"), (False, True))
    for (subsampling, depth, alpha, bright), (h, w) in product(kinds, product((32, 33), (64, 65))):
        kind, bits = f"yuv{alpha}{subsampling}{depth}", int(depth[1:3] or 8)
        values = pq if bright else shown
        luma = kr * values[0] + (1 - kr - kb) * values[1] + kb * values[2]
        blue, red = (values[2] - luma) / 2 / (1 - kb), (values[0] - luma) / 2 / (1 - kr)
        coded = [round(v * 2 ** (bits - 8)) for v in (16 + 219 * luma, 128 + 224 * blue, 128 + 224 * red)]
        try:
            frame = av.VideoFrame(w, h, kind)
        except ValueError:  # FFmpeg has no such format
            continue
        frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc = 9, 1, 9, 16 if bright else 2
        for plane, value in zip(frame.planes, [*coded, 2 ** (bits - 1)], strict=False):
            size, number = (1, "u1") if bits == 8 else (2, "<u2")
            plane.update(np.full(plane.buffer_size // size, value, number).tobytes())
        opacity = 2 ** (bits - 1) / (2**bits - 1) if alpha else 1
        (film,) = cropped([frame], (0, 2, 0, 2), Fraction(1, 25)) if w == h + 32 else [frame]
        image = upright(film, (film.height, film.width), lambda: False)
        most = float((image[0] - torch.tensor(shown * opacity + 1 - opacity)[:, None, None]).abs().max())
        assert most < (8 if bright or bits == 8 else 3) / 255, (kind, bright, h, w, most)


def test_interlaced_frames_become_whole(tmp_path: Path) -> None:
    """Something walks eight pixels between the fields of a frame: its edge is a comb before, and none after."""

    def picture(index: int) -> np.ndarray:
        array = np.full((96, 128, 3), 40, np.uint8)
        for field in (0, 1):
            x = 8 + 8 * (2 * index + field)
            array[field::2, x : x + 30] = 200
        return array

    film = [picture(index) for index in range(5)]
    encode(tmp_path / "a.mkv", film, crf="4", flags="+ildct+ilme", **{"x264-params": "tff=1"})
    with av.open(str(tmp_path / "a.mkv")) as container:
        assert next(container.decode(video=0)).interlaced_frame
    read = list(stills(tmp_path / "a.mkv"))
    assert [still.seconds for still in read] == pytest.approx([i / 25 for i in range(5)], abs=2e-3)
    comb = [float((array[1:].astype(float) - array[:-1]).__abs__().mean()) / 255 for array in film]
    left = [float(still.image.diff(dim=-2).abs().mean()) for still in read]
    assert all(b < 0.35 * a for a, b in zip(comb, left, strict=True)), (comb, left)
    assert any("interlaced" in remark for remark in describe(tmp_path / "a.mkv").remarks)
    assert rewrite(tmp_path / "a.mkv", tmp_path / "b.mkv", same) == 5
    with av.open(str(tmp_path / "b.mkv")) as container:
        assert not any(frame.interlaced_frame for frame in container.decode(video=0))


def test_shapes_of_pixels_and_odd_sizes(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", [quarters()] * 3, aspect="4/3", **{"x264-params": "sar=4/3"})
    assert describe(tmp_path / "a.mp4").aspect == pytest.approx(4 / 3)
    for target in ("b.mp4", "b.mkv"):
        rewrite(tmp_path / "a.mp4", tmp_path / target, same)
        assert describe(tmp_path / target).aspect == pytest.approx(4 / 3)
    turned = [0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30]
    encode(tmp_path / "c.mp4", [quarters()] * 3, matrix=turned, **{"x264-params": "sar=4/3"})
    clip = describe(tmp_path / "c.mp4")
    assert clip.aspect == pytest.approx(3 / 4)  # upright
    write_timed(
        tmp_path / "d.mp4",
        ((s.image, s.time, s.duration) for s in stills(tmp_path / "c.mp4")),
        clip.rate,
        clip.unit,
        clip.aspect,
    )
    assert (describe(tmp_path / "d.mp4").aspect, describe(tmp_path / "d.mp4").size) == (clip.aspect, clip.size)
    encode(tmp_path / "e.mp4", [quarters()] * 3, **{"x264-params": "sar=1/60"})  # a mistake, by all ways to frames
    assert describe(tmp_path / "e.mp4").aspect == 1
    assert next(greys(tmp_path / "e.mp4", 99)).shape == (48, 64)
    encode(tmp_path / "odd.mkv", [quarters(47, 63)] * 3, "ffv1", "yuv444p")
    odd = describe(tmp_path / "odd.mkv")
    assert any("63x47" in remark and "64x48" in remark for remark in odd.remarks_on_writing)
    assert not odd.remarks
    assert not describe(tmp_path / "a.mp4").remarks_on_writing


def test_growing_is_no_reason_for_remarks(tmp_path: Path) -> None:
    growing(tmp_path / "a.mkv", "libvpx", [(64, 64), (32, 32)])
    assert not describe(tmp_path / "a.mkv").remarks


def hide(path: Path, margins: tuple[int, int]) -> None:
    """Let the container of a file of 64x48 pixels, of `encode`, crop so many pixels at the left and at the right."""
    data, (left, right) = bytearray(path.read_bytes()), margins
    if path.suffix == ".mkv":  # PixelCropLeft and PixelCropRight in the place of an element without content
        at = data.index(b"\xe0\x8a\xb0\x81\x40\xba\x81\x30")
        crop = bytes((0x54, 0xCC, 0x81, left, 0x54, 0xDD, 0x81, right))
        data[at : at + 27] = b"\xe0\x92" + data[at + 2 : at + 12] + crop + b"\xec\x85" + bytes(5)
    else:  # a clean aperture, at the end of the sample description
        shift, sample = left - right, data.index(b"avc1", data.index(b"stsd")) - 4
        box = struct.pack(">I4s7iI", 40, b"clap", 64 - left - right, 1, 48, 1, shift, 2, 0, 1)
        for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
            at = data.index(name, data.index(b"moov")) - 4
            at = sample if name == b"avc1" else at
            size = int.from_bytes(data[at : at + 4], "big")
            data[at : at + 4] = (size + len(box)).to_bytes(4, "big")
        end = sample + int.from_bytes(data[sample : sample + 4], "big") - len(box)
        data[end:end] = box
    path.write_bytes(data)


def test_what_a_container_crops_is_not_shown(tmp_path: Path) -> None:
    turned = [0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30]
    kinds = ((".mkv", None), (".mov", None), (".mov", turned))
    for (suffix, matrix), margins in product(kinds, ((8, 8), (4, 20))):
        path = tmp_path / f"a{suffix}"
        encode(path, [quarters()] * 4, matrix=matrix)
        whole = list(frames(path))
        hide(path, margins)
        kept = slice(margins[0], 64 - margins[1])
        seen = list(frames(path))
        case = suffix, margins, matrix
        assert describe(path).size == tuple(seen[0].shape[-2:]), case
        assert len(seen) == len(whole) == 4, case
        for one, all_of_it in zip(seen, whole, strict=True):
            expected = all_of_it[..., kept] if matrix is None else all_of_it[..., kept, :]
            assert one.shape == expected.shape, case
            assert float((one - expected).abs().max()) < 3 / 255, case
        rewrite(path, tmp_path / "b.mp4", same)
        assert describe(tmp_path / "b.mp4").size == describe(path).size, case
        assert len(list(frames(tmp_path / "b.mp4"))) == 4, case


def box(name: bytes, body: bytes) -> bytes:
    return (8 + len(body)).to_bytes(4, "big") + name + body


def test_films_all_around_and_for_two_eyes_are_said(tmp_path: Path) -> None:
    """Spherical Video V2: boxes in the description of the film's frames, which nothing else tells."""
    encode(tmp_path / "flat.mp4", [np.full((128, 256, 3), 128, np.uint8)] * 2)
    assert describe(tmp_path / "flat.mp4").remarks == ()
    flat = (tmp_path / "flat.mp4").read_bytes()
    for eyes, packed in ((0, False), (1, True), (2, True)):
        projection = box(b"prhd", bytes(16)) + box(b"equi", bytes(20))
        more = box(b"st3d", bytes(4) + bytes([eyes]))
        more += box(b"sv3d", box(b"svhd", bytes(4) + b"camera\0") + box(b"proj", projection))
        data = bytearray(flat)
        start = data.index(b"avc1", data.index(b"stsd")) - 4
        end = start + int.from_bytes(data[start : start + 4], "big")
        for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
            at = start if name == b"avc1" else data.index(name, data.index(b"moov")) - 4
            data[at : at + 4] = (int.from_bytes(data[at : at + 4], "big") + len(more)).to_bytes(4, "big")
        data[end:end] = more
        (tmp_path / "around.mp4").write_bytes(data)
        remarks = describe(tmp_path / "around.mp4").remarks
        assert "marked as a film all around (equirectangular)" in remarks[0]
        assert len(remarks) == 1 + packed
        assert not packed or "two eyes" in remarks[1]
