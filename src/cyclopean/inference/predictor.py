"""From a photo to its DepthMap: the method's working size in between, the photo's size out."""

import hashlib
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError, unknown_name, usable_device
from cyclopean.geometry import Equirectangular, Pinhole, assumed_camera
from cyclopean.inference import BACKENDS
from cyclopean.inference.cubemap import AFFINE_PRIOR, PRIOR, CubeFaces
from cyclopean.inference.foreign import log_licence, open_foreign
from cyclopean.inference.onnx_model import Accelerated, network_session, open_onnx
from cyclopean.inference.panorama import (
    DetailTransfer,
    PanoramaDepth,
    RotatedAverage,
    WholePanorama,
    canonical_yaw,
    resize_sphere,
    seam_score,
)
from cyclopean.inference.panorama_detection import without_padding
from cyclopean.inference.wrappers import Autocast, ColourSpread, FocalRecorder, Infer, OneScale, Scales, TwoScale, plain
from cyclopean.io.depthmap import DepthMap, from_numbers
from cyclopean.io.files import REPOSITORY, printable, write_text
from cyclopean.io.image import Photo, resize
from cyclopean.io.photolike import PhotoLike, as_photo
from cyclopean.io.sidecar import AnyCamera, Maker, Unit
from cyclopean.methods.base import Method
from cyclopean.sample import view
from cyclopean.training import checkpoint, hub, models
from cyclopean.training.model_cards import model_card

# The side of a face beside that of a square photo of the model's own size: on path-traced rooms 224 pixels were
# better than 288 and 320, for a model made for 256x352.
FACE_SHARE = 0.75

Projection = Literal["pinhole", "equirectangular"]
# The working size: of a photo's own shape, exactly the size of training, or by a rule of the method's own.
Look = Literal["aspect", "trained", "own"]


