"""Entries of an evaluation: models, and folders of depth files made elsewhere."""

import glob
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch

from cyclopean.errors import InputError, usable_device
from cyclopean.geometry import Equirectangular, Pinhole
from cyclopean.inference import predictor as inference
from cyclopean.inference.predictor import Look, Predictor
from cyclopean.inference.wrappers import Infer, plain
from cyclopean.io.depthmap import read_depth
from cyclopean.io.image import Photo, resize
from cyclopean.methods.base import Ambiguity
from cyclopean.sample import OneMap, Sample, calibrated_rig, view
from cyclopean.training import models

LOG = logging.getLogger(__name__)
SUFFIXES = (".npy", ".npz", ".exr", ".pfm")


@runtime_checkable
class DepthDataset(Protocol):
    """A data set with true depth: items of batch 1, and the largest depth that counts for each, in metres."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def far(self, index: int) -> float:
        """Return the largest depth of item `index` that counts, in metres."""
        ...


@dataclass(frozen=True)
class Entry:
    """A row of the table: `predict` gives the inverse depth of a sample's target, of any size.

    `ambiguity`: what the depth leaves undetermined. `trivial`: a guess that the others are compared with. `ordered`
    replaces `predict` for arrays whose maps are found by index only. `covers`: the part of the picture that a map
    shows: "picture", "crop" (of the protocol), "seen" (the part that models take under the protocol), or a named part,
    already placed in the picture. `by_pair`: the same entry in metres, by the focal length and baseline of each pair.
    """

    name: str
    ambiguity: Ambiguity
    predict: Callable[[Sample], OneMap]
    trivial: bool = False
    ordered: Callable[[int, Sample], OneMap] | None = None
    covers: str = "picture"
    by_pair: "Entry | None" = None

    def inverse_depth(self, index: int, sample: Sample) -> OneMap:
        """Return the inverse depth of item `index` of a data set, which is `sample`."""
        return self.ordered(index, sample) if self.ordered else self.predict(sample)


def open_entry(
    name: str, device: str = "cpu", see: Infer = plain, look: Look | None = None, backend: str = "torch"
) -> Entry:
    """Return a model by name, folder or Hub id; or a folder of depth files named as the pictures are.

    `see`: how the model predicts, such as flip-averaged. `look`: the size of the network's input; by default that of
    the model's config, else as in training.
    """
    folder = Path(name)
    if folder.is_dir() and not models.is_model(folder):
        return depth_files(folder)
    predictor = inference.load(name, device, backend)
    predictor = replace(predictor.resized(look or predictor.look or "trained"), infer=see)
    return predictor_entry(folder.resolve().name if folder.is_dir() else name, predictor)


def predictor_entry(title: str, predictor: Predictor) -> Entry:
    """Return a model in memory as an entry of the name `title`; a model of two views gets the right picture too."""
    method = predictor.method

    def predict(sample: Sample) -> OneMap:
        camera = sample.target.camera
        known = camera if isinstance(camera, Pinhole | Equirectangular) else None
        photo = Photo(sample.target.image, known, sample.name[0])
        if method.views == 1:
            return predictor.everywhere(photo).inverse_depth
        if len(sample.sources) != 1:
            raise InputError(
                f"{sample.name[0]} is not a stereo pair, and the model takes two pictures; evaluate it on pairs."
            )
        return predictor.everywhere(photo, Photo(sample.sources[0].image, name=sample.name[0])).inverse_depth

    def predict_by_pair(sample: Sample) -> OneMap:
        """Return inverse depth in 1/m: the disparity that the model predicts is taken as that of the pair's own rig."""
        pair = calibrated_rig(sample)
        if pair is None:
            raise InputError(
                f"{sample.name[0]} is not a rectified pair, so disparity cannot be converted to metres; leave it out."
            )
        unit = method.unit(pair)
        assert unit is not None
        return predict(sample) / unit

    entry = Entry(title, method.ambiguity, predict, covers="seen")
    if method.ambiguity != "scale" or method.unit((1.0, 1.0)) is None:
        return entry
    return replace(entry, by_pair=replace(entry, ambiguity="metric", predict=predict_by_pair))


