"""A scene through any camera: colours, exact depth, and which pixels move."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
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


def render(
    scene: Scene,
    camera: Camera,
    world_from_camera: Float[Tensor, "1 4 4"],
    size: tuple[int, int],
    pictures: Float[Tensor, "k 3 s s"] | None = None,
) -> Rendered:
    """Ray-cast `scene` (already at its time: `scene.at(t)`) at `size` (height, width). Depth multiplies `camera.rays`."""
    grid = pixel_grid(size, world_from_camera)
    R, origin = world_from_camera[0, :3, :3], world_from_camera[0, :3, 3]
    rays = torch.einsum("ij,hwj->ihw", R, camera.rays(grid)[0]).contiguous()
    hits = cast(scene, origin, rays)
    met = hits.t.isfinite()
    light = _shade(scene, origin, rays, hits, pictures)
    empty = (~met).flatten().nonzero()[:, 0]
    beyond = rays.flatten(1)[:, empty]
    light.flatten(1)[:, empty] = _sky(scene, beyond / length(beyond))
    moving = met & (scene.velocity.norm(dim=1) > 0)[hits.index.clamp_min(0).long()]
    return Rendered(light[None], hits.t[None, None], moving[None, None])


def _shade(scene: Scene, origin: Tensor, rays: Tensor, hits: Hits, pictures: Tensor | None) -> Float[Tensor, "3 h w"]:
    """Light that comes back along each ray that met something (0 elsewhere)."""
    h, w = hits.t.shape
    met = hits.t.isfinite().flatten()
    chosen = met.nonzero()[:, 0]
    ray = rays.flatten(1)[:, chosen]
    t, index = hits.t.flatten()[chosen], hits.index.flatten()[chosen].long()
    point = origin[:, None] + t * ray
    axis, normal, local = _normals(scene, point, index)
    reach = length(ray)
    distance = t * reach
    glance = (ray * normal).sum(0).abs() / reach
    pixel = _pixel_angle(rays).flatten()[chosen]
    looks = scene.looks[scene.material[index]]
    footprint = distance * pixel / glance.clamp_min(0.08)
    surface = Surface(local, axis, scene.half[index].T, footprint, looks, scene.colours[scene.material[index]])
    colour = albedo(surface, pictures).pow(2.2)
    gleam = torch.zeros_like(t)
    light = _ambient(scene, point, normal)
    for source in scene.lights:
        arriving, towards = _arriving(scene, source, point, normal, chosen, (h, w))
        light = light + arriving
        half = _unit(towards - ray / reach)
        gleam = gleam + arriving.mean(0) * (half * normal).sum(0).clamp_min(0).pow(40)
    mirrored = ray - 2 * (ray * normal).sum(0) * normal
    mirror = _sky(scene, mirrored / reach, clouds=False)
    gloss = looks[:, 4] * (0.15 + 0.85 * (1 - glance).pow(4))
    shaded = colour * light * (1 - gloss) + gloss * (mirror * light.mean(0).clamp(max=1) + 3 * gleam)
    shaded = shaded + colour * looks[:, 5]
    fog = 1 - torch.exp(-scene.air.haze * distance)
    shaded = torch.lerp(shaded, shaded.new_tensor(scene.air.horizon)[:, None], fog)
    out = rays.new_zeros(3, h * w)
    out[:, chosen] = shaded
    return out.view(3, h, w)


def _unit(x: Float[Tensor, "3 n"]) -> Float[Tensor, "3 n"]:
    return x / length(x).clamp_min(1e-12)


def _pixel_angle(rays: Float[Tensor, "3 h w"]) -> Float[Tensor, "h w"]:
    """Angle between neighbouring pixels, radians."""
    unit = rays / length(rays)
    step = length(unit[:, :, 1:] - unit[:, :, :-1])
    return torch.cat([step, step[:, -1:]], 1)


def _normals(scene: Scene, point: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Outward axis on the unit shape (its metric direction in the object), world normal, position in the object's metres."""
    inverse = scene.inverse[index]
    unit = torch.einsum("nij,jn->in", inverse, point - scene.center[index].T)
    shape = scene.shape[index]
    x, y, z = unit
    box = torch.nn.functional.one_hot(unit.abs().argmax(0), 3).T * unit.sign()
    lid = y.abs() > 0.9995
    round_ = torch.stack([x, torch.zeros_like(y), z])
    up = torch.stack([torch.zeros_like(x), y.sign(), torch.zeros_like(x)])
    slope = torch.stack([x, -(y + 1) / 4, z])
    unit_normal = torch.where(shape == 1, box, unit)
    unit_normal = torch.where(shape == 3, torch.where(lid, up, round_), unit_normal)
    unit_normal = torch.where(shape == 4, torch.where(y > 0.9995, up, slope), unit_normal)
    unit_normal = torch.where(shape == 0, unit.new_tensor([0.0, -1.0, 0.0])[:, None], unit_normal)
    normal = _unit(torch.einsum("nij,in->jn", inverse, unit_normal))
    half = scene.half[index].T
    return _unit(unit_normal / half), normal, unit * half


