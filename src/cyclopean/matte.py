"""Mattes: which pixels of a photo are its subject, from a picture or from a segmenter the user names.

A segmenter is a model for semantic segmentation that transformers can load, in a folder or a Hub repository; the
subject is what it takes the point in focus for. transformers is imported only when a segmenter is asked for.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.decoding import tensor, upright
from cyclopean.errors import InputError
from cyclopean.exif import orientation
from cyclopean.files import PHOTOS
from cyclopean.images import Photo, read_photo, resize

Matte = Float[Tensor, "1 1 h w"]

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, where a model does not say its own
SIDE = 512  # pixels, likewise


def matte_for(name: str, photo: Photo, pixel: tuple[int, int] | None) -> Matte:
    """The matte in the picture `name`, or the one that the segmenter `name` finds around `pixel` (x, y)."""
    path = Path(name)
    if path.is_file() or path.suffix.lower() in PHOTOS:
        return read_matte(path)
    if pixel is None:
        raise InputError("a segmenter needs to know what the subject is; give a point (--at), or a matte as a picture.")
    return segmented(name, photo, pixel)


def read_matte(path: Path) -> Matte:
    """White is the subject; a picture with transparent parts (a cut-out) counts by its opacity."""
    from PIL import Image, UnidentifiedImageError

    photo = read_photo(path)  # which says what is wrong with files that are none
    with suppress(UnidentifiedImageError), Image.open(path) as picture:  # what Pillow does not know has no alpha
        if picture.has_transparency_data:
            alpha = tensor(np.array(picture.convert("RGBA").getchannel("A")), 255)
            if alpha.min() < 1:
                return upright(alpha, orientation(picture.getexif()))
    return photo.image.mean(1, keepdim=True)


def segmented(name: str, photo: Photo, pixel: tuple[int, int]) -> Matte:
    """How much each pixel belongs to what the segmenter takes `pixel` for, in the piece around it."""
    model, setting = _segmenter(name)
    mean, deviation = (torch.tensor(setting[word])[None, :, None, None] for word in ("image_mean", "image_std"))
    small = resize(photo.image, _side(setting))
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


def _segmenter(name: str) -> tuple[Any, dict[str, Any]]:
    """The model, and how its pictures are to be scaled. Raises InputError without transformers or such a model."""
    try:
        from transformers import AutoModelForSemanticSegmentation
    except ImportError:
        raise InputError(
            f"there is no picture {name}, and a segmenter needs transformers, which is not installed: "
            "pip install 'cyclopean[matte]', or give the matte as a picture."
        ) from None
    try:
        model = AutoModelForSemanticSegmentation.from_pretrained(name, use_safetensors=True)
    except (OSError, ValueError, KeyError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{name} is neither a picture nor a model for semantic segmentation ({first}); "
            "give a mask, a model's folder, or a Hub repository."
        ) from None
    return model.eval(), _setting(Path(name))


def _setting(folder: Path) -> dict[str, Any]:
    """The words of the model's preprocessor, or those of ImageNet."""
    told: dict[str, Any] = {"image_mean": MEAN, "image_std": DEVIATION, "size": SIDE}
    file = folder / "preprocessor_config.json"
    if file.is_file():
        told |= {word: value for word, value in json.loads(file.read_text()).items() if word in told and value}
    return told


def _side(setting: dict[str, Any]) -> tuple[int, int]:
    """(height, width) that the model works on."""
    size: Any = setting["size"]
    sides: dict[str, Any] = size if isinstance(size, dict) else {"shortest_edge": size}
    square = sides.get("shortest_edge", SIDE)
    return int(sides.get("height", square)), int(sides.get("width", square))