@dataclass(frozen=True)
class Predictor:
    """A model ready to use: call it with a photo to get its depth.

    `input_size` (height, width) is the model's own: a photo is resized to about as many pixels in its own shape; with
    the `look` "trained" to exactly that size, whatever its shape (as in published evaluations); with "own" the method
    gets the photo as it is and resizes it itself. `infer` runs the method
    on a view: `plain`, or `flip_averaged`. `model` is named in the result as its maker. `projection` is that of the
    pictures the method was made for. `two_scale` is the smaller size of `TwoScale`, as a share of the working size.
    `card` is the config that the model was loaded with.

    A panorama (a photo whose camera is equirectangular) goes whole through a method for panoramas, by `RotatedAverage`,
    perhaps with the details of another predictor, one for perspective pictures (`DetailTransfer`); it goes through a
    method for perspective pictures by `CubeFaces`. Its depth is the radius.
    """

    method: Method
    input_size: tuple[int, int]
    model: Maker | None = None
    infer: Infer = plain
    projection: Projection = "pinhole"
    two_scale: float | None = None
    details: "Predictor | None" = None
    look: Look | None = None
    card: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __repr__(self) -> str:
        h, w = self.input_size
        maker = printable(self.model.name) if self.model else "no name"
        return f"Predictor({maker}, {self.method.name} at {w}x{h}, {self.method.ambiguity}, {self._device})"

    def __call__(self, photo: PhotoLike, right: PhotoLike | None = None) -> DepthMap:
        """Return the photo's inverse depth at its own size, on the CPU. A model of two views takes `right` as well.

        Both may be anything that `as_photo` converts: a path, a Pillow picture, an array, a tensor. Depth is unknown in
        the black bands of a panorama that is padded to the whole sphere.
        """
        photo = as_photo(photo)
        whole = self.everywhere(photo, right)
        return without_padding(whole, photo) if isinstance(photo.camera, Equirectangular) else whole

    def everywhere(self, photo: PhotoLike, right: PhotoLike | None = None) -> DepthMap:
        """Return what `__call__` does, in the black bands of panoramas too: in an evaluation the truth has the gaps."""
        photo, right = as_photo(photo), None if right is None else as_photo(right)
        if right is not None or self.method.views > 1:
            self._check_pair(photo, right)
        if isinstance(photo.camera, Equirectangular):
            yaw = canonical_yaw(photo.image)  # the result does not depend on where the picture is cut
            with torch.inference_mode():
                depth = self.around(photo.image.to(self._device).roll(-yaw, -1))
                inverse = resize_sphere(depth.inverse_depth, photo.size).roll(yaw, -1)
            return self._depth_map(inverse, photo.camera, {**depth.notes, "seam": round(seam_score(inverse), 3)})
        if self.projection == "equirectangular":
            raise InputError(
                f"the model {self._name!r} is for panoramas and {photo.name} is none; use another model, or declare "
                "it as one (--camera equirectangular)."
            )
        if self.method.finds_focal and photo.camera is None:
            return self._with_focal_found(photo)
        return self._together([photo], right)[0]

    def batch(self, photos: Sequence[PhotoLike]) -> list[DepthMap]:
        """Return what `__call__` does of each photo, those of one size in one pass of the network, to rounding.

        Panoramas, and photos whose focal length the method predicts, take a pass each.
        """
        known = [as_photo(photo) for photo in photos]
        alone = self.projection != "pinhole" or self.method.views > 1 or len({photo.size for photo in known}) != 1
        for photo in known:
            alone |= isinstance(photo.camera, Equirectangular) or (photo.camera is None and self.method.finds_focal)
        return [self(photo) for photo in known] if alone or len(known) == 1 else self._together(known)

    def _together(self, photos: Sequence[Photo], right: Photo | None = None) -> list[DepthMap]:
        """Return the depth of ordinary photos of one size by one pass of the network; `right` belongs to the only
        one."""
        size, rig = self._working_size(photos[0].size, self.input_size), self.method.rig
        cameras = [
            photo.camera
            if isinstance(photo.camera, Pinhole)
            else assumed_camera(photo.size, None if rig is None else rig[0])
            for photo in photos
        ]
        focal, center = (torch.cat(parts) for parts in zip(*((c.focal, c.center) for c in cameras), strict=True))
        there = Pinhole(focal.to(self._device), center.to(self._device))
        images = [photo.image.to(self._device) for photo in photos]
        target = view(torch.cat([resize(image, size) for image in images]), there)
        with torch.inference_mode():
            if right is None:
                small = self.scales(target, images)
            else:
                source = replace(view(resize(right.image.to(self._device), size), there), from_target=None)
                small = self.method.predict(target, (source,)).inverse_depth
            inverse = [resize(one, photos[0].size) for one in small.split(1)]
        if rig is None:
            return [self._depth_map(one, photo.camera, {}) for one, photo in zip(inverse, photos, strict=True)]
        depths = []
        for one, photo, camera in zip(inverse, photos, cameras, strict=True):
            whose = "assumed: that of the model's rig" if photo.camera is None else "the photo's own"
            notes: dict[str, float | str] = {
                "focal": round(float(camera.focal[0, 0]), 6),
                "focal_is": whose,
                "baseline_m": rig[1],
            }
            depths.append(self._depth_map(one, camera, notes))
        return depths

    @property
    def scales(self) -> Scales:
        """Method at one scale or two."""
        if self.two_scale is None:
            return OneScale(self.method, self.infer)
        small = (round(self.two_scale * self.input_size[0]), round(self.two_scale * self.input_size[1]))
        return TwoScale(self.method, self.infer, lambda size: self._working_size(size, small))

    @property
    def faces(self) -> CubeFaces:
        """Method, which is for perspective pictures, on overlapping faces around: small ones, so at one scale."""
        share = 1.0 if self.look == "own" else FACE_SHARE
        square = round(share * self.input_size[0]), round(share * self.input_size[1])
        side, _ = working_size((1, 1), square, self.method.input_multiple)
        prior = AFFINE_PRIOR if self.method.ambiguity == "affine" else PRIOR
        return CubeFaces(partial(self.infer, self.method), side, prior=prior)

    @property
    def around(self) -> Callable[[Float[Tensor, "1 3 _ _"]], PanoramaDepth]:
        """Wrapper for panoramas."""
        if self.projection == "pinhole":
            return self.faces
        if self.look == "own":
            return WholePanorama(partial(self.infer, self.method))
        multiple = max(self.method.input_multiple, 2)
        whole = RotatedAverage(self.scales, lambda size: working_size(size, self.input_size, multiple))
        if self.details is None:
            return whole
        maker = self.details.model
        source = f"{maker.name} {maker.sha256[:12]}, {maker.licence}" if maker else self.details.method.name
        return DetailTransfer(whole, replace(self.details, infer=self.infer).faces, source)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        device: str = "cpu",
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
    ) -> "Predictor":
        """Return the predictor of a model's folder, a bundled model, or a Hub repository, as `load` does.

        Names and keywords are those of the Hub's `PyTorchModelHubMixin`. Raises `InputError` for what is no model.
        """
        name = str(pretrained_model_name_or_path)
        bare = name.removeprefix(models.HUB)
        if Path(name).is_dir() or not REPOSITORY.fullmatch(bare):
            return load(name, device)
        folder = models.fetch(
            bare, revision=revision, token=token, cache_dir=cache_dir, force_download=force_download,
            local_files_only=local_files_only,
        )  # fmt: skip
        predictor = load(folder, device)
        return replace(predictor, model=replace(cast(Maker, predictor.model), name=name))

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        token: str | None = None,
        private: bool = False,
    ) -> str | None:
        """Write a model's folder (`model.safetensors`, `config.json`, and `README.md` where there is none).

        With `push_to_hub` the folder is then sent to `repo_id`, or to a repository named as the folder; returns its
        address. Raises `InputError` for a model of others, which its own library writes, and where `push` does.
        """
        folder = Path(save_directory)
        if self.look == "own":
            raise InputError(f"the model {self._name!r} is one of transformers; save it by that library.")
        other = {} if self.details is None else {"details": self.details.model.name if self.details.model else ""}
        if other and other["details"] not in models.bundled():
            raise InputError(f"the model {self._name!r} takes details from one that is not bundled; save it without.")
        licence = self.model.licence if self.model else "unknown"
        facts = {
            "input_size": list(self.input_size),
            "glance": self.two_scale,
            "look": self.look,
            "licence": licence,
        }
        card = {key: value for key, value in facts.items() if value is not None} | other
        kept = {key: value for key, value in self.card.items() if key not in ("method", "arguments", "details", *facts)}
        checkpoint.save(folder, self.method, {**card, **kept, "projection": self.projection})
        if not (folder / models.README).exists():
            write_text(folder / models.README, model_card(folder, repo_id or f"owner/{folder.resolve().name}"))
        if not push_to_hub:
            return None
        upload = hub.prepared(folder, repo_id or folder.resolve().name)
        return hub.send(upload, token or hub.found_token(), private=private)

    def uncertainty(self, photo: PhotoLike, draws: int, seed: int = 0) -> Float[Tensor, "1 1 h w"]:
        """Return the `ColourSpread` of inverse depth, in its unit, at the photo's size: of one scale, no details."""
        if self.method.views > 1:
            raise InputError("the uncertainty of a model that takes two pictures is not known; leave it out.")
        photo = as_photo(photo)
        if isinstance(photo.camera, Equirectangular) and self.projection == "pinhole":
            raise InputError(f"there is no uncertainty of {photo.name} by faces around; use a panorama model.")
        return replace(self, infer=ColourSpread(draws, seed), two_scale=None, details=None)(photo).inverse_depth

    @property
    def _name(self) -> str:
        return self.model.name if self.model else self.method.name

    @property
    def _device(self) -> torch.device:
        return next((weight.device for weight in self.method.parameters()), torch.device("cpu"))

    def resized(self, look: Look | None, size: tuple[int, int] | None = None) -> "Predictor":
        """Return this predictor with another working size. Raises InputError for a method with a rule of its own."""
        if self.look != "own":
            return replace(self, look=look or self.look, input_size=size or self.input_size)
        if look == "trained" or size is not None:
            raise InputError(f"the model {self._name!r} resizes pictures by a rule of its own; leave the size out.")
        return self

    def _working_size(self, size: tuple[int, int], trained: tuple[int, int]) -> tuple[int, int]:
        """Return the working size for a picture of `size`, about as many pixels as `trained`."""
        if self.look == "own":
            return size
        return working_size(self.input_size if self.look == "trained" else size, trained, self.method.input_multiple)

    def _with_focal_found(self, photo: Photo) -> DepthMap:
        """Return the depth of a photo without a camera, by the focal length that the method predicts of it."""
        recorder = FocalRecorder(self.method)
        unknown = assumed_camera(photo.size, math.nan)
        depth = replace(self, method=recorder)(replace(photo, camera=unknown))
        focal = sum(recorder.focals) / len(recorder.focals)  # one of the photo, another of its mirror image
        notes = {**depth.notes, "focal": round(focal, 6), "focal_is": "predicted by the model"}
        return replace(depth, camera=assumed_camera(photo.size, focal), notes=notes)

    def _check_pair(self, photo: Photo, right: Photo | None) -> None:
        """Raise InputError for a right picture that is missing, of another size, or not taken by the model."""
        if right is None:
            raise InputError(
                f"the model {self._name!r} takes two pictures, left and right; give the right one too: --right PHOTO."
            )
        if self.method.views == 1:
            raise InputError(
                f"the model {self._name!r} takes one picture; leave {right.name or 'the right one'} out, or name a "
                "model that was trained with --variant stereo."
            )
        if photo.size != right.size:
            sizes = " and ".join(f"{w}x{h}" for h, w in (photo.size, right.size))
            raise InputError(f"{photo.name} and {right.name} are {sizes} pixels; left and right need one size.")
        if isinstance(photo.camera, Equirectangular) or self.infer is not plain:
            raise InputError(
                f"the model {self._name!r} takes two ordinary photos: no panoramas, and no --flip-average or "
                "--post-process."
            )

    def _depth_map(
        self, inverse: Float[Tensor, "1 1 h w"], camera: AnyCamera | None, notes: Mapping[str, float | str]
    ) -> DepthMap:
        if isinstance(self.infer, Autocast):
            notes = {**notes, "precision": self.infer.precision}
        numbers = inverse.clone().float().cpu()  # a clone is not an inference tensor: callers may compute with it
        ambiguity = self.method.ambiguity
        unit: Unit = "m" if ambiguity == "metric" else "relative"
        depth = from_numbers(numbers, "inverse_depth", unit, camera=camera, model=self.model, ambiguity=ambiguity)
        return replace(depth, notes=notes)


