"""`cyclopean train METHOD ...`: a recipe's arguments are the flags."""

import os
from pkgutil import resolve_name

from cyclopean.cli.early import loading, refuse_single_pictures, refuse_unknown_model
from cyclopean.cli.help import columns, examples
from cyclopean.cli.output import emit
from cyclopean.cli.parsing import parse_arguments
from cyclopean.data import named, named_panoramas
from cyclopean.errors import InputError, unknown_name
from cyclopean.methods import PUBLISHED, RECIPES
from cyclopean.synthetic import FAMILIES
from cyclopean.training.options import STATE


def main(arguments: list[str]) -> int:
    """Train; return 0. `--resume` continues a run that was stopped or killed.

    Raises InputError, before torch is loaded, for flags that mean nothing, for data, worlds and a model that are not
    there, and for a folder that holds another run.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0
    name, flags = arguments[0], arguments[1:]
    if name.startswith("-"):
        raise InputError(f"the method comes first: cyclopean train {' | '.join(RECIPES)}; {name} was given.")
    if name not in RECIPES:
        raise unknown_name("method", name, RECIPES)
    if "--published" in flags:
        if name not in PUBLISHED:
            raise InputError(f"no paper tells how {name} was trained; --published is for {', '.join(PUBLISHED)}.")
        flags = [*PUBLISHED[name].split(), *(flag for flag in flags if flag != "--published")]  # later flags count
    recipe = resolve_name(RECIPES[name][0])
    options = parse_arguments(recipe, flags, f"cyclopean train {name}")

    streams, run = options.get("streams"), options["run"]
    source = options["source"] if streams is None else streams.source
    unlabelled = () if streams is None else streams.unlabelled
    for folder in (*source.data, *source.validation, *unlabelled):
        named(named_panoramas(str(folder)) if folder in unlabelled else str(folder))
    refuse_single_pictures(name, [str(folder) for folder in (*source.data, *source.validation)])
    for world in source.world:
        if world not in (*FAMILIES, "all"):
            raise unknown_name("world", world, [*FAMILIES, "all"])
    if not (run.resume and any(run.out.glob(f"stage*/{STATE}"))):  # of a run in stages that was stopped before the last
        run.refuse_taken()
    refuse_unknown_model(run.init or "none")
    if "teaching" in options:
        refuse_unknown_model(options["teaching"].teacher)
    first = all(os.environ.get(rank, "0") == "0" for rank in ("RANK", "LOCAL_RANK", "NODE_RANK"))  # as launchers count
    if first:
        loading("train", ", ".join(["PyTorch", *map(str, (*source.data, *unlabelled)), *source.world]))
    recipe(**options)
    if first:
        models = [run.out / name for name in ("best", "last") if (run.out / name).is_dir()]
        emit({"method": name, "out": run.out, "models": models, "log": run.out / "log.jsonl"})
    return 0


def _help() -> str:
    return "\n".join(
        [
            "usage: cyclopean train METHOD --data FOLDER --out FOLDER ...",
            "",
            *columns({name: text for name, (_, text) in RECIPES.items()}),
            "",
            examples("train"),
            "",
            "cyclopean train METHOD --help tells more. --published stands for what the papers say:",
            *columns(PUBLISHED),
        ]
    )
