"""Compare two results image by image: which images, distances and alignments explain the difference."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cyclopean.errors import InputError, unknown_name
from cyclopean.evaluation.protocols import FITTING, PROTOCOLS, USUAL, Alignment
from cyclopean.evaluation.report import COLUMNS, WIDTH
from cyclopean.evaluation.summary import interval, resamplings
from cyclopean.evaluation.tables import Table
from cyclopean.io.files import at_home, read_json

SHOWN = 10  # images of a table
EXPLAINED = {
    "none": "one factor for the whole set",
    "factor": "scale that varies between images",
    "median": "an offset of inverse depth",
    "affine": "shape: what no alignment removes",
}


@dataclass(frozen=True)
class ModelResult:
    """One model of one result file."""

    label: str
    result: dict[str, Any]
    model: str

    def alignments(self) -> list[Alignment]:
        """Return the alignments that some image has."""
        known = {a for models in self.result["per_image"].values() for a in models.get(self.model, {})}
        return [a for a in USUAL if a in known]

    def fits(self, alignment: str) -> bool:
        """Return whether the model's figures under `alignment` are meaningful; unknown for results of older
        versions."""
        return alignment in FITTING[self.result.get("ambiguities", {}).get(self.model, "metric")]

    def images(self) -> list[str]:
        return [name for name, models in self.result["per_image"].items() if self.model in models]

    def figure(self, image: str, alignment: str, key: str) -> float:
        return float(self.result["per_image"][image][self.model][alignment].get(key, np.nan))

    def pixels(self, image: str) -> int:
        return int(self.result.get("per_image_pixels", {}).get(image, 0))

    def weight(self, image: str) -> float:
        """Return the weight of all counted pixels of the image: their number, or the sum of their solid angles."""
        return float(self.result.get("per_image_weights", {}).get(image, self.pixels(image)))

    def bands(self, image: str, alignment: str) -> list[tuple[float, float, float, float]]:
        """Return (near, far, weight, AbsRel) of each band of the image; results without weights have numbers of
        pixels."""
        stored = self.result.get("per_image_bands", {})
        rows = stored.get("images", {}).get(image, {}).get(self.model, {}).get(alignment, [])
        at = COLUMNS.index("weight") if "weight" in stored.get("columns", []) else COLUMNS.index("pixels")
        return [(row[0], row[1], row[at], row[3]) for row in rows]


@dataclass(frozen=True)
class Change:
    """AbsRel under one alignment, means over the shared images: `difference` = B - A, above 0 where A is better.

    `explained`: the part of the difference that the next alignment removes; `by`: what it removes.
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
    """One image: AbsRel of both, their difference under every shared alignment, and the scales by which both are
    off."""

    image: str
    a: float
    b: float
    differences: dict[str, float]
    scales: tuple[float, float]


