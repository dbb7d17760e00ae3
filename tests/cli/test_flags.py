"""Flags of every command, their help, and words that they do not take.

The accepted flags and the pages of help are kept in tests/golden; UPDATE_GOLDEN=1 writes them anew.
"""

import importlib
import inspect
import json
import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest

from cyclopean import cli
from cyclopean.cli import COMMANDS, output
from cyclopean.cli.help import EXAMPLES
from cyclopean.cli.parsing import options_of, parse, parse_arguments
from cyclopean.errors import InputError
from cyclopean.flags import Flag
from cyclopean.methods import RECIPES

GOLDEN = Path(__file__).parents[1] / "golden"
KINDS = {
    "predict": "cyclopean.cli.predict:Predict",
    "refocus": "cyclopean.cli.refocus:Refocus",
    "stereo": "cyclopean.cli.stereo:Stereo",
    "app": "cyclopean.cli.app:App",
    "label": "cyclopean.cli.label:Label",
    "shard": "cyclopean.cli.shard:Shard",
    "mask": "cyclopean.cli.mask:Mask",
    "evaluate": "cyclopean.cli.evaluate:Evaluate",
    "check": "cyclopean.cli.check:Check",
    "export": "cyclopean.cli.export:Export",
    "models": "cyclopean.cli.models:Models",
    "import": "cyclopean.cli.import_model:Import",
    "completion": "cyclopean.cli.completion:Completion",
    "push": "cyclopean.cli.push:Push",
    "adapt": "cyclopean.cli.adapt:Adapt",
    "render": "cyclopean.cli.render:Render",
    "render-mesh": "cyclopean.cli.render_mesh:RenderMesh",
    "bench stereo": "cyclopean.cli.bench_family:BenchStereo",
    "bench sphere": "cyclopean.cli.bench_family:BenchSphere",
    "bench distil": "cyclopean.cli.bench_family:BenchDistil",
    "bench video": "cyclopean.cli.bench_family:BenchVideo",
    "bench robust": "cyclopean.cli.bench_robust:BenchRobust",
    "bench lens": "cyclopean.cli.bench_lens:BenchLens",
    **{f"train {name}": place for name, (place, _) in RECIPES.items()},
}
BARE = ("", "train", "bench", "doctor")  # commands without flags of their own, which have a page of help as well


def kind_of(command: str) -> Callable[..., Any]:
    module, name = KINDS[command].split(":")
    return getattr(importlib.import_module(module), name)


