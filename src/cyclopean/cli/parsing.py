"""What commands share: arguments to a frozen value, comma-separated lists, sizes, folders for results."""

import dataclasses
import types
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import tyro

from cyclopean.errors import InputError, unknown_name

T = TypeVar("T")
CONFIG = (tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff)


def parse(kind: type[T], arguments: Sequence[str], prog: str) -> T:
    """A frozen dataclass whose fields are the flags (nested ones are flattened), filled from `arguments`.

    Positional arguments may stand anywhere between the flags. Raises InputError, one sentence, for unknown flags,
    missing values and values of the wrong type; `--help` prints and exits.
    """
    if "-h" in arguments or "--help" in arguments:
        return tyro.cli(kind, args=["--help"], prog=prog, config=CONFIG)
    flags = _flags(kind)
    positional: list[str] = []
    ordered: list[str] = []
    todo = list(arguments)
    while todo:
        word = todo.pop(0)
        if word == "--":
            positional += todo
            break
        if not word.startswith("-") or word == "-":
            positional.append(word)
            continue
        name, equals, value = word.partition("=")
        if equals:
            todo.insert(0, value)
        if name not in flags:
            raise unknown_name("flag", name, flags)
        values = _values(name, flags[name], todo)
        todo = todo[len(values) :]
        ordered += [name, *values]
    return tyro.cli(kind, args=[*_separated(positional), *ordered], prog=prog, config=CONFIG)


def _separated(positional: list[str]) -> list[str]:
    """Words that begin with a dash would be taken for flags."""
    return [f"./{word}" if word.startswith("-") else word for word in positional]


def _flags(kind: Any) -> dict[str, Any]:
    """Flag -> type, of a dataclass and the dataclasses in it; positional fields are left out."""
    found: dict[str, Any] = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        bare = get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
        if dataclasses.is_dataclass(bare):
            found |= _flags(bare)
        elif tyro.conf.Positional not in getattr(hint, "__metadata__", ()):
            found["--" + name.replace("_", "-")] = bare
    return found


def _values(name: str, hint: Any, words: Sequence[str]) -> list[str]:
    """The values that flag takes from the next words, after checking that they are numbers where numbers are needed."""
    wanted = _elements(hint)
    values = list(words[: len(wanted)])
    if len(values) < len(wanted) or any(value.startswith("--") for value in values):
        raise InputError(f"{name} needs {'a value' if len(wanted) == 1 else f'{len(wanted)} values'}; see --help.")
    for value, element in zip(values, wanted, strict=True):
        if get_origin(element) is Literal and value not in get_args(element):
            raise unknown_name(f"value of {name}", value, get_args(element))
        try:
            if element in (int, float):
                element(value)
        except ValueError:
            number = "a whole number" if element is int else "a number"
            raise InputError(f"{name} needs {number}, not {value!r}; see --help.") from None
    return values


def _elements(hint: Any) -> tuple[Any, ...]:
    """The types of the words that a flag of this type takes: none for bool, two for tuple[float, float], else one."""
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(option for option in get_args(hint) if option is not type(None))
    if hint is bool:
        return ()
    return get_args(hint) if get_origin(hint) is tuple else (hint,)


def comma_list(kind: str, text: str, known: Iterable[str]) -> list[str]:
    """The names in `text` ("png16,npz"), each once, all of them known; the nearest one is suggested for others."""
    known = list(known)
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise unknown_name(kind, name, known)
    return list(dict.fromkeys(names))


def height_width(flag: str, text: str) -> tuple[int, int]:
    """(height, width) from "256x512"."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise InputError(f"{flag} {text} is no size; give height x width, such as {flag} 256x512.")
    return int(parts[0]), int(parts[1])


def named_look(text: str) -> Literal["aspect", "trained"]:
    """At which size a model is shown pictures, by name. Raises InputError for a name that none has."""
    if text not in ("aspect", "trained"):
        raise unknown_name("look", text, ("aspect", "trained"))
    return text  # type: ignore[return-value]


def refuse_sphere_of_clip(clip: Path, camera: str, via_cube: bool = False) -> None:
    """Raises InputError for a clip that is said to show panoramas."""
    said = [f"--camera {camera}"] if camera not in ("auto", "pinhole") else []
    said += ["--via-cube"] if via_cube else []
    if said:
        raise InputError(
            f"{clip} is a video, whose frames are taken for ordinary pictures, and {' '.join(said)} is for panoramas; "
            "extract the frames as pictures and give those, or leave it out."
        )


def result_folder(out: str | None, source: Path) -> Path:
    """`out` if given, else the folder of `source`."""
    return Path(out) if out is not None else source.parent


def check_writable(folders: Iterable[Path]) -> None:
    """Raises InputError unless files can be written to every folder (which is made if missing), before any work."""
    from cyclopean.depthmap import appearing

    for folder in dict.fromkeys(folders):
        with appearing(folder):
            pass


def check_writable_file(path: Path) -> None:
    """Raises InputError unless a file can appear at `path`, before any work."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file, such as {path / 'results'}.")
    check_writable([path.parent])


def with_progress(indices: Sequence[int], title: str) -> Iterable[int]:
    """`indices` with a progress bar where someone watches."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(indices, title, console=console, transient=True, disable=not console.is_terminal)


def write_whole(path: Path, content: str) -> None:
    """`content` appears whole or not at all."""
    from cyclopean.depthmap import appearing

    with appearing(path.parent) as folder:
        (folder / path.name).write_text(content)
    print(f"wrote {path}")
