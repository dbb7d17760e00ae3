"""Finding Blender, or a Python that has its module `bpy`, and running a script in it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cyclopean.errors import InputError
from cyclopean.io.files import at_home

VARIABLE = "CYCLOPEAN_BLENDER"
ADVICE = (
    "Install Blender 4.2 or later, or its module into an environment of its own (python3.11 -m venv bpy-env; "
    "bpy-env/bin/pip install 'bpy==4.5.*'), and name it: --blender bpy-env, or the environment variable "
    f"{VARIABLE}."
)
SAID = "CYCLOPEAN "  # how lines begin that the script means for us
PATIENCE = 20.0  # seconds in which it ends by itself, when it was asked to or has said all
LAST_LINES = 3  # of what else it said, quoted when it fails


@dataclass(frozen=True)
class Blender:
    """A Blender program, or a Python that imports `bpy`."""

    program: Path
    is_python: bool

    def command(self, script: Path, argument: Path) -> list[str]:
        """Return the words that run `script` with one argument, undisturbed by anybody's settings."""
        if self.is_python:
            return [str(self.program), "-I", str(script), str(argument)]
        return [
            *(str(self.program), "--background", "--factory-startup", "--python-exit-code", "1"),
            *("--python", str(script), "--", str(argument)),
        ]


def find(where: Path | str | None = None) -> Blender:
    """Find Blender at `where` (a program, a Python with bpy, or a virtual environment), by the variable
    CYCLOPEAN_BLENDER, or on the PATH. Raises InputError with what to install.
    """
    named = where or os.environ.get(VARIABLE)
    if not named:
        on_path = shutil.which("blender")
        if on_path is None:
            raise InputError(f"no Blender was found. {ADVICE}")
        return Blender(Path(on_path), False)
    path = at_home(named)
    inside = (path / place for place in ("bin/python", "Scripts/python.exe", "blender", "blender.exe"))
    program = next((place for place in inside if place.is_file()), path) if path.is_dir() else path
    if not program.is_file():
        program = Path(shutil.which(str(named)) or program)
    if not (program.is_file() and os.access(program, os.X_OK)):
        raise InputError(f"{named} is not a program that could be run as Blender. {ADVICE}")
    return Blender(program.absolute(), "python" in program.name.lower())


def version(blender: Blender) -> str | None:
    """Return what it calls itself, such as `4.5.3 LTS`; None where it does not start, or is a Python without bpy."""
    asks = "import bpy; print('Blender', bpy.app.version_string)"
    words = [str(blender.program), *(["-I", "-c", asks] if blender.is_python else ["--version"])]
    try:
        answer = subprocess.run(words, capture_output=True, text=True, timeout=120, env=_environment(), check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    line = next((line for line in answer.stdout.splitlines() if line.startswith("Blender ")), None)
    return line.removeprefix("Blender ") if line and not answer.returncode else None


def run(blender: Blender, script: Path, argument: Path, log: Path) -> Iterator[tuple[str, str]]:
    """Yield the script's messages, as (kind, text), while it runs; everything else goes into `log`.

    Stops Blender when the caller stops listening. Raises InputError when it ends with an error.
    """
    with log.open("w") as file:
        process = subprocess.Popen(
            blender.command(script, argument),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=_environment(),
        )
        assert process.stdout is not None  # it is a pipe
        said_all = False
        try:
            for line in process.stdout:
                file.write(line)
                if line.startswith(SAID):
                    kind, _, text = line.removeprefix(SAID).rstrip("\n").partition(" ")
                    yield kind, text
            said_all = True
        finally:
            if not said_all:
                process.terminate()
            process.stdout.close()
            try:
                code = process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
    if code:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        cause = " / ".join(lines[-LAST_LINES:]) or "it printed nothing."
        if any(f"No module named '{name}'" in line for line in lines for name in ("bpy", "addon_utils")):
            cause = f"that Python has no module bpy. {ADVICE}"
        raise InputError(f"Blender ended with an error: {cause} All that it printed is in {log}.")


def _environment() -> dict[str, str]:
    """Return our environment, less what would lead another Python to our packages."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
