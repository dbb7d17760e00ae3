"""JPEG: every reader refuses what libjpeg complains of, and reads sound files as Pillow and OpenCV do."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import stereo_pairs as pairs
from cyclopean import cli
from cyclopean.errors import InputError
from cyclopean.io.decoding import read_image, read_stored
from cyclopean.io.image import read_photo
from cyclopean.synthetic.folder import load_pictures

PICTURE = Image.fromarray(pairs.texture(0, (201, 333)).astype(np.uint8))
KINDS = {
    "4:2:0": {},
    "4:4:4": {"subsampling": 0},
    "4:2:2": {"subsampling": 1},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "optimised": {"optimize": True},
    "RGB": {"keep_rgb": True},
}


def jpeg(picture: Image.Image = PICTURE, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", **{"quality": 90, **options})
    return file.getvalue()


def oddly_headed() -> dict[str, bytes]:
    """Sound files of whose headers libjpeg complains: it would not tell of damage to their pixels after that."""
    whole = jpeg()
    tables, scan = whole.index(b"\xff\xdb"), whole.index(b"\xff\xda\0\x0c\3") + 11
    return {
        "stray bytes": whole[:tables] + bytes(4) + whole[tables:],
        "no spectral end": whole[:scan] + bytes(3) + whole[scan + 3 :],  # as some cameras write sequential files
        "odd JFIF": whole.replace(b"JFIF\0\1", b"JFIF\0\3"),
        "odd profile": jpeg(icc_profile=b"none").replace(b"ICC_PROFILE\0\1\1", b"ICC_PROFILE\0\2\1"),
    }


def test_sound_files_have_the_pixels_of_pillow_and_opencv(tmp_path: Path, capfd) -> None:
    files = {name: jpeg(**options) for name, options in KINDS.items()}
    files["grey"], files["CMYK"] = jpeg(PICTURE.convert("L")), jpeg(PICTURE.convert("CMYK"))
    at = files["CMYK"].index(b"Adobe") + 11
    files["YCCK"] = files["CMYK"][:at] + b"\2" + files["CMYK"][at + 1 :]
    files["odd subsampling"] = jpeg(PICTURE.convert("CMYK"), subsampling=2)
    files["two bytes before the end"] = files["progressive"][:-2] + b"\0\0" + files["progressive"][-2:]
    files["ten bytes behind the end"] = files["4:2:0"] + bytes(10)
    files |= oddly_headed()
    path = tmp_path / "a.jpg"
    for name, data in files.items():
        path.write_bytes(data)
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        capfd.readouterr()
        ours = (read_image(path)[0].permute(1, 2, 0) * 255).round().byte().numpy()
        assert np.array_equal(ours, bgr[..., ::-1]), name
        with Image.open(path) as picture:
            theirs = np.array(picture.convert("RGB"))
        ours = (read_photo(path).image[0].permute(1, 2, 0) * 255).round().byte().numpy()
        assert np.array_equal(ours, theirs), name
        assert read_stored(path).shape == (201, 333, 3)[: 2 if name == "grey" else 3], name
        assert "Corrupt" not in capfd.readouterr().err, name


DAMAGE: dict[str, Callable[[bytes, int], bytes]] = {
    "zeros": lambda data, at: data[:at] + bytes(2048) + data[at + 2048 :],
    "ones": lambda data, at: data[:at] + b"\xff" * 2048 + data[at + 2048 :],
    "missing": lambda data, at: data[:at] + data[at + 1500 :],
    "end of zeros": lambda data, at: data[:at] + bytes(len(data) - at),
}


def test_every_reader_refuses_damage_also_in_threads(tmp_path: Path, capfd) -> None:
    tried: list[tuple[Callable[[Path], object], Path]] = []
    kinds = {kind: jpeg(**KINDS[kind]) for kind in ("4:2:0", "4:4:4", "progressive", "restarts")}
    for kind, whole in {**kinds, "grey": jpeg(PICTURE.convert("L")), **oddly_headed()}.items():
        for name, damage in DAMAGE.items():
            for share in (0.4, 0.6):
                path = tmp_path / f"{kind.replace(':', '')}_{name}_{share}.jpg"
                path.write_bytes(damage(whole, int(len(whole) * share)))
                tried += [(reader, path) for reader in (read_image, read_photo, read_stored)]

    def outcome(reader: Callable[[Path], object], path: Path) -> str:
        try:
            reader(path)
        except InputError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(outcome, *zip(*tried, strict=True)))
    silent = [f"{reader.__name__} {path.name}" for (reader, path), text in zip(tried, said, strict=True) if not text]
    assert not silent
    assert all(path.name in text for (_, path), text in zip(tried, said, strict=True))
    assert sum("damaged or cut short (Corrupt JPEG data" in text for text in said) > len(said) / 3
    assert capfd.readouterr().err == ""
    (tmp_path / "textures").mkdir()
    (tmp_path / "textures" / "a.jpg").write_bytes((tmp_path / "420_zeros_0.4.jpg").read_bytes())
    with pytest.raises(InputError, match=r"a\.jpg is damaged"):
        load_pictures(tmp_path / "textures", 16)


def test_commands_name_a_damaged_picture(tmp_path: Path, capfd) -> None:
    """`evaluate` leaves the item out and `predict` writes nothing of it; both end with 2."""
    data, photos = tmp_path / "data", tmp_path / "photos"
    pairs.write_pairs(data, 3)
    pairs.write_depth(data)
    photos.mkdir()
    for path in sorted((data / "left").iterdir()):
        Image.open(path).save(path.with_suffix(".jpg"), quality=98)
        path.unlink()
    path = data / "left" / "001.jpg"
    whole = path.read_bytes()
    path.write_bytes(DAMAGE["zeros"](whole, len(whole) // 3))
    (photos / "damaged.jpg").write_bytes(path.read_bytes())
    (photos / "whole.jpg").write_bytes(whole)
    for arguments in (["evaluate", "--data", str(data), "--model", "none"], ["predict", str(photos)]):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        out, err = capfd.readouterr()
        assert ended.value.code == 2, out + err
        assert "is damaged or cut short (Corrupt JPEG data" in err, out + err
    assert (photos / "whole_disp.npy").exists()
    assert not (photos / "damaged_disp.npy").exists()
    assert torch.from_numpy(np.load(photos / "whole_disp.npy")).isfinite().all()


def test_evaluate_names_several_files_where_none_can_be_used(tmp_path: Path, capfd) -> None:
    pairs.write_pairs(tmp_path, 3)
    pairs.write_depth(tmp_path)
    for path in (tmp_path / "left").iterdir():
        path.write_bytes(path.read_bytes()[:3000] + bytes(100) + path.read_bytes()[3100:])
    with pytest.raises(SystemExit) as ended:
        cli.main(["evaluate", "--data", str(tmp_path), "--model", "none"])
    err = capfd.readouterr().err
    assert ended.value.code == 2
    assert "none of 3 items can be used" in err
    assert all(f"{n:03}.png is damaged" in err for n in range(3))
    assert "libpng" not in err
