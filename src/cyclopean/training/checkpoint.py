"""Models on disc: a folder with `model.safetensors` and `config.json`. No pickle, nothing half-written."""

import inspect
import json
import logging
import os
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from cyclopean.errors import InputError, unknown_name
from cyclopean.geometry import Pinhole
from cyclopean.io.files import REPOSITORY, appearing, read_json, refuse_unreadable, shortened
from cyclopean.methods import METHODS, method_class
from cyclopean.methods.base import Method

LOG = logging.getLogger(__name__)
BUNDLED = Path(__file__).parents[1] / "models"
DEFAULT = "general"
FIRST_IS_DISPARITY = {"monodepth", "monodepth2", "supervised", "trinocular"}  # of a network's outputs
WEIGHTS, CONFIG = "model.safetensors", "config.json"
SHARDS = "model-*-of-*.safetensors"  # of large models of others
PREPROCESSOR, README = "preprocessor_config.json", "README.md"  # of models of others, whose card has their licence
FLOATING = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")  # names of types in headers of safetensors files
USUAL_SIZE = 192, 640  # of pictures, where a config has none
LARGEST_WEIGHT = 1e12  # larger ones overflow float32 activations within a few layers
HUB = "hub:"  # prefix of a name to be looked up on the Hugging Face Hub only
SECONDS = 10.0  # timeout of the first request to the Hub


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
    config = _config(folder)
    if config["method"] not in METHODS:
        raise wrong_value(folder, "method", config["method"], f"one that this version has ({', '.join(METHODS)})")
    build = partial(method_class(config["method"]), **config["arguments"])
    try:
        with torch.device("meta"):
            hollow = build()  # without memory, until its weights are known to fit
    except MemoryError:
        raise
    except Exception as error:  # constructors may raise anything for foreign arguments
        raise _wrong_argument(folder, config) from error
    _check_header(hollow, folder)
    with torch.random.fork_rng(devices=[]):  # the weights of others do not cost the caller's random numbers
        method = build().float()  # whatever torch's default is
    _fill(method, folder)
    if method.rig is not None:
        size: Any = config.get("input_size")  # checked by its reader
        valid = isinstance(size, list) and len(size) == 2 and all(isinstance(n, int) and n > 0 for n in size)
        log_unusual_rig(f'{folder / CONFIG}: "rig"', method.rig, (size[0], size[1]) if valid else USUAL_SIZE)
    return method.eval(), config


def log_unusual_rig(source: str, rig: tuple[float, float], size: tuple[int, int]) -> None:
    """Warn of a rig (focal length in image widths, baseline in metres) whose numbers look like those of another unit.

    `source` names its place; its pictures have `size` (height, width). The rule is that for calibrations of data sets.
    """
    from cyclopean.data.base import implausible

    (focal, baseline), (height, width) = rig, size
    camera = Pinhole(torch.tensor([[focal, focal * width / height]]), torch.tensor([[0.5, 0.5]]))
    if unusual := implausible(camera, baseline, width):
        LOG.warning("%s states %s; check its unit.", source, unusual)


def card(name: Path | str) -> dict[str, Any]:
    """Return the config of a model alone."""
    return _config(locate(name))


def companion(name: Path | str, other: str) -> Path:
    """Return the folder of the model `other` in the card of `name`: a bundled one, or a path relative to the card.

    It is never fetched from the Hub: a downloaded folder must not trigger network access. Raises `InputError` for
    others.
    """
    if other in bundled():
        return BUNDLED / other
    folder = locate(name)
    try:
        if not other.startswith(("//", "\\\\")) and (folder / other / CONFIG).is_file():  # those name a host
            return folder / other
    except (OSError, ValueError):  # a name that no file can have
        pass
    raise InputError(
        f"it is neither a bundled model ({', '.join(bundled())}) nor a path from {folder} to a model; correct it."
    )


def is_model(folder: Path) -> bool:
    """Return whether `folder` holds a model, or is that of a run, which holds several."""
    return (folder / CONFIG).is_file() or _of_run(folder) is not None


def locate(name: Path | str) -> Path:
    """Return the folder of a model; for a run, that of its `best`, else `last` model, with a warning.

    A local folder with the name of a bundled model counts only if it holds a model. Raises `InputError` with the names
    of the bundled models if there is none.
    """
    path, text = Path(name), str(name)
    if text.startswith(HUB):
        return _download(text.removeprefix(HUB))
    try:
        if path.is_dir() and (text not in bundled() or is_model(path)):
            model = None if (path / CONFIG).exists() else _of_run(path)
            if model is not None:
                _log_choice(model)
            return model or path
        if (BUNDLED / text / CONFIG).is_file():
            return BUNDLED / text
        beside = sorted(file.parent.name for file in path.parent.glob(f"*/{CONFIG}")) if path.parts[1:] else []
        here = bool(path.parts) and Path(path.parts[0]).exists()
    except (OSError, ValueError):
        raise InputError(f"there is no model folder {shortened(text)!r}; no folder can have that name.") from None
    if beside:
        raise InputError(f"there is no model folder {text!r}; {path.parent} holds {shortened(', '.join(beside))}.")
    if not here and REPOSITORY.fullmatch(text):
        return _download(text)
    if "/" in text or os.sep in text or path.is_file():
        raise InputError(f"there is no model folder {text!r}; give a folder with {WEIGHTS} and {CONFIG}.")
    raise unknown_name("model", text, bundled())


