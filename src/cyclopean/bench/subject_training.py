"""Train the mask of the thing at a point on rendered identities, with depth as the bundled model predicts it."""

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8, UInt16
from safetensors.torch import load_file, save_file
from torch import Tensor

from cyclopean.data.folder import FolderDataset
from cyclopean.inference.predictor import Predictor
from cyclopean.io.files import appearing
from cyclopean.io.image import Photo
from cyclopean.networks.subject import SubjectNet

PICTURES, CLICKS = 4, 8  # of a step
RATE, ENCODER_RATE = 2e-3, 2e-4  # the encoder begins with what it has learned from photographs
CROPPED = 0.75  # of the looks are at a part of a picture
SMALLEST = 0.4  # of a picture's sides: a part's
EMPTY = 0.08  # of the clicks are on the ground, whose mask is empty
LEAST, COMMON = 0.006, 0.02  # of a picture: smaller objects are not learned; from here on all are as frequent
INNER = 0.5  # of the greatest distance from an object's outline: points of a click are at least so far inside, at most
COMPARED = 256  # pixels of a picture of which all pairs are compared
PURE = 0.6  # of a pixel at a quarter of the size: what one thing has at least, so that the pixel counts as its own
SAVED = 50  # steps between two states

Picture = Float[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]


@dataclass(frozen=True)
class Pictures:
    """Pictures in 8 bits, the number of the thing at each pixel (0: ground, walls, sky), predicted inverse depth."""

    images: UInt8[np.ndarray, "n h w 3"]
    objects: UInt16[np.ndarray, "n h w"]
    inverse_depth: Float[np.ndarray, "n h w"]


@dataclass(frozen=True)
class Look:
    """What a step sees of a picture: it and its inverse depth; the masks of its clicks at a quarter of the size.

    `points` (uv) are the clicks'. `owners` are whose each pixel is at a quarter of the size: the number of a thing from
    1, 0 for all else, -1 where several share it.
    """

    image: Float[np.ndarray, "h w 3"]
    inverse_depth: Float[np.ndarray, "h w"]
    points: Float[np.ndarray, "clicks 2"]
    masks: Float[np.ndarray, "clicks _ _"]
    owners: Int[np.ndarray, "_ _"]


def read_pictures(folder: Path, count: int, predictor: Predictor, cache: Path) -> Pictures:
    """Return the first `count` pictures of a rendered folder; `cache` keeps what is predicted."""
    if not cache.exists():
        data = FolderDataset(folder)
        images, objects, inverse = [], [], []
        for n in range(count):
            photo = Photo(data[n].target.image)
            images.append((photo.image[0].permute(1, 2, 0) * 255).round().to(torch.uint8))
            numbers = data.objects(n)[0, 0].numpy()
            objects.append(torch.from_numpy(np.searchsorted(np.union1d(numbers, 0), numbers).astype(np.uint16)))
            inverse.append(predictor(photo).inverse_depth[0, 0])
        stacks = {"images": images, "objects": objects, "inverse_depth": inverse}
        with appearing(cache.parent) as private:
            save_file({name: torch.stack(x).contiguous() for name, x in stacks.items()}, private / cache.name)
    return Pictures(**{name: x.numpy() for name, x in load_file(cache).items()})


