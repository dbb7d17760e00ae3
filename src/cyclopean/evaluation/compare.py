"""Two results, image by image: which images, which distances and which alignment explain the difference."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from cyclopean.errors import InputError, unknown_name
from cyclopean.evaluation.protocols import FITTING, PROTOCOLS, USUAL, Alignment
from cyclopean.evaluation.report import COLUMNS, Table, interval, resamplings
from cyclopean.io.files import read_json

SHOWN = 10  # images of a table
EXPLAINED = {
    "none": "one factor for the whole set",
    "factor": "scale that varies between images",
    "median": "an offset of inverse depth",
    "affine": "shape: what no alignment removes",
}
Values = Float[np.ndarray, " images"]


@dataclass(frozen=True)
class Side:
    """One model of one result file: `values[alignment][image]` are AbsRel, `bands` as in the file."""

    label: str
    result: dict[str, Any]
    model: str

    def alignments(self) -> list[Alignment]:
        found = {a for models in self.result["per_image"].values() for a in models.get(self.model, {})}
        return [a for a in USUAL if a in found]

    def fits(self, alignment: str) -> bool:
        """Whether the model's figures under it mean something; results of older versions do not tell."""
        return alignment in FITTING[self.result.get("ambiguities", {}).get(self.model, "metric")]

    def images(self) -> list[str]:
        return [name for name, models in self.result["per_image"].items() if self.model in models]

    def figure(self, image: str, alignment: str, key: str) -> float:
        return float(self.result["per_image"][image][self.model][alignment].get(key, np.nan))

    def pixels(self, image: str) -> int:
        return int(self.result.get("per_image_pixels", {}).get(image, 0))

    def weight(self, image: str) -> float:
        """What all counted pixels of the image weigh: their number, or the sum of their solid angles."""
        return float(self.result.get("per_image_weights", {}).get(image, self.pixels(image)))

    def bands(self, image: str, alignment: str) -> list[tuple[float, float, float, float]]:
        """(near, far, weight, AbsRel) of each band that the image has; results without weights have pixels."""
        stored = self.result.get("per_image_bands", {})
        rows = stored.get("images", {}).get(image, {}).get(self.model, {}).get(alignment, [])
        at = COLUMNS.index("weight") if "weight" in stored.get("columns", []) else COLUMNS.index("pixels")
        return [(row[0], row[1], row[at], row[3]) for row in rows]


@dataclass(frozen=True)
class Change:
    """AbsRel under one alignment, means over the shared images: `difference` = B - A, above 0 where A is better.

    `explained`: the part of the difference that the next alignment takes away, and by what.
    """

    alignment: str
    a: float
    b: float
    difference: float
    interval: tuple[float, float]
    b_better: int
    explained: float
    by: str


@dataclass(frozen=True)
class ImageChange:
    """One image: AbsRel of both, their difference under every shared alignment, and the scales that were missing."""

    image: str
    a: float
    b: float
    differences: dict[str, float]
    scales: tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """What separates two models on one data set. `bands`: (near, far), share of pixels, part of each difference.

    The parts of a difference that fall on bands add up to the difference of the means over images. `images` are ordered
    by their difference under the alignment `main`.
    """

    data: str
    protocol: str
    a: str
    b: str
    main: str
    remarks: tuple[str, ...]
    changes: tuple[Change, ...]
    bands: tuple[tuple[tuple[float, float], float, dict[str, float]], ...]
    images: tuple[ImageChange, ...]


NEEDED = {"data", "protocol", "rows", "per_image"}  # of each result


def load(path: Path | str) -> dict[str, Any]:
    """A result that `cyclopean evaluate --json` wrote."""
    path = Path(path).expanduser()
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != "cyclopean-evaluation":
        raise InputError(f"{path} is no result of cyclopean evaluate --json; give two of those.")
    results = content.get("results")
    if not isinstance(results, list) or not all(isinstance(r, dict) and r.keys() >= NEEDED for r in results):
        raise InputError(f'{path} lacks some of {", ".join(sorted(NEEDED))} in its "results"; measure again.')
    if not results and content.get("photometric"):
        raise InputError(f"{path} was judged by pictures, without true depth; such results are not compared.")
    return content


