"""The layers: lower never imports higher, equals do not import each other, and commands start without torch."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "cyclopean"
FILES = sorted(ROOT.rglob("*.py"))

# What stands in src/cyclopean, and how high. A new file or folder needs a line here: that is the moment to think.
LAYERS = {
    "geometry": 0,
    "errors": -1,
    "files": 0,
    "choices": 0,
    "devices": 0,
    "colourspace": -0.5,  # below what reads pictures
    "exif": 0,
    "tiffs": 0,
    "raws": 0,
    "decoding": 0.5,  # above the readers of single formats
    "deepcolour": 0,
    "compression": 0,
    "gpano": 0,
    "radiance": 0,
    "kernels": 0,
    "run": 1,
    "sample": 1,
    "synthesis": 1,
    "losses": 1,
    "metrics": 1,
    "images": 1,
    "depthmap": 1,
    "details": 1,
    "video": 1,
    "augmentation": 1,
    "networks": 1,
    "photolike": 1.2,  # above the photos and maps it makes and knows
    "refocus": 1.4,
    "worlds": 1,
    "blender": 1,
    "pointcloud": 1,
    "profile": 1.5,  # above the maps and cameras it gives metres to
    "mesh": 1.5,
    "matte": 1.5,
    "panorama": 1.5,
    "viewer": 1.5,
    "surround": 1.5,
    "rebuilding": 1.5,  # above the verbs, losses and networks it is made of
    "data": 2,
    "methods": 2,
    "checkpoint": 3,
    "predictor": 3,
    "evaluation": 3,
    "training": 3,
    "recipes": 4,
    "comparison": 4,
    "clip": 4,
    "cli": 5,
    "app": 4.5,
    "__main__": 6,
    "__init__": 6,
}
SHARED = {"sample", "depthmap", "errors", "files"}  # of layers 0 and 1, open to their own layer too
INNER_ORDER = ["checkpoint", "predictor", "evaluation", "training"]  # of layer 3, each may import those before it
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "base_utils"}
HEAVY = {"torch", "numpy", "cv2", "PIL", "av", "lightning", "safetensors", "huggingface_hub", "skimage", "trimesh"}


def part_of(path: Path) -> str:
    """The file or folder directly under src/cyclopean that `path` belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path, source: str, everywhere: bool = True) -> list[tuple[int, str]]:
    """(line, absolute module) of each import; `everywhere` also those inside functions and under TYPE_CHECKING."""
    tree = ast.parse(source)
    nodes = ast.walk(tree) if everywhere else top_level(tree)
    found = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            base = absolute(path, node)
            found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
    return found


def top_level(tree: ast.Module) -> list[ast.AST]:
    """What runs when the module is imported: not function bodies, not `if TYPE_CHECKING:`."""
    found: list[ast.AST] = []
    todo: list[ast.AST] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            todo += node.orelse
            continue
        found.append(node)
        todo += ast.iter_child_nodes(node)
    return found


def absolute(path: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = ("cyclopean", *path.relative_to(ROOT).parent.parts)
    kept = package[: len(package) - node.level + 1]
    return ".".join([*kept, *([node.module] if node.module else [])])


def wrong_arrows(path: Path, source: str) -> list[str]:
    """Sentences about imports that point upwards or sideways."""
    here, found = part_of(path), []
    for line, module in imports(path, source):
        names = module.split(".")
        if names[0] != "cyclopean" or len(names) == 1 or names[1] == "__version__":
            continue
        there = names[1] if names[1] in LAYERS else "__init__"
        if there == here or allowed(here, there):
            continue
        found.append(f"{path.name}:{line} ({here}) must not import {there}")
    if here in ("data", "methods", "networks") and path.stem != "__init__":
        found += wrong_siblings(path, source)
    return found


def allowed(here: str, there: str) -> bool:
    if LAYERS[there] != LAYERS[here]:
        return LAYERS[there] < LAYERS[here]
    if here in INNER_ORDER and there in INNER_ORDER:
        return INNER_ORDER.index(there) < INNER_ORDER.index(here)
    return there in SHARED and here not in SHARED


def wrong_siblings(path: Path, source: str) -> list[str]:
    """Methods use methods/base.py and no other method."""
    if part_of(path) != "methods":
        return []
    siblings = {p.stem for p in (ROOT / "methods").glob("*.py")} - {"base", "__init__", path.stem}
    return [
        f"{path.name}:{line} must not import methods/{module.split('.')[2]}.py"
        for line, module in imports(path, source)
        if module.startswith("cyclopean.methods.") and module.split(".")[2] in siblings
    ]


every_file = pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))


@every_file
def test_arrows_point_down(path):
    assert part_of(path) in LAYERS, f"say in {Path(__file__).name} which layer {part_of(path)} is"
    assert not wrong_arrows(path, path.read_text())


@every_file
def test_no_vague_names_and_no_star(path):
    assert not VAGUE & {path.stem, part_of(path), path.parent.name}
    stars = [
        n.lineno
        for n in ast.walk(ast.parse(path.read_text()))
        if isinstance(n, ast.ImportFrom) and n.names[0].name == "*"
    ]
    assert not stars


@every_file
def test_files_stay_short(path):
    assert len(path.read_text().splitlines()) < 400


@pytest.mark.parametrize("path", sorted((ROOT / "cli").rglob("*.py")), ids=lambda p: p.stem)
def test_commands_import_nothing_heavy_at_top_level(path):
    """Directly or through our own modules: what `cyclopean predict --help` runs must not load torch."""
    assert not heavy_imports(path, set())


def heavy_imports(path: Path, seen: set[Path]) -> list[str]:
    if path in seen:
        return []
    seen.add(path)
    found = []
    for line, module in imports(path, path.read_text(), everywhere=False):
        if module.split(".")[0] in HEAVY:
            found.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
        for own in own_files(module):
            found += heavy_imports(own, seen)
    return found


def own_files(module: str) -> list[Path]:
    """The files of ours that importing `module` runs: each package on the way, then the module."""
    names = module.split(".")
    if names[0] != "cyclopean":
        return []
    ways = [ROOT.joinpath(*names[1:n]) for n in range(1, len(names) + 1)]
    return [p for way in ways for p in (way.with_suffix(".py"), way / "__init__.py") if p.is_file()]


@pytest.mark.parametrize(
    ("file", "line", "wrong"),
    [
        ("geometry/pose.py", "from cyclopean.sample import View", True),
        ("geometry/pose.py", "from .grid import pixel_grid", False),
        ("geometry/pose.py", "from ..synthesis import pull", True),
        ("losses.py", "from cyclopean.synthesis import pull", True),
        ("losses.py", "from cyclopean import synthesis", True),
        ("losses.py", "import cyclopean.data.folder", True),
        ("losses.py", "from cyclopean.sample import View", False),
        ("methods/fal.py", "from cyclopean.methods.base import Method", False),
        ("methods/fal.py", "from cyclopean.data.folder import Folder", True),
        ("data/kitti.py", "from cyclopean.synthesis import pull", False),
        ("predictor.py", "from cyclopean.training.checkpoint import load", False),
        ("predictor.py", "from cyclopean.training import fit", True),
        ("depthmap.py", "from cyclopean import __version__", False),
        ("depthmap.py", "from cyclopean import load", True),
        ("training.py", "def f():\n    from cyclopean.recipes import monodepth", True),
    ],
)
def test_the_check_sees_wrong_arrows(file, line, wrong):
    assert bool(wrong_arrows(ROOT / file, line)) is wrong
