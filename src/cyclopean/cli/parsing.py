"""Words of the command line to options, and what commands share: lists, sizes, progress, folders for results.

Options are a frozen dataclass or a function: its fields or arguments are the flags, those of nested dataclasses
too, and what is written below each field is its help (`cyclopean.flags` has the notes on them).
"""

import difflib
import inspect
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass, replace
from operator import length_hint
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from cyclopean.cli.output import quiet
from cyclopean.errors import InputError, unknown_name
from cyclopean.flags import Flag
from cyclopean.inference import POST_PROCESSES
from cyclopean.io.files import (
    CLIPS,
    DEPTHS,
    PHOTOS,
    RAWS,
    appearing,
    is_stream,
    printable,
    refuse_unwritable,
    write_text,
)
from cyclopean.io.remote import Remote

T = TypeVar("T")
REQUIRED = inspect.Parameter.empty
NAMED = (*PHOTOS, *RAWS, *CLIPS, *DEPTHS, ".ply", ".glb")  # as --out: a file's name
METAVARS = {int: "N", float: "X", str: "TEXT", Path: "PATH"}


@dataclass(frozen=True)
class Option:
    """One flag of a command, or one word without a flag."""

    path: tuple[str, ...]
    """Names of fields, from the outermost dataclass to this one."""
    owner: Callable[..., Any]
    """The dataclass or function that it is a field or an argument of."""
    kind: Any
    """Its type, without None."""
    default: Any
    flag: Flag

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that is taken; the one to show first."""
        name = ("no-" if self.default is True else "") + self.path[-1].replace("_", "-")
        return (self.flag.name or f"--{name}", *self.flag.aliases, *self.flag.hidden)

    @property
    def kinds(self) -> tuple[Any, ...]:
        """Type of each word that it takes: none for bool, two for tuple[float, float], else one."""
        if self.kind is bool:
            return ()
        fixed = get_origin(self.kind) is tuple and Ellipsis not in get_args(self.kind)
        return get_args(self.kind) if fixed else (self.kind,)

    @property
    def metavar(self) -> str:
        """Name of its value in --help."""
        if self.flag.metavar or self.kind is bool:
            return self.flag.metavar
        if get_origin(self.kind) is Literal:
            return "{" + ",".join(get_args(self.kind)) + "}"
        return " ".join(METAVARS[kind] for kind in self.kinds)


def parse(kind: Callable[..., T], words: Sequence[str], prog: str) -> T:
    """Return `kind`, a frozen dataclass, filled from `words`; see `parse_arguments`."""
    return kind(**parse_arguments(kind, words, prog))


def parse_arguments(kind: Callable[..., Any], words: Sequence[str], prog: str) -> dict[str, Any]:
    """Return the arguments for `kind`, a dataclass or a function, out of `words`.

    Words without a flag may stand anywhere; of a flag given twice, the last counts. Raises InputError for unknown
    flags, missing values and values of the wrong type; `--help` prints the page and exits.
    """
    if {"-h", "--help"} & set(words[: words.index("--")] if "--" in words else words):
        from cyclopean.cli.help import page

        print(page(kind, prog))
        raise SystemExit(0)
    options = options_of(kind)
    flags = {name: option for option in options if not option.flag.positional for name in option.names}
    values: dict[tuple[str, ...], Any] = {}
    free: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            free += rest
            break
        if not word.startswith("-") or word == "-":
            free.append(word)
            continue
        name, equals, value = word.partition("=")
        name = name.replace("_", "-")
        if name not in flags:
            raise unknown_flag(name, flags, prog)
        option = flags[name]
        count = len(option.kinds)
        if equals and not count:
            raise InputError(f"{name} takes no value, {value!r} was given; leave it out.")
        texts = [value, *rest[: count - 1]] if equals else rest[:count]
        rest = rest[count - bool(equals) :]
        if len(texts) < count or any(text.startswith("--") for text in texts[bool(equals) :]):
            needs = "a value" if count == 1 else f"{count} values with spaces between, {name} {option.metavar}"
            raise InputError(f"{name} needs {needs}; see --help.")
        values[option.path] = _value(option, name, texts)

    places = [option for option in options if option.flag.positional]
    for place in places:
        if Ellipsis in get_args(place.kind):
            values[place.path] = tuple(_value(replace(place, kind=str), "a name", [text]) for text in free)
            free = []
        elif free:
            values[place.path] = _value(place, place.metavar, [free.pop(0)])
    if free:
        takes = f"takes {len(places)} words without a flag" if places else "takes no word without a flag"
        data = f", such as --data {free[0]}" if "--data" in flags else ""
        command = prog.removeprefix("cyclopean ")
        raise InputError(f"{command} {takes}, and {free[0]!r} is one; say what it is by a flag{data}; see --help.")
    missing = [option.names[0] for option in options if option.default is REQUIRED and option.path not in values]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise InputError(f"{', '.join(missing)} {verb} missing; {prog} --help lists all flags.")
    return _arguments(kind, None, values, ())


def options_of(kind: Callable[..., Any], base: Any = None, path: tuple[str, ...] = ()) -> list[Option]:
    """Return the options of a dataclass or function, those of nested dataclasses last. `base` has the defaults."""
    plain, nested = [], []
    for name, hint, flag, default in _fields(kind, base):
        if is_dataclass(hint):
            nested += options_of(hint, None if default is REQUIRED else default, (*path, name))  # type: ignore[arg-type]
        else:
            plain.append(Option((*path, name), kind, hint, default, flag))
    return plain + nested


def unknown_flag(name: str, flags: Mapping[str, Option], prog: str) -> InputError:
    """Return an InputError that names the flag which `name` abbreviates (--lr, --batch), or the nearest one."""
    known = {flag.strip("-"): flags[flag].names[0] for flag in sorted(flags)}
    short = name.strip("-")
    likely = [word for word in known if len(short) > 1 and short == "".join(part[0] for part in word.split("-"))]
    likely = likely or [word for word in known if len(short) > 1 and short in word.split("-")]
    likely = likely if len(likely) == 1 else difflib.get_close_matches(short, known, n=1, cutoff=0.6)
    if likely:
        return InputError(f"unknown flag {name!r}: did you mean {known[likely[0]]!r}?")
    return InputError(f"unknown flag {name!r}; {prog} --help lists all flags.")


def _fields(kind: Callable[..., Any], base: Any) -> Iterator[tuple[str, Any, Flag, Any]]:
    """Yield name, type without None, note and default of each field, the default out of `base` where there is one."""
    hints = get_type_hints(kind, include_extras=True)
    for name, parameter in inspect.signature(kind).parameters.items():
        hint, *notes = get_args(hints[name]) if get_origin(hints[name]) is Annotated else (hints[name],)
        if get_origin(hint) in (Union, types.UnionType):
            hint = next(option for option in get_args(hint) if option is not type(None))
        flag = next((note for note in notes if isinstance(note, Flag)), Flag())
        yield name, hint, flag, parameter.default if base is None else getattr(base, name)


def _arguments(
    kind: Callable[..., Any], base: Any, values: dict[tuple[str, ...], Any], path: tuple[str, ...]
) -> dict[str, Any]:
    """Return the arguments of `kind` that differ from `base` or from its own defaults, nested dataclasses made."""
    arguments = {}
    for name, hint, _, default in _fields(kind, base):
        place = (*path, name)
        if place in values:
            arguments[name] = values[place]
        elif is_dataclass(hint):
            start = None if default is REQUIRED else default
            inner = _arguments(hint, start, values, place)  # type: ignore[arg-type]
            arguments[name] = hint(**inner) if start is None else replace(start, **inner)  # type: ignore[operator]
    return arguments


def _value(option: Option, name: str, texts: Sequence[str]) -> Any:
    """Return what the words behind the flag `name` mean.

    Raises InputError for words of the wrong type, and for an empty word that is not the default: a variable of the
    shell that is not set makes one.
    """
    if option.kind is bool:
        return not option.default
    if "" in texts and (option.flag.positional or option.default not in ("", ())):
        raise InputError(f"{name} is empty (is a variable of the shell not set?); give a value, or leave it out.")
    several = get_origin(option.kind) is tuple and Ellipsis in get_args(option.kind)
    parts = [part for part in texts[0].split(option.flag.separator) if part] if several else texts
    kinds = get_args(option.kind)[:1] * len(parts) if several else option.kinds
    values = []
    for kind, text in zip(kinds, parts, strict=True):
        if get_origin(kind) is Literal:
            if text not in get_args(kind):
                raise unknown_name(f"value of {name}", text, get_args(kind))
            values.append(text)
            continue
        try:
            values.append(kind(text))
        except ValueError:
            needs = option.metavar if several else "a whole number" if kind is int else "a number"
            needs += f" in each place of {name} {option.metavar}" if len(kinds) > 1 and not several else ""
            raise InputError(f"{name} needs {needs}, not {texts[0] if several else text!r}; see --help.") from None
    if option.flag.folder:
        refuse_unwritable(Path(texts[0]))
    return tuple(values) if get_origin(option.kind) is tuple else values[0]


def comma_list(kind: str, text: str, known: Iterable[str]) -> list[str]:
    """Return the names in `text` ("png16,npz"), each once. Raises InputError for a name that is not among `known`."""
    known = list(known)
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise unknown_name(kind, name, known)
    return list(dict.fromkeys(names))


def height_width(flag: str, text: str) -> tuple[int, int]:
    """Return (height, width) from "256x512"."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise InputError(f"{flag} {text} is not a size; give height x width, such as {flag} 256x512.")
    return int(parts[0]), int(parts[1])


