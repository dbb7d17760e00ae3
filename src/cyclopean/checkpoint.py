"""Models on disc: a folder with `model.safetensors` and `config.json`. No pickle, nothing half-written."""

import json
import logging
import os
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save_file as save_tensors

from cyclopean.errors import InputError, unknown_name
from cyclopean.methods import METHODS, method_class
from cyclopean.methods.base import Method

LOG = logging.getLogger(__name__)
BUNDLED = Path(__file__).parent / "models"
DEFAULT = "general"
FIRST_IS_NEARNESS = {"monodepth", "monodepth2", "supervised", "trinocular"}  # of a network's outputs
WEIGHTS, CONFIG = "model.safetensors", "config.json"


def save(folder: Path | str, method: Method, card: dict[str, Any], dtype: torch.dtype = torch.float32) -> None:
    """Writes `method` to `folder` (made if missing); both files appear by rename.

    `card` adds what the method does not know: `input_size`, `licence`, `training`. `dtype` is the stored weights'.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        k: (v.to(dtype) if v.is_floating_point() else v).contiguous().cpu() for k, v in method.state_dict().items()
    }
    config = {"method": method.name, "arguments": method.config(), **card}
    weights = folder / f".{WEIGHTS}.partial"
    save_tensors(tensors, weights)
    os.replace(weights, folder / WEIGHTS)
    text = folder / f".{CONFIG}.partial"
    text.write_text(json.dumps(config, indent=2) + "\n")
    os.replace(text, folder / CONFIG)


def load(name: Path | str = DEFAULT) -> tuple[Method, dict[str, Any]]:
    """The method (eval mode, float32, CPU) and its config: of a folder, of a bundled model, or of a Hub repository.

    A folder comes first; a name with a slash that is no folder is a Hub repository ("owner/name").
    """
    folder = locate(name)
    config = _config(folder)
    return _filled(folder, config), config


def card(name: Path | str) -> dict[str, Any]:
    """The config of a model alone."""
    return _config(locate(name))


def companion(name: Path | str, other: str) -> Path | str:
    """Where the model is that the card of `name` names: bundled, a path from the card's folder, or as anybody names it.

    The current folder does not matter unless neither is there.
    """
    if other in bundled():
        return BUNDLED / other
    beside = locate(name) / other
    return beside if beside.is_dir() else other


def is_model(folder: Path) -> bool:
    """Return whether `folder` is a model's, or that of a run, which holds models."""
    return (folder / CONFIG).is_file() or _of_run(folder) is not None


def locate(name: Path | str) -> Path:
    """The folder of a model; of a run its `best`, else its `last`, which the log says.

    Raises `InputError` naming the bundled models if there is none.
    """
    if Path(name).is_dir():
        found = None if (Path(name) / CONFIG).exists() else _of_run(Path(name))
        if found is not None:
            _say_which(found)
        return found or Path(name)
    if (BUNDLED / str(name) / CONFIG).is_file():
        return BUNDLED / str(name)
    beside = sorted(path.parent.name for path in Path(name).parent.glob(f"*/{CONFIG}")) if Path(name).parts[1:] else []
    if beside:
        raise InputError(f"there is no model folder {str(name)!r}; {Path(name).parent} holds {', '.join(beside)}.")
    if str(name).count("/") == 1 and not str(name).startswith((".", "/", "~")):
        return _download(str(name))
    if "/" in str(name) or os.sep in str(name):
        raise InputError(f"there is no model folder {str(name)!r}; give a folder with {WEIGHTS} and {CONFIG}.")
    raise unknown_name("model", str(name), bundled())


def bundled() -> list[str]:
    """Names of the models that ship inside the package."""
    return sorted(p.parent.name for p in BUNDLED.glob(f"*/{CONFIG}"))


def initialise(method: Method, name: Path | str) -> None:
    """Gives `method` the weights of a saved model of the same architecture (a fresh start otherwise).

    One of several maps, such as Monodepth's of both views, starts one of fewer with the same network by its first.
    """
    folder, ours = locate(name), method.config()
    theirs = _config(folder) if (folder / CONFIG).exists() else {}  # weights alone will do
    same = all(theirs.get("arguments", {}).get(key) == ours.get(key) for key in ("network", "width"))
    if not (same and {method.name, theirs.get("method")} <= FIRST_IS_NEARNESS):
        _fill(method, folder)
        return
    other = load(folder)[0]
    given, own = other.state_dict(), method.state_dict()
    fewer = method.views == other.views == 1 and all(k in given and _is_part(v, given[k]) for k, v in own.items())
    if fewer:
        method.load_state_dict({k: given[k][tuple(slice(n) for n in v.shape)] for k, v in own.items()})
    else:
        _fill(method, folder)


def _is_part(small: torch.Tensor, large: torch.Tensor) -> bool:
    """Whether `small` has the shape of a corner of `large`."""
    return small.dim() == large.dim() and all(n <= m for n, m in zip(small.shape, large.shape, strict=True))


def _of_run(folder: Path) -> Path | None:
    """The best model that a training run has left, else its last one."""
    models = (folder / "best", folder / "last")
    return next((model for model in models if (model / CONFIG).is_file()), None)


@cache
def _say_which(model: Path) -> None:
    """Once for each model of a run."""
    LOG.warning("%s is a training run; its model %s is taken.", model.parent, model)


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(snapshot_download(name, allow_patterns=[WEIGHTS, CONFIG]))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise InputError(
            f"there is no model folder {name!r}, and no Hub repository of that name could be fetched; check the name "
            "and the connection."
        ) from error


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise InputError(f"{folder} is no model: it has no {CONFIG}; give a folder written by training.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON; copy the model folder again.") from error
    if not isinstance(config, dict) or not isinstance(config.get("arguments"), dict) or "method" not in config:
        raise InputError(f"{path} does not name a method and its arguments; it is not a model of cyclopean.")
    return config


def _filled(folder: Path, config: dict[str, Any]) -> Method:
    if config["method"] not in METHODS:
        raise InputError(
            f"{folder / CONFIG} is for the method {config['method']!r}, which this version does not have "
            f"({', '.join(METHODS)}); update cyclopean or give another model."
        )
    try:
        method = method_class(config["method"])(**config["arguments"])
    except TypeError as error:
        raise InputError(
            f"{folder / CONFIG} has arguments that {config['method']} does not take: {config['arguments']}."
        ) from error
    _fill(method, folder)
    return method.eval()


def _fill(method: Method, folder: Path) -> None:
    path = folder / WEIGHTS
    try:
        tensors = load_file(path)
    except FileNotFoundError as error:
        raise InputError(f"{folder} is no model: it has no {WEIGHTS}; give a folder written by training.") from error
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged or no safetensors file; copy the model folder again.") from error
    own = method.state_dict()
    if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in tensors.items()}:
        raise InputError(
            f"{path} does not fit {method.name} with {method.config()}: its tensors have other names or shapes."
        )
    if not all(bool(v.isfinite().all()) for v in tensors.values() if v.is_floating_point()):
        raise InputError(f"{path} holds numbers that are not finite: its training failed; give another model.")
    method.load_state_dict({k: v.to(own[k].dtype) for k, v in tensors.items()})
