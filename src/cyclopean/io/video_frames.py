"""Frames of clips: upright, cropped and in sRGB; and pictures converted back to frames."""

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.io import yuv
from cyclopean.io.colour import by_numbers, to_srgb
from cyclopean.io.yuv import FULL, LIMITED

Frame = Float[Tensor, "1 3 h w"]
Size = tuple[int, int]
Crop = tuple[int, int, int, int]  # pixels at the left, right, top and bottom

# Numbers of colours in ITU-T H.273, which FFmpeg uses too.
RGB, BT709, UNKNOWN, SRGB = 0, 1, 2, 13
MATRICES = {1, 4, 5, 6, 7, 9}  # between YUV and RGB that swscale supports
HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}
PROJECTIONS = {  # FFmpeg's numbers of those of a sphere
    **{0: "equirectangular", 1: "cube map", 2: "part of an equirectangular one", 3: "half of a sphere"},
    **{5: "fisheye"},
}
MOST_STRETCHED = 4  # pixels of another shape than 1:4 to 4:1 are taken for square: such a tag is a mistake
PACKED = {1, 2, 4, 5, 6, 7}  # FFmpeg's numbers of two views in one frame: side by side, above each other, interleaved


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to turn coded pictures upright: exchange rows and columns first, then reverse each."""

    transposed: bool = False
    rows_reversed: bool = False
    columns_reversed: bool = False

    @property
    def matrix(self) -> tuple[int, ...]:
        """Nine numbers of a display matrix, as in MP4 and FFmpeg."""
        x, y = (-1 if reverse else 1 for reverse in (self.columns_reversed, self.rows_reversed))
        a, b, c, d = (0, y, x, 0) if self.transposed else (x, 0, 0, y)
        return a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30

    def upright(self, array: np.ndarray) -> np.ndarray:
        """Return a coded picture (rows, columns, ...) upright."""
        array = array.swapaxes(0, 1) if self.transposed else array
        return array[:: -1 if self.rows_reversed else 1, :: -1 if self.columns_reversed else 1]

    def coded(self, array: np.ndarray) -> np.ndarray:
        """Return an upright picture as it is coded."""
        array = array[:: -1 if self.rows_reversed else 1, :: -1 if self.columns_reversed else 1]
        return array.swapaxes(0, 1) if self.transposed else array

    def sides(self, size: Size) -> Size:
        """Return (height, width) of the other side of `upright` and `coded`."""
        return size[::-1] if self.transposed else size


@dataclass(frozen=True)
class Shape:
    """How a coded frame is shown: its orientation, and the width of a coded pixel over its height."""

    orientation: Orientation = Orientation()
    aspect: Fraction = Fraction(1)


def orientation_of(frame: Any) -> Orientation:
    """Return the orientation of a frame that `shaped` has noted, else that of its own display matrix."""
    return frame.opaque.orientation if isinstance(frame.opaque, Shape) else _own_orientation(frame)


def pixel_aspect(frame: Any) -> Fraction:
    """Return the width of a pixel over its height, upright, of a frame that `shaped` has noted."""
    aspect = frame.opaque.aspect
    return 1 / aspect if orientation_of(frame).transposed else aspect


def shaped(frames: Iterable[Any], stream: Any, decoder: Any) -> Iterator[Any]:
    """Yield the frames of a decoder with their shapes noted.

    An orientation lasts until a frame has another one, or is a key frame: an H.264 film without a container's matrix
    has it in messages beside its key frames, and FFmpeg attaches it to these alone. The shape of pixels is the
    container's where it differs from the first that is coded, else as it is coded, which may change inside a film, as
    between the parts of a broadcast. PyAV has it of the decoder alone, which may be some frames ahead.
    """
    orientation = Orientation()
    stated, first = stream.sample_aspect_ratio, stream.codec_context.sample_aspect_ratio
    for frame in frames:
        own = _own_orientation(frame)
        if frame.key_frame or own != Orientation():
            orientation = own
        aspect = Fraction((decoder.sample_aspect_ratio if stated == first else None) or stated or 1)
        likely = 1 / MOST_STRETCHED <= aspect <= MOST_STRETCHED
        frame.opaque = Shape(orientation, aspect if likely else Fraction(1))
        yield frame


def _own_orientation(frame: Any) -> Orientation:
    """Return the one of the eight orientations that is nearest to the display matrix of a frame."""
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV gives none of them if one is of an unknown kind, such as EXIF
        turned = ((False, False, False), (True, True, False), (False, True, True), (True, False, True))
        return Orientation(*turned[round(frame.rotation / 90) % 4])  # quarter turns counter-clockwise
    if data is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].astype(float).tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(True, b < 0, c < 0)
    return Orientation(False, d < 0, a < 0)


def size_of(frame: Any) -> Size:
    """Return the upright (height, width) of a frame."""
    return orientation_of(frame).sides((frame.height, frame.width))


def square_size(size: Size, aspect: Fraction) -> Size:
    """Return the (height, width) at which players show a picture whose pixels have a shape: one side is stretched."""
    height, width = size
    return (height, round(width * aspect)) if aspect >= 1 else (round(height / aspect), width)


def stretched(image: Frame, size: Size) -> Float[Tensor, "1 3 h2 w2"]:
    """Return a picture stretched by a little to `size`, or back: by cubics, which lose next to nothing on the way."""
    return torch.nn.functional.interpolate(image, size, mode="bicubic", align_corners=False)


def upright(frame: Any, size: Size, hidden: Callable[[], bool]) -> Frame:
    """Return a frame as a screen shows it, in [0,1]: upright at `size`, over white, high dynamic range made SDR.

    `hidden` returns whether alpha hides the whole clip, and so is ignored; it is called for frames that alpha hides.
    """
    orientation = orientation_of(frame)
    colours, opacity = _rgb(frame, *orientation.sides(size))
    if frame.color_trc in HIGH_DYNAMIC_RANGE:
        coding = by_numbers(frame.color_primaries, frame.color_trc)
        colours = colours if coding is None else _planes(to_srgb(_pixels(colours), coding))
    if opacity is not None and (opacity.any() or not hidden()):
        colours = colours * opacity + (1 - opacity)
    return torch.from_numpy(np.ascontiguousarray(_planes(orientation.upright(_pixels(colours)))))[None]


def _rgb(frame: Any, height: int, width: int) -> tuple[Float[np.ndarray, "3 h w"], Float[np.ndarray, "h w"] | None]:
    """Return the colours of a frame of that size as it is coded, in [0,1] and by its own tags, and its opacity, if
    any."""
    kind = yuv.planar(frame)
    if kind is not None:
        planes = yuv.planes_of(frame.reformat(width=width, height=height, format=kind))
        bits = frame.format.components[0].bits
        full = frame.color_range == FULL or len(planes) == 1 or kind.startswith("yuvj")  # grey: as FFmpeg writes it
        matrix = BT709 if _untagged_hd(frame) else frame.colorspace
        opacity = planes[3] / np.float32(2**bits - 1) if len(planes) == 4 else None
        return yuv.to_rgb(planes[:3], yuv.YuvCoding(matrix, full, bits)), opacity
    array = frame.reformat(width=width, height=height, format=_packed_kind(frame)).to_ndarray()
    size, bits = 8 * array.itemsize, min(16, _bits(frame))
    white = (2**bits - 1) << max(0, size - bits)  # fewer bits become the first of 16
    values = _planes(array.astype(np.float32) / np.float32(white))
    return values[:3], values[3] if len(values) == 4 else None


def _pixels(planes: Float[np.ndarray, "c h w"]) -> Float[np.ndarray, "h w c"]:
    return np.moveaxis(planes, 0, -1)


def _planes(pixels: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, "c h w"]:
    return np.moveaxis(pixels, -1, 0)


def _packed_kind(frame: Any) -> str:
    """Return the format of RGB, with alpha where it matters, to which swscale converts a frame of RGB without loss."""
    alpha = has_alpha(frame)
    if _bits(frame) > 8:
        return "gbrap16le" if alpha else "gbrp16le"
    return "rgba" if alpha else "rgb24"


def _untagged_hd(frame: Any) -> bool:
    """Return whether a frame is of YUV without a matrix, and so large that players take it for BT.709, not BT.601."""
    return _is_yuv(frame) and frame.colorspace == UNKNOWN and (frame.width >= 1280 or frame.height > 576)


def _is_yuv(frame: Any) -> bool:
    return not (frame.format.is_rgb or frame.format.name == "pal8")


def has_alpha(frame: Any) -> bool:
    """Return whether pixels may be transparent: of pictures with a palette, whether one is."""
    if frame.format.name == "pal8":
        indices, palette = frame.planes
        rows = np.frombuffer(indices, np.uint8).reshape(-1, indices.line_size)[: frame.height, : frame.width]
        opacity = (np.frombuffer(palette, np.uint32)[:256] >> 24).astype(np.uint8)
        return bool((opacity[rows] < 255).any())
    return any(component.is_alpha for component in frame.format.components)


def _bits(frame: Any) -> int:
    return max((component.bits for component in frame.format.components), default=8)


def is_hidden(frame: Any) -> bool:
    """Return whether alpha hides the whole frame."""
    if not has_alpha(frame):
        return False
    _, opacity = _rgb(frame, frame.height, frame.width)
    return opacity is not None and not opacity.any()


@dataclass(frozen=True)
class Tags:
    """Colour tags of a file, by the numbers of ITU-T H.273, for which its pixels are written."""

    colorspace: int = UNKNOWN
    color_range: int = 0
    color_primaries: int = UNKNOWN
    color_trc: int = UNKNOWN


OF_PICTURES = Tags(BT709, LIMITED, BT709, SRGB)


def tags_like(frame: Any) -> Tags:
    """Return the tags for pictures in the place of `frame`: its own, where 8-bit YUV can have them.

    RGB becomes YUV of BT.709, and so does YUV of an unsupported matrix; high dynamic range has become sRGB.
    """
    if frame.color_trc in HIGH_DYNAMIC_RANGE:
        return OF_PICTURES
    matrix, scale = frame.colorspace, frame.color_range
    if not _is_yuv(frame) or matrix not in MATRICES | {UNKNOWN}:
        matrix, scale = BT709, LIMITED
    elif frame.format.name.startswith("yuvj"):
        scale = FULL
    matrix = BT709 if _untagged_hd(frame) else matrix
    return Tags(matrix, scale, frame.color_primaries, frame.color_trc)


def coded(picture: Frame, orientation: Orientation, tags: Tags) -> Any:
    """Return a frame of `yuv420p` for the encoder; an odd last row or column is repeated."""
    import av

    rgb = _planes(orientation.coded(_pixels(picture[0].clamp(0, 1).float().cpu().numpy())))
    h, w = rgb.shape[1:]
    rgb = np.pad(rgb, ((0, 0), (0, h % 2), (0, w % 2)), mode="edge")
    frame = av.VideoFrame(rgb.shape[2], rgb.shape[1], "yuv420p")
    planes = yuv.to_yuv420(rgb, yuv.YuvCoding(tags.colorspace, tags.color_range == FULL))
    for plane, numbers in zip(frame.planes, planes, strict=True):
        plane.update(np.pad(numbers, ((0, 0), (0, plane.line_size - numbers.shape[1]))).tobytes())
    return frame


def progressive(frames: Iterable[Any], unit: Fraction) -> Iterator[Any]:
    """Yield as many frames, at the same times in ticks of `unit`: interlaced ones as whole pictures (BWDIF).

    From the first interlaced frame on, frames are delayed by one, since the filter uses their neighbours.
    """
    graph, kind = None, None
    for frame in frames:
        layout = (frame.format.name, frame.width, frame.height)
        if graph is not None and layout != kind:
            yield from _filtered(graph, None, unit)
            graph = None
        if graph is None and frame.interlaced_frame:
            graph, kind = _graph(frame, unit, "bwdif", "mode=send_frame:deint=interlaced"), layout
        if graph is None:
            yield frame
        else:
            yield from _filtered(graph, frame, unit)
    if graph is not None:
        yield from _filtered(graph, None, unit)


def cropped(frames: Iterable[Any], crop: Crop, unit: Fraction) -> Iterator[Any]:
    """Yield frames, at the same times in ticks of `unit`, without the margins `crop`; whole if nothing is left."""
    left, right, top, bottom = crop
    graph, kind = None, None
    for frame in frames:
        height, width = frame.height - top - bottom, frame.width - left - right
        if min(height, width) < 1:
            yield frame
            continue
        layout = (frame.format.name, frame.width, frame.height)
        if layout != kind:
            graph, kind = _graph(frame, unit, "crop", f"{width}:{height}:{left}:{top}:exact=1"), layout
        yield from _filtered(graph, frame, unit)


def _graph(frame: Any, unit: Fraction, *filters: str) -> Any:
    """Return FFmpeg's graph that puts frames like `frame` through a filter, given by its name and options."""
    from av.filter import Graph

    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=unit)
    graph.link_nodes(source, graph.add(*filters), graph.add("buffersink"))
    graph.configure()
    return graph


