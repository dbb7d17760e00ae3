"""Train the mask of the thing at a point on rendered identities, on features of the bundled model, which stay as they
are."""

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor

from cyclopean.data.folder import FolderDataset
from cyclopean.inference.predictor import Predictor
from cyclopean.inference.subject import Backbone
from cyclopean.io.files import appearing
from cyclopean.networks.mobile import Mobile
from cyclopean.networks.subject import FEATURES, SubjectNet
from cyclopean.training.loop import emulates_bfloat16

PICTURES, CLICKS = 4, 8  # of a step
RATE = 2e-3
EMPTY = 0.08  # of the clicks are on the ground, whose mask is empty
LEAST, COMMON = 0.006, 0.02  # of a picture: smaller objects are not learned; from here on all are as frequent
INNER = 0.5  # of the greatest distance from an object's outline: points of a click are at least so far inside, at most
KEPT = 128  # points inside an object, drawn once
SMALLEST = 0.4  # of a picture's sides: a crop's
COMPARED = 256  # pixels of a picture of which all pairs are compared
PURE = 0.6  # of a pixel at a quarter of the size: what one thing has at least, so that the pixel counts as its own
SAVED = 50  # steps between two states

Picture = Float[np.ndarray, "h w 3"]
Objects = Int[np.ndarray, "h w"]
Mask = Bool[np.ndarray, "h w"]


@dataclass(frozen=True)
class Thing:
    """A mask (a quarter of the picture's size, float16), points inside it (uv), how often it is clicked."""

    mask: Float[np.ndarray, "_ _"]
    points: Float[np.ndarray, "_ 2"]
    weight: float


@dataclass(frozen=True)
class Item:
    """A picture as the network sees it: features (float16, coarse to fine), evidence, and the things in it.

    `ground`, whose mask is empty, is what is not a thing; None where all is. `owners` are whose each pixel is at a
    quarter of the size: the number of a thing from 1, 0 for all else, -1 where several share it.
    """

    features: tuple[Tensor, ...]
    evidence: Tensor
    things: tuple[Thing, ...]
    ground: Thing | None

    @cached_property
    def owners(self) -> Int[np.ndarray, "_ _"]:
        masks = np.stack([thing.mask.astype(np.float32) for thing in self.things])
        shares = np.concatenate([1 - masks.sum(0, keepdims=True), masks])
        return np.where(shares.max(0) >= PURE, shares.argmax(0), -1)


def read_items(folder: Path, count: int, predictor: Predictor, cache: Path) -> list[Item]:
    """Return two looks at each of the first `count` items of a rendered folder that show a thing; `cache` keeps them.

    One look is at all of the picture or at a crop, the other at a crop; both have other colours.
    """
    if not cache.exists():
        backbone, data = Backbone(cast(Mobile, predictor.method.network)), FolderDataset(folder)
        seen: list[tuple[Tensor, ...]] = []
        objects = []
        for n in range(count):
            image = data[n].target.image[0].permute(1, 2, 0).numpy()
            numbers = data.objects(n)[0, 0].numpy().astype(np.int32)
            for crop in (0.5, 1.0):
                rng = random.Random(f"look {n} {crop}")
                looked, shown = look(image, numbers, rng, crop=rng.random() < crop)
                features, evidence = backbone.seen(torch.from_numpy(looked).permute(2, 0, 1)[None])
                seen.append(tuple(x.half() for x in (*features, evidence)))
                objects.append(torch.from_numpy(shown))
        parts = {str(k): torch.cat(x).contiguous() for k, x in enumerate(zip(*seen, strict=True))}
        with appearing(cache.parent) as private:
            save_file({**parts, "objects": torch.stack(objects)}, private / cache.name)
    stored, rng = load_file(cache), random.Random("points")
    items = []
    for n, shown in enumerate(stored["objects"].numpy()):
        things = {int(k): thing(shown == k, rng) for k in np.unique(shown) if not k or (shown == k).mean() >= LEAST}
        ground = things.pop(0, None)
        if things:
            seen_here = tuple(stored[str(k)][n : n + 1] for k in range(len(FEATURES) + 1))
            items.append(Item(seen_here[:-1], seen_here[-1], tuple(things.values()), ground))
    return items


def look(image: Picture, objects: Objects, rng: random.Random, *, crop: bool) -> tuple[Picture, Objects]:
    """Return a picture, or a crop of it at its size, mirrored or not, in other light, colours, blur and noise."""
    h, w = objects.shape
    if crop:
        side, aspect = math.exp(rng.uniform(math.log(SMALLEST), 0)), math.exp(rng.gauss(0, 0.12))
        high, wide = min(h, round(h * side * aspect)), min(w, round(w * side / aspect))
        y, x = rng.randint(0, h - high), rng.randint(0, w - wide)
        image = cv2.resize(image[y : y + high, x : x + wide], (w, h), interpolation=cv2.INTER_LINEAR)
        objects = cv2.resize(objects[y : y + high, x : x + wide], (w, h), interpolation=cv2.INTER_NEAREST)
    if rng.random() < 0.5:
        image, objects = image[:, ::-1], objects[:, ::-1]
    if rng.random() < 0.8:
        gain = math.exp(rng.gauss(0, 0.2)) * np.exp([rng.gauss(0, 0.06) for _ in range(3)])
        image = image ** math.exp(rng.gauss(0, 0.25)) * gain
        grey = image.mean(-1, keepdims=True)
        image = grey + (image - grey) * (0 if rng.random() < 0.1 else rng.uniform(0.3, 1.4))
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(np.ascontiguousarray(image), (0, 0), rng.uniform(0.4, 1.2))
    if rng.random() < 0.4:
        noise = np.random.default_rng(rng.getrandbits(32)).normal(0, 1, image.shape)
        image = image + noise * rng.uniform(0, 0.04)
    return np.clip(image, 0, 1).astype(np.float32), np.ascontiguousarray(objects)


