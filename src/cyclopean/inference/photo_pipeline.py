"""From files to files: depth of photos (refocused photos: `refocus_pipeline`; videos: `clip_pipeline`).

The command line, the app and bulk workers call these functions. They take values, print nothing, and return the paths
of what they wrote with notes for the user. Files appear all together or not at all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from cyclopean.data.video import camera_in
from cyclopean.defocus.edges import refined
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, assumed_camera, pinhole_of_angle
from cyclopean.inference import ARRAYS, CLOUDS
from cyclopean.inference.metric_calibration import FARTHEST, CameraProfile, Metres, shift_assumed
from cyclopean.inference.panorama_detection import check_panorama, resolve_camera
from cyclopean.inference.predictor import Predictor, fitting_model, load
from cyclopean.io.decoding import MOST_MEGAPIXELS
from cyclopean.io.depthmap import DepthMap, write_colours, write_depth
from cyclopean.io.embedded_depth import NO_EMBEDDED_DEPTH, find_depth, read_embedded_depth
from cyclopean.io.files import appearing, file_hash
from cyclopean.io.image import Photo, read_photo
from cyclopean.io.result_names import Target
from cyclopean.io.scenes import mesh, point_cloud, without_flying_pixels, write_glb, write_ply
from cyclopean.io.sidecar import Maker, keep_names
from cyclopean.io.viewer import write_viewer
from cyclopean.training.models import DEFAULT, bundled

OF_PANORAMAS = {
    "panorama": ", whose metres hold in rooms; outdoors only ratios of depths do",
    "panorama-selfsup": ", which was trained on rooms; outdoors use panorama or --via-cube",
}
LARGEST_TILT = 10.0  # degrees, of a panorama
LARGEST_DISAGREEMENT = 0.5  # of the depth: faces of a panorama that differ by more are not aligned


@dataclass(frozen=True)
class Written:
    """The files that were written, and notes for the user; `skipped` if they were there before."""

    paths: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    skipped: bool = False


EmbeddedUse = Literal["prefer", "require", "mention", "ignore"]


def as_predicted(depth: DepthMap) -> DepthMap:
    """Return depth unchanged: the default of `DepthOptions.mend`.

    A function with a name, since options are sent to other processes.
    """
    return depth


@dataclass(frozen=True)
class DepthOptions:
    """Files to write of a photo beside the array, its colours and its sidecar, and how the photo is read.

    `save` are keys of `ARRAYS` and `CLOUDS`; `viewer` adds one HTML file; `uncertainty` is the number of draws (0:
    none); `profile`, a camera's or two known distances, puts depth in metres; `right` is the right picture of a stereo
    pair; `camera` is one of `CAMERAS`; `known` gives the focal length of ordinary photos, as a file with a camera or a
    field of view in degrees along the longer side, whatever their metadata say. `settings` is a hash of whatever
    changes results, for the sidecar. `mend` corrects the predicted depth. `embedded` is the use of depth that the
    photo's file has, as of `own_depth`.
    """

    save: tuple[str, ...] = ()
    viewer: bool = False
    uncertainty: int = 0
    profile: Metres | None = None
    right: Path | None = None
    camera: str = "auto"
    known: Path | float | None = None
    max_megapixels: float = MOST_MEGAPIXELS
    settings: str = ""
    mend: Callable[[DepthMap], DepthMap] = as_predicted
    embedded: EmbeddedUse = "ignore"


class Models:
    """The models that photos need, each loaded once, when it is first needed.

    `name` "auto" takes the bundled model for the photo's camera, or with `via_cube` the one for ordinary photos.
    `configure` is applied to each predictor after loading.
    """

    def __init__(
        self,
        name: str,
        device: str = "cpu",
        *,
        backend: str = "torch",
        via_cube: bool = False,
        configure: Callable[[Predictor], Predictor] = lambda predictor: predictor,
    ) -> None:
        self.name, self.device, self.backend = name, device, backend
        self.via_cube, self.configure = via_cube, configure
        self._loaded: dict[str, Predictor] = {}

    def check(self) -> None:
        """Raise InputError for a model that cannot be used; without a name it depends on the photo."""
        if self.name == "auto" and not self.via_cube:
            return
        if self.for_video().projection != "pinhole" and self.via_cube:
            raise InputError(f"--via-cube is for models of ordinary photos, {self.name} is for panoramas.")

    def for_photo(self, photo: Photo) -> Predictor:
        """Return the predictor for a photo. With `via_cube`, raises InputError for a photo that is not a panorama."""
        if self.via_cube:
            check_panorama(photo)
        return self.for_video() if self.via_cube or self.name != "auto" else self._load(fitting_model(photo))

    def for_video(self) -> Predictor:
        """Return the predictor for ordinary pictures."""
        return self._load(DEFAULT if self.name == "auto" else self.name)

    def has_made(self, maker: Mapping[str, object]) -> bool:
        """Return whether the model that a sidecar names is one of these, by its weights."""
        name = str(maker.get("name")) if self.name == "auto" else self.name
        if self.name == "auto" and name not in bundled():
            return False
        model = self._load(name).model
        return model is not None and model.sha256 == maker.get("sha256")

    def _load(self, name: str) -> Predictor:
        if name not in self._loaded:
            self._loaded[name] = self.configure(load(name, self.device, self.backend))
        return self._loaded[name]


@dataclass(frozen=True)
class OpenedPhoto:
    """A photo as it was read: the hash of its file, why it is a panorama, the right picture of its pair, depth in its
    own file, and notes."""

    source: Path
    source_hash: str
    photo: Photo
    reason: str | None
    right: Photo | None
    own: DepthMap | None
    notes: tuple[str, ...]


def predict_photo(
    source: Path, target: Target, choose: Callable[[Photo], Predictor], options: DepthOptions = DepthOptions()
) -> Written:
    """Write the depth of a photo: STEM_disp.npy, .png (colours), .json (sidecar), and what `options` add.

    `choose` returns the predictor for the photo, such as `Models.for_photo`.
    """
    opened = open_photo(source, options)
    predictor = choose(opened.photo)
    (depth,) = predict_opened([opened], predictor)
    return write_results(opened, depth, target, predictor, options)


def open_photo(source: Path, options: DepthOptions) -> OpenedPhoto:
    """Read a photo and all that `options` ask for in its files."""
    photo, reason = with_camera(read_photo(source, options.max_megapixels), options.camera, options.known)
    own, remarks = own_depth(source, photo, options.embedded, options.max_megapixels)
    right = None if options.right is None else read_photo(options.right, options.max_megapixels)
    return OpenedPhoto(source, file_hash(source), photo, reason, right, own, (*photo.notes, *remarks))


def predict_opened(several: Sequence[OpenedPhoto], predictor: Predictor) -> list[DepthMap]:
    """Return the depth of photos, by one pass of the network where that is possible (`Predictor.batch`)."""
    predicted = [one for one in several if one.own is None]
    if len(predicted) == 1:
        depths = iter([predictor(predicted[0].photo, predicted[0].right)])
    else:
        depths = iter(predictor.batch([one.photo for one in predicted]))
    return [next(depths) if one.own is None else refined(one.own, one.photo.image) for one in several]


def write_results(
    opened: OpenedPhoto, depth: DepthMap, target: Target, predictor: Predictor, options: DepthOptions
) -> Written:
    """Write the files of `predict_photo`, given the depth."""
    source, photo = opened.source, opened.photo
    notes = [*opened.notes, *_about_panorama(photo, predictor, opened.reason)]
    endings = ["_disp.png", "_disp.json", *((ARRAYS | CLOUDS)[name] for name in ("npy", *options.save))]
    endings += ["_disp16.json"] if "png16" in options.save else []
    endings += ["_view.html"] if options.viewer else []
    endings += ["_uncertainty.npy", "_uncertainty.png"] if options.uncertainty else []
    target, numbered = target.free(source, endings)
    notes += numbered
    depth, doubts = in_metres(options.mend(depth), options.profile, photo)
    notes += doubts
    disagreement = depth.notes.get("disagreement_after", 0.0)
    if isinstance(disagreement, float) and disagreement > LARGEST_DISAGREEMENT:
        notes.append(
            f"{photo.name}: neighbouring faces of the cube disagree by {disagreement:.2f} of the depth where they "
            "overlap; do not trust this depth."
        )
    with appearing(target.folder) as folder:
        there = replace(target, folder=folder)
        write_colours(there.path("_disp.png"), depth.inverse_depth)
        others: list[Path] = []
        if options.uncertainty:
            spread = predictor.uncertainty(photo, options.uncertainty) / (
                options.profile.scale if isinstance(options.profile, CameraProfile) else 1
            )
            others += [there.path("_uncertainty.npy"), there.path("_uncertainty.png")]
            np.save(others[0], spread[0, 0].numpy())
            write_colours(others[1], spread)
        clouds = [name for name in options.save if name in CLOUDS]
        camera = depth.camera or assumed_camera(photo.size)
        if (clouds or options.viewer) and depth.camera is None:
            notes.append(f"{photo.name} has no focal length in its metadata: a field of view of 60 degrees is assumed.")
        scene_depth = depth
        if (clouds or options.viewer) and depth.ambiguity == "affine":
            scene_depth = shift_assumed(depth)
            notes.append(
                f"{photo.name}: this model leaves scale and shift of its depth unknown, so the shapes in 3-D are a "
                f"guess: what is farthest is taken as {FARTHEST:g} times as far as what is nearest. Two known "
                "distances make them right (--known), and so does a metric model."
            )
        for name in clouds:
            others.append(there.path(CLOUDS[name]))
            if name == "ply":
                write_ply(others[-1], point_cloud(without_flying_pixels(scene_depth, camera), photo.image, camera))
            else:
                write_glb(others[-1], mesh(scene_depth, camera), photo.image)
        if options.viewer:
            others.append(there.path("_view.html"))
            write_viewer(others[-1], scene_depth, photo.image, camera, photo.name)
        write_arrays(
            there, depth, ("npy", *options.save), photo, [path.name for path in others],
            source_hash=opened.source_hash, settings=options.settings,
        )  # fmt: skip
        keep_names(folder, target.folder)
        return Written(final_paths(folder, target.folder), tuple(notes))


def _about_panorama(photo: Photo, predictor: Predictor, reason: str | None) -> list[str]:
    """Return notes on a panorama that is tilted, and on a photo that is taken for a panorama for a `reason`."""
    notes = []
    if isinstance(photo.camera, Equirectangular) and photo.gpano is not None and photo.gpano.tilt > LARGEST_TILT:
        notes.append(
            f"{photo.name} is tilted by {photo.gpano.tilt:.0f} degrees by its metadata (GPano pose), and models "
            "were trained on upright panoramas; level it with the camera's software for better depth."
        )
    if reason:
        name = predictor.model.name if predictor.model else predictor.method.name
        how = ", on ten faces around" if predictor.projection == "pinhole" else ""
        how += OF_PANORAMAS.get(name, "")
        notes.append(f"{reason} Model: {name}{how}.")
    return notes


def own_depth(source: Path, photo: Photo, use: EmbeddedUse, max_megapixels: float) -> tuple[DepthMap | None, list[str]]:
    """Return the depth in the file of a photo at its size, and notes; None where it is predicted instead.

    `use`: "prefer" takes what is there, "require" raises InputError where nothing is, or nothing that can be used;
    "mention" notes what is there and predicts; "ignore" does not look. Panoramas have none.
    """
    if use == "ignore" or isinstance(photo.camera, Equirectangular):
        return None, []
    try:
        found = find_depth(source)
        if found is None and use == "require":
            raise InputError(NO_EMBEDDED_DEPTH.format(source))
        if found is None:
            return None, []
        if use == "mention":
            how = "which --depth embedded takes; it is predicted"
            return None, [f"{source.name} has depth in its own file ({found.origin}), {how}."]
        depth = read_embedded_depth(source, found, photo, max_megapixels)
    except InputError as error:
        if use == "require":
            raise
        return None, [f"{error} Depth is predicted instead."]
    meaning = {"metric": "in metres", "scale": "up to scale", "affine": "up to scale and shift"}[depth.ambiguity]
    size = depth.notes["embedded_size"]
    return depth, [f"{source.name}: the depth in its own file is taken ({found.origin}, {size}, {meaning})."]


def with_camera(photo: Photo, name: str, known: Path | float | None) -> tuple[Photo, str | None]:
    """Return a photo with its camera, by its `name` (`resolve_camera`) or as it is `known` (`DepthOptions`), and the
    reason if it is a panorama.
    """
    photo, reason = resolve_camera(photo, name)
    if known is None or isinstance(photo.camera, Equirectangular):
        return photo, reason
    camera = camera_in(known) if isinstance(known, Path) else pinhole_of_angle(known, photo.size)
    return replace(photo, camera=camera), reason


def write_arrays(
    target: Target,
    depth: DepthMap,
    save: Sequence[str],
    photo: Photo,
    others: Sequence[str] = (),
    *,
    source_hash: str | None = None,
    settings: str = "",
) -> None:
    """Write the arrays among `save`, and a sidecar that also names the colours, `others` and the `settings`."""
    paths = [target.path(ARRAYS[name]) for name in dict.fromkeys(save) if name in ARRAYS]
    also = (target.path("_disp.png").name, *others)
    write_depth(paths, depth, photo.name, photo.size, also, source_hash=source_hash, settings=settings)


def in_metres(depth: DepthMap, profile: Metres | None, photo: Photo) -> tuple[DepthMap, list[str]]:
    """Return depth in metres by `profile`, if there is one, and a note if it is another camera's."""
    if profile is None:
        return depth, []
    misfit = profile.misfit(depth) if isinstance(profile, CameraProfile) else ""
    return profile.applied(depth), [f"{photo.name}: {misfit}; its metres are likely wrong."] if misfit else []


def final_paths(temporary: Path, folder: Path) -> tuple[Path, ...]:
    """Return the paths in `folder` that the files of a `temporary` folder will have."""
    return tuple(folder / name for name in sorted(path.name for path in temporary.iterdir()))


def model_json(model: Maker | None) -> dict[str, str] | None:
    return None if model is None else asdict(model)
