"""`cyclopean refocus CLIP`: refocus a video frame by frame."""

from dataclasses import asdict
from pathlib import Path

from cyclopean.cli.early import known_camera
from cyclopean.cli.output import emit, remark
from cyclopean.cli.parsing import check_result_name, check_writable, named_file, progress_bar
from cyclopean.cli.refocus import Refocus, lens_of, result_target, strength_of
from cyclopean.errors import InputError
from cyclopean.inference import refuse_sphere_of_clip
from cyclopean.io.files import H264_SUFFIXES


def run_clip(options: Refocus, source: Path) -> None:
    """Refocus one clip; print where it is and how much its depth flickers."""
    camera, known = known_camera(options.camera, options.field_of_view)
    _refuse_photos_only(options, source, camera)
    named, target = named_file(options.out), result_target(options, source)
    if named is not None:
        check_result_name(named, source, H264_SUFFIXES)
    from cyclopean.defocus.video import SECONDS, Keyframe, read_keyframes
    from cyclopean.inference.clip import check, result_suffix
    from cyclopean.inference.clip_pipeline import clip_notes, flicker_note, refocus_clip
    from cyclopean.inference.predictor import load
    from cyclopean.io.video_tracks import other_container
    from cyclopean.training.models import DEFAULT

    if options.motion.keys is not None:
        keys = read_keyframes(Path(options.motion.keys))
    else:
        assert options.at is not None  # checked before
        keys = (Keyframe(0.0, options.at, None, options.motion.track),)
    smooth = SECONDS if options.motion.smooth is None else options.motion.smooth
    most = options.max_megapixels
    check(source, keys, smooth, most)
    check_writable([target.folder])
    suffix = result_suffix(source.suffix) if named is None else named.suffix
    result = target.path(f"_defocus{suffix}")
    for note in (*clip_notes(source, result, most), *(other_container(source, result) if named is None else ())):
        remark(note, "refocus")
    predictor = load(DEFAULT if options.model == "auto" else options.model, options.device, options.backend)
    with progress_bar(source.name) as progress:
        report, written = refocus_clip(
            source, target, keys, predictor,
            lens=lens_of(options.blur), record=asdict(options.blur), suffix=suffix,
            subject=options.subject and options.blur.range is None, smooth=smooth, known=known,
            max_megapixels=most, progress=progress,
        )  # fmt: skip
    for note in written.notes:
        remark(note, "refocus")
    emit({"source": source, "files": written.paths, "notes": written.notes, **asdict(report)})
    print(written.paths[0])
    before, after = report.flicker_before, report.flicker_after
    if before is not None and after is not None:
        print(flicker_note(before, after))
    if report.cuts:
        print(f"new scenes at {_times(report.cuts)}")
    if report.lost:
        print(f"the tracked point was lost at {_times(report.lost)}; the focus stayed where it was")


def _refuse_photos_only(options: Refocus, source: Path, camera: str) -> None:
    blur = options.blur
    strength_of(blur)
    refuse_sphere_of_clip(source, camera)
    unfit = {
        "--depth": options.depth is not None,
        "--profile": options.profile is not None,
        "--known": options.known is not None,
        "--focus-distance": options.focus_distance is not None,
        "--focus-range": options.focus_range is not None,
        "--nearest": options.nearest is not None,
        "--farthest": options.farthest is not None,
        "--view": bool(options.view),
        "--matte": options.matte is not None,
        "--save": bool(options.save),
        "--method": blur.method != "thin-lens",
        "--f-number": blur.optical,
    }
    for flag, is_given in unfit.items():
        if is_given:
            raise InputError(
                f"{source} is a clip, and {flag} is for photos; leave it out, or take one frame (--frame SECONDS)."
            )
    if options.motion.keys is not None and (options.at is not None or options.motion.track):
        raise InputError("--keys and --at both say where the clip should be sharp; give one of them.")


def _times(seconds: tuple[float, ...]) -> str:
    return ", ".join(f"{second:.2f} s" for second in seconds)
