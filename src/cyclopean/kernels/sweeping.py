"""`sweep` through a `Pencil` in one pass over the pixels of the new view forward, and one backward."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cyclopean.geometry.levels import Levels, Pencil
from cyclopean.kernels.splatting import each_item

Step = Literal["render", "differentiate", "cover"]
Run = Callable[..., None]  # (step, levels, margin, *inputs and results), which fills the results


@dataclass(frozen=True)
class FusedSweep:
    """`sweep` and `swept_coverage` of one pencil, by `run`: loops on the CPU, or kernels on a GPU. Outside is 0."""

    run: Run
    pencil: Pencil

    def render(self, image: Tensor, logits: Tensor) -> Tensor:
        """Return the new view: image b c h w and logits b n h w to b c h2 w2."""
        lines, levels = self.pencil, self.pencil.levels
        return Sweep.apply(
            image, logits, lines.start, lines.slope, levels.exponents, levels.values, lines.margin, self.run
        )

    def coverage(self, logits: Tensor, norm: Tensor) -> Tensor:
        """Return how much the view with these logits sees, whose softmax is exp(logits - norm): b 1 h2 w2."""
        lines = self.pencil
        seen = lines.start.new_empty(len(logits), 1, *lines.start.shape[2:])
        inputs = (logits, norm, lines.start, lines.slope, _bent(lines.levels.exponents, logits))
        self.run("cover", lines.levels, lines.margin, *(t.detach().contiguous() for t in inputs), seen[:, 0])
        return seen


class Sweep(torch.autograd.Function):
    """The new view of an image and its logits. Kept for the gradient: the inputs, the view, one plane.

    Made for it: the gradients of the inputs, that of the image only if it is wanted. Of start and slope, the fourth
    row (what is in sight) has no gradient.
    """

    @staticmethod
    def forward(  # noqa: PLR0917
        context: Any,
        image: Tensor,
        logits: Tensor,
        start: Tensor,
        slope: Tensor,
        exponents: Tensor | None,
        values: tuple[float, ...],
        margin: float,
        run: Run,
    ) -> Tensor:
        inputs = [t.contiguous() for t in (image, logits, start, slope, _bent(exponents, logits))]
        made = image.new_empty(*image.shape[:2], *start.shape[2:])
        norm = torch.empty_like(made[:, 0])
        context.run, context.levels, context.margin = run, Levels(values), margin
        run("render", context.levels, margin, *inputs, made, norm)
        context.save_for_backward(*inputs, made, norm)
        return made

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, d_made: Tensor) -> tuple[Tensor | None, ...]:
        saved = context.saved_tensors
        of_image, *_, of_exponents, _, _, _ = context.needs_input_grad
        results = [torch.empty_like(t) for t in saved[:5]]
        if not of_image:
            results[0] = d_made.new_empty(len(d_made), 0, 0, 0)
        context.run("differentiate", context.levels, context.margin, *saved, d_made.contiguous(), *results)
        d_image, d_logits, d_start, d_slope, d_exponents = results
        bent = d_exponents[:, None] if of_exponents else None
        return d_image if of_image else None, d_logits, d_start, d_slope, bent, None, None, None


def on_cpu(step: Step, levels: Levels, margin: float, *batches: Tensor) -> None:
    """Run a step in loops. One item is one thread's work, in the order of its pixels: the result is the same for any
    number of threads, of which there are as many as torch has."""
    from cyclopean.kernels import sweeping_loops

    real = torch.empty((), dtype=batches[0].dtype).numpy().dtype.type
    channels = () if step == "cover" else (batches[0].shape[1],)
    values, shares = tables(levels, bent=batches[4].numel() > 0)
    loop = getattr(sweeping_loops, step)(*channels, real)
    each_item(loop, (values.astype(real), shares.astype(real), real(margin)), *batches)


def tables(levels: Levels, *, bent: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return `values`, and if an exponent bends them ln(most / least) and every ln(share); the first share is 0, whose
    logarithm is not read."""
    values = np.array(levels.values)
    logs = np.log(np.array([values[-1] / values[0], 1.0, *levels.shares[1:]]) if bent else np.ones(0))
    return values, logs


def _bent(exponents: Tensor | None, like: Tensor) -> Tensor:
    return like.new_empty(len(like), 0, 0) if exponents is None else exponents[:, 0]
