"""Licences: of a model, of what it began with and of what it learned from, and what all of them together permit.

Plain facts out of a model's config.json, without torch and without the network. What is not stated is "unknown".
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cyclopean.data import DATASETS
from cyclopean.errors import InputError
from cyclopean.io.files import at_home, read_json, read_text, shortened
from cyclopean.synthetic import FAMILIES
from cyclopean.training import models

NON_COMMERCIAL = re.compile(r"\bnc\b|non-?commercial|research|amlr", re.IGNORECASE)
SHARE_ALIKE = re.compile(r"share-?alike|\bsa\b|\bgpl|\bagpl", re.IGNORECASE)
FREE = re.compile(r"apache|\bmit\b|\bbsd|\bcc0|\bcc[ -]by\b|public domain|unlicense|\bisc\b|rendered", re.IGNORECASE)
UNKNOWN = "unknown"
RENDERED = "rendered by cyclopean: no licence"

# kind of data set -> its licence, as its owner states it; a kind that is not here has none that we know
DATA = {
    **dict.fromkeys((kind for kind in DATASETS if kind.startswith("kitti_")), "CC BY-NC-SA 3.0"),
    **dict.fromkeys(("cityscapes", "cityscapes_sequence"), "Cityscapes terms: non-commercial"),
    "eth3d": "CC BY-NC-SA 4.0",
    "matterport3d": "Matterport terms: non-commercial",
    "seven_scenes": "Microsoft Research terms: non-commercial",
    "stanford2d3d": "its own terms: non-commercial research",
    "structured3d": "its own terms: non-commercial research",
}

Permission = Literal[
    "any use, with its notice", "any use, results under the same licence", "no commercial use", "unknown"
]
ORDER: tuple[Permission, ...] = (
    *("any use, with its notice", "any use, results under the same licence", "unknown", "no commercial use"),
)


@dataclass(frozen=True)
class Part:
    """Something that a model was made of: its own weights, a parent model, a data set."""

    role: Literal["these weights", "parent", "teacher", "details", "data"]
    name: str
    licence: str

    @property
    def permits(self) -> Permission:
        return permission(self.licence)


def permission(licence: str) -> Permission:
    """Return what a licence permits, by its words. The strictest of several in one text counts."""
    if NON_COMMERCIAL.search(licence):
        return "no commercial use"
    if SHARE_ALIKE.search(licence):
        return "any use, results under the same licence"
    return "any use, with its notice" if FREE.search(licence) else "unknown"


def strictest(parts: list[Part]) -> Permission:
    """Return what all parts together permit: what forbids most, counts; what is unknown may forbid it."""
    return max((part.permits for part in parts), key=ORDER.index, default="unknown")


def licence_of(folder: Path) -> str:
    """Return the licence in the front matter of a model card (README.md), "unknown" without one."""
    try:
        front = re.match(r"---\s*\n(.*?)\n---", read_text(folder / models.README), re.DOTALL)
    except InputError:  # missing, or no text
        front = None
    named = dict(
        re.findall(r"^(license|license_name):[ \t]*[\"']?([^\s\"'#]+)", front[1], re.MULTILINE) if front else ()
    )
    licence = named.get("license", "unknown")
    return shortened(named.get("license_name", licence) if licence == "other" else licence, 60)


def manifest(folder: Path) -> list[Part]:
    """Return the parts of the model in `folder`, itself first, then its parents and data and theirs, each once.

    A licence that its maker has written below `training.licences` of the config, by the part's name, counts first.
    """
    return list(dict.fromkeys(_parts(folder, models.config_of(folder), {folder.resolve()})))


def _parts(folder: Path, config: Mapping[str, Any], seen: set[Path]) -> Iterator[Part]:
    training = config.get("training")
    facts: Mapping[str, Any] = training if isinstance(training, dict) else {}
    stated = facts.get("licences") if isinstance(facts.get("licences"), dict) else {}

    def part(role: Any, name: Any, licence: Any) -> Part:
        return Part(role, shortened(name), shortened(stated.get(name, licence or UNKNOWN)))  # type: ignore[union-attr]

    yield part("these weights", config["method"], config.get("licence"))
    start = facts.get("start")
    if isinstance(start, dict):
        yield part("parent", start.get("what", "its start"), start.get("licence"))
    if isinstance(facts.get("teacher"), str):
        yield part("teacher", facts["teacher"], facts.get("teacher_licence"))
    for role, name in (("parent", facts.get("init")), ("details", config.get("details"))):
        if not isinstance(name, str) or not name:
            continue
        parent = _here(name, folder)
        if parent is None or parent.resolve() in seen:
            yield part(role, name, None)
            continue
        config_of_parent = models.config_of(parent)
        yield part(role, name, config_of_parent.get("licence"))
        _, *theirs = _parts(parent, config_of_parent, seen | {parent.resolve()})
        yield from theirs
    data = facts.get("data")
    if isinstance(data, dict):
        yield part("data", data.get("what", "its data"), data.get("licence"))
    for names in (data, facts.get("unlabelled")):
        for name in names if isinstance(names, list) else ():
            yield part("data", name, data_licence(str(name)))
    adapted = facts.get("adapted")
    if isinstance(adapted, dict) and "clip" in adapted:
        yield part("data", str(adapted["clip"]), None)


def data_licence(name: str) -> str:
    """Return the licence of a data set by its name: KIND:PATH, the path of a folder, or a family of worlds.

    Worlds that show other pictures, and panoramas of a mesh, have licences that only their makers know.
    """
    if name in (*FAMILIES, "all"):
        return RENDERED
    place = at_home(name.removeprefix("folder:")) / "dataset.json"
    if place.is_file():
        content = read_json(place)
        made_by = content.get("made_by") if isinstance(content, dict) else None
        if isinstance(made_by, dict) and "families" in made_by and not made_by.get("pictures"):
            return RENDERED
    return DATA.get(name.partition(":")[0], UNKNOWN)


def _here(name: str, folder: Path) -> Path | None:
    """Return the folder of a model that is bundled or on this disk, None for others: nothing is fetched."""
    for place in (models.BUNDLED / name, Path(name), folder / name):
        try:
            models.config_of(place)
        except (InputError, OSError, ValueError):
            continue
        return place
    return None
