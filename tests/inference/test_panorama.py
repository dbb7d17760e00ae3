"""Panoramas are told from photos, by what files say, what users say and how borders meet; the rest gets a sentence."""

from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest
import torch
from PIL import Image

from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular
from cyclopean.inference.panorama_detection import LEAST_SIMILARITY, check_panorama, resolve_camera, seam, similarity
from cyclopean.io.image import Photo, read_photo, resize
from cyclopean.io.metadata import Gpano, read_gpano
from cyclopean.synthetic import rigs

DATA = Path(__file__).parents[2] / "shared" / "data"
SIDES = {"top-bottom": -2, "side-by-side": -1}
WHOLE = 'GPano:ProjectionType="equirectangular"'


@cache
def world(seed: int = 0) -> torch.Tensor:
    """A rendered room, all around."""
    return rigs.sample("room", seed, (64, 128), "sphere").target.image


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
    same, why = resolve_camera(photo)
    assert same is photo
    assert "GPano" in str(why)
    assert resolve_camera(photo, "pinhole")[0].camera is None


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".heic", ".avif"])
def test_a_panorama_that_is_written_says_so_and_others_do_not(tmp_path: Path, suffix: str, bits: int) -> None:
    exif = Image.Exif()
    exif[271] = "Maker"
    photo = Photo(world(), Equirectangular(), bits=bits, exif=exif.tobytes(), gpano=Gpano("equirectangular"))
    photo.save(tmp_path / f"a{suffix}")
    again = read_photo(tmp_path / f"a{suffix}")
    assert again.gpano == Gpano("equirectangular", (64, 128), (0, 0, 128, 64))
    assert isinstance(again.camera, Equirectangular)
    assert float((again.image - photo.image).abs().mean()) < 0.03
    with Image.open(tmp_path / f"a{suffix}") as picture:
        assert picture.getexif()[271] == "Maker"
    replace(photo, camera=None).save(tmp_path / f"b{suffix}")
    assert read_photo(tmp_path / f"b{suffix}").gpano is None


def test_without_metadata_the_seam_decides() -> None:
    room = world()
    photo, why = resolve_camera(Photo(room, name="room.png"))
    assert isinstance(photo.camera, Equirectangular)
    assert "continues over its seam" in str(why)
    half = room[..., :32, 20:84]  # a cut of it, twice as wide as high too
    assert resolve_camera(Photo(half)) == (Photo(half), None) or resolve_camera(Photo(half))[1] is None
    assert resolve_camera(Photo(torch.full((1, 3, 64, 128), 0.9)))[1] is None  # plain borders say nothing
    assert resolve_camera(Photo(room[..., 1:]))[1] is not None  # an odd width, rounded


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the shared pictures")
def test_real_panoramas_and_real_photos_are_told_apart() -> None:
    around = [*DATA.glob("panos/*"), *DATA.glob("pano_top_bottom/*/*.png"), *DATA.glob("traced/indoor360*centre.png")]
    assert len(around) >= 15
    assert all(resolve_camera(read_photo(path))[1] for path in around)
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
        resolve_camera(flat, "equirectangular")
    with pytest.raises(InputError, match="give --camera top-bottom"):
        resolve_camera(Photo(torch.cat([room, room], -2)), "equirectangular")
    with pytest.raises(InputError, match=r"declares \(GPano\) that it is a part of a sphere; pad it"):
        resolve_camera(Photo(room[..., :32, :], gpano=read_gpano(partial(128, 32))))
    with pytest.raises(InputError, match="a cylindrical panorama"):
        resolve_camera(Photo(room, gpano=Gpano("cylindrical")))
    with pytest.raises(InputError, match="would be twice as wide"):
        resolve_camera(Photo(room[..., :40, :], gpano=Gpano("equirectangular")))
    with pytest.raises(InputError, match="fisheye"):
        resolve_camera(flat, "fisheye")


def test_stereo_panoramas_are_recognised_and_the_first_is_used_when_asked() -> None:
    room = world()
    other = room.roll(1, -1)
    for camera, two in (("top-bottom", torch.cat([room, other], -2)), ("side-by-side", torch.cat([room, other], -1))):
        with pytest.raises(InputError, match=f"two panoramas .{camera} stereo.; give --camera {camera}"):
            resolve_camera(Photo(two))
        photo, why = resolve_camera(Photo(two), camera)
        assert torch.equal(photo.image, room)
        assert isinstance(photo.camera, Equirectangular)
        assert "is used, as requested" in str(why)
    assert resolve_camera(Photo(torch.cat([room, world(1)], -2)))[1] is None  # two rooms are not stereo
    with pytest.raises(InputError, match="the left half of"):
        resolve_camera(Photo(room), "side-by-side")


