"""The Python of every page of docs/ runs as it stands: here, or in the test of its page."""

import re
from pathlib import Path

import pytest
from PIL import Image

from cyclopean.cli import main
from filmed import film, walking

DOCS = Path(__file__).parents[1] / "docs"
# page -> what its code leaves behind
HERE = {
    "evaluation.md": (),
    "refocus.md": (),
    "second_eye.md": ("photo_right.png",),
    "sharing.md": ("copy/model.safetensors", "copy/README.md"),
    "video.md": ("clip_defocus.mp4",),
    "export.md": (),
}
BEFORE = {"evaluation.md": "render street worlds/test --count 2 --size 48x64", "export.md": "export general"}
# Those of other tests; models.md fetches from the Hub, which tests/inference/test_foreign.py does from a fake of it.
ELSEWHERE = {
    "adding_a_data_set.md",
    "adding_a_method.md",
    "geometry.md",
    "models.md",
    "python.md",
    "students.md",
    "worlds.md",
}


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def test_every_page_with_python_is_known():
    assert {path.name for path in DOCS.glob("*.md") if blocks(path.name)} == {*HERE, *ELSEWHERE}


@pytest.mark.slow
@pytest.mark.parametrize("page", HERE)
def test_python_of_a_page_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    picture = Image.open(DOCS / "images" / "overview.jpg").convert("RGB").resize((96, 64))
    picture.save("photo.jpg")
    if page == "video.md":
        film(Path("clip.mp4"), walking(60))
    if page in BEFORE:
        with pytest.raises(SystemExit, match="0"):
            main(BEFORE[page].split())
    names: dict[str, object] = {}
    for block in blocks(page):
        exec(compile(block, page, "exec"), names)
    assert [name for name in HERE[page] if not Path(name).exists()] == []
    if page == "export.md":
        assert names["inverse_depth"].shape == (1, 1, 64, 96)
