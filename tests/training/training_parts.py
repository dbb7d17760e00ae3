"""Small parts that training tests share: a method with one convolution, random pictures, a run of few steps.

Run as a script it trains with several processes: `training_parts.py OUT DEVICES BATCH PRECISION NODES [broken|stuck]`.
"""

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import Dataset

from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole
from cyclopean.methods.base import Method, Prediction, full_precision
from cyclopean.sample import Sample, View, view
from cyclopean.training.dataset import TrainData
from cyclopean.training.loop import fit
from cyclopean.training.optimisation import halving
from cyclopean.training.options import Run


class Tiny(Method):
    """Brightness as inverse depth. Notes the precisions that it met."""

    name: ClassVar[str] = "tiny"

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, padding=1)
        self.ambiguity = "scale"
        self.input_multiple = 8
        self.seen: list[str] = []

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:
        return Prediction(self.conv(target.seen)[:, :1].exp())

    def losses(self, sample: Sample) -> dict[str, Float[Tensor, ""]]:
        raw = self.conv(sample.target.seen)
        with full_precision(raw):
            product = torch.einsum("bchw,bdhw->bcd", sample.target.image, sample.target.image)
            self.seen = [str(raw.dtype), str(product.dtype)]
            return {
                "fit": (raw.float().mean(1, keepdim=True) - sample.depth).square().mean(),
                "scale": 0 * raw.float().sum(),
            }

    def config(self) -> dict[str, Any]:
        return {"channels": self.conv.out_channels}


class Pictures(Dataset[Sample]):
    """`n` random pictures; depth is their mean colour."""

    def __init__(self, n: int, size: tuple[int, int] = (16, 24)) -> None:
        self.n, self.size = n, size

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Sample:
        image = torch.rand(1, 3, *self.size, generator=torch.Generator().manual_seed(index))
        camera = Pinhole(torch.tensor([[1.0, 1.0]]), torch.tensor([[0.5, 0.5]]))
        return Sample(view(image, camera), (), image.mean(1, keepdim=True), name=(str(index),))


def run(out: Path, **changes: Any) -> Run:
    """A run of a few steps on the CPU."""
    values = {"steps": 6, "batch_size": 2, "workers": 0, "accelerator": "cpu", "report_every": 1, "learning_rate": 0.1}
    return Run(out, **{**values, **changes})


def sgd(parameters: Any, rate: float) -> torch.optim.Optimizer:
    """Plain gradient descent: what differs in the weights differed in the gradients."""
    return torch.optim.SGD(parameters, lr=rate, momentum=0.9)


def train(where: Run, n: int = 5, **changes: Any) -> Tiny:
    """A trained `Tiny`."""
    torch.manual_seed(0)
    method = Tiny()
    fit(method, TrainData(Pictures(n)), where, sgd, halving, card={"licence": "none"}, **changes)
    return method


class Damaged(Pictures):
    """Item 5 cannot be read."""

    def __getitem__(self, index: int) -> Sample:
        if index == 5:
            raise InputError("item 5 is damaged.")
        return super().__getitem__(index)


def train_damaged(where: Run) -> None:
    """As a command would: one sentence and exit code 2."""
    try:
        fit(Tiny(), TrainData(Damaged(7)), where, sgd, halving, card={})
    except InputError as error:
        sys.exit(print(f"sorry: {error}", file=sys.stderr) or 2)


def train_stuck(where: Run) -> None:
    """A run whose third step never ends, in a call that no Python interrupts."""

    class Stuck(Tiny):
        steps = 0

        def losses(self, sample: Sample) -> dict[str, Float[Tensor, ""]]:
            self.steps += 1
            if self.steps == 4:  # the losses of the first batch are tried before
                print("stuck", file=sys.stderr, flush=True)
                hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
            return super().losses(sample)

    fit(Stuck(), TrainData(Pictures(7)), where, sgd, halving, card={})


def lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "last" / "model.safetensors")


if __name__ == "__main__":
    out, devices, batch, precision, nodes = Path(sys.argv[1]), *map(int, sys.argv[2:4]), sys.argv[4], int(sys.argv[5])
    where = run(out, devices=devices, nodes=nodes, batch_size=batch, precision=precision, steps=4)
    if sys.argv[6:] == ["broken"]:
        train_damaged(where)
    if sys.argv[6:] == ["stuck"]:
        train_stuck(replace(where, save_every=0.0))
    trained = train(where, n=7)
    (out / f"seen{torch.distributed.get_rank()}.json").write_text(json.dumps(trained.seen))
