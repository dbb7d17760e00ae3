"""The shape of the house: layers (contracts in pyproject.toml), names and sizes of files, commands that start fast."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1] / "src" / "cyclopean"
FILES = sorted(ROOT.rglob("*.py"))
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "base_utils"}
HEAVY = {"torch", "numpy", "cv2", "PIL", "av", "lightning", "safetensors", "huggingface_hub", "skimage", "trimesh"}
LONGEST = 500  # lines of a file


def test_lower_never_imports_higher():
    """The contracts of import-linter; `make lint` runs them, too."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    run = subprocess.run(command, cwd=ROOT.parents[1], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_files_have_telling_names_and_are_read_at_a_sitting():
    wrong = [f"{path}: a vague name" for path in FILES if VAGUE & {path.stem, path.parent.name}]
    sizes = {path: len(path.read_text().splitlines()) for path in FILES}
    wrong += [f"{path}: {lines} lines" for path, lines in sizes.items() if lines > LONGEST]
    assert not wrong


def test_commands_import_nothing_heavy_at_top_level():
    """Directly or through our own modules: what `cyclopean predict --help` runs must not load torch."""
    commands = sorted((ROOT / "cli").rglob("*.py"))
    assert len(commands) > 10
    assert not [wrong for path in commands for wrong in heavy_imports(path, set())]


def heavy_imports(path: Path, walked: set[Path]) -> list[str]:
    if path in walked:
        return []
    walked.add(path)
    wrong = []
    for line, module in imports_at_top_level(path):
        if module.split(".")[0] in HEAVY:
            wrong.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
        for own in own_files(module):
            wrong += heavy_imports(own, walked)
    return wrong


def imports_at_top_level(path: Path) -> list[tuple[int, str]]:
    """(line, module) of what is imported with the module: not in function bodies, not under `if TYPE_CHECKING:`."""
    imports: list[tuple[int, str]] = []
    todo: list[ast.AST] = list(ast.parse(path.read_text()).body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            todo += node.orelse
        elif isinstance(node, ast.Import):
            imports += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
        else:
            todo += ast.iter_child_nodes(node)
    return imports


def own_files(module: str) -> list[Path]:
    """The files of ours that importing `module` runs: each package on the way, then the module."""
    names = module.split(".")
    if names[0] != "cyclopean":
        return []
    ways = [ROOT.joinpath(*names[1:n]) for n in range(1, len(names) + 1)]
    return [p for way in ways for p in (way.with_suffix(".py"), way / "__init__.py") if p.is_file()]


def test_the_walk_sees_heavy_imports():
    assert heavy_imports(ROOT / "io" / "image.py", set())
    assert not heavy_imports(ROOT / "errors.py", set())
