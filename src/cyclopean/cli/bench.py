"""`cyclopean bench NAME ...`: our figures again, as commands that anyone can run on their own data."""

import importlib

from cyclopean.cli.help import columns, examples
from cyclopean.errors import InputError, unknown_name

# name -> (function of the words behind it, what it measures)
BENCHES = {
    "distil": ("cyclopean.cli.bench_family:distil", "panorama networks taught by a perspective one, and ablations"),
    "lens": ("cyclopean.cli.bench_lens:main", "refocusing beside photographs through a real lens"),
    "sphere": ("cyclopean.cli.bench_family:sphere", "the supervisions of panoramas, trained alike and judged alike"),
    "robust": (
        "cyclopean.cli.bench_robust:main",
        "the whole path over any folder of pictures, with a reason for each that fails",
    ),
    "stereo": ("cyclopean.cli.bench_family:stereo", "the methods of the stereo family, trained alike and judged alike"),
    "subject": ("cyclopean.cli.bench_subject:main", "the mask of what was clicked, and what of it stays sharp"),
    "video": (
        "cyclopean.cli.bench_family:video",
        "methods that learn from clips, among things that move by themselves",
    ),
}


def main(arguments: list[str]) -> int:
    """Run one bench; its flags are its own."""
    if not arguments:
        raise InputError(f"no bench was named; choose one of {', '.join(BENCHES)}.")
    if arguments[0] in ("-h", "--help"):
        print(_help())
        return 0
    if arguments[0] not in BENCHES:
        raise unknown_name("bench", arguments[0], BENCHES)
    module, function = BENCHES[arguments[0]][0].split(":")
    return getattr(importlib.import_module(module), function)(arguments[1:])


def _help() -> str:
    return "\n".join(
        [
            "usage: cyclopean bench NAME ...",
            "",
            *columns({name: text for name, (_, text) in BENCHES.items()}),
            "",
            examples("bench"),
            "",
            "cyclopean bench NAME --help tells more.",
        ]
    )
