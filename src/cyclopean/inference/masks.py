"""Masks of panoramas: what is no part of the scene, such as sky and watermarks. White is what counts.

By text prompts, where weights of a segmenter are at hand; else sky alone, by a rule. A mask is of the whole panorama,
as in Depth Anywhere, not of its faces.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float
from PIL import Image as Pillow
from torch import Tensor

from cyclopean.data import open_dataset
from cyclopean.errors import InputError, usable_device
from cyclopean.geometry import size_of
from cyclopean.inference import bulk
from cyclopean.inference.labels import described
from cyclopean.inference.panorama import resize_sphere
from cyclopean.inference.predictor import Predictor, load
from cyclopean.inference.segmenters import Segmenter, licences, open_segmenter
from cyclopean.io.files import write_anew
from cyclopean.io.image import resize
from cyclopean.sample import OneImage, OneMask

FORMAT, ABOUT = "cyclopean-masks", "masks.json"
SKY = "sky"
HEIGHT = 256  # pixels that the rule looks at; the mask is enlarged
FAR, NEARER = (
    0.04,
    0.12,
)  # of the ground's median inverse distance: what is surely sky is farther than something between
SEED = 0.15  # of the upper half, the farthest part, from which sky is taken to be surely sky
PERHAPS, NEVER = 0.15, 0.5  # of the ground's: nearer than that, sky is unlikely, or out of the question
HORIZON = 0.5  # of the height: sky lies above
ROUGH, ROUGHER = 12.0, 1.5  # grey levels of texture that sky does not have, or as many times the picture's median
LEAST = 0.02  # of the panorama that is surely sky: less is a window or a mistake
ROUNDS = 3  # of GrabCut
AROUND = 8  # a part of the width is repeated at either side, so that sky is joined over the seam


def sky(image: OneImage, inverse_distance: Float[Tensor, "1 1 h2 w2"]) -> OneMask:
    """Return where a panorama shows sky, by position, texture, colour, and a model's own infinity.

    Surely sky is what lies above the horizon, is smooth, and is among the farthest things of the upper half and far
    beyond the ground; surely not, what is near or below the horizon. GrabCut (Rother et al. 2004) decides the rest by
    colours and edges. Without enough that is surely sky there is none, as in rooms.
    """
    height, width = HEIGHT, 2 * HEIGHT
    small = (resize(image, (height, width))[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    rho = resize_sphere(inverse_distance, (height, width))[0, 0]
    near = (rho / rho[height // 2 :].median()).numpy()
    texture = np.abs(cv2.Laplacian(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32), cv2.CV_32F))
    texture = cv2.GaussianBlur(texture, (0, 0), width / 256)
    above = (np.arange(height) < HORIZON * height)[:, None]
    surely = float(np.clip(np.quantile(near[: height // 2], SEED), FAR, NEARER))

    marks = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
    marks[(near < PERHAPS) & above] = cv2.GC_PR_FGD
    marks[(near < surely) & (texture < max(ROUGH, ROUGHER * float(np.median(texture)))) & above] = cv2.GC_FGD
    marks[(near > NEVER) | ~above] = cv2.GC_BGD
    if (marks == cv2.GC_FGD).mean() < LEAST:
        return torch.zeros_like(image[:, :1], dtype=torch.bool)
    margin = width // AROUND
    marks, colours = (np.concatenate([x[:, -margin:], x, x[:, :margin]], 1) for x in (marks, small))
    cv2.setRNGSeed(0)
    inside, outside = np.zeros((1, 65)), np.zeros((1, 65))  # of its colour models
    rectangle = (0, 0, 0, 0)  # not used: the marks say where to begin
    cv2.grabCut(colours[..., ::-1].copy(), marks, rectangle, outside, inside, ROUNDS, cv2.GC_INIT_WITH_MASK)
    inside_sky = torch.from_numpy(np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD))[:, margin:-margin]).float()[None, None]
    return resize_sphere(inside_sky, size_of(image)) > 0.5


@dataclass(frozen=True)
class Masking:
    """Work (`inference.bulk`): masks of the panoramas of a data set, `OUT/NAME.png` each, white where they count.

    `prompts` name what does not count. `segmenter` are folders or Hub repositories of its weights, none for the rule of
    `sky`, which asks `model` for what is far; `threshold` is the least probability of what a prompt names.
    """

    data: str
    out: Path
    prompts: tuple[str, ...] = (SKY,)
    segmenter: tuple[str, ...] = ()
    threshold: float = 0.4
    model: str = "general"
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not self.segmenter and (others := [prompt for prompt in self.prompts if prompt != SKY]):
            raise InputError(
                f"without weights only sky is found, and {', '.join(others)} was asked for too; give --segmenter "
                "FOLDER of a CLIPSeg model, or of Grounding DINO and SAM."
            )

    def begin(self) -> list[int]:
        """Write `masks.json`, and return the numbers of the panoramas that have no mask yet."""
        how: dict[str, object] = dict(described(load(self.model))) if not self.segmenter else {
            "segmenter": list(self.segmenter), "segmenter_licence": licences(self.segmenter),
            "threshold": self.threshold,
        }  # fmt: skip
        bulk.begin(self.out / ABOUT, {"format": FORMAT, "version": 1, "prompts": list(self.prompts), **how})
        return bulk.unfinished(self.data, self.out, ".png")

    def load(self) -> Callable[[int], None]:
        """Return what makes the mask of the panorama of a number."""
        data, device = open_dataset(self.data), usable_device(self.device)
        tool: Segmenter | Predictor
        tool = open_segmenter(self.segmenter, device) if self.segmenter else load(self.model, self.device)

        def mask(number: int) -> None:
            sample = data[number]
            path = self.out / f"{sample.name[0]}.png"
            if path.exists():
                return
            image = sample.target.image
            with torch.inference_mode():
                if isinstance(tool, Predictor):
                    hidden = sky(image, tool.faces(image.to(device)).inverse_depth.cpu())
                else:
                    hidden = (tool(image.to(device), self.prompts) >= self.threshold).any(1, keepdim=True).cpu()
            valid = ~hidden & sample.target.valid
            file = io.BytesIO()
            Pillow.fromarray((255 * valid[0, 0]).byte().numpy()).save(file, "PNG")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_anew(path, file.getvalue())

        return mask
