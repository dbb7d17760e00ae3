"""ResNet encoders that may start from trained weights (He et al. 2016) and Monodepth2's decoder (Godard et al. 2019).

Layers have torchvision's names, so that its weights, timm's and (renamed) those of transformers fit: `pretrained`.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cyclopean.errors import InputError

CHANNELS = (64, 128, 256, 512)
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}  # of each layer
DECODER = (16, 32, 64, 128, 256)
HEADS = 4


class Resnet(nn.Module):
    """Encoder of `depth` layers, a decoder with ELU and reflected borders; width 1 for trained weights.

    Monodepth2 has 18: 11,176,512 parameters and 3,152,724 in the decoder with one output.
    """

    multiple: ClassVar[int] = 32

    def __init__(self, depth: int, width: float = 1.0, outputs: int = 1, inputs: int = 3) -> None:
        super().__init__()
        self.encoder = Encoder(depth, width, inputs)
        up, self.grow, self.merge = decoder(self.encoder.channels, width, Reflected)
        self.heads = nn.ModuleList(Reflected(c, outputs) for c in up[:HEADS])

    def features(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """Return the encoder's first two feature maps, at 1/2 and 1/4."""
        return self.encoder.first(image)

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        decoded = decode(self.grow, self.merge, self.encoder(image))
        return [head(x) for head, x in zip(self.heads, decoded, strict=False)]


def resnet18(width: float = 1.0, outputs: int = 1, inputs: int = 3) -> Resnet:
    return Resnet(18, width, outputs, inputs)


def resnet50(width: float = 1.0, outputs: int = 1, inputs: int = 3) -> Resnet:
    return Resnet(50, width, outputs, inputs)


