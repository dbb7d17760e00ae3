"""The JSON beside every depth file: the meaning, the picture and the model of its numbers. Same stem, .json."""

import difflib
import json
import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from cyclopean.errors import InputError, unknown_name
from cyclopean.geometry import Equirectangular, Pinhole
from cyclopean.io.files import read_json, shortened

Kind = Literal["inverse_depth", "disparity", "inverse_distance", "depth", "distance"]
Unit = Literal["m", "relative"]
Ambiguity = Literal["metric", "scale", "affine"]
AnyCamera = Pinhole | Equirectangular

VERSION = 1  # of the format
KEYS = (  # of a sidecar, that change what its numbers mean; a misspelt one must not be ignored silently
    *("kind", "larger_is", "unit", "ambiguity", "camera", "scale", "offset", "unknown", "size", "source_size"),
)
METRES = {  # units that people write, in metres
    **dict.fromkeys(("mm", "millimetre", "millimetres", "millimeter", "millimeters"), 0.001),
    **dict.fromkeys(("cm", "centimetre", "centimetres", "centimeter", "centimeters"), 0.01),
    **dict.fromkeys(("metre", "metres", "meter", "meters"), 1.0),
    **dict.fromkeys(("km", "kilometre", "kilometres", "kilometer", "kilometers"), 1000.0),
    **dict.fromkeys(("ft", "foot", "feet"), 0.3048),
    **dict.fromkeys(("in", "inch", "inches"), 0.0254),
}
LEAST_VIEW = 1.0  # degrees along the longer side: no photo has a smaller field of view
FARTHEST_CENTER = 50.0  # image widths or heights: no crop's centre lies farther out
EXAMPLE = '{"kind": "depth", "unit": "m", "scale": 0.001, "unknown": 0}'


@dataclass(frozen=True)
class Maker:
    """The model that made a map: its name and the SHA-256 of its weights."""

    name: str
    sha256: str
    licence: str = "unknown"


@dataclass(frozen=True)
class Sidecar:
    """The meaning of a file of numbers: `value = offset + scale * number`; the number `unknown` marks unknown values.

    `source` names the picture they were made from, `source_hash` is the SHA-256 of its file, `settings` a hash of what
    else changes them.
    """

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
    source_hash: str | None = None
    settings: str = ""


def sidecar_path(path: Path) -> Path:
    """Return the path of the sidecar of the file at `path`."""
    return path.with_name(path.stem + ".json")


def read_sidecar(path: Path) -> Sidecar | None:
    """Return the sidecar of the file at `path`, or None when there is none. Raises InputError for a wrong one."""
    side = sidecar_path(path)
    if not os.path.lexists(side):
        return None
    content = read_json(side)
    if not isinstance(content, dict) or "kind" not in content:
        raise InputError(f'{side} does not state the "kind" of {path.name}: write for example {EXAMPLE}, or remove it.')
    for key in content:
        near = [] if key in KEYS else difflib.get_close_matches(str(key).lower(), KEYS, n=1, cutoff=0.8)
        if near:
            raise InputError(f"{side}: unknown key {shortened(key, 40)!r}: did you mean {near[0]!r}?")
    check_version(side, content)
    try:
        kind, unit = content["kind"], content.get("unit", "relative")
        default = "metric" if unit == "m" else "scale"
        ambiguity = content.get("ambiguity", default)
        check_meaning(kind, unit, ambiguity)
    except InputError as error:
        raise InputError(f"{side}: {error}") from None
    if content.get("larger_is", larger_is(kind)) != larger_is(kind):
        raise InputError(f"{side} contradicts itself: of {kind}, larger is {larger_is(kind)}; correct one of them.")
    if (unit == "m") != (ambiguity == "metric"):
        raise InputError(
            f"{side} contradicts itself: unit {unit!r} with ambiguity {ambiguity!r}; only metres are metric."
        )
    try:
        scale, offset = (_number(content.get(key, default)) for key, default in (("scale", 1), ("offset", 0)))
        if scale == 0:
            raise ValueError("a scale of 0 leaves no numbers")
        files, notes, source = content.get("files", []), content.get("notes", {}), content.get("source")
        digest, settings = content.get("source_sha256"), content.get("settings", "")
        if not isinstance(files, list) or not isinstance(notes, dict) or not isinstance(source, str | None):
            raise ValueError('"files" is a list, "notes" an object, "source" a name')
        if not isinstance(digest, str | None) or not isinstance(settings, str):
            raise ValueError('"source_sha256" and "settings" are texts')
        unknown = content.get("unknown")
        return Sidecar(
            kind, unit, ambiguity, camera_from_json(content.get("camera")), maker_from_json(content.get("model")),
            source, _size(content.get("source_size")), _size(content.get("size")),
            scale, offset, None if unknown is None else float(unknown), tuple(map(str, files)), notes, digest,
            settings,
        )  # fmt: skip
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"{side} cannot be understood ({shortened(error)}); correct or remove it.") from None


