"""`cyclopean predict`: depth of photos, folders and videos, in files that say what their numbers mean."""

import math
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopean.cli.early import known_camera, loading, refuse_metres, refuse_missing_backend, refuse_unknown_model
from cyclopean.cli.jobs import count_in, jobs_for, jobs_in
from cyclopean.cli.output import done_before, emit, remark
from cyclopean.cli.parsing import (
    check_result_name,
    check_writable,
    comma_list,
    height_width,
    named_file,
    named_look,
    named_post_process,
    parse,
    progress_bar,
    with_progress,
)
from cyclopean.errors import InputError, unknown_name, usable_device
from cyclopean.flags import Flag
from cyclopean.inference import ARRAYS, CLOUDS
from cyclopean.io.files import printable
from cyclopean.io.manifest import manifest
from cyclopean.io.remote import fetched, is_clip

if TYPE_CHECKING:
    from cyclopean.inference.bulk import Done
    from cyclopean.inference.folder_pipeline import Input, Predicting
    from cyclopean.inference.photo_pipeline import DepthOptions, EmbeddedUse, Models, Written


EMBEDDED: dict[str, "EmbeddedUse"] = {"": "mention", "embedded": "require", "predict": "ignore"}


@dataclass(frozen=True)
class Predict:
    """Depth of photos, of folders of photos, and of videos.

    For photo.jpg: photo_disp.npy (float32, the photo's size, larger = nearer), photo_disp.png (colours, bright = near)
    and photo_disp.json (what the numbers are). For clip.mp4: clip_disp.mp4 in one fixed range of colours, and its json.
    """

    photos: Annotated[tuple[str, ...], Flag("PHOTO|FOLDER|VIDEO|LIST|URL ...", positional=True)] = ()
    """What to look at; as many as you like. A list is a .txt file with one of them on each line, - is a list on the
    standard input; URLs are those of s3, gs, az, hf, https and others (docs/shell.md), of a folder with / at the
    end."""
    out: Annotated[str | None, Flag("DIR|FILE")] = None
    """Folder for the results; without it they go beside each photo. Of one photo also the name of a file, whose suffix
    is that of a format: near.exr writes near.exr, near.npy, near.png and near.json."""
    save: Annotated[str, Flag("LIST")] = ""
    """More files, comma-separated: npz, exr, pfm, png16 (with its scale in a sidecar), ply, glb. For a video: one array
    per frame (npy, npz, exr, pfm, png16) in the folder clip_disp."""
    view: Annotated[str, Flag("html")] = ""
    """html: also photo_view.html, one file to look around in with any browser, without a network."""
    model: Annotated[str, Flag("NAME")] = "auto"
    """A bundled model, a model's folder, or a Hub repository (owner/name), also of a depth model of transformers
    (docs/models.md). auto: general; for panoramas, panorama."""
    camera: Annotated[str, Flag("NAME|FILE")] = "auto"
    """What took the photos: pinhole, equirectangular (a whole panorama), top-bottom or side-by-side (two panoramas in
    one picture; the first is used). auto: panoramas are told by their metadata, or by their shape and seam. Or a JSON
    file with the camera of ordinary ones: a camera profile, a sidecar."""
    field_of_view: Annotated[float | None, Flag("DEGREES")] = None
    """Along the longer side, of photos and clips whose files do not tell their focal length, or not the right one."""
    via_cube: bool = False
    """See panoramas through ten overlapping faces, with a model for ordinary photos; other photos are refused."""
    flip_average: bool = False
    """Look at the mirror image too and join both (Monodepth's post-processing): better borders, twice the time."""
    post_process: Annotated[str, Flag("NAME")] = ""
    """Join several looks, as the paper of that name does: monodepth (--flip-average), falnet (with a smaller, mirrored
    one, for what is near), aquanet (three sizes, for methods that find details in large pictures), aquanet-draft (its
    release: two of the three mirrored)."""
    depth: Annotated[str, Flag("predict|embedded")] = ""
    """embedded: write the depth that a phone put into the photo's own file, drawn to the photo's edges. Without it
    depth is predicted, and what is there is noted; predict: not noted."""
    right: Annotated[str | None, Flag("PHOTO")] = None
    """The right picture of a stereo pair, for a model that looks at two (trained with --variant stereo)."""
    profile: Annotated[str | None, Flag("FILE")] = None
    """A camera profile (cyclopean app, tab Metres), which puts depth of photos of that camera in metres."""
    known: Annotated[tuple[float, float, float, float, float, float] | None, Flag("X Y M X Y M")] = None
    """Two points of one photo and how far each is from the camera, in metres: puts depth in metres where a model leaves
    scale and shift unknown. Points as for `refocus --at`."""
    uncertainty: Annotated[int, Flag("N")] = 0
    """Look N times with other colours, half of them at the mirror image, and write how far the answers differ:
    photo_uncertainty.npy (standard deviation of inverse depth) and photo_uncertainty.png (bright = unsure)."""
    look: Annotated[str, Flag("NAME")] = "aspect"
    """aspect: the model works on the photo in its own shape; trained: squeezed to the very size it was trained at, as
    `evaluate` does."""
    size: Annotated[str | None, Flag("HxW")] = None
    """About how many pixels the model works on, such as 256x512; without it, the size it was trained at."""
    batch: Annotated[int, Flag("N")] = 1
    """Photos in a row that have one size, or frames of a clip, that go through the network together: for a GPU. In any
    case the next ones are read, and results are written, while it runs."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the network's layers; 16 bits are for a GPU, and change depth a little. The sidecar states it."""
    compile: bool = False
    """Compile the network first (torch.compile), which takes up to minutes: for long runs on a GPU, with Triton and a C
    compiler."""
    steady: bool = True
    """Write every frame of a video as predicted: without it, the scale (and the shift, where a model leaves that
    unknown) of each frame's depth is aligned to the frames before."""
    device: Annotated[str, Flag("NAME")] = "cpu"
    """auto, cpu, cuda, cuda:1, mps."""
    backend: Literal["torch", "onnxruntime"] = "torch"
    """What runs the model. onnxruntime (pip install 'cyclopean[fast]'): the same depth sooner, on the CPU."""
    workers: int = 1
    """Processes of this machine, or of the cluster, for very many inputs and with --out: what an earlier run made of
    the same files, by the same model and flags, is left as it is, and manifest.jsonl states what became of each."""
    cluster: Annotated[str | None, Flag("auto|ADDRESS")] = None
    """The same on a Ray cluster that shares these folders: auto (the one that this machine belongs to, or this machine
    alone), or its address."""
    overwrite: bool = False
    """Replace any file that has the name of a result. Without it only earlier results for the same input are replaced;
    where there is another file, results get the next free number."""
    max_megapixels: Annotated[float, Flag("N")] = 120.0
    """Larger photos are refused before they are decoded."""


