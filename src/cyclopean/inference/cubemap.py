"""A perspective network on a panorama: overlapping faces, scale/shift alignment, and gradient-domain blending.

After the best scale and shift, two faces still differ smoothly (each bends the floor in its own way), and plain
blending makes the transitions visible. Instead, the gradients of log depth are averaged, and the surface with these
gradients is solved for, as panorama stitchers do with colours (Pérez et al., Poisson image editing, 2003). At long
range it stays near the plain blend.
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
    face_weight,
    pixel_grid,
    ten_from_sphere,
    uv_on_faces,
    uv_on_sphere,
)
from cyclopean.inference.panorama import PanoramaDepth, resize_sphere
from cyclopean.io.image import resize
from cyclopean.sample import OneImage, View, view
from cyclopean.synthesis import pull

FIELD_OF_VIEW = 100.0  # degrees of a face: upright neighbours share 55, and the cube's own 10
SAMPLED = (96, 192)  # directions at which faces are compared
FAR = 0.12  # of the median inverse depth: what is farther is nearly sky
FARTHEST = 0.03  # of that: sky is not farther
HOLD = 3e-4  # weight of the plain blend beside gradients: it dominates beyond about 60 pixels, a third of the horizon
STEPS, ENOUGH = 600, 1e-5  # of conjugate gradients: at most, and down to which relative residual
PRIOR = 1.0  # of scale 1 and shift 0, beside the disagreement of faces; and of models whose shift means nothing:
AFFINE_PRIOR = 0.01
ROUNDS = 12  # of re-weighting
UNSURE = 0.1  # of a logarithm of ratios, besides their spread
SMALLEST = 1e-3  # of the typical inverse depth: smaller ones (sky) give no ratio, smaller steps count as 0

Infer = Callable[[View], Float[Tensor, "b 1 h w"]]
FlatMap = Float[Tensor, "h w"]
Planes = Float[Tensor, "f h w"]


@dataclass(frozen=True)
class CubeFaces:
    """The inverse distance of a panorama from ten perspective faces of `side` pixels, in one batch through `infer`.

    `prior` is the weight of each face's own scale and shift: `AFFINE_PRIOR` for a model that leaves both unknown.
    """

    infer: Infer
    side: int
    field_of_view: float = FIELD_OF_VIEW
    prior: float = PRIOR

    def __call__(self, image: OneImage) -> PanoramaDepth:
        """Return the inverse depth of a panorama with the detail of its faces.

        On a face z = radius * cosine, so an inverse depth d there is an inverse distance d * cosine. Where faces
        overlap, these have to agree after a scale and a shift of each face's d; then faces are blended by their
        gradients. The notes hold the relative disagreement of overlapping faces, before and after alignment.
        """
        width = 4 * round(self.side * 90 / self.field_of_view)
        size = (width // 2, width)
        # A panorama of much more detail is shrunk first, against aliasing.
        small = resize(image, size) if image.shape[-1] > width else image
        small = small if small.shape[-1] % 2 == 0 else resize(small, (small.shape[-2], small.shape[-1] - 1))
        uv = uv_on_sphere(self.side, self.field_of_view, ten_from_sphere(small))
        pictures = pull(small.expand(len(uv), -1, -1, -1), uv, "sphere").clamp(0, 1)
        camera = face_camera(self.field_of_view, small)
        cameras = Pinhole(camera.focal.expand(len(uv), 2), camera.center.expand(len(uv), 2))
        faces = self.infer(view(pictures, cameras))
        coarse = _face_grid(SAMPLED, faces, self.field_of_view)
        values = pull(faces, coarse.uv, "edge")[:, 0]
        values, seen, cosine = (x.flatten(1).cpu() for x in (values, coarse.weight > 0, coarse.cosine))
        pairs = overlaps(values, seen, cosine, coarse.level.cpu().repeat_interleave(SAMPLED[1]))
        alignment = align(pairs, len(faces), FACES.index("up"), self.prior)
        scale, shift = (x.to(faces).view(-1, 1, 1, 1) for x in (alignment.scale, alignment.shift))
        inverse = _blend(scale * faces + shift, coarse, _face_grid(size, faces, self.field_of_view))
        disagreement = {"before": alignment.before, "after": alignment.after}
        figures = {f"disagreement_{when}": round(value, 4) for when, value in disagreement.items()}
        return PanoramaDepth(inverse, {"seen": "ten faces around", "field_of_view": self.field_of_view, **figures})


@dataclass(frozen=True)
class _FaceGrid:
    """A panorama's directions on the faces: uv in each face, z per radius, the weight of a face there (0: outside it),
    and the cosine of latitude of each row."""

    uv: Float[Tensor, "f h w 2"]
    cosine: Float[Tensor, "f h w"]
    weight: Float[Tensor, "f h w"]
    level: Float[Tensor, " h"]


def _face_grid(size: tuple[int, int], like: Tensor, field_of_view: float) -> _FaceGrid:
    """Return where faces lie, and how much each counts there."""
    rays = Equirectangular().rays(pixel_grid(size, like))
    uv, seen, cosine = uv_on_faces(rays, field_of_view, ten_from_sphere(like))
    return _FaceGrid(uv, cosine, face_weight(uv, seen), torch.linalg.vector_norm(rays[0, :, 0, [0, 2]], dim=-1))


def _blend(faces: Float[Tensor, "f 1 side side"], coarse: _FaceGrid, full: _FaceGrid) -> Float[Tensor, "1 1 h w"]:
    """Return inverse distances on the sphere: faces blended in full detail, corrected by the coarse gradients.

    Logarithms are of inverse distances plus `FAR` of their median: without it, sky in one face (0, whose logarithm is
    infinite) would override all that another face has there.
    """
    far = FAR * float(faces.abs().median())
    logs = [
        (pull(faces, grid.uv, "edge")[:, 0].clamp_min(0) * grid.cosine.clamp_min(0) + far).log()
        for grid in (coarse, full)
    ]
    small = (x.cpu() for x in (logs[0], coarse.weight, coarse.level))  # in double precision, which mps lacks
    smooth, blend = blend_gradients(*small)
    fine = (full.weight * logs[1]).sum(0) / full.weight.sum(0)
    correction = (smooth - blend).to(fine)[None, None]
    merged = (fine + resize_sphere(correction, (fine.shape[0], fine.shape[1]))).exp() - far
    return merged.clamp_min(FARTHEST * far)


@dataclass(frozen=True)
class Overlaps:
    """Directions on two faces: which faces, the inverse depth on each (along its own axis), z per radius in each, and
    the direction's area."""

    faces: Int[Tensor, "2 n"]
    values: Float[Tensor, "2 n"]
    cosines: Float[Tensor, "2 n"]
    area: Float[Tensor, " n"]

    def radial(self, scale: Float[Tensor, " f"], shift: Float[Tensor, " f"]) -> Float[Tensor, "2 n"]:
        """Return inverse distances after scale and shift of each face."""
        return (scale[self.faces] * self.values + shift[self.faces]) * self.cosines


