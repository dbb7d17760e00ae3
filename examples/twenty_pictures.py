"""The sheets of docs/twenty_pictures.md, made anew: picture and click | what was taken for the subject | refocused.

python examples/twenty_pictures.py OUT

Six photographs that come with scikit-image and Matplotlib and are free of rights, and the first rendered scene of each
of 14 families of worlds that shows a whole object, clicked inside the largest: nothing is chosen by how it turned out.
"""
# ruff: noqa: T201 (it talks to a person)

import argparse
import random
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from PIL import Image, ImageDraw
from skimage import data

import cyclopean
from cyclopean.bench.subject_training import inner_point
from cyclopean.defocus.edges import refined
from cyclopean.defocus.lens import Lens
from cyclopean.defocus.refocus import refocus
from cyclopean.defocus.subject import coherent
from cyclopean.inference.subject import SubjectSelector, bundled_network
from cyclopean.synthetic.rigs import identified

PHOTOGRAPHS = (  # and shares of width and height
    ("chelsea.png", (0.45, 0.42)),
    ("coffee.png", (0.52, 0.5)),
    ("astronaut.png", (0.42, 0.6)),
    ("rocket.jpg", (0.5, 0.5)),
    ("camera.png", (0.43, 0.55)),
    ("grace_hopper.jpg", (0.5, 0.3)),
)
WORLDS = (
    *("people", "animals", "plants", "vehicles", "meal", "table", "clutter"),
    *("room", "street", "houses", "landscape", "thin", "night", "handheld"),
)
FIRST = 81_000_000  # seed: no bundled model has seen it
SIZE = 480, 640  # of rendered pictures
LEAST = 0.03  # of a picture: what takes up less is no subject
HEIGHT, GAP, ROWS = 210, 5, 5  # pixels; pictures on a sheet
AMOUNT = 1.5

Clicked = tuple[str, cyclopean.Photo, tuple[int, int], np.ndarray | None]


def main() -> None:
    """Refocus all pictures and save them on sheets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, (name, photo, at, truth) in enumerate([*photographs(), *worlds()], 1):
        row, mask = strip(photo, at)
        rows.append(row)
        told = "" if truth is None else f", IoU {(mask & truth).sum() / (mask | truth).sum():.2f}"
        print(f"{number} {name}: {'no subject' if not mask.any() else f'{mask.mean():.0%} of the picture'}{told}")
    for first in range(0, len(rows), ROWS):
        some = rows[first : first + ROWS]
        height = sum(row.height + GAP for row in some) - GAP
        sheet = Image.new("RGB", (max(row.width for row in some), height), "white")
        top = 0
        for number, row in enumerate(some, first + 1):
            sheet.paste(row, (0, top))
            ImageDraw.Draw(sheet).text((8, top + 4), str(number), "white", stroke_width=2, stroke_fill="black")
            top += row.height + GAP
        sheet.save(out / f"twenty_{first // ROWS + 1}.jpg", quality=82)


def photographs() -> Iterator[Clicked]:
    """Yield each photograph and the pixel that is clicked."""
    for name, (u, v) in PHOTOGRAPHS:
        folder = Path(data.__file__).parent
        path = folder / name if (folder / name).exists() else Path(mpl.get_data_path(), "sample_data", name)
        photo = cyclopean.read_photo(path)
        height, width = photo.size
        yield name, photo, (int(u * width), int(v * height)), None


def worlds() -> Iterator[Clicked]:
    """Yield the first scene of each family that shows a whole object, a pixel inside the largest, and its mask."""
    for family in WORLDS:
        for seed in range(FIRST, FIRST + 100):
            ((_, objects),) = identified([(family, seed)], tuple(n // 4 for n in SIZE), "stereo")
            number = largest(objects[0, 0].numpy())
            if number is not None:
                ((sample, objects),) = identified([(family, seed)], SIZE, "stereo", supersample=3)
                mask = objects[0, 0].numpy() == number
                yield family, cyclopean.Photo(sample.target.image), inner_point(mask, random.Random(seed)), mask
                break


def largest(numbers: np.ndarray) -> int | None:
    """Return the number of the largest object that does not touch the border; None if there is none."""
    border = {*numbers[0], *numbers[-1], *numbers[:, 0], *numbers[:, -1], 0}
    names, counts = np.unique(numbers, return_counts=True)
    kept = ~np.isin(names, list(border)) & (counts >= LEAST * numbers.size)
    return int(names[kept][counts[kept].argmax()]) if kept.any() else None


def strip(photo: cyclopean.Photo, at: tuple[int, int]) -> tuple[Image.Image, np.ndarray]:
    """Return the three panels of a picture, and the mask of its subject."""
    depth = refined(cyclopean.load()(photo), photo.image)
    matte, sharp = SubjectSelector(photo, depth, bundled_network())([at]), None
    if matte is None:
        matte = torch.zeros(1, 1, *photo.size)
    else:
        depth, sharp = coherent(depth, matte)
    result = refocus(photo, depth, at, lens=Lens(AMOUNT), sharp=sharp)
    taken = cyclopean.Photo(photo.image * (0.25 + 0.75 * matte))
    height, width = photo.size
    panels = [shown(photo), shown(taken), shown(result)]
    x, y = at[0] * panels[0].width / width, at[1] * HEIGHT / height
    draw = ImageDraw.Draw(panels[0])
    for colour, thick in (("black", 4), ("white", 2)):
        draw.line((x - 8, y, x + 8, y), colour, thick)
        draw.line((x, y - 8, x, y + 8), colour, thick)
    row = Image.new("RGB", (sum(panel.width + GAP for panel in panels) - GAP, HEIGHT), "white")
    for k, panel in enumerate(panels):
        row.paste(panel, (k * (panel.width + GAP), 0))
    return row, matte[0, 0].numpy() >= 0.5


def shown(photo: cyclopean.Photo) -> Image.Image:
    height, width = photo.size
    return Image.fromarray(np.asarray(photo)).resize((round(HEIGHT * width / height), HEIGHT), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
