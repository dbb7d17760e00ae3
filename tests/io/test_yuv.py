import itertools

import av
import numpy as np
import torch

from cyclopean.io import yuv
from cyclopean.io.video_frames import Orientation, Tags, coded, upright

WEIGHTS = {
    1: (0.2126, 0.0722),
    2: (0.299, 0.114),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
FULL = 2


def numbers_of(rgb: np.ndarray, matrix: int, full: bool, bits: int) -> list[np.ndarray]:
    """Return the numbers of colours (h, w, 3) by ITU-T H.273, 8.3, not rounded."""
    red, blue = WEIGHTS[matrix]
    y = rgb @ np.array([red, 1 - red - blue, blue])
    u, v = (rgb[..., 2] - y) / (2 * (1 - blue)), (rgb[..., 0] - y) / (2 * (1 - red))
    if full:
        return [y * (2**bits - 1), *(c * (2**bits - 1) + 2 ** (bits - 1) for c in (u, v))]
    return [(219 * y + 16) * 2 ** (bits - 8), *((224 * c + 128) * 2 ** (bits - 8) for c in (u, v))]


def frame_of(rgb: np.ndarray, kind: str, matrix: int, color_range: int) -> av.VideoFrame:
    """Return a frame of planes, one colour for each block of 4x4 pixels; an alpha of 3/4."""
    frame = av.VideoFrame(rgb.shape[1], rgb.shape[0], kind)
    frame.colorspace, frame.color_range = matrix, color_range
    bits = frame.format.components[0].bits
    full = color_range == FULL or kind.startswith("yuvj")
    opacity = np.full(rgb.shape[:2], 0.75 * (2**bits - 1))
    parts = zip(frame.planes, frame.format.components, (*numbers_of(rgb, matrix, full, bits), opacity), strict=False)
    for plane, part, numbers in parts:
        down, across = -(-rgb.shape[0] // part.height), -(-rgb.shape[1] // part.width)
        dtype = np.dtype("u1" if bits == 8 else ">u2" if kind.endswith("be") else "<u2")
        rows = np.zeros((part.height, plane.line_size // dtype.itemsize), dtype)
        rows[:, : part.width] = np.rint(numbers[::down, ::across]).clip(0, 2**bits - 1)
        plane.update(rows.tobytes())
    return frame


def blocks(colours: np.ndarray, height: int, width: int) -> np.ndarray:
    return colours.repeat(4, 0).repeat(4, 1)[:height, :width]


def seen(frame: av.VideoFrame) -> np.ndarray:
    return upright(frame, (frame.height, frame.width), lambda: False)[0].permute(1, 2, 0).numpy()


def test_colours_of_frames_are_exact_and_come_back_the_same() -> None:
    """Of every matrix, range, number of bits, layout of planes and odd size; a grey ramp is not darker by a level."""
    random = np.random.default_rng(0)
    for matrix, color_range in itertools.product(WEIGHTS, (0, 1, 2)):
        for kind in ("yuv420p", "yuv422p10le", "yuv444p12le", "yuv410p", "yuv440p", "yuv420p10be", "yuvj420p"):
            for height, width in ((32, 36), (29, 33)):
                rgb = blocks(random.uniform(0.02, 0.98, (9, 9, 3)), height, width)
                error = 255 * (seen(frame_of(rgb, kind, matrix, color_range)) - rgb)
                case = (kind, matrix, color_range, height)
                bits = av.VideoFormat(kind).components[0].bits
                assert np.abs(error).max() < 2.0 / 2 ** (bits - 8) + 0.01, case
                assert np.abs(error.mean((0, 1))).max() < 0.3, case
        ramp = blocks(np.linspace(0, 1, 64)[None, :, None].repeat(3, -1), 4, 256)
        frame = frame_of(ramp, "yuv420p", matrix, color_range)
        assert abs(255 * (seen(frame) - ramp).mean()) < 0.1
        again, tags = frame, Tags(matrix, color_range)
        rgb = blocks(random.uniform(0.1, 0.9, (8, 8, 3)), 32, 32)
        noise = random.uniform(0.1, 0.9, (16, 16, 3))
        planes = yuv.planes_of(coded(torch.from_numpy(noise).permute(2, 0, 1)[None].float(), Orientation(), tags))
        for plane, numbers in zip(planes, numbers_of(noise, matrix, color_range == FULL, 8), strict=True):
            step = 16 // plane.shape[0]
            mean = numbers.reshape(16 // step, step, 16 // step, step).mean((1, 3))
            assert np.abs(plane - mean).max() < 0.51, (matrix, color_range)
        first = again = frame_of(rgb, "yuv420p", matrix, color_range)
        for _ in range(3):
            picture = torch.from_numpy(seen(again)).permute(2, 0, 1)[None]
            again = coded(picture, Orientation(), tags)
            again.colorspace, again.color_range = matrix, color_range
        for before, after in zip(yuv.planes_of(first), yuv.planes_of(again), strict=True):
            assert (before == after).all(), (matrix, color_range)


def test_frames_of_other_layouts_are_those_of_their_planes() -> None:
    """Packed pixels, planes of two parts, other ends of bytes, alpha, grey, and RGB of 10 bits."""
    rgb = blocks(np.random.default_rng(1).uniform(0.02, 0.98, (4, 8, 3)), 16, 32)
    layouts = {
        "nv12": "yuv420p", "yuyv422": "yuv422p", "uyvy422": "yuv422p", "p010le": "yuv420p10le",
        "y210le": "yuv422p10le", "vuya": "yuva444p", "yuv444p10msble": "yuv444p10le", "ayuv64le": "yuva444p16le",
    }  # fmt: skip
    for (packed, kind), color_range in itertools.product(layouts.items(), (1, 2)):
        frame = frame_of(rgb, kind, 9, color_range)
        assert np.array_equal(seen(frame.reformat(format=packed)), seen(frame)), packed
    transparent = frame_of(rgb, "yuva420p", 1, 1)
    assert np.abs(seen(transparent) - (rgb * 0.75 + 0.25)).max() < 2 / 255
    grey = av.VideoFrame(32, 4, "gray10le")
    grey.planes[0].update(np.linspace(0, 1023, 32).round().astype("<u2")[None].repeat(4, 0).tobytes())
    assert np.abs(seen(grey)[0, :, 1] - np.linspace(0, 1, 32)).max() < 0.6 / 1023
    deep = av.VideoFrame(32, 16, "gbrp10le")
    for plane, channel in zip(deep.planes, (1, 2, 0), strict=True):
        plane.update((rgb[..., channel] * 1023).round().astype("<u2").tobytes())
    assert np.abs(seen(deep) - rgb).max() < 1.1 / 1023


def test_numbers_beyond_their_bits_are_the_largest() -> None:
    """Raw films of 10 bits keep them in 16, and nothing forbids larger numbers there."""
    luma, chroma = np.full((4, 4), 60000, np.uint16), np.full((2, 2), 60000, np.uint16)
    most = [np.full_like(plane, 1023) for plane in (luma, chroma, chroma)]
    coding = yuv.YuvCoding(1, False, 10)
    assert np.array_equal(yuv.to_rgb([luma, chroma, chroma], coding)[2], yuv.to_rgb(most, coding)[2])
