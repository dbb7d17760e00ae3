"""Depth models of others: whatever `transformers` loads for depth estimation, as a `Method`.

The class in `config.json` decides what a model predicts and how it is shown a picture; its name decides nothing.
Pictures go through the library's own PIL processors where these load. Its processors for Depth Pro and TIPSv2 need
torchvision, and so does its way back for ZoeDepth: these are written here. `transformers` is imported only for such
models. Their folders are files of strangers: only safetensors and JSON are read, nothing is run, no host is reached.
"""

import importlib
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cyclopean.errors import InputError, lacks_memory, unknown_name
from cyclopean.geometry import Pinhole, size_of
from cyclopean.inference import NEEDS_TRANSFORMERS
from cyclopean.io.files import read_json, refuse_unreadable, shortened
from cyclopean.io.image import resize, size_within
from cyclopean.methods.base import Ambiguity, Method, Prediction
from cyclopean.networks.hollow import hollow
from cyclopean.sample import Sample, View
from cyclopean.training.licences import NON_COMMERCIAL, licence_of
from cyclopean.training.models import CONFIG, PREPROCESSOR, WEIGHTS, weights_files

LOG = logging.getLogger(__name__)
USUAL_SIZE = 480, 640  # of pictures, for classes that have no size of their own
MOST_PIXELS = 1 << 20  # shown to a class without a size of its own, whose memory grows with the picture
LONGEST = 4.0  # sides of a picture as a model sees it: processors scale by one side, and the other one has to fit too
SIDES = 16, 4096  # pixels: the smallest and the largest side of a model's input
PROBE = 64, 96  # pixels of a picture that is prepared when a model is loaded: what its settings break is seen then
DEEPEST = 128  # layers of a network
MOST_ABSENT = 1.1  # times the weights in the files: those of a network
UNUSED = re.compile(r"fusion_stage\.layers\.0\.residual_layer1\.")  # of DPT: nothing comes before; Intel left it out
NEAREST = 1e-3  # metres: resized depth may overshoot zero
CLIPPED = 1e-4, 1e4  # inverse depths of Depth Pro, in 1/m
FIELDS_OF_VIEW = 1.0, 170.0  # degrees: what Depth Pro predicts is clipped to it
ZOE_PADDING = 3.0  # times the square root of half a side: reflected around the picture (ZoeDepth, `padding_factor`)
OF_HOSTS = re.compile(
    r"implementation|auto_map|quantization|kernel_config|use_kernels|fusion_config|transformers_weights|adapter|name_or_path"
)

Output = Literal["inverse depth", "depth", "canonical inverse depth"]
Picture = UInt8[np.ndarray, "3 h w"]
Size = tuple[int, int]

# model_type -> the library's processor that works without torchvision, where there is one
PROCESSORS = {
    "depth_anything": "DPTImageProcessorPil",
    "depth_pro": None,
    "dpt": "DPTImageProcessorPil",
    "glpn": "GLPNImageProcessorPil",
    "prompt_depth_anything": "PromptDepthAnythingImageProcessorPil",
    "tipsv2_dpt": None,
    "zoedepth": "ZoeDepthImageProcessorPil",
}
SENSELESS = {  # model_type -> why a class that the library calls depth estimation gives no depth of a photo
    "chmv2": "it predicts how high trees are in pictures taken from above, not how far away anything is",
}


@dataclass(frozen=True)
class Prepared:
    """A picture as a network takes it. Its output covers a picture of `padded` size, of which `window` (top, left,
    height, width) is the one that was shown; None: the output covers the picture."""

    pixels: Float[Tensor, "1 3 _ _"]
    padded: Size | None = None
    window: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True)
