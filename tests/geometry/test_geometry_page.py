"""The code blocks of pages on geometry, those of each run in order as one program."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(("page", "least"), [("geometry.md", 5), ("students.md", 1)])
def test_code_blocks_of_the_page_run(page, least):
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert len(blocks) >= least
    exec(compile("\n".join(blocks), page, "exec"), {})
