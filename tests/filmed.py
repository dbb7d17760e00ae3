"""Small clips with known depth and sound, for the tests of videos."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from torch import Tensor

from cyclopean.methods.monodepth import Monodepth
from cyclopean.predictor import Predictor

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


def blue_is_near(noise: float = 0.0) -> Predictor:
    """A predictor that reads inverse depth off the blue channel; `noise` is how much its scale breathes."""
    calls = iter(range(10**6))

    def see(_method: object, view: object) -> Tensor:
        factor = 1 + noise * (1 if next(calls) % 2 else -1)
        return (view.seen[:, 2:3] > 0.5) * (0.5 * factor) + 0.25 * factor  # type: ignore[attr-defined]

    return Predictor(Monodepth(width=0.05), (128, 128), see=see)


def film(
    path: Path,
    pictures: Iterator[Tensor],
    codecs: tuple[str, str] = ("libx264", "aac"),
    *,
    rotation: int = 0,
    uneven: int = 0,
    colours: dict[str, int] | None = None,
) -> None:
    """A real file with sound: 30 frames a second, every third one `uneven` / 30000 s late, shown turned."""
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "a walk"
        track = container.add_stream(codecs[0], rate=Fraction(30), options={"crf": "8"} if "264" in codecs[0] else {})
        sound = container.add_stream(codecs[1], rate=48000, layout="stereo")
        track.pix_fmt, track.time_base = "yuv420p", Fraction(1, 30000)
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
            frame.pts, frame.time_base = index * 1000 + uneven * (index % 3 == 2), track.time_base
            container.mux(track.encode(frame))
            _hum(container, sound, index)
        container.mux(track.encode())
        container.mux(sound.encode())


def _hum(container: object, sound: object, index: int) -> None:
    """The 1600 samples of sound that belong to a frame."""
    wave = (np.sin((index * 1600 + np.arange(1600)) / 20) * 8000).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None], format="s16", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = 48000, index * 1600, Fraction(1, 48000)
    container.mux(sound.encode(frame))  # type: ignore[attr-defined]


def sound_of(path: Path) -> list[tuple[float, bytes]]:
    """Times and bytes of the packets of sound."""
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.audio[0])
        return [(float(p.pts * p.time_base), bytes(p)) for p in packets if p.dts is not None]


def times_of(path: Path) -> list[float]:
    """Seconds of every frame."""
    with av.open(str(path)) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
