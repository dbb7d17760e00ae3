"""Methods as ONNX graphs, by `torch.onnx.export`."""

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, config
from torch import Tensor, nn

from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, Pinhole
from cyclopean.inference import NEEDS_EXPORTER
from cyclopean.io.files import shortened
from cyclopean.methods.base import Method
from cyclopean.sample import view

LEAST = 65  # pixels of what a network sees that takes any size, and halves it six times
SIDES = 32, 16384  # pixels of a picture, for a graph of any size
MOST_BATCH = 64
WEIGHT = "weight:"  # before the names of weights that are not in the file
TRACED = 192, 256  # (height, width) of the picture that a graph of any size is traced with

Size = tuple[int, int]
Focal = Float[Tensor, "_ 2"]


class BareGraph(nn.Module):
    """A method alone: pictures in [0,1], whose sides are multiples of its own, to their inverse depth.

    `focal` are focal lengths in image widths and heights, for methods that read them. `dtype` is that of the weights
    and of what the network computes.
    """

    def __init__(self, method: Method, *, around: bool, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.method = copy.deepcopy(method).cpu().to(dtype).eval().requires_grad_(False)
        self.around, self.dtype = around, dtype

    def forward(self, image: Float[Tensor, "b 3 _ _"], focal: Focal) -> Float[Tensor, "b 1 _ _"]:
        image, focal = image.to(self.dtype), focal.to(self.dtype)
        camera = Equirectangular() if self.around else Pinhole(focal, torch.full_like(focal, 0.5))
        return self.method.predict(view(image, camera)).inverse_depth.float()


def bare_program(graph: BareGraph, size: Size | None = None, *, optimize: bool = True) -> Any:
    """Return the `torch.onnx.ONNXProgram` of a method: pictures `b 3 h w` of `size` (height, width), or of any.

    Without `optimize`, which onnxruntime does anyway, weights are those of the method one by one.
    """
    multiple = graph.method.input_multiple
    usual = (128, 256) if graph.around else TRACED
    height, width = size or (-(-usual[0] // multiple) * multiple, -(-usual[1] // multiple) * multiple)
    arguments = torch.zeros(2, 3, height, width), torch.ones(2, 2)
    batch = torch.export.Dim("batch", min=1, max=MOST_BATCH)
    rows, columns = (
        multiple * torch.export.Dim(f"{name}_steps", min=1, max=SIDES[1] // multiple)
        if multiple > 1
        else torch.export.Dim(name, min=LEAST, max=SIDES[1])
        for name in ("height", "width")
    )
    image = {0: batch} if size is not None else {0: batch, 2: rows, 3: columns}
    return translated(graph, arguments, (image, {0: batch}), optimize=optimize)


def translated(graph: nn.Module, arguments: tuple[Tensor, Tensor], shapes: Any, *, optimize: bool = True) -> Any:
    """Return the `torch.onnx.ONNXProgram` of a function of (image, focal); `focal` is left out if it is not read.

    Raises InputError without the exporter, and for a network that it cannot translate.
    """
    if any(find_spec(name) is None for name in ("onnx", "onnxscript")):
        raise InputError(f"the export to ONNX {NEEDS_EXPORTER}.")
    try:
        with untyped_and_quiet(), torch.no_grad():
            traced = torch.export.export(graph, arguments, dynamic_shapes=shapes, strict=False)
            program: Any = torch.onnx.export(
                traced, arguments, dynamo=True, input_names=["image", "focal"], output_names=["inverse_depth"],
                verbose=False, external_data=False, optimize=optimize,
            )  # fmt: skip
    except Exception as error:  # of the tracer and of the translator, which have no common base class
        why = shortened(" ".join(str(error).split()), 200)
        remedy = "" if shapes is None else "; a fixed --size, such as --size 256x512, may help"
        raise InputError(f"this network cannot be exported to ONNX ({type(error).__name__}: {why}){remedy}.") from error
    content = program.model.graph
    for node in content:
        node.metadata_props.clear()  # traces of the code that it came from
    for unread in [value for value in content.inputs if not value.uses()]:
        content.inputs.remove(unread)
    return program


def save_program(program: Any, path: Path, metadata: dict[str, str]) -> None:
    """Write a program with its weights and `metadata` as one file."""
    program.model.metadata_props.update(metadata)
    program.save(path, external_data=False)


def save_without_weights(program: Any, path: Path) -> None:
    """Write a program that was not optimized. Its weights are named as in the method, after `WEIGHT`, and left out."""
    import onnx_ir

    for name, value in list(program.model.graph.initializers.items()):
        if name.startswith("method."):
            value.name, tensor = WEIGHT + name.removeprefix("method."), value.const_value
            value.const_value = onnx_ir.ExternalTensor(
                "weights", 0, tensor.nbytes, tensor.dtype, shape=tensor.shape, name=value.name
            )
    path.write_bytes(onnx_ir.to_proto(program.model).SerializeToString())


@contextmanager
def untyped_and_quiet() -> Iterator[None]:
    """Keep what the exporter logs and warns about from the user, and sizes that are symbols from checks of types."""
    log = logging.getLogger("torch.onnx")
    level, unchecked = log.level, config.jaxtyping_disable
    log.setLevel(logging.ERROR)
    config.update("jaxtyping_disable", True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
        config.update("jaxtyping_disable", unchecked)
