"""One training step on a batch that is there already: losses, backward, update."""

from benchmarks.measure import Case, Work

BATCH, SIZE = 4, (128, 256)


def _case(name: str, width: float) -> Case:
    def prepare(device: str) -> Work:
        import torch

        from cyclopean.methods import method_class
        from cyclopean.sample import collate
        from cyclopean.synthetic import rigs

        torch.manual_seed(0)
        batch = collate([rigs.sample("street", seed, SIZE) for seed in range(BATCH)]).to(device)
        method = method_class(name)(width=width).to(device)
        optimiser = torch.optim.Adam(method.parameters(), 1e-4)

        def work() -> None:
            optimiser.zero_grad()
            torch.stack(list(method(batch).values())).sum().backward()
            optimiser.step()

        return work

    return Case(prepare, items=BATCH, unit="pairs", repeat=7)


CASES = {
    f"monodepth, width 1, batch {BATCH} of {SIZE[0]}x{SIZE[1]}": _case("monodepth", 1.0),
    f"monodepth, width 1/2, batch {BATCH} of {SIZE[0]}x{SIZE[1]}": _case("monodepth", 0.5),
    f"supervised, width 1/2, batch {BATCH} of {SIZE[0]}x{SIZE[1]}": _case("supervised", 0.5),
}
