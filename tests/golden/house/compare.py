"""Compare two commits by what users get: run both side by side with one thread and report every difference.

    python tests/golden/house/compare.py OLD_COMMIT            # against the working tree
    python tests/golden/house/compare.py OLD_COMMIT --keep DIR # and keep what both made

What is compared, to the bit: depth of twelve photos and three panoramas by each bundled model and way of looking, 30
training steps of every recipe (the losses of each step), a model's folder, the evaluation of every protocol, refocused
pictures of each mode, sidecars, and the flags of every command with their defaults. Inputs are scikit-image's photos
and worlds that the old commit renders. Only the command line is used, so the code behind it may change freely.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
PHOTOS = (
    *("astronaut.png", "coffee.png", "camera.png", "chelsea.png", "rocket.jpg", "coins.png", "motorcycle_left.png"),
    *("horse.png", "page.png", "hubble_deep_field.jpg", "retina.jpg", "color.png"),
)
RECIPES = {
    "naive": "stereo", "deep3d": "stereo", "deep3ds": "stereo", "garg": "stereo", "monodepth": "stereo",
    "trinocular": "stereo", "monodepth2": "stereo", "supervised": "stereo", "coordnet": "sphere", "panorama": "sphere",
}  # fmt: skip
PROTOCOLS = (
    *("open-1", "kitti-eigen-raw", "kitti-eigen-improved", "kitti-eigen-clamped", "kitti-2015", "make3d-c1"),
    *("middlebury", "nyu", "worlds"),
)
MODES = {
    "lens": "--at 0.4 0.5",
    "range": "--at 0.4 0.5 --range 0.2 --amount 2", "polygon": "--at 0.6 0.6 --shape polygon:6:15",
    "gaussian": "--at 0.5 0.5 --method gaussian", "average": "--at 0.5 0.5 --method average --strength 2",
    "median": "--at 0.5 0.5 --method median", "bilateral": "--at 0.5 0.5 --method bilateral",
    "deep": "--at 0.4 0.5 --save png16,tiff", "as-is": "--at 0.4 0.5 --refine off",
}  # fmt: skip
COMMANDS = ("predict", "refocus", "app", "evaluate", "check", "render", "render-mesh", "doctor", "bench stereo")
NOISE = {"commit", "seconds", "images_per_second", "seconds_left", "when", "made", "command", "machine", "cyclopean"}
FORMER = {  # names of flags -> those that they have now
    "--lr": "--learning-rate", "--average": "--ema-decay", "--clip": "--clip-grad-norm", "--start": "--encoder-weights",
    "--smallest": "--min-crop", "--stretch": "--aspect-jitter", "--shrink": "--min-scale", "--before": "--foreground",
    "--behind": "--background", "--range": "--depth-of-field",
}  # fmt: skip
FIGURE = re.compile(r"^(?P<flag>--[\w-]+).*?(?:\(default: (?P<default>.*?)\))?$", re.S)


def run(tree: Path, words: str, place: Path, *, may_fail: bool = False) -> str:
    """Run `cyclopean WORDS` of the code in `tree`, in the folder `place`; return what it printed."""
    environment = {
        **os.environ, "PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1", "COLUMNS": "80", "NO_COLOR": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "cyclopean", *words.split()]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    if done.returncode and not may_fail:
        raise SystemExit(f"{tree}: cyclopean {words} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout if not done.returncode else f"exit {done.returncode}: {done.stderr}"


def inputs(tree: Path, place: Path) -> None:
    """Lay out what both commits are given, made by the code in `tree`."""
    from skimage import data

    (place / "photos").mkdir()
    for name in PHOTOS:
        shutil.copy(Path(data.__file__).parent / name, place / "photos" / name)
    run(
        tree, "render street,room stereo --count 8 --size 128x256 --workers 1 --baseline 0.54 --field-of-view 70", place
    )
    run(tree, "render room sphere --rig sphere --count 3 --size 128x256 --workers 1", place)


def outputs(tree: Path, given: Path, place: Path) -> None:
    """Make in `place` everything that is compared, by the code in `tree` from the inputs `given`."""
    panoramas = sorted((given / "sphere" / "target").glob("*.png")) or sorted((given / "sphere").glob("c*/*.png"))
    spheres = " ".join(map(str, panoramas[:3]))
    run(tree, f"predict {given / 'photos'} --out plain --save npz,exr,pfm,png16,ply", place)
    run(tree, f"predict {given / 'photos'} --out flipped --flip-average --size 256x256", place)
    run(tree, f"predict {spheres} --camera equirectangular --out spheres", place)
    run(tree, f"predict {spheres} --camera equirectangular --via-cube --out faces", place)
    for name, words in MODES.items():
        run(tree, f"refocus {given / 'photos' / 'coffee.png'} {words} --out refocused/{name}", place)
    for recipe, kind in RECIPES.items():
        network = "" if recipe in ("coordnet", "panorama") else "--network compact --width 0.25"
        words = f"train {recipe} --data {given / kind} --out runs/{recipe} --steps 30 --batch-size 2 --report-every 1"
        run(tree, f"{words} --workers 0 --save-every 9999 --validate-every 30 {network}", place)
    for protocol in PROTOCOLS:
        words = f"evaluate --data {given / 'stereo'} --protocol {protocol} --json {protocol}.json"
        run(tree, words, place)
    (place / "check.txt").write_text(run(tree, f"check {given / 'stereo'}", place, may_fail=True))
    for command in (*COMMANDS, *(f"train {recipe}" for recipe in RECIPES)):
        text = run(tree, f"{command} --help", place)
        (place / f"flags {command}.json").write_text(json.dumps(flags(text), indent=1))


def flags(text: str) -> dict[str, str]:
    """Return flag -> default from a command's `--help`."""
    plain = re.sub(r"[│╭╮╰╯─]", " ", text)
    parts = re.split(r"\n\s+(?=--[a-z])", plain)[1:]
    found = (FIGURE.match(re.sub(r"\s+", " ", part).strip()) for part in parts)
    return {FORMER.get(match["flag"], match["flag"]): match["default"] or "" for match in found if match}