def main(arguments: list[str]) -> int:
    return run(parse(Predict, arguments, "cyclopean predict"))


def run(options: Predict) -> int:
    """Predict every input; return 0 when all went well, 2 when one was bad."""
    saved, post_process = _checked_names(options)
    if options.workers != 1 or options.cluster is not None:
        return _predict_many(options, saved, post_process)
    jobs, refused = jobs_for(options.photos, options.out)
    if jobs and (named := named_file(options.out)) is not None:
        formats = {Path(ending).suffix: name for name, ending in (ARRAYS | CLOUDS).items() if name != "png16"}
        clip = is_clip(jobs[0].source)
        check_result_name(named, jobs[0].source, (".mp4",) if clip else (*formats, ".png"))
        saved = tuple(dict.fromkeys((*saved, *(formats[s] for s in (named.suffix.lower(),) if s in formats))))
    if options.known is not None and (len(jobs) != 1 or options.uncertainty):
        raise InputError("--known gives scale and shift of the depth of one photo; give one, and no --uncertainty.")
    if options.right is not None and len(jobs) != 1:
        raise InputError(f"--right {options.right} belongs to one photo, the left of its pair; {len(jobs)} were given.")
    folders: dict[str, None] = {}  # of results, in order
    count = len(jobs) + len(refused)
    if jobs:
        loading("predict", f"torch and the model {options.model}")
        usable_device(options.device)
        from cyclopean.inference.folder_pipeline import Input, predict_all
        from cyclopean.inference.metric_calibration import metres_from

        work = _work(options, saved, post_process)
        depth_options = work.fitted_options()
        if options.known is not None:
            depth_options = replace(depth_options, profile=metres_from(None, options.known), settings="")
        check_writable(job.folder for job in jobs)
        models = work.models()
        models.check()
        inputs = [Input(job.source, job.target(overwrite=options.overwrite)) for job in jobs]
        of_clip = partial(_predict_clip, models=models, options=depth_options, work=work)
        with closing(predict_all(inputs, models, depth_options, of_clip, batch=options.batch)) as done:
            for one in with_progress(done, "predicting", len(jobs)) if len(jobs) > 1 else done:
                record = _record(one)
                if one.error:
                    refused[record["source"]] = record["error"]
                    continue
                _print_notes(one.result.notes)
                emit(record)
                if count == 1:
                    print(*map(printable, one.result.paths), sep="\n")
                folders |= dict.fromkeys(printable(path.parent) for path in one.result.paths)
    if count > 1:
        names = ", ".join(folders)
        print(f"{count - len(refused)} done{f', results in {names}' if names else ''}; {len(refused)} failed.")
    for source, error in refused.items():
        print(f"cyclopean predict: {'failed: ' if count > 1 else ''}{printable(error)}", file=sys.stderr)
        emit({"source": source, "state": "failed", "error": error})
    return 2 if refused else 0


