"""Turn the measures of a clip into advice: whether it can teach depth, with which step, and what is wrong."""

import statistics
from dataclasses import asdict
from typing import Any

from cyclopean.data.diagnose import Problem
from cyclopean.data.inspect_clip import MOVERS, ROLLED, ClipInspection

TEACHING = 0.2  # share of the places measured that must show parallax
FEWEST_POINTS = 60  # to follow in a frame
WORSE, OFF = 1.1, 1.2  # how much worse a stated focal length explains the points, and by what factor it is off
MANY_MOVERS = 0.3  # share of the points, median
OFTEN = 0.05  # share of the frames that are exposed otherwise than the one before
BLURRED = 0.3  # share of the frames
LEAST = 3  # frames: one, the one before it and the one after it
PAUSED = 3.0  # times the usual time between frames
KINDS = {
    "still": ("the camera stands still", "a still camera shows no depth"),
    "turn": ("the camera turns in its place", "a turn shows no depth"),
    "zoom": ("the lens zooms", "a zoom shows no depth"),
}
ADVICE = "film once more and walk, or move the camera sideways by a tenth of the distance to what you film"


def teaches(inspection: ClipInspection) -> bool:
    """Return whether depth can be learned from the clip: the camera moves, and things shift against each other."""
    shifts = inspection.share("parallax") >= TEACHING and inspection.features >= FEWEST_POINTS
    return shifts and inspection.items > 0


def verdict(inspection: ClipInspection) -> str:
    """Return in one sentence whether the clip can teach depth, and with which step."""
    share = f"{inspection.share('parallax'):.0%} of the places measured show parallax"
    if not teaches(inspection):
        return f"This clip cannot teach depth: {share}."
    part = "" if inspection.share("parallax") >= 0.5 else " in part"
    return f"This clip can teach depth{part}: {share}. Frames {inspection.step} apart suit (step={inspection.step})."


def clip_problems(inspection: ClipInspection) -> list[Problem]:
    """Return everything wrong, worst first; an empty list is a clean bill."""
    result: list[Problem] = []

    def report(kind: str, sentence: str) -> None:
        result.append(Problem(kind, f"{sentence}.", (inspection.name,)))

    n, pairs = inspection.frames, inspection.pairs
    if not inspection.items and n >= LEAST:
        report("gaps", f"none of its {n} frames has one before and one after it without a gap; number them in a row")
    elif not pairs or n < LEAST:
        report("short", f"its {n} frames do not suffice to see how the camera moves; give a longer clip")
    elif inspection.features < FEWEST_POINTS:
        report(
            "points",
            f"only {inspection.features:.0f} points a frame can be followed: too dark, blank or blurred; film in "
            "better light, with more in the picture",
        )
    elif not teaches(inspection):
        kind = max(KINDS, key=inspection.share)
        what, why = KINDS[kind]
        report(kind, f"{what} in {inspection.share(kind):.0%} of the places measured, and {why}; {ADVICE}")
    if teaches(inspection) and inspection.share("zoom") > MOVERS and not wrong_focal(inspection):
        report("zoom", f"the lens zooms in {inspection.share('zoom'):.0%} of the places measured, and one focal length "
               "is assumed; cut those parts out")  # fmt: skip
    focal = inspection.focal
    if focal is not None and inspection.source != "assumed" and wrong_focal(inspection):
        whose = "is given" if inspection.source == "given" else "is in the file"
        report("focal", f"a field of view of {focal.stated:.0f} degrees {whose}, and the motion of points tells about "
               f"{focal.best:.0f}; give fov={focal.best:.0f}")  # fmt: skip
    if pairs and (moving := statistics.median(pair.moving for pair in pairs)) > MANY_MOVERS:
        report("movers", f"{moving:.0%} of the points move by themselves (median), and depth is learned from what "
               "stands still; film without traffic, people or water filling the picture")  # fmt: skip
    if len(inspection.jumps) > OFTEN * n:
        report("exposure", f"the exposure jumps at {len(inspection.jumps)} of {n} frames; lock it as you film")
    if len(inspection.blurred) > BLURRED * n:
        report("blur", f"{len(inspection.blurred)} of {n} frames are blurred beside their neighbours; move slower, or "
               "film in better light")  # fmt: skip
    if inspection.damaged:
        report("damaged", f"{inspection.damaged} pictures cannot be read and are left out; replace or remove them")
    if inspection.odd:
        report("size", f"pictures change their size {inspection.odd} times within a sequence; bring them to one size")
    return result


def wrong_focal(inspection: ClipInspection) -> bool:
    """Return whether the field of view measured by the motion of points is far from the stated one."""
    focal = inspection.focal
    return focal is not None and focal.worse > WORSE and not 1 / OFF < focal.best / focal.stated < OFF


def clip_rows(inspection: ClipInspection) -> list[tuple[str, str]]:
    """Return the table: what, and how it is with this clip."""
    n, pairs, (height, width) = inspection.frames, inspection.pairs, inspection.size
    cuts = ", ".join(map(str, inspection.cuts[:5])) + (" ..." if len(inspection.cuts) > 5 else "")
    table = [
        ("frames", f"{n}, {width}x{height}" + (", with pauses" if inspection.gaps > PAUSED else "")),
        ("items", f"{inspection.items} with a frame {inspection.step} before and one {inspection.step} after"),
        (
            "cuts",
            f"{len(inspection.cuts)}"
            + (f" (where a scene begins: frame {cuts}); no step goes over one" if cuts else ""),
        ),
        ("exposure jumps", f"{len(inspection.jumps)}"),
        ("blurred frames", f"{len(inspection.blurred) / n:.0%}"),
        ("points to follow", f"{inspection.features:.0f} a frame (median)"),
    ]
    if pairs:
        moving = statistics.median(pair.moving for pair in pairs)
        rolled = sum(abs(pair.roll) > ROLLED for pair in pairs) / len(pairs)
        many = sum(pair.moving > MOVERS for pair in pairs) / len(pairs)
        longest = max(inspection.usual.values())
        table += [
            ("motion, parallax", f"{inspection.share('parallax'):.0%} of {len(pairs)} places, step {inspection.step}"),
            ("turn only", f"{inspection.share('turn'):.0%}"),
            ("camera still", f"{inspection.share('still'):.0%}"),
            ("zoom", f"{inspection.share('zoom'):.0%}"),
            ("rolls", f"{rolled:.0%} by more than 2 degrees"),
            ("moving objects", f"{moving:.0%} of the points (median), many in {many:.0%} of the places"),
            ("parallax", f"up to {longest:.1%} of the longer side (mean of a step)"),
        ]
    focal = inspection.focal
    source = {"given": "given", "metadata": "from the file", "assumed": "assumed: the file does not tell"}
    tells = "parallax does not tell" if focal is None else f"parallax tells about {focal.best:.0f}"
    table.append(("field of view", f"{inspection.angle:.0f} degrees ({source[inspection.source]}); {tells}"))
    return table


def clip_json(inspection: ClipInspection) -> dict[str, Any]:
    """Return everything, place by place."""
    return {
        "data": inspection.name,
        "teaches": teaches(inspection),
        "problems": [asdict(problem) for problem in clip_problems(inspection)],
        "table": dict(clip_rows(inspection)),
        **{key: value for key, value in asdict(inspection).items() if key != "name"},
    }
