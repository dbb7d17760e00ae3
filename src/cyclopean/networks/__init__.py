"""Images in, tensors out. Networks know neither cameras nor losses.

A dense network maps an image `b 3 h w` (or two, `b 6 h w`) to four raw head outputs (before any bounding), finest
first: `b outputs h/2^s w/2^s`. Sizes must be multiples of its `multiple`.
"""

import importlib
from typing import Protocol

from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.errors import unknown_name

NETWORKS = {
    "vgg": "cyclopean.networks.vgg:Vgg",
    "compact": "cyclopean.networks.compact:Compact",
    "mobile": "cyclopean.networks.mobile:Mobile",
    "resnet18": "cyclopean.networks.resnet:resnet18",
    "resnet50": "cyclopean.networks.resnet:resnet50",
    "resnet50-elu": "cyclopean.networks.resnet_elu:ResnetElu",
    "resnet50-elu-projected": "cyclopean.networks.resnet_elu:projected",
}

# Networks for panoramas: an image `b 3 h w` in [0,1] to one map `b 1 h w`, which a method takes for disparity or depth.
STUDENTS = {
    "mobile": "cyclopean.networks.mobile:Panoramic",
}


class Dense(Protocol):
    """A network, as methods need it."""

    multiple: int

    def __call__(self, image: Float[Tensor, "b c h w"], /) -> list[Tensor]:
        """Return raw head outputs at scales 1, 1/2, 1/4, 1/8."""
        ...

    def features(self, image: Float[Tensor, "b c h w"], /) -> list[Tensor]:
        """Return the features of the first layers, at 1/2 and 1/4."""
        ...


def build(network: str, width: float, outputs: int, inputs: int = 3) -> nn.Module:
    """Return the network of that name, a `Dense`: its channels multiplied by `width`, `outputs` channels in each head.

    `inputs`: 3 for one picture, 6 for two.
    """
    if network not in NETWORKS:
        raise unknown_name("network", network, NETWORKS)
    module, name = NETWORKS[network].split(":")
    return getattr(importlib.import_module(module), name)(width, outputs, inputs)


def build_student(network: str) -> nn.Module:
    """Return the network for panoramas of that name. Sizes must be multiples of its `multiple`."""
    if network not in STUDENTS:
        raise unknown_name("student", network, STUDENTS)
    module, name = STUDENTS[network].split(":")
    return getattr(importlib.import_module(module), name)()
