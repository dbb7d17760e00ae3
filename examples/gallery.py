"""The strips of docs/gallery.md, made anew: photo | depth | sharp at the first point | sharp at the second.

python examples/gallery.py OUT

The photographs come with scikit-image and are free of rights.
"""
# ruff: noqa: T201 (it talks to a person)

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from skimage import data

import cyclopean
from cyclopean.defocus.lens import Lens

# Name, the points that are sharp (shares of width and height), amount of blur.
PHOTOS = (
    ("chelsea", (0.47, 0.4), (0.93, 0.12), 1.5),
    ("coffee", (0.52, 0.55), (0.1, 0.1), 1.5),
    ("astronaut", (0.44, 0.22), (0.85, 0.2), 1.5),
    ("rocket", (0.5, 0.55), (0.05, 0.8), 1.5),
)
HEIGHT, GAP = 300, 6  # pixels


def main() -> None:
    """Predict and refocus each photo, and save its strip."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    predict = cyclopean.load()
    for name, first, second, amount in PHOTOS:
        photo = cyclopean.read_photo(next(Path(data.__file__).parent.glob(f"{name}.*")))
        depth = predict(photo)
        sharp = [cyclopean.refocus(photo, depth, at, lens=Lens(amount=amount)) for at in (first, second)]
        panels = [shown(photo), depth.plot().convert("RGB").resize(panel_size(photo), Image.Resampling.LANCZOS)]
        panels += [shown(picture, at) for picture, at in zip(sharp, (first, second), strict=True)]
        width, height = panels[0].size
        strip = Image.new("RGB", (4 * width + 3 * GAP, height), "white")
        for k, panel in enumerate(panels):
            strip.paste(panel, (k * (width + GAP), 0))
        strip.save(out / f"gallery_{name}.jpg", quality=88)
        print(out / f"gallery_{name}.jpg")


def panel_size(photo: cyclopean.Photo) -> tuple[int, int]:
    """Return width and height in the strip."""
    height, width = photo.size
    return round(HEIGHT * width / height), HEIGHT


def shown(photo: cyclopean.Photo, at: tuple[float, float] | None = None) -> Image.Image:
    """Return the picture at its size in the strip, with a cross at the point that is sharp."""
    picture = Image.fromarray(np.asarray(photo)).resize(panel_size(photo), Image.Resampling.LANCZOS)
    if at is not None:
        x, y = at[0] * picture.width, at[1] * picture.height
        draw = ImageDraw.Draw(picture)
        for colour, thick in (("black", 4), ("white", 2)):
            draw.line((x - 9, y, x + 9, y), colour, thick)
            draw.line((x, y - 9, x, y + 9), colour, thick)
    return picture


if __name__ == "__main__":
    main()
