"""Frames of a video in and out, one at a time: memory does not grow with the length of the clip."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError

SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".avi", ".webm")

Frame = Float[Tensor, "1 3 h w"]


@dataclass(frozen=True)
class Clip:
    """What a video's header says: frames per second and about how many frames (0: it does not say)."""

    rate: Fraction
    count: int


def describe(path: Path) -> Clip:
    """The header of the video at `path`. Raises InputError if it is missing or no video."""
    with _opened(path) as (_, stream):
        rate = stream.average_rate or Fraction(25)
        seconds = float(stream.duration * stream.time_base) if stream.duration else 0.0
        return Clip(rate, stream.frames or round(seconds * rate))


def frames(path: Path, every: int = 1) -> Iterator[Frame]:
    """The upright frames of a video in [0,1], each `every`-th of them, decoded as they are asked for."""
    with _opened(path) as (container, stream):
        for index, frame in enumerate(_decoded(path, container, stream)):
            if index % every == 0:
                rgb = np.rot90(frame.to_ndarray(format="rgb24"), round(getattr(frame, "rotation", 0) / 90))
                yield torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].contiguous() / 255


def write_video(path: Path, pictures: Iterable[Frame], rate: Fraction) -> int:
    """Encode `pictures` as H.264 (an odd last row or column is repeated for the codec); returns how many there were.

    Writes to `path` itself: give a path inside `depthmap.appearing` if it must appear whole.
    """
    import av

    count = 0
    with av.open(str(path), "w") as container:
        stream: Any = None
        for picture in pictures:
            array = _even(picture[0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu().numpy())
            if stream is None:
                stream = container.add_stream("libx264", rate=rate, options={"crf": "18", "preset": "veryfast"})
                stream.height, stream.width = array.shape[:2]
                stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
            count += 1
        if stream is not None:
            container.mux(stream.encode())
    return count


def _even(array: np.ndarray) -> np.ndarray:
    h, w = array.shape[:2]
    return np.ascontiguousarray(np.pad(array, ((0, h % 2), (0, w % 2), (0, 0)), mode="edge"))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    import av

    if not path.is_file():
        raise InputError(f"there is no file {path}; check the path.")
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError, ValueError):
        raise InputError(f"{path} is no video that can be read; give MP4, MOV, MKV, AVI or WebM.") from None
    with container:
        if not container.streams.video:
            raise InputError(f"{path} has no picture track; give a video.")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        yield container, stream


def _decoded(path: Path, container: Any, stream: Any) -> Iterator[Any]:
    import av

    try:
        yield from container.decode(stream)
    except av.error.FFmpegError as error:
        raise InputError(f"{path} is damaged or cut short ({error.strerror}); give a whole file.") from None
