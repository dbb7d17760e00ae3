"""`python -m benchmarks.house [COMMIT ...]`: how the code is cut, of the tree as it stands and of other commits.

Lines, files, functions, private functions used once, equal pieces, imports, the modules that a photo and a training
batch walk through, and how long the command takes to start. A commit is looked at in a git worktree of its own.
"""

import ast
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The core: what is needed to learn depth and to judge it. Modules of older trees stand beside those of today.
CORE = (
    *("errors", "devices", "geometry", "sample", "synthesis", "kernels", "losses", "metrics", "augmentation"),
    *("networks", "methods", "training", "recipes", "rebuilding", "run", "checkpoint"),
)
SHORT = 6  # lines of a body that could stand where it is called
PIECE = 5  # statements in a row that count as an equal piece

WALK = """
import sys, json, contextlib, io
walk = []
def step(frame, event, _):
    name = frame.f_code.co_filename
    if event == "call" and "/src/cyclopean/" in name and frame.f_code.co_name != "<module>":
        module = name.split("/src/cyclopean/")[1].removesuffix(".py")
        rendering = module.startswith(("worlds", "synthetic"))  # makes the pictures; the walk is that of the method
        if not rendering and (not walk or walk[-1] != module):
            walk.append(module)
from cyclopean.cli import main
sys.setprofile(step)
code = 0
with contextlib.redirect_stdout(io.StringIO()):
    try:
        main(json.loads(sys.argv[1]))
    except SystemExit as end:
        code = end.code
sys.setprofile(None)
if code:
    sys.exit(code)
print(json.dumps(walk))
"""


def main(commits: list[str]) -> None:
    """Print a Markdown table, one column for each commit and one for the tree as it stands."""
    columns = {}
    for commit in commits:
        with tempfile.TemporaryDirectory() as place:
            tree = Path(place) / "tree"
            subprocess.run(["git", "worktree", "add", "-q", "--detach", tree, commit], cwd=ROOT, check=True)
            try:
                columns[commit] = figures(tree)
            finally:
                subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True)
    columns["this tree"] = figures(ROOT)
    print("| | " + " | ".join(columns) + " |\n|---|" + "---:|" * len(columns))
    for name in columns["this tree"]:
        print(f"| {name} | " + " | ".join(str(column[name]) for column in columns.values()) + " |")


def figures(tree: Path) -> dict[str, object]:
    """Measure the package under `tree`/src."""
    package = tree / "src" / "cyclopean"
    texts = {path: path.read_text() for path in package.rglob("*.py")}
    trees = {path: ast.parse(text) for path, text in texts.items()}
    lines = {path: len(text.splitlines()) for path, text in texts.items()}
    functions = [
        n for t in trees.values() for n in ast.walk(t) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    words = Counter(word for text in texts.values() for word in re.findall(r"\b\w+\b", text))
    once = [n for n in functions if re.match(r"_[^_]", n.name) and words[n.name] == 2]
    called = {
        n.func.attr if isinstance(n.func, ast.Attribute) else n.func.id
        for t in trees.values()
        for n in ast.walk(t)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute | ast.Name)
    }
    imports = [sum(isinstance(n, ast.Import | ast.ImportFrom) for n in ast.walk(t)) for t in trees.values()]
    core = {p: n for p, n in lines.items() if p.relative_to(package).parts[0].removesuffix(".py") in CORE}
    photo, batch = walks(tree)
    whole = sum(lines.values())
    return {
        "lines, whole": whole,
        "lines, core": sum(core.values()),
        "files": len(texts),
        "functions": len(functions),
        "functions per 100 lines": f"{100 * len(functions) / whole:.2f}",
        "private functions used once": len(once),
        f"of these with a body of {SHORT} lines or fewer": sum(body_lines(n) <= SHORT for n in once),
        "of these called in place, not entries of tables, callbacks or kept values": sum(
            body_lines(n) <= SHORT and not n.decorator_list and n.name in called for n in once
        ),
        f"equal pieces of {PIECE} statements": equal_pieces(trees.values()),
        "imports per file": f"{statistics.mean(imports):.1f}",
        "modules that a photo walks through": len(set(photo)),
        "steps from one module into another": len(photo),
        "modules that training for one step walks through": len(set(batch)),
        "steps from one module into another, training": len(batch),
        "seconds of `cyclopean --help`": f"{seconds(tree, '--help'):.2f}",
        "seconds of `cyclopean predict --help`": f"{seconds(tree, 'predict', '--help'):.2f}",
    }


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines the body has without its docstring."""
    first = function.body[1 if ast.get_docstring(function) and len(function.body) > 1 else 0]
    return (function.body[-1].end_lineno or 0) - first.lineno + 1


def equal_pieces(trees: object) -> int:
    """Return how many runs of statements stand more than once, names of variables aside."""
    count: Counter[str] = Counter()
    for tree in trees:  # type: ignore[attr-defined]
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and not isinstance(node, ast.Module | ast.ClassDef):
                for start in range(len(body) - PIECE + 1):
                    piece = "\n".join(ast.dump(statement) for statement in body[start : start + PIECE])
                    count[re.sub(r"(id|arg|name)='\w+'", "", piece)] += 1
    return sum(1 for n in count.values() if n > 1)


def walks(tree: Path) -> tuple[list[str], list[str]]:
    """Return the modules that `predict` on a small photo and one step of `train` walk through, in order."""
    with tempfile.TemporaryDirectory() as place:
        from PIL import Image
        from skimage import data

        photo = Path(place) / "photo.png"
        Image.fromarray(data.astronaut()).resize((128, 96)).save(photo)
        predict = ["predict", str(photo), "--out", f"{place}/depth"]
        options = "--network compact --width 0.25 --size 64x128 --steps 1 --batch-size 1 --workers 0 --world street"
        train = ["train", "monodepth", *options.split(), "--out", f"{place}/run"]
        return walk(tree, predict), walk(tree, train)


def walk(tree: Path, words: list[str]) -> list[str]:
    run = subprocess.run(
        [sys.executable, "-c", WALK, json.dumps(words)],
        env=environment(tree),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout.strip().splitlines()[-1])


def seconds(tree: Path, *words: str) -> float:
    """Return the median time of five runs of the command, in seconds."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "cyclopean", *words], env=environment(tree), capture_output=True, check=True
        )
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def environment(tree: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"}


if __name__ == "__main__":
    main(sys.argv[1:])