def compare(
    a: dict[str, Any], b: dict[str, Any], models: Sequence[str] = (), alignment: str | None = None, seed: int = 0
) -> list[Comparison]:
    """One comparison for each data set, protocol and pair of models that both files have.

    `models`: the model of A and the one of B (one name: of both); none: all that both have, or the only one of each.
    `alignment` orders the images; None: the first that both have and that fits what
    both leave open. Raises `InputError` if nothing is shared.
    """
    found = []
    for one in a["results"]:
        for other in b["results"]:
            if _subject(one) == _subject(other):
                pairs = _pairs(_models(one), _models(other), models)
                found += [_compared(Side("A", one, x), Side("B", other, y), alignment, seed) for x, y in pairs]
    if not found:
        have = [", ".join(dict.fromkeys(f"{s[0]} by {s[1]}" for s in map(_subject, c["results"]))) for c in (a, b)]
        raise InputError(f"the results share no data set under one protocol: A has {have[0]}; B has {have[1]}.")
    return found


def tables(comparison: Comparison) -> tuple[list[str], list[Table]]:
    """Sentences and tables of a comparison."""
    c = comparison
    signed = "{:+.4f}".format
    alignments = [change.alignment for change in c.changes]
    changes = tuple(
        (
            x.alignment, f"{x.a:.4f}", f"{x.b:.4f}", signed(x.difference), "{:+.4f} to {:+.4f}".format(*x.interval),
            f"{x.b_better} of {len(c.images)}", signed(x.explained), x.by,
        )
        for x in c.changes
    )  # fmt: skip
    bands = tuple(
        (f"{near:g}-{far:g} m", f"{100 * share:.1f}", *(signed(parts[a]) for a in alignments))
        for (near, far), share, parts in c.bands
    )
    images = tuple(
        (
            i.image,
            f"{i.a:.4f}",
            f"{i.b:.4f}",
            *(signed(i.differences[a]) for a in alignments),
            *map("{:.3g}".format, i.scales),
        )
        for i in c.images[:SHOWN]
    )
    heads = tuple(f"B-A {a}" for a in alignments)
    found = [Table(("alignment", "AbsRel A", "AbsRel B", "B-A", "95 %", "B better", "of it", "is"), changes, 1)]
    if bands:
        found.append(Table(("truth", "pixels %", *heads), bands, 1))
    found.append(Table(("image", "AbsRel A", "AbsRel B", *heads, "scale A", "scale B"), images, 1))
    return [f"{c.data}, protocol {c.protocol}: A is {c.a}, B is {c.b}.", *c.remarks, *_verdict(c)], found


