"""Turn the measures of a data set into advice: what is wrong, in sentences, and a table."""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cyclopean.data.inspect import (
    BACKGROUND,
    Inspection,
    Measures,
    PairMeasures,
    PanoramaMeasures,
)
from cyclopean.data.inspect_depth import FEWEST, PLACEMENTS, STRAIGHT

NAMED = 3
ROWS_PX, ROWS = 0.5, 0.001  # rows of a rectified pair may differ by so many pixels, or by so much of the width
WORSE = 2.0  # a single pair among good ones must be off by so many times as much
SWAPPED, SHIFTED = 0.5, 0.15  # share of points beyond infinity: left and right swapped, or pictures shifted
AHEAD = 0.01  # share of points on the right side: of fewer, all of a pair lies beyond infinity
PLACED = {
    "depth turned": "turned by 180 degrees",
    "depth mirrored": "mirrored left to right",
    "depth upside down": "upside down (its rows run from the bottom up)",
}
LOWER = 0.3  # rank correlation of disparity with the row: from here on what stands lower is nearer: nothing is swapped
SATURATED = 0.001  # share of a picture's pixels that may hold the largest count by chance
BENT = 0.75  # of a single pair among good ones: the power of the ray's length by which its depth grows to the corners
FACTOR = 1.15  # between disparities as matched, or motion of points on a panorama, and as the truth has it
CHECK = "check focal length, baseline and the unit of depth"
UNITS = {"millimetres": 1000, "centimetres": 100}  # in a metre
SEAM = 2.5  # how much larger than steps between columns mostly are the step over the seam may be
BY_CHANCE = 0.01  # of the panoramas: so many may have a pillar just there
ROLLED = 0.005  # of the width: a shift between picture and depth, or beside the way to a source
# Mean correlation of edges of depth and picture by which another placement may be right: its own, and how much more
# than as they stand. Of fewer items, one whose picture is alike on both sides would mislead.
EDGES_MEET, EDGES_BETTER, FEW_PLACED = 0.1, 0.08, 4
CLIPPED = 0.01  # share of known depths that are exactly the largest: walls never lie on a sphere around the camera
FLOOR = (0.4, 4.0)  # metres below the camera: between a low tripod and a high one, or somebody's head
GLOW = 0.55  # median rank correlation of brightness and closeness: up to 0.35 in rooms with lamps of their own
TELLING = 4  # panoramas: of fewer, or of one room, walls may happen to be bright where they are near


@dataclass(frozen=True)
class Problem:
    """A problem in a sentence, and the items (or the sentences of damaged files) it concerns."""

    kind: str
    sentence: str
    names: tuple[str, ...]


Report = Callable[[str, list[Measures], Sequence[Any], str, str], None]


def problems(inspection: Inspection) -> list[Problem]:
    """Return everything wrong, worst first; an empty list is a clean bill."""
    items = inspection.measured
    result: list[Problem] = []

    def report(kind: str, off: list[Measures], judged: Sequence[Any], what: str, remedy: str) -> None:
        """Add `3 of 7 WHAT (a, b, c); REMEDY.`, if any item is off."""
        if off:
            names = tuple(item.name for item in off)
            listed = ", ".join(name.rstrip(".") for name in names[:NAMED])
            listed += f", and {len(names) - NAMED} more" if len(names) > NAMED else ""
            result.append(Problem(kind, f"{len(names)} of {len(judged)} {what} ({listed}); {remedy}.", names))

    if inspection.damaged:  # one reason may hold for many items; each sentence has its remedy
        reasons = tuple(dict.fromkeys(inspection.damaged))
        listing = " ".join(reasons[:NAMED]) + (f" And {len(reasons) - NAMED} more." if len(reasons) > NAMED else "")
        sentence = f"{len(inspection.damaged)} of {inspection.items} items cannot be read: {listing}"
        result.append(Problem("damaged", sentence, inspection.damaged))
    report("constant", [x for x in items if x.constant], items, "items show one colour only", "remove them")
    remedy = "remove them, or brighten the recording"
    report("dark", [x for x in items if x.dark], items, "items are nearly black", remedy)
    _report_pairs(items, report)
    _report_placements(items, report)
    _report_panoramas([(x, x.sphere) for x in items if x.sphere], report)
    return result


