"""Faces of a panorama merged by their slopes: no step where one ends, and no bowl of light inside each.

After the best scale and shift, two faces still differ smoothly (each bends the floor its own way). Blending them shows
where one takes over. Slopes are what a network of pictures knows best, so those of the logarithm are averaged instead,
and the surface that has them is solved for, as panorama stitchers do with colours (Pérez et al., Poisson image editing,
2003); it stays near the blend over long distances.
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

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