def looked(pictures: Pictures, rng: random.Random) -> Look | None:
    """Return a random look at a random picture, with clicks; None where it shows no thing."""
    n, crop = rng.randrange(len(pictures.images)), rng.random() < CROPPED
    planes = np.stack([pictures.objects[n].astype(np.float32), pictures.inverse_depth[n]], -1)
    image, planes = look(pictures.images[n] / np.float32(255), planes, rng, crop=crop)
    objects = planes[..., 0].astype(np.int64)
    numbers, sizes = np.unique(objects, return_counts=True)
    things = {int(k): size / objects.size for k, size in zip(numbers, sizes, strict=True) if k}
    things = {k: min(1.0, share / COMMON) for k, share in things.items() if share >= LEAST}
    if not things:
        return None
    h, w = objects.shape
    masks = {k: cv2.resize((objects == k).astype(np.float32), (w // 4, h // 4), interpolation=cv2.INTER_AREA)
             for k in things}  # fmt: skip
    shares = np.stack([1 - sum(masks.values()), *masks.values()])
    masks[0] = np.zeros_like(shares[0])
    clicked = [
        0 if numbers[0] == 0 and rng.random() < EMPTY else rng.choices([*things], [*things.values()])[0]
        for _ in range(CLICKS)
    ]
    inside = {k: inner_points(objects == k) for k in set(clicked)}
    y, x = np.divmod([inside[k][rng.randrange(len(inside[k]))] for k in clicked], w)
    return Look(
        image,
        planes[..., 1],
        np.stack([(x + 0.5) / w, (y + 0.5) / h], -1).astype(np.float32),
        np.stack([masks[k] for k in clicked]),
        np.where(shares.max(0) >= PURE, shares.argmax(0), -1),
    )


def look(
    image: Picture, planes: Float[np.ndarray, "h w c"], rng: random.Random, *, crop: bool
) -> tuple[Picture, Float[np.ndarray, "h w c"]]:
    """Return a picture and planes of it, or a crop at their size, mirrored or not, in other light, colours, blur and
    noise."""
    h, w = image.shape[:2]
    if crop:
        side, aspect = math.exp(rng.uniform(math.log(SMALLEST), 0)), math.exp(rng.gauss(0, 0.12))
        high, wide = min(h, round(h * side * aspect)), min(w, round(w * side / aspect))
        y, x = rng.randint(0, h - high), rng.randint(0, w - wide)
        image = cv2.resize(image[y : y + high, x : x + wide], (w, h), interpolation=cv2.INTER_LINEAR)
        planes = np.atleast_3d(cv2.resize(planes[y : y + high, x : x + wide], (w, h), interpolation=cv2.INTER_NEAREST))
    if rng.random() < 0.5:
        image, planes = image[:, ::-1], planes[:, ::-1]
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
    return np.clip(image, 0, 1).astype(np.float32), np.ascontiguousarray(planes)


def inner_points(mask: Mask) -> Int[np.ndarray, " points"]:
    """Return the flat indices of pixels inside a mask, away from its outline and the picture's border."""
    away = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    return np.flatnonzero(away >= min(2.0, INNER * float(away.max())))


def inner_point(mask: Mask, rng: random.Random) -> tuple[int, int]:
    """Return a random pixel (x, y) inside a mask, away from its outline and the picture's border."""
    inside = inner_points(mask)
    y, x = divmod(inside[rng.randrange(len(inside))], mask.shape[1])
    return int(x), int(y)


def train(
    data: Sequence[Pictures], steps: int, seed: int, folder: Path, start: Mapping[str, Tensor] | None = None
) -> SubjectNet:
    """Return a network trained on families of pictures, all as often; its encoder begins with the weights `start`.

    An interrupted run goes on from the state in `folder`; a complete one is read. The same seed gives the same weights
    on a machine.
    """
    torch.manual_seed(seed)
    network = SubjectNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if start is not None:
        network.encoder.load_state_dict(start)
    encoder = list(network.encoder.parameters())
    head = [weights for name, weights in network.named_parameters() if not name.startswith("encoder.")]
    rates = RATE, ENCODER_RATE
    groups = [{"params": some, "lr": rate} for some, rate in zip((head, encoder), rates, strict=True)]
    optimiser = torch.optim.AdamW(groups, weight_decay=1e-3)
    state, first = folder / "state.pt", 0
    if state.exists():
        stored = torch.load(state, weights_only=True)
        network.load_state_dict(stored["network"])
        optimiser.load_state_dict(stored["optimiser"])
        first = stored["step"]
    losses = []
    for step in range(first, steps):
        rng = random.Random(f"subject {seed} {step}")
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / steps))
        looks = list[Look]()
        while len(looks) < PICTURES:
            looks += filter(None, [looked(rng.choice(data), rng)])
        loss = _loss(network, looks, np.random.default_rng(rng.getrandbits(32)))
        optimiser.zero_grad()
        loss.backward()
        for some in (head, encoder):
            torch.nn.utils.clip_grad_norm_(some, 1.0)
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


def _loss(network: SubjectNet, looks: Sequence[Look], rng: np.random.Generator) -> Float[Tensor, ""]:
    """Return cross-entropy plus 1 - soft IoU of the masks of all clicks, plus `key_loss`."""
    image = torch.from_numpy(np.stack([some.image for some in looks])).permute(0, 3, 1, 2)  # channels last
    inverse = torch.from_numpy(np.stack([some.inverse_depth for some in looks]))[:, None]
    points = torch.from_numpy(np.stack([some.points for some in looks]))[:, :, None]
    target = torch.from_numpy(np.concatenate([some.masks for some in looks]))
    embeddings = network.embed(image, inverse)
    logits = network(embeddings, points).flatten(0, 1)
    mask = logits.sigmoid()
    overlap, union = (mask * target).sum((1, 2)), (mask + target - mask * target).sum((1, 2))
    some = target.sum((1, 2)) > 0
    of_masks = F.binary_cross_entropy_with_logits(logits, target) + ((1 - overlap / union) * some).mean()
    of_keys = [key_loss(key, one.owners.flatten(), rng) for key, one in zip(embeddings[1], looks, strict=True)]
    return of_masks + torch.stack(of_keys).mean()


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
