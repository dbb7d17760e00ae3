import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Generator

import trees
from cyclopean import augmentation
from cyclopean.cli import main
from cyclopean.data.base import Files, Items
from cyclopean.errors import InputError
from cyclopean.geometry import Pinhole, translation
from cyclopean.sample import Sample, map_tensors, view
from cyclopean.training import dataset, dataset_wrappers
from cyclopean.training.dataset import TrainData, train_data
from cyclopean.training.options import Augment, Run, Source
from cyclopean.training.train import model_card
from stereo_pairs import write_depth, write_pairs


class Stereo(Items):
    """Pairs whose colour says which item they are."""

    def __init__(self, n: int) -> None:
        self.items = range(n)

    def __getitem__(self, index: int) -> Sample:
        image = torch.full((1, 3, 32, 64), index / 1000)
        camera = Pinhole(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 0.5]]))
        source = view(image, camera, translation(torch.tensor([[-0.1, 0.0, 0.0]])))
        return Sample(view(image, camera), (source,), torch.ones(1, 1, 32, 64), name=(str(index),))

    def files(self, _: int) -> Files:
        return Files(())


@pytest.fixture
def items(monkeypatch):
    """`items(n)`: every folder holds n pairs."""

    def set_to(n: int) -> None:
        monkeypatch.setattr(dataset, "open_dataset", lambda name: Stereo(n))

    return set_to


STEREO = (augmentation.flipped,)
TARGETS = (augmentation.mirrored, dataset.target_only)
PLAIN = Augment(flip=0.0)
RUN = Run(Path("nowhere"), accelerator="cpu")


def names(data) -> set[str]:
    return {data[i].name[0] for i in range(len(data))}


def test_every_50th_item_is_held_out_and_never_learned_from(items, tmp_path):
    items(300)
    data = train_data(Source(data=(tmp_path,)), PLAIN, RUN, *STEREO)
    held = {str(i) for i in range(0, 300, 50)}
    assert names(data.validation) == held
    assert names(data.training) == {str(i) for i in range(300)} - held


def test_sets_of_any_size_hold_some_out_and_say_so(items, tmp_path):
    counts = {1: 1, 2: 1, 9: 1, 24: 2, 49: 4, 50: 5, 51: 5, 120: 5, 250: 5, 251: 6, 3200: 64, 9000: 64}
    for n, expected in counts.items():
        held = dataset.held_out(n)
        assert len(held) == expected, n
        assert held == sorted(set(held)), n
        assert (held[0], held[-1] < n) == (0, True), n
    for n, learned in ((1, {"0"}), (2, {"1"}), (9, {str(k) for k in range(1, 9)})):
        items(n)
        data = train_data(Source(data=(tmp_path,)), PLAIN, RUN, *STEREO)
        assert (names(data.training), names(data.validation)) == (learned, {"0"})
        assert data.about[0].startswith(f"1 of {n} items is held out to select the best model.")
        assert ("since it is the only one" in data.about[0]) is (n == 1)
    few = [train_data(Source(data=(tmp_path,)), PLAIN, replace(RUN, batch_size=k), *STEREO).about[1:] for k in (8, 9)]
    assert few[0] == ()
    assert few[1][0].startswith("A batch has 9 items and there are 8 to learn from")


