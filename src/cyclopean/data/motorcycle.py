"""The motorcycle pair of Middlebury 2014, as it ships inside scikit-image, quarter size."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from cyclopean.data.items import Files
from cyclopean.data.rigs import depth_from_disparity, pinhole_px, rectified_pair, size_of
from cyclopean.errors import InputError
from cyclopean.sample import Sample

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
        depth = depth_from_disparity(disparity, FOCAL_PX, BASELINE, SHIFT_PX)
        left = np.array([[FOCAL_PX, 0, CENTER_PX[0]], [0, FOCAL_PX, CENTER_PX[1]], [0, 0, 1]])
        right = left + np.array([[0, 0, SHIFT_PX], [0, 0, 0], [0, 0, 0]])
        cameras = [pinhole_px(matrix, size_of(disparity), Path("motorcycle")) for matrix in (left, right)]
        return rectified_pair([_image(self.left), _image(self.right)], cameras, BASELINE, depth, "motorcycle")

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return 20.0

    def files(self, _: int) -> Files:
        """Nothing of the user's."""
        return Files(())


def _image(rgb: UInt8[np.ndarray, "h w 3"]) -> Float[Tensor, "1 3 h w"]:
    return torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None] / 255
