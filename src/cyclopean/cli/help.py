"""Pages of `--help`: what a command does, its flags in two columns, lines to begin with."""

import ast
import inspect
import itertools
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from cyclopean.cli.parsing import Option

COLUMN = 26  # where texts of flags begin

# command -> lines to begin with; a test parses each of them
EXAMPLES = {
    "predict": (
        "cyclopean predict photo.jpg",
        "cyclopean predict photos/ clip.mp4 --out depth --save npz,png16",
        "cyclopean predict panorama.jpg --save ply,glb --view html",
    ),
    "refocus": (
        "cyclopean refocus photo.jpg --at 0.4 0.6",
        "cyclopean refocus photo.jpg --at 1200 800 --amount 1.5 --depth beside",
        "cyclopean refocus clip.mp4 --at 0.5 0.5 --track",
    ),
    "stereo": (
        "cyclopean stereo photo.jpg",
        "cyclopean stereo photo.jpg --save anaglyph,mpo --parallax 3",
        "cyclopean stereo photos/ clip.mp4 --save half-sbs --out 3d",
    ),
    "app": ("cyclopean app", "cyclopean app --port 8080"),
    "train": (
        "cyclopean train monodepth --network compact --data worlds/train --out runs/mine",
        "cyclopean train monodepth --network compact --data worlds/train --out runs/mine --resume",
        "cyclopean train supervised --network compact --data worlds/train --out runs/twin --size 192x384 --steps 5000",
    ),
    "train distil": (
        "cyclopean train distil --labelled rooms --unlabelled panoramas --out runs/student",
        "cyclopean train distil --labelled rooms --unlabelled panoramas --labels labels --out runs/student",
    ),
    "train finetune": ("cyclopean train finetune --init runs/student --data rooms --epochs 1 --out runs/metres",),
    "label": (
        "cyclopean label panoramas --out labels",
        "cyclopean label panoramas --out labels --masks masks --workers 8",
    ),
    "shard": (
        "cyclopean shard worlds/train shards --size 192x384 --workers 8",
        "cyclopean train monodepth --network compact --data shards --out runs/mine",
    ),
    "mask": (
        "cyclopean mask panoramas --out masks",
        "cyclopean mask panoramas --out masks --prompts sky,watermark --segmenter clipseg",
    ),
    "evaluate": (
        "cyclopean evaluate --data motorcycle",
        "cyclopean evaluate --data traced:DIR --model runs/mine/best,general --protocol worlds",
        "cyclopean evaluate --data DIR --predictions maps --kind depth --json result.json",
    ),
    "adapt": (
        "cyclopean adapt walk.mp4 --out my-model",
        "cyclopean adapt clip:walk.mp4:step=2:fov=70 --out my-model --minutes 10",
    ),
    "check": (
        "cyclopean check walk.mp4",
        "cyclopean check worlds/train",
        "cyclopean check kitti_raw:DIR:split=eigen_test.txt --items 50",
    ),
    "render": (
        "cyclopean render street worlds/train --count 100",
        "cyclopean render street,room worlds/train --count 1000 --size 192x384",
        "cyclopean render room rooms/train --rig sphere --size 256x512",
    ),
    "render-mesh": (
        "cyclopean render-mesh scene.glb panoramas",
        "cyclopean render-mesh scene.glb panoramas --count 20",
    ),
    "export": (
        "cyclopean export general --out general.onnx",
        "cyclopean export runs/mine/best --size 480x640 --precision int8",
    ),
    "bench": ("cyclopean bench stereo bench", "cyclopean bench robust photos", "cyclopean bench lens shots"),
    "bench stereo": ("cyclopean bench stereo bench --list", "cyclopean bench stereo bench"),
    "bench sphere": ("cyclopean bench sphere bench --list", "cyclopean bench sphere bench"),
    "bench distil": ("cyclopean bench distil bench --list", "cyclopean bench distil bench"),
    "bench video": ("cyclopean bench video bench --list", "cyclopean bench video bench"),
    "bench robust": ("cyclopean bench robust photos",),
    "bench lens": ("cyclopean bench lens shots",),
    "models": ("cyclopean models", "cyclopean models runs", "cyclopean models --hub --output json"),
    "import": ("cyclopean import monodepth2 mono_640x192 models/monodepth2",),
    "push": (
        "cyclopean push runs/mine/best OWNER/NAME --dry-run",
        "cyclopean push runs/mine/best OWNER/NAME --private",
    ),
    "completion": ("cyclopean completion bash",),
    "doctor": ("cyclopean doctor", "cyclopean doctor --output json"),
}


