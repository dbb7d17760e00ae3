"""Photographs without truth: any folder of them, and CamVid (Brostow et al. 2009)."""

from pathlib import Path

from torch.utils.data import Dataset

from cyclopean.data.decoding import read_image
from cyclopean.data.items import Files
from cyclopean.data.reading import existing_folder, pictures_among
from cyclopean.data.rigs import size_of, uncalibrated, unknown_depth
from cyclopean.sample import Sample, view

CAMVID = "701_StillsRaw_full"  # of the release; its labels lie in other folders


class PicturesDataset(Dataset[Sample]):
    """Every picture below `path`, or below CamVid's `701_StillsRaw_full` in it. No second view, no depth.

    A camera of a focal length of one picture width is assumed. Names are paths without suffix.
    """

    def __init__(self, path: Path | str) -> None:
        root = existing_folder(path)
        self.root = root / CAMVID if (root / CAMVID).is_dir() else root
        self.images = pictures_among(self.root.rglob("*"), self.root)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        image = read_image(self.images[index])
        name = self.images[index].relative_to(self.root).with_suffix("").as_posix()
        return Sample(view(image, uncalibrated(size_of(image))), (), unknown_depth(size_of(image)), name=(name,))

    def far(self, _: int) -> float:
        """The largest depth that counts; there is none to count."""
        return 80.0

    def files(self, index: int) -> Files:
        """The picture."""
        return Files((self.images[index],))
