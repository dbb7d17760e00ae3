"""`cyclopean export`: a model as a file for other programs."""

from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from cyclopean.cli.early import loading, refuse_unknown_model
from cyclopean.cli.output import emit
from cyclopean.cli.parsing import check_writable_file, height_width, parse
from cyclopean.errors import InputError
from cyclopean.flags import Flag
from cyclopean.inference import NEEDS_EXPORTER, NEEDS_ONNXRUNTIME
from cyclopean.io.files import printable
from cyclopean.training.models import is_onnx


@dataclass(frozen=True)
class Export:
    """Write a model as an ONNX file, for onnxruntime and other programs.

    The graph takes a photo (image: uint8, 1 x height x width x 3, RGB) and returns its inverse depth at its size, as
    `predict` does. Its metadata state what the numbers are. Answers are compared with torch on scenes rendered here.
    """

    model: Annotated[str, Flag("MODEL", positional=True)] = "general"
    """A bundled model, a model's folder, or a Hub repository (owner/name)."""
    out: Annotated[str | None, Flag("FILE")] = None
    """The file to write; without it, MODEL.onnx here."""
    format: Literal["onnx"] = "onnx"
    """What to write."""
    size: Annotated[str, Flag("HxW")] = "dynamic"
    """Of the pictures that it takes, such as 480x640; dynamic: any."""
    precision: Literal["float32", "float16", "int8"] = "float32"
    """Of the weights. float16 computes in 16 bits too, int8 in 32. Refused if depth is more than 2 % off."""
    bare: bool = False
    """The network alone: pictures in [0, 1], 1 x 3 x height x width, of the multiples that it needs."""
    check: Annotated[str | None, Flag("DATA")] = None
    """Compare on pictures of this data set as well (KIND:PATH, as for `evaluate`)."""
    anyway: bool = False
    """Write the file however far its depth is off."""


def main(arguments: list[str]) -> int:
    run(parse(Export, arguments, "cyclopean export"))
    return 0


def run(options: Export) -> None:
    """Write the file, and print how far its answers are off."""
    refuse_unknown_model(options.model)
    size = None if options.size == "dynamic" else height_width("--size", options.size)
    if is_onnx(options.model):
        raise InputError(f"{options.model} is an ONNX file already; give a bundled model or a model's folder.")
    if any(find_spec(name) is None for name in ("onnx", "onnxscript")):
        raise InputError(f"export {NEEDS_EXPORTER}.")
    path = Path(options.out or f"{Path(options.model).name}.onnx")
    if path.suffix.lower() != ".onnx":
        raise InputError(f"--out {path} does not end in .onnx; name the file so.")
    check_writable_file(path)
    loading("export", f"torch and the model {options.model}; translating and comparing them takes a minute or two")
    from cyclopean.inference.export import export_onnx
    from cyclopean.inference.predictor import load

    departures = export_onnx(
        load(options.model), path, size=size, precision=options.precision, bare=options.bare, check=options.check,
        anyway=options.anyway,
    )  # fmt: skip
    print(f"wrote {printable(path)}, {path.stat().st_size / 1e6:.1f} MB")
    compared = [asdict(one) for one in departures]
    emit({"file": path, "bytes": path.stat().st_size, "precision": options.precision, "compared": compared})
    if not departures:
        print(f"it was not compared with torch, which {NEEDS_ONNXRUNTIME}.")
    for one in departures:
        print(
            f"{one.count} {printable(one.pictures)}: depth {one.error:.2%} off the answer of float32 in torch, "
            f"{one.alike:.2%} of pixels within 0.1 %"
        )
