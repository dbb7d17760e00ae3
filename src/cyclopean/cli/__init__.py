"""The command line: names to functions, errors to sentences and exit codes. Nothing heavy is imported before its use.

Each command is one module beside this file: a frozen dataclass whose fields are its flags, and `run`, which takes it.
"""

import gc
import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import nullcontext

import cyclopean
from cyclopean.cli import output, streams
from cyclopean.errors import REMEDIES, InputError, sentence, unknown_name, why_unwritten
from cyclopean.io.files import printable

STOPPED, CLOSED = 130, 141  # exit codes that shells know: after Ctrl-C, and after a reader that went away
VERBOSE = ("-v", "--verbose")  # of every command: details of errors, and of what is shown
QUIET = ("-q", "--quiet")  # of every command: errors alone on the error stream

# command -> (module, what it does)
COMMANDS = {
    "predict": ("cyclopean.cli.predict", "depth of photos, folders or videos"),
    "refocus": ("cyclopean.cli.refocus", "blur a photo by its depth, sharp where you point"),
    "stereo": ("cyclopean.cli.stereo", "the second eye of photos and clips: 3-D from one picture"),
    "app": ("cyclopean.cli.app", "refocus photos in the browser"),
    "train": ("cyclopean.cli.train", "train a model on rendered worlds or on your own stereo folder"),
    "adapt": ("cyclopean.cli.adapt", "go on learning from one clip of yours, without labels"),
    "label": ("cyclopean.cli.label", "label panoramas by a model for ordinary photos, to be learned from"),
    "mask": ("cyclopean.cli.mask", "mask sky and what else of panoramas is no part of the scene"),
    "evaluate": ("cyclopean.cli.evaluate", "measure a model against true depth, beside trivial guesses"),
    "shard": ("cyclopean.cli.shard", "pack a data set into tar files of decoded samples, to train on anywhere"),
    "check": ("cyclopean.cli.check", "look for what is wrong with a data set or a clip, before any training"),
    "render": ("cyclopean.cli.render", "render procedural worlds with exact depth to a folder"),
    "render-mesh": ("cyclopean.cli.render_mesh", "render a mesh of your own as panoramas with exact depth (Blender)"),
    "export": ("cyclopean.cli.export", "write a model as an ONNX file, for other programs"),
    "bench": ("cyclopean.cli.bench", "measure again what the pages state, on your own data"),
    "models": ("cyclopean.cli.models", "what models are here, what they predict, their licences and figures"),
    "import": ("cyclopean.cli.import_model", "turn weights that others released into a model's folder"),
    "push": ("cyclopean.cli.push", "upload a model of yours to the Hugging Face Hub, with a card"),
    "completion": ("cyclopean.cli.completion", "a script by which bash, zsh or fish completes commands and flags"),
    "doctor": ("cyclopean.cli.doctor", "what is installed, what works, what to do about what does not"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; exit 0 when all went well, 2 on bad input (one sentence), 130 on Ctrl-C, TERM and HUP."""
    streams.make_usable(own=arguments is None)
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):  # of schedulers and containers, of closed terminals: clean up as on Ctrl-C
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores it: so do we
                signal.signal(number, signal.default_int_handler)
    try:
        code = _main(list(sys.argv[1:] if arguments is None else arguments))
    except SystemExit as end:  # after --help
        code = int(end.code or 0)
    try:
        sys.stdout.flush()
    except OSError as error:
        code = _unwritable(error)
    if code == STOPPED and arguments is None:  # a further signal ends the interpreter's end, without a traceback
        for number in signal.valid_signals():
            if signal.getsignal(number) is signal.default_int_handler:
                signal.signal(number, signal.SIG_DFL)
    if arguments is None:
        gc.freeze()  # or the interpreter's end goes through all that torch has made: half a second
    sys.exit(code)


def verbose() -> bool:
    """Return whether the command was given -v."""
    return logging.getLogger("cyclopean").isEnabledFor(logging.DEBUG)


def _main(arguments: list[str]) -> int:
    command, words = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    end = words.index("--") if "--" in words else len(words)
    log = logging.getLogger("cyclopean")
    details = any(word in VERBOSE for word in words[:end])
    quiet = any(word in QUIET for word in words[:end])
    log.setLevel(logging.DEBUG if details else logging.ERROR if quiet else logging.NOTSET)
    shown_on = logging.StreamHandler() if details and not log.handlers else None  # tracebacks included
    if shown_on is not None:
        log.addHandler(shown_on)
    try:
        if command in ("-h", "--help", "--version"):
            print(_help() if command != "--version" else f"cyclopean {cyclopean.__version__}")
            return 0
        if command not in COMMANDS:
            raise unknown_name("command", command, COMMANDS)
        if details and quiet:
            raise InputError("-v shows more and -q shows less; give one of them.")
        arguments = [word for k, word in enumerate(words) if k >= end or word not in (*VERBOSE, *QUIET)]
        arguments, kind = output.without_flag(arguments)
        with output.objects_only() if kind == "json" else nullcontext():
            return importlib.import_module(COMMANDS[command][0]).main(arguments)
    except BrokenPipeError as error:
        return _unwritable(error)
    except KeyboardInterrupt:
        print("stopped.", file=sys.stderr)
        return STOPPED
    except Exception as error:
        if isinstance(error, OSError) and error.errno in REMEDIES and error.filename is None:  # an open stream
            return _unwritable(error)
        print(f"cyclopean {printable(command)}: {printable(sentence(error, 'what was asked for'))}", file=sys.stderr)
        return 2
    finally:
        if shown_on is not None:
            log.removeHandler(shown_on)


def _unwritable(error: OSError) -> int:
    """Return the exit code after an output stream that takes no more; what Python still writes to it goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return CLOSED
    print(f"cyclopean: the output cannot be written {why_unwritten(error, 'send it elsewhere')}.", file=sys.stderr)
    return 2


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
            "cyclopean COMMAND --help tells more. Every command takes -v (details of an error), -q (errors",
            "alone, no progress, no remarks) and --output json (one JSON object a line).",
        ]
    )
