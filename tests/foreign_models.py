"""Tiny depth models of every class that transformers knows, drawn at random, in folders as authors publish them."""

import json
from pathlib import Path
from typing import Any

import torch
import transformers

_NECK: dict[str, Any] = {"neck_hidden_sizes": [8, 8, 16, 16], "fusion_hidden_size": 8}
_VIT: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 64,
}  # fmt: skip
_DINO = {
    "model_type": "dinov2", **_VIT, "image_size": 56, "patch_size": 14, "out_indices": [1, 2, 3, 4],
    "reshape_hidden_states": False, "apply_layernorm": True,
}  # fmt: skip
_BEIT = {
    "model_type": "beit", **_VIT, "image_size": 64, "patch_size": 16, "use_relative_position_bias": True,
    "reshape_hidden_states": False, "out_features": ["stage1", "stage2", "stage3", "stage4"],
}  # fmt: skip
_SMALL = {
    "model_type": "dinov2", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 32, "patch_size": 4, "image_size": 16,
}  # fmt: skip
_ANYTHING = {"backbone_config": _DINO, "reassemble_hidden_size": 32, "head_hidden_size": 8, **_NECK}
_IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
_DPT_SHOWN = {
    "image_processor_type": "DPTImageProcessor", "do_resize": True, "do_rescale": True, "do_normalize": True,
    "do_pad": False, "resample": 3, **_IMAGENET,
}  # fmt: skip
_ANYTHING_SHOWN = {
    **_DPT_SHOWN, "size": {"height": 70, "width": 70}, "keep_aspect_ratio": True, "ensure_multiple_of": 14,
}  # fmt: skip

# name -> model_type, arguments of its config, preprocessor_config.json
MODELS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "relative": ("depth_anything", _ANYTHING, _ANYTHING_SHOWN),
    "metric": (
        "depth_anything",
        {**_ANYTHING, "depth_estimation_type": "metric", "max_depth": 20},
        _ANYTHING_SHOWN,
    ),
    "midas": (
        "dpt",
        {**_VIT, **_NECK, "image_size": 64, "patch_size": 16, "backbone_out_indices": [0, 1, 2, 3]},
        {**_DPT_SHOWN, "size": {"height": 64, "width": 64}},
    ),
    "dinov2": (
        "dpt",
        {**_NECK, "backbone_config": _DINO, "use_bias_in_fusion_residual": False},
        {
            **_DPT_SHOWN,
            "do_resize": False,
            "do_rescale": False,
            "do_pad": True,
            "size_divisor": 14,
            "image_mean": [123.675, 116.28, 103.53],
            "image_std": [58.395, 57.12, 57.375],
        },
    ),
    "glpn": (
        "glpn",
        {
            "hidden_sizes": [8, 8, 16, 16],
            "depths": [1, 1, 1, 1],
            "decoder_hidden_size": 8,
            "num_attention_heads": [1, 1, 2, 2],
        },
        {
            "image_processor_type": "GLPNImageProcessor",
            "do_rescale": True,
            "do_resize": True,
            "resample": 2,
            "size_divisor": 32,
        },
    ),
    "prompt": (
        "prompt_depth_anything",
        _ANYTHING,
        {**_ANYTHING_SHOWN, "image_processor_type": "PromptDepthAnythingImageProcessor"},
    ),
    "zoe": (
        "zoedepth",
        {
            **_NECK,
            "backbone_config": _BEIT,
            "bottleneck_features": 8,
            "num_relative_features": 8,
            "num_attractors": [4, 2, 2, 1],
            "bin_embedding_dim": 8,
            "bin_configurations": [{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0}],
        },
        {
            "image_processor_type": "ZoeDepthImageProcessor",
            "do_normalize": True,
            "do_pad": True,
            "do_rescale": True,
            "do_resize": True,
            "ensure_multiple_of": 32,
            "keep_aspect_ratio": True,
            "resample": 2,
            "size": {"height": 64, "width": 96},
            "image_mean": [0.5] * 3,
            "image_std": [0.5] * 3,
        },
    ),
    "pro": (
        "depth_pro",
        {
            "patch_size": 16,
            "fusion_hidden_size": 8,
            "intermediate_hook_ids": [1, 0],
            "intermediate_feature_dims": [8, 8],
            "scaled_images_feature_dims": [8, 8, 8],
            "merge_padding_value": 1,
            "use_fov_model": True,
            "num_fov_head_layers": 1,
            "image_model_config": _SMALL,
            "patch_model_config": _SMALL,
            "fov_model_config": _SMALL,
        },
        {
            "image_processor_type": "DepthProImageProcessorFast",
            "size": {"height": 64, "width": 64},
            "image_mean": [0.5] * 3,
            "image_std": [0.5] * 3,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
        },
    ),
    "tips": (
        "tipsv2_dpt",
        {
            "backbone_config": {
                "model_type": "tipsv2_vision_model",
                **_VIT,
                "patch_size": 14,
                "image_size": 56,
                "out_indices": [1, 2, 3, 4],
                "apply_layernorm": True,
                "reshape_hidden_states": False,
            },
            **_NECK,
            "num_depth_bins": 16,
        },
        {"image_processor_type": "Tipsv2DptImageProcessor", "size": {"height": 56, "width": 56}},
    ),
}
CARD = "---\nlicense: {}\ntags:\n- depth\n---\n# A model\nlicense: of no effect here\n"


# The convolution before the last ReLU or sigmoid, and the deviation and mean that its output is brought to.
_LAST = {
    **dict.fromkeys(("relative", "prompt"), ("head.conv3", 1.0, 4.0)),
    "metric": ("head.conv3", 1.0, 0.0),
    **dict.fromkeys(("midas", "dinov2"), ("head.head.4", 1.0, 4.0)),
    "glpn": ("head.head.2", 1.0, 0.0),
    "pro": ("head.layers.4", 0.2, 1.0),
}


def network(name: str) -> Any:
    """Return the network of one of `MODELS`, drawn so that its depth varies and lies inside its range."""
    model_type, arguments, _ = MODELS[name]
    torch.manual_seed(7)
    config = transformers.CONFIG_MAPPING[model_type](**arguments)
    classes = transformers.models.auto.modeling_auto.MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES
    model = getattr(transformers, classes[model_type])(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, (1.5 / parameter[0].numel()) ** 0.5)
        if name == "pro":
            model.fov_model.head.layers[-1].weight.mul_(0.1)
            model.fov_model.head.layers[-1].bias.fill_(50.0)
        if name in _LAST:
            layer, deviation, mean = _LAST[name]
            last, outputs = model.get_submodule(layer), []
            hook = last.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
            side = 64 if name in ("pro", "midas", "glpn") else 112
            model(torch.nn.functional.interpolate(torch.rand(1, 3, 4, 4), (side, side)))
            hook.remove()
            last.bias.sub_(outputs[0].mean())
            last.weight.mul_(deviation / outputs[0].std())
            last.bias.mul_(deviation / outputs[0].std()).add_(mean)
    return model


def save(name: str, folder: Path, licence: str = "apache-2.0") -> Path:
    """Write one of `MODELS` to `folder` / `name` as a Hub repository would have it; return that folder."""
    place = folder / name
    network(name).save_pretrained(place)
    (place / "preprocessor_config.json").write_text(json.dumps(MODELS[name][2]))
    (place / "README.md").write_text(CARD.format(licence))
    return place
