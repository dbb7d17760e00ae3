"""Small clips with known depth and sound, for the tests of videos."""

import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
from torch import Tensor

from cyclopean.inference.predictor import Predictor
from cyclopean.methods.monodepth import Monodepth

SIDE = 40  # of the near square, in pixels


def texture(h: int, w: int, seed: int) -> np.ndarray:
    """Blotches of grey, fine and coarse as in photographs, for flow to hold on to and for blur to take away."""
    noise = np.random.default_rng(seed).random((h, w)).astype(np.float32)
    total = sum(octave / octave.std() for octave in (cv2.GaussianBlur(noise, (0, 0), s) for s in (1.0, 3.0, 8.0)))
    return np.clip(0.5 + (total - total.mean()) / total.std() * 0.15, 0.2, 0.8)


def walking(count: int, h: int = 96, w: int = 160, step: float = 2.0, seed: int = 0) -> Iterator[Tensor]:
    """A near square walks to the right before a wall. Blue is its depth: 0.75 on the square, 0.25 on the wall."""
    wall, thing = texture(h, w, seed), texture(SIDE, SIDE, seed + 1)
    for index in range(count):
        x = 10 + round(index * step)
        grey, blue = wall.copy(), np.full((h, w), 0.25, np.float32)
        width = max(0, min(SIDE, w - x))
        grey[28 : 28 + SIDE, x : x + SIDE] = thing[:, :width]
        blue[28 : 28 + SIDE, x : x + SIDE] = 0.75
        yield torch.from_numpy(np.stack([grey, grey, blue]))[None]


