"""Matlab's files, old (scipy) and new (HDF5, h5py): both are optional and asked for in one sentence."""

from pathlib import Path
from typing import Any

import numpy as np

from cyclopean.errors import InputError
from cyclopean.files import refuse_unreadable

NEEDED = "install what reads it with pip install 'cyclopean[matlab]'."


def read_mat(path: Path, key: str) -> np.ndarray:
    """Array `key` of a .mat file of version 5."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise InputError(f"{path} is a Matlab file; {NEEDED}") from error
    refuse_unreadable(path)
    try:
        return np.asarray(loadmat(path, variable_names=[key])[key])
    except MemoryError:
        raise
    except Exception as error:  # scipy has no base class for what it raises of a damaged file
        raise InputError(f"{path} is missing, damaged or lacks {key}; it comes with the release.") from error


def open_hdf5(path: Path) -> Any:
    """An open .mat file of version 7.3, whose arrays have Matlab's axes in reverse order."""
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{path} is a Matlab file of version 7.3; {NEEDED}") from error
    refuse_unreadable(path)
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path} is missing or damaged; it comes with the release.") from error
