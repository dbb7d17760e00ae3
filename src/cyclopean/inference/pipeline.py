"""From files to files: depth of photos, and refocused photos (videos: `clip_pipeline`).

The command line, the app and bulk workers call these functions. They take values, print nothing, and return the paths
of what they wrote with notes for the user. Files appear all together or not at all.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cyclopean import __version__
from cyclopean.data.video import camera_in
from cyclopean.defocus.edges import matted, refined
from cyclopean.defocus.filters import THIN_LENS
from cyclopean.defocus.focus import Sharp, fill_unknown, wrap_panorama
from cyclopean.defocus.lens import FOCUS_RANGE_ALONE, Lens, Point, focus_pixel, optics_of
from cyclopean.defocus.live import write_page
from cyclopean.defocus.refocus import refocus, warn_of_distance
from cyclopean.defocus.selection import coherent
from cyclopean.defocus.subject import matte_for
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, assumed_camera, pinhole_of_angle
from cyclopean.inference import ARRAYS, CLOUDS
from cyclopean.inference.metric_calibration import FARTHEST, CameraProfile, DistanceRange, Metres, shift_assumed
from cyclopean.inference.panorama_detection import check_panorama, padding, resolve_camera
from cyclopean.inference.predictor import Predictor, fitting_model, load
from cyclopean.inference.selection import Selector, bundled_networks
from cyclopean.io.decoding import MOST_MEGAPIXELS
from cyclopean.io.depthmap import DepthMap, colourise, depth_size, is_turned, read_depth, value_range, write_depth
from cyclopean.io.files import appearing, file_hash
from cyclopean.io.image import Photo, read_photo, resize_depth, write_photo
from cyclopean.io.metadata import subject_distance
from cyclopean.io.photo_encoders import USUAL
from cyclopean.io.scenes import mesh, point_cloud, without_flying_pixels, write_glb, write_ply
from cyclopean.io.sidecar import Maker, foreign_files, keep_names, read_sidecar
from cyclopean.io.video import still_at
from cyclopean.io.viewer import write_viewer
from cyclopean.training.models import DEFAULT, bundled

LARGEST_TILT = 10.0  # degrees, of a panorama
LARGEST_DISAGREEMENT = 0.5  # of the depth: faces of a panorama that differ by more are not aligned


@dataclass(frozen=True)
class Target:
    """Where results go: their folder, what their names begin with, and whether they may replace other files.

    Earlier results of ours for the same picture are always replaced. Where another file has the name of a result, the
    results get the next free number: photo_2_disp.png.
    """

    folder: Path
    stem: str
    overwrite: bool = False

    def free(self, source: Path, endings: Iterable[str]) -> tuple["Target", tuple[str, ...]]:
        """Return the target of the results of `source` that end in `endings`, and a note if they are numbered."""
        if self.overwrite:
            return self, ()
        endings = tuple(endings)
        taken: list[str] = []
        for number in itertools.count(1):
            stem = self.stem if number == 1 else f"{self.stem}_{number}"
            foreign = foreign_files(self.folder, (stem + ending for ending in endings), source.name)
            if not foreign:
                break
            taken = taken or foreign
        if not taken:
            return self, ()
        note = (
            f"{self.folder / taken[0]} exists and is not an earlier result for {source.name}: the results are named "
            f"{stem}_...; --overwrite replaces it."
        )
        return replace(self, stem=stem), (note,)


@dataclass(frozen=True)
class Written:
    """The files that were written, and notes for the user."""

    paths: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def as_predicted(depth: DepthMap) -> DepthMap:
    """Return depth as it is: nothing is mended by hand. Options go to other processes, which take named functions."""
    return depth


@dataclass(frozen=True)
class DepthOptions:
    """What to write of a photo beside the array, its colours and its sidecar, and how the photo is read.

    `save` are keys of `ARRAYS` and `CLOUDS`; `viewer` adds one HTML file; `uncertainty` is the number of draws (0:
    none); `profile`, a camera's or two known distances, puts depth in metres; `right` is the right picture of a stereo
    pair; `camera` is one of `CAMERAS`; `known` tells the focal length of ordinary photos, as a file with a camera or a
    field of view in degrees along the longer side, whatever their metadata say. `settings` is a hash of whatever
    changes results, for the sidecar. `mend` corrects the predicted depth.
    """

    save: tuple[str, ...] = ()
    viewer: bool = False
    uncertainty: int = 0
    profile: Metres | None = None
    right: Path | None = None
    camera: str = "auto"
    known: Path | float | None = None
    max_megapixels: float = MOST_MEGAPIXELS
    settings: str = ""
    mend: Callable[[DepthMap], DepthMap] = as_predicted


class Models:
    """The models that photos need, each loaded once, when it is first needed.

    `name` "auto" takes the bundled model for the photo's camera, or with `via_cube` the one for ordinary photos.
    `configure` is applied to each predictor after loading.
    """

    def __init__(
        self,
        name: str,
        device: str = "cpu",
        *,
        via_cube: bool = False,
        configure: Callable[[Predictor], Predictor] = lambda predictor: predictor,
    ) -> None:
        self.name, self.device, self.via_cube, self.configure = name, device, via_cube, configure
        self._loaded: dict[str, Predictor] = {}

    def check(self) -> None:
        """Raise InputError for a model that cannot be used; without a name it depends on the photo."""
        if self.name == "auto" and not self.via_cube:
            return
        if self.for_video().projection != "pinhole" and self.via_cube:
            raise InputError(f"--via-cube is for models of ordinary photos, {self.name} is for panoramas.")

    def for_photo(self, photo: Photo) -> Predictor:
        """Return the predictor for a photo. With `via_cube`, raises InputError for a photo that is not a panorama."""
        if self.via_cube:
            check_panorama(photo)
        return self.for_video() if self.via_cube or self.name != "auto" else self._load(fitting_model(photo))

    def for_video(self) -> Predictor:
        """Return the predictor for ordinary pictures."""
        return self._load(DEFAULT if self.name == "auto" else self.name)

    def has_made(self, maker: Mapping[str, object]) -> bool:
        """Return whether the model that a sidecar names is one of these, by its weights."""
        name = str(maker.get("name")) if self.name == "auto" else self.name
        if self.name == "auto" and name not in bundled():
            return False
        model = self._load(name).model
        return model is not None and model.sha256 == maker.get("sha256")

    def _load(self, name: str) -> Predictor:
        if name not in self._loaded:
            self._loaded[name] = self.configure(load(name, self.device))
        return self._loaded[name]


def predict_photo(
    source: Path, target: Target, choose: Callable[[Photo], Predictor], options: DepthOptions = DepthOptions()
) -> Written:
    """Write the depth of a photo: STEM_disp.npy, .png (colours), .json (sidecar), and what `options` add.

    `choose` returns the predictor for the photo, such as `Models.for_photo`.
    """
    photo, reason = _taken(read_photo(source, options.max_megapixels), options)
    notes = list(photo.notes)
    if isinstance(photo.camera, Equirectangular) and photo.gpano is not None and photo.gpano.tilt > LARGEST_TILT:
        notes.append(
            f"{photo.name} is tilted by {photo.gpano.tilt:.0f} degrees by its metadata (GPano pose), and models "
            "were trained on upright panoramas; level it with the camera's software for better depth."
        )
    predictor = choose(photo)
    if reason:
        name = predictor.model.name if predictor.model else predictor.method.name
        how = ", on ten faces around" if predictor.projection == "pinhole" else ""
        how += ", which was trained on rooms; outdoors --via-cube is better" if name == "panorama" else ""
        notes.append(f"{reason} Model: {name}{how}.")
    endings = ["_disp.png", "_disp.json", *((ARRAYS | CLOUDS)[name] for name in ("npy", *options.save))]
    endings += ["_disp16.json"] if "png16" in options.save else []
    endings += ["_view.html"] if options.viewer else []
    endings += ["_uncertainty.npy", "_uncertainty.png"] if options.uncertainty else []
    target, numbered = target.free(source, endings)
    notes += numbered
    depth = predictor(photo, None if options.right is None else read_photo(options.right, options.max_megapixels))
    depth, doubts = _in_metres(options.mend(depth), options.profile, photo)
    notes += doubts
    disagreement = depth.notes.get("disagreement_after", 0.0)
    if isinstance(disagreement, float) and disagreement > LARGEST_DISAGREEMENT:
        notes.append(
            f"{photo.name}: neighbouring faces of the cube disagree by {disagreement:.2f} of the depth where they "
            "overlap; do not trust this depth."
        )
    with appearing(target.folder) as folder:
        stem = folder / target.stem
        write_photo(_path(stem, "_disp.png"), colours(depth.inverse_depth))
        others: list[Path] = []
        if options.uncertainty:
            spread = predictor.uncertainty(photo, options.uncertainty) / (
                options.profile.scale if isinstance(options.profile, CameraProfile) else 1
            )
            others += [_path(stem, "_uncertainty.npy"), _path(stem, "_uncertainty.png")]
            np.save(others[0], spread[0, 0].numpy())
            write_photo(others[1], colours(spread))
        clouds = [name for name in options.save if name in CLOUDS]
        camera = depth.camera or assumed_camera(photo.size)
        if (clouds or options.viewer) and depth.camera is None:
            notes.append(f"{photo.name} has no focal length in its metadata: a field of view of 60 degrees is assumed.")
        solid = depth
        if (clouds or options.viewer) and depth.ambiguity == "affine":
            solid = shift_assumed(depth)
            notes.append(
                f"{photo.name}: this model leaves scale and shift of its depth unknown, so the shapes in 3-D are a "
                f"guess: what is farthest is taken as {FARTHEST:g} times as far as what is nearest. Two known "
                "distances make them right (--known), and so does a metric model."
            )
        for name in clouds:
            others.append(_path(stem, CLOUDS[name]))
            if name == "ply":
                write_ply(others[-1], point_cloud(without_flying_pixels(solid, camera), photo.image, camera))
            else:
                write_glb(others[-1], mesh(solid, camera), photo.image)
        if options.viewer:
            others.append(_path(stem, "_view.html"))
            write_viewer(others[-1], solid, photo.image, camera, photo.name)
        write_arrays(
            stem, depth, ("npy", *options.save), photo, [path.name for path in others],
            source_hash=file_hash(source), settings=options.settings,
        )  # fmt: skip
        keep_names(folder, target.folder)
        return Written(moved(folder, target.folder), tuple(notes))


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
    """How to refocus a photo, and how the photo and its depth are read.

    `at` is in pixels, or in fractions when both are below 1. `refine` is "on", "off", or "auto": draw edges of
    predicted and of stretched depth to those of the photo. `known` as in `DepthOptions`. `matte` is a mask, a model's
    folder or a Hub repository; without one, with `subject`, it is the thing at `at`. A thin lens shows the subject
    sharp as a whole, but with `point_only` what is as far away as the point. `resize_depth` stretches a depth file of
    another size. `formats` are the pictures to write; the first also names the sidecar. `focus_range` (nearest,
    farthest) in metres is what shall be sharp, instead of `at` and `distance`. `viewer` adds one HTML file. `frame`:
    the source is a clip, and the photo its frame after that many seconds. `mend` corrects the depth, refined and with
    its subject.
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
    formats: tuple[PictureFormat, ...] = (PictureFormat(".png"),)
    camera: str = "auto"
    known: Path | float | None = None
    max_megapixels: float = MOST_MEGAPIXELS
    focus_range: tuple[float, float] | None = None
    viewer: bool = False
    frame: float | None = None
    mend: Callable[[DepthMap], DepthMap] = as_predicted


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
    photo, reason = _taken(_photo_of(source, options), options)
    notes = [*photo.notes, *([reason] if reason else [])]
    if any(form.suffix.lower() not in USUAL for form in options.formats):
        raise InputError(
            f"{source.name}, a {photo.format}, cannot be saved in the format of its name; leave --save same out, or "
            f"rename it if its name is wrong ({', '.join(USUAL)})."
        )
    endings = [*(form.suffix for form in options.formats), *([".html"] if options.viewer else []), ".json"]
    target, numbered = target.free(source, (f"_defocus{suffix}" for suffix in endings))
    notes += numbered
    pixel = None if options.at is None else focus_pixel(options.at, photo.size)
    lens = options.lens if options.real_lens is None else _with_optics(options.lens, options.real_lens, photo)
    matte = None if options.matte is None else matte_for(options.matte, photo, pixel)
    if isinstance(depth_from, Path):
        depth, remark = _depth_in_file(depth_from, source, photo, options)
        notes += remark
    else:
        depth = depth_from(photo)(photo)
    profile = options.profile
    if profile is None and depth.unit != "m" and lens.optics is not None and options.distance is None:
        profile, assumption = _assumed(photo, depth, pixel)
        notes.append(assumption)
    depth, doubts = _in_metres(depth, profile, photo)
    notes += doubts
    soft = not isinstance(depth_from, Path) or options.resize_depth or depth.model is not None
    if options.refine == "on" or (options.refine == "auto" and soft):
        depth = refined(depth, photo.image, photo.camera)
    depth, sharp = _of_subject(photo, depth, matte, pixel, options)
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
    names = [f"{target.stem}_defocus{form.suffix}" for form in options.formats]
    pages = [f"{target.stem}_defocus.html"] if options.viewer else []
    with appearing(target.folder) as folder:
        for name, form in zip(names, options.formats, strict=True):
            write_photo(folder / name, result if form.bits is None else replace(result, bits=form.bits))
        for name in pages:
            write_page(folder / name, photo, depth, lens, at=pixel, distance=distance, sharp=sharp)
        content = {
            "format": "cyclopean-refocus", "version": 1, "cyclopean": __version__, "source": source.name, "at": pixel,
            **record, "model": model_json(depth.model), "files": [*names, *pages],
        }  # fmt: skip
        side = (folder / names[0]).with_suffix(".json")
        side.write_text(json.dumps(content, indent=2) + "\n")
        keep_names(folder, target.folder)
        return Written(tuple(target.folder / name for name in (*names, *pages, side.name)), tuple(notes))


