"""What people hold in Python becomes one and the same photo, and the page that says so can be run."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import cyclopean
from cyclopean.geometry import Equirectangular
from cyclopean.io.metadata import whole_sphere_xmp
from cyclopean.methods.monodepth import Monodepth
from cyclopean.training import checkpoint

DOCS = Path(__file__).parents[2] / "docs"
BYTES = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
FLOATS = BYTES.astype(np.float32) / 255


@pytest.fixture
def model(tmp_path) -> Path:
    card = {"input_size": [128, 128], "licence": "Apache-2.0", "training": {}}
    checkpoint.save(tmp_path / "tiny", Monodepth(width=0.03), card)
    return tmp_path / "tiny"


def test_every_way_to_hold_a_picture_gives_the_same_photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(BYTES).save(path)
    opaque = np.concatenate([BYTES, np.full_like(BYTES[..., :1], 255)], -1)
    tensor = torch.from_numpy(FLOATS).permute(2, 0, 1)
    held = [
        path, str(path), Image.open(path), Image.fromarray(BYTES), Image.fromarray(opaque), cyclopean.read_photo(path),
        BYTES, opaque, FLOATS, FLOATS.astype(np.float64), FLOATS.astype(np.longdouble),
        (BYTES.astype(np.uint16) * 257), BYTES.astype(">u2") * 257,
        np.asfortranarray(BYTES), BYTES[..., ::-1][..., ::-1], FLOATS * (1 + 1e-6),
        tensor, tensor[None], (tensor * 255).round().byte(), tensor.double().requires_grad_(),
    ]  # fmt: skip
    fixed = BYTES.copy()
    fixed.flags.writeable = False
    held += [
        fixed,
        np.ma.array(BYTES),
        np.ma.array(FLOATS, mask=False),
        np.zeros_like(BYTES, np.uint16) + BYTES * np.uint16(257),
    ]
    for picture in held:
        photo = cyclopean.as_photo(picture)
        assert photo.size == (48, 64)
        assert np.abs(photo.image[0].permute(1, 2, 0).numpy() - FLOATS).max() < 1e-5, type(picture)
    for grey in (BYTES[..., 0], BYTES[..., :1], FLOATS[..., 0], tensor[0], tensor[:1], Image.fromarray(BYTES[..., 0])):
        assert np.abs(cyclopean.as_photo(grey).image[0, 2].numpy() - FLOATS[..., 0]).max() < 1e-5
    assert cyclopean.as_photo(BYTES * np.uint16(257)).bits == 16
    assert cyclopean.as_photo(np.zeros((48, 64), np.uint16)).bits == 16  # black has no other white


def test_pillow_pictures_are_read_as_their_files_are(tmp_path):
    clear = np.concatenate([BYTES, np.zeros_like(BYTES[..., :1])], -1)
    for seen, white in ((0, False), (255, True)):  # alpha lies over white, unless it hides everything
        clear[0, 0, 3] = seen
        for picture in (clear, Image.fromarray(clear), torch.from_numpy(clear).permute(2, 0, 1)):
            image = cyclopean.as_photo(picture).image
            assert bool((image[..., 1:, :] == 1).all()) == white
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(BYTES).save(tmp_path / "turned.jpg", exif=exif)
    Image.new("CMYK", (64, 32), (0, 255, 255, 0)).save(tmp_path / "cmyk.tif")
    Image.new("RGB", (64, 32)).save(tmp_path / "around.jpg", xmp=whole_sphere_xmp((32, 64)))
    for name in ("turned.jpg", "cmyk.tif", "around.jpg"):
        read, held = cyclopean.read_photo(tmp_path / name), cyclopean.as_photo(Image.open(tmp_path / name))
        assert (read.size, read.name, type(read.camera)) == (held.size, held.name, type(held.camera))
        assert torch.equal(read.image, held.image)
    assert isinstance(held.camera, Equirectangular)


def test_what_could_mean_two_things_is_refused_with_the_way_out():
    tensor = torch.from_numpy(FLOATS).permute(2, 0, 1)
    depth = cyclopean.from_numbers(torch.ones(1, 1, 48, 64), "inverse_depth")
    for picture, words in [
        (BYTES.transpose(2, 0, 1), "x.transpose(1, 2, 0)"),
        (torch.from_numpy(BYTES), "x.permute(2, 0, 1)"),
        (FLOATS * 255, "divide by its white"),
        (FLOATS * np.nan, "NaN or infinite; give them a colour"),
        (np.where(FLOATS > 0.9, np.inf, FLOATS), "NaN or infinite"),
        (FLOATS * 2 - 1, "undo its normalisation: (x + 1) / 2"),
        ((FLOATS - 0.45) / 0.22, "x * std + mean"),
        (BYTES.astype(np.uint16), "uint16 up to 255, whose white may be 255"),
        (BYTES.astype(np.uint16) * 16, "uint16 up to 4080, whose white may be 255"),
        (torch.from_numpy(BYTES.astype(np.int32)).to(torch.uint16).permute(2, 0, 1), "whose white may be"),
        (np.ma.masked_less(FLOATS, 0.1), "x.filled(0)"),
        (tensor.to_sparse(), "x.to_dense()"),
        (tensor.to("meta"), "meta and holds no numbers"),
        (Image.fromarray(BYTES).convert("HSV"), "mode HSV is not supported"),
        (BYTES.astype(np.int64), "int64"),
        (FLOATS > 0.5, "bool"),
        (BYTES.astype(object), "object"),
        (FLOATS.astype(complex), "complex"),
        (np.array("photo.png"), "holds <U9"),
        (BYTES[None], "one picture at a time"),
        (torch.stack([tensor, tensor]), "one picture at a time"),
        (np.zeros((48, 64, 2)), "48x64x2"),
        (np.zeros((8, 8, 3)), "at least 16"),
        (Image.new("F", (64, 48)), "mode F"),
        (Image.new("L", (6, 4)), "at least 16"),
        ([1, 2, 3], "list is not a picture"),
        (None, "NoneType is not a picture"),
        (b"photo.png", "bytes is not a picture"),
        (depth, "DepthMap is not a picture"),
        ("nowhere.png", "there is no file nowhere.png"),
    ]:
        with pytest.raises(cyclopean.InputError, match=re.escape(words)):
            cyclopean.as_photo(picture)
    cut = io.BytesIO()
    Image.fromarray(BYTES).save(cut, "JPEG")
    with pytest.raises(cyclopean.InputError, match="cannot be read"):
        cyclopean.as_photo(Image.open(io.BytesIO(cut.getvalue()[:-400])))
    closed = Image.open(io.BytesIO(cut.getvalue()))
    closed.close()
    with pytest.raises(cyclopean.InputError, match="give it before it is closed"):
        cyclopean.as_photo(closed)
    with pytest.raises(cyclopean.InputError, match="give a DepthMap"):
        cyclopean.refocus(BYTES, FLOATS[..., 0], at=(0.5, 0.5))


def test_results_are_arrays_pictures_and_one_line(model, tmp_path):
    predictor = cyclopean.load(model)
    depth = predictor(BYTES)
    array = np.asarray(depth)
    assert (array.shape, array.dtype) == ((48, 64), np.float32)
    assert np.array_equal(array, depth.inverse_depth[0, 0].numpy())
    array[0, 0] = -1  # a copy: the map is frozen
    assert depth.inverse_depth[0, 0, 0, 0] != -1
    assert np.array(depth, dtype=np.float64).dtype == np.float64
    assert (depth.plot().size, depth.plot().mode) == ((64, 48), "RGB")
    depth.save(tmp_path / "depth.npy")
    assert np.array_equal(np.load(tmp_path / "depth.npy"), np.asarray(depth))
    sharp = cyclopean.refocus(Image.fromarray(BYTES), depth, at=(0.4, 0.6))
    assert torch.equal(sharp.image, cyclopean.refocus(cyclopean.as_photo(BYTES), depth, at=(0.4, 0.6)).image)
    assert repr(sharp) == "Photo(picture.png, 64x48, 8 bits, no camera known)"
    assert re.fullmatch(
        r"DepthMap\(64x48, inverse_depth, relative \(scale\), .* to .*, 100 % known, by .*\)", repr(depth)
    )
    assert re.fullmatch(r"Predictor\(.*tiny, monodepth at 128x128, scale, cpu\)", repr(predictor))
    nothing = cyclopean.from_numbers(torch.full((1, 1, 48, 64), torch.nan), "depth", "m")
    assert repr(nothing) == "DepthMap(64x48, inverse_depth, metric, nothing known, 0 % known)"


def test_the_page_runs(model, tmp_path, monkeypatch):
    """Each block of docs/python.md after the other, and the README's five lines, with a small model."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(BYTES).save("photo.jpg")
    real = cyclopean.load
    monkeypatch.setitem(cyclopean.__dict__, "load", lambda name=model: real(name))
    readme = re.findall(r"```python\n(.*?)```", (DOCS.parent / "README.md").read_text(), re.DOTALL)
    page = re.findall(r"```python\n(.*?)```", (DOCS / "python.md").read_text(), re.DOTALL)
    assert len(readme) == 1
    assert len(page) >= 3
    for blocks in (readme, page):
        names: dict[str, object] = {}
        for block in blocks:
            exec(block, names)
    assert {"photo_defocus.png", "photo_disp.npy", "photo_disp.png"} <= {path.name for path in tmp_path.iterdir()}
