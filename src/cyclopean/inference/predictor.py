"""From a photo to its DepthMap: the method's own working size in between, the photo's size out."""

import hashlib
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.augmentation import monodepth_colour
from cyclopean.errors import InputError, usable_device
from cyclopean.geometry import Equirectangular, Pinhole
from cyclopean.inference.cubemap import FIELD_OF_VIEW as FACE
from cyclopean.inference.cubemap import merged_faces
from cyclopean.inference.panorama import add_details, enlarged, heading, looked_at_twice, seam_score, with_details
from cyclopean.io.depthmap import DepthMap, from_numbers
from cyclopean.io.files import shown
from cyclopean.io.image import Photo, resize
from cyclopean.io.photolike import PhotoLike, as_photo
from cyclopean.io.sidecar import Maker, Unit
from cyclopean.methods.base import Method
from cyclopean.methods.photometric import postprocess
from cyclopean.sample import Sample, View, view
from cyclopean.training import checkpoint

FIELD_OF_VIEW = 60.0  # degrees along the longer side, of a photo whose file does not tell its focal length
# The side of a face beside that of a square photo of the model's own size: on path-traced rooms 224 pixels were
# better than 288 and 320, for a model made for 256x352.
FACE_DETAIL = 0.75
FINE = 1 / 30  # of the longer side: the deviation of the Gaussian that parts a glance's layout from a look's details

Projection = Literal["pinhole", "equirectangular"]
Look = Literal["aspect", "trained"]  # the working size: of a photo's own shape, or the very size of training
Image = Float[Tensor, "1 3 h w"]
Finer = Float[Tensor, "1 3 _ _"]
Around = Float[Tensor, "1 1 _ _"]
InverseDepth = Float[Tensor, "b 1 h w"]
See = Callable[[Method, View], InverseDepth]


def plain(method: Method, target: View) -> InverseDepth:
    """What the method says."""
    return method.predict(target).inverse_depth


def flip_averaged(method: Method, target: View) -> InverseDepth:
    """What the method says of the view and of its mirror image, joined as Monodepth does (each alone at one border)."""
    return postprocess(plain(method, target), _plain_mirrored(method, target))


def _plain_mirrored(method: Method, target: View) -> InverseDepth:
    """What the method says of the mirror image, mirrored back."""
    image, seen, valid = (x.flip(-1) for x in (target.image, target.seen, target.valid))
    mirrored = replace(target, image=image, seen=seen, valid=valid, camera=target.camera.mirrored())
    return plain(method, mirrored).flip(-1)


def _glanced(method: Method, target: View, glance: View, see: See) -> InverseDepth:
    """What `see` says of a smaller copy of the view, the `glance`, with the details of what it says of the view.

    A network sees the layout best when the picture is small beside its receptive field and edges when it is large
    (Miangoleh et al. 2021). The unit is that of the small look.
    """
    size = (target.seen.shape[-2], target.seen.shape[-1])
    large, small = see(method, target), resize(see(method, glance), size)
    return add_details(small, large, FINE * max(size), around=False)


@dataclass(frozen=True)
class Spread:
    """How far answers differ when colours do: the standard deviation of inverse depth over so many looks.

    Each look has other random colours, those of training, and every other one is at the mirror image (Monodepth,
    supplement sec. 5, with 50 looks). The same `seed` gives the same answer.
    """

    looks: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.looks < 2:
            raise InputError(f"a spread over {self.looks} looks means nothing; give at least 2.")

    def __call__(self, method: Method, target: View) -> InverseDepth:
        generator = torch.Generator().manual_seed(self.seed)
        mean = squares = torch.zeros_like(target.seen[:, :1])
        for n in range(self.looks):
            look = monodepth_colour(Sample(target, (), torch.full_like(mean, torch.nan)), generator).target
            found = _plain_mirrored(method, look) if n % 2 else plain(method, look)
            off = found - mean
            mean = mean + off / (n + 1)
            squares = squares + off * (found - mean)
        return (squares / self.looks).sqrt()


