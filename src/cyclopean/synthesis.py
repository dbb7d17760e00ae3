"""Making one view out of another: five verbs, of which every method is a few lines, sweeps, and cube faces."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from jaxtyping import Float
from torch import Tensor

from cyclopean import kernels
from cyclopean.errors import InputError
from cyclopean.geometry.cameras import Border, Uv, extent, size_of
from cyclopean.geometry.cubemap import Faces, face_weight, uv_on_faces
from cyclopean.geometry.levels import Levels
from cyclopean.geometry.spherical import around, even

Channels = Float[Tensor, "b c h w"]


def pull(image: Channels, uv: Float[Tensor, "b h2 w2 2"], border: Border) -> Float[Tensor, "b c h2 w2"]:
    """Warp inversely: for each of my pixels, fetch from the other image at `uv`, bilinearly.

    Borders: `zeros` outside, `edge` repeats the last pixel, `sphere` wraps at the seam and continues half a turn away
    past a pole. Spatial transformers, as in Monodepth, sec. 3.1. The half-pixel rule: align_corners=False, here only.
    """
    return _fetch(image, uv, border, "bilinear")


def pull_nearest(image: Channels, uv: Float[Tensor, "b h2 w2 2"], border: Border) -> Float[Tensor, "b c h2 w2"]:
    """Pull the nearest pixel's colour. It does not change with small moves: its gradient to `uv` is zero."""
    return _fetch(image, uv, border, "nearest")


def _fetch(image: Channels, uv: Float[Tensor, "b h2 w2 2"], border: Border, how: str) -> Float[Tensor, "b c h2 w2"]:
    if border == "sphere":
        pixels = extent(size_of(image), uv)
        image, uv = around(image, 1), (_fold(uv) * pixels + 1) / (pixels + 2)
    padding = "border" if border == "edge" else "zeros"
    return F.grid_sample(image, 2 * uv - 1, mode=how, padding_mode=padding, align_corners=False)


def faces_from_sphere(panorama: Channels, faces: Faces, side: int) -> Float[Tensor, "bf c side side"]:
    """Pull the faces of panoramas, bilinearly: all of the first panorama, then all of the second (b * f pictures)."""
    uv = faces.uv_on_sphere(side, size_of(panorama), _exact(panorama)).flatten(0, 1)
    stacked = pull(panorama, uv.expand(panorama.shape[0], -1, -1, -1), "sphere")
    return stacked.unflatten(2, (len(faces), side)).transpose(1, 2).flatten(0, 1)


def sphere_from_faces(
    pictures: Float[Tensor, "bf c side side"], faces: Faces, size: tuple[int, int]
) -> Float[Tensor, "b c h w"]:
    """Pull panoramas from faces (the transposed order of `faces_from_sphere`): each pixel from the face whose axis is
    nearest, bilinearly inside it, without blending."""
    side = pictures.shape[-1]
    stacked = pictures.unflatten(0, (-1, len(faces))).transpose(1, 2).flatten(2, 3)
    face, uv = faces.nearest(size, side, _exact(pictures))
    uv = torch.stack([uv[..., 0], (uv[..., 1] + face) / len(faces)], -1)
    return pull(stacked, uv[None].expand(stacked.shape[0], -1, -1, -1), "edge")


def blend_faces(
    pictures: Float[Tensor, "bf c side side"], faces: Faces, size: tuple[int, int]
) -> Float[Tensor, "b c h w"]:
    """Pull panoramas from overlapping faces, such as tangent images: the mean of all that see a pixel, weighted by how
    far from their borders it is."""
    like = _exact(pictures)
    uv, seen, _ = uv_on_faces(faces.sphere_rays(size, like), faces.field_of_view, faces.face_from_sphere(like))
    weight = face_weight(uv, seen)
    weight = weight / weight.sum(0)
    total = pictures.new_zeros(())
    for k, many in enumerate(pictures.unflatten(0, (-1, len(faces))).unbind(1)):
        total = total + weight[k] * pull(many, uv[k : k + 1].expand(many.shape[0], -1, -1, -1), "edge")
    return total


