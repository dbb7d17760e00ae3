"""Colours as luma and differences of colour (YUV): exactly to RGB and back, by ITU-T H.273.

swscale's own conversion truncates: what it returns is one level too dark.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, UInt8, UInt16

LIMITED, FULL = 1, 2  # ranges in FFmpeg's numbers; 0: undeclared, which means limited
BT601 = (0.299, 0.114)
WEIGHTS = {  # of red and blue in luma, by the number of the matrix
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: BT601,
    6: BT601,
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
SUBSAMPLINGS = {(1, 1): "444", (2, 1): "422", (2, 2): "420", (1, 2): "440", (4, 1): "411", (4, 4): "410"}

Plane = UInt8[np.ndarray, "_ _"] | UInt16[np.ndarray, "_ _"]


@dataclass(frozen=True)
class YuvCoding:
    """The matrix by its number, whether the numbers take their whole range, and bits of each.

    An unknown matrix is that of BT.601.
    """

    matrix: int
    full: bool
    bits: int = 8

    @property
    def weights(self) -> tuple[float, float, float]:
        """Weights of red, green and blue in luma."""
        red, blue = WEIGHTS.get(self.matrix, BT601)
        return red, 1 - red - blue, blue

    @property
    def black_and_span(self) -> tuple[int, int]:
        """The number of black luma, and how many more white has."""
        return (0, 2**self.bits - 1) if self.full else (16 << self.bits - 8, 219 << self.bits - 8)

    @property
    def grey_and_span(self) -> tuple[int, int]:
        """The number of a difference of 0, and how many lie between the differences of -1/2 and 1/2."""
        return 1 << self.bits - 1, 2**self.bits - 1 if self.full else 224 << self.bits - 8


def to_rgb(
    planes: list[Plane], coding: YuvCoding, interpolation: int = cv2.INTER_NEAREST
) -> Float32[np.ndarray, "3 h w"]:
    """Return RGB in [0,1] of luma alone, or of luma and the differences of blue and red, which may be smaller planes.

    Each number of theirs lies in the middle of the pixels that it counts for. With `cv2.INTER_NEAREST`, `to_yuv420`
    gives the same planes back.
    """
    (black, span), (grey, differences) = coding.black_and_span, coding.grey_and_span
    luma = planes[0].astype(np.float32)
    luma -= black
    luma *= np.float32(1 / span)
    h, w = luma.shape
    rgb = np.empty((3, h, w), np.float32)
    if len(planes) < 3:
        rgb[:] = luma
        return rgb.clip(0, 1, out=rgb)
    red, green, blue = coding.weights
    steps = (np.arange(2**coding.bits, dtype=np.float32) - grey) / np.float32(differences)
    of_blue, of_red = np.float32(2 * (1 - blue)) * steps, np.float32(2 * (1 - red)) * steps
    u, v = (np.minimum(plane, len(steps) - 1) if coding.bits not in (8, 16) else plane for plane in planes[1:3])
    added = of_red[v], of_red[v] * np.float32(-red / green) + of_blue[u] * np.float32(-blue / green), of_blue[u]
    across, down = -(-w // u.shape[1]), -(-h // u.shape[0])
    size = across * u.shape[1], down * u.shape[0]
    for channel, plane in zip(rgb, added, strict=True):
        np.add(luma, cv2.resize(plane, size, interpolation=interpolation)[:h, :w], out=channel)
    return rgb.clip(0, 1, out=rgb)


def to_yuv420(rgb: Float32[np.ndarray, "3 h w"], coding: YuvCoding) -> list[UInt8[np.ndarray, "_ _"]]:
    """Return luma and the differences of blue and red, halved, as 8-bit planes, of RGB in [0,1] of even sizes."""
    red, green, blue = coding.weights
    (black, span), (grey, differences) = coding.black_and_span, coding.grey_and_span
    luma = red * rgb[0] + green * rgb[1] + blue * rgb[2]
    half = luma.shape[1] // 2, luma.shape[0] // 2
    small, small_red, small_blue = (
        cv2.resize(np.ascontiguousarray(plane), half, interpolation=cv2.INTER_AREA) for plane in (luma, rgb[0], rgb[2])
    )
    return [
        np.rint(numbers).clip(0, 255).astype(np.uint8)
        for numbers in (
            luma * span + black,
            (small_blue - small) * (differences / (2 * (1 - blue))) + grey,
            (small_red - small) * (differences / (2 * (1 - red))) + grey,
        )
    ]


def planar(frame: Any) -> str | None:
    """Return FFmpeg's name of the format with a plane for each part of a frame in YUV or grey, each number stored as it
    is; None for a frame in other colours."""
    import av

    kind = frame.format
    parts = kind.components
    if kind.is_rgb or kind.name.startswith(("pal8", "xyz", "mono", "ya")) or "f" in kind.name:
        return None
    if kind.name.startswith("yuvj"):
        return str(kind.name)
    bits = parts[0].bits
    depth = "" if bits == 8 else f"{bits}le"
    if len(parts) == 1:
        return f"gray{depth}"
    luma, chroma = av.VideoFormat(kind.name, 64, 64).components[:2]
    across, down = luma.width // chroma.width, luma.height // chroma.height
    return f"yuv{'a' if len(parts) == 4 else ''}{SUBSAMPLINGS[across, down]}p{depth}"


def planes_of(frame: Any) -> list[Plane]:
    """Return the planes of a frame in a format of `planar`."""
    kind = np.dtype("u1" if frame.format.components[0].bits == 8 else "<u2")
    return [
        np.frombuffer(plane, kind).reshape(-1, plane.line_size // kind.itemsize)[: part.height, : part.width]
        for plane, part in zip(frame.planes, frame.format.components, strict=True)
    ]