def is_foreign(folder: Path) -> bool:
    """Return whether `folder` holds a model of `transformers`, not one of this house."""
    if not (folder / CONFIG).is_file():
        return False
    config = read_json(folder / CONFIG)
    return isinstance(config, dict) and "model_type" in config and "method" not in config


def weights_files(folder: Path) -> list[Path]:
    """Return the files of a model's weights: one, or all of its shards; none where any is missing."""
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    shards = sorted(folder.glob(SHARDS))
    whole = bool(shards) and shards[-1].stem.endswith(f"-of-{len(shards):05d}")
    return shards if whole else []


def trained_on(name: Path | str) -> list[str]:
    """Return the names of the data sets that a model was trained on, from its card; empty if it lists none."""
    folder = locate(name)
    training = None if is_foreign(folder) else _config(folder).get("training")
    data = training.get("data") if isinstance(training, dict) else None
    return [item for item in data if isinstance(item, str)] if isinstance(data, list) else []


def bundled() -> list[str]:
    """Return the names of the models that ship inside the package."""
    return sorted(p.parent.name for p in BUNDLED.glob(f"*/{CONFIG}"))


def initialise(method: Method, name: Path | str) -> None:
    """Fill `method` with the weights of a saved model of the same architecture.

    A method with fewer maps and the same network takes the first maps of a model with more, such as Monodepth's.
    """
    folder, config = locate(name), method.config()
    stored = _config(folder) if (folder / CONFIG).exists() else {}  # weights alone will do
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


def wrong_value(folder: Path, key: str, value: Any, needed: str) -> InputError:
    """Return an `InputError` for a value (None: missing) of a model's config, naming the file, the key and what it
    needs."""
    state = "is missing" if value is None else f"is {shortened(json.dumps(value, default=str))}"
    return InputError(f'{folder / CONFIG}: "{key}" {state}; it needs {needed}.')


def _of_run(folder: Path) -> Path | None:
    """Return the best model that a training run has left, else its last one."""
    models = (folder / "best", folder / "last")
    return next((model for model in models if (model / CONFIG).is_file()), None)


@cache  # once for each
def _log_choice(model: Path) -> None:
    LOG.warning("%s is a training run; its model %s is used.", model.parent, model)


def _download(name: str) -> Path:
    """Return the folder that a Hub repository's model is fetched to.

    One that was fetched before is taken as it is. Else the Hub is asked once before the download, which would retry for
    long without a network.
    """
    if not REPOSITORY.fullmatch(name):
        raise InputError(f"{shortened(name)!r} is not a Hub repository; they are named owner/name.")
    from huggingface_hub import HfApi, constants, snapshot_download

    constants.HF_HUB_DISABLE_TELEMETRY = True  # otherwise each download also requests a list of agents
    fetch = partial(snapshot_download, name, allow_patterns=[WEIGHTS, SHARDS, CONFIG, PREPROCESSOR, README])
    try:
        try:
            folder = Path(fetch(local_files_only=True))
        except (OSError, ValueError):  # not here
            folder = None
        if folder is not None and (folder / CONFIG).is_file() and weights_files(folder):
            return folder
        HfApi().model_info(name, timeout=SECONDS)
        return Path(fetch())
    except Exception as error:  # of HTTP, TLS, proxies and disks, by several libraries
        raise InputError(
            f"there is no model folder {name!r}, and no Hub repository of that name could be fetched "
            f"({type(error).__name__}); check the name and the connection."
        ) from error


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.exists():
        raise InputError(f"{folder} is not a model: it has no {CONFIG}; give a folder written by training.")
    config = read_json(path)
    valid = isinstance(config, dict) and isinstance(config.get("method"), str)
    if not valid or not isinstance(config.get("arguments"), dict):
        raise InputError(f"{path} does not name a method and its arguments; it is not a model of cyclopean.")
    return config


def _wrong_argument(folder: Path, config: dict[str, Any]) -> InputError:
    """Return an `InputError` for the arguments in a config that its method did not take."""
    known = inspect.signature(method_class(config["method"])).parameters
    for key, value in config["arguments"].items():
        if key not in known:
            return wrong_value(folder, f"arguments.{key}", value, f"to be one of {', '.join(known)}")
    for key, value in config["arguments"].items():
        try:
            with torch.device("meta"):
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
    own = method.state_dict()
    try:
        tensors = {name: tensor.to(own[name].dtype) for name, tensor in load_file(folder / WEIGHTS).items()}
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