def _report_pairs(items: Sequence[Measures], report: Report) -> None:
    """Report what is wrong with rectified pairs, and with true depth."""
    pairs = [(x, x.pair) for x in items if x.pair]
    matched = [(x, p) for x, p in pairs if p.matches >= FEWEST]
    report(
        "same", [x for x, p in pairs if p.same], items, "pairs are one picture twice", "copy the right pictures again"
    )
    pairs = _report_directions(items, pairs, report)

    # All pairs count where the typical one is off; else only those far off, since one pair's matches may mislead.
    limit = 1.0 if _median(p.rows / tolerance(x) for x, p in matched) > 1 else WORSE
    apart = [(x, p) for x, p in matched if p.rows > limit * tolerance(x)]
    if apart:
        down = _median(p.down for _, p in apart)
        what = (
            f"pairs have rows that do not agree: {_median(p.rows for _, p in apart):.1f} px apart "
            f"({tolerance(apart[0][0]):.1f} allowed), points of the target {abs(down):.1f} px "
            f"{'lower' if down > 0 else 'higher'} (medians)"
        )
        report("rows", [x for x, _ in apart], matched, what, "rectify them")

    off = [x for x in items if x.saturated > SATURATED]
    what = (
        f"items have depth of 65535, the largest count of a file, in {_median(x.saturated for x in off):.1%} of their "
        "pixels (median): unknown, or farther than the file can hold; it does not count as truth"
    )
    report("saturated", off, items, what, "write 0 there (unknown), or all depth anew with more metres per count")

    # How far a factor is from 1, either way: 1 at FACTOR, 2 at its square; of single pairs as with rows. What distances
    # taken for z explain is no matter of calibration.
    typical = _median(p.trend for _, p in pairs if not math.isnan(p.trend))
    factors = [(x, p.factor / p.ray ** _bent(p.trend, typical)) for x, p in pairs if not math.isnan(p.factor)]
    distances = [(x, abs(math.log(f)) / math.log(FACTOR) if f > 0 else math.inf) for x, f in factors]
    limit = 1.0 if _median(distance for _, distance in distances) > 1 else WORSE
    off = [x for x, distance in distances if distance > limit]
    what, remedy = "pairs have disparities that their true depth does not explain", CHECK
    for unit, times in UNITS.items():
        if 2 * len(off) > len(factors) and times / FACTOR < _median(factor for _, factor in factors) < times * FACTOR:
            remedy = f"it is {times} times too large: in {unit}, it seems, and metres are needed"
    report("calibration", off, items, what, remedy)

    trends = [(x, p.trend) for x, p in pairs if not math.isnan(p.trend)]
    for power, what, remedy in (
        (
            1,
            "grows towards the corners, where disparities do not: the distance along the ray, not z",
            "divide it by the length of the ray (x / z, y / z, 1)",
        ),
        (-1, "shrinks towards the corners, where disparities do not: z divided by the ray's length", "give z"),
    ):
        off = [x for x, trend in trends if _bent(trend, typical) == power]
        report("distance", off, trends, f"pairs have depth that {what}", remedy)

    unusual = [(x, p.unusual) for x, p in pairs if p.unusual]
    if unusual:
        what = f"pairs state {unusual[0][1]}"
        report("unusual", [x for x, _ in unusual], pairs, what, "check the unit of the calibration")
    what = f"items have no depth below {BACKGROUND:.0f} m, which is what renderers write for the background"
    report(
        "unit",
        [x for x in items if x.blank and (x.truth or x.sky)],
        items,
        what,
        "check its unit; depth_scale is metres per count, not counts per metre",
    )
    off = [x for x in items if x.blank and not (x.truth or x.sky)]
    remedy = "check its unit and sign: what is 0, negative, NaN or below 1e-12 is unknown"
    report("blank", off, items, "items have a depth file without any number above 0", remedy)
    textured = [(x, p) for x, p in pairs if not x.constant]
    off = [x for x, p in textured if p.matches < FEWEST]
    if 2 * len(off) > len(textured):  # one or two happen; most of them are blank, blurred, or do not belong together
        what = f"pairs have less than {FEWEST} points in common"
        report("unmatched", off, textured, what, "see whether left and right show the same place, in focus")


