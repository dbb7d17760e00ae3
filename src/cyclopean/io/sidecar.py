"""The JSON beside every file of depth: what the numbers are, of which picture, made by what. Same stem, .json."""

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from cyclopean.errors import InputError, unknown_name
from cyclopean.geometry import Equirectangular, Pinhole
from cyclopean.geometry.cameras import NARROWEST_LENS, WIDEST_LENS, field_of_view
from cyclopean.io.files import read_json, shortened

Kind = Literal["inverse_depth", "disparity", "inverse_distance", "depth", "distance"]
Unit = Literal["m", "relative"]
Ambiguity = Literal["metric", "scale", "affine"]
AnyCamera = Pinhole | Equirectangular


@dataclass(frozen=True)
class Maker:
    """The model that made a map: its name and the SHA-256 of its weights."""

    name: str
    sha256: str
    licence: str = "unknown"


@dataclass(frozen=True)
class Sidecar:
    """What a file of numbers means: `value = offset + scale * number`; the number `unknown` marks no value."""

    kind: Kind
    unit: Unit = "relative"
    ambiguity: Ambiguity | None = None
    camera: AnyCamera | None = None
    model: Maker | None = None
    source: str | None = None
    source_size: tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    scale: float = 1.0
    offset: float = 0.0
    unknown: float | None = None
    files: tuple[str, ...] = ()
    notes: dict[str, float | str] = field(default_factory=dict)


VERSION = 1  # of the format
FARTHEST_CENTER = 8.0  # image widths: farther out lies no cut-out's principal point, and every one in pixels
EXAMPLE = '{"kind": "depth", "unit": "m", "scale": 0.001, "unknown": 0}'


def read_sidecar(path: Path) -> Sidecar | None:
    """The sidecar of the file at `path`, or None when there is none."""
    side = sidecar_path(path)
    if not os.path.lexists(side):
        return None
    content = read_json(side)
    if not isinstance(content, dict) or "kind" not in content:
        raise InputError(f'{side} does not say the "kind" of {path.name}: write for example {EXAMPLE}, or remove it.')
    return _from_json(side, content)


def outputs_named_in(folder: Path) -> set[str]:
    """Return names of files in `folder` that our sidecars list: a folder run must not read its own results."""
    names: set[str] = set()
    for side in folder.glob("*.json"):
        try:
            content = read_json(side)
        except InputError:  # somebody else's file, which is not asked for
            continue
        names |= _files_named_in(content)
    return names


def foreign_files(folder: Path, names: Iterable[str], source: str) -> list[str]:
    """Return those of `names` that exist in `folder` and are no results of ours for the picture `source`.

    Results of ours are the sidecars among `names`, what these name, and folders whose files are all named in them.
    """
    existing = [name for name in names if os.path.lexists(folder / name)]
    own: set[str] = set()
    for name in existing:
        if (folder / name).is_dir():
            inner = outputs_named_in(folder / name)
            if all(path.name in inner or path.suffix == ".json" for path in (folder / name).iterdir()):
                own.add(name)
        elif name.endswith(".json"):
            try:
                content = read_json(folder / name)
            except InputError:  # another program's
                continue
            files = _files_named_in(content)
            own |= {name, *files} if files and content.get("source") == source else set()
    return [name for name in existing if name not in own]


def keep_names(new: Path, folder: Path) -> None:
    """Let sidecars in `new` name the files that remain in `folder` of the sidecars that they are going to replace."""
    for side in new.glob("*.json"):
        content = json.loads(side.read_text())
        try:
            earlier = _files_named_in(read_json(folder / side.name)) if (folder / side.name).is_file() else set()
        except InputError:
            continue
        kept = sorted(name for name in earlier - _files_named_in(content) if (folder / name).is_file())
        if kept:
            side.write_text(json.dumps({**content, "earlier_files": kept}, indent=2) + "\n")


def _files_named_in(content: Any) -> set[str]:
    """Return the names of the files that the content of a sidecar of ours lists; none of other content."""
    if not isinstance(content, dict) or not str(content.get("format", "")).startswith("cyclopean-"):
        return set()
    lists = (content.get(key) for key in ("files", "earlier_files"))
    return {str(name) for names in lists if isinstance(names, list) for name in names}


def sidecar_path(path: Path) -> Path:
    return path.with_name(path.stem + ".json")


def to_json(card: Sidecar) -> dict[str, Any]:
    from cyclopean import __version__

    model = card.model and {"name": card.model.name, "sha256": card.model.sha256, "licence": card.model.licence}
    content: dict[str, Any] = {"format": "cyclopean-depth", "version": VERSION, "cyclopean": __version__}
    content |= {"kind": card.kind, "larger_is": "nearer", "unit": card.unit, "ambiguity": card.ambiguity}
    content |= {"size": card.size, "source": card.source, "source_size": card.source_size}
    content |= {"camera": _camera_to_json(card.camera), "model": model}
    if card.unknown is not None:
        content |= {"scale": card.scale, "offset": card.offset, "unknown": card.unknown}
    content |= {"notes": card.notes} if card.notes else {}
    return content | {"files": card.files}