def _exact(values: Tensor) -> Tensor:
    """Return an empty tensor on the same device in which places are computed: float32, or float64 like `values`."""
    return values.new_empty(0, dtype=torch.promote_types(values.dtype, torch.float32))


def pull_linearized(image: Channels, uv: Float[Tensor, "b h2 w2 2"], border: Border) -> Float[Tensor, "b c h2 w2"]:
    """Pull linearised: the same value, but d/duv is the central difference fetched at `uv` (Garg et al., Eq. 3)."""
    h, w = image.shape[-2:]
    wide = around(image, 1) if border == "sphere" else F.pad(image, (1, 1, 1, 1), mode="replicate")
    du = (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) * (w / 2)
    dv = (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) * (h / 2)
    here = uv.detach()
    step = uv - here
    value, du, dv = pull(torch.cat([image, du, dv], 1), here, border).chunk(3, 1)
    return value + du * step[..., 0][:, None] + dv * step[..., 1][:, None]


def push(
    values: Float[Tensor, "b c h w"], uv: Uv, border: Border, size: tuple[int, int] | None = None
) -> Float[Tensor, "b c h2 w2"]:
    """Give each value to the four pixels around `uv` of the other image: the exact transpose of `pull`, splatting.

    `size` of the other image (height, width) defaults to the size of `values`.
    """
    h, w = size or size_of(values)
    b, c = values.shape[:2]
    margin = 1 if border == "sphere" else 0
    x, y = ((_fold(uv) if border == "sphere" else uv) * uv.new_tensor([w, h]) - 0.5).unbind(-1)
    if border == "edge":
        x, y = x.clamp(0, w - 1), y.clamp(0, h - 1)
    canvas = values.new_zeros(b, c, (h + 2 * margin) * (w + 2 * margin))
    top, left = y.detach().floor(), x.detach().floor()
    for row, across in ((top, top + 1 - y), (top + 1, y - top)):
        for column, along in ((left, left + 1 - x), (left + 1, x - left)):
            share = along * across
            i, j = row.long() + margin, column.long() + margin
            inside = (i >= 0) & (i < h + 2 * margin) & (j >= 0) & (j < w + 2 * margin)
            index = torch.where(inside, i * (w + 2 * margin) + j, 0).flatten(1)[:, None].expand(b, c, -1)
            canvas = canvas.scatter_add(2, index, (values * (share * inside)[:, None]).flatten(2))
    canvas = canvas.view(b, c, h + 2 * margin, w + 2 * margin)
    return _around_transposed(canvas) if border == "sphere" else canvas


def splat(
    image: Channels, uv: Uv, weight: Float[Tensor, "b 1 h w"], border: Border
) -> tuple[Channels, Float[Tensor, "b 1 h w"]]:
    """Splat (depth-image-based rendering): push(weight * image) / push(weight), and the coverage push(weight).

    Where coverage is 0 nothing landed: the image is 0 there and a loss must mask it. The spherical paper, sec. 3.2.
    Traps: the paper prints its mask M_t as W < epsilon, which marks the *empty* pixels; multiply by coverage > epsilon.
    The release drops the right-hand neighbour of what lands in the last column, a seam; border `sphere` wraps it.
    On a CPU with numba, and on a GPU with Triton, it runs in fused loops; `splat_plain` is the same in torch. On a GPU
    the last bits change from run to run, except under `torch.use_deterministic_algorithms(True)`.
    """
    if border == "sphere":
        even(image.shape[-1])
    fused = kernels.fused_splat(image, uv, weight)
    return splat_plain(image, uv, weight, border) if fused is None else fused.apply(image, uv, weight, border)


def splat_plain(
    image: Channels, uv: Uv, weight: Float[Tensor, "b 1 h w"], border: Border
) -> tuple[Channels, Float[Tensor, "b 1 h w"]]:
    """Splat by scatter-adds over channels and corners: the reference, and for what the fused loops cannot take."""
    canvas = push(torch.cat([image * weight, weight], 1), uv, border)
    colours, coverage = canvas[:, :-1], canvas[:, -1:]
    return colours / torch.where(coverage > 0, coverage, torch.ones_like(coverage)), coverage


def blend(layers: Iterable[Channels], logits: Float[Tensor, "b n h w"]) -> Channels:
    """Return the sum of n layers, weighted by the softmax over the n logits of a pixel (Deep3D's selection).

    Layers are taken one by one and accumulated, never stacked. The plain form, with gradients to the layers too, for
    few of them; deep3d trains with `select`, its twin that makes each layer again for the gradient.
    """
    probabilities = logits.softmax(1).split(1, 1)
    total, count = torch.zeros_like(probabilities[0]), 0
    for layer in layers:
        count += 1
        if count > len(probabilities):
            break
        total = total + probabilities[count - 1] * layer
    if count != len(probabilities):
        layers_given = "more" if count > len(probabilities) else count
        raise InputError(
            f"blend needs one layer per logit: {len(probabilities)} logits, {layers_given} layers were given."
        )
    return total


def select(layer: Callable[[int], Channels], probabilities: Float[Tensor, "b n h w"]) -> Channels:
    """Return the sum of `probabilities[:, k] * layer(k)`, where a layer is made when it is needed and then forgotten.

    `blend` for many layers of data: each is made once more for the gradient, so that beside the probabilities and
    their gradient a handful of planes is kept, whatever n is. No gradient reaches what layers are made of.
    """
    return _Select.apply(probabilities, layer)


class _Select(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, probabilities: Tensor, layer: Callable[[int], Channels]) -> Channels:
        context.save_for_backward(probabilities)
        context.layer = layer
        total = probabilities[:, :1] * layer(0)
        for k in range(1, probabilities.shape[1]):
            total.addcmul_(probabilities[:, k : k + 1], layer(k))
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient: Channels) -> tuple[Tensor, None]:
        (probabilities,) = context.saved_tensors
        result = torch.empty_like(probabilities)
        for k in range(probabilities.shape[1]):
            torch.sum(context.layer(k) * gradient, 1, out=result[:, k])
        return result, None


def sweep(
    image: Channels, logits: Float[Tensor, "b n h w"], uv: Callable[[int], Uv], border: Border = "zeros"
) -> Float[Tensor, "b c h2 w2"]:
    """Render through n hypotheses: pull image *and* logits for each, softmax, weighted sum.

    `uv(k)` (b h2 w2 2) is where the pixels of the new view land if hypothesis k is true. FAL-Net's right view and
    AQUANet's free view (Eq. 1 and 2): *Deep3D whose weights move*. Softmax comes after the warp, so that near things
    win by larger logits; outside the image a logit is 0, not minus infinity, so that weights always sum to 1. Carry
    masks through the same volume as further channels of `image`. Gradients reach image, logits and what `uv` is made
    of. Through a `Pencil` (two pinholes, shifts along rows) it runs in one fused pass over the pixels, on a CPU with
    numba and on a GPU with Triton; `sweep_plain` is the same in torch.
    """
    fused = kernels.fused_sweep(uv, border, image, logits)
    return sweep_plain(image, logits, uv, border) if fused is None else fused.render(image, logits)


def sweep_plain(
    image: Channels, logits: Float[Tensor, "b n h w"], uv: Callable[[int], Uv], border: Border = "zeros"
) -> Float[Tensor, "b c h2 w2"]:
    """Sweep one hypothesis after the other: the reference, and for places that the fused loops do not know.

    Colours of one hypothesis at a time are kept: each is made once more for its gradient.
    """
    n = logits.shape[1]

    def moved(k: int) -> Tensor:
        return pull(logits[:, k : k + 1], uv(k), border)

    weights = torch.cat([_again(moved, k) for k in range(n)], 1).softmax(1)

    def layer(k: int) -> Tensor:
        return weights[:, k : k + 1] * pull(image, uv(k), border)

    total = _again(layer, 0)
    for k in range(1, n):
        total = total + _again(layer, k)
    return total


