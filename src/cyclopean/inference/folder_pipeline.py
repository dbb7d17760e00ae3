"""Depth of very many inputs, by several processes: work for `bulk`, which writes what `pipeline` does."""

import hashlib
import itertools
import json
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from cyclopean.errors import InputError, sentence
from cyclopean.inference import refuse_sphere_of_clip
from cyclopean.inference.bulk import Done
from cyclopean.inference.clip import Progress
from cyclopean.inference.clip_pipeline import clip_notes, predict_clip
from cyclopean.inference.metric_calibration import metres_from
from cyclopean.inference.photo_pipeline import (
    DepthOptions,
    Models,
    OpenedPhoto,
    Written,
    open_photo,
    predict_opened,
    predict_photo,
    write_results,
)
from cyclopean.inference.predictor import Predictor
from cyclopean.inference.prefetching import prefetched
from cyclopean.inference.wrappers import POST_PROCESSES, Autocast, compile_networks
from cyclopean.io.depthmap import DepthMap
from cyclopean.io.files import file_hash, is_film, read_json
from cyclopean.io.remote import Remote, fetched, is_clip
from cyclopean.io.result_names import Target


@dataclass(frozen=True)
class Input:
    """A photo or a clip, here or at a URL, and where its results go."""

    source: Path | Remote
    target: Target

    def __str__(self) -> str:
        return str(self.source)


def settings_of(one: Input, settings: str) -> str:
    """Return the hash of the settings and, of an input at a URL, of that: results are those of the same URL then."""
    if not isinstance(one.source, Remote):
        return settings
    return hashlib.sha256(f"{settings} {one.source}".encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Predicting:
    """Work (`bulk`): depth of an `Input`. It returns what was written, or what was there (`Written.skipped`), made by
    the same model with the same settings from the same file or URL.

    `model` is a name as of `Models`; `size` is (height, width) and `post_process` a name of `POST_PROCESSES`, or "";
    `profile` is the file of a camera profile. `steady`: as of `predict_clip`. `again`: whether what is there is made
    once more. `backend`: as of `load`. `batch`: frames of a clip that go through the network together. `precision`
    is that of the layers (`Autocast`). `compile`: whether networks are compiled (`compile_networks`).
    """

    model: str
    options: DepthOptions
    device: str = "cpu"
    via_cube: bool = False
    post_process: str = ""
    look: Literal["aspect", "trained"] = "aspect"
    size: tuple[int, int] | None = None
    profile: Path | None = None
    steady: bool = True
    again: bool = False
    backend: str = "torch"
    batch: int = 1
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    compile: bool = False

    def models(self) -> Models:
        """Return the models, none of them loaded yet."""

        def configured(predictor: Predictor) -> Predictor:
            predictor = predictor.resized(self.look, self.size)
            for one in (predictor, predictor.details) if self.compile else ():
                if one is not None:
                    compile_networks(one.method)
            infer = POST_PROCESSES[self.post_process] if self.post_process else predictor.infer
            return replace(predictor, infer=infer if self.precision == "float32" else Autocast(infer, self.precision))

        return Models(self.model, self.device, backend=self.backend, via_cube=self.via_cube, configure=configured)

    def fitted_options(self) -> DepthOptions:
        """Return the options with the profile's metres, and with a hash of all that changes results."""
        what = asdict(self)
        del what["device"], what["again"], what["backend"], what["batch"], what["compile"]
        del what["options"]["max_megapixels"]
        del what["options"]["mend"]  # a folder is not mended by hand
        if self.precision == "float32":  # as results were made when there was no other
            del what["precision"]
        what["profile"] = None if self.profile is None else file_hash(self.profile)
        if isinstance(self.options.known, Path):
            what["options"]["known"] = file_hash(self.options.known)
        settings = hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:12]
        return replace(self.options, profile=metres_from(self.profile, None), settings=settings)

    def load(self) -> Callable[[Input], Written]:
        """Return what writes the depth of an input."""
        models, options = self.models(), self.fitted_options()
        models.check()

        def predict(one: Input) -> Written:
            of_one = replace(options, settings=settings_of(one, options.settings))
            if not self.again and (there := results_there(one, models, of_one.settings)):
                return Written(there, skipped=True)
            with fetched(one.source, one.target.folder) as path:
                written = predict_input(path, one.target, models, of_one, steady=self.steady, batch=self.batch)
                notes = clip_notes(path, max_megapixels=options.max_megapixels) if is_film(path) else ()
            return replace(written, notes=(*notes, *written.notes))

        return predict


