"""A small picture that is smooth and different in every corner and channel, and how it is stored and read."""

import numpy as np

from cyclopean.io.image import Photo

H, W = 48, 80
V, U = np.mgrid[0:H, 0:W]
SCENE = np.stack([U / (W - 1), V / (H - 1), 1 - (U + V) / (W + H - 2)], -1)


def as_array(photo: Photo) -> np.ndarray:
    return photo.image[0].permute(1, 2, 0).numpy()


def stored(values: np.ndarray, bits: int) -> np.ndarray:
    return np.round(values * (2**bits - 1)).astype(f"u{bits // 8}")
