"""Names that people choose by, of things that only torch can make: a wrong one is told before torch is loaded."""

CAMERAS = ("auto", "pinhole", "equirectangular", "top-bottom", "side-by-side")
WORLDS = ("street", "room", "table", "landscape", "clutter")  # the keys of worlds.FAMILIES
RIGS = ("stereo", "clip", "sphere")  # of worlds.RIGS
PROTOCOLS = (  # of evaluation.PROTOCOLS
    *("open-1", "kitti-eigen-raw", "kitti-eigen-crop", "kitti-eigen-uncropped", "kitti-eigen-improved"),
    *("kitti-eigen-clamped", "kitti-2015", "kitti-2015-by-width", "make3d-c1", "make3d-c1-middle", "middlebury"),
    *("nyu", "worlds", "spherical", "spherical-released", "depth-anywhere", "depth-anywhere-area"),
)
METRIC = ("coordnet",)  # methods whose depth is in metres always; that of others is when they keep a rig
STATE = "resume.pt"  # in the folder of a training run: what it goes on from
