"""From files to files: refocused photos (depth of photos: `pipeline`; videos: `clip_pipeline`)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cyclopean import __version__
from cyclopean.defocus.edges import matted, refined
from cyclopean.defocus.filters import THIN_LENS
from cyclopean.defocus.focus import Sharp, fill_unknown, wrap_panorama
from cyclopean.defocus.lens import FOCUS_RANGE_ALONE, Lens, Point, focus_pixel, optics_of
from cyclopean.defocus.live import write_page
from cyclopean.defocus.matte import matte_for
from cyclopean.defocus.refocus import along_the_axis, refocus, warn_of_distance
from cyclopean.defocus.subject import coherent
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, size_of
from cyclopean.inference.metric_calibration import FARTHEST, DistanceRange, Metres
from cyclopean.inference.panorama_detection import padding
from cyclopean.inference.photo_pipeline import (
    EmbeddedUse,
    Written,
    as_predicted,
    in_metres,
    model_json,
    own_depth,
    with_camera,
)
from cyclopean.inference.predictor import Predictor
from cyclopean.inference.subject import with_subject
from cyclopean.io.decoding import MOST_MEGAPIXELS
from cyclopean.io.depthmap import DepthMap, depth_size, is_turned, read_depth, value_range
from cyclopean.io.files import appearing, file_hash
from cyclopean.io.image import Photo, read_photo, resize_depth, write_photo
from cyclopean.io.metadata import subject_distance
from cyclopean.io.photo_encoders import LONGEST_SIDE, USUAL, holds
from cyclopean.io.result_names import Target
from cyclopean.io.sidecar import keep_names, read_sidecar
from cyclopean.io.video import describe, still_at


@dataclass(frozen=True)
class RealLens:
    """Numbers of a real lens; what is None comes from the photo's EXIF."""

    f_number: float | None = None
    focal_mm: float | None = None
    sensor_mm: float | None = None


@dataclass(frozen=True)
class PictureFormat:
    """The suffix of a picture to write, and its bits per channel (None: as the photo has them)."""

    suffix: str
    bits: int | None = None


@dataclass(frozen=True)
class RefocusOptions:
    """Options of refocusing a photo, and of reading the photo and its depth.

    `at` is in pixels, or in fractions when both are below 1. `refine` is "on", "off", or "auto": draw edges of
    predicted and of stretched depth to those of the photo. `known` as in `DepthOptions`. `matte` is a mask, a model's
    folder or a Hub repository; without one, with `subject`, it is the thing at `at`. A thin lens shows the subject
    sharp as a whole, but with `point_only` what is as far away as the point. `resize_depth` stretches a depth file of
    another size. `formats` are the pictures to write; the first also names the sidecar; without any, `usual_format`.
    `focus_range` (nearest, farthest) in metres is what should be sharp, instead of `at` and `distance`. `viewer` adds
    one HTML file. `frame`: the source is a clip, and the photo its frame after that many seconds. `mend` corrects the
    depth, refined and with its subject. `embedded` as in `DepthOptions`, where no depth file is given.
    """

    at: Point | None = None
    distance: float | None = None
    lens: Lens = field(default_factory=Lens)
    real_lens: RealLens | None = None
    method: str = THIN_LENS
    strength: float = 1.0
    bins: str = "smooth"
    profile: Metres | None = None
    refine: str = "auto"
    matte: str | None = None
    subject: bool = True
    point_only: bool = False
    resize_depth: bool = False
    formats: tuple[PictureFormat, ...] = ()
    camera: str = "auto"
    known: Path | float | None = None
    max_megapixels: float = MOST_MEGAPIXELS
    focus_range: tuple[float, float] | None = None
    viewer: bool = False
    frame: float | None = None
    mend: Callable[[DepthMap], DepthMap] = as_predicted
    embedded: EmbeddedUse = "ignore"


def refocus_photo(
    source: Path,
    target: Target,
    depth_from: Path | Callable[[Photo], Predictor],
    options: RefocusOptions,
    record: Mapping[str, object],
) -> Written:
    """Write a photo refocused: STEM_defocus in each format, and STEM_defocus.json; with a viewer STEM_defocus.html.

    `depth_from` is a depth file, or returns the predictor for the photo, such as `Models.for_photo`. `record` are the
    settings that the sidecar keeps. Raises InputError for a wrong photo or wrong options before depth is predicted.
    """
    photo, reason = with_camera(_photo_of(source, options), options.camera, options.known)
    notes = [*photo.notes, *([reason] if reason else [])]
    formats, remarks = _formats_for(photo, options)
    notes += remarks
    pictures = [f"_defocus{form.suffix}" for form in formats]
    target, numbered = target.free(source, [*pictures, *(["_defocus.html"] if options.viewer else []), "_defocus.json"])
    notes += numbered
    pixel = None if options.at is None else focus_pixel(options.at, photo.size)
    lens = options.lens if options.real_lens is None else _with_optics(options.lens, options.real_lens, photo)
    matte = None if options.matte is None else matte_for(options.matte, photo, pixel)
    depth, remarks = depth_of(
        source, photo, depth_from,
        embedded=options.embedded, resize=options.resize_depth, max_megapixels=options.max_megapixels,
    )  # fmt: skip
    notes += remarks
    profile = options.profile
    if profile is None and depth.unit != "m" and lens.optics is not None and options.distance is None:
        profile, assumption = _assumed(photo, depth, pixel)
        notes.append(assumption)
    depth, doubts = in_metres(depth, profile, photo)
    meaning = {"kind": depth.kind, "unit": depth.unit, "ambiguity": depth.ambiguity, "notes": dict(depth.notes)}
    notes += doubts
    soft = not isinstance(depth_from, Path) or options.resize_depth or depth.model is not None
    if options.refine == "on" or (options.refine == "auto" and soft):
        depth = refined(depth, photo.image, photo.camera)
    depth, sharp = _of_subject(photo, along_the_axis(photo, depth), matte, pixel, options)
    distance = options.distance
    if options.focus_range is not None:
        if depth.unit != "m":
            raise InputError(FOCUS_RANGE_ALONE)
        sharp = Sharp(1 / options.focus_range[1], 1 / options.focus_range[0])
        distance = 1 / sharp.middle
    if distance is not None and pixel is None:
        warn_of_distance(depth, distance)
    render = partial(
        refocus, method=options.method, lens=lens, distance=distance, sharp=sharp,
        strength=options.strength, bins=options.bins,
    )  # fmt: skip
    if isinstance(photo.camera, Equirectangular) and bool((black := padding(photo.image)).any()):
        # Neither the black of padding nor what is beside it spreads over the border.
        planes = [fill_unknown(plane, ~black[0, 0]) for plane in photo.image[0]]
        result = wrap_panorama(render, replace(photo, image=torch.from_numpy(np.stack(planes))[None]), depth, pixel)
        result = replace(result, image=torch.where(black, photo.image, result.image))
    else:
        result = wrap_panorama(render, photo, depth, pixel)
    names = [target.path(ending).name for ending in pictures]
    pages = [target.path("_defocus.html").name] if options.viewer else []
    with appearing(target.folder) as folder:
        for name, form in zip(names, formats, strict=True):
            write_photo(folder / name, result if form.bits is None else replace(result, bits=form.bits))
        for name in pages:
            write_page(folder / name, photo, depth, lens, at=pixel, distance=distance, sharp=sharp)
        content = {
            "format": "cyclopean-refocus", "version": 1, "cyclopean": __version__, "source": source.name, "at": pixel,
            **record, "model": model_json(depth.model), "depth_map": meaning, "files": [*names, *pages],
        }  # fmt: skip
        side = (folder / names[0]).with_suffix(".json")
        side.write_text(json.dumps(content, indent=2) + "\n")
        keep_names(folder, target.folder)
        return Written(tuple(target.folder / name for name in (*names, *pages, side.name)), tuple(notes))


def usual_format(photo: Photo) -> PictureFormat:
    """Return the format of a result where none is chosen: a JPEG's is a JPEG, of the same suffix, any other's a PNG."""
    suffix = Path(photo.name).suffix
    if photo.format != "JPEG":
        return PictureFormat(".png")
    return PictureFormat(suffix if suffix.lower() in (".jpg", ".jpeg", ".jpe", ".jfif") else ".jpg")


def _formats_for(photo: Photo, options: RefocusOptions) -> tuple[tuple[PictureFormat, ...], list[str]]:
    """Return the formats to write, PNG in the place of those that do not hold as many pixels, and notes on these.

    Raises InputError for a format that is not written.
    """
    formats = options.formats or (usual_format(photo),)
    if any(form.suffix.lower() not in USUAL for form in formats):
        raise InputError(
            f"{photo.name}, a {photo.format}, cannot be saved in the format of its name; leave --save same out, or "
            f"rename it if its name is wrong ({', '.join(USUAL)})."
        )
    fitting: dict[str, PictureFormat] = {}
    for form in formats:
        held = form if holds(form.suffix, photo.size) else replace(form, suffix=".png")
        fitting.setdefault(held.suffix, held)
    notes = [too_large(photo.name, form.suffix, photo.size) for form in formats if not holds(form.suffix, photo.size)]
    if options.viewer and not holds(".jpg", photo.size):
        notes.append(f"{photo.name}: its page shows it shrunk to {LONGEST_SIDE['.jpg']} pixels, the most of a JPEG.")
    return tuple(fitting.values()), notes


def too_large(name: str, suffix: str, size: tuple[int, int]) -> str:
    """Return a sentence on a result of `size` (height, width) that is a PNG, since `suffix` does not hold it."""
    return (
        f"{name}: the result has {size[1]}x{size[0]} pixels and a {suffix} at most {LONGEST_SIDE[suffix.lower()]} on a "
        "side, so it is a .png."
    )


