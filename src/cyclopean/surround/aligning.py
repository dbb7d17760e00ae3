"""Scales and shifts with which what several faces say of the same directions agrees."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

PRIOR = 1.0  # of scale 1 and shift 0, beside the disagreement of faces
ROUNDS = 12  # of re-weighting
UNSURE = 0.1  # of a logarithm of ratios, besides their spread
LEAST = 1e-3  # of the typical inverse depth: smaller ones (sky) say nothing of a ratio, smaller steps are none


@dataclass(frozen=True)
class Overlaps:
    """Directions that two faces see: which faces, the inverse depth that each says (along its own axis), z per radius
    in each, and the direction's area."""

    faces: Int[Tensor, "2 n"]
    values: Float[Tensor, "2 n"]
    cosines: Float[Tensor, "2 n"]
    area: Float[Tensor, " n"]

    def radial(self, scale: Float[Tensor, " f"], shift: Float[Tensor, " f"]) -> Float[Tensor, "2 n"]:
        """Inverse distances, after scale and shift of each face."""
        return (scale[self.faces] * self.values + shift[self.faces]) * self.cosines


@dataclass(frozen=True)
class Solved:
    """Scale and shift of each face's inverse depth, and the mean relative disagreement `before` and `after`."""

    scale: Float[Tensor, " f"]
    shift: Float[Tensor, " f"]
    before: float
    after: float


def overlaps(
    values: Float[Tensor, "f n"], seen: Bool[Tensor, "f n"], cosine: Float[Tensor, "f n"], area: Float[Tensor, " n"]
) -> Overlaps:
    """All pairs of faces at all directions that both see, in double precision."""
    found = []
    for i in range(len(values)):
        for j in range(i + 1, len(values)):
            (at,) = (seen[i] & seen[j]).nonzero(as_tuple=True)
            found.append(
                (torch.tensor([[i], [j]]).expand(2, len(at)), values[[i, j]][:, at], cosine[[i, j]][:, at], area[at])
            )
    faces, said, cosines, areas = (torch.cat(parts, -1) for parts in zip(*found, strict=True))
    return Overlaps(faces, said.double(), cosines.double(), areas.double())


def solved(pairs: Overlaps, count: int, last: int | None = None) -> Solved:
    """Scales and shifts of `count` faces by least squares over all `pairs` together.

    First scales alone, from medians of logarithms of ratios (exact for scales, blind to outliers); then both, from the
    disagreement relative to the inverse depth there, re-weighted by 1 / |disagreement|, so that edges of things, which
    faces place differently, count little. A weak prior for the scales found and for no shift settles what overlaps
    leave open. The mean logarithm of the first scales is 0: a metric network stays metric as far as faces agree. The
    `last` face follows all others in the first scales, and does not bear on them: up, as sky and bare ceilings say
    little.
    """
    ones, zeros = torch.ones(count).double(), torch.zeros(count).double()
    first = _scales(pairs, count, last)
    scale, shift = _refined(pairs, first)
    return Solved(scale, shift, disagreement(pairs, ones, zeros), disagreement(pairs, scale, shift))


def disagreement(pairs: Overlaps, scale: Float[Tensor, " f"], shift: Float[Tensor, " f"]) -> float:
    """Mean over directions of |difference| / mean of the two inverse distances, or a tenth of the median one if that is
    more: of two that both are nearly sky, the ratio says nothing."""
    mine, other = pairs.radial(scale, shift)
    there = 0.5 * (mine.abs() + other.abs())
    apart = (mine - other).abs() / there.clamp_min(float(0.1 * there.median()))
    return float((apart * pairs.area).sum() / pairs.area.sum())


def _scales(pairs: Overlaps, count: int, last: int | None) -> Float[Tensor, " f"]:
    """Least squares over pairs of faces, each as sure as its ratios are alike; `last` follows the others' result."""
    size = pairs.values.abs().median()
    logs = (pairs.values * pairs.cosines).clamp_min(float(LEAST * size)).log()
    rows, aims = [torch.ones(count).double()], [0.0]
    for i, j in torch.unique(pairs.faces, dim=1).T.tolist():
        if last in (i, j):
            continue
        ratios = (logs[1] - logs[0])[(pairs.faces[0] == i) & (pairs.faces[1] == j)]
        low, middle, high = ratios.quantile(torch.tensor([0.25, 0.5, 0.75]).double()).tolist()
        sure = 1 / (high - low + UNSURE)
        ends = torch.tensor([sure, -sure]).double()
        rows.append(torch.zeros(count).double().index_put_((torch.tensor([i, j]),), ends))
        aims.append(sure * middle)
    found = torch.linalg.lstsq(torch.stack(rows), torch.tensor(aims).double()[:, None]).solution[:, 0]
    return (found if last is None else _with_last(pairs, logs, found, last)).exp()


def _with_last(
    pairs: Overlaps, logs: Float[Tensor, "2 n"], found: Float[Tensor, " f"], last: int
) -> Float[Tensor, " f"]:
    """Logarithms of scales with that of the last face from the median over all that it shares with others."""
    mine = pairs.faces == last
    here = mine.any(0)
    aligned = (logs + found[pairs.faces])[:, here]
    gap = torch.where(mine[:, here], 0, aligned).sum(0) - torch.where(mine[:, here], logs[:, here], 0).sum(0)
    found = found.clone()
    found[last] = gap.median()
    return found - found.mean()


def _refined(pairs: Overlaps, first: Float[Tensor, " f"]) -> tuple[Float[Tensor, " f"], Float[Tensor, " f"]]:
    """Unknowns are a factor on each first scale, about 1, and a shift in typical inverse depths, about 0."""
    count, n = len(first), pairs.values.shape[1]
    start = pairs.radial(first, torch.zeros_like(first))
    typical = start.abs().median()
    there = start.abs().mean(0).clamp_min(float(LEAST * typical))
    rows = torch.zeros(n, 2 * count).double()
    at = torch.arange(n)
    for side, sign in ((0, 1.0), (1, -1.0)):
        rows[at, pairs.faces[side]] = sign * start[side] / there
        rows[at, count + pairs.faces[side]] = sign * pairs.cosines[side] * typical / there
    prior = torch.eye(2 * count).double()
    aim = torch.cat([torch.ones(count), torch.zeros(count)]).double()
    share, found = pairs.area / pairs.area.sum(), aim
    for _ in range(ROUNDS):
        weight = share / (rows @ found).abs().clamp_min(LEAST * 10)
        normal = rows.T @ (rows * weight[:, None]) + PRIOR * prior
        found = torch.linalg.solve(normal, PRIOR * aim)
    return first * found[:count], typical * found[count:]