class Processing:
    """The preparation of pictures for a class of models, and the way back: `mode` resizes the output. `own_size`
    (height, width) is that of its input; None: it takes pictures of any size, with sides of at least `least` pixels.
    """

    prepare: Callable[[Picture], Prepared]
    mode: Literal["bicubic", "bilinear"]
    own_size: Size | None
    least: int = 1

    def shown_size(self, size: Size) -> Size:
        """Return the size at which a picture of `size` (height, width) is given to `prepare`: its own, unless it is
        longer than four times its shorter side or, for a class without a size of its own, too small or larger than a
        megapixel."""
        height, width = (max(self.least, min(side, round(LONGEST * min(size)))) for side in size)
        return (height, width) if self.own_size else size_within((height, width), MOST_PIXELS, self.least)

    def restored(self, raw: Float[Tensor, "1 1 _ _"], prepared: Prepared, size: Size) -> Float[Tensor, "1 1 _ _"]:
        """Return the network's output for the picture alone, without padding, at `size` (height, width)."""
        if prepared.padded is not None:
            top, left, height, width = prepared.window
            raw = _interpolated(raw, prepared.padded, self.mode)[..., top : top + height, left : left + width]
        return _interpolated(raw, size, self.mode)


class Foreign(Method):
    """A depth model of `transformers`. It takes pictures of any size and resizes them by its own rule.

    `output` is what its network predicts: metric depth; inverse depth of unknown scale and shift; or inverse depth of a
    camera whose focal length is one image width (Depth Pro), which the camera of the view, or the field of view that
    the model predicts where that is unknown (NaN), puts in 1/m. `extras["focal"]` are the focal lengths, in image
    widths, by which it was divided.
    """

    name = "foreign"
    input_multiple = 1

    def __init__(self, model: nn.Module, processing: Processing, output: Output) -> None:
        super().__init__(output=output)
        self.model, self.processing, self.output = model, processing, output
        self.finds_focal = output == "canonical inverse depth" and getattr(model, "fov_model", None) is not None
        kinds: dict[Output, Ambiguity] = {"inverse depth": "affine", "depth": "metric"}
        self.ambiguity = kinds.get(output, "metric" if self.finds_focal else "scale")

    def predict(self, target: View, sources: tuple[View, ...] = ()) -> Prediction:  # noqa: ARG002
        size = size_of(target.seen)
        known = target.camera.focal[:, 0] if isinstance(target.camera, Pinhole) else target.seen.new_ones(1)
        known = known.to(target.seen).expand(len(target.seen))
        maps, focals = [], []
        for image, camera_focal in zip(target.seen, known, strict=True):  # one by one: memory does not grow with faces
            small = resize(image[None], self.processing.shown_size(size))[0]
            picture = small.clamp(0, 1).mul(255).round().byte().cpu().numpy()
            prepared = self.processing.prepare(picture)
            try:
                output = self.model(pixel_values=prepared.pixels.to(target.seen))
            except Exception as error:
                if lacks_memory(error):
                    raise
                why = shortened(" ".join(str(error).split()))
                raise InputError(
                    f"this depth model does not run ({why}); its configuration and weights do not match."
                ) from error
            raw = self.processing.restored(output.predicted_depth[:, None].float(), prepared, size)
            focal = camera_focal
            if self.output == "inverse depth":
                inverse = raw
            elif self.output == "depth":
                inverse = 1 / raw.clamp_min(NEAREST)
            else:
                if self.finds_focal and bool(camera_focal.isnan()):
                    degrees = output.field_of_view[0].float().clamp(*FIELDS_OF_VIEW)
                    focal = 0.5 / torch.tan(0.5 * torch.deg2rad(degrees))
                inverse = (raw / focal).clamp(*CLIPPED) if self.finds_focal else raw
            maps.append(inverse)
            focals.append(focal)
        return Prediction(torch.cat(maps), extras={"focal": torch.stack(focals)})

    def losses(self, sample: Sample) -> NoReturn:  # noqa: ARG002
        raise InputError("depth models of others are not trained here; name a method of cyclopean.")


@dataclass(frozen=True)
class Opened:
    """A foreign model, the size of its input (height, width), and the licence of its weights."""

    method: Foreign
    input_size: Size
    licence: str


