"""How well the rule of `cyclopean mask` finds rendered skies: `python -m benchmarks.sky`.

Streets and landscapes that no rule was chosen by (seeds from 7000), rooms beside them, where it has to find none.
"""

import argparse

import torch

from cyclopean.data.rendered import WorldsDataset
from cyclopean.inference.masks import sky
from cyclopean.inference.predictor import load


def main() -> None:
    """Print intersection over union, and what share of rooms is taken for sky."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=24, help="scenes of each kind")
    arguments.add_argument("--seed", type=int, default=7000)
    options = arguments.parse_args()
    model = load("general")
    agreed, mistaken = [], []
    with torch.inference_mode():
        for worlds, count in ((("street", "landscape"), options.count), (("room",), options.count // 3)):
            data = WorldsDataset(worlds, "sphere", options.seed, (128, 256), count)
            for n in range(count):
                sample = data[n]
                found = sky(sample.target.image, model.faces(sample.target.image).inverse_depth)
                true = sample.depth.isinf()
                if bool(true.any()):
                    agreed.append(float((found & true).sum() / (found | true).sum()))
                else:
                    mistaken.append(float(found.float().mean()))
    values = torch.tensor(agreed)
    print(
        f"{len(agreed)} scenes with sky: IoU mean {values.mean():.3f}, median {values.median():.3f}, least "
        f"{values.min():.3f}, above 0.9 in {int((values > 0.9).sum())}; {len(mistaken)} without: at most "
        f"{100 * max(mistaken):.1f} % taken for sky"
    )


if __name__ == "__main__":
    main()