def _report_placements(items: Sequence[Measures], report: Report) -> None:
    """Report depth whose edges meet those of its pictures only when it is turned or mirrored, unless pairs have shown
    it already: a guess, which needs several items."""
    judged = [x for x in items if x.placements and not (x.pair and x.pair.fit)]
    for ways in (8, 4):
        own = [x for x in judged if len(x.placements) == ways]
        if len(own) < FEW_PLACED:
            continue
        means = [statistics.fmean(values) for values in zip(*(x.placements for x in own), strict=True)]
        best = max(range(ways), key=means.__getitem__)
        off = [x for x in own if max(range(ways), key=x.placements.__getitem__) == best]
        if means[best] > max(EDGES_MEET, means[0] + EDGES_BETTER) and 2 * len(off) > len(own):
            what = (
                f"items may have true depth that is {list(PLACEMENTS.values())[best]}: so its edges meet the picture's"
            )
            report("turned", off, own, what, "look at one of them, and turn depth as its picture is")


def _report_panoramas(around: list[tuple[Measures, PanoramaMeasures]], report: Report) -> None:
    """Report what is wrong with panoramas."""
    items = [x for x, _ in around]
    sources = [(x, [p for p in s.pairs if p.matches >= FEWEST]) for x, s in around]
    for vertical, what in (
        (True, "show points moving up where the source should stand above: upper and lower picture are swapped"),
        (False, "show points moving the wrong way for a source beside them: left and right are swapped"),
    ):
        off = [x for x, pairs in sources if any(p.vertical == vertical and p.behind > SWAPPED for p in pairs)]
        report("swapped", off, items, f"panoramas {what}", "swap the two pictures")

    # Sources of which at least two do not fit their own poses, and do fit each other's.
    exchanged = [x for x, pairs in sources if sum(p.off > _allowed(x) >= p.elsewhere for p in pairs) > 1]
    what = "panoramas have sources that stand in each other's place, as up and right exchanged"
    report("exchanged", exchanged, items, what, "give each picture the other's place")
    off = [
        x
        for x, pairs in sources
        if x not in exchanged and any(p.off > _allowed(x) and p.behind <= SWAPPED for p in pairs)
    ]
    what = "panoramas have sources with points beside the way they should move: turned or rolled pictures"
    report("rows", off, items, what, "turn them back")
    off = [x for x, pairs in sources if any(p.factor <= 1 / FACTOR or p.factor >= FACTOR for p in pairs)]
    factor = _median(p.factor for _, s in around for p in s.pairs if not math.isnan(p.factor))
    what = f"panoramas move {factor:.3g} times as far as their true depth says"
    report("calibration", off, items, what, "check the unit of depth and the baseline")

    floor = _median(s.below for _, s in around if not math.isnan(s.below))  # of a set: one may be taken from a ladder
    if not (math.isnan(floor) or FLOOR[0] <= floor <= FLOOR[1]):
        off = [x for x, s in around if not math.isnan(s.below) and not FLOOR[0] <= s.below <= FLOOR[1]]
        what = f"panoramas have their floor {floor:.3g} m below the camera (median)"
        report("unit", off, items, what, f"{FLOOR[0]} to {FLOOR[1]} is usual: check the unit of depth")
    off = [x for x, s in around if s.blank]
    what, remedy = (
        "panoramas have a depth file with hardly a known pixel",
        "check its unit, and which number means unknown",
    )
    report("blank", off, items, what, remedy)
    what = "panoramas have depth cut off: many pixels share exactly the largest value"
    off = [x for x, s in around if s.clipped > CLIPPED]
    report("clipped", off, items, what, "let those be unknown (NaN), or sky (inf)")
    off = [x for x, s in around if s.seam > SEAM]
    if len(off) > BY_CHANCE * len(items):
        what = "panoramas do not close: their first and last columns do not fit"
        report("seam", off, items, what, "give the full sphere, cut nowhere and resized as a whole")

    # Single items may mislead: most of those that a shift stands out of must have one and the same.
    rolls = [(x, s.roll) for x, s in around if not math.isnan(s.roll)]
    far = [(x, roll / x.size[1]) for x, roll in rolls if abs(roll) > _allowed(x)]
    if 2 * len(far) > len(rolls):
        share = _median(roll for _, roll in far)
        off = [x for x, roll in far if abs(roll - share) < ROLLED]
        if 2 * len(off) > len(far):
            side = "right" if share > 0 else "left"
            what = f"panoramas have depth that lies {abs(share):.1%} of the width further {side} than their picture"
            report("rolled", off, off, what, "roll one of them back")

    lit = [(x, s.glow) for x, s in around if not math.isnan(s.glow)]
    if len(lit) >= TELLING and _median(value for _, value in lit) >= GLOW:
        off = [x for x, value in lit if value >= GLOW]
        what = "panoramas are bright where they are near, as with a light at the camera: brightness gives depth away"
        remedy = "expect models to learn that instead of geometry; judge them on data of other places, lit otherwise"
        report("glow", off, lit, what, remedy)


