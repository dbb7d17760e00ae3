"""What `make demo` runs: depth of a photograph, and the photograph refocused near and far. Everything lands in --out.

python examples/demo.py                 a photograph that comes with scikit-image
python examples/demo.py photo.jpg       one of yours
"""
# ruff: noqa: T201 (it talks to a person)

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

import cyclopean
from cyclopean import DepthMap, Photo, refocus
from cyclopean.defocus.lens import Lens
from cyclopean.io.image import resize

PHOTO = "motorcycle_left.png"  # of those inside scikit-image: something near, something far
COMMAND = Path(sys.executable).with_name("cyclopean")


def main() -> None:
    """Predict, refocus, lay everything side by side, say what was made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", nargs="?", type=Path, help="without it, one that comes with scikit-image")
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--model", default="general")
    parser.add_argument("--amount", type=float, default=1.5, help="how strong the blur is")
    given = parser.parse_args()
    path = taken_along(given.photo or from_scikit_image(PHOTO), given.out)

    run("predict", path, "--out", given.out, "--model", given.model)
    photo, depth = cyclopean.read_photo(path), cyclopean.read_depth(given.out / f"{path.stem}_disp.npy")
    near, far = nearest_and_farthest(depth)
    disp = given.out / f"{path.stem}_disp.npy"
    run("refocus", path, "--at", *near, "--depth", disp, "--out", given.out, "--amount", given.amount)
    overview(photo, depth, near, far, given)
    farewell(path, given.out)


def from_scikit_image(name: str) -> Path:
    """Return a photograph inside the scikit-image package: no network needed."""
    from skimage import data

    return Path(data.__file__).with_name(name)


def taken_along(photo: Path, out: Path) -> Path:
    """Copy the photo to `out`, where the results stand beside it; return the copy."""
    out.mkdir(parents=True, exist_ok=True)
    copy = out / photo.name
    if not copy.exists() or not photo.samefile(copy):
        shutil.copyfile(photo, copy)
    return copy


def run(*words: object) -> None:
    """One command as a user would type it; shown, and its own sentence is shown if it fails."""
    arguments = [str(word) for word in words]
    print(f"$ cyclopean {shlex.join(arguments)}", flush=True)
    if code := subprocess.run([COMMAND, *arguments], check=False).returncode:
        sys.exit(code)


def nearest_and_farthest(depth: DepthMap) -> tuple[tuple[int, int], tuple[int, int]]:
    """Pixels (x, y) where something large is near and far: extremes of means over a tenth of the side.

    Near in the picture's middle: the ground at the lower border is nearest of all, and nobody's subject.
    """
    height, width = depth.size
    inverse = torch.where(depth.valid, depth.inverse_depth, 0)
    side = max(3, min(height, width) // 10)
    mean = F.avg_pool2d(inverse, side, stride=1)[0, 0]
    rows, columns = mean.shape
    middle = torch.zeros_like(mean)
    middle[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4] = 1

    def pixel(index: torch.Tensor) -> tuple[int, int]:
        row, column = divmod(int(index), columns)
        return column + side // 2, row + side // 2

    return pixel((mean * middle).argmax()), pixel(mean.argmin())


def overview(
    photo: Photo, depth: DepthMap, near: tuple[int, int], far: tuple[int, int], given: argparse.Namespace
) -> None:
    """photo | depth | refocused near | refocused far, in one picture."""
    stem = Path(photo.name).stem
    colours = cyclopean.read_photo(given.out / f"{stem}_disp.png")
    pictures = [photo, colours, *(refocus(photo, depth, at, lens=Lens(amount=given.amount)) for at in (near, far))]
    size = (480, round(480 * photo.size[1] / photo.size[0]))
    panels = [F.pad(resize(picture.image, size), (0, 8, 0, 0), value=1.0) for picture in pictures]
    Photo(torch.cat(panels, -1)[..., :-8]).save(given.out / f"{stem}_overview.png")


def farewell(path: Path, out: Path) -> None:
    """Paths, and what to try next."""
    print(f"\nMade from {path}:")
    for ending, what in {
        "_disp.png": "depth in colours, bright is near",
        "_disp.npy": "depth as numbers: float32, the photo's size, larger is nearer",
        "_disp.json": "what the numbers are",
        "_defocus.png": "the photo, sharp at what is near in its middle",
        "_overview.png": "photo | depth | refocused near | refocused far",
    }.items():
        print(f"  {out / (path.stem + ending)!s:<36} {what}")
    command = os.path.relpath(COMMAND)
    print(f"""
Next:
  make demo PHOTO=your.jpg
  {command} refocus your.jpg --at 0.5 0.5
  {command} --help""")


if __name__ == "__main__":
    main()
