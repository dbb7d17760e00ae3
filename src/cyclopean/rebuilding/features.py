"""What features may be compared: the network's own first ones, or those of a network that was trained for others."""

from dataclasses import dataclass, field
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from cyclopean.networks.resnet import Encoder, pretrained
from cyclopean.rebuilding.sides import Features


def features_of(name: str, network: nn.Module, views: int = 1) -> Features | None:
    """The function behind `Rules.features`: none, own, or a folder or file with a ResNet's weights.

    A network that looks at two `views` at once is shown the same picture twice.
    """
    if name == "none":
        return None
    return Own(network, views) if name == "own" else Perceptual(Path(name))


@dataclass(frozen=True)
class Own:
    """What the first layers of the method's network say of one picture."""

    network: nn.Module
    views: int

    def __call__(self, image: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        return self.network.features(image.repeat(1, self.views, 1, 1))  # type: ignore[operator]


@dataclass
class Perceptual:
    """A ResNet's features at 1/2 and 1/4. Its file is read when first needed: who only predicts does not need it."""

    path: Path
    held: list[Encoder] = field(default_factory=list)

    def __call__(self, image: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        if not self.held:
            self.held.append(pretrained(self.path).eval().requires_grad_(False))
        return self.held[0].to(image.device)(image)[:2]
