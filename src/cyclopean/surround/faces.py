"""A network for perspective pictures on a panorama: ten overlapping faces, aligned together and merged.

A network bends a plain wall to the shape of the picture that it is in. With the six faces of a cube that shows, as a
round lobe for each face and as an upright crease where the next one takes over. Of four faces more between the upright
ones each bends the other way where the first do, and all overlap widely: means of their slopes show neither. (So it is
around the horizon; `up` and `down` share 10 degrees with the upright faces, as on the cube.)
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
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
from cyclopean.images import resize
from cyclopean.sample import View, view
from cyclopean.surround.aligning import overlaps, solved
from cyclopean.surround.looks import enlarged
from cyclopean.surround.merging import by_slopes
from cyclopean.synthesis import pull

Map = Float[Tensor, "1 1 h w"]
Image = Float[Tensor, "1 3 h w"]
See = Callable[[View], Float[Tensor, "b 1 h w"]]

FIELD_OF_VIEW = 100.0  # degrees of a face: upright neighbours share 55, and the cube's own 10
SAMPLED = (96, 192)  # directions at which faces are compared
FAR = 0.12  # of the median inverse depth: what is farther is nearly sky
LEAST = 0.03  # of that: sky is not farther


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
    return merged.clamp_min(LEAST * far)


def _cut(image: Image, side: int, field_of_view: float, size: tuple[int, int]) -> View:
    """The faces as one batch; a panorama of much more detail is shrunk first, so that nothing flickers."""
    small = resize(image, size) if image.shape[-1] > size[1] else image
    small = small if small.shape[-1] % 2 == 0 else resize(small, (small.shape[-2], small.shape[-1] - 1))
    uv = uv_on_sphere(side, field_of_view, ten_from_sphere(small))
    faces = pull(small.expand(len(uv), -1, -1, -1), uv, "sphere").clamp(0, 1)
    camera = face_camera(field_of_view, small)
    return view(faces, Pinhole(camera.focal.expand(len(uv), 2), camera.center.expand(len(uv), 2)))
