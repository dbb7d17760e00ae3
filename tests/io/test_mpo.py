"""Pairs in one file."""

import struct
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cyclopean.io.image import Photo, read_photo
from cyclopean.io.mpo import write_mpo


def test_both_pictures_are_found_by_the_index(tmp_path: Path) -> None:
    """As Pillow reads it, as JPEG readers do that know nothing of it, and byte by byte (CIPA DC-007)."""
    exif = Image.Exif()
    exif[271] = "Maker"
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 48, 64)
    for kept in (b"", exif.tobytes()):
        path = tmp_path / "pair.mpo"
        write_mpo(path, Photo(ramp, exif=kept), Photo(1 - ramp, exif=kept))
        with Image.open(path) as pair:
            assert (pair.format, pair.n_frames) == ("MPO", 2)
            entries = pair.mpinfo[0xB002]
            for frame, rising in ((0, 1), (1, -1)):
                pair.seek(frame)
                row = np.asarray(pair.convert("L"), float)[20]
                assert np.sign(row[-1] - row[0]) == rising
                assert entries[frame]["Attribute"]["MPType"] == "Multi-Frame Image: (Disparity)"
            assert entries[0]["Attribute"]["RepresentativeImageFlag"]
        data = path.read_bytes()
        assert entries[0]["Size"] + entries[1]["Size"] == len(data)
        start = data.index(b"MPF\0") + 4
        assert data[start + entries[1]["DataOffset"] :][:3] == b"\xff\xd8\xff"
        assert start + entries[1]["DataOffset"] == entries[0]["Size"]
        assert data.count(struct.pack("<HHI", 0xB101, 4, 1)) == 2  # each has its number
        assert data.index(b"MPF\0", entries[0]["Size"]) > 0
        assert read_photo(path).image[0, 0, 20, -1] > 0.9
