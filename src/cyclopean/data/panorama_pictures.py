"""Panoramas without truth: any folder of them."""

from dataclasses import replace
from pathlib import Path

from torch.utils.data import Dataset

from cyclopean.data.decoding import read_image, read_mask
from cyclopean.data.items import Files
from cyclopean.data.panoramas import FAR, centre, whole_sphere
from cyclopean.data.reading import existing_folder, found, pictures_among
from cyclopean.data.rigs import fitting, size_of, unknown_depth
from cyclopean.sample import Sample


class PanoramaPicturesDataset(Dataset[Sample]):
    """Every picture below `path`, each a full sphere. No second view, no depth. Names are paths without suffix.
    Pictures of high dynamic range (.hdr) are exposed and brought to sRGB, as for `cyclopean predict`.

    `masks` is a folder of grey pictures under the same names, 255 where the panorama shows the scene and 0 where it
    does not (sky, watermarks, the tripod), as Depth Anywhere keeps them; a panorama without a mask is valid everywhere.
    """

    def __init__(self, path: Path | str, masks: str = "") -> None:
        self.root = existing_folder(path)
        self.masks = existing_folder(masks) if masks else None
        paths = (p for p in self.root.rglob("*") if self.masks is None or not p.is_relative_to(self.masks))
        self.images = pictures_among(paths, self.root)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        path = self.images[index]
        target = centre(whole_sphere(read_image(path), path))
        size = size_of(target.image)
        for mask in self._masks(path):
            target = replace(target, valid=fitting(read_mask(mask), size, mask) >= 0.5)
        name = path.relative_to(self.root).with_suffix("").as_posix()
        return Sample(target, (), unknown_depth(size), name=(name,))

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return FAR

    def files(self, index: int) -> Files:
        """The panorama; its mask, if there is one."""
        path = self.images[index]
        return Files((path,), self._masks(path))

    def _masks(self, path: Path) -> tuple[Path, ...]:
        """The mask of a panorama, if there is one."""
        if self.masks is None:
            return ()
        mask = found(self.masks / path.relative_to(self.root))
        return (mask,) if mask.exists() else ()