def named_post_process(name: str, flip_average: bool) -> str:
    """Return the name of how several looks are joined, "" for one look; `flip_average` is Monodepth's.

    Raises InputError for an unknown name, and if both are given.
    """
    if name and name not in POST_PROCESSES:
        raise unknown_name("post-process", name, POST_PROCESSES)
    if name and flip_average:
        raise InputError("--flip-average is --post-process monodepth; give one of them.")
    return name or ("monodepth" if flip_average else "")


def named_look(text: str) -> Literal["aspect", "trained"]:
    """Return at which size a model is shown pictures. Raises InputError for any other name."""
    if text not in ("aspect", "trained"):
        raise unknown_name("look", text, ("aspect", "trained"))
    return text  # type: ignore[return-value]


def named_file(out: str | None) -> Path | None:
    """Return --out as the file that it names; None for a folder, and without --out.

    A file's name ends like a picture, a film or depth, and is not a folder that exists. Raises InputError where results
    cannot be written.
    """
    if out is None:
        return None
    path = Path(out)
    if path.suffix.lower() not in NAMED or out.endswith(("/", "\\")) or path.is_dir():
        refuse_unwritable(path)
        return None
    refuse_unwritable(path.parent)
    return path


def check_result_name(name: Path, source: Path | Remote, suffixes: Sequence[str]) -> None:
    """Raise InputError for a file that --out names, of a kind that is not written of `source`, or `source` itself."""
    if name.suffix.lower() not in suffixes:
        raise InputError(
            f"--out {name} ends in {name.suffix}, which is not written of {source.name}; end it in "
            f"{', '.join(suffixes)}, or give a folder."
        )
    if isinstance(source, Path) and name.exists() and source.exists() and name.samefile(source):
        raise InputError(f"--out {name} is the input itself, which is never replaced; give another name.")


