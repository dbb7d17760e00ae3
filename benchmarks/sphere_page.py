"""`python -m benchmarks.sphere_page REPORT PAGE`: what `cyclopean bench sphere OUT --report REPORT` wrote, into a page.

Tables go between the two marks of PAGE, pictures into the folder `images` beside it. Nothing is trained or judged.
"""

import json
import sys
from pathlib import Path

from PIL import Image

MARKS = ("<!-- bench sphere: from here", "<!-- bench sphere: up to here -->")
PICTURES = {  # of the report -> of the page
    "pictures.png": "sphere_{budget}.jpg",
    "course.png": "sphere_{budget}_course.jpg",
    "pictures-topbottom.png": "sphere_{budget}_pairs.jpg",
    "pictures-traced360.png": "sphere_{budget}_traced.jpg",
}
COMMAND = "cyclopean bench sphere OUT --budget {budget} --real traced360:TRACED,topbottom:PAIRS:baseline=0.2"
WIDEST = 1100  # pixels of a picture


def main() -> int:
    """Writes the page anew."""
    report, place = (Path(word) for word in sys.argv[1:3])
    values = json.loads((report / "comparison.json").read_text())
    budget = _budget(values["results"][0]["budget"])
    _fill(place, _text(values, budget))
    for name, jpeg in PICTURES.items():
        if (report / name).exists():
            _picture(report / name, place.parent / "images" / jpeg.format(budget=budget))
    return 0


def _budget(made: dict[str, object]) -> str:
    from cyclopean.bench.sphere import SPHERE

    steps = {budget.steps: name for name, budget in SPHERE.budgets.items()}
    return steps[int(str(made["steps"]))]


def _text(values: dict[str, list], budget: str) -> str:
    from cyclopean.bench.report import page
    from cyclopean.bench.sphere import SPHERE

    return page(SPHERE, values["results"], values["closer"], COMMAND.format(budget=budget), str(values["machine"]))


def _fill(place: Path, text: str) -> None:
    before, after = place.read_text().split(MARKS[0])[0], place.read_text().split(MARKS[1])[1]
    mark = f"{MARKS[0]}, by benchmarks/sphere_page.py -->"
    place.write_text(f"{before}{mark}\n\n{text.strip()}\n\n{MARKS[1]}{after}")


def _picture(source: Path, target: Path) -> None:
    with Image.open(source) as picture:
        small = picture.convert("RGB")
        small.thumbnail((WIDEST, 10_000))
        small.save(target, quality=82, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