def one_look(name: str, device: str = "cpu", backend: str = "torch") -> Entry:
    """Return a panorama model run in a single pass at its training size, as papers report it.

    No second pass half a turn apart, no details of another model. Raises `InputError` for a model of ordinary photos,
    and where the picture is not a panorama.
    """
    predictor = inference.load(name, device, backend)
    if predictor.projection != "equirectangular":
        raise InputError(f"the model {name!r} is for ordinary photos; --one-look is for models of panoramas.")

    @torch.no_grad()
    def predict(sample: Sample) -> OneMap:
        if not isinstance(sample.target.camera, Equirectangular):
            raise InputError(f"{sample.name[0]} is not a panorama, and the model {name!r} is for panoramas.")
        target = view(resize(sample.target.image, predictor.input_size).to(usable_device(device)), Equirectangular())
        return plain(predictor.method, target).cpu()

    return Entry(f"{name}, one look", predictor.method.ambiguity, predict)


def in_metres(entry: Entry, data: DepthDataset) -> Entry:
    """Return `entry` in metres by the pairs of `data`, if it has disparities of unknown scale and these are pairs."""
    if entry.by_pair is None:
        return entry
    for index in range(len(data)):
        try:
            return entry if calibrated_rig(data[index]) is None else entry.by_pair
        except Exception:
            continue  # counted and named when it is evaluated
    return entry


def depth_files(folder: Path) -> Entry:
    """Return existing depth maps: for the picture `family/stem`, `family/stem.npy`, `stem.npy` or `stem_disp.npy`.

    Sidecars give the meaning of the numbers; without one a .npy holds disparity, larger = nearer, of unknown scale.
    """
    first = next((p for p in sorted(folder.rglob("*")) if p.suffix.lower() in SUFFIXES), None)
    if first is None:
        raise InputError(f"{folder} is neither a model (no {models.CONFIG}) nor a folder of depth files such as .npy.")
    ambiguity, find = read_depth(first).ambiguity, finder(folder)

    def predict(sample: Sample) -> OneMap:
        path = find(sample.name[0])
        depth = read_depth(path)
        if depth.ambiguity != ambiguity:
            raise InputError(
                f"{path} is {depth.ambiguity} and {first} {ambiguity}; evaluate maps of one kind at a time."
            )
        camera = sample.target.camera
        if depth.kind == "inverse_distance" and isinstance(camera, Pinhole):
            return replace(depth, camera=camera).numbers("inverse_depth")
        return depth.inverse_depth

    return Entry(f"{folder.name}/", ambiguity, predict)


def finder(folder: Path, suffixes: tuple[str, ...] = SUFFIXES) -> Callable[[str], Path]:
    """Return a function from a picture's name `family/stem` to its depth file.

    The file is `family/stem`, `family_stem`, `stem` or `stem_disp`, of any of `suffixes`; if there are several, the
    first suffix counts, and a warning names the others once. Frames of different drives may share a stem: it raises
    `InputError` rather than take one file for two pictures.
    """
    owners: dict[Path, str] = {}
    warned = False

    def find(name: str) -> Path:
        nonlocal warned
        stem = name.rsplit("/", maxsplit=1)[-1]
        for start in (name, name.replace("/", "_"), stem, f"{stem}_disp"):
            spelt = [[folder / f"{start}{written}" for written in (s, s.upper())] for s in suffixes]
            files = [file for either in spelt if (file := next(filter(Path.exists, either), None))]
            if files:
                break
        else:
            kinds = ", ".join(suffixes)
            near = next((file.name for file in sorted(folder.glob(f"*{glob.escape(stem)}*"))), None)
            there = f" ({near} is there)" if near else ""
            raise InputError(
                f"{folder} has no depth for the picture {name}{there}; it needs {stem} or {stem}_disp with one "
                f"of {kinds}. Files of other names are taken in their order by --in-order."
            )
        path = files[0]
        if owners.setdefault(path, name) != name:
            raise InputError(
                f"{path} matches both {owners[path]} and {name}; name files by the whole name, with _ for /."
            )
        # `predict` writes a coloured picture beside the depth, which is not a map
        others = [file.name for file in files[1:] if not file.name.endswith("_disp.png")]
        if others and not warned:
            warned = True
            LOG.warning(
                "%s has several files for one picture: %s is used, not %s. Move the others away.",
                *(folder, path.name, ", ".join(others)),
            )
        return path

    return find
