"""OpenCV's decoders, without their lines on the error stream."""

import cv2
import numpy as np


def decoded(data: bytes, flags: int = cv2.IMREAD_UNCHANGED) -> np.ndarray | None:
    """Return the pixels of a picture file of these bytes, by flags of `cv2.imdecode`; None for what it cannot decode.

    OpenCV writes of what it cannot decode, or assumes, to the error stream: the caller raises its own sentence.
    """
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    finally:
        cv2.utils.logging.setLogLevel(level)
