"""Weights that others released, as models of this house: names of tensors to ours, licences into the config.

Files of strangers: read as tensors alone (`weights_only`), and nothing of them is used that has not the name and the
shape of a weight of the published network.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.io.files import file_hash, refuse_unreadable, shortened
from cyclopean.methods.monodepth2 import Monodepth2
from cyclopean.training import checkpoint

MOST_BYTES = 2_000_000_000  # of a file of weights
MONODEPTH2_LICENCE = "Monodepth2 licence of Niantic: non-commercial"
KITTI_RIG = 0.58, 0.54  # focal length in image widths, baseline in metres: what models of its pairs were trained with
USUAL_SIZE = 192, 640
LARGEST_SIDE = 8192
LEVELS = 5  # of the decoder
UNUSED = re.compile(r"encoder\.fc\.(weight|bias)")  # of ImageNet's classes
ENCODER, DEPTH, POSE_ENCODER, POSE = "encoder.pth", "depth.pth", "pose_encoder.pth", "pose.pth"


def import_monodepth2(folder: Path, out: Path) -> Monodepth2:
    """Write the released weights in `folder` to the model folder `out` and return the method.

    `encoder.pth` and `depth.pth` are needed, ResNet18 or 50; with `pose_encoder.pth` and `pose.pth` the model can be
    trained further on video. The decoder is a list: from the coarsest level on, each level's convolution before its
    upsampling and the one after it (Godard et al. 2019, supplement, table 5), then the heads, finest first. A model
    that was trained on KITTI's pairs states it (`use_stereo`), and is metric; others predict up to scale.

    Raises `InputError` for files that are missing, hold more than tensors, or do not fit.
    """
    encoder, decoder = _tensors(folder / ENCODER), _tensors(folder / DEPTH)
    sizes = [encoder.pop(name, usual) for name, usual in zip(("height", "width"), USUAL_SIZE, strict=True)]
    if not all(type(side) is int and 32 <= side <= LARGEST_SIDE for side in sizes):
        raise InputError(f"{folder / ENCODER} states a size of {shortened(sizes)}; it needs 32 to {LARGEST_SIDE}.")
    stereo = encoder.pop("use_stereo", False) is True
    network = "resnet50" if "encoder.layer1.0.conv3.weight" in encoder else "resnet18"
    renamed = _renamed(encoder, r"encoder\.(.+)", r"network.encoder.\1")
    for level in range(LEVELS):
        for after, ours in enumerate(("grow", "merge")):
            place = 2 * (LEVELS - 1 - level) + after
            renamed |= _renamed(decoder, rf"decoder\.{place}\.conv\.conv\.(.+)", rf"network.{ours}.{level}.\1")
    for head in range(4):
        renamed |= _renamed(decoder, rf"decoder\.{2 * LEVELS + head}\.conv\.(.+)", rf"network.heads.{head}.\1")
    files = [ENCODER, DEPTH]
    if (folder / POSE_ENCODER).exists() and (folder / POSE).exists():
        files += [POSE_ENCODER, POSE]
        renamed |= _renamed(_tensors(folder / POSE_ENCODER), r"encoder\.(.+)", r"pose.network.encoder.\1")
        pose = _tensors(folder / POSE)
        for place, ours in enumerate(("squeeze", "mix.0", "mix.2", "mix.4")):
            renamed |= _renamed(pose, rf"net\.{place}\.(.+)", rf"pose.network.{ours}.\1")

    with torch.random.fork_rng(devices=[]):
        method = Monodepth2(network, rig=KITTI_RIG if stereo else None, pose="resnet" if POSE in files else "none")
    expected = method.state_dict()
    for name, tensor in expected.items():
        target = renamed.get(name)
        if target is None and name.endswith("num_batches_tracked"):  # old files lack it
            renamed[name] = tensor
        elif target is None or target.shape != tensor.shape:
            state = "missing" if target is None else f"of shape {tuple(target.shape)}, not {tuple(tensor.shape)}"
            raise InputError(f"the weights in {folder} do not fit Monodepth2's {network}: {name} is {state}.")
        elif not bool(target.isfinite().all()):
            raise InputError(f"the weights in {folder} are not finite ({name}); fetch them again.")
    method.load_state_dict({name: renamed[name].to(tensor.dtype) for name, tensor in expected.items()})
    hashes = {name: file_hash(folder / name) for name in files}
    start = {"what": "weights in the files of Monodepth2 (Godard et al. 2019)", "licence": MONODEPTH2_LICENCE}
    training = {"start": start, "imported": hashes, "command": f"cyclopean import monodepth2 FOLDER {out.name}"}
    checkpoint.save(out, method, {"input_size": sizes, "licence": MONODEPTH2_LICENCE, "training": training})
    return method.eval()


def _renamed(tensors: Mapping[str, Any], pattern: str, ours: str) -> dict[str, Tensor]:
    """Return the tensors whose whole name fits `pattern`, by our names."""
    fitting = {name: tensor for name, tensor in tensors.items() if re.fullmatch(pattern, name)}
    return {re.sub(pattern, ours, name): tensor for name, tensor in fitting.items() if not UNUSED.fullmatch(name)}


def _tensors(path: Path) -> dict[str, Any]:
    """Return what a file of torch holds: tensors and plain numbers by name, never an object of a class."""
    refuse_unreadable(path, MOST_BYTES)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a foreign file makes the unpickler raise
        raise InputError(f"{path} is no file of weights, or holds more than tensors; fetch it again.") from error
    names = content if isinstance(content, Mapping) else {}
    if not names or not all(isinstance(name, str) and isinstance(x, Tensor | int) for name, x in names.items()):
        raise InputError(f"{path} does not hold tensors by name; give the files that Monodepth2 was released as.")
    return dict(names)
