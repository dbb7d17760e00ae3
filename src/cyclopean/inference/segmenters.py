"""Segmenters that find what words name, out of transformers: CLIPSeg, or Grounding DINO with SAM.

Pictures are prepared here, as the models' own processors do: those need torchvision.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.geometry import size_of

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours, which all three expect
SIDE_DINO, SIDE_SAM = 800, 1024  # pixels: of the shorter side, of the longer one
BOX = 0.35  # least score of a box (Grounded SAM's)

Segmenter = Callable[[Float[Tensor, "1 3 h w"], Sequence[str]], Float[Tensor, "1 prompts h w"]]


def open_segmenter(names: Sequence[str], device: torch.device) -> Segmenter:
    """Return a function of a picture and prompts to probabilities, from one or two models by `model_type`.

    Raises InputError without transformers, and for models that are not of these kinds.
    """
    try:
        import transformers
    except ImportError:
        raise InputError("segmenters by text need transformers: pip install 'cyclopean[matte]'.") from None
    transformers.logging.set_verbosity_error()
    models: dict[str, Any] = {}
    for name in names:
        try:
            kind = transformers.AutoConfig.from_pretrained(name).model_type
            made = KINDS.get(kind)
            if made:
                with torch.random.fork_rng(devices=[]):  # it draws weights, too
                    model = getattr(transformers, made).from_pretrained(name).eval().to(device)
                words = None if kind == "sam" else transformers.AutoTokenizer.from_pretrained(name)
                models[kind] = model, words
        except (OSError, ValueError) as error:
            reason = str(error).strip().split("\n", maxsplit=1)[0][:200]
            raise InputError(f"{name} cannot be loaded as a segmenter ({reason}).") from error
        if not made:
            raise InputError(f"{name} is a model of {kind}; a segmenter is one of {', '.join(KINDS)}.")
    if set(models) == {"clipseg"}:
        return lambda image, prompts: clipseg(image, prompts, *models["clipseg"])
    if set(models) == {"grounding-dino", "sam"}:
        (dino, words), (sam, _) = models["grounding-dino"], models["sam"]
        return lambda image, prompts: grounded_sam(image, prompts, dino, words, sam)
    raise InputError(
        f"{', '.join(names)} together are no segmenter; give a CLIPSeg model, or Grounding DINO and SAM (v1)."
    )


KINDS = {
    "clipseg": "CLIPSegForImageSegmentation",
    "grounding-dino": "GroundingDinoForObjectDetection",
    "sam": "SamModel",
}


def clipseg(image: Tensor, prompts: Sequence[str], model: Any, words: Any) -> Tensor:
    """Return the probability of each prompt (Lüddecke and Ecker 2022), at the picture's size."""
    side = model.config.vision_config.image_size
    pixels = _normalised(_resized(image, (side, side))).expand(len(prompts), -1, -1, -1)
    tokens = words(list(prompts), padding=True, return_tensors="pt").to(image.device)
    logits = model(pixel_values=pixels, **tokens).logits.reshape(1, len(prompts), side, side)
    return _resized(logits.sigmoid(), size_of(image))


def grounded_sam(image: Tensor, prompts: Sequence[str], dino: Any, words: Any, sam: Any) -> Tensor:
    """Return 1 where SAM finds what Grounding DINO has put a box around, for each prompt (as Depth Anywhere does)."""
    height, width = image.shape[-2:]
    scale = SIDE_DINO / min(height, width)
    small = _normalised(_resized(image, (round(scale * height), round(scale * width))))
    scale = SIDE_SAM / max(height, width)
    inner = round(scale * height), round(scale * width)
    large = _normalised(_resized(image, inner))
    large = F.pad(large, (0, SIDE_SAM - inner[1], 0, SIDE_SAM - inner[0]))
    embedding = sam.get_image_embeddings(large)
    masks = []
    for prompt in prompts:
        tokens = words(f"{prompt.lower().strip(' .')} .", return_tensors="pt").to(image.device)
        answer = dino(pixel_values=small, **tokens)
        scores = answer.logits.sigmoid()[0].amax(-1)
        boxes = answer.pred_boxes[0][scores > BOX]  # centre and extent, shares of the picture
        mask = torch.zeros(1, 1, height, width, device=image.device)
        if len(boxes):
            centre, extent = boxes[:, :2], boxes[:, 2:]
            corners = torch.cat([centre - extent / 2, centre + extent / 2], 1)
            corners = corners * torch.tensor([inner[1], inner[0]] * 2, device=image.device)
            answer = sam(image_embeddings=embedding, input_boxes=corners[None], multimask_output=False)
            logits = _resized(answer.pred_masks[0, :, :1], (SIDE_SAM, SIDE_SAM))[..., : inner[0], : inner[1]]
            mask = (_resized(logits, (height, width)) > 0).any(0, keepdim=True).float()
        masks.append(mask)
    return torch.cat(masks, 1)


def _resized(values: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(values, size, mode="bilinear", antialias=True, align_corners=False)


def _normalised(image: Tensor) -> Tensor:
    mean, deviation = (image.new_tensor(x)[:, None, None] for x in (MEAN, DEVIATION))
    return (image - mean) / deviation
