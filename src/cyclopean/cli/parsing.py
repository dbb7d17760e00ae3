"""What commands share: arguments to a frozen value, comma-separated lists, sizes, folders for results."""

import dataclasses
import types
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

import tyro

from cyclopean.cli.examples import examples
from cyclopean.errors import InputError, unknown_name
from cyclopean.io.files import shown

T = TypeVar("T")
CONFIG = (tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff)


def parse(kind: type[T], arguments: Sequence[str], prog: str) -> T:
    """A frozen dataclass whose fields are the flags (nested ones are flattened), filled from `arguments`.

    Positional arguments may stand anywhere between the flags. Raises InputError, one sentence, for unknown flags,
    missing values and values of the wrong type; `--help` prints and exits.
    """
    if asks_for_help(arguments):
        show_help(kind, prog)
    flags = flags_of(kind)
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
        name = name.replace("_", "-")
        if name not in flags:
            raise unknown_flag(name, flags)
        values = _values(name, flags[name], todo)
        todo = todo[len(values) :]
        ordered += [name, *values]
    _refuse_surplus(kind, positional, prog)
    return tyro.cli(kind, args=[*_separated(positional), *ordered], prog=prog, config=CONFIG)


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Return whether the words, up to a `--`, ask for help."""
    words = list(arguments)
    return bool({"-h", "--help"} & set(words[: words.index("--")] if "--" in words else words))


def show_help(kind: Any, prog: str) -> NoReturn:
    """Print the flags of a dataclass or function and examples, without defaults that say nothing; then exit."""
    _say_less(kind)
    try:
        tyro.cli(kind, args=["--help"], prog=prog, config=CONFIG)
    except SystemExit as end:
        if not end.code:
            print(examples(prog.removeprefix("cyclopean ")))
        raise
    raise SystemExit(0)


def _say_less(kind: Any) -> None:
    """Let the help of every field leave out `None`, an empty default, and `{None}|` before its type."""

    def hint(default: str) -> str:
        return "" if default.strip("'") in ("None", "", "False") else f"(default: {default})"

    for name, annotation in get_type_hints(kind, include_extras=True).items():
        bare = get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation
        if dataclasses.is_dataclass(bare):
            _say_less(bare)
        elif name != "return" and not any(_hinted(note) for note in getattr(annotation, "__metadata__", ())):
            note = tyro.conf.arg(help_behavior_hint=hint)
            option = next((o for o in get_args(bare) if o is not type(None)), None)
            optional = get_origin(bare) in (Union, types.UnionType)
            if optional and not hasattr(annotation, "__metadata__"):
                words = [each.__name__.upper() for each in get_args(option) or (option,)]
                word = " ".join({"STR": "TEXT"}.get(word, word) for word in words)
                note = tyro.conf.arg(help_behavior_hint=hint, metavar=word)
            kind.__annotations__[name] = Annotated[annotation, note]


def _hinted(note: Any) -> bool:
    return getattr(note, "help_behavior_hint", None) is not None


def unknown_flag(name: str, flags: Iterable[str]) -> InputError:
    """An InputError for a flag that is none of `flags`: the one it abbreviates (--lr, --batch), or the nearest."""
    short, known = name.strip("-"), sorted(flags)
    parts = {flag: flag.strip("-").split("-") for flag in known}
    means = [flag for flag in known if len(short) > 1 and short == "".join(part[0] for part in parts[flag])]
    means = means or [flag for flag in known if len(short) > 1 and short in parts[flag]]
    if len(means) == 1:
        return InputError(f"unknown flag {name!r}: did you mean {means[0]!r}?")
    return unknown_name("flag", name, known)


def _refuse_surplus(kind: Any, positional: list[str], prog: str) -> None:
    """Raises InputError for words without a flag where the command takes fewer."""
    hints = get_type_hints(kind, include_extras=True)
    places = [hint for hint in hints.values() if tyro.conf.Positional in getattr(hint, "__metadata__", ())]
    bare = [get_args(hint)[0] for hint in places]
    if any(Ellipsis in get_args(hint) for hint in bare) or len(positional) <= len(places):
        return
    word = positional[len(places)]
    takes = f"takes {len(places)} words without a flag" if places else "takes no word without a flag"
    data = f", such as --data {word}" if "data" in hints else ""
    raise InputError(
        f"{prog.removeprefix('cyclopean ')} {takes}, and {word!r} is one; say what it is by a flag{data}; see --help."
    )


def _separated(positional: list[str]) -> list[str]:
    """Words that begin with a dash would be taken for flags."""
    return [f"./{word}" if word.startswith("-") else word for word in positional]


def flags_of(kind: Any) -> dict[str, Any]:
    """Flag -> type, of a dataclass or function and the dataclasses in it; positional fields are left out."""
    found: dict[str, Any] = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        bare = get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
        if dataclasses.is_dataclass(bare):
            found |= flags_of(bare)
        elif name != "return" and tyro.conf.Positional not in getattr(hint, "__metadata__", ()):
            aliases = [
                alias for note in getattr(hint, "__metadata__", ()) for alias in getattr(note, "aliases", None) or ()
            ]
            found |= dict.fromkeys(["--" + name.replace("_", "-"), *aliases], bare)
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
    places = dict.fromkeys(folders)
    if not places:
        return
    from cyclopean.io.files import appearing

    for folder in places:
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
    from rich.markup import escape
    from rich.progress import track

    console = Console(stderr=True)
    return track(indices, escape(shown(title)), console=console, transient=True, disable=not console.is_terminal)


def write_whole(path: Path, content: str) -> None:
    """`content` appears whole or not at all."""
    from cyclopean.io.files import appearing

    with appearing(path.parent) as folder:
        (folder / path.name).write_text(content)
    print(f"wrote {shown(path)}")
