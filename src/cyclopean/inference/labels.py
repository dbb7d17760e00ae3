"""Labels of panoramas by a perspective model, face by face: on the fly for training, or as files for many trainings."""

import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from cyclopean.augmentation import derived_seed
from cyclopean.data import open_dataset
from cyclopean.data.files import picture_at, read_mask
from cyclopean.errors import InputError, usable_device
from cyclopean.geometry import size_of
from cyclopean.inference import bulk
from cyclopean.inference.predictor import Predictor, load, working_size
from cyclopean.io.files import read_json, write_anew
from cyclopean.io.image import resize
from cyclopean.methods.depth_anywhere import FaceLabels, label_faces, turned_faces
from cyclopean.sample import Sample, View, view

FORMAT, ABOUT = "cyclopean-face-labels", "labels.json"


class FaceModel(nn.Module):
    """A perspective model on square faces: each is resized to the model's own size, and its answer back.

    Models of `transformers` resize by their own rules.

    Raises `InputError` for a model of panoramas or of pairs.
    """

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        if predictor.projection != "pinhole" or predictor.method.views > 1:
            raise InputError(
                f"{predictor!r} cannot teach: labels are made on faces of panoramas, by a model for single ordinary "
                "photos, such as general."
            )
        self.method, self.infer = predictor.method, predictor.infer
        trained = working_size((1, 1), predictor.input_size, predictor.method.input_multiple)
        self.size = None if predictor.look == "own" else trained

    def forward(self, faces: View) -> Float[Tensor, "b 1 side side"]:
        """Return inverse depth along each face's axis, at the faces' size."""
        size = size_of(faces.image)
        small = view(resize(faces.image, self.size or size), faces.camera)
        return resize(self.infer(self.method, small), size)


@dataclass(frozen=True)
class Masked:
    """A step: what the mask of a sample's name in `folder` leaves out is not valid; a sample without one stays."""

    folder: Path

    def __call__(self, sample: Sample) -> Sample:
        path = picture_at(self.folder / f"{sample.name[0]}.png")
        if not path.exists():
            return sample
        mask = read_mask(path, size_of(sample.depth)) >= 0.5
        return replace(sample, target=replace(sample.target, valid=sample.target.valid & mask))


@dataclass(frozen=True)
class Labelling:
    """Work (`inference.bulk`): labels of the panoramas of a data set, `OUT/NAME.npz` each, which appear by renaming.

    `turns` random rotations of the `planes` ("cube" or "tangent") of each panorama, up to `degrees` about each axis,
    are drawn from `seed` and the panorama's name. A file holds, of n faces: `rotations` n 3 3, `inverse_depth` n side
    side (half precision, 0 to 1) and `valid`, with `labels.json` beside all, which records what made them.
    """

    data: str
    model: str
    out: Path
    planes: str = "cube"
    turns: int = 4
    degrees: float = 45.0
    side: int = 256
    masks: Path | None = None
    seed: int = 0
    device: str = "cpu"

    def about(self, teacher: Predictor) -> dict[str, Any]:
        """Return what all files of a folder have in common."""
        settings = {k: v for k, v in asdict(self).items() if k in ("planes", "turns", "degrees", "side", "seed")}
        masked = {"masks": None if self.masks is None else self.masks.name}
        return {"format": FORMAT, "version": 1, **settings, **masked, **described(teacher)}

    def begin(self) -> list[int]:
        """Write `labels.json`, and return the numbers of the panoramas that have no file yet.

        Raises InputError for a model that cannot teach, and for a folder of labels that were made otherwise.
        """
        teacher = load(self.model)
        FaceModel(teacher)
        bulk.begin(self.out / ABOUT, self.about(teacher))
        return bulk.unfinished(self.data, self.out, ".npz")

    def load(self) -> Callable[[int], None]:
        """Return a function that labels the panorama at an index."""
        data, infer = open_dataset(self.data), FaceModel(load(self.model, self.device))
        device = usable_device(self.device)
        masked = None if self.masks is None else Masked(self.masks)

        def label(number: int) -> None:
            sample = data[number] if masked is None else masked(data[number])
            target, name = sample.target, sample.name[0]
            path = self.out / f"{name}.npz"
            if path.exists():
                return
            size = (2 * self.side, 4 * self.side)
            image = resize(target.image, size) if target.image.shape[-1] > size[1] else target.image
            valid = resize(target.valid.to(image.dtype), size_of(image)) > 1 - 1e-3
            plain = replace(view(image.to(device), target.camera), valid=valid.to(device))
            generator = Generator().manual_seed(derived_seed(self.seed, "faces", name))
            turned = [turned_faces(self.planes, self.degrees, plain.image, generator) for _ in range(self.turns)]
            rotations = torch.cat([faces for faces, _ in turned])[None]
            labels = label_faces(infer, plain, rotations, self.side, turned[0][1])
            file = io.BytesIO()
            np.savez_compressed(
                file,
                rotations=rotations[0].cpu().numpy(),
                inverse_depth=labels.inverse_depth[0].cpu().numpy().astype(np.float16),
                valid=labels.valid[0].cpu().numpy(),
                field_of_view=labels.field_of_view,
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            write_anew(path, file.getvalue())

        return label


class LabelFiles:
    """A teacher out of files that `cyclopean label` wrote: of each panorama, one of its turns at random.

    Raises `InputError` for a folder without labels, and for a panorama that has none.
    """

    def __init__(self, folder: Path) -> None:
        about = read_json(folder / ABOUT)
        if not isinstance(about, dict) or about.get("format") != FORMAT or not isinstance(about.get("turns"), int):
            raise InputError(f"{folder / ABOUT} is not of labels; give a folder that cyclopean label wrote.")
        self.folder, self.turns, self.about = folder, about["turns"], about

    def __call__(self, panoramas: View, names: Sequence[str]) -> FaceLabels:
        read = [self._one(name, int(torch.randint(self.turns, ()))) for name in names]
        device = panoramas.image.device
        rotations, inverse, valid = (
            torch.stack(parts).to(device) for parts in zip(*(r[:3] for r in read), strict=True)
        )
        return FaceLabels(rotations, inverse, valid, read[0][3])

    def _one(self, name: str, turn: int) -> tuple[Tensor, Tensor, Tensor, float]:
        path = self.folder / f"{name}.npz"
        if not path.exists():
            raise InputError(f"there are no labels {path}; run cyclopean label again, it adds what is missing.")
        try:
            with np.load(path, allow_pickle=False) as arrays:
                n = len(arrays["rotations"]) // self.turns
                part = slice(turn * n, (turn + 1) * n)
                rotations, inverse, valid = (arrays[k][part] for k in ("rotations", "inverse_depth", "valid"))
                angle = float(arrays["field_of_view"])
        except (ValueError, KeyError, OSError, EOFError) as error:
            raise InputError(f"{path} is damaged; remove it, and run cyclopean label again.") from error
        return torch.from_numpy(rotations), torch.from_numpy(inverse).float(), torch.from_numpy(valid), angle


def described(teacher: Predictor) -> dict[str, str]:
    """Return the facts on the teacher that a student's card keeps: its name, its weights, their licence."""
    maker = teacher.model
    if maker is None:
        return {"teacher": teacher.method.name}
    return {"teacher": maker.name, "teacher_sha256": maker.sha256, "teacher_licence": maker.licence}
