"""Small data sets with truth, for the tests of evaluation."""

import numpy as np
import torch
from torch import Tensor

from cyclopean.evaluation.entries import Entry
from cyclopean.geometry import Pinhole, translation
from cyclopean.sample import Sample, view

FOCAL, BASELINE = 0.58, 0.54


def item(depth: np.ndarray | Tensor, name: str = "a", paired: bool = True) -> Sample:
    """A sample of the given true depth (height, width), by default with a rectified source to its right."""
    truth = torch.as_tensor(np.asarray(depth, np.float32))[None, None]
    height, width = truth.shape[-2:]
    camera = Pinhole(torch.tensor([[FOCAL, FOCAL * width / height]]), torch.full((1, 2), 0.5))
    image = torch.zeros(1, 3, height, width)
    right = view(image, camera, translation(torch.tensor([[-BASELINE, 0.0, 0.0]])))
    return Sample(view(image, camera), (right,) if paired else (), truth, name=(name,))


class Items:
    """A data set of given samples; an exception in place of a sample is raised when it is read."""

    def __init__(self, *samples: Sample | Exception, far: float = 80.0) -> None:
        self.samples, self.largest = samples, far

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        sample = self.samples[index]
        if isinstance(sample, Exception):
            raise sample
        return sample

    def far(self, index: int) -> float:
        return self.largest


def laser(seed: int, size: tuple[int, int] = (375, 1242), points: int = 3000) -> np.ndarray:
    """Sparse depth from 2 to 95 m, NaN elsewhere; some points lie at exactly 50 and 80 m."""
    rng = np.random.default_rng(seed)
    depth = np.full(size[0] * size[1], np.nan, np.float32)
    place = rng.choice(len(depth), points, replace=False)
    depth[place] = rng.uniform(2, 95, points)
    depth[place[:50]], depth[place[50:100]] = 50, 80
    return depth.reshape(size)


def guess(seed: int = 0, name: str = "guess", ambiguity: str = "metric", scale: float = 1.0) -> Entry:
    """The truth times `scale` with noise that depends on the item's name; 30 m where it is unknown or infinite."""

    def predict(sample: Sample) -> Tensor:
        rng = np.random.default_rng([seed, *sample.name[0].encode()])
        noise = torch.from_numpy(rng.lognormal(0, 0.3, sample.depth.shape).astype(np.float32))
        truth = torch.where(sample.depth.isfinite(), sample.depth, 30.0)
        return 1 / (truth * noise * scale)

    return Entry(name, ambiguity, predict)  # type: ignore[arg-type]
