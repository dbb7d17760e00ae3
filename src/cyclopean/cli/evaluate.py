"""`cyclopean evaluate`: models and predictions beside trivial guesses on data with true depth, by a named protocol."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopean.cli import verbose
from cyclopean.cli.early import loading, refuse_missing_backend, refuse_unknown_model
from cyclopean.cli.output import emit, remark
from cyclopean.cli.parsing import check_writable_file, named_look, named_post_process, parse, with_progress, write_whole
from cyclopean.errors import InputError, contained, unknown_name, usable_device
from cyclopean.evaluation.protocols import PROTOCOLS, Protocol
from cyclopean.flags import Flag
from cyclopean.io.files import at_home, printable

if TYPE_CHECKING:
    from cyclopean.evaluation.entries import DepthDataset, Entry
    from cyclopean.evaluation.summary import Result
    from cyclopean.evaluation.view_synthesis import ViewSynthesisResult


@dataclass(frozen=True)
class PredictionFlags:
    """Depth that other programs made."""

    predictions: str = ""
    """Folders of .npy or 16-bit .png files (also .npz, .exr, .pfm), or single .npy files of all maps (such as
    Monodepth's disparities.npy), comma-separated. They may have a size of their own."""
    kind: str = ""
    """What their numbers are: disparity (fraction of the width, as Monodepth's arrays), disparity_px (pixels of the
    map's own width), inverse_depth, or depth."""
    unit: str = "m"
    """m: depth is metres, or a disparity that the rig of the data turns into metres; relative: up to scale."""
    per_unit: float = 1.0
    """Counts of one unit: 256 for KITTI's 16-bit pictures, 1000 for millimetres."""
    baseline: float | None = None
    """Metres, for disparities of data without a pair (Monodepth on Make3D: 0.22)."""
    focal: float | None = None
    """Image widths, with --baseline: of the camera that the predictions assume (Monodepth on Make3D: 1.1045)."""
    in_order: bool = False
    """Files belong to the items one after the other, sorted; else they are named as the pictures are."""
    covers: str = "picture"
    """What a map shows: the whole picture, the protocol's crop alone, or a part by its name: kitti_benchmark (the
    bottom middle 1216x352 pixels), garg, eigen, nyu or another crop of a protocol."""


@dataclass(frozen=True)
class Evaluate:
    """Measure models against true depth, beside guesses that look at no picture; or compare two measurements.

    Prints a sentence on each model and one table for each data set; -v adds every alignment, distance and group. Pairs
    without true depth are judged by how well the other view is remade. See docs/evaluation.md, and docs/data.md for
    the data sets.
    """

    data: str = ""
    """KIND:PATH or PATH (a folder of rendered worlds or stereo pairs with depth), comma-separated. KIND: folder,
    traced, middlebury, seven_scenes, kitti_object, motorcycle (no path), or another of docs/data.md."""
    protocol: str = "open-1"
    """How to judge, comma-separated: open-1, kitti-eigen-raw, kitti-eigen-crop, kitti-eigen-uncropped,
    kitti-eigen-improved, kitti-eigen-clamped, kitti-2015, kitti-2015-by-width, make3d-c1, make3d-c1-middle, middlebury,
    nyu, worlds; of panoramas spherical, spherical-released, depth-anywhere, depth-anywhere-area,
    depth-anywhere-guarded, depth-anywhere-guarded-area."""
    model: str = ""
    """Model name, model folder, folder of depth files, or Hub id, comma-separated; none for the guesses alone. Without
    it, general, or what --predictions names. With --compare: the model of A and the one of B."""
    elsewhere: PredictionFlags = PredictionFlags()
    factor: float | None = None
    """What depth is multiplied with under the alignment "factor" (Monodepth2's stereo models: 5.4); without it, fitted
    on the set."""
    compare: Annotated[tuple[Path, Path] | None, Flag("A.json B.json")] = None
    """Two files of --json: which images, distances and alignment explain their difference. Needs no --data."""
    alignment: str | None = None
    """With --compare: the alignment that orders the images."""
    flip_average: bool = False
    """Average with the mirrored picture, as `predict --flip-average` does (Monodepth's post-processing)."""
    post_process: Annotated[str, Flag("NAME")] = ""
    """Join several looks, as `predict --post-process` does: monodepth, falnet, aquanet, aquanet-draft (the "PP" and "P"
    of tables)."""
    look: str = ""
    """trained: pictures are shown to models at the very size they were trained at, as papers do; aspect: in their own
    shape, with about as many pixels, as `predict` does. Without it, as a model's config.json says, else trained."""
    device: str = "cpu"
    """Where models run: auto (a GPU if there is one), cpu, cuda, cuda:1, mps."""
    backend: Literal["torch", "onnxruntime"] = "torch"
    """What runs the model. onnxruntime (pip install 'cyclopean[fast]'): the same depth sooner, on the CPU."""
    alone: bool = False
    """Leave the guesses out (they read the data once more)."""
    one_look: bool = False
    """Models of panoramas look once, plainly, as papers judge theirs: no second look half a turn apart, no details."""
    training_mean: str | None = None
    """The training set's mean inverse depth as a further guess: a .npy made by --save-mean, or KIND:PATH to average.
    Of panoramas also its mean at each latitude."""
    save_mean: Path | None = None
    """Where to store the mean of --training-mean, .npy."""
    json: Path | None = None
    """Where to write all figures, image by image, with what is needed to repeat them."""
    markdown: Path | None = None
    """Where to write the tables for a page."""
    latex: Path | None = None
    """Where to write the tables for a paper (booktabs)."""
    limit: int | None = None
    """Judge only the first so many items of each data set."""
    seed: int = 0
    """Seed of the bootstrap."""


def main(arguments: list[str]) -> int:
    """Parse and run; returns the exit code."""
    return run(parse(Evaluate, arguments, "cyclopean evaluate"))


def run(options: Evaluate) -> int:
    """Measure, print and write; return 2 if images or data sets were left out, else 0.

    Everything is opened before anything is measured, so that a wrong name costs no time. Images that cannot be read or
    judged, and data sets without any other, are named and left out, the rest goes on.
    """
    for path in filter(None, (options.json, options.markdown, options.latex, options.save_mean)):
        if not path.parent.is_dir():
            raise InputError(f"{path.parent} is not a folder; make it first, or give another place for {path.name}.")
        check_writable_file(path)
    if options.compare is not None:
        return _compare(options.compare, options)
    _check(options)
    data_names, protocol_names = _names(options.data), _names(options.protocol)
    model_names = [name for name in _names(options.model or "general") if name != "none"]
    if options.elsewhere.predictions and not options.model:
        model_names = []
    _check_names(options, data_names, protocol_names, model_names)
    loading("evaluate", ", ".join([*model_names, *data_names]))
    usable_device(options.device)
    from cyclopean.data import open_dataset
    from cyclopean.evaluation import trivial

    variants = [variant for name in protocol_names for variant in PROTOCOLS[name]]
    sets = {name: open_dataset(name) for name in data_names}
    models = _open_models(model_names, options)
    guesses = [] if options.alone else [*trivial.guesses(), *_training_means(options, variants)]
    _note_trained_on(model_names, data_names)
    results: list[Result] = []
    by_pictures: list[ViewSynthesisResult] = []
    refused: list[str] = []  # a sentence for each data set of which nothing can be judged
    for name, data in sets.items():
        with contained(name, refused):
            judged, remade = _judge((name, data), variants, (models, guesses), options)
            results += judged
            by_pictures += remade
    if results or by_pictures:
        _report(results, by_pictures, options)
    failed: dict[str, str] = {}
    for one in (*(result.counts.failed for result in results), *(one.failed for one in by_pictures)):
        failed |= one
    for reason in (*list(failed.values())[:5], *refused):
        print(f"cyclopean evaluate: {printable(reason)}", file=sys.stderr)
    for reason in refused:
        emit({"error": reason})
    if failed:
        print(f"cyclopean evaluate: images left out of every row: {len(failed)}.", file=sys.stderr)
    return 2 if failed or refused else 0


def _judge(
    named: "tuple[str, DepthDataset]",
    variants: Sequence[Protocol],
    candidates: "tuple[Sequence[Entry], Sequence[Entry]]",
    options: Evaluate,
) -> "tuple[list[Result], list[ViewSynthesisResult]]":
    """Return the results of models and guesses on one data set: against its truth or, without any, its pictures."""
    from cyclopean.evaluation import trivial, view_synthesis
    from cyclopean.evaluation.entries import in_metres
    from cyclopean.evaluation.summary import judge_dataset

    (name, data), (models, guesses) = named, candidates
    indices = range(min(len(data), options.limit or len(data)))
    entries = [in_metres(model, data) for model in models]
    by_pair = [entry.name for entry, model in zip(entries, models, strict=True) if entry is not model]
    if by_pair:
        note = "metres are by the focal length and baseline of each pair"
        remark(f"{', '.join(by_pair)} knows no rig: {note} of {name}.")
    progress = partial(with_progress, title=name)
    if not view_synthesis.has_truth(data, indices):
        rows = [] if options.alone else [view_synthesis.unmoved()]
        rows += [*guesses, *entries, *_predictions(options, data)]
        return [], [view_synthesis.judge(rows, name, data, progress(indices), options.seed)]
    rows = list(guesses)
    if not options.alone and len(indices) > 1:
        mean = trivial.leave_one_out(data, with_progress(indices, f"{name}: mean"))
        rows += [mean] if mean else []
    rows += [*entries, *_predictions(options, data)]
    factor, seed = options.factor, options.seed
    return judge_dataset(name, data, indices, rows, variants, factor=factor, seed=seed, progress=progress), []


def _report(results: "list[Result]", by_pictures: "list[ViewSynthesisResult]", options: Evaluate) -> None:
    from cyclopean.evaluation import report, view_synthesis

    screens = [*report.screens(results), *([report.legend(results)] if results else [])]
    print(printable("\n\n".join([*screens, *map(view_synthesis.screen, by_pictures)])))
    if verbose() and results:
        print(printable("\n" + "\n\n".join(map(report.text, results))))
    if options.markdown:
        pages = [*map(report.markdown, results), *map(view_synthesis.markdown, by_pictures)]
        write_whole(options.markdown, "\n".join(pages))
    if options.latex:
        write_whole(options.latex, "\n".join([*map(report.latex, results), *map(view_synthesis.latex, by_pictures)]))
    content = report.as_json(results, ["cyclopean", "evaluate", *sys.argv[2:]])
    content |= {"photometric": list(map(view_synthesis.as_json, by_pictures))}
    emit(content)
    if options.json:
        write_whole(options.json, json.dumps(content, indent=1) + "\n")


def _compare(files: tuple[Path, Path], options: Evaluate) -> int:
    if options.data or options.elsewhere != PredictionFlags():
        raise InputError("--compare reads two results and measures nothing; leave --data and --predictions out.")
    from cyclopean.evaluation import compare

    a, b = (compare.load(path) for path in files)
    models = _names(options.model) if options.model else []
    if len(models) > 2:
        raise InputError(f"--compare sets one model beside another, {len(models)} were named; give --model A,B.")
    comparisons = compare.compare(a, b, models, options.alignment, options.seed)
    print(printable(compare.text(comparisons)))
    emit({"comparisons": compare.as_json(comparisons)})
    if options.markdown:
        write_whole(options.markdown, compare.markdown(comparisons))
    if options.latex:
        write_whole(options.latex, compare.latex(comparisons))
    if options.json:
        write_whole(options.json, json.dumps(compare.as_json(comparisons), indent=1) + "\n")
    return 0


def _check(options: Evaluate) -> None:
    """Raise InputError for options that contradict each other."""
    elsewhere = options.elsewhere
    if not options.data:
        raise InputError("no data was given; name it with --data KIND:PATH, such as --data motorcycle.")
    if options.save_mean and options.training_mean is None:
        raise InputError("--save-mean has nothing to store; name the training set with --training-mean.")
    if options.limit is not None and options.limit < 1:
        raise InputError(f"--limit is {options.limit}; it needs a number of items above 0.")
    if options.look:
        named_look(options.look)
    if options.factor is not None and not options.factor > 0:
        raise InputError(f"--factor is {options.factor:g}; it needs a number above 0.")
    if options.alone and options.training_mean is not None:
        raise InputError("--alone leaves the guesses out and --training-mean asks for one; give one of them.")
    if named_post_process(options.post_process, options.flip_average) and options.one_look:
        flag = "--post-process several times" if options.post_process else "--flip-average twice"
        raise InputError(f"--one-look looks once and {flag}; give one of them.")
    if elsewhere.predictions and not elsewhere.kind:
        raise InputError("--predictions needs --kind: disparity, disparity_px, inverse_depth or depth.")
    if not elsewhere.predictions and elsewhere != PredictionFlags():
        raise InputError("--kind, --unit and the like say what --predictions are; name those too.")


def _check_names(options: Evaluate, data: Sequence[str], protocols: Sequence[str], models: Sequence[str]) -> None:
    """Raise InputError for names of nothing."""
    from cyclopean.data import named
    from cyclopean.training.models import is_model

    for name in data:
        named(name)
    for name in protocols:
        if name not in PROTOCOLS:
            raise unknown_name("protocol", name, PROTOCOLS)
    for name in models:
        if is_model(at_home(name)) or not at_home(name).is_dir():  # a folder may hold depth files
            refuse_unknown_model(name)
    refuse_missing_backend(options.backend)
    for name in _names(options.elsewhere.predictions) if options.elsewhere.predictions else ():
        if not at_home(name).exists():
            raise InputError(f"{name} does not exist; give folders or .npy files of predictions.")


def _open_models(names: Sequence[str], options: Evaluate) -> "list[Entry]":
    """Return the models; those that would share a name (runs/a/last, runs/b/last) keep their whole path."""
    from cyclopean.evaluation.entries import one_look, open_entry
    from cyclopean.inference.wrappers import POST_PROCESSES, plain

    post_process = named_post_process(options.post_process, options.flip_average)
    see = POST_PROCESSES[post_process] if post_process else plain
    look = named_look(options.look) if options.look else None
    entries = {
        name: one_look(name, options.device, options.backend)
        if options.one_look
        else open_entry(name, options.device, see, look, options.backend)
        for name in names
    }
    titles = [entry.name for entry in entries.values()]
    return [replace(e, name=name) if titles.count(e.name) > 1 else e for name, e in entries.items()]


def _predictions(options: Evaluate, data: "DepthDataset") -> "list[Entry]":
    """Return the predictions made elsewhere."""
    elsewhere = options.elsewhere
    if not elsewhere.predictions:
        return []
    from cyclopean.evaluation.predictions import Meaning, read_predictions

    meaning = Meaning(**{field.name: getattr(elsewhere, field.name) for field in fields(Meaning)})
    return [read_predictions(path, meaning, data, elsewhere.in_order) for path in _names(elsewhere.predictions)]


def _training_means(options: Evaluate, variants: Sequence[Protocol]) -> "list[Entry]":
    if options.training_mean is None:
        return []
    from cyclopean.data import open_dataset
    from cyclopean.evaluation import trivial

    source = options.training_mean
    mean = trivial.load_mean(source) if source.endswith(".npy") else trivial.mean_inverse_depth(open_dataset(source))
    if options.save_mean:
        trivial.save_mean(options.save_mean, mean)
    sphere = any(variant.weights == "sphere" for variant in variants)
    return [trivial.training_mean(mean), *([trivial.latitude_mean(mean)] if sphere else [])]


def _note_trained_on(models: Sequence[str], data: Sequence[str]) -> None:
    """Print a note for each model that is judged on what it was trained on."""
    from cyclopean.data import same_data
    from cyclopean.training.models import is_model, trained_on

    for model in models:
        learned = trained_on(model) if is_model(Path(model)) else []
        known = [name for name in data if any(same_data(name, one) for one in learned)]
        if known:
            remark(
                f"{model} was trained on {', '.join(known)}, but for what may have been held out: its figures there "
                "flatter it; judge it on data that it has not seen."
            )


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError(f"{text!r} names nothing; give at least one name, several comma-separated.")
    return names
