"""The bundled models in torch as they were, beside torch in channels-last and beside onnxruntime.

The network of `general` at its own size, prediction of a photo of one megapixel after loading, and prediction with
refocusing of it without a subject; of `panorama` a panorama of 512x1024; the whole command. Then every other network of
photos (192x640) and panoramas (256x512), with random weights.
"""

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.peers import Pair, Work
from benchmarks.photos import COMMAND, _file
from cyclopean.networks import NETWORKS, STUDENTS


def network(how: str, threads: int, _: str) -> Work:
    import torch

    from cyclopean.geometry import assumed_camera
    from cyclopean.sample import view

    torch.set_num_threads(threads)
    method = loaded(how).method
    target = view(torch.rand(1, 3, 256, 352), assumed_camera((256, 352)))

    def work() -> None:
        with torch.inference_mode():
            method.predict(target)

    return work


def photo(how: str, threads: int, _: str) -> Work:
    import torch

    import cyclopean

    torch.set_num_threads(threads)
    model, picture = loaded(how), cyclopean.read_photo(_file())
    return lambda: model(picture)


def refocused(how: str, threads: int, _: str) -> Work:
    import torch

    import cyclopean

    torch.set_num_threads(threads)
    model, picture = loaded(how), cyclopean.read_photo(_file())
    return lambda: cyclopean.refocus(picture, model(picture), at=(0.5, 0.5))


def panorama(how: str, threads: int, _: str) -> Work:
    import torch

    import cyclopean
    from cyclopean.geometry import Equirectangular
    from cyclopean.io.image import resize

    torch.set_num_threads(threads)
    model, picture = loaded(how, "panorama"), cyclopean.read_photo(_file())
    whole = replace(picture, image=resize(picture.image, (512, 1024)), camera=Equirectangular())
    return lambda: model(whole)


def command(how: str, threads: int, _: str) -> Work:
    import os

    path, out = _file(), Path(tempfile.mkdtemp())
    words = [COMMAND, "refocus", path, "--at", "0.5", "0.5", "--no-subject", "--out", out, "--overwrite"]
    words += ["--backend", how] if how == "onnxruntime" else []
    return lambda: subprocess.run(
        words, capture_output=True, check=True, env=os.environ | {"OMP_NUM_THREADS": str(threads)}
    )


def untrained(name: str, how: str, threads: int, _: str) -> Work:
    """Every other network, its weights random, at a size of KITTI's shape or of panoramas."""
    import torch

    from cyclopean.geometry import Equirectangular, assumed_camera
    from cyclopean.inference.graphs import BareGraph, bare_program, save_program
    from cyclopean.inference.onnx_model import Accelerated, OnnxSession
    from cyclopean.methods import method_class
    from cyclopean.sample import view

    torch.set_num_threads(threads)
    around = name in STUDENTS
    kind, arguments = VOLUMES.get(name, ("supervised_sphere" if around else "supervised", {"network": name}))
    method = method_class(kind)(**arguments).eval()
    size = (256, 512) if around else (192, 640)
    if how == "onnxruntime":
        path = Path(tempfile.mkdtemp()) / "network.onnx"
        save_program(bare_program(BareGraph(method, around=around), size), path, {})
        method = Accelerated(method, OnnxSession(str(path), path.read_bytes())).eval()
    target = view(torch.rand(1, 3, *size), Equirectangular() if around else assumed_camera(size))

    def work() -> None:
        with torch.inference_mode():
            method.predict(target)

    return work


def loaded(how: str, name: str = "general"):
    """Return a predictor in torch as it was, in torch with weights in channels-last, or in onnxruntime."""

    import cyclopean

    if how == "onnxruntime":
        return cyclopean.load(name, backend=how)
    predictor = cyclopean.load(name)
    return predictor if how == "channels-last" else as_it_was(predictor)


def as_it_was(predictor):
    """Return a predictor in torch whose weights are in no special order, as they were before channels-last."""
    import torch

    for one in (predictor, predictor.details):
        if one is not None:
            one.method.to(memory_format=torch.contiguous_format)
    return predictor


CASES: dict[str, tuple[Callable[[str, int, str], Work], tuple[str, ...]]] = {
    "network of general, 256x352": (network, ("channels-last", "onnxruntime")),
    "predict, 1 MP": (photo, ("channels-last", "onnxruntime")),
    "predict + refocus, 1 MP, no subject": (refocused, ("channels-last", "onnxruntime")),
    "panorama, 512x1024": (panorama, ("channels-last", "onnxruntime")),
    "cyclopean refocus --no-subject, 1 MP, whole command": (command, ("onnxruntime",)),
}
VOLUMES: dict[str, tuple[str, dict[str, object]]] = {  # networks of their own methods
    "falnet": ("falnet", {}),
    "aquanet": ("aquanet", {}),
    "plade": ("aquanet", {"rules": {"network": "plade", "levels": 49}}),
    "dirnet": ("aquanet", {"rules": {"network": "dirnet", "warp": "backward"}}),
}
OTHERS = [name for name in dict.fromkeys((*NETWORKS, *STUDENTS, *VOLUMES)) if name != "mobile"]  # that of general
PAIRS = {
    f"{name}: {how}, {threads} thread{'s' * (threads > 1)}": Pair(
        partial(prepare, "torch", threads), partial(prepare, how, threads), 1, "images", devices=("cpu",), of="best"
    )
    for name, (prepare, hows) in CASES.items()
    for how in hows
    for threads in (1, 2)
} | {
    f"network {name}, random weights: onnxruntime, {threads} thread{'s' * (threads > 1)}": Pair(
        partial(untrained, name, "torch", threads),
        partial(untrained, name, "onnxruntime", threads),
        1,
        "images",
        devices=("cpu",),
        of="best",
    )
    for name in OTHERS
    for threads in (1, 2)
}
