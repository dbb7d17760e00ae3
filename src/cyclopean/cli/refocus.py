"""`cyclopean refocus`: blur a photo or a clip by its depth, sharp where you point."""

import json
import sys
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopean.choices import CAMERAS, refuse_no_matte
from cyclopean.cli.early import header_size, refuse_unknown_model, says_metric
from cyclopean.cli.parsing import check_writable, comma_list, parse, result_folder
from cyclopean.errors import InputError, unknown_name
from cyclopean.flags import Flag
from cyclopean.io.files import CLIPS, refuse_unreadable, shown

if TYPE_CHECKING:
    from cyclopean.defocus.lens import Lens
    from cyclopean.defocus.subject import Matte
    from cyclopean.io.depthmap import DepthMap
    from cyclopean.io.image import Photo

SAVE = ("png", "same", "png16", "tiff")
REFINE = ("auto", "on", "off")
BESIDE = "beside"  # as --depth
DEPTHS = (".npy", ".npz", ".exr", ".pfm")


@dataclass(frozen=True)
class Blur:
    """How to blur. A thin lens by --amount, or as a real one would, by --f-number and what goes with it."""

    method: Annotated[str, Flag("NAME")] = "thin-lens"
    """thin-lens, or the report's gaussian, average (avg_blur), median or bilateral; NEARER+FARTHER takes two, by
    depth."""
    amount: Annotated[float, Flag("A")] = 1.0
    """How much, whatever the photo's size: 0 none, 2 twice as wide."""
    f_number: Annotated[float | None, Flag("N")] = None
    """Blur as a real lens does, instead of --amount; needs depth in metres, or --focus-distance with --at."""
    focal_mm: Annotated[float | None, Flag("F")] = None
    """Its focal length; without it, the photo's EXIF, else 50."""
    sensor_mm: Annotated[float | None, Flag("S")] = None
    """The sensor's longer side; without it, the photo's EXIF, else 36."""
    shape: Annotated[str, Flag("SHAPE")] = "disc"
    """disc, ring, cateye, or polygon:BLADES[:DEGREES] such as polygon:6:15."""
    range: Annotated[float, Flag("R", name="--depth-of-field", hidden=("--range",))] = 0.0
    """The part of the depth range around the focus that stays sharp, 0 to 1."""
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
        """Whether any number of a real lens was given."""
        return not self.f_number is self.focal_mm is self.sensor_mm is None


@dataclass(frozen=True)
class Motion:
    """What only clips have."""

    keys: Annotated[str | None, Flag("FILE")] = None
    """Where a clip is sharp when: a JSON list of {"time": seconds, "point": [x, y], "amount": A, "track": true}."""
    track: bool = False
    """With --at: the point stays on what it is on in the first frame, instead of on its place in the picture."""
    smooth: Annotated[float | None, Flag("S")] = None
    """Seconds over which a clip's depth is made steady, 0: not at all; without it, 0.3."""


@dataclass(frozen=True)
class Refocus:
    """Refocus a photo or a clip: sharp at the depth of a point or at a distance, more blurred the farther from it.

    Writes photo_defocus.png; of clip.mp4 clip_defocus.mp4, its sound as it was.
    """

    blur: Blur
    motion: Motion
    photo: Annotated[tuple[str, ...], Flag("PHOTO|CLIP", positional=True)] = ()
    """The photo, or the video."""
    at: Annotated[tuple[float, float] | None, Flag("X Y")] = None
    """The point that shall be sharp: pixels from the top left, or fractions of width and height (both below 1)."""
    focus_distance: Annotated[float | None, Flag("M")] = None
    """The distance that shall be sharp, in metres; with --at, how far away that point is."""
    depth: Annotated[str | None, Flag("FILE")] = None
    """Depth that exists already: .npy, .npz, .exr, .pfm or 16-bit .png with a sidecar; beside: photo_disp.npy beside
    the photo, as `predict` writes it. Without it, depth is predicted."""
    profile: Annotated[str | None, Flag("FILE")] = None
    """A camera profile (cyclopean app, tab Metres), which puts depth in metres: --focus-distance means it then."""
    resize_depth: bool = False
    """Stretch a depth file of another size onto the photo."""
    refine: Annotated[str, Flag("auto|on|off")] = "auto"
    """Draw edges of the depth to those of the photo, as steps; auto: of predicted or stretched depth."""
    matte: Annotated[str | None, Flag("MASK|MODEL")] = None
    """A picture, white on the subject, whose edge the depth takes over; or a segmenter (a model's folder or a Hub
    repository, needs transformers) that finds what is at --at."""
    out: Annotated[str | None, Flag("DIR", folder=True)] = None
    """Folder for the result; without it, beside the photo."""
    save: Annotated[str, Flag("NAMES")] = "png"
    """png16 (16 bits), tiff (16 bits), same (format and bits of the photo, and no .png then), comma-separated."""
    model: Annotated[str, Flag("NAME")] = "auto"
    """A bundled model, a model's folder, or a Hub repository (owner/name). auto: general; for panoramas,
    panorama."""
    camera: Annotated[str, Flag("NAME")] = "auto"
    """What took the photo, as for `predict`: pinhole, equirectangular, top-bottom, side-by-side. Of a panorama, blur
    goes on over the seam."""
    max_megapixels: Annotated[float, Flag("N")] = 120.0
    """A larger photo is refused before it is decoded."""


