"""Rendering stays on the device that it was given, and asks the host for little. No GPU is needed to see both."""

from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import Subset

from cyclopean import synthetic
from cyclopean.data.rendered import WorldsDataset
from cyclopean.geometry import Pinhole
from cyclopean.methods.supervised import Supervised
from cyclopean.synthetic import raycast, render, rigs, shading
from cyclopean.synthetic.batch import batch_scenes
from cyclopean.synthetic.scene import Atmosphere, Builder, Light, Material
from cyclopean.training.dataset import TrainData
from cyclopean.training.dataset_wrappers import Mapped
from cyclopean.training.loader import Batches
from cyclopean.training.options import Run
from cyclopean.training.state import mean_losses

SIZE = (32, 48)


@pytest.fixture
def elsewhere():
    """Torch makes tensors on a device without numbers where a function forgets to say which device it means."""
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)


@pytest.mark.parametrize("rig", list(synthetic.RIGS))
@pytest.mark.parametrize("family", list(synthetic.FAMILIES))
def test_nothing_lands_on_the_default_device(family, rig, elsewhere):
    pictures = torch.full((2, 3, 16, 16), 0.5, device="cpu")
    there = rigs.sample(family, 5, SIZE, rig, pictures=pictures, device="cpu")
    torch.set_default_device(None)
    here = rigs.sample(family, 5, SIZE, rig, pictures=pictures)
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


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """Many scenes, points and pairs at once."""
    monkeypatch.delitem(rigs._TOGETHER, "cpu")
    monkeypatch.delitem(render._AT_ONCE, "cpu")
    monkeypatch.delitem(raycast._AT_ONCE, "cpu")


def views(sample):
    return torch.cat([sample.target.image, *(source.image for source in sample.sources)])


@pytest.mark.parametrize("photographs", [False, True])
@pytest.mark.parametrize("rig", list(synthetic.RIGS))
def test_scenes_rendered_together_are_those_rendered_alone(rig, photographs, request):
    """Of all families, indoors and out, with suns and lamps, with and without sky; and each with its own camera."""
    pictures = torch.rand(3, 3, 32, 32) if photographs else None
    names = [(family, 3) for family in synthetic.FAMILIES] + [(family, 8) for family in synthetic.ALL]
    alone = [rigs.sample(*name, SIZE, rig, pictures=pictures) for name in names]
    request.getfixturevalue("as_on_a_gpu")
    together = rigs.samples(names, SIZE, rig, pictures=pictures)
    assert [made.name for made in together] == [made.name for made in alone]
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(views(one), views(other), rtol=0, atol=1e-5)
        assert torch.equal(one.depth, other.depth)
        assert torch.equal(one.target.valid, other.target.valid)
        for source, same in zip(one.sources, other.sources, strict=True):
            assert torch.equal(source.from_target, same.from_target)
        if rig != "sphere":
            assert torch.equal(one.target.camera.focal, other.target.camera.focal)


@pytest.mark.parametrize("together", [1, 3, 4])
def test_a_list_is_rendered_in_parts(together, monkeypatch):
    names = [(synthetic.ALL[k % 4], k) for k in range(7)]
    alone = [rigs.sample(*name, SIZE) for name in names]
    monkeypatch.setitem(rigs._TOGETHER, "cpu", together)
    made = rigs.samples(names, SIZE)
    assert [one.name for one in made] == [one.name for one in alone]
    for one, other in zip(made, alone, strict=True):
        torch.testing.assert_close(views(one), views(other), rtol=0, atol=1e-5)
    assert rigs.samples([], SIZE) == []


def test_a_point_at_the_origin_is_lit_by_no_lamp_of_another_scene():
    """Distance and reach are both nothing there: their ratio must not be."""
    ground = ("plane", (0, 0, 0), (1, 1, 1), Material())
    scenes = []
    for lights in ((), (Light((0.0, -3.0, 2.0), (9.0, 9.0, 9.0), 2.0),)):
        builder = Builder()
        builder.add(*ground)
        scenes.append(builder.scene(lights, Atmosphere(), "room", 0))
    down = torch.eye(4)
    down[:3, :3] = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    down[1, 3] = -2
    camera = Pinhole(torch.tensor([[0.8, 0.8]] * 2), torch.tensor([[0.5, 0.5]] * 2))
    made = render.render_batch(batch_scenes(scenes), camera, down.repeat(2, 1, 1, 1), (33, 33))
    assert made.depth[0, 0, 16, 16] == 2  # straight down
    assert made.light.isfinite().all()


def test_no_clouds_are_none_beside_a_cloudy_scene_too():
    builder = Builder()
    builder.add("plane", (0, 1, 0), (1, 1, 1), Material())
    clear, cloudy = (builder.scene((), Atmosphere(clouds=clouds), "street", 0) for clouds in (0.0, 0.8))
    up = torch.nn.functional.normalize(torch.rand(3, 40000) - torch.tensor([[0.5], [1.1], [0.5]]), dim=0)
    world = torch.arange(40000) % 2
    made = shading.cloudy_sky(batch_scenes([clear, cloudy]), up, world)
    blue = shading.clear_sky(batch_scenes([clear]), up, None)
    assert torch.equal(made[:, ::2], blue[:, ::2])
    assert torch.equal(shading.cloudy_sky(batch_scenes([clear]), up, None), blue)
    assert ((made - blue)[:, 1::2].abs() > 0.02).any(0).float().mean() > 0.3


