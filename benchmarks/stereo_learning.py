"""What the loss of stereo pairs says of depth: `python -m benchmarks.stereo_learning --worlds room --baseline 0.2`.

The appearance term of Monodepth's Eq. 1 (left view, four scales) is taken at true depth, at true inverse depth times a
factor, at the mean of each row, at infinity, and at true depth but for what lies outside the right picture: that is
told infinite (collapsed), or to lie at its border (clamped). No network can be told to learn what has a larger loss.
"""

import argparse
from collections import defaultdict

import torch
from torch import Tensor

from cyclopean.bench.stereo import FAR, FIELD_OF_VIEW, NEAR
from cyclopean.geometry import pixel_grid, size_of
from cyclopean.losses import pyramid
from cyclopean.methods.base import known_pose
from cyclopean.methods.photometric import DisparityPyramid, PhotometricLoss, SourceView
from cyclopean.sample import Sample
from cyclopean.synthetic import rigs
from cyclopean.training.options import LossConfig

FACTORS = (0.5, 0.7, 0.85, 1.0, 1.2, 1.4, 2.0)  # of true inverse depth
RULES = {
    "zeros": LossConfig(),  # Monodepth's
    "edge+inside": LossConfig(border="edge", mask="inside"),
}
SCALES = 4


def guesses(sample: Sample, unit: Tensor) -> dict[str, Tensor]:
    """Return disparities `1 1 h w` by name; `unit` is disparity / inverse depth."""
    true = unit / sample.depth.clamp(min=NEAR)
    u = pixel_grid(size_of(true), true)[..., 0].view(1, 1, *size_of(true))
    outside = u < true
    return {
        **{f"true x {factor:g}": factor * true for factor in FACTORS},
        "mean of each row": true.mean(-1, keepdim=True).expand_as(true),
        "infinity": torch.zeros_like(true),
        "border collapsed": torch.where(outside, 0, true),
        "border clamped": torch.minimum(true, u),
    }


def appearance(loss: PhotometricLoss, sample: Sample, disparity: Tensor) -> float:
    """Return the appearance term of the left view, as Monodepth weighs it."""
    levels = DisparityPyramid(tuple(pyramid(disparity, SCALES)))
    source = SourceView(sample.sources[0], known_pose("monodepth", sample.sources[0]))
    return float(loss(sample.target, levels, [source])["appearance"])


def main() -> None:
    """Print a table for each world, size, number of rays and baseline."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--worlds", default="street", help="comma-separated")
    arguments.add_argument("--sizes", default="64x128", help="comma-separated")
    arguments.add_argument("--supersample", default="1,3", help="rays along a pixel's side, comma-separated")
    arguments.add_argument("--baselines", default="0.54", help="metres, comma-separated")
    arguments.add_argument("--count", type=int, default=20, help="pairs of each world")
    arguments.add_argument("--seed", type=int, default=30_000_000)
    options = arguments.parse_args()
    losses = {name: PhotometricLoss(rules, lambda _: []) for name, rules in RULES.items()}
    settings = [
        (world, tuple(int(n) for n in size.split("x")), int(rays), float(baseline))
        for world in options.worlds.split(",")
        for size in options.sizes.split(",")
        for rays in options.supersample.split(",")
        for baseline in options.baselines.split(",")
    ]
    for world, (height, width), rays, baseline in settings:
        errors, shifts = defaultdict(list), []
        for n in range(options.count):
            sample = rigs.sample(
                world, options.seed + n, (height, width), "stereo",
                baseline=baseline, field_of_view=FIELD_OF_VIEW, supersample=rays,
            )  # fmt: skip
            unit = baseline * sample.target.camera.focal[:, 0]  # type: ignore[attr-defined]
            shifts.append(width * unit / sample.depth.clamp(NEAR, FAR))
            for guess, disparity in guesses(sample, unit).items():
                for name, loss in losses.items():
                    errors[guess, name].append(appearance(loss, sample, disparity))
        shift = torch.cat(shifts)
        small = float((shift < 0.5).double().mean())
        print(
            f"\n{world}, {height}x{width}, {rays * rays} rays a pixel, baseline {baseline:g} m: disparity "
            f"{float(shift.median()):.1f} pixels (median), below half a pixel {small:.0%}"
        )
        print(f"| depth | {' | '.join(RULES)} |\n|---|{'---:|' * len(RULES)}")
        for guess in dict.fromkeys(guess for guess, _ in errors):
            means = (sum(errors[guess, name]) / options.count for name in RULES)
            print(f"| {guess} | {' | '.join(f'{mean:.3f}' for mean in means)} |", flush=True)


if __name__ == "__main__":
    main()