@dataclass(frozen=True)
class Predictor:
    """Call it with a photo to get its depth.

    `input_size` (height, width) is the model's own: a photo is worked on with about as many pixels, in its own shape;
    with the `look` "trained" at that very size, whatever its shape (as published evaluations do).
    `see` turns a view into inverse depth: `plain`, or `flip_averaged`. `model` says in the result what made it.
    `projection` is that of the pictures the method was made for. With a `glance`, pictures (but not the faces of
    a panorama) are looked at once more at that share of their working size, for the layout.

    A panorama (a photo whose camera is equirectangular) is seen whole by a method for panoramas, twice, so that its
    seam closes; by one for perspective pictures, through overlapping faces around. Its depth is the radius. What
    sees it whole may have another predictor, one for perspective pictures, to tell it the `details`.
    """

    method: Method
    input_size: tuple[int, int]
    model: Maker | None = None
    see: See = plain
    projection: Projection = "pinhole"
    glance: float | None = None
    details: "Predictor | None" = None
    look: Look | None = None

    def __repr__(self) -> str:
        h, w = self.input_size
        maker = shown(self.model.name) if self.model else "no name"
        device = next(self.method.parameters()).device
        return f"Predictor({maker}, {self.method.name} at {w}x{h}, {self.method.ambiguity}, {device})"

    def __call__(self, photo: PhotoLike, right: PhotoLike | None = None) -> DepthMap:
        """The photo's inverse depth at its own size, on the CPU. A model of two views is shown `right` beside it.

        Both may be whatever `as_photo` makes a Photo of: a path, a Pillow picture, an array, a tensor.
        """
        photo, right = as_photo(photo), None if right is None else as_photo(right)
        if right is not None or self.method.views > 1:
            self._check_pair(photo, right)
        if isinstance(photo.camera, Equirectangular):
            return self._described(photo, *self._around(photo))
        if self.projection == "equirectangular":
            name = self.model.name if self.model else self.method.name
            raise InputError(
                f"the model {name!r} is for panoramas and {photo.name} is none; take another model, or say that it is "
                "one (--camera equirectangular)."
            )
        device = next(self.method.parameters()).device
        small = working_size(self._shape(photo.size), self.input_size, self.method.input_multiple)
        camera = photo.camera or self._assumed_camera(photo.size)
        there = Pinhole(camera.focal.to(device), camera.center.to(device))
        target, *others = (view(resize(p.image.to(device), small), there) for p in (photo, right) if p is not None)
        sources = tuple(replace(other, from_target=None) for other in others)
        with torch.inference_mode():
            seen = self.method.predict(target, sources).inverse_depth if sources else self._look(target, photo.image)
            inverse = resize(seen, photo.size)
        known = replace(photo, camera=camera) if self.method.rig else photo  # whose metres hang on it
        return self._described(known, inverse, self._metres(photo, camera))

    def _shape(self, size: tuple[int, int]) -> tuple[int, int]:
        """The shape that a picture of `size` is shown in."""
        return self.input_size if self.look == "trained" else size

    def _assumed_camera(self, size: tuple[int, int]) -> Pinhole:
        """Of a photo that does not tell: that of the model's rig, if it learned from one."""
        rig = self.method.rig
        if rig is None:
            return assumed_camera(size)
        height, width = size
        return Pinhole(torch.tensor([[rig[0], rig[0] * width / height]]), torch.tensor([[0.5, 0.5]]))

    def _metres(self, photo: Photo, camera: Pinhole) -> dict[str, float | str]:
        """By what focal length (image widths) and baseline (metres) a model for one rig tells metres."""
        if self.method.rig is None:
            return {}
        whose = "assumed: that of the model's rig" if photo.camera is None else "the photo's own"
        return {"focal": round(float(camera.focal[0, 0]), 6), "focal_is": whose, "baseline_m": self.method.rig[1]}

    def _check_pair(self, photo: Photo, right: Photo | None) -> None:
        """Refuses a right picture that the model does not look at, a missing one, and one that does not fit."""
        name = self.model.name if self.model else self.method.name
        if right is None:
            raise InputError(
                f"the model {name!r} looks at two pictures, left and right; give the right one too: --right PHOTO."
            )
        if self.method.views == 1:
            raise InputError(
                f"the model {name!r} looks at one picture; leave {right.name or 'the right one'} out, or name a model "
                "that was trained with --variant stereo."
            )
        if photo.size != right.size:
            sizes = " and ".join(f"{w}x{h}" for h, w in (photo.size, right.size))
            raise InputError(f"{photo.name} and {right.name} are {sizes} pixels; left and right need one size.")
        if isinstance(photo.camera, Equirectangular) or self.see is not plain:
            raise InputError(f"the model {name!r} looks at two ordinary photos: no panoramas, and no --flip-average.")

    def _described(self, photo: Photo, inverse: InverseDepth, notes: dict[str, float | str]) -> DepthMap:
        numbers = inverse.clone().float().cpu()  # a clone is no inference tensor: people may go on with it
        ambiguity = self.method.ambiguity
        unit: Unit = "m" if ambiguity == "metric" else "relative"
        depth = from_numbers(numbers, "inverse_depth", unit, camera=photo.camera, model=self.model, ambiguity=ambiguity)
        return replace(depth, notes=notes)

    def _around(self, photo: Photo) -> tuple[Around, dict[str, float | str]]:
        """A panorama's inverse radius at its own size, seen from its own heading, and figures about it."""
        turn = heading(photo.image)
        image = photo.image.to(next(self.method.parameters()).device).roll(-turn, -1)
        with torch.inference_mode():
            small, notes = self._by_faces(image) if self.projection == "pinhole" else self._whole(image)
            inverse = enlarged(small, photo.size).roll(turn, -1)
        return inverse, {**notes, "seam": round(seam_score(inverse), 3)}

    def _whole(self, image: Image) -> tuple[Around, dict[str, float | str]]:
        size = working_size((image.shape[-2], image.shape[-1]), self.input_size, max(self.method.input_multiple, 2))
        layout = looked_at_twice(self._look, image, size)
        if self.details is None:
            return layout, {"seen": "whole, twice"}
        seen, _ = replace(self.details, see=self.see)._by_faces(image)
        maker = self.details.model
        told = f"{maker.name} {maker.sha256[:12]}, {maker.licence}" if maker else self.details.method.name
        return with_details(layout, seen), {
            "seen": "whole, twice",
            "details": f"by ten faces around: {told}",
        }

    def _by_faces(self, image: Image) -> tuple[Around, dict[str, float | str]]:
        own = round(FACE_DETAIL * self.input_size[0]), round(FACE_DETAIL * self.input_size[1])
        side, _ = working_size((1, 1), own, self.method.input_multiple)
        merged = merged_faces(partial(self.see, self.method), image, side)  # small as they are: no glance
        figures = {"disagreement_before": round(merged.before, 4), "disagreement_after": round(merged.after, 4)}
        return merged.inverse_depth, {"seen": "ten faces around", "field_of_view": FACE, **figures}

    def _look(self, target: View, image: Finer | None = None) -> InverseDepth:
        """What is seen in `target`, which was made of `image`; without one it is a picture itself."""
        if self.glance is None:
            return self.see(self.method, target)
        image = target.seen if image is None else image.to(target.seen.device)
        own = (round(self.glance * self.input_size[0]), round(self.glance * self.input_size[1]))
        less = working_size(self._shape((image.shape[-2], image.shape[-1])), own, self.method.input_multiple)
        return _glanced(self.method, target, view(resize(image, less), target.camera), self.see)

    def uncertainty(self, photo: PhotoLike, looks: int, seed: int = 0) -> Float[Tensor, "1 1 h w"]:
        """`Spread` of this predictor's inverse depth, in its unit, at the photo's size: of one look, no details."""
        if self.method.views > 1:
            raise InputError("the uncertainty of a model that looks at two pictures is not known; leave it out.")
        photo = as_photo(photo)
        if isinstance(photo.camera, Equirectangular) and self.projection == "pinhole":
            raise InputError(f"there is no uncertainty of {photo.name} by faces around; take a panorama model.")
        return replace(self, see=Spread(looks, seed), glance=None, details=None)(photo).inverse_depth