def open_foreign(folder: Path) -> Opened:
    """Return the depth model of `transformers` in `folder`: eval mode, float32, on the CPU.

    Raises InputError without the library, for classes that predict no depth of a photo, and for damaged, unsafe or
    incomplete folders.
    """
    if find_spec("transformers") is None:
        raise InputError(f"the depth model {folder} {NEEDS_TRANSFORMERS}.")
    content = read_json(folder / CONFIG)
    model_type = content["model_type"]
    classes = depth_classes()
    if not isinstance(model_type, str) or model_type not in classes:
        raise unknown_name(f"class of depth models in {folder / CONFIG}:", shortened(model_type, 60), classes)
    if model_type in SENSELESS:
        raise InputError(f"{folder} is a {model_type}: {SENSELESS[model_type]}; give a depth model of photos.")
    if model_type not in PROCESSORS:
        raise InputError(f"{folder} is a {model_type}, a class that this version does not know; update cyclopean.")
    if model_type == "prompt_depth_anything" and content.get("depth_estimation_type", "relative") != "relative":
        raise InputError(
            f"{folder} is a Prompt Depth Anything that needs a prompt, the depth of a sensor, which no command takes; "
            "give a depth model that needs the photo alone."
        )
    try:
        with closed_library():
            model = load_network(folder, model_type, classes[model_type], content)
            processing = _processing(folder, model_type, model.config)
            probe = processing.prepare(np.full((3, *PROBE), 128, np.uint8)).pixels
            if probe.shape[:2] != (1, 3) or not bool(probe.isfinite().all()):
                raise InputError(f"{folder / PREPROCESSOR} does not give three finite colours; copy it again.")
    except (InputError, MemoryError):
        raise
    except Exception as error:  # the library has no base class for its errors on foreign folders
        why = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{folder} cannot be loaded as a {model_type} ({shortened(why)}).") from error
    return Opened(
        Foreign(model.eval(), processing, _output(model_type, model.config)).eval(),
        processing.own_size or USUAL_SIZE, licence_of(folder),
    )  # fmt: skip


def depth_classes() -> dict[str, str]:
    """Return the depth models of the installed library: model_type -> name of the class."""
    auto = importlib.import_module("transformers.models.auto.modeling_auto")
    return dict(auto.MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES)


@cache  # once a run for each
def log_licence(name: str, licence: str) -> None:
    """Log a licence that excludes commercial use."""
    if NON_COMMERCIAL.search(licence):
        LOG.warning("the weights of %s are under %s, which excludes commercial use.", name, licence)


@contextmanager
def closed_library() -> Iterator[None]:
    """Keep `transformers` quiet and off the network."""
    from huggingface_hub import constants
    from transformers.utils import logging as library

    before, level = constants.HF_HUB_OFFLINE, library.get_verbosity()
    constants.HF_HUB_OFFLINE = True
    library.set_verbosity_error()
    library.disable_progress_bar()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
        library.set_verbosity(level)
        library.enable_progress_bar()


def load_network(folder: Path, model_type: str, class_name: str, content: Mapping[str, Any]) -> Any:
    """Return the model with its weights, all of them finite. Only config.json and safetensors files are read."""
    import transformers

    kept, config_class = _harmless(folder, content), transformers.CONFIG_MAPPING[model_type]
    number = type(getattr(config_class(), "max_depth", None))  # whole in some classes: 20.0 is refused, in others 20
    if number in (int, float) and isinstance(kept.get("max_depth"), int | float) and kept["max_depth"] % 1 == 0:
        kept["max_depth"] = number(kept["max_depth"])
    config = config_class.from_dict(kept)
    tensors = _tensors(folder)
    model_class = getattr(transformers, class_name)
    with hollow():
        empty = model_class(config)  # without memory, until there are weights for it
    if sum(x.numel() for x in empty.parameters()) > MOST_ABSENT * sum(x.numel() for x in tensors.values()):
        raise InputError(f"{folder} has fewer weights than its {CONFIG} states; copy the model folder again.")
    with torch.random.fork_rng(devices=[]):  # it draws weights, too
        model, report = model_class.from_pretrained(
            None, config=config, state_dict=tensors, dtype=torch.float32, output_loading_info=True
        )
    absent = set(map(str, {*report["missing_keys"], *report["mismatched_keys"]}))
    lacking = sorted(name for name in absent if not UNUSED.search(name))
    with torch.no_grad():
        for name in absent - set(lacking):
            model.get_parameter(name).zero_()  # drawn at random, which would give each run another hash
    if lacking:
        raise InputError(
            f"{folder} lacks weights that its {CONFIG} states ({shortened(', '.join(lacking), 80)}); copy the model "
            "folder again."
        )
    return model


