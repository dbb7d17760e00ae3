"""Metres from pairs: a model keeps the rig it learned from, or takes that of the pairs it is judged on.

Networks are replaced by ones that know the answer, so that what is left is the way from there to metres.
"""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cyclopean.data.folder import FolderDataset
from cyclopean.errors import InputError
from cyclopean.evaluation.entries import in_metres, predictor_entry
from cyclopean.evaluation.evaluate import evaluate
from cyclopean.evaluation.protocols import Protocol
from cyclopean.geometry import Pinhole
from cyclopean.inference.predictor import Predictor
from cyclopean.io.image import Photo
from cyclopean.methods import method_class
from cyclopean.methods.base import Paired
from stereo_pairs import texture

H, W, TRAINED = 120, 240, (64, 160)  # files are of another size and shape than what the models were trained at
FOCAL, BASELINE = 0.7, 0.3
D = 0.3 * 10.5 / 64  # disparity of the wall, image widths: one of those that `naive` tries
DEPTH = FOCAL * BASELINE / D


@pytest.fixture(scope="module")
def walls(tmp_path_factory) -> Path:
    """Three walls square to the view, pairs with depth; right(x - D) = left(x)."""
    folder = tmp_path_factory.mktemp("walls")
    for n in range(3):
        wide = texture(n, (H, W + 20)).astype(np.float32)
        x, y = np.meshgrid(np.arange(W, dtype=np.float32), np.arange(H, dtype=np.float32))
        for name, shift in (("left", 0.0), ("right", D * W)):
            (folder / name).mkdir(exist_ok=True)
            picture = cv2.remap(wide, x + np.float32(shift), y, cv2.INTER_CUBIC).clip(0, 255)
            cv2.imwrite(str(folder / name / f"{n}.png"), picture.astype(np.uint8))
        (folder / "depth").mkdir(exist_ok=True)
        np.save(folder / "depth" / f"{n}.npy", np.full((H, W), DEPTH, np.float32))
    (folder / "calibration.json").write_text(json.dumps({"focal": [FOCAL, FOCAL * W / H], "baseline_m": BASELINE}))
    return folder


def logit(x: float) -> float:
    return float(np.log(x / (1 - x)))


class Knows(nn.Module):
    """Answers of a network, at four scales, that mean the truth."""

    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(values)[None, :, None, None])

    def forward(self, image: Tensor) -> list[Tensor]:
        b, _, h, w = image.shape
        return [self.weight.expand(b, -1, h >> s, w >> s) for s in range(4)]


class Paints(nn.Module):
    """The right view of a wall."""

    def __init__(self) -> None:
        super().__init__()
        self.none = nn.Parameter(torch.zeros(()))

    def forward(self, image: Tensor) -> list[Tensor]:
        theta = torch.tensor([[[1.0, 0.0, 2 * D], [0.0, 1.0, 0.0]]]).expand(len(image), -1, -1)
        grid = F.affine_grid(theta, list(image.shape), align_corners=False)
        right = F.grid_sample(image, grid, padding_mode="border", align_corners=False)
        return [right.clamp(1e-3, 1 - 1e-3).logit() + self.none]


def knowing(name: str, rig: tuple[float, float] | None) -> Paired:
    small: dict[str, Any] = {"network": "compact", "width": 0.1, "rig": rig}
    if name == "deep3d":
        method = method_class(name)(**small, levels=9, most=2 * D)
        method.network = Knows([0.0] * 5 + [50.0] + [0.0] * 4)  # null, then levels 0 to 8: the fifth is D
    elif name == "naive":
        method = method_class(name)(**small)
        method.network = Paints()
    elif name == "monodepth2":
        method = method_class(name)(**small)
        method.network = Knows([logit((10 * BASELINE / DEPTH - 0.01) / 9.99)])
    else:
        method = method_class(name)(**small)
        method.network = Knows([logit(D / 0.3)] * {"monodepth": 2, "garg": 1, "trinocular": 4}[name])
    assert isinstance(method, Paired)
    return method.eval()


PAIRED = ("naive", "deep3d", "garg", "monodepth", "trinocular", "monodepth2")


@pytest.mark.parametrize("name", PAIRED)
def test_true_disparities_come_out_in_metres(name, walls):
    """Through predict's path and evaluate's, with the rig kept and by the rig of the pairs that are judged."""
    data = FolderDataset(walls)
    camera = data[0].target.camera
    for rig in ((FOCAL, BASELINE), None):
        for look in ("aspect", "trained"):
            predictor = Predictor(knowing(name, rig), TRAINED, look=look)
            judged = in_metres(predictor_entry("model", predictor), data)
            assert judged.ambiguity == "metric"
            found, _ = evaluate([judged], data, range(3), Protocol())
            plain = [m for m in found if m.alignment == "none"]
            assert [m.figures["scale"] for m in plain] == pytest.approx([1, 1, 1], rel=1e-3), (rig, look)
            assert max(m.figures["abs_rel"] for m in plain) < (0.15 if name == "naive" else 1e-3)
            for known in (camera, None):  # a photo of the rig that does not tell its focal length is taken for one
                depth = predictor(Photo(data[0].target.image, known, "0.png"))
                assert depth.ambiguity == ("metric" if rig else "scale")
                assert depth.unit == ("m" if rig else "relative")
                if rig:
                    assert float(1 / depth.inverse_depth.median()) == pytest.approx(DEPTH, rel=1e-3)
                    assert depth.notes["baseline_m"] == BASELINE
                    assert ("assumed" in str(depth.notes["focal_is"])) is (known is None)
                    assert float(depth.camera.focal[0, 0]) == pytest.approx(FOCAL)


def test_models_are_shown_the_size_of_training_or_the_photos_shape():
    """KITTI's pictures are wider than what Monodepth trains on."""
    seen: list[tuple[int, int]] = []
    method = knowing("monodepth", None)
    method.network.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape[-2:])))
    photo = Photo(torch.rand(1, 3, 375, 1242))
    for look in ("trained", "aspect", None):
        Predictor(method, (256, 512), look=look)(photo)
    assert seen == [(256, 512), (192, 640), (192, 640)]


def test_another_cameras_focal_length_counts():
    """Through a lens twice as long the same wall twice as far moves as much between the eyes."""
    predictor = Predictor(knowing("monodepth", (FOCAL, BASELINE)), TRAINED)
    long = Pinhole(torch.tensor([[2 * FOCAL, 4 * FOCAL]]), torch.tensor([[0.5, 0.5]]))
    assert float(1 / predictor(Photo(torch.rand(1, 3, H, W), long)).inverse_depth.median()) == pytest.approx(2 * DEPTH)


def test_pairs_of_no_known_rig_give_no_metres(walls, tmp_path):
    """Uncalibrated pairs stand for one image width and a baseline of 1; a rig of nonsense is refused."""
    for name in ("left", "right", "depth"):
        (tmp_path / name).symlink_to(walls / name)
    (tmp_path / "calibration.json").write_text(json.dumps({"focal": [1, 2], "baseline_m": 1}))
    model = predictor_entry("model", Predictor(knowing("monodepth", None), TRAINED))
    assert in_metres(model, FolderDataset(tmp_path)).ambiguity == "scale"
    for rig in ((0.0, 1.0), (1.0, float("nan")), (1.0,)):
        with pytest.raises(InputError, match=r"focal length in image widths and a baseline"):
            method_class("monodepth")("compact", 0.1, rig=rig)
