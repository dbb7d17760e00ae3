"""The code blocks of docs/geometry.md, run in order as one program."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "geometry.md"


def test_code_blocks_of_the_page_run():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 5
    exec(compile("\n".join(blocks), str(PAGE), "exec"), {})
