"""Take one photo apart into pictures focused from near to far, as the refocusing app does click by click.

python examples/focus_stack.py PHOTO [OUT]
"""
# ruff: noqa: T201 (it talks to a person)

import sys
from pathlib import Path

import numpy as np

import cyclopean
from cyclopean.defocus.lens import Lens


def main(photo: Path, out: Path, pictures: int = 5) -> None:
    """Predict depth once, then refocus at points whose depths are evenly spread from the nearest to the farthest."""
    depth = cyclopean.load()(photo)
    rho = np.asarray(depth)
    order = rho.ravel().argsort()[::-1]  # pixels, the nearest first
    out.mkdir(exist_ok=True)
    for k in range(pictures):
        y, x = divmod(int(order[(2 * k + 1) * len(order) // (2 * pictures)]), rho.shape[1])
        sharp = cyclopean.refocus(photo, depth, at=(x, y), lens=Lens(amount=1.5))
        path = out / f"{photo.stem}_{k}.jpg"
        sharp.save(path)
        print(f"{path}: sharp at ({x}, {y})")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else Path("stack"))
