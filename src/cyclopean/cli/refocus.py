"""`cyclopean refocus`: blur a photo or a clip by its depth, sharp where you point."""

import math
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopean.cli.early import (
    header_size,
    known_camera,
    refuse_metres,
    refuse_missing_backend,
    refuse_unknown_device,
    refuse_unknown_model,
    says_metric,
)
from cyclopean.cli.output import emit, remark
from cyclopean.cli.parsing import check_result_name, check_writable, comma_list, named_file, parse
from cyclopean.defocus import REFINE, refuse_no_matte
from cyclopean.errors import InputError, unknown_name
from cyclopean.flags import Flag
from cyclopean.io.files import CLIPS, DEPTHS, is_film, printable, refuse_unreadable
from cyclopean.io.result_names import Target

if TYPE_CHECKING:
    from cyclopean.defocus.lens import Lens
    from cyclopean.inference.photo_pipeline import EmbeddedUse
    from cyclopean.inference.predictor import Predictor
    from cyclopean.io.image import Photo

# As --save: suffix, and bits per channel where they are not the photo's. "same" has the suffix of the photo.
SAVE = {
    "same": ("", None), "png": (".png", None), "jpg": (".jpg", None), "webp": (".webp", None), "heic": (".heic", None),
    "avif": (".avif", None), "png16": (".png", 16), "tiff": (".tif", 16),
}  # fmt: skip

BESIDE = "beside"  # as --depth
EMBEDDED: dict[str | None, "EmbeddedUse"] = {None: "prefer", "embedded": "require", "predict": "ignore"}
UNKNOWN_SHIFT = (
    "this model leaves scale and shift of its depth unknown, so a distance means nothing; give how far "
    "away two points are (--known X Y M X Y M), or what is nearest and farthest (--nearest, --farthest)."
)


@dataclass(frozen=True)
class Blur:
    """How to blur. A thin lens by --amount, or as a real one would, by --f-number and what goes with it."""

    method: Annotated[str, Flag("NAME")] = "thin-lens"
    """thin-lens, or the report's gaussian, average (avg_blur), median or bilateral; NEARER+FARTHER takes two, by
    depth."""
    amount: Annotated[float, Flag("A")] = 1.0
    """How much, whatever the photo's size: 0 none, 2 twice as wide."""
    f_number: Annotated[float | None, Flag("N")] = None
    """Blur as a real lens does, instead of --amount. With relative depth it needs to know distances:
    --focus-distance with --at, --known, or --nearest and --farthest."""
    focal_mm: Annotated[float | None, Flag("F")] = None
    """Its focal length; without it, the photo's EXIF, else 50."""
    sensor_mm: Annotated[float | None, Flag("S")] = None
    """The sensor's longer side; without it, the photo's EXIF, else 36."""
    shape: Annotated[str, Flag("SHAPE")] = "disc"
    """disc, ring, cateye, or polygon:BLADES[:DEGREES] such as polygon:6:15."""
    range: Annotated[float | None, Flag("R", name="--depth-of-field", hidden=("--range",))] = None
    """The part of the depth range around the focus that stays sharp, 0 to 1; without it, all of the subject does."""
    before: Annotated[float, Flag("X", name="--foreground", hidden=("--before",))] = 1.0
    """Factor for what is nearer than the focus."""
    behind: Annotated[float, Flag("X", name="--background", hidden=("--behind",))] = 1.0
    """Factor for what is farther than the focus."""
    highlights: Annotated[float, Flag("H")] = 0.0
    """Where blurred, the brightest light counts as 1 + H times as bright."""
    strength: Annotated[float | None, Flag("N")] = None
    """Of the report's methods: 1 blurs as the report does, whatever the photo's size; 2 twice as wide."""
    bins: Annotated[str, Flag("NAME")] = "smooth"
    """Of the report's methods: smooth, neighbouring levels of blur blend; hard, the report's six steps."""

    @property
    def optical(self) -> bool:
        """Return whether any number of a real lens was given."""
        return not self.f_number is self.focal_mm is self.sensor_mm is None


