"""When a clip shall be sharp where: keys in time, and how the focus goes from one to the next."""

import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclopean.errors import InputError, unknown_name
from cyclopean.files import read_json, shortened
from cyclopean.refocus.choosing import Point, focus_pixel

WORDS = ("time", "point", "amount", "track")
EXAMPLE = '[{"time": 0, "point": [0.3, 0.5]}, {"time": 2, "point": [0.7, 0.5], "amount": 2, "track": true}]'


@dataclass(frozen=True)
class Key:
    """At `time` seconds the clip is sharp at `point` (pixels, or fractions of width and height) with so much blur.

    `amount` None: that of the lens. `track`: from then on the point stays on its thing, else on its place.
    """

    time: float | int
    point: Point
    amount: float | int | None = None
    track: bool = False


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys in a JSON file, a list such as `EXAMPLE`. Raises InputError, one sentence, for anything else."""
    content = read_json(path)
    if not isinstance(content, list) or not content:
        raise InputError(f"{path} holds no list of keys; write one such as {EXAMPLE}")
    keys = tuple(_key(f"{path}, key {number}", item) for number, item in enumerate(content, 1))
    for number, (earlier, later) in enumerate(itertools.pairwise(keys), 2):
        if later.time <= earlier.time:
            raise InputError(
                f"{path}, key {number}: its time {later.time:g} does not come after {earlier.time:g}; "
                "sort the keys by time, each at a time of its own."
            )
    return keys


def _key(where: str, item: Any) -> Key:
    if not isinstance(item, dict):
        raise InputError(f"{where} is {_shown(item)}; write keys such as {EXAMPLE}")
    for word in item:
        if word not in WORDS:
            raise unknown_name(f"word in {where}:", shortened(word), WORDS)
    for word in ("time", "point"):
        if word not in item:
            raise InputError(f"{where} has no {word}; write keys such as {EXAMPLE}")
    point, amount, track = item["point"], item.get("amount"), item.get("track", False)
    if not (isinstance(point, list) and len(point) == 2 and all(map(_number, point))):
        raise InputError(f"{where}: the point is {_shown(point)}; give two numbers, such as [0.3, 0.5].")
    if not (_number(item["time"]) and item["time"] >= 0):
        raise InputError(f"{where}: the time is {_shown(item['time'])}; give seconds from 0 up.")
    if not (amount is None or (_number(amount) and amount >= 0)):
        raise InputError(f"{where}: the amount is {_shown(amount)}; give a number from 0 up.")
    if not isinstance(track, bool):
        raise InputError(f"{where}: track is {_shown(track)}; give true or false.")
    return Key(float(item["time"]), (point[0], point[1]), None if amount is None else float(amount), track)


def _shown(value: Any) -> str:
    return shortened(json.dumps(value))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def check_keys(keys: tuple[Key, ...], size: tuple[int, int], seconds: float) -> None:
    """Raises InputError for a key outside the picture of `size` (height, width) or after the clip's `seconds`."""
    for number, key in enumerate(keys, 1):
        if key.time > seconds:
            raise InputError(
                f"key {number} is at {key.time:g} s, but the clip ends at {seconds:.4g} s; give a time within it."
            )
        try:
            focus_pixel(key.point, size)
        except InputError as error:
            raise InputError(f"key {number}: {str(error).replace('photo', 'picture')}") from None


def eased(part: float) -> float:
    """From 0 to 1, slow at both ends, as hands pull focus: 3 s² - 2 s³."""
    part = min(max(part, 0.0), 1.0)
    return part * part * (3 - 2 * part)


def between(keys: tuple[Key, ...], time: float) -> tuple[int, float]:
    """The key before `time` (the first one's number before all) and how far the focus has gone to the next, eased."""
    before = max((n for n, key in enumerate(keys) if key.time <= time), default=0)
    if before + 1 == len(keys):
        return before, 0.0
    start, end = keys[before].time, keys[before + 1].time
    return before, eased((time - start) / (end - start))
