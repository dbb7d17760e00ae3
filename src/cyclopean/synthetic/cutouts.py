"""What is left of a surface with holes: leaves, petals, hair, and thin things as cut out of a sheet.

Each function returns where a point of the surface is solid, from its place in the unit shape (`unit`), the same in
metres (`metres`) and the material (`looks`). A ray meets the sheet itself, so depth is that of what is seen: a net of
a thousand wires costs as much as a board.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cyclopean.synthetic.noise import hashed, value_noise
from cyclopean.synthetic.scene import CUTS

Columns = Float[Tensor, "3 n"]
Looks = Float[Tensor, "n 9"]
Solid = Bool[Tensor, " n"]


def _noise(_unit: Columns, metres: Columns, looks: Looks) -> Solid:
    """Keep lumps: many small leaves."""
    seed, at = looks[:, 7].to(torch.int32), metres * looks[:, 1]
    noise = 0.65 * value_noise(at, seed) + 0.35 * value_noise(at * 2.7, seed + 7)
    return noise > 0.25 + 0.5 * looks[:, 6]  # above the share of holes


def _leaf(unit: Columns, _metres: Columns, _looks: Looks) -> Solid:
    """Keep a blade along y, pointed at both ends."""
    return unit[0].abs() < 1 - unit[1].square()


def _petals(unit: Columns, _metres: Columns, looks: Looks) -> Solid:
    """Keep 5 to 9 petals around y, deeper parted the more holes there are."""
    count = 5 + looks[:, 7].to(torch.int32) % 5
    around = torch.atan2(unit[2], unit[0]) * count / 2
    return (unit[0].square() + unit[2].square()).sqrt() < 1 - looks[:, 6] * (1 - around.cos().abs())


def _strands(unit: Columns, metres: Columns, looks: Looks) -> Solid:
    """Keep hair that hangs down, in locks of uneven length, dense at the top."""
    at = metres * looks[:, 1]
    at = torch.stack([at[0], 0.12 * at[1], at[2]])
    return value_noise(at, looks[:, 7].to(torch.int32)) > looks[:, 6] * (0.2 + 0.8 * unit[1].clamp(-0.2, 1))


def _bars(_unit: Columns, metres: Columns, looks: Looks) -> Solid:
    """Keep upright bars, `scale` of them per metre of x."""
    return (metres[0] * looks[:, 1]).remainder(1) > looks[:, 6]


def _net(_unit: Columns, metres: Columns, looks: Looks) -> Solid:
    """Keep the threads between square meshes, upright or, of odd seeds, on their corners."""
    x, y = metres[0] * looks[:, 1], metres[1] * looks[:, 1]
    odd = looks[:, 7].remainder(2) > 0
    across, along = torch.where(odd, 0.7071 * (x + y), x), torch.where(odd, 0.7071 * (x - y), y)
    return torch.maximum(across.remainder(1), along.remainder(1)) > looks[:, 6]


def _spokes(unit: Columns, _metres: Columns, looks: Looks) -> Solid:
    """Keep a wheel around y: rim, hub and, by the seed, 0 to 28 spokes; holes are the radius of the rim's inside."""
    radius = (unit[0].square() + unit[2].square()).sqrt()
    count = looks[:, 7].remainder(8) * 4
    sector = torch.atan2(unit[2], unit[0]) * count / (2 * math.pi)
    beside = radius * ((sector - sector.round()) * 2 * math.pi / count.clamp_min(1)).sin().abs()
    spoke = (beside < 0.012) | (radius < 0.09)
    return (radius > looks[:, 6]) | (spoke & (count > 0))


def _frond(unit: Columns, metres: Columns, looks: Looks) -> Solid:
    """Keep a rib along y with leaflets on both sides, as of a fern or a palm."""
    away = unit[0].abs()
    leaflets = ((metres[1] + 0.7 * metres[0].abs()) * looks[:, 1]).remainder(1) > looks[:, 6]
    return (away < 1 - unit[1].square()) & (leaflets | (away < 0.06))


def _tuft(unit: Columns, metres: Columns, looks: Looks) -> Solid:
    """Keep blades of grass that stand on the lower edge, `scale` of them per metre of x, leaning a little."""
    lean = 0.25 * (metres[0] * 3).sin()
    at = (metres[0] + lean * metres[1]) * looks[:, 1]
    cell = at.floor()
    tall = 0.4 + 1.5 * hashed(cell.to(torch.int32) * 73856093 ^ looks[:, 7].to(torch.int32))
    return 1 - unit[1] < tall * (1 - 2 * (at - cell - 0.5).abs())


CUTOUTS: dict[str, Callable[[Columns, Columns, Looks], Solid]] = {
    "noise": _noise,
    "leaf": _leaf,
    "petals": _petals,
    "strands": _strands,
    "bars": _bars,
    "net": _net,
    "spokes": _spokes,
    "frond": _frond,
    "tuft": _tuft,
}
IN_ORDER = tuple(CUTOUTS[name] for name in CUTS)
