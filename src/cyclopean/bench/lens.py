"""Judge refocusing by photographs through a real (path-traced) lens, beside simpler ways to blur."""

import dataclasses
import json
import math
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.defocus.filters import METHODS
from cyclopean.defocus.lens import Lens, Optics
from cyclopean.defocus.refocus import refocus
from cyclopean.errors import InputError
from cyclopean.evaluation.tables import Table
from cyclopean.io.depthmap import DepthMap, from_numbers
from cyclopean.io.image import Photo, read_photo
from cyclopean.io.planes import Colours, Plane, PlaneMask
from cyclopean.losses import ssim
from cyclopean.metrics import affine_fit

Renderer = Callable[["Shot", DepthMap], Photo]

CLIPPED = 250 / 255  # a channel this bright, in the photo or the truth, tells nothing about the light that fell there
BAND = 8  # pixels on either side of an edge of depth
JUMP = 1.0  # pixels: how much the radius of blur changes across an edge of depth
SHARP = 0.25  # pixels: a radius up to here is in focus
STRENGTHS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8)


@dataclass(frozen=True)
class Shot:
    """A sharp photo with true depth, and the same view through a lens focused at `distance` metres."""

    name: str
    photo: Photo
    depth: DepthMap
    truth: Photo
    distance: float
    optics: Optics

    @property
    def radius(self) -> Plane:
        """Signed radius of blur of each pixel by the true depth, in pixels."""
        inverse = self.depth.inverse_depth[0, 0].numpy()
        scale = self.optics.scale(self.photo.size) * self.optics.magnification(1 / self.distance)
        return (inverse - np.float32(1 / self.distance)) * np.float32(scale)


@dataclass(frozen=True)
class Score:
    """Likeness of a picture to the truth, outside clipped pixels.

    PSNR in dB, SSIM (3x3 windows), PSNR in the band around depth edges, and the share of the sharp photo that is left
    there (0 none, 1 not blurred at all).
    """

    psnr: float
    ssim: float
    edge_psnr: float
    leak: float


@dataclass(frozen=True)
class RendererScores:
    """One way to blur: its score for each shot."""

    name: str
    scores: tuple[Score, ...]

    def mean(self) -> Score:
        """Return the mean over the shots that have a figure."""
        columns = zip(*(dataclasses.astuple(score) for score in self.scores), strict=True)
        known = ([value for value in column if not math.isnan(value)] for column in columns)
        return Score(*(sum(values) / len(values) if values else math.nan for values in known))


def read_shots(folder: Path) -> list[Shot]:
    """Read the shots of a folder: NAME.json (kind "lens") beside NAME_sharp.png, NAME_sharp_depth.npz and NAME_TAG.png.

    The JSON gives focal_mm, sensor_mm, and for each of its shots tag, focus_m and fstop; depth is z in metres.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give one with NAME.json, NAME_sharp.png, NAME_sharp_depth.npz.")
    shots = [shot for path in sorted(folder.glob("*.json")) for shot in _shots(path)]
    if not shots:
        raise InputError(f'{folder} has no shots: no .json in it has "kind": "lens".')
    return shots


def _shots(path: Path) -> Iterator[Shot]:
    try:
        card = json.loads(path.read_text())
        if card.get("kind") != "lens":
            return
        shots = [
            (
                str(s["tag"]),
                float(s["focus_m"]),
                Optics(float(s["fstop"]), float(card["focal_mm"]), float(card["sensor_mm"])),
            )
            for s in card["shots"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} cannot be understood ({error!r}); see docs/refocus.md.") from None
    photo = read_photo(path.with_name(f"{path.stem}_sharp.png"))
    depth = _true_depth(path.with_name(f"{path.stem}_sharp_depth.npz"), photo.size)
    for tag, distance, optics in shots:
        truth = read_photo(path.with_name(f"{path.stem}_{tag}.png"))
        if truth.size != photo.size:
            raise InputError(f"{truth.name} is not of the size of {photo.name}; render both alike.")
        yield Shot(f"{path.stem} {tag}", photo, depth, truth, distance, optics)


def _true_depth(path: Path, size: tuple[int, int]) -> DepthMap:
    try:
        with np.load(path) as file:
            metres = torch.from_numpy(file["depth"].astype(np.float32))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read ({error}); it needs an array named depth, in metres.") from None
    if tuple(metres.shape) != size:
        raise InputError(f"{path} is {tuple(metres.shape)}, its photo {size}; render both alike.")
    return from_numbers(metres[None, None], "depth", "m")


def renderers() -> dict[str, Renderer]:
    """Return name -> how to blur; the report's methods at the strength that suits each shot best (flatters them)."""
    report = {f"report: {name}": _best_of_report(name) for name in METHODS}
    return {"no blur": lambda shot, _: shot.photo, **report, "per-pixel Gaussian": per_pixel_gaussian, "ours": ours}


def ours(shot: Shot, depth: DepthMap) -> Photo:
    """Blur by the thin lens at its default setting."""
    return refocus(shot.photo, depth, distance=shot.distance, lens=Lens(optics=shot.optics))


