"""Where rays meet unit shapes: plane, box, ellipsoid, cylinder, cone, in that order.

A ray is o + t * d. Each function gives the t of the first meeting and of the last one (the same where only one is
needed); a t of at least FAR means that they do not meet. All is plain arithmetic: a condition that fails adds a penalty
that no distance reaches, because selecting by masks is many times slower than adding on a CPU.
"""

import torch
from jaxtyping import Float
from torch import Tensor

# Beyond this many metres a ray has met nothing: the ground fades into the sky.
FAR = 3000.0
_PENALTY = 1e30
# Keeps divisions finite; far below the rounding of any direction that is not exactly 0.
_TINY = 1e-20

Origin = Float[Tensor, "k 3 #m"]
Direction = Float[Tensor, "k 3 #m"]
Meeting = Float[Tensor, "k m"]


def _failed(*excesses: Tensor) -> Tensor:
    """A penalty where any of these is above 0."""
    total = torch.relu(excesses[0])
    for excess in excesses[1:]:
        total = total + torch.relu(excess)
    return total * _PENALTY


def _plane(o: Origin, d: Direction) -> tuple[Meeting, Meeting]:
    t = -o[:, 1] / (d[:, 1] + _TINY)
    t = t + _failed(1e-4 - t)
    return t, t


def _box(o: Origin, d: Direction) -> tuple[Meeting, Meeting]:
    inverse = (d + _TINY).reciprocal()
    middle, reach = o * inverse, inverse.abs()
    enter, leave = middle + reach, middle - reach
    near = -torch.minimum(torch.minimum(enter[:, 0], enter[:, 1]), enter[:, 2])
    far = -torch.maximum(torch.maximum(leave[:, 0], leave[:, 1]), leave[:, 2])
    missed = _failed(near - far, -near)
    return near + missed, far + missed


def _ellipsoid(o: Origin, d: Direction) -> tuple[Meeting, Meeting]:
    a, b, c = _dot(d, d), _dot(o, d), _dot(o, o) - 1
    root = b * b - a * c
    missed = _failed(-root, b, -c)
    root = torch.relu(root).sqrt()
    return (-b - root) / a + missed, (root - b) / a + missed


def _cylinder(o: Origin, d: Direction) -> tuple[Meeting, Meeting]:
    ox, oy, oz = o.unbind(1)
    dx, dy, dz = d.unbind(1)
    a = (dx * dx + dz * dz).clamp_min(1e-12)
    b, c = ox * dx + oz * dz, ox * ox + oz * oz - 1
    root = b * b - a * c
    side = (-b - torch.relu(root).sqrt()) / a
    side = side + _failed(-root, (oy + side * dy).abs() - 1, -side)
    lid = (-dy.sign() - oy) / (dy + _TINY)
    lid = lid + _failed((ox + lid * dx).square() + (oz + lid * dz).square() - 1, -lid)
    near = torch.minimum(side, lid)
    return near, near


def _cone(o: Origin, d: Direction) -> tuple[Meeting, Meeting]:
    # x² + z² = ((y + 1) / 2)²: tip at y = -1 (up), base of radius 1 at y = +1.
    ox, oy, oz = o.unbind(1)
    dx, dy, dz = d.unbind(1)
    k, m = dy / 2, (oy + 1) / 2
    a = dx * dx + dz * dz - k * k + _TINY
    b, c = ox * dx + oz * dz - m * k, ox * ox + oz * oz - m * m
    root = b * b - a * c
    s = torch.relu(root).sqrt()
    base = (1 - oy) / (dy + _TINY)
    near = base + _failed((ox + base * dx).square() + (oz + base * dz).square() - 1, -base)
    for t in ((-b - s) / a, (s - b) / a):
        near = torch.minimum(near, t + _failed(-root, (oy + t * dy).abs() - 1, -t))
    return near, near


def _dot(x: Tensor, y: Tensor) -> Tensor:
    return x[:, 0] * y[:, 0] + x[:, 1] * y[:, 1] + x[:, 2] * y[:, 2]


MEETINGS = (_plane, _box, _ellipsoid, _cylinder, _cone)
