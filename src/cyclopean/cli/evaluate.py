"""`cyclopean evaluate`: models beside trivial guesses on data with true depth."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopean.cli.parsing import parse
from cyclopean.errors import InputError, unknown_name

if TYPE_CHECKING:
    from cyclopean.evaluation import Candidate, Result, Truths


@dataclass(frozen=True)
class Evaluate:
    """Measure models against true depth, beside guesses that look at no picture.

    Prints one table per data set: figures as predicted (metric models only), after median alignment, and after the
    least squares of inverse depth; see docs/data.md for the data sets.
    """

    data: str = ""
    """KIND:PATH or PATH (a folder of rendered worlds or stereo pairs with depth), comma-separated. KIND: folder,
    traced, middlebury, seven_scenes, kitti_object, or motorcycle (no path)."""
    model: str = "general"
    """Model name, model folder, folder of depth files, or Hub id, comma-separated; none for the guesses alone."""
    flip_average: bool = False
    """Average with the mirrored picture, as `predict --flip-average` does (Monodepth's post-processing)."""
    device: str = "cpu"
    """Where models run, such as cuda."""
    training_mean: str | None = None
    """The training set's mean inverse depth as a further guess: a .npy made by --save-mean, or KIND:PATH to average."""
    save_mean: Path | None = None
    """Where to store the mean of --training-mean, .npy."""
    json: Path | None = None
    """Where to write all figures, image by image, with what is needed to repeat them."""
    markdown: Path | None = None
    """Where to write the tables for a page."""
    limit: int | None = None
    """Judge only the first so many items of each data set."""
    seed: int = 0
    """Seed of the bootstrap."""


def main(arguments: list[str]) -> int:
    """Parse and run; returns the exit code."""
    run(parse(Evaluate, arguments, "cyclopean evaluate"))
    return 0


def run(options: Evaluate) -> None:
    """Everything is opened before anything is measured, so that a wrong name costs no time."""
    if not options.data:
        raise InputError("no data was given; name it with --data KIND:PATH, such as --data motorcycle.")
    for path in (options.json, options.markdown, options.save_mean):
        _writable(path)
    if options.save_mean and options.training_mean is None:
        raise InputError("--save-mean has nothing to store; name the training set with --training-mean.")
    if options.limit is not None and options.limit < 1:
        raise InputError(f"--limit is {options.limit}; it needs a number of items above 0.")
    sets = {name: _open(name) for name in _names(options.data)}
    from cyclopean import evaluation

    candidates = [_candidate(name, options) for name in _names(options.model) if name != "none"]
    guesses = evaluation.guesses() + _training_mean(options)
    results = [_judge(name, data, guesses, candidates, options) for name, data in sets.items()]
    print("\n\n".join(evaluation.text(result) for result in results))
    if options.markdown:
        _write(options.markdown, "\n".join(evaluation.markdown(result) for result in results))
    if options.json:
        import json

        command = ["cyclopean", "evaluate", *sys.argv[2:]]
        _write(options.json, json.dumps(evaluation.as_json(results, command), indent=1) + "\n")


def _judge(
    name: str, data: "Truths", guesses: "list[Candidate]", candidates: "list[Candidate]", options: Evaluate
) -> "Result":
    from cyclopean import evaluation

    indices = list(range(min(len(data), options.limit or len(data))))
    others = [evaluation.leave_one_out(data, _shown(indices, f"{name}: mean"))] if len(indices) > 1 else []
    rows = guesses + others + candidates
    protocol = evaluation.Protocol()
    measured, counts = evaluation.evaluate(rows, data, _shown(indices, name), protocol)
    if not measured:
        raise InputError(
            f"{name} has no depth within ({protocol.near:g} m, far) to judge by; give data with true depth."
        )
    far = tuple(sorted({data.far(i) for i in indices}))
    summary = evaluation.summarise(measured, rows, options.seed)
    return evaluation.Result(name, protocol, far, tuple(summary), tuple(measured), counts, options.seed)


def _candidate(name: str, options: Evaluate) -> "Candidate":
    from cyclopean import evaluation
    from cyclopean.predictor import flip_averaged, plain

    return evaluation.candidate(name, options.device, flip_averaged if options.flip_average else plain)


def _training_mean(options: Evaluate) -> "list[Candidate]":
    if options.training_mean is None:
        return []
    from cyclopean import evaluation

    given = options.training_mean
    stored = given.endswith(".npy")
    mean = evaluation.load_mean(given) if stored else evaluation.mean_inverse_depth(_open(given))
    if options.save_mean:
        evaluation.save_mean(options.save_mean, mean)
    return [evaluation.training_mean(mean)]


def _open(name: str) -> "Truths":
    """The data set of `KIND:PATH`, `KIND` or `PATH`."""
    import importlib

    from cyclopean.data import DATASETS

    kind, colon, path = name.partition(":")
    if not colon and kind != "motorcycle":
        if not Path(kind).expanduser().exists() and not ("/" in kind or kind in DATASETS):
            raise unknown_name("data set", kind, DATASETS)
        if kind in DATASETS and not Path(kind).exists():
            raise InputError(f"{kind} needs the folder of the data set; write {kind}:PATH.")
        kind, path = "folder", kind
    if kind not in DATASETS:
        raise unknown_name("kind of data set", kind, DATASETS)
    if (kind == "motorcycle") == bool(path):
        raise InputError(f"{name!r} does not fit; motorcycle takes no path, every other kind needs one: {kind}:PATH.")
    module, attribute = DATASETS[kind].split(":")
    make = getattr(importlib.import_module(module), attribute)
    return make(path) if path else make()


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError(f"{text!r} names nothing; give at least one name, several comma-separated.")
    return names


def _shown(indices: list[int], title: str) -> Iterable[int]:
    """`indices` with a progress bar where someone watches."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(indices, title, console=console, transient=True, disable=not console.is_terminal)


def _writable(path: Path | None) -> None:
    if path is not None and not path.parent.is_dir():
        raise InputError(f"{path.parent} is no folder; make it first, or give another place for {path.name}.")


def _write(path: Path, content: str) -> None:
    """`content` appears whole or not at all."""
    from cyclopean.depthmap import appearing

    with appearing(path.parent) as folder:
        (folder / path.name).write_text(content)
    print(f"wrote {path}")
