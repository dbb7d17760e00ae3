"""Colours of surfaces: solid noise everywhere, patterns on top; features narrower than a pixel fade out."""

import colorsys
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from random import Random

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from cyclopean.synthetic.noise import cell_hash, fractal, length, value_noise
from cyclopean.synthetic.scene import KINDS, Material, Number, Triple

Scalar = Float[Tensor, " n"]


@dataclass(frozen=True)
class Surface:
    """Points to be coloured, in the object's own frame, in metres.

    `solid` is the position, `axis` the outward direction, `half` the object's half extents, `footprint` a pixel's width
    there; `looks` and `colours` are the material's, `view` is the number of the picture that shows the point.
    """

    solid: Float[Tensor, "3 n"]
    axis: Float[Tensor, "3 n"]
    half: Float[Tensor, "3 n"]
    footprint: Float[Tensor, " n"]
    looks: Float[Tensor, "9 n"]
    colours: Float[Tensor, "9 n"]
    view: Int[Tensor, " n"]

    @property
    def seed(self) -> Int[Tensor, " n"]:
        return self.looks[7].to(torch.int32)

    @property
    def scale(self) -> Scalar:
        return self.looks[1]

    def flat(self) -> tuple[Scalar, Scalar]:
        """Return coordinates across the surface, in metres: along (horizontal) and down, by the axis it faces most."""
        x, y, z = self.solid
        ax, ay, az = self.axis.abs()
        top, side = (ay >= ax) & (ay >= az), ax > az
        return torch.where(side & ~top, z, x), torch.where(top, z, y)

    def part(self, points: slice) -> "Surface":
        """Return some of the points."""
        return Surface(**{f.name: getattr(self, f.name)[..., points] for f in fields(self)})


def albedo(surface: Surface, kinds: list[int], pictures: Float[Tensor, "k 3 s s"] | None) -> Float[Tensor, "3 n"]:
    """Return the sRGB colour of every point. Points are sorted by texture: those of texture k end at `kinds[k]`."""
    grain = fractal(surface.solid * surface.scale, surface.seed, surface.footprint * surface.scale)
    mix = 0.5 + grain * surface.looks[2]
    third = torch.zeros_like(mix)
    a, b, c = surface.colours.unflatten(0, (3, 3))
    parts = {
        kind: slice(first, end) for kind, first, end in zip(KINDS, [0, *kinds], kinds, strict=False) if first < end
    }
    for kind, part in parts.items():
        if kind in PATTERNS:
            mix[part], third[part] = PATTERNS[kind](surface.part(part), grain[part])
    colour = torch.lerp(torch.lerp(a, b, mix.clamp(0, 1)), c, third.clamp(0, 1))
    if pictures is not None and "picture" in parts:
        part = parts["picture"]
        colour[:, part] = _picture(surface.part(part), pictures)
    return (colour * (1 + surface.looks[3] * grain)).clamp(0, 1)


def _fade(surface: Surface, cells: Number = 1.0) -> Scalar:
    """Return 1 where a cell of the pattern covers several pixels, 0 where a pixel covers a cell."""
    return (1.6 - 2.4 * cells * surface.footprint * surface.scale).clamp(0, 1)


def _cells(surface: Surface, wide: Number = 1.0, tall: Number = 1.0) -> tuple[Scalar, Scalar, Scalar, Scalar]:
    """Return the integer cell and the position in it, along and down."""
    s, r = surface.flat()
    s, r = s * surface.scale / wide, r * surface.scale / tall
    return s.floor(), s - s.floor(), r.floor(), r - r.floor()


def _own(surface: Surface, i: Scalar, j: Scalar) -> Scalar:
    return cell_hash(i.to(torch.int32), j.to(torch.int32), torch.zeros_like(surface.seed), surface.seed)


def _plain(_surface: Surface, grain: Scalar) -> tuple[Scalar, Scalar]:
    return 0.15 * grain, torch.zeros_like(grain)


