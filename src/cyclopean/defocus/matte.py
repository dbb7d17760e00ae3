"""Mattes: which pixels of a photo are its subject, from a picture or from a segmenter the user names.

A segmenter is a model for semantic segmentation that transformers can load, in a folder or a Hub repository; the
subject has the class of the point in focus. transformers is imported only for a segmenter.
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

from cyclopean.defocus import A_MATTE, refuse_no_matte
from cyclopean.errors import InputError, enough_memory
from cyclopean.io.decoding import decode
from cyclopean.io.files import read_json, shortened
from cyclopean.io.image import Photo, resize
from cyclopean.io.limits import MOST_MEGAPIXELS

Matte = Float[Tensor, "1 1 h w"]
Colour = Float[Tensor, "1 3 1 1"]
Preprocessing = tuple[Colour, Colour, tuple[int, int]]

LOG = logging.getLogger(__name__)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, for a model that has none of its own
SIDE = 512  # pixels, likewise
MOST = 4096  # pixels of a side, at most, of a model's input
SECONDS = 10.0  # timeout of a request to the Hub


def matte_for(name: str, photo: Photo, pixel: tuple[int, int] | None) -> Matte:
    """Return the matte in the picture `name`, or that of the segmenter `name` around `pixel` (x, y)."""
    refuse_no_matte(name)
    if os.path.isfile(name):
        return read_matte(Path(name))
    if pixel is None:
        raise InputError("a segmenter needs a point on the subject; give one (--at), or a matte as a picture.")
    return segmented(name, photo, pixel)


def read_matte(path: Path) -> Matte:
    """Read a matte: white is the subject; for a picture with transparent parts (a cut-out), its opacity is read.

    Of black and one dark number the dark one is the subject, as in masks of 0 and 1. That, and parts of the file that
    are not used, such as all frames but the first, are logged.
    """
    with enough_memory(str(path)), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata do not matter here
        decoded = decode(path, MOST_MEGAPIXELS, "matte")  # raises InputError for other files
        for note in decoded.notes:
            LOG.warning("%s", note)
        if decoded.alpha is not None and decoded.alpha.min() < 1:
            return decoded.alpha
        grey = decoded.image.mean(1, keepdim=True)
        most = float(grey.max())
        if 0 < most < 0.5 and bool(((grey == 0) | (grey == most)).all()):  # as of masks of 0 and 1, and of labels
            LOG.warning("%s: its two numbers, 0 and %.3g of white, are taken as black and white.", path.name, most)
            return (grey > 0).float()
        return grey / grey.max().clamp_min(1e-6) if decoded.format == "HDR" else grey  # it has no fixed white


def segmented(name: str, photo: Photo, pixel: tuple[int, int]) -> Matte:
    """Return a soft mask of the connected component around `pixel` (x, y), for the class that the segmenter predicts
    there.

    A single channel of logits is the subject's; the background is the complement.
    """
    model, (mean, deviation, size) = _segmenter(name)
    small = resize(photo.image, size)
    with torch.inference_mode():
        logits = model((small - mean) / deviation).logits
    if logits.shape[1] > 1:
        probabilities = logits.softmax(1)
    else:
        subject = logits.sigmoid()
        probabilities = torch.cat([1 - subject, subject], 1)
    part = resize(probabilities.float(), photo.size)
    x, y = pixel
    soft = part[:, int(part[0, :, y, x].argmax())][:, None].clone()
    mask = soft[0, 0].numpy() >= 0.5
    _, label = cv2.connectedComponents(mask.astype(np.uint8))
    component = (label == label[y, x]).astype(np.uint8) if mask[y, x] else np.ones(mask.shape, np.uint8)
    around = cv2.dilate(component, np.ones((9, 9), np.uint8))  # so that its soft edge stays
    return soft * torch.from_numpy(around)[None, None].float()


@torch.random.fork_rng(devices=[])  # transformers draws weights, too
def _segmenter(name: str) -> tuple[Any, Preprocessing]:
    """Return the model, and mean, deviation and size of its input. Raises InputError without transformers or a model.

    A repository that was fetched before is taken as it is; else the Hub is queried once.
    """
    try:
        import huggingface_hub
        from transformers import AutoModelForSemanticSegmentation
    except ImportError:
        raise InputError(
            f"there is no picture {name}, and a segmenter needs transformers, which is not installed: "
            "pip install 'cyclopean[matte]', or give the matte as a picture."
        ) from None
    huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = (
        True  # otherwise it also requests a list of agents from the Hub
    )
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
    except Exception as error:  # transformers has no base class for its errors on foreign folders
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{shortened(name)} is not a model for semantic segmentation without code of its own "
            f"({shortened(first)}); {A_MATTE}."
        ) from None
    return model.eval(), _preprocessing(path)


def _ask_hub(name: str) -> None:
    """Raise InputError unless the Hub has the repository `name`; one request, since a download would retry for long."""
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(name, timeout=SECONDS)
    except Exception as error:  # of HTTP, TLS and proxies, by several libraries
        raise InputError(
            f"there is no picture and no model's folder {name}, and no Hub repository of that name could be reached "
            f"({type(error).__name__}); check the name and the connection, or {A_MATTE}."
        ) from None


def _preprocessing(folder: Path) -> Preprocessing:
    """Return mean and deviation of the colours and (height, width), from the model's preprocessor, else of ImageNet."""
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
            f"{file} does not state how pictures are scaled: image_mean and image_std are three numbers each, size is "
            f"1 to {MOST} pixels; correct or remove it."
        )
    return mean, deviation, (height, width)
