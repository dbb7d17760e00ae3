"""Views of the right eye made from the left one, beside the true ones of rendered pairs and of a photographed one.

Scenes are rendered (`cyclopean render --rig stereo`), with nine rays a pixel; the photographed pair is scikit-image's
motorcycle (Middlebury 2014). Ours, from true depth and from predicted, stands beside the left picture as it is, and
beside a plain forward warp: each pixel moves by whole columns, near ones win, and holes take the nearest pixel.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

FAMILIES = ("street", "room", "table", "landscape")
SEEDS = range(70_000, 70_003)
SIZE = (192, 320)  # height, width
SUPERSAMPLE = 3
PARALLAX = 0.03  # of the width: the baseline of a scene is such that its depths are seen so far apart
LEAST = 1e-3  # of a column: the sky is not infinitely far in a fit
BORDER = 8  # pixels around pictures that figures leave out

Picture = Any  # h w 3, sRGB in [0,1]
Plane = Any  # h w
View = Callable[["Pair"], Picture]


@dataclass(frozen=True)
class Pair:
    """Two views; `shift` is by how many columns each pixel of the left one lies farther left in the right one."""

    name: str
    left: Picture
    right: Picture
    shift: Plane


@dataclass(frozen=True)
class Score:
    """Likeness to the true right view: PSNR in dB and SSIM (Gaussian window of 11), and PSNR where the left eye does
    not see what the right one does."""

    psnr: float
    ssim: float
    hidden_psnr: float


def rendered(family: str, seed: int, size: tuple[int, int] = SIZE, supersample: int = SUPERSAMPLE) -> Pair:
    """Return a rendered pair whose depths, but for the nearest and farthest 1 %, span `PARALLAX` of the width."""
    from cyclopean.synthetic import sample

    first: Any = sample(family, seed, (48, 80))
    rho = 1 / first.depth[0, 0].numpy()
    far, near = np.percentile(rho, (1, 99))
    focal = float(first.target.camera.focal[0, 0])
    pair: Any = sample(family, seed, size, baseline=PARALLAX / focal / (near - far), supersample=supersample)
    source = pair.sources[0]
    baseline = -float(source.from_target[0, 0, 3])
    left, right = (np.ascontiguousarray(view.image[0].permute(1, 2, 0).numpy()) for view in (pair.target, source))
    shift = focal * baseline * size[1] / pair.depth[0, 0].numpy()
    return Pair(f"{family} {seed}", left, right, shift.astype(np.float32))


def motorcycle() -> Pair:
    """Return the photographed pair, its unknown disparities those of the nearest known ones."""
    import torch
    from skimage import data

    from cyclopean.defocus.focus import fill_unknown

    left, right, disparity = data.stereo_motorcycle()
    shift = torch.from_numpy(disparity.astype(np.float32))
    left, right = (picture.astype(np.float32) / 255 for picture in (left, right))
    return Pair("motorcycle", left, right, fill_unknown(shift, shift.isfinite() & (shift > 0)))


def as_it_is(pair: Pair) -> Picture:
    """Return the left picture."""
    return pair.left


def plain_warp(pair: Pair) -> Picture:
    """Return the left picture moved by the true depth, in the plain way."""
    return plainly_moved(pair.left, pair.shift)


def plainly_moved(left: Picture, shift: Plane) -> Picture:
    """Return a picture whose pixels move by whole columns; holes take the colour of the nearest pixel."""
    import torch

    from cyclopean.defocus.focus import fill_unknown

    moved, filled = forward(left, shift)
    planes = (fill_unknown(torch.from_numpy(plane), torch.from_numpy(filled)) for plane in moved.transpose(2, 0, 1))
    return np.stack(list(planes), -1)


def ours(pair: Pair) -> Picture:
    """Return our view, from the true depth."""
    return seen(pair.left, pair.shift, exact=True)


def predicted(model: Any, view: Callable[[Picture, Plane], Picture]) -> View:
    """Return a view by predicted depth, whose scale and shift are fitted to the truth."""

    def of(pair: Pair) -> Picture:
        import torch

        from cyclopean.defocus.edges import refined
        from cyclopean.io.image import Photo
        from cyclopean.metrics import affine_fit

        photo = Photo(torch.from_numpy(pair.left.transpose(2, 0, 1).copy())[None])
        depth = refined(model(photo), photo.image)
        rho, truth = depth.inverse_depth.flatten().double(), torch.from_numpy(pair.shift).flatten().double()
        middle, slope, offset = affine_fit(rho, 1 / truth.clamp_min(LEAST))
        shift = (slope * (rho - middle) + offset).float().numpy().reshape(pair.shift.shape)
        return view(pair.left, np.maximum(shift, 0))

    return of


def seen(left: Picture, shift: Plane, *, exact: bool = False) -> Picture:
    """Return our view by columns that pixels move; `exact` if edges of things are where those of `shift` are."""
    import torch

    from cyclopean.defocus.focus import Focusable
    from cyclopean.defocus.lens import Lens
    from cyclopean.io.image import Photo
    from cyclopean.stereoscopy.pair import Parallax, rimmed
    from cyclopean.stereoscopy.pair import pair as both

    ready = Focusable(Photo(torch.from_numpy(left.transpose(2, 0, 1).copy())[None]), shift, Lens())
    eyes = Parallax(1 / left.shape[1], 0.0, float(shift.min()), float(shift.max()))
    return both(ready if exact else rimmed(ready, eyes), eyes, "left").right.image[0].permute(1, 2, 0).numpy()


def forward(left: Picture, shift: Plane) -> tuple[Picture, Any]:
    """Return a picture whose pixels move by whole columns, near ones over far ones, and where a pixel landed."""
    h, w = shift.shape
    rows, columns = np.indices((h, w))
    places = columns - np.rint(shift).astype(int)
    order = np.argsort(shift, axis=None, kind="stable")
    order = order[((places >= 0) & (places < w)).reshape(-1)[order]]
    target = rows.reshape(-1)[order] * w + places.reshape(-1)[order]
    moved, filled = np.zeros((h * w, 3), np.float32), np.zeros(h * w, bool)
    moved[target], filled[target] = left.reshape(-1, 3)[order], True
    return moved.reshape(h, w, 3), filled.reshape(h, w)


def hidden(pair: Pair) -> Any:
    """Return where the right eye sees what the left one does not: holes wider than a pixel, not at the frame."""
    holes = (~forward(pair.left, pair.shift)[1]).astype(np.uint8)
    holes = cv2.morphologyEx(holes, cv2.MORPH_OPEN, np.ones((1, 3), np.uint8))
    _, label, figures, _ = cv2.connectedComponentsWithStats(holes)
    at_frame = figures[:, cv2.CC_STAT_LEFT] + figures[:, cv2.CC_STAT_WIDTH] == holes.shape[1]
    return holes.astype(bool) & ~at_frame[label]


def score(view: Picture, pair: Pair) -> Score:
    """Return how like the true right view a view is."""
    import torch

    from cyclopean.losses import ssim_gaussian

    inside = np.s_[BORDER:-BORDER, BORDER:-BORDER]
    error = ((view - pair.right) ** 2).mean(-1)[inside]
    x, y = (torch.from_numpy(picture[inside].transpose(2, 0, 1).copy())[None] for picture in (view, pair.right))
    where = hidden(pair)[inside]
    behind = -10 * np.log10(error[where].mean()) if where.any() else np.nan
    return Score(float(-10 * np.log10(error.mean())), float(ssim_gaussian(x, y, 11, 1.5).mean()), float(behind))


def pairs() -> Iterator[tuple[str, Pair]]:
    """Yield each pair with the name of its group."""
    for family in FAMILIES:
        for seed in SEEDS:
            yield family, rendered(family, seed)
    yield "motorcycle", motorcycle()


def main() -> int:
    """Prints the table: means over the pairs of each family."""
    import cyclopean

    model = cyclopean.load()
    views: dict[str, View] = {
        "left picture as it is": as_it_is,
        "plain warp, true depth": plain_warp,
        "ours, true depth": ours,
        "plain warp, predicted depth": predicted(model, plainly_moved),
        "ours, predicted depth": predicted(model, seen),
    }
    print(f"\n{len(SEEDS)} pairs a family, seeds {SEEDS[0]} to {SEEDS[-1]}, {SIZE[1]}x{SIZE[0]} pixels\n")
    print("| pairs | view | PSNR | SSIM | PSNR, hidden |\n|---|---|---:|---:|---:|")
    scores: dict[tuple[str, str], list[Score]] = {}
    for group, pair in pairs():
        for name, view in views.items():
            scores.setdefault((group, name), []).append(score(view(pair), pair))
    for (group, name), found in scores.items():
        psnr, ssim, behind = np.nanmean([(one.psnr, one.ssim, one.hidden_psnr) for one in found], 0)
        print(f"| {group} | {name} | {psnr:.2f} | {ssim:.3f} | {behind:.2f} |", flush=True)
    return 0
