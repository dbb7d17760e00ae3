"""Networks for panoramas: their published sizes, any size of picture, what wraps, and that every weight learns."""

import math

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, pixel_grid
from cyclopean.networks import STUDENTS, bifuse, build_student, egformer, hohonet
from cyclopean.networks.bifuse import Bifuse
from cyclopean.networks.egformer import Geometric, Tangent, column_bias, row_bias, tangent_points
from cyclopean.networks.hohonet import Hohonet, Squeeze, cosines
from cyclopean.networks.resnet import Circular, Encoder, start_from

PUBLISHED = {  # parameters; of "mobile", which is ours, those that docs/students.md states
    "coordnet": 1_696_483,
    "mobile": 3_503_497,
    "unifuse": 30_263_281,
    "unifuse34": 50_479_601,
    "unifuse50": 131_301_617,
    "bifuse++": 52_487_905,
    "hohonet": 49_466_433,
    "egformer": 15_388_711,
}
NARROW = {"hohonet": 0.125}


def narrow(name: str) -> nn.Module:
    torch.manual_seed(0)
    return build_student(name, NARROW.get(name, 0.25))


def test_published_sizes():
    for name, count in PUBLISHED.items():
        with torch.device("meta"):
            assert sum(p.numel() for p in build_student(name).parameters()) == count, name
    with pytest.raises(InputError, match=r"unknown student 'unifus'.*unifuse"):
        build_student("unifus")


