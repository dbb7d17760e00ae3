import json
import os
import platform
import resource
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Generator
from training_parts import Pictures, Tiny, lines, run, sgd, train, weights

from cyclopean.augmentation import mirrored
from cyclopean.errors import InputError
from cyclopean.sample import Sample, view
from cyclopean.training import checkpoint, log
from cyclopean.training.dataset import SAVED_AS, TrainData, train_data
from cyclopean.training.loader import Batches, Stream, loader
from cyclopean.training.loop import fit
from cyclopean.training.optimisation import adam, constant, cosine, halving, halving_late, tenth
from cyclopean.training.options import Augment, Run, Source


def test_it_learns_and_leaves_a_model_a_log_and_a_state(tmp_path):
    train(run(tmp_path, steps=40, learning_rate=0.02))
    losses = [line["loss"] for line in lines(tmp_path)]
    assert losses[-1] < 0.2 * losses[0]
    config = json.loads((tmp_path / "last" / "config.json").read_text())
    assert config["method"] == "tiny"
    assert config["licence"] == "none"
    assert config["training"]["step"] == 40
    assert (tmp_path / "resume.pt").exists()
    assert list((tmp_path / "tensorboard").iterdir())


def test_long_steps_do_not_leave_the_reader_alone(tmp_path, monkeypatch, capsys):
    """Lines beside those of the schedule, which stay what they were."""
    monkeypatch.setattr(log, "SILENCE", -1.0)
    train(run(tmp_path, steps=4, report_every=4))
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("step ")]
    assert [line.partition(" loss")[0] for line in said] == [f"step {n}/4" for n in (1, 2, 3, 4)]
    assert all(line.endswith(" s left") for line in said)
    assert [line["step"] for line in lines(tmp_path) if "loss" in line] == [4]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone can be told so")
def test_memory_of_freed_tensors_is_kept(tmp_path):
    """Else the system clears it again in every step, page by page."""
    train(run(tmp_path, steps=1))
    many = 16 << 20
    torch.ones(many)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(many)
    assert (
        resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 2 * 4 * many / resource.getpagesize()
    )  # of four


def test_a_stopped_run_goes_on_bit_equal(tmp_path):
    """With the running mean, momentum, and a stop in the middle of an epoch and of a report."""
    settings = {"ema_decay": 0.9, "report_every": 4}
    train(run(tmp_path / "whole", steps=7, **settings))
    stopped = run(tmp_path / "parts", steps=7, **settings)
    with pytest.raises(KeyboardInterrupt):
        train(stopped, each_epoch=(StopAfter(1),))
    assert json.loads((stopped.out / "last" / "config.json").read_text())["training"]["step"] == 3
    train(replace(stopped, resume=True), each_epoch=(StopAfter(99),))
    whole, parts = weights(tmp_path / "whole"), weights(stopped.out)
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


