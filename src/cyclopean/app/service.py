"""The service behind the page, without any browser: previews of depth and focus, and results at full size."""

import io
import sys
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from PIL import Image

from cyclopean.app.coordinates import fraction, pixel, shown_size
from cyclopean.app.mending import Stroke, mended
from cyclopean.defocus.edges import refined
from cyclopean.defocus.filters import THIN_LENS
from cyclopean.defocus.focus import Focusable, Sharp, fill_unknown, wrap_panorama
from cyclopean.defocus.lens import FULL_FRAME, NORMAL, Lens, depth_range, optics_of, parse_shape
from cyclopean.defocus.live import depth_png
from cyclopean.defocus.refocus import focusable, refocus
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, size_of
from cyclopean.inference.metric_calibration import CameraProfile, TwoDistances
from cyclopean.inference.panorama_detection import resolve_camera
from cyclopean.inference.photo_pipeline import DepthOptions, EmbeddedUse, own_depth, predict_photo
from cyclopean.inference.predictor import Predictor
from cyclopean.inference.refocus_pipeline import PictureFormat, RefocusOptions, refocus_photo
from cyclopean.inference.subject import PanoramaSelector, SubjectSelector, selector
from cyclopean.io.depthmap import DepthMap, colourise, value_range
from cyclopean.io.image import Photo, read_photo, resize, resize_depth, size_within
from cyclopean.io.photo_encoders import LONGEST_SIDE
from cyclopean.io.result_names import Target
from cyclopean.sample import OneImage

LIVE = 400_000  # pixels of the depth that a browser refocuses by
GLANCE = 120_000  # pixels of what is shown while the pointer rests
QUALITY = 90

Fraction = tuple[float, float]

# The page's names of file kinds -> suffix and bits (None: those of the photo)
FORMATS = {
    "PNG": (".png", 8),
    "Same as the photo": (None, None),
    "JPEG": (".jpg", 8),
    "PNG, 16 bits": (".png", 16),
    "TIFF, 16 bits": (".tif", 16),
    "Page to click in (HTML)": (".html", None),
}


@dataclass(frozen=True)
class RefocusSettings:
    """Settings of the blur, from the page's controls."""

    amount: float = 1.0
    shape: str = "disc"
    range: float = 0.0
    highlights: float = 0.0
    method: str = THIN_LENS
    subject: bool = True
    """Whether the thing at the point is sharp as a whole, unless a `range` says what is."""

    @property
    def lens(self) -> Lens:
        """Lens with these settings. Raises InputError for those that no lens has."""
        return Lens(self.amount, None, parse_shape(self.shape), self.range, highlights=self.highlights)

    @property
    def strength(self) -> float:
        """Return the strength of the report's methods; 1 for the thin lens, whose amount is the lens's own."""
        return 1.0 if self.method == THIN_LENS else self.amount


@dataclass(frozen=True)
class FocusRequest:
    """A point to focus on, in fractions of width and height, the settings of the blur, and how the depth is mended."""

    at: Fraction
    settings: RefocusSettings
    strokes: tuple[Stroke, ...] = ()


