"""`cyclopean evaluate`: models and predictions beside trivial guesses on data with true depth, by a named protocol."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopean.choices import PROTOCOLS
from cyclopean.cli import verbose
from cyclopean.cli.early import loading, refuse_unknown_model
from cyclopean.cli.parsing import check_writable_file, named_look, parse, with_progress, write_whole
from cyclopean.devices import usable
from cyclopean.errors import InputError, unknown_name
from cyclopean.flags import Flag
from cyclopean.io.files import shown

if TYPE_CHECKING:
    from cyclopean.evaluation.photometric import Remade
    from cyclopean.evaluation.protocols import Protocol
    from cyclopean.evaluation.report import Result, Table
    from cyclopean.evaluation.trivial import Candidate, Truths


@dataclass(frozen=True)
class Elsewhere:
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
    nyu, worlds; of panoramas spherical, spherical-released, depth-anywhere, depth-anywhere-area."""
    model: str = ""
    """Model name, model folder, folder of depth files, or Hub id, comma-separated; none for the guesses alone. Without
    it, general, or what --predictions names. With --compare: the model of A and the one of B."""
    elsewhere: Elsewhere = Elsewhere()
    factor: float | None = None
    """What depth is multiplied with under the alignment "factor" (Monodepth2's stereo models: 5.4); without it, fitted
    on the set."""
    compare: Annotated[tuple[Path, Path] | None, Flag("A.json B.json")] = None
    """Two files of --json: which images, distances and alignment explain their difference. Needs no --data."""
    alignment: str | None = None
    """With --compare: the alignment that orders the images."""
    flip_average: bool = False
    """Average with the mirrored picture, as `predict --flip-average` does (Monodepth's post-processing)."""
    look: str = ""
    """trained: pictures are shown to models at the very size they were trained at, as papers do; aspect: in their own
    shape, with about as many pixels, as `predict` does. Without it, as a model's config.json says, else trained."""
    device: str = "cpu"
    """Where models run, such as cuda."""
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
    """Everything is opened before anything is measured, so that a wrong name costs no time.

    Images that cannot be read or judged are named and left out, the rest goes on; the exit code is then 2.
    """
    for path in (options.json, options.markdown, options.latex, options.save_mean):
        _writable(path)
    if options.compare is not None:
        return _compare(options.compare, options)
    _check(options)
    from cyclopean.data import named, open_dataset

    for name in _names(options.data):
        named(name)
    for name in _names(options.protocol):
        if name not in PROTOCOLS:
            raise unknown_name("protocol", name, PROTOCOLS)
    for name in _models(options):
        refuse_unknown_model(name)
    for name in _names(options.elsewhere.predictions) if options.elsewhere.predictions else ():
        if not Path(name).expanduser().exists():
            raise InputError(f"{name} does not exist; give folders or .npy files of predictions.")
    loading("evaluate", ", ".join([*_models(options), *_names(options.data)]))
    usable(options.device)
    from cyclopean.evaluation import photometric
    from cyclopean.evaluation.models import on_data
    from cyclopean.evaluation.protocols import named_protocol
    from cyclopean.evaluation.trivial import guesses as guesses_

    variants = [v for name in _names(options.protocol) for v in named_protocol(name)]
    sets = {name: open_dataset(name) for name in _names(options.data)}
    candidates = _told_apart({name: _candidate(name, options) for name in _models(options)})
    guesses = [] if options.alone else guesses_() + _training_mean(options, variants)
    _tell_learned(options)
    results: list[Result] = []
    remade: list[Remade] = []
    for name, data in sets.items():
        models = [on_data(candidate, data) for candidate in candidates]
        by_pair = [model.name for model, before in zip(models, candidates, strict=True) if model is not before]
        if by_pair:
            told = "metres are by the focal length and baseline of each pair"
            print(f"{shown(', '.join(by_pair))} knows no rig: {told} of {shown(name)}.", file=sys.stderr)
        if not photometric.has_truth(data, _chosen(data, options)):
            remade.append(_judge_by_pictures(name, data, [*guesses, *models, *_given(options, data)], options))
            continue
        own = [] if options.alone else _own_mean(name, data, options)
        results += _judge(name, data, [*guesses, *own, *models, *_given(options, data)], variants, options)
    _report(results, remade, options)
    return _tell_failures([*(result.counts.failed for result in results), *(one.failed for one in remade)])


def _tell_learned(options: Evaluate) -> None:
    """A note for each model that is judged on what it was trained on."""
    from cyclopean.data import same_data
    from cyclopean.training import checkpoint

    for model in _models(options):
        learned = checkpoint.trained_on(model) if checkpoint.is_model(Path(model)) else []
        seen = [data for data in _names(options.data) if any(same_data(data, one) for one in learned)]
        if seen:
            print(
                f"{shown(model)} was trained on {shown(', '.join(seen))}, all but what was held out: its figures there "
                "flatter it; judge it on data that it has not seen.",
                file=sys.stderr,
            )


