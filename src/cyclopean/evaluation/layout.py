"""One table, three faces: for a terminal, Markdown and LaTeX."""

from collections.abc import Sequence
from dataclasses import dataclass

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

    def plain(self) -> str:
        """For a terminal."""
        table = [self.heads, *self.rows]
        widths = [max(len(row[i]) for row in table) for i in range(len(self.heads))]
        lines = [
            "  ".join(
                c.ljust(w) if i < self.texts else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True))
            )
            for r in table
        ]
        shown = [lines[0], "  ".join("-" * w for w in widths)]
        for i, line in enumerate(lines[1:]):
            shown += ["", line] if i in self.breaks else [line]
        return "\n".join(shown)

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