@dataclass(frozen=True)
class Preview:
    """A photo at the size of the screen with its depth, how large the photo itself is, and whether its file held the
    depth."""

    photo: Photo
    depth: DepthMap
    full: tuple[int, int]
    embedded: bool = False
    # The last one of each, which the next request of a page often needs again.
    _kept: dict[bool, tuple[Lens, DepthMap, Focusable[Photo]]] = field(default_factory=dict, init=False, compare=False)
    _kept_scene: dict[tuple[tuple[int, int] | None, tuple[Stroke, ...]], tuple[DepthMap, Sharp | None]] = field(
        default_factory=dict, init=False, compare=False
    )

    @cached_property
    def small(self) -> "Preview":
        """Same picture, smaller still: quick enough to follow the pointer."""
        size = shown_size(self.photo.size, GLANCE)
        image = resize(self.photo.image, size)
        return Preview(replace(self.photo, image=image), resize_depth(self.depth, size), self.full)

    def focused(self, request: FocusRequest) -> Photo:
        """Return the preview focused as requested; a panorama over its seam, too."""
        depth, sharp = self.scene(request)
        return wrap_panorama(partial(self._once, request, sharp), self.photo, depth, pixel(request.at, self.photo.size))

    def scene(self, request: FocusRequest) -> tuple[DepthMap, Sharp | None]:
        """Return the depth with the subject as one surface and strokes on it, and the depths that show all of the
        subject sharp; None: what is sharp is as far away as the point.

        Kept from the last time if neither the subject nor the strokes have changed.
        """
        settings = request.settings
        selects = settings.subject and settings.method == THIN_LENS
        kept, key = self._kept_scene, (pixel(request.at, self.photo.size) if selects else None, request.strokes)
        if key not in kept:
            depth, sharp = (self.depth, None) if key[0] is None else self._selector.surface(key[0])
            kept.clear()
            kept[key] = mended(depth, request.strokes), sharp
        depth, sharp = kept[key]
        return depth, None if settings.range > 0 else sharp

    def _once(
        self, request: FocusRequest, sharp: Sharp | None, photo: Photo, depth: DepthMap, at: tuple[int, int]
    ) -> Photo:
        settings = request.settings
        if settings.method != THIN_LENS:
            return refocus(photo, depth, at, method=settings.method, lens=settings.lens, strength=settings.strength)
        ready = self._ready(settings.lens, photo, depth)
        if sharp is None or not ready.span:
            return ready.at(at)
        part = min(1.0, (sharp.near - sharp.far) / ready.span)
        return self._ready(replace(settings.lens, range=part), photo, depth).focused(sharp.middle)

    def _ready(self, lens: Lens, photo: Photo, depth: DepthMap) -> Focusable[Photo]:
        """Return what does not depend on the focus, kept from the last time if lens and depth are the same.

        `photo` is the preview's or, of a panorama, that one half a turn further.
        """
        kept, ahead = self._kept, photo is self.photo
        if ahead not in kept or kept[ahead][0] != lens or (ahead and kept[ahead][1] is not depth):
            kept[ahead] = lens, depth, focusable(photo, depth, lens)
        return kept[ahead][2]

    @cached_property
    def _selector(self) -> SubjectSelector | PanoramaSelector:
        return selector(self.photo, self.depth)


@dataclass(frozen=True)
class Service:
    """The predictor, how large a photo may be, and the use of depth that a photo's file has (`own_depth`)."""

    predictor: Predictor
    megapixels: float = 60.0
    embedded: EmbeddedUse = "prefer"

    def read(self, path: Path, camera: str = "auto") -> Photo:
        """Read the photo at `path` with its camera, one of `CAMERAS`."""
        return resolve_camera(read_photo(path, self.megapixels), camera)[0]

    def opened(self, path: Path, camera: str = "auto") -> Preview:
        """Return the photo at `path` and its depth, at the size of the screen. Raises as `read_photo` does."""
        photo = self.read(path, camera)
        size = shown_size(photo.size)
        own, remarks = own_depth(path, photo, self.embedded, self.megapixels)
        depth = resize_depth(self.predictor(photo) if own is None else own, size)
        small = replace(photo, image=resize(photo.image, size), notes=(*photo.notes, *remarks))
        return Preview(small, refined(depth, small.image), photo.size, embedded=own is not None)


def jpeg(image: OneImage) -> bytes:
    """Return `image` as a JPEG for the browser, no larger than one holds."""
    image = resize(image, size_within(size_of(image), sys.maxsize, longest=LONGEST_SIDE[".jpg"]))
    array = image[0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).contiguous().numpy()
    file = io.BytesIO()
    Image.fromarray(array).save(file, "JPEG", quality=QUALITY, subsampling=0)
    return file.getvalue()


