"""What the photometric error of a clip says of depth: `python -m benchmarks.photometric --supersample 3`.

Views are made through levels, as AQUANet makes them (Eq. 1), from true depth times a factor, from the mean of each row
and from infinity: the table of `bench video` can only show what the least of these errors is.
"""

import argparse
from collections import defaultdict

import torch
from torch import Tensor

from cyclopean.bench.video import BUDGETS, FIELD_OF_VIEW, MOST, patch
from cyclopean.geometry import invert
from cyclopean.methods.aquanet import Aquanet, zoomed
from cyclopean.methods.base import known_pose
from cyclopean.synthesis import sweep, swept_coverage
from cyclopean.synthetic import rigs
from cyclopean.training.options import VolumeConfig

FACTORS = (0.1, 0.25, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0)  # of true inverse depth
PEAK, SHARPNESS = 60.0, 200.0  # of the logits of one depth, in its logarithm; outside the picture a logit is 0


def main() -> None:
    """Print the error, under the coverage as in Eq. 11, of each guess."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--supersample", type=int, default=1)
    arguments.add_argument("--count", type=int, default=40, help="clips of traffic")
    arguments.add_argument("--seed", type=int, default=30_000_000)
    options = arguments.parse_args()
    method = Aquanet(0.125, rules=VolumeConfig(levels=17, most=MOST, mask="none", spacing="exponential"))
    rules, steps = method.rules, torch.linspace(-1, 0, method.rules.levels)
    levels = rules.most * (rules.most / rules.least) ** steps

    def error(rho: Tensor) -> float:
        offset = rho.clamp(rules.least, rules.most).log() - levels.log().view(1, -1, 1, 1)
        logits = (PEAK - SHARPNESS * offset**2).clamp(min=-20)
        errors = []
        for source in sample.sources:
            pose = zoomed(known_pose("aquanet", source), sample.zoom, rules.translation)
            there = method.level_uv(torch.ones_like(rho), source, invert(pose), sample.target)
            made, seen = sweep(sample.target.image, logits, there), swept_coverage(logits, there)
            errors.append(float((seen * (made - source.image).abs()).mean()))
        return sum(errors) / len(errors)

    errors = defaultdict(list)
    for n in range(options.count):
        clip = rigs.sample(
            "traffic", options.seed + n, BUDGETS["small"].size, "clip",
            field_of_view=FIELD_OF_VIEW, supersample=options.supersample,
        )  # fmt: skip
        sample = patch(clip, torch.Generator().manual_seed(n))
        assert sample.zoom is not None
        true = sample.zoom.view(-1, 1, 1, 1) / sample.depth
        for factor in FACTORS:
            errors[f"true inverse depth x {factor:g}"].append(error(factor * true))
        errors["the mean of each row"].append(error(true.mean(-1, keepdim=True).expand_as(true).contiguous()))
        errors["infinity"].append(error(torch.zeros_like(true)))
    for name, values in errors.items():
        print(f"{name:28} {sum(values) / len(values):.4f}")


if __name__ == "__main__":
    main()
