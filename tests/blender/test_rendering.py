"""Meshes rendered as panoramas: by a stand-in that writes what Blender would, and by Blender where it is installed."""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import panorama_trees
from cyclopean.blender import finding
from cyclopean.blender.finding import VARIABLE, Blender, find, version
from cyclopean.blender.rendering import SCRIPT, MeshRenderJob, write
from cyclopean.cli import _main as cyclopean
from cyclopean.data import open_dataset
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, reproject
from cyclopean.io.rendered_folder import missing
from cyclopean.sample import Sample
from cyclopean.synthesis import pull

STAND_IN = f"""#!{sys.executable} -IS
import json, shutil, sys
from pathlib import Path
order = json.loads(Path(sys.argv[-1]).read_text())
print("Read some mesh")
if order["seed"] == 13:
    print("CYCLOPEAN refused only 0 of 2 places were found where the rig has room.")
    sys.exit(0)
if order["seed"] == 14:
    print("out of memory", file=sys.stderr)
    sys.exit(1)
for n in order["items"]:
    for path in (Path(sys.argv[0]).parent / "stock").glob(f"{{n:06d}}_*"):
        shutil.copy(path, order["staging"])
    print("CYCLOPEAN item " + json.dumps({{"number": n, "position": [0, 0, 1.5], "heading": 0.0}}), flush=True)
    if order["seed"] == 15 and n == 1:
        sys.exit(0)
print("CYCLOPEAN done ")
"""


def stock(folder: Path, n: int) -> None:
    """What Blender would write of item n; the first pixel's ray meets nothing."""
    import OpenEXR

    for name in ("centre", "up", "right"):
        place = getattr(panorama_trees, name.upper())
        panorama_trees.write_rgb(folder / f"{n:06d}_{name}.png", panorama_trees.room(place, seed=n)[0])
    depth = panorama_trees.room(seed=n)[1].copy()
    depth[0, 0] = 1e10
    planes = {"ViewLayer.Depth.Z": depth, "ViewLayer.Combined.R": depth * 0}
    OpenEXR.File({"type": OpenEXR.scanlineimage}, planes).write(str(folder / f"{n:06d}_depth.exr"))


@pytest.fixture
def stand_in(tmp_path) -> Blender:
    program = tmp_path / "blender"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    for n in range(3):
        stock(tmp_path / "stock", n)
    return find(program)


def order(seed: int = 0, count: int = 2, **more) -> MeshRenderJob:
    return MeshRenderJob(Path("house.glb"), count, seed, panorama_trees.SIZE, 4, **more)


def fits(sample: Sample) -> bool:
    """Whether every source shows the target where its pose says, and less so from the other side."""
    known = sample.depth.isfinite()
    for source in sample.sources:
        errors = []
        for sign in (1, -1):
            pose = source.from_target.clone()
            pose[:, :3, 3] *= sign
            uv = reproject(torch.where(known, 1 / sample.depth, 0), sample.target.camera, pose, source.camera).uv
            error = (pull(source.image, uv, "sphere") - sample.target.image).abs().mean(1, keepdim=True)
            errors.append(float(error[known].mean()))
        if errors[0] > 0.6 * errors[1]:
            return False
    return True


def test_what_blender_wrote_becomes_a_folder_of_the_sphere_rig(stand_in, tmp_path):
    assert list(write(order(), tmp_path / "out", stand_in)) == [0, 1]
    data = open_dataset(f"folder:{tmp_path / 'out'}")
    assert len(data) == 2
    assert data.far(0) == 20
    sample = data[1]
    assert sample.name == ("mesh/000001",)
    assert isinstance(sample.target.camera, Equirectangular)
    assert sample.sources[0].from_target[0, :3, 3].tolist() == pytest.approx([0, 0.26, 0])
    assert sample.sources[1].from_target[0, :3, 3].tolist() == pytest.approx([-0.26, 0, 0])
    assert sample.depth[0, 0, 0, 0].isinf()
    assert np.array_equal(sample.depth[0, 0, 1:].numpy(), panorama_trees.room(seed=1)[1][1:])
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        *("camera", "centre", "dataset.json", "depth", "right", "up")
    ]


