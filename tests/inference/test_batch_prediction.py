"""Many photos at a time: reading, network and writing overlap, photos of one size share a pass, memory stays."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, Pinhole
from cyclopean.inference import folder_pipeline
from cyclopean.inference.clip_pipeline import predict_clip
from cyclopean.inference.folder_pipeline import Input, Predicting, predict_all
from cyclopean.inference.photo_pipeline import DepthOptions, Models, Written, predict_photo
from cyclopean.inference.predictor import Predictor, load
from cyclopean.inference.prefetching import prefetched
from cyclopean.inference.wrappers import compile_networks
from cyclopean.io.image import Photo
from cyclopean.io.result_names import Target
from cyclopean.methods.monodepth import Monodepth
from cyclopean.sample import View
from filmed import blue_is_near, film, walking

SECONDS = 30  # that a thread waits for another one, which takes none


def pictures(folder: Path, sizes: list[tuple[int, int]]) -> list[Input]:
    inputs = []
    for k, (height, width) in enumerate(sizes):
        pixels = np.random.default_rng(k).integers(0, 255, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{k}.png")
        inputs.append(Input(folder / f"{k}.png", Target(folder / "out", str(k))))
    return inputs


class One(Models):
    """One predictor for all."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__("one")
        self._loaded["one"] = predictor


def no_clip(one: Input) -> Written:
    raise InputError(f"{one} is a clip.")


def test_items_come_in_order_and_few_are_ahead():
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    with closing(prefetched(numbers(), 3)) as items:
        for number, item in enumerate(items):
            assert item == number
            if number == 50:
                time.sleep(0.05)
                assert len(made) <= 51 + 3 + 1  # those that are ready, and the one that waits
    assert made == list(range(100))


def test_errors_are_raised_in_their_place_and_what_is_closed_ends():
    ended = threading.Event()

    def broken() -> Iterator[int]:
        yield 1
        raise KeyError("third")

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            ended.set()

    items = prefetched(broken())
    assert next(items) == 1
    with pytest.raises(KeyError, match="third"):
        next(items)
    before = threading.active_count()
    with closing(prefetched(prefetched(endless()))) as items:
        assert list(islice(items, 5)) == [0] * 5
        assert threading.active_count() == before + 2
    assert ended.is_set()
    assert threading.active_count() == before


def test_the_network_runs_while_files_are_read_and_written(tmp_path, monkeypatch):
    """The first photo is not written before the network is at the second and the third one is read."""
    inputs, network, read = pictures(tmp_path, [(24, 36)] * 4), threading.Event(), threading.Event()
    predictor, writing, opening = blue_is_near(), folder_pipeline.write_results, folder_pipeline.open_photo
    calls = iter(range(10))

    def see(_method: object, view: View) -> Tensor:
        if next(calls) == 1:
            network.set()
        return view.seen[:, 2:3] + 0.1

    def open_photo(source, options):
        if source.name == "2.png":
            read.set()
        return opening(source, options)

    def write(*arguments):
        assert network.wait(SECONDS)
        assert read.wait(SECONDS)
        return writing(*arguments)

    monkeypatch.setattr(folder_pipeline, "open_photo", open_photo)
    monkeypatch.setattr(folder_pipeline, "write_results", write)
    done = list(predict_all(inputs, One(replace(predictor, infer=see)), DepthOptions(), no_clip))
    assert [one.input for one in done] == inputs
    assert not any(one.error for one in done)


def test_photos_of_one_size_share_a_pass_and_bad_ones_fail_alone(tmp_path):
    """Files are those of one photo after the other; a photo that breaks its batch is named, the others are there."""
    inputs = pictures(tmp_path, [(24, 36)] * 3 + [(36, 24)] + [(24, 36)] * 3)
    inputs[1].source.write_bytes(b"none")
    film(tmp_path / "clip.mp4", walking(2))
    clip = Input(tmp_path / "clip.mp4", Target(tmp_path / "out", "clip"))
    inputs.insert(4, clip)
    counts: list[int] = []

    def see(_method: object, view: View) -> Tensor:
        counts.append(len(view.seen))
        return view.seen[:, 2:3] + 0.1

    predictor = replace(blue_is_near(), infer=see)
    done = list(predict_all(inputs, One(predictor), DepthOptions(save=("npz",)), no_clip, batch=2))
    assert counts == [1, 1, 1, 2, 1], "0; 2 behind a bad one; the upright one; two of three; the last"
    assert [one.error is None for one in done] == [one not in (inputs[1], clip) for one in inputs]
    assert "1.png" in str(done[1].error)
    assert "is a clip" in str(done[4].error)
    for one in inputs[:1] + inputs[5:]:
        alone = predict_photo(one.source, Target(tmp_path / "alone", one.target.stem), lambda _: predictor)
        for path in alone.paths:
            ours = (tmp_path / "out" / path.name).read_bytes()
            assert path.suffix == ".json" or ours == path.read_bytes(), path

    def too_large(_method: object, view: View) -> Tensor:
        if len(view.seen) > 1:
            raise RuntimeError("out of memory")
        return view.seen[:, 2:3] + 0.1

    fewer = [one for one in inputs if one not in (inputs[1], clip)]
    counts.clear()
    done = list(predict_all(fewer, One(replace(predictor, infer=too_large)), DepthOptions(), no_clip, batch=3))
    assert not any(one.error for one in done), "each alone has the memory that three have not"


