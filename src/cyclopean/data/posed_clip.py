"""The triplets of a clip with poses, and inverse depth at some points, by geometry from the pictures alone."""

import logging
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from cyclopean.augmentation import resize_image
from cyclopean.data.egomotion import TwoView, matched, triangulated, two_view
from cyclopean.data.files import Size
from cyclopean.data.video import FramesDataset, RenderedClipDataset, VideoDataset, cut_between
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole
from cyclopean.sample import OneImage, Sample, view

LOG = logging.getLogger(__name__)
LONGEST = 512  # pixels of the longer side at which points are followed
FEATURES = 900
FEWEST = 60  # points that both motions explain
AGREEING = 0.6  # share of points that one motion of the camera explains
BEFORE = 0.85  # share of points in front of the camera
SHIFTED = 1.0  # pixels of parallax from which a point's depth is known
TOGETHER = 8  # targets whose frames are decoded in one go
HELD_OUT = 6  # of so many triplets one is held out
STRETCH, STRETCHES = 36, 6  # triplets for each stretch that is held out, and how many stretches at most
Clip = VideoDataset | FramesDataset | RenderedClipDataset
Numbers = Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Triplet:
    """A target, the frame before and the one after: bytes `3 3 h w`, `source_from_target` of both, `2 4 4`, and the
    inverse depth of points at uv, `n 2`. Lengths are in units of the way to the frame after."""

    name: str
    images: Tensor
    poses: Tensor
    places: Tensor
    inverse_depth: Tensor


class PosedClip(Dataset[Sample]):
    """Triplets as samples whose poses are known, and whose depth is known at the points that were followed (NaN
    elsewhere), in units of their own."""

    def __init__(self, triplets: Sequence[Triplet], camera: Pinhole) -> None:
        self.triplets, self.camera = list(triplets), camera

    def __len__(self) -> int:
        return len(self.triplets)

    def __getitem__(self, index: int) -> Sample:
        triplet = self.triplets[index]
        images = triplet.images.float() / 255
        h, w = images.shape[-2:]
        depth = torch.full((1, 1, h, w), torch.nan)
        column, row = (triplet.places * torch.tensor([w, h])).long().unbind(1)
        depth[0, 0, row.clamp(0, h - 1), column.clamp(0, w - 1)] = 1 / triplet.inverse_depth
        sources = tuple(view(images[k + 1 : k + 2], self.camera, triplet.poses[k : k + 1]) for k in (0, 1))
        return Sample(view(images[:1], self.camera), sources, depth, name=(triplet.name,))


def posed_triplets(
    clip: Clip, indices: Sequence[int], size: Size, camera: Pinhole, progress: Callable[[int, int], None]
) -> dict[int, Triplet]:
    """Return those triplets of a clip that tell the motion of the camera by index, at `size` (height, width).

    Triplets without parallax, across a cut, or that cannot be read, are left out.
    """
    triplets = {}
    for number, (index, (name, images)) in enumerate(zip(indices, _read(clip, indices, size), strict=True), 1):
        progress(number, len(indices))
        if images is not None and (triplet := posed(name, images, size, camera)) is not None:
            triplets[index] = triplet
    return triplets