def _report_directions(
    items: Sequence[Measures], pairs: Sequence[tuple[Measures, PairMeasures]], report: Report
) -> list[tuple[Measures, PairMeasures]]:
    """Report pairs whose points move the wrong way, and true depth that lies otherwise than its picture; return the
    pairs of which disparities can be compared with the truth."""
    turned = [x for x, p in pairs if _is_upside_down(x, p)]
    what = "pairs have both pictures turned by 180 degrees: points move the wrong way, and near things stand above"
    remedy = "turn both back, and depth that was turned with them, or remove a wrong EXIF orientation"
    report("turned", turned, items, what, remedy)
    off = [x for x, p in pairs if p.fit == "mirrored"]
    what = "pairs have both pictures mirrored left to right, by their true depth, which is not"
    report("turned", off, items, what, "mirror both back")
    for fit, way in PLACED.items():
        off = [x for x, p in pairs if p.fit == fit]
        report(
            "turned",
            off,
            items,
            f"pairs have true depth that is {way} against its picture",
            "turn it as the picture is",
        )
    pairs = [(x, p) for x, p in pairs if x not in turned and p.fit in ("", "opposite")]
    off = [x for x, p in pairs if p.behind > SWAPPED and p.lower < LOWER]
    what = "pairs have left and right swapped (or both mirrored), points move the wrong way"
    report("swapped", off, items, what, "swap the two pictures, or mirror both back")
    shifted = [(x, p) for x, p in pairs if p.behind > SHIFTED and not (p.behind > SWAPPED and p.lower < LOWER)]
    off = [x for x, p in shifted if p.ahead >= AHEAD]
    what = "pairs have points beyond infinity: shifted sideways, as for a screen, rather than swapped"
    report("shifted", off, items, what, "shift them back, or rectify them")
    off = [x for x, p in shifted if p.ahead < AHEAD]
    what = "pairs have all their points beyond infinity: turned by 180 degrees, or shifted sideways as for a screen"
    report("shifted", off, items, what, "turn both back if they show things upside down, else shift or rectify them")
    return [(x, p) for x, p in pairs if not p.fit]


def _is_upside_down(item: Measures, pair: PairMeasures) -> bool:
    """Return whether both pictures are turned by 180 degrees, as the true depth shows (which may be turned with them),
    or EXIF's orientation of pictures whose points all move the wrong way."""
    if pair.fit == "turned":
        return True
    wrong = pair.behind > SWAPPED and pair.lower >= LOWER
    return wrong and (pair.fit == "opposite" or (item.upended and pair.ahead < AHEAD))


def _bent(trend: float, typical: float) -> int:
    """Return the power of the ray's length that depth has beyond z: 1 for distances along the ray, -1 for z divided by
    its length, else 0. A pair that stands out among others needs a larger trend; what cannot be judged is as most are.
    """
    trend = typical if math.isnan(trend) else trend
    common = abs(typical) >= STRAIGHT and trend * typical > 0
    return round(math.copysign(1, trend)) if abs(trend) >= (STRAIGHT if common else BENT) else 0


def tolerance(item: Measures) -> float:
    """Return by how many pixels the rows of a rectified pair may differ."""
    return max(ROWS_PX, ROWS * item.size[1])


def _allowed(item: Measures) -> float:
    """Return by how many pixels a place on a panorama may be off."""
    return max(1.5, ROLLED * item.size[1])


def _median(values: Iterable[float]) -> float:
    """Return the median, NaN of none."""
    listed = list(values)
    return statistics.median(listed) if listed else math.nan


