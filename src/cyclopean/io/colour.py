"""Colours coded by numbers (CICP, nclx, gAMA, cHRM) to and from linear light and sRGB."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

Colours = Float[np.ndarray, "h w 3"]
Values = Float[np.ndarray, "*any"]
Curve = Callable[[Colours], Colours]
Chromaticities = tuple[float, float, float, float, float, float, float, float]  # x, y of white, red, green, blue

WHITE_NITS = 203.0  # luminance of white paper in a picture of high dynamic range (ITU-R BT.2408)
KNEE = 0.9  # of white, linear: brighter light is compressed, white itself by 5/255
BT709: Chromaticities = (0.3127, 0.3290, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060)
ADOBE_RGB: Chromaticities = (0.3127, 0.3290, 0.640, 0.330, 0.210, 0.710, 0.150, 0.060)
PRIMARIES: Mapping[int, Chromaticities] = {  # by their numbers in ITU-T H.273
    1: BT709,
    5: (0.3127, 0.3290, 0.640, 0.330, 0.290, 0.600, 0.150, 0.060),
    6: (0.3127, 0.3290, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (0.3127, 0.3290, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
LUMINANCE_BT2020 = np.array([0.2627, 0.6780, 0.0593], np.float32)
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
ALIKE = 0.002  # chromaticities that differ by less are the same


@dataclass(frozen=True)
class Coding:
    """Relation of numbers and light: `linear` converts them to light in multiples of white, of these chromaticities.

    `narrow`: black and white are not the smallest and the largest number.
    """

    linear: Curve
    chromaticities: Chromaticities = BT709
    high_dynamic_range: bool = False
    narrow: bool = False


def narrow_range(coding: Coding | None, bits: int) -> Coding:
    """Return a coding (None: sRGB) for numbers of `bits` from 16 to 235, in steps of 8 bits (ITU-T H.273, 8.3)."""
    full, step = coding or Coding(srgb_linear), (2**bits - 1) / 2 ** (bits - 8)
    return replace(full, linear=lambda values: full.linear(np.clip((values * step - 16) / 219, 0, 1)), narrow=True)


def adobe_rgb() -> Coding:
    """Return the coding of Adobe RGB (1998)."""
    return Coding(lambda values: np.maximum(values, 0) ** 2.19921875, ADOBE_RGB)


def srgb(light: Values) -> Values:
    """Return sRGB of linear light in [0,1] (IEC 61966-2-1)."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055)


def srgb_linear(values: Values) -> Values:
    """Return linear light of sRGB in [0,1]."""
    return np.where(values <= 0.04045, values / 12.92, ((np.maximum(values, 0) + 0.055) / 1.055) ** 2.4)


def pq_linear(values: Values) -> Values:
    """Return light in multiples of white of PQ (SMPTE ST 2084)."""
    power = np.maximum(values, 0) ** (1 / 78.84375)
    return (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125) * (
        10000 / WHITE_NITS
    )


def hlg_scene(values: Values) -> Values:
    """Return light of the scene, the brightest 1, of HLG (ITU-R BT.2100)."""
    return np.where(values <= 0.5, values**2 / 3, (np.exp((values - 0.55991073) / 0.17883277) + 0.28466892) / 12)


def hlg_linear(values: Colours) -> Colours:
    """Return light in multiples of white of HLG on a display of 1000 nits (ITU-R BT.2100)."""
    scene = hlg_scene(values)
    luminance = np.maximum(scene @ LUMINANCE_BT2020, 1e-9)[..., None]
    return scene * luminance**0.2 * (1000 / WHITE_NITS)


def by_numbers(primaries: int, transfer: int) -> Coding | None:
    """Return the coding of ITU-T H.273's numbers; None if it is sRGB, nearly so, or unknown.

    The curves of television (1, 6, 14, 15) are treated as sRGB.
    """
    chromaticities = PRIMARIES.get(primaries, BT709)
    if transfer in (16, 18):
        wide = PRIMARIES.get(primaries, PRIMARIES[9])
        return Coding(pq_linear if transfer == 16 else hlg_linear, wide, True)
    if transfer in (4, 5, 8):
        return by_gamma({4: 2.2, 5: 2.8, 8: 1.0}[transfer], chromaticities)
    return Coding(srgb_linear, chromaticities) if primaries in (9, 11, 12) else None


def by_gamma(gamma: float, chromaticities: Chromaticities | None = None) -> Coding | None:
    """Return the coding of light = value^gamma; None if it is nearly sRGB (2.2, which is displayed alike)."""
    known = chromaticities or BT709
    usual = abs(gamma / 2.2 - 1) < 0.05
    if usual and max(abs(a - b) for a, b in zip(known, BT709, strict=True)) < 0.01:
        return None
    return Coding(lambda values: np.maximum(values, 0) ** gamma, known)


def to_srgb(colours: Colours, coding: Coding) -> Colours:
    """Return `colours` in sRGB. For high dynamic range, white is at 203 nits, and brighter light is compressed below
    1."""
    light = coding.linear(colours.astype(np.float32)) @ between(coding.chromaticities, BT709).T.astype(np.float32)
    if coding.high_dynamic_range:
        brightest = np.maximum(light.max(-1, keepdims=True), 1e-9)
        pressed = KNEE + (1 - KNEE) * (1 - np.exp(-np.maximum(brightest - KNEE, 0) / (1 - KNEE)))
        light = light * np.where(brightest > KNEE, pressed / brightest, 1)
    return srgb(np.clip(light, 0, 1)).astype(np.float32)


def between(source: Chromaticities, target: Chromaticities) -> Float[np.ndarray, "3 3"]:
    """Return the matrix from linear colours of `source` to those of `target`, white to white (Bradford)."""
    if max(abs(a - b) for a, b in zip(source, target, strict=True)) < ALIKE:
        return np.eye(3)
    before, after = (BRADFORD @ _xyz(source).sum(1), BRADFORD @ _xyz(target).sum(1))
    adapted = np.linalg.inv(BRADFORD) @ np.diag(after / before) @ BRADFORD
    return np.linalg.inv(_xyz(target)) @ adapted @ _xyz(source)


def _xyz(chromaticities: Chromaticities) -> Float[np.ndarray, "3 3"]:
    """Return the matrix from linear colours to CIE XYZ."""
    white, *columns = (np.array([x / y, 1, (1 - x - y) / y]) for x, y in np.reshape(chromaticities, (4, 2)))
    primaries = np.stack(columns, 1)
    return primaries * np.linalg.solve(primaries, white)