def _check(options: Evaluate) -> None:
    given = options.elsewhere
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
    if options.one_look and options.flip_average:
        raise InputError("--one-look looks once and --flip-average twice; give one of them.")
    if given.predictions and not given.kind:
        raise InputError("--predictions needs --kind: disparity, disparity_px, inverse_depth or depth.")
    if not given.predictions and given != Elsewhere():
        raise InputError("--kind, --unit and the like say what --predictions are; name those too.")


def _judge(
    name: str, data: "Truths", rows: "list[Candidate]", variants: "Sequence[Protocol]", options: Evaluate
) -> "list[Result]":
    from cyclopean.evaluation.dataset import evaluate_variants
    from cyclopean.evaluation.report import Result as Result_
    from cyclopean.evaluation.report import summarise

    indices = _chosen(data, options)
    candidates = [row for row in rows if not row.trivial]
    factors = _factors(candidates, data, indices, variants, options)
    judged = evaluate_variants(rows, data, with_progress(indices, name), variants, factors)
    results = []
    for protocol, (measured, counts) in zip(variants, judged, strict=True):
        if not measured:
            raise _nothing(name, protocol, counts.failed)
        far = (protocol.far,) if protocol.far else tuple(sorted({data.far(i) for i in indices}))
        summary = tuple(summarise(measured, rows, options.seed))
        fitted = options.factor is None
        result = Result_(name, protocol, far, summary, tuple(measured), counts, options.seed)
        open_ = {c.name: str(c.ambiguity) for c in candidates}
        results.append(
            replace(
                result, factors=factors, fitted=fitted, ambiguities=open_, covers={c.name: c.covers for c in candidates}
            )
        )
    return results


def _judge_by_pictures(name: str, data: "Truths", rows: "list[Candidate]", options: Evaluate) -> "Remade":
    """A set without true depth: how well the other view of each pair is remade."""
    from cyclopean.evaluation import photometric

    rows = rows if options.alone else [photometric.unmoved(), *rows]
    if not rows:
        raise InputError(f"{name} has no true depth and --alone leaves the guesses out; name a model.")
    return photometric.judge(rows, name, data, with_progress(_chosen(data, options), name), options.seed)


def _chosen(data: "Truths", options: Evaluate) -> list[int]:
    return list(range(min(len(data), options.limit or len(data))))


def _own_mean(name: str, data: "Truths", options: Evaluate) -> "list[Candidate]":
    """The mean of all other images of the set, where there are others."""
    from cyclopean.evaluation.trivial import leave_one_out

    indices = _chosen(data, options)
    mean = leave_one_out(data, with_progress(indices, f"{name}: mean")) if len(indices) > 1 else None
    return [] if mean is None else [mean]


def _factors(
    candidates: "list[Candidate]",
    data: "Truths",
    indices: list[int],
    variants: "Sequence[Protocol]",
    options: Evaluate,
) -> dict[str, float]:
    """The given factor, or one fitted on each set where a protocol asks for it."""
    from cyclopean.evaluation.dataset import fitted_factors

    if options.factor is not None:
        return {candidate.name: options.factor for candidate in candidates}
    asking = [variant for variant in variants if "factor" in variant.side_by_side]
    return fitted_factors(candidates, data, indices, asking[0]) if asking else {}


def _nothing(name: str, protocol: "Protocol", failed: dict[str, str]) -> InputError:
    if failed:
        return InputError(
            f"nothing of {name} could be judged; the first of {len(failed)}: {next(iter(failed.values()))}"
        )
    return InputError(f"{name} has no depth within ({protocol.near:g} m, far) to judge by; give data with true depth.")


def _report(results: "list[Result]", remade: "list[Remade]", options: Evaluate) -> None:
    from cyclopean.evaluation import photometric
    from cyclopean.evaluation.report import as_json
    from cyclopean.evaluation.report import latex as latex_
    from cyclopean.evaluation.report import markdown as markdown_
    from cyclopean.evaluation.report import text as text_
    from cyclopean.evaluation.screen import legend
    from cyclopean.evaluation.screen import screens as screens_

    screens = [*screens_(results), *([legend(results)] if results else [])]
    print(shown("\n\n".join([*screens, *map(photometric.screen, remade)])))
    if verbose() and results:
        print(shown("\n" + "\n\n".join(map(text_, results))))
    if options.markdown:
        write_whole(options.markdown, "\n".join([*map(markdown_, results), *map(photometric.markdown, remade)]))
    if options.latex:
        write_whole(options.latex, "\n".join([*map(latex_, results), *map(photometric.latex, remade)]))
    if options.json:
        import json

        command = ["cyclopean", "evaluate", *sys.argv[2:]]
        content = as_json(results, command) | {"photometric": list(map(photometric.as_json, remade))}
        write_whole(options.json, json.dumps(content, indent=1) + "\n")


