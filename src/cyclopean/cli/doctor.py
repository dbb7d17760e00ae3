"""`cyclopean doctor`: what is installed, which devices and extras work, and what to do about what does not.

Everything is looked at before trouble is reported: nothing here may stop at the first broken package.
"""

import importlib
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from cyclopean.cli.help import examples
from cyclopean.cli.output import emit
from cyclopean.errors import InputError, usable_device

HELP = """usage: cyclopean doctor

Show what is installed, which devices, extras, models and file formats work, and
what to do about what does not.

Exit code 0: photos can be predicted and refocused. 1: they cannot, and the last
line says why."""

# distribution -> module, where they differ by more than a dash
MODULES = {
    "opencv-python-headless": "cv2",
    "openexr": "OpenEXR",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
}
# extra -> what it is for
EXTRAS = {
    "train": "training on any device, with pictures of it in TensorBoard",
    "samples": "sample photographs, and a stereo pair with its true depth",
    "matlab": "data sets in Matlab files: Make3D, NYU",
    "app": "the app in the browser",
    "raw": "raw photos, as cameras write them",
    "matte": "a segmenter for `refocus --matte`",
    "foreign": "depth models of others, from the Hub or a folder (docs/models.md)",
    "export": "models as ONNX files (docs/export.md)",
    "fast": "models in onnxruntime: --backend onnxruntime, ONNX files of others",
    "remote": "photos and shards at http:// and s3:// (docs/shell.md)",
    "cluster": "depth, labels and masks of very many inputs by a Ray cluster",
    "docs": "the pages of the manual as a site, from a copy of the source",
    "bench": "benches that train, with pictures of their runs",
    "dev": "tests, style and type checks of this project",
}
READS = {"h264": "H.264", "hevc": "H.265", "vp9": "VP9", "av1": "AV1", "prores": "ProRes", "mjpeg": "MJPEG"}
WRITES = {"libx264": "H.264", "libx265": "H.265", "mpeg4": "MPEG-4", "ffv1": "FFV1"}


@dataclass(frozen=True)
class Finding:
    """One line of the report; `trouble` is a sentence when photos cannot be predicted because of it."""

    name: str
    text: str
    trouble: str | None = None


def main(arguments: list[str]) -> int:
    """Print the report; return 0 when the core works, else 1, with a sentence on the error stream."""
    if arguments and arguments[0] in ("-h", "--help"):
        print(HELP, examples("doctor"), sep="\n\n")
        return 0
    if arguments:
        raise InputError(f"doctor was given {arguments[0]!r}; it takes nothing: run cyclopean doctor.")
    troubles = []
    for title, findings in report():
        print(f"\n{title}")
        for finding in findings:
            print(f"  {finding.name:<24}{finding.text}", flush=True)
            emit({"section": title, **asdict(finding)})
            troubles += [finding.trouble] if finding.trouble else []
    print()
    if troubles:
        print(*(f"cyclopean doctor: {trouble}" for trouble in troubles), sep="\n", file=sys.stderr)
        return 1
    print("All that photos need works.")
    return 0


def report() -> Iterator[tuple[str, Iterator[Finding]]]:
    """Yield title and findings of each section; findings are made while they are printed."""
    yield "System", _system()
    yield "Packages", _packages()
    yield "Devices", _devices()
    yield "Extras", _extras()
    yield "Models", _models()
    yield "Files", _files()


def _system() -> Iterator[Finding]:
    yield Finding("cyclopean", f"{_version('cyclopean') or 'not installed'}, {Path(__file__).parents[1]}")
    yield Finding("python", f"{platform.python_version()}, {sys.executable}")
    yield Finding("machine", f"{platform.system()} {platform.release()} {platform.machine()}")


def requirements() -> dict[str, list[str]]:
    """Return the distributions that the package needs: `""` for the core, otherwise by extra."""
    names: dict[str, list[str]] = {"": []}
    for line in metadata.requires("cyclopean") or []:
        name = re.match(r"[\w.-]+", line)
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", line)
        if name and name[0] != "cyclopean":
            names.setdefault(extra[1] if extra else "", []).append(name[0])
    return names


def _packages() -> Iterator[Finding]:
    for name in requirements()[""]:
        problem = import_problem(name)
        if problem is None:
            yield Finding(name, _version(name) or "no version")
        else:
            repair = f"pip install --force-reinstall {name}"
            yield Finding(name, f"{problem}; {repair}", f"{name} does not work ({problem}); try: {repair}.")


