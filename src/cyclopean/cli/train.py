"""`cyclopean train METHOD ...`: a recipe's arguments are the flags."""

import contextlib
import functools
import importlib
import io
import itertools
import os
import re
from collections.abc import Callable
from typing import Any

from cyclopean.choices import WORLDS
from cyclopean.cli.early import loading, refuse_unknown_model
from cyclopean.cli.examples import examples
from cyclopean.cli.parsing import asks_for_help, flags_of, show_help, unknown_flag
from cyclopean.data import named
from cyclopean.errors import InputError, unknown_name
from cyclopean.methods import PUBLISHED, RECIPES


def main(arguments: list[str]) -> int:
    """Trains; exit code 0 when done, 2 on bad input. `--resume` goes on with a run that was stopped or killed."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0
    name, flags = arguments[0], arguments[1:]
    if name.startswith("-"):
        raise InputError(f"the method comes first: cyclopean train {' | '.join(RECIPES)}; {name} was given.")
    if name not in RECIPES:
        raise unknown_name("method", name, RECIPES)
    _call(name, flags)
    return 0


def _call(name: str, flags: list[str]) -> None:
    module, attribute = RECIPES[name][0].split(":")
    recipe: Callable[..., None] = getattr(importlib.import_module(module), attribute)
    arguments = parsed(recipe, _spelt_out(name, flags), f"cyclopean train {name}")
    _refuse_missing(arguments)
    if all(os.environ.get(rank, "0") == "0" for rank in ("RANK", "LOCAL_RANK", "NODE_RANK")):  # as launchers count
        loading("train", _loaded(arguments))
    recipe(**arguments)


def _spelt_out(name: str, flags: list[str]) -> list[str]:
    """`flags` with what --published stands for in its place, first, so that what else is given comes after it."""
    if "--published" not in flags:
        return flags
    if name not in PUBLISHED:
        raise InputError(f"no paper tells how {name} was trained; --published is for {', '.join(PUBLISHED)}.")
    return [*PUBLISHED[name].split(), *(flag for flag in flags if flag != "--published")]


def _loaded(arguments: dict[str, Any]) -> str:
    """What takes its time before the first step."""
    source = arguments["source"]
    return ", ".join(["PyTorch", *(str(path) for path in source.data), *source.world])


def _refuse_missing(arguments: dict[str, Any]) -> None:
    """Raises InputError now for data, worlds and a model that are not there, and a folder that holds another run."""
    source, run = arguments.get("source"), arguments.get("run")
    for folder in (*source.data, *source.validation) if source else ():
        named(str(folder))
    for name in source.world if source else ():
        if name not in (*WORLDS, "all"):
            raise unknown_name("world", name, [*WORLDS, "all"])
    if run:
        run.refuse_taken()
        refuse_unknown_model(run.init or "none")


def parsed(recipe: Callable[..., None], flags: list[str], command: str) -> dict[str, Any]:
    """The recipe's arguments out of its flags. Raises `InputError` instead of the parser's box of lines."""
    import tyro

    if asks_for_help(flags):
        show_help(recipe, command)
    known = flags_of(recipe)
    known |= {f"--no-{flag[2:]}": kind for flag, kind in known.items() if kind is bool}
    for flag in flags[: flags.index("--")] if "--" in flags else flags:
        name = flag.partition("=")[0].replace("_", "-")
        if name.startswith("--") and name not in known:
            raise unknown_flag(name, known)

    @functools.wraps(recipe)
    def collect(**arguments: Any) -> dict[str, Any]:
        return arguments

    config = (tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(collect, args=flags, prog=command, config=config)
    except SystemExit as stop:
        if stop.code == 0:  # --help
            raise
        raise InputError(f"{_sentence(said.getvalue())}; {command} --help lists all flags.") from None


def _sentence(box: str) -> str:
    """What went wrong, and the flag that was perhaps meant, out of the parser's box (of dashes, where no UTF-8 is)."""
    lines = [line.strip("│╭╮╰╯ \n") for line in box.splitlines()]
    rules = [k for k, line in enumerate(lines) if line.startswith(("─", "-----")) or not line] + [len(lines)]
    parts = [lines[a + 1 : b] for a, b in itertools.pairwise(rules)]
    wrong = re.sub(r"^Error parsing \w+: ", "", " ".join(parts[0]).rstrip(". ") if parts else box.strip())
    if wrong.startswith("Missing from"):
        return f"{', '.join(word for word in wrong.split() if word.startswith('--'))} is missing"
    near = [part[1].split()[0] for part in parts if len(part) > 1 and part[0].startswith("Perhaps you meant")]
    return f"{wrong}, perhaps you meant {near[0]}" if near else wrong


def _help() -> str:
    width = max(map(len, RECIPES))
    lines = [f"  {name:<{width}}  {text}" for name, (_, text) in RECIPES.items()]
    return "\n".join(
        [
            "usage: cyclopean train METHOD --data FOLDER --out FOLDER ...",
            "",
            *lines,
            "",
            examples("train"),
            "",
            "cyclopean train METHOD --help tells more. --published stands for what the papers say:",
            *(f"  {name:<{width}}  {flags}" for name, flags in PUBLISHED.items()),
        ]
    )