def live_scene(depth: DepthMap, sharp: Sharp | None = None) -> tuple[bytes, dict[str, float]]:
    """Return depth as a file for `live.js`, a grey PNG of 16 bits, and what the page must know about it.

    That is the range that amounts refer to, as a part of the file's range, and of a subject its focus in that range
    and, as a part of what amounts refer to, the range that is sharp.
    """
    plane = fill_unknown(depth.inverse_depth[0, 0], depth.valid[0, 0])
    file, low, high = depth_png(plane, shown_size(depth.size, LIVE))
    span, reference = (high - low) or 1.0, depth_range(plane)
    facts = {"whole": reference / span}
    if sharp is not None and reference > 0:
        facts |= {"focus": (sharp.middle - low) / span, "range": min(1.0, (sharp.near - sharp.far) / reference)}
    return file, facts


def lens_of(photo: Photo) -> dict[str, float | None]:
    """Return the f-number with which a photo was taken, and its focal length as that of a full-frame camera, in mm;
    None and 50 where its metadata lack them.
    """
    h, w = photo.size
    camera = photo.camera
    lengths = float(camera.focal[0, 0]) * w / max(h, w) if isinstance(camera, Pinhole) else NORMAL / FULL_FRAME
    try:
        f_number = optics_of(photo.exif, None).f_number
    except InputError:
        f_number = None
    return {"f_number": f_number, "focal": lengths * FULL_FRAME}


def coloured(depth: DepthMap) -> OneImage:
    """Return depth in false colours: bright is near."""
    return colourise(depth.inverse_depth, *value_range(depth.inverse_depth))


def save_depth(
    service: Service,
    path: Path,
    folder: Path,
    profile: CameraProfile | TwoDistances | None = None,
    *,
    camera: str = "auto",
    strokes: tuple[Stroke, ...] = (),
) -> list[Path]:
    """Write what `cyclopean predict` writes for the photo at `path`, at its full size; in metres with a `profile`.

    `camera` is one of `CAMERAS`; `strokes` mend the depth.
    """
    mend = partial(mended, strokes=strokes)
    options = DepthOptions(
        profile=profile, camera=camera, max_megapixels=service.megapixels, mend=mend, embedded=service.embedded
    )
    target = Target(folder, path.stem, overwrite=True)
    paths = predict_photo(path, target, lambda _: service.predictor, options).paths
    return sorted(paths, key=lambda path: (".png", ".npy", ".json").index(path.suffix))


def save_refocused(
    service: Service, path: Path, request: FocusRequest, form: PictureFormat, folder: Path
) -> list[Path]:
    """Write what `cyclopean refocus` writes for the photo at `path`: the picture at full size, and its sidecar.

    With the suffix .html, first a page in which anybody refocuses the photo, and the picture in its usual format.
    """
    settings, page = request.settings, form.suffix == ".html"
    if page and settings.method != THIN_LENS:
        raise InputError(f"a page refocuses by the thin lens, not by {settings.method}; choose the lens, or a picture.")
    options = RefocusOptions(
        fraction(request.at), None, settings.lens, None, settings.method, settings.strength,
        formats=() if page else (form,), viewer=page,
        subject=settings.subject, point_only=settings.range > 0,
        max_megapixels=service.megapixels, mend=partial(mended, strokes=request.strokes), embedded=service.embedded,
    )  # fmt: skip
    target = Target(folder, path.stem, overwrite=True)
    record = asdict(settings) | ({"strokes": [asdict(stroke) for stroke in request.strokes]} if request.strokes else {})
    paths = refocus_photo(path, target, lambda _: service.predictor, options, record).paths
    return sorted(paths, key=lambda path: path.suffix != ".html")


def save_upright(service: Service, path: Path, folder: Path) -> Path:
    """Write the photo at `path` as browsers take it: upright, a JPEG at full size."""
    folder.mkdir(exist_ok=True)
    there = folder / f"{path.stem}.jpg"
    there.write_bytes(jpeg(service.read(path).image))
    return there


def picture_format(name: str, photo: Path) -> PictureFormat:
    """Return the format that the page calls `name`, one of `FORMATS`, for the photo at a path."""
    if name not in FORMATS:
        raise InputError(f"{name!r} is not a kind of file; choose one of {', '.join(FORMATS)}.")
    suffix, bits = FORMATS[name]
    return PictureFormat(suffix or photo.suffix, bits)