def _record(done: "Done") -> dict[str, Any]:
    """Return what became of an input, for --output json and the manifest."""
    source, written = str(done.input), done.result
    if done.error:
        named = source in done.error or done.input.source.name in done.error
        return {"source": source, "state": "failed", "error": done.error if named else f"{source}: {done.error}"}
    return {"source": source, "state": "skipped" if written.skipped else "done", "files": [*map(str, written.paths)]}


def _checked_names(options: Predict) -> tuple[tuple[str, ...], str]:
    """Return the formats to save and the way to join looks. Raises InputError for any flag that means nothing."""
    comma_list("view", options.view, ["html"])
    named_file(options.out)
    saved = tuple(comma_list("format", options.save, [*ARRAYS, *CLOUDS]))
    named_look(options.look)
    size = height_width("--size", options.size) if options.size else None
    if size and not math.prod(size) <= options.max_megapixels * 1e6:
        raise InputError(
            f"--size {options.size} is {math.prod(size) / 1e6:.3g} megapixels, the limit is "
            f"{options.max_megapixels:g}; give a smaller one, or raise the limit with --max-megapixels."
        )
    if not options.photos:
        raise InputError("no photo was given; name photos, folders or videos: cyclopean predict photo.jpg")
    post_process = named_post_process(options.post_process, options.flip_average)
    known_camera(options.camera, options.field_of_view)
    refuse_unknown_model(options.model)
    refuse_missing_backend(options.backend)
    if options.precision != "float32" and (options.backend != "torch" or options.right or options.uncertainty):
        raise InputError(
            f"--precision {options.precision} is for torch and one look at single photos; leave --backend, --right and "
            "--uncertainty out."
        )
    if options.compile and (options.device == "cpu" or options.backend != "torch"):
        raise InputError("--compile is for torch on a GPU: give --device cuda; on the CPU --backend onnxruntime helps.")
    if options.batch < 1:
        raise InputError(f"--batch is {options.batch}; it needs a number of photos, 1 or more.")
    if options.uncertainty < 0 or options.uncertainty == 1:
        raise InputError(f"--uncertainty {options.uncertainty} means nothing; give at least 2 looks.")
    refuse_metres(options.profile, options.known)
    if options.depth not in EMBEDDED:
        raise unknown_name("--depth", options.depth, [name for name in EMBEDDED if name])
    if options.depth == "embedded" and (options.uncertainty or options.right):
        raise InputError("--depth embedded predicts nothing; leave --uncertainty and --right out.")
    return saved, post_process