def flags_of(command: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for option in options_of(kind_of(command)):
        default = option.default
        value = "(required)" if default is inspect.Parameter.empty else default
        entry: dict[str, Any] = {"default": str(value) if isinstance(value, Path) else value}
        if get_origin(option.kind) is Literal:
            entry["choices"] = get_args(option.kind)
        for name in ("aliases", "hidden"):
            entry |= {name: names} if (names := getattr(option.flag, name)) else {}
        yield option.metavar if option.flag.positional else option.names[0], entry


def test_every_flag_is_accepted_with_its_default_choices_and_former_names():
    path = GOLDEN / "flags.json"
    accepted = {command: dict(flags_of(command)) for command in KINDS}
    if os.environ.get("UPDATE_GOLDEN"):
        lines = (
            f'"{command}": {{\n' + ",\n".join(f'"{flag}": {json.dumps(entry)}' for flag, entry in flags.items()) + "\n}"
            for command, flags in accepted.items()
        )
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    assert json.loads(json.dumps(accepted)) == json.loads(path.read_text())


def test_pages_of_help_are_those_that_are_kept(capsys, monkeypatch):
    """At 80 columns; nothing but examples and usage is wider."""
    monkeypatch.setenv("COLUMNS", "80")
    wrong = []
    for command in (*BARE, *KINDS):
        with pytest.raises(SystemExit, match="0"):
            cli.main([*command.split(), "--help"])
        page = capsys.readouterr().out
        path = GOLDEN / "help" / f"{command.replace(' ', '_') or 'cyclopean'}.txt"
        if os.environ.get("UPDATE_GOLDEN"):
            path.write_text(page)
        if not path.is_file() or page != path.read_text():
            wrong.append(command)
        if command in KINDS:
            lines = page.partition("examples:")[0].splitlines()
            assert max(map(len, lines)) <= 80, command
    assert not wrong, "these pages changed; look at them, then run this test with UPDATE_GOLDEN=1"


def test_every_help_has_examples_that_parse_and_no_empty_defaults(capsys):
    """The lines that people copy, through the parser that will read them."""
    assert set(EXAMPLES) >= set(COMMANDS)
    for line in {line for lines in EXAMPLES.values() for line in lines}:
        program, command, *words = shlex.split(line)
        assert program == "cyclopean"
        if command in ("train", "bench"):
            command, words = f"{command} {words[0]}", words[1:]
        if command == "doctor":
            assert not output.without_flag(words)[0]
        else:
            parse_arguments(kind_of(command), output.without_flag(words)[0], line)
    for command in [*COMMANDS, *(name for name in EXAMPLES if " " in name), *(f"train {name}" for name in RECIPES)]:
        with pytest.raises(SystemExit, match="0"):
            cli.main([*command.split(), "--help"])
        page = " ".join(capsys.readouterr().out.split())
        assert f"cyclopean {command.split()[0]} " in page.partition("examples:")[2] or command == "doctor", command
        for nothing in ("(default: None)", "(default: '')", "(default: )", "(default: False)"):
            assert nothing not in page, command


@dataclass(frozen=True)
class Inner:
    """A group."""

    rate: Annotated[float, Flag(name="--step-size", aliases=("--ss",), hidden=("--rate",))] = 1.0
    whole: bool = True
    size: Annotated[tuple[int, ...], Flag("HxW", separator="x")] = ()


@dataclass(frozen=True)
class Outer:
    """A command."""

    out: Annotated[Path, Flag(folder=True)]
    names: Annotated[tuple[str, ...], Flag("NAME ...", positional=True)] = ()
    inner: Inner = Inner(rate=2.0)
    at: tuple[float, float] | None = None
    kind: Literal["near", "far"] = "near"
    data: tuple[Path, ...] = ()
    note: str = ""
    max_items: int | None = None


def test_words_become_values():
    """Names may stand anywhere, defaults of a group stay where one of its flags is given, the last of two counts."""
    out = Path("out")
    cases = {
        "--out out": Outer(out),
        "a,b.png --out=out c": Outer(out, ("a,b.png", "c")),
        "--out out --at -0.5 2 a": Outer(out, ("a",), at=(-0.5, 2.0)),
        "--out out --at=-0.5 2 a": Outer(out, ("a",), at=(-0.5, 2.0)),
        "--out out --no-whole": Outer(out, inner=Inner(2.0, whole=False)),
        "--out out --size 3x4": Outer(out, inner=Inner(2.0, size=(3, 4))),
        "--out out --rate 3": Outer(out, inner=Inner(3.0)),
        "--out out --ss 3 --step_size 4": Outer(out, inner=Inner(4.0)),
        "--kind far --out out --data a,b": Outer(out, kind="far", data=(Path("a"), Path("b"))),
        "--out out --max-items 7": Outer(out, max_items=7),
        "--out out - -- -a --at": Outer(out, ("-", "-a", "--at")),
        "--note=--x --out out": Outer(out, note="--x"),
    }
    for words, value in cases.items():
        assert parse(Outer, words.split(), "cyclopean outer") == value, words
    assert parse(Outer, ["--out", "out", "--note", ""], "outer") == Outer(out)


def test_words_that_mean_nothing_are_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    cases = {
        "": "--out is missing",
        "--out": "--out needs a value",
        "--at 1": "--at needs 2 values with spaces between, --at X X; see --help.",
        "--at 0.4,0.6": "--at needs 2 values",
        "--at 1 --out x": "--at needs 2 values",
        "--at 1 x": "--at needs a number in each place of --at X X, not 'x'",
        "--max-items 1.5": "--max-items needs a whole number, not '1.5'",
        "--kind fra": "unknown value of --kind 'fra': did you mean 'far'?",
        "--size 3by4": "--size needs HxW, not '3by4'",
        "--no-whole=x": "--no-whole takes no value",
        "--whole": "did you mean '--no-whole'?",
        "--raet 1": "did you mean '--step-size'?",
        "--max 1": "did you mean '--max-items'?",
        "--resume": "unknown flag '--resume'; cyclopean outer --help lists all flags",
        "--out=": "--out is empty (is a variable of the shell not set?)",
        f"--out {tmp_path}/file": "it is a file; give a folder",
        f"--out {tmp_path}/file/x/y": "file is a file; give a folder",
        f"--out {tmp_path}/lost": "it is a broken link",
        f"--out {'n' * 300}": "its 300 bytes are too long",
    }
    for words, sentence in cases.items():
        with pytest.raises(InputError) as caught:
            parse(Outer, words.split(), "cyclopean outer")
        assert sentence in str(caught.value), words
    with pytest.raises(InputError, match="a name is empty"):
        parse(Outer, ["--out", "x", ""], "cyclopean outer")
