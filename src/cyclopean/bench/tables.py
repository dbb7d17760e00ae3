"""The tables of a comparison: held-out scenes, other data, the error along the runs, claims, a closer look."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cyclopean.bench.family import Claim, Family
from cyclopean.evaluation.tables import Table

MOST = 12  # looks along a run that stand in a table; more are a curve's matter

Result = dict[str, Any]


def table(family: Family, results: Sequence[Result]) -> Table:
    """Held-out scenes. A line for each row, means over its seeds; rows that look at no picture last, in brackets."""
    heads = ("row", "seeds", *family.columns.values(), "best / last", "minutes")
    groups = _by_row(results)
    return Table(heads, tuple(_held_out(family, rows) for rows in groups), 1, _gap(groups))


def real_table(family: Family, results: Sequence[Result]) -> Table | None:
    """Other data, in the same lines; None without any."""
    columns = [
        (name, key, f"{name}, {label}")
        for name, figures in results[0]["real"].items()
        for key, label in family.real_columns.items()
        if key in figures
    ]
    groups = _by_row(results)
    rows = tuple(
        (_title(rows[0]), *(_over_seeds([r["real"].get(name, {}).get(key) for r in rows]) for name, key, _ in columns))
        for rows in groups
    )
    return Table(("row", *(head for *_, head in columns)), rows, 1, _gap(groups)) if columns else None


def course_table(family: Family, results: Sequence[Result]) -> Table | None:
    """The headline each time the training set was seen once more, the best in bold (first seed); None for long runs."""
    first = [rows[0] for rows in _by_row(results) if rows[0]["course"]]
    most = max((len(r["course"]) for r in first), default=0)
    if not 0 < most <= MOST:
        return None
    rows = tuple((r["title"], *_marked([p[family.headline] for p in r["course"]], most)) for r in first)
    heads = (f"{family.columns[family.headline]} after so many times", *(str(n + 1) for n in range(most)))
    return Table(heads, rows, 1)


def claim_table(family: Family, results: Sequence[Result]) -> Table | None:
    """What was claimed of two rows beside what they reach here, in the order of the claim; None without claims."""
    heads = ("the paper says", "its figures", *(family.columns[key] for key in family.claimed), "so here")
    by_name = {rows[0]["row"]: rows for rows in _by_row(results)}
    rows = tuple(_claimed(family, claim, by_name) for claim in family.claims)
    return Table(heads, rows, 2) if rows else None


def closer_table(family: Family, looks: Sequence[Result]) -> Table | None:
    """What the family looks at more closely; None where it does not."""
    groups = _by_row(looks)
    rows = tuple(
        (_title(rows[0]), *(_over_seeds([r["figures"].get(key) for r in rows]) for key in family.closer_columns))
        for rows in groups
    )
    return Table(("row", *family.closer_columns.values()), rows, 1, _gap(groups)) if rows else None


def _by_row(results: Sequence[Result]) -> list[list[Result]]:
    names = dict.fromkeys(r["row"] for r in results)
    return [[r for r in results if r["row"] == name] for name in names]


def _gap(groups: Sequence[Sequence[Result]]) -> frozenset[int]:
    """Before the first row that was not trained."""
    first = next((i for i, rows in enumerate(groups) if not _trained(rows[0])), 0)
    return frozenset({first} - {0})


def _trained(result: Result) -> bool:
    return "seconds" in result


def _title(result: Result) -> str:
    return result["title"] if _trained(result) else f"({result['title']})"


def _held_out(family: Family, results: Sequence[Result]) -> tuple[str, ...]:
    trained = _trained(results[0])
    course = [[p[family.headline] for p in r["course"]] for r in results]
    best = [min(c) / c[-1] for c in course if c]
    return (
        _title(results[0]),
        str(len(results)) if trained else "",
        *(_over_seeds([r["figures"].get(key) for r in results]) for key in family.columns),
        _over_seeds(best) if best else "",
        f"{np.mean([r['seconds'] for r in results]) / 60:.1f}" if trained else "",
    )


def _marked(values: Sequence[float], width: int) -> tuple[str, ...]:
    best = int(np.argmin(values))
    cells = [f"**{value:.3f}**" if k == best else f"{value:.3f}" for k, value in enumerate(values)]
    return (*cells, *[""] * (width - len(cells)))


def _claimed(family: Family, claim: Claim, by_name: dict[str, list[Result]]) -> tuple[str, ...]:
    if not {claim.ahead, claim.behind} <= by_name.keys():
        return (claim.says, claim.figures, *["-"] * len(family.claimed), "not run")
    cells, kept, judged = [], 0, 0
    for key in family.claimed:
        if not all(key in r["figures"] for name in (claim.ahead, claim.behind) for r in by_name[name]):
            cells.append("-")  # results of a version that did not measure it
            continue
        ahead, behind = (_mean(by_name[name], key) for name in (claim.ahead, claim.behind))
        judged += 1
        kept += ahead > behind if key.startswith("delta") else ahead < behind
        cells.append(f"{ahead:.3f} / {behind:.3f}")
    return (claim.says, claim.figures, *cells, f"{kept} of {judged}")


def _mean(results: Sequence[Result], key: str) -> float:
    return float(np.mean([r["figures"][key] for r in results]))


def _over_seeds(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    mean = f"{np.mean(known):.3f}"
    return mean if len(known) == 1 else f"{mean} ± {np.std(known):.3f}"
