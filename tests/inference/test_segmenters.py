"""Segmenters that follow words, tiny and drawn at random: ours beside the library's own processors and steps."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import transformers

from cyclopean.errors import InputError
from cyclopean.inference.segmenters import BOX, open_segmenter
from text_segmenters import save_clipseg, save_dino, save_sam

CPU = torch.device("cpu")
PROMPTS = ("sky", "watermark")


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("segmenters")
    makers = {"clipseg": save_clipseg, "dino": save_dino, "sam": save_sam}
    return {name: make(place / name) for name, make in makers.items()}


def picture(height: int, width: int) -> tuple[torch.Tensor, np.ndarray]:
    """A picture of whole 255ths, and as the library takes it."""
    coarse = torch.rand(1, 3, 4, 6, generator=torch.Generator().manual_seed(1))
    image = (F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1) * 255).round() / 255
    return image, (image[0] * 255).round().byte().permute(1, 2, 0).numpy()


@torch.no_grad()
def test_clipseg_is_the_librarys(folders):
    """The size of its pictures is that of its processor, not of its config."""
    image, array = picture(41, 80)
    found = open_segmenter([str(folders["clipseg"])], CPU)(image, PROMPTS)
    model = transformers.CLIPSegForImageSegmentation.from_pretrained(folders["clipseg"]).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders["clipseg"])
    shown = transformers.ViTImageProcessorPil.from_pretrained(folders["clipseg"])(array, return_tensors="pt")
    for k, prompt in enumerate(PROMPTS):
        logits = model(**shown, **tokenizer([prompt], return_tensors="pt")).logits
        assert logits.shape[-2:] == (48, 48)
        expected = F.interpolate(logits.view(1, 1, 48, 48).sigmoid(), (41, 80), mode="bilinear", antialias=True)
        torch.testing.assert_close(found[:, k : k + 1], expected, rtol=1e-4, atol=1e-6)
    assert found.std() > 1e-4
    assert not torch.equal(found[:, 0], found[:, 1])


@torch.no_grad()
def test_grounded_sam_is_the_librarys(folders):
    """Boxes above the score, in the picture's pixels, through SAM's own way there and back; of each prompt by itself;
    in either order of names, and of panoramas, whose longer side is limited."""
    image, array = picture(41, 82)
    dino = transformers.GroundingDinoForObjectDetection.from_pretrained(folders["dino"]).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders["dino"])
    processor = transformers.GroundingDinoImageProcessorPil.from_pretrained(folders["dino"])
    sam = transformers.SamModel.from_pretrained(folders["sam"]).eval()
    sam_processor = transformers.SamImageProcessorPil.from_pretrained(folders["sam"])
    shown = processor(array, return_tensors="pt")
    assert shown["pixel_values"].shape[-2:] == (48, 96)
    expected = []
    for prompt in PROMPTS:
        answer = dino(**shown, **tokenizer(f"{prompt} .", return_tensors="pt"))
        chosen = answer.logits.sigmoid().amax(-1)[0] > BOX
        assert 0 < int(chosen.sum()) < len(chosen)
        x, y, w, h = (answer.pred_boxes[0][chosen] * torch.tensor([82.0, 41.0, 82.0, 41.0])).unbind(-1)
        boxes = torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], -1)
        prepared = sam_processor(array, return_tensors="pt")
        (inner,) = prepared["reshaped_input_sizes"].tolist()
        boxes = boxes * torch.tensor([inner[1] / 82, inner[0] / 41] * 2)
        masks = sam(pixel_values=prepared["pixel_values"], input_boxes=boxes[None], multimask_output=False).pred_masks
        (masks,) = sam_processor.post_process_masks(masks, prepared["original_sizes"], prepared["reshaped_input_sizes"])
        expected.append(masks.any(0)[0])
    for names in (("dino", "sam"), ("sam", "dino")):
        found = open_segmenter([str(folders[name]) for name in names], CPU)(image, PROMPTS)
        assert found.shape == (1, 2, 41, 82)
        assert torch.equal(found[0].bool(), torch.stack(expected))
    assert 0.02 < float(found.mean()) < 0.98
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cyclopean.inference.segmenters.BOX", 1.0)
        assert float(open_segmenter([str(folders[n]) for n in ("dino", "sam")], CPU)(image, PROMPTS).sum()) == 0


def test_what_is_no_segmenter_is_one_sentence_and_nothing_is_reached(folders, tmp_path, monkeypatch, caplog):
    reached = []
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *a, **k: reached.append(a))
    monkeypatch.setattr("socket.getaddrinfo", lambda *a, **k: reached.append(a) or [])
    kinds = ("pickle", "bare", "other", "list", "shown")
    pickle, bare, other, listed, shown = (shutil.copytree(folders["clipseg"], tmp_path / name) for name in kinds)
    (listed / "config.json").write_text('["model_type"]')
    (shown / "preprocessor_config.json").write_text("[1]")
    (pickle / "model.safetensors").rename(pickle / "pytorch_model.bin")
    (bare / "preprocessor_config.json").unlink()
    (other / "config.json").write_text(json.dumps({"model_type": "dpt"}))
    here = str(folders["clipseg"].parent)
    for names, sentence in (
        ([str(folders["dino"])], "together are no segmenter"),
        ([str(folders["clipseg"]), str(folders["sam"])], "together are no segmenter"),
        ([str(pickle)], "can run code and are not read"),
        ([str(bare)], "has no preprocessor_config.json"),
        ([str(other)], "is a model of dpt; a segmenter is one of"),
        ([str(listed)], r"config\.json is not an object; copy the model folder again"),
        ([str(shown)], r"preprocessor_config\.json is not an object; copy the model folder again"),
        ([f"{here}/nothing"], "there is no model folder"),
    ):
        with pytest.raises(InputError, match=sentence):
            open_segmenter(names, CPU)
    assert not reached
    limited = save_clipseg(tmp_path / "limited", "cc-by-nc-4.0")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            open_segmenter([str(limited)], CPU)
    assert [record.message.count("cc-by-nc-4.0") for record in caplog.records] == [1]
