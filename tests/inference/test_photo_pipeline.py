"""From files to files: whose files are replaced, what notes are returned, and black padding of panoramas."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular
from cyclopean.inference.panorama_detection import padding, resolve_camera
from cyclopean.inference.photo_pipeline import DepthOptions, predict_photo
from cyclopean.inference.refocus_pipeline import PictureFormat, RefocusOptions, refocus_photo
from cyclopean.io.depthmap import read_depth
from cyclopean.io.image import Photo, read_photo, write_photo
from cyclopean.io.metadata import Gpano
from cyclopean.io.result_names import Target
from cyclopean.io.sidecar import outputs_named_in
from filmed import blue_is_near

AT, PLAIN = RefocusOptions((0.5, 0.5)), DepthOptions()


def picture(path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def predicted(photo: Path, stem: str = "a", overwrite: bool = False, options: DepthOptions = PLAIN):
    predictor = blue_is_near()
    return predict_photo(photo, Target(photo.parent, stem, overwrite), lambda _: predictor, options)


def refocused(photo: Path, depth: Path, overwrite: bool = False, options: RefocusOptions = AT):
    return refocus_photo(photo, Target(photo.parent, photo.stem, overwrite), depth, options, {})


def test_a_file_that_is_not_ours_is_replaced_only_on_request(tmp_path: Path) -> None:
    photo, mine = picture(tmp_path / "a.png"), tmp_path / "a_disp.png"
    mine.write_bytes(b"mine")
    written = predicted(photo)
    assert {path.name for path in written.paths} == {"a_2_disp.png", "a_2_disp.npy", "a_2_disp.json"}
    assert "a_disp.png exists" in written.notes[0]
    assert "--overwrite" in written.notes[0]
    assert predicted(photo).paths == written.paths, "those are ours now"
    assert mine.read_bytes() == b"mine"
    assert not predicted(photo, overwrite=True).notes
    assert mine.read_bytes() != b"mine"
    (tmp_path / "a_defocus.json").write_text("{}")
    names = [path.name for path in refocused(photo, tmp_path / "a_disp.npy").paths]
    assert names == ["a_2_defocus.png", "a_2_defocus.json"]
    assert (tmp_path / "a_defocus.json").read_text() == "{}"
    names = [path.name for path in refocused(photo, tmp_path / "a_disp.npy", overwrite=True).paths]
    assert names == ["a_defocus.png", "a_defocus.json"]


def test_results_of_another_picture_stay(tmp_path: Path) -> None:
    """`a_2.png` has the names that a numbered result of `a.png` may have got."""
    (tmp_path / "a_disp.npy").write_bytes(b"mine")
    first = predicted(picture(tmp_path / "a.png"))
    second = predicted(picture(tmp_path / "a_2.png"), stem="a_2")
    assert not set(first.paths) & set(second.paths)
    assert json.loads(first.paths[0].with_suffix(".json").read_text())["source"] == "a.png"


def test_what_an_earlier_run_wrote_stays_ours(tmp_path: Path) -> None:
    photo = picture(tmp_path / "a.png")
    predicted(photo, options=DepthOptions(("npz",), uncertainty=2))
    predicted(photo)
    assert {"a_disp.npz", "a_uncertainty.png"} <= outputs_named_in(tmp_path), "a folder run must not read them"
    assert not predicted(photo, options=DepthOptions(("npz",), uncertainty=2)).notes
    refocused(photo, tmp_path / "a_disp.npy")
    refocused(photo, tmp_path / "a_disp.npy", options=replace(AT, formats=(PictureFormat(".jpg"),)))
    assert [path.name for path in refocused(photo, tmp_path / "a_disp.npy").paths] == [
        "a_defocus.png", "a_defocus.json",
    ]  # fmt: skip


def test_the_depth_of_another_picture_is_noted(tmp_path: Path) -> None:
    photo, other = picture(tmp_path / "a.png"), picture(tmp_path / "b.png")
    predicted(photo)
    assert not refocused(photo, tmp_path / "a_disp.npy").notes
    (note,) = refocused(other, tmp_path / "a_disp.npy").notes
    assert "is the depth of a.png, not of b.png" in note


def padded(path: Path, rows: int = 20) -> Path:
    """A panorama of noise in half of the sphere, and black above and below."""
    image = torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(0)) * 0.9 + 0.1
    image[..., :rows, :] = image[..., 64 - rows :, :] = 0
    write_photo(path, Photo(image, Equirectangular(), gpano=Gpano("equirectangular")))
    return path


def test_black_padding_of_a_panorama_is_unknown_and_stays_black(tmp_path: Path) -> None:
    options = DepthOptions(camera="equirectangular")
    for name in ("a.png", "a.jpg"):
        path = padded(tmp_path / name)
        predicted(path, overwrite=True, options=options)
        valid = read_depth(tmp_path / "a_disp.npy").valid[0, 0]
        assert not valid[:16].any()  # of a JPEG, the blocks at the border are not black
        assert not valid[48:].any()
        assert valid[20:44].all()
    photo = read_photo(padded(tmp_path / "a.png"))
    predicted(tmp_path / "a.png", overwrite=True, options=options)
    of_memory = replace(photo, camera=Equirectangular())
    assert torch.equal(blue_is_near()(of_memory).valid, read_depth(tmp_path / "a_disp.npy").valid)
    whole = replace(photo, image=photo.image.clamp_min(0.05))
    assert not padding(whole.image).any()
    lens = replace(AT, lens=replace(AT.lens, amount=8.0), camera="equirectangular", refine="off")
    depth = tmp_path / "a_disp.npy"
    predicted(tmp_path / "a.png", overwrite=True, options=options)
    result = read_photo(refocused(tmp_path / "a.png", depth, options=lens).paths[0]).image
    assert result[..., :20, :].max() == 0
    assert result[..., 20:44, :].min() > 0.05, "no black spreads into the picture"


def test_a_padded_file_with_the_tags_of_its_crop_is_told_what_to_do() -> None:
    gpano = Gpano("equirectangular", (64, 128), (0, 16, 128, 32))
    photo = Photo(torch.rand(1, 3, 64, 128), gpano=gpano)
    with pytest.raises(InputError, match="if it was padded to it, give --camera equirectangular"):
        resolve_camera(photo)
    assert isinstance(resolve_camera(photo, "equirectangular")[0].camera, Equirectangular)


def test_the_pose_of_a_panorama_is_kept_and_a_tilt_noted(tmp_path: Path) -> None:
    pose = (("PoseHeadingDegrees", 90.0), ("PosePitchDegrees", -14.5), ("PoseRollDegrees", 3.0))
    image = torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(0)) * 0.9 + 0.1
    for name, form in (("a.png", PictureFormat(".png")), ("a.jpg", PictureFormat(".jpg"))):
        write_photo(tmp_path / name, Photo(image, Equirectangular(), gpano=Gpano("equirectangular", pose=pose)))
        written = predicted(tmp_path / name, overwrite=True)
        assert any("tilted by 15 degrees" in note for note in written.notes)
        result = refocused(tmp_path / name, tmp_path / "a_disp.npy", True, replace(AT, formats=(form,)))
        gpano = read_photo(result.paths[0]).gpano
        assert gpano is not None
        assert gpano.pose == pose
    write_photo(tmp_path / "a.png", Photo(image, Equirectangular(), gpano=Gpano("equirectangular", pose=pose[:1])))
    assert not any("tilted" in note for note in predicted(tmp_path / "a.png", overwrite=True).notes)