def predict_all(
    inputs: Iterable[Input],
    models: Models,
    options: DepthOptions,
    of_clip: Callable[[Input], Written],
    *,
    batch: int = 1,
) -> Generator[Done, None, None]:
    """Write the depth of photos and clips; yield each in its turn, when its files are there, or what is wrong with it.

    While the files of one photo are written, one thread runs the network on those behind it and another reads the next,
    which of a photo at a URL is fetched for that.
    Up to `batch` photos in a row that have one size go through the network together. A few batches of photos are held
    at a time, however many inputs there are. Clips are done by `of_clip`.
    """

    def opened() -> Iterator[tuple[Input, OpenedPhoto | None, Predictor | Exception | None]]:
        for one in inputs:
            photo: OpenedPhoto | None = None
            chosen: Predictor | Exception | None = None
            try:
                if not is_clip(one.source):
                    with fetched(one.source, one.target.folder) as path:
                        photo = open_photo(path, options)
                    chosen = models.for_photo(photo.photo)
            except Exception as error:
                chosen = error
            yield one, photo, chosen

    def predicted() -> Iterator[tuple[Input, Callable[[], Written] | Exception]]:
        with closing(prefetched(opened(), batch)) as steps:
            for (_, predictor), alike in itertools.groupby(
                steps, lambda step: (step[1] and step[1].photo.size, step[2])
            ):
                while group := list(itertools.islice(alike, batch)):
                    photos = [photo for _, photo, _ in group if photo is not None]
                    if not isinstance(predictor, Predictor):
                        yield from ((one, predictor or partial(of_clip, one)) for one, _, _ in group)
                        continue
                    for (one, _, _), photo, depth in zip(group, photos, _depths(photos, predictor), strict=True):
                        if isinstance(depth, Exception):
                            yield one, depth
                        else:
                            of_one = replace(options, settings=settings_of(one, options.settings))
                            yield one, partial(write_results, photo, depth, one.target, predictor, of_one)

    with closing(prefetched(predicted(), batch)) as steps:
        for one, write in steps:
            try:
                if isinstance(write, Exception):
                    raise write
                done = Done(one, None, write())
            except Exception as error:
                done = Done(one, sentence(error, str(one)))
            yield done


def _depths(photos: list[OpenedPhoto], predictor: Predictor) -> list[DepthMap | Exception]:
    """Return the depth of photos by one pass of the network; one by one if that fails, with what is wrong with each."""
    try:
        return [*predict_opened(photos, predictor)]
    except Exception as error:
        return [error] if len(photos) == 1 else [_depths([photo], predictor)[0] for photo in photos]


def predict_input(
    source: Path,
    target: Target,
    models: Models,
    options: DepthOptions,
    *,
    steady: bool,
    batch: int = 1,
    progress: Progress | None = None,
) -> Written:
    """Write the depth of a photo (`predict_photo`) or of a clip (`predict_clip`)."""
    if not is_film(source):
        return predict_photo(source, target, models.for_photo, options)
    refuse_for_clip(source, models, options)
    return predict_clip(
        source, target, models.for_video(), options.save, steady=steady, known=options.known,
        max_megapixels=options.max_megapixels, progress=progress, settings=options.settings, batch=batch,
    )  # fmt: skip


def refuse_for_clip(source: Path, models: Models, options: DepthOptions) -> None:
    """Raise InputError for a clip with options of photos."""
    if options.uncertainty or options.viewer or options.profile or options.right:
        flags = "--uncertainty, --view, --profile, --known and --right"
        raise InputError(f"{source} is a video; {flags} are for photos.")
    refuse_sphere_of_clip(source, options.camera, models.via_cube)


def results_there(one: Input, models: Models, settings: str, sidecar: str = "_disp.json") -> tuple[Path, ...]:
    """Return the results of an input, if all are there, by the same model, settings and bytes of the input; else none.

    What is at a URL is not fetched for that: it is the same if `settings` are (`settings_of`). `sidecar` is what the
    name of theirs ends in.
    """
    folder, side = one.target.folder, one.target.path(sidecar)
    try:
        content = read_json(side) if side.is_file() else None
    except InputError:
        return ()
    if not isinstance(content, dict) or (content.get("settings"), content.get("source")) != (settings, one.source.name):
        return ()
    files, maker = content.get("files"), content.get("model")
    if not isinstance(files, list) or not isinstance(maker, dict):
        return ()
    results = (*(folder / str(name) for name in files), side)
    same = (
        all(path.exists() for path in results)
        and models.has_made(maker)
        and (isinstance(one.source, Remote) or content.get("source_sha256") == file_hash(one.source))
    )
    return results if same else ()