def inner_points(mask: Mask) -> Int[np.ndarray, " points"]:
    """Return the flat indices of pixels inside a mask, away from its outline and the picture's border."""
    away = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    return np.flatnonzero(away >= min(2.0, INNER * float(away.max())))


def inner_point(mask: Mask, rng: random.Random) -> tuple[int, int]:
    """Return a random pixel (x, y) inside a mask, away from its outline and the picture's border."""
    inside = inner_points(mask)
    y, x = divmod(inside[rng.randrange(len(inside))], mask.shape[1])
    return int(x), int(y)


def thing(mask: Mask, rng: random.Random) -> Thing:
    """Return the thing of a mask, with random points inside it."""
    h, w = mask.shape
    inside = inner_points(mask)
    y, x = np.divmod(inside[[rng.randrange(len(inside)) for _ in range(KEPT)]], w)
    small = cv2.resize(mask.astype(np.float32), (w // 4, h // 4), interpolation=cv2.INTER_AREA)
    points = np.stack([(x + 0.5) / w, (y + 0.5) / h], -1).astype(np.float32)
    return Thing(small.astype(np.float16), points, min(1.0, float(mask.mean()) / COMMON))


def train(items: Sequence[Item], steps: int, seed: int, folder: Path) -> SubjectNet:
    """Return a network trained on `items`. An interrupted run goes on from the state in `folder`; a complete one is
    read. The same seed gives the same weights on a machine.
    """
    torch.manual_seed(seed)
    network = SubjectNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-3)
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
            group["lr"] = RATE * min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / steps))
        loss = _loss(network, [rng.choice(items) for _ in range(PICTURES)], rng)
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


def _loss(network: SubjectNet, items: Sequence[Item], rng: random.Random) -> Float[Tensor, ""]:
    """Return cross-entropy plus 1 - soft IoU of some masks of each picture, mirrored half the time, plus `key_loss`."""
    features, evidence, points, masks, keys = [], [], [], [], []
    for item in items:
        mirrored = rng.random() < 0.5
        weights = [some.weight for some in item.things]
        features.append([x.flip(-1) if mirrored else x for x in item.features])
        evidence.append(item.evidence.flip(-1) if mirrored else item.evidence)
        for _ in range(CLICKS):
            empty = item.ground is not None and rng.random() < EMPTY
            clicked = item.ground if empty else rng.choices(item.things, weights)[0]
            assert clicked is not None
            u, v = clicked.points[rng.randrange(KEPT)]
            points.append((1 - float(u) if mirrored else float(u), float(v)))
            mask = np.zeros_like(clicked.mask) if empty else clicked.mask
            masks.append(torch.from_numpy(mask[:, ::-1].copy() if mirrored else mask))
        owners = item.owners[:, ::-1] if mirrored else item.owners
        keys.append(partial(key_loss, owners=owners.flatten(), rng=np.random.default_rng(rng.getrandbits(32))))
    shown = [torch.cat(x).float().contiguous(memory_format=torch.channels_last) for x in zip(*features, strict=True)]
    evident = torch.cat(evidence).float()
    with torch.autocast("cpu", torch.bfloat16, enabled=not emulates_bfloat16(evident.device)):
        embeddings = network.embed(shown, evident)
        logits = network(embeddings, torch.tensor(points).view(len(items), CLICKS, 1, 2))
    logits, target = logits.float().flatten(0, 1), torch.stack(masks).float()
    mask = logits.sigmoid()
    overlap, union = (mask * target).sum((1, 2)), (mask + target - mask * target).sum((1, 2))
    some = target.sum((1, 2)) > 0
    of_masks = F.binary_cross_entropy_with_logits(logits, target) + ((1 - overlap / union) * some).mean()
    return of_masks + torch.stack([loss(key.float()) for key, loss in zip(embeddings[1], keys, strict=True)]).mean()


def key_loss(
    key: Float[Tensor, "c h w"], owners: Int[np.ndarray, " pixels"], rng: np.random.Generator
) -> Float[Tensor, ""]:
    """Return how badly exp(-d) tells whether two pixels are of one thing, d the mean difference of their keys.

    The mean over pairs of one thing plus the mean over pairs of two. All pairs of some pixels count, of small things
    more of theirs; `owners` are the things' numbers, 0 for all else, whose pixels are not pairs of one thing, and -1
    where it is not known. So every step teaches all things of a picture, not only those that are clicked (Fathi et al.
    2017, semantic instance segmentation via deep metric learning, with 2 / (1 + exp(d^2))).
    """
    counts = np.bincount(owners + 1)
    share = np.where(owners < 0, 0, 1 / np.sqrt(counts[owners + 1]))
    chosen = rng.choice(len(owners), COMPARED, p=share / share.sum())
    values = key.flatten(1)[:, torch.from_numpy(chosen)].T
    apart = torch.cdist(values, values, p=1) / len(key)
    who = torch.from_numpy(owners[chosen].astype(np.int64))
    same = (who[:, None] == who) & (who > 0) & ~torch.eye(COMPARED, dtype=torch.bool)
    other = who[:, None] != who
    terms = (apart[same], -torch.log1p(-torch.exp(-apart[other].clamp(min=1e-3))))
    return torch.stack([term.mean() if len(term) else key.new_zeros(()) for term in terms]).sum()