def as_json(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Everything, every image."""
    return {"format": "cyclopean-comparison", "version": 1, "comparisons": [asdict(c) for c in comparisons]}


def _verdict(c: Comparison) -> list[str]:
    """Which is better, and what most of the difference is, as far as the images can tell."""
    main = next(x for x in c.changes if x.alignment == c.main)
    low, high = main.interval
    if low <= 0 <= high or len(c.images) == 1:
        return [f"Under {c.main!r} B - A is {main.difference:+.4f}: the images do not tell which is better."]
    sign = 1 if low > 0 else -1
    sentences = [f"Under {c.main!r} B - A is {main.difference:+.4f}: {'A' if low > 0 else 'B'} is better."]
    largest = max(c.changes[c.changes.index(main) :], key=lambda x: sign * x.explained)
    sentences.append(f"Alignment: {largest.explained:+.4f} of it is {largest.by}.")
    if c.bands:
        (near, far), share, parts = max(c.bands, key=lambda band: sign * band[2][c.main])
        part = f"{parts[c.main]:+.4f} of it comes from {near:g}-{far:g} m"
        sentences.append(f"Distance: {part}, {100 * share:.0f} % of the pixels.")
    sizes = np.sort([abs(i.differences[c.main]) for i in c.images])[::-1]
    half = int(np.searchsorted(np.cumsum(sizes), sizes.sum() / 2)) + 1
    return [*sentences, f"Images: {half} of {len(sizes)} make up half of all differences; the largest are listed."]


def _compared(a: Side, b: Side, alignment: str | None, seed: int) -> Comparison:
    alignments = [x for x in a.alignments() if x in b.alignments()]
    if alignment is not None and alignment not in alignments:
        raise unknown_name("alignment (of those that both results have)", alignment, alignments)
    if not alignments:
        raise InputError(f"{a.model} and {b.model} share no alignment; judge both by one of the named protocols.")
    mine, theirs = set(a.images()), set(b.images())
    images = [name for name in a.images() if name in theirs and a.pixels(name) == b.pixels(name)]
    if not images:
        raise InputError(f"the results of {a.model} and {b.model} share no image with the same truth.")
    values = {x: tuple(np.array([s.figure(i, x, "abs_rel") for i in images]) for s in (a, b)) for x in alignments}
    fitting = [x for x in alignments if a.fits(x) and b.fits(x)]
    main = alignment or (fitting or alignments)[0]
    order = np.argsort(-np.abs(values[main][1] - values[main][0]), kind="stable")
    return Comparison(
        a.result["data"], a.result["protocol"]["name"], a.model, b.model, main,
        tuple(_remarks(a, b, mine, theirs, len(images))), _changes(values, alignments, seed),
        _bands(a, b, images, alignments),
        tuple(_image(a, b, images[i], alignments, main) for i in order),
    )  # fmt: skip


def _changes(
    values: dict[Alignment, tuple[Values, ...]], alignments: Sequence[Alignment], seed: int
) -> tuple[Change, ...]:
    means = [float((values[x][1] - values[x][0]).mean()) for x in alignments]
    found = []
    for i, x in enumerate(alignments):
        a, b = values[x]
        rest = means[i + 1] if i + 1 < len(means) else 0.0
        draws = resamplings(len(a), seed) @ (b - a)
        by = EXPLAINED["affine"] if i + 1 == len(alignments) else _between(x, alignments[i + 1])
        found.append(
            Change(
                x, float(a.mean()), float(b.mean()), means[i], interval(draws), int((b < a).sum()), means[i] - rest, by
            )
        )
    return tuple(found)


def _between(alignment: Alignment, following: Alignment) -> str:
    """What lies between two alignments."""
    steps = USUAL[USUAL.index(alignment) : USUAL.index(following)]
    return " and ".join(EXPLAINED[step] for step in steps)


def _bands(
    a: Side, b: Side, images: Sequence[str], alignments: Sequence[str]
) -> tuple[tuple[tuple[float, float], float, dict[str, float]], ...]:
    parts: dict[tuple[float, float], dict[str, float]] = {}
    pixels: dict[tuple[float, float], float] = {}
    for image in images:
        total = a.weight(image)
        for x in alignments:
            for sign, side in ((-1, a), (1, b)):
                for near, far, n, rel in side.bands(image, x):
                    own = parts.setdefault((near, far), dict.fromkeys(alignments, 0.0))
                    own[x] += sign * n * rel / total / len(images)
                    if side is a and x == alignments[0]:
                        pixels[near, far] = pixels.get((near, far), 0) + n
    counted = sum(pixels.values())
    return tuple((edge, pixels.get(edge, 0) / counted, parts[edge]) for edge in sorted(parts)) if counted else ()


def _image(a: Side, b: Side, image: str, alignments: Sequence[str], main: str) -> ImageChange:
    differences = {x: b.figure(image, x, "abs_rel") - a.figure(image, x, "abs_rel") for x in alignments}
    return ImageChange(
        image, a.figure(image, main, "abs_rel"), b.figure(image, main, "abs_rel"), differences,
        (a.figure(image, main, "scale"), b.figure(image, main, "scale")),
    )  # fmt: skip


def _remarks(a: Side, b: Side, mine: set[str], theirs: set[str], shared: int) -> list[str]:
    """What keeps the two from being the same measurement."""
    found = [f"{shared} images are in both."]
    for side, only in ((a, mine - theirs), (b, theirs - mine)):
        if only:
            found.append(f"{len(only)} only in {side.label}: {', '.join(sorted(only)[:5])}.")
    if other := len(mine & theirs) - shared:
        found.append(f"{other} are left out here because another number of pixels counted: the truth differs.")
    rules = [side.result.get("hashes", {}).get("protocol") for side in (a, b)]
    if rules[0] != rules[1]:
        found.append(f"The rules of the protocol differ ({rules[0]} and {rules[1]}): two versions of the program.")
    return found


def _subject(result: dict[str, Any]) -> tuple[str, str, tuple[float, ...]]:
    """What two results must share: data set (its last name), protocol and caps."""
    protocol = result["protocol"]
    caps = tuple(protocol["far"]) if len(PROTOCOLS.get(protocol["name"], ())) > 1 else ()
    return result["data"].split("/")[-1], protocol["name"], caps


def _models(result: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(row["candidate"] for row in result["rows"] if not row["trivial"]))


def _pairs(a: list[str], b: list[str], asked: Sequence[str]) -> list[tuple[str, str]]:
    if asked:
        one, other = asked[0], asked[-1]
        for name, known in ((one, a), (other, b)):
            if name not in known:
                raise unknown_name("model of the result", name, known)
        return [(one, other)]
    if len(a) == len(b) == 1:
        return [(a[0], b[0])]
    same = [(name, name) for name in a if name in b]
    if not same:
        raise InputError(
            f"A has {', '.join(a) or 'no model'}, B {', '.join(b) or 'no model'}; say which with --model A,B."
        )
    return same
