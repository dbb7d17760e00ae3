"""Named, frozen evaluation protocols. A figure is meaningful only with the name of its protocol.

None of these values may change once released: a better rule gets a new name. Sources: Eigen et al. 2014, Garg et al.
2016, Monodepth (CVPR 2017, sec. 4), Monodepth2 (ICCV 2019, sec. 4), Zioulis et al. 2019 (panoramas), Depth Anywhere
(NeurIPS 2024), and what their released evaluations do.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Literal

from cyclopean.errors import unknown_name

Alignment = Literal["none", "factor", "median", "affine", "affine-median"]
USUAL: tuple[Alignment, ...] = ("none", "factor", "median", "affine")
ALIGNMENTS: tuple[Alignment, ...] = (*USUAL, "affine-median")
# ambiguity of a prediction -> the alignments under which it can be evaluated
FITTING: dict[str, tuple[Alignment, ...]] = {
    "metric": ("none", "factor", "median", "affine", "affine-median"),
    "scale": ("factor", "median", "affine", "affine-median"),
    "affine": ("affine", "affine-median"),
}
EIGEN = ("abs_rel", "sq_rel", "rmse", "rmse_log", "delta1", "delta2", "delta3")
EDGES = ("edge_rel", "edge_f1")
RELEASED = ("abs_rel_released", "sq_rel_released", "rmse_released", "rmse_log_released")


@dataclass(frozen=True)
class Protocol:
    """A frozen evaluation protocol. Figures are means over images; alignment is per image, over the counted pixels.

    Truth counts above `near` and inside `crop`. `far` None is the data set's own, image by image. `beyond`: truth at or
    beyond `far` is "left out"; "kept" as it is; or "clamped", near truth to `nearest` too (FAL-Net's evaluation).
    `near_truth` "clamped": truth below `nearest` is raised to it once predictions are aligned (Depth Anywhere's).
    Predictions are resized bilinearly to the truth, pixel centres at half integers, as depth or inverse depth
    (`resized`), aligned, then clipped to [nearest, far]. `disparity`: of the clipped depth, or as predicted
    (Monodepth's D1-all). `side_by_side`: alignments shown for every model whatever its ambiguity; empty: those that
    make sense for it, and "none". `bands`: edges of the distance bands, by true depth. `shown`: the figures of the
    table. `weights` "sphere": of panoramas only, pixels weigh by their solid angle, deltas are those of points spread
    over the sphere.

    `sees` "middle 2:1": models take the middle rows of the picture, half as many as it is wide, and their maps are
    placed on the crop (Monodepth's Make3D). `rig` "KITTI by width": truth and predictions are both disparities of the
    pair, converted to metres by a focal length that depends on the picture's width, and 0.54 m (Monodepth's KITTI
    2015). `medians`: of the pixels that count, as numpy takes them ("counted"); of them, torch's lower one ("counted,
    lower"); that of all known pixels, however far ("whole, lower"). `clip`: the largest depth of predictions, `far`
    without it. `beyond_infinity`: what the alignment "affine-median" makes of what least squares put below zero inverse
    depth: the "nearest" (as Depth Anywhere released it) or the "farthest".
    """

    name: str = "open-1"
    near: float = 0.1
    far: float | None = None
    beyond: Literal["left out", "kept", "clamped"] = "left out"
    nearest: float = 0.05
    crop: str | None = None
    resized: Literal["inverse depth", "depth"] = "inverse depth"
    disparity: Literal["clipped", "as predicted"] = "clipped"
    side_by_side: tuple[Alignment, ...] = ()
    bands: tuple[float, ...] = ()
    shown: tuple[str, ...] = (*EIGEN, "d1")
    weights: Literal["pixels", "sphere"] = "pixels"
    sees: Literal["picture", "middle 2:1"] = "picture"
    rig: Literal["data", "KITTI by width"] = "data"
    medians: Literal["counted", "counted, lower", "whole, lower"] = "counted"
    clip: float | None = None
    near_truth: Literal["as it is", "clamped"] = "as it is"
    beyond_infinity: Literal["nearest", "farthest"] = "nearest"

    def fingerprint(self) -> str:
        """Return twelve hexadecimal digits that change whenever any rule does."""
        rules = asdict(self)
        # added after hashes were released, which must not change
        for young in ("weights", "sees", "rig", "medians", "clip", "near_truth", "beyond_infinity"):
            if rules[young] == Protocol.__dataclass_fields__[young].default:
                del rules[young]
        return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()[:12]


def _eigen(far: float, name: str = "kitti-eigen-raw", crop: str | None = "garg") -> Protocol:
    return Protocol(
        name, 1e-3, far, "left out", 1e-3, crop, side_by_side=USUAL, shown=EIGEN,
        bands=tuple(edge for edge in (0.0, 5.0, 10.0, 20.0, 30.0, 50.0, 80.0) if edge <= far),
    )  # fmt: skip


KITTI_2015 = Protocol(
    "kitti-2015", 0.0, 80.0, "kept", 1e-3, disparity="as predicted", side_by_side=USUAL,
    bands=(0.0, 5.0, 10.0, 20.0, 30.0, 50.0, 80.0, 1000.0), shown=(*EIGEN, "d1"),
)  # fmt: skip

# Monodepth's release: a focal length for each width, and 0.54 m. Beside the files' own calibration RMSE changes by the
# ratio of the rigs, AbsRel only by what is clipped.
KITTI_2015_BY_WIDTH = replace(KITTI_2015, name="kitti-2015-by-width", rig="KITTI by width")

IMPROVED = Protocol(
    "kitti-eigen-improved", 0.0, 80.0, "kept", 1e-3, side_by_side=USUAL,
    bands=(0.0, 5.0, 10.0, 20.0, 30.0, 50.0, 80.0, 1000.0), shown=EIGEN,
)  # fmt: skip

CLAMPED = Protocol(
    "kitti-eigen-clamped", 0.0, 80.0, "clamped", 1.0, "fal", side_by_side=USUAL, shown=EIGEN,
    bands=(0.0, 5.0, 10.0, 20.0, 30.0, 50.0, 80.0, 1000.0),
)  # fmt: skip

MAKE3D = Protocol(
    "make3d-c1", 1e-3, 70.0, nearest=1e-3, crop="make3d", side_by_side=USUAL,
    bands=(0.0, 5.0, 10.0, 20.0, 40.0, 70.0), shown=("abs_rel", "sq_rel", "rmse", "log10", "rmse_log10"),
)  # fmt: skip

MAKE3D_MIDDLE = replace(MAKE3D, name="make3d-c1-middle", sees="middle 2:1")

MIDDLEBURY = Protocol(
    "middlebury", disparity="as predicted", side_by_side=USUAL, bands=(0.0, 1.0, 1.5, 2.0, 3.0, 5.0, 20.0),
    shown=("abs_rel", "rmse", "delta1", "epe", "bad2", "d1", *EDGES),
)  # fmt: skip

NYU = Protocol(
    "nyu", 1e-3, 10.0, "left out", 1e-3, "nyu", "depth", side_by_side=USUAL, bands=(0.0, 1.0, 2.0, 3.0, 5.0, 10.0),
    shown=("abs_rel", "rmse", "log10", "delta1", "delta2", "delta3", *EDGES),
)  # fmt: skip

WORLDS = Protocol(
    "worlds", side_by_side=USUAL, bands=(0.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0), shown=(*EIGEN, "d1", *EDGES)
)


def _spherical(far: float) -> Protocol:
    """Return the protocol of Zioulis et al. 2019, sec. 4.

    Its cap is 20 m; 10 m is that of most papers on panoramas since (Pano3D's too).
    """
    return Protocol(
        "spherical", 0.0, far, side_by_side=("none", "median"), shown=(*EIGEN, *RELEASED), weights="sphere",
        bands=tuple(edge for edge in (0.0, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0) if edge <= far),
    )  # fmt: skip


# The release's evaluation: medians of the whole picture, what is too far included, and nothing clipped (a million
# metres stands for infinity).
SPHERICAL_RELEASED = replace(
    _spherical(20.0), name="spherical-released", nearest=1e-6, clip=1e6, medians="whole, lower",
    shown=("abs_rel", *RELEASED, "delta1", "delta2", "delta3"),
)  # fmt: skip

DEPTH_ANYWHERE = Protocol(
    "depth-anywhere", 0.0, 10.0, nearest=0.1, side_by_side=("affine-median", "affine", "median", "none"),
    bands=(0.0, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0), medians="counted, lower", near_truth="clamped",
    shown=("abs_rel", "mae", "sq_rel", "rmse", "rmse_log10_1p", "log10", "delta1", "delta2", "delta3"),
)  # fmt: skip

# Least squares of disparity may end below zero, which the release then takes for what is nearest; here it is far away.
GUARDED = replace(DEPTH_ANYWHERE, name="depth-anywhere-guarded", beyond_infinity="farthest")


# name -> its variants (caps), each evaluated on the same predictions
PROTOCOLS: dict[str, tuple[Protocol, ...]] = {
    "open-1": (Protocol(),),
    "kitti-eigen-raw": (_eigen(80.0), _eigen(50.0)),
    "kitti-eigen-crop": (_eigen(80.0, "kitti-eigen-crop", "eigen"), _eigen(50.0, "kitti-eigen-crop", "eigen")),
    "kitti-eigen-uncropped": (
        _eigen(80.0, "kitti-eigen-uncropped", None),
        _eigen(50.0, "kitti-eigen-uncropped", None),
    ),
    "kitti-eigen-improved": (IMPROVED,),
    "kitti-eigen-clamped": (CLAMPED,),
    "kitti-2015": (KITTI_2015,),
    "kitti-2015-by-width": (KITTI_2015_BY_WIDTH,),
    "make3d-c1": (MAKE3D,),
    "make3d-c1-middle": (MAKE3D_MIDDLE,),
    "middlebury": (MIDDLEBURY,),
    "nyu": (NYU,),
    "worlds": (WORLDS,),
    "spherical": (_spherical(20.0), _spherical(10.0)),
    "spherical-released": (SPHERICAL_RELEASED,),
    "depth-anywhere": (DEPTH_ANYWHERE,),
    "depth-anywhere-area": (replace(DEPTH_ANYWHERE, name="depth-anywhere-area", crop="area"),),
    "depth-anywhere-guarded": (GUARDED,),
    "depth-anywhere-guarded-area": (replace(GUARDED, name="depth-anywhere-guarded-area", crop="area"),),
}


def named_protocol(name: str) -> tuple[Protocol, ...]:
    """Return the variants of a named protocol. Raises `InputError` with the nearest name for an unknown one."""
    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
