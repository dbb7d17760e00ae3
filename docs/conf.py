"""Configure the documentation site, which `make docs` builds: pages in Markdown, the API from docstrings."""

import contextlib
import io
import os
from pathlib import Path

from sphinx.application import Sphinx

import cyclopean
from cyclopean import cli
from cyclopean.cli.bench import BENCHES
from cyclopean.methods import RECIPES

project = "cyclopean"
author = "The cyclopean authors"
release = cyclopean.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
myst_heading_anchors = 4
default_role = "code"  # docstrings write names between single backticks
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "cyclopean"
html_show_sourcelink = False


def write_commands(app: Sphinx) -> None:
    """Write commands.md: the help of every command, as a user sees it."""
    os.environ["COLUMNS"] = "80"
    names = [*cli.COMMANDS, *(f"train {name}" for name in RECIPES), *(f"bench {name}" for name in BENCHES)]
    parts = ["# Commands\n\nWhat `--help` tells of each."]
    for name in sorted(names):
        page = io.StringIO()
        with contextlib.redirect_stdout(page), contextlib.suppress(SystemExit):
            cli.main([*name.split(), "--help"])
        parts.append(f"## {name}\n\n```text\n{page.getvalue().strip()}\n```")
    Path(app.srcdir, "commands.md").write_text("\n\n".join(parts) + "\n")


def escape_bars(_app: Sphinx, _what: str, _name: str, _item: object, _options: object, lines: list[str]) -> None:
    """Escape the bars of absolute values, which reStructuredText takes for substitutions, outside of code."""
    for k, line in enumerate(lines):
        parts = line.split("`")
        lines[k] = "`".join(part.replace("|", r"\|") if n % 2 == 0 else part for n, part in enumerate(parts))


def setup(app: Sphinx) -> None:
    """Connect what is generated with the build."""
    app.connect("builder-inited", write_commands)
    app.connect("autodoc-process-docstring", escape_bars)