def test_a_cut_run_goes_on_where_it_stopped(stand_in, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(InputError, match="stopped before it was done"):
        list(write(order(15, 3), out, stand_in))
    assert missing(out, 3) == [2]
    assert not list(out.glob(".rendering-*"))
    kept = (out / "centre" / "000000.png").stat().st_mtime_ns
    assert list(write(order(15, 3), out, stand_in)) == [2]
    assert (out / "centre" / "000000.png").stat().st_mtime_ns == kept
    assert list(write(order(15, 3), out, stand_in)) == []
    with pytest.raises(InputError, match="holds another data set"):
        list(write(order(16, 3), out, stand_in))


def test_reasons_of_blender_reach_the_user(stand_in, tmp_path):
    with pytest.raises(InputError, match="only 0 of 2 places were found"):
        list(write(order(13), tmp_path / "a", stand_in))
    with pytest.raises(InputError, match=r"ended with an error: .*out of memory.* is in .*blender\.log"):
        list(write(order(14), tmp_path / "b", stand_in))
    assert "out of memory" in (tmp_path / "b" / "blender.log").read_text()


@pytest.mark.skipif(os.name != "posix", reason="its stand-ins are shell scripts")
def test_it_ends_when_it_should_and_not_before(tmp_path, monkeypatch):
    """One that turns off its asked-for end is killed; one that has said all is given time to end by itself."""
    deaf, slow = (tmp_path / name for name in ("deaf", "slow"))
    deaf.write_text("#!/bin/sh\ntrap '' TERM\necho CYCLOPEAN item 1\nwhile true; do sleep 0.1; done\n")
    slow.write_text("#!/bin/sh\necho CYCLOPEAN done\nexec >&- 2>&-\nsleep 0.2\n")
    for program in (deaf, slow):
        program.chmod(0o755)
    assert list(finding.run(Blender(slow, False), tmp_path / "s", tmp_path / "a", tmp_path / "log")) == [("done", "")]
    monkeypatch.setattr(finding, "PATIENCE", 0.5)
    messages = finding.run(Blender(deaf, False), tmp_path / "s", tmp_path / "a", tmp_path / "log")
    assert next(messages) == ("item", "1")
    begun = time.monotonic()
    messages.close()
    assert time.monotonic() - begun < 5


def test_a_python_without_bpy_is_told_apart(tmp_path):
    with pytest.raises(InputError, match=r"has no module bpy\. Install Blender"):
        list(write(order(), tmp_path, find(sys.executable)))


def test_blender_is_looked_for_where_the_user_says(tmp_path, monkeypatch, stand_in):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"no Blender was found\. Install"):
        find()
    with pytest.raises(InputError, match="nowhere is not a program"):
        find(tmp_path / "nowhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find() == stand_in
    monkeypatch.setenv(VARIABLE, sys.executable)
    assert find() == Blender(Path(sys.executable).absolute(), True)
    (tmp_path / "env" / "bin").mkdir(parents=True)
    (tmp_path / "env" / "bin" / "python").symlink_to(sys.executable)
    assert find(tmp_path / "env") == Blender(tmp_path / "env" / "bin" / "python", True)
    assert version(find(tmp_path / "env")) is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "it needs a mesh and a folder"),
        (["house.stl", "out"], "house.stl is not a mesh that can be read; give a file that ends in .glb"),
        (["nowhere.glb", "out"], "nowhere.glb does not exist"),
        (["house.glb", "out", "--rig", "spere"], "did you mean 'sphere'"),
        (["house.glb", "out", "--size", "256x500"], "does not fit a panorama"),
        (["house.glb", "out", "--light", "bakd"], "did you mean 'baked'"),
        (["house.glb", "out", "--unit", "0"], "both are lengths above 0"),
        (["house.glb", "out", "--count", "0"], "is too little"),
        (["house.glb", "out", "--blender", "nowhere"], "nowhere is not a program that could be run as Blender"),
    ],
)
def test_bad_orders_are_one_sentence_and_write_nothing(words, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("house.glb").write_bytes(b"glTF")
    assert cyclopean(["render-mesh", *words]) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert len(told.splitlines()) == 1
    assert not Path("out").exists()


def test_the_command_renders_and_shows_some(stand_in, tmp_path, capsys):
    (tmp_path / "house.glb").write_bytes(b"glTF")
    words = [str(tmp_path / "house.glb"), str(tmp_path / "out"), "--count", "2", "--size", "32x64"]
    assert cyclopean(["render-mesh", *words, "--blender", str(stand_in.program)]) == 0
    assert "2 places rendered" in capsys.readouterr().out
    assert (tmp_path / "out" / "contact.png").stat().st_size > 1000
    assert fits(open_dataset(f"folder:{tmp_path / 'out'}")[0])


def test_this_package_never_imports_bpy():
    for path in SCRIPT.parents[1].rglob("*.py"):
        if path != SCRIPT:
            lines = path.read_text().splitlines()
            assert not [line for line in lines if line.strip().startswith(("import bpy", "from bpy"))], path


# The room of the real renderings, in the file's axes: x, y up, z towards the viewer (metres).
LOW, HIGH = np.array([-2.0, 0.0, -2.5]), np.array([2.0, 2.6, 2.5])
CUBE_LOW, CUBE_HIGH = np.array([0.95, 0.0, 1.25]), np.array([1.45, 0.5, 1.75])
WALLS = {  # side of the room -> its colour
    (0, False): (200, 60, 60),
    (0, True): (60, 200, 60),
    (1, False): (60, 60, 200),
    (1, True): (200, 200, 60),
    (2, False): (60, 200, 200),
    (2, True): (200, 200, 200),
}


@pytest.fixture(scope="module")
def blender() -> Blender:
    try:
        found = find()
    except InputError as error:
        pytest.skip(f"needs Blender: {error}")
    if version(found) is None:
        pytest.skip(f"{found.program} does not start as Blender")
    return found


def box(low: np.ndarray, high: np.ndarray, colours) -> "object":
    import trimesh

    mesh = trimesh.creation.box(bounds=[low, high])
    mesh.unmerge_vertices()
    sides = [(int(np.abs(n).argmax()), bool(n[np.abs(n).argmax()] > 0)) for n in mesh.face_normals]
    mesh.visual.vertex_colors = np.repeat(np.array([(*colours(side), 255) for side in sides], np.uint8), 3, 0)
    return mesh


def write_room(path: Path) -> Path:
    import trimesh

    parts = [box(LOW, HIGH, WALLS.__getitem__), box(CUBE_LOW, CUBE_HIGH, lambda _: (120, 40, 160))]
    trimesh.util.concatenate(parts).export(path)
    return path


def truth(camera: dict, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Radius from that place and heading, and the colour of the wall behind each pixel, by slabs. Blender's axes are
    the file's x, -z, y."""
    x, y, z = camera["position"]
    place, heading = np.array([x, z, -y]), camera["heading"]
    right = np.array([np.cos(heading), 0, np.sin(heading)])
    forward = np.array([np.sin(heading), 0, -np.cos(heading)])
    rays = panorama_trees.directions(size) @ np.stack([right, [0, -1.0, 0], forward])
    with np.errstate(divide="ignore", invalid="ignore"):
        walls = np.where(rays > 0, HIGH - place, LOW - place) / rays
        first, second = (CUBE_LOW - place) / rays, (CUBE_HIGH - place) / rays
    near, far = np.minimum(first, second).max(-1), np.maximum(first, second).min(-1)
    axis = walls.argmin(-1)
    towards = np.take_along_axis(rays, axis[..., None], -1)[..., 0] > 0
    colours = np.array([[WALLS[k, up] for up in (False, True)] for k in range(3)])[axis, towards.astype(int)]
    cube = (near > 0) & (near < far)
    return np.where(cube, near, walls.min(-1)), np.where(cube[..., None], (120, 40, 160), colours)


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "up"), [("glb", "auto"), ("ply", "y"), ("obj", "auto")])
def test_blender_renders_a_room_as_it_is(blender, suffix, up, tmp_path):
    """Radius to a millimetre; colours of the walls where they belong, so nothing is mirrored or upside down."""
    size = (64, 128)
    request = MeshRenderJob(write_room(tmp_path / f"room.{suffix}"), 2, 5, size, 4, up=up, threads=1)
    assert sorted(write(request, tmp_path / "out", blender)) == [0, 1]
    data = open_dataset(f"folder:{tmp_path / 'out'}")
    for n in range(2):
        camera = json.loads((tmp_path / "out" / "camera" / f"{n:06d}.json").read_text())
        radius, colours = truth(camera, size)
        off = np.abs(data[n].depth[0, 0].numpy() - radius)
        assert np.quantile(off, 0.99) < 1e-3
        assert radius.min() > 0.34
        seen = (data[n].target.image[0].permute(1, 2, 0) * 255).numpy()
        brightest, expected = seen > seen.mean(-1, keepdims=True), colours > colours.mean(-1, keepdims=True)
        coloured = np.ptp(colours, axis=-1) > 0
        assert (brightest == expected).all(-1)[coloured].mean() > 0.97
    assert fits_colours(data, tmp_path / "out", size)


def fits_colours(data, out: Path, size: tuple[int, int]) -> bool:
    """Whether up and right see the walls from where their poses say: they are compared with the truth from there."""
    camera = json.loads((out / "camera" / "000000.json").read_text())
    x, y, z = camera["position"]
    heading = camera["heading"]
    stands = {
        "up": (x, y, z + 0.26),
        "right": (x + 0.26 * np.cos(heading), y - 0.26 * np.sin(heading), z),
    }
    right_ones = []
    for source, place in zip(data[0].sources, stands.values(), strict=True):
        seen = (source.image[0].permute(1, 2, 0) * 255).numpy()
        agreement = []
        for stand in (place, camera["position"]):
            colours = truth(camera | {"position": stand}, size)[1]
            coloured = np.ptp(colours, axis=-1) > 0
            same = (seen > seen.mean(-1, keepdims=True)) == (colours > colours.mean(-1, keepdims=True))
            agreement.append(same.all(-1)[coloured].mean())
        right_ones.append(agreement[0] > 0.97 and agreement[0] > agreement[1])
    return all(right_ones)
