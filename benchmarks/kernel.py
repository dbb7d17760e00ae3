"""The five verbs and both ways to land, forward and backward."""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.measure import Case, Work
from cyclopean.geometry import Camera, Equirectangular, Pinhole, reproject, reproject_shell, translation
from cyclopean.synthesis import blend, pull, push, splat

SIZES = {"4x3x256x512": ((256, 512), "sphere"), "4x3x192x384": ((192, 384), "edge")}
LEVELS = 33


def _scene(size: tuple[int, int], border: str, device: str) -> tuple[Camera, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    pinhole = Pinhole(torch.full((4, 2), 0.8, device=device), torch.full((4, 2), 0.5, device=device))
    camera = Equirectangular() if border == "sphere" else pinhole
    pose = translation(torch.tensor([[-0.26, 0.0, 0.0]], device=device).repeat(4, 1))
    rho = (torch.rand(4, 1, *size, device=device) * 0.3 + 0.05).requires_grad_()
    return camera, pose, rho, torch.rand(4, 3, *size, device=device, requires_grad=True)


def _case(verb: Callable[[Camera, Tensor, Tensor, Tensor], Tensor], size: tuple[int, int], border: str) -> Case:
    def prepare(device: str) -> Work:
        parts = _scene(size, border, device)

        def work() -> None:
            verb(*parts).sum().backward()

        return work

    return Case(prepare, items=4, unit="images")


def _land(camera: Camera, pose: Tensor, rho: Tensor, _: Tensor) -> Tensor:
    return reproject(rho, camera, pose, camera).uv


def _land_on_shell(camera: Camera, pose: Tensor, rho: Tensor, _: Tensor) -> Tensor:
    return reproject_shell(rho, camera, pose, camera).uv


def _pull(camera: Camera, pose: Tensor, rho: Tensor, image: Tensor) -> Tensor:
    return pull(image, reproject(rho, camera, pose, camera).uv, camera.border)


def _push(camera: Camera, pose: Tensor, rho: Tensor, image: Tensor) -> Tensor:
    return push(image, reproject(rho, camera, pose, camera).uv, camera.border)


def _splat(camera: Camera, pose: Tensor, rho: Tensor, image: Tensor) -> Tensor:
    return splat(image, reproject(rho, camera, pose, camera).uv, (20 * rho).exp(), camera.border)[0]


def _sweep(camera: Camera, pose: Tensor, rho: Tensor, image: Tensor) -> Tensor:
    levels = torch.linspace(0.01, 0.4, LEVELS, device=rho.device)
    flat = torch.ones_like(rho)
    layers = (pull(image, reproject(level * flat, camera, pose, camera).uv, camera.border) for level in levels)
    logits = -(1e4 * (rho - levels[None, :, None, None]).square())
    return blend(layers, logits)


VERBS = {
    "reproject": _land,
    "reproject_shell": _land_on_shell,
    "reproject + pull": _pull,
    "reproject + push": _push,
    "reproject + splat": _splat,
    f"sweep of {LEVELS} levels, blend": _sweep,
}

CASES = {
    f"{verb}, {name}, {border}": _case(function, size, border)
    for name, (size, border) in SIZES.items()
    for verb, function in VERBS.items()
}
