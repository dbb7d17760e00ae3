"""The bundled network of clicks: its size, what it was trained on, and that it finds rendered things."""

import json
import random

import numpy as np
import pytest
import torch

from cyclopean.bench.subject_training import inner_point
from cyclopean.defocus.edges import refined
from cyclopean.defocus.subject import grabcut
from cyclopean.errors import InputError
from cyclopean.inference import subject
from cyclopean.inference.predictor import load
from cyclopean.inference.subject import SubjectSelector, bundled_networks
from cyclopean.io.image import Photo
from cyclopean.synthetic.rigs import identified


@pytest.mark.slow
def test_it_finds_things_of_scenes_that_it_has_not_seen(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    networks, predictor, rng = bundled_networks(), load(), random.Random(0)
    assert networks is not None
    assert (subject.FOLDER / "model.safetensors").stat().st_size < 8e6
    overlaps = []
    scenes = [(family, 60_000_500 + k) for k in range(2) for family in ("table", "clutter", "street", "room")]
    for sample, objects in identified(scenes, (160, 224), "stereo"):
        numbers = objects[0, 0].numpy()
        names, sizes = np.unique(numbers[numbers > 0], return_counts=True)
        photo = Photo(sample.target.image)
        depth = refined(predictor(photo), photo.image)
        for name in names[np.argsort(-sizes)][:2]:
            truth = numbers == name
            pixel = inner_point(truth, rng)
            mattes = [
                s([pixel])
                for s in (SubjectSelector(photo, depth, networks), SubjectSelector(photo, depth, outline=grabcut))
            ]
            masks = [np.zeros_like(truth) if m is None else m[0, 0].numpy() >= 0.5 for m in mattes]
            overlaps.append([(mask & truth).sum() / (mask | truth).sum() for mask in masks])
            again = SubjectSelector(photo, depth, networks)([pixel])
            assert (again is None) == (mattes[0] is None)
            assert again is None or torch.equal(again, mattes[0])
    ours, theirs = np.mean(overlaps, 0)
    assert ours > 0.5
    assert ours > theirs + 0.1

    for path in subject.FOLDER.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    card = json.loads((tmp_path / "card.json").read_text())
    card["features"]["sha256"] = "0" * 64
    (tmp_path / "card.json").write_text(json.dumps(card))
    monkeypatch.setattr(subject, "FOLDER", tmp_path)
    bundled_networks.cache_clear()
    with pytest.raises(InputError, match="another general"):
        bundled_networks()
    bundled_networks.cache_clear()
