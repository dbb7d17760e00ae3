"""Whoever uses the library has random numbers of their own: none of them is used up."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import cyclopean

WORK = """
import random, sys
import numpy as np, torch
import cyclopean
from cyclopean.io.image import Photo

def states():
    return torch.random.get_rng_state().numpy().tobytes(), repr(np.random.get_state()), repr(random.getstate())

def check(step, result=None):
    for ours, theirs, name in zip(states(), before, ("torch", "numpy", "python")):
        assert ours == theirs, (step, name)
    return result

folder, before = sys.argv[1], states()
for name in ("general", "panorama"):
    predictor = check("load", cyclopean.load(name))
    photo = check("read", cyclopean.read_photo(f"{folder}/p.png"))
    if name == "panorama":
        photo = Photo(photo.image[..., :32, :], cyclopean.Equirectangular())
    depth = check("predict", predictor(photo))
    check("spread", predictor.uncertainty(photo, 2))
    sharp = check("refocus", cyclopean.refocus(photo, depth, at=(0.5, 0.5)))
    check("save", sharp.save(f"{folder}/r.jpg"))
    check("keep", depth.save(f"{folder}/d.npy"))
    check("read depth", cyclopean.read_depth(f"{folder}/d.npy"))
print("kept")
"""


@pytest.mark.slow
def test_no_random_number_of_the_caller_is_used(tmp_path) -> None:
    """In a process of its own, since what checks types while tests run draws numbers itself."""
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "p.png")
    done = subprocess.run([sys.executable, "-c", WORK, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout == "kept\n", done.stderr


def test_a_photo_is_an_array_of_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    photo = cyclopean.as_photo(pixels)
    depth = cyclopean.from_numbers(np.linspace(1, 2, 48 * 64).reshape(48, 64), "depth")
    assert np.asarray(photo).dtype == np.uint8
    assert np.array_equal(np.asarray(photo), pixels)
    assert np.array_equal(np.asarray(cyclopean.as_photo(Image.fromarray(pixels))), pixels)
    assert np.asarray(cyclopean.refocus(pixels, depth, at=(9, 9))).shape == (48, 64, 3)
    assert np.array_equal(np.asarray(photo, np.float32), pixels.astype(np.float32))
    assert np.array_equal(np.array(photo, copy=True), pixels)
    np.asarray(photo)[:] = 0
    assert np.array_equal(np.asarray(photo), pixels)
    assert np.array_equal(np.asarray(Image.fromarray(np.asarray(photo))), pixels)
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":  # before, the word meant: only if needed
        for thing in (photo, depth):
            with pytest.raises(ValueError, match="copy"):
                np.asarray(thing, np.int16, copy=False)
