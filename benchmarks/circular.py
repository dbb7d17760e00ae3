"""`python -m benchmarks.circular OUT ROWS`: rows of `cyclopean bench sphere OUT` with zeros around, and seen around.

The weights are those trained with zeros; then pictures go on around the seam. Nothing is trained.
"""

import sys
from pathlib import Path

SHOWN = {"abs_rel": "AbsRel", "delta1": "δ1", "above": "loss, above", "beside": "loss, beside", "seam": "seam"}


def main() -> int:
    """Prints two lines for each row, over the held-out rooms."""
    from cyclopean.bench.comparison import mean_figures
    from cyclopean.bench.sphere import closer, figures
    from cyclopean.data import open_dataset
    from cyclopean.methods.spherical_view_synthesis import SphericalViewSynthesis
    from cyclopean.training import checkpoint

    out = Path(sys.argv[1])
    data = open_dataset(f"folder:{out / 'data' / 'held-out'}")
    print("| row | around pictures | " + " | ".join(SHOWN.values()) + " |\n|---|---" + "|---:" * len(SHOWN) + "|")
    for row in sys.argv[2].split(","):
        trained, _ = checkpoint.load(out / "runs" / f"{row}-0" / "last")
        around = SphericalViewSynthesis(**{**trained.config(), "circular": True})
        around.load_state_dict(trained.state_dict())
        for name, method in (("zeros", trained.eval()), ("the other side", around.eval())):

            def see(sample, method=method):
                return method.predict(sample.target).inverse_depth.detach()

            found = mean_figures(see, data, lambda rho, sample: figures(rho, sample) | closer(rho, sample))
            print(f"| {row} | {name} | " + " | ".join(f"{found[key]:.3f}" for key in SHOWN) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
