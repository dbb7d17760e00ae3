"""From files to files: depth of videos, and refocused videos. As `pipeline`, which does so for photos."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

from cyclopean import __version__
from cyclopean.defocus.consistency import Consistency
from cyclopean.defocus.focus import fill_unknown
from cyclopean.defocus.lens import Lens
from cyclopean.defocus.video import SECONDS, Flicker, Keyframe
from cyclopean.errors import InputError
from cyclopean.geometry import size_of
from cyclopean.inference import CLOUDS
from cyclopean.inference.clip import PIXELS, ClipReport, Progress, film_camera, result_suffix, write_refocused
from cyclopean.inference.photo_pipeline import Written, final_paths, model_json, write_arrays
from cyclopean.inference.predictor import Predictor
from cyclopean.inference.prefetching import prefetched
from cyclopean.io.decoding import MOST_MEGAPIXELS
from cyclopean.io.depthmap import DepthMap, colourise, value_range
from cyclopean.io.files import appearing, file_hash
from cyclopean.io.image import Photo, resize_depth, size_within, small_grey
from cyclopean.io.result_names import Target
from cyclopean.io.sidecar import camera_to_json, keep_names
from cyclopean.io.video import Still, describe, stills
from cyclopean.io.video_tracks import left_out
from cyclopean.io.video_writing import write_timed

RANGE_FRAMES = 16  # frames of a video that fix one range of colours for all
VISIBLE_FLICKER = 0.01  # of the range of a clip's depth


def predict_clip(
    source: Path,
    target: Target,
    predictor: Predictor,
    save: Sequence[str] = (),
    *,
    steady: bool = True,
    known: Path | float | None = None,
    max_megapixels: float = MOST_MEGAPIXELS,
    progress: Progress | None = None,
    settings: str = "",
    batch: int = 1,
) -> Written:
    """Write the depth of a video: STEM_disp.mp4 in one fixed range of colours, .json, and arrays of every frame.

    Two passes: some frames fix the range, then every frame is written at its time. `save` are keys of `ARRAYS`; their
    files go into the folder STEM_disp. `progress(done, all)` is called after every frame; `all` is 0 when not known.
    Each frame's scale (and shift) is aligned to the frames before (`Consistency`), unless `steady` is False. `known` as
    for `film_camera`. `settings` is a hash of how it is made, for the sidecar. `batch` frames go through the network
    together, while others are read and written.
    """
    clouds = [name for name in save if name in CLOUDS]
    if clouds:
        raise InputError(f"{source} is a video, which has no single point cloud; leave ply and glb out of --save.")
    clip, camera = describe(source, max_megapixels), film_camera(source, known)
    target, notes = target.free(source, ["_disp.mp4", "_disp.json", *(["_disp"] if save else [])])
    every = max(1, clip.count // RANGE_FRAMES)

    def predicted(frames: Iterator[Still]) -> Iterator[tuple[Still, Photo, DepthMap]]:
        with closing(prefetched(frames, batch)) as decoded:
            while group := list(islice(decoded, batch)):
                photos = [Photo(still.square, camera, name=f"{source.name}#{still.index}") for still in group]
                yield from zip(group, photos, predictor.batch(photos), strict=True)

    some = predicted(stills(source, lambda index, _: index % every == 0, max_megapixels))
    ranges = [value_range(depth.inverse_depth) for _, _, depth in some]
    if not ranges:
        raise InputError(f"{source} has no frames; give a whole video.")
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    times: list[float] = []
    consistency, flicker = Consistency(predictor.method.ambiguity, high - low), Flicker(high - low)
    with appearing(target.folder) as folder:
        there = replace(target, folder=folder)
        arrays = there.path("_disp")

        def coloured() -> Iterator[Any]:
            for still, photo, small in predicted(stills(source, max_megapixels=max_megapixels)):
                depth = small
                if still.aspect != 1:
                    depth = resize_depth(depth, size_of(still.image))
                if steady:
                    depth = _aligned(depth, still, consistency, flicker)
                if save:
                    arrays.mkdir(exist_ok=True)
                    write_arrays(Target(arrays, f"{still.index:06d}"), depth, save, photo)
                times.append(round(float(still.time), 6))
                if progress is not None:
                    progress(still.index + 1, clip.count)
                yield colourise(depth.inverse_depth, low, high), still.time, still.duration

        video = there.path("_disp.mp4")
        with closing(prefetched(coloured(), batch)) as pictures:
            write_timed(video, pictures, clip.rate, clip.unit, clip.aspect)
        content = {
            "format": "cyclopean-depth-video", "version": 1, "cyclopean": __version__, "kind": "inverse_depth",
            "larger_is": "nearer", "ambiguity": predictor.method.ambiguity, "shown_range": (low, high),
            "camera": None if camera is None else camera_to_json(camera),
            "frames": len(times), "times": times, "source": source.name, "source_sha256": file_hash(source),
            **({"settings": settings} if settings else {}), "model": model_json(predictor.model),
            "flicker_before": flicker.before, "flicker_after": flicker.after, "files": [video.name],
        }  # fmt: skip
        video.with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")
        keep_names(folder, target.folder)
        if flicker.before is not None and flicker.after is not None and flicker.before > VISIBLE_FLICKER:
            notes = (*notes, flicker_note(flicker.before, flicker.after))
        return Written(final_paths(folder, target.folder), notes)


def _aligned(depth: DepthMap, still: Still, consistency: Consistency, flicker: Flicker) -> DepthMap:
    """Return the depth of a frame, its scale and shift aligned to the frames before, and count its flicker."""
    small = resize_depth(depth, size_within(depth.size, PIXELS))
    plane, last = fill_unknown(small.inverse_depth[0, 0], small.valid[0, 0]), consistency.last
    now = consistency.add(small_grey(still.image, small.size), plane, still.seconds)
    if last is not None:
        flicker.add(last, now)
    scale, shift = consistency.alignment.scale, consistency.alignment.shift
    notes = {**depth.notes, "steady_scale": round(scale, 6), "steady_shift": round(shift, 6)}
    return replace(depth, inverse_depth=depth.inverse_depth * scale + shift, notes=notes)


def flicker_note(before: float, after: float) -> str:
    """Return a sentence on the flicker of a clip's depth."""
    return f"flicker of the depth: {100 * before:.2f} % of its range as predicted, {100 * after:.2f} % made steady"


