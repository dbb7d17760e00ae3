"""Labels of panoramas by a perspective model, face by face: on the fly for training, or as files for many trainings."""

from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.errors import InputError
from cyclopean.inference.predictor import Predictor, working_size
from cyclopean.io.image import resize
from cyclopean.sample import View, view


class FaceModel(nn.Module):
    """A perspective model on square faces: each is resized to the model's own size, and its answer back.

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
        self.size = working_size((1, 1), predictor.input_size, predictor.method.input_multiple)

    def forward(self, faces: View) -> Float[Tensor, "b 1 side side"]:
        """Return inverse depth along each face's axis, at the faces' size."""
        small = view(resize(faces.image, self.size), faces.camera)
        return resize(self.infer(self.method, small), (faces.image.shape[-2], faces.image.shape[-1]))


def described(teacher: Predictor) -> dict[str, str]:
    """Return what a student's card says of its teacher: its name, its weights, their licence."""
    maker = teacher.model
    if maker is None:
        return {"teacher": teacher.method.name}
    return {"teacher": maker.name, "teacher_sha256": maker.sha256, "teacher_licence": maker.licence}
