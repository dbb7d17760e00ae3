"""`--shrink`: each batch at another size, a function of the step."""

import pytest
import torch
from training_parts import Pictures, Tiny, run, sgd, train

from cyclopean.errors import InputError
from cyclopean.sample import Sample
from cyclopean.training.dataset import TrainData
from cyclopean.training.loop import fit
from cyclopean.training.optimisation import constant, halving


def test_batches_shrink_together_by_the_step_alone(tmp_path):
    """Between a half and the whole, sides fit the network; a cut run goes on with the sizes it would have had."""

    class Sizes(Tiny):
        def losses(self, sample: Sample):
            sizes.append(tuple(sample.depth.shape))
            return super().losses(sample)

    def go(name: str, shrink: float = 0.5, **changes) -> list[tuple[int, ...]]:
        sizes.clear()
        fit(
            Sizes(),
            TrainData(Pictures(5, (32, 48)), shrink=shrink),
            run(tmp_path / name, **changes),
            sgd,
            constant,
            card={},
        )
        return sizes[1 if shrink == 1 else 2 :]  # the largest and the smallest are tried before the run

    sizes: list[tuple[int, ...]] = []
    whole = go("whole", steps=24)
    assert {b for b, *_ in whole} == {2}
    assert {h for _, _, h, _ in whole} == {16, 24, 32}
    assert {w / h for _, _, h, w in whole} == {1.5, 4 / 3}  # 24 rows leave 32 or 40 columns, none of them 36
    first = go("cut", steps=9)
    assert first + go("cut", steps=24, resume=True) == whole
    assert go("other", steps=24, seed=1) != whole
    assert set(go("one size", shrink=1.0)) == {(2, 1, 32, 48)}
    with pytest.raises(InputError, match=r"shrink 0.5, but this command has shrink 0.7;"):
        go("cut", shrink=0.7, steps=25, resume=True)


def test_sizes_that_cannot_be_learned_are_refused_before_the_run(tmp_path):
    class Normalised(Tiny):
        def __init__(self) -> None:
            super().__init__()
            self.norm = torch.nn.BatchNorm2d(3)

    def go(size: tuple[int, int], **changes) -> None:
        fit(
            Normalised(),
            TrainData(Pictures(5, size), shrink=0.5),
            run(tmp_path / "out", **changes),
            sgd,
            constant,
            card={},
        )

    with pytest.raises(InputError, match=r"8x8 pixels have no smaller size down to 0.5 of it.*leave --min-scale out"):
        go((8, 8))
    with pytest.raises(InputError, match="one picture of 8x8 pixels is too little for batch normalisation"):
        go((16, 16), batch_size=1)
    assert not (tmp_path / "out").exists()


def test_a_run_of_before_there_was_shrinking_does_not_begin_to(tmp_path):
    train(run(tmp_path))
    state = torch.load(tmp_path / "resume.pt", weights_only=True)
    del state["facts"]["shrink"]
    torch.save(state, tmp_path / "resume.pt")
    with pytest.raises(InputError, match=r"shrink 1.0, but this command has shrink 0.5"):
        fit(
            Tiny(),
            TrainData(Pictures(5), shrink=0.5),
            run(tmp_path, resume=True),
            sgd,
            halving,
            card={"licence": "none"},
        )
    train(run(tmp_path, resume=True))
