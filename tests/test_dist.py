"""What `make dist` refuses, on small archives, and the files that a release comes with."""

import importlib.util
import io
import tarfile
import tomllib
import zipfile
from pathlib import Path

import yaml

import cyclopean

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("dist", ROOT / ".ci" / "dist.py")
dist = importlib.util.module_from_spec(spec)
spec.loader.exec_module(dist)

PACKAGE = ("cyclopean/__init__.py", "cyclopean/models/general/model.safetensors", "cyclopean/app/static/index.html")
SOURCE = (*(f"src/{name}" for name in PACKAGE), "LICENSE", "NOTICE", "tests/test_one.py")
INFO = ("x.dist-info/METADATA", "x.dist-info/licenses/LICENSE", "x.dist-info/licenses/NOTICE")


def built(folder: Path, *, without: str = "", more: str = "", size: int = 1) -> str:
    """Return what is said of a wheel and an sdist of a small package, from both of which one file was left out."""
    tree = folder / "tree"
    for name in SOURCE:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(b"x")
    with zipfile.ZipFile(folder / "x.whl", "w") as wheel:
        for name in (*PACKAGE, *INFO, *((more,) if more.startswith("cyclopean") else ())):
            if name != without:
                wheel.writestr(name, bytes(size) if name.endswith(".safetensors") else b"x")
    with tarfile.open(folder / "x.tar.gz", "w:gz") as sdist:
        for name in (*SOURCE, "PKG-INFO", *((more,) if more.startswith("tests") else ())):
            if name != without:
                sdist.addfile(tarfile.TarInfo(f"x-1/{name}"), io.BytesIO())
    return dist.wrong_contents(folder / "x.whl", folder / "x.tar.gz", tree)


def test_a_file_that_is_missing_or_too_much_is_named(tmp_path):
    cases = [
        ({}, ""),
        ({"without": "cyclopean/models/general/model.safetensors"}, "wheel and the package differ by cyclopean/models"),
        ({"without": "cyclopean/app/static/index.html"}, "differ by cyclopean/app/static/index.html"),
        ({"more": "cyclopean/left_over.py"}, "differ by cyclopean/left_over.py"),
        ({"without": "tests/test_one.py"}, "the sdist and the commit differ by tests/test_one.py"),
        ({"more": "tests/left_over.py"}, "the sdist and the commit differ by tests/left_over.py"),
        ({"without": "x.dist-info/licenses/NOTICE"}, "the wheel lacks NOTICE"),
        ({"size": dist.MOST_WEIGHTS + 1}, "models have 45 MB"),
    ]
    for number, (changes, said) in enumerate(cases):
        folder = tmp_path / str(number)
        folder.mkdir()
        wrong = built(folder, **changes)
        assert said in wrong, changes
        assert bool(said) == bool(wrong), changes


def test_a_version_names_one_commit():
    for version, tags, allowed in [
        ("1.2.0.dev0", [], True),
        ("1.2.0", ["v1.2.0"], True),
        ("1.2.0", [], False),
        ("1.2.0", ["v1.1.0"], False),
        ("1.2.0.dev0", ["v1.2.0"], False),
        ("1.2.0", ["v1.2.0", "v1.3.0"], False),
        ("", [], False),
    ]:
        assert (dist.wrong_version(version, tags) == "") is allowed, (version, tags)


def test_what_a_release_states_is_true_of_it():
    """The version is read where it stands, the tested Pythons are those that are allowed, everything cited is here."""
    found = dist.VERSION.search((ROOT / "src/cyclopean/__init__.py").read_text())
    assert found[1] == cyclopean.__version__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "version" in project["dynamic"]
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    pythons = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert pythons == ["3.11", "3.12", "3.13", "3.14"]
    assert project["requires-python"] == f">={pythons[0]}"
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "license"} <= citation.keys()
    assert citation["license"] == project["license"]
    for form in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        assert yaml.safe_load(form.read_text()), form
    for name in ("SECURITY.md", "CODE_OF_CONDUCT.md"):
        assert name in (ROOT / "CONTRIBUTING.md").read_text()
