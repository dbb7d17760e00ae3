"""Photos with depth of their own, as phones write them: GDepth, dynamic depth, Apple's JPEG and HEIC; all made here."""

import base64
import io
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

SIZE, SMALL = (96, 128), (24, 32)  # (height, width) of the photo and of its depth, upright
NEAR, FAR = 1.0, 4.0
TURNED = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


def depth_of(size: tuple[int, int]) -> np.ndarray:
    """Metres: a thing at 1 m in the upper left, what is behind it from 2 m on the right to 4 m on the left."""
    h, w = size
    metres = np.broadcast_to(np.linspace(FAR, 2, w), size).copy()
    metres[h // 8 : h // 2, w // 8 : w // 2] = NEAR
    return metres


def photo() -> Image.Image:
    """A bright thing, where the depth has it, before a dark texture."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(20, 80, (*SIZE, 3), np.uint8)
    pixels[depth_of(SIZE) == NEAR] += 150
    return Image.fromarray(pixels)


def range_codes(form: str, white: int = 255, size: tuple[int, int] = SMALL) -> np.ndarray:
    """The numbers from near to far that GDepth and dynamic depth store."""
    metres = depth_of(size)
    if form == "RangeInverse":
        share = FAR * (metres - NEAR) / (metres * (FAR - NEAR))
    else:
        share = (metres - NEAR) / (FAR - NEAR)
    return (share * white).round().astype(np.uint8 if white == 255 else np.uint16)


def disparity_codes(size: tuple[int, int] = SMALL) -> np.ndarray:
    """Apple's: from 1/FAR, black, to 1/NEAR, white."""
    return ((1 / depth_of(size) - 1 / FAR) / (1 / NEAR - 1 / FAR) * 255).round().astype(np.uint8)


def picture(codes: np.ndarray, kind: str = "PNG", orientation: int = 1) -> bytes:
    """A grey picture of numbers, stored as a camera of that orientation does."""
    image = Image.fromarray(codes)
    turn = TURNED[orientation]
    file = io.BytesIO()
    (image if turn is None else image.transpose(turn)).save(file, kind, **({"quality": 100} if kind == "JPEG" else {}))
    return file.getvalue()


def jpeg(orientation: int = 1) -> bytes:
    exif, turn = Image.Exif(), TURNED[orientation]
    exif[0x0112] = orientation
    file = io.BytesIO()
    (photo() if turn is None else photo().transpose(turn)).save(file, "JPEG", quality=95, exif=exif)
    return file.getvalue()


def with_segments(data: bytes, *bodies: bytes) -> bytes:
    segments = (b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body for body in bodies)
    return data[:2] + b"".join(segments) + data[2:]


def packet(attributes: str, inner: str = "") -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {attributes}>{inner}</rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


def standard(xmp: bytes) -> bytes:
    return b"http://ns.adobe.com/xap/1.0/\0" + xmp


def gdepth(
    form: str = "RangeInverse",
    *,
    stored: bytes | None = None,
    near: object = NEAR,
    far: object = FAR,
    units: str | None = "m",
    orientation: int = 1,
    cut: int = 0,
    more: str = "",
) -> bytes:
    """Google's first format: the meaning in the XMP, the map in base64 in extended XMP, less `cut` bytes at its end."""
    name = 'xmlns:GDepth="http://ns.google.com/photos/1.0/depthmap/"'
    unit = "" if units is None else f' GDepth:Units="{units}"'
    meaning = f'{name} GDepth:Format="{form}" GDepth:Near="{near}" GDepth:Far="{far}"{unit}{more}'
    stored = stored or picture(range_codes(form), orientation=orientation)
    data = packet(f'{name} GDepth:Data="{base64.b64encode(stored).decode()}"')
    digest, room = b"0123456789ABCDEF0123456789ABCDEF", 200
    chunks = [
        b"http://ns.adobe.com/xmp/extension/\0" + digest + struct.pack(">II", len(data), at) + data[at : at + room]
        for at in range(0, len(data) - cut, room)
    ]
    return with_segments(jpeg(orientation), standard(packet(meaning)), *reversed(chunks))


def dynamic(
    form: str = "RangeLinear",
    *,
    before: bytes = b"",
    stored: bytes | None = None,
    near: object = NEAR,
    far: object = FAR,
    padding: int = 0,
    kind: str = "JPEG",
    cut: int = 0,
) -> bytes:
    """Google's second format: the map is a file behind the photo, after others, such as a gain map."""
    stored = stored or picture(range_codes(form), kind)
    root = "http://ns.google.com/photos/dd/1.0"
    names = " ".join(
        f'xmlns:{name}="{root}/{name.lower()}/"' for name in ("Device", "Container", "Item", "Camera", "DepthMap")
    )
    gain = f'<rdf:li><Container:Item Item:Mime="image/jpeg" Item:Length="{len(before)}" Item:DataURI="gain"/></rdf:li>'
    xmp = packet(
        names,
        f"""<Device:Container><Container:Directory><rdf:Seq>
        <rdf:li><Container:Item Item:Mime="image/jpeg" Item:Length="0" Item:Padding="{padding}"/></rdf:li>
        {gain if before else ""}
        <rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="image/x" Item:DataURI="android/depthmap"
          Item:Length="{len(stored)}"/></rdf:li></rdf:Seq></Container:Directory></Device:Container>
        <Device:Cameras><rdf:Seq><rdf:li><Device:Camera><Camera:DepthMap DepthMap:Format="{form}"
          DepthMap:Near="{near}" DepthMap:Far="{far}" DepthMap:Units="Meters" DepthMap:DepthURI="android/depthmap"/>
        </Device:Camera></rdf:li></rdf:Seq></Device:Cameras>""",
    )
    end = bytes(padding) + before + stored
    return with_segments(jpeg(), standard(xmp)) + end[: len(end) - cut]


def apple_xmp(
    kind: str = "disparity", accuracy: str = "relative", low: object = 1 / FAR, high: object = 1 / NEAR
) -> bytes:
    fields = {
        "apdi:IntMinValue": 0, "apdi:IntMaxValue": 255, "apdi:FloatMinValue": low, "apdi:FloatMaxValue": high,
        "apdi:AuxiliaryImageType": kind, "depthData:Accuracy": accuracy,
    }  # fmt: skip
    return packet(
        'xmlns:apdi="http://ns.apple.com/pixeldatainfo/1.0/" xmlns:depthData="http://ns.apple.com/depthData/1.0/"',
        "".join(f"<{name}>{value}</{name}>" for name, value in fields.items()),
    )


def apple_jpeg(orientation: int = 1, **meaning: object) -> bytes:
    """Apple's: JPEGs behind the photo, each with XMP of its own: here a matte, then the depth."""
    codes = picture(disparity_codes(), "JPEG", orientation)
    matte = with_segments(picture(disparity_codes(), "JPEG"), standard(apple_xmp("portraiteffectsmatte")))
    return jpeg(orientation) + matte + with_segments(codes, standard(apple_xmp(**meaning)))  # type: ignore[arg-type]


def apple_heic(xmp: bytes = b"", orientation: int = 1, turned_depth: bool = True) -> bytes:
    """A HEIC whose second picture is made the depth image of its first, by pillow-heif and changes to its boxes.

    Of a camera that stands on its side, the photo is stored sideways, and so is its depth unless it was turned.
    """
    turn = TURNED[orientation]
    codes = Image.fromarray(disparity_codes((48, 64)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    heif = pillow_heif.HeifFile()
    sideways = photo() if turn is None else photo().transpose(turn)
    for image in (sideways, codes if turn is None or turned_depth else codes.transpose(turn)):
        heif.add_from_pillow(image)
    file = io.BytesIO()
    heif.save(file, quality=95, exif=exif.tobytes())
    return _as_auxiliary(file.getvalue()) + (struct.pack(">I4s", 8 + len(xmp), b"free") + xmp if xmp else b"")


def _boxes(data: bytes, at: int = 0) -> Iterator[tuple[bytes, bytes]]:
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        yield name, data[at + 8 : at + length]
        at += length


def _box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), name) + body


def _as_auxiliary(data: bytes) -> bytes:
    """Return a HEIC with two pictures, whose second is marked as the depth of the first."""
    before = dict(_boxes(data))
    meta = dict(_boxes(before[b"meta"], 4))
    properties = dict(_boxes(meta[b"iprp"]))
    count = sum(1 for _ in _boxes(properties[b"ipco"]))
    auxiliary = _box(b"auxC", bytes(4) + b"urn:mpeg:hevc:2015:auxid:2\0")
    ipma = properties[b"ipma"]
    version, flags = ipma[0], ipma[3] & 1
    assert (version, flags) == (0, 0), "pillow-heif writes the short form"
    items, at = [], 8
    (primary,) = struct.unpack_from(">H", meta[b"pitm"], 4)
    (entries,) = struct.unpack_from(">I", ipma, 4)
    for _ in range(entries):
        number, many = struct.unpack_from(">HB", ipma, at)
        items.append((number, ipma[at + 3 : at + 3 + many]))
        at += 3 + many
    other = next(number for number, _ in items if number != primary)
    entry = {number: own + bytes([count + 1]) * (number == other) for number, own in items}
    associations = b"".join(struct.pack(">HB", number, len(own)) + own for number, own in entry.items())
    iprp = _box(b"ipco", properties[b"ipco"] + auxiliary) + _box(b"ipma", ipma[:8] + associations)
    reference = _box(b"auxl", struct.pack(">HHH", other, 1, primary))
    iref = meta.get(b"iref", bytes(4)) + reference

    def made(shift: int) -> bytes:
        parts = {**meta, b"iprp": iprp, b"iref": iref, b"iloc": _moved(meta[b"iloc"], shift)}
        return _box(b"meta", before[b"meta"][:4] + b"".join(_box(*part) for part in parts.items()))

    shift = len(made(0)) - len(before[b"meta"]) - 8
    return b"".join(made(shift) if name == b"meta" else _box(name, body) for name, body in _boxes(data))


def _moved(iloc: bytes, shift: int) -> bytes:
    """Return an iloc box whose places in the file are `shift` bytes later."""
    version, sizes, out = iloc[0], iloc[4:6], bytearray(iloc)
    offset_size, length_size, base_size, index_size = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4, sizes[1] & 15
    assert version in (0, 1)
    assert offset_size == length_size == 4, "pillow-heif writes four bytes"
    at, count = 8, struct.unpack_from(">H", iloc, 6)[0]
    for _ in range(count):
        method = struct.unpack_from(">H", iloc, at + 2)[0] & 15 if version else 0
        at += (4 if version else 2) + 2 + base_size
        (extents,) = struct.unpack_from(">H", iloc, at)
        at += 2
        for _ in range(extents):
            at += index_size if version else 0
            if method == 0:
                struct.pack_into(">I", out, at, struct.unpack_from(">I", iloc, at)[0] + shift)
            at += offset_size + length_size
    return bytes(out)


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(data)
    return path
