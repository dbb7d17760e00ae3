"""The live picture: a photo with its depth, refocused in a browser by one WebGL 2 module, `live.js`.

The app serves the module; `write_page` puts it with a photo into one HTML file: no network, no other file.
"""

import base64
import hashlib
import html
import json
import re
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from cyclopean.defocus import lens as lenses
from cyclopean.defocus.focus import Sharp
from cyclopean.defocus.lens import Lens, Point, focus_pixel
from cyclopean.defocus.refocus import focus_of, focusable
from cyclopean.geometry import Equirectangular
from cyclopean.io.depthmap import DepthMap
from cyclopean.io.files import printable
from cyclopean.io.image import TEXTURE, Photo, jpeg, size_within

Plane = Float[np.ndarray, "h w"]

HERE = Path(__file__).parent
MODULE = HERE / "live.js"
WHITE = 65535
BEYOND = 0.5  # of the range of inverse depth: what lies farther outside it is stored at that distance
FINEST = 400_000  # pixels of the depth in a page
BITS = (10, 9, 8)
SMALLEST = 20_000  # pixels
ROOM = 100_000  # bytes of the depth's file, beside a tenth of the photo's: the page stays below 1.5 photos and 200 kB


def depth_png(inverse_depth: Plane, size: tuple[int, int], bits: int = 16) -> tuple[bytes, float, float]:
    """Return a grey PNG of 16 bits at `size` (height, width), and the inverse depths of its 0 and its 65535.

    Steps stay steps: the nearest pixel is taken. Of the 16 bits, `bits` differ, so that a file may be small.
    """
    low, high = (float(value) for value in np.percentile(inverse_depth, (1, 99)))
    room = BEYOND * lenses.depth_range(inverse_depth)
    low, high = max(low - room, float(inverse_depth.min())), min(high + room, float(inverse_depth.max()))
    small = cv2.resize(inverse_depth, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)
    steps = np.rint(np.clip((small - low) / ((high - low) or 1.0), 0, 1) * (2**bits - 1))
    numbers = np.rint(steps * (WHITE / (2**bits - 1))).astype(np.uint16)
    _, file = cv2.imencode(".png", numbers, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return file.tobytes(), low, high


def write_page(
    path: Path,
    photo: Photo,
    depth: DepthMap,
    lens: Lens,
    *,
    at: Point | None = None,
    distance: float | None = None,
    sharp: Sharp | None = None,
) -> None:
    """Write `photo` with `depth` as a page that refocuses it where one clicks, and opens as `refocus` renders it with
    the same arguments by the thin lens.

    The photo is a JPEG without metadata, at full size as far as a JPEG holds it; the depth takes at most `ROOM` bytes
    and a tenth of the JPEG.
    Raises InputError as `refocus` does.
    """
    ready = focusable(photo, depth, lens)
    focus, unit = focus_of(ready, depth, at, distance)
    plane, whole, part = ready.inverse_depth, ready.span, lens.range
    if sharp is not None and whole > 0:
        focus, part = sharp.middle, min(1.0, (sharp.near - sharp.far) / whole)
    picture = jpeg(photo.image)
    file, low, high = _within(plane, ROOM + len(picture) // 10)
    span = (high - low) or 1.0
    amount = lens.amount
    if lens.optics is not None and unit is not None:
        scale = lens.optics.scale(photo.size) * lens.optics.magnification(focus / unit) / unit
        amount = scale / (lenses.amount_scale(1.0, photo.size, whole) or 1.0)
    x, y = (photo.size[1] / 2, photo.size[0] / 2) if at is None else focus_pixel(at, photo.size)
    shape = lens.shape
    scene = {
        "size": [photo.size[1], photo.size[0]],
        "meta": {
            "whole": whole / span or 1.0,
            "camera": "equirectangular" if isinstance(photo.camera or depth.camera, Equirectangular) else "pinhole",
        },
        "start": {
            "point": [(x + 0.5) / photo.size[1], (y + 0.5) / photo.size[0]], "focus": (focus - low) / span,
            "amount": amount, "range": part, "before": lens.before, "behind": lens.behind,
            "highlights": lens.highlights,
            "shape": {"kind": shape.kind, "blades": shape.blades, "rotation": shape.rotation},
        },
        "depth": base64.b64encode(file).decode("ascii"),
    }  # fmt: skip
    style = (HERE / "page.css").read_text(encoding="utf-8")
    script = MODULE.read_text(encoding="utf-8").replace("\nexport ", "\n") + (HERE / "page.js").read_text("utf-8")
    policy = f"default-src 'none'; img-src data:; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'"
    contents = {
        "policy": policy + "; form-action 'none'",
        "title": html.escape(printable(photo.name)),
        "style": style,
        "photo": "data:image/jpeg;base64," + base64.b64encode(picture).decode("ascii"),
        "scene": json.dumps(scene, allow_nan=False),
        "script": script,
    }
    template = (HERE / "page.html").read_text(encoding="utf-8")
    # In one pass, so that no content is mistaken for a placeholder.
    page = re.sub(r"\{\{(\w+)\}\}", lambda mark: contents[mark[1]], template)
    path.write_text(page, encoding="utf-8", newline="\n")


def _within(plane: Plane, room: int) -> tuple[bytes, float, float]:
    """Return the finest depth file of at most `room` bytes, as `depth_png` does."""
    pixels = FINEST
    while True:
        size = size_within((plane.shape[0], plane.shape[1]), pixels, longest=TEXTURE)
        for bits in BITS:
            file, low, high = depth_png(plane, size, bits)
            if len(file) <= room or (pixels <= SMALLEST and bits == BITS[-1]):
                return file, low, high
        pixels = pixels * 2 // 3


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