@dataclass(frozen=True)
class ClipFlags:
    """What only clips have."""

    keys: Annotated[str | None, Flag("FILE")] = None
    """Where a clip is sharp when: a JSON list of {"time": seconds, "point": [x, y], "amount": A, "track": true}."""
    track: bool = False
    """With --at: the point stays on what it is on in the first frame, all of which is sharp, instead of on its place in
    the picture."""
    smooth: Annotated[float | None, Flag("S")] = None
    """Seconds over which a clip's depth is made steady, 0: not at all; without it, 0.3."""
    frame: Annotated[float | None, Flag("S")] = None
    """The frame after this many seconds alone, as a photo: everything that photos can have is possible then."""


@dataclass(frozen=True)
class Refocus:
    """Refocus a photo or a clip: sharp at the depth of a point or at a distance, more blurred the farther from it.

    Of photo.jpg it writes photo_defocus.jpg, at the same quality; of other photos a .png; of clip.mp4 clip_defocus.mp4,
    its sound as it was.
    """

    blur: Blur
    motion: ClipFlags
    photo: Annotated[tuple[str, ...], Flag("PHOTO|CLIP", positional=True)] = ()
    """The photo, or the video."""
    at: Annotated[tuple[float, float] | None, Flag("X Y")] = None
    """The point that should be sharp: pixels from the top left, or fractions of width and height (both below 1)."""
    focus_distance: Annotated[float | None, Flag("M")] = None
    """The distance that should be sharp, in metres; with --at, how far away that point is."""
    focus_range: Annotated[tuple[float, float] | None, Flag("NEAR FAR")] = None
    """What lies between these distances should be sharp, in metres, instead of a point; needs depth in metres."""
    depth: Annotated[str | None, Flag("FILE|beside|embedded|predict")] = None
    """Depth that exists already: .npy, .npz, .exr, .pfm or 16-bit .png with a sidecar; beside: photo_disp.npy beside
    the photo, as `predict` writes it; embedded: what a phone put into the photo's own file. Without it that is taken
    where it is there, else depth is predicted; predict: always."""
    profile: Annotated[str | None, Flag("FILE")] = None
    """A camera profile (cyclopean app, tab Metres), which puts depth in metres: --focus-distance means it then."""
    known: Annotated[tuple[float, float, float, float, float, float] | None, Flag("X Y M X Y M")] = None
    """Two points and how far each is from the camera, in metres, as for `predict`: --focus-distance means it then."""
    nearest: Annotated[float | None, Flag("M")] = None
    """How far away what is nearest in the photo is, in metres; without it 1. Puts relative depth in metres."""
    farthest: Annotated[float | None, Flag("M")] = None
    """How far away what is farthest is, in metres; without it infinitely far. Puts relative depth in metres."""
    resize_depth: bool = False
    """Stretch a depth file of another size onto the photo."""
    refine: Annotated[str, Flag("auto|on|off")] = "auto"
    """Draw edges of the depth to those of the photo, as steps; auto: of predicted or stretched depth."""
    matte: Annotated[str | None, Flag("MASK|MODEL")] = None
    """The subject, instead of what is found at --at: a picture, white on it; or a segmenter (a model's folder or a Hub
    repository, needs transformers) that finds what is at --at."""
    subject: bool = True
    """Sharp is what is as far away as the point, not the thing at the point as a whole."""
    out: Annotated[str | None, Flag("DIR|FILE")] = None
    """Folder for the result, or its name, such as sharp.jpg; without it, beside the photo."""
    save: Annotated[str, Flag("NAMES")] = ""
    """Formats, comma-separated: png, jpg, webp, heic, avif, png16 (16 bits), tiff (16 bits), same (format and bits of
    the photo). Without it, a JPEG's result is a JPEG, of the same quality, and any other's a PNG."""
    view: Annotated[str, Flag("html")] = ""
    """html: also photo_defocus.html, one file in which anybody refocuses the photo by a click, without a network."""
    model: Annotated[str, Flag("NAME")] = "auto"
    """A bundled model, a model's folder, or a Hub repository (owner/name), also of a depth model of transformers
    (docs/models.md). auto: general; for panoramas, panorama."""
    device: Annotated[str, Flag("NAME")] = "cpu"
    """What the network runs on: auto, cpu, cuda, cuda:1, mps. Blur is computed on the CPU."""
    backend: Literal["torch", "onnxruntime"] = "torch"
    """What runs the model. onnxruntime (pip install 'cyclopean[fast]'): the same depth sooner, on the CPU."""
    camera: Annotated[str, Flag("NAME|FILE")] = "auto"
    """What took the photo, as for `predict`: pinhole, equirectangular, top-bottom, side-by-side, or a JSON file with an
    ordinary camera. Of a panorama, blur goes on over the seam."""
    field_of_view: Annotated[float | None, Flag("DEGREES")] = None
    """Along the longer side, of a photo or a clip whose file does not tell its focal length, or not the right one."""
    overwrite: bool = False
    """Replace any file that has the name of a result. Without it only earlier results for the same input are replaced;
    where there is another file, results get the next free number."""
    max_megapixels: Annotated[float, Flag("N")] = 120.0
    """A larger photo is refused before it is decoded."""


