"""Depth networks as ONNX files, run by onnxruntime: what `cyclopean export` writes, and files from elsewhere.

What a file predicts and how it is shown a picture stands in its metadata, or in a card beside it: FILE.json for
FILE.onnx. Files of strangers: their size is limited, they are read into memory and may name no other file, and
onnxruntime runs its own operators only. `onnxruntime` is imported only for them.
"""

import difflib
import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean import __version__
from cyclopean.errors import InputError, lacks_memory
from cyclopean.geometry import Pinhole, size_of
from cyclopean.inference import NEEDS_ONNXRUNTIME
from cyclopean.inference.graphs import WEIGHT, BareGraph, bare_program, save_program
from cyclopean.io.files import appearing, read_json, refuse_unreadable, shortened
from cyclopean.io.image import resize
from cyclopean.io.sidecar import Kind, Unit, check_meaning
from cyclopean.methods.base import Ambiguity, Method, Prediction
from cyclopean.sample import Sample, View
from cyclopean.training.models import BUNDLED

LOG = logging.getLogger(__name__)
GRAPH = "network.onnx"  # of a bundled model, without the weights
MOST_BYTES = 2_000_000_000  # of a file; larger ones need weights in other files, which are not read
SIDES = 16, 8192  # pixels: the smallest and the largest side of a model's input
LARGEST = 1e6  # number in a card
NEAREST = 1e-3  # of depth: what is nearer counts as this near
USUAL_SIZE = 384, 512  # (height, width) of pictures, for a network of any size whose card has none
EXAMPLE = (
    '{"kind": "inverse_depth", "unit": "relative", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], '
    '"multiple": 14, "layout": "NCHW"}'
)
# The key of a weight in another file, as protocol buffers write it; lengths may be written longer than needed.
ELSEWHERE = re.compile(rb"(?:\x0a|\x8a\x80*\x00)(?:\x08|\x88\x80*\x00)location")
TYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(float16)": np.float16}

Layout = Literal["NCHW", "NHWC"]
Projection = Literal["pinhole", "equirectangular"]
Size = tuple[int, int]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Card:
    """The description of a graph: its prediction, and the pictures that it takes.

    Colours in [0,1] are normalised by `mean` and `std`, unless the graph takes 8 bits. Sides are multiples of
    `multiple`; `size` (height, width) is that of training. A graph that resizes pictures itself has `own_size`. `rig`
    as in `Method`.
    """

    kind: Kind
    unit: Unit = "relative"
    ambiguity: Ambiguity = "scale"
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    multiple: int = 1
    layout: Layout = "NCHW"
    projection: Projection = "pinhole"
    size: Size | None = None
    resizes: bool = False
    rig: tuple[float, float] | None = None
    licence: str = "unknown"
    model: str = ""
    sha256: str = ""
    precision: str = "float32"
    note: str = ""

    def metadata(self) -> dict[str, str]:
        """Return the card as metadata of an ONNX file: texts as they are, all else as JSON."""
        return {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in asdict(self).items()
            if value not in (None, "")
        }


def card_of(path: Path, metadata: Mapping[str, str]) -> Card:
    """Return the card beside an ONNX file, or the one in its metadata. Raises InputError for none and wrong ones."""
    side = path.with_suffix(".json")
    if side.exists():
        content = read_json(side)
        if not isinstance(content, dict):
            raise InputError(f"{side} is not an object; write for example {EXAMPLE}.")
    elif "kind" in metadata:
        side, content = path, {key: _from_metadata(value) for key, value in metadata.items()}
    else:
        raise InputError(f"{path} does not state what it predicts; write {side.name} beside it, for example {EXAMPLE}.")
    names = [field.name for field in fields(Card)]
    for key in content:
        near = [] if key in names else difflib.get_close_matches(str(key).lower(), names, n=1, cutoff=0.8)
        if near and side is not path:
            raise InputError(f"{side}: unknown key {shortened(key, 40)!r}: did you mean {near[0]!r}?")
    if "kind" not in content:
        raise InputError(f'{side} does not state the "kind"; write for example {EXAMPLE}.')
    values = {field.name: content.get(field.name, field.default) for field in fields(Card)}
    values["ambiguity"] = content.get("ambiguity", "metric" if values["unit"] == "m" else "scale")
    try:
        check_meaning(values["kind"], values["unit"], values["ambiguity"])
    except InputError as error:
        raise InputError(f"{side}: {error}") from None
    metric, multiple, size = values["ambiguity"] == "metric", values["multiple"], values["size"]
    needed = {
        "unit": ((values["unit"] == "m") == metric, '"m" with the ambiguity "metric", or "relative" with another'),
        "mean": (_are_numbers(values["mean"], 3), "three numbers, of colours in [0, 1]"),
        "std": (
            _are_numbers(values["std"], 3) and min(values["std"]) > 0,
            "three numbers above 0, of colours in [0, 1]",
        ),
        "multiple": (type(multiple) is int and 1 <= multiple <= 1024, "a whole number, 1 to 1024"),
        "layout": (values["layout"] in get_args(Layout), '"NCHW" or "NHWC"'),
        "projection": (values["projection"] in get_args(Projection), '"pinhole" or "equirectangular"'),
        "size": (size is None or _is_size(size), f"[height, width], {SIDES[0]} to {SIDES[1]} pixels each"),
        "resizes": (isinstance(values["resizes"], bool), "true or false"),
        "rig": (
            values["rig"] is None or (_are_numbers(values["rig"], 2) and min(values["rig"]) > 0),
            "two numbers above 0",
        ),
        **{
            key: (isinstance(values[key], str), "a text") for key in ("licence", "model", "sha256", "precision", "note")
        },
    }
    for key, (right, what) in needed.items():
        if not right:
            value = shortened(json.dumps(values[key], default=str), 60)
            raise InputError(f'{side}: "{key}" is {value}; it needs {what}.')
    for key in ("mean", "std", "rig"):
        values[key] = None if values[key] is None else tuple(map(float, values[key]))
    return Card(**{**values, "size": None if size is None else tuple(size)})


