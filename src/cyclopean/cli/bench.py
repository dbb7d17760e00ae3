"""`cyclopean bench NAME ...`: our figures again, as commands that anyone can run on their own data."""

import importlib

from cyclopean.cli.help import columns, examples
from cyclopean.errors import InputError, unknown_name

# name -> (module with a function `main(arguments)`, what it measures)
BENCHES = {
    "lens": ("cyclopean.cli.bench_lens", "refocusing beside photographs through a real lens"),
    "sphere": ("cyclopean.cli.bench_sphere", "the supervisions of panoramas, trained alike and judged alike"),
    "robust": (
        "cyclopean.cli.bench_robust",
        "the whole path over any folder of pictures, with a reason for each that fails",
    ),
    "stereo": ("cyclopean.cli.bench_stereo", "the methods of the stereo family, trained alike and judged alike"),
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
    return importlib.import_module(BENCHES[arguments[0]][0]).main(arguments[1:])


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