def stacked(first: torch.Tensor, second: torch.Tensor, squeezed: bool = False) -> dict[str, torch.Tensor]:
    """Both in one picture, one above the other and side by side; squeezed into the size of one."""
    h, w = first.shape[-2:]
    sizes = {"top-bottom": (h // 2, w), "side-by-side": (h, w // 2)} if squeezed else dict.fromkeys(SIDES, (h, w))
    return {name: torch.cat([resize(x, sizes[name]) for x in (first, second)], SIDES[name]) for name in SIDES}


@pytest.mark.parametrize("squeezed", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 3])
def test_panoramas_from_two_places_of_a_room_are_recognised(seed: int, squeezed: bool) -> None:
    sample = rigs.sample("room", seed, (64, 128), "sphere")
    for source in sample.sources:
        for camera, two in stacked(sample.target.image, source.image, squeezed).items():
            other = "equirectangular if it is one" if squeezed else "pinhole if it is an ordinary"
            with pytest.raises(InputError, match=f"{camera} stereo.; give --camera {camera} .* give --camera {other}"):
                resolve_camera(Photo(two))


def test_squeezed_panoramas_are_stretched_to_their_true_shape() -> None:
    room, *others = (view.image for view in views())
    for camera, two in stacked(room, others[0], squeezed=True).items():
        photo, why = resolve_camera(Photo(two), camera)
        assert photo.size == (64, 128)
        assert isinstance(photo.camera, Equirectangular)
        assert "is used, as requested" in str(why)
        assert float((photo.image - room).abs().mean()) < 0.25 * float((photo.image.roll(32, -1) - room).abs().mean())
        assert similarity(photo.image, room) > 0.95
        assert isinstance(
            resolve_camera(Photo(two), "equirectangular")[0].camera, Equirectangular
        )  # the user's word counts


def views() -> tuple:
    sample = rigs.sample("room", 0, (64, 128), "sphere")
    return sample.target, *sample.sources


def test_two_panoramas_of_one_place_are_alike_and_of_two_are_not() -> None:
    rooms = [rigs.sample("room", seed, (64, 128), "sphere") for seed in range(6)]
    same = [similarity(room.target.image, source.image) for room in rooms for source in room.sources]
    different = [similarity(a.target.image, b.target.image) for a, b in combinations(rooms, 2)]
    assert min(same) > LEAST_SIMILARITY + 0.05
    assert max(different) < LEAST_SIMILARITY - 0.05
    assert similarity(torch.full((1, 3, 64, 128), 0.5), rooms[0].target.image) == 0
    for room in rooms:  # nor does one panorama look like two
        try:
            resolve_camera(Photo(room.target.image))
        except InputError as error:
            pytest.fail(str(error))


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the shared pictures")
@pytest.mark.parametrize("squeezed", [False, True])
def test_real_and_traced_stereo_panoramas_are_recognised(squeezed: bool) -> None:
    pairs = [(path, path.parents[1] / "image_down" / path.name) for path in DATA.glob("pano_top_bottom/image_up/*.png")]
    for centre in DATA.glob("traced/indoor360*centre.png"):
        pairs += [(centre, centre.with_name(centre.name.replace("centre", other))) for other in ("up", "right")]
    assert len(pairs) >= 3
    for first, second in pairs:
        for camera, two in stacked(read_photo(first).image, read_photo(second).image, squeezed).items():
            with pytest.raises(InputError, match=f"{camera} stereo"):
                resolve_camera(Photo(two))
            assert resolve_camera(Photo(two), camera)[0].size == read_photo(first).size


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the shared pictures")
def test_ordinary_photos_are_no_stereo_panoramas() -> None:
    paths = [*DATA.glob("photos/*.jpg"), *DATA.glob("middlebury_2005/*/view1.png"), *DATA.glob("traced/*left.png")]
    assert len(paths) >= 5
    for image in (read_photo(path).image for path in paths):
        h, w = image.shape[-2:]
        for ratio in (1, 2, 4):
            wide = min(w, ratio * h)
            assert resolve_camera(Photo(image[..., : wide // ratio, :wide]))[1] is None


def test_what_is_not_taken_for_a_panorama_is_not_seen_through_a_cube() -> None:
    room = world()
    check_panorama(resolve_camera(Photo(room))[0])
    ways = {
        (64, 125): "125x64 and not recognised as a panorama.*resize it to 128x64",
        (32, 128): "pad it to the whole, black where nothing was seen; if it holds two panoramas, give --camera side",
        (64, 120): "if it is a part of the sphere, pad it.*resize it to 128x64.*leave out --via-cube",
    }
    for (h, w), said in ways.items():
        with pytest.raises(InputError, match=said):
            check_panorama(resolve_camera(Photo(room[..., :h, :w]))[0])
    with pytest.raises(InputError, match="give --camera equirectangular; if it is an ordinary photo, leave out"):
        check_panorama(resolve_camera(Photo(torch.full((1, 3, 64, 128), 0.9)))[0])
    with pytest.raises(InputError, match=r"pad it to the whole, .*; if it holds two panoramas"):
        resolve_camera(Photo(room[..., :32, :]), "equirectangular")
