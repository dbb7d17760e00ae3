"""Names that users type of things that only torch can make, so that a wrong one is an error before torch is loaded."""

import os
import re
from pathlib import Path

from cyclopean.errors import InputError
from cyclopean.io.files import PHOTOS, refuse_unreadable, shortened

CAMERAS = ("auto", "pinhole", "equirectangular", "top-bottom", "side-by-side")
WORLDS = ("street", "room", "table", "landscape", "clutter")  # the keys of worlds.FAMILIES
RIGS = ("stereo", "clip", "sphere")  # of worlds.RIGS
ARRAYS = {"npy": "_disp.npy", "npz": "_disp.npz", "exr": "_disp.exr", "pfm": "_disp.pfm", "png16": "_disp16.png"}
CLOUDS = {"ply": "_disp.ply", "glb": "_disp.glb"}  # formats of --save, and what follows the stem
METRIC = ("coordnet",)  # methods whose depth is in metres always; that of others is when they keep a rig
STATE = "resume.pt"  # in the folder of a training run: what it goes on from
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")  # of the Hugging Face Hub
A_MATTE = "give a mask, a model's folder, or a Hub repository (owner/name)"


def refuse_no_matte(name: str) -> None:
    """Raise InputError for what is no file, no model's folder, and no repository: what stands here is not looked for
    on the Hub."""
    if os.path.isdir(name):
        if not os.path.isfile(os.path.join(name, "config.json")):
            raise InputError(f"the folder {shortened(name)} holds no model (no config.json); {A_MATTE}.")
    elif os.path.exists(name) or name.lower().endswith(PHOTOS):
        refuse_unreadable(Path(name))
    elif os.path.exists(name.partition("/")[0]) or not REPOSITORY.fullmatch(name):
        raise InputError(f"there is no picture and no model's folder {shortened(name) or repr(name)}; {A_MATTE}.")