def check_writable(folders: Iterable[Path]) -> None:
    """Raise InputError unless files can be written to every folder, before any work. Missing folders are made."""
    for folder in dict.fromkeys(folders):
        with appearing(folder):
            pass


def check_writable_file(path: Path) -> None:
    """Raise InputError unless a file can appear at `path`, or a pipe or a device takes it, before any work."""
    if str(path) == "-":
        raise InputError("- is no name of a file; give /dev/stdout for the output of the command, or a name.")
    if is_stream(path):
        return
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file, such as {path / 'results'}.")
    check_writable([path.parent])


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on the error stream, where someone watches; yield what takes (done, all), all 0 where not known."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=quiet() or not console.is_terminal) as progress:
        task = progress.add_task(escape(printable(title)), total=None)
        yield lambda done, count: progress.update(task, completed=done, total=count or None)


def with_progress(items: Iterable[T], title: str, total: int | None = None) -> Iterator[T]:
    """Yield `items` beside a progress bar; `total` where they have no length."""
    count = length_hint(items) if total is None else total
    with progress_bar(title) as update:
        update(0, count)
        for done, item in enumerate(items, 1):
            yield item
            update(done, count)


def write_whole(path: Path, content: str) -> None:
    """Write `content` to `path` whole or not at all, and print where, unless it is printed itself."""
    write_text(path, content)
    if not is_stream(path):
        print(f"wrote {printable(path)}")
