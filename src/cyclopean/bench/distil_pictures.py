"""The figures of Depth Anywhere: errors, points seen from above, labels with and without turning, masks."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from cyclopean.bench.comparison import Comparison, resized_for, sized
from cyclopean.bench.family import Lines
from cyclopean.data.files import read_mask
from cyclopean.data.folder import FolderDataset
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, Faces, Pinhole, pixel_grid, reproject, size_of
from cyclopean.inference.labels import LabelFiles
from cyclopean.inference.panorama import resize_sphere
from cyclopean.io.depthmap import colourise
from cyclopean.io.image import resize
from cyclopean.metrics import affine_depth, affine_fit
from cyclopean.sample import OneMap, Sample
from cyclopean.synthesis import sphere_from_faces, splat

SHOWN = 4  # panoramas of a sheet
FAR = 80.0  # metres
WORST = math.log(2)  # errors of log depth that are drawn brightest
FINER = 6  # times the pixels of a panorama, of the points that are drawn
CEILING = math.radians(12)  # above the horizon: points higher are left out, so that one sees into rooms
BEHIND, ABOVE = 2.4, 2.6  # how far the eye stands behind and above, in median distances
NEAREST_WINS = 8.0  # sharpness of the soft z-buffer, per median distance


@torch.no_grad()
def errors(comparison: Comparison) -> Lines:
    """Return held-out panoramas, their depth, and how far each row's depth is off: dark none, bright twofold,
    grey where there is no truth."""
    samples = _samples(comparison)
    lines = {
        "picture": [_picture(s) for s in samples],
        "true inverse depth": [np.nan_to_num((1 / s.depth)[0, 0].numpy()) for s in samples],
    }
    for title, maps in _aligned(comparison, samples).items():
        lines[f"error: {title}"] = [
            colourise(_off(depth, s), 0.0, WORST)[0].permute(1, 2, 0).numpy()
            for depth, s in zip(maps, samples, strict=True)
        ]
    return lines


@torch.no_grad()
def clouds(comparison: Comparison) -> Lines:
    """Return the points of held-out panoramas, seen from behind and above: by the truth, and by each row's depth."""
    samples = _samples(comparison)
    lines = {
        "picture": [_picture(s) for s in samples],
        "points by true depth": [from_above(s, s.depth) for s in samples],
    }
    for title, maps in _aligned(comparison, samples).items():
        lines[f"points: {title}"] = [from_above(s, depth) for depth, s in zip(maps, samples, strict=True)]
    return lines


@torch.no_grad()
def labels(comparison: Comparison) -> Lines:
    """Return unlabelled panoramas, their labels on an unturned and on a turned cube, put together on the sphere, and
    what students predict that learned from each (Fig. 5 of the paper); none before any was labelled."""
    names = {"still": "cube-0", "pseudo": "cube-45"}
    data = comparison.out / "data"
    if not (data / "elsewhere").is_dir() or not any((data / "labels" / name).is_dir() for name in names.values()):
        return {}
    samples = _unlabelled(comparison)
    lines: dict[str, Sequence[np.ndarray]] = {"picture": [_picture(s) for s in samples]}
    done = {r["row"] for r in comparison.results() if r["seed"] == 0}
    for row, folder in names.items():
        turned = "the cube not turned" if row == "still" else "the cube turned at random"
        try:
            files = LabelFiles(data / "labels" / folder)
            lines[f"labels, {turned}"] = [_on_sphere(files, s) for s in samples]
        except InputError:
            continue  # not all are labelled yet
        if row in done:
            rows, method = comparison.family.rows, comparison.trained(row, 0)
            small = [sized(s, comparison.budget.size, method.input_multiple) for s in samples]
            lines[f"student, {turned}"] = [rows[row].predict(method, s)[0, 0].numpy() for s in small]
    return lines


def masks(comparison: Comparison) -> Lines:
    """Return unlabelled panoramas; in red the sky that is really there, and what masks leave out (Fig. 4)."""
    folder = comparison.out / "data" / "masks"
    if not folder.is_dir():
        return {}
    samples = [s for s in _unlabelled(comparison) if (folder / f"{s.name[0]}.png").exists()]
    if not samples:
        return {}
    kept = [read_mask(folder / f"{s.name[0]}.png", size_of(s.depth)) >= 0.5 for s in samples]
    return {
        "picture": [_picture(s) for s in samples],
        "sky": [_painted(s, s.depth.isinf()) for s in samples],
        "masked": [_painted(s, ~mask) for s, mask in zip(samples, kept, strict=True)],
    }


