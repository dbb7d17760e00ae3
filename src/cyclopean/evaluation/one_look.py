"""A model of panoramas as papers judge theirs: one look at the picture, at the size of training."""

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.evaluation.trivial import Candidate
from cyclopean.geometry import Equirectangular
from cyclopean.inference import predictor as predicting
from cyclopean.inference.wrappers import plain
from cyclopean.io.image import resize
from cyclopean.sample import Sample, view


def one_look(name: str, device: str = "cpu") -> Candidate:
    """The network of the model `name` alone: no second look half a turn apart, no details of another model, no turning.

    Raises `InputError` for a model of ordinary photos, and where the picture is no panorama.
    """
    predictor = predicting.load(name, device)
    if predictor.projection != "equirectangular":
        raise InputError(f"the model {name!r} is for ordinary photos; --one-look is for models of panoramas.")

    @torch.no_grad()
    def predict(sample: Sample) -> Float[Tensor, "1 1 h w"]:
        if not isinstance(sample.target.camera, Equirectangular):
            raise InputError(f"{sample.name[0]} is no panorama, and the model {name!r} is for panoramas.")
        target = view(resize(sample.target.image, predictor.input_size).to(device), Equirectangular())
        return plain(predictor.method, target).cpu()

    return Candidate(f"{name}, one look", predictor.method.ambiguity, predict)