def _filtered(graph: Any, frame: Any, unit: Fraction) -> Iterator[Any]:
    """Push a frame, or None at the end, and yield what has become ready."""
    import av

    graph.vpush(frame)
    while True:
        try:
            ready = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        if ready.pts is not None:
            ready.pts = round(ready.pts * ready.time_base / unit)
        ready.duration = round((ready.duration or 0) * ready.time_base / unit)
        ready.time_base = unit
        yield ready


def _views(frame: Any) -> Iterator[str]:
    """Yield a sentence for a frame that is marked as a sphere, and for one that holds two views."""
    try:
        marks = {data.type.name: bytes(data) for data in frame.side_data}
    except ValueError:  # PyAV gives none of them if one is of an unknown kind
        return
    way = "extract its frames and give those (docs/panoramas.md)"
    number = int.from_bytes(marks.get("SPHERICAL", b"\xff")[:4], sys.byteorder)
    if number in PROJECTIONS:
        yield (
            f"it is marked as a film all around ({PROJECTIONS[number]}), but its frames are taken for ordinary "
            f"pictures, and results are not marked: {way}."
        )
    if int.from_bytes(marks.get("STEREO3D", b"")[:4], sys.byteorder) in PACKED:
        yield f"each of its frames holds the views of two eyes, but is taken for one picture: {way}."