def _harmless(folder: Path, content: Any, level: str = "") -> Any:
    """Return the content of a config without what names hosts, code or kernels.

    Raises InputError for backbones that are elsewhere, and for networks of too many layers.
    """
    if isinstance(content, list):
        return [_harmless(folder, item, level) for item in content]
    if not isinstance(content, dict):
        return content
    kept = {key: value for key, value in content.items() if not OF_HOSTS.search(str(key))}
    for key, value in kept.items():
        elsewhere = (key in ("backbone", "use_timm_backbone", "use_pretrained_backbone") and value) or (
            key == "model_type" and "timm" in str(value)
        )
        if elsewhere:
            raise InputError(
                f'{folder / CONFIG}: "{level}{key}" is {shortened(value, 60)}, a part that is not in this folder; give '
                "a model that is complete."
            )
        counts = value if isinstance(value, list) else [value]
        if re.search("layers|depths|blocks", str(key)) and any(isinstance(n, int) and n > DEEPEST for n in counts):
            raise InputError(f'{folder / CONFIG}: "{level}{key}" is {shortened(value, 60)}; at most {DEEPEST} layers.')
    return {key: _harmless(folder, value, f"{level}{key}.") for key, value in kept.items()}


def _tensors(folder: Path) -> dict[str, Tensor]:
    """Return the weights in the safetensors files of a folder."""
    files = weights_files(folder)
    if not files:
        raise InputError(
            f"{folder} has no {WEIGHTS}; weights in other formats (.bin, .pt) can run code and are not read: give a "
            "revision of the model with safetensors."
        )
    tensors: dict[str, Tensor] = {}
    for path in files:
        refuse_unreadable(path)
        try:
            tensors |= load_file(path)
        except (SafetensorError, OSError, RuntimeError, ValueError) as error:
            raise InputError(f"{path} is damaged or not a safetensors file; copy the model folder again.") from error
    if wrong := next((name for name, x in tensors.items() if x.is_floating_point() and not x.isfinite().all()), None):
        raise InputError(f"{folder} holds numbers that are not finite in {wrong}; give another model.")
    return tensors


def _output(model_type: str, config: Any) -> Output:
    """Return what the network of a class predicts, by its config."""
    if model_type == "depth_pro":
        return "canonical inverse depth"
    if model_type in ("depth_anything", "prompt_depth_anything"):
        return "depth" if config.depth_estimation_type == "metric" else "inverse depth"
    if model_type == "dpt":  # DINOv2 with a DPT head was released for metric depth, MiDaS's others for inverse depth
        on_dinov2 = getattr(config.backbone_config, "model_type", None) in ("dinov2", "dinov2_with_registers")
        return "depth" if on_dinov2 else "inverse depth"
    return "depth"