def _checker(surface: Surface, grain: Scalar) -> tuple[Scalar, Scalar]:
    i, _, j, _ = _cells(surface)
    on = (i + j).remainder(2)
    return 0.5 + (on - 0.5) * _fade(surface) + 0.2 * grain, torch.zeros_like(grain)


def _stripes(surface: Surface, grain: Scalar) -> tuple[Scalar, Scalar]:
    _, f, _, g = _cells(surface)
    across = torch.where(surface.seed % 2 == 0, f, g)
    on = (across > 0.3 + 0.4 * (surface.seed % 7) / 7).float()
    return 0.5 + (on - 0.5) * _fade(surface) + 0.15 * grain, torch.zeros_like(grain)


def _brick(surface: Surface, grain: Scalar) -> tuple[Scalar, Scalar]:
    s, r = surface.flat()
    r = r * surface.scale
    row = r.floor()
    s = s * surface.scale / 2.2 + 0.5 * row.remainder(2)
    i, f, g = s.floor(), s - s.floor(), r - row
    mortar = ((f < 0.05) | (g < 0.1)).float() * _fade(surface, 3)
    return 0.15 + 0.7 * _own(surface, i, row) * _fade(surface) + 0.3 * grain, mortar


def _tiles(surface: Surface, grain: Scalar) -> tuple[Scalar, Scalar]:
    long = 1.0 + 4.0 * (surface.seed % 3 == 0).float()
    s, r = surface.flat()
    s, r = s * surface.scale / long, r * surface.scale
    row = r.floor()
    s = s + (long > 1) * cell_hash(row.to(torch.int32), surface.seed, surface.seed, surface.seed)
    i, f, g = s.floor(), (s - s.floor()) * long, r - row
    gap = ((f < 0.06) | (g < 0.06)).float() * _fade(surface, 5)
    return _own(surface, i, row) * _fade(surface) + 0.35 * grain, gap


def _wood(surface: Surface, grain: Scalar) -> tuple[Scalar, Scalar]:
    stretch = surface.solid * surface.scale * surface.solid.new_tensor([0.25, 2.0, 2.0])[:, None]
    wobble = value_noise(stretch, surface.seed)
    rings = (wobble * 9).remainder(1)
    return 0.5 + (rings - 0.5) * _fade(surface, 4) + 0.3 * grain, torch.zeros_like(grain)


def _leaves(surface: Surface, grain: Scalar) -> tuple[Scalar, Scalar]:
    fine = value_noise(surface.solid * surface.scale * 2.3, surface.seed + 5)
    deep = (value_noise(surface.solid * surface.scale, surface.seed) < 0.38).float()
    return 0.5 + 1.2 * (fine - 0.5) * _fade(surface, 2) + 0.5 * grain, 0.8 * deep * _fade(surface)


def _windows(surface: Surface, grain: Scalar) -> tuple[Scalar, Scalar]:
    """Paint a facade: a grid of panes (third colour) in a wall, each a little different; none on roofs."""
    i, f, j, g = _cells(surface, 1.0, 1.2)
    look = 0.12 + 0.2 * (surface.seed % 5) / 5
    pane = (f > look) & (f < 1 - look) & (g > 0.2) & (g < 0.78) & (_own(surface, i + 50, j) > 0.08)
    bar = ((f - 0.5).abs() < 0.02) & (surface.seed % 3 == 0)
    upright = surface.axis[1].abs() < 0.7 * length(surface.axis)
    strength = _fade(surface, 2.5) * (0.55 + 0.45 * _own(surface, i, j)) + (1 - _fade(surface, 2.5)) * 0.3
    return 0.5 + 0.6 * grain, (pane & ~bar & upright).float() * strength


def _road(surface: Surface, grain: Scalar) -> tuple[Scalar, Scalar]:
    """Paint asphalt with lane lines (third colour) along z, some dashed."""
    x, _, z = surface.solid
    lane = 1 / surface.scale
    across = (x / lane).remainder(1)
    line = (across < 0.035).float()
    dashed = torch.where((x / lane).floor().remainder(2) == 0, (z / 3.0).remainder(1) < 0.5, True).float()
    fade = (1.6 - surface.footprint / 0.12).clamp(0, 1)
    speck = value_noise(surface.solid * 40, surface.seed) * (1.6 - 90 * surface.footprint).clamp(0, 1)
    inside = (x.abs() < 2.2 * lane).float()
    return 0.5 + 0.6 * grain + 0.5 * (speck - 0.5), 0.85 * line * dashed * fade * inside


