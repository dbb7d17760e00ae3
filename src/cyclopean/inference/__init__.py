"""From a photo, a clip or a panorama to its depth: predictors, their wrappers, metric calibration."""

from pathlib import Path

from cyclopean.errors import InputError

# Names that users type, checked before anything heavy is imported.
CAMERAS = ("auto", "pinhole", "equirectangular", "top-bottom", "side-by-side")
NEEDS_TRANSFORMERS = "needs transformers, which is not installed: pip install 'cyclopean[foreign]'"
NEEDS_ONNXRUNTIME = "needs onnxruntime, which is not installed: pip install 'cyclopean[fast]'"
NEEDS_EXPORTER = "needs onnx and onnxscript, which are not installed: pip install 'cyclopean[export]'"
BACKENDS = ("torch", "onnxruntime")
# Formats to save depth in, and what follows the stem of their files.
ARRAYS = {"npy": "_disp.npy", "npz": "_disp.npz", "exr": "_disp.exr", "pfm": "_disp.pfm", "png16": "_disp16.png"}
CLOUDS = {"ply": "_disp.ply", "glb": "_disp.glb"}
# What is done after one look at a picture, or beside it: `wrappers.POST_PROCESSES`.
POST_PROCESSES = ("monodepth", "falnet", "aquanet", "aquanet-draft")


def refuse_sphere_of_clip(clip: Path, camera: str, via_cube: bool = False) -> None:
    """Raise InputError for a clip with flags of panoramas."""
    flags = [f"--camera {camera}"] if camera not in ("auto", "pinhole") else []
    flags += ["--via-cube"] if via_cube else []
    if flags:
        raise InputError(
            f"{clip} is a video, whose frames are taken for ordinary pictures, and {' '.join(flags)} is for panoramas; "
            "extract the frames as pictures and give those, or leave it out."
        )