def main(arguments: list[str]) -> int:
    run(parse(Refocus, arguments, "cyclopean refocus"))
    return 0


def run(options: Refocus) -> None:
    """Refocus one photo or clip and print where the result is."""
    source, saved = _check_words(options)
    named = named_file(options.out)
    views = comma_list("view", options.view, ["html"])
    from cyclopean.defocus.filters import check_choice
    from cyclopean.defocus.lens import check_distance

    blur = options.blur
    check_choice(blur.method, strength_of(blur), blur.bins)
    check_distance(options.focus_distance)
    lens = lens_of(blur)
    is_clip, frame = is_film(source), options.motion.frame
    if is_clip and frame is None:
        from cyclopean.cli.refocus_clip import run_clip

        return run_clip(options, source)
    if named is not None:
        from cyclopean.io.photo_encoders import USUAL

        check_result_name(named, source, tuple(USUAL))
    for name, value in asdict(options.motion).items():
        if value not in (None, False) and name != "frame":
            why = "--frame takes one picture of it" if is_clip else f"{source} is none ({', '.join(CLIPS)})"
            raise InputError(f"--{name} is for clips, and {why}; leave it out.")
    if frame is not None and not is_clip:
        raise InputError(
            f"--frame takes one picture of a clip, and {source} is none ({', '.join(CLIPS)}); leave it out."
        )
    if frame is not None and not (math.isfinite(frame) and frame >= 0):
        raise InputError(f"--frame is {frame:g}; it takes 0 seconds or more.")
    _refuse_early(options, source)
    target = result_target(options, source)
    from cyclopean.inference.metric_calibration import metres_from
    from cyclopean.inference.photo_pipeline import Models
    from cyclopean.inference.refocus_pipeline import PictureFormat, RealLens, RefocusOptions, refocus_photo

    formats = [PictureFormat(suffix or source.suffix, bits) for suffix, bits in map(SAVE.__getitem__, saved)]
    formats = [*([] if named is None else [PictureFormat(named.suffix)]), *formats]
    deepest = {form.suffix.lower(): form for form in sorted(formats, key=lambda form: form.bits or 0)}
    refocus_options = RefocusOptions(
        options.at, options.focus_distance, lens,
        RealLens(blur.f_number, blur.focal_mm, blur.sensor_mm) if blur.optical else None,
        blur.method, strength_of(blur), blur.bins,
        metres_from(
            None if options.profile is None else Path(options.profile), options.known,
            (options.nearest, options.farthest),
        ),
        options.refine, options.matte, options.subject, blur.range is not None, options.resize_depth,
        tuple(deepest[suffix] for suffix in dict.fromkeys(form.suffix.lower() for form in formats)),
        *known_camera(options.camera, options.field_of_view), options.max_megapixels,
        options.focus_range, "html" in views, frame,
        embedded="ignore" if frame is not None else EMBEDDED.get(options.depth, "ignore"),
    )  # fmt: skip
    check_writable([target.folder])
    models = Models(options.model, options.device, backend=options.backend)

    def choose(photo: "Photo") -> "Predictor":
        predictor = models.for_photo(photo)
        if predictor.method.ambiguity == "affine" and options.focus_distance is not None and not _gives_metres(options):
            raise InputError(UNKNOWN_SHIFT)
        if predictor.method.ambiguity != "metric":
            _refuse_relative(options)
        return predictor

    depth = None
    if options.depth is not None and options.depth not in EMBEDDED:
        depth = depth_beside(source) if options.depth == BESIDE else Path(options.depth)
    record = {
        "focus_distance": options.focus_distance, "focus_range": options.focus_range, **asdict(blur),
        "nearest": options.nearest, "farthest": options.farthest, "depth": options.depth, "refine": options.refine,
        "matte": options.matte, "subject": options.subject,
    }  # fmt: skip
    written = refocus_photo(source, target, depth or choose, refocus_options, record)
    for note in written.notes:
        remark(note, "refocus")
    emit({"source": source, "files": written.paths, "notes": written.notes})
    for path in written.paths[:-1]:  # the last one is the sidecar
        print(printable(path))
    return None


