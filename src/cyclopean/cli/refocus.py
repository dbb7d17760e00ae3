"""`cyclopean refocus`: blur a photo by its depth, sharp where you point."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from cyclopean.cli.parsing import check_writable, parse, result_folder
from cyclopean.errors import InputError, unknown_name

if TYPE_CHECKING:
    from cyclopean.depthmap import DepthMap
    from cyclopean.images import Photo

SAVE = ("png", "same")


@dataclass(frozen=True)
class Blur:
    """How to blur."""

    method: Annotated[str, tyro.conf.arg(metavar="NAME")] = "gaussian"
    """gaussian, average, median or bilateral."""
    strength: Annotated[float, tyro.conf.arg(metavar="N")] = 1.0
    """1 blurs as the report does, whatever the photo's size; 2 twice as wide."""
    bins: Annotated[str, tyro.conf.arg(metavar="NAME")] = "smooth"
    """smooth: neighbouring levels of blur blend; hard: the report's six steps."""


@dataclass(frozen=True)
class Refocus:
    """Refocus a photo: sharp at the depth of the point, more blurred the farther from it. Writes photo_defocus.png."""

    blur: Blur
    photo: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PHOTO")] = ()
    """The photo."""
    at: Annotated[tuple[float, float] | None, tyro.conf.arg(metavar="X Y")] = None
    """The point that shall be sharp: pixels from the top left, or fractions of width and height (both below 1)."""
    depth: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """Depth that exists already: .npy, .npz, .exr, .pfm or 16-bit .png with a sidecar; without it, it is predicted."""
    resize_depth: bool = False
    """Stretch a depth file of another size onto the photo."""
    out: Annotated[str | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder for the result; without it, beside the photo."""
    save: Annotated[str, tyro.conf.arg(metavar="png|same")] = "png"
    """png, or the same format as the photo."""
    model: Annotated[str, tyro.conf.arg(metavar="NAME")] = "general"
    """A bundled model, a model's folder, or a Hub repository (owner/name)."""
    max_megapixels: Annotated[float, tyro.conf.arg(metavar="N")] = 120.0
    """A larger photo is refused before it is decoded."""


def main(arguments: list[str]) -> int:
    run(parse(Refocus, arguments, "cyclopean refocus"))
    return 0


def run(given: Refocus) -> None:
    """Refocus one photo and print where the result is."""
    source, at = _asked(given)
    folder = result_folder(given.out, source)
    from cyclopean import refocus
    from cyclopean.images import read_photo
    from cyclopean.refocus import check_choice, focus_pixel

    blur = given.blur
    check_choice(blur.method, blur.strength, blur.bins)
    photo = read_photo(source, given.max_megapixels)
    pixel = focus_pixel(at, photo.size)
    check_writable([folder])
    depth = _depth(given, photo)
    result = refocus(photo, depth, pixel, method=blur.method, strength=blur.strength, bins=blur.bins)
    name = f"{source.stem}_defocus{source.suffix if given.save == 'same' else '.png'}"
    _write(folder, name, result, _note(given, source, pixel, depth))
    print(folder / name)


def _asked(given: Refocus) -> tuple[Path, tuple[float, float]]:
    """The photo's path and the point, after checking everything that needs no photo."""
    if not given.photo:
        raise InputError("no photo was given; name one and a point: cyclopean refocus photo.jpg --at 0.5 0.5")
    if len(given.photo) > 1:
        raise InputError(f"refocus takes one photo, {len(given.photo)} were given: {', '.join(given.photo)}.")
    if given.at is None:
        raise InputError("no point was given; say where the photo shall be sharp, such as --at 0.5 0.5")
    if given.save not in SAVE:
        raise unknown_name("--save", given.save, SAVE)
    return Path(given.photo[0]), given.at


def _depth(given: Refocus, photo: "Photo") -> "DepthMap":
    """The depth of the file, stretched if that was asked for or its sidecar names the photo's size; else predicted."""
    from cyclopean.depthmap import read_depth, read_sidecar
    from cyclopean.images import resize_depth

    if given.depth is None:
        from cyclopean.predictor import load

        return load(given.model)(photo)
    path = Path(given.depth)
    depth, card = read_depth(path), read_sidecar(path)
    if depth.size == photo.size:
        return depth
    if given.resize_depth or (card is not None and card.source_size == photo.size):
        return resize_depth(depth, photo.size)
    (h, w), (height, width) = depth.size, photo.size
    raise InputError(
        f"{path} is {w}x{h} but {photo.name} is {width}x{height}; give the depth of this photo, or --resize-depth."
    )


def _note(given: Refocus, source: Path, pixel: tuple[int, int], depth: "DepthMap") -> dict[str, object]:
    """How the picture was made, for its sidecar."""
    model = depth.model and {"name": depth.model.name, "sha256": depth.model.sha256}
    return {
        "source": source.name,
        "at": pixel,
        "method": given.blur.method,
        "strength": given.blur.strength,
        "bins": given.blur.bins,
        "depth": given.depth,
        "model": model,
    }


def _write(folder: Path, name: str, photo: "Photo", note: dict[str, object]) -> None:
    from cyclopean import __version__
    from cyclopean.depthmap import appearing
    from cyclopean.images import write_photo

    with appearing(folder) as bench:
        write_photo(bench / name, photo)
        content = {"format": "cyclopean-refocus", "version": 1, "cyclopean": __version__, **note, "files": [name]}
        (bench / name).with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")
