"""False colours for a map of numbers."""

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def colourise(values: Float[Tensor, "1 1 h w"], low: float, high: float) -> Float[Tensor, "1 3 h w"]:
    """Return false colours of `values`: dark purple at `low`, bright yellow at `high`, grey where NaN."""
    position = (values - low) / (high - low) if high > low else torch.full_like(values, 0.5)
    index = torch.where(values.isfinite(), position, 0).clamp(0, 1).mul(255).round().byte()
    bgr = cv2.applyColorMap(index[0, 0].cpu().numpy(), cv2.COLORMAP_INFERNO)
    rgb = np.ascontiguousarray(bgr[..., ::-1].transpose(2, 0, 1)[None], np.float32)
    return torch.where(values.isnan(), 0.5, torch.from_numpy(rgb).to(values.device) / 255)


def value_range(values: Float[Tensor, "*shape"]) -> tuple[float, float]:
    """Return the range to show: the 1st to the 99th percentile of the finite values; a few outliers must not rule."""
    finite = values[values.isfinite()]
    if finite.numel() == 0:
        return 0.0, 1.0
    some = finite[:: max(1, finite.numel() // 100_000)]
    return float(some.quantile(0.01)), float(some.quantile(0.99))
