"""Find models by their names: bundled ones, folders, runs of training, Hugging Face Hub repositories. No torch here."""

import json
import logging
import os
import sys
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

from cyclopean.errors import InputError, unknown_name
from cyclopean.io.files import REPOSITORY, read_json, shortened

LOG = logging.getLogger(__name__)
BUNDLED = Path(__file__).parents[1] / "models"
DEFAULT = "general"
WEIGHTS, CONFIG = "model.safetensors", "config.json"
SHARDS = "model-*-of-*.safetensors"  # of large models of others
PREPROCESSOR, README = "preprocessor_config.json", "README.md"  # of models of others, whose card has their licence
TOKENIZER = ("tokenizer*.json", "special_tokens_map.json", "vocab.json", "vocab.txt", "merges.txt")  # of segmenters
HUB = "hub:"  # prefix of a name to be looked up on the Hugging Face Hub only
SECONDS = 10.0  # timeout of the first request to the Hub


def card(name: Path | str) -> dict[str, Any]:
    """Return the config of a model alone."""
    return config_of(locate(name))


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
        return fetch(text.removeprefix(HUB))
    try:
        if path.is_dir() and (text not in bundled() or is_model(path)):
            model = None if (path / CONFIG).exists() else _of_run(path)
            if model is not None:
                _log_choice(model)
            return model or path
        if (BUNDLED / text / CONFIG).is_file():
            return BUNDLED / text
        beside = models_in(path.parent) if path.parts[1:] and not path.is_file() else []
        here = bool(path.parts) and Path(path.parts[0]).exists()
    except (OSError, ValueError):
        raise InputError(f"there is no model folder {shortened(text)!r}; no folder can have that name.") from None
    if beside:
        raise InputError(f"there is no model folder {text!r}; {path.parent} holds {shortened(', '.join(beside))}.")
    if not here and REPOSITORY.fullmatch(text):
        return fetch(text)
    if path.is_file():
        raise not_a_model(path)
    if "/" in text or os.sep in text:
        raise InputError(f"there is no model folder {text!r}; give a folder with {WEIGHTS} and {CONFIG}.")
    raise unknown_name("model", text, bundled())


def models_in(folder: Path) -> list[str]:
    """Return the names of the models and runs in a folder, sorted; of a folder that is not there, none."""
    return sorted(inside.name for inside in folder.glob("*") if is_model(inside))


def not_a_model(path: Path) -> InputError:
    """Return an `InputError` for a file, or a folder without a config, given as a model: what to give instead."""
    folder = path if path.is_dir() else path.parent
    if path == folder and (stages := [stage for stage in sorted(folder.glob("stage*")) if _of_run(stage)]):
        first = f", or take what an earlier one has learned: {stages[-1]}" if stages[-1].name != "stage0" else ""
        return InputError(
            f"{path} is a training run that was stopped in {stages[-1].name} or right after it, before its last stage "
            f"left a model; go on with it (the same command with --resume){first}."
        )
    if path != folder and (folder / CONFIG).is_file():
        return InputError(f"{path} is a file of a model; give its folder, {folder}.")
    inner = models_in(folder)
    there = f"give one of the models in {folder}: {shortened(', '.join(inner))}." if inner else ""
    why = f"it has no {CONFIG}" if path == folder else "it is a file"
    return InputError(f"{path} is not a model: {why}; {there or 'give a folder written by training.'}")


def is_foreign(folder: Path) -> bool:
    """Return whether `folder` holds a model of `transformers`, not one of this house."""
    if not (folder / CONFIG).is_file():
        return False
    config = read_json(folder / CONFIG)
    return isinstance(config, dict) and "model_type" in config and "method" not in config


def is_onnx(name: Path | str) -> bool:
    """Return whether `name` is that of an ONNX file."""
    return Path(name).suffix.lower() == ".onnx" and not Path(name).is_dir()


def weights_files(folder: Path) -> list[Path]:
    """Return the files of a model's weights: one, or all of its shards; none where any is missing."""
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    shards = sorted(folder.glob(SHARDS))
    complete = bool(shards) and shards[-1].stem.endswith(f"-of-{len(shards):05d}")
    return shards if complete else []


def trained_on(name: Path | str) -> list[str]:
    """Return the names of the data sets that a model was trained on, from its card; empty if it lists none."""
    folder = locate(name)
    training = None if is_foreign(folder) else config_of(folder).get("training")
    data = training.get("data") if isinstance(training, dict) else None
    return [item for item in data if isinstance(item, str)] if isinstance(data, list) else []


def bundled() -> list[str]:
    """Return the names of the models that ship inside the package."""
    return sorted(p.parent.name for p in BUNDLED.glob(f"*/{CONFIG}"))


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


def fetch(
    name: str,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
) -> Path:
    """Return the folder that a Hub repository's model is fetched to; the keywords are those of the Hub's library.

    One that was fetched before is taken as it is. Else one request to the Hub precedes the download, which would retry
    for long without a network.
    """
    if not REPOSITORY.fullmatch(name):
        raise InputError(f"{shortened(name)!r} is not a Hub repository; they are named owner/name.")
    from huggingface_hub import HfApi, snapshot_download

    quiet_client()
    get = partial(
        snapshot_download, name, revision=revision, token=token, cache_dir=cache_dir,
        allow_patterns=[WEIGHTS, SHARDS, CONFIG, PREPROCESSOR, README, *TOKENIZER],
    )  # fmt: skip
    try:
        folder = None
        if not force_download:
            with suppress(OSError, ValueError):  # not here
                folder = Path(get(local_files_only=True))
        if folder is not None and (folder / CONFIG).is_file() and weights_files(folder):
            return folder
        if local_files_only:
            raise FileNotFoundError(name)
        HfApi().model_info(name, revision=revision, timeout=SECONDS, token=token)
        folder = Path(get(force_download=force_download))
    except Exception as error:  # of HTTP, TLS, proxies and disks, by several libraries
        raise InputError(
            f"there is no model folder {name!r}, and no Hub repository of that name could be fetched "
            f"({type(error).__name__}); check the name and the connection."
        ) from error
    if not (folder / CONFIG).is_file():
        raise InputError(f"the Hub repository {name!r} holds no model ({CONFIG} is missing); check the name.")
    return folder


def quiet_client() -> None:
    """Keep the Hub's client from sending telemetry and other extra requests, and from drawing bars outside a
    terminal.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import disable_progress_bars

    constants.HF_HUB_DISABLE_TELEMETRY = True  # otherwise each download also requests a list of agents
    if not sys.stderr.isatty():
        disable_progress_bars()


def config_of(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.exists():
        raise not_a_model(folder)
    config = read_json(path)
    valid = isinstance(config, dict) and isinstance(config.get("method"), str)
    if not valid or not isinstance(config.get("arguments"), dict):
        raise InputError(f"{path} does not name a method and its arguments; it is not a model of cyclopean.")
    return config
