"""`cyclopean stereo`: the second eye of photos and clips, in files for screens, glasses and headsets."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopean.cli.early import known_camera, loading, refuse_unknown_device, refuse_unknown_model
from cyclopean.cli.jobs import Job, jobs_for
from cyclopean.cli.output import done_before, emit, remark
from cyclopean.cli.parsing import (
    check_result_name,
    check_writable,
    comma_list,
    named_file,
    parse,
    progress_bar,
    with_progress,
)
from cyclopean.cli.refocus import BESIDE, EMBEDDED, depth_beside
from cyclopean.errors import InputError, contained, unknown_name
from cyclopean.flags import Flag
from cyclopean.inference import refuse_sphere_of_clip
from cyclopean.io.files import CLIPS, H264_SUFFIXES, is_film, printable
from cyclopean.io.remote import fetched
from cyclopean.io.result_names import Target
from cyclopean.stereoscopy import CONVERGE, EYES, LAYOUTS, PARALLAX

if TYPE_CHECKING:
    from cyclopean.inference.photo_pipeline import Models, Written
    from cyclopean.inference.stereo_pipeline import StereoOptions


JPEGS = (".jpg", ".jpeg", ".jpe", ".jfif")


@dataclass(frozen=True)
class Eyes:
    """How far the eyes are apart, and what is on the screen."""

    parallax: Annotated[float, Flag("PERCENT")] = PARALLAX
    """How far apart the eyes see what is nearest and what is farthest, in percent of the picture's width."""
    converge: Annotated[float, Flag("PART")] = CONVERGE
    """What is on the screen: 0 the nearest, so that all is behind it; 1 the farthest, so that all is in front of it."""
    at: Annotated[tuple[float, float] | None, Flag("X Y")] = None
    """The point that is on the screen instead, as for `refocus`; of a clip, in its first frame."""
    baseline: Annotated[float | None, Flag("M")] = None
    """Instead of --parallax: metres between the eyes, 0.064 of people. Needs depth in metres and a known focal
    length."""
    eye: Annotated[str, Flag("left|right|both")] = "left"
    """Which eye's view the photo is; both: it lies in the middle, and both views are made."""


@dataclass(frozen=True)
class Stereo:
    """The second eye of photos, of folders of photos, and of clips: 3-D from one picture, by its depth.

    Writes photo_sbs, a JPEG if the photo is one, else a PNG, and photo_stereo.json; of clip.mp4 clip_sbs.mp4, its sound
    as it was.
    """

    eyes: Eyes
    photos: Annotated[tuple[str, ...], Flag("PHOTO|FOLDER|CLIP|LIST|URL ...", positional=True)] = ()
    """What to look at; as many as you like. Lists and URLs as for `predict`."""
    out: Annotated[str | None, Flag("DIR", folder=True)] = None
    """Folder for the results; without it they go beside each photo."""
    save: Annotated[str, Flag("LIST")] = "sbs"
    """sbs (left and right side by side), half-sbs (each at half its width, for televisions and headsets), anaglyph (for
    red and cyan glasses), mpo (both in one file, photos alone), left, right; comma-separated."""
    depth: Annotated[str | None, Flag("FILE")] = None
    """Depth of the photo that exists already, as for `refocus`: a file; beside: photo_disp.npy beside each photo;
    embedded: that in the photo's own file, which is taken without it, too; predict: none of it."""
    resize_depth: bool = False
    """Stretch a depth file of another size onto the photo."""
    model: Annotated[str, Flag("NAME")] = "auto"
    """A bundled model, a model's folder, or a Hub repository (owner/name), also of a depth model of transformers
    (docs/models.md)."""
    device: Annotated[str, Flag("NAME")] = "cpu"
    """What the network runs on: auto, cpu, cuda, cuda:1, mps. The other eye is computed on the CPU."""
    camera: Annotated[str, Flag("NAME|FILE")] = "auto"
    """What took the photos, as for `predict`: pinhole, or a JSON file with a camera."""
    field_of_view: Annotated[float | None, Flag("DEGREES")] = None
    """Along the longer side, of photos and clips whose files do not tell their focal length, or not the right one."""
    resume: bool = False
    """Leave what is there already, made by the same model and flags of the same file; in runs of several inputs that
    is so without it."""
    overwrite: bool = False
    """Replace any file that has the name of a result, and make again what is there. Without it only earlier results for
    the same input are replaced; where there is another file, results get the next free number."""
    max_megapixels: Annotated[float, Flag("N")] = 120.0
    """Larger photos are refused before they are decoded."""


def main(arguments: list[str]) -> int:
    return run(parse(Stereo, arguments, "cyclopean stereo"))


