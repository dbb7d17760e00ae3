"""`python -m benchmarks.panorama_loss FOLDER`: how the photometric terms change when near things are put further away.

FOLDER holds worlds of the rig `sphere`. Where the true depth around the horizon is below 1.5 m it is multiplied by a
factor, the rest stays: a term that does not grow with the factor cannot pull such a guess back.
"""

import sys

import torch

FACTORS = (0.8, 1.0, 1.25, 1.5, 2.0, 3.0)
NEAR, LEAST = 1.5, 0.02  # metres; share of pixels that a picture must have nearer than that


@torch.no_grad()
def main() -> int:
    """Prints one line for the view above and one for the view beside."""
    from cyclopean.bench.sphere import remake
    from cyclopean.data import open_dataset
    from cyclopean.methods.spherical_view_synthesis import synthesis_loss

    data, found, judged = open_dataset(f"folder:{sys.argv[1]}"), {}, 0
    for index in range(len(data)):
        sample = data[index]
        height = sample.depth.shape[-2]
        near = sample.depth < NEAR
        near[..., : height // 3, :] = near[..., -(height // 3) :, :] = False
        if near.float().mean() < LEAST:
            continue
        judged += 1
        for source, name in zip(sample.sources, ("above", "beside"), strict=True):
            for factor in FACTORS:
                depth = torch.where(near, factor * sample.depth, sample.depth)
                made, covered = remake(1 / depth, sample.target, source)
                loss = synthesis_loss(made, source.image, covered.float(), torch.ones_like(depth))
                found.setdefault(name, {}).setdefault(factor, []).append(float(loss))
    print(f"{judged} of {len(data)} panoramas\n| view | " + " | ".join(f"x {factor:g}" for factor in FACTORS) + " |")
    print("|---" + "|---:" * len(FACTORS) + "|")
    for name, by_factor in found.items():
        print(f"| {name} | " + " | ".join(f"{sum(v) / len(v):.4f}" for v in by_factor.values()) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
