"""One table, three faces: for a terminal, Markdown and LaTeX."""

from collections.abc import Sequence
from dataclasses import dataclass

from cyclopean.files import shortened, shown

_LATEX = {"%": r"\%", "_": r"\_", "&": r"\&", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}", "δ": r"$\delta$"}
_LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {"²": r"$^2$", "³": r"$^3$", "\\": r"\textbackslash{}", "±": r"$\pm$", "−": "$-$"}


@dataclass(frozen=True)
class Table:
    """Cells as strings: the first `texts` columns are words and stand left, the rest are numbers and stand right.

    `breaks`: rows before which a gap stands in a terminal, a rule in LaTeX.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int
    breaks: frozenset[int] = frozenset()

    @property
    def width(self) -> int:
        """Columns of a terminal that it takes."""
        return sum(self._widths()) + 2 * (len(self.heads) - 1)

    def plain(self) -> str:
        """For a terminal: names from files are escaped where they hold control characters."""
        table, widths = self._printable(), self._widths()
        lines = [
            "  ".join(
                c.ljust(w) if i < self.texts else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True))
            )
            for r in table
        ]
        block = [lines[0], "  ".join("-" * w for w in widths)]
        for i, line in enumerate(lines[1:]):
            block += ["", line] if i in self.breaks else [line]
        return "\n".join(block)

    def folded(self, columns: int) -> "list[Table]":
        """As several tables that fit into so many columns of a terminal, each with the first column, shortened."""
        first = tuple(shortened(row[0], columns // 2) for row in (self.heads, *self.rows))
        widths = [max(map(len, map(shown, first))), *self._widths()[1:]]
        groups: list[list[int]] = [[]]
        for k in range(1, len(widths)):
            if groups[-1] and widths[0] + sum(2 + widths[n] for n in (*groups[-1], k)) > columns:
                groups.append([])
            groups[-1].append(k)
        found = []
        for group in groups:
            lines = [
                (name, *(row[k] for k in group)) for name, row in zip(first, (self.heads, *self.rows), strict=True)
            ]
            found.append(Table(lines[0], tuple(lines[1:]), sum(k < self.texts for k in (0, *group)), self.breaks))
        return found

    def _printable(self) -> list[list[str]]:
        return [[shown(cell) for cell in row] for row in (self.heads, *self.rows)]

    def _widths(self) -> list[int]:
        return [max(map(len, column)) for column in zip(*self._printable(), strict=True)]

    def markdown(self) -> str:
        """For a page."""
        rule = ["---"] * self.texts + ["---:"] * (len(self.heads) - self.texts)
        rows = [tuple(cell.replace("|", r"\|") for cell in row) for row in self.rows]
        return "\n".join("| " + " | ".join(row) + " |" for row in [self.heads, rule, *rows])

    def latex(self) -> str:
        """A `tabular` with the rules of booktabs."""
        lines = [
            rf"\begin{{tabular}}{{{'l' * self.texts}{'r' * (len(self.heads) - self.texts)}}}",
            r"\toprule",
            _row(self.heads),
            r"\midrule",
        ]
        for i, row in enumerate(self.rows):
            lines += [r"\midrule", _row(row)] if i in self.breaks else [_row(row)]
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def latex_text(text: str) -> str:
    """`text` with LaTeX's own characters made harmless."""
    return "".join(_LATEX.get(character, character) for character in text)


def _row(cells: Sequence[str]) -> str:
    return " & ".join(latex_text(cell) for cell in cells) + r" \\"