def result_target(options: Refocus, source: Path) -> Target:
    """Return where the results of a photo, a frame or a clip go."""
    named, frame = named_file(options.out), options.motion.frame
    if named is not None:
        return Target(named.parent, named.stem, options.overwrite, "_defocus")
    folder = source.parent if options.out is None else Path(options.out)
    return Target(folder, source.stem if frame is None else f"{source.stem}_{frame:g}s", options.overwrite)


def strength_of(blur: Blur) -> float:
    if blur.strength is not None and set(blur.method.split("+")) == {"thin-lens"}:
        raise InputError("--strength is for the report's methods; give --amount for the thin lens.")
    return 1.0 if blur.strength is None else blur.strength


def lens_of(blur: Blur) -> "Lens":
    from cyclopean.defocus.lens import Lens, parse_shape

    return Lens(
        blur.amount, None, parse_shape(blur.shape), blur.range or 0.0, blur.before, blur.behind, blur.highlights
    )


def _check_words(options: Refocus) -> tuple[Path, list[str]]:
    """Return the photo's path and the formats to save, after checking everything that needs no photo."""
    if not options.photo:
        raise InputError("no photo was given; name one and a point: cyclopean refocus photo.jpg --at 0.5 0.5")
    numbers = [word for word in options.photo[1:] if word.replace(".", "", 1).isdigit()]
    if options.at is None and len(options.photo) == 3 and len(numbers) == 2:
        raise InputError(f"{' '.join(numbers)} looks like a point; write it as --at {' '.join(numbers)}.")
    if len(options.photo) > 1:
        raise InputError(f"refocus takes one photo, {len(options.photo)} were given: {', '.join(options.photo)}.")
    places = (options.at, options.focus_distance, options.motion.keys, options.focus_range)
    if all(place is None for place in places):
        raise InputError("no point was given; say where the photo should be sharp, such as --at 0.5 0.5")
    _refuse_clashes(options)
    if options.refine not in REFINE:
        raise unknown_name("--refine", options.refine, REFINE)
    refuse_metres(options.profile, options.known)
    for path in (options.photo[0], options.motion.keys):
        if path is not None:
            refuse_unreadable(Path(path))
    if options.matte is not None:
        refuse_no_matte(options.matte)
    if options.depth == BESIDE:
        depth_beside(Path(options.photo[0]))
    elif options.depth == "embedded":
        from cyclopean.io.embedded_depth import NO_EMBEDDED_DEPTH, find_depth

        if options.motion.frame is not None or find_depth(Path(options.photo[0])) is None:
            raise InputError(NO_EMBEDDED_DEPTH.format(options.photo[0]))
    elif options.depth is not None and options.depth not in EMBEDDED and not Path(options.depth).exists():
        raise InputError(f"there is no depth file {options.depth}; check the path.")
    known_camera(options.camera, options.field_of_view)
    refuse_unknown_model(options.model)
    refuse_missing_backend(options.backend)
    refuse_unknown_device(options.device)
    return Path(options.photo[0]), comma_list("--save", options.save, SAVE)