def _gravel(surface: Surface, grain: Scalar) -> tuple[Scalar, Scalar]:
    stones = value_noise(surface.solid * surface.scale * 4, surface.seed)
    fine = value_noise(surface.solid * surface.scale * 11, surface.seed + 3)
    weight = _fade(surface, 4)
    dark = ((stones < 0.3).float() * weight + (1 - weight) * 0.15) * 0.7
    return 0.5 + 1.5 * ((stones - 0.5) * weight + 0.5 * (fine - 0.5) * _fade(surface, 11)) + 0.4 * grain, dark


def _poster(surface: Surface, grain: Scalar) -> tuple[Scalar, Scalar]:
    """Paint blocks of colour at two sizes, as print, signs and book backs look from afar."""
    i, _, j, _ = _cells(surface, 1.0, 0.6)
    k, _, m, g = _cells(surface, 0.17, 0.12)
    text = (_own(surface, k, m) > 0.45) & (g > 0.35) & (_own(surface, i, j + 9) > 0.45)
    return _own(surface, i, j) + 0.1 * grain, text.float() * _fade(surface, 8) * 0.9


# Each gives the mix of the first two colours and the share of the third; the kinds "noise" and "picture" need none.
PATTERNS: dict[str, Callable[[Surface, Scalar], tuple[Scalar, Scalar]]] = {
    "plain": _plain,
    "checker": _checker,
    "stripes": _stripes,
    "brick": _brick,
    "tiles": _tiles,
    "wood": _wood,
    "leaves": _leaves,
    "windows": _windows,
    "road": _road,
    "gravel": _gravel,
    "poster": _poster,
}


def _picture(surface: Surface, pictures: Float[Tensor, "k 3 s s"]) -> Float[Tensor, "3 n"]:
    """Lay a photograph over the surface, once per 1 / scale metres, mirrored at every other repeat."""
    s, r = surface.flat()
    uv = torch.stack([s, r], -1) * surface.scale[:, None]
    uv = (uv.remainder(2) - 1).abs() * 2 - 1
    colour = torch.zeros_like(surface.solid)
    # Each view shows a picture in one resolution, whatever the others see of it.
    shown = surface.view * len(pictures) + surface.seed % len(pictures)
    for which in shown.unique().tolist():
        k, chosen = which % len(pictures), (shown == which).nonzero()[:, 0]
        level = float((surface.footprint[chosen] * surface.scale[chosen] * pictures.shape[-1]).median().clamp(min=1))
        shrunk = F.adaptive_avg_pool2d(pictures[k : k + 1], max(2, round(pictures.shape[-1] / level)))
        looked_up = F.grid_sample(shrunk, uv[chosen][None, None], padding_mode="border", align_corners=False)
        colour[:, chosen] = looked_up[0, :, 0]
    return colour


Rgb = Triple

# Kinds of textures by their names, separated by spaces; one that stands twice is drawn twice as often.
ANY = "noise noise plain checker stripes brick wood tiles poster gravel picture picture leaves"
STUFF = "noise plain plain stripes wood poster picture noise checker"


def hsv(h: Number, s: Number, v: Number) -> Rgb:
    return colorsys.hsv_to_rgb(h % 1, min(max(s, 0), 1), min(max(v, 0), 1))


def paint(rng: Random, vivid: Number = 0.5) -> Rgb:
    """Draw any colour: mostly muted, now and then vivid."""
    if rng.random() < vivid:
        return hsv(rng.random(), rng.uniform(0.3, 1), rng.uniform(0.25, 1))
    return hsv(rng.choice([0.08, 0.1, 0.6, rng.random()]), rng.uniform(0, 0.35), rng.uniform(0.1, 0.95))


