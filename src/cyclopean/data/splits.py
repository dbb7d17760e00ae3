"""Lists of items in files, as Monodepth and Monodepth2 write them. The user names the file; none ships with us."""

import re
from dataclasses import dataclass
from pathlib import Path

from cyclopean.errors import InputError
from cyclopean.files import read_text, shortened

DRIVE = re.compile(r"\d{4}_\d{2}_\d{2}_drive_\d{4}")
SIDES = {"l": "02", "r": "03"}  # of a KITTI drive: the left and the right colour camera


@dataclass(frozen=True)
class Frame:
    """One picture of a KITTI drive: `2011_09_26/2011_09_26_drive_0001_sync`, its number, and the camera, 02 or 03."""

    drive: str
    number: int
    camera: str

    @property
    def name(self) -> str:
        """`2011_09_26/2011_09_26_drive_0001_sync/0000000005_02`."""
        return f"{self.drive}/{self.number:010d}_{self.camera}"


def read_frames(path: Path | str) -> list[Frame]:
    """The frames of a KITTI split, in the order of its lines.

    Two formats: Monodepth's, `DRIVE/image_02/data/NUMBER.jpg DRIVE/image_03/data/NUMBER.jpg` (the first is the target;
    the suffix is not believed), and Monodepth2's, `DRIVE NUMBER l` or `r`.
    """
    file = Path(path).expanduser()
    return [_frame(line, f"{file}, line {n}") for n, line in _lines(file)]


def read_drives(path: Path | str) -> set[str]:
    """The drives, such as `2011_09_26_drive_0001`, that a text names anywhere."""
    file = Path(path).expanduser()
    drives = set(DRIVE.findall(read_text(file)))
    if not drives:
        raise InputError(f"{file} names no KITTI drive, such as 2011_09_26_drive_0001; give the list of a test set.")
    return drives


def read_paths(path: Path | str) -> list[str]:
    """The first path of each line: the left pictures of a list in Monodepth's format, relative to the data set."""
    return [line.split()[0] for _, line in _lines(Path(path).expanduser())]


def read_pairs(path: Path | str) -> list[tuple[str, str]]:
    """The two paths of each line, a picture's and its depth's, relative to the data set."""
    file = Path(path).expanduser()
    pairs = []
    for n, line in _lines(file):
        words = line.split()
        if len(words) != 2:
            raise InputError(
                f"{file}, line {n} is {shortened(repr(line))}; it needs two paths, of the picture and of its depth."
            )
        pairs.append((words[0], words[1]))
    return pairs


def _lines(file: Path) -> list[tuple[int, str]]:
    lines = [(n, line.strip()) for n, line in enumerate(read_text(file).splitlines(), 1)]
    lines = [(n, line) for n, line in lines if line and not line.startswith("#")]
    if not lines:
        raise InputError(f"{file} is an empty list; it needs a line for each item.")
    return lines


def _frame(line: str, where: str) -> Frame:
    words = line.split()
    if len(words) == 3 and words[1].isdigit() and words[2] in SIDES:
        return Frame(words[0].rstrip("/"), int(words[1]), SIDES[words[2]])
    parts = re.fullmatch(r"(.+)/image_(02|03)/data/(\d+)\.\w+", words[0])
    if parts and len(words) <= 2:
        return Frame(parts[1], int(parts[3]), parts[2])
    raise InputError(
        f"{where} is {shortened(repr(line))}; a KITTI split has lines 'DRIVE NUMBER l' or "
        "'DRIVE/image_02/data/NUMBER.png DRIVE/image_03/data/NUMBER.png'."
    )