def load(name: str | Path = checkpoint.DEFAULT, device: str = "cpu") -> Predictor:
    """The predictor of a bundled model, of a model's folder, or of a Hub repository (`owner/name`)."""
    folder = checkpoint.locate(name)
    method, card = checkpoint.load(folder)
    wrong = partial(checkpoint.wrong_value, folder)
    size = card.get("input_size")
    if not (isinstance(size, list) and len(size) == 2 and all(type(n) is int and 8 <= n <= 8192 for n in size)):
        raise wrong("input_size", size, "[height, width], 8 to 8192 pixels each")
    projection = cast(Projection, card.get("projection", method.projection))
    if projection not in ("pinhole", "equirectangular"):
        raise wrong("projection", projection, 'to be "pinhole" or "equirectangular"')
    glance = card.get("glance")
    if glance is not None and not (isinstance(glance, float) and 0.125 <= glance < 1):
        needed = "the share of the size at which pictures are looked at once more, such as 0.5, or to be left out"
        raise wrong("glance", glance, needed)
    asked = card.get("details")
    details = None if asked is None else _details(name, asked, projection, device)
    look = card.get("look")
    if look not in (None, *get_args(Look)):
        raise wrong("look", look, f"to be {' or '.join(map(repr, get_args(Look)))}, or left out")
    maker = Maker(str(name), weights_hash(method), str(card.get("licence", "unknown")))
    return Predictor(
        method.to(usable_device(device)), (size[0], size[1]), maker, plain, projection, glance, details, look
    )


