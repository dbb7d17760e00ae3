"""`make dist`: build the wheel and the sdist of the commit at HEAD, check them, leave them in dist/.

What is built is the commit, never the working tree, with the commit's time: whoever builds it again gets the same
bytes. The version stands in src/cyclopean/__init__.py. Between releases it ends with .dev0; a version without that is
built only where its tag, v and the version, is on the commit, so that one version never names two commits.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST_BYTES = 60_000_000  # of the wheel and of the sdist
MOST_WEIGHTS = 45_000_000  # bytes of all bundled models together
VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)


def main() -> int:
    """Build twice, compare, install in an empty environment, use it; return 0 when everything is as it should be."""
    if subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, check=False).returncode:
        return refused("this is not a checkout of Git, and make dist builds a commit; python -m build builds a folder.")
    if run("git", "status", "--porcelain", cwd=ROOT):
        print("make dist: there are changes that are not committed; they are not in what is built.", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="cyclopean-dist-") as scratch:
        place = Path(scratch)
        trees = [exported(place / name / "source") for name in ("first", "second")]
        found = VERSION.search((trees[0] / "src/cyclopean/__init__.py").read_text())
        version, tags = found[1] if found else "", run("git", "tag", "--points-at", "HEAD", cwd=ROOT).split()
        wrong = wrong_version(version, [tag for tag in tags if tag.startswith("v")])
        if wrong:
            return refused(wrong)
        first, second = place / "first" / "dist", place / "second" / "dist"
        build(trees[0], first)  # the sdist, and the wheel out of the sdist
        build(trees[1], second, "--sdist", "--wheel")  # both out of the commit
        names = [f"cyclopean-{version}-py3-none-any.whl", f"cyclopean-{version}.tar.gz"]
        wheel, sdist = (first / name for name in names)
        for path in (wheel, sdist):
            if path.read_bytes() != (second / path.name).read_bytes():
                return refused(f"two builds of one commit gave two different {path.name}.")
        wrong = wrong_contents(wheel, sdist, trees[0])
        if wrong:
            return refused(wrong)
        use(wheel, version, place / "empty")
        (ROOT / "dist").mkdir(exist_ok=True)
        for path in (wheel, sdist):
            shutil.copy2(path, ROOT / "dist" / path.name)
            print(f"dist/{path.name}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


def wrong_version(version: str, tags: list[str]) -> str:
    """Return why a commit with these tags of releases may not be built as `version`, "" if it may."""
    if tags and tags != [f"v{version}"]:
        return f"the commit has the tag {', '.join(tags)} and the version {version!r}; a release needs one name."
    if not tags and not version.endswith(".dev0"):
        return f"the version is {version!r} and the commit lacks the tag v{version}; tag it, or go on to .dev0."
    return ""


def wrong_contents(wheel: Path, sdist: Path, tree: Path) -> str:
    """Return what is missing or too much in the files built from `tree`, "" if nothing is."""
    source = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}
    package = {name.removeprefix("src/") for name in source if name.startswith("src/")}
    with zipfile.ZipFile(wheel) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    notes = {name for name in sizes if ".dist-info/" in name}
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    weights = sum(size for name, size in sizes.items() if name.endswith(".safetensors"))
    lacking = {"LICENSE", "NOTICE"} - {name.rpartition("/")[2] for name in notes}
    if different := sorted((sizes.keys() - notes) ^ package):
        return f"the wheel and the package differ by {', '.join(different[:5])}."
    if different := sorted((packed - {"PKG-INFO"}) ^ source):
        return f"the sdist and the commit differ by {', '.join(different[:5])}."
    if lacking:
        return f"the wheel lacks {', '.join(sorted(lacking))}."
    if weights > MOST_WEIGHTS or max(wheel.stat().st_size, sdist.stat().st_size) > MOST_BYTES:
        return f"models have {weights / 1e6:.0f} MB, and the wheel {wheel.stat().st_size / 1e6:.0f} MB: too much."
    return ""


def use(wheel: Path, version: str, place: Path) -> None:
    """Install the wheel alone in a new environment, away from the source, and do with it what a stranger does first."""
    run(sys.executable, "-m", "venv", str(place / "venv"))
    python, cyclopean = (str(place / "venv" / "bin" / name) for name in ("python", "cyclopean"))
    install = (python, "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt"))
    run(*install, "torch", cwd=place)
    run(*install, str(wheel), cwd=place)
    imported = run(python, "-c", "import cyclopean; print(cyclopean.__file__)", cwd=place)
    assert imported.startswith(str(place)), imported
    assert run(cyclopean, "--version", cwd=place) == f"cyclopean {version}"
    report = run(cyclopean, "doctor", cwd=place)
    assert "All that photos need works." in report, report
    run(cyclopean, "render", "street", "worlds", "--count", "1", "--size", "96x160", cwd=place)
    picture = next((place / "worlds" / "left").iterdir())
    run(cyclopean, "predict", str(picture), "--out", "depth", "--view", "html", "--save", "ply", cwd=place)
    run(cyclopean, "refocus", str(picture), "--at", "0.5", "0.5", "--out", "depth", "--view", "html", cwd=place)
    stem, made = picture.stem, {path.name for path in (place / "depth").iterdir()}
    endings = ("disp.npy", "disp.png", "disp.json", "disp.ply", "view.html", "defocus.png", "defocus.html")
    wanted = {f"{stem}_{ending}" for ending in endings}
    assert wanted <= made, sorted(wanted - made)


def exported(folder: Path) -> Path:
    """Write the files of the commit at HEAD to a new folder and return it."""
    folder.mkdir(parents=True)
    archive = folder.parent / "commit.tar"
    run("git", "archive", "--output", str(archive), "HEAD", cwd=ROOT)
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder


def build(tree: Path, out: Path, *kinds: str) -> None:
    """Build in an environment of its own, whose packages have the versions that everything is tested with."""
    times = {"SOURCE_DATE_EPOCH": run("git", "log", "-1", "--format=%ct", cwd=ROOT)}
    run(
        *(sys.executable, "-m", "build", *kinds, "--outdir", str(out), str(tree)),
        **{**times, "PIP_CONSTRAINT": str(ROOT / "constraints.txt")},
    )


def run(*command: str, cwd: Path | None = None, **variables: str) -> str:
    """Return what a command prints; it sees no PYTHONPATH. Raises CalledProcessError after showing its errors."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        done.check_returncode()
    return done.stdout.strip()


def refused(why: str) -> int:
    print(f"make dist: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