def facts(folder: Path) -> dict[str, str]:
    """Return name -> what must be equal of every file in `folder`: numbers and texts without times and versions."""
    return {path.relative_to(folder).as_posix(): fact(path) for path in sorted(files(folder))}


def files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "resume.pt" and "tensorboard" not in path.parts:
            yield path


def fact(path: Path) -> str:
    if path.suffix == ".jsonl":
        return json.dumps([cleaned(json.loads(line)) for line in path.read_text().splitlines()])
    if path.suffix == ".json":
        return json.dumps(cleaned(json.loads(path.read_text())), sort_keys=True)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def cleaned(value: object) -> object:
    """Return a JSON value without what differs from run to run."""
    if isinstance(value, dict):
        return {key: cleaned(inner) for key, inner in value.items() if key not in NOISE}
    return [cleaned(inner) for inner in value] if isinstance(value, list) else value


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("old")
    asked.add_argument("--keep", type=Path)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = given.keep or Path(temporary)
        old = Path(temporary) / "tree"
        subprocess.run(
            ["git", "worktree", "add", "--detach", old, given.old], cwd=ROOT, check=True, capture_output=True
        )
        try:
            found = []
            for name in ("inputs", "old", "new"):
                (place / name).mkdir(parents=True)
            inputs(old, place / "inputs")
            for name, tree in (("old", old), ("new", ROOT)):
                print(f"{name}: {tree}", flush=True)
                outputs(tree, place / "inputs", place / name)
                found.append(facts(place / name))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", old], cwd=ROOT, check=True)
    before, after = found
    missing, added = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
    changed = sorted(name for name in before.keys() & after.keys() if before[name] != after[name])
    for title, names in (("missing", missing), ("added", added), ("different", changed)):
        print(f"{title}: {len(names)}", *names, sep="\n  ")
    print(f"{len(before)} files compared")
    sys.exit(bool(missing or changed))


if __name__ == "__main__":
    main()
