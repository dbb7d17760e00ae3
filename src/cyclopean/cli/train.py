"""`cyclopean train METHOD ...`: a recipe's arguments are the flags."""

import importlib
from typing import Any

from cyclopean.errors import InputError, unknown_name
from cyclopean.recipes import RECIPES


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
    import tyro

    module, attribute = RECIPES[name][0].split(":")
    recipe: Any = getattr(importlib.import_module(module), attribute)
    config = (tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff)
    tyro.cli(recipe, args=flags, prog=f"cyclopean train {name}", config=config)


def _help() -> str:
    width = max(map(len, RECIPES))
    lines = [f"  {name:<{width}}  {text}" for name, (_, text) in RECIPES.items()]
    return "\n".join(
        [
            "usage: cyclopean train METHOD --data FOLDER --out FOLDER ...",
            "",
            *lines,
            "",
            "cyclopean train METHOD --help tells more.",
        ]
    )
