"""Segmenters that find what words name, out of transformers: CLIPSeg, or Grounding DINO with SAM.

Pictures go through the library's own PIL processors, at the size that `preprocessor_config.json` states. Folders are
files of strangers, and are read as those of depth models are (`foreign`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.geometry import size_of
from cyclopean.inference.foreign import OF_HOSTS, closed_library, load_network, log_licence
from cyclopean.io.files import read_json, shortened
from cyclopean.training.licences import licence_of
from cyclopean.training.models import CONFIG, PREPROCESSOR, locate

BOX = 0.35  # least score of a box (Grounded SAM's)
SINGLE, PAIR = "clipseg", ("grounding-dino", "sam")  # model_type of what segments alone, and of what does together
# model_type -> the class of the network, and of its processor
CLASSES = {
    "clipseg": ("CLIPSegForImageSegmentation", "ViTImageProcessorPil"),
    "grounding-dino": ("GroundingDinoForObjectDetection", "GroundingDinoImageProcessorPil"),
    "sam": ("SamModel", "SamImageProcessorPil"),
}

Segmenter = Callable[[Float[Tensor, "1 3 h w"], Sequence[str]], Float[Tensor, "1 prompts h w"]]


@dataclass(frozen=True)
class Part:
    """A network, the processor of its pictures, and the tokenizer of its words (SAM has none)."""

    network: Any
    processor: Any
    tokenizer: Any

    def pictures(self, image: Float[Tensor, "1 3 h w"]) -> Any:
        """Return a picture as the network takes it, by the names of its arguments."""
        picture = image[0].clamp(0, 1).mul(255).round().byte().cpu().numpy()
        return self.processor(picture, input_data_format="channels_first", return_tensors="pt").to(image.device)


def open_segmenter(names: Sequence[str], device: torch.device) -> Segmenter:
    """Return a function of a picture and prompts to probabilities, from one or two models by `model_type`.

    `names` are folders, or Hub repositories as `models.locate` finds them. Raises InputError without transformers, for
    models that are not of these kinds, and for damaged, unsafe or incomplete folders.
    """
    if find_spec("transformers") is None:
        raise InputError("segmenters by text need transformers: pip install 'cyclopean[foreign]'.")
    folders = {name: locate(name) for name in names}
    kinds: dict[str, Any] = {name: _object(path / CONFIG).get("model_type") for name, path in folders.items()}
    for name, kind in kinds.items():
        if not isinstance(kind, str) or kind not in CLASSES:
            raise InputError(f"{name} is a model of {shortened(kind)}; a segmenter is one of {', '.join(CLASSES)}.")
    if sorted(kinds.values()) not in ([SINGLE], list(PAIR)):
        raise InputError(
            f"{', '.join(names)} together are no segmenter; give a CLIPSeg model, or Grounding DINO and SAM (v1)."
        )
    parts = {kinds[name]: _part(folder, kinds[name], device) for name, folder in folders.items()}
    for name, folder in folders.items():
        log_licence(name, licence_of(folder))
    if SINGLE in parts:
        return lambda image, prompts: clipseg(image, prompts, parts[SINGLE])
    dino, sam = (parts[kind] for kind in PAIR)
    return lambda image, prompts: grounded_sam(image, prompts, dino, sam)


def licences(names: Sequence[str]) -> list[str]:
    """Return the licences of the weights of segmenters, from their cards."""
    return [licence_of(locate(name)) for name in names]


def clipseg(image: Tensor, prompts: Sequence[str], model: Part) -> Tensor:
    """Return the probability of each prompt (Lüddecke and Ecker 2022), at the picture's size."""
    pixels = model.pictures(image)["pixel_values"]
    tokens = model.tokenizer(list(prompts), padding=True, return_tensors="pt").to(image.device)
    logits = model.network(pixel_values=pixels.expand(len(prompts), -1, -1, -1), **tokens).logits
    logits = logits.reshape(1, len(prompts), *size_of(pixels))
    return F.interpolate(logits.sigmoid(), size_of(image), mode="bilinear", antialias=True, align_corners=False)


def grounded_sam(image: Tensor, prompts: Sequence[str], dino: Part, sam: Part) -> Tensor:
    """Return 1 where SAM finds what Grounding DINO has put a box around, for each prompt (as Depth Anywhere does)."""
    height, width = size_of(image)
    seen, shown = dino.pictures(image), sam.pictures(image)
    inner = shown["reshaped_input_sizes"][0].flip(0).repeat(2)  # width, height, width, height without the padding
    embedding = sam.network.get_image_embeddings(shown["pixel_values"])
    masks = []
    for prompt in prompts:
        tokens = dino.tokenizer(f"{prompt.lower().strip(' .')} .", return_tensors="pt").to(image.device)
        answer = dino.network(**seen, **tokens)
        scores = answer.logits.sigmoid()[0].amax(-1)
        boxes = answer.pred_boxes[0][scores > BOX]  # centre and extent, shares of the picture
        mask = torch.zeros(1, 1, height, width, device=image.device)
        if len(boxes):
            centre, extent = boxes[:, :2], boxes[:, 2:]
            corners = torch.cat([centre - extent / 2, centre + extent / 2], 1) * inner
            answer = sam.network(image_embeddings=embedding, input_boxes=corners[None], multimask_output=False)
            (inside,) = sam.processor.post_process_masks(
                answer.pred_masks, shown["original_sizes"], shown["reshaped_input_sizes"]
            )
            mask = inside.any(0, keepdim=True).float()
        masks.append(mask)
    return torch.cat(masks, 1)


def _object(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} is not an object; copy the model folder again.")
    return content


def _part(folder: Path, kind: str, device: torch.device) -> Part:
    """Return a network with its weights, and what prepares its pictures and words."""
    network, processor = CLASSES[kind]
    if not (folder / PREPROCESSOR).is_file():
        raise InputError(f"{folder} has no {PREPROCESSOR}, which states how pictures are shown to it; add it.")
    shown = {key: value for key, value in _object(folder / PREPROCESSOR).items() if not OF_HOSTS.search(str(key))}
    import transformers

    try:
        with closed_library():
            return Part(
                load_network(folder, kind, network, _object(folder / CONFIG)).eval().to(device),
                getattr(transformers, processor).from_dict(shown),
                None
                if kind == "sam"
                else transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False),
            )
    except (InputError, MemoryError):
        raise
    except Exception as error:  # the library has no base class for its errors on foreign folders
        why = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{folder} cannot be loaded as a {kind} ({shortened(why)}).") from error
