"""How a video moves from frame to frame: dense flow both ways, where they agree, and where a new scene begins."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

Grey = UInt8[np.ndarray, "h w"]
Plane = Float[np.ndarray, "h w"]
Flow = Float[np.ndarray, "h w 2"]

OPENCV: Any = cv2  # where its stubs, which change from release to release, know less than it can do

AGREE = 1.0  # pixels that there and back may differ by, and
AGREE_PART = 0.05  # of the way that was gone
LIKE = 20  # steps of 255 that a point's brightness may change by
FEW = 0.15  # of the picture that is sure: less is a new scene (fast drives keep 0.45, cuts 0.07)


@dataclass(frozen=True)
class Motion:
    """From the last frame to this one: `back` is how far, in pixels (x, y), each pixel of this frame was away in the
    last one; `sure` says where that can be trusted; `cut`: a new scene begins with this frame."""

    back: Flow
    sure: Bool[np.ndarray, "h w"]
    cut: bool

    @property
    def places(self) -> Flow:
        """Where each pixel of this frame was, in indices (x, y) of the last frame."""
        return _places(self.back)

    def brought(self, last: Plane) -> Plane:
        """A plane of the last frame where its points are in this one."""
        return _fetched(last, self.places)


def motion(last: Grey, this: Grey) -> Motion:
    """Optical flow by dense inverse search (Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016).

    A pixel is sure where the flow back and the flow there cancel, which no pixel does that was hidden, and where its
    brightness stayed.
    """
    search = OPENCV.DISOpticalFlow_create(OPENCV.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    search.setFinestScale(0)  # at its own 2, and at 1, it is coarser than the picture, and points drift
    back, there = search.calc(this, last, None), search.calc(last, this, None)
    places = _places(back)
    away = back + _fetched(there, places)
    allowed = AGREE + AGREE_PART * np.hypot(back[..., 0], back[..., 1])
    same = cv2.absdiff(_fetched(last, places), this) < LIKE
    sure = (np.hypot(away[..., 0], away[..., 1]) < allowed) & same & _inside(places)
    return Motion(back, sure, bool(sure.mean() < FEW))


def _fetched(last: np.ndarray, places: Flow) -> np.ndarray:
    return np.asarray(OPENCV.remap(last, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _places(back: Flow) -> Flow:
    h, w = back.shape[:2]
    y, x = np.mgrid[:h, :w].astype(np.float32)
    return back + np.stack([x, y], -1)


def _inside(places: Flow) -> Bool[np.ndarray, "h w"]:
    h, w = places.shape[:2]
    return np.all((places >= 0) & (places <= np.array([w - 1, h - 1], np.float32)), -1)
