"""Planes of numbers in files: .npy, .npz, .exr, .pfm and 16-bit .png. The sidecar says what they mean."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from cyclopean.errors import InputError

Plane = Float[np.ndarray, "h w"]
Writer = Callable[[Path, Plane, str], dict[str, float]]
Reader = Callable[[Path], tuple[NDArray[Any], str | None]]

KINDS = ("inverse_depth", "disparity", "inverse_distance", "depth", "distance")
STEPS = 65534  # 1 .. 65535 are values, 0 is unknown


def _write_npy(path: Path, plane: Plane, _kind: str) -> dict[str, float]:
    np.save(path, plane)
    return {}


def _write_npz(path: Path, plane: Plane, kind: str) -> dict[str, float]:
    arrays: dict[str, Any] = {kind: plane}
    np.savez_compressed(path, **arrays)
    return {}


def _write_png16(path: Path, plane: Plane, _kind: str) -> dict[str, float]:
    """Linear between the smallest and the largest known value, in 65535 codes; returns scale and offset."""
    import cv2

    known = np.isfinite(plane)
    low, high = float(plane[known].min()), float(plane[known].max())
    scale = (high - low) / (STEPS) or 1.0
    codes = np.where(known, np.round((np.where(known, plane, low) - low) / scale) + 1, 0)
    _write_encoded(path, *cv2.imencode(".png", codes.astype(np.uint16)))
    return {"scale": scale, "offset": low - scale, "unknown": 0.0}


def _write_exr(path: Path, plane: Plane, kind: str) -> dict[str, float]:
    """One 32-bit channel: Z for depth, Y (shown as grey by viewers) for numbers that grow with nearness."""
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"Z" if kind == "depth" else "Y": np.ascontiguousarray(plane)}).write(str(path))
    return {}


def _write_pfm(path: Path, plane: Plane, _kind: str) -> dict[str, float]:
    """Portable float map: rows from the bottom up, a negative scale says little-endian."""
    height, width = plane.shape
    path.write_bytes(f"Pf\n{width} {height}\n-1.0\n".encode() + plane[::-1].astype("<f4").tobytes())
    return {}


def _write_encoded(path: Path, good: bool, code: NDArray[np.uint8]) -> None:
    if not good:
        raise RuntimeError(f"OpenCV could not encode {path.name}")
    path.write_bytes(code.tobytes())


def _read_npy(path: Path) -> tuple[NDArray[Any], str | None]:
    try:
        return np.load(path, allow_pickle=False), None
    except (ValueError, EOFError, OSError) as error:
        raise _unreadable(path, error) from None


def _read_npz(path: Path) -> tuple[NDArray[Any], str | None]:
    """The array named by a kind of ours, else the only one."""
    import zipfile

    try:
        with np.load(path, allow_pickle=False) as file:
            named = [name for name in file.files if name in KINDS]
            if len(named) == 1:
                return file[named[0]], named[0]
            if not named and len(file.files) == 1:
                return file[file.files[0]], None
            names = ", ".join(file.files)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, AttributeError) as error:
        raise _unreadable(path, error) from None
    raise InputError(f"{path} holds {names or 'nothing'}; exactly one array named {', '.join(KINDS)} is needed.")


def _read_png16(path: Path) -> tuple[NDArray[Any], str | None]:
    import cv2

    array = cv2.imdecode(np.frombuffer(path.read_bytes() or b"\0", np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None:
        raise InputError(f"{path} is damaged or no PNG; give a depth file that opens.")
    if array.dtype != np.uint16 or array.ndim != 2:
        raise InputError(f"{path} is a picture, not depth: depth in PNG is grey with 16 bits; give the .npy beside it.")
    return array, None


def exr_planes(path: Path) -> dict[str, NDArray[np.float32]]:
    """Every channel of an EXR file by its name. Raises InputError for a damaged file."""
    import OpenEXR

    try:
        channels = OpenEXR.File(str(path), separate_channels=True).channels()
    except (RuntimeError, ValueError, OSError) as error:
        raise _unreadable(path, error) from None
    return {name: np.asarray(channel.pixels, np.float32) for name, channel in channels.items()}


def _read_exr(path: Path) -> tuple[NDArray[Any], str | None]:
    planes = exr_planes(path)
    if "Z" in planes:
        return planes["Z"], None
    # Renderers write depth as grey colour too: equal channels, and opacity beside them.
    first, *others = [plane for name, plane in planes.items() if name != "A" or len(planes) == 1]
    if not all(np.array_equal(plane, first, equal_nan=True) for plane in others):
        raise InputError(f"{path} has channels {', '.join(planes)}; a depth file has one, or one named Z.")
    return first, None


def _read_pfm(path: Path) -> tuple[NDArray[Any], str | None]:
    try:
        magic, size, scale, data = path.read_bytes().split(b"\n", 3)
        width, height = map(int, size.split())
        if magic.strip() != b"Pf":
            raise ValueError("a grey map starts with Pf")
        plane = np.frombuffer(data, "<f4" if float(scale) < 0 else ">f4", width * height)
    except ValueError as error:
        raise _unreadable(path, error) from None
    return plane.reshape(height, width)[::-1].astype(np.float32), None


def _unreadable(path: Path, error: Exception) -> InputError:
    if path.stat().st_size == 0:
        return InputError(f"{path} is empty (0 bytes); write the depth file again.")
    return InputError(
        f"{path} is damaged or no {path.suffix} file ({str(error).splitlines()[0]}); write the depth file again."
    )


WRITERS: dict[str, Writer] = {
    ".npy": _write_npy,
    ".npz": _write_npz,
    ".png": _write_png16,
    ".exr": _write_exr,
    ".pfm": _write_pfm,
}
READERS: dict[str, Reader] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".png": _read_png16,
    ".exr": _read_exr,
    ".pfm": _read_pfm,
}
