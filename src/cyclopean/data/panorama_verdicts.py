"""From what was seen of panoramas to sentences. As for pairs: what is wrong, with how much of it, and what to do."""

import math
import statistics
from collections.abc import Callable, Sequence

from cyclopean.data.checking import Look
from cyclopean.data.panorama_checking import FEWEST, Sphere, SpherePair
from cyclopean.data.problems import Problem, of, spread

SEAM = 2.5  # how much larger than steps between columns mostly are the step over the seam may be
BY_CHANCE = 0.01  # of the panoramas: so many may have a pillar just there
ROLLED = 0.005  # of the width: a shift between picture and depth, or beside the way to a source
CLIPPED = 0.01  # share of known depths that are exactly the largest: walls never lie on a sphere around the camera
FLOOR = (0.4, 4.0)  # metres below the camera: between a low tripod and a high one, or somebody's head
GLOW = 0.55  # median rank correlation of brightness and nearness: up to 0.35 in rooms with lamps of their own
TELLING = 4  # panoramas: of fewer, or of one room, walls may happen to be bright where they are near
SWAPPED, FACTOR = 0.5, 1.15


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
        of("swapped", around, _pair(_goes_back, True), above, "swap the two pictures"),
        of("swapped", around, _pair(_goes_back, False), beside, "swap the two pictures"),
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
    return pair.behind > SWAPPED


def _contradicts(pair: SpherePair, _: Look) -> bool:
    return not math.isnan(pair.factor) and not 1 / FACTOR < pair.factor < FACTOR


def _is_clipped(sphere: Sphere, _: Look) -> bool:
    return sphere.clipped > CLIPPED


def _beside(pair: SpherePair, look: Look) -> bool:
    return pair.off > _allowed(look) and pair.behind <= SWAPPED


def _exchanged(look: Look) -> bool:
    """Whether at least two sources do not fit their own poses, and do fit each other's."""
    pairs = look.sphere.pairs if look.sphere else ()
    return sum(pair.off > _allowed(look) >= pair.elsewhere for pair in pairs if pair.matches >= FEWEST) > 1


def _pair(test: Callable[[SpherePair, Look], bool], vertical: bool) -> Callable[[Look], bool]:
    return _any_pair(lambda pair, look: pair.vertical == vertical and test(pair, look))


def _any_pair(test: Callable[[SpherePair, Look], bool]) -> Callable[[Look], bool]:
    return _sphere(lambda sphere, look: any(test(p, look) for p in sphere.pairs if p.matches >= FEWEST))


def _sphere(test: Callable[[Sphere, Look], bool]) -> Callable[[Look], bool]:
    return lambda look: look.sphere is not None and test(look.sphere, look)
