"""From what was seen of a data set to sentences: what is wrong, with how much of it, and what to do."""

import math
import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from cyclopean.data.checking import FEWEST, STRAIGHT, Look, Pair, Seen
from cyclopean.data.panorama_verdicts import panorama_problems, panorama_rows
from cyclopean.data.problems import NAMED, Problem, of, some, spread

ROWS_PX, ROWS = 0.5, 0.001  # rows of a rectified pair may differ by so many pixels, or by so much of the width
WORSE = 2.0  # a single pair among good ones must be off by so many times as much
SWAPPED, SHIFTED = (
    0.5,
    0.15,
)  # share of points beyond infinity: left and right are swapped; or the pictures were shifted
LOWER = (
    0.3  # rank correlation of disparity with the row: from here on what stands lower is nearer, so nothing is swapped
)
SATURATED = 0.001  # share of a picture's pixels that may hold the largest count by chance
FACTOR = 1.15  # between disparities as matched and as the truth says


def problems(seen: Seen) -> list[Problem]:
    """Everything wrong, worst first; an empty list is a clean bill."""
    looks = seen.looks
    found = [
        _damaged(seen),
        of("constant", looks, lambda x: x.constant, "items show one colour only", "remove them"),
        of("dark", looks, lambda x: x.dark, "items are nearly black", "remove them, or brighten the recording"),
        of("same", looks, _pair(lambda p, _: p.same), "pairs are one picture twice", "copy the right pictures again"),
        of(
            "swapped",
            looks,
            _pair(lambda p, _: _is_swapped(p)),
            "pairs have left and right swapped, points move the wrong way",
            "swap the two pictures",
        ),
        of(
            "shifted",
            looks,
            _pair(lambda p, _: p.behind > SHIFTED and not _is_swapped(p)),
            "pairs have points beyond infinity: shifted sideways, as for a screen, rather than swapped",
            "shift them back, or rectify them",
        ),
        _rows_apart(looks),
        _saturated(looks),
        _calibration(looks),
        _trend(looks),
        _unusual(looks),
        of(
            "blank",
            looks,
            lambda x: x.blank,
            "items have a depth file without any number above 0",
            "check its unit and sign: what is 0, negative or NaN is unknown",
        ),
        _unmatched(looks),
        *panorama_problems(looks),
    ]
    return [problem for problem in found if problem]


def tolerance(look: Look) -> float:
    """By how many pixels the rows of a rectified pair may differ."""
    return max(ROWS_PX, ROWS * look.size[1])


def _is_swapped(pair: Pair) -> bool:
    return pair.behind > SWAPPED and pair.lower < LOWER


def _pair(test: Callable[[Pair, Look], bool]) -> Callable[[Look], bool]:
    return lambda look: look.pair is not None and test(look.pair, look)


def _rows_apart(looks: tuple[Look, ...]) -> Problem | None:
    """All pairs count where the typical one is off; else only those far off, since one pair's matches may mislead."""
    judged = [x for x in looks if x.pair and x.pair.matches >= FEWEST]
    if not judged:
        return None
    typical = statistics.median(x.pair.rows / tolerance(x) for x in judged if x.pair)
    limit = 1.0 if typical > 1 else WORSE
    off = [x for x in judged if x.pair and x.pair.rows > limit * tolerance(x)]
    if not off:
        return None
    apart = statistics.median(x.pair.rows for x in off if x.pair)
    down = statistics.median(x.pair.down for x in off if x.pair)
    what = (
        f"pairs have rows that do not agree: {apart:.1f} px apart ({tolerance(off[0]):.1f} allowed), points of the "
        f"target {abs(down):.1f} px {'lower' if down > 0 else 'higher'} (medians)"
    )
    return some("rows", tuple(x.name for x in off), len(judged), what, "rectify them")


def _calibration(looks: tuple[Look, ...]) -> Problem | None:
    """As with rows: beside a typical pair that is good, a single one counts only if it is far off."""
    off = {x.name: _off(x.pair.factor) for x in looks if x.pair and not math.isnan(x.pair.factor)}
    if not off:
        return None
    limit = 1.0 if statistics.median(off.values()) > 1 else WORSE
    what = "pairs have disparities that their true depth does not explain"
    remedy = "check focal length, baseline and the unit of depth"
    return some("calibration", tuple(name for name, by in off.items() if by > limit), len(looks), what, remedy)


def _off(factor: float) -> float:
    """How far a factor is from 1, either way: 1 at `FACTOR`, 2 at its square."""
    return abs(math.log(factor)) / math.log(FACTOR) if factor > 0 else math.inf


def _saturated(looks: tuple[Look, ...]) -> Problem | None:
    """Pixels of depth pictures that hold the largest count there is."""
    off = [x for x in looks if x.saturated > SATURATED]
    share = statistics.median(x.saturated for x in off) if off else 0
    what = (
        f"items have depth of 65535, the largest count of a file, in {share:.1%} of their pixels (median): unknown, "
        "or farther than the file can say; they are judged without it"
    )
    remedy = "write 0 there (unknown), or all depth anew with more metres per count"
    return some("saturated", tuple(x.name for x in off), len(looks), what, remedy)


