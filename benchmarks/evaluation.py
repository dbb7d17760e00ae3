"""Judging 697 predictions at KITTI's size (resizing, crop, four alignments, figures, bands, both caps), then the table.

Truth is sparse like a laser's. Reading the data set is not counted: pictures and truth are held in memory.
"""

from benchmarks.measure import Case, Work

IMAGES, KEPT = 697, 8  # the test images of Eigen et al.; so many different ones are made and used in turn
SIZE, OWN = (375, 1242), (256, 512)
POINTS = 22000  # laser points of a picture, about 17000 of them inside Garg's crop


def _samples() -> list:
    import math

    import torch

    from cyclopean.geometry import Pinhole, translation
    from cyclopean.sample import Sample, view

    draw = torch.Generator().manual_seed(0)
    camera = Pinhole(torch.tensor([[0.58, 1.92]]), torch.full((1, 2), 0.5))
    image = torch.zeros(1, 3, *SIZE)
    right = view(image, camera, translation(torch.tensor([[-0.54, 0.0, 0.0]])))
    made = []
    for i in range(KEPT):
        depth = torch.full((SIZE[0] * SIZE[1],), math.nan)
        low = SIZE[1] * 150  # a laser sees nothing above the horizon
        place = low + torch.randperm(len(depth) - low, generator=draw)[:POINTS]
        depth[place] = 4 + 86 * torch.rand(POINTS, generator=draw) ** 2
        made.append(Sample(view(image, camera), (right,), depth.reshape(1, 1, *SIZE), name=(str(i),)))
    return made


class _Drives:
    def __init__(self) -> None:
        self.samples = _samples()

    def __len__(self) -> int:
        return IMAGES

    def __getitem__(self, index: int):
        from dataclasses import replace

        return replace(self.samples[index % KEPT], name=(f"{index:06d}",))

    def far(self, _: int) -> float:
        return 80.0


def _judging(guesses: bool) -> Case:
    def prepare(_: str) -> Work:
        import torch

        from cyclopean.evaluation.entries import Entry
        from cyclopean.evaluation.evaluate import evaluate_variants, fitted_factors
        from cyclopean.evaluation.predictions import Meaning
        from cyclopean.evaluation.protocols import named_protocol
        from cyclopean.evaluation.summary import summarise
        from cyclopean.evaluation.trivial import guesses as guesses_

        data = _Drives()
        maps = 0.01 + 0.1 * torch.rand(KEPT, 1, 1, *OWN, generator=torch.Generator().manual_seed(1))
        meaning = Meaning("disparity")
        model = Entry(
            "maps",
            "metric",
            lambda sample: meaning.inverse_depth(maps[int(sample.name[0]) % KEPT], sample),
        )
        rows = [model, *(guesses_() if guesses else [])]
        variants = named_protocol("kitti-eigen-raw")

        def work() -> None:
            factors = fitted_factors([model], data, range(IMAGES), variants[0])
            for measured, _ in evaluate_variants(rows, data, range(IMAGES), variants, factors):
                summarise(measured, rows)

        return work

    return Case(prepare, items=IMAGES, unit="images", repeat=1, on_device=False)


CASES = {
    "697 predictions of 256x512, kitti-eigen-raw": _judging(guesses=False),
    "the same beside three guesses": _judging(guesses=True),
}