def load(name: str | Path = models.DEFAULT, device: str = "cpu", backend: str = "torch") -> Predictor:
    """Return the predictor of a bundled model, of a model's folder, or of a Hub repository (`owner/name`).

    A folder or a repository may also hold a depth model of `transformers` (`inference.foreign`). An ONNX file (.onnx)
    runs in onnxruntime, and so does a model of cyclopean with the `backend` "onnxruntime": on the CPU alone. The
    `device` "auto" is the first GPU that works, else the CPU.
    """
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS)
    if models.is_onnx(name):
        _check_on_cpu(str(name), device)
        onnx = open_onnx(Path(name))
        stated = onnx.method.card
        look: Look | None = "own" if onnx.keeps_size else None
        maker = Maker(str(name), onnx.sha256, stated.licence)
        log_licence(maker.name, maker.licence)
        return Predictor(onnx.method, onnx.input_size, maker, plain, stated.projection, look=look)
    folder = models.locate(name)
    if models.is_foreign(folder):
        if backend != "torch":
            raise InputError(f"{folder} is a depth model of transformers, which runs in torch; leave the backend out.")
        opened = open_foreign(folder)
        log_licence(str(name), opened.licence)
        maker = Maker(str(name), weights_hash(opened.method), opened.licence)
        return Predictor(opened.method.to(usable_device(device)), opened.input_size, maker, look="own")
    method, card = checkpoint.load(folder)
    wrong = partial(models.wrong_value, folder)
    size = card.get("input_size")
    if not (isinstance(size, list) and len(size) == 2 and all(type(n) is int and 8 <= n <= 8192 for n in size)):
        raise wrong("input_size", size, "[height, width], 8 to 8192 pixels each")
    projection = cast(Projection, card.get("projection", method.projection))
    if projection not in ("pinhole", "equirectangular"):
        raise wrong("projection", projection, 'to be "pinhole" or "equirectangular"')
    two_scale = card.get("glance")
    if two_scale is not None and not (isinstance(two_scale, float) and 0.125 <= two_scale < 1):
        needed = "the share of the size for a second, smaller scale, such as 0.5, or to be left out"
        raise wrong("glance", two_scale, needed)
    other = card.get("details")
    details = None if other is None else _details(name, other, projection, device, backend)
    look = card.get("look")
    if look not in (None, "aspect", "trained"):
        raise wrong("look", look, "to be 'aspect' or 'trained', or left out")
    maker = Maker(str(name), weights_hash(method), str(card.get("licence", "unknown")))
    log_licence(maker.name, maker.licence)
    if backend == "onnxruntime":
        _check_on_cpu(str(name), device)
        around = projection == "equirectangular"
        device = "cpu"
        method = Accelerated(method, network_session(folder, method, around=around, sha256=maker.sha256)).eval()
    elif folder.parent == models.BUNDLED:
        method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the same answers, sooner on CPUs
    return Predictor(
        method.to(usable_device(device)), (size[0], size[1]), maker, plain, projection, two_scale, details, look, card
    )