def test_a_scene_without_light_or_sky_keeps_to_itself_beside_others(as_on_a_gpu):
    """What another scene has (a sun, a lamp, clouds, primitives) reaches none of its points."""
    ball, box = (("ellipsoid", (0, 0, 4), (1, 1, 1)), ("box", (0.3, -0.2, 5), (2, 1, 1)))
    lamp, sun = Light((0.0, -3.0, 2.0), (9.0, 9.0, 9.0), 2.0), Light((0.6, -0.8, 0.0), (2.0, 2.0, 2.0))
    scenes = []
    for shapes, lights, clouds in (
        ([], (), 0.0),
        ([ball], (), 0.0),
        ([ball, box], (sun,), 0.9),
        ([box] * 3, (lamp, lamp), 0.4),
    ):
        builder = Builder()
        builder.add("plane", (0, 1.5, 0), (1, 1, 1), Material("road"))
        for shape in shapes:
            builder.add(*shape, Material("brick", gloss=0.5))
        scenes.append(builder.scene(lights, Atmosphere(clouds=clouds, horizon=(clouds, 0.5, 0.7)), "street", 0))
    camera = Pinhole(torch.tensor([[0.8, 1.2]]), torch.tensor([[0.5, 0.5]]))
    poses = torch.eye(4).repeat(2, 1, 1)
    poses[1, 0, 3] = 0.3
    every = Pinhole(camera.focal.repeat(4, 1), camera.center.repeat(4, 1))
    together = render.render_batch(batch_scenes(scenes), every, poses.repeat(4, 1, 1, 1), SIZE)
    for k, scene in enumerate(scenes):
        alone = render.render(scene, camera, poses, SIZE)
        torch.testing.assert_close(together.light[2 * k : 2 * k + 2], alone.light, rtol=0, atol=1e-5)
        assert torch.equal(together.depth[2 * k : 2 * k + 2], alone.depth)


def test_work_asked_for_hardly_grows_with_the_number_of_scenes(as_on_a_gpu):
    counts = []
    for number in (4, 16):
        with Operations() as made:
            rigs.samples([(synthetic.ALL[k % 4], k % 4) for k in range(number)], SIZE)
        counts.append(sum(name not in FREE for name in made.names))
    few, many = counts
    assert many < 1.3 * few
    assert many / 16 < 500  # a pair rendered alone needs thousands


def test_a_batch_waits_for_the_host_as_seldom_as_a_scene(as_on_a_gpu):
    with Operations() as made:
        rigs.samples([(synthetic.ALL[k % 4], k) for k in range(16)], SIZE)
    assert sum(name in WAITS for name in made.names) < 40


def test_batches_for_training_are_rendered_together(as_on_a_gpu, monkeypatch):
    asked = []
    original = rigs._photographed
    monkeypatch.setattr(rigs, "_photographed", lambda stands, *a: asked.append(len(stands)) or original(stands, *a))
    items = WorldsDataset(synthetic.ALL, "stereo", 0, SIZE, 9)
    batches = Batches(TrainData(Mapped(Subset(items, [1, 2, 3, 5, 8]))), seed=0, multiple=8)
    batch = batches[0, [(0, 1), (4, 2), (2, 3)]]
    assert asked == [3]
    assert batch.name == ("room-000001", "street-000008", "landscape-000003")
    assert torch.equal(batch.depth[1:2], items[8].depth)
    asked.clear()
    size = Supervised("compact", 0.1).input_multiple
    held = WorldsDataset(synthetic.ALL, "stereo", 0, (size, size), 5)
    mean_losses(Supervised("compact", 0.1), held, Run(Path("nowhere"), batch_size=4))
    assert asked == [4, 1]


# What changes how a tensor is looked at, and moves nothing.
FREE = {"view", "_unsafe_view", "select", "slice", "unbind", "permute", "expand", "transpose", "alias", "detach", "t"}
FREE |= {"unsqueeze", "squeeze", "as_strided", "split", "diagonal", "movedim", "unfold"}
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
        scene = builder.scene((Light((0.6, -0.8, 0.0), (2.0, 2.0, 2.0)),), Atmosphere(), "street", 0)
        camera = Pinhole(torch.tensor([[0.8, 1.2]]), torch.tensor([[0.5, 0.5]]))
        with Operations() as made:
            render.render(scene, camera, torch.eye(4).expand(2, 4, 4), SIZE)
        asked.append(made.names)
    few, many = asked
    assert sorted(few) == sorted(many)
    assert sum(name in WAITS for name in few) < 20