def main(arguments: list[str]) -> int:
    run(parse(Refocus, arguments, "cyclopean refocus"))
    return 0


def run(given: Refocus) -> None:
    """Refocus one photo or clip and print where the result is."""
    source, saved = _asked(given)
    from cyclopean.defocus.filters import check_choice
    from cyclopean.defocus.lens import check_distance, focus_pixel

    blur = given.blur
    check_choice(blur.method, strength_of(blur), blur.bins)
    check_distance(given.focus_distance)
    lens = lens_of(blur)
    if source.suffix.lower() in CLIPS:
        from cyclopean.cli.refocus_clip import run_clip

        return run_clip(given, source)
    _refuse_motion(given)
    _refuse_early(given, source)
    folder = result_folder(given.out, source)
    from cyclopean import refocus
    from cyclopean.defocus.edges import matted
    from cyclopean.defocus.focus import wrap_panorama
    from cyclopean.defocus.refocus import warn_of_distance

    photo = _photo(given, source)
    _refuse_format(source, photo, saved)
    pixel = None if given.at is None else focus_pixel(given.at, photo.size)
    lens = _with_optics(blur, lens, photo)
    check_writable([folder])
    matte = _matte(given, photo, pixel)
    depth = _refined(given, photo, _in_metres(given, _depth(given, photo)))
    depth = depth if matte is None else matted(depth, matte)
    if given.focus_distance is not None and pixel is None:
        warn_of_distance(depth, given.focus_distance)
    once = partial(
        refocus,
        method=blur.method, lens=lens, distance=given.focus_distance, strength=strength_of(blur), bins=blur.bins,
    )  # fmt: skip
    result = wrap_panorama(once, photo, depth, pixel)
    deep = {suffix for name, suffix in (("png16", ".png"), ("tiff", ".tif")) if name in saved}
    _write(folder, _names(source, saved), result, deep, _note(given, source, pixel, depth))
    for name in _names(source, saved):
        print(shown(folder / name))
    return None


def _photo(given: Refocus, source: Path) -> "Photo":
    """The photo with its camera; why it is taken for a panorama goes to the error stream."""
    from cyclopean.inference.panorama import framed
    from cyclopean.io.image import read_photo

    photo, why = framed(read_photo(source, given.max_megapixels), given.camera)
    for note in photo.notes:
        print(f"cyclopean refocus: {note}", file=sys.stderr)
    if why:
        print(f"cyclopean refocus: {why}", file=sys.stderr)
    return photo


def strength_of(blur: Blur) -> float:
    if blur.strength is not None and set(blur.method.split("+")) == {"thin-lens"}:
        raise InputError("--strength is for the report's methods; give --amount for the thin lens.")
    return 1.0 if blur.strength is None else blur.strength


def lens_of(blur: Blur) -> "Lens":
    from cyclopean.defocus.lens import Lens, parse_shape

    return Lens(blur.amount, None, parse_shape(blur.shape), blur.range, blur.before, blur.behind, blur.highlights)


