"""Faces of a panorama merged by their slopes: no step where one ends, and no bowl of light inside each.

After the best scale and shift, two faces still differ smoothly (each bends the floor its own way). Blending them shows
where one takes over. Slopes are what a network of pictures knows best, so those of the logarithm are averaged instead,
and the surface that has them is solved for, as panorama stitchers do with colours (Pérez et al., Poisson image editing,
2003); it stays near the blend over long distances.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cyclopean.geometry import (
    FACES,
    Equirectangular,
    Pinhole,
    face_camera,
    pixel_grid,
    ten_from_sphere,
    uv_on_faces,
    uv_on_sphere,
)
from cyclopean.inference.panorama import enlarged
from cyclopean.io.image import resize
from cyclopean.sample import View, view
from cyclopean.synthesis import pull

HOLD = 3e-4  # of the blend beside slopes: it rules over distances of more than about 60 pixels, a third of the horizon
STEPS, ENOUGH = 600, 1e-5  # of conjugate gradients: at most, and down to which relative residual

Plane = Float[Tensor, "h w"]
Planes = Float[Tensor, "f h w"]
Operator = Callable[[Plane], Plane]


def by_slopes(logs: Planes, weights: Planes, level: Float[Tensor, " h"]) -> tuple[Plane, Plane]:
    """The surface with the mean slopes of `logs`, and the plain blend that it is held to, on a panorama.

    `weights` of each face, 0 where it does not see; `level` is the cosine of latitude of each row. Slopes along a row
    go over the seam; there are none over the poles. A quadratic problem, solved by conjugate gradients.
    """
    logs, weights, level = logs.double(), weights.double(), level.double()
    blend = (weights * logs).sum(0) / weights.sum(0)
    along, along_weight = _slopes(logs, weights, -1)
    down, down_weight = _slopes(logs, weights, -2)
    along_weight, down_weight = along_weight / level[:, None], down_weight * level[:, None]
    down_weight[-1] = 0
    hold = HOLD * level[:, None].expand_as(blend)

    def normal(x: Plane) -> Plane:
        return hold * x - _spread(along_weight * _step(x, -1), -1) - _spread(down_weight * _step(x, -2), -2)

    aim = hold * blend - _spread(along_weight * along, -1) - _spread(down_weight * down, -2)
    size = hold + sum(w + w.roll(1, axis) for w, axis in ((along_weight, -1), (down_weight, -2)))
    return _conjugate_gradients(normal, aim, size, blend), blend


def _step(x: Tensor, axis: int) -> Tensor:
    return x.roll(-1, axis) - x


def _spread(x: Plane, axis: int) -> Plane:
    """Minus the transpose of `_step`."""
    return x - x.roll(1, axis)


def _slopes(logs: Planes, weights: Planes, axis: int) -> tuple[Plane, Plane]:
    """Mean steps of neighbours that one face sees both, and 1 where any face does."""
    both = weights * weights.roll(-1, axis)
    total = both.sum(0)
    return (both * _step(logs, axis)).sum(0) / total.clamp_min(1e-30), (total > 0).double()


def _conjugate_gradients(normal: Operator, aim: Plane, size: Plane, start: Plane) -> Plane:
    """The solution of `normal(x) = aim`, from `start`; `size` is the operator's diagonal."""
    x, residual = start, aim - normal(start)
    direction = ready = residual / size
    agreed = (residual * ready).sum()
    goal = ENOUGH**2 * agreed
    for _ in range(STEPS):
        if agreed <= goal:
            break
        ahead = normal(direction)
        length = agreed / (direction * ahead).sum()
        x, residual = x + length * direction, residual - length * ahead
        ready = residual / size
        before, agreed = agreed, (residual * ready).sum()
        direction = ready + agreed / before * direction
    return x


PRIOR = 1.0  # of scale 1 and shift 0, beside the disagreement of faces
ROUNDS = 12  # of re-weighting
UNSURE = 0.1  # of a logarithm of ratios, besides their spread
SMALLEST = 1e-3  # of the typical inverse depth: smaller ones (sky) say nothing of a ratio, smaller steps are none


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
    logs = (pairs.values * pairs.cosines).clamp_min(float(SMALLEST * size)).log()
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
    there = start.abs().mean(0).clamp_min(float(SMALLEST * typical))
    rows = torch.zeros(n, 2 * count).double()
    at = torch.arange(n)
    for side, sign in ((0, 1.0), (1, -1.0)):
        rows[at, pairs.faces[side]] = sign * start[side] / there
        rows[at, count + pairs.faces[side]] = sign * pairs.cosines[side] * typical / there
    prior = torch.eye(2 * count).double()
    aim = torch.cat([torch.ones(count), torch.zeros(count)]).double()
    share, found = pairs.area / pairs.area.sum(), aim
    for _ in range(ROUNDS):
        weight = share / (rows @ found).abs().clamp_min(SMALLEST * 10)
        normal = rows.T @ (rows * weight[:, None]) + PRIOR * prior
        found = torch.linalg.solve(normal, PRIOR * aim)
    return first * found[:count], typical * found[count:]


