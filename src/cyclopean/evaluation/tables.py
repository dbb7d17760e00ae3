"""A table of texts, written for a terminal, as Markdown and as LaTeX."""

from collections.abc import Sequence
from dataclasses import dataclass

from cyclopean.io.files import printable, shortened

_LATEX = {"%": r"\%", "_": r"\_", "&": r"\&", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}", "δ": r"$\delta$"}
_LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {"²": r"$^2$", "³": r"$^3$", "\\": r"\textbackslash{}", "±": r"$\pm$", "−": "$-$"}


@dataclass(frozen=True)
class Table:
    """Cells as strings: the first `texts` columns are words, aligned left, the rest are numbers, aligned right.

    `breaks`: rows with a gap before them in a terminal, a rule in LaTeX.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int
    breaks: frozenset[int] = frozenset()

    def widths(self) -> list[int]:
        """Return the width of each column in a terminal; names from files are escaped (control characters)."""
        return [max(len(printable(cell)) for cell in column) for column in zip(self.heads, *self.rows, strict=True)]

    @property
    def width(self) -> int:
        """Columns of a terminal that it takes."""
        return sum(self.widths()) + 2 * (len(self.heads) - 1)

    def plain(self) -> str:
        """Return the table for a terminal."""
        widths = self.widths()
        lines = [
            "  ".join(
                printable(cell).ljust(width) if k < self.texts else printable(cell).rjust(width)
                for k, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in (self.heads, *self.rows)
        ]
        block = [lines[0], "  ".join("-" * width for width in widths)]
        for i, line in enumerate(lines[1:]):
            block += ["", line] if i in self.breaks else [line]
        return "\n".join(block)

    def folded(self, columns: int) -> "list[Table]":
        """Return several tables of at most `columns` columns of a terminal, each with the first column, shortened."""
        names = tuple(shortened(row[0], columns // 2) for row in (self.heads, *self.rows))
        widths = [max(len(printable(name)) for name in names), *self.widths()[1:]]
        groups: list[list[int]] = [[]]
        for k in range(1, len(widths)):
            if groups[-1] and widths[0] + sum(2 + widths[n] for n in (*groups[-1], k)) > columns:
                groups.append([])
            groups[-1].append(k)
        tables = []
        for group in groups:
            heads, *rows = [
                (name, *(row[k] for k in group)) for name, row in zip(names, (self.heads, *self.rows), strict=True)
            ]
            tables.append(Table(heads, tuple(rows), sum(k < self.texts for k in (0, *group)), self.breaks))
        return tables

    def markdown(self) -> str:
        """Return the table in Markdown."""
        rule = ["---"] * self.texts + ["---:"] * (len(self.heads) - self.texts)
        rows = [tuple(cell.replace("|", r"\|") for cell in row) for row in self.rows]
        return "\n".join("| " + " | ".join(row) + " |" for row in [self.heads, rule, *rows])

    def latex(self) -> str:
        """Return a `tabular` with the rules of booktabs."""

        def line(cells: Sequence[str]) -> str:
            return " & ".join(map(latex_text, cells)) + r" \\"

        lines = [rf"\begin{{tabular}}{{{'l' * self.texts}{'r' * (len(self.heads) - self.texts)}}}"]
        lines += [r"\toprule", line(self.heads), r"\midrule"]
        for i, row in enumerate(self.rows):
            lines += [r"\midrule", line(row)] if i in self.breaks else [line(row)]
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def latex_text(text: str) -> str:
    """Return `text` with LaTeX's special characters escaped."""
    return "".join(_LATEX.get(character, character) for character in text)
