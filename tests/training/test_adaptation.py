"""A model that goes on learning from one clip: what is learned, what is kept, and what is rolled back."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from benchmarks.adapt import absrel
from benchmarks.clips import Film, write_film, write_folder
from safetensors.torch import load_file

from commands import here
from cyclopean.data import open_dataset
from cyclopean.data.posed_clip import PosedClip, posed, posed_triplets, split
from cyclopean.data.video import FramesDataset, VideoDataset
from cyclopean.io.files import read_json
from cyclopean.io.video import stills
from cyclopean.methods.adaptation import Adaptation, unit_of
from cyclopean.methods.supervised import Supervised
from cyclopean.sample import collate
from cyclopean.training import adaptation, checkpoint
from cyclopean.training.state import State
from filmed import film

SIZE = (96, 128)
SHELF = Film("clutter", 9003, "aside", count=34)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    path = tmp_path_factory.mktemp("shelf") / "clip.mp4"
    return path, write_film(path, SHELF)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("start") / "model"
    card = {"input_size": list(SIZE), "licence": "Apache-2.0", "glance": 0.5, "training": {"data": ["worlds"]}}
    checkpoint.save(folder, Supervised("compact", 0.25), card)
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same(one: Path, other: Path) -> bool:
    mine, theirs = weights(one), weights(other)
    return mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine)


def adapted(folder: Path) -> dict:
    return read_json(folder / "config.json")["training"]["adapted"]


def test_poses_and_points_of_triplets_are_true(shelf):
    path, truth = shelf
    data = VideoDataset(path, 8, SHELF.field_of_view)
    triplets = list(posed_triplets(data, range(len(data)), SIZE, data.camera, lambda *_: None).values())
    assert len(triplets) > 0.8 * len(data)
    for triplet in triplets[::4]:
        depth = truth[int(triplet.name.rpartition("/")[2])]
        u, v = (triplet.places.numpy() * [256, 192]).astype(int).T
        z, found = depth[v, u], 1 / triplet.inverse_depth.numpy()
        assert np.mean(np.abs(found * np.median(z / found) - z) / z) < 0.08
        before, after = triplet.poses[:, :3, 3]  # sideways: the frame before stood left, the one after stands right
        assert after[0] < -0.94
        assert before[0] > 0.8
        torch.testing.assert_close(triplet.poses[:, :3, :3], torch.eye(3).expand(2, 3, 3), atol=0.05, rtol=0)
    sample = PosedClip(triplets, data.camera)[0]
    assert sample.target.image.shape[-2:] == sample.depth.shape[-2:] == SIZE
    assert 30 < int((~sample.depth.isnan()).sum()) <= len(triplets[0].places)
    images = [view.image for view in (data[5].target, *data[5].sources)]
    near = VideoDataset(path, 4, SHELF.field_of_view)[9]  # of the same target
    uneven = posed("uneven", [images[0], images[1], near.sources[1].image], SIZE, data.camera)
    assert uneven is not None
    assert float(uneven.poses[0, :3, 3].norm()) == pytest.approx(2, rel=0.25)
    assert posed("still", [images[0]] * 3, SIZE, data.camera) is None
    assert posed("mixed", [images[0], images[1], images[1].flip(-1)], SIZE, data.camera) is None


def test_held_out_frames_are_learned_from_in_no_role(shelf, tmp_path):
    for n in range(1, 90):
        cv2.imwrite(str(tmp_path / f"{n}.png"), np.full((16, 16, 3), 2 * n, np.uint8))
    for data, step in ((VideoDataset(shelf[0], 3, 65.0), 3), (FramesDataset(tmp_path, 2, 65.0), 2)):

        def numbers(index: int, data=data) -> tuple[int, ...]:
            item = data.items[index]
            return tuple(int(p.stem) for p in item) if isinstance(item, tuple) else (item, item - 3, item + 3)

        for indices in (range(len(data)), range(0, len(data), 2), [*range(9), *range(12, len(data))]):
            taught, held = split(data, list(indices))
            judged = {numbers(index)[0] for index in held}
            seen = {number for index in taught for number in numbers(index)}
            assert not judged & seen
            assert not {*taught, *held} - {*indices}
            assert len(held) == pytest.approx(len(indices) / 6, abs=1)
            left_out = {*indices} - {*taught, *held}
            assert len(left_out) <= 2 * len(judged)
            between = set(range(min(judged), max(judged) + 1)) if len(indices) < 72 else judged
            assert all({*numbers(index)} & between for index in left_out), step  # nothing else is left out
    assert len(split(FramesDataset(tmp_path, 1, 65.0), range(87))[1]) == 14
    stretches = np.diff(split(FramesDataset(tmp_path, 1, 65.0), range(87))[1])
    assert sum(stretches > 1) == 1  # two stretches, of neighbours
    assert split(VideoDataset(shelf[0], 3, 65.0), [5]) == ([], [5])


def test_the_losses_know_depth_and_no_unit(shelf):
    path, truth = shelf
    data = VideoDataset(path, 8, SHELF.field_of_view)
    triplets = posed_triplets(data, [4, 10], SIZE, data.camera, lambda *_: None)
    posed_clip = PosedClip(list(triplets.values()), data.camera)
    sample = collate([posed_clip[n] for n in range(2)])
    frames = [int(name.rpartition("/")[2]) for name in sample.name]
    depth = torch.from_numpy(np.stack([cv2.resize(truth[n], SIZE[::-1], interpolation=cv2.INTER_AREA) for n in frames]))

    class Told(Supervised):
        def inverse_depths(self, image: torch.Tensor) -> list[torch.Tensor]:
            return [self.told]

    told = Told("compact", 0.25)
    method = Adaptation(told)
    true, flat = 1 / depth[:, None], torch.ones_like(depth[:, None])

    def losses(inverse: torch.Tensor, of=sample) -> dict[str, float]:
        told.told = inverse
        method.start.module.told = true
        return {name: value.item() for name, value in method(of).items()}

    right, wrong, upside_down = losses(true), losses(flat), losses(true.flip(-2))
    for name in ("appearance", "points"):
        assert right[name] < 0.8 * wrong[name], name
        assert right[name] < 0.8 * upside_down[name], name
    assert right["prior"] == pytest.approx(0, abs=1e-6)
    assert wrong["prior"] > 0.005
    assert losses(3 * true)["appearance"] == pytest.approx(right["appearance"], rel=1e-4)  # the unit is not learned
    longer = []
    for triplet in posed_clip.triplets:
        poses = triplet.poses.clone()
        poses[:, :3, 3] *= 5
        longer.append(replace(triplet, poses=poses, inverse_depth=triplet.inverse_depth / 5))
    farther = PosedClip(longer, data.camera)
    assert losses(true, collate([farther[0], farther[1]]))["appearance"] == pytest.approx(right["appearance"], rel=1e-3)
    known = ~sample.depth.isnan()
    torch.testing.assert_close(unit_of(1 / sample.depth.nan_to_num(1), sample.depth, known), torch.ones(2, 1, 1, 1))


def test_it_is_the_model_alone_that_is_saved(start):
    method = Adaptation(checkpoint.load(start)[0], 0.5)
    assert method.name == "supervised"
    assert method.state_dict().keys() == weights(start).keys()
    assert method.train().training is False
    with torch.no_grad():
        next(method.parameters()).add_(1)
    changed = next(iter(method.model.parameters()))
    assert not torch.equal(changed, next(iter(method.start.module.parameters())))
    assert all(not p.requires_grad for p in method.start.module.parameters())


def test_a_clip_becomes_a_model(tmp_path, shelf, start, capsys):
    clip, out = f"clip:{shelf[0]}:fov=65", tmp_path / "mine"
    code, said, err = here(capsys, "adapt", clip, "--out", out, "--model", start, "--steps", "24")
    assert code == 0, said + err
    assert "This clip can teach depth" in said
    assert "explains held-out frames better" in said
    facts = adapted(out)
    assert facts["gained"]
    assert facts["after"]["appearance"] < facts["before"]["appearance"]
    assert not same(out, start)
    card = read_json(out / "config.json")
    assert (card["method"], card["licence"], card["glance"]) == ("supervised", "Apache-2.0", 0.5)
    assert card["training"]["data"] == ["worlds"]
    picture = tmp_path / "photo.png"
    cv2.imwrite(str(picture), np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8))
    assert here(capsys, "predict", picture, "--model", out)[0] == 0
    assert (tmp_path / "photo_disp.npy").exists()
    for words, sentence in (
        ((clip, "--out", out), "holds a model or a run"),
        ((clip, "--out", tmp_path / "none", "--resume"), "no run to go on with"),
        ((clip, "--out", out, "--resume", "--model", "general"), "was begun with"),
    ):
        code, _, err = here(capsys, "adapt", *words)
        assert code == 2
        assert sentence in err


def test_what_gains_nothing_is_rolled_back(tmp_path, shelf, start, capsys, monkeypatch):
    monkeypatch.setattr(adaptation, "RATE", 30.0)  # throws the model away
    monkeypatch.setattr(adaptation, "CLIPPED", 1e9)
    code, said, err = here(
        capsys, "adapt", f"clip:{shelf[0]}:fov=65", "--out", tmp_path / "bad", "--model", start, "--steps", "12"
    )
    assert same(tmp_path / "bad", start), said
    assert not adapted(tmp_path / "bad")["gained"]
    assert "rolled back to the start" in said
    assert code == 0 or "not finite" in err


def test_clips_that_teach_nothing_keep_the_start(tmp_path, start, capsys):
    for path in ("still", "turn"):
        write_film(tmp_path / f"{path}.mp4", Film("room", 9001, path, count=20, size=(144, 192)))
        code, said, _ = here(
            capsys, "adapt", tmp_path / f"{path}.mp4", "--out", tmp_path / path, "--model", start, "--steps", "5"
        )
        assert code == 0
        assert "cannot teach depth" in said
        assert {"still": "stands still", "turn": "turns in its place"}[path] in said
        assert "The start is kept." in said
        assert same(tmp_path / path, start)
        assert not adapted(tmp_path / path)["gained"]


@pytest.mark.slow
def test_ctrl_c_keeps_the_best_so_far_and_resume_goes_on(tmp_path, shelf, start, capsys, monkeypatch):
    words = ("adapt", f"clip:{shelf[0]}:fov=65", "--out", tmp_path / "m", "--model", start, "--steps", "24")
    advance = State.advance

    def interrupted(state: State, epochs: int) -> None:
        advance(state, epochs)
        if state.step == 9:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(State, "advance", interrupted)
        assert here(capsys, *words)[0] == 130
    assert (tmp_path / "m" / "model.safetensors").exists()
    halfway = adapted(tmp_path / "m")
    assert here(capsys, *words, "--resume")[0] == 0
    whole = adapted(tmp_path / "m")
    assert sum(whole["after"].values()) <= sum(halfway["after"].values()) + 1e-6
    here(capsys, "adapt", *words[1:3], tmp_path / "straight", *words[4:])
    assert same(tmp_path / "m", tmp_path / "straight")  # as if nothing had happened


@pytest.mark.slow
def test_odd_input_works_or_is_one_sentence(tmp_path, shelf, start, capsys):
    folder = tmp_path / "frames"
    write_folder(folder, Film("clutter", 9003, "aside", count=40, size=(191, 255)))
    cv2.imwrite(str(folder / "0011.png"), np.zeros((50, 60, 3), np.uint8))  # of another size
    (folder / "0016.png").write_bytes((folder / "0016.png").read_bytes()[:400])  # cut short
    whole = shelf[0].read_bytes()
    (tmp_path / "short.mp4").write_bytes(whole[: len(whole) // 2])
    write_film(tmp_path / "one.mp4", Film("room", 9001, count=2, size=(96, 128)))
    for number, (name, code, sentence) in enumerate(
        (
            (folder, 0, ""),
            (tmp_path / "short.mp4", 2, ""),
            (tmp_path / "one.mp4", 0, "cannot teach"),
            ("nowhere.mp4", 2, "does not exist"),
            (start, 2, "holds no picture"),
        )
    ):
        ended, said, err = here(
            capsys, "adapt", name, "--out", tmp_path / f"out{number}", "--model", start, "--minutes", "0.01"
        )
        assert ended == code, (name, said, err)
        assert sentence in said + err
        assert (tmp_path / f"out{number}" / "model.safetensors").exists() == (code == 0)
        assert code == 0 or len(err.strip().splitlines()) == 1, err
    card = checkpoint.load(str(tmp_path / "out0"))[1]
    assert card["training"]["adapted"]["steps"] == 40, "the least, by the clock"
    assert len(open_dataset(f"clip:{folder}")) > 10
    for words in (["--minutes", "0"], ["--steps", "-1"]):
        assert here(capsys, "adapt", folder, "--out", tmp_path / "x", *words)[0] == 2
    assert here(capsys, "adapt")[0] == 2


@pytest.mark.slow
def test_films_of_phones_and_films_with_cuts(tmp_path, shelf, start, capsys):
    """Upright by a display matrix, frames at uneven times, with sound; and two scenes in one film."""
    pictures = [still.image for still in stills(shelf[0])]
    film(tmp_path / "phone.mp4", (picture.rot90(-1, (2, 3)) for picture in pictures), rotation=90, uneven=400)
    film(tmp_path / "cut.mp4", iter([*pictures[:17], *(picture.flip(-1) for picture in pictures[17:])]))
    for name in ("phone", "cut"):
        out = tmp_path / name
        words = ("adapt", tmp_path / f"{name}.mp4", "--out", out, "--model", start, "--steps", "3")
        code, said, err = here(capsys, *words)
        assert code == 0, said + err
        assert "the file does not tell" in said or "focal length is not known" in said
        assert (out / "model.safetensors").exists()
    assert adapted(tmp_path / "phone")["triplets"] >= 6
    code, _, err = here(
        capsys, "adapt", tmp_path / "phone.mp4", "--out", tmp_path / "phone", "--model", start, "--resume"
    )
    assert code == 0
    assert "--model of adapt" in err


@pytest.mark.slow
def test_the_bundled_model_learns_a_clip_of_a_new_look(tmp_path, capsys):
    film = Film("street", 7102, look="negative", count=48)
    truth = write_film(tmp_path / "clip.mp4", film)
    code, said, err = here(
        capsys, "adapt", f"clip:{tmp_path}/clip.mp4:fov=65", "--out", tmp_path / "mine", "--steps", "45"
    )
    assert code == 0, said + err
    held = [int(name.rpartition("/")[2]) for name in adapted(tmp_path / "mine")["held_out"]]
    before = absrel("general", tmp_path / "clip.mp4", truth, held)
    after = absrel(str(tmp_path / "mine"), tmp_path / "clip.mp4", truth, held)
    assert after < 0.7 * before, (before, after)
