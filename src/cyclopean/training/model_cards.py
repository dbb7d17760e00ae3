"""The card of a model (README.md) as the Hub shows it: standard metadata, figures, training, licences."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cyclopean.io.files import shortened
from cyclopean.methods import METRIC, SPHERICAL, is_metric
from cyclopean.training import models
from cyclopean.training.licences import Permission, manifest, strictest

HUB_LICENCES = (
    "apache-2.0",
    "mit",
    "cc0-1.0",
    "cc-by-4.0",
    "cc-by-sa-4.0",
    "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0",
    "bsd-3-clause",
)
MEANING: dict[Permission, str] = {
    "any use, with its notice": "All parts permit any use, commercial use too, if their notices are kept.",
    "any use, results under the same licence": "A part asks that what is made of it is shared under the same licence.",
    "no commercial use": "**A part forbids commercial use, whatever licence the weights themselves carry.**",
    "unknown": "**The licence of a part is unknown; ask its owner before you use the model for more than a trial.**",
}


def predicts(config: Mapping[str, Any]) -> str:
    """Return what a model of this house predicts, in words: of which pictures, and in which unit."""
    method, arguments = config["method"], config["arguments"]
    unit = "metres" if is_metric(method, arguments) else "up to scale"
    if unit != "metres" and method in METRIC:
        unit = "up to scale and shift"
    spherical = config.get("projection", "equirectangular" if method in SPHERICAL else "pinhole") == "equirectangular"
    return f"depth of {'panoramas' if spherical else 'photos'}, {unit}"


def figures(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the figures that a config states, as text by name; numbers of a list are joined."""
    training = config.get("training")
    facts = training if isinstance(training, dict) else {}
    stated = facts.get("figures")
    rows = dict(stated) if isinstance(stated, dict) else {}
    if not rows and isinstance(facts.get("validation"), int | float):
        rows = {"loss on held-out data": facts["validation"]}
    lists = {name: value if isinstance(value, list) else [value] for name, value in rows.items()}
    return {name: ", ".join(f"{x:.4g}" if isinstance(x, float) else str(x) for x in xs) for name, xs in lists.items()}


def commands(facts: Any) -> Iterator[str]:
    """Yield the commands that a config states, wherever they stand, in their order."""
    if isinstance(facts, dict):
        for key, value in facts.items():
            if key in ("command", "commands"):
                yield from map(str, value if isinstance(value, list) else [value])
            else:
                yield from commands(value)
    elif isinstance(facts, list):
        for value in facts:
            yield from commands(value)


def model_card(folder: Path, name: str) -> str:
    """Return the card of the model in `folder` as the repository `name` shows it."""
    from huggingface_hub import ModelCardData

    config = models.config_of(folder)
    licence, parts = str(config.get("licence", "unknown")), manifest(folder)
    slug = re.sub(r"[^a-z0-9.]+", "-", licence.lower()).strip("-")
    data = ModelCardData(
        license=slug if slug in HUB_LICENCES else "other",
        license_name=None if slug in HUB_LICENCES else slug or "unknown",
        library_name="cyclopean",
        pipeline_tag="depth-estimation",
        tags=["cyclopean", config["method"], *(["360"] if "panoramas" in predicts(config) else [])],
    )
    training, size = config.get("training"), config.get("input_size")
    facts = training if isinstance(training, dict) else {}
    at = f", at about {size[1]}x{size[0]} pixels" if isinstance(size, list) and len(size) == 2 else ""
    rows = figures(config) or {"none": "is stated"}
    settings = {
        key: ", ".join(map(str, value)) if isinstance(value, list) else value
        for key, value in facts.items()
        if key != "command"
        and not any(isinstance(inner, dict) for inner in (value if isinstance(value, list) else [value]))
    }
    return "\n".join(
        [
            f"---\n{data.to_yaml()}\n---\n",
            f"# {name.rpartition('/')[2]}\n",
            f"Predicts {predicts(config)}, by the method `{config['method']}`{at}.\n",
            "```python\nimport cyclopean\n",
            f'depth = cyclopean.load("hub:{name}")("photo.jpg")  # a DepthMap: inverse depth, larger = nearer\n```\n',
            "## Figures\n",
            *_table(("figure", "value"), rows.items()),
            "## Training\n",
            *(["```text", *lines, "```\n"] if (lines := list(commands(facts))) else []),
            *_table(("setting", "value"), (settings or {"none": "is stated"}).items()),
            "## Licences\n",
            f"The weights: {licence}. {MEANING[strictest(parts)]}\n",
            *_table(("part", "what", "licence", "permits"), [(p.role, p.name, p.licence, p.permits) for p in parts]),
            "Licences of data sets are stated as their owners published them; read them there.",
            "",
        ]
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    cells = [[shortened(cell, 300).replace("|", r"\|").replace("\n", " ") for cell in row] for row in rows]
    return [*(f"| {' | '.join(row)} |" for row in [list(heads), ["---"] * len(heads), *cells]), ""]