def sidecar_to_json(sidecar: Sidecar) -> dict[str, Any]:
    """Return the content of a sidecar's file."""
    from cyclopean import __version__

    camera = sidecar.camera and camera_to_json(sidecar.camera)
    if isinstance(sidecar.camera, Equirectangular):
        camera = {**(camera or {}), "depth": "radius"}
    content: dict[str, Any] = {"format": "cyclopean-depth", "version": VERSION, "cyclopean": __version__}
    content |= {
        "kind": sidecar.kind,
        "larger_is": larger_is(sidecar.kind),
        "unit": sidecar.unit,
        "ambiguity": sidecar.ambiguity,
    }
    content |= {"size": sidecar.size, "source": sidecar.source, "source_size": sidecar.source_size}
    content |= {"source_sha256": sidecar.source_hash} if sidecar.source_hash else {}
    content |= {"settings": sidecar.settings} if sidecar.settings else {}
    content |= {"camera": camera, "model": sidecar.model and asdict(sidecar.model)}
    coding = {"scale": sidecar.scale, "offset": sidecar.offset, "unknown": sidecar.unknown}
    content |= {} if coding == {"scale": 1.0, "offset": 0.0, "unknown": None} else coding
    content |= {"notes": sidecar.notes} if sidecar.notes else {}
    return content | {"files": sidecar.files}


def larger_is(kind: Kind) -> Literal["nearer", "farther"]:
    """Return which pixels have the larger numbers."""
    return "farther" if kind in ("depth", "distance") else "nearer"


def check_kind(kind: Any) -> None:
    """Raise InputError unless this is a `Kind`."""
    if kind not in get_args(Kind):
        raise unknown_name("kind", shortened(kind), get_args(Kind))


def check_meaning(kind: Any, unit: Any, ambiguity: Any) -> None:
    """Raise InputError unless each is a `Kind`, a `Unit` and an `Ambiguity`; for other units it names the scale.

    Depth and distance are not affine: 1 / depth of a map with an unknown offset means nothing.
    """
    check_kind(kind)
    if unit not in get_args(Unit):
        metres = METRES.get(unit.strip().lower()) if isinstance(unit, str) else None
        if metres is None:
            raise InputError(f"unknown unit {shortened(unit, 100)!r}: choose one of: {', '.join(get_args(Unit))}.")
        scale = "" if metres == 1 else f', with the scale {metres:g} (in a sidecar "scale": {metres:g})'
        raise InputError(f"unknown unit {unit!r}: write 'm'{scale}.")
    if ambiguity not in get_args(Ambiguity):
        raise unknown_name("ambiguity", shortened(ambiguity), get_args(Ambiguity))
    if ambiguity == "affine" and kind in ("depth", "distance"):
        raise InputError(
            f"{kind} that is known only up to a factor and an offset (affine) has no inverse: align it with true "
            f"{kind}, or take 1 - x of its numbers x from 0 (nearest) to 1 as 'inverse_{kind}', 'affine' (in a sidecar "
            f'"kind": "inverse_{kind}", "ambiguity": "affine", "scale": -1, "offset": 1).'
        )


def check_version(path: Path, content: dict[str, Any]) -> None:
    """Raise InputError if a file of ours (a sidecar, a profile) has another version of its format than this one."""
    if content.get("version", VERSION) != VERSION:
        raise InputError(
            f"{path} has version {shortened(content['version'], 20)} of its format, not {VERSION}; update cyclopean, "
            'or leave "version" out if you wrote it.'
        )


def outputs_named_in(folder: Path) -> set[str]:
    """Return the names of the files in `folder` that our sidecars list, and of these sidecars, so that folder runs do
    not read their own results."""
    listed = {path.name: outputs_of_sidecar(path) for path in folder.glob("*.json")}
    return {name for name, files in listed.items() if files}.union(*listed.values())


def outputs_of_sidecar(path: Path) -> set[str]:
    """Return the names of the files that the sidecar at `path` lists; none for other files, and without a file."""
    try:
        return _listed_files(read_json(path))
    except InputError:
        return set()


