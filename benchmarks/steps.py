"""A whole training step, losses and update included: plain eager float32 beside how `cyclopean train` runs.

Plain: channels first, float32, as released training code of these methods runs. Ours: channels last, the network's
convolutions in bfloat16 (`--precision bfloat16`), geometry and losses in float32.
"""

from typing import Any

from benchmarks.peers import Pair, Work

MONODEPTH = ("monodepth", {"network": "vgg"}, (256, 512), 8)
MONODEPTH2 = ("monodepth2", {"network": "resnet18"}, (192, 640), 4)


def _step(name: str, arguments: dict[str, Any], size: tuple[int, int], batch: int, fast: bool) -> Any:
    def prepare(device: str) -> Work:
        import torch

        from cyclopean.methods import method_class
        from cyclopean.sample import collate
        from cyclopean.synthetic import rigs

        torch.manual_seed(0)
        sample = collate([rigs.sample("street", seed, size) for seed in range(batch)]).to(device)
        layout = torch.channels_last if fast else torch.contiguous_format
        method = method_class(name)(**arguments).to(device=device, memory_format=layout)
        optimiser = torch.optim.Adam(method.parameters(), 1e-4)

        def work() -> None:
            optimiser.zero_grad()
            with torch.autocast(device, torch.bfloat16, enabled=fast):
                terms = method(sample)
            torch.stack(list(terms.values())).sum().backward()
            optimiser.step()

        return work

    return prepare


def _pair(name: str, arguments: dict[str, Any], size: tuple[int, int], batch: int) -> Pair:
    return Pair(
        _step(name, arguments, size, batch, fast=False),
        _step(name, arguments, size, batch, fast=True),
        batch,
        "pairs",
        memory=True,
    )


PAIRS = {
    "Monodepth: VGG, 256x512, batch 8": _pair(*MONODEPTH),
    "Monodepth2 on pairs: ResNet18, 192x640, batch 4": _pair(*MONODEPTH2),
}