SHEETS = {"errors.png": errors, "clouds.png": clouds, "labels.png": labels, "masks.png": masks}


def from_above(sample: Sample, depth: OneMap) -> np.ndarray:
    """Return the points of a panorama of known `depth`, drawn by a camera that stands behind and above it and looks at
    where it stood; the same place for every depth of a sample."""
    known = sample.depth[(sample.depth > 0) & sample.depth.isfinite()]
    unit = float(known.median())
    h, w = size_of(depth)
    big = (FINER * h, FINER * w)
    image, rho = resize(sample.target.image, big), resize_sphere(1 / depth.clamp(max=FAR), big)
    rays = Equirectangular().rays(pixel_grid(big, rho))
    pitch = math.atan2(ABOVE, BEHIND)
    sin, cos = math.sin(pitch), math.cos(pitch)
    eye = torch.tensor([0.0, -ABOVE * unit, -BEHIND * unit])  # y is down
    rotation = torch.tensor([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])
    pose = torch.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, -rotation @ eye
    camera = Pinhole(torch.tensor([[0.7, 1.4]]), torch.tensor([[0.5, 0.5]]))
    match = reproject(rho, Equirectangular(), pose[None], camera)
    points = rays / rho[0, 0, ..., None] - eye
    low = torch.asin(-rays[..., 1].clamp(-1, 1)) < CEILING
    near = (points.norm(dim=-1) < 6 * unit) & low & match.valid[:, 0]
    weight = torch.exp(-NEAREST_WINS * points.norm(dim=-1) / unit) * near
    canvas, coverage = splat(image, match.uv, weight[:, None], "zeros")
    seen = (coverage > 0).to(canvas.dtype)
    share = resize(seen, (h, w))
    drawn = resize(canvas * seen, (h, w)) / share.clamp_min(1e-3)
    return torch.where(share > 0.02, drawn, torch.ones_like(drawn))[0].permute(1, 2, 0).clamp(0, 1).numpy()


def _samples(comparison: Comparison) -> list[Sample]:
    held_out = comparison.held_out()
    return [held_out[k] for k in range(min(SHOWN, len(held_out)))]


def _unlabelled(comparison: Comparison) -> list[Sample]:
    data = FolderDataset(comparison.out / "data" / "elsewhere")
    return [data[k] for k in range(min(SHOWN, len(data)))]


def _aligned(comparison: Comparison, samples: Sequence[Sample]) -> dict[str, list[OneMap]]:
    """Return depth by each row that is done (first seed), at the samples' size: as predicted where it is metric, else
    by least squares of inverse depth."""
    every = {}
    for name in dict.fromkeys(r["row"] for r in comparison.results() if r["seed"] == 0):
        row, method = comparison.family.rows[name], comparison.trained(name, 0)
        maps = []
        for sample in samples:
            rho = resize_sphere(row.predict(method, resized_for(method, sample)), size_of(sample.depth))
            known = sample.target.valid & (sample.depth > 0) & sample.depth.isfinite()
            if not row.metric:
                fit = affine_fit(rho[known].double(), sample.depth[known].double())
                rho = 1 / affine_depth(rho.double().flatten(), fit, FAR).view_as(rho).float()
            maps.append(1 / rho.clamp_min(1 / FAR))
        every[row.title] = maps
    return every


def _on_sphere(files: LabelFiles, sample: Sample) -> np.ndarray:
    """Return a panorama's labels, of the turn that a seed of 0 draws, each face from 0 to 1 by itself."""
    torch.manual_seed(0)
    labels = files(sample.target, sample.name)
    rotations = tuple(tuple(tuple(row) for row in face) for face in labels.rotations[0].tolist())
    faces = Faces(rotations, labels.field_of_view)
    return sphere_from_faces(labels.inverse_depth[0][:, None], faces, size_of(sample.depth))[0, 0].numpy()


def _off(depth: OneMap, sample: Sample) -> OneMap:
    """Return the error of log depth; NaN where the truth is not known or infinite."""
    error = (depth.log() - sample.depth.log()).abs()
    return torch.where(sample.depth.isfinite() & sample.target.valid, error, torch.nan)


def _picture(sample: Sample) -> np.ndarray:
    return sample.target.image[0].permute(1, 2, 0).numpy()


def _painted(sample: Sample, hidden: Bool[Tensor, "1 1 h w"]) -> np.ndarray:
    grey = sample.target.image[0].mean(0).numpy()[..., None] * (0.5, 0.5, 0.5)
    return np.where(hidden[0, 0].numpy()[..., None], grey + np.array([0.5, 0.0, 0.0]), grey)
