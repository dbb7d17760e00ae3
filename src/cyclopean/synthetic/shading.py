"""The sky: a gradient, a glow around the sun, clouds."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cyclopean.synthetic.batch import Atmospheres, Lights, SceneBatch, own
from cyclopean.synthetic.materials import Surface, albedo
from cyclopean.synthetic.noise import dot, fractal, length, of, power, unit
from cyclopean.synthetic.raycast import shadow

Directions = Float[Tensor, "3 n"]


def cloudy_sky(scene: SceneBatch, direction: Directions, world: Int[Tensor, " n"] | None) -> Float[Tensor, "3 n"]:
    """Return the sky with clouds of fractal noise on a flat layer; `direction` are unit vectors, `world` their
    scenes.
    """
    air, clear = own(scene.air, world), clear_sky(scene, direction, world)
    up = (-direction[1]).clamp(0, 1)
    flat = direction[::2] / (up + 0.12)
    noise = fractal(flat * 1.3, air.seed, octaves=5)
    cover = ((noise + air.clouds - 0.45) * 2.2).clamp(0, 1) * (up * 6).clamp(0, 1) * (air.clouds > 0)
    white = air.white * (1.25 - 0.35 * cover)
    return torch.lerp(clear, white.expand_as(clear), cover)


def clear_sky(scene: SceneBatch, direction: Directions, world: Int[Tensor, " n"] | None) -> Float[Tensor, "3 n"]:
    """Return a gradient from horizon to zenith, dark below the horizon, a glow around the sun."""
    air = own(scene.air, world)
    down = direction[1]
    colour = torch.lerp(air.horizon, air.zenith, (-down).clamp(0, 1).sqrt())
    colour = torch.where(down > 0, air.horizon * (1 - 0.5 * down.clamp(0, 1)), colour)
    for suns in scene.suns:
        sun = own(suns, world)
        toward = dot(direction, sun.position).clamp(0, 1)
        colour = colour + sun.colour * (0.25 * power(toward, 12) + 3 * power(toward, 1500))
    return colour


Vectors = Float[Tensor, "3 n"]


@dataclass(frozen=True)
class Points:
    """Where rays met something: `index` is the primitive, `world` its scene (None: the only one), `air` that of the
    scene, `view` the picture.

    `ray` is a unit vector that leads over `distance` metres to `point`; `normal` points outward. In the object's own
    frame: `local` position in metres and outward `axis`.
    """

    index: Int[Tensor, " n"]
    world: Int[Tensor, " n"] | None
    air: Atmospheres
    view: Int[Tensor, " n"]
    ray: Float[Tensor, "3 n"]
    distance: Float[Tensor, " n"]
    point: Float[Tensor, "3 n"]
    normal: Float[Tensor, "3 n"]
    axis: Float[Tensor, "3 n"]
    local: Float[Tensor, "3 n"]


def points(
    scene: SceneBatch,
    origin: Float[Tensor, "v 3"],
    ray: Vectors,
    t: Float[Tensor, " n"],
    index: Int[Tensor, " n"],
    *,
    view: Int[Tensor, " n"],
) -> Points:
    """Return what lies `t` along rays (of any length) from each view's `origin` that met the primitives `index`."""
    world = None if scene.number == 1 else view // (len(origin) // scene.number)
    inverse, half = of(scene.inverse, index).unflatten(0, (3, 3)), of(scene.half, index)
    reach = length(ray)
    point = origin.T.index_select(1, view) + t * ray
    offset = point - of(scene.center, index)
    at = torch.stack([dot(row, offset) for row in inverse])
    outward = _unit_normals(scene.shape[index], at, half, of(scene.taper, index))
    normal = unit(inverse[0] * outward[0] + inverse[1] * outward[1] + inverse[2] * outward[2])
    return Points(
        index,
        world,
        own(scene.air, world),
        view,
        ray / reach,
        t * reach,
        point,
        normal,
        unit(outward / half),
        at * half,
    )


def _unit_normals(
    shape: Int[Tensor, " n"], at: Vectors, half: Vectors, taper: Float[Tensor, "2 n"]
) -> Float[Tensor, "3 n"]:
    """Return the outward normals (of any length) of the unit shapes."""
    x, y, z = at
    size = at.abs()
    widest = torch.maximum(torch.maximum(size[0], size[1]), size[2])
    box = torch.where(size == widest, at, 0)
    lid = y.abs() > 0.9995
    zero = torch.zeros_like(y)
    round_ = torch.stack([x, zero, z])
    up = torch.stack([zero, y, zero])
    slope = torch.stack([x, -(y + 1) / 4, z])
    normal = torch.where(shape == 1, box, at)
    normal = torch.where(shape == 3, torch.where(lid, up, round_), normal)
    normal = torch.where(shape == 4, torch.where(y > 0.9995, up, slope), normal)
    if (shape > 4).any():
        normal = torch.where(shape == 5, _capsule_normals(at, half[1] / half[0], taper[0]), normal)
        normal = torch.where(shape == 6, _wedge_normals(at, taper), normal)
        slope = torch.stack([x, -(1 - taper[0]) / 2 * (x * x + z * z).sqrt(), z])
        normal = torch.where(shape == 7, torch.where(lid, up, slope), normal)
    return torch.where(shape == 0, at.new_tensor([0.0, -1.0, 0.0])[:, None], normal)


