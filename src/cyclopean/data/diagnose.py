"""What is wrong with a data set, in sentences: how they are made of the items concerned."""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cyclopean.data.inspect import FEWEST, STRAIGHT, Look, Pair, Seen, Sphere, SpherePair

NAMED = 3


@dataclass(frozen=True)
class Problem:
    """What is wrong, in a sentence, and the items (or the sentences of damaged files) it concerns."""

    kind: str
    sentence: str
    names: tuple[str, ...]


def of(kind: str, looks: Iterable[Look], test: Callable[[Look], bool], what: str, remedy: str) -> Problem | None:
    """The problem that some of `looks` have by `test`, if any has it."""
    looks = list(looks)
    return some(kind, tuple(x.name for x in looks if test(x)), len(looks), what, remedy)


def some(kind: str, names: tuple[str, ...], count: int, what: str, remedy: str) -> Problem | None:
    """`3 of 7 WHAT (a, b, c); REMEDY.`, if there are names."""
    if not names:
        return None
    return Problem(kind, f"{len(names)} of {count} {what} ({_listed(names)}); {remedy}.", names)


def spread(values: list[float], unit: str, digits: int = 2) -> str:
    """Median, and from where to where."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f}) {unit}".rstrip()


def _listed(names: tuple[str, ...]) -> str:
    more = f", and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(name.rstrip(".") for name in names[:NAMED]) + more


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


SEAM = 2.5  # how much larger than steps between columns mostly are the step over the seam may be
BY_CHANCE = 0.01  # of the panoramas: so many may have a pillar just there
ROLLED = 0.005  # of the width: a shift between picture and depth, or beside the way to a source
CLIPPED = 0.01  # share of known depths that are exactly the largest: walls never lie on a sphere around the camera
FLOOR = (0.4, 4.0)  # metres below the camera: between a low tripod and a high one, or somebody's head
GLOW = 0.55  # median rank correlation of brightness and nearness: up to 0.35 in rooms with lamps of their own
TELLING = 4  # panoramas: of fewer, or of one room, walls may happen to be bright where they are near
SWAPPED_PAIRS, MOTION_FACTOR = 0.5, 1.15


def panorama_problems(looks: Sequence[Look]) -> list[Problem | None]:
    """Everything wrong with the panoramas among `looks`, None for what is right."""
    around = [x for x in looks if x.sphere]
    above = "panoramas show points moving up where the source should stand above: upper and lower picture are swapped"
    beside = "panoramas show points moving the wrong way for a source beside them: left and right are swapped"
    changed = "panoramas have sources that stand in each other's place, as up and right exchanged"
    aside = "panoramas have sources with points beside the way they should move: turned or rolled pictures"
    moved = f"panoramas move {_typical(around)} times as far as their true depth says"
    blank = "panoramas have a depth file that knows hardly a pixel"
    cut = "panoramas have depth cut off: many pixels share exactly the largest value"
    return [
        of("swapped", around, _sphere_pair(_goes_back, True), above, "swap the two pictures"),
        of("swapped", around, _sphere_pair(_goes_back, False), beside, "swap the two pictures"),
        of("exchanged", around, _exchanged, changed, "give each picture the other's place"),
        of("rows", around, lambda x: _any_pair(_beside)(x) and not _exchanged(x), aside, "turn them back"),
        of("calibration", around, _any_pair(_contradicts), moved, "check the unit of depth and the baseline"),
        _unit(around),
        of("blank", around, _sphere(lambda s, _: s.blank), blank, "check its unit, and which number means unknown"),
        of("clipped", around, _sphere(_is_clipped), cut, "let those be unknown (NaN), or sky (inf)"),
        _open(around),
        _rolled(around),
        _glowing(around),
    ]


def _open(around: Sequence[Look]) -> Problem | None:
    found = of(
        "seam",
        around,
        _sphere(lambda sphere, _: sphere.seam > SEAM),
        "panoramas do not close: their first and last columns do not fit",
        "give the full sphere, cut nowhere and resized as a whole",
    )
    return found if found and len(found.names) > BY_CHANCE * len(around) else None


def _rolled(around: Sequence[Look]) -> Problem | None:
    """Single items may mislead: most of those that tell must tell of one and the same shift."""
    telling = [x for x in around if x.sphere and not math.isnan(x.sphere.roll)]
    off = [x for x in telling if x.sphere and abs(x.sphere.roll) > _allowed(x)]
    if not off or 2 * len(off) <= len(telling):
        return None
    columns = statistics.median(x.sphere.roll / x.size[1] for x in off if x.sphere)
    alike = [x for x in off if x.sphere and abs(x.sphere.roll / x.size[1] - columns) < ROLLED]
    if 2 * len(alike) <= len(off):
        return None
    what = (
        f"panoramas have depth that lies {abs(columns):.1%} of the width further {'right' if columns > 0 else 'left'}"
    )
    return of("rolled", alike, lambda _: True, what + " than their picture", "roll one of them back")


def _unit(around: Sequence[Look]) -> Problem | None:
    """The floor of a set, not of an item: one panorama may be taken from a ladder."""
    floors = [x.sphere.below for x in around if x.sphere and not math.isnan(x.sphere.below)]
    if not floors or FLOOR[0] <= statistics.median(floors) <= FLOOR[1]:
        return None
    what = f"panoramas have their floor {statistics.median(floors):.3g} m below the camera (median)"
    wrong = _sphere(lambda s, _: not math.isnan(s.below) and not FLOOR[0] <= s.below <= FLOOR[1])
    return of("unit", around, wrong, what, f"{FLOOR[0]} to {FLOOR[1]} is usual: check the unit of depth")


def _glowing(around: Sequence[Look]) -> Problem | None:
    known = [x for x in around if x.sphere and not math.isnan(x.sphere.glow)]
    if len(known) < TELLING or statistics.median(x.sphere.glow for x in known if x.sphere) < GLOW:
        return None
    what = "panoramas are bright where they are near, as with a light at the camera: brightness gives depth away"
    remedy = "expect models to learn that instead of geometry; judge them on data of other places, lit otherwise"
    return of("glow", known, _sphere(lambda s, _: s.glow >= GLOW), what, remedy)


def panorama_rows(looks: Sequence[Look]) -> list[tuple[str, str]]:
    """Rows of the table; none without panoramas."""
    spheres = [x.sphere for x in looks if x.sphere]
    if not spheres:
        return []
    pairs = [p for s in spheres for p in s.pairs]
    judged = [p for p in pairs if p.matches >= FEWEST]
    table = [("panoramas", f"{len(spheres)}, {len(pairs)} sources, {len(judged)} judged")]
    if judged:
        along, beside = (statistics.median(values) for values in ([p.along for p in judged], [p.off for p in judged]))
        table.append(("along, beside", f"{along:+.2f}, {beside:.2f} px (medians)"))
    table += [
        (name, spread(values, unit))
        for name, values, unit in (
            ("motion / truth", [p.factor for p in judged if not math.isnan(p.factor)], ""),
            ("seam", [s.seam for s in spheres if not math.isnan(s.seam)], f"of the larger steps; {SEAM} allowed"),
            ("floor", [s.below for s in spheres if not math.isnan(s.below)], "m below the camera"),
            ("light, nearness", [s.glow for s in spheres if not math.isnan(s.glow)], f"correlated; {GLOW} as a median"),
        )
        if values
    ]
    return table


def _typical(around: Sequence[Look]) -> str:
    factors = [p.factor for x in around if x.sphere for p in x.sphere.pairs if not math.isnan(p.factor)]
    return f"{statistics.median(factors):.3g}" if factors else "?"


def _allowed(look: Look) -> float:
    """Pixels by which a place may be off."""
    return max(1.5, ROLLED * look.size[1])


def _goes_back(pair: SpherePair, _: Look) -> bool:
    return pair.behind > SWAPPED_PAIRS


def _contradicts(pair: SpherePair, _: Look) -> bool:
    return not math.isnan(pair.factor) and not 1 / MOTION_FACTOR < pair.factor < MOTION_FACTOR


def _is_clipped(sphere: Sphere, _: Look) -> bool:
    return sphere.clipped > CLIPPED


def _beside(pair: SpherePair, look: Look) -> bool:
    return pair.off > _allowed(look) and pair.behind <= SWAPPED_PAIRS


def _exchanged(look: Look) -> bool:
    """Whether at least two sources do not fit their own poses, and do fit each other's."""
    pairs = look.sphere.pairs if look.sphere else ()
    return sum(pair.off > _allowed(look) >= pair.elsewhere for pair in pairs if pair.matches >= FEWEST) > 1


def _sphere_pair(test: Callable[[SpherePair, Look], bool], vertical: bool) -> Callable[[Look], bool]:
    return _any_pair(lambda pair, look: pair.vertical == vertical and test(pair, look))


def _any_pair(test: Callable[[SpherePair, Look], bool]) -> Callable[[Look], bool]:
    return _sphere(lambda sphere, look: any(test(p, look) for p in sphere.pairs if p.matches >= FEWEST))


def _sphere(test: Callable[[Sphere, Look], bool]) -> Callable[[Look], bool]:
    return lambda look: look.sphere is not None and test(look.sphere, look)
