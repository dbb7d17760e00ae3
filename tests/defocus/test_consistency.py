"""Scale and shift of a clip's frames: made-up clips whose true depth is known, seen by models that breathe."""

import numpy as np
import pytest

from cyclopean.defocus.consistency import LEAK, ScaleShift, fit
from cyclopean.defocus.consistency import Consistency as Aligner
from cyclopean.defocus.video import Flicker
from cyclopean.io.image import grey_of
from filmed import texture

FRAMES, RATE = 24, 30.0


def scene(shift: float, size: tuple[int, int] = (96, 160)) -> tuple[np.ndarray, np.ndarray]:
    """A wall that a camera slides along by `shift` pixels, and its inverse depth: rows nearer below, waves along."""
    h, w = size
    wide = texture(h, 1200, 5)
    left = round(shift)
    picture = np.repeat(wide[:, left : left + w, None], 3, -1)
    x = np.arange(left, left + w, dtype=np.float32)
    inverse = 0.4 + 0.3 * np.sin(x / 40)[None] + 0.3 * np.linspace(0, 1, h, dtype=np.float32)[:, None]
    return grey_of(np.ascontiguousarray(picture)), inverse.astype(np.float32)


def drawn(rng: np.random.Generator, ambiguity: str) -> ScaleShift:
    """What a model makes of one frame: a scale and, of affine models, a shift."""
    return ScaleShift(float(rng.uniform(0.7, 1.4)), float(rng.uniform(-0.2, 0.2)) if ambiguity == "affine" else 0.0)


def errors(
    ambiguity: str, speed: float, noise: float, frames: int = FRAMES, moving: bool = False
) -> tuple[list[float], Flicker]:
    """Return each frame's median error after one alignment of the whole clip to the truth (the first frame's), relative
    to the range, and the flicker."""
    rng = np.random.default_rng(1)
    flicker, steady, result = Flicker(0.9), Aligner(ambiguity, 0.9), []
    first, last = drawn(rng, ambiguity), None
    for index in range(frames):
        grey, truth = scene(speed * index)
        if moving:  # something near walks through
            x = 8 + 2 * index
            grey[30:66, x : x + 40], truth = texture(96, 60, 9)[30:66, 20:60][:, : max(0, 160 - x)] * 255, truth.copy()
            truth[30:66, x : x + 40] = 0.9 + 0.02 * index
        seen = first if index == 0 else drawn(rng, ambiguity)
        now = steady.add(
            grey, seen.applied(truth) + noise * rng.standard_normal(truth.shape).astype(np.float32), index / RATE
        )
        if last is not None:
            flicker.add(last, now)
        last = now
        back = (now.depth - first.shift) / first.scale
        result.append(float(np.median(np.abs(back - truth))) / 0.9)
    return result, flicker


@pytest.mark.parametrize("ambiguity", ["affine", "scale", "metric"])
def test_breathing_frames_agree_however_the_camera_moves(ambiguity) -> None:
    for speed, noise, moving in ((0.0, 0.0, False), (0.0, 0.02, True), (3.0, 0.0, False), (3.0, 0.02, False)):
        wrong, flicker = errors(ambiguity, speed, noise, moving=moving)
        assert flicker.before is not None
        assert flicker.after is not None
        assert flicker.before > 0.08
        assert flicker.after < flicker.before / (8 if noise == 0 else 2.5), (speed, noise, moving)
        # A clip that returns slowly to the model's own scale ends near the first frame's.
        assert max(wrong) < 0.06, (speed, noise, moving, max(wrong))


def test_a_keyframe_holds_what_neighbours_alone_would_lose() -> None:
    """Of a camera that stands still: neither noise nor the way back to the model's own scale moves it."""
    for noise in (0.0, 0.02):
        wrong, _ = errors("affine", 0.0, noise, frames=60)
        assert max(wrong) < 0.006 + 1.2 * noise


def test_drift_is_bounded() -> None:
    """Over 150 frames, which pass many keyframes, scale neither fades nor grows; noise does not bias it."""
    wrong, _ = errors("affine", 3.0, 0.03, frames=150)
    assert max(wrong[-30:]) < 0.12
    steady = Aligner("scale", 1.0)
    for index in range(150):  # a key that was wrong at the start is forgotten when the view has changed
        grey, truth = scene(min(index, 100) * 3.0)
        now = steady.add(grey, truth if index else 2 * truth, index / RATE)
    assert float(np.median(now.depth / truth)) < 2


def test_a_cut_begins_anew() -> None:
    steady = Aligner("affine", 1.0)
    grey, truth = scene(0)
    steady.add(grey, truth, 0.0)
    assert steady.add(grey, 2 * truth + 1, 0.1).depth == pytest.approx(truth, abs=0.02)  # it goes back by 1 % in 0.1 s
    other = grey_of(np.repeat(texture(96, 160, 77)[..., None], 3, -1))
    cut = steady.add(other, 3 * truth, 0.2)
    assert cut.motion is not None
    assert cut.motion.cut
    assert np.array_equal(cut.depth, 3 * truth)
    assert steady.key is cut


def test_fits_are_robust_symmetric_and_never_degenerate() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, 4000)
    y = 1.7 * x - 0.3
    y[:1200] = rng.uniform(2, 4, 1200)  # what moved
    fitted = fit(x, y, "affine", 1e-3)
    assert (fitted.scale, fitted.shift) == pytest.approx((1.7, -0.3), abs=0.02)
    noisy = [x + 0.05 * rng.standard_normal(4000) for _ in range(2)]
    assert fit(*noisy, "affine", 1e-3).scale == pytest.approx(1, abs=0.01)  # least squares: 0.97
    assert fit(2 * x, x, "scale", 1e-3).scale == pytest.approx(0.5)
    assert fit(2 * x, x, "scale", 1e-3).shift == 0
    for flat in (np.zeros(100), np.full(100, 3.0)):
        assert fit(flat, flat + 1, "affine", 0.0) == ScaleShift(1.0, 1.0)
        assert np.isfinite(fit(flat, x[:100], "scale", 0.0).scale)
    assert LEAK > 1
