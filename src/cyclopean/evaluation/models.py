"""Things to judge: models, and folders of depth files made elsewhere."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.evaluation.trivial import Candidate, Truths
from cyclopean.geometry import Equirectangular, Pinhole
from cyclopean.inference import predictor as predicting
from cyclopean.inference.predictor import Look, Predictor, See, plain
from cyclopean.io.depthmap import read_depth
from cyclopean.io.image import Photo
from cyclopean.sample import Sample, calibrated_rig
from cyclopean.training import checkpoint

Map = Float[Tensor, "1 1 h w"]
SUFFIXES = (".npy", ".npz", ".exr", ".pfm")


def candidate(name: str, device: str = "cpu", see: See = plain, look: Look | None = None) -> Candidate:
    """A model by name, folder or Hub id, seen by `see`; or a folder of depth files named as the pictures are.

    `look`: at which size pictures are shown; without it as the model's card says, else as it was trained.
    """
    folder = Path(name)
    if folder.is_dir() and not checkpoint.is_model(folder):
        return depth_files(folder)
    predictor = predicting.load(name, device)
    predictor = replace(predictor, see=see, look=look or predictor.look or "trained")
    title = folder.resolve().name if folder.is_dir() else name
    return of_predictor(title, predictor)


def of_predictor(title: str, predictor: Predictor) -> Candidate:
    """A model in memory, to be judged under the name `title`."""
    relative = Candidate(title, predictor.method.ambiguity, lambda sample: _predicted(predictor, sample), covers="seen")
    if predictor.method.ambiguity != "scale" or predictor.method.unit((1.0, 1.0)) is None:
        return relative
    metric = replace(relative, ambiguity="metric", predict=lambda sample: _by_pair(predictor, sample))
    return replace(relative, by_pair=metric)


def on_data(candidate: Candidate, data: Truths) -> Candidate:
    """`candidate`, in metres by the pairs of `data` if it learned disparities of unknown scale and these are pairs."""
    if candidate.by_pair is None:
        return candidate
    for index in range(len(data)):
        try:
            return candidate if calibrated_rig(data[index]) is None else candidate.by_pair
        except Exception:
            continue  # counted and named when it is judged
    return candidate


def _by_pair(predictor: Predictor, sample: Sample) -> Map:
    """Inverse depth in 1/m of a model that knows no rig: its disparity is one of the pair's own rig."""
    pair = calibrated_rig(sample)
    if pair is None:
        raise InputError(
            f"{sample.name[0]} is no rectified pair, whose rig would put disparity in metres; leave it out."
        )
    unit = predictor.method.unit(pair)
    assert unit is not None
    return _predicted(predictor, sample) / unit


def depth_files(folder: Path) -> Candidate:
    """Depth maps that exist: for the picture `family/stem`, `family/stem.npy`, `stem.npy` or `stem_disp.npy`.

    Sidecars say what the numbers are; without one a .npy holds disparity, larger = nearer, of unknown scale.
    """
    first = next((p for p in sorted(folder.rglob("*")) if p.suffix in SUFFIXES), None)
    if first is None:
        raise InputError(
            f"{folder} is neither a model (no {checkpoint.CONFIG}) nor does it hold depth files such as .npy."
        )

    ambiguity, find = read_depth(first).ambiguity, finder(folder)

    def predict(sample: Sample) -> Map:
        path = find(sample.name[0])
        depth = read_depth(path)
        if depth.ambiguity != ambiguity:
            raise InputError(f"{path} is {depth.ambiguity} and {first} {ambiguity}; judge maps of one kind at a time.")
        camera = sample.target.camera
        if depth.kind == "inverse_distance" and isinstance(camera, Pinhole):
            return replace(depth, camera=camera).numbers("inverse_depth")
        return depth.inverse_depth

    return Candidate(f"{folder.name}/", ambiguity, predict)


def _predicted(predictor: Predictor, sample: Sample) -> Map:
    """A model of two views is shown the right picture of the pair as well."""
    if predictor.method.views == 1:
        return predictor(_photo(sample)).inverse_depth
    if len(sample.sources) != 1:
        raise InputError(f"{sample.name[0]} is no stereo pair, and the model looks at two pictures; judge it on pairs.")
    right = Photo(sample.sources[0].image, name=sample.name[0])
    return predictor(_photo(sample), right).inverse_depth


def _photo(sample: Sample) -> Photo:
    camera = sample.target.camera
    known = camera if isinstance(camera, Pinhole | Equirectangular) else None
    return Photo(sample.target.image, known, sample.name[0])


def finder(folder: Path, suffixes: tuple[str, ...] = SUFFIXES) -> Callable[[str], Path]:
    """From a picture's name `family/stem` to its depth file: `family/stem`, `family_stem`, `stem` or `stem_disp`.

    Of any suffix given. Frames of different drives may share a stem: a file is never handed out for two pictures.
    """
    owners: dict[Path, str] = {}

    def find(name: str) -> Path:
        path = _file(folder, name, suffixes)
        if owners.setdefault(path, name) != name:
            raise InputError(
                f"{path} would do for {owners[path]} and for {name}; name files by the whole name, / as _."
            )
        return path

    return find


def _file(folder: Path, name: str, suffixes: tuple[str, ...]) -> Path:
    stem = name.rsplit("/", maxsplit=1)[-1]
    for start in (name, name.replace("/", "_"), stem, f"{stem}_disp"):
        for suffix in suffixes:
            path = folder / f"{start}{suffix}"
            if path.exists():
                return path
    raise InputError(f"{folder} has no depth for the picture {name}; it needs {stem}.npy or {stem}_disp.npy.")