def page(kind: Callable[..., Any], prog: str) -> str:
    """Return the help of a command whose flags are those of the dataclass or function `kind`.

    A docstring is what the command, or a group of flags, does; what is written below a field is the help of its flag.
    Hidden names are left out, and so are defaults that say nothing.
    """
    from cyclopean.cli.parsing import options_of

    options = options_of(kind)
    places = [option for option in options if option.flag.positional]
    lines = [f"usage: {' '.join([prog, '[FLAGS]', *(place.metavar for place in places)])}", ""]
    for owner in dict.fromkeys([kind, *(option.owner for option in options)]):
        for paragraph in inspect.cleandoc(owner.__doc__ or "").partition("\nArgs:")[0].strip().split("\n\n"):
            lines += [*textwrap.wrap(" ".join(paragraph.split()), width(), break_on_hyphens=False), ""]
        texts = _texts(owner)
        rows = dict(_row(option, texts) for option in options if option.owner is owner)
        if owner is kind:
            words = {place.metavar: rows.pop(place.metavar) for place in places}
            lines += [*columns(words, COLUMN), ""] if words else []
            rows = {"-h, --help": "Show this page."} | rows
        lines += [*columns(rows, COLUMN), ""]
    return "\n".join([*lines, examples(prog.removeprefix("cyclopean "))])


def columns(rows: Mapping[str, str], column: int = 0) -> list[str]:
    """Return lines of names and, from `column` on or as far right as the names need, what they mean, wrapped."""
    column = column or max(map(len, rows)) + 4
    lines = []
    for name, text in rows.items():
        wrapped = textwrap.wrap(
            text, width(), initial_indent=" " * column, subsequent_indent=" " * column, break_on_hyphens=False
        )
        if len(name) + 4 <= column and wrapped:
            wrapped[0] = f"  {name}".ljust(column) + wrapped[0].lstrip()
        else:
            lines.append(f"  {name}")
        lines += wrapped
    return [line.replace("\xa0", " ") for line in lines]


def examples(command: str) -> str:
    """Return the lines of "predict", "bench stereo" and so on as the end of a help; one method's are all methods'."""
    lines = EXAMPLES.get(command) or EXAMPLES.get(command.split(maxsplit=1)[0], ())
    return "\n".join(["examples:", *(f"  {line}" for line in lines)])


def width() -> int:
    """Return how long lines may be: as the terminal is wide, within reason."""
    return max(60, min(shutil.get_terminal_size().columns, 100))


def _row(option: "Option", texts: Mapping[str, str]) -> tuple[str, str]:
    """Return the names of an option with its value, and what it means with its default."""
    names = [name for name in option.names if name not in option.flag.hidden]
    metavar, text, default = option.metavar, option.flag.help or texts.get(option.path[-1], ""), option.default
    if metavar.startswith("{") and len(f"  {names[0]} {metavar}") > width():
        metavar, text = "NAME", f"{text} One of {', '.join(get_args(option.kind))}."
    if option.flag.default:
        text += f" {option.flag.default}"
    elif default is inspect.Parameter.empty:
        text += " (required)"
    elif default not in (None, "", ()) and not isinstance(default, bool):
        parts = default if isinstance(default, tuple) else (default,)
        text += f" (default:\xa0{option.flag.separator.join(map(str, parts))})"
    return metavar if option.flag.positional else f"{', '.join(names)} {metavar}".strip(), text


def _texts(owner: Callable[..., Any]) -> dict[str, str]:
    """Return what is written below each field of a dataclass, or about each argument in a function's docstring."""
    if not isinstance(owner, type):
        arguments = inspect.cleandoc(owner.__doc__ or "").partition("\nArgs:\n")[2]
        return dict(re.findall(r"^ {4}(\w+): (.*)", re.sub(r"\n {8}", " ", arguments), re.MULTILINE))
    classes = ast.parse(inspect.getsource(sys.modules[owner.__module__])).body
    body = next(node.body for node in classes if isinstance(node, ast.ClassDef) and node.name == owner.__name__)
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }
