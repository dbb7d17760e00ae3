"""The five verbs: exact transposes, numpy loops as references, true worlds on every rig, fixtures of the papers."""

import numpy as np
import pytest
import torch

from analytic import F64, RIGS, SPHERE, Pair, photograph, psnr
from cyclopean.errors import InputError
from cyclopean.geometry import invert, pixel_grid, reproject, reproject_shell
from cyclopean.synthesis import blend, pull, pull_linearized, push, splat

every_rig = pytest.mark.parametrize("name", RIGS)
every_border = pytest.mark.parametrize("border", ["zeros", "edge", "sphere"])


def anywhere(b: int, h: int, w: int) -> torch.Tensor:
    """uv inside, outside, several turns away, on pixel centres, on the edges and in the corners."""
    uv = torch.rand(b, h, w, 2, dtype=F64) * 5 - 2
    uv[:, 0] = uv[:, 0].round()
    uv[:, 1] = (uv[:, 1] * 8).floor() / 8 + 1 / 16
    uv[:, 2:] = torch.rand(b, h - 2, w, 2, dtype=F64) * 1.2 - 0.1
    return uv


def loop_neighbours(u: float, v: float, h: int, w: int, border: str):
    """The up to four (row, column, share) around one uv, written from the definition of each border."""
    x, y = u * w - 0.5, v * h - 0.5
    i0, j0 = int(np.floor(y)), int(np.floor(x))
    for i, j in ((i0, j0), (i0, j0 + 1), (i0 + 1, j0), (i0 + 1, j0 + 1)):
        share = (1 - abs(x - j)) * (1 - abs(y - i))
        if border == "zeros" and not (0 <= i < h and 0 <= j < w):
            continue
        if border == "edge":
            i, j = min(max(i, 0), h - 1), min(max(j, 0), w - 1)  # noqa: PLW2901
        if border == "sphere":
            i %= 2 * h  # noqa: PLW2901
            if i >= h:  # past a pole: down again, half a turn on
                i, j = 2 * h - 1 - i, j + w // 2  # noqa: PLW2901
            j %= w  # noqa: PLW2901
        yield i, j, share


def loop_pull(image: np.ndarray, uv: np.ndarray, border: str) -> np.ndarray:
    out = np.zeros((*image.shape[:2], *uv.shape[1:3]))
    for b, r, c in np.ndindex(*uv.shape[:3]):
        for i, j, share in loop_neighbours(*uv[b, r, c], *image.shape[2:], border):
            out[b, :, r, c] += share * image[b, :, i, j]
    return out


def loop_push(values: np.ndarray, uv: np.ndarray, border: str, size: tuple[int, int]) -> np.ndarray:
    out = np.zeros((*values.shape[:2], *size))
    for b, r, c in np.ndindex(*uv.shape[:3]):
        for i, j, share in loop_neighbours(*uv[b, r, c], *size, border):
            out[b, :, i, j] += share * values[b, :, r, c]
    return out


@every_border
def test_pull_against_a_loop(border):
    image, uv = torch.rand(2, 3, 6, 10, dtype=F64), anywhere(2, 5, 7)
    expected = loop_pull(image.numpy(), uv.numpy(), border)
    torch.testing.assert_close(pull(image, uv, border), torch.from_numpy(expected))


@every_border
def test_push_against_a_loop(border):
    values, uv = torch.rand(2, 3, 5, 7, dtype=F64), anywhere(2, 5, 7)
    expected = loop_push(values.numpy(), uv.numpy(), border, (6, 10))
    torch.testing.assert_close(push(values, uv, border, (6, 10)), torch.from_numpy(expected))


@every_border
@pytest.mark.parametrize("seed", range(5))
def test_push_is_the_transpose_of_pull(border, seed):
    """<pull(I, uv), J> = <I, push(J, uv)>, wherever uv points to."""
    torch.manual_seed(seed)
    image, values, uv = torch.randn(2, 3, 6, 10, dtype=F64), torch.randn(2, 3, 5, 7, dtype=F64), anywhere(2, 5, 7)
    pulled = (pull(image, uv, border) * values).sum()
    pushed = (image * push(values, uv, border, (6, 10))).sum()
    torch.testing.assert_close(pulled, pushed)


@pytest.mark.parametrize("border", ["edge", "sphere"])
def test_nothing_gets_lost_where_there_is_no_outside(border):
    values = torch.rand(1, 2, 5, 7, dtype=F64)
    canvas = push(values, anywhere(1, 5, 7), border, (6, 10))
    torch.testing.assert_close(canvas.sum((2, 3)), values.sum((2, 3)))


@every_border
def test_identity(border):
    image = torch.rand(1, 3, 6, 10, dtype=F64)
    here = pixel_grid((6, 10), image)
    for verb in (pull, pull_linearized, push):
        torch.testing.assert_close(verb(image, here, border), image)
    again, coverage = splat(image, here, torch.rand(1, 1, 6, 10, dtype=F64) + 0.1, border)
    torch.testing.assert_close(again, image)
    assert (coverage > 0).all()


def smooth_uv(h: int, w: int) -> torch.Tensor:
    """uv well inside the cells between pixel centres of a 4 x 6 image, where bilinear sampling has a derivative."""
    cell = torch.stack([torch.randint(-1, 6, (1, h, w)), torch.randint(-1, 4, (1, h, w))], -1)
    inside = torch.rand(1, h, w, 2, dtype=F64) * 0.8 + 0.1
    return (cell + inside + 0.5) / torch.tensor([6.0, 4.0], dtype=F64)


@every_border
def test_gradcheck(border):
    image, uv = torch.rand(1, 2, 4, 6, dtype=F64, requires_grad=True), smooth_uv(4, 6).requires_grad_()
    weight = (torch.rand(1, 1, 4, 6, dtype=F64) + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda i, u: pull(i, u, border), (image, uv))
    assert torch.autograd.gradcheck(lambda i, u: push(i, u, border), (image, uv))
    assert torch.autograd.gradcheck(lambda i, u, w: splat(i, u, w, border), (image, uv, weight))


@every_border
def test_linearized_pull_has_the_same_value_and_the_central_difference(border):
    """Garg et al., Eq. 3: at pixel centres d/du is (I[j+1] - I[j-1]) W/2, with neighbours as the border has them."""
    image = torch.rand(1, 1, 6, 10, dtype=F64)
    uv = anywhere(1, 6, 10)
    torch.testing.assert_close(pull_linearized(image, uv, border), pull(image, uv, border))

    centres = pixel_grid((6, 10), image).clone().requires_grad_()
    pull_linearized(image, centres, border).sum().backward()
    i, j = torch.meshgrid(torch.arange(1, 5), torch.arange(1, 9), indexing="ij")
    across = (image[0, 0, i, j + 1] - image[0, 0, i, j - 1]) * 5
    down = (image[0, 0, i + 1, j] - image[0, 0, i - 1, j]) * 3
    torch.testing.assert_close(centres.grad[0, 1:-1, 1:-1], torch.stack([across, down], -1))
    left = image[0, 0, :, -1] if border == "sphere" else image[0, 0, :, 0]
    torch.testing.assert_close(centres.grad[0, :, 0, 0], (image[0, 0, :, 1] - left) * 5)


def test_linearized_pull_is_linear_in_the_step():
    """It has a slope on both sides of a thin line, where bilinear sampling has kinks: its whole point."""
    image = torch.tensor([0.0, 0, 1, 0, 0, 0], dtype=F64).view(1, 1, 1, 6).repeat(1, 1, 4, 1)
    uv = pixel_grid((4, 6), image).clone().requires_grad_()
    pull_linearized(image, uv, "edge").sum().backward()
    torch.testing.assert_close(uv.grad[0, 0, :, 0], torch.tensor([0.0, 3, 0, -3, 0, 0], dtype=F64))


def test_blend_is_softmax_and_weighted_sum():
    layers, logits = torch.rand(2, 5, 3, 4, 6, dtype=F64), torch.randn(2, 5, 4, 6, dtype=F64)
    expected = torch.einsum("bnhw,bnchw->bchw", logits.softmax(1), layers)
    torch.testing.assert_close(blend(iter(layers.unbind(1)), logits), expected)


def test_blend_gradcheck():
    layers, logits = torch.rand(3, 1, 2, 2, 3, dtype=F64), torch.randn(1, 3, 2, 3, dtype=F64)
    assert torch.autograd.gradcheck(
        lambda a, b: blend(a.unbind(0), b), (layers.requires_grad_(), logits.requires_grad_())
    )


@pytest.mark.parametrize(("count", "said"), [(0, "0"), (2, "2"), (4, "more")])
def test_blend_needs_a_layer_per_logit(count, said):
    with pytest.raises(InputError, match=f"3 logits, {said} layers"):
        blend(torch.rand(count, 1, 3, 2, 2).unbind(0), torch.zeros(1, 3, 2, 2))


@pytest.mark.parametrize("verb", [pull, pull_linearized, push])
def test_a_panorama_of_odd_width_is_refused(verb):
    with pytest.raises(InputError, match="even width"):
        verb(torch.rand(1, 1, 4, 7), torch.rand(1, 4, 7, 2), "sphere")


def test_splat_leaves_holes_black_and_says_so():
    """Everything pushed onto one pixel: one covered, the others 0 with coverage 0, gradients finite."""
    image = torch.rand(1, 3, 4, 6, dtype=F64)
    uv = pixel_grid((4, 6), image)[:, 1:2, 2:3].expand(1, 4, 6, 2).clone().requires_grad_()
    picture, coverage = splat(image, uv, torch.ones(1, 1, 4, 6, dtype=F64), "zeros")
    assert torch.equal(coverage > 0, pixel_at(1, 2))
    torch.testing.assert_close(picture[0, :, 1, 2], image.mean((0, 2, 3)))
    assert (picture * (coverage == 0)).abs().max() == 0
    picture.sum().backward()
    assert uv.grad.isfinite().all()


def pixel_at(i: int, j: int) -> torch.Tensor:
    mask = torch.zeros(1, 1, 4, 6, dtype=torch.bool)
    mask[..., i, j] = True
    return mask


def test_splat_lets_the_heavier_win():
    """Two pixels onto one: the near one, weighted e^(20 rho), hides the far one."""
    image = torch.tensor([1.0, 0.0], dtype=F64).view(1, 1, 1, 2)
    uv = torch.full((1, 1, 2, 2), 0.5, dtype=F64)
    uv[..., 0] = 0.25
    picture, _ = splat(image, uv, (20 * torch.tensor([1.0, 0.1], dtype=F64)).exp().view(1, 1, 1, 2), "zeros")
    assert picture[0, 0, 0, 0] > 0.999


# --- true worlds ---

# Decibels measured in float64, less about 1 dB; beside them what no warp at all gives (below 30 dB).
PULLED = {"rectified": 69.5, "posed": 72.5, "forward": 78, "up": 69.5, "right": 67, "turned": 66.5}
SPLATTED = {"rectified": 42.5, "posed": 37, "forward": 37, "up": 62.5, "right": 50.5, "turned": 48}
SWEPT_BY_OUTPUT = {"rectified": 78.5, "posed": 76, "forward": 80, "up": 69.5, "right": 67, "turned": 67.5}
SWEPT_BY_OWN = {"rectified": 79, "posed": 76.5, "forward": 79, "up": 69.5, "right": 67, "turned": 67.5}


@pytest.fixture(params=RIGS)
def pair(request) -> Pair:
    return photograph(RIGS[request.param])


@pytest.fixture
def name(request) -> str:
    return request.node.callspec.params["pair"]


def visible_in_target(pair: Pair):
    """Where the source's pixels land in the target, at their true inverse depth."""
    rig = pair.rig
    return reproject(pair.rho_source, rig.source, invert(rig.source_from_target), rig.target)


def levels_of(rho: torch.Tensor, count: int = 64) -> torch.Tensor:
    return torch.linspace(float(rho.min()) * 0.95, float(rho.max()) * 1.05, count, dtype=F64)


def ideal_logits(rho: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """High where a level is the truth: a Gaussian about as wide as the step."""
    return -4 * ((rho - levels[None, :, None, None]) / (levels[1] - levels[0])).square()


def test_true_depth_pulls_the_source_back(pair, name):
    rig = pair.rig
    there = reproject(pair.rho_target, rig.target, rig.source_from_target, rig.source)
    assert psnr(pair.source, pair.target, there.valid) < 30  # without warping
    measured = psnr(pull(pair.source, there.uv, rig.source.border), pair.target, there.valid)
    assert measured > PULLED[name]


def test_true_depth_splats_the_target_forward(pair, name):
    rig = pair.rig
    there = reproject(pair.rho_target, rig.target, rig.source_from_target, rig.source)
    picture, coverage = splat(pair.target, there.uv, torch.exp(-0.05 / pair.rho_target), rig.source.border)
    covered = (coverage > 0.1) & visible_in_target(pair).valid
    measured = psnr(picture, pair.source, covered)
    assert measured > SPLATTED[name]


def test_sweep_of_the_output_views_planes(pair, name):
    """Deep3D's way: levels and logits of the view that is made; `reproject` looks them up in the target."""
    rig, levels = pair.rig, levels_of(pair.rho_source)
    target_from_source = invert(rig.source_from_target)
    landings = (reproject(v.expand(1, 1, *rig.size), rig.source, target_from_source, rig.target) for v in levels)
    layers = (pull(pair.target, match.uv, rig.target.border) for match in landings)
    picture = blend(layers, ideal_logits(pair.rho_source, levels))
    measured = psnr(picture, pair.source, visible_in_target(pair).valid)
    assert measured > SWEPT_BY_OUTPUT[name]


def test_sweep_of_the_networks_own_shells(pair, name):
    """FAL-Net's way: levels and logits of the target; `reproject_shell` finds them, logits travel with colours."""
    rig, levels = pair.rig, levels_of(pair.rho_target)
    target_from_source, logits = invert(rig.source_from_target), ideal_logits(pair.rho_target, levels)
    layers, moved = [], []
    for n, level in enumerate(levels):
        match = reproject_shell(level.expand(1, 1, *rig.size), rig.source, target_from_source, rig.target)
        layer = torch.cat([pair.target, logits[:, n : n + 1]], 1)
        colour, logit = pull(layer, match.uv, rig.target.border).split([3, 1], 1)
        layers.append(colour)
        moved.append(logit)
    picture = blend(layers, torch.cat(moved, 1))
    measured = psnr(picture, pair.source, visible_in_target(pair).valid)
    assert measured > SWEPT_BY_OWN[name]


def test_linearized_pull_descends_the_same_way(pair):
    """Its gradient with respect to rho points where the bilinear one does."""
    rig = pair.rig
    gradients = []
    for verb in (pull, pull_linearized):
        rho = (pair.rho_target * 1.02).requires_grad_()
        match = reproject(rho, rig.target, rig.source_from_target, rig.source)
        error = (verb(pair.source, match.uv, rig.source.border) - pair.target).square() * match.valid
        error.sum().backward()
        gradients.append(rho.grad.flatten())
    assert torch.nn.functional.cosine_similarity(*gradients, 0) > 0.95


# --- the papers' released code ---


@pytest.mark.parametrize(("mode", "border"), [("border", "zeros"), ("edge", "edge")])
@pytest.mark.parametrize(("array", "sign"), [("left_from_right", -1), ("right_from_left", 1)])
def test_monodepth_sampler(golden, mode, border, array, sign):
    """Golden `md1_sampler`: I(x -+ d W) along rows. A fraction of the width is a step in uv, whatever the pixel rule.
    What the release calls "border" is an image padded with one zero: our `zeros`.
    """
    arrays = golden("md1_sampler")
    image, disparity = (arrays[k].movedim(-1, 1) for k in ("image_nhwc", "disp_fraction_of_width"))
    step = torch.stack([sign * disparity[:, 0], torch.zeros_like(disparity[:, 0])], -1)
    made = pull(image, pixel_grid((4, 12), image) + step, border)
    torch.testing.assert_close(made.movedim(1, -1), arrays[f"{array}_{mode}"], rtol=0, atol=2e-6)


def test_deep3d_selection(golden):
    """Golden `deep3d_selection_derived`: sum_k w_k(x) I(x - s_k) with repeated edges. Channel 0 is the release's null
    channel, which takes probability and gives nothing: a black layer.
    """
    arrays = golden("deep3d_selection_derived")
    left, probabilities = arrays["left"], arrays["prob"]
    h, w = left.shape[-2:]
    shifts = range(int(arrays["s0"]), int(arrays["s1"]))
    here = pixel_grid((h, w), left).expand(len(left), -1, -1, -1)
    shifted = [pull(left, here - torch.tensor([s / w, 0.0], dtype=F64), "edge") for s in shifts]
    made = blend([torch.zeros_like(left), *shifted], probabilities.log())
    torch.testing.assert_close(made, arrays["right"])


def test_spherical_papers_splat(golden):
    """Golden `sph_splat_raw`: the bare scatter, pixels at integers (half a pixel less than uv). The release drops
    neighbours outside the canvas (our `zeros`) and shares under 1e-3 (hence the tolerance). On the sphere nothing is
    dropped: the same inside, more along the seam and the poles, where what fell outside comes back.
    """
    arrays = golden("sph_splat_raw")
    values = arrays["values"]
    h, w = values.shape[-2:]
    uv = (arrays["coords"].movedim(1, -1) + 0.5) / torch.tensor([w, h], dtype=F64)
    torch.testing.assert_close(push(values, uv, "zeros"), arrays["canvas"], rtol=0, atol=2e-3)

    near = (uv[..., 0] > -0.5 / w) & (uv[..., 0] < 1 + 0.5 / w) & (uv[..., 1] > -0.5 / h) & (uv[..., 1] < 1 + 0.5 / h)
    closed = push(values * near[:, None], uv, "sphere")
    opened = push(values * near[:, None], uv, "zeros")
    torch.testing.assert_close(closed[..., 1:-1, 1:-1], opened[..., 1:-1, 1:-1])
    assert (closed - opened)[..., [0, -1]].abs().max() > 0.01
    torch.testing.assert_close(closed.sum(), (values * near[:, None]).sum())


def test_sphere_goes_on_past_the_pole():
    """One pixel row above the top lies half a turn away in the top row."""
    image = torch.rand(1, 1, 4, 8, dtype=F64)
    above = pixel_grid((4, 8), image)[:, :1] - torch.tensor([0.0, 1 / 4], dtype=F64)
    torch.testing.assert_close(pull(image, above, "sphere"), image[..., :1, :].roll(4, -1))
    around = pixel_grid((4, 8), image) + torch.tensor([3.0, 0.0], dtype=F64)
    torch.testing.assert_close(pull(image, around, "sphere"), image)


def test_cameras_choose_their_border():
    assert {rig.source.border for rig in RIGS.values() if rig.source is SPHERE} == {"sphere"}
    assert {rig.source.border for rig in RIGS.values() if rig.source is not SPHERE} == {"edge"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_verbs_keep_the_precision_they_are_given(dtype):
    image, uv = torch.rand(1, 3, 4, 6, dtype=dtype), torch.rand(1, 4, 6, 2, dtype=dtype)
    for border in ("zeros", "edge", "sphere"):
        assert pull(image, uv, border).dtype == push(image, uv, border).dtype == dtype