def _check_on_cpu(name: str, device: str) -> None:
    if device not in ("cpu", "auto"):
        raise InputError(f"{printable(name)} runs in onnxruntime on the CPU; leave the device {device!r} out.")


def _details(name: str | Path, other: Any, projection: Projection, device: str, backend: str) -> Predictor:
    """Return the predictor `other` that the config of `name` takes details from. A chain of configs is not followed."""
    wrong = partial(models.wrong_value, models.locate(name))
    if not isinstance(other, str) or not other:
        raise wrong("details", other, "a model's name")
    try:
        where = models.companion(name, other)
        chained = models.card(where).get("details") is not None
        predictor = load(where, device, backend) if projection == "equirectangular" and not chained else None
    except InputError as error:
        raise wrong("details", other, f"a model that can be loaded ({str(error).rstrip('.')})") from error
    if predictor is None or predictor.projection != "pinhole" or predictor.method.views > 1:
        raise wrong("details", other, "a model for single ordinary photos, in one for panoramas; others name none")
    return replace(predictor, model=replace(cast(Maker, predictor.model), name=other))


def fitting_model(photo: Photo) -> str:
    """Return the name of the bundled model for the camera that took the photo."""
    around = isinstance(photo.camera, Equirectangular)
    return "panorama" if around and "panorama" in models.bundled() else models.DEFAULT


def working_size(size: tuple[int, int], trained: tuple[int, int], multiple: int) -> tuple[int, int]:
    """Return the size of about as many pixels as `trained` has and of about the shape of `size`, in multiples of
    `multiple`.
    """
    scale = math.sqrt(trained[0] * trained[1] / (size[0] * size[1]))
    # Of a very long picture, whose shorter side would be below one multiple, the longer is kept to twice the pixels.
    ideal = [min(side * scale, 2 * trained[0] * trained[1] / multiple) for side in size]
    below = [max(1, math.floor(side / multiple)) for side in ideal]
    choices = itertools.product(*((low * multiple, (low + 1) * multiple) for low in below))

    def misfit(choice: tuple[int, ...]) -> float:
        tall, wide = (math.log(side / best) for side, best in zip(choice, ideal, strict=True))
        return abs(tall + wide) + 2 * abs(tall - wide)  # in pixels, and, worse, in shape

    height, width = min(choices, key=misfit)
    return height, width


def weights_hash(method: Method) -> str:
    """Return the SHA-256 over the names and values of the weights, whatever file they came from."""
    digest = hashlib.sha256()
    for name, value in sorted(method.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