def foreign_files(folder: Path, names: Iterable[str], source: str) -> list[str]:
    """Return those of `names` that exist in `folder` and are not our results for the picture `source`. Our results are
    the sidecars among `names`, the files that these list, and folders whose files are all listed.
    """
    existing = [name for name in names if os.path.lexists(folder / name)]
    outputs: set[str] = set()
    for name in existing:
        if (folder / name).is_dir():
            inner = outputs_named_in(folder / name)
            if all(path.name in inner or path.suffix == ".json" for path in (folder / name).iterdir()):
                outputs.add(name)
        elif name.endswith(".json"):
            try:
                content = read_json(folder / name)
            except InputError:  # another program's
                continue
            files = _listed_files(content)
            outputs |= {name, *files} if files and content.get("source") == source else set()
    return [name for name in existing if name not in outputs]


def keep_names(new: Path, folder: Path) -> None:
    """Add to sidecars in `new` the files that remain in `folder` from the sidecars that they will replace."""
    for side in new.glob("*.json"):
        content = json.loads(side.read_text())
        try:
            earlier = _listed_files(read_json(folder / side.name)) if (folder / side.name).is_file() else set()
        except InputError:
            continue
        kept = sorted(name for name in earlier - _listed_files(content) if (folder / name).is_file())
        if kept:
            side.write_text(json.dumps({**content, "earlier_files": kept}, indent=2) + "\n")


def camera_to_json(camera: AnyCamera) -> dict[str, Any]:
    """Return a camera as in all our JSON files; focal lengths and centre in image widths and heights."""
    if isinstance(camera, Equirectangular):
        return {"camera": "equirectangular"}
    return {"camera": "pinhole", "focal": camera.focal[0].tolist(), "center": camera.center[0].tolist()}


def camera_from_json(content: Any) -> AnyCamera | None:
    """Return the camera of a sidecar or a profile; None for None.

    Raises ValueError or KeyError for anything else: `focal` and `center` are two finite numbers each, `focal` above 0,
    in image widths and heights. The error names numbers that must be in pixels.
    """
    if content is None:
        return None
    if not isinstance(content, dict):
        raise ValueError(f"camera {shortened(content, 40)} is not an object")
    name = content.get("camera", "pinhole")
    if name == "equirectangular":
        return Equirectangular()
    if name != "pinhole":
        raise ValueError(f"unknown camera {shortened(name, 40)!r}")
    focal, center = _pair(content["focal"], "focal"), _pair(content["center"], "center")
    if not min(focal) > 1e-4:
        raise ValueError(f"focal {focal} is in image widths and heights, both above 0")
    if min(focal) > 0.5 / math.tan(math.radians(LEAST_VIEW / 2)) or max(focal) >= 1e4:
        raise ValueError(f"focal {focal} is in image widths and heights; divide pixels by the image's width and height")
    if max(map(abs, center)) > FARTHEST_CENTER:
        raise ValueError(
            f"center {center} is in image widths and heights; divide pixels by the image's width and height"
        )
    return Pinhole(torch.tensor([focal]), torch.tensor([center]))


def maker_from_json(content: Any) -> Maker | None:
    """Return the model that a sidecar or a profile names; None for None. Raises ValueError for anything else."""
    if content is None:
        return None
    words = ("name", "sha256", "licence")
    if not isinstance(content, dict) or not all(isinstance(content.get(word, ""), str) for word in words):
        raise ValueError(f"model {shortened(content, 40)} does not hold name, sha256 and licence")
    return Maker(content["name"], content["sha256"], content.get("licence", "unknown"))


def _listed_files(content: Any) -> set[str]:
    """Return the names of the files that the content of a sidecar of ours lists; none of other content."""
    if not isinstance(content, dict) or not str(content.get("format", "")).startswith("cyclopean-"):
        return set()
    lists = (content.get(key) for key in ("files", "earlier_files"))
    return {str(name) for names in lists if isinstance(names, list) for name in names}


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{shortened(value, 40)} is not a finite number")
    return float(value)


def _pair(values: Any, key: str) -> list[float]:
    if not isinstance(values, list) or len(values) != 2:
        raise ValueError(f"{key} {shortened(values, 40)} is not two numbers")
    return [_number(value) for value in values]


def _size(pair: Any) -> tuple[int, int] | None:
    """Return (height, width), or None for None. Raises ValueError for anything but two counts of pixels."""
    if pair is None:
        return None
    height, width = _pair(pair, "size")
    if not (height >= 1 and width >= 1 and height.is_integer() and width.is_integer()):
        raise ValueError(f"size {shortened(pair, 40)} is not a height and a width")
    return int(height), int(width)