@pytest.mark.parametrize("name", STUDENTS)
def test_any_size_and_every_weight_learns(name):
    network = narrow(name)
    for size in ((64, 128), (128, 256), (192, 384)):
        if size[0] % network.multiple == 0:
            output = network(torch.rand(2, 3, *size))
            assert output.shape == (2, 1, *size)
    network(torch.rand(2, 3, 128, 256)).square().mean().backward()
    assert [k for k, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_pictures_are_normalised_once():
    """The trap: HoHoNet's release is fed normalised pictures, and normalises them again."""
    image = torch.rand(1, 3, 64, 128)
    for name in ("hohonet", "unifuse", "bifuse++"):
        network, seen = narrow(name).eval(), []
        network.encoder.conv1.register_forward_hook(lambda _m, inputs, _o, seen=seen: seen.append(inputs[0]))
        with torch.no_grad():
            network(image)
        torch.testing.assert_close(seen, [(image - 0.45) / 0.225])


def test_any_device():
    """Without numbers: a table of geometry that is made elsewhere than on the picture's device would be refused."""
    for name in ("bifuse++", "coordnet", "egformer", "hohonet", "mobile", "unifuse"):
        with torch.device("meta"):
            network = build_student(name)
        assert network(torch.rand(2, 3, 512, 1024, device="meta")).shape == (2, 1, 512, 1024)


@pytest.mark.parametrize(
    "name",
    ["bifuse++", "coordnet", "hohonet", "mobile", "unifuse", pytest.param("egformer", marks=pytest.mark.slow)],
)
def test_the_papers_size(name):
    """As published: 512x1024, all channels."""
    with torch.no_grad():
        output = build_student(name).eval()(torch.rand(1, 3, 512, 1024))
    assert output.shape == (1, 1, 512, 1024)
    assert output.isfinite().all()


@pytest.mark.parametrize("name", [name for name in STUDENTS if name not in ("coordnet", "mobile", "egformer")])
def test_encoders_start_from_a_resnet(name, tmp_path):
    network = narrow(name)
    encoders = [part for part in network.modules() if isinstance(part, Encoder)]
    assert len(encoders) == (1 if name == "hohonet" else 2)
    tensors = {k: v for k, v in encoders[0].state_dict().items() if not k.endswith("tracked")}
    tensors = {k: v + 0.01 for k, v in tensors.items()}
    save_file(tensors, tmp_path / "r.safetensors")
    start_from(network, tmp_path / "r.safetensors")
    for encoder in encoders:
        assert torch.equal(encoder.layer3[0].conv1.weight, tensors["layer3.0.conv1.weight"])


def test_others_start_from_no_resnet(tmp_path):
    save_file(dict(Encoder(18, 0.125).state_dict()), tmp_path / "r.safetensors")
    with pytest.raises(InputError, match="only a ResNet can start"):
        start_from(build_student("mobile", 0.25), tmp_path / "r.safetensors")


# --- BiFuse++ ---


def test_bifuse_fuses_in_both_directions():
    """What changes on the cube alone reaches the panorama's next layer, and the other way round."""
    torch.manual_seed(0)
    network = Bifuse(34, 0.125).eval()
    image = torch.rand(1, 3, 128, 256)
    seen: dict[str, list[Tensor]] = {"whole": [], "cube": []}
    network.encoder.layer2.register_forward_hook(lambda m, inputs, output: seen["whole"].append(inputs[0]))
    network.cube_encoder.layer2.register_forward_hook(lambda m, inputs, output: seen["cube"].append(inputs[0]))
    with torch.no_grad():
        network(image)
        handle = network.cube_encoder.layer1.register_forward_hook(lambda m, i, output: 1.5 * output)
        network(image)
        handle.remove()
        network.encoder.layer1.register_forward_hook(lambda m, i, output: 1.5 * output)
        network(image)
    (whole, cube_changed, _), (cube, _, whole_changed) = seen["whole"], seen["cube"]
    assert whole.shape[-2:] == (32, 64)
    assert cube.shape == (6, 8, 16, 16)
    assert (cube_changed - whole).abs().max() > 1e-3
    assert (whole_changed - cube).abs().max() > 1e-3


def test_bifuse_fusion_is_residual():
    """Branches of zeros: the panorama stays, the cube goes to the panorama and back, and there is no skip."""
    torch.manual_seed(0)
    fuse = bifuse.Fusion(4).eval()
    for branch in (fuse.whole, fuse.cube, fuse.skip):
        nn.init.zeros_(branch[1].weight)
    whole, cube = torch.rand(2, 4, 16, 32), torch.rand(12, 4, 8, 8)
    out, around, skip = fuse(whole, cube)
    assert torch.equal(out, whole)
    assert torch.equal(around, bifuse.sphere_from_faces(cube, bifuse.BIFUSE, (16, 32)))
    assert skip.abs().max() == 0


# --- HoHoNet ---


def test_hohonets_cosines(golden):
    """Golden `hohonet_dct_basis`."""
    basis = cosines(8, 16, torch.zeros(1, dtype=torch.float64))
    torch.testing.assert_close(basis, golden("hohonet_dct_basis")["basis"], rtol=0, atol=1e-6)


def test_hohonet_starts_at_two_and_a_half_metres():
    torch.manual_seed(0)
    network = build_student("hohonet", 0.25).eval()
    with torch.no_grad():
        depth = network(torch.rand(1, 3, 64, 128))
        nn.init.zeros_(network.head[-1].weight)
        assert torch.equal(network(torch.rand(1, 3, 64, 128)), torch.full((1, 1, 64, 128), 2.5))
    assert (depth - 2.5).abs().max() < 2


def test_hohonet_turns_with_the_panorama(monkeypatch):
    """Every convolution, pooling and resize wraps; only the code of position does not turn with the picture."""
    torch.manual_seed(0)
    network = Hohonet(50, 0.125).double().eval()
    network.attend.double()
    image = torch.rand(1, 3, 64, 256, dtype=torch.float64)
    with torch.no_grad():
        assert (network(image.roll(96, -1)) - network(image).roll(96, -1)).abs().max() > 1e-4
        monkeypatch.setattr(hohonet, "positions", lambda x: torch.zeros_like(x[0]))
        turned, straight = network(image.roll(96, -1)), network(image).roll(96, -1)
        torch.testing.assert_close(turned, straight, rtol=0, atol=1e-9)
        for part in network.modules():  # zeros at the seam instead
            if isinstance(part, Circular) and part.margin:
                part.padding, part.margin = (part.margin, part.margin), 0
        assert (network(image.roll(96, -1)) - network(image).roll(96, -1)).abs().max() > 1e-4


def test_hohonets_columns_at_another_height():
    """The same picture with twice the rows has the same columns, and at its own height a kernel is used as it is."""
    torch.manual_seed(0)
    squeeze = Squeeze(8, 16, 2).eval()
    squeeze.reduce, squeeze.refine = nn.Identity(), nn.Identity()
    with torch.no_grad():
        squeeze.bias.uniform_()
        x = torch.rand(1, 2, 16, 12)
        own = squeeze(x)
        plain = torch.einsum("bchw,ch->bcw", hohonet.wider(x, 2), squeeze.column) + squeeze.bias[:, None]
        torch.testing.assert_close(own, plain)
        # a linear kernel and a column of one colour: the sum of weights does not depend on the height
        squeeze.column.copy_(torch.linspace(-1, 2, 16).expand(2, 16))
        flat = torch.ones(1, 2, 16, 12)
        for height in (4, 8, 32):
            other = torch.ones(1, 2, height, 12)
            torch.testing.assert_close(squeeze(other), squeeze(flat), rtol=1e-4, atol=1e-4)


def test_wider_is_linear_and_wraps():
    x = torch.tensor([0.0, 1.0, 2.0, 1.0]).view(1, 1, 1, 4)
    assert hohonet.wider(x, 2).flatten().tolist() == [0.25, 0.25, 0.75, 1.25, 1.75, 1.75, 1.25, 0.75]
    assert hohonet.wider(x, 1) is x


# --- EGformer ---

F64 = torch.float64


def test_egformer_turns_with_the_panorama(monkeypatch):
    """Attention, tangent planes, convolutions and resizing wrap: turned by the coarsest pixel, its map is turned."""
    torch.manual_seed(0)
    network = build_student("egformer", 0.25).double().eval()
    for part in network.modules():
        if isinstance(part, Tangent):  # whose offsets would all be 0 at the start
            nn.init.normal_(part.offsets.weight, std=0.5)
    image = torch.rand(1, 3, 64, 128, dtype=F64)
    with torch.no_grad():
        straight = network(image).roll(32, -1)
        torch.testing.assert_close(network(image.roll(32, -1)), straight, rtol=0, atol=1e-9)
        assert straight.std() > 1e-3
        monkeypatch.setattr(egformer, "wrapped", lambda x, margin: nn.functional.pad(x, (margin, margin, 0, 0)))
        assert (network(image.roll(32, -1)) - network(image).roll(32, -1)).abs().max() > 1e-5


def test_geometric_bias_is_the_distance_on_the_sphere():
    """Chords between the directions of pixels, by an independent way: their difference, signed, the short way round."""
    like = torch.zeros(1, dtype=F64)
    rays = Equirectangular().rays(pixel_grid((8, 16), like))[0]
    rows, columns = row_bias((8, 16), like), column_bias(8, like)
    assert rows.shape == (8, 1, 16, 16)
    torch.testing.assert_close(rows[:, 0].abs(), (rays[:, :, None] - rays[:, None]).norm(dim=-1))
    torch.testing.assert_close(columns[0].abs(), (rays[:, 0][:, None] - rays[:, 0][None]).norm(dim=-1))
    assert rows[3, 0, 4, 6] > 0  # to the right
    assert rows[3, 0, 15, 0] > 0  # over the seam
    assert rows[3, 0, 0, 15] < 0
    assert columns[0, 1, 3] > 0  # below
    assert columns[0, 3, 1] < 0


def test_scores_and_shares_of_attention():
    """A plain loop over rows: rows of attention of length one, 1 - cos, shares of each row, at least a half."""
    torch.manual_seed(0)
    block = Geometric(4, 2, upright=False).double()
    x = torch.rand(2, 3, 6, 4, dtype=F64)
    x[:, 1] *= 0.05  # a weak row
    with torch.no_grad():
        block.qkv.weight.mul_(3)
        attended, share = block.attend(x)
        q, k, v = block.qkv(x).chunk(3, -1)
        local = block.near(nn.functional.pad(hohonet.wrapped(v.permute(0, 3, 1, 2), 1), (0, 0, 1, 1)))
        bias = row_bias((3, 6), x)
        expected, strength = torch.zeros_like(x), torch.zeros(2, 3, dtype=F64)
        for b in range(2):
            for row in range(3):
                for head in (0, 1):
                    part = slice(2 * head, 2 * head + 2)
                    a = q[b, row, :, part] @ k[b, row, :, part].T / 2**0.5 + 0.1 * bias[row, 0]
                    score = 1 - (math.pi / 2 * a / a.square().sum(1, keepdim=True).sqrt()).cos()
                    expected[b, row, :, part] = score @ v[b, row, :, part]
                    strength[b, row] += a.abs().mean() / 2
        expected = block.out(expected + local.permute(0, 2, 3, 1))
    torch.testing.assert_close(attended, expected)
    torch.testing.assert_close(share[..., 0, 0], (strength / strength.amax(1, keepdim=True)).clamp_min(0.5))
    assert share.amax() == 1
    assert (share[:, 1] < 0.8).all()
    upright = Geometric(4, 2, upright=True).double()
    upright.load_state_dict(block.state_dict())
    assert upright.attend(x)[1].shape == (2, 1, 6, 1)
    assert not torch.allclose(upright.attend(x)[0], attended)


def test_weak_rows_keep_what_they_were(monkeypatch):
    block = Geometric(4, 1, upright=False)
    for parameter in block.perceptron.parameters():
        nn.init.zeros_(parameter)
    x, attended, share = torch.rand(1, 2, 6, 4), torch.rand(1, 2, 6, 4), torch.tensor([0.5, 1.0]).view(1, 2, 1, 1)
    monkeypatch.setattr(Geometric, "attend", lambda self, tokens: (attended, share))
    torch.testing.assert_close(block(x)[:, 0], 0.5 * (x + attended)[:, 0])
    torch.testing.assert_close(block(x)[:, 1], attended[:, 1])


def test_a_picture_is_judged_by_itself():
    torch.manual_seed(0)
    network = build_student("egformer", 0.25).eval()
    image = torch.rand(2, 3, 64, 128)
    with torch.no_grad():
        both, alone = network(torch.cat([image[:1], 5 * image[1:]])), network(image[:1])
    torch.testing.assert_close(both[:1], alone, rtol=1e-4, atol=1e-5)


def test_tangent_points_stand_on_a_tangent_plane():
    """On the equator they are the pixels around; at a pole they lie around it; each is one pixel away."""
    like = torch.zeros(1, dtype=F64)
    size = (64, 128)
    points = tangent_points(size, like)[0, 0]
    assert points.shape == (64, 128, 9, 2)
    centre = pixel_grid(size, like)[0]
    torch.testing.assert_close(points[:, :, 4], centre)
    pixels = (points - centre[:, :, None]) * torch.tensor([128.0, 64.0], dtype=F64)
    expected = torch.tensor([[x, y] for y in (-1.0, 0.0, 1.0) for x in (-1.0, 0.0, 1.0)], dtype=F64)
    assert (pixels[32, 5] - expected).abs().max() < 0.05
    rays, there = Equirectangular().rays(points[None, :, 0])[0], Equirectangular().rays(centre[None, :, :1])[0]
    apart = torch.acos((rays * there).sum(-1).clamp(-1, 1)) * 128 / (2 * math.pi)
    torch.testing.assert_close(apart[:, [1, 3, 5, 7]], torch.ones(64, 4, dtype=F64), rtol=0, atol=1e-3)
    assert pixels[0, 5, 3, 0] < -20  # beside the pole a pixel is wide


def test_values_are_read_where_the_offsets_say():
    """Equal weights, an offset of two columns to the right for all nine points, and the identity around it."""
    torch.manual_seed(0)
    block = Tangent(4, 2).double()
    with torch.no_grad():
        for layer in (block.value, block.out):
            layer.weight.copy_(torch.eye(4))
            layer.bias.zero_()
        block.weights.weight.zero_()
        block.weights.bias.copy_(torch.tensor([0.0, 0, 0, 0, 50, 0, 0, 0, 0] * 2))
        block.offsets.bias.copy_(torch.tensor([2.0, 0.0]).repeat(18))
        x = torch.rand(1, 8, 16, 4, dtype=F64)
        torch.testing.assert_close(block.attend(x), x.roll(-2, 2))