def near(rng: Random, colour: Rgb, spread: Number = 0.25) -> Rgb:
    """Draw a colour like another: brighter or darker, a little of another hue."""
    h, s, v = colorsys.rgb_to_hsv(*colour)
    return hsv(h + rng.gauss(0, 0.03), s + rng.gauss(0, spread / 2), v * math.exp(rng.gauss(0, spread * 1.6)))


def cover(rng: Random, kinds: str, size: Number, base: Rgb | None = None, gloss: Number = 0.0) -> Material:
    """Draw a material of one of `kinds` (space separated) with features a fraction of `size`."""
    a = base or paint(rng)
    b = near(rng, a, 0.35) if rng.random() < 0.7 else paint(rng)
    return Material(
        kind=rng.choice(kinds.split()),
        a=a,
        b=b,
        c=near(rng, b, 0.5) if rng.random() < 0.5 else paint(rng),
        scale=math.exp(rng.uniform(math.log(1.5), math.log(12))) / size,
        contrast=rng.uniform(0.4, 1.6),
        grain=rng.uniform(0.05, 0.5),
        gloss=gloss,
        seed=rng.randrange(1000003),
    )


def foliage(rng: Random, size: Number) -> Material:
    """Return leaves with gaps between them, of a plant `size` metres wide."""
    hue = rng.choice([rng.uniform(0.18, 0.4), rng.uniform(0.2, 0.33), rng.uniform(0.02, 0.15)])
    a = hsv(hue, rng.uniform(0.3, 0.8), rng.uniform(0.2, 0.6))
    return Material(
        kind="leaves",
        a=a,
        b=near(rng, a, 0.4),
        c=hsv(hue, 0.5, 0.08),
        scale=rng.uniform(12, 45) / size,
        contrast=1.2,
        grain=0.4,
        holes=rng.uniform(0.2, 0.62),
        seed=rng.randrange(1000003),
    )


def ground(rng: Random, kind: str) -> Material:
    """Draw grass, road, paving, earth, sand, snow or water; now and then anything: no texture means a kind of place."""
    if rng.random() < 0.18:
        return cover(rng, ANY, rng.uniform(1, 8))
    # Hue, saturation, value, textures, scale. All rows are drawn whichever is used, and must be: a draw more or less
    # changes what every seed gives from there on.
    hue, sat, val, texture, scale = {
        "grass": (rng.uniform(0.15, 0.33), 0.5, rng.uniform(0.25, 0.6), "gravel leaves noise", rng.uniform(1, 8)),
        "road": (0.6, 0.04, rng.uniform(0.2, 0.5), "road", 1 / rng.uniform(2.8, 4)),
        "paving": (0.08, rng.uniform(0, 0.2), rng.uniform(0.35, 0.75), "tiles brick checker", rng.uniform(0.7, 4)),
        "earth": (0.08, rng.uniform(0.2, 0.5), rng.uniform(0.25, 0.6), "gravel noise", rng.uniform(0.8, 5)),
        "sand": (0.11, rng.uniform(0.15, 0.4), rng.uniform(0.6, 0.9), "noise gravel", rng.uniform(0.5, 4)),
        "snow": (0.6, 0.05, 0.92, "noise", rng.uniform(0.3, 2)),
        "water": (rng.uniform(0.5, 0.6), 0.5, rng.uniform(0.15, 0.4), "noise", rng.uniform(0.3, 2)),
    }[kind]
    a = hsv(hue, sat, val)
    stripe = hsv(rng.choice([0.13, 0.6]), rng.choice([0.0, 0.0, 0.6]), 0.9)
    mortar = near(rng, a, 0.5)
    return Material(
        kind=rng.choice(texture.split()),
        a=a,
        b=near(rng, a, 0.3),
        c=stripe if kind == "road" else mortar,
        scale=scale,
        contrast=rng.uniform(0.5, 1.3),
        grain=rng.uniform(0.2, 0.7),
        gloss=0.7 if kind == "water" else 0.0,
        seed=rng.randrange(1000003),
    )
