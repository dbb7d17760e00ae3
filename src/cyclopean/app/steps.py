"""The steps that a page can ask for: which lane each takes, what it must be given, and the handler that does it.

A value that no page sends is refused before anything is done with it: there are numbers, points, switches and words.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cyclopean.app import calibration, handlers, video
from cyclopean.app.handlers import AppState, PageUpdate
from cyclopean.app.mending import KINDS, MOST_POINTS
from cyclopean.app.service import RefocusSettings
from cyclopean.defocus.filters import METHODS, THIN_LENS
from cyclopean.errors import InputError

Kind = Callable[[Any], Any]

LONGEST_WORD = 100
SHAPES = ("disc", "ring", "polygon:6", "polygon:8", "cateye")
STRANGE = "this is not what a page of the app sends; reload it."


class UnexpectedValue(ValueError):  # noqa: N818  (it is what a stranger sends)
    """A value that no page sends."""


@dataclass(frozen=True)
class Step:
    """One step: its lane, the kinds of its values by name, what does it, and what is done at once, before it waits."""

    lane: str
    kinds: Mapping[str, Kind]
    run: Callable[..., PageUpdate | Iterator[PageUpdate]]
    at_once: Callable[[AppState, str], object] = lambda _state, _who: None


def number(value: Any) -> float:
    if type(value) not in (int, float):
        raise UnexpectedValue
    try:
        exact = float(value)
    except OverflowError:
        raise UnexpectedValue from None
    if not math.isfinite(exact):
        raise UnexpectedValue
    return exact


def integer(value: Any) -> int:
    if type(value) is not int:
        raise UnexpectedValue
    return value


def switch(value: Any) -> bool:
    if type(value) is not bool:
        raise UnexpectedValue
    return value


def word(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_WORD:
        raise UnexpectedValue
    return value


def one_of(*words: str) -> Kind:
    """Return the kind of value that is one of `words`."""

    def kind(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise UnexpectedValue
        return value

    return kind


def point(value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise UnexpectedValue
    return number(value[0]), number(value[1])


def points(most: int) -> Kind:
    """Return the kind of value that is a list of at most so many points."""

    def kind(value: Any) -> list[tuple[float, float]]:
        if not isinstance(value, list) or len(value) > most:
            raise UnexpectedValue
        return [point(part) for part in value]

    return kind


def on_unless_off(value: Any) -> bool:
    return True if value is None else switch(value)


def unless_missing(kind: Kind) -> Kind:
    return lambda value: None if value is None else kind(value)


def look(value: Any) -> RefocusSettings:
    """Return the settings of the controls."""
    return RefocusSettings(**_checked(LOOK, value))


def parse(name: str, body: bytes) -> tuple[Step, dict[str, Any]]:
    """Return the step `name` and the values for it that a page sent as JSON. Raises InputError for any others."""
    step = STEPS.get(name)
    try:
        if step is None:
            raise UnexpectedValue
        return step, _checked(step.kinds, json.loads(body, parse_constant=number))
    except (ValueError, RecursionError):
        raise InputError(STRANGE) from None


def _checked(kinds: Mapping[str, Kind], values: Any) -> dict[str, Any]:
    if not isinstance(values, dict) or not values.keys() <= kinds.keys():
        raise UnexpectedValue
    return {name: kind(values.get(name)) for name, kind in kinds.items()}


def _example(state: AppState, who: str, *, number: int) -> PageUpdate:
    taken = handlers.take_example(state, who, number)
    return taken if "error" in taken else handlers.open_photo(state, who)


def _measured_photo(state: AppState, who: str) -> PageUpdate:
    """Open a photo that was dropped in the tab for metres: it is the first tab's photo from now on."""
    opened = handlers.open_photo(state, who)
    return opened if "error" in opened or "unchanged" in opened else {**opened, "stage": "measure"}


LOOK: dict[str, Kind] = {
    "amount": number, "shape": one_of(*SHAPES), "range": number, "highlights": number,
    "method": one_of(THIN_LENS, *METHODS), "subject": on_unless_off,
}  # fmt: skip

STEPS = {
    "model": Step("aside", {"name": word}, handlers.choose_model),
    # a photo
    "open": Step("heavy", {}, handlers.open_photo),
    "predict": Step("heavy", {}, handlers.predict),
    "example": Step("heavy", {"number": integer}, _example),
    "focus": Step(
        "light", {"at": unless_missing(point), "look": look, "why": word, "render": on_unless_off}, handlers.focus
    ),
    "mend": Step(
        "light",
        {
            "kind": one_of(*KINDS),
            "points": points(MOST_POINTS),
            "radius": number,
            "look": look,
            "render": on_unless_off,
        },
        handlers.mend,
    ),
    "undo": Step("light", {"render": on_unless_off}, handlers.undo),
    "go": Step("light", {"step": one_of("choose", "depth", "focus", "save")}, handlers.go_to),
    "save_depth": Step("heavy", {}, handlers.save_depth),
    "save_photo": Step("heavy", {"kept": word}, handlers.save_photo),
    "full": Step("heavy", {"view": one_of("photo", "result")}, handlers.full),
    # metres in it
    "open_measured": Step("heavy", {}, _measured_photo),
    "photo_again": Step("light", {}, calibration.photo_again),
    "measure": Step("aside", {"points": points(2)}, calibration.measure),
    "set_distance": Step("light", {"metres": unless_missing(number)}, calibration.set_distance),
    "set_height": Step("light", {"metres": unless_missing(number)}, calibration.set_height),
    "set_distances": Step(
        "light", {"first": unless_missing(number), "second": unless_missing(number)}, calibration.set_distances
    ),
    # a panorama
    "open_panorama": Step("heavy", {}, calibration.open_panorama),
    "save_panorama": Step("heavy", {}, calibration.save_panorama),
    # a clip
    "open_clip": Step("heavy", {}, video.open_clip),
    "moment": Step("moment", {"seconds": number}, video.moment),
    "key": Step("light", {"at": point, "seconds": number}, video.key),
    "clear_keys": Step("light", {}, video.clear_keys),
    "film": Step("film", {"look": look, "follow": switch}, video.refocus, video.wait),
    "stop": Step("aside", {}, video.stop),
}
