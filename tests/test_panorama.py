"""Panoramas are told from photos, by what files say, what users say and how borders meet; the rest gets a sentence."""

from functools import cache
from pathlib import Path

import pytest
import torch
from PIL import Image

from cyclopean import worlds
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular
from cyclopean.gpano import Gpano, read_gpano
from cyclopean.images import Photo, read_photo
from cyclopean.panorama import framed, seam

DATA = Path(__file__).parents[2] / "shared" / "data"
WHOLE = 'GPano:ProjectionType="equirectangular"'


@cache
def world(seed: int = 0) -> torch.Tensor:
    """A rendered room, all around."""
    return worlds.sample("room", seed, (64, 128), "sphere").target.image


def xmp(**numbers: int) -> bytes:
    said = " ".join(f'GPano:{name}="{number}"' for name, number in numbers.items())
    return f"<x:xmpmeta><rdf:Description {WHOLE} {said}/></x:xmpmeta>".encode()


def partial(width: int = 400, height: int = 100) -> bytes:
    return xmp(
        FullPanoWidthPixels=800, FullPanoHeightPixels=400, CroppedAreaImageWidthPixels=width,
        CroppedAreaImageHeightPixels=height, CroppedAreaLeftPixels=200, CroppedAreaTopPixels=150,
    )  # fmt: skip


def test_metadata_as_attributes_and_as_elements() -> None:
    assert read_gpano(b"") is None
    assert read_gpano(f"<a {WHOLE}/>") == Gpano("equirectangular")
    elements = "<GPano:ProjectionType>Cylindrical</GPano:ProjectionType><GPano:FullPanoWidthPixels>x<"
    assert read_gpano(elements) == Gpano("cylindrical")
    found = read_gpano(partial())
    assert found == Gpano("equirectangular", (400, 800), (200, 150, 400, 100))
    assert not found.whole
    assert Gpano("equirectangular", (400, 800), (0, 0, 800, 400)).whole


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_a_file_that_says_so_is_a_panorama_whatever_it_shows(tmp_path: Path, suffix: str) -> None:
    from PIL import PngImagePlugin

    more: dict = {"xmp": xmp()} if suffix in (".jpg", ".webp") else {}
    if suffix == ".png":
        more["pnginfo"] = PngImagePlugin.PngInfo()
        more["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp().decode())
    if suffix == ".tif":
        more["tiffinfo"] = {700: xmp()}
    Image.effect_noise((128, 64), 90).convert("RGB").save(tmp_path / f"a{suffix}", **more)
    photo = read_photo(tmp_path / f"a{suffix}")
    assert isinstance(photo.camera, Equirectangular)
    same, why = framed(photo)
    assert same is photo
    assert "GPano" in str(why)
    assert framed(photo, "pinhole")[0].camera is None


def test_without_metadata_the_seam_decides() -> None:
    room = world()
    photo, why = framed(Photo(room, name="room.png"))
    assert isinstance(photo.camera, Equirectangular)
    assert "goes on over its seam" in str(why)
    half = room[..., :32, 20:84]  # a cut of it, twice as wide as high too
    assert framed(Photo(half)) == (Photo(half), None) or framed(Photo(half))[1] is None
    assert framed(Photo(torch.full((1, 3, 64, 128), 0.9)))[1] is None  # plain borders say nothing
    assert framed(Photo(room[..., 1:]))[1] is not None  # an odd width, rounded


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the shared pictures")
def test_real_panoramas_and_real_photos_are_told_apart() -> None:
    around = [*DATA.glob("panos/*"), *DATA.glob("pano_top_bottom/*/*.png"), *DATA.glob("traced/indoor360*centre.png")]
    assert len(around) >= 15
    assert all(framed(read_photo(path))[1] for path in around)
    photos = [read_photo(path) for path in (*DATA.glob("photos/*.jpg"), *DATA.glob("middlebury_2005/*/view1.png"))]
    assert len(photos) >= 5
    for photo in photos:
        h, w = photo.size
        cut = photo.image[..., : w // 2, :] if w <= 2 * h else photo.image[..., : 2 * h]
        assert not seam(cut).closed, photo.name


def test_what_is_no_whole_panorama_is_refused_with_advice() -> None:
    room = world()
    flat = Photo(room[..., :40, :], name="cut.jpg")
    with pytest.raises(
        InputError, match="a whole panorama is twice as wide as high; if it is a part of the sphere, pad"
    ):
        framed(flat, "equirectangular")
    with pytest.raises(InputError, match="give --camera top-bottom"):
        framed(Photo(torch.cat([room, room], -2)), "equirectangular")
    with pytest.raises(InputError, match=r"says \(GPano\) that it is a part of a sphere; pad it"):
        framed(Photo(room[..., :32, :], gpano=read_gpano(partial(128, 32))))
    with pytest.raises(InputError, match="a cylindrical panorama"):
        framed(Photo(room, gpano=Gpano("cylindrical")))
    with pytest.raises(InputError, match="would be twice as wide"):
        framed(Photo(room[..., :40, :], gpano=Gpano("equirectangular")))
    with pytest.raises(InputError, match="fisheye"):
        framed(flat, "fisheye")


def test_stereo_panoramas_are_recognised_and_the_first_is_used_when_asked() -> None:
    room = world()
    other = room.roll(1, -1)
    for camera, two in (("top-bottom", torch.cat([room, other], -2)), ("side-by-side", torch.cat([room, other], -1))):
        with pytest.raises(InputError, match=f"two panoramas .{camera} stereo.; give --camera {camera}"):
            framed(Photo(two))
        photo, why = framed(Photo(two), camera)
        assert torch.equal(photo.image, room)
        assert isinstance(photo.camera, Equirectangular)
        assert "is used, as asked" in str(why)
    assert framed(Photo(torch.cat([room, world(1)], -2)))[1] is None  # two rooms are no stereo
    with pytest.raises(InputError, match="the left half of"):
        framed(Photo(room), "side-by-side")