def _from_metadata(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _are_numbers(value: Any, count: int) -> bool:
    several = isinstance(value, list | tuple) and len(value) == count
    return several and all(type(x) in (int, float) and abs(x) < LARGEST for x in value)


def _is_size(value: Any) -> bool:
    pair = isinstance(value, list | tuple) and len(value) == 2
    return pair and all(type(side) is int and SIDES[0] <= side <= SIDES[1] for side in value)


class OnnxSession:
    """An ONNX graph with one picture as input, and perhaps `focal` lengths: a function of arrays, on the CPU.

    It uses as many threads as torch. `size` (height, width) is that of its input, None where that is free.
    """

    def __init__(self, name: str, content: bytes, weights: Mapping[str, Tensor] | None = None) -> None:
        """Open a graph; `weights` are those that it names and does not hold (`graphs.save_without_weights`).

        Raises InputError without onnxruntime, for a graph that it cannot run, and for one that takes anything but one
        picture.
        """
        if find_spec("onnxruntime") is None:
            raise InputError(f"{name} {NEEDS_ONNXRUNTIME}.")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
        options.log_severity_level = 4  # errors are exceptions
        if weights is None and ELSEWHERE.search(content):
            raise InputError(f"{name} keeps weights in another file, which is not read; save it as one file.")
        marks = {key: f"{WEIGHT}{key}".encode() for key in weights or {}}
        absent = {key for key, mark in marks.items() if b"\x42" + bytes([len(mark)]) + mark in content}  # field `name`
        of_array = onnxruntime.OrtValue.ortvalue_from_numpy
        held = {
            f"{WEIGHT}{key}": of_array(tensor.cpu().contiguous().numpy())
            for key, tensor in (weights or {}).items()
            if key in absent
        }
        if held:
            options.add_external_initializers(list(held), list(held.values()))
        self.name, self._held = name, held
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library has no base class for its errors
            if lacks_memory(error):
                raise
            raise InputError(f"{name} is damaged, or no ONNX file that onnxruntime can run ({_why(error)}).") from error
        inputs = {item.name: item for item in self._session.get_inputs()}
        self.takes_focal = inputs.pop("focal", None) is not None
        picture = next(iter(inputs.values()), None)
        if picture is None or len(inputs) != 1 or picture.type not in TYPES or len(picture.shape) != 4:
            kinds = ", ".join(f"{item.name}: {item.type} {item.shape}" for item in inputs.values())
            raise InputError(f"{name} takes {shortened(kinds) or 'nothing'}; it needs one picture, of four axes.")
        self._picture, self.dtype = picture.name, TYPES[picture.type]
        self._axes = picture.shape
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def size(self, layout: Layout) -> Size | None:
        """Return (height, width) of the picture; None where either is free. Raises InputError for other than RGB."""
        height, width, channels = (self._axes[axis] for axis in ((2, 3, 1) if layout == "NCHW" else (1, 2, 3)))
        if isinstance(channels, int) and channels != 3:
            raise InputError(f"{self.name} takes pictures of {channels} channels in {layout}; it needs 3 (RGB).")
        return (height, width) if isinstance(height, int) and isinstance(width, int) else None

    def __call__(self, image: np.ndarray, focal: np.ndarray | None = None) -> np.ndarray:
        """Return the first output. Raises InputError where the graph does not run."""
        inputs = {self._picture: np.ascontiguousarray(image, self.dtype)}
        if self.takes_focal:
            inputs["focal"] = np.ones((len(image), 2), np.float32) if focal is None else focal
        try:
            return np.asarray(self._session.run(None, inputs)[0])
        except Exception as error:
            if lacks_memory(error):
                raise
            raise InputError(f"{self.name} does not run on a picture of {image.shape[1:]} ({_why(error)}).") from error


def _why(error: Exception) -> str:
    return shortened(" ".join(str(error).split()))


class OnnxMethod(Method):
    """A depth network in an ONNX file. One of a fixed size, or that resizes pictures itself, gets them as they are."""

    name = "onnx"

    def __init__(self, session: OnnxSession, card: Card) -> None:
        super().__init__()
        self.session, self.card, self.size = session, card, session.size(card.layout)
        self.ambiguity, self.input_multiple = card.ambiguity, card.multiple
        self.rig = card.rig

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:  # noqa: ARG002
        card, size = self.card, size_of(target.seen)
        image = target.seen if self.size is None else resize(target.seen, self.size)
        if self.session.dtype == np.uint8:
            image = image.clamp(0, 1).mul(255).round()
        else:
            mean, std = (image.new_tensor(x)[:, None, None] for x in (card.mean, card.std))
            image = (image - mean) / std
        array = (image if card.layout == "NCHW" else image.permute(0, 2, 3, 1)).cpu().numpy()
        focal = focal_of(target)
        raw = np.concatenate([self.session(array[k : k + 1], focal[k : k + 1]) for k in range(len(array))])
        axis = next((axis for axis in (1, -1) if raw.ndim == 4 and raw.shape[axis] == 1), None)
        planes = raw if axis is None else raw.squeeze(axis)
        if planes.ndim != 3 or planes.dtype.kind != "f" or not np.isfinite(planes).all():
            raise InputError(
                f"{self.session.name} gives {raw.dtype} {list(raw.shape)}, or numbers that are not finite; a depth "
                "network gives one map of finite numbers."
            )
        numbers = torch.from_numpy(planes[:, None].astype(np.float32)).to(target.seen.device)
        inverse = 1 / numbers.clamp_min(NEAREST) if card.kind in ("depth", "distance") else numbers
        return Prediction(resize(inverse, size))

    def losses(self, sample: Sample) -> NoReturn:  # noqa: ARG002
        raise InputError("an ONNX file is not trained; name a method of cyclopean.")


def focal_of(target: View) -> np.ndarray:
    """Return the focal lengths `b 2` of a view in image widths and heights; ones for a panorama."""
    count = target.seen.shape[0]
    focal = target.camera.focal.float() if isinstance(target.camera, Pinhole) else torch.ones(1, 2)
    return focal.expand(count, 2).cpu().contiguous().numpy()


@dataclass(frozen=True)
class OpenedOnnx:
    """An ONNX file: its method, the size of its input (height, width), and the SHA-256 of its bytes."""

    method: OnnxMethod
    input_size: Size
    sha256: str

    @property
    def keeps_size(self) -> bool:
        """Return whether it gets pictures as they are."""
        return self.method.size is not None or self.method.card.resizes


def open_onnx(path: Path) -> OpenedOnnx:
    """Return the depth network in an ONNX file. Raises InputError for files that are not one, or without a card."""
    refuse_unreadable(path, MOST_BYTES)
    if find_spec("onnxruntime") is None:
        raise InputError(f"{path} {NEEDS_ONNXRUNTIME}.")
    content = path.read_bytes()
    session = OnnxSession(str(path), content)
    card = card_of(path, session.metadata)
    method = OnnxMethod(session, card)
    if method.size is not None and not _is_size(method.size):
        raise InputError(f"{path} takes pictures of {method.size} pixels; a side needs {SIDES[0]} to {SIDES[1]}.")
    return OpenedOnnx(method.eval(), method.size or card.size or USUAL_SIZE, hashlib.sha256(content).hexdigest())


class Accelerated(Method):
    """A method whose network runs in onnxruntime: the same answers, in less time."""

    name = "accelerated"

    def __init__(self, method: Method, session: OnnxSession) -> None:
        super().__init__()
        self.name = method.name  # type: ignore[misc]
        self.method, self.session = method, session
        self.ambiguity, self.input_multiple, self.rig = method.ambiguity, method.input_multiple, method.rig
        self.size_power = method.size_power

    def unit(self, rig: Sequence[float]) -> float | None:
        return self.method.unit(rig)

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:  # noqa: ARG002
        inverse = self.session(target.seen.cpu().numpy(), focal_of(target))
        return Prediction(torch.from_numpy(inverse).to(target.seen.device))

    def losses(self, sample: Sample) -> dict[str, Float[Tensor, ""]]:
        return self.method.losses(sample)


def network_session(folder: Path, method: Method, *, around: bool, sha256: str) -> OnnxSession:
    """Return the session of the network of a model of cyclopean in `folder`, whose weights have this hash.

    Bundled models come with their graph. Others are translated once, and kept in the user's cache.
    """
    shipped = folder / GRAPH
    if folder.parent == BUNDLED and shipped.is_file():
        return OnnxSession(str(folder), shipped.read_bytes(), method.state_dict())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cyclopean"
    path = cache / f"{sha256[:32]}-{__version__}.onnx"
    if not path.is_file():
        LOG.warning("%s is translated for onnxruntime, once; this takes a while.", folder)
        program = bare_program(BareGraph(method, around=around), optimize=False)
        with appearing(cache) as private:
            save_program(program, private / path.name, {})
    return OnnxSession(str(path), path.read_bytes())