def per_pixel_gaussian(shot: Shot, depth: DepthMap) -> Photo:
    """Blur naively: every pixel is the Gaussian mean of its own surroundings, as wide as its own depth requires, in
    sRGB.

    Its standard deviation is half the radius, which gives it the second moment of the disc.
    """
    image = np.ascontiguousarray(shot.photo.image[0].permute(1, 2, 0).numpy())
    wide = np.abs(dataclasses.replace(shot, depth=depth).radius) / 2
    steps = [0.0, *np.geomspace(0.3, max(0.31, min(float(wide.max()), 30.0)), 24)]
    blurred = [image, *(cv2.GaussianBlur(image, (0, 0), float(s)) for s in steps[1:])]
    index = np.interp(wide, steps, np.arange(len(steps)))
    total = sum(np.clip(1 - np.abs(index - k), 0, 1)[..., None] * plane for k, plane in enumerate(blurred))
    return dataclasses.replace(shot.photo, image=_tensor(np.asarray(total, np.float32)))


def _best_of_report(method: str) -> Renderer:
    def best(shot: Shot, depth: DepthMap) -> Photo:
        tried = [
            refocus(shot.photo, depth, distance=shot.distance, method=method, strength=strength, bins="hard")
            for strength in STRENGTHS
        ]
        return max(tried, key=lambda photo: score(shot, photo).psnr)

    return best


def measure(shots: Sequence[Shot], depths: Sequence[DepthMap], blurs: dict[str, Renderer]) -> list[RendererScores]:
    """Return the scores of all ways to blur on all shots, with the depth given for each shot."""
    return [
        RendererScores(name, tuple(score(shot, blur(shot, depth)) for shot, depth in zip(shots, depths, strict=True)))
        for name, blur in blurs.items()
    ]


def score(shot: Shot, photo: Photo) -> Score:
    """Return how near `photo` is to the truth of the shot, in 8 bits as people see it."""
    made, truth, sharp = (_bytes(p) for p in (photo, shot.truth, shot.photo))
    good = _unclipped(shot)
    band = good & edge_band(shot)
    alike = ssim(_tensor(made), _tensor(truth))[0].mean(0).numpy()
    error, left = (made - truth)[band], (sharp - truth)[band]
    leak = float((error * left).sum() / max((left * left).sum(), 1e-9)) if band.any() else math.nan
    return Score(psnr(made, truth, good), float(alike[good[1:-1, 1:-1]].mean()), psnr(made, truth, band), leak)


def noise_floor(shot: Shot) -> float:
    """Return the PSNR of the sharp photo in focus, where nothing blurred is near: no method can do better there."""
    focused = np.abs(shot.radius) <= SHARP
    clear = ~edge_band(shot)
    return psnr(_bytes(shot.photo), _bytes(shot.truth), focused & clear & _unclipped(shot))


def edge_band(shot: Shot) -> PlaneMask:
    """Return the pixels within `BAND` of an edge of depth, where the radius of blur changes by more than `JUMP`."""
    radius, around = shot.radius, np.ones((3, 3), np.uint8)
    edges = cv2.dilate(radius, around) - cv2.erode(radius, around) > JUMP
    return cv2.dilate(edges.astype(np.uint8), np.ones((2 * BAND + 1, 2 * BAND + 1), np.uint8)) > 0


def psnr(made: Colours, truth: Colours, mask: PlaneMask) -> float:
    """Return 10 log10(1 / mean squared error) over the mask and all channels; NaN when it is empty."""
    if not mask.any():
        return math.nan
    return float(-10 * np.log10(max(float(np.square((made - truth)[mask], dtype=np.float64).mean()), 1e-10)))


def aligned(depth: DepthMap, truth: DepthMap) -> DepthMap:
    """Return `depth` in metres: its inverse depth times a factor plus an offset, the least squares of the truth's."""
    known = depth.valid & truth.valid
    x0, factor, y0 = affine_fit(depth.inverse_depth[known].double(), 1 / truth.inverse_depth[known].double())
    offset = float(y0 - factor * x0)
    metres = (depth.inverse_depth * float(factor) + offset).clamp(min=0)
    return dataclasses.replace(depth, inverse_depth=metres, unit="m", ambiguity="metric")


def report(title: str, shots: Sequence[Shot], rows: Sequence[RendererScores]) -> str:
    """Return Markdown: means over shots, the worst, each shot's PSNR; below, what no method can exceed in focus."""
    cells = []
    for row in rows:
        mean, each = row.mean(), [score.psnr for score in row.scores]
        values = [mean.psnr, min(each), mean.ssim, mean.edge_psnr, mean.leak, *each]
        cells.append((row.name, *(f"{value:.3f}" if k in (2, 4) else f"{value:.1f}" for k, value in enumerate(values))))
    cells.append(("noise floor, in focus", *[""] * 5, *(f"{noise_floor(shot):.1f}" for shot in shots)))
    heads = ("way", "PSNR", "worst", "SSIM", "at edges", "leak", *(shot.name for shot in shots))
    about = "PSNR in dB and SSIM outside clipped pixels, PSNR and leak within 8 px of depth edges"
    return f"{title}: {about}\n\n{Table(heads, tuple(cells), 1).markdown()}"


def as_json(shots: Sequence[Shot], rows: Sequence[RendererScores]) -> dict[str, dict[str, dict[str, float]]]:
    """Return every score: way to blur -> shot -> figures."""
    return {
        row.name: {shot.name: dataclasses.asdict(one) for shot, one in zip(shots, row.scores, strict=True)}
        for row in rows
    }


def _unclipped(shot: Shot) -> PlaneMask:
    return np.maximum(_bytes(shot.photo), _bytes(shot.truth)).max(-1) < CLIPPED


def _bytes(photo: Photo) -> Colours:
    """Return the picture as 8 bits hold it, in [0,1]."""
    return photo.image[0].clamp(0, 1).mul(255).round().div(255).permute(1, 2, 0).contiguous().numpy()


def _tensor(picture: Colours) -> Float[Tensor, "1 3 h w"]:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].contiguous()
