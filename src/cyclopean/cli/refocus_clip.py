"""`cyclopean refocus CLIP`: a video through the lens, frame by frame."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopean.cli.parsing import check_writable, refuse_sphere_of_clip, result_folder
from cyclopean.cli.refocus import Refocus, lens_of, strength_of
from cyclopean.errors import InputError
from cyclopean.io.files import shown

if TYPE_CHECKING:
    from cyclopean.defocus.video import Keyframe
    from cyclopean.inference.clip import ClipReport
    from cyclopean.inference.predictor import Predictor


def run_clip(given: Refocus, source: Path) -> None:
    """Refocus one clip; print where it is and how much its depth flickers."""
    _refuse_photos_only(given, source)
    folder = result_folder(given.out, source)
    from cyclopean.defocus.video import SECONDS
    from cyclopean.inference.clip import check, result_suffix, write_refocused
    from cyclopean.inference.predictor import load
    from cyclopean.io.files import appearing
    from cyclopean.io.video import describe
    from cyclopean.io.video_writing import left_out
    from cyclopean.training.checkpoint import DEFAULT

    lens, keys = lens_of(given.blur), _keys(given)
    smooth = SECONDS if given.motion.smooth is None else given.motion.smooth
    most = given.max_megapixels
    check(source, keys, smooth, most)
    check_writable([folder])
    result = folder / f"{source.stem}_defocus{result_suffix(source.suffix)}"
    for remark in (*describe(source, most).remarks, *left_out(source, result, most)):
        print(f"cyclopean refocus: {shown(remark)}", file=sys.stderr)
    predictor = load(DEFAULT if given.model == "auto" else given.model)
    with appearing(folder) as bench, _bar(source.name) as progress:
        report = write_refocused(
            source, bench / result.name, keys, predictor, lens, smooth=smooth, max_megapixels=most, progress=progress
        )
        _write_note(bench / result.name, _note(given, keys, smooth, predictor), report)
    print(result)
    _tell(report)


def _refuse_photos_only(given: Refocus, source: Path) -> None:
    blur = given.blur
    strength_of(blur)
    refuse_sphere_of_clip(source, given.camera)
    unfit = {
        "--depth": given.depth is not None,
        "--profile": given.profile is not None,
        "--focus-distance": given.focus_distance is not None,
        "--matte": given.matte is not None,
        "--save": given.save != "png",
        "--method": blur.method != "thin-lens",
        "--f-number": blur.optical,
    }
    for flag, is_given in unfit.items():
        if is_given:
            raise InputError(f"{source} is a clip, and {flag} is for photos; leave it out.")
    if given.motion.keys is not None and (given.at is not None or given.motion.track):
        raise InputError("--keys and --at both say where the clip shall be sharp; give one of them.")


def _keys(given: Refocus) -> "tuple[Keyframe, ...]":
    from cyclopean.defocus.video import Keyframe, read_keyframes

    if given.motion.keys is not None:
        return read_keyframes(Path(given.motion.keys))
    assert given.at is not None  # checked before
    return (Keyframe(0.0, given.at, None, given.motion.track),)


@contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=None)
        yield lambda done, count: progress.update(task, completed=done, total=count)


def _note(given: Refocus, keys: "tuple[Keyframe, ...]", smooth: float, predictor: "Predictor") -> dict[str, object]:
    """How the clip was made, for its sidecar."""
    model = predictor.model and {"name": predictor.model.name, "sha256": predictor.model.sha256}
    listed = [asdict(key) for key in keys]
    return {"source": Path(given.photo[0]).name, "keys": listed, **asdict(given.blur), "smooth": smooth, "model": model}


def _write_note(result: Path, note: dict[str, object], report: "ClipReport") -> None:
    from cyclopean import __version__

    head = {"format": "cyclopean-refocus-video", "version": 1, "cyclopean": __version__}
    content = {**head, **note, **asdict(report), "files": [result.name]}
    result.with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")


def _tell(report: "ClipReport") -> None:
    before, after = report.flicker_before, report.flicker_after
    if before is not None and after is not None:
        print(f"flicker of the depth: {100 * before:.2f} % of its range as predicted, {100 * after:.2f} % made steady")
    if report.cuts:
        print(f"new scenes at {_times(report.cuts)}")
    if report.lost:
        print(f"the tracked point was lost at {_times(report.lost)}; the focus stayed where it was")


def _times(seconds: tuple[float, ...]) -> str:
    return ", ".join(f"{second:.2f} s" for second in seconds)
