"""Colour profiles for tests."""

import struct
from collections.abc import Iterable

import numpy as np
from PIL import ImageCms


def swapped_profile() -> bytes:
    """An RGB profile whose red primary is sRGB's green and the other way round: a picture must change visibly."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", data[128:132])[0]
    places = {bytes(data[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, green = places[b"rXYZ"], places[b"gXYZ"]
    data[red + 4 : red + 12], data[green + 4 : green + 12] = data[green + 4 : green + 12], data[red + 4 : red + 12]
    for name in (b"desc",):  # another name, or it would pass for sRGB
        at, size = struct.unpack(">II", data[places[name] + 4 : places[name] + 12])
        data[at : at + size] = data[at : at + size].replace(b"s\0R\0G\0B", b"x\0R\0G\0B").replace(b"sRGB", b"xRGB")
    return bytes(data)


USUAL = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).profile
D50 = np.array(
    [USUAL.red_colorant[0], USUAL.green_colorant[0], USUAL.blue_colorant[0]]
).T  # CIE XYZ of sRGB's primaries
P3 = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])


def curve(kind: int, *numbers: float) -> bytes:
    """A parametric curve."""
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + b"".join(fixed(number) for number in numbers)


def sampled(light: np.ndarray) -> bytes:
    """A curve by its samples."""
    return b"curv" + bytes(4) + struct.pack(">I", len(light)) + np.round(light * 65535).astype(">u2").tobytes()


def profile(name: str, curve: bytes, colorants: np.ndarray | None = None) -> bytes:
    """A grey profile, or with `colorants` an RGB one."""
    words, white = name.encode("utf-16-be"), (0.9642, 1.0, 0.8249)
    text = b"mluc" + bytes(4) + struct.pack(">II", 1, 12) + b"enUS" + struct.pack(">II", len(words), 28) + words
    tags = {b"desc": text, b"cprt": text, b"wtpt": place(white)}
    if colorants is None:
        tags[b"kTRC"] = curve
    else:
        tags |= {name: place(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colorants.T, strict=True)}
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for key, value in tags.items():
        table += key + struct.pack(">II", start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    space = b"GRAY" if colorants is None else b"RGB "
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"lcms", 0x04300000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + b"".join(map(fixed, white)) + b"lcms"
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def fixed(number: float) -> bytes:
    return struct.pack(">i", round(number * 65536))


def place(xyz: Iterable[float]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(map(fixed, xyz))
