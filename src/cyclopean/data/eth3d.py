"""ETH3D two-view: rectified grey pairs indoors and outdoors, disparity from a laser scanner (Schoeps et al. 2017)."""

from pathlib import Path

from torch.utils.data import Dataset

from cyclopean.data.calibrated_pairs import TRUTHS, calibrated_files, read_calibrated
from cyclopean.data.items import Files
from cyclopean.data.reading import choice, existing_folder
from cyclopean.errors import InputError
from cyclopean.sample import Sample


class Eth3dDataset(Dataset[Sample]):
    """Scenes `NAME/{im0.png,im1.png,calib.txt}` with `disp0GT.pfm`, below `path` or in its folder `two_view_training`;
    the truth may lie apart, in `two_view_training_gt/NAME`, as the archives unpack.

    Depth is z of the left, metres. `truth`: `all`, or `noc` for pixels that both cameras see.
    """

    def __init__(self, path: Path | str, truth: str = "all") -> None:
        root = existing_folder(path)
        self.truth = choice("truth of ETH3D", truth, TRUTHS)
        self.scenes = sorted(p.parent for p in root.glob("**/calib.txt"))
        if not self.scenes:
            raise InputError(f"{path} holds no ETH3D scene; it needs folders with im0.png, im1.png and calib.txt.")

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Sample:
        return read_calibrated(self.scenes[index], _truths(self.scenes[index]), self.truth)

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return 80.0

    def files(self, index: int) -> Files:
        """Left, right; calibration, and the disparity if there is one."""
        return calibrated_files(self.scenes[index], _truths(self.scenes[index]))


def _truths(scene: Path) -> Path:
    return scene.parent.with_name(f"{scene.parent.name}_gt") / scene.name
