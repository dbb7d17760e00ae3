"""Refocus pictures with their depth: lens, layers, filters, edges, the subject, focus, clips."""

import os
from pathlib import Path

from cyclopean.errors import InputError, unknown_name
from cyclopean.io.files import PHOTOS, REPOSITORY, refuse_unreadable, shortened

A_MATTE = "give a mask, a model's folder, or a Hub repository (owner/name)"
REFINE = ("auto", "on", "off")  # edges of depth: drawn to the photo's if a model predicted it, always, never


def check_refine(refine: str) -> None:
    """Raise InputError for what is none of `REFINE`."""
    if refine not in REFINE:
        raise unknown_name("refine", refine, REFINE)


def refuse_no_matte(name: str) -> None:
    """Raise InputError for what is neither a file, a model's folder, nor a repository: what stands here is not
    looked for on the Hub."""
    if os.path.isdir(name):
        if not os.path.isfile(os.path.join(name, "config.json")):
            raise InputError(f"the folder {shortened(name)} holds no model (no config.json); {A_MATTE}.")
    elif os.path.exists(name) or name.lower().endswith(PHOTOS):
        refuse_unreadable(Path(name))
    elif os.path.exists(name.partition("/")[0]) or not REPOSITORY.fullmatch(name):
        raise InputError(f"there is no picture and no model's folder {shortened(name) or repr(name)}; {A_MATTE}.")