def test_held_out_items_can_be_read_and_have_truth(tmp_path):
    """The first item is held out: damaged, the next takes its place; without truth, one that is trained on, said."""
    write_pairs(tmp_path / "data", 4)
    source = Source(data=(tmp_path / "data",), size=(16, 32))

    def damage(picture: Path) -> bytes:
        whole = picture.read_bytes()
        picture.write_bytes(whole[: len(whole) // 2] + bytes(40) + whole[len(whole) // 2 + 40 :])
        return whole

    first = tmp_path / "data" / "left" / "000.png"
    whole = damage(first)
    data = train_data(source, PLAIN, RUN, *STEREO)
    assert names(data.validation) == {"001"}
    assert names(data.training) == {"002", "003"}
    first.write_bytes(whole)

    write_depth(tmp_path / "data", 4)
    data = dataset.with_truth(train_data(source, PLAIN, RUN, *TARGETS))
    assert (names(data.validation), len(data.about)) == ({"000"}, 2)
    (tmp_path / "data" / "depth" / "000.npy").unlink()
    data = dataset.with_truth(train_data(source, PLAIN, RUN, *TARGETS))
    assert (names(data.validation), names(data.training)) == ({"001"}, {"001", "002", "003"})
    assert data.about[-1].startswith("No held-out item has true depth, so one that is also trained on")
    assert data.validation[0].depth.isfinite().any()
    assert data.validation[0].depth.shape[-2:] == (16, 32), "at the size that is trained on"

    given = write_pairs(tmp_path / "given", 2)
    for n in range(2):
        damage(given / "left" / f"{n:03d}.png")
    with pytest.raises(InputError, match="none of 2 items in a row can be read"):  # before any work
        train_data(replace(source, validation=(given,)), PLAIN, RUN, *STEREO)


def test_given_validation_is_used(items, tmp_path):
    items(9)
    data = train_data(Source(data=(tmp_path, tmp_path), validation=(tmp_path,)), PLAIN, RUN, *STEREO)
    assert (len(data.training), len(data.validation)) == (18, 9)


def test_any_data_set_is_learned_from_without_its_damaged_items(tmp_path, caplog):
    trees.kitti_raw(tmp_path, (4, 5, 6, 7))
    broken = tmp_path / trees.DRIVE / "image_03" / "data" / "0000000005.png"
    broken.write_bytes(b"")
    source = Source(data=(Path(f"kitti_raw:{tmp_path}:truth=none"),), size=(16, 48))
    data = train_data(source, PLAIN, RUN, *STEREO)
    assert names(data.training) == {f"{trees.DRIVE}/{n:010d}_02" for n in (6, 7)}
    assert names(data.validation) == {f"{trees.DRIVE}/{4:010d}_02"}
    assert "1 of 4 items are left out" in caplog.text
    assert str(broken) in caplog.text


def test_an_item_that_contradicts_the_rest_is_left_out_by_name(tmp_path, caplog):
    """One pair of another shape than the calibration; learned from or held out, the run goes on without it."""
    for n in (1, 2):
        folder = write_pairs(tmp_path / f"{n}")
        values = {"focal_px": 240, "width": 240, "height": 120, "baseline_m": 0.1}
        (folder / "calibration.json").write_text(json.dumps(values))
        for side in ("left", "right"):
            path = folder / side / f"{n:03d}.png"
            Image.open(path).crop((0, 0, 120, 120)).save(path)
        caplog.clear()
        flags = "--size 64x128 --network compact --width 0.1 --batch-size 2 --workers 0 --accelerator cpu --steps 3"
        held = ("--validation", str(folder)) if n == 2 else ()
        out = tmp_path / f"out{n}"
        with pytest.raises(SystemExit) as stop:
            main(["train", "monodepth", "--data", str(folder), *held, "--out", str(out), *flags.split()])
        assert stop.value.code == 0
        assert caplog.text.count("left out") == (2 if held else 1)  # of each set
        assert "another shape than the 240x120 of its calibration.json" in caplog.text
        assert f"{n:03d}.png" in caplog.text


def test_many_items_in_a_row_that_cannot_be_read_are_an_error():
    class Lost(Stereo):
        def __getitem__(self, index: int) -> Sample:
            if index >= len(self) - self.lost:
                raise InputError(f"item {index} is gone.")
            return super().__getitem__(index)

    data = Lost(30)
    data.lost = 9
    assert [dataset_wrappers.Readable(data)[index].name for index in (5, 21, 29)] == [("5",), ("0",), ("0",)]
    data.lost = 10
    with pytest.raises(InputError, match="none of 10 items in a row can be read; the first: item 20 is gone"):
        dataset_wrappers.Readable(data)[20]


def test_all_items_get_the_size_asked_for(items, tmp_path):
    items(60)
    data = train_data(Source(data=(tmp_path,), size=(16, 48)), Augment(min_crop=0.5), RUN, *STEREO)
    changed = data.augment(data.training[0], Generator().manual_seed(0))
    assert changed.depth.shape[-2:] == data.validation[0].depth.shape[-2:] == (16, 48)


def test_shrinking_reaches_the_run_and_the_card(items, tmp_path):
    items(60)
    source = Source(data=(tmp_path,), size=(16, 48))
    for augment, share in ((Augment(min_scale=0.6), 0.6), (PLAIN, 1.0)):
        data = train_data(source, augment, RUN, *STEREO)
        assert data.shrink == share
        assert model_card("monodepth", RUN, source, data)["training"].get("shrink", 1.0) == share


def test_supervision_reads_no_sources(items, tmp_path):
    items(60)
    data = train_data(Source(data=(tmp_path,)), Augment(flip=1.0), RUN, *TARGETS)
    changed = data.augment(data.training[0], Generator().manual_seed(0))
    assert changed.sources == () == data.validation[0].sources
    assert not changed.depth.isnan().any()


class Bare(Stereo):
    """Only the items at and after `first` have depth."""

    def __init__(self, n: int, first: int) -> None:
        super().__init__(n)
        self.first = first

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        return sample if index >= self.first else replace(sample, depth=sample.depth * torch.nan)


def test_truth_is_looked_for_all_over_the_set():
    assert dataset.with_truth(TrainData(Bare(100, 80))).training.first == 80
    with pytest.raises(InputError, match="none of the 25 items that were checked has true depth"):
        dataset.with_truth(TrainData(Bare(100, 100)))
    with pytest.raises(InputError, match="none of the 1 items"):
        dataset.with_truth(TrainData(Bare(1, 1)))
    labelled = dataset.labelled_only(TrainData(Bare(12, 8))).training
    assert [int(labelled[index].name[0]) for index in (3, 7, 9)] == [8, 8, 9]


@pytest.mark.parametrize("method", ["supervised", "coordnet --rig SV"])
def test_supervision_without_any_truth_is_refused(monkeypatch, tmp_path, capsys, method):
    monkeypatch.setattr(dataset, "open_dataset", lambda name: Bare(60, 60))
    with pytest.raises(SystemExit) as stop:
        main(
            ["train", *method.split(), "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--accelerator", "cpu"]
        )
    assert stop.value.code == 2
    assert "has true depth, which this method learns from; give --data" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_stereo_flips_swap(items, tmp_path):
    items(60)
    data = train_data(Source(data=(tmp_path,)), Augment(flip=1.0), RUN, *STEREO)
    changed = data.augment(data.training[0], Generator().manual_seed(0))
    assert changed.sources[0].from_target[0, 0, 3].item() == pytest.approx(-0.1)
    assert changed.depth.isnan().all()


def test_chances_are_kept(items, tmp_path):
    """Each colour step alone, always and never."""
    items(60)
    for name in ("colour", "jitter", "blur", "noise", "erase"):
        data = train_data(Source(data=(tmp_path,)), replace(PLAIN, **{name: 1.0}), RUN, *STEREO)
        sample = textured(data.training[0])
        assert not torch.equal(data.augment(sample, Generator().manual_seed(1)).target.seen, sample.target.seen), name
    never = train_data(Source(data=(tmp_path,)), PLAIN, RUN, *STEREO)
    assert torch.equal(never.augment(sample, Generator().manual_seed(1)).target.seen, sample.target.seen)


def textured(sample: Sample) -> Sample:
    image = torch.from_numpy(np.random.default_rng(0).random((1, 3, 32, 64), dtype=np.float32))
    return replace(sample, target=replace(sample.target, image=image, seen=image))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (lambda p: Source(), "give --data FOLDER"),
        (lambda p: Source(data=(p,), world=("street",)), "give --data FOLDER"),
        (lambda p: Source(data=(p,), size=(3,)), "HEIGHTxWIDTH"),
        (lambda p: Source(data=(p,), size=(0, 3)), "HEIGHTxWIDTH"),
        (lambda p: Source(data=(p,), size=(20_000, 20_000)), r"20000x20000, 400 megapixels .* at most 16: .*--size"),
        (lambda p: Source(world=("street",), size=(4_001, 4_000)), "4001x4000, 16.004 megapixels"),
        (lambda p: Augment(noise=1.5), "noise is 1.5; it needs a probability"),
        (lambda p: Augment(min_crop=0.0), "min-crop is 0.0"),
        (lambda p: Augment(min_scale=1.5), r"min-scale is 1.5; it needs a share of the size in \(0, 1\]"),
        (lambda p: Augment(aspect_jitter=0.5), "aspect-jitter 0.5"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, sentence, tmp_path):
    with pytest.raises(InputError, match=sentence):
        settings(tmp_path)


def test_the_largest_size_is_taken(tmp_path):
    assert Source(data=(tmp_path,), size=(4000, 4000)).size == (4000, 4000)


ROOM_FIRST = ("room", "street", "table", "landscape")


def test_worlds_are_rendered_while_training():
    data = train_data(Source(world=("all",), items=5, size=(32, 64)), PLAIN, replace(RUN, seed=5), *STEREO)
    assert data.validation[0].name == ("street-000005",)
    assert [data.training[n].name[0] for n in (0, 3)] == ["room-000006", "street-000009"]
    both = train_data(Source(world=("room", "all"), items=5, size=(32, 64)), PLAIN, RUN, *STEREO)
    assert [both.training[n].name[0].split("-")[0] for n in range(4)] == [*ROOM_FIRST[1:], "room"]
    sample = data.training[0]
    assert sample.target.image.shape == (1, 3, 32, 64)
    assert len(sample.sources) == 1
    assert not sample.depth.isnan().all()


def test_worlds_are_rendered_where_they_are_learned_from(monkeypatch):
    """With a GPU, on that of this process (launchers number them); without one, or when told to, on the CPU."""
    assert dataset.renderer(replace(RUN, accelerator="auto")).type == ("cuda" if torch.cuda.is_available() else "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert dataset.renderer(replace(RUN, accelerator="auto")) == torch.device("cuda", 3)
    assert dataset.renderer(RUN) == torch.device("cpu")


def test_every_change_of_a_picture_works_where_the_picture_lies():
    """On torch's device without memory, which refuses to meet tensors of another: nothing is left on the CPU."""
    every = Augment(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, min_crop=0.5, aspect_jitter=1.2)
    data = train_data(Source(world=("street",), items=4, size=(32, 64)), every, RUN, *STEREO)
    there = data.augment(data.training[0].to("meta"), Generator().manual_seed(0))
    found: list[str] = []
    map_tensors(lambda x: found.append(x.device.type) or x, there)
    assert set(found) == {"meta"}
    assert there.depth.shape == (1, 1, 32, 64)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_same_scenes_are_rendered_there():
    source = Source(world=("street",), items=4, size=(32, 64))
    here, there = (train_data(source, PLAIN, replace(RUN, accelerator=a), *STEREO).training[1] for a in ("cpu", "cuda"))
    assert there.target.image.is_cuda
    same = ((there.target.image.cpu() - here.target.image).abs() <= 1 / 255).double().mean()
    assert same >= 0.999