def _of_subject(
    photo: Photo, depth: DepthMap, matte: Tensor | None, pixel: tuple[int, int] | None, options: RefocusOptions
) -> tuple[DepthMap, Sharp | None]:
    """Return depth in which the subject (`matte`, or what is at `pixel`) is one surface, mended, and what of it is
    sharp.
    """
    thin, sharp = options.method == THIN_LENS, None
    if matte is not None:
        depth, sharp = coherent(depth, matte) if thin else (matted(depth, matte), None)
    elif options.subject and options.focus_range is None and thin and pixel is not None:
        depth, sharp = with_subject(photo, depth, pixel)
    return options.mend(depth), None if options.point_only or pixel is None else sharp


def _with_optics(lens: Lens, numbers: RealLens, photo: Photo) -> Lens:
    """Return `lens` with the optics of a real one, as far as given, else by the photo's EXIF."""
    if isinstance(photo.camera, Equirectangular):
        raise InputError(f"{photo.name} is a panorama, which has no focal length; give --amount.")
    h, w = photo.size
    focal = None if photo.camera is None else float(photo.camera.focal[0, 0]) * w / max(h, w)
    return replace(lens, optics=optics_of(photo.exif, focal, **asdict(numbers)))


def _photo_of(source: Path, options: RefocusOptions) -> Photo:
    """Return the photo in a file, or the frame of a clip."""
    if options.frame is None:
        return read_photo(source, options.max_megapixels)
    still = still_at(source, options.frame, options.max_megapixels)
    notes = [*describe(source, options.max_megapixels).remarks]
    notes.append(f"{source.name}: the frame at {still.seconds:.2f} s is taken as a photo.")
    photo = Photo(still.square, name=source.name)
    if still.aspect != 1:
        (h, w), (height, width) = size_of(still.image), photo.size
        notes.append(
            f"{source.name}: its pixels are not square; the frame of {w}x{h} is made {width}x{height}, as it is shown."
        )
    return replace(photo, notes=tuple(notes))


def _assumed(photo: Photo, depth: DepthMap, pixel: tuple[int, int] | None) -> tuple[DistanceRange, str]:
    """Return the distances that a photo is taken to span where a lens needs metres and nothing gives them; a note."""
    far, near = value_range(depth.inverse_depth)
    subject, known = subject_distance(photo.exif), DistanceRange()
    if subject is not None and pixel is not None and near > far:
        part = (float(depth.inverse_depth[0, 0, pixel[1], pixel[0]]) - far) / (near - far)
        known = DistanceRange(subject * min(max(part, 1 / FARTHEST), 1.0))
    by = "" if known == DistanceRange() else f", which puts the point {subject:g} m away, as its metadata say"
    return known, (
        f"{photo.name}: depth is relative, and an f-number needs metres. What is nearest is taken as "
        f"{known.nearest:.3g} m away, what is farthest as infinitely far{by}; --nearest and --farthest say it better."
    )


def depth_of(
    source: Path,
    photo: Photo,
    depth_from: Path | Callable[[Photo], Predictor],
    *,
    embedded: EmbeddedUse,
    resize: bool,
    max_megapixels: float,
) -> tuple[DepthMap, list[str]]:
    """Return the depth of the photo at `source`, out of a file, out of its own file, or predicted; and notes."""
    if isinstance(depth_from, Path):
        return _depth_in_file(depth_from, source, photo, resize=resize, max_megapixels=max_megapixels)
    depth, remarks = own_depth(source, photo, embedded, max_megapixels)
    return depth_from(photo)(photo) if depth is None else depth, remarks


def _depth_in_file(
    path: Path, source: Path, photo: Photo, *, resize: bool, max_megapixels: float
) -> tuple[DepthMap, list[str]]:
    """Read the depth of the photo at `source`; one of another size is stretched if its sidecar names the photo's, or on
    request.

    Also returns a note if the sidecar names another picture, or the photo as it was before it was changed.
    """
    size, sidecar = depth_size(path), read_sidecar(path)  # before memory is taken for the numbers
    stretch = resize or (sidecar is not None and sidecar.source_size == photo.size)
    if size != photo.size and not stretch:
        (h, w), (height, width) = size, photo.size
        turned = is_turned(size, photo.size)
        remedy = "is it turned by 90 degrees? Turn it as the photo is" if turned else ""
        raise InputError(
            f"{path} is {w}x{h} but {photo.name} is {width}x{height}; "
            f"{remedy or 'give the depth of this photo, or --resize-depth'}."
        )
    depth = read_depth(path, max_megapixels)
    depth = depth if size == photo.size else resize_depth(depth, photo.size)
    other = sidecar.source if sidecar is not None else None
    before = sidecar.source_hash if sidecar is not None and other == photo.name else None
    if before is not None and before != file_hash(source):
        return depth, [
            f"{photo.name} was changed since {path} was made from it (its sidecar has the hash of another file); "
            "predict again if the picture itself was changed."
        ]
    if other is None or Path(other).stem == Path(photo.name).stem:
        return depth, []
    return depth, [f"by its sidecar, {path} is the depth of {other}, not of {photo.name}; check that they match."]
