"""Tiny segmenters that follow words, drawn at random, in folders as authors publish them."""

import json
from pathlib import Path
from typing import Any

import torch
import transformers

CARD = "---\nlicense: {}\n---\n# A model\n"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def save_clipseg(folder: Path, licence: str = "apache-2.0") -> Path:
    """Write a CLIPSeg; its pictures have 48 pixels a side, more than its position codes were made for, as released."""
    folder.mkdir(parents=True)
    words = ["<|startoftext|>", "<|endoftext|>", "sky</w>", "watermark</w>", *_LETTERS, *(f"{c}</w>" for c in _LETTERS)]
    (folder / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)
    common = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**common, "vocab_size": len(words) + 2, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    torch.manual_seed(0)
    config = transformers.CLIPSegConfig(
        text_config=text, vision_config={**common, "image_size": 32, "patch_size": 8}, projection_dim=16, reduce_dim=8,
        extract_layers=[0, 1], decoder_num_attention_heads=2, decoder_intermediate_size=16,
    )  # fmt: skip
    shown = {"size": {"height": 48, "width": 48}, "resample": 2, **_IMAGENET}
    return _saved(transformers.CLIPSegForImageSegmentation(config), shown, folder, licence)


def save_dino(folder: Path, licence: str = "apache-2.0") -> Path:
    """Write a Grounding DINO; some of its boxes have a score above 0.35, some below."""
    folder.mkdir(parents=True)
    words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "sky", "watermark")
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    swin = {
        "model_type": "swin", "image_size": 64, "embed_dim": 8, "depths": [1] * 4, "num_heads": [1, 1, 2, 2],
        "window_size": 2, "out_features": ["stage2", "stage3", "stage4"],
    }  # fmt: skip
    bert = {
        "model_type": "bert", "vocab_size": 1100, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 32, "max_position_embeddings": 256,
    }  # fmt: skip
    torch.manual_seed(0)
    config = transformers.GroundingDinoConfig(
        backbone_config=swin, text_config=bert, d_model=32, encoder_layers=1, decoder_layers=2, encoder_ffn_dim=32,
        decoder_ffn_dim=32, encoder_attention_heads=2, decoder_attention_heads=2, num_queries=12,
    )  # fmt: skip
    shown = {"size": {"shortest_edge": 64, "longest_edge": 96}, **_IMAGENET}
    return _saved(transformers.GroundingDinoForObjectDetection(config), shown, folder, licence)


def save_sam(folder: Path, licence: str = "apache-2.0") -> Path:
    """Write a SAM whose masks are neither empty nor full."""
    torch.manual_seed(0)
    common = {"hidden_size": 16, "num_attention_heads": 2, "mlp_dim": 32}
    config = transformers.SamConfig(
        vision_config={**common, "num_hidden_layers": 2, "output_channels": 16, "image_size": 64, "patch_size": 8,
                       "window_size": 2, "global_attn_indexes": [1], "num_pos_feats": 8},
        prompt_encoder_config={"hidden_size": 16, "image_size": 64, "patch_size": 8, "mask_input_channels": 4},
        mask_decoder_config={**common, "iou_head_hidden_dim": 16, "iou_head_depth": 2, "num_hidden_layers": 1},
    )  # fmt: skip
    model = transformers.SamModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "mask_decoder" in name:
                parameter.normal_(0, (2 / parameter[0].numel()) ** 0.5)
    shown = {"size": {"longest_edge": 64}, "pad_size": {"height": 64, "width": 64}, **_IMAGENET}
    return _saved(model, shown, folder, licence)


def _saved(model: Any, shown: dict[str, Any], folder: Path, licence: str) -> Path:
    model.eval().save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(shown))
    (folder / "README.md").write_text(CARD.format(licence))
    return folder