def _with_optics(blur: Blur, lens: "Lens", photo: "Photo") -> "Lens":
    """A real lens, when any of its numbers is given."""
    from cyclopean.defocus.lens import optics_of
    from cyclopean.geometry import Equirectangular

    if not blur.optical:
        return lens
    if isinstance(photo.camera, Equirectangular):
        raise InputError(f"{photo.name} is a panorama, which no lens of some focal length took; give --amount.")
    h, w = photo.size
    longer = None if photo.camera is None else float(photo.camera.focal[0, 0]) * w / max(h, w)
    optics = optics_of(photo.exif, longer, f_number=blur.f_number, focal_mm=blur.focal_mm, sensor_mm=blur.sensor_mm)
    return replace(lens, optics=optics)


def _asked(given: Refocus) -> tuple[Path, list[str]]:
    """The photo's path and the formats to save, after checking everything that needs no photo."""
    if not given.photo:
        raise InputError("no photo was given; name one and a point: cyclopean refocus photo.jpg --at 0.5 0.5")
    numbers = [word for word in given.photo[1:] if word.replace(".", "", 1).isdigit()]
    if given.at is None and len(given.photo) == 3 and len(numbers) == 2:
        raise InputError(f"{' '.join(numbers)} looks like a point; write it as --at {' '.join(numbers)}.")
    if len(given.photo) > 1:
        raise InputError(f"refocus takes one photo, {len(given.photo)} were given: {', '.join(given.photo)}.")
    if given.at is None and given.focus_distance is None and given.motion.keys is None:
        raise InputError("no point was given; say where the photo shall be sharp, such as --at 0.5 0.5")
    if given.blur.optical and given.blur.amount != 1:
        raise InputError("--amount and --f-number both say how much to blur; give one of them.")
    if given.refine not in REFINE:
        raise unknown_name("--refine", given.refine, REFINE)
    for path in (given.photo[0], given.profile, given.motion.keys):
        if path is not None:
            refuse_unreadable(Path(path))
    if given.matte is not None:
        refuse_no_matte(given.matte)
    if given.depth == BESIDE:
        _beside(Path(given.photo[0]))
    elif given.depth is not None and not Path(given.depth).exists():
        raise InputError(f"there is no depth file {given.depth}; check the path.")
    if given.camera not in CAMERAS:
        raise unknown_name("camera", given.camera, CAMERAS)
    refuse_unknown_model(given.model)
    return Path(given.photo[0]), comma_list("--save", given.save, SAVE) or ["png"]


def _refuse_early(given: Refocus, source: Path) -> None:
    """Refuse what the photo's header and the model's card tell already: a point outside, metres that nobody knows."""
    from cyclopean.defocus.lens import focus_pixel

    size = None
    if _without_metres(given) or (given.at is not None and not all(0 <= part < 1 for part in given.at)):
        size = header_size(source, given.max_megapixels)
    if size is not None and given.at is not None:
        focus_pixel(given.at, size)
    flat = given.camera == "pinhole" or (given.camera == "auto" and size and abs(size[1] - 2 * size[0]) > 1)
    name = "general" if given.model == "auto" and flat else given.model
    if given.depth is None and says_metric(name) is False:
        _refuse_relative(given)


def _refuse_relative(given: Refocus) -> None:
    if lacking := _without_metres(given):
        raise InputError(lacking)


def _without_metres(given: Refocus) -> str:
    """What is wrong with what was asked where depth is only relative; nothing if it needs no metres, or has them."""
    from cyclopean.defocus.lens import DISTANCE_ALONE, F_NUMBER_ALONE

    if given.profile is not None:
        return ""
    if given.focus_distance is not None:
        return DISTANCE_ALONE if given.at is None else ""
    return "" if given.blur.f_number is None else F_NUMBER_ALONE


def _refuse_format(source: Path, photo: "Photo", saved: list[str]) -> None:
    from cyclopean.io.encoding import USUAL

    if "same" in saved and source.suffix.lower() not in USUAL:
        raise InputError(
            f"{source.name}, a {photo.format}, cannot be saved as what its name says; leave --save same out, or rename "
            f"it if its name is wrong ({', '.join(USUAL)})."
        )


def _refuse_motion(given: Refocus) -> None:
    for name, value in asdict(given.motion).items():
        if value:
            raise InputError(f"--{name} is for clips, and {given.photo[0]} is none ({', '.join(CLIPS)}); leave it out.")


def _in_metres(given: Refocus, depth: "DepthMap") -> "DepthMap":
    """By the camera profile, if one was given."""
    if given.profile is None:
        return depth
    from cyclopean.inference.calibration import read_profile

    return read_profile(Path(given.profile)).applied(depth)


