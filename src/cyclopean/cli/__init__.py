"""The command line: names to functions, errors to sentences and exit codes. Nothing heavy is imported before its use.

Each command is one module beside this file with a function `run`; its parameters are the command's flags (tyro).
"""

import importlib
import sys
from collections.abc import Sequence

from cyclopean.errors import InputError, enough_memory, unknown_name

# command -> (module, what it does)
COMMANDS = {
    "predict": ("cyclopean.cli.predict", "depth of photos, folders or videos"),
    "refocus": ("cyclopean.cli.refocus", "blur a photo by its depth, sharp where you point"),
    "app": ("cyclopean.cli.app", "refocus photos in the browser"),
    "train": ("cyclopean.cli.train", "train a model on rendered worlds or on your own stereo folder"),
    "evaluate": ("cyclopean.cli.evaluate", "measure a model against true depth, beside trivial guesses"),
    "check": ("cyclopean.cli.check", "look for what is wrong with a data set, before any training"),
    "render": ("cyclopean.cli.render", "render procedural worlds with exact depth to a folder"),
    "render-mesh": ("cyclopean.cli.render_mesh", "render a mesh of your own as panoramas with exact depth (Blender)"),
    "bench": ("cyclopean.cli.bench", "measure again what the pages state, on your own data"),
    "doctor": ("cyclopean.cli.doctor", "what is installed, what works, what to do about what does not"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; exit 0 when all went well, 2 on bad input (one sentence), 130 on Ctrl-C."""
    sys.exit(_main(list(sys.argv[1:] if arguments is None else arguments)))


def _main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0
    if arguments[0] == "--version":
        from cyclopean import __version__

        print(f"cyclopean {__version__}")
        return 0
    try:
        if arguments[0] not in COMMANDS:
            raise unknown_name("command", arguments[0], COMMANDS)
        return _run(arguments[0], arguments[1:])
    except InputError as error:
        print(f"cyclopean {arguments[0]}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped.", file=sys.stderr)
        return 130


def _run(command: str, arguments: list[str]) -> int:
    module = importlib.import_module(COMMANDS[command][0])
    with enough_memory("what was asked for"):
        return module.main(arguments)


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: cyclopean COMMAND ...",
            "",
            "Depth from one eye, learned from two.",
            "",
            *lines,
            "",
            "cyclopean COMMAND --help tells more.",
        ]
    )
