"""From files to files: what two eyes see of a clip, frame by frame, its sound and times unchanged."""

import json
from collections.abc import Iterator
from pathlib import Path

from cyclopean import __version__
from cyclopean.defocus.edges import stepped
from cyclopean.defocus.focus import Focusable
from cyclopean.defocus.lens import Lens
from cyclopean.defocus.video import Keyframe
from cyclopean.errors import InputError
from cyclopean.inference.clip import Progress, SteadyDepth, film_camera, measure_clip, picture_of, result_suffix
from cyclopean.inference.photo_pipeline import Written, model_json
from cyclopean.inference.predictor import Predictor
from cyclopean.inference.prefetching import overlapped
from cyclopean.inference.stereo_pipeline import SIDECAR, StereoOptions
from cyclopean.io.files import appearing, file_hash
from cyclopean.io.image import Photo
from cyclopean.io.result_names import Target
from cyclopean.io.sidecar import keep_names
from cyclopean.io.video import Frame, Still
from cyclopean.io.video_writing import QUALITY, SIDE_BY_SIDE, rewrite
from cyclopean.stereoscopy import LAYOUTS
from cyclopean.stereoscopy.layouts import ARRANGED
from cyclopean.stereoscopy.pair import pair, rimmed, with_baseline, within


def stereo_clip(
    source: Path, target: Target, predictor: Predictor, options: StereoOptions, progress: Progress | None = None
) -> Written:
    """Write what two eyes see of a clip: a film for each layout, and STEM_stereo.json.

    Two passes and one more for each further layout: some frames fix one range of depth and its parallax for the whole
    clip, then every frame is written, while those behind it are read and computed. Depth is a mean of about `smooth`
    seconds along the motion. Raises InputError for what films cannot hold.
    """
    if "mpo" in options.layouts:
        raise InputError(f"{source} is a clip, and mpo holds two photos; leave mpo out of --save.")
    suffix = result_suffix(source.suffix)
    endings = {name: LAYOUTS[name] + suffix for name in options.layouts}
    target, notes = target.free(source, (*endings.values(), SIDECAR))
    camera = film_camera(source, options.known)
    keys = () if options.at is None else (Keyframe(0.0, options.at),)
    measures = measure_clip(source, keys, predictor, camera, options.max_megapixels)
    eyes = within(options.parallax, options.converge, measures.low, measures.high)
    if options.baseline is not None:
        eyes = with_baseline(eyes, options.baseline, camera, metric=predictor.method.ambiguity == "metric")
    if measures.aims:
        eyes = eyes.converged(measures.aims[0].middle)
    with appearing(target.folder) as folder:
        for name, ending in endings.items():
            depths = SteadyDepth(predictor, camera, options.smooth, measures.clip_range)

            def pictures(clip: Iterator[Still], name: str = name, depths: SteadyDepth = depths) -> Iterator[Frame]:
                for still in clip:
                    depth = stepped(depths.add(still).depth, picture_of(still.image))
                    ready = Focusable(Photo(still.image), depth, Lens())
                    both = pair(rimmed(ready, eyes), eyes, options.eye)
                    yield ARRANGED[name](both.left.image, both.right.image)
                    if progress is not None:
                        progress(still.index + 1, measures.count)

            packed = name in ("sbs", "half-sbs")
            rewrite(
                source, folder / target.path(ending).name, overlapped(pictures), options.max_megapixels,
                widths=2 if name == "sbs" else 1, encoder=SIDE_BY_SIDE if packed else QUALITY,
            )  # fmt: skip
        names = [target.path(ending).name for ending in endings.values()]
        content = {
            "format": "cyclopean-stereo", "version": 1, "cyclopean": __version__, "source": source.name,
            "source_sha256": file_hash(source), **options.record, "smooth": options.smooth,
            "model": model_json(predictor.model), "files": names,
        }  # fmt: skip
        (folder / target.path(SIDECAR).name).write_text(json.dumps(content, indent=2) + "\n")
        keep_names(folder, target.folder)
    return Written(tuple(target.folder / name for name in names), notes)