@dataclass(frozen=True)
class Alignment:
    """Scale and shift of each face's inverse depth, and the mean relative disagreement `before` and `after`."""

    scale: Float[Tensor, " f"]
    shift: Float[Tensor, " f"]
    before: float
    after: float


def overlaps(
    values: Float[Tensor, "f n"], seen: Bool[Tensor, "f n"], cosine: Float[Tensor, "f n"], area: Float[Tensor, " n"]
) -> Overlaps:
    """Return all pairs of faces at all directions that lie on both, in double precision."""
    parts = []
    for i in range(len(values)):
        for j in range(i + 1, len(values)):
            (at,) = (seen[i] & seen[j]).nonzero(as_tuple=True)
            parts.append(
                (torch.tensor([[i], [j]]).expand(2, len(at)), values[[i, j]][:, at], cosine[[i, j]][:, at], area[at])
            )
    faces, inverse, cosines, areas = (torch.cat(part, -1) for part in zip(*parts, strict=True))
    return Overlaps(faces, inverse.double(), cosines.double(), areas.double())


def align(pairs: Overlaps, count: int, last: int | None = None, prior: float = PRIOR) -> Alignment:
    """Return scales and shifts of `count` faces by least squares over all `pairs` together.

    First scales alone, from medians of logarithms of ratios (exact for scales, robust to outliers); then both, from the
    disagreement relative to the inverse depth there, re-weighted by 1 / |disagreement|, so that object edges, which
    differ between faces, count little. A weak prior for the first scales and for no shift determines what the overlaps
    do not. The mean logarithm of the first scales is 0: a metric network stays metric as far as faces agree. The `last`
    face (the one up, since sky and bare ceilings carry little signal) is aligned to the others without influence on
    their first scales.
    """
    ones, zeros = torch.ones(count).double(), torch.zeros(count).double()
    first = _scales(pairs, count, last)
    scale, shift = _refined(pairs, first, prior)
    return Alignment(scale, shift, disagreement(pairs, ones, zeros), disagreement(pairs, scale, shift))


def disagreement(pairs: Overlaps, scale: Float[Tensor, " f"], shift: Float[Tensor, " f"]) -> float:
    """Return the mean over directions of |difference| / mean of the two inverse distances.

    The latter is at least a tenth of its median: where both are nearly sky, the ratio means nothing.
    """
    mine, other = pairs.radial(scale, shift)
    there = 0.5 * (mine.abs() + other.abs())
    apart = (mine - other).abs() / there.clamp_min(float(0.1 * there.median()))
    return float((apart * pairs.area).sum() / pairs.area.sum())