def _processing(folder: Path, model_type: str, config: Any) -> Processing:
    """Return how a class is shown pictures, by preprocessor_config.json."""
    import transformers

    path = folder / PREPROCESSOR
    if not path.is_file():
        raise InputError(f"{folder} has no {PREPROCESSOR}, which states how pictures are shown to it; add it.")
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} is not an object; copy the model folder again.")
    content = {key: value for key, value in content.items() if not OF_HOSTS.search(str(key))}
    name = PROCESSORS[model_type]
    if name is None:
        stated: Any = content.get("size", {"depth_pro": 1536}.get(model_type, 448))
        side: Any = (stated.get("height"), stated.get("width")) if isinstance(stated, dict) else (stated, stated)
        _check_sides(path, side)
        if model_type == "tipsv2_dpt":
            return Processing(partial(_resized_to, side), "bilinear", side)
        mean, deviation = (
            torch.tensor(content.get(key, [0.5] * 3), dtype=torch.float32).reshape(1, 3, 1, 1)
            for key in ("image_mean", "image_std")
        )
        return Processing(partial(_normalised_to, side, mean, deviation), "bilinear", side)
    processor = getattr(transformers, name).from_dict(content)
    if model_type == "glpn":
        _check_sides(path, (processor.size_divisor,))
        return Processing(partial(_by_processor, processor, 1), "bicubic", None, processor.size_divisor)
    resizes = bool(processor.do_resize)
    size = (processor.size.height, processor.size.width)
    divisor = processor.size_divisor if processor.do_pad and model_type != "zoedepth" else 1
    _check_sides(path, size)
    if not all(0 < float(n or 1) <= SIDES[1] for n in (divisor, processor.ensure_multiple_of)):
        raise InputError(f"{path}: sizes are multiples of 1 to {SIDES[1]} pixels; correct it.")
    if model_type == "zoedepth":
        return Processing(partial(_reflected, processor), "bicubic", size)
    backbone = config if getattr(config, "backbone_config", None) is None else config.backbone_config
    patch = backbone.patch_size if isinstance(getattr(backbone, "patch_size", None), int) else 1
    multiple = math.lcm(patch, int(divisor or 1))
    return Processing(partial(_by_processor, processor, multiple), "bicubic", size if resizes else None)


def _check_sides(path: Path, sides: tuple[Any, ...]) -> None:
    if not all(type(side) is int and SIDES[0] <= side <= SIDES[1] for side in sides):
        raise InputError(f"{path}: its size is {shortened(sides, 60)}; it needs {SIDES[0]} to {SIDES[1]} pixels.")


def _by_processor(processor: Any, multiple: int, picture: Picture) -> Prepared:
    """Prepare by the library's processor, then pad to multiples of `multiple` around the centre.

    Networks of patches leave out, in silence, what is beyond the last whole patch; the library undoes no padding.
    """
    off = {"do_pad": False} if multiple > 1 else {}
    arrays = processor(picture, input_data_format="channels_first", return_tensors="pt", **off)
    pixels = arrays["pixel_values"].float()
    height, width = pixels.shape[-2:]
    more = [-side % multiple for side in (height, width)]
    if not any(more):
        return Prepared(pixels)
    top, left = (extra // 2 for extra in more)
    padded = F.pad(pixels, (left, more[1] - left, top, more[0] - top))
    return Prepared(padded, (height + more[0], width + more[1]), (top, left, height, width))


def _reflected(processor: Any, picture: Picture) -> Prepared:
    """Prepare for ZoeDepth: the library's processor reflects the picture at its borders before it resizes it."""
    pixels = processor(picture, input_data_format="channels_first", return_tensors="pt")["pixel_values"].float()
    height, width = picture.shape[-2:]
    if not processor.do_pad:
        return Prepared(pixels)
    top, left = (int(math.sqrt(side / 2) * ZOE_PADDING) for side in (height, width))
    return Prepared(pixels, (height + 2 * top, width + 2 * left), (top, left, height, width))


def _normalised_to(size: Size, mean: Tensor, deviation: Tensor, picture: Picture) -> Prepared:
    """Prepare for Depth Pro: normalise, then resize bilinearly without a filter."""
    normal = (torch.from_numpy(picture)[None].float() / 255 - mean) / deviation
    return Prepared(F.interpolate(normal, size, mode="bilinear", align_corners=False))


def _resized_to(size: Size, picture: Picture) -> Prepared:
    """Prepare for TIPSv2: resize bilinearly with a filter, in whole steps of 255; colours are not normalised."""
    pixels = torch.from_numpy(picture)[None].float()
    return Prepared(F.interpolate(pixels, size, mode="bilinear", antialias=True, align_corners=False).round() / 255)


def _interpolated(raw: Float[Tensor, "1 1 _ _"], size: Size, mode: str) -> Float[Tensor, "1 1 _ _"]:
    return raw if tuple(raw.shape[-2:]) == size else F.interpolate(raw, size, mode=mode, align_corners=False)
