"""Clips for tests."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from cyclopean.io.video import Frame
from cyclopean.io.video_writing import write_timed


def write_video(path: Path, pictures: Iterable[Frame], rate: Fraction) -> int:
    """Encode `pictures` at a steady `rate` as H.264 and return how many there were."""
    timed = ((picture, index / rate, 1 / Fraction(rate)) for index, picture in enumerate(pictures))
    return write_timed(path, timed, rate, 1 / Fraction(rate))