def rows(inspection: Inspection) -> list[tuple[str, str]]:
    """Return the table: what, and how it is with this data set."""
    items = inspection.measured

    def share(count: int) -> str:
        return f"{count / len(items):.1%}" if items else "-"

    def spread(values: list[float], unit: str, digits: int = 2) -> str:
        """Return median, and from where to where."""
        low, middle, high = min(values), statistics.median(values), max(values)
        return f"{middle:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f}) {unit}".rstrip()

    sizes = Counter(x.size for x in items).most_common()
    listing = ", ".join(f"{w}x{h} ({n})" for (h, w), n in sizes[:4]) + (", ..." if len(sizes) > 4 else "")
    pairs = [x.pair for x in items if x.pair]
    judged = [pair for pair in pairs if pair.matches >= FEWEST]
    table = [
        ("items", f"{inspection.items}, {len(inspection.damaged)} damaged, {len(items)} looked at"),
        ("size", listing or "-"),
        ("constant, dark", f"{share(sum(x.constant for x in items))}, {share(sum(x.dark for x in items))}"),
        ("pairs", f"{len(pairs)}, {len(judged)} judged" if pairs else "none rectified"),
    ]
    if several := sum(x.several for x in items):
        what = "have files of several pictures, pages or frames, of which one is used"
        table.append(("frames", f"{several} of {len(items)} items {what}"))
    if judged:
        table += [
            ("matches", f"{statistics.median(p.matches for p in judged):.0f} a pair (median)"),
            ("across", spread([p.across for p in judged], "px; positive: as the poses say")),
            ("down", spread([p.down for p in judged], "px; 0: rows agree")),
            ("rows off", spread([p.rows for p in judged], f"px; {tolerance(items[0]):.1f} allowed")),
        ]
    truths = [x.truth for x in items if x.truth]
    table.append(("truth", f"{len(truths)} of {len(items)} items" if items else "-"))
    if truths:
        known, near, middle, far = (statistics.median(values) for values in zip(*truths, strict=True))
        table.append(("depth", f"{known:.1%} of the pixels; {near:.2f} to {far:.2f} m, {middle:.2f} in the middle"))
        if skies := [x.sky for x in items if x.sky]:
            pixels = f"{statistics.median(skies):.1%} of their pixels (median)"
            table.append(("sky", f"infinitely far in {len(skies)} of {len(items)} items: {pixels}"))
    filed = [x for x in items if x.truth or x.blank or (x.sphere and x.sphere.blank)]  # a map may be all unknown
    if filed:
        holes = [round((1 - (x.truth[0] if x.truth else x.sky)) * math.prod(x.size)) for x in filed]
        what = "0, negative, NaN or below 1e-12"
        table.append(("unknown", f"{sum(holes)} pixels in {sum(map(bool, holes))} items ({what})"))
    if factors := [p.factor for p in judged if not math.isnan(p.factor)]:
        table.append(("disparity / truth", spread(factors, "", 3)))
    if trends := [p.trend for p in judged if not math.isnan(p.trend)]:
        table.append(("to the corners", spread(trends, "as a power of the ray's length; 0: depth is z")))

    spheres = [x.sphere for x in items if x.sphere]
    sources = [p for s in spheres for p in s.pairs]
    moved = [p for p in sources if p.matches >= FEWEST]
    if spheres:
        table.append(("panoramas", f"{len(spheres)}, {len(sources)} sources, {len(moved)} judged"))
    if moved:
        along, beside = _median(p.along for p in moved), _median(p.off for p in moved)
        table.append(("along, beside", f"{along:+.2f}, {beside:.2f} px (medians)"))
    for name, numbers, unit in (
        ("motion / truth", [p.factor for p in moved], ""),
        ("seam", [s.seam for s in spheres], f"of the larger steps; {SEAM} allowed"),
        ("floor", [s.below for s in spheres], "m below the camera"),
        ("light, nearness", [s.glow for s in spheres], f"correlated; {GLOW} as a median"),
    ):
        if values := [number for number in numbers if not math.isnan(number)]:
            table.append((name, spread(values, unit)))
    return table


def as_json(inspection: Inspection) -> dict[str, Any]:
    """Return everything, item by item; numbers that are not known are null."""

    def without_nan(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without_nan(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [without_nan(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    items = [asdict(x) | {"constant": x.constant, "dark": x.dark} for x in inspection.measured]
    summary = {"data": inspection.name, "items": inspection.items, "damaged": list(inspection.damaged)}
    wrong = [asdict(problem) for problem in problems(inspection)]
    return without_nan(summary | {"problems": wrong, "table": dict(rows(inspection)), "looked_at": items})
