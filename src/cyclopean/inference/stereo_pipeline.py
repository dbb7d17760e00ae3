"""From files to files: what two eyes see of a photo (of a clip: `stereo_clip`)."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cyclopean import __version__
from cyclopean.defocus.lens import Point, focus_pixel
from cyclopean.defocus.video import SECONDS
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular
from cyclopean.inference.pipeline import EmbeddedUse, Written, model_json, with_camera
from cyclopean.inference.predictor import Predictor
from cyclopean.inference.refocus_pipeline import depth_of, too_large, usual_format
from cyclopean.io.decoding import MOST_MEGAPIXELS
from cyclopean.io.files import appearing, file_hash
from cyclopean.io.image import Photo, read_photo, write_photo
from cyclopean.io.mpo import write_mpo
from cyclopean.io.photo_encoders import LONGEST_SIDE, holds
from cyclopean.io.results import Target
from cyclopean.io.sidecar import keep_names
from cyclopean.stereoscopy import CONVERGE, LAYOUTS, PARALLAX
from cyclopean.stereoscopy.layouts import ARRANGED
from cyclopean.stereoscopy.pair import stereo

SIDECAR = "_stereo.json"


@dataclass(frozen=True)
class StereoOptions:
    """Options of a second eye, as for `stereoscopy.stereo`, and of its files: `layouts` are keys of `LAYOUTS`.

    `resize_depth` stretches a depth file of another size; `camera` and `known` are as in `DepthOptions`. `smooth`: the
    seconds over which depth of clips is made steady.
    """

    layouts: tuple[str, ...] = ("sbs",)
    parallax: float = PARALLAX
    converge: float = CONVERGE
    at: Point | None = None
    baseline: float | None = None
    eye: str = "left"
    resize_depth: bool = False
    camera: str = "auto"
    known: Path | float | None = None
    max_megapixels: float = MOST_MEGAPIXELS
    smooth: float = SECONDS
    embedded: EmbeddedUse = "prefer"

    @property
    def settings(self) -> str:
        """A hash of all that changes results."""
        what = asdict(self)
        del what["max_megapixels"]
        what["known"] = file_hash(self.known) if isinstance(self.known, Path) else self.known
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def record(self) -> dict[str, object]:
        """The options that the sidecar keeps."""
        names = ("parallax", "converge", "at", "baseline", "eye")
        return {name: getattr(self, name) for name in names} | {"settings": self.settings}


def stereo_photo(
    source: Path, target: Target, depth_from: Path | Callable[[Photo], Predictor], options: StereoOptions
) -> Written:
    """Write what two eyes see of a photo: a file for each layout (`LAYOUTS`), and STEM_stereo.json.

    `depth_from` is a depth file, or returns the predictor for the photo, such as `Models.for_photo`. Pictures are JPEGs
    if the photo is one, else PNGs. Raises InputError for a wrong photo or wrong options before depth is predicted.
    """
    photo, reason = with_camera(read_photo(source, options.max_megapixels), options.camera, options.known)
    notes = [*photo.notes, *([reason] if reason else [])]
    if isinstance(photo.camera, Equirectangular):
        raise InputError(
            f"{source.name} is a panorama, and stereo is for ordinary photos; give --camera pinhole if it is none."
        )
    if options.at is not None:
        focus_pixel(options.at, photo.size)
    suffix = usual_format(photo).suffix
    endings = {}
    for name in options.layouts:
        size = photo.size if name != "sbs" else (photo.size[0], 2 * photo.size[1])
        own = ".mpo" if name == "mpo" else suffix
        if not holds(own, size) and name == "mpo":
            notes.append(
                f"{source.name}: not written as mpo, which is of JPEGs of at most {LONGEST_SIDE['.mpo']} pixels."
            )
            continue
        if not holds(own, size):
            notes.append(too_large(source.name, own, size))
            own = ".png"
        endings[name] = LAYOUTS[name] + own
    if not endings:
        raise InputError(
            f"{source.name} is {photo.size[1]}x{photo.size[0]} pixels, and mpo is of JPEGs of at most "
            f"{LONGEST_SIDE['.mpo']} on a side; write --save sbs, which is a PNG then."
        )
    target, numbered = target.free(source, (*endings.values(), SIDECAR))
    notes += numbered
    depth, remarks = depth_of(
        source, photo, depth_from,
        embedded=options.embedded, resize=options.resize_depth, max_megapixels=options.max_megapixels,
    )  # fmt: skip
    notes += remarks
    soft = not isinstance(depth_from, Path) or options.resize_depth
    pair = stereo(
        photo, depth, parallax=options.parallax, converge=options.converge, at=options.at, baseline=options.baseline,
        eye=options.eye, refine="on" if soft else "auto",
    )  # fmt: skip
    with appearing(target.folder) as folder:
        for name, ending in endings.items():
            path = folder / target.path(ending).name
            if name == "mpo":
                write_mpo(path, pair.left, pair.right)
            else:
                write_photo(path, replace(photo, image=ARRANGED[name](pair.left.image, pair.right.image)))
        names = [target.path(ending).name for ending in endings.values()]
        content = {
            "format": "cyclopean-stereo", "version": 1, "cyclopean": __version__, "source": source.name,
            "source_sha256": file_hash(source), **options.record, "model": model_json(depth.model), "files": names,
        }  # fmt: skip
        (folder / target.path(SIDECAR).name).write_text(json.dumps(content, indent=2) + "\n")
        keep_names(folder, target.folder)
    return Written(tuple(target.folder / name for name in names), tuple(notes))
