"""Save and load models: a folder with `model.safetensors` and `config.json`. No pickle, nothing half-written."""

import inspect
import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from cyclopean.data.base import log_unusual_rig
from cyclopean.errors import InputError
from cyclopean.io.files import appearing, refuse_unreadable, shortened
from cyclopean.methods import METHODS, method_class
from cyclopean.methods.base import Method
from cyclopean.networks.hollow import hollow
from cyclopean.training.models import CONFIG, DEFAULT, WEIGHTS, config_of, locate, wrong_value

FIRST_IS_DISPARITY = {
    "monodepth",
    "monodepth2",
    "supervised",
    "supervised_disparity",
    "trinocular",
}  # of a network's outputs
FLOATING = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")  # names of types in headers of safetensors files
USUAL_SIZE = 192, 640  # of pictures, where a config has none
ENCODER, FIRST_FILTERS = ".encoder.", (".encoder.stem.weight", ".encoder.conv1.weight")  # in the names of weights
LARGEST_WEIGHT = 1e12  # larger ones overflow float32 activations within a few layers


def save(folder: Path | str, method: Method, card: dict[str, Any], dtype: torch.dtype = torch.float32) -> None:
    """Write `method` to `folder` (made if missing); both files appear when both are complete.

    `card` adds what the method does not have: `input_size`, `licence`, `training`. `dtype` is the stored weights'.
    Raises `InputError` if the folder cannot be written to.
    """
    tensors = {
        k: (v.to(dtype) if v.is_floating_point() else v).contiguous().cpu() for k, v in method.state_dict().items()
    }
    config = {"method": method.name, "arguments": method.config(), **card}
    with appearing(Path(folder)) as private:
        save_file(tensors, private / WEIGHTS)
        (private / CONFIG).write_text(json.dumps(config, indent=2) + "\n")


def load(name: Path | str = DEFAULT) -> tuple[Method, dict[str, Any]]:
    """Return the method (eval mode, float32, CPU) and the config of a folder, a bundled model, or a Hub repository.

    A folder comes first. The Hub is used only for "hub:owner/name", and for "owner/name" when nothing here is named
    `owner`. Raises `InputError` for what is not a model, or a damaged one.
    """
    folder = locate(name)
    config = config_of(folder)
    if config["method"] not in METHODS:
        raise wrong_value(folder, "method", config["method"], f"one that this version has ({', '.join(METHODS)})")
    build = partial(method_class(config["method"]), **config["arguments"])
    try:
        with hollow():
            empty = build()  # without memory, until its weights are known to fit
    except MemoryError:
        raise
    except Exception as error:  # constructors may raise anything for foreign arguments
        raise _wrong_argument(folder, config) from error
    _check_header(empty, folder)
    with torch.random.fork_rng(devices=[]):  # the weights of others do not cost the caller's random numbers
        method = build().float()  # whatever torch's default is
    _fill(method, folder)
    if method.rig is not None:
        size: Any = config.get("input_size")  # checked by its reader
        valid = isinstance(size, list) and len(size) == 2 and all(isinstance(n, int) and n > 0 for n in size)
        log_unusual_rig(f'{folder / CONFIG}: "rig"', method.rig, (size[0], size[1]) if valid else USUAL_SIZE)
    return method.eval(), config


def initialise(method: Method, name: Path | str) -> None:
    """Fill `method` with the weights of a saved model of the same architecture.

    A method with fewer maps and the same network takes the first maps of a model with more, such as Monodepth's.
    """
    folder, config = locate(name), method.config()
    stored = config_of(folder) if (folder / CONFIG).exists() else {}  # weights alone will do
    same = all(stored.get("arguments", {}).get(key) == config.get(key) for key in ("network", "width"))
    if not (same and {method.name, stored.get("method")} <= FIRST_IS_DISPARITY):
        _fill(method, folder)
        return
    other = load(folder)[0]
    large, small = other.state_dict(), method.state_dict()

    def is_corner(k: str, v: torch.Tensor) -> bool:
        shape = large[k].shape if k in large else ()
        return v.dim() == len(shape) and all(n <= m for n, m in zip(v.shape, shape, strict=True))

    if method.views == other.views == 1 and all(is_corner(k, v) for k, v in small.items()):
        method.load_state_dict({k: large[k][tuple(slice(n) for n in v.shape)] for k, v in small.items()})
    else:
        _fill(method, folder)


