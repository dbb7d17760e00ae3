"""The JSON beside every file of depth: what the numbers are, of which picture, made by what. Same stem, .json."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from cyclopean.errors import InputError, unknown_name
from cyclopean.geometry import Equirectangular, Pinhole

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


EXAMPLE = '{"kind": "depth", "unit": "m", "scale": 0.001, "unknown": 0}'


def read_sidecar(path: Path) -> Sidecar | None:
    """The sidecar of the file at `path`, or None when there is none."""
    side = sidecar_path(path)
    if not side.is_file():
        return None
    try:
        content = json.loads(side.read_text())
    except ValueError:
        raise InputError(f"{side} is not readable JSON; correct or remove it.") from None
    if not isinstance(content, dict) or "kind" not in content:
        raise InputError(f'{side} does not say the "kind" of {path.name}: write for example {EXAMPLE}, or remove it.')
    return _from_json(side, content)


def outputs_named_in(folder: Path) -> set[str]:
    """Names of the files in `folder` that our sidecars call their own: a folder run must not read its own results."""
    names: set[str] = set()
    for side in folder.glob("*.json"):
        try:
            content = json.loads(side.read_text())
        except (ValueError, OSError):
            continue
        if isinstance(content, dict) and str(content.get("format", "")).startswith("cyclopean-"):
            names |= {str(name) for name in content.get("files", ())}
    return names


def sidecar_path(path: Path) -> Path:
    return path.with_name(path.stem + ".json")


def to_json(card: Sidecar) -> dict[str, Any]:
    from cyclopean import __version__

    model = card.model and {"name": card.model.name, "sha256": card.model.sha256, "licence": card.model.licence}
    content: dict[str, Any] = {"format": "cyclopean-depth", "version": 1, "cyclopean": __version__}
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
    default = "metric" if unit == "m" else "scale"
    ambiguity = _one_of(side, "ambiguity", content.get("ambiguity", default), get_args(Ambiguity))
    if (unit == "m") != (ambiguity == "metric"):
        raise InputError(
            f"{side} contradicts itself: unit {unit!r} with ambiguity {ambiguity!r}; metres are metric and only they."
        )
    try:
        model = content.get("model")
        return Sidecar(
            kind, unit, ambiguity, _camera_from_json(content.get("camera")), Maker(**model) if model else None,
            content.get("source"), _size_of(content.get("source_size")), _size_of(content.get("size")),
            float(content.get("scale", 1)), float(content.get("offset", 0)), _number(content.get("unknown")),
            tuple(content.get("files", ())), dict(content.get("notes", {})),
        )  # fmt: skip
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"{side} cannot be understood ({error}); correct or remove it.") from None


def _one_of(side: Path, key: str, given: Any, known: tuple[str, ...]) -> Any:
    if given not in known:
        raise InputError(f"{side}: {unknown_name(key, str(given), known)}")
    return given


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _size_of(pair: Any) -> tuple[int, int] | None:
    return (int(pair[0]), int(pair[1])) if pair else None


def _camera_to_json(camera: AnyCamera | None) -> dict[str, Any] | None:
    if camera is None:
        return None
    if isinstance(camera, Equirectangular):
        return {"camera": "equirectangular", "depth": "radius"}
    return {"camera": "pinhole", "focal": camera.focal[0].tolist(), "center": camera.center[0].tolist()}


def _camera_from_json(content: dict[str, Any] | None) -> AnyCamera | None:
    if content is None:
        return None
    if content["camera"] == "equirectangular":
        return Equirectangular()
    if content["camera"] != "pinhole":
        raise ValueError(f"unknown camera {content['camera']!r}")
    return Pinhole(torch.tensor([content["focal"]]).float(), torch.tensor([content["center"]]).float())
