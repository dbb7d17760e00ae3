"""Rendering through levels: a stack of grid_sample in torch beside the fused pass, and a training step with either.

Both warp colours and logits through AQUANet's levels, with gradients to logits, pose and exponents.
"""

from typing import Any

from benchmarks.peers import Pair, Work

BATCH, SIZE, LEVELS, LEAST, MOST = 4, (192, 640), 33, 0.005, 0.3


def _sweep(fused: str, threads: int) -> Any:
    def prepare(device: str) -> Work:
        import torch

        from cyclopean.geometry import Levels, Pinhole, level, reproject_shell, surfaces, translation
        from cyclopean.synthesis import pull, sweep

        torch.set_num_threads(threads)
        torch.manual_seed(0)
        focal = torch.tensor([[0.58, 1.92]], device=device).repeat(BATCH, 1)
        camera = Pinhole(focal, torch.full_like(focal, 0.5))
        coarse = 0.5 + 1.5 * torch.rand(BATCH, 1, 12, 40, device=device)
        exponents = torch.nn.functional.interpolate(coarse, SIZE, mode="bilinear").requires_grad_()
        offset = torch.tensor([[0.05, 0.01, 0.8]], device=device).repeat(BATCH, 1).requires_grad_()
        image = torch.rand(BATCH, 3, *SIZE, device=device)
        logits = torch.randn(BATCH, LEVELS, *SIZE, device=device).requires_grad_()

        def plain() -> torch.Tensor:
            pose, colours, weights = translation(offset), [], []
            for k in range(LEVELS):
                match = reproject_shell(level(k, LEVELS, LEAST, MOST, exponents), camera, pose, camera)
                uv = torch.where(match.valid[:, 0, ..., None], match.uv, -1.0)
                colours.append(pull(image, uv, "zeros"))
                weights.append(pull(logits[:, k : k + 1], uv, "zeros"))
            return (torch.cat(weights, 1).softmax(1)[:, :, None] * torch.stack(colours, 1)).sum(1)

        def ours() -> torch.Tensor:
            levels = Levels.proportional(LEVELS, LEAST, MOST, exponents)
            return sweep(image, logits, surfaces(levels, SIZE, camera, translation(offset), camera))

        def work() -> None:
            made = ours() if fused == "fused" else plain()
            torch.autograd.grad(made, [logits, offset, exponents], made.detach())

        return work

    return prepare


def _pair(threads: int, device: str) -> Pair:
    plain, ours = _sweep("plain", threads), _sweep("fused", threads)
    return Pair(plain, ours, BATCH, "images", memory=True, devices=(device,), of="best")


NAME = f"{BATCH}x3x{SIZE[0]}x{SIZE[1]}, {LEVELS} levels"
PAIRS = {f"{NAME}, {n} thread{'s' * (n > 1)}": _pair(n, "cpu") for n in (2, 1)} | {NAME: _pair(1, "cuda")}
