import weakref

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, translation
from cyclopean.losses import cumulative_smoothness, gradients
from cyclopean.methods.base import level_right
from cyclopean.methods.deep3d import Deep3d, Rising, expected_smoothness, left_disparity, selected
from cyclopean.sample import Sample, view
from cyclopean.synthesis import blend, select

H, W = 24, 40


def test_selection_is_the_releases(golden):
    """Channel 0 is null; the release shifts by s0..s1 pixels, right(x) = sum of left(x - s), edges repeated."""
    truth = golden("deep3d_selection_derived")
    s0, s1 = int(truth["s0"]), int(truth["s1"])
    disparities = [-s / truth["left"].shape[-1] for s in range(s0, s1)]
    assert len(disparities) == truth["prob"].shape[1] - 1
    ours = selected(truth["left"], truth["prob"], disparities)
    torch.testing.assert_close(ours, truth["right"], atol=1e-10, rtol=0)


def test_what_is_given_to_the_null_channel_is_lost():
    """A distribution that is all null paints black; its gradient reaches the logits all the same."""
    left, logits = torch.rand(1, 3, 4, 8), torch.zeros(1, 3, 4, 8, requires_grad=True)
    right = selected(left, logits.softmax(1), [0.0, 0.1])
    right.sum().backward()
    assert (logits.grad[:, 0] < 0).all()
    certain = torch.zeros(1, 3, 4, 8).index_fill(1, torch.tensor([0]), 1.0)
    assert selected(left, certain, [0.0, 0.1]).abs().max() == 0


def test_select_is_blend():
    layers, logits = torch.rand(5, 2, 3, 4, 6).double(), torch.randn(2, 5, 4, 6).double()
    torch.testing.assert_close(select(lambda k: layers[k], logits.softmax(1)), blend(layers.unbind(0), logits))
    assert torch.autograd.gradcheck(lambda x: select(lambda k: layers[k], x.softmax(1)), logits.requires_grad_())


def test_n_less_the_cumulative_sums_is_the_expected_index_from_0(golden):
    """The supplement's example counts from 1; its formula counts from 0, for any weights."""
    truth = golden("deep3d_selection_derived")
    weights, n = truth["cs_weights"], truth["cs_weights"].shape[1]
    torch.testing.assert_close(weights.cumsum(1).sum(1), truth["cs_sum"])
    torch.testing.assert_close(n - truth["cs_sum"], truth["soft_argmax_zero_based"])
    counts = torch.arange(n, 0, -1).double()
    torch.testing.assert_close(weights @ counts, truth["cs_sum"])


def plain(probabilities: Tensor, weight: Tensor) -> Tensor:
    """Reading A as it is written: every cumulative sum's own smoothness, added up."""
    return torch.stack([gradients(cs, weight, 1) for cs in probabilities.cumsum(1).split(1, 1)]).sum()


def test_smoothness_of_cumulative_sums():
    logits = torch.randn(2, 6, 5, 7).double().requires_grad_()
    weight = (torch.rand(2, 1, 5, 7) > 0.2).double()
    both = [f(logits.softmax(1), weight) for f in (cumulative_smoothness, plain)]
    ours, theirs = (torch.autograd.grad(value, logits)[0] for value in both)
    torch.testing.assert_close(*both)
    torch.testing.assert_close(ours, theirs)
    assert expected_smoothness(logits.softmax(1), weight) < both[0]  # reading B is never larger than A
    nothing = cumulative_smoothness(logits.softmax(1), torch.zeros_like(weight))
    assert nothing == 0
    assert torch.autograd.grad(nothing, logits)[0].abs().max() == 0