def _scales(pairs: Overlaps, count: int, last: int | None) -> Float[Tensor, " f"]:
    """Return first scales: least squares over pairs of faces, each weighted by how alike its ratios are.

    `last` is aligned to the others afterwards, by the median over all its overlaps.
    """
    size = pairs.values.abs().median()
    logs = (pairs.values * pairs.cosines).clamp_min(float(SMALLEST * size)).log()
    rows, targets = [torch.ones(count).double()], [0.0]
    for i, j in torch.unique(pairs.faces, dim=1).T.tolist():
        if last in (i, j):
            continue
        ratios = (logs[1] - logs[0])[(pairs.faces[0] == i) & (pairs.faces[1] == j)]
        low, middle, high = ratios.quantile(torch.tensor([0.25, 0.5, 0.75]).double()).tolist()
        weight = 1 / (high - low + UNSURE)
        ends = torch.tensor([weight, -weight]).double()
        rows.append(torch.zeros(count).double().index_put_((torch.tensor([i, j]),), ends))
        targets.append(weight * middle)
    scales = torch.linalg.lstsq(torch.stack(rows), torch.tensor(targets).double()[:, None]).solution[:, 0]
    if last is not None:
        mine = pairs.faces == last
        shared = mine.any(0)
        aligned = (logs + scales[pairs.faces])[:, shared]
        others = torch.where(mine[:, shared], 0, aligned).sum(0)
        gap = others - torch.where(mine[:, shared], logs[:, shared], 0).sum(0)
        scales = scales.clone()
        scales[last] = gap.median()
        scales = scales - scales.mean()
    return scales.exp()


def _refined(
    pairs: Overlaps, first: Float[Tensor, " f"], prior: float
) -> tuple[Float[Tensor, " f"], Float[Tensor, " f"]]:
    """Return scales and shifts: a factor on each first scale, and a multiple of the typical inverse depth."""
    count, n = len(first), pairs.values.shape[1]
    start = pairs.radial(first, torch.zeros_like(first))
    typical = start.abs().median()
    there = start.abs().mean(0).clamp_min(float(SMALLEST * typical))
    rows = torch.zeros(n, 2 * count).double()
    at = torch.arange(n)
    for side, sign in ((0, 1.0), (1, -1.0)):
        rows[at, pairs.faces[side]] = sign * start[side] / there
        rows[at, count + pairs.faces[side]] = sign * pairs.cosines[side] * typical / there
    expected = torch.cat([torch.ones(count), torch.zeros(count)]).double()
    share, solution = pairs.area / pairs.area.sum(), expected
    for _ in range(ROUNDS):
        weight = share / (rows @ solution).abs().clamp_min(SMALLEST * 10)
        normal = rows.T @ (rows * weight[:, None]) + prior * torch.eye(2 * count).double()
        solution = torch.linalg.solve(normal, prior * expected)
    return first * solution[:count], typical * solution[count:]


def blend_gradients(logs: Planes, weights: Planes, level: Float[Tensor, " h"]) -> tuple[FlatMap, FlatMap]:
    """Return the surface with the mean gradients of `logs` on a panorama, and the plain blend that it is held to.

    `weights` of each face, 0 outside it; `level` is the cosine of latitude of each row. Gradients along a row
    go over the seam; there are none over the poles. A quadratic problem, solved by conjugate gradients.
    """
    logs, weights, level = logs.double(), weights.double(), level.double()
    blend = (weights * logs).sum(0) / weights.sum(0)
    along, along_weight = _mean_gradient(logs, weights, -1)
    down, down_weight = _mean_gradient(logs, weights, -2)
    along_weight, down_weight = along_weight / level[:, None], down_weight * level[:, None]
    down_weight[-1] = 0
    hold = HOLD * level[:, None].expand_as(blend)

    def normal(x: FlatMap) -> FlatMap:
        return (
            hold * x
            - _negative_adjoint(along_weight * _difference(x, -1), -1)
            - _negative_adjoint(down_weight * _difference(x, -2), -2)
        )

    target = hold * blend - _negative_adjoint(along_weight * along, -1) - _negative_adjoint(down_weight * down, -2)
    diagonal = hold + sum(w + w.roll(1, axis) for w, axis in ((along_weight, -1), (down_weight, -2)))
    return _conjugate_gradients(normal, target, diagonal, blend), blend


def _difference(x: Tensor, axis: int) -> Tensor:
    return x.roll(-1, axis) - x


def _negative_adjoint(x: FlatMap, axis: int) -> FlatMap:
    """Return minus the transpose of `_difference`."""
    return x - x.roll(1, axis)


def _mean_gradient(logs: Planes, weights: Planes, axis: int) -> tuple[FlatMap, FlatMap]:
    """Return the mean difference of neighbours over the faces that hold both, and 1 where any face does."""
    both = weights * weights.roll(-1, axis)
    total = both.sum(0)
    return (both * _difference(logs, axis)).sum(0) / total.clamp_min(1e-30), (total > 0).double()


def _conjugate_gradients(
    normal: Callable[[FlatMap], FlatMap], target: FlatMap, diagonal: FlatMap, start: FlatMap
) -> FlatMap:
    """Return the solution of `normal(x) = target`, from `start`, preconditioned by the operator's `diagonal`."""
    x, residual = start, target - normal(start)
    direction = scaled = residual / diagonal
    error = (residual * scaled).sum()
    goal = ENOUGH**2 * error
    for _ in range(STEPS):
        if error <= goal:
            break
        image = normal(direction)
        length = error / (direction * image).sum()
        x, residual = x + length * direction, residual - length * image
        scaled = residual / diagonal
        before, error = error, (residual * scaled).sum()
        direction = scaled + error / before * direction
    return x
