"""Train the mask of the thing at a point on rendered identities, on features of the bundled model, which stay as they
are."""

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt16
from safetensors.torch import load_file, save_file
from torch import Tensor

from cyclopean.data.folder import FolderDataset
from cyclopean.defocus.edges import refined
from cyclopean.inference.predictor import Predictor
from cyclopean.inference.selection import Backbone
from cyclopean.io.files import appearing
from cyclopean.io.image import Photo
from cyclopean.networks.clicked import Clicked
from cyclopean.networks.mobile import Mobile

PICTURES, CLICKS = 4, 8  # of a step
RATE = 2e-3
EMPTY = 0.08  # of the clicks are on the ground, whose mask is empty
LEAST = 0.004  # of a picture: smaller objects are not learned
INNER = 0.5  # of the greatest distance from an object's outline: points of a click are at least so far inside, at most
SAVED = 50  # steps between two states

Objects = UInt16[np.ndarray, "h w"]
Mask = Bool[np.ndarray, "h w"]


@dataclass(frozen=True)
class Item:
    """A picture as the network sees it: features (float16, coarse to fine), evidence, and the object at each pixel."""

    features: tuple[Tensor, ...]
    evidence: Tensor
    objects: Objects


def read_items(folder: Path, count: int, predictor: Predictor, cache: Path) -> list[Item]:
    """Return the first `count` items of a rendered folder, with predicted depth; `cache` keeps them."""
    data = FolderDataset(folder)
    objects = [data.objects(n)[0, 0].numpy().astype(np.uint16) for n in range(count)]
    if not cache.exists():
        backbone = Backbone(cast(Mobile, predictor.method.network))
        parts: dict[str, Tensor] = {}
        for n in range(count):
            photo = Photo(data[n].target.image)
            features, evidence = backbone.seen(photo, refined(predictor(photo), photo.image))
            parts |= {f"{n}.{k}": x.half().contiguous() for k, x in enumerate((*features, evidence))}
        with appearing(cache.parent) as private:
            save_file(parts, private / cache.name)
    stored = load_file(cache)
    seen = [tuple(stored[f"{n}.{k}"] for k in range(6)) for n in range(count)]
    return [Item(part[:5], part[5], shown) for part, shown in zip(seen, objects, strict=True)]


def inner_point(mask: Mask, rng: random.Random) -> tuple[int, int]:
    """Return a random pixel (x, y) inside a mask, away from its outline and the picture's border."""
    away = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    inside = np.flatnonzero(away >= min(2.0, INNER * float(away.max())))
    y, x = divmod(inside[rng.randrange(len(inside))], mask.shape[1])
    return int(x), int(y)


def train(items: Sequence[Item], steps: int, seed: int, folder: Path) -> Clicked:
    """Return a network trained on `items`. An interrupted run goes on from the state in `folder`; a complete one is
    read. The same seed gives the same weights on a machine.
    """
    torch.manual_seed(seed)
    network = Clicked()
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-4)
    state, first = folder / "state.pt", 0
    if state.exists():
        stored = torch.load(state, weights_only=True)
        network.load_state_dict(stored["network"])
        optimiser.load_state_dict(stored["optimiser"])
        first = stored["step"]
    losses = []
    for step in range(first, steps):
        rng = random.Random(f"subject {seed} {step}")
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 20) * 0.5 * (1 + math.cos(math.pi * step / steps))
        loss = torch.stack([_loss(network, rng.choice(items), rng) for _ in range(PICTURES)]).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
        if (step + 1) % SAVED == 0 or step + 1 == steps:
            folder.mkdir(parents=True, exist_ok=True)
            content = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "step": step + 1}
            torch.save(content, state.with_suffix(".new"))
            state.with_suffix(".new").rename(state)
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps({"step": step + 1, "loss": sum(losses) / len(losses)}) + "\n")
            losses = []
    return network.eval()


def _loss(network: Clicked, item: Item, rng: random.Random) -> Float[Tensor, ""]:
    """Return cross-entropy plus 1 - soft IoU of some masks of one picture, mirrored half the time."""
    numbers, sizes = np.unique(item.objects, return_counts=True)
    large = [int(n) for n, size in zip(numbers, sizes, strict=True) if n and size >= LEAST * item.objects.size]
    points, masks = [], []
    for _ in range(CLICKS):
        empty = not large or (numbers[0] == 0 and rng.random() < EMPTY)
        mask = item.objects == (0 if empty else rng.choice(large))
        x, y = inner_point(mask, rng)
        points.append(((x + 0.5) / mask.shape[1], (y + 0.5) / mask.shape[0]))
        masks.append(np.zeros_like(mask) if empty else mask)
    features, evidence = [x.float() for x in item.features], item.evidence.float()
    target = F.interpolate(torch.from_numpy(np.stack(masks))[:, None].float(), size=evidence.shape[-2:], mode="area")
    at = torch.tensor(points)[:, None]
    if rng.random() < 0.5:
        features, evidence, target = [x.flip(-1) for x in features], evidence.flip(-1), target.flip(-1)
        at = at * at.new_tensor([-1.0, 1.0]) + at.new_tensor([1.0, 0.0])
    quarter, half = network.embed(features, evidence)
    logits = network(quarter.expand(CLICKS, -1, -1, -1), half.expand(CLICKS, -1, -1, -1), at)
    mask = logits.sigmoid()
    overlap, union = (mask * target).sum((1, 2, 3)), (mask + target - mask * target).sum((1, 2, 3))
    some = target.sum((1, 2, 3)) > 0
    return F.binary_cross_entropy_with_logits(logits, target) + ((1 - overlap / union) * some).mean()