def _from_json(side: Path, content: dict[str, Any]) -> Sidecar:
    kind = _one_of(side, "kind", content["kind"], get_args(Kind))
    unit = _one_of(side, "unit", content.get("unit", "relative"), get_args(Unit))
    if str(content.get("format", "")).startswith("cyclopean-") and content.get("version", VERSION) != VERSION:
        raise InputError(
            f"{side} has version {shortened(content['version'], 20)} of its format, not {VERSION}; update cyclopean."
        )
    if content.get("larger_is", nearer := "farther" if kind in ("depth", "distance") else "nearer") != nearer:
        raise InputError(f"{side} contradicts itself: of {kind}, larger is {nearer}; correct one of them.")
    default = "metric" if unit == "m" else "scale"
    ambiguity = _one_of(side, "ambiguity", content.get("ambiguity", default), get_args(Ambiguity))
    if (unit == "m") != (ambiguity == "metric"):
        raise InputError(
            f"{side} contradicts itself: unit {unit!r} with ambiguity {ambiguity!r}; metres are metric and only they."
        )
    try:
        scale, offset = (_number(content.get(key, default)) for key, default in (("scale", 1), ("offset", 0)))
        if scale == 0:
            raise ValueError("a scale of 0 leaves no numbers")
        files, notes, source = content.get("files", []), content.get("notes", {}), content.get("source")
        if not isinstance(files, list) or not isinstance(notes, dict) or not isinstance(source, str | None):
            raise ValueError('"files" is a list, "notes" an object, "source" a name')
        unknown = content.get("unknown")
        return Sidecar(
            kind, unit, ambiguity, camera_from_json(content.get("camera")), maker_from_json(content.get("model")),
            source, _size_of(content.get("source_size")), _size_of(content.get("size")),
            scale, offset, None if unknown is None else float(unknown), tuple(map(str, files)), notes,
        )  # fmt: skip
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"{side} cannot be understood ({shortened(error)}); correct or remove it.") from None


def _one_of(side: Path, key: str, given: Any, known: tuple[str, ...]) -> Any:
    if given not in known:
        raise InputError(f"{side}: {unknown_name(key, shortened(given), known)}")
    return given


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{shortened(value, 40)} is no finite number")
    return float(value)


def _numbers(values: Any, key: str) -> list[float]:
    if not isinstance(values, list) or len(values) != 2:
        raise ValueError(f"{key} {shortened(values, 40)} is not two numbers")
    return [_number(value) for value in values]


def _size_of(pair: Any) -> tuple[int, int] | None:
    """(height, width), or None when nothing is given."""
    if pair is None:
        return None
    height, width = _numbers(pair, "size")
    if not (height >= 1 and width >= 1 and height.is_integer() and width.is_integer()):
        raise ValueError(f"size {shortened(pair, 40)} is not a height and a width")
    return int(height), int(width)


def maker_from_json(content: Any) -> Maker | None:
    """Return the model that a sidecar or a profile names. Raises ValueError for anything else."""
    if content is None:
        return None
    words = ("name", "sha256", "licence")
    if not isinstance(content, dict) or not all(isinstance(content.get(word, ""), str) for word in words):
        raise ValueError(f"model {shortened(content, 40)} is no name, sha256 and licence")
    return Maker(content["name"], content["sha256"], content.get("licence", "unknown"))


def _camera_to_json(camera: AnyCamera | None) -> dict[str, Any] | None:
    if camera is None:
        return None
    if isinstance(camera, Equirectangular):
        return {"camera": "equirectangular", "depth": "radius"}
    return {"camera": "pinhole", "focal": camera.focal[0].tolist(), "center": camera.center[0].tolist()}


def camera_from_json(content: Any) -> AnyCamera | None:
    """Return the camera of a sidecar or a profile; None for None.

    Raises ValueError or KeyError for what is none: `focal` and `center` are two finite numbers each, in image widths
    and heights, of a field of view that a lens can have.
    """
    if content is None:
        return None
    if not isinstance(content, dict):
        raise ValueError(f"camera {shortened(content, 40)} is no object")
    name = content.get("camera", "pinhole")
    if name == "equirectangular":
        return Equirectangular()
    if name != "pinhole":
        raise ValueError(f"unknown camera {shortened(name, 40)!r}")
    focal, center = _numbers(content["focal"], "focal"), _numbers(content["center"], "center")
    if not all(1e-4 < length < 1e4 for length in focal):
        raise ValueError(f"focal {focal} is in image widths and heights, both above 0")
    degrees = field_of_view(min(focal))
    if not WIDEST_LENS > degrees > NARROWEST_LENS:
        raise ValueError(
            f"focal {focal} would mean a field of view of {degrees:.2g} degrees; it is in image widths and heights: "
            "divide pixels by the picture's"
        )
    if not all(abs(place) < FARTHEST_CENTER for place in center):
        raise ValueError(f"center {center} is in image widths and heights: divide pixels by the picture's")
    return Pinhole(torch.tensor([focal]), torch.tensor([center]))
