"""A scene through any camera: colours, exact depth, and which pixels move."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from cyclopean.geometry import Camera, pixel_grid
from cyclopean.worlds.noise import fractal, length
from cyclopean.worlds.raycast import Hits, cast, shadow
from cyclopean.worlds.scene import Light, Scene
from cyclopean.worlds.textures import Surface, albedo


@dataclass(frozen=True)
class Rendered:
    """One view: linear light (unbounded above), depth as the camera defines it (inf: sky), moving objects."""

    light: Float[Tensor, "1 3 h w"]
    depth: Float[Tensor, "1 1 h w"]
    moving: Bool[Tensor, "1 1 h w"]


@dataclass(frozen=True)
class Points:
    """Where rays met something: n of a picture's pixels.

    `pixel` counts row by row through a picture of `size`, `index` is the primitive met; `ray` and `distance` (metres
    along it) lead to `point`; `normal` points outward. In the object's own frame: `local` position in metres and
    outward `axis`.
    """

    size: tuple[int, int]
    pixel: Int[Tensor, " n"]
    index: Int[Tensor, " n"]
    ray: Float[Tensor, "3 n"]
    distance: Float[Tensor, " n"]
    point: Float[Tensor, "3 n"]
    normal: Float[Tensor, "3 n"]
    axis: Float[Tensor, "3 n"]
    local: Float[Tensor, "3 n"]


def render(
    scene: Scene,
    camera: Camera,
    world_from_camera: Float[Tensor, "1 4 4"],
    size: tuple[int, int],
    pictures: Float[Tensor, "k 3 s s"] | None = None,
) -> Rendered:
    """Ray-cast `scene` (already at its time: `scene.at(t)`) at `size` (height, width). Depth multiplies `camera.rays`.

    `pictures` are laid over surfaces that show photographs; without them such surfaces show noise.
    """
    grid = pixel_grid(size, world_from_camera)
    R, origin = world_from_camera[0, :3, :3], world_from_camera[0, :3, 3]
    rays = torch.einsum("ij,hwj->ihw", R, camera.rays(grid)[0]).contiguous()
    hits = cast(scene, origin, rays)
    met = hits.t.isfinite()
    points = _points(scene, origin, rays, hits)
    light = rays.new_zeros(3, size[0] * size[1])
    light[:, points.pixel] = _shade(scene, points, _pixel_angle(rays).flatten()[points.pixel], pictures)
    empty = (~met).flatten().nonzero()[:, 0]
    beyond = rays.flatten(1)[:, empty]
    light[:, empty] = _sky(scene, beyond / length(beyond))
    moving = met & (scene.velocity.norm(dim=1) > 0)[hits.index.clamp_min(0).long()]
    return Rendered(light.view(1, 3, *size), hits.t[None, None], moving[None, None])


def _points(scene: Scene, origin: Float[Tensor, " 3"], rays: Float[Tensor, "3 h w"], hits: Hits) -> Points:
    pixel = hits.t.isfinite().flatten().nonzero()[:, 0]
    ray = rays.flatten(1)[:, pixel]
    t, index = hits.t.flatten()[pixel], hits.index.flatten()[pixel].long()
    point = origin[:, None] + t * ray
    axis, normal, local = _normals(scene, point, index)
    h, w = hits.t.shape
    return Points((h, w), pixel, index, ray, t * length(ray), point, normal, axis, local)


def _shade(
    scene: Scene, at: Points, angle: Float[Tensor, " n"], pictures: Float[Tensor, "k 3 s s"] | None
) -> Float[Tensor, "3 n"]:
    """Light that comes back from each point through a pixel that spans `angle` radians."""
    reach = length(at.ray)
    glance = (at.ray * at.normal).sum(0).abs() / reach
    looks = scene.looks[at.index]
    footprint = at.distance * angle / glance.clamp_min(0.08)
    half, colours = scene.half[at.index].T, scene.colours[at.index]
    colour = albedo(Surface(at.local, at.axis, half, footprint, looks, colours), pictures).pow(2.2)
    light, gleam = _lit(scene, at, reach)
    mirrored = at.ray - 2 * (at.ray * at.normal).sum(0) * at.normal
    mirror = _clear_sky(scene, mirrored / reach)
    gloss = looks[:, 4] * (0.15 + 0.85 * (1 - glance).pow(4))
    shaded = colour * light * (1 - gloss) + gloss * (mirror * light.mean(0).clamp(max=1) + 3 * gleam)
    shaded = shaded + colour * looks[:, 5]
    fog = 1 - torch.exp(-scene.air.haze * at.distance)
    return torch.lerp(shaded, shaded.new_tensor(scene.air.horizon)[:, None], fog)


def _lit(scene: Scene, at: Points, reach: Float[Tensor, " n"]) -> tuple[Float[Tensor, "3 n"], Float[Tensor, " n"]]:
    """Light that falls on each point, and how much of it a glossy surface would throw into the camera."""
    light, gleam = _ambient(scene, at.point, at.normal), torch.zeros_like(at.distance)
    for source in scene.lights:
        arriving, towards = _arriving(scene, source, at)
        light = light + arriving
        half = _unit(towards - at.ray / reach)
        gleam = gleam + arriving.mean(0) * (half * at.normal).sum(0).clamp_min(0).pow(40)
    return light, gleam


def _unit(x: Float[Tensor, "3 n"]) -> Float[Tensor, "3 n"]:
    return x / length(x).clamp_min(1e-12)


def _pixel_angle(rays: Float[Tensor, "3 h w"]) -> Float[Tensor, "h w"]:
    """Angle between neighbouring pixels, radians."""
    unit = rays / length(rays)
    step = length(unit[:, :, 1:] - unit[:, :, :-1])
    return torch.cat([step, step[:, -1:]], 1)


def _normals(
    scene: Scene, point: Float[Tensor, "3 n"], index: Int[Tensor, " n"]
) -> tuple[Float[Tensor, "3 n"], Float[Tensor, "3 n"], Float[Tensor, "3 n"]]:
    """Outward axis in the object's frame, normal in the world, position in the object's frame in metres."""
    inverse = scene.inverse[index]
    unit = torch.einsum("nij,jn->in", inverse, point - scene.center[index].T)
    unit_normal = _unit_normals(scene.shape[index], unit)
    normal = _unit(torch.einsum("nij,in->jn", inverse, unit_normal))
    half = scene.half[index].T
    return _unit(unit_normal / half), normal, unit * half


def _unit_normals(shape: Int[Tensor, " n"], unit: Float[Tensor, "3 n"]) -> Float[Tensor, "3 n"]:
    """Outward normals (of any length) of the unit shapes: plane, box, ellipsoid, cylinder, cone."""
    x, y, z = unit
    box = torch.nn.functional.one_hot(unit.abs().argmax(0), 3).T * unit.sign()
    lid = y.abs() > 0.9995
    round_ = torch.stack([x, torch.zeros_like(y), z])
    up = torch.stack([torch.zeros_like(x), y.sign(), torch.zeros_like(x)])
    slope = torch.stack([x, -(y + 1) / 4, z])
    normal = torch.where(shape == 1, box, unit)
    normal = torch.where(shape == 3, torch.where(lid, up, round_), normal)
    normal = torch.where(shape == 4, torch.where(y > 0.9995, up, slope), normal)
    return torch.where(shape == 0, unit.new_tensor([0.0, -1.0, 0.0])[:, None], normal)


def _ambient(scene: Scene, point: Float[Tensor, "3 n"], normal: Float[Tensor, "3 n"]) -> Float[Tensor, "3 n"]:
    """Light from everywhere: the sky from above, the ground from below, less of it close to the ground (contact)."""
    air = scene.air
    above = (0.5 - 0.5 * normal[1]).clamp(0, 1)
    sky = point.new_tensor(air.zenith)[:, None] * 0.5 + point.new_tensor(air.horizon)[:, None] * 0.5
    low = (-point[1] / 0.5).clamp(0, 1)
    contact = torch.where(normal[1] < -0.9, 1.0, 0.7 + 0.3 * low)
    return air.ambient * torch.lerp(point.new_tensor(air.bounce)[:, None], sky, above) * contact


def _arriving(scene: Scene, source: Light, at: Points) -> tuple[Float[Tensor, "3 n"], Float[Tensor, "3 n"]]:
    """Light of one source that falls on each point, and the direction towards it."""
    position = at.point.new_tensor(source.position)
    distant = source.reach == math.inf
    offset = position[:, None].expand_as(at.point) if distant else position[:, None] - at.point
    span = length(offset)
    towards = offset / span
    facing = (towards * at.normal).sum(0)
    raised = at.point + 1e-3 * at.normal * (1 + span / 1000 if distant else 1)  # off the surface that it lies on
    dark = shadow(scene, _spread(raised, at), position, distant, _spread(facing > 0, at)).flatten()[at.pixel]
    strength = facing.clamp_min(0) * (~dark) / (1.0 if distant else 1 + (span / source.reach).square())
    return strength * at.point.new_tensor(source.colour)[:, None], towards


def _spread(values: Shaped[Tensor, "*c n"], at: Points) -> Shaped[Tensor, "*c h w"]:
    """Values of points as a picture, 0 elsewhere."""
    h, w = at.size
    field = values.new_zeros(*values.shape[:-1], h * w)
    field[..., at.pixel] = values
    return field.unflatten(-1, (h, w))


def _sky(scene: Scene, direction: Float[Tensor, "3 n"]) -> Float[Tensor, "3 n"]:
    """The sky with clouds of fractal noise on a flat layer."""
    air, clear = scene.air, _clear_sky(scene, direction)
    if air.clouds <= 0:
        return clear
    up = (-direction[1]).clamp(0, 1)
    flat = direction / (up + 0.12)
    seed = torch.full(up.shape, air.seed, dtype=torch.int32, device=up.device)
    noise = fractal(torch.stack([flat[0], flat[2], 0 * up]) * 1.3, seed, torch.zeros_like(up), 5)
    cover = ((noise + air.clouds - 0.45) * 2.2).clamp(0, 1) * (up * 6).clamp(0, 1)
    white = up.new_tensor(air.horizon).mean() * (1.25 - 0.35 * cover)
    return torch.lerp(clear, white.expand_as(clear), cover)


def _clear_sky(scene: Scene, direction: Float[Tensor, "3 n"]) -> Float[Tensor, "3 n"]:
    """A gradient from horizon to zenith, dark below the horizon, a glow around the sun."""
    horizon, zenith = (direction.new_tensor(colour)[:, None] for colour in (scene.air.horizon, scene.air.zenith))
    down = direction[1]
    colour = torch.lerp(horizon, zenith, (-down).clamp(0, 1).sqrt())
    colour = torch.where(down > 0, horizon * (1 - 0.5 * down.clamp(0, 1)), colour)
    for source in scene.lights:
        if source.reach == math.inf:
            toward = (direction * direction.new_tensor(source.position)[:, None]).sum(0).clamp(0, 1)
            glow = 0.25 * toward.pow(12) + 3 * toward.pow(1500)
            colour = colour + direction.new_tensor(source.colour)[:, None] * glow
    return colour