class Reflected(nn.Conv2d):
    """A 3x3 convolution of a picture reflected at its borders; what is one pixel high or wide is repeated there."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__(into, out, 3)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        return super().forward(F.pad(x, (1, 1, 1, 1), "reflect" if min(x.shape[-2:]) > 1 else "replicate"))


def decoder(
    channels: Sequence[int], width: float, layer: Callable[[int, int], nn.Module]
) -> tuple[list[int], nn.ModuleList, nn.ModuleList]:
    """Return the channels of Monodepth2's decoder, finest first, and its convolutions before and after each upsampling.

    `channels` are those of the encoder, `layer` makes a 3x3 convolution.
    """
    up = [max(1, round(width * c)) for c in DECODER]
    below, skips = [*up[1:], channels[-1]], [0, *channels[:-1]]
    grow = nn.ModuleList(layer(a, b) for a, b in zip(below, up, strict=True))
    return up, grow, nn.ModuleList(layer(a + b, a) for a, b in zip(up, skips, strict=True))


def decode(grow: nn.ModuleList, merge: nn.ModuleList, features: Sequence[Tensor]) -> list[Tensor]:
    """Return the decoder's features at 1, 1/2, 1/4, 1/8 and 1/16, from the encoder's at 1/2 to 1/32."""
    *skips, x = features
    decoded = []
    for s in reversed(range(len(grow))):
        x = F.interpolate(F.elu(grow[s](x)), scale_factor=2, mode="nearest")
        x = F.elu(merge[s](torch.cat([x, skips[s - 1]], 1) if s else x))
        decoded.append(x)
    return decoded[::-1]


class Shortcut(nn.Conv2d):
    """A 1x1 convolution of every `step`-th pixel.

    The pixels are picked first: a 1x1 convolution with a stride, of fewer than 8 channels that come last, writes past
    the end of its memory when it is differentiated on a CPU (oneDNN 3.12, in torch 2.13), and the program dies.
    """

    def __init__(self, into: int, out: int, step: int, *, bias: bool = False) -> None:
        super().__init__(into, out, 1, bias=bias)
        self.step = step

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        return super().forward(x[:, :, :: self.step, :: self.step])


class Circular(nn.Conv2d):
    """A convolution that wraps across the seam of a panorama, and sees zeros above and below."""

    def __init__(
        self, into: int, out: int, kernel: int, stride: int = 1, padding: int = 0, *, bias: bool = True
    ) -> None:
        super().__init__(into, out, kernel, stride, (padding, 0), bias=bias)
        self.margin = padding

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        return super().forward(wrapped(x, self.margin))


def wrapped(x: Float[Tensor, "b c h w"], margin: int) -> Float[Tensor, "b c h w2"]:
    """Return `x` with `margin` more columns at both sides, of the other side."""
    return F.pad(x, (margin, margin, 0, 0), mode="circular") if margin else x


class Encoder(nn.Module):
    """Features at 1/2, 1/4, 1/8, 1/16 and 1/32, with `channels` each; `circular` ones wrap over a panorama's seam."""

    def __init__(self, depth: int, width: float = 1.0, inputs: int = 3, *, circular: bool = False) -> None:
        super().__init__()
        conv = Circular if circular else nn.Conv2d
        self.circular = circular
        c = [max(1, round(width * n)) for n in CHANNELS]
        grown = 4 if depth >= 50 else 1
        self.channels = [c[0], *(grown * n for n in c)]
        self.conv1 = conv(inputs, c[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(c[0])
        before = c[0]
        for k, (n, blocks) in enumerate(zip(c, BLOCKS[depth], strict=True)):
            made = [
                Block(before if j == 0 else grown * n, n, grown, 2 if k and j == 0 else 1, conv) for j in range(blocks)
            ]
            self.add_module(f"layer{k + 1}", nn.Sequential(*made))
            before = grown * n
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def first(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """Return features at 1/2 and at 1/4."""
        half = F.relu(self.bn1(self.conv1((image - 0.45) / 0.225)))
        pooled = F.max_pool2d(wrapped(half, 1), 3, 2, (1, 0)) if self.circular else F.max_pool2d(half, 3, 2, 1)
        return [half, self.get_submodule("layer1")(pooled)]

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Tensor]:
        features = self.first(image)
        for k in (2, 3, 4):
            features.append(self.get_submodule(f"layer{k}")(features[-1]))
        return features


class Block(nn.Module):
    """A residual block: two 3x3 convolutions, or (`grown` 4) 1x1, 3x3 with the stride and 1x1."""

    def __init__(
        self, into: int, inner: int, grown: int, stride: int, conv: Callable[..., nn.Conv2d] = nn.Conv2d
    ) -> None:
        super().__init__()
        kernels = ((3, stride), (3, 1)) if grown == 1 else ((1, 1), (3, stride), (1, 1))
        self.count, out = len(kernels), grown * inner
        for k, (kernel, step) in enumerate(kernels, 1):
            more = out if k == self.count else inner
            setattr(self, f"conv{k}", conv(into if k == 1 else inner, more, kernel, step, kernel // 2, bias=False))
            setattr(self, f"bn{k}", nn.BatchNorm2d(more))
        changes = stride != 1 or into != out
        around = (Shortcut(into, out, stride), nn.BatchNorm2d(out))
        self.downsample = nn.Sequential(*around) if changes else nn.Identity()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        y = x
        for k in range(1, self.count + 1):
            y = getattr(self, f"bn{k}")(getattr(self, f"conv{k}")(y))
            y = F.relu(y) if k < self.count else y
        return F.relu(y + self.downsample(x))


# --- trained weights --------------------------------------------------------------------------------------------------

RENAMED = (  # transformers' names -> torchvision's
    (r"^(resnet|model|encoder\.resnet)\.", ""),
    (r"^embedder\.embedder\.convolution", "conv1"),
    (r"^embedder\.embedder\.normalization", "bn1"),
    (r"^encoder\.stages\.(\d+)\.layers", lambda m: f"layer{int(m[1]) + 1}"),
    (r"\.layer\.(\d+)\.convolution", lambda m: f".conv{int(m[1]) + 1}"),
    (r"\.layer\.(\d+)\.normalization", lambda m: f".bn{int(m[1]) + 1}"),
    (r"\.shortcut\.convolution", ".downsample.0"),
    (r"\.shortcut\.normalization", ".downsample.1"),
)


def pretrained(path: Path) -> Encoder:
    """Return a ResNet of 18, 34 or 50 layers with the weights of a safetensors file, or a folder with one.

    Names as torchvision, timm and transformers write them. Raises `InputError` if the file holds something else.
    """
    tensors = _tensors(path)
    blocks = tuple(sum(f"layer{k}.{j}.conv1.weight" in tensors for j in range(99)) for k in range(1, 5))
    depth = next((d for d, n in BLOCKS.items() if n == blocks and (d >= 50) == ("layer1.0.conv3.weight" in tensors)), 0)
    if not depth:
        raise InputError(f"{path} holds no ResNet of 18, 34 or 50 layers; give such weights as safetensors.")
    encoder = Encoder(depth, tensors["conv1.weight"].shape[0] / CHANNELS[0])
    state = encoder.state_dict()
    wrong = [k for k, v in state.items() if not k.endswith("tracked") and tensors.get(k, v[..., None]).shape != v.shape]
    if wrong:
        raise InputError(f"{path} does not fit a ResNet{depth}: {wrong[0]} is missing or has another shape.")
    encoder.load_state_dict({k: tensors.get(k, v) for k, v in state.items()})
    return encoder


def start_from(network: nn.Module, path: Path) -> None:
    """Give every ResNet encoder of a network a trained one's weights; of two pictures at once each gets half of its
    first filters."""
    trained = pretrained(path).state_dict()
    encoders = [part for part in network.modules() if isinstance(part, Encoder)]
    if not encoders:
        raise InputError(f"only a ResNet can start from {path}; choose a network with one, as resnet18 or unifuse.")
    for encoder in encoders:
        times = encoder.conv1.in_channels // 3
        first = trained["conv1.weight"].repeat(1, times, 1, 1) / times
        tensors = {**trained, "conv1.weight": first}
        if {k: v.shape for k, v in tensors.items()} != {k: v.shape for k, v in encoder.state_dict().items()}:
            raise InputError(f"{path} holds a ResNet of another size; choose --network and --width alike.")
        encoder.load_state_dict(tensors)


def _tensors(path: Path) -> dict[str, Tensor]:
    file = path / "model.safetensors" if path.is_dir() else path
    try:
        tensors = load_file(file)
    except (FileNotFoundError, SafetensorError, OSError):
        raise InputError(f"{file} is missing or no safetensors file; give a ResNet's weights.") from None
    for pattern, name in RENAMED:
        tensors = {re.sub(pattern, name, k): v for k, v in tensors.items()}
    return tensors