def initialise_encoder(method: Method, name: Path | str) -> None:
    """Fill the encoder of `method`'s network with that of a saved model; its decoder stays as it is.

    Encoders of one kind fit each other, whatever else the models are. Of the first filters those of colours are taken;
    of two pictures at once each gets half. Raises `InputError` for encoders of other kinds and sizes.
    """
    stored = {k.split(ENCODER, 1)[1]: v for k, v in load(name)[0].state_dict().items() if ENCODER in k}
    state = {k: v for k, v in method.state_dict().items() if ENCODER in k}
    filled = {}
    for k, v in state.items():
        weights = stored.get(k.split(ENCODER, 1)[1], torch.empty(0))
        if k.endswith(FIRST_FILTERS) and weights.dim() == 4:
            pictures = v.shape[1] // 3
            weights = weights[:, :3].repeat(1, pictures, 1, 1) / pictures
        filled[k] = weights
    if not state or len(state) != len(stored) or any(filled[k].shape != v.shape for k, v in state.items()):
        raise InputError(
            f"the network of {method.name} cannot start from the encoder of {name}, which is of another kind or size; "
            "choose the same network and width."
        )
    method.load_state_dict(method.state_dict() | filled)


def _wrong_argument(folder: Path, config: dict[str, Any]) -> InputError:
    """Return an `InputError` for the arguments in a config that its method did not take."""
    known = inspect.signature(method_class(config["method"])).parameters
    for key, value in config["arguments"].items():
        if key not in known:
            return wrong_value(folder, f"arguments.{key}", value, f"to be one of {', '.join(known)}")
    for key, value in config["arguments"].items():
        try:
            with hollow():
                method_class(config["method"])(**{key: value})
        except Exception as error:
            usual = json.dumps(known[key].default, default=str)
            needed = f"one that {config['method']} takes, such as {shortened(usual)}"
            why = f" ({error})" if isinstance(error, InputError) else ""
            return wrong_value(folder, f"arguments.{key}", value, needed + why.replace(".)", ")"))
    return wrong_value(folder, "arguments", config["arguments"], f"those that {config['method']} takes together")


def _check_header(method: Method, folder: Path) -> None:
    """Raise `InputError` unless the header of the weights in `folder` lists the tensors of `method`."""
    path = folder / WEIGHTS
    if not path.exists():
        raise InputError(f"{folder} is not a model: it has no {WEIGHTS}; give a folder written by training.")
    refuse_unreadable(path)
    try:
        with safe_open(path, "pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            types = {name: str(part.get_dtype()) for name, part in slices.items()}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged or no safetensors file; copy the model folder again.") from error
    if {name: tuple(tensor.shape) for name, tensor in method.state_dict().items()} != shapes:
        raise InputError(
            f"{path} does not fit {method.name} with {shortened(method.config())}: its tensors have other names or "
            "shapes."
        )
    floating = [name for name, tensor in method.state_dict().items() if tensor.is_floating_point()]
    if wrong := next((name for name in floating if types[name] not in FLOATING), None):
        raise InputError(f"{path} holds {wrong} as {types[wrong]}; weights are floating-point, give another model.")


def _fill(method: Method, folder: Path) -> None:
    """Load the weights in `folder`. Raises `InputError` for those that do not fit, are damaged or not finite."""
    _check_header(method, folder)
    state = method.state_dict()
    try:
        tensors = {name: tensor.to(state[name].dtype) for name, tensor in load_file(folder / WEIGHTS).items()}
    except (SafetensorError, OSError, RuntimeError) as error:
        raise InputError(f"{folder / WEIGHTS} is damaged; copy the model folder again.") from error
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise InputError(
            f"{folder / WEIGHTS} holds numbers that are not finite: its training failed; give another model."
        )
    if large := next((name for name, tensor in tensors.items() if bool((tensor.abs() > LARGEST_WEIGHT).any())), None):
        raise InputError(
            f"{folder / WEIGHTS} holds numbers above {LARGEST_WEIGHT:g} in {large}, which are not weights; give "
            "another model."
        )
    method.load_state_dict(tensors)