@torch.no_grad()
def swept_coverage(
    logits: Float[Tensor, "b n h w"], uv: Callable[[int], Uv], border: Border = "zeros"
) -> Float[Tensor, "b 1 h2 w2"]:
    """Return how much of each pixel of the new view the view with `logits` sees: sum over k of pull(softmax_k), at
    most 1, without gradient. FAL-Net's occlusion map; AQUANet's O_1. It is fused where `sweep` is."""
    norm, fused = log_sum_exp(logits), kernels.fused_sweep(uv, border, logits)
    if fused is not None:
        return fused.coverage(logits, norm)
    total = pull((logits[:, :1] - norm[:, None]).exp(), uv(0), border)
    for k in range(1, logits.shape[1]):
        total += pull((logits[:, k : k + 1] - norm[:, None]).exp(), uv(k), border)
    return total.clamp(max=1)


def expected_level(logits: Float[Tensor, "b n h w"], levels: Levels) -> Float[Tensor, "b 1 h w"]:
    """Return the mean of the levels of each pixel, weighted by the softmax of their logits (AQUANet, Eq. 5).

    Gradients reach logits and exponents; nothing of n planes is made but the gradient of the logits.
    """
    return _ExpectedLevel.apply(logits, levels.exponents, levels)


class _ExpectedLevel(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, logits: Tensor, exponents: Tensor | None, levels: Levels) -> Tensor:
        norm = log_sum_exp(logits)
        mean = torch.zeros_like(logits[:, :1])
        for k, plane in enumerate(logits.split(1, 1)):
            mean += (plane - norm[:, None]).exp_() * levels.map(k, logits)
        context.save_for_backward(logits, exponents, norm, mean)
        context.values = levels.values
        return mean

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None]:
        logits, exponents, norm, mean = context.saved_tensors
        d_logits, d_exponents = torch.empty_like(logits), None
        if exponents is not None:
            exponents, d_exponents = exponents.detach().requires_grad_(), torch.zeros_like(exponents)
        for k, plane in enumerate(logits.split(1, 1)):
            weight = (plane - norm[:, None]).exp_() * gradient
            with torch.enable_grad():
                rho = Levels(context.values, exponents).map(k, logits)
            d_logits[:, k : k + 1] = weight * (rho.detach() - mean)
            if k and exponents is not None:  # the least level is the same for all exponents
                d_exponents += torch.autograd.grad(rho, exponents, weight)[0]
        return d_logits, d_exponents, None


def log_sum_exp(logits: Float[Tensor, "b n h w"]) -> Float[Tensor, "b h w"]:
    """Return the logarithm of the sum of exponentials over n, without another n planes."""
    most = logits.amax(1)
    total = torch.zeros_like(most)
    for plane in logits.unbind(1):
        total += (plane - most).exp_()
    return total.log_().add_(most)


def _again(make: Callable[[int], Tensor], k: int) -> Tensor:
    """Return `make(k)`, which is made once more for the gradient: nothing that it is made of is kept."""
    return torch.utils.checkpoint.checkpoint(make, k, use_reentrant=False)


def _fold(uv: Float[Tensor, "b h w 2"]) -> Float[Tensor, "b h w 2"]:
    """Return `uv` on the sphere, brought into [0,1]²: past a pole v turns back and u goes half a turn on."""
    v = uv[..., 1].remainder(2)
    past = v > 1
    u = (uv[..., 0] + 0.5 * past.to(uv)).remainder(1)
    return torch.stack([u, torch.where(past, 2 - v, v)], -1)


def _around_transposed(canvas: Float[Tensor, "b c h2 w2"]) -> Channels:
    """Return the transpose of `around`: what fell on the margin goes where the margin was copied from."""
    inner = canvas[..., 1:-1].clone()
    inner[..., -1] += canvas[..., 0]
    inner[..., 0] += canvas[..., -1]
    w = even(inner.shape[-1])
    image = inner[..., 1:-1, :].clone()
    image[..., 0, :] += inner[..., 0, :].roll(-(w // 2), -1)
    image[..., -1, :] += inner[..., -1, :].roll(-(w // 2), -1)
    return image