@dataclass(frozen=True)
class ModelComparison:
    """All differences between two models on one data set.

    `bands`: (near, far), share of pixels, part of each difference. The parts of a difference add up to the difference
    of the means over images. `images` are ordered by their difference under the alignment `main`.
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
    """Read a result that `cyclopean evaluate --json` wrote."""
    path = at_home(path)
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != "cyclopean-evaluation":
        raise InputError(f"{path} is not a result of cyclopean evaluate --json; give two of those.")
    results = content.get("results")
    if not isinstance(results, list) or not all(isinstance(r, dict) and r.keys() >= NEEDED for r in results):
        raise InputError(f'{path} lacks some of {", ".join(sorted(NEEDED))} in its "results"; evaluate again.')
    if not results and content.get("photometric"):
        raise InputError(
            f"{path} was evaluated by view synthesis, without true depth; such results cannot be compared."
        )
    return content


def compare(
    a: dict[str, Any], b: dict[str, Any], models: Sequence[str] = (), alignment: str | None = None, seed: int = 0
) -> list[ModelComparison]:
    """Return one comparison for each data set, protocol and pair of models that both files have.

    `models`: the model of A and the one of B (one name: of both); none: all that both have, or the only one of each.
    `alignment` orders the images; None: the first that both have and that suits the ambiguity of both. Raises
    `InputError` if nothing is shared.
    """
    comparisons = []
    for one in a["results"]:
        for other in b["results"]:
            if _subject(one) == _subject(other):
                comparisons += [
                    _compare_models(ModelResult("A", one, x), ModelResult("B", other, y), alignment, seed)
                    for x, y in _pairs(_models(one), _models(other), models)
                ]
    if not comparisons:
        have = [", ".join(dict.fromkeys(f"{s[0]} by {s[1]}" for s in map(_subject, c["results"]))) for c in (a, b)]
        raise InputError(f"the results share no data set under one protocol: A has {have[0]}; B has {have[1]}.")
    return comparisons


def tables(comparison: ModelComparison) -> tuple[list[str], list[Table]]:
    """Return sentences and tables of a comparison."""
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
            i.image, f"{i.a:.4f}", f"{i.b:.4f}", *(signed(i.differences[a]) for a in alignments),
            *map("{:.3g}".format, i.scales),
        )
        for i in c.images[:SHOWN]
    )  # fmt: skip
    heads = tuple(f"B-A {a}" for a in alignments)
    parts = [Table(("alignment", "AbsRel A", "AbsRel B", "B-A", "95 %", "B better", "of it", "is"), changes, 1)]
    if bands:
        parts.append(Table(("truth", "pixels %", *heads), bands, 1))
    parts.append(Table(("image", "AbsRel A", "AbsRel B", *heads, "scale A", "scale B"), images, 1))
    return [f"{c.data}, protocol {c.protocol}: A is {c.a}, B is {c.b}.", *c.remarks, *_verdict(c)], parts


def text(comparisons: Sequence[ModelComparison]) -> str:
    """Return sentences and tables for a terminal; tables that are too wide are folded."""
    pages = map(tables, comparisons)
    return "\n\n".join(
        "\n\n".join(["\n".join(about), *(part.plain() for table in page for part in table.folded(WIDTH))])
        for about, page in pages
    )


def markdown(comparisons: Sequence[ModelComparison]) -> str:
    """Return the same for a page."""
    pages = map(tables, comparisons)
    blocks = ("\n".join(f"- {s}" for s in about) + "\n\n" + "\n\n".join(t.markdown() for t in p) for about, p in pages)
    return "\n\n".join(blocks) + "\n"


def latex(comparisons: Sequence[ModelComparison]) -> str:
    """Return the same for a paper (needs booktabs); the sentences are in comments."""
    pages = map(tables, comparisons)
    blocks = ("\n".join(f"% {s}" for s in about) + "\n" + "\n\n".join(t.latex() for t in p) for about, p in pages)
    return "\n\n".join(blocks) + "\n"


def as_json(comparisons: Sequence[ModelComparison]) -> dict[str, Any]:
    """Return everything, every image."""
    return {"format": "cyclopean-comparison", "version": 1, "comparisons": [asdict(c) for c in comparisons]}


def _compare_models(a: ModelResult, b: ModelResult, alignment: str | None, seed: int) -> ModelComparison:
    alignments = [x for x in a.alignments() if x in b.alignments()]
    if alignment is not None and alignment not in alignments:
        raise unknown_name("alignment (of those that both results have)", alignment, alignments)
    if not alignments:
        raise InputError(f"{a.model} and {b.model} share no alignment; evaluate both by one of the named protocols.")
    of_a, of_b = set(a.images()), set(b.images())
    images = [name for name in a.images() if name in of_b and a.pixels(name) == b.pixels(name)]
    if not images:
        raise InputError(f"the results of {a.model} and {b.model} share no image with the same truth.")
    errors = {x: tuple(np.array([side.figure(i, x, "abs_rel") for i in images]) for side in (a, b)) for x in alignments}
    fitting = [x for x in alignments if a.fits(x) and b.fits(x)]
    main = alignment or (fitting or alignments)[0]

    remarks = [f"{len(images)} images are in both."]
    for side, only in ((a, of_a - of_b), (b, of_b - of_a)):
        if only:
            remarks.append(f"{len(only)} only in {side.label}: {', '.join(sorted(only)[:5])}.")
    if other := len(of_a & of_b) - len(images):
        remarks.append(
            f"{other} are left out here, since their numbers of counted pixels differ: the truth is not the same."
        )
    rules = [side.result.get("hashes", {}).get("protocol") for side in (a, b)]
    if rules[0] != rules[1]:
        remarks.append(f"The rules of the protocol differ ({rules[0]} and {rules[1]}): two versions of the program.")

    means = [float((errors[x][1] - errors[x][0]).mean()) for x in alignments]
    changes = []
    for i, x in enumerate(alignments):
        error_a, error_b = errors[x]
        last = i + 1 == len(alignments)
        rest = 0.0 if last else means[i + 1]
        steps = USUAL[USUAL.index(x) : USUAL.index(alignments[i + 1])] if not last else ("affine",)
        draws = resamplings(len(images), seed) @ (error_b - error_a)
        changes.append(
            Change(
                x, float(error_a.mean()), float(error_b.mean()), means[i], interval(draws),
                int((error_b < error_a).sum()), means[i] - rest, " and ".join(EXPLAINED[step] for step in steps),
            )
        )  # fmt: skip

    order = np.argsort(-np.abs(errors[main][1] - errors[main][0]), kind="stable")
    by_image = [
        ImageChange(
            image, a.figure(image, main, "abs_rel"), b.figure(image, main, "abs_rel"),
            {x: b.figure(image, x, "abs_rel") - a.figure(image, x, "abs_rel") for x in alignments},
            (a.figure(image, main, "scale"), b.figure(image, main, "scale")),
        )
        for image in (images[i] for i in order)
    ]  # fmt: skip
    return ModelComparison(
        a.result["data"], a.result["protocol"]["name"], a.model, b.model, main, tuple(remarks), tuple(changes),
        _bands(a, b, images, alignments), tuple(by_image),
    )  # fmt: skip


def _verdict(c: ModelComparison) -> list[str]:
    """Return which model is better, and what explains most of the difference, as far as the images show."""
    main = next(x for x in c.changes if x.alignment == c.main)
    low, high = main.interval
    if low <= 0 <= high or len(c.images) == 1:
        return [f"Under {c.main!r} B - A is {main.difference:+.4f}: the images do not show which is better."]
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


def _bands(
    a: ModelResult, b: ModelResult, images: Sequence[str], alignments: Sequence[str]
) -> tuple[tuple[tuple[float, float], float, dict[str, float]], ...]:
    """Return (near, far), share of A's pixels, and what the band adds to the difference under each alignment."""
    parts: dict[tuple[float, float], dict[str, float]] = {}
    pixels: dict[tuple[float, float], float] = {}
    for image in images:
        total = a.weight(image)
        for x in alignments:
            for sign, side in ((-1, a), (1, b)):
                for near, far, n, rel in side.bands(image, x):
                    sums = parts.setdefault((near, far), dict.fromkeys(alignments, 0.0))
                    sums[x] += sign * n * rel / total / len(images)
                    if side is a and x == alignments[0]:
                        pixels[near, far] = pixels.get((near, far), 0) + n
    counted = sum(pixels.values())
    return tuple((edge, pixels.get(edge, 0) / counted, parts[edge]) for edge in sorted(parts)) if counted else ()


def _subject(result: dict[str, Any]) -> tuple[str, str, tuple[float, ...]]:
    """Return what two results must share: data set (the last part of its name), protocol and caps."""
    protocol = result["protocol"]
    caps = tuple(protocol["far"]) if len(PROTOCOLS.get(protocol["name"], ())) > 1 else ()
    return result["data"].split("/")[-1], protocol["name"], caps


def _models(result: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(row["candidate"] for row in result["rows"] if not row["trivial"]))


def _pairs(a: list[str], b: list[str], names: Sequence[str]) -> list[tuple[str, str]]:
    if names:
        one, other = names[0], names[-1]
        for name, known in ((one, a), (other, b)):
            if name not in known:
                raise unknown_name("model of the result", name, known)
        return [(one, other)]
    if len(a) == len(b) == 1:
        return [(a[0], b[0])]
    same = [(name, name) for name in a if name in b]
    if not same:
        raise InputError(
            f"A has {', '.join(a) or 'no model'}, B {', '.join(b) or 'no model'}; name them with --model A,B."
        )
    return same
