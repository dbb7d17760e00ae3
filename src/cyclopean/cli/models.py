"""`cyclopean models`: what models are here, what they predict, under which licence, with which figures."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from cyclopean.cli.output import emit
from cyclopean.cli.parsing import parse
from cyclopean.errors import InputError
from cyclopean.evaluation.tables import Table
from cyclopean.flags import Flag
from cyclopean.io.files import printable, read_json, shortened

PLACES = ("", "*/", "*/best/", "*/last/", "runs/*/best/", "runs/*/last/")  # of models below a folder
UNSEEN = "-"


@dataclass(frozen=True)
class Models:
    """List models: those that came with cyclopean, and those in folders, with what they predict, their licence, size
    and figures. The name in the first column is what --model takes.
    """

    folders: Annotated[tuple[str, ...], Flag("FOLDER ...", positional=True, default="(default: here)")] = ()
    """Where to look: models, runs of training, and folders of those."""
    hub: bool = False
    """Also list what was fetched from the Hugging Face Hub before, and ask it for all models of cyclopean."""


@dataclass(frozen=True)
class Listed:
    """One model of the list. `megabytes` is None where its weights are not here."""

    name: str
    where: str
    predicts: str
    licence: str
    megabytes: float | None
    figures: dict[str, str]


def main(arguments: list[str]) -> int:
    return run(parse(Models, arguments, "cyclopean models"))


def run(options: Models) -> int:
    """Print a table, or emit an object for each model; return 2 if a folder held none or cannot be read, else 0."""
    from cyclopean.training import models

    listed, bad = [_listed(name, "bundled", models.BUNDLED / name) for name in models.bundled()], []
    for name in options.folders or (".",):
        count = len(listed)
        for place in PLACES:
            for config in sorted(Path(name).glob(f"{place}{models.CONFIG}")):
                with suppress(InputError):  # a JSON file of that name, of something else
                    listed.append(_listed(str(config.parent), "folder", config.parent))
        if options.folders and len(listed) == count:
            bad.append(
                f"{printable(name)} holds no model; give a folder with config.json and model.safetensors, or a run."
            )
    if options.hub:
        listed += fetched()
        try:
            listed += _published({model.name for model in listed})
        except InputError as error:
            bad.append(str(error))
    for model in listed:
        emit(asdict(model))
    heads = ("model", "where", "predicts", "licence", "MB", "figures")
    rows = tuple(
        (
            model.name, model.where, model.predicts, shortened(model.licence, 40),
            UNSEEN if model.megabytes is None else f"{model.megabytes:.1f}",
            ", ".join(f"{name} {value}" for name, value in list(model.figures.items())[:1]) or UNSEEN,
        )
        for model in listed
    )  # fmt: skip
    print(printable(Table(heads, rows, 6).plain()))
    for sentence in bad:
        print(f"cyclopean models: {sentence}", file=sys.stderr)
        emit({"error": sentence})
    return 2 if bad else 0


def _listed(name: str, where: str, folder: Path) -> Listed:
    """Return what is known of the model in `folder`. Raises InputError for what is no model."""
    from cyclopean.training import model_cards, models
    from cyclopean.training.licences import licence_of

    weights = models.weights_files(folder)
    size = sum(path.stat().st_size for path in weights) / 1e6 if weights else None
    if models.is_foreign(folder):
        from cyclopean.inference.foreign import PROCESSORS

        kind = read_json(folder / models.CONFIG)["model_type"]
        if kind not in PROCESSORS:
            raise InputError(f"{folder} is a {kind}, which predicts no depth.")
        return Listed(name, where, f"depth of photos ({kind})", licence_of(folder), size, {})
    config = models.config_of(folder)
    licence = str(config.get("licence", "unknown"))
    return Listed(name, where, model_cards.predicts(config), licence, size, model_cards.figures(config))


def fetched() -> Iterator[Listed]:
    """Yield the models that were fetched from the Hub, as far as they are ones for depth."""
    from huggingface_hub import constants, scan_cache_dir

    if not Path(constants.HF_HUB_CACHE).is_dir():
        return
    for repository in sorted(scan_cache_dir(constants.HF_HUB_CACHE).repos, key=lambda repository: repository.repo_id):
        for revision in sorted(repository.revisions, key=lambda revision: revision.last_modified)[-1:]:
            with suppress(InputError):  # of something else than depth
                yield _listed(f"hub:{repository.repo_id}", "fetched", revision.snapshot_path)


def _published(known: set[str]) -> Iterator[Listed]:
    """Yield the Hub's models of cyclopean that are not in `known`. Raises InputError if it cannot be asked."""
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers, get_session

    from cyclopean.training import models

    models.quiet_client()
    place = f"{constants.ENDPOINT}/api/models"
    try:  # one request: the client's own list would retry for long without a network
        answer = get_session().get(
            place, params={"filter": "cyclopean", "limit": 100}, headers=build_hf_headers(), timeout=models.SECONDS
        )
        answer.raise_for_status()
        tagged = [(str(model["id"]), list(map(str, model.get("tags", ())))) for model in answer.json()]
    except Exception as error:  # of HTTP, TLS, proxies, by several libraries, and of what is no list of models
        why = f"the Hub could not be asked ({type(error).__name__})"
        raise InputError(f"{why}; check the connection, or leave --hub out.") from error
    for name, tags in tagged:
        if f"hub:{name}" not in known:
            licence = next((tag.partition(":")[2] for tag in tags if tag.startswith("license:")), "unknown")
            pictures = "panoramas" if "360" in tags else "photos"
            yield Listed(f"hub:{name}", "Hub", f"depth of {pictures}", licence, None, {})