def _of_subject(
    photo: Photo, depth: DepthMap, matte: Tensor | None, pixel: tuple[int, int] | None, options: RefocusOptions
) -> tuple[DepthMap, Sharp | None]:
    """Return depth in which the subject (`matte`, or what is at `pixel`) is one surface, mended, and what of it is
    sharp.
    """
    thin, flat = options.method == THIN_LENS, not isinstance(photo.camera, Equirectangular)
    by_itself = options.subject and options.focus_range is None and thin and flat
    if matte is None and by_itself and pixel is not None:
        matte = Selector(photo, depth, bundled_networks())([pixel])
    if matte is None or not thin:
        return options.mend(depth if matte is None else matted(depth, matte)), None
    depth, sharp = coherent(depth, matte)
    return options.mend(depth), None if options.point_only or pixel is None else sharp


def _taken(photo: Photo, options: DepthOptions | RefocusOptions) -> tuple[Photo, str | None]:
    """Return a photo with its camera, and the reason if it is a panorama (`resolve_camera`)."""
    photo, reason = resolve_camera(photo, options.camera)
    if options.known is None or isinstance(photo.camera, Equirectangular):
        return photo, reason
    known = options.known
    camera = camera_in(known) if isinstance(known, Path) else pinhole_of_angle(known, photo.size)
    return replace(photo, camera=camera), reason


