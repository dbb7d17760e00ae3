"""`python -m benchmarks adapt`: what `cyclopean adapt` gains on clips of new looks, whose true depth is known.

Eight clips, fixed before anything was measured on them. Depth of held-out frames, median-aligned, before and after; a
clip that was done is not done again, so a run that was stopped goes on with the same command.
"""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.clips import Film, write_film

CLIPS = {
    "room, thermal": Film("room", 8101, look="thermal", count=60),
    "room, negative": Film("room", 8102, look="negative", count=60),
    "street, sepia": Film("street", 8103, look="sepia", count=60),
    "street, thermal": Film("street", 8104, look="thermal", count=60),
    "table, negative": Film("table", 8105, look="negative", count=60),
    "table, swapped": Film("table", 8106, look="swapped", count=60),
    "clutter, sepia": Film("clutter", 8107, look="sepia", count=60),
    "clutter, thermal": Film("clutter", 8108, look="thermal", count=60),
}
NEAR, FAR = 0.1, 80.0  # metres between which truth counts
DRAWS, SEED = 10_000, 0  # of the bootstrap
BAR, WORST = 0.85, 1.05  # of the error before: wanted in the mean, and allowed on one clip


def main(minutes: float, out: Path, steps: int = 0) -> int:
    """Prints a table as it is measured; 1 if a clip became worse than it may, or the mean is above the bar."""
    out.mkdir(parents=True, exist_ok=True)
    how = f"{steps} steps" if steps else f"{minutes:g} minutes"
    print(f"\n### adapt: AbsRel of held-out frames, median-aligned, {how} a clip\n")
    print("| clip | before | after | after / before | photometric, before | after |\n|---|---:|---:|---:|---:|---:|")
    errors = []
    for number, (name, film) in enumerate(CLIPS.items()):
        done = result(out / f"{number}", film, minutes, steps)
        errors.append((done["before"], done["after"]))
        parts = [done["before"], done["after"], done["after"] / done["before"], *done["photometric"]]
        print(f"| {name} | {' | '.join(f'{x:.4f}' for x in parts)} |", flush=True)
    table = np.array(errors)
    before, after = table.mean(0)
    rng = np.random.default_rng(SEED)
    drawn = table[rng.integers(0, len(table), (DRAWS, len(table)))].mean(1)
    low, high = np.quantile(drawn[:, 1] / drawn[:, 0], (0.025, 0.975))
    print(f"| **mean** | {before:.4f} | {after:.4f} | **{after / before:.3f}** ({low:.3f} to {high:.3f}) | | |")
    return int(after / before > BAR or bool((table[:, 1] > WORST * table[:, 0]).any()))


def result(folder: Path, film: Film, minutes: float, steps: int) -> dict:
    """The figures of one clip, from an earlier run of the same film if there is one."""
    path, facts = folder / "result.json", {"film": json.loads(json.dumps(asdict(film))), "how": [minutes, steps]}
    if path.exists() and (kept := json.loads(path.read_text()))["facts"] == facts:
        return kept
    truth = write_film(folder / "clip.mp4", film)
    clip, model = f"clip:{folder / 'clip.mp4'}:fov={film.field_of_view:g}", folder / "model"
    begun = ["--resume"] if (model / "run").exists() else []
    words = ["adapt", clip, "--out", model, "--minutes", minutes, "--steps", steps, *begun]
    if begun or not (model / "config.json").exists():
        subprocess.run([sys.executable, "-m", "cyclopean", *map(str, words)], check=True)
    card = json.loads((model / "config.json").read_text())["training"]["adapted"]
    held = [int(frame.rpartition("/")[2]) for frame in card.get("held_out", [])] or list(range(3, film.count, 6))
    figures = {
        "before": absrel("general", folder / "clip.mp4", truth, held),
        "after": absrel(str(model), folder / "clip.mp4", truth, held),
        "photometric": [card.get(when, {}).get("appearance", float("nan")) for when in ("before", "after")],
        "frames": held,
    }
    path.write_text(json.dumps({"facts": facts, **figures}, indent=1))
    return figures


def absrel(model: str, clip: Path, truth: np.ndarray, frames: list[int]) -> float:
    """The mean over frames of |z - z'| / z, each prediction brought to the truth by the ratio of medians."""
    from cyclopean.inference.predictor import load
    from cyclopean.io.image import Photo
    from cyclopean.io.video import stills

    predictor, errors = load(model), []
    for still in stills(clip, lambda index, _: index in frames):
        z = truth[still.index]
        known = np.isfinite(z) & (z > NEAR) & (z < FAR)
        depth = 1 / np.maximum(predictor(Photo(still.image)).inverse_depth[0, 0].numpy(), 1e-6)
        depth = np.clip(depth * np.median(z[known]) / np.median(depth[known]), 0.05, FAR)
        errors.append(float((np.abs(depth[known] - z[known]) / z[known]).mean()))
    return float(np.mean(errors))
