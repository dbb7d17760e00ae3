"""Rendering stays on the device that it was given, and asks the host for little. No GPU is needed to see both."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cyclopean import worlds
from cyclopean.data.worlds import WorldsDataset
from cyclopean.geometry import Pinhole
from cyclopean.worlds import raycast
from cyclopean.worlds.scene import Air, Builder, Light, Material

SIZE = (32, 48)


@pytest.fixture
def elsewhere():
    """Torch makes tensors on a device without numbers where a function forgets to say which device it means."""
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)


@pytest.mark.parametrize("rig", list(worlds.RIGS))
@pytest.mark.parametrize("family", list(worlds.FAMILIES))
def test_nothing_lands_on_the_default_device(family, rig, elsewhere):
    pictures = torch.full((2, 3, 16, 16), 0.5, device="cpu")
    there = worlds.sample(family, 5, SIZE, rig, pictures=pictures, device="cpu")
    torch.set_default_device(None)
    here = worlds.sample(family, 5, SIZE, rig, pictures=pictures)
    for one, other in zip((there.target, *there.sources), (here.target, *here.sources), strict=True):
        assert one.image.device.type == "cpu"
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.from_target, other.from_target)
    assert torch.equal(there.depth, here.depth)


def test_a_device_reaches_what_is_rendered():
    """The streaming data set passes it on: on a device without numbers rendering comes as far as its first look."""
    items = WorldsDataset(("room",), "stereo", 0, SIZE, 1, device="meta")
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        items[0]


class Operations(TorchDispatchMode):
    """Names of all operations that torch is asked for."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, _types, arguments=(), named=None):
        self.names.append(function.overloadpacket.__name__)
        return function(*arguments, **(named or {}))


WAITS = {"nonzero", "_local_scalar_dense", "item", "masked_select", "unique", "_unique2", "bincount", "is_nonzero"}


def test_work_asked_for_does_not_grow_with_the_number_of_primitives(monkeypatch):
    """On a GPU every operation costs its launch, and a question of the host a wait: none may come per primitive."""
    monkeypatch.setitem(raycast._AT_ONCE, "cpu", 1 << 30)  # as on a GPU: all pairs at once
    asked = []
    for number in (20, 300):
        builder = Builder()
        builder.add("plane", (0, 1, 0), (1, 1, 1), Material(seed=1))
        for k in range(number):
            builder.add("box", (k % 10 - 5, 0, 4 + k // 10), (0.3, 0.8, 0.3), Material(seed=k))
        scene = builder.scene((Light((0.6, -0.8, 0.0), (2.0, 2.0, 2.0)),), Air(), "street", 0, 80)
        camera = Pinhole(torch.tensor([[0.8, 1.2]]), torch.tensor([[0.5, 0.5]]))
        with Operations() as made:
            worlds.render(scene, camera, torch.eye(4).expand(2, 4, 4), SIZE)
        asked.append(made.names)
    few, many = asked
    assert sorted(few) == sorted(many)
    assert sum(name in WAITS for name in few) < 20
