"""Panoramas without truth: any folder of them."""

from dataclasses import replace
from pathlib import Path

from torch.utils.data import Dataset

from cyclopean.data.items import Files
from cyclopean.data.panoramas import FAR, centre, whole_sphere
from cyclopean.data.reading import IMAGES, existing_folder, found, read_counts, read_image
from cyclopean.data.rigs import fitting, size_of, unknown_depth
from cyclopean.errors import InputError
from cyclopean.sample import Sample


class PanoramaPicturesDataset(Dataset[Sample]):
    """Every picture below `path`, each a full sphere. No second view, no depth. Names are paths without suffix.

    `masks` is a folder of grey pictures under the same names, 255 where the panorama shows the scene and 0 where it
    does not (sky, watermarks, the tripod), as Depth Anywhere keeps them; a panorama without a mask is valid everywhere.
    """

    def __init__(self, path: Path | str, masks: str = "") -> None:
        self.root = existing_folder(path)
        self.masks = existing_folder(masks) if masks else None
        images = (p for p in self.root.rglob("*") if p.suffix.lower() in IMAGES and p.name[0] != ".")
        self.images = sorted(p for p in images if self.masks is None or not p.is_relative_to(self.masks))
        if not self.images:
            raise InputError(f"{self.root} holds no picture; it needs at least one of {', '.join(IMAGES)}.")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        path = self.images[index]
        target = centre(whole_sphere(read_image(path), path))
        size = size_of(target.image)
        for mask in self.files(index).others:
            target = replace(target, valid=fitting(read_counts(mask), size, mask) >= 128)
        name = path.relative_to(self.root).with_suffix("").as_posix()
        return Sample(target, (), unknown_depth(size), name=(name,))

    def far(self, _: int) -> float:
        """The largest depth that counts, metres."""
        return FAR

    def files(self, index: int) -> Files:
        """The panorama; its mask, if there is one."""
        path = self.images[index]
        mask = None if self.masks is None else found(self.masks / path.relative_to(self.root))
        return Files((path,), (mask,) if mask is not None and mask.exists() else ())