def _damaged(seen: Seen) -> Problem | None:
    """One reason may hold for many items; each sentence says what to do."""
    reasons = tuple(dict.fromkeys(seen.damaged))
    if not reasons:
        return None
    shown = " ".join(reasons[:NAMED]) + (f" And {len(reasons) - NAMED} more." if len(reasons) > NAMED else "")
    sentence = f"{len(seen.damaged)} of {seen.items} items cannot be read: {shown}"
    return Problem("damaged", sentence, seen.damaged)


def _trend(looks: tuple[Look, ...]) -> Problem | None:
    """Of a set: a single pair may mislead."""
    judged = [x for x in looks if x.pair and not math.isnan(x.pair.trend)]
    if not judged:
        return None
    power = statistics.median(x.pair.trend for x in judged if x.pair)
    if abs(power) < STRAIGHT:
        return None
    off = tuple(x.name for x in judged if x.pair and x.pair.trend * power > 0 and abs(x.pair.trend) >= STRAIGHT)
    what, remedy = "shrinks towards the corners, where disparities do not: z divided by the ray's length", "give z"
    if power > 0:
        what = "grows towards the corners, where disparities do not: the distance along the ray, not z"
        remedy = "divide it by the length of the ray (x / z, y / z, 1)"
    return some("distance", off, len(judged), f"pairs have depth that {what}", remedy)


def _unusual(looks: tuple[Look, ...]) -> Problem | None:
    pairs = [x for x in looks if x.pair]
    off = [x for x in pairs if x.pair and x.pair.unusual]
    if not off or not off[0].pair:
        return None
    what = f"pairs state {off[0].pair.unusual}"
    return some("unusual", tuple(x.name for x in off), len(pairs), what, "check the unit of the calibration")


def _unmatched(looks: tuple[Look, ...]) -> Problem | None:
    """A pair or two without texture happens; most of them are blank, blurred, or do not belong together."""
    pairs = [x for x in looks if x.pair and not x.constant]
    few = tuple(x.name for x in pairs if x.pair and x.pair.matches < FEWEST)
    if 2 * len(few) <= len(pairs):
        return None
    what = f"pairs have less than {FEWEST} points in common"
    return some("unmatched", few, len(pairs), what, "see whether left and right show the same place, in focus")


def rows(seen: Seen) -> list[tuple[str, str]]:
    """The table: what, and how it is with this data set."""
    looks = seen.looks
    sizes = Counter(x.size for x in looks).most_common()
    shown = ", ".join(f"{w}x{h} ({n})" for (h, w), n in sizes[:4]) + (", ..." if len(sizes) > 4 else "")
    table = [
        ("items", f"{seen.items}, {len(seen.damaged)} damaged, {len(looks)} looked at"),
        ("size", shown or "-"),
        ("constant, dark", f"{_share(looks, lambda x: x.constant)}, {_share(looks, lambda x: x.dark)}"),
    ]
    pairs = [x.pair for x in looks if x.pair]
    judged = [pair for pair in pairs if pair.matches >= FEWEST]
    table.append(("pairs", f"{len(pairs)}, {len(judged)} judged" if pairs else "none rectified"))
    if judged:
        matches = statistics.median(p.matches for p in judged)
        table += [
            ("matches", f"{matches:.0f} a pair (median)"),
            ("across", spread([p.across for p in judged], "px; positive: as the poses say")),
            ("down", spread([p.down for p in judged], "px; 0: rows agree")),
            ("rows off", spread([p.rows for p in judged], f"px; {tolerance(looks[0]):.1f} allowed")),
        ]
    factors = [p.factor for p in judged if not math.isnan(p.factor)]
    truths = [x.truth for x in looks if x.truth]
    table.append(("truth", f"{len(truths)} of {len(looks)} items" if looks else "-"))
    if truths:
        share, near, middle, far = (statistics.median(values) for values in zip(*truths, strict=True))
        table.append(("depth", f"{share:.1%} of the pixels; {near:.2f} to {far:.2f} m, {middle:.2f} in the middle"))
        holes = [round((1 - x.truth[0]) * math.prod(x.size)) for x in looks if x.truth]
        table.append(("unknown", f"{sum(holes)} pixels in {sum(map(bool, holes))} items (0, negative or NaN)"))
    if factors:
        table.append(("disparity / truth", spread(factors, "", 3)))
    trends = [p.trend for p in judged if not math.isnan(p.trend)]
    if trends:
        table.append(("to the corners", spread(trends, "as a power of the ray's length; 0: depth is z")))
    return table + panorama_rows(looks)


def _share(looks: tuple[Look, ...], test: Callable[[Look], bool]) -> str:
    return f"{sum(map(test, looks)) / len(looks):.1%}" if looks else "-"


def as_json(seen: Seen) -> dict[str, Any]:
    """Everything, item by item; numbers that are not known are null."""
    found = [asdict(problem) for problem in problems(seen)]
    looks = [asdict(x) | {"constant": x.constant, "dark": x.dark} for x in seen.looks]
    summary = {"data": seen.name, "items": seen.items, "damaged": list(seen.damaged)}
    return _without_nan(summary | {"problems": found, "table": dict(rows(seen)), "looked_at": looks})


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
