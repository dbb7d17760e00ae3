"""A scene: primitives with materials, lights and air.

Frame of the world: x right, y down, z forward, ground at y = 0, metres.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from itertools import count
from typing import Any, Concatenate, ParamSpec

import numpy as np
import torch
from torch import Tensor

from cyclopean.sample import map_tensors

Number = float | int  # checkers of types at run time tell them apart, people need not
Triple = tuple[Number, Number, Number]
P = ParamSpec("P")

FRAME_TIME = 0.1  # seconds between frames of a clip
SHAPES = ("plane", "box", "ellipsoid", "cylinder", "cone", "capsule", "wedge", "frustum")
# The ways to cut holes, in cutouts.py. What is cut in the ways from "bars" on casts no shadow; else holes are ignored.
CUTS = ("noise", "leaf", "petals", "strands", "bars", "net", "spokes", "frond", "tuft")
# The textures, in textures.py; scenes hold their place in this list.
KINDS = (
    "plain",
    "noise",
    "checker",
    "stripes",
    "brick",
    "wood",
    "leaves",
    "windows",
    "road",
    "picture",
    "gravel",
    "tiles",
    "poster",
)


@dataclass(frozen=True)
class Material:
    """How a surface looks. Colours are sRGB in [0,1]; `scale` is the texture's cells per metre.

    With `holes` above 0 it has holes, cut in the way `cut`.
    """

    kind: str = "noise"
    a: Triple = (0.5, 0.5, 0.5)
    b: Triple = (0.4, 0.4, 0.4)
    c: Triple = (0.3, 0.3, 0.3)
    scale: Number = 2.0
    contrast: Number = 1.0
    grain: Number = 0.3
    gloss: Number = 0.0
    glow: Number = 0.0
    holes: Number = 0.0
    seed: int = 0
    cut: str = "noise"


@dataclass(frozen=True)
class Light:
    """The sun (`position`: the direction towards it, `reach` inf) or a lamp (in metres; `reach`: its falloff)."""

    position: Triple
    colour: Triple
    reach: Number = math.inf


@dataclass(frozen=True)
class Atmosphere:
    """Sky, ambient light and haze, in linear light."""

    zenith: Triple = (0.25, 0.45, 0.9)
    horizon: Triple = (0.7, 0.8, 0.95)
    ambient: Number = 0.4
    bounce: Triple = (0.2, 0.2, 0.18)
    clouds: Number = 0.5
    haze: Number = 0.002
    seed: int = 0


@dataclass(frozen=True)
class Scene:
    """Primitives as arrays, sorted by shape: `inverse` maps world offsets to the unit shape, `half` are half extents.

    `taper`: how wide the upper end is in x and z, where the lower one is 1 (of capsules, wedges and frusta).
    `velocity` in metres per second; `looks` and `colours` are each primitive's material; `objects` is the number of the
    object that it is a part of, 0 for ground, walls and what hangs on them; `far` is the depth in metres beyond which
    nothing in a scene of this kind is of interest.
    """

    shape: Tensor
    center: Tensor
    inverse: Tensor
    half: Tensor
    taper: Tensor
    velocity: Tensor
    looks: Tensor
    colours: Tensor
    objects: Tensor
    lights: tuple[Light, ...]
    air: Atmosphere
    family: str
    seed: int
    far: Number

    def at(self, time: Number) -> "Scene":
        """Return the scene `time` seconds later: objects with a velocity have moved."""
        return replace(self, center=self.center + self.velocity * time)

    def to(self, device: torch.device | str) -> "Scene":
        return map_tensors(lambda x: x.to(device), self)

    @property
    def radius(self) -> Tensor:
        """Radius of each primitive's bounding sphere, metres (planes: unbounded)."""
        return torch.where(self.shape == 0, math.inf, self.half.norm(dim=-1))


def turn(yaw: Number = 0.0, pitch: Number = 0.0, roll: Number = 0.0) -> np.ndarray:
    """Return the rotation world_from_object in radians: yaw turns right, pitch looks up, roll tilts clockwise and
    comes first.
    """
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (math.cos, math.sin))
    yaws = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    pitches = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    rolls = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return yaws @ pitches @ rolls


