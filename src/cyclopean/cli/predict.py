"""`cyclopean predict`: depth of photos, folders and videos, in files that say what their numbers mean."""

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from cyclopean.choices import CAMERAS
from cyclopean.cli.early import loading, refuse_unknown_model
from cyclopean.cli.jobs import Job, jobs_for
from cyclopean.cli.parsing import check_writable, comma_list, height_width, named_look, parse, refuse_sphere_of_clip
from cyclopean.cli.predict_photo import ARRAYS, CLOUDS, Asked, arrays, photo_results
from cyclopean.errors import InputError, contained, unknown_name, usable_device
from cyclopean.io.files import CLIPS, shown

if TYPE_CHECKING:
    from cyclopean.inference.calibration import CameraProfile
    from cyclopean.inference.predictor import Predictor
    from cyclopean.io.image import Photo

RANGE_FRAMES = 16  # frames of a video that are looked at first, to fix one range of colours for all


@dataclass(frozen=True)
class Predict:
    """Depth of photos, of folders of photos, and of videos.

    For photo.jpg: photo_disp.npy (float32, the photo's size, larger = nearer), photo_disp.png (colours, bright = near)
    and photo_disp.json (what the numbers are). For clip.mp4: clip_disp.mp4 in one fixed range of colours, and its json.
    """

    photos: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PHOTO|FOLDER|VIDEO ...")] = ()
    """What to look at; as many as you like."""
    out: Annotated[str | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder for the results; without it they go beside each photo."""
    save: Annotated[str, tyro.conf.arg(metavar="LIST")] = ""
    """More files, comma-separated: npz, exr, pfm, png16 (with its scale in a sidecar), ply, glb. For a video: one array
    per frame (npy, npz, exr, pfm, png16) in the folder clip_disp."""
    view: Annotated[str, tyro.conf.arg(metavar="html")] = ""
    """html: also photo_view.html, one file to look around in with any browser, without a network."""
    model: Annotated[str, tyro.conf.arg(metavar="NAME")] = "auto"
    """A bundled model, a model's folder, or a Hub repository (owner/name). auto: general; for panoramas,
    panorama."""
    camera: Annotated[str, tyro.conf.arg(metavar="NAME")] = "auto"
    """What took the photos: pinhole, equirectangular (a whole panorama), top-bottom or side-by-side (two panoramas in
    one picture; the first is used). auto: panoramas are told by their metadata, or by their shape and seam."""
    via_cube: bool = False
    """See panoramas through ten overlapping faces, with a model for ordinary photos; other photos are refused."""
    flip_average: bool = False
    """Look at the mirror image too and join both (Monodepth's post-processing): better borders, twice the time."""
    right: Annotated[str | None, tyro.conf.arg(metavar="PHOTO")] = None
    """The right picture of a stereo pair, for a model that looks at two (trained with --variant stereo)."""
    profile: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """A camera profile (cyclopean app, tab Metres), which puts depth of photos of that camera in metres."""
    uncertainty: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Look N times with other colours, half of them at the mirror image, and write how far the answers differ:
    photo_uncertainty.npy (standard deviation of inverse depth) and photo_uncertainty.png (bright = unsure)."""
    look: Annotated[str, tyro.conf.arg(metavar="NAME")] = "aspect"
    """aspect: the model works on the photo in its own shape; trained: squeezed to the very size it was trained at, as
    `evaluate` does."""
    size: Annotated[str | None, tyro.conf.arg(metavar="HxW")] = None
    """About how many pixels the model works on, such as 256x512; without it, the size it was trained at."""
    device: Annotated[str, tyro.conf.arg(metavar="NAME")] = "cpu"
    """cpu, cuda, cuda:1, mps."""
    max_megapixels: Annotated[float, tyro.conf.arg(metavar="N")] = 120.0
    """Larger photos are refused before they are decoded."""


def main(arguments: list[str]) -> int:
    return run(parse(Predict, arguments, "cyclopean predict"))


def run(given: Predict) -> int:
    """Do every input; exit code 0 when all went well, 2 when one was bad."""
    asked = _asked(given)
    named_look(given.look)
    models = Models(given, height_width("--size", given.size) if given.size else None)
    if models.size and not math.prod(models.size) <= given.max_megapixels * 1e6:
        raise InputError(
            f"--size {given.size} is {math.prod(models.size) / 1e6:.3g} megapixels, the limit is "
            f"{given.max_megapixels:g}; give a smaller one, or raise the limit with --max-megapixels."
        )
    if not given.photos:
        raise InputError("no photo was given; name photos, folders or videos: cyclopean predict photo.jpg")
    if given.camera not in CAMERAS:
        raise unknown_name("camera", given.camera, CAMERAS)
    refuse_unknown_model(given.model)
    if given.uncertainty < 0 or given.uncertainty == 1:
        raise InputError(f"--uncertainty {given.uncertainty} means nothing; give at least 2 looks.")
    jobs, bad = jobs_for(given.photos, given.out)
    if given.right is not None and len(jobs) != 1:
        raise InputError(f"--right {given.right} belongs to one photo, the left of its pair; {len(jobs)} were given.")
    written: list[Path] = []
    count = len(jobs) + len(bad)
    if jobs:
        loading("predict", f"torch and the model {given.model}")
        usable_device(given.device)
        check_writable(job.folder for job in jobs)
        models.check()
        for job in _with_progress(jobs):
            with contained(str(job.source), bad):
                written += _predict(job, models, asked)
    _report(count, written, bad)
    return 2 if bad else 0


def _asked(given: Predict) -> Asked:
    """What to write, after checking the names."""
    views = comma_list("view", given.view, ["html"])
    saved = tuple(comma_list("format", given.save, [*ARRAYS, *CLOUDS]))
    return Asked(saved, given.uncertainty, bool(views), _profile(given.profile))


def _profile(path: str | None) -> "CameraProfile | None":
    if path is None:
        return None
    from cyclopean.inference.calibration import read_profile

    return read_profile(Path(path))


class Models:
    """The models that the inputs need, each loaded when it is first needed."""

    def __init__(self, given: Predict, size: tuple[int, int] | None) -> None:
        self.given, self.size = given, size
        self._loaded: dict[str, Predictor] = {}

    def check(self) -> None:
        """Raises InputError now for a model that cannot be used as asked."""
        if self.given.model != "auto" or self.given.via_cube:
            predictor = self.named(self.given.model if self.given.model != "auto" else "general")
            if self.given.via_cube and predictor.projection != "pinhole":
                raise InputError(f"--via-cube is for models of ordinary photos, {self.given.model} is for panoramas.")

    def fitting(self, photo: "Photo") -> "Predictor":
        """The model that was asked for, else the bundled one for the photo's camera."""
        from cyclopean.inference.predictor import fitting_model
        from cyclopean.training.checkpoint import DEFAULT

        if self.given.model != "auto":
            return self.named(self.given.model)
        return self.named(DEFAULT if self.given.via_cube else fitting_model(photo))

    def named(self, name: str) -> "Predictor":
        """The model `name`, which looks as was asked."""
        from cyclopean.inference.predictor import flip_averaged, load

        if name not in self._loaded:
            predictor = replace(load(name, self.given.device), look=named_look(self.given.look))
            predictor = replace(predictor, input_size=self.size) if self.size else predictor
            self._loaded[name] = replace(predictor, see=flip_averaged) if self.given.flip_average else predictor
        return self._loaded[name]


def _with_progress(jobs: Sequence[Job]) -> Iterator[Job]:
    """The jobs one by one, with a bar on the error stream when there are many."""
    if len(jobs) == 1:
        yield from jobs
        return
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(jobs, "predicting", console=console, transient=True, disable=not console.is_terminal)


def _predict(job: Job, models: Models, asked: Asked) -> list[Path]:
    """The files written for one input."""
    from cyclopean.io.files import appearing

    with appearing(job.folder) as bench:
        if job.source.suffix.lower() in CLIPS:
            if asked.uncertainty or asked.view or asked.profile or models.given.right:
                raise InputError(
                    f"{job.source} is a video; --uncertainty, --view, --profile and --right are for photos."
                )
            refuse_sphere_of_clip(job.source, models.given.camera, models.given.via_cube)
            predictor = models.named("general" if models.given.model == "auto" else models.given.model)
            _video(job, bench, predictor, asked, models.given.max_megapixels)
        else:
            _photo(job, bench, models, asked)
        names = sorted(path.relative_to(bench) for path in bench.iterdir())
    return [job.folder / name for name in names]


def _photo(job: Job, bench: Path, models: Models, asked: Asked) -> None:
    """A photo's files; why it is taken for a panorama goes to the error stream."""
    from cyclopean.inference.panorama import framed, refuse_flat
    from cyclopean.io.image import read_photo

    photo, why = framed(read_photo(job.source, models.given.max_megapixels), models.given.camera)
    for note in photo.notes:
        print(f"cyclopean predict: {note}", file=sys.stderr)
    if models.given.via_cube:
        refuse_flat(photo)
    predictor = models.fitting(photo)
    if why:
        name = predictor.model.name if predictor.model else predictor.method.name
        how = ", seen through ten faces around" if predictor.projection == "pinhole" else ""
        how += ", which learned from rooms; outdoors --via-cube is better" if name == "panorama" else ""
        print(f"cyclopean predict: {why} Model: {name}{how}.", file=sys.stderr)
    right = read_photo(Path(models.given.right), models.given.max_megapixels) if models.given.right else None
    photo_results(bench / job.stem, photo, predictor, asked, right)


def _video(job: Job, bench: Path, predictor: "Predictor", asked: Asked, max_megapixels: float) -> None:
    """Two passes: some frames to fix the range of colours, then every frame, one at a time, at its time."""
    from cyclopean.io.depthmap import colourise
    from cyclopean.io.image import Photo
    from cyclopean.io.video import describe, stills
    from cyclopean.io.video_writing import write_timed

    if any(name in CLOUDS for name in asked.saved):
        raise InputError(f"{job.source} is a video, which has no single point cloud; leave ply and glb out of --save.")
    clip = describe(job.source, max_megapixels)
    for remark in clip.remarks:
        print(f"cyclopean predict: {shown(remark)}", file=sys.stderr)
    low, high = _range_of_video(job.source, max(1, clip.count // RANGE_FRAMES), predictor, max_megapixels)
    times: list[float] = []

    def coloured() -> Iterator:
        clip_stills = stills(job.source, max_megapixels=max_megapixels)
        for still in _with_bar(clip_stills, clip.count, job.source.name):
            photo = Photo(still.image, name=f"{job.source.name}#{still.index}")
            depth = predictor(photo)
            if asked.saved:
                folder = bench / f"{job.stem}_disp"
                folder.mkdir(exist_ok=True)
                arrays(folder / f"{still.index:06d}", depth, asked.saved, photo)
            times.append(round(float(still.time), 6))
            yield colourise(depth.inverse_depth, low, high), still.time

    write_timed(bench / f"{job.stem}_disp.mp4", coloured(), clip.rate, clip.unit, clip.aspect)
    _video_sidecar(job, bench, predictor, (low, high), times)


def _range_of_video(path: Path, every: int, predictor: "Predictor", max_megapixels: float) -> tuple[float, float]:
    from cyclopean.io.depthmap import value_range
    from cyclopean.io.image import Photo
    from cyclopean.io.video import frames

    ranges = [value_range(predictor(Photo(image)).inverse_depth) for image in frames(path, every, max_megapixels)]
    if not ranges:
        raise InputError(f"{path} has no frames; give a whole video.")
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _with_bar(frames: Iterator, count: int, name: str) -> Iterator:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    shows = console.is_terminal
    yield from track(frames, name, count or None, console=console, transient=True, disable=not shows)


def _video_sidecar(
    job: Job, bench: Path, predictor: "Predictor", shown_range: tuple[float, float], times: list[float]
) -> None:
    from cyclopean import __version__

    model = predictor.model and {"name": predictor.model.name, "sha256": predictor.model.sha256}
    content = {
        "format": "cyclopean-depth-video", "version": 1, "cyclopean": __version__, "kind": "inverse_depth",
        "larger_is": "nearer", "ambiguity": predictor.method.ambiguity, "shown_range": shown_range,
        "frames": len(times), "times": times, "source": job.source.name, "model": model,
        "files": [f"{job.stem}_disp.mp4"],
    }  # fmt: skip
    (bench / f"{job.stem}_disp.json").write_text(json.dumps(content, indent=2) + "\n")


def _report(count: int, written: Sequence[Path], bad: Sequence[str]) -> None:
    """The files of one input; a summary of many. What was skipped and why goes to the error stream."""
    if count == 1:
        for path in written:
            print(shown(path))
    else:
        folders = ", ".join(dict.fromkeys(shown(path.parent) for path in written))
        print(f"{count - len(bad)} done{f', results in {folders}' if folders else ''}; {len(bad)} skipped.")
    for sentence in bad:
        print(f"cyclopean predict: {'skipped: ' if count > 1 else ''}{shown(sentence)}", file=sys.stderr)
