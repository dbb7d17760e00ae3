"""Folders and clips: the same work without overlap beside it as it is, and processes beside threads.

Without overlap a photo is read, predicted and written before the next one is opened, by torch without channels-last,
and colours are packed by Pillow, as it was before there were threads for that. The bars on two cores: 1.6 times as fast
overlapped; two processes of one thread at least 0.87 times as fast as one process of two (1.15 times its time), a start
of Ray apart.
"""

import os
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.backends import as_it_was
from benchmarks.peers import Pair, Work
from benchmarks.photos import COMMAND, SIZE

PHOTOS, MANY, FRAMES, FILM = 40, 500, 60, (720, 1280)


def folder(count: int) -> Path:
    """Return a folder of so many JPEGs of one megapixel, each another one."""
    import numpy as np
    from PIL import Image
    from skimage import data

    place = Path(tempfile.mkdtemp())
    pixels = np.asarray(Image.fromarray(data.coffee()).resize(SIZE))
    for number in range(count):
        Image.fromarray(np.roll(pixels, 7 * number, 1)).save(place / f"{number:04d}.jpg", quality=92)
    return place


def photos(overlapped: bool, backend: str, _: str) -> Work:
    from contextlib import closing

    import torch

    from cyclopean.inference import folder_pipeline, photo_pipeline
    from cyclopean.inference.photo_pipeline import DepthOptions, Models
    from cyclopean.inference.prefetching import prefetched
    from cyclopean.io.depthmap import colourise, value_range, write_colours
    from cyclopean.io.image import Photo, write_photo
    from cyclopean.io.result_names import Target

    def by_pillow(path: Path, values: torch.Tensor) -> None:
        write_photo(path, Photo(colourise(values, *value_range(values))))

    torch.set_num_threads(2)
    configure = (lambda one: one) if overlapped else as_it_was
    place, models = folder(PHOTOS), Models("general", backend=backend if overlapped else "torch", configure=configure)
    inputs = [
        folder_pipeline.Input(path, Target(place / "out", path.stem, overwrite=True)) for path in place.glob("*.jpg")
    ]

    def work() -> None:
        folder_pipeline.prefetched = prefetched if overlapped else lambda items, _most: (one for one in items)
        photo_pipeline.write_colours = write_colours if overlapped else by_pillow
        with closing(folder_pipeline.predict_all(inputs, models, DepthOptions(), lambda _: None)) as done:
            assert not any(one.error for one in done)

    return work


def film() -> Path:
    """Return a film of a folder of its own."""
    from fractions import Fraction

    import cyclopean
    from cyclopean.io.image import resize
    from cyclopean.io.video_writing import write_timed

    place, picture = folder(1), Fraction(1, 30)
    image = resize(cyclopean.read_photo(place / "0000.jpg").image, FILM)
    frames = ((image.roll(4 * k, -1), k * picture, picture) for k in range(FRAMES))
    write_timed(place / "walk.mp4", frames, 1 / picture, picture / 1000)
    return place / "walk.mp4"


def clip(overlapped: bool, backend: str, _: str) -> Work:
    import torch

    import cyclopean
    from cyclopean.inference import clip_pipeline
    from cyclopean.inference.prefetching import prefetched
    from cyclopean.io.result_names import Target

    torch.set_num_threads(2)
    source, predictor = film(), cyclopean.load("general", backend=backend)

    def work() -> None:
        clip_pipeline.prefetched = prefetched if overlapped else lambda items, _most: (one for one in items)
        clip_pipeline.predict_clip(source, Target(source.parent / "out", "walk", overwrite=True), predictor)

    return work


def refocused_clip(together: bool, backend: str, _: str) -> Work:
    import torch

    import cyclopean
    from cyclopean.defocus.video import Keyframe
    from cyclopean.inference import clip as refocusing
    from cyclopean.inference.prefetching import overlapped, prefetched

    torch.set_num_threads(2)
    source, predictor = film(), cyclopean.load("general", backend=backend)

    def work() -> None:
        refocusing.prefetched = prefetched if together else lambda items, _most: (one for one in items)
        refocusing.overlapped = overlapped if together else lambda change: change
        refocusing.refocus_clip(source, source.with_name("sharp.mp4"), [Keyframe(0.0, (0.5, 0.5))], predictor)

    return work


def processes(count: int, threads: int, flags: tuple[str, ...], _: str) -> Work:
    place, out = folder(count), Path(tempfile.mkdtemp())
    words = [COMMAND, "predict", place, "--out", out, *flags]

    def work() -> None:
        shutil.rmtree(out)
        subprocess.run(words, capture_output=True, check=True, env=os.environ | {"OMP_NUM_THREADS": str(threads)})

    return work


RAY = ("--workers", "2", "--cluster", "auto")
PAIRS = {
    **{
        f"{PHOTOS} photos of 1 MP, {backend}: overlapped": Pair(
            partial(photos, False, backend), partial(photos, True, backend), PHOTOS, "images", devices=("cpu",)
        )
        for backend in ("torch", "onnxruntime")
    },
    **{
        f"{FRAMES} frames of 1280x720, torch{what}: overlapped": Pair(
            partial(work, False, "torch"), partial(work, True, "torch"), FRAMES, "frames", repeat=3, devices=("cpu",)
        )
        for what, work in (("", clip), (", refocused", refocused_clip))
    },
    **{
        f"{count} photo{'s' * (count > 1)} of 1 MP, one process of 2 threads: {' '.join(flags)}": Pair(
            partial(processes, count, 2, ()), partial(processes, count, 1, flags), count, "images", 1, devices=("cpu",)
        )
        for count, flags in ((MANY, RAY[:2]), (MANY, RAY), (1, RAY))
    },
}
