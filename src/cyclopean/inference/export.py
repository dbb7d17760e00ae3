"""Models as ONNX graphs: `WholeGraph` answers as `cyclopean predict` does, `BareGraph` is the network alone.

Pictures of any size go in, so the working size is computed inside the graph, as tensors, and pictures are resized by
matrices: `torch.onnx.export` supports area averages of fixed sizes only. Tests compare both with the predictor.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from cyclopean.data import open_dataset
from cyclopean.errors import InputError
from cyclopean.geometry import pixel_grid, size_of
from cyclopean.inference import NEEDS_ONNXRUNTIME
from cyclopean.inference.graphs import (
    SIDES,
    TRACED,
    BareGraph,
    Focal,
    Size,
    bare_program,
    save_program,
    translated,
)
from cyclopean.inference.onnx_model import Accelerated, Card, OnnxSession
from cyclopean.inference.panorama import FAR, LEAST
from cyclopean.inference.predictor import Predictor, weights_hash, working_size
from cyclopean.inference.wrappers import DETAIL_DEVIATION
from cyclopean.io.files import appearing
from cyclopean.io.image import resize
from cyclopean.synthesis import pull
from cyclopean.synthetic import ALL, sample

SCENES, SEED = 16, 9_500_000  # that answers are compared on; seeds that no training has used
MOST_ERROR = 0.02  # of depth, that a lower precision may cost
SKY = 0.02  # of the median inverse depth, below which nothing is compared
SMALL_WEIGHT = 1024  # numbers: smaller tensors keep their precision
LEAST_SIDE = 72  # pixels, at the working size: of the coarsest features more than one is left
MOST_STEPS = 1024  # of the network's multiple, along a side at the working size

Precision = Literal["float32", "float16", "int8"]
Pictures = Float[Tensor, "b 3 _ _"]
Maps = Float[Tensor, "b 1 _ _"]


class WholeGraph(nn.Module):
    """A predictor: a photo of 8 bits to the inverse depth at its size, as `Predictor.everywhere` returns it.

    A photo is seen at one scale or two (`OneScale`, `TwoScale`); a panorama from its canonical yaw, and half a turn
    away (`RotatedAverage`), without the details of another model (`DetailTransfer`).
    """

    def __init__(self, predictor: Predictor, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.around = predictor.projection == "equirectangular"
        self.network = BareGraph(predictor.method, around=self.around, dtype=dtype)
        multiple = predictor.method.input_multiple
        self.multiple = max(multiple, 2) if self.around else multiple
        self.own, share = predictor.input_size, predictor.two_scale
        self.small = None if share is None else (round(share * self.own[0]), round(share * self.own[1]))
        self.trained = predictor.look == "trained"

    def forward(self, image: UInt8[Tensor, "1 h w 3"], focal: Focal) -> Float[Tensor, "1 1 h w"]:
        photo = image.permute(0, 3, 1, 2).float() / 255
        size = size_of(photo)
        if not self.around:
            seen = resample(photo, self.working_size(photo, self.own))
            return resample(self.scales(seen, photo, focal), size)
        yaw = canonical_yaw(photo)
        seen = resample(rolled(photo, yaw), self.working_size(photo, self.own))
        half = seen.shape[-1] // 2
        front, back = self.scales(torch.cat([seen, rolled(seen, half)]), seen, focal).split(1)
        u = pixel_grid(size_of(seen), seen)[..., 0][:, None]
        weight = (math.pi * (u - 0.5)).cos().square()
        inverse = weight * front + (1 - weight) * rolled(back, -half)
        return rolled(pull(inverse, pixel_grid(size, photo), "sphere"), -yaw)

    def scales(self, seen: Pictures, picture: Float[Tensor, "1 3 _ _"], focal: Focal) -> Maps:
        """Return the inverse depth of pictures at the working size, perhaps with the layout of a smaller scale."""
        details = self.network(seen, focal)
        if self.small is None:
            return details
        layout = self.network(resample(picture, self.working_size(picture, self.small)), focal)
        return add_details(resample(layout, size_of(seen)), details)

    def working_size(self, picture: Float[Tensor, "1 3 _ _"], area: Size) -> Size:
        """Return `predictor.working_size` of a picture; its parts are symbols where the picture's size is one."""
        height, width = size_of(picture)
        if self.trained and not self.around:
            return working_size(self.own, area, self.multiple)
        if isinstance(height, int) and isinstance(width, int):
            return working_size((height, width), area, self.multiple)
        sides = torch.stack([torch.scalar_tensor(side, dtype=torch.float64) for side in (height, width)])
        ideal = (sides * (area[0] * area[1] / sides.prod()).sqrt()).clamp(max=2 * area[0] * area[1] / self.multiple)
        below = (ideal / self.multiple).floor().clamp(min=1)
        choices = below + torch.tensor([(0, 0), (0, 1), (1, 0), (1, 1)], dtype=torch.float64)
        tall, wide = (choices * self.multiple / ideal).log().unbind(1)
        steps = choices[((tall + wide).abs() + 2 * (tall - wide).abs()).argmin()].long()
        least = max(1, LEAST_SIDE // self.multiple)
        down, across = int_of(steps[0], least), int_of(steps[1], least)
        return self.multiple * down, self.multiple * across


def int_of(value: Int[Tensor, ""], least: int) -> int:
    """Return a number of steps as an integer with a range that exporters can see."""
    steps = value.item()
    torch._check(steps >= least)
    torch._check(steps <= MOST_STEPS)
    return steps  # type: ignore[return-value]


def resample(image: Float[Tensor, "b c h w"], size: Size) -> Float[Tensor, "b c h2 w2"]:
    """Return what `io.image.resize` does, by one matrix for rows and one for columns."""
    before = size_of(image)
    shrinks = torch.logical_and(*(torch.scalar_tensor(b - a) >= 0 for a, b in zip(size, before, strict=True)))
    rows, columns = (resampling(b, a, shrinks) for a, b in zip(size, before, strict=True))
    return rows @ image @ columns.T


def resampling(before: int, after: int, by_area: Tensor) -> Float[Tensor, "after before"]:
    """Return the weights of `before` pixels in each of `after`: means of areas, or linear with a filter."""
    i, j = torch.arange(after)[:, None], torch.arange(before)[None]
    inside = (j >= i * before // after) & (j < ((i + 1) * before + after - 1) // after)
    scale = torch.scalar_tensor(before, dtype=torch.float32) / after
    linear = (1 - ((j + 0.5) - scale * (i + 0.5)).abs() / scale.clamp(min=1)).clamp(min=0)
    weights = torch.where(by_area, inside.float(), linear)
    return weights / weights.sum(1, keepdim=True)


def add_details(layout: Float[Tensor, "1 1 h w"], details: Maps) -> Maps:
    """Return what `panorama.add_details` does of ordinary pictures, with the Gaussian blur as two matrices."""
    height, width = size_of(layout)
    deviation = DETAIL_DEVIATION * torch.scalar_tensor(torch.sym_max(height, width), dtype=torch.float32)
    shorter = torch.scalar_tensor(torch.sym_min(height, width), dtype=torch.float32)
    reach = torch.minimum((3 * deviation).round(), shorter - 1).clamp(min=1)
    blur_rows, blur_columns = (gaussian(side, deviation, reach) for side in (height, width))
    logs = [(x.clamp_min(0) + far_of(x)).log() for x in (details, layout)]
    change = logs[0] - logs[1]
    change = change - blur_rows @ change @ blur_columns.T  # blurs are linear: one of the difference is enough
    far = far_of(layout)
    return ((layout + far) * change.exp() - far).clamp_min(LEAST * far)


def gaussian(side: int, deviation: Tensor, reach: Tensor) -> Float[Tensor, "n n"]:
    """Return a Gaussian blur along `side` pixels, of `reach` taps each way, whose ends repeat, as a matrix."""
    i, j = torch.arange(side)[:, None], torch.arange(side)[None]
    taps = taps_at(j[0], deviation, reach)
    total = 2 * taps.sum() - taps[0]
    beyond = torch.where(j > i, taps, 0).sum(
        1, keepdim=True
    )  # weight of what lies more than i pixels away, on one side
    ends = torch.where(j == 0, beyond, 0) + torch.where(j == side - 1, beyond.flip(0), 0)
    return (taps_at(j - i, deviation, reach) + ends) / total


def taps_at(offsets: Int[Tensor, "..."], deviation: Tensor, reach: Tensor) -> Float[Tensor, "..."]:
    return torch.where(offsets.abs() <= reach, torch.exp(-0.5 * (offsets / deviation).square()), 0)


def far_of(inverse: Maps) -> Float[Tensor, ""]:
    """Return `FAR` of the (lower) median."""
    values = inverse.flatten().sort().values
    middle = torch.scalar_tensor((values.shape[0] - 1) // 2, dtype=torch.int64)
    return FAR * values.index_select(0, middle[None])[0].clamp_min(torch.finfo(inverse.dtype).eps)


def canonical_yaw(image: Float[Tensor, "1 3 h w"]) -> Int[Tensor, ""]:
    """Return what `panorama.canonical_yaw` does, by the first Fourier coefficient alone."""
    columns = image[0].mean((0, 1))
    width = image.shape[-1]
    angles = torch.arange(width) * (2 * math.pi) / width
    phase = torch.atan2(-(columns * angles.sin()).sum(), (columns * angles.cos()).sum())
    return (-phase / (2 * math.pi) * width).round().long()


def rolled(image: Float[Tensor, "b c h w"], columns: int | Int[Tensor, ""]) -> Float[Tensor, "b c h w"]:
    """Return a panorama whose first column is that of number `columns`, modulo its width."""
    width = image.shape[-1]
    places = torch.remainder(torch.arange(width) + columns, torch.scalar_tensor(width, dtype=torch.int64))
    return image.index_select(-1, places)


def whole_program(graph: WholeGraph, size: Size | None = None) -> Any:
    """Return the `torch.onnx.ONNXProgram` of a predictor: photos `1 h w 3` of `size` (height, width), or of any."""
    height, width = size or TRACED
    arguments = torch.zeros(1, height, width, 3, dtype=torch.uint8), torch.ones(1, 2)
    rows, columns = (torch.export.Dim(name, min=SIDES[0], max=SIDES[1]) for name in ("height", "width"))
    return translated(graph, arguments, None if size is not None else ({1: rows, 2: columns}, None))


@dataclass(frozen=True)
class Difference:
    """The difference between a file's answers and those of torch in float32, on a set of pictures.

    `error` is the mean of |depth - depth of torch| / depth of torch, of what is no sky; `alike` the share of pixels
    whose inverse depth is within 1e-3 of torch's.
    """

    pictures: str
    count: int
    error: float
    alike: float


def export_onnx(
    predictor: Predictor, path: Path, *, size: Size | None, precision: Precision, bare: bool, check: str | None,
    anyway: bool,
) -> list[Difference]:  # fmt: skip
    """Write a predictor, or with `bare` its network alone, to an ONNX file, and return how far its answers are off.

    They are compared with torch's in float32, on scenes that are rendered here and on the data set `check`. Without
    onnxruntime a file of float32 is written unmeasured. Raises InputError for what cannot be exported, and, but
    `anyway`, for a file whose answers are more than 2 % off; nothing is written then.
    """
    name = predictor.model.name if predictor.model else predictor.method.name
    if predictor.look == "own" or isinstance(predictor.method, Accelerated):
        raise InputError(f"{name} is not a model of cyclopean in torch; give a bundled model or a model's folder.")
    if predictor.method.views > 1:
        raise InputError(f"{name} takes two pictures, and only models of one are exported; give another model.")
    measurable = find_spec("onnxruntime") is not None
    if not measurable and precision != "float32":
        raise InputError(f"the loss of {precision} is measured, which {NEEDS_ONNXRUNTIME}.")
    around = predictor.projection == "equirectangular"
    multiple = predictor.method.input_multiple
    if bare and size is not None and any(side % multiple for side in size):
        raise InputError(f"{name} takes sides that are multiples of {multiple}; {size[0]}x{size[1]} is not.")
    dtype = torch.float16 if precision == "float16" else torch.float32
    if bare:
        reference: BareGraph | WholeGraph = BareGraph(predictor.method, around=around)
        program = bare_program(BareGraph(predictor.method, around=around, dtype=dtype), size)
    else:
        reference = WholeGraph(predictor)
        program = whole_program(WholeGraph(predictor, dtype), size)
    card = card_for(predictor, precision=precision, bare=bare)
    with appearing(path.parent) as private:
        save_program(program, private / path.name, card.metadata())
        if precision == "int8":
            quantize_weights(private / path.name)
        if not measurable:
            return []
        session = OnnxSession(str(path), (private / path.name).read_bytes())
        sets = {"rendered scenes": rendered(around), **({} if check is None else {check: of_data(check)})}
        departures = [departure(title, images, reference, session, size) for title, images in sets.items()]
        worst = max(departures, key=lambda one: one.error)
        if worst.error > MOST_ERROR and not anyway:
            raise InputError(
                f"{precision} puts depth {worst.error:.1%} off on {worst.count} {worst.pictures}, more than "
                f"{MOST_ERROR:.0%}: nothing was written; give another --precision, or --anyway."
            )
    return departures


def card_for(predictor: Predictor, *, precision: Precision, bare: bool) -> Card:
    """Return the metadata that the file carries."""
    method, maker = predictor.method, predictor.model
    details = predictor.details.model if predictor.details and predictor.details.model else None
    missing = "" if bare or details is None else f"without the details of {details.name}, which cyclopean predict adds"
    return Card(
        "inverse_depth", "m" if method.ambiguity == "metric" else "relative", method.ambiguity,
        multiple=method.input_multiple if bare else 1, layout="NCHW" if bare else "NHWC",
        projection=predictor.projection, size=predictor.input_size, resizes=not bare, rig=method.rig,
        licence=maker.licence if maker else "unknown", model=maker.name if maker else method.name,
        sha256=maker.sha256 if maker else weights_hash(method), precision=precision, note=missing,
    )  # fmt: skip


def rendered(around: bool) -> list[Float[Tensor, "1 3 h w"]]:
    """Return pictures of scenes of all families, or of panoramas of rooms."""
    if around:
        return [sample("room", SEED + k, (128, 256), "sphere").target.image for k in range(SCENES)]
    return [sample(ALL[k % len(ALL)], SEED + k, (192, 256)).target.image for k in range(SCENES)]


def of_data(name: str) -> list[Float[Tensor, "1 3 h w"]]:
    """Return pictures of a data set, spread over it."""
    data = open_dataset(name)
    return [data[k].target.image for k in range(0, len(data), max(1, len(data) // SCENES))][:SCENES]


@torch.no_grad()
def departure(
    title: str, images: Sequence[Float[Tensor, "1 3 _ _"]], reference: BareGraph | WholeGraph, session: OnnxSession,
    size: Size | None,
) -> Difference:  # fmt: skip
    """Return how far the answers of a session are from those of the graph in torch."""
    errors, alike = [], []
    for image in images:
        if isinstance(reference, BareGraph):
            multiple = reference.method.input_multiple
            image = resize(image, size or working_size(size_of(image), size_of(image), multiple))  # noqa: PLW2901
        else:
            image = resize(image, size or size_of(image)).mul(255).round().byte().permute(0, 2, 3, 1)  # noqa: PLW2901
        focal = torch.ones(1, 2)
        true = reference(image, focal)
        other = torch.from_numpy(session(image.numpy(), focal.numpy()))
        far = SKY * true.median()
        seen = true > far
        errors.append(((true - other).abs() / other.clamp_min(far))[seen].mean())
        alike.append(((true - other).abs() <= 1e-3 * true.abs()).float().mean())
    return Difference(title, len(images), float(torch.stack(errors).mean()), float(torch.stack(alike).mean()))


def quantize_weights(path: Path) -> None:
    """Store the large weights of an ONNX file in 8 bits, with one scale for each output channel.

    What is computed stays in float32: activations in 8 bits were seen to spoil depth.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(path)
    kept, nodes = [], []
    for weight in model.graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT or len(weight.dims) < 2 or math.prod(weight.dims) < SMALL_WEIGHT:
            kept.append(weight)
            continue
        values = numpy_helper.to_array(weight)
        scale = np.abs(values).reshape(len(values), -1).max(1).clip(1e-12) / 127
        integers = np.round(values / scale.reshape(-1, *[1] * (values.ndim - 1))).astype(np.int8)
        names = f"{weight.name}_int8", f"{weight.name}_scale"
        kept += [numpy_helper.from_array(array, name) for array, name in zip((integers, scale), names, strict=True)]
        nodes.append(helper.make_node("DequantizeLinear", names, [weight.name], axis=0))
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    others = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *others])
    onnx.save(model, path)