def run(options: Stereo) -> int:
    """Make the second eye of every input; return 0 when all went well, 2 when one was bad."""
    layouts = _checked_names(options)
    camera, known = known_camera(options.camera, options.field_of_view)
    jobs, refused = jobs_for(options.photos, options.out)
    bad = [*refused.values()]
    if options.depth not in (BESIDE, *EMBEDDED) and len(jobs) + len(bad) != 1:
        raise InputError(f"--depth {options.depth} belongs to one photo, and {len(jobs)} were given; give one.")
    implied = _implied(options, layouts, jobs)
    written: list[Path] = []
    count, skipped = len(jobs) + len(bad), 0
    if jobs:
        loading("stereo", f"torch and the model {options.model}")
        from cyclopean.inference.folder_pipeline import Input, results_there
        from cyclopean.inference.photo_pipeline import Models
        from cyclopean.inference.stereo_pipeline import SIDECAR, StereoOptions, stereo_photo
        from cyclopean.stereoscopy.pair import check

        eyes = options.eyes
        check(eyes.parallax, eyes.converge, eyes.baseline, eyes.eye)
        how = StereoOptions(
            tuple(layouts), eyes.parallax, eyes.converge, eyes.at, eyes.baseline, eyes.eye, options.resize_depth,
            camera, known, options.max_megapixels, embedded=EMBEDDED.get(options.depth, "ignore"),
        )  # fmt: skip
        check_writable(job.folder for job in jobs)
        models = Models(options.model, options.device)
        models.check()
        for job in with_progress(jobs, "second eyes") if len(jobs) > 1 else jobs:
            target = replace(job.target(overwrite=options.overwrite), implied=implied)
            with contained(str(job.source), bad), fetched(job.source, job.folder) as path:
                again = options.overwrite or options.depth not in EMBEDDED or not (options.resume or len(jobs) > 1)
                if not again and (there := results_there(Input(path, target), models, how.settings, SIDECAR)):
                    skipped += 1
                    emit({"source": job.source, "state": "skipped", "files": there})
                    continue
                if is_film(path):
                    done = _of_clip(path, target, models, how, options)
                else:
                    file = depth_beside(path) if options.depth == BESIDE else Path(str(options.depth))
                    done = stereo_photo(path, target, models.for_photo if options.depth in EMBEDDED else file, how)
                for note in done.notes:
                    remark(note, "stereo")
                emit({"source": job.source, "state": "done", "files": done.paths, "notes": done.notes})
                written += done.paths
    if count == 1 and not skipped:
        for path in written:
            print(printable(path))
    else:
        folders = ", ".join(dict.fromkeys(printable(path.parent) for path in written))
        results = f", results in {folders}" if folders else ""
        print(f"{count - len(bad) - skipped} done{done_before(skipped)}{results}; {len(bad)} failed.")
    for sentence in bad:
        print(f"cyclopean stereo: {'failed: ' if count > 1 else ''}{printable(sentence)}", file=sys.stderr)
        emit({"state": "failed", "error": sentence})
    return 2 if bad else 0


def _checked_names(options: Stereo) -> list[str]:
    """Return the layouts to save. Raises InputError for any name that means nothing."""
    layouts = comma_list("layout", options.save, LAYOUTS)
    if not layouts:
        raise InputError(f"--save names nothing to write; choose from {', '.join(LAYOUTS)}.")
    if options.eyes.eye not in EYES:
        raise unknown_name("eye", options.eyes.eye, EYES)
    if not options.photos:
        raise InputError("no photo was given; name photos, folders or clips: cyclopean stereo photo.jpg")
    if options.depth not in (BESIDE, *EMBEDDED) and not Path(str(options.depth)).exists():
        raise InputError(f"there is no depth file {options.depth}; check the path.")
    refuse_unknown_model(options.model)
    refuse_unknown_device(options.device)
    return layouts


def _implied(options: Stereo, layouts: list[str], jobs: list[Job]) -> str:
    """Return the ending that a file named by --out stands for; "" without one. Raises InputError for another kind of
    file than the first layout is written to."""
    named = named_file(options.out)
    if named is None or not jobs:
        return ""
    source = jobs[0].source
    ending = source.suffix.lower()
    if ending in CLIPS:
        suffix = ending if ending in H264_SUFFIXES else H264_SUFFIXES[-1]
    else:
        suffix = ".mpo" if layouts[0] == "mpo" else ending if ending in JPEGS else ".png"
    check_result_name(named, source, (suffix,))
    return LAYOUTS[layouts[0]]


def _of_clip(source: Path, target: Target, models: "Models", how: "StereoOptions", options: Stereo) -> "Written":
    """Write the second eye of a clip, beside a bar."""
    refuse_sphere_of_clip(source, how.camera)
    if options.depth not in (None, "predict") or options.resize_depth:
        raise InputError(f"{source} is a clip, and --depth is for photos; leave it out.")
    from cyclopean.inference.clip import result_suffix
    from cyclopean.inference.clip_pipeline import clip_notes
    from cyclopean.inference.stereo_clip import stereo_clip
    from cyclopean.io.video_tracks import other_container

    result = target.folder / f"{target.stem}{result_suffix(source.suffix)}"
    with progress_bar(source.name) as progress:
        written = stereo_clip(source, target, models.for_video(), how, progress)
    notes = *clip_notes(source, result, how.max_megapixels), *other_container(source, result)
    return replace(written, notes=(*notes, *written.notes))
