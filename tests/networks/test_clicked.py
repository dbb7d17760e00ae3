"""The network of clicks: sizes, what it depends on, and that its training learns, repeats itself and goes on."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cyclopean.bench import subject_training
from cyclopean.bench.subject_training import Item, train
from cyclopean.networks.clicked import FEATURES, Clicked


def items(count: int) -> list[Item]:
    """Two discs, each a thing; their number is in the features at every scale."""
    made = []
    rng = np.random.default_rng(0)
    for _ in range(count):
        v, u = np.mgrid[:64, :96]
        objects = np.zeros((64, 96), np.uint16)
        for k, x in enumerate((26, 70)):
            objects[(u - x - rng.integers(-4, 5)) ** 2 + (v - rng.integers(24, 40)) ** 2 < 15**2] = k + 1
        plane = torch.from_numpy(objects.astype(np.float32))[None, None]
        sizes = [(2 << k, 3 << k) for k in range(5)]
        small = [torch.nn.functional.interpolate(plane, size=size, mode="area") for size in sizes]
        features = tuple((x / 2).expand(-1, n, -1, -1).half() for x, n in zip(small, FEATURES, strict=True))
        made.append(Item(features, (small[-1] / 2).expand(-1, 4, -1, -1).half(), objects))
    return made


def test_a_mask_at_half_the_size_depends_on_the_point() -> None:
    torch.manual_seed(0)
    network, item = Clicked().eval(), items(1)[0]
    assert sum(p.numel() for p in network.parameters()) < 300_000
    embedded = network.embed([x.float() for x in item.features], item.evidence.float())
    with torch.inference_mode():
        left, right = (network(*embedded, torch.tensor([[point]])) for point in ((0.27, 0.5), (0.73, 0.5)))
        both = network(*embedded, torch.tensor([[(0.27, 0.5), (0.73, 0.5)]]))
    assert left.shape == (1, 1, 32, 48)
    assert not torch.allclose(left, right, atol=1e-3)
    assert not torch.allclose(both, left, atol=1e-3)


def test_a_run_goes_on_as_if_it_had_not_been_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = items(3)
    whole = train(some, 3, 1, tmp_path / "whole")
    monkeypatch.setattr(subject_training, "SAVED", 2)

    def cut(_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(subject_training.json, "dumps", cut)  # after the state at step 2 is saved
    with pytest.raises(KeyboardInterrupt):
        train(some, 3, 1, tmp_path / "again")
    monkeypatch.undo()
    assert torch.load(tmp_path / "again" / "state.pt", weights_only=True)["step"] == 2
    again = train(some, 3, 1, tmp_path / "again")
    read = train(some, 3, 1, tmp_path / "whole")
    for a, b, c in zip(whole.parameters(), again.parameters(), read.parameters(), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


@pytest.mark.slow
def test_it_learns_to_tell_two_things_apart(tmp_path: Path) -> None:
    network, item = train(items(8), 80, 0, tmp_path), items(1)[0]
    embedded = network.embed([x.float() for x in item.features], item.evidence.float())
    for k, point in ((1, (0.27, 0.5)), (2, (0.73, 0.5))):
        with torch.inference_mode():
            found = network(*embedded, torch.tensor([[point]]))[0, 0].numpy() > 0
        truth = item.objects[::2, ::2] == k
        assert (found & truth).sum() / (found | truth).sum() > 0.8, k
