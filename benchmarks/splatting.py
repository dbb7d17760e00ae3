"""Splatting panoramas: scatter-adds over channels and corners in torch beside the fused loops (numba, Triton)."""

from typing import Any

from benchmarks.peers import Pair, Work

BATCH, SIZE = 4, (256, 512)


def _splat(verb: str, threads: int) -> Any:
    def prepare(device: str) -> Work:
        import torch

        from cyclopean import synthesis
        from cyclopean.geometry import Equirectangular, reproject, translation

        torch.set_num_threads(threads)
        torch.manual_seed(0)
        camera, pose = Equirectangular(), translation(torch.tensor([[-0.26, 0.0, 0.0]], device=device).repeat(BATCH, 1))
        coarse = 0.1 + 0.6 * torch.rand(BATCH, 1, 16, 32, device=device)
        rho = torch.nn.functional.interpolate(coarse, SIZE, mode="bilinear")
        image, uv = torch.rand(BATCH, 3, *SIZE, device=device), reproject(rho, camera, pose, camera).uv
        inputs = [t.detach().requires_grad_() for t in (image, uv, torch.exp(-0.1 / rho))]

        def work() -> None:
            picture, coverage = getattr(synthesis, verb)(*inputs, camera.border)
            torch.autograd.grad((picture, coverage), inputs, (picture.detach(), coverage.detach()))

        return work

    return prepare


def _pair(threads: int, device: str) -> Pair:
    plain, ours = _splat("splat_plain", threads), _splat("splat", threads)
    return Pair(plain, ours, BATCH, "images", repeat=15, memory=True, devices=(device,))


NAME = f"{BATCH}x{SIZE[0]}x{SIZE[1]}, three colours and a weight"
PAIRS = {f"{NAME}, {n} thread{'s' * (n > 1)}": _pair(n, "cpu") for n in (2, 1)} | {NAME: _pair(1, "cuda")}