@dataclass
class Builder:
    """Collects primitives; `place` shifts and turns what is added inside it (objects are built at their own origin).

    What is added through `thing` is one object; `numbers` are those of the objects that are still to come.
    """

    shapes: list[int] = field(default_factory=list)
    centers: list[np.ndarray] = field(default_factory=list)
    rotations: list[np.ndarray] = field(default_factory=list)
    halves: list[Triple] = field(default_factory=list)
    tapers: list[tuple[Number, Number]] = field(default_factory=list)
    velocities: list[Triple] = field(default_factory=list)
    materials: list[Material] = field(default_factory=list)
    objects: list[int] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    frame: tuple[np.ndarray, np.ndarray] = field(default_factory=lambda: (np.eye(3), np.zeros(3)))
    velocity: Triple = (0.0, 0.0, 0.0)
    object: int = 0

    def place(
        self, x: Number, y: Number, z: Number, yaw: Number = 0.0, velocity: Triple = (0.0, 0.0, 0.0)
    ) -> "Builder":
        """Return a builder for the same scene with its origin at (x, y, z), turned by `yaw`, moving at `velocity`
        (m/s).
        """
        R, t = self.frame
        moved = replace(self, frame=(R @ turn(yaw), R @ np.array([x, y, z]) + t))
        moved.velocity = velocity if velocity != (0.0, 0.0, 0.0) else self.velocity
        return moved

    def turned(self, rotation: np.ndarray) -> "Builder":
        """Return a builder for the same scene with its axes turned about its origin."""
        R, t = self.frame
        return replace(self, frame=(R @ rotation, t))

    def thing(self) -> "Builder":
        """Return a builder for the same scene whose primitives are one object; inside an object, this builder."""
        return self if self.object else replace(self, object=next(self.numbers))

    def add(
        self,
        shape: str,
        center: Triple,
        half: Triple,
        material: Material,
        rotation: np.ndarray | None = None,
        *,
        taper: tuple[Number, Number] = (1.0, 1.0),
    ) -> None:
        """Add one primitive, `half` extents along its own axes (a cylinder's and cone's axis is y, the cone's tip
        up).

        `taper`: the width of a wedge's (a box with sloping sides) top in x and z, of a frustum's top (x) and of a
        capsule's upper ball (x), where the lower end is 1. A capsule is higher than wide.
        """
        assert 0 <= max(taper) <= 1, "the upper end is the smaller one; turn the shape over"
        R, t = self.frame
        self.shapes.append(SHAPES.index(shape))
        self.centers.append(R @ np.asarray(center, dtype=float) + t)
        self.rotations.append(R if rotation is None else R @ rotation)
        self.halves.append((float(half[0]), float(half[1]), float(half[2])))
        self.tapers.append((float(taper[0]), float(taper[1])))
        self.velocities.append(self.velocity)
        self.materials.append(material)
        self.objects.append(self.object)

    def limb(
        self, start: Triple, end: Triple, radii: tuple[Number, Number], material: Material, flat: Number = 1.0
    ) -> None:
        """Add a rounded limb between two points, of a radius at each; `flat`: its thickness over its width."""
        if radii[0] < radii[1]:
            start, end, radii = end, start, (radii[1], radii[0])
        big, small = radii
        low, high = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
        way = low - high
        span = float(np.linalg.norm(way))
        if span < 1.05 * (big - small) + 1e-6:  # one ball holds the other
            self.add("ellipsoid", start, (big, big, big * flat), material)
            return
        down = way / span
        side = np.cross(down, (0.0, 0.0, 1.0) if abs(down[2]) < 0.9 else (1.0, 0.0, 0.0))
        side /= np.linalg.norm(side)
        rotation = np.stack([side, down, np.cross(side, down)], 1)
        x, y, z = (low + high + down * (big - small)) / 2
        half = (big, (span + big + small) / 2, big * flat)
        self.add("capsule", (x, y, z), half, material, rotation, taper=(small / big, 1.0))

    def clear_of(self, point: Triple, distance: Number) -> "Builder":
        """Leave out the bounded primitives that come within `distance` of `point`: no camera stands inside one."""
        keep = np.flatnonzero(self._gaps(point) > distance).tolist()
        return Builder(
            shapes=[self.shapes[n] for n in keep],
            centers=[self.centers[n] for n in keep],
            rotations=[self.rotations[n] for n in keep],
            halves=[self.halves[n] for n in keep],
            tapers=[self.tapers[n] for n in keep],
            velocities=[self.velocities[n] for n in keep],
            materials=[self.materials[n] for n in keep],
            objects=[self.objects[n] for n in keep],
            numbers=self.numbers,
        )

    def worn(self, grain: Number, contrast: Number) -> "Builder":
        """Return the same with surfaces as weather and use leave them: at least so much fine and coarse texture."""
        materials = [
            replace(m, grain=max(grain, 2 * m.grain), contrast=max(contrast, m.contrast)) for m in self.materials
        ]
        return replace(self, materials=materials)

    def room_around(self, point: Triple) -> float:
        """Return the distance of `point` from the nearest bounded primitive's box (metres; 0 inside, inf with none)."""
        return float(self._gaps(point).min(initial=math.inf))

    def _gaps(self, point: Triple) -> np.ndarray:
        """Return the distance of `point` from each primitive's box (metres; 0 inside, inf from planes)."""
        if not self.shapes:
            return np.zeros(0)
        offset = np.asarray(point) - np.array(self.centers)
        local = np.abs(np.einsum("nij,ni->nj", np.array(self.rotations), offset))
        gaps = np.linalg.norm(np.maximum(local - np.array(self.halves), 0), axis=1)
        return np.where(np.array(self.shapes) == 0, math.inf, gaps)

    def scene(self, lights: Sequence[Light], air: Atmosphere, family: str, seed: int, far: Number) -> Scene:
        """Return the finished scene; primitives sorted by shape."""
        order = sorted(range(len(self.shapes)), key=lambda n: self.shapes[n])
        half, rotation = _rows(self.halves, order), _rows(self.rotations, order)
        return Scene(
            shape=torch.tensor([self.shapes[n] for n in order], device="cpu"),
            center=_rows(self.centers, order),
            inverse=rotation.transpose(1, 2) / half[:, :, None],
            half=half,
            taper=_rows(self.tapers, order),
            velocity=_rows(self.velocities, order),
            looks=_rows([_looks(m) for m in self.materials], order),
            colours=_rows([(*m.a, *m.b, *m.c) for m in self.materials], order),
            objects=torch.tensor([self.objects[n] for n in order], dtype=torch.int32, device="cpu"),
            lights=tuple(lights),
            air=air,
            family=family,
            seed=seed,
            far=far,
        )


