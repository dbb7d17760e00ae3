"""The bundled network of clicks: its size, and that it finds rendered things."""

import random

import numpy as np
import pytest
import torch

from cyclopean.bench.subject_training import inner_point
from cyclopean.defocus.edges import refined
from cyclopean.defocus.subject import grabcut
from cyclopean.inference import subject
from cyclopean.inference.predictor import load
from cyclopean.inference.subject import SubjectSelector, bundled_network
from cyclopean.io.image import Photo
from cyclopean.synthetic.rigs import identified


@pytest.mark.slow
def test_it_finds_things_of_scenes_that_it_has_not_seen() -> None:
    network, predictor, rng = bundled_network(), load(), random.Random(0)
    assert network is not None
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
                for s in (SubjectSelector(photo, depth, network), SubjectSelector(photo, depth, outline=grabcut))
            ]
            masks = [np.zeros_like(truth) if m is None else m[0, 0].numpy() >= 0.5 for m in mattes]
            overlaps.append([(mask & truth).sum() / (mask | truth).sum() for mask in masks])
            again = SubjectSelector(photo, depth, network)([pixel])
            assert (again is None) == (mattes[0] is None)
            assert again is None or torch.equal(again, mattes[0])
    ours, theirs = np.mean(overlaps, 0)
    assert ours > 0.5
    assert ours > theirs + 0.1
