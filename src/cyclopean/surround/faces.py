"""A network for perspective pictures on a panorama: six overlapping faces, aligned together and merged."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.geometry import Equirectangular, Pinhole, face_camera, pixel_grid, uv_on_faces, uv_on_sphere
from cyclopean.images import resize
from cyclopean.sample import View, view
from cyclopean.surround.aligning import overlaps, solved
from cyclopean.synthesis import pull

Map = Float[Tensor, "1 1 h w"]
Image = Float[Tensor, "1 3 h w"]
See = Callable[[View], Float[Tensor, "b 1 h w"]]

FIELD_OF_VIEW = 100.0  # degrees of a face: neighbours share 10
SAMPLED = (96, 192)  # directions at which faces are compared


@dataclass(frozen=True)
class Merged:
    """The inverse distance of a panorama from faces, and how far neighbouring faces disagree where both see (relative):
    as they came, and after their scales and shifts were solved for."""

    inverse_depth: Map
    before: float
    after: float


def merged_faces(see: See, image: Image, side: int, field_of_view: float = FIELD_OF_VIEW) -> Merged:
    """The inverse depth that `see` finds in six faces of `side` pixels, merged into one panorama of their detail.

    On a face z = radius * cosine, so an inverse depth d there is an inverse distance d * cosine. Where faces overlap,
    these have to agree after a scale and a shift of each face's d; then faces fade into each other over the overlap.
    """
    width = 4 * round(side * 90 / field_of_view)
    size = (width // 2, width)
    found = see(_cut(image, side, field_of_view, size))
    uv, seen, cosine = uv_on_faces(Equirectangular().rays(pixel_grid(SAMPLED, found)), field_of_view)
    said = pull(found, uv, "edge")[:, 0]
    area = Equirectangular().rays(pixel_grid(SAMPLED, found))[0, ..., [0, 2]].norm(dim=-1)
    flat = (x.flatten(1).cpu() for x in (said, seen, cosine))
    answer = solved(overlaps(*flat, area.flatten().cpu()), len(found))
    a, b = (x.to(found).view(-1, 1, 1, 1) for x in (answer.scale, answer.shift))
    return Merged(_blended((a * found + b).clamp_min(0), size, field_of_view), answer.before, answer.after)


def _cut(image: Image, side: int, field_of_view: float, size: tuple[int, int]) -> View:
    """The six faces as one batch; a panorama of much more detail is shrunk first, so that nothing flickers."""
    small = resize(image, size) if image.shape[-1] > size[1] else image
    small = small if small.shape[-1] % 2 == 0 else resize(small, (small.shape[-2], small.shape[-1] - 1))
    uv = uv_on_sphere(side, field_of_view, small)
    faces = pull(small.expand(len(uv), -1, -1, -1), uv, "sphere").clamp(0, 1)
    camera = face_camera(field_of_view, small)
    return view(faces, Pinhole(camera.focal.expand(len(uv), 2), camera.center.expand(len(uv), 2)))


def _blended(faces: Float[Tensor, "6 1 side side"], size: tuple[int, int], field_of_view: float) -> Map:
    """Inverse distances of the sphere: a face counts nothing at its border and fully where it alone sees."""
    uv, seen, cosine = uv_on_faces(Equirectangular().rays(pixel_grid(size, faces)), field_of_view)
    # At x / X of a half-width X = tan(field / 2) the neighbour's share begins where |x| = 1 / X.
    shared = 1 - math.tan(math.radians(field_of_view / 2)) ** -2
    t = (2 * torch.minimum(uv, 1 - uv).amin(-1) / shared).clamp(0, 1)
    weight = seen * (t.square() * (3 - 2 * t) + 1e-6)
    radial = pull(faces, uv, "edge")[:, 0] * cosine
    return ((weight * radial).sum(0) / weight.sum(0))[None, None]