class StopAfter:
    """Presses Ctrl-C when the training set has been seen so often."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def __call__(self, method) -> None:
        self.epochs -= 1
        if self.epochs == 0:
            os.kill(os.getpid(), signal.SIGINT)


def test_resuming_with_other_arguments_is_refused(tmp_path):
    train(run(tmp_path))
    with pytest.raises(InputError, match="was trained with seed 0, but this command has seed 1; repeat the first"):
        train(run(tmp_path, resume=True, seed=1))
    with pytest.raises(InputError, match="--ema-decay"):
        train(run(tmp_path, resume=True, ema_decay=0.9))


@pytest.mark.parametrize(
    ("changes", "then", "now"),
    [
        ({"steps": 8}, "steps 6", "steps 8"),
        ({"batch_size": 4}, "batch-size of all devices 2", "batch-size of all devices 4"),
        ({"learning_rate": 0.2, "clip_grad_norm": 1.0}, "learning-rate 0.1, clip 0.0", "learning-rate 0.2, clip 1.0"),
        ({"precision": "bfloat16"}, "precision float32", "precision bfloat16"),
    ],
)
def test_a_run_does_not_go_on_as_another(tmp_path, changes, then, now):
    train(run(tmp_path))
    with pytest.raises(InputError, match=rf"was trained with {then}, but this command has {now}; .*--init"):
        train(run(tmp_path, resume=True, **changes))


class Weighted(Tiny):
    """A method whose config has many values, some of them in an object of their own."""

    def __init__(self, smoothness: float = 0.1, **others: float) -> None:
        super().__init__()
        self._config = {"width": 1.0, **others, "rules": {"smoothness": smoothness, "masks": "inside+best+auto" * 9}}

    def config(self) -> dict:
        return self._config


def test_only_what_differs_from_the_resumed_run_is_named(tmp_path):
    def go(**changes) -> None:
        again = {key: changes.pop(key) for key in ("seed", "resume") if key in changes}
        method = changes.pop("method", Weighted)(**changes)
        fit(method, TrainData(Pictures(5)), run(tmp_path, **again), sgd, halving, card={})

    go()
    cases: list[tuple[dict, str, str]] = [
        ({"smoothness": 0.2}, "smoothness 0.1", "smoothness 0.2"),
        ({"seed": 7}, "seed 0", "seed 7"),
        ({"smoothness": 0.2, "width": 0.5, "seed": 7}, "width 1.0, smoothness 0.1, seed 0", "width 0.5, .*seed 7"),
        ({"factors": 13}, "factors None", "factors 13"),
        ({"method": type("Other", (Tiny,), {"name": "other"})}, "method tiny", "method other"),
    ]
    for changes, then, now in cases:
        with pytest.raises(InputError, match=rf" was trained with {then}, but this command has {now}; repeat"):
            go(resume=True, **changes)
    go(resume=True)


def test_a_run_does_not_go_on_with_other_data_or_another_schedule(tmp_path):
    def go(where: Run, n: int = 5, schedule=halving, data: str = "a/pairs", size: int = 16) -> None:
        card = {"input_size": [size, 24], "training": {"data": [data]}}
        fit(Tiny(), TrainData(Pictures(n)), where, sgd, schedule, card=card)

    go(run(tmp_path))
    again = run(tmp_path, resume=True)
    cases: list[tuple[dict, str]] = [
        ({"n": 4}, "number of items 5, but this command has number of items 4;"),
        ({"schedule": cosine}, "schedule halving, but this command has schedule cosine;"),
        ({"data": "a/triples"}, "data pairs, but this command has data triples;"),
        ({"size": 8}, "size 16,24, but this command has size 8,24;"),
    ]
    for changes, sentence in cases:
        with pytest.raises(InputError, match=sentence):
            go(again, **changes)
    go(again, data="moved/pairs")


def test_a_run_does_not_go_on_with_another_augmentation(tmp_path):
    """Each value of it by its flag; a run of before they were kept goes on."""

    def go(augment: Augment, **changes) -> None:
        data = train_data(Source(world=("room",), size=(16, 24), items=3), augment, where, mirrored)
        fit(Tiny(), data, replace(where, **changes), sgd, constant, card={})

    where, first = run(tmp_path, steps=1), Augment(flip=0.5)
    go(first)
    for name, value in {"flip": 0.0, "colour": 0.5, "blur": 0.5, "min_crop": 0.5, "aspect_jitter": 1.2}.items():
        old, changed, flag = getattr(first, name), replace(first, **{name: value}), SAVED_AS.get(name, name)
        with pytest.raises(InputError, match=f"was trained with {flag} {old}, but this command has {flag} {value};"):
            go(changed, resume=True)
    go(first, resume=True, steps=2)
    state = torch.load(tmp_path / "resume.pt", weights_only=True)
    del state["facts"]["flip"]
    torch.save(state, tmp_path / "resume.pt")
    go(replace(first, flip=0.0), resume=True, steps=3)


def test_a_state_that_kept_no_facts_goes_on(tmp_path):
    """As runs of older versions left it."""
    train(run(tmp_path))
    state = torch.load(tmp_path / "resume.pt", weights_only=True)
    del state["facts"]
    torch.save(state, tmp_path / "resume.pt")
    train(run(tmp_path, resume=True, steps=7))
    assert lines(tmp_path)[-1]["step"] == 7


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path):
    train(run(tmp_path))
    with pytest.raises(InputError, match="add --resume"):
        train(run(tmp_path))


def test_a_folder_that_tensorboard_cannot_name_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not UTF-8, which TensorBoard needs; give another --out"):
        run(tmp_path / os.fsdecode(b"lauf_\xfc"))


def test_nothing_to_resume_is_said(tmp_path):
    with pytest.raises(InputError, match="leave --resume out"):
        train(run(tmp_path, resume=True))
    tmp_path.joinpath("resume.pt").write_bytes(b"PK damaged")
    with pytest.raises(InputError, match="damaged"):
        train(run(tmp_path, resume=True))


def test_a_state_of_another_program_or_a_changed_one_is_one_sentence(tmp_path):
    train(run(tmp_path, steps=2))
    sound = torch.load(tmp_path / "resume.pt", weights_only=True)
    method, optimizer = sound["method"], sound["optimizer"]
    first = next(iter(method))
    for values in (
        *([], 5, None, torch.zeros(3), {}, method, {"epoch": 3, "state_dict": method}),
        *({k: v for k, v in sound.items() if k != gone} for gone in sound if gone != "facts"),
        *({**sound, key: wrong} for key in sound for wrong in ("text", [1], torch.zeros(2)) if key != "seed"),
        *({**sound, "step": step} for step in (-1, 2.5, None)),
        {**sound, "best": float("nan")},
        {**sound, "method": {first: method[first]}},
        {**sound, "method": {**method, first: torch.zeros(2, 2)}},
        {**sound, "optimizer": {**optimizer, "param_groups": []}},
        {**sound, "optimizer": {}},
        {**sound, "each_epoch": [{"a": 1}]},
    ):
        torch.save(values, tmp_path / "resume.pt")
        with pytest.raises(InputError, match=r"(was changed, or is not a run|was trained with|is damaged)"):
            train(run(tmp_path, steps=2, resume=True))
    torch.save(sound, tmp_path / "resume.pt")
    train(run(tmp_path, steps=2, resume=True))


def test_a_resumed_log_has_each_step_once_and_whole_lines_only(tmp_path):
    first = run(tmp_path, steps=8, save_every=1e9)
    with pytest.raises(KeyboardInterrupt):
        train(first, each_epoch=(StopAfter(1),))
    with (tmp_path / "log.jsonl").open("a") as file:  # as if it had run on and been killed
        file.write(json.dumps({"step": 4, "loss": -1.0}) + "\n" + "4\n" + '{"step": 5, "lo')
    for coding in ("utf-8", "utf-8-sig", "utf-16"):  # as editors save it
        text = (tmp_path / "log.jsonl").read_text()
        (tmp_path / "log.jsonl").write_text(text, encoding=coding)
        log._drop_lines_after(tmp_path / "log.jsonl", 99)
        assert [line["step"] for line in lines(tmp_path)][:2] == [1, 2], coding
    train(replace(first, resume=True), each_epoch=(StopAfter(99),))
    assert [line["step"] for line in lines(tmp_path)] == list(range(1, 9))


def test_the_running_mean_is_saved_and_the_weights_go_on(tmp_path):
    """After one step the mean is 1/11 of the start and 10/11 of the first weights."""
    torch.manual_seed(0)
    start = Tiny().conv.bias.detach().clone()
    stepped = train(run(tmp_path / "plain", steps=1)).conv.bias
    train(run(tmp_path / "mean", steps=1, ema_decay=0.999))
    expected = start / 11 + stepped * 10 / 11
    torch.testing.assert_close(weights(tmp_path / "mean")["conv.bias"], expected)


def test_epochs_are_counted_and_their_callables_saved(tmp_path):
    """And with the same rate throughout, a run may go on for longer than it was to be."""

    def counted(where: Run) -> int:
        count = Count()
        fit(Tiny(), TrainData(Pictures(5)), where, sgd, constant, card={}, each_epoch=(count,))
        return count.n

    assert counted(run(tmp_path, steps=5)) == 2  # 10 items of 5
    assert counted(run(tmp_path, steps=10, resume=True)) == 4


class Count:
    def __init__(self) -> None:
        self.n = 0

    def __call__(self, method) -> None:
        self.n += 1

    def state_dict(self) -> dict:
        return {"n": self.n}

    def load_state_dict(self, state: dict) -> None:
        self.n = state["n"]


def test_the_best_model_on_the_validation_set_is_kept(tmp_path):
    """A rate that wrecks the weights at the end: best is older than last."""
    method, wreck = Tiny(), lambda step, steps: 0.1 if step < 8 else -5.0
    feed = TrainData(Pictures(5), validation=Pictures(3))
    fit(method, feed, run(tmp_path, steps=10, validate_every=2), sgd, wreck, card={})
    judged = {line["step"]: line["validation"] for line in lines(tmp_path) if "validation" in line}
    assert list(judged) == [2, 4, 6, 8, 10]
    best = json.loads((tmp_path / "best" / "config.json").read_text())["training"]
    assert best["step"] == min(judged, key=judged.__getitem__) < 10
    assert best["validation"] == pytest.approx(min(judged.values()), abs=1e-6)


def test_a_loss_that_is_not_finite_stops_and_leaves_the_last_checkpoint(tmp_path):
    feed = TrainData(Broken())
    with pytest.raises(InputError, match=r"not finite .*fit nan.*--learning-rate.*last checkpoint is good"):
        fit(Tiny(), feed, run(tmp_path, steps=30, save_every=0.0), sgd, halving, card={})
    assert all(v.isfinite().all() for v in weights(tmp_path).values())


def test_a_loss_that_is_not_finite_by_its_data_names_the_item(tmp_path):
    """Not the learning rate, which is no reason then."""

    class Absurd(Pictures):
        def __getitem__(self, index: int) -> Sample:
            sample = super().__getitem__(index)
            return replace(sample, target=view(sample.target.image * torch.nan, sample.target.camera))

    with pytest.raises(InputError, match=r"its batch holds .*with a picture that is not finite.*; mend or remove") as e:
        fit(Tiny(), TrainData(Absurd(4)), run(tmp_path, steps=2), sgd, halving, card={})
    assert "--learning-rate" not in str(e.value)


def test_a_loss_that_is_not_finite_at_once_promises_no_checkpoint(tmp_path):
    with pytest.raises(InputError, match=r"not finite .*No checkpoint has been written yet\.$"):
        train(run(tmp_path, learning_rate=1e30))
    assert not (tmp_path / "resume.pt").exists()


class Broken(Pictures):
    """One of eight truths is NaN."""

    def __init__(self) -> None:
        super().__init__(8)

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        return replace(sample, depth=sample.depth * torch.nan) if index == 5 else sample


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (Pictures(0), "data set is empty"),
        (Pictures(3, (16, 20)), r"multiples of 8; try --size 16x16\."),
        (Pictures(3, (370, 1226)), r"try --size 368x1224 or, without a GPU, 128x424\."),
    ],
)
def test_data_that_cannot_be_used_is_refused_before_anything_is_written(tmp_path, data, sentence):
    with pytest.raises(InputError, match=sentence):
        fit(Tiny(), TrainData(data), run(tmp_path / "out"), sgd, halving, card={})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_pictures_of_two_sizes_in_a_batch_are_one_sentence(tmp_path, workers):
    with pytest.raises(InputError, match=r"^pictures of one batch have different sizes .*--size"):
        fit(Tiny(), TrainData(Mixed(6)), run(tmp_path, workers=workers), sgd, halving, card={})


class Mixed(Pictures):
    def __getitem__(self, index: int) -> Sample:
        self.size = (16, 24) if index % 2 else (16, 16)
        return super().__getitem__(index)


def test_init_takes_weights_only(tmp_path):
    train(run(tmp_path / "first"))
    torch.manual_seed(1)
    method = Tiny()
    fit(
        method,
        TrainData(Pictures(5)),
        run(tmp_path / "second", learning_rate=1e-12, init=str(tmp_path / "first" / "last")),
        sgd,
        halving,
        card={},
    )
    torch.testing.assert_close(method.state_dict(), dict(weights(tmp_path / "first")))
    assert lines(tmp_path / "second")[0]["step"] == 1


def test_augmentations_draw_from_the_position_of_an_item(tmp_path):
    """Two runs with one seed see the same, workers or not; another seed sees other changes."""

    def change(sample: Sample, generator: Generator) -> Sample:
        return replace(sample, depth=sample.depth + torch.rand((), generator=generator))

    def bias(name: str, **changes) -> torch.Tensor:
        torch.manual_seed(0)
        method = Tiny()
        fit(method, TrainData(Pictures(1), change), run(tmp_path / name, **changes), sgd, halving, card={})
        return method.conv.bias.detach()

    same, again, other = bias("a"), bias("b", workers=1), bias("c", seed=1)
    assert torch.equal(same, again)
    assert not torch.equal(same, other)


def test_the_stream_shows_every_item_once_an_epoch_however_many_processes_share_it():
    where = Run(Path("nowhere"), steps=12, batch_size=4)
    alone = [pair for _, batch in Stream(16, where, 0, 1) for pair in batch]
    for epoch in range(3):
        assert sorted(index for index, _ in alone[16 * epoch : 16 * epoch + 16]) == list(range(16))
    assert len({seed for _, seed in alone}) == 48
    half = replace(where, batch_size=2)
    two = zip(Stream(16, half, 0, 2), Stream(16, half, 1, 2), strict=True)
    assert [pair for (_, a), (_, b) in two for pair in (*a, *b)] == alone
    later = list(Stream(16, where, 0, 1, start=5))
    assert [pair for _, batch in later for pair in batch] == alone[20:]
    assert [step for step, _ in later] == list(range(5, 12))


def test_samples_on_a_gpu_are_made_in_the_training_process():
    batches, stream = Batches(TrainData(Pictures(5)), 0, 8), Stream(5, Run(Path("nowhere")), 0, 1)
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    made = {lie: loader(batches, stream, 2, lie, gpu, begin=print) for lie in (gpu, cpu)}
    assert (made[gpu].num_workers, made[gpu].pin_memory) == (0, False)
    assert (made[cpu].num_workers, made[cpu].pin_memory) == (2, True)
    assert not loader(batches, stream, 2, cpu, cpu, begin=print).pin_memory


def test_schedules():
    assert [halving(s, 50) for s in (0, 29, 30, 39, 40, 49)] == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert [tenth(s, 20) for s in (0, 14, 15, 19)] == [1, 1, 0.1, 0.1]
    epochs = (0, 59, 60, 79, 80, 99, 100, 109)  # AQUANet's, of 110
    assert [halving_late(s, 110) for s in epochs] == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]
    groups = [adam([torch.nn.Parameter(torch.zeros(1))], 1e-4, *beta1).param_groups[0] for beta1 in ((), (0.5,))]
    assert [(group["lr"], group["betas"]) for group in groups] == [(1e-4, (0.9, 0.999)), (1e-4, (0.5, 0.999))]
    values = [cosine(s, 1000) for s in range(1000)]
    assert values[0] == pytest.approx(1 / 30)
    assert max(values) == 1 == values[30]
    assert values[-1] < 1e-4
    assert values[30:] == sorted(values[30:], reverse=True)


@pytest.mark.parametrize("supported", [False, True])
def test_a_processor_that_imitates_bfloat16_is_told_of(tmp_path, monkeypatch, capsys, supported: bool):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: supported)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    train(run(tmp_path, precision="bfloat16"))
    assert ("no bfloat16 instructions" in capsys.readouterr().err) is not supported


def test_bfloat16_is_for_the_network_only(tmp_path):
    assert train(run(tmp_path, precision="bfloat16")).seen == ["torch.bfloat16", "torch.float32"]


def test_a_saved_model_is_not_loaded_into_another_method(tmp_path):
    train(run(tmp_path))
    with pytest.raises(InputError, match="other names or shapes"):
        checkpoint.initialise(Tiny(2), tmp_path / "last")


def test_weights_that_are_none_are_refused(tmp_path):
    """Whole numbers, such as of a quantised model, and numbers that overflow; half precision is read."""
    train(run(tmp_path))
    path = tmp_path / "last" / "model.safetensors"
    sound = load_file(path)
    cases = {
        "conv.weight as I8; weights are floating-point": lambda x: (100 * x).to(torch.int8),
        "conv.weight as I64; weights are floating-point": lambda x: x.long(),
        "conv.weight as BOOL; weights are floating-point": lambda x: x > 0,
        r"numbers above 1e\+12 in conv.weight, which are not weights": lambda x: 1e20 * x,
        "numbers that are not finite": lambda x: x / 0,
    }
    for sentence, change in cases.items():
        save_file({**sound, "conv.weight": change(sound["conv.weight"])}, path)
        with pytest.raises(InputError, match=sentence):
            checkpoint.initialise(Tiny(), tmp_path / "last")
    for kind in (torch.float16, torch.bfloat16, torch.float64):
        save_file({name: tensor.to(kind) for name, tensor in sound.items()}, path)
        checkpoint.initialise(Tiny(), tmp_path / "last")