def _ambient(scene: Scene, point: Tensor, normal: Tensor) -> Tensor:
    """Light from everywhere: the sky from above, the ground from below, less of it close to the ground (contact)."""
    air = scene.air
    above = (0.5 - 0.5 * normal[1]).clamp(0, 1)
    sky = point.new_tensor(air.zenith)[:, None] * 0.5 + point.new_tensor(air.horizon)[:, None] * 0.5
    low = (-point[1] / 0.5).clamp(0, 1)
    contact = torch.where(normal[1] < -0.9, 1.0, 0.7 + 0.3 * low)
    return air.ambient * torch.lerp(point.new_tensor(air.bounce)[:, None], sky, above) * contact


def _arriving(
    scene: Scene, source: Light, point: Tensor, normal: Tensor, chosen: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Light of one source that falls on each point, and the direction towards it."""
    position = point.new_tensor(source.position)
    distant = source.reach == float("inf")
    offset = position[:, None].expand_as(point) if distant else position[:, None] - point
    span = length(offset)
    towards = offset / span
    facing = (towards * normal).sum(0)
    field = point.new_zeros(3, size[0] * size[1])
    field[:, chosen] = point + 1e-3 * normal * (1 + span / 1000 if distant else 1)
    lit = torch.zeros(size[0] * size[1], dtype=torch.bool, device=point.device)
    lit[chosen] = facing > 0
    dark = shadow(scene, field.view(3, *size), position, distant, lit.view(size)).flatten()[chosen]
    strength = facing.clamp_min(0) * (~dark) / (1.0 if distant else 1 + (span / source.reach).square())
    return strength * point.new_tensor(source.colour)[:, None], towards


def _sky(scene: Scene, direction: Float[Tensor, "3 *n"], clouds: bool = True) -> Float[Tensor, "3 *n"]:
    """A gradient from horizon to zenith, a glow around the sun, clouds of fractal noise on a flat layer."""
    air = scene.air
    shape = direction.shape[1:]
    d = direction.flatten(1)
    up = (-d[1]).clamp(0, 1)
    colour = torch.lerp(d.new_tensor(air.horizon)[:, None], d.new_tensor(air.zenith)[:, None], up.sqrt())
    colour = torch.where(d[1] > 0, d.new_tensor(air.horizon)[:, None] * (1 - 0.5 * d[1].clamp(0, 1)), colour)
    for source in scene.lights:
        if source.reach == float("inf"):
            toward = (d * d.new_tensor(source.position)[:, None]).sum(0).clamp(0, 1)
            colour = colour + d.new_tensor(source.colour)[:, None] * (0.25 * toward.pow(12) + 3 * toward.pow(1500))
    if clouds and air.clouds > 0:
        flat = d / (up + 0.12)
        seed = torch.full(up.shape, air.seed, dtype=torch.int32, device=d.device)
        noise = fractal(torch.stack([flat[0], flat[2], 0 * up]) * 1.3, seed, torch.zeros_like(up), 5)
        cover = ((noise + air.clouds - 0.45) * 2.2).clamp(0, 1) * (up * 6).clamp(0, 1)
        white = d.new_tensor(air.horizon)[:, None].mean() * (1.25 - 0.35 * cover)
        colour = torch.lerp(colour, white.expand_as(colour), cover)
    return colour.view(3, *shape)