def _depth(given: Refocus, photo: "Photo") -> "DepthMap":
    """The depth of the file, stretched if that was asked for or its sidecar names the photo's size; else predicted."""
    from cyclopean.io.depthmap import depth_size, is_turned, read_depth
    from cyclopean.io.image import resize_depth
    from cyclopean.io.sidecar import read_sidecar

    if given.depth is None:
        from cyclopean.inference.predictor import fitting_model, load

        predictor = load(fitting_model(photo) if given.model == "auto" else given.model)
        if predictor.method.ambiguity != "metric":
            _refuse_relative(given)
        return predictor(photo)
    path = _beside(Path(given.photo[0])) if given.depth == BESIDE else Path(given.depth)
    size, card = depth_size(path), read_sidecar(path)  # before memory is taken for the numbers
    stretched = given.resize_depth or (card is not None and card.source_size == photo.size)
    if size != photo.size and not stretched:
        (h, w), (height, width) = size, photo.size
        remedy = "is it turned by 90 degrees? Turn it as the photo is" if is_turned(size, photo.size) else ""
        raise InputError(
            f"{path} is {w}x{h} but {photo.name} is {width}x{height}; "
            f"{remedy or 'give the depth of this photo, or --resize-depth'}."
        )
    depth = read_depth(path, given.max_megapixels)
    return depth if size == photo.size else resize_depth(depth, photo.size)


def _beside(photo: Path) -> Path:
    """The depth file of a photo that lies beside it: photo_disp.npy, or the same name in another format."""
    names = [photo.with_name(f"{photo.stem}_disp{suffix}") for suffix in DEPTHS]
    path = next((name for name in names if name.is_file()), None)
    if path is None:
        raise InputError(
            f"there is no {names[0].name} beside the photo, in {names[0].parent} (nor {', '.join(DEPTHS[1:])}); run "
            "predict first, or leave --depth beside out."
        )
    return path


def _refined(given: Refocus, photo: "Photo", depth: "DepthMap") -> "DepthMap":
    """Edges of the depth drawn to the photo's, where they are soft: predicted, or stretched from a smaller map."""
    from cyclopean.defocus.edges import refined

    soft = given.depth is None or given.resize_depth or depth.model is not None
    if given.refine == "off" or (given.refine == "auto" and not soft):
        return depth
    return refined(depth, photo.image, photo.camera)


def _matte(given: Refocus, photo: "Photo", pixel: tuple[int, int] | None) -> "Matte | None":
    """The matte that was asked for, before depth is: what is wrong with it is told at once."""
    if given.matte is None:
        return None
    from cyclopean.defocus.subject import matte_for

    return matte_for(given.matte, photo, pixel)


def _note(given: Refocus, source: Path, pixel: tuple[int, int] | None, depth: "DepthMap") -> dict[str, object]:
    """How the picture was made, for its sidecar."""
    model = depth.model and {"name": depth.model.name, "sha256": depth.model.sha256}
    return {
        "source": source.name,
        "at": pixel,
        "focus_distance": given.focus_distance,
        **asdict(given.blur),
        "depth": given.depth,
        "refine": given.refine,
        "matte": given.matte,
        "model": model,
    }


def _names(source: Path, saved: list[str]) -> list[str]:
    """The pictures' names: always a .png but when the photo's own format alone is wanted."""
    stem = f"{source.stem}_defocus"
    names = [] if "same" in saved else [f"{stem}.png"]
    names += [f"{stem}{source.suffix}"] if "same" in saved else []
    names += [f"{stem}.png"] if "png16" in saved else []
    names += [f"{stem}.tif"] if "tiff" in saved else []
    return list(dict.fromkeys(names))


def _write(folder: Path, names: list[str], photo: "Photo", deep: set[str], note: dict[str, object]) -> None:
    """Write the picture under each name, 16 bits for suffixes in `deep`, and how it was made."""
    from cyclopean import __version__
    from cyclopean.io.files import appearing
    from cyclopean.io.image import write_photo

    with appearing(folder) as bench:
        for name in names:
            write_photo(bench / name, replace(photo, bits=16) if Path(name).suffix in deep else photo)
        content = {"format": "cyclopean-refocus", "version": 1, "cyclopean": __version__, **note, "files": names}
        (bench / names[0]).with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")
