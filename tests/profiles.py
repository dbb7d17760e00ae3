"""Colour profiles for tests."""

import struct

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