class Live(TorchDispatchMode):
    """Counts the bytes of tensors that are alive, and the most there ever were."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.peak, self.known = 0, 0, set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self.count(tensor.untyped_storage())
        return result

    def count(self, storage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self.known:
            return
        self.known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self.forget, key, size)

    def forget(self, key, size) -> None:
        self.known.discard(key)
        self.now -= size


def planes_beside(n: int) -> tuple[float, float]:
    """Most planes (one channel) alive at once, forwards and backwards: less probabilities and their gradient; from
    logits on, also less the gradient of logits (which themselves were there before).
    """
    left, right = torch.rand(2, 3, H, W), torch.rand(2, 3, H, W)
    disparities = [0.3 * k / n for k in range(n)]
    found = []
    for start, kept in ((lambda x: x, 2), (lambda x: x.softmax(1), 3)):
        leaf = torch.rand(2, n + 1, H, W).requires_grad_()
        with Live() as live:
            (selected(left, start(leaf), disparities) - right).abs().mean().backward()
        assert leaf.grad is not None
        found.append(live.peak / (4 * 2 * H * W) - kept * (n + 1))
    return found[0], found[1]


def test_memory_does_not_grow_with_the_number_of_levels():
    (few, _), (many, whole) = planes_beside(5), planes_beside(65)
    assert few == pytest.approx(many, abs=0.01)
    assert 3 < many <= 12
    assert whole <= 12


def test_stacked_layers_would_grow():
    """The same count sees the difference: layers in an autograd graph are all kept."""
    logits, left = torch.randn(2, 33, H, W).requires_grad_(), torch.rand(2, 3, H, W)
    with Live() as live:
        blend((left.roll(k, -1) for k in range(33)), logits).mean().backward()
    assert live.peak / (4 * 2 * H * W) - 3 * 33 > 33


def test_deep3ds_keeps_no_cumulative_sums():
    counts = []
    for n in (5, 65):
        probabilities, weight = torch.rand(2, n, H, W).requires_grad_(), torch.ones(2, 1, H, W)
        with Live() as live:
            cumulative_smoothness(probabilities, weight).backward()
        counts.append(live.peak / (4 * 2 * H * W) - 2 * n)
    assert counts[0] == pytest.approx(counts[1], abs=0.01)
    assert counts[1] <= 12


def test_deep3ds_terms_rise_and_smoothness_counts_by_width():
    """Each scale's smoothness is weighted by its width; both terms rise with the passes, also after a resume."""
    camera = Pinhole(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 0.5]]))
    left, right = (
        view(torch.rand(1, 3, 32, 64), camera, translation(torch.tensor([[-b, 0.0, 0.0]]))) for b in (0, 0.1)
    )
    sample = Sample(left, (right,), torch.full((1, 1, 32, 64), torch.nan))
    torch.manual_seed(0)
    method = Deep3d("compact", 0.1, levels=5, smoothness="each", smoothness_width=512, rig=(1.0, 0.1))
    full = method.losses(sample)
    expected = sum(
        0.1 * p.shape[3] / 512 * cumulative_smoothness(p[:, 1:], torch.ones(1, 1, *p.shape[2:]))
        for p in method.probabilities(sample.target.seen)
    )
    torch.testing.assert_close(full["smoothness"], expected)
    rising = Rising(method, 4)
    for passed in range(6):
        now = method.losses(sample)
        torch.testing.assert_close(now["appearance"], full["appearance"])
        for term in ("smoothness", "certainty"):
            torch.testing.assert_close(now[term], min(1, passed / 4) * full[term])
        rising(method)
    again = Rising(method, 4)
    again.load_state_dict({"passed": 3})
    assert method.share == 0.75
    assert again.state_dict() == {"passed": 3}


def test_the_right_views_disparity_is_left_disparity_to_the_left():
    """A ramp: right d(x) = 0.1 + 0.2 x; the left view's solves d = 0.1 + 0.2 (x - d)."""
    x = (torch.arange(50) + 0.5) / 50
    left = left_disparity((0.1 + 0.2 * x).expand(1, 1, 4, 50))
    torch.testing.assert_close(left[0, 0, 0, 10:], ((0.1 + 0.2 * x) / 1.2)[10:], atol=1e-3, rtol=0)


def test_levels_that_make_no_sense_are_refused():
    for levels, most in ((1, 0.3), (33, 0.0), (33, 1.0)):
        with pytest.raises(InputError, match=f"{levels} levels up to {most}"):
            Deep3d("compact", 0.1, levels=levels, most=most)


@pytest.mark.parametrize("shift", [0.0, 6.0, -4.0])
def test_principal_points_that_differ_are_levelled_before_shifting(shift):
    """Middlebury crops its right pictures otherwise (doffs): what is infinitely far must stay where it is."""
    wide, disparity, width = torch.rand(1, 3, 4, 80), 10, 40
    left, right = (
        wide[..., 20 : 20 + width],
        wide[..., 20 + disparity - int(shift) : 20 + disparity - int(shift) + width],
    )
    here, there = (Pinhole(torch.ones(1, 2), torch.tensor([[0.5 + s / width, 0.5]])) for s in (0.0, shift))
    source = view(right, there, translation(torch.tensor([[-1.0, 0.0, 0.0]])))
    sample = Sample(view(left, here), (source,), torch.full((1, 1, 4, width), width / disparity))
    level = level_right("deep3d", sample)
    meant = wide[..., 20 + disparity : 20 + disparity + width]
    inside = level.valid.expand_as(meant)
    torch.testing.assert_close(level.image[inside], meant[inside])
    assert int((~level.valid[0, 0, 0]).sum()) == abs(int(shift))
    assert torch.equal(level.camera.center, here.center)
    assert (level is source) == (shift == 0)