def test_few_photos_are_held_however_many_there_are(tmp_path, monkeypatch):
    inputs = pictures(tmp_path, [(24, 36)]) * 200
    read: list[Path] = []
    photo = folder_pipeline.open_photo(inputs[0].source, DepthOptions())

    def open_photo(source, options):
        read.append(source)
        return photo

    monkeypatch.setattr(folder_pipeline, "open_photo", open_photo)
    monkeypatch.setattr(folder_pipeline, "write_results", lambda *_: Written(()))
    for batch in (1, 4):
        read.clear()
        with closing(predict_all(inputs, One(blue_is_near()), DepthOptions(), no_clip, batch=batch)) as done:
            for number, _ in enumerate(done, 1):
                if number == 50:
                    time.sleep(0.2)
                assert len(read) <= number + 5 * batch + 4, "however slow the writer is"
    assert len(read) == 200


def test_a_batch_is_what_each_photo_is_alone():
    """Of a network with two scales, of cameras of their own, of a rig in metres; what cannot be shared is not."""
    torch.manual_seed(3)
    seen = [Photo(torch.rand(1, 3, 60, 90), camera) for camera in (None, camera_of(0.7), camera_of(1.3))]
    rigged = Predictor(Monodepth(width=0.05, rig=(0.8, 0.2)).eval(), (128, 128))
    for predictor in (load("general"), rigged):
        for one, alone in zip(predictor.batch(seen), map(predictor, seen), strict=True):
            torch.testing.assert_close(one.inverse_depth, alone.inverse_depth, rtol=1e-4, atol=1e-6)
            assert (one.notes, one.camera is None) == (alone.notes, alone.camera is None)
    far, near = (rigged.batch(seen)[k].inverse_depth for k in (1, 2))
    assert not torch.allclose(far, near), "each by its own camera"
    mixed = [seen[0], Photo(torch.rand(1, 3, 40, 60)), Photo(torch.rand(1, 3, 32, 64), Equirectangular())]
    sizes = [depth.size for depth in load("general").batch(mixed)]
    assert sizes == [(60, 90), (40, 60), (32, 64)]


def camera_of(focal: float) -> Pinhole:
    return Pinhole(torch.tensor([[focal, 1.5 * focal]]), torch.tensor([[0.5, 0.5]]))


def test_frames_of_a_clip_share_a_pass(tmp_path):
    """The same film and arrays, whatever the batch; frames go through the network by so many."""
    film(tmp_path / "clip.mp4", walking(7))
    counts: list[int] = []

    def see(_method: object, view: View) -> Tensor:
        counts.append(len(view.seen))
        return (view.seen[:, 2:3] > 0.5) * 0.5 + 0.25

    predictor, made = replace(blue_is_near(), infer=see), {}
    for batch in (1, 3):
        counts.clear()
        target = Target(tmp_path / str(batch), "clip")
        paths = predict_clip(tmp_path / "clip.mp4", target, predictor, ["npy"], batch=batch).paths
        assert counts == ([1] * 14 if batch == 1 else [3, 3, 1] * 2)
        made[batch] = {path.name: path for path in (*paths, *sorted((tmp_path / str(batch) / "clip_disp").iterdir()))}
    assert made[1].keys() == made[3].keys()
    for name, path in made[1].items():
        if path.is_file() and path.suffix == ".npy":
            np.testing.assert_allclose(np.load(path), np.load(made[3][name]), rtol=1e-5)
        elif path.is_file() and path.suffix != ".json":
            assert path.read_bytes() == made[3][name].read_bytes(), name


def test_layers_of_16_bits_are_near_those_of_32_and_are_stated(tmp_path):
    """In whatever way pictures are looked at; a result of one precision is not taken for one of another."""
    torch.manual_seed(2)
    photo, dtypes = Photo(torch.rand(1, 3, 60, 90)), []
    whole = Predicting("general", DepthOptions(), post_process="monodepth")
    expected = whole.models().for_photo(photo)(photo)
    for precision in ("bfloat16", "float16"):
        work = replace(whole, precision=precision)
        predictor = work.models().for_photo(photo)
        watched = next(m for m in predictor.method.modules() if isinstance(m, torch.nn.Conv2d))
        handle = watched.register_forward_hook(lambda _module, _inputs, output: dtypes.append(output.dtype))
        depth = predictor(photo)
        handle.remove()
        assert set(dtypes) == {getattr(torch, precision)}
        dtypes.clear()
        assert depth.inverse_depth.dtype == torch.float32
        error = ((depth.inverse_depth - expected.inverse_depth).abs() / expected.inverse_depth).mean()
        assert 0 < float(error) < 0.03, precision
        assert (depth.notes["precision"], "precision" in expected.notes) == (precision, False)
        assert work.fitted_options().settings != whole.fitted_options().settings
    assert replace(whole, precision="float32", batch=4).fitted_options() == whole.fitted_options()


COMPILED = """
import torch
from cyclopean.inference.predictor import load
from cyclopean.inference.wrappers import compile_networks
from cyclopean.io.image import Photo

torch.manual_seed(4)
photos = [Photo(torch.rand(1, 3, *size)) for size in ((60, 90), (90, 60))]
plain, graphs = load("general"), []

def backend(graph, inputs):
    graphs.append(graph)
    return graph.forward

compiled = load("general")
names = [*compiled.method.state_dict()]
compile_networks(compiled.method, backend)
for photo in photos:
    torch.testing.assert_close(compiled(photo).inverse_depth, plain(photo).inverse_depth, rtol=1e-4, atol=1e-6)
assert [*compiled.method.state_dict()] == names
assert graphs
"""


@pytest.mark.slow
def test_compiled_networks_give_the_same_answers():
    """By torch's compiler with a back end that runs its graphs as they are, for two sizes; names of weights stay. In a
    process of its own, since the compiler does not see through the checks of shapes that tests have."""
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with pytest.raises(InputError, match="is for a GPU"):
        compile_networks(load("general").method)
    work = Predicting("general", DepthOptions())
    assert replace(work, compile=True).fitted_options() == work.fitted_options()