def walk(count: int, seed: int = 0) -> list[np.ndarray]:
    """The pictures of `walking` as bytes, for `encode`."""
    return [(x[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8) for x in walking(count, seed=seed)]


def blue_is_near(noise: float = 0.0) -> Predictor:
    """A predictor that reads inverse depth off the blue channel; `noise` is how much its scale breathes."""
    calls = iter(range(10**6))

    def see(_method: object, view: object) -> Tensor:
        factor = 1 + noise * (1 if next(calls) % 2 else -1)
        return (view.seen[:, 2:3] > 0.5) * (0.5 * factor) + 0.25 * factor  # type: ignore[attr-defined]

    return Predictor(Monodepth(width=0.05), (128, 128), infer=see)


def film(
    path: Path,
    pictures: Iterator[Tensor],
    codecs: tuple[str, str] = ("libx264", "aac"),
    *,
    rotation: int = 0,
    uneven: int = 0,
    colours: dict[str, int] | None = None,
    steady: bool = False,
    tags: dict[str, str] | None = None,
) -> None:
    """A real file with sound: 30 frames a second, every third one `uneven` / 30000 s late, shown turned.

    `steady`: for codecs and containers that have one tick a frame. `tags`: metadata of an MP4 or MOV.
    """
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"} if tags else {}) as container:
        container.metadata.update({"title": "a walk", **(tags or {})})
        track = container.add_stream(codecs[0], rate=Fraction(30), options={"crf": "8"} if "264" in codecs[0] else {})
        sound = container.add_stream(codecs[1], rate=48000, layout="stereo")
        track.pix_fmt, track.time_base = "yuv420p", Fraction(1, 30) if steady else Fraction(1, 30000)
        track.codec_context.time_base = track.time_base
        for name, value in (colours or {}).items():
            setattr(track.codec_context, name, value)
        if rotation:
            track.set_display_rotation(rotation)
        space = (colours or {}).get("colorspace")
        for index, picture in enumerate(pictures):
            array = (picture[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
            if index == 0:
                track.height, track.width = array.shape[:2]
            frame = av.VideoFrame.from_ndarray(array, format="rgb24").reformat(format="yuv420p", dst_colorspace=space)
            frame.pts, frame.time_base = index * 1000 + uneven * (index % 3 == 2), Fraction(1, 30000)
            container.mux(track.encode(frame))
            _hum(container, sound, index)
        container.mux(track.encode())
        container.mux(sound.encode())


def encode(
    path: Path,
    pictures: Sequence[np.ndarray],
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    *,
    start: int = 0,
    matrix: Sequence[int] | None = None,
    tags: dict[str, int] | None = None,
    **options: str,
) -> None:
    """A file of 25 frames a second, from frame `start` on; arrays (h, w, 3 or 4) of bytes, or of 16 bits for more."""
    space = (tags or {}).get("colorspace", 5)
    scale = (tags or {}).get("color_range", 1)
    with av.open(str(path), "w") as container:
        track = container.add_stream(codec, rate=25, options={"crf": "4"} | options if "264" in codec else options)
        track.height, track.width, track.pix_fmt = *pictures[0].shape[:2], pix_fmt
        if pix_fmt.startswith("yuva") and "vpx" in codec:
            track.metadata.update({"alpha_mode": "1"})
        for name, value in (tags or {}).items():
            setattr(track.codec_context, name, value)
        if matrix is not None:
            track.set_display_matrix(matrix)
        for index, array in enumerate(pictures):
            kind = {(3, 1): "rgb24", (4, 1): "rgba", (3, 2): "rgb48le"}[array.shape[2], array.itemsize]
            frame = av.VideoFrame.from_ndarray(array, format=kind)
            if frame.format.name != pix_fmt:
                frame = frame.reformat(format=pix_fmt, dst_colorspace=space, dst_color_range=scale)
            frame.pts, frame.time_base = start + index, Fraction(1, 25)
            container.mux(track.encode(frame))
        container.mux(track.encode())


def growing(path: Path, codec: str, sizes: Sequence[tuple[int, int]]) -> None:
    """Matroska whose frames change their size (height, width) as they go, three of each; its head tells the first."""
    with av.open(str(path), "w") as container:
        track = container.add_stream(codec, rate=25)
        track.height, track.width, track.pix_fmt = *sizes[0], "yuv420p"
        for number, (h, w) in enumerate(sizes):
            encoder: Any = av.CodecContext.create(codec, "w")
            encoder.height, encoder.width, encoder.pix_fmt = h, w, "yuv420p"
            encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
            grey = av.VideoFrame.from_ndarray(np.full((h, w, 3), 60 * (number + 1), np.uint8), format="rgb24")
            packets = []
            for index in range(3):
                frame = grey.reformat(format="yuv420p")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                packets += encoder.encode(frame)
            for index, packet in enumerate([*packets, *encoder.encode(None)]):
                packet.stream, packet.time_base = track, Fraction(1, 25)
                packet.pts = packet.dts = 3 * number + index
                container.mux(packet)


def _hum(container: object, sound: object, index: int) -> None:
    """The 1600 samples of sound that belong to a frame."""
    wave = (np.sin((index * 1600 + np.arange(1600)) / 20) * 8000).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None], format="s16", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = 48000, index * 1600, Fraction(1, 48000)
    container.mux(sound.encode(frame))  # type: ignore[attr-defined]


def trim(source: Path, target: Path, start: float, seconds: float) -> None:
    """Copy an MP4 whose edit lists show only `seconds` from `start` on, as phones trim films; the rest stays in it."""
    data, at, units = bytearray(source.read_bytes()), 0, [30000, 48000]  # of the film and of the sound
    for unit in units:
        at = data.index(b"elst", at + 1) + 12
        first = int.from_bytes(data[at + 4 : at + 8], "big")
        data[at : at + 8] = struct.pack(">II", round(1000 * seconds), first + round(start * unit))
    target.write_bytes(data)


def sound_of(path: Path) -> list[tuple[float, bytes]]:
    """Times and bytes of the packets of sound."""
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.audio[0])
        return [(float(p.pts * p.time_base), bytes(p)) for p in packets if p.dts is not None]


def times_of(path: Path) -> list[float]:
    """Seconds of every frame."""
    with av.open(str(path)) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