def remarks(frame: Any, hidden: Callable[[], bool]) -> Iterator[str]:
    """Yield a sentence for each property of a clip's pictures that is lost when they are read, by its first frame;
    `hidden` as for `upright`."""
    yield from _views(frame)
    if round(frame.rotation) % 90:
        yield f"it is rotated by {frame.rotation:.0f} degrees for display; only quarter turns are kept."
    if is_hidden(frame) and hidden():
        yield "it is fully transparent, as some programs write by mistake; its transparency is ignored."
    elif has_alpha(frame):
        yield "where it is transparent, it is laid over white."
    if frame.color_trc in HIGH_DYNAMIC_RANGE:
        name = HIGH_DYNAMIC_RANGE[frame.color_trc]
        yield f"it has a high dynamic range ({name}), converted to that of ordinary screens (white at 203 nits)."
    if frame.interlaced_frame:
        yield "it is interlaced; its frames are made whole (progressive), as many as before."
    if not (frame.format.is_rgb or frame.colorspace in MATRICES | {RGB, UNKNOWN}):
        yield f"its colours are coded in an unknown way (matrix {frame.colorspace}); they may be off."


def remarks_on_writing(frame: Any, size: Size) -> Iterator[str]:
    """Yield a sentence for each property of a clip's pictures that is lost when they are written, by its first
    frame."""
    height, width = size
    if _bits(frame) > 8 and frame.color_trc not in HIGH_DYNAMIC_RANGE:
        yield f"it has more than 8 bits per colour ({frame.format.name}); videos are written with 8."
    if height % 2 or width % 2:
        yield (
            f"it is {width}x{height} pixels, and videos are written with even sizes: its last row or column is "
            f"repeated ({width + width % 2}x{height + height % 2})."
        )