def one_object(make: Callable[Concatenate[Builder, P], None]) -> Callable[Concatenate[Builder, P], None]:
    """Return `make` such that all it adds to a builder is one object, or a part of the object it is called in."""

    @wraps(make)
    def made(b: Builder, *rest: P.args, **named: P.kwargs) -> None:
        make(b.thing(), *rest, **named)

    return made


def _rows(values: Sequence[Any], order: Sequence[int]) -> Tensor:
    return torch.tensor(np.array([values[n] for n in order]), dtype=torch.float32, device="cpu")


def _looks(m: Material) -> tuple[Number, ...]:
    """Return what materials.py and raycast.py read of a material beside its colours."""
    patterns = (KINDS.index(m.kind), m.scale, m.contrast, m.grain, m.gloss, m.glow)
    return (*patterns, m.holes, m.seed % 1000003, CUTS.index(m.cut))


@dataclass(frozen=True)
class Capture:
    """How a family has its pictures taken: `roll` in radians; horizontal field of view in degrees and mean brightness
    (None: as any); the diameter of the lens and the distance in focus, in metres (0: a pinhole).
    """

    roll: Number = 0.0
    field_of_view: Number | None = None
    key: Number | None = None
    aperture: Number = 0.0
    focus: Number = math.inf


AS_ANY = Capture()


@dataclass(frozen=True)
class Layout:
    """What a family decides: what stands where, the light, and where the camera looks from (metres, radians).

    `steps`: how far the camera is in the frames before and after, and how it is turned (yaw, pitch, roll) beside what
    it is here; without them a rig decides. `interval`: seconds from one frame to the next.
    """

    builder: Builder
    lights: tuple[Light, ...]
    air: Atmosphere
    position: Triple
    yaw: Number
    pitch: Number
    baseline: Number
    far: Number
    floor: tuple[Number, Number] = (0.0, 0.0)  # half its extents along x and z where walls bound it, else 0
    road: Number = 0.0  # half the width of one along z, where there is one
    steps: tuple[tuple[Triple, Triple], ...] = ()
    interval: Number = FRAME_TIME
    capture: Capture = AS_ANY
    clearance: Number | None = None  # metres around the camera that are kept free (None: what the baseline needs)