def import_problem(distribution: str) -> str | None:
    """Return why the package cannot be used, or None. It is imported: a file may be there and its library not."""
    if _version(distribution) is None:
        return "not installed"
    try:
        importlib.import_module(MODULES.get(distribution.lower(), distribution.replace("-", "_")))
    except Exception as error:  # whatever a broken package throws is what the user needs to see
        return f"installed, but does not import: {type(error).__name__}: {error}"
    return None


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _devices() -> Iterator[Finding]:
    try:
        import torch
    except Exception:  # reported among the packages
        yield Finding("cpu", "unknown without torch")
        return
    yield Finding("cpu", f"{torch.get_num_threads()} threads of {os.cpu_count()} (OMP_NUM_THREADS sets it)")
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(i)
            yield Finding(f"cuda:{i}", f"{card.name}, {card.total_memory / 2**30:.0f} GB")
    elif torch.version.cuda is None:
        yield Finding("cuda", "none: this torch was built without CUDA; torch's install page names the others")
    else:
        yield Finding("cuda", f"none: torch is built for CUDA {torch.version.cuda}, but there is no card or no driver")
    has_mps = torch.backends.mps.is_available()
    yield Finding("mps", "works" if has_mps else "none: needs a Mac with Apple silicon")
    yield Finding("--device auto", str(usable_device("auto")))


def _extras() -> Iterator[Finding]:
    for extra, names in requirements().items():
        if not extra:
            continue
        missing = [name for name in names if _version(name) is None]
        if missing:
            text = f"not installed ({', '.join(missing)}): {EXTRAS.get(extra, '')}; pip install 'cyclopean[{extra}]'"
        else:
            text = f"installed: {EXTRAS.get(extra, ', '.join(names))}"
        yield Finding(extra, text)


def _models() -> Iterator[Finding]:
    try:
        from cyclopean.training import checkpoint, models
    except Exception as error:
        yield Finding("none", f"cannot be read: {error}", "models cannot be read; see the packages above.")
        return
    names = models.bundled()
    if not names:
        trouble = "no model came with this installation; reinstall: pip install --force-reinstall cyclopean."
        yield Finding("none", "none found", trouble)
    for name in names:
        start = time.perf_counter()
        try:
            method, config = checkpoint.load(name)
        except Exception as error:
            trouble = f"the model {name!r} does not load ({error}); reinstall cyclopean."
            yield Finding(name, f"does not load: {error}", trouble)
            continue
        seconds = time.perf_counter() - start
        weights = sum(p.numel() for p in method.parameters()) / 1e6
        megabytes = (models.locate(name) / models.WEIGHTS).stat().st_size / 1e6
        licence = config.get("licence", "licence unknown")
        size = f"{weights:.1f} M weights, {megabytes:.1f} MB"
        yield Finding(name, f"{config['method']}, {size}, {licence}, loads in {seconds:.1f} s")
    yield from _fetched()


def _fetched() -> Iterator[Finding]:
    """Yield the depth models that were fetched from the Hub, with the licence of their weights."""
    try:
        from cyclopean.cli.models import fetched

        for one in fetched():
            text = f"{one.predicts}, {one.megabytes or 0:.0f} MB, {one.licence}, fetched from the Hub"
            yield Finding(one.name.removeprefix("hub:"), text)
    except Exception:  # no cache, or one that something else has damaged
        return


def _files() -> Iterator[Finding]:
    try:
        from av.codec import codecs_available

        reads = [text for codec, text in READS.items() if codec in codecs_available]
        writes = [text for codec, text in WRITES.items() if codec in codecs_available]
        yield Finding("video", f"reads {', '.join(reads)}; writes {', '.join(writes)}")
    except Exception:
        yield Finding("video", "unknown without PyAV (av)")
    try:
        from pillow_heif import libheif_info

        info = libheif_info()
        works = bool(info.get("decoders", True))
        text = f"reads (libheif {info['libheif']})" if works else "no decoder: convert photos to JPEG or PNG"
        yield Finding("HEIC", text)
    except Exception:
        yield Finding("HEIC", "unknown without pillow-heif")
    free = shutil.disk_usage(".").free / 1e9
    writable = "writable" if os.access(".", os.W_OK) else "not writable: name another folder with --out"
    yield Finding("this folder", f"{Path.cwd()}: {free:.1f} GB free, {writable}")