def _work(options: Predict, saved: tuple[str, ...], post_process: str) -> "Predicting":
    """Return what is done to each input: the names of formats and of the way to join looks are checked."""
    from cyclopean.inference.folder_pipeline import Predicting
    from cyclopean.inference.photo_pipeline import DepthOptions

    camera, known = known_camera(options.camera, options.field_of_view)
    return Predicting(
        options.model,
        DepthOptions(
            saved, bool(options.view), options.uncertainty, None,
            None if options.right is None else Path(options.right), camera, known, options.max_megapixels,
            embedded=EMBEDDED[options.depth],
        ),
        options.device, options.via_cube, post_process, named_look(options.look),
        height_width("--size", options.size) if options.size else None,
        None if options.profile is None else Path(options.profile), options.steady, options.overwrite, options.backend,
        batch=options.batch, precision=options.precision, compile=options.compile,
    )  # fmt: skip


def _predict_clip(one: "Input", models: "Models", options: "DepthOptions", work: "Predicting") -> "Written":
    """Write the files of a clip beside a bar, after printing notes about it."""
    from cyclopean.inference.clip_pipeline import clip_notes
    from cyclopean.inference.folder_pipeline import predict_input, refuse_for_clip, settings_of

    of_one = replace(options, settings=settings_of(one, options.settings))
    with fetched(one.source, one.target.folder) as path:
        refuse_for_clip(path, models, options)
        _print_notes(clip_notes(path, max_megapixels=options.max_megapixels))
        with progress_bar(path.name) as progress:
            return predict_input(
                path, one.target, models, of_one, steady=work.steady, batch=work.batch, progress=progress
            )


def _predict_many(options: Predict, saved: tuple[str, ...], post_process: str) -> int:
    """Predict very many inputs by several processes, but for what is done; return 0 when all went well, else 2."""
    out, places = Path(options.out or ""), [Path(name) for name in options.photos]
    apart = options.out is not None and named_file(options.out) is None
    if not apart or any(place.is_dir() and place.resolve() == out.resolve() for place in places):
        raise InputError(
            "--workers and --cluster are for inputs whose results go to a folder of their own: "
            "cyclopean predict FOLDER --out RESULTS --workers 4"
        )
    if options.workers < 1 or options.known is not None or options.right is not None:
        raise InputError(
            f"--workers {options.workers}: give at least 1, and neither --known nor --right, which are of one photo."
        )
    refused: dict[str, str] = {}
    if len(places) == 1 and places[0].is_dir():  # of any size: not even its names are kept
        suffixes = count_in(places[0])
        count, jobs = suffixes.total(), jobs_in(places[0], out, tuple(suffixes))
    else:
        listed, refused = jobs_for(options.photos, options.out)
        count, jobs = len(listed), iter(listed)
    loading("predict", f"torch and the model {options.model}")
    usable_device(options.device)
    from cyclopean.inference import bulk
    from cyclopean.inference.folder_pipeline import Input

    check_writable([out])
    work = _work(options, saved, post_process)
    work.models().check()
    inputs = (Input(job.source, job.target(overwrite=options.overwrite)) for job in jobs)
    states: Counter[str] = Counter()
    with manifest(out) as add:

        def report(record: dict[str, Any], notes: Sequence[str] = ()) -> None:
            states[record["state"]] += 1
            add({**record, **{key: [*map(relative, record[key])] for key in ("files",) if key in record}})
            emit(record)
            _print_notes(notes)
            if "error" in record:
                print(f"cyclopean predict: failed: {printable(record['error'])}", file=sys.stderr)

        def relative(path: str) -> str:
            return Path(path).relative_to(out).as_posix()

        for source, error in refused.items():
            report({"source": source, "state": "failed", "error": error})
        for done in with_progress(bulk.run(work, inputs, options.workers, options.cluster), "predicting", count):
            report(_record(done), () if done.error else done.result.notes)
    before = done_before(states["skipped"])
    print(f"{states['done']} done{before}, results in {printable(out)}; {states['failed']} failed.")
    return 2 if states["failed"] else 0


def _print_notes(notes: Sequence[str]) -> None:
    for note in notes:
        remark(note, "predict")