def _tell_failures(each: "list[dict[str, str]]") -> int:
    failed = {name: reason for one in each for name, reason in one.items()}
    for reason in list(failed.values())[:5]:
        print(f"cyclopean evaluate: {shown(reason)}", file=sys.stderr)
    if failed:
        print(f"cyclopean evaluate: images left out of every row: {len(failed)}.", file=sys.stderr)
    return 2 if failed else 0


def _compare(files: tuple[Path, Path], options: Evaluate) -> int:
    if options.data or options.elsewhere != Elsewhere():
        raise InputError("--compare reads two results and measures nothing; leave --data and --predictions out.")
    from cyclopean.evaluation import compare

    a, b = (compare.load(path) for path in files)
    models = _names(options.model) if options.model else []
    if len(models) > 2:
        raise InputError(f"--compare sets one model beside another, {len(models)} were named; give --model A,B.")
    found = compare.compare(a, b, models, options.alignment, options.seed)
    pages = [compare.tables(comparison) for comparison in found]
    texts = ("\n\n".join(["\n".join(about), *_folded(page)]) for about, page in pages)
    print(shown("\n\n".join(texts)))
    if options.markdown:
        text = [
            "\n".join(f"- {s}" for s in about) + "\n\n" + "\n\n".join(t.markdown() for t in p) for about, p in pages
        ]
        write_whole(options.markdown, "\n\n".join(text) + "\n")
    if options.latex:
        text = ["\n".join(f"% {s}" for s in about) + "\n" + "\n\n".join(t.latex() for t in p) for about, p in pages]
        write_whole(options.latex, "\n\n".join(text) + "\n")
    if options.json:
        import json

        write_whole(options.json, json.dumps(compare.as_json(found), indent=1) + "\n")
    return 0


def _folded(tables: "Sequence[Table]") -> list[str]:
    """Tables for a terminal, those that are too wide one below the other."""
    from cyclopean.evaluation.screen import COLUMNS

    return [part.plain() for table in tables for part in table.folded(COLUMNS)]


def _models(options: Evaluate) -> list[str]:
    if not options.model:
        return [] if options.elsewhere.predictions else ["general"]
    return [name for name in _names(options.model) if name != "none"]


def _given(options: Evaluate, data: "Truths") -> "list[Candidate]":
    """The predictions made elsewhere."""
    given = options.elsewhere
    if not given.predictions:
        return []
    from cyclopean.evaluation.predictions import Meaning, read_predictions

    said: dict[str, Any] = {key: getattr(given, key) for key in Meaning.__dataclass_fields__}
    meaning = Meaning(**said)
    return [read_predictions(path, meaning, data, given.in_order) for path in _names(given.predictions)]


def _candidate(name: str, options: Evaluate) -> "Candidate":
    from cyclopean.evaluation.models import candidate as candidate_

    if options.one_look:
        from cyclopean.evaluation.one_look import one_look

        return one_look(name, options.device)
    from cyclopean.inference.predictor import flip_averaged, plain

    see = flip_averaged if options.flip_average else plain
    return candidate_(name, options.device, see, named_look(options.look) if options.look else None)


def _told_apart(candidates: "dict[str, Candidate]") -> "list[Candidate]":
    """Models by what was asked for; those that would share a name (runs/a/last, runs/b/last) keep their whole path."""
    names = [candidate.name for candidate in candidates.values()]
    return [replace(c, name=asked) if names.count(c.name) > 1 else c for asked, c in candidates.items()]


def _training_mean(options: Evaluate, variants: "Sequence[Protocol]") -> "list[Candidate]":
    if options.training_mean is None:
        return []
    from cyclopean.data import open_dataset
    from cyclopean.evaluation.trivial import latitude_mean, load_mean, mean_inverse_depth
    from cyclopean.evaluation.trivial import save_mean as save_mean_
    from cyclopean.evaluation.trivial import training_mean as training_mean_

    given = options.training_mean
    stored = given.endswith(".npy")
    mean = load_mean(given) if stored else mean_inverse_depth(open_dataset(given))
    if options.save_mean:
        save_mean_(options.save_mean, mean)
    sphere = any(variant.weights == "sphere" for variant in variants)
    return [training_mean_(mean), *([latitude_mean(mean)] if sphere else [])]


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError(f"{text!r} names nothing; give at least one name, several comma-separated.")
    return names


def _writable(path: Path | None) -> None:
    if path is None:
        return
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is no folder; make it first, or give another place for {path.name}.")
    check_writable_file(path)
