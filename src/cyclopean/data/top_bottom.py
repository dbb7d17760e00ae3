"""Panoramas taken by two cameras, one above the other, as 360SD-Net's rig takes them (Wang et al. 2020)."""

from pathlib import Path

from torch.utils.data import Dataset

from cyclopean.data.decoding import read_views
from cyclopean.data.items import Files
from cyclopean.data.panoramas import FAR, above, centre, whole_sphere
from cyclopean.data.reading import existing_folder, list_images, read_object, refuse_unknown
from cyclopean.data.rigs import size_of, unknown_depth
from cyclopean.errors import InputError
from cyclopean.files import shortened
from cyclopean.sample import Sample

# Names of the two folders, in use by published sets: the upper camera's, the lower one's.
PAIRS = (("image_up", "image_down"), ("up", "down"), ("top", "bottom"), ("image_top", "image_bottom"))


class TopBottomDataset(Dataset[Sample]):
    """Pairs of panoramas in two folders, of equal names and sizes. The lower camera is the target; no truth.

    `baseline` in metres, or `"baseline_m"` of a `calibration.json` beside the folders. A baseline of 1 leaves the unit
    open: what is learned is then known in baselines. Raises `InputError` for a folder without such pairs or baseline.
    """

    def __init__(self, path: Path | str, baseline: str = "") -> None:
        self.path = existing_folder(path)
        pair = next((pair for pair in PAIRS if all((self.path / name).is_dir() for name in pair)), None)
        if pair is None:
            known = ", ".join(f"{top} and {bottom}" for top, bottom in PAIRS)
            raise InputError(f"{self.path} holds no top-bottom pairs; it needs two folders, named {known}.")
        self._top, self._bottom = pair
        self._pictures = {name: list_images(self.path / name) for name in pair}
        self.stems = sorted(self._pictures[self._bottom])
        self.baseline = _baseline(self.path, baseline)

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, index: int) -> Sample:
        files = self.files(index)
        bottom, top = read_views(files.pictures)
        whole_sphere(bottom, files.pictures[0])
        depth = unknown_depth(size_of(bottom))
        return Sample(centre(bottom), (above(top, self.baseline),), depth, name=(self.stems[index],))

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return FAR

    def files(self, index: int) -> Files:
        """Bottom, top."""
        stem = self.stems[index]
        bottom = self._pictures[self._bottom][stem]
        return Files((bottom, self._pictures[self._top].get(stem, self.path / self._top / bottom.name)))


def _baseline(folder: Path, given: str) -> float:
    """Metres between the cameras, as given or as the calibration says."""
    path = folder / "calibration.json"
    stated = read_object(path) if path.exists() else {}
    refuse_unknown(stated, ("baseline_m",), path)
    value = given or stated.get("baseline_m", "")
    try:
        metres = float(value)
    except (TypeError, ValueError, OverflowError):
        metres = 0.0
    if not 0 < metres < float("inf"):
        raise InputError(
            f"{folder} was given the baseline {shortened(value)!r}; say how far apart the two cameras stood, in "
            f'metres: topbottom:{folder}:baseline=0.2, or {{"baseline_m": 0.2}} in {path.name} (1 when nobody knows).'
        )
    return metres