def _capsule_normals(at: Vectors, stretch: Float[Tensor, " n"], small: Float[Tensor, " n"]) -> Vectors:
    """Return the directions from the centres of the balls inside that touch the surface there."""
    x, y, z = at
    span = 2 * stretch - 1 - small
    slope = ((1 - small) / span).clamp(max=0.999)
    up = (stretch - 1) - stretch * y
    centre = up - (x * x + z * z).sqrt() * slope / (1 - slope * slope).sqrt()
    rise = up - torch.minimum(centre.clamp_min(0), span.clamp_min(0))
    return torch.stack([x, -stretch * rise, z])


def _wedge_normals(at: Vectors, taper: Float[Tensor, "2 n"]) -> Vectors:
    x, y, z = at
    widens = (1 - taper) / 2
    reach = (1 + taper) / 2 + widens * y
    over = torch.stack([x.abs() - reach[0], y.abs() - 1, z.abs() - reach[1]])
    side = over.argmax(0)
    zero = torch.zeros_like(x)
    normal = torch.where(side == 0, torch.stack([x.sign(), -widens[0], zero]), torch.stack([zero, y.sign(), zero]))
    return torch.where(side == 2, torch.stack([zero, -widens[1], z.sign()]), normal)


def shade(
    scene: SceneBatch,
    at: Points,
    angle: Float[Tensor, " n"],
    kinds: list[int],
    pictures: Float[Tensor, "k 3 s s"] | None,
) -> Float[Tensor, "3 n"]:
    """Return light that comes back from each point through a pixel that spans `angle` radians.

    Points are sorted by texture: those of texture k end at `kinds[k]`.
    """
    looks = of(scene.looks, at.index)
    glance = dot(at.ray, at.normal).abs()
    footprint = at.distance * angle / glance.clamp_min(0.08)
    half, colours = of(scene.half, at.index), of(scene.colours, at.index)
    surface = Surface(at.local, at.axis, half, footprint, looks, colours, at.view)
    colour = power(albedo(surface, kinds, pictures), 2.2)
    glossy = (looks[4] > 0).nonzero()[:, 0]
    light, gleam = _lit(scene, at, glossy)
    shaded = colour * light
    if len(glossy):
        ray, normal, gloss = at.ray[:, glossy], at.normal[:, glossy], looks[4, glossy]
        gloss = gloss * (0.15 + 0.85 * (1 - glance[glossy]).square().square())
        world = None if at.world is None else at.world[glossy]
        mirror = clear_sky(scene, ray - 2 * dot(ray, normal) * normal, world)
        shine = mirror * light[:, glossy].mean(0).clamp(max=1) + 3 * gleam
        shaded[:, glossy] = torch.lerp(shaded[:, glossy], shine, gloss)
    shaded += colour * looks[5]
    fog = 1 - torch.exp(-at.air.haze * at.distance)
    return torch.lerp(shaded, at.air.horizon.expand_as(shaded), fog)


def _lit(scene: SceneBatch, at: Points, glossy: Int[Tensor, " g"]) -> tuple[Float[Tensor, "3 n"], Float[Tensor, " g"]]:
    """Return light that falls on each point, and how much of it glossy ones would throw into the camera."""
    # From everywhere: the sky from above, the ground from below, less of it close to the ground (contact).
    air, down = at.air, at.normal[1]
    above = (0.5 - 0.5 * down).clamp(0, 1)
    low = (-at.point[1] / 0.5).clamp(0, 1)
    contact = torch.where(down < -0.9, 1.0, 0.7 + 0.3 * low)
    light = torch.lerp(air.bounce, air.above, above) * (air.ambient * contact)
    gleam = at.distance.new_zeros(len(glossy))
    for lights in (*scene.suns, *scene.lamps):
        source = own(lights, at.world)
        strength, towards = _arriving(scene, lights, source, at)
        light += source.colour * strength
        if len(glossy):
            half = unit(towards.expand_as(at.ray)[:, glossy] - at.ray[:, glossy])
            mean = (source.brightness * strength)[glossy]
            gleam += mean * power(dot(half, at.normal[:, glossy]).clamp_min(0), 40)
    return light, gleam


def _arriving(
    scene: SceneBatch, lights: Lights, source: Lights, at: Points
) -> tuple[Float[Tensor, " n"], Float[Tensor, "3 #n"]]:
    """Return how much of `lights` (`source`: each point's own) falls on each point, and the direction towards it."""
    offset = source.position if source.reach is None else source.position - at.point
    span = length(offset)
    towards = offset / span.clamp_min(1e-12)  # no direction leads to a sun that is not there
    strength = dot(towards, at.normal).clamp_min(0)
    if source.reach is not None:
        strength /= 1 + (span / source.reach).square()
    facing = strength.nonzero()[:, 0]
    # Off the surface that they lie on.
    raised = at.point.index_select(1, facing) + 1e-3 * at.normal.index_select(1, facing)
    lit = (~shadow(scene, raised, lights, None if at.world is None else at.world[facing])).float()
    return strength.index_copy(0, facing, strength[facing] * lit), towards