def colours(values: Any) -> Photo:
    """Return a map in false colours, bright = large, as a picture."""
    return Photo(colourise(values, *value_range(values)))


def write_arrays(
    stem: Path,
    depth: DepthMap,
    save: Sequence[str],
    photo: Photo,
    others: Sequence[str] = (),
    *,
    source_hash: str | None = None,
    settings: str = "",
) -> None:
    """Write the arrays among `save`, and a sidecar that also names the colours, `others` and the `settings`."""
    paths = [_path(stem, ARRAYS[name]) for name in dict.fromkeys(save) if name in ARRAYS]
    also = (f"{stem.name}_disp.png", *others)
    write_depth(paths, depth, photo.name, photo.size, also, source_hash=source_hash, settings=settings)


def _path(stem: Path, ending: str) -> Path:
    return stem.with_name(stem.name + ending)


def _in_metres(depth: DepthMap, profile: Metres | None, photo: Photo) -> tuple[DepthMap, list[str]]:
    """Return depth in metres by `profile`, if there is one, and a note if it is another camera's."""
    if profile is None:
        return depth, []
    misfit = profile.misfit(depth) if isinstance(profile, CameraProfile) else ""
    return profile.applied(depth), [f"{photo.name}: {misfit}; its metres are likely wrong."] if misfit else []