def _details(name: str | Path, asked: Any, projection: Projection, device: str) -> Predictor:
    """The predictor that the card of `name` asks for in its details. A chain of cards is not followed."""
    wrong = partial(checkpoint.wrong_value, checkpoint.locate(name))
    if not isinstance(asked, str) or not asked:
        raise wrong("details", asked, "a model's name")
    try:
        where = checkpoint.companion(name, asked)
        chained = checkpoint.card(where).get("details") is not None
        other = load(where, device) if projection == "equirectangular" and not chained else None
    except InputError as error:
        raise wrong("details", asked, f"a model that can be loaded ({str(error).rstrip('.')})") from error
    if other is None or other.projection != "pinhole" or other.method.views > 1:
        raise wrong("details", asked, "a model for single ordinary photos, in one for panoramas; others name none")
    return replace(other, model=replace(cast(Maker, other.model), name=asked))


def fitting_model(photo: Photo) -> str:
    """The bundled model for the camera that took the photo."""
    around = isinstance(photo.camera, Equirectangular)
    return "panorama" if around and "panorama" in checkpoint.bundled() else checkpoint.DEFAULT


def working_size(size: tuple[int, int], own: tuple[int, int], multiple: int) -> tuple[int, int]:
    """The size of about as many pixels as `own` and of about the shape of `size`, in multiples of `multiple`."""
    scale = math.sqrt(own[0] * own[1] / (size[0] * size[1]))
    # Of a very long picture, whose shorter side would be below one multiple, the longer is kept to twice the pixels.
    ideal = [min(side * scale, 2 * own[0] * own[1] / multiple) for side in size]
    below = [max(1, math.floor(side / multiple)) for side in ideal]
    choices = itertools.product(*((low * multiple, (low + 1) * multiple) for low in below))

    def misfit(choice: tuple[int, ...]) -> float:
        tall, wide = (math.log(side / best) for side, best in zip(choice, ideal, strict=True))
        return abs(tall + wide) + 2 * abs(tall - wide)  # in pixels, and, worse, in shape

    height, width = min(choices, key=misfit)
    return height, width


def assumed_camera(size: tuple[int, int]) -> Pinhole:
    """A camera of 60 degrees along the longer side of a picture of `size` (height, width)."""
    focal = max(size) / 2 / math.tan(math.radians(FIELD_OF_VIEW / 2))
    return Pinhole(torch.tensor([[focal / size[1], focal / size[0]]]), torch.tensor([[0.5, 0.5]]))


def weights_hash(method: Method) -> str:
    """SHA-256 over the names and values of the weights, whatever file they came from."""
    digest = hashlib.sha256()
    for name, value in sorted(method.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