def split(clip: Clip, indices: Sequence[int]) -> tuple[list[int], list[int]]:
    """Split triplets of a clip, by index and in order, into those that are learned from and those that are held out.

    A sixth is held out, in stretches of neighbours, since those are nearly alike. Whatever has a frame between the
    first and the last target of a stretch, as its target or as a source, is in neither part.
    """
    held, hidden = list[int](), set[Hashable]()
    for part in np.array_split(list(indices), min(STRETCHES, max(1, len(indices) // STRETCH))):
        length = max(1, round(len(part) / HELD_OUT))
        first = (len(part) - length) // 2
        stretch = part[first : first + length].tolist()
        held += stretch
        hidden |= {_frames(clip, index)[0] for index in range(stretch[0], stretch[-1] + 1)}
    return [index for index in indices if hidden.isdisjoint(_frames(clip, index))], held


def _frames(clip: Clip, index: int) -> tuple[Hashable, ...]:
    """Return the names of a triplet's frames, target first; triplets with a frame in common share its name."""
    if isinstance(clip, VideoDataset):
        return tuple(clip.items[index] + away for away in (0, -clip.step, clip.step))
    return clip.files(index).pictures


def posed(name: str, images: Sequence[OneImage], size: Size, camera: Pinhole) -> Triplet | None:
    """Return target, frame before and frame after with their poses; None where the pictures do not tell them.

    Each motion is that of two views; what both say about the depth of the same points gives the ratio of their lengths.
    """
    greys = [_grey(image) for image in images]
    h, w = greys[0].shape
    center, focal = camera.center[0].double().numpy(), camera.focal[0].double().numpy()
    pixels = float(focal[0]) * w
    points = [((p + 0.5) / (w, h) - center) / focal for p in matched(greys[0], *greys[1:], features=FEATURES)]
    both = np.isfinite(points[1]).all(1) & np.isfinite(points[2]).all(1)
    target, *others = (p[both] for p in points)
    views = [two_view(target, other, pixels) for other in others]
    if len(target) < FEWEST or any(v is None or v.inliers.mean() < AGREEING for v in views):
        return None
    before, after = (v for v in views if v is not None)
    known = [triangulated(v, target, other) for v, other in zip((before, after), others, strict=True)]
    good = before.inliers & after.inliers
    moved = good & (known[0][1] * pixels > SHIFTED) & (known[1][1] * pixels > SHIFTED)
    front = (known[0][0] > 0) & (known[1][0] > 0)
    if np.count_nonzero(moved) < FEWEST // 2 or front[moved].mean() < BEFORE:
        return None
    moved &= front
    ratio = float(np.exp(np.median(np.log(known[0][0][moved] / known[1][0][moved]))))
    if not 0.1 < ratio < 10:
        return None

    # Both say the same of a point's inverse depth, each as exactly as its parallax is long.
    first, second = known[0][0] / ratio, known[1][0]
    weights = [shift**2 for _, shift in known]
    rho = (first * weights[0] + second * weights[1]) / np.maximum(weights[0] + weights[1], 1e-12)
    shift = np.maximum(known[0][1], known[1][1]) * pixels
    sure = (
        good
        & (rho > 0)
        & (shift > SHIFTED)
        & (np.abs(np.log(np.maximum(first, 1e-9) / np.maximum(second, 1e-9))) < 0.7)
    )
    if np.count_nonzero(sure) < FEWEST // 2:
        return None
    poses = np.stack([_matrix(before, ratio), _matrix(after, 1.0)])
    small = torch.cat([resize_image(image, size) for image in images])
    return Triplet(
        name,
        (small.clamp(0, 1) * 255).round().byte(),
        torch.from_numpy(poses).float(),
        torch.from_numpy(target[sure] * focal + center).float(),
        torch.from_numpy(rho[sure]).float(),
    )


def _read(clip: Clip, indices: Sequence[int], size: Size) -> Iterator[tuple[str, list[OneImage] | None]]:
    """Yield name and pictures of triplets, small; None for those that cannot be used, which is logged."""
    if not isinstance(clip, VideoDataset):
        for index in indices:
            try:
                sample = clip[index]
                yield sample.name[0], [v.image for v in (sample.target, *sample.sources)]
            except InputError as error:
                LOG.info("%s is left out: %s", index, error)
                yield str(index), None
        return
    scale = max(min(1.0, LONGEST / max(clip.size)), *(a / b for a, b in zip(size, clip.size, strict=True)))
    small = round(clip.size[0] * scale), round(clip.size[1] * scale)
    for first in range(0, len(indices), TOGETHER):
        targets = [clip.items[index] for index in indices[first : first + TOGETHER]]
        for target, images in clip.frames_around(targets, small):
            name = f"{clip.path.stem}/{target:06d}"
            cut = images is not None and any(cut_between(images[0], other) for other in images[1:])
            yield name, None if cut else images


def _grey(image: OneImage) -> np.ndarray:
    plane = cv2.cvtColor(np.ascontiguousarray(image[0].permute(1, 2, 0).numpy()), cv2.COLOR_RGB2GRAY)
    scale = min(1.0, LONGEST / max(plane.shape))
    if scale < 1:
        plane = cv2.resize(plane, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.clip(plane * 255, 0, 255).round().astype(np.uint8)


def _matrix(motion: TwoView, length: float) -> Float[np.ndarray, "4 4"]:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = motion.rotation, length * motion.direction
    return pose
