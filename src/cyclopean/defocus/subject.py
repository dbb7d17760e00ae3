"""Mattes: which pixels of a photo are its subject, from a picture or from a segmenter the user names.

A segmenter is a model for semantic segmentation that transformers can load, in a folder or a Hub repository; the
subject is what it takes the point in focus for. transformers is imported only when a segmenter is asked for.
"""

import logging
import os
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.choices import A_MATTE, refuse_no_matte
from cyclopean.errors import InputError, enough_memory
from cyclopean.io.decoding import decode
from cyclopean.io.files import read_json, shortened
from cyclopean.io.image import Photo, resize
from cyclopean.io.limits import MOST_MEGAPIXELS

Matte = Float[Tensor, "1 1 h w"]
Colour = Float[Tensor, "1 3 1 1"]
Setting = tuple[Colour, Colour, tuple[int, int]]

LOG = logging.getLogger(__name__)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, where a model does not say its own
SIDE = 512  # pixels, likewise
MOST = 4096  # pixels of a side that a model may ask for
SECONDS = 10.0  # for an answer of the Hub


def matte_for(name: str, photo: Photo, pixel: tuple[int, int] | None) -> Matte:
    """The matte in the picture `name`, or the one that the segmenter `name` finds around `pixel` (x, y)."""
    refuse_no_matte(name)
    if os.path.isfile(name):
        return read_matte(Path(name))
    if pixel is None:
        raise InputError("a segmenter needs to know what the subject is; give a point (--at), or a matte as a picture.")
    return segmented(name, photo, pixel)


def read_matte(path: Path) -> Matte:
    """White is the subject; a picture with transparent parts (a cut-out) counts by its opacity.

    What of the file is not used, such as all frames but the first, is told in the log.
    """
    with enough_memory(str(path)), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata do not matter here
        decoded = decode(path, MOST_MEGAPIXELS, "matte")  # which says what is wrong with files that are none
        for note in decoded.notes:
            LOG.warning("%s", note)
        if decoded.alpha is not None and decoded.alpha.min() < 1:
            return decoded.alpha
        grey = decoded.image.mean(1, keepdim=True)
        return grey / grey.max().clamp_min(1e-6) if decoded.format == "HDR" else grey  # whose white is no fixed number


def segmented(name: str, photo: Photo, pixel: tuple[int, int]) -> Matte:
    """How much each pixel belongs to what the segmenter takes `pixel` for, in the piece around it."""
    model, (mean, deviation, size) = _segmenter(name)
    small = resize(photo.image, size)
    with torch.inference_mode():
        logits = model((small - mean) / deviation).logits
    part = resize(_parts(logits).float(), photo.size)
    x, y = pixel
    mine = part[:, int(part[0, :, y, x].argmax())][:, None].clone()
    return mine * _piece(mine[0, 0].numpy() >= 0.5, pixel)


def _parts(logits: Float[Tensor, "1 c _ _"]) -> Float[Tensor, "1 k _ _"]:
    """Probabilities of the classes; one channel alone is that of the subject, and what is left is the rest."""
    if logits.shape[1] > 1:
        return logits.softmax(1)
    subject = logits.sigmoid()
    return torch.cat([1 - subject, subject], 1)


def _piece(mask: np.ndarray, pixel: tuple[int, int]) -> Matte:
    """1 on the connected piece of `mask` around `pixel` and a little beyond, so that its soft edge stays."""
    x, y = pixel
    _, label = cv2.connectedComponents(mask.astype(np.uint8))
    own = (label == label[y, x]).astype(np.uint8) if mask[y, x] else np.ones(mask.shape, np.uint8)
    return torch.from_numpy(cv2.dilate(own, np.ones((9, 9), np.uint8)))[None, None].float()


def _segmenter(name: str) -> tuple[Any, Setting]:
    """The model, and how its pictures are to be scaled. Raises InputError without transformers or such a model.

    A repository that was fetched before is taken as it is; else the Hub is asked once, and only for `owner/name` where
    nothing here is named `owner`.
    """
    try:
        import huggingface_hub
        from transformers import AutoModelForSemanticSegmentation
    except ImportError:
        raise InputError(
            f"there is no picture {name}, and a segmenter needs transformers, which is not installed: "
            "pip install 'cyclopean[matte]', or give the matte as a picture."
        ) from None
    huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True  # else it asks the Hub for a list of agents, too
    huggingface_hub.logging.set_verbosity_error()
    path = Path(name)
    load = partial(AutoModelForSemanticSegmentation.from_pretrained, name, use_safetensors=True)
    try:
        try:
            model = load(trust_remote_code=False, local_files_only=True)
        except OSError:  # not here, or not all of it
            if path.is_dir():
                raise
            _ask_hub(name)
            model = load(trust_remote_code=False)
    except InputError:
        raise
    except Exception as error:  # transformers has no base class for what it raises of foreign folders
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{shortened(name)} is no model for semantic segmentation that needs no code of its own "
            f"({shortened(first)}); {A_MATTE}."
        ) from None
    return model.eval(), _setting(path)


def _ask_hub(name: str) -> None:
    """Raise InputError unless the Hub has the repository `name`; asked once, where a download would try for long."""
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(name, timeout=SECONDS)
    except Exception as error:  # of HTTP, TLS and proxies, by several libraries
        raise InputError(
            f"there is no picture and no model's folder {name}, and no Hub repository of that name could be reached "
            f"({type(error).__name__}); check the name and the connection, or {A_MATTE}."
        ) from None


def _setting(folder: Path) -> Setting:
    """Mean and deviation of the colours and (height, width), as the model's preprocessor or else ImageNet has them."""
    stored: Any = {}
    file = folder / "preprocessor_config.json"
    if file.is_file():
        stored = read_json(file)
    try:
        size: Any = stored.get("size") or SIDE
        sides: dict[str, Any] = size if isinstance(size, dict) else {"shortest_edge": size}
        square = sides.get("shortest_edge", SIDE)
        height, width = int(sides.get("height", square)), int(sides.get("width", square))
        mean, deviation = (
            torch.tensor(stored.get(key) or usual, dtype=torch.float32).reshape(1, 3, 1, 1)
            for key, usual in (("image_mean", MEAN), ("image_std", DEVIATION))
        )
        sound = bool(mean.isfinite().all() and (deviation > 0).all()) and all(0 < x <= MOST for x in (height, width))
    except (AttributeError, TypeError, ValueError, OverflowError, RuntimeError):
        sound = False
    if not sound:
        raise InputError(
            f"{file} does not say how pictures are scaled: image_mean and image_std are three numbers each, size is 1 "
            f"to {MOST} pixels; correct or remove it."
        )
    return mean, deviation, (height, width)