Map = Float[Tensor, "1 1 h w"]
Image = Float[Tensor, "1 3 h w"]
See = Callable[[View], Float[Tensor, "b 1 h w"]]

FIELD_OF_VIEW = 100.0  # degrees of a face: upright neighbours share 55, and the cube's own 10
SAMPLED = (96, 192)  # directions at which faces are compared
FAR = 0.12  # of the median inverse depth: what is farther is nearly sky
FARTHEST = 0.03  # of that: sky is not farther


@dataclass(frozen=True)
class Merged:
    """The inverse distance of a panorama from faces, and how far neighbouring faces disagree where both see (relative):
    as they came, and after their scales and shifts were solved for."""

    inverse_depth: Map
    before: float
    after: float


def merged_faces(see: See, image: Image, side: int, field_of_view: float = FIELD_OF_VIEW) -> Merged:
    """The inverse depth that `see` finds in ten faces of `side` pixels, merged into one panorama of their detail.

    On a face z = radius * cosine, so an inverse depth d there is an inverse distance d * cosine. Where faces overlap,
    these have to agree after a scale and a shift of each face's d; then faces are merged by their slopes.
    """
    width = 4 * round(side * 90 / field_of_view)
    size = (width // 2, width)
    found = see(_cut(image, side, field_of_view, size))
    few = _sight(SAMPLED, found, field_of_view)
    said, seen, cosine = (x.flatten(1).cpu() for x in (pull(found, few.uv, "edge")[:, 0], few.weight > 0, few.cosine))
    shared = overlaps(said, seen, cosine, few.level.cpu().repeat_interleave(SAMPLED[1]))
    answer = solved(shared, len(found), FACES.index("up"))
    a, b = (x.to(found).view(-1, 1, 1, 1) for x in (answer.scale, answer.shift))
    merged = _merged(a * found + b, few, _sight(size, found, field_of_view))
    return Merged(merged, answer.before, answer.after)


@dataclass(frozen=True)
class _Sight:
    """What faces see of a panorama's directions: where in each face, z per radius, how much a face counts there (0: it
    does not see it); and the cosine of latitude of each row."""

    uv: Float[Tensor, "f h w 2"]
    cosine: Float[Tensor, "f h w"]
    weight: Float[Tensor, "f h w"]
    level: Float[Tensor, " h"]


def _sight(size: tuple[int, int], like: Tensor, field_of_view: float) -> _Sight:
    """A face counts most at its centre and nothing at its border, with a level slope at both."""
    rays = Equirectangular().rays(pixel_grid(size, like))
    uv, seen, cosine = uv_on_faces(rays, field_of_view, ten_from_sphere(like))
    t = 2 * torch.minimum(uv, 1 - uv).amin(-1)
    weight = seen * (t.square() * (3 - 2 * t)).clamp_min(1e-6)
    return _Sight(uv, cosine, weight, rays[0, :, 0, [0, 2]].norm(dim=-1))


def _merged(faces: Float[Tensor, "f 1 side side"], few: _Sight, all_: _Sight) -> Map:
    """Inverse distances of the sphere: faces blended in full detail, and corrected by what slopes say of the rest.

    Logarithms are of inverse distances plus `FAR` of their median: without it, sky in one face (0, whose logarithm has
    no end) would draw all that another face sees there away with it.
    """
    far = FAR * float(faces.abs().median())
    logs = [(pull(faces, s.uv, "edge")[:, 0].clamp_min(0) * s.cosine.clamp_min(0) + far).log() for s in (few, all_)]
    smooth, blend = by_slopes(logs[0], few.weight, few.level)
    fine = (all_.weight * logs[1]).sum(0) / all_.weight.sum(0)
    correction = (smooth - blend).to(fine)[None, None]
    merged = (fine + enlarged(correction, (fine.shape[0], fine.shape[1]))).exp() - far
    return merged.clamp_min(FARTHEST * far)


def _cut(image: Image, side: int, field_of_view: float, size: tuple[int, int]) -> View:
    """The faces as one batch; a panorama of much more detail is shrunk first, so that nothing flickers."""
    small = resize(image, size) if image.shape[-1] > size[1] else image
    small = small if small.shape[-1] % 2 == 0 else resize(small, (small.shape[-2], small.shape[-1] - 1))
    uv = uv_on_sphere(side, field_of_view, ten_from_sphere(small))
    faces = pull(small.expand(len(uv), -1, -1, -1), uv, "sphere").clamp(0, 1)
    camera = face_camera(field_of_view, small)
    return view(faces, Pinhole(camera.focal.expand(len(uv), 2), camera.center.expand(len(uv), 2)))
