"""Make the numbers that stand in outputs.npz: a redesign changes none of them.

    python tests/golden/house/outputs.py            # writes outputs.npz anew, when a figure changes on purpose

Photos are scikit-image's, worlds are rendered; all is made by the command line, with one thread.
"""

import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from cyclopean.cli import main

GOLDEN = Path(__file__).with_name("outputs.npz")
THIN = 8  # of this many rows and columns one is kept
RECIPES = {
    "naive": "stereo", "deep3d": "stereo", "deep3ds": "stereo", "garg": "stereo", "monodepth": "stereo",
    "trinocular": "stereo", "monodepth2": "stereo", "supervised": "stereo", "coordnet": "sphere", "panorama": "sphere",
}  # fmt: skip
PROTOCOLS = ("open-1", "kitti-eigen-raw", "kitti-2015", "make3d-c1", "nyu", "worlds")


def outputs(place: Path) -> dict[str, np.ndarray]:
    """Return name -> array of what the commands make of fixed inputs, in the empty folder `place`."""
    from PIL import Image
    from skimage import data

    arrays: dict[str, np.ndarray] = {}
    for name in ("astronaut", "coffee", "chelsea"):
        picture = Image.fromarray(getattr(data, name)())
        picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BOX).save(place / f"{name}.png")
    cyclopean("render street,room stereo --count 4 --size 64x128 --workers 1 --baseline 0.54 --field-of-view 70", place)
    cyclopean("render room sphere --rig sphere --count 2 --size 64x128 --workers 1", place)
    panorama = sorted((place / "sphere").glob("*/*.png"))[0]

    cyclopean("predict astronaut.png coffee.png chelsea.png --out depth", place)
    cyclopean("predict coffee.png --out flipped --flip-average --size 128x192", place)
    cyclopean(f"predict {panorama} --camera equirectangular --out around", place)
    cyclopean(f"predict {panorama} --camera equirectangular --via-cube --out faces", place)
    for folder in ("depth", "flipped", "around", "faces"):
        for path in sorted((place / folder).glob("*_disp.npy")):
            depth = np.load(path)
            arrays[f"{folder} {path.stem}"] = depth[..., ::THIN, ::THIN]
    for k, mode in enumerate(("--method gaussian", "--method median --strength 2", "--amount 2")):
        # what the thin lens makes of depth alone
        asked = f"--at 0.4 0.5 --depth depth/coffee_disp.npy --no-subject --out refocused/{k} {mode}"
        cyclopean(f"refocus coffee.png {asked}", place)
        picture = Image.open(place / "refocused" / str(k) / "coffee_defocus.png")
        arrays[f"refocus {mode}"] = np.asarray(picture)[::THIN, ::THIN]
    for recipe, kind in RECIPES.items():
        small = "" if recipe in ("coordnet", "panorama") else "--network compact --width 0.25"
        options = f"--data {kind} --out runs/{recipe} --steps 3 --batch-size 2 --report-every 1 --workers 0 {small}"
        cyclopean(f"train {recipe} {options}", place)
        lines = [json.loads(line) for line in (place / "runs" / recipe / "log.jsonl").read_text().splitlines()]
        arrays[f"losses {recipe}"] = np.array([line["loss"] for line in lines if "loss" in line])
    for protocol in PROTOCOLS:
        cyclopean(f"evaluate --data stereo --protocol {protocol} --json {protocol}.json", place)
        arrays[f"figures {protocol}"] = np.array(list(numbers(json.loads((place / f"{protocol}.json").read_text()))))
    return arrays


def cyclopean(words: str, place: Path) -> None:
    """Run `cyclopean WORDS` in the folder `place`, quietly."""
    said = io.StringIO()
    with contextlib.chdir(place), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = main(words.split()) or 0
        except SystemExit as end:
            code = end.code or 0
    if code:
        raise AssertionError(f"cyclopean {words}: {code}\n{said.getvalue()}")


def numbers(value: object, key: str = "") -> "list[float]":
    """Return the figures of a result file in the order of its keys, without times and versions."""
    if key in ("seconds", "when", "commit", "machine", "version", "cyclopean", "command"):
        return []
    if isinstance(value, dict):
        return [x for k in sorted(value) for x in numbers(value[k], k)]
    if isinstance(value, list):
        return [x for inner in value for x in numbers(inner)]
    return [float(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as temporary:
        np.savez_compressed(GOLDEN, **outputs(Path(temporary)))
    sys.exit()
