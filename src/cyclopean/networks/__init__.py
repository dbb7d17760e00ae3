"""Images in, tensors out. Networks know neither cameras nor losses.

A dense network maps an image `b 3 h w` (or two, `b 6 h w`) to four raw head outputs (before any bounding), finest
first: `b outputs h/2^s w/2^s`. A student maps panoramas `b 3 h w`, twice as wide as high, to one map `b 1 h w`. Sizes
must be multiples of its `multiple`.
"""

from pkgutil import resolve_name
from typing import Protocol

from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.errors import unknown_name

NETWORKS = {
    "vgg": "cyclopean.networks.vgg:Vgg",
    "compact": "cyclopean.networks.compact:Compact",
    "mobile": "cyclopean.networks.mobile:Mobile",
    "compact-residual": "cyclopean.networks.coarse_to_fine:compact",
    "mobile-residual": "cyclopean.networks.coarse_to_fine:mobile",
    "resnet18": "cyclopean.networks.resnet:resnet18",
    "resnet50": "cyclopean.networks.resnet:resnet50",
    "resnet50-elu": "cyclopean.networks.resnet_elu:ResnetElu",
    "resnet50-elu-projected": "cyclopean.networks.resnet_elu:projected",
}

# Networks for panoramas, which a method takes for depth, as their papers do, or for disparity.
STUDENTS = {
    "coordnet": "cyclopean.networks.coordnet:plain",
    "mobile": "cyclopean.networks.mobile:panoramic",
    "bifuse++": "cyclopean.networks.bifuse:bifuse34",
    "egformer": "cyclopean.networks.egformer:Egformer",
    "hohonet": "cyclopean.networks.hohonet:hohonet50",
    "unifuse": "cyclopean.networks.unifuse:unifuse18",
    "unifuse34": "cyclopean.networks.unifuse:unifuse34",
    "unifuse50": "cyclopean.networks.unifuse:unifuse50",
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


class Student(Protocol):
    """A network for panoramas, as methods need it."""

    multiple: int

    def __call__(self, image: Float[Tensor, "b 3 h w"], /) -> Float[Tensor, "b 1 h w"]:
        """Return one map of the size of the panoramas."""
        ...


def build(network: str, width: float, outputs: int, inputs: int = 3) -> nn.Module:
    """Return the network of that name, a `Dense`: its channels multiplied by `width`, `outputs` channels in each head.

    `inputs`: 3 for one picture, 6 for two.
    """
    if network not in NETWORKS:
        raise unknown_name("network", network, NETWORKS)
    return resolve_name(NETWORKS[network])(width, outputs, inputs)


def build_student(network: str, width: float = 1.0) -> nn.Module:
    """Return the network for panoramas of that name, a `Student`: its channels multiplied by `width`."""
    if network not in STUDENTS:
        raise unknown_name("student", network, STUDENTS)
    return resolve_name(STUDENTS[network])(width)