def refocus_clip(
    source: Path,
    target: Target,
    keys: Sequence[Keyframe],
    predictor: Predictor,
    *,
    lens: Lens,
    record: Mapping[str, object],
    suffix: str = "",
    subject: bool = True,
    smooth: float = SECONDS,
    known: Path | float | None = None,
    max_megapixels: float = MOST_MEGAPIXELS,
    progress: Progress | None = None,
) -> tuple[ClipReport, Written]:
    """Write a video refocused: STEM_defocus, its suffix that of the video where H.264 is at home, and a sidecar.

    `suffix`, one of `H264_SUFFIXES`, is another one. `record` are the settings that the sidecar keeps; `subject` as for
    `clip.refocus_clip`, `known` as for `film_camera`.
    """
    suffix = suffix or result_suffix(source.suffix)
    target, notes = target.free(source, (f"_defocus{suffix}", "_defocus.json"))
    name = target.path(f"_defocus{suffix}").name
    with appearing(target.folder) as folder:
        report = write_refocused(
            source, folder / name, keys, predictor, lens,
            subject=subject, smooth=smooth, known=known, max_megapixels=max_megapixels, progress=progress,
        )  # fmt: skip
        content = {
            "format": "cyclopean-refocus-video", "version": 1, "cyclopean": __version__, "source": source.name,
            "keys": [asdict(key) for key in keys], **record, "subject": subject, "smooth": smooth,
            "model": model_json(predictor.model), **asdict(report), "files": [name],
        }  # fmt: skip
        (folder / name).with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")
        keep_names(folder, target.folder)
    return report, Written((target.folder / name,), notes)


def clip_notes(source: Path, result: Path | None = None, max_megapixels: float = MOST_MEGAPIXELS) -> tuple[str, ...]:
    """Return notes on what is not used of a video, and on what `result` will not keep."""
    clip = describe(source, max_megapixels)
    return (*clip.remarks, *clip.remarks_on_writing, *(left_out(source, result, max_megapixels) if result else ()))
