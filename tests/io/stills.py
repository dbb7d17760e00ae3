"""Light as stills hold it: the scene in linear light, curves and primaries of HDR, and PNGs with chunks."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from scenes import SCENE, stored


def png(path: Path, values: np.ndarray, chunks: list[tuple[bytes, bytes]], bits: int = 16) -> Path:
    data = cv2.imencode(".png", stored(values, bits)[..., ::-1].copy())[1].tobytes()
    more = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    path.write_bytes(data[:33] + more + data[33:])
    return path


LIGHT = np.where(SCENE <= 0.04045, SCENE / 12.92, ((SCENE + 0.055) / 1.055) ** 2.4)


TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])  # ITU-R BT.2087


TO_P3 = np.array([[0.8225, 0.1775, 0.0], [0.0332, 0.9668, 0.0], [0.0171, 0.0724, 0.9105]])


def pq(nits: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084."""
    power = (nits / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(nits: np.ndarray) -> np.ndarray:
    """ITU-R BT.2100, for a display of 1000 nits."""
    shown = nits / 1000
    luminance = np.maximum(shown @ [0.2627, 0.6780, 0.0593], 1e-9)[..., None]
    scene = shown * luminance ** (1 / 1.2 - 1)
    log = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), log)
