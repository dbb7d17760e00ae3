"""The motorcycle pair of Middlebury 2014, as it ships inside scikit-image, quarter size."""

import math

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, translation
from cyclopean.sample import Sample, view

# Of scikit-image's documentation: pixels of the quarter-size pictures, metres.
FOCAL_PX, CENTER_PX, SHIFT_PX, BASELINE = 994.978, (311.193, 254.877), 31.086, 0.193001


class MotorcycleDataset(Dataset[Sample]):
    """One rectified pair with dense true disparity; depth = focal * baseline / (disparity + shift).

    Depth is z of the left, metres; `shift` is by how many pixels the right camera's principal point lies further right.
    Needs scikit-image.
    """

    def __init__(self) -> None:
        try:
            from skimage.data import stereo_motorcycle

            self.left, self.right, self.disparity = stereo_motorcycle()
        except ImportError as error:
            raise InputError(
                "the motorcycle pair is a part of scikit-image; install it with pip install 'cyclopean[samples]'."
            ) from error
        except OSError as error:
            raise InputError(
                "this scikit-image lacks the motorcycle pair and cannot fetch it; reinstall it."
            ) from error

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        if index:
            raise IndexError(index)
        disparity = torch.from_numpy(self.disparity.astype(np.float32))[None, None]
        known = torch.isfinite(disparity)
        depth = torch.where(known, FOCAL_PX * BASELINE / (torch.where(known, disparity, 0) + SHIFT_PX), math.nan)
        height, width = disparity.shape[-2:]
        focal = torch.tensor([[FOCAL_PX / width, FOCAL_PX / height]])
        # The release counts from the centre of the first pixel.
        u, v = (CENTER_PX[0] + 0.5) / width, (CENTER_PX[1] + 0.5) / height
        other = Pinhole(focal, torch.tensor([[u + SHIFT_PX / width, v]]))
        target = view(_image(self.left), Pinhole(focal, torch.tensor([[u, v]])))
        source = view(_image(self.right), other, translation(torch.tensor([[-BASELINE, 0.0, 0.0]])))
        return Sample(target, (source,), depth, name=("motorcycle",))

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return 20.0


def _image(rgb: UInt8[np.ndarray, "h w 3"]) -> Float[Tensor, "1 3 h w"]:
    return torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None] / 255
