"""The bundled models on whole panoramas, from files, as people run them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cyclopean import cli
from cyclopean.geometry import Equirectangular
from cyclopean.inference.predictor import load
from cyclopean.io.image import Photo
from cyclopean.synthetic import rigs
from cyclopean.training import models

pytestmark = pytest.mark.skipif("panorama" not in models.bundled(), reason="no panorama model is bundled")
SIZE = (128, 256)


def room(seed: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    sample = rigs.sample("room", seed, SIZE, "sphere")
    return sample.target.image, sample.depth


def error(inverse: torch.Tensor, depth: torch.Tensor) -> float:
    """AbsRel after median alignment, weighed by solid angle."""
    found = 1 / inverse
    known = depth.isfinite()
    level = ((torch.arange(SIZE[0]) + 0.5) / SIZE[0] * torch.pi).sin()[:, None].expand(SIZE)[None, None]
    scale = (depth / found)[known].median()
    return float((level * (scale * found - depth).abs() / depth)[known].sum() / level[known].sum())


def run(*words: object) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(word) for word in words])
    return ended.value.code


@pytest.mark.parametrize("name", ["panorama", "general"])
def test_depth_rolls_with_the_picture_by_any_number_of_columns(name: str) -> None:
    """To 1e-5 of the median inverse depth, seen whole or by faces."""
    model, (image, _) = load(name), room()
    first = model(Photo(image, Equirectangular())).inverse_depth
    for turn in (1, 50, 255):
        rolled = model(Photo(image.roll(turn, -1), Equirectangular())).inverse_depth.roll(-turn, -1)
        torch.testing.assert_close(rolled, first, rtol=0, atol=1e-5 * float(first.median()))


@pytest.mark.parametrize(("more", "model", "worst"), [((), "panorama", 0.3), (("--via-cube",), "general", 0.3)])
def test_a_panorama_in_and_all_files_out(tmp_path: Path, more: tuple[str, ...], model: str, worst: float) -> None:
    """A room of known depth, its seam closed, by the sidecar and by its numbers."""
    image, depth = room()
    Photo(image).save(tmp_path / "room.png")
    out = tmp_path / "out"
    words = ("--camera", "equirectangular", "--save", "ply,glb", "--view", "html", "--out", out)
    assert run("predict", tmp_path / "room.png", *words, *more) == 0
    card = json.loads((out / "room_disp.json").read_text())
    assert card["camera"] == {"camera": "equirectangular", "depth": "radius"}
    assert card["model"]["name"] == model
    assert card["notes"]["seam"] < 2
    assert all((out / name).stat().st_size > 1000 for name in card["files"])
    assert {path.name for path in out.iterdir()} == {*card["files"], "room_disp.json"}
    inverse = torch.from_numpy(np.load(out / "room_disp.npy"))[None, None]
    assert error(inverse, depth) < worst
    assert error(torch.ones_like(inverse), depth) > 1.3 * error(inverse, depth)  # it does look
    if more:
        assert card["notes"]["disagreement_after"] < 0.8 * card["notes"]["disagreement_before"]


@pytest.mark.slow
def test_numbers_are_the_same_whatever_torchs_default_type_is() -> None:
    """The model of panoramas takes details from that of photos, so it goes through faces around, too."""
    photo, around = Photo(torch.rand(1, 3, 96, 128)), Photo(torch.rand(1, 3, *SIZE), Equirectangular())
    for kind, name, picture in (
        (torch.float64, "general", photo),
        (torch.bfloat16, "general", photo),
        (torch.float64, "panorama", around),
    ):
        expected = load(name)(picture).inverse_depth
        torch.set_default_dtype(kind)
        try:
            depth = load(name)(picture).inverse_depth
        finally:
            torch.set_default_dtype(torch.float32)
        assert depth.dtype == torch.float32
        assert torch.allclose(depth, expected, rtol=1e-4), (kind, name)


@pytest.mark.slow
def test_outside_sky_is_far_and_the_ground_near() -> None:
    """On a street and a landscape that no training saw. Without the details of the model for photos sky is three times
    as far as the ground; for the model of rooms, which it started from, as near as a ceiling."""
    skies = {}
    for name in ("panorama", "panorama-selfsup"):
        model = load(name)
        for family, seed in (("street", 9900021), ("landscape", 9900022)):
            sample = rigs.sample(family, seed, SIZE, "sphere")
            for kind, predictor in (("whole", model), ("alone", replace(model, details=None))):
                inverse = predictor(Photo(sample.target.image, Equirectangular())).inverse_depth
                ground = inverse[..., -SIZE[0] // 4 :, :].median()
                share = float(inverse[sample.depth > 500].median() / ground)
                skies.setdefault((name, kind), []).append(share)
    assert max(skies["panorama", "whole"]) < 0.05, skies
    assert max(skies["panorama", "alone"]) < 0.45, skies
    assert min(skies["panorama-selfsup", "alone"]) > 0.75, skies