def _refuse_early(options: Refocus, source: Path) -> None:
    """Raise InputError for a point outside the photo, by its header, and for metres that the model does not know."""
    from cyclopean.defocus.lens import focus_pixel

    size = None
    if _without_metres(options) or (options.at is not None and not all(0 <= part < 1 for part in options.at)):
        size = header_size(source, options.max_megapixels)
    if size is not None and options.at is not None:
        focus_pixel(options.at, size)
    flat = options.camera == "pinhole" or (options.camera == "auto" and size and abs(size[1] - 2 * size[0]) > 1)
    name = "general" if options.model == "auto" and flat else options.model
    if options.depth in EMBEDDED and says_metric(name) is False:
        embedded = None
        if options.depth != "predict" and options.motion.frame is None and _without_metres(options):
            from cyclopean.io.embedded_depth import find_depth

            with suppress(InputError):  # which is a note, and depth is predicted
                embedded = find_depth(source)
        if embedded is None or embedded.ambiguity != "metric":
            _refuse_relative(options)


def _refuse_relative(options: Refocus) -> None:
    if lacking := _without_metres(options):
        raise InputError(lacking)


def _without_metres(options: Refocus) -> str:
    """Return what is wrong with the options where depth is only relative; "" if they need no metres, or have them."""
    from cyclopean.defocus.lens import DISTANCE_ALONE, FOCUS_RANGE_ALONE

    if _gives_metres(options):
        return ""
    if options.focus_range is not None:
        return FOCUS_RANGE_ALONE
    return DISTANCE_ALONE if options.focus_distance is not None and options.at is None else ""


def _gives_metres(options: Refocus) -> bool:
    return not options.profile is options.known is options.nearest is options.farthest is None


def _refuse_clashes(options: Refocus) -> None:
    """Raise InputError for words that contradict each other."""
    blur, span = options.blur, options.focus_range
    if blur.optical and blur.amount != 1:
        raise InputError("--amount and --f-number both say how much to blur; give one of them.")
    if (options.nearest, options.farthest) != (None, None) and (options.profile or options.known):
        raise InputError("--nearest, --farthest, --known and --profile all put depth in metres; give one kind of them.")
    for flag, asked_for in (("--view html", options.view), ("--focus-range", span)):
        if asked_for and blur.method != "thin-lens":
            raise InputError(f"{flag} is for the thin lens, not for {blur.method}; leave one of them out.")
    if span is None:
        return
    if not 0 < span[0] < span[1]:
        raise InputError(f"the focus range is {span[0]:g} to {span[1]:g} m; give the nearer distance first, above 0.")
    others = {"--at": options.at, "--focus-distance": options.focus_distance, "--depth-of-field": blur.range}
    for flag, value in others.items():
        if value:
            raise InputError(f"--focus-range and {flag} both say what is sharp; give one of them.")


def depth_beside(photo: Path) -> Path:
    """Return the depth file of a photo that lies beside it: photo_disp.npy, or the same name in another format."""
    names = [photo.with_name(f"{photo.stem}_disp{suffix}") for suffix in DEPTHS]
    path = next((name for name in names if name.is_file()), None)
    if path is None:
        raise InputError(
            f"there is no {names[0].name} beside the photo, in {names[0].parent} (nor {', '.join(DEPTHS[1:])}); run "
            "predict first, or leave --depth beside out."
        )
    return path