def moved(bench: Path, folder: Path) -> tuple[Path, ...]:
    """Return the final paths of the files of a private folder."""
    return tuple(folder / name for name in sorted(path.name for path in bench.iterdir()))


def model_json(model: Maker | None) -> dict[str, str] | None:
    return None if model is None else asdict(model)


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
    note = f"{source.name}: the frame at {still.seconds:.2f} s is taken as a photo."
    return Photo(still.image, name=source.name, notes=(note,))


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


def _depth_in_file(path: Path, source: Path, photo: Photo, options: RefocusOptions) -> tuple[DepthMap, list[str]]:
    """Read the depth of the photo at `source`; one of another size is stretched if its sidecar names the photo's, or on
    request.

    Also returns a note if the sidecar names another picture, or the photo as it was before it was changed.
    """
    size, sidecar = depth_size(path), read_sidecar(path)  # before memory is taken for the numbers
    stretch = options.resize_depth or (sidecar is not None and sidecar.source_size == photo.size)
    if size != photo.size and not stretch:
        (h, w), (height, width) = size, photo.size
        turned = is_turned(size, photo.size)
        remedy = "is it turned by 90 degrees? Turn it as the photo is" if turned else ""
        raise InputError(
            f"{path} is {w}x{h} but {photo.name} is {width}x{height}; "
            f"{remedy or 'give the depth of this photo, or --resize-depth'}."
        )
    depth = read_depth(path, options.max_megapixels)
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
