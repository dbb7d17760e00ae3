"""Clips as data: the right frames whatever the file, cuts and pauses not crossed, cameras, sentences."""

import json
import math
import pickle
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from cyclopean.data import named, open_dataset
from cyclopean.data.base import usable_items
from cyclopean.data.diagnose_clip import clip_problems
from cyclopean.data.inspect_clip import examine_clip
from cyclopean.data.video import VideoDataset, numbered_sequences, small_size
from cyclopean.errors import InputError
from cyclopean.io.video import stills
from cyclopean.synthetic.folder import RenderJob, write
from filmed import encode, film, walk, walking
from trees import read_each

COUNT = 20


def numbers_of(data, index: int, frames: list) -> list[int]:
    """Which frames of the film an item's pictures are: target, before, after."""
    sample = data[index]
    images = [view.image for view in (sample.target, *sample.sources)]
    return [int(np.argmin([float((image - frame).abs().mean()) for frame in frames])) for image in images]


def written(path: Path, pictures: list[np.ndarray], times: list[int], rate: int = 30, **metadata: str) -> None:
    """A film whose frame k is shown at tick times[k] of 1/30 s."""
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as container:
        container.metadata.update(metadata)
        track = container.add_stream("libx264", rate=rate, options={"crf": "8"})
        track.height, track.width, track.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        track.time_base = track.codec_context.time_base = Fraction(1, rate)
        for array, tick in zip(pictures, times, strict=True):
            frame = av.VideoFrame.from_ndarray(array, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = tick, Fraction(1, rate)
            container.mux(track.encode(frame))
        container.mux(track.encode())


def test_items_are_the_frames_before_and_after_in_every_kind_of_file(tmp_path):
    pictures = walk(COUNT)
    encode(tmp_path / "short.mp4", pictures, g="5", bf="2")  # several keyframes, frames out of order
    encode(tmp_path / "open.mkv", pictures, g="6", bf="3", **{"x264-params": "open-gop=1"})
    encode(tmp_path / "late.mp4", pictures, start=1000)
    encode(tmp_path / "plain.avi", pictures, "mpeg4")
    encode(tmp_path / "odd.mkv", [picture[:95, :159] for picture in pictures], "ffv1", "bgr0")
    film(tmp_path / "uneven.mp4", walking(COUNT), uneven=400)
    film(tmp_path / "turned.mp4", walking(COUNT), rotation=90)
    film(tmp_path / "browser.webm", walking(COUNT), ("libvpx-vp9", "libopus"))
    wrong = []
    for path in sorted(tmp_path.iterdir()):
        frames = [still.image for still in stills(path)]
        data = open_dataset(f"clip:{path}:step=2")
        assert len(data) == COUNT - 4, path
        for index in (0, 3, 7, 12, len(data) - 1):
            if numbers_of(data, index, frames) != [index + 2, index, index + 4]:
                wrong.append((path.name, index))
        sample = data[5]
        torch.testing.assert_close(sample.target.image, frames[7], msg=path.name)  # decoded as from the start
        assert [source.from_target for source in sample.sources] == [None, None]
        assert sample.target.window.tolist() == [[0, 0, 1, 1]]
        h, w = sample.target.image.shape[-2:]
        assert sample.frames.shape == (1, 3, 3, *small_size((h, w)))
        assert sample.zoom.item() == pytest.approx(math.sqrt(h * w / math.prod(small_size((h, w)))))
        assert sample.name == (f"{path.stem}/000007",)
        assert sample.depth.isnan().all()
        assert pickle.loads(pickle.dumps(data))[0].name == data[0].name
    assert not wrong
    assert open_dataset(str(tmp_path / "turned.mp4"))[0].depth.shape[-2:] == (160, 96)
    assert open_dataset(str(tmp_path / "odd.mkv"))[0].depth.shape[-2:] == (95, 159)
    assert named(f"{tmp_path}/late.mp4:step=3") == ("clip", f"{tmp_path}/late.mp4", {"step": "3"})


def test_more_frames_on_each_side(tmp_path):
    pictures = walk(COUNT)
    encode(tmp_path / "film.mp4", pictures)
    (tmp_path / "frames").mkdir()
    for n, picture in enumerate(pictures):
        cv2.imwrite(str(tmp_path / "frames" / f"{n:03d}.png"), picture[..., ::-1])
    for place in ("film.mp4", "frames"):
        data = open_dataset(f"clip:{tmp_path}/{place}:step=2:reach=3")
        frames = [torch.from_numpy(p).permute(2, 0, 1)[None] / 255 for p in pictures]
        assert len(data) == COUNT - 12
        assert numbers_of(data, 1, frames) == [7, 5, 3, 1, 9, 11, 13]
        assert data[0].frames.shape[1] == 7
    encode(tmp_path / "two.mp4", walk(10) + walk(10, seed=7))
    assert across_cuts(VideoDataset(tmp_path / "two.mp4", 1, reach=2)) == [6, 7, 8, 9]
    with pytest.raises(InputError, match="reach is 0"):
        open_dataset(f"clip:{tmp_path}/film.mp4:reach=0")


def test_cuts_are_not_crossed(tmp_path):
    encode(tmp_path / "two.mp4", walk(10) + walk(10, seed=7))
    assert across_cuts(VideoDataset(tmp_path / "two.mp4", 1)) == [8, 9]  # targets 9 and 10
    assert across_cuts(VideoDataset(tmp_path / "two.mp4", 2)) == [6, 7, 8, 9]


def across_cuts(data: VideoDataset) -> list[int]:
    """The items that cannot be read for that reason."""
    errors = [error for _, error in read_each(data, range(len(data))) if isinstance(error, InputError)]
    assert all("cut" in str(error) for error in errors)
    return [index for index, item in read_each(data, range(len(data))) if isinstance(item, InputError)]


def test_pauses_are_not_crossed(tmp_path):
    written(tmp_path / "paused.mp4", walk(COUNT), [*range(10), *range(100, 110)])
    data = VideoDataset(tmp_path / "paused.mp4", 1)
    assert data.items == [*range(1, 9), *range(11, 19)]


def test_folders_of_numbered_frames(tmp_path, caplog):
    for name, numbers in {"a/f_{:04d}.png": [1, 2, 3, 4, 7, 8, 9], "b/{:03d}0_left.png": [0, 1, 2]}.items():
        for number, picture in zip(numbers, walk(COUNT), strict=False):
            path = tmp_path / name.format(number)
            path.parent.mkdir(exist_ok=True)
            cv2.imwrite(str(path), picture[..., ::-1])
    (tmp_path / "notes.txt").write_text("no picture")
    data = open_dataset(f"clip:{tmp_path}")
    names = [data[index].name[0] for index in range(len(data))]
    assert names == ["a/f_0002", "a/f_0003", "a/f_0008", "b/0010_left"]
    assert usable_items(data) == ([0, 1, 2, 3], [])
    assert len(data.files(0).pictures) == 3
    with pytest.raises(InputError, match="smaller step"):
        open_dataset(f"clip:{tmp_path}:step=3")
    for name in ("a/f_{:04d}.depth.png", "depth/{:04d}.png", "b/{:03d}0_disp.png"):  # beside the frames, none of them
        for number in (0, 1, 2):
            path = tmp_path / name.format(number)
            path.parent.mkdir(exist_ok=True)
            cv2.imwrite(str(path), np.full((96, 160), number, np.uint16))
    again = open_dataset(f"clip:{tmp_path}")
    assert [again.files(index) for index in range(len(again))] == [data.files(index) for index in range(len(data))]
    assert "depth by their names: pictures such as a/f_0000.depth.png" in caplog.text
    assert len(numbered_sequences(tmp_path / "depth")) == 1  # of nothing else


def test_frames_named_by_times_are_in_order_and_pauses_are_gaps(tmp_path):
    """Names of TUM (seconds with a fraction, over a full second), milliseconds, and numbers that are no times."""
    ticks = [*range(12), *range(30, 36)]  # of 1/30 s, with a pause
    jitter = np.random.default_rng(0).uniform(-3e-3, 3e-3, len(ticks))
    seconds = [1305031102.8 + tick / 30 + late for tick, late in zip(ticks, jitter, strict=True)]
    by_time = {
        "tum": [f"{s:.6f}" for s in seconds],
        "milliseconds": [f"frame_{round(1e3 * (1699999999.123 + tick / 30))}_rgb" for tick in ticks],
        "from_zero": [f"{round(1e3 * tick / 30)}" for tick in ticks],
        "nanoseconds": [f"{round(1e9 * s)}" for s in seconds],
        "missing": [f"{s:.6f}" for k, s in enumerate(seconds) if k not in (3, 6)],  # no pause
        "counted": [f"v2.{n:04d}" for n in (1, 2, 3, 4, 5, 7, 8, 9)],
        "tens": [f"{10 * n:05d}" for n in (1, 2, 3, 4, 5, 7, 8, 9)],
        "photos": [f"IMG_{n}" for n in (1012, 1034, 1035, 1100, 1190, 1191, 1500)],
        "holidays": [f"IMG_{n}" for n in (1012, 1034, 1100, 1300, 1309, 1800)],
    }
    for name, stems in by_time.items():
        (tmp_path / name).mkdir()
        for stem, picture in zip(stems, walk(COUNT), strict=False):
            cv2.imwrite(str(tmp_path / name / f"{stem}.png"), picture[..., ::-1])
    runs = {name: [len(run) for run in numbered_sequences(tmp_path / name)] for name in by_time}
    usual = [12, 6]
    assert runs == {
        **dict.fromkeys(("tum", "milliseconds", "from_zero", "nanoseconds"), usual),
        **{
            "missing": [10, 6],
            "counted": [5, 3],
            "tens": [5, 3],
            "photos": [1, 2, 1, 2, 1],
            "holidays": [2, 1, 1, 1, 1],
        },
    }
    for name in ("tum", "missing"):
        data = open_dataset(f"clip:{tmp_path}/{name}:step=2")
        assert [path.stem for path in data.files(0).pictures] == [by_time[name][n] for n in (2, 0, 4)]
        found = examine_clip(name, tmp_path / name, {})
        assert found.items == len(open_dataset(f"clip:{tmp_path}/{name}:step={found.step}"))
        assert "none of its" not in str(clip_problems(found))
    with pytest.raises(InputError, match="one 1 after it; number the frames"):
        open_dataset(f"clip:{tmp_path}/photos")
    found = examine_clip("photos", tmp_path / "photos", {})
    assert found.items == 0
    assert "none of its 7 frames has one before and one after it" in clip_problems(found)[0].sentence


def test_cameras(tmp_path, caplog):
    path = tmp_path / "walk.mp4"
    encode(path, walk(5))
    focal = 0.5 / math.tan(math.radians(30))

    def camera(name: str) -> list[float]:
        return open_dataset(name)[0].target.camera.focal[0].tolist()

    assert camera(str(path)) == pytest.approx([focal, focal * 160 / 96])
    assert "60 degrees" in caplog.text
    caplog.clear()
    assert camera(f"clip:{path}:fov=90") == pytest.approx([0.5, 0.5 * 160 / 96])
    (tmp_path / "profile.json").write_text(json.dumps({"camera": {"focal": [0.7, 1.2], "center": [0.5, 0.5]}}))
    assert camera(f"clip:{path}:camera={tmp_path}/profile.json") == pytest.approx([0.7, 1.2])
    phone = {"com.apple.quicktime.camera.focal_length.35mm_equivalent": "26"}
    written(tmp_path / "phone.mov", walk(5), list(range(5)), **phone)
    diagonal = math.hypot(36, 24) / math.hypot(160, 96)
    assert camera(str(tmp_path / "phone.mov"))[0] == pytest.approx(26 / (160 * diagonal), rel=1e-3)
    assert not caplog.text
    turned = tmp_path / "turned.mp4"
    film(turned, walking(5), rotation=90)
    assert camera(f"clip:{turned}:fov=90")[1] == pytest.approx(0.5)  # along the longer side, which is upright


def test_rendered_clips_withhold_their_poses(tmp_path):
    for _ in write(RenderJob(("street",), "clip", 3, 1, (48, 96)), tmp_path / "clips"):
        pass
    known, withheld = open_dataset(f"{tmp_path}/clips")[0], open_dataset(f"clip:{tmp_path}/clips")[0]
    assert all(source.from_target is not None for source in known.sources)
    assert all(source.from_target is None for source in withheld.sources)
    torch.testing.assert_close(withheld.depth, known.depth, equal_nan=True)
    assert torch.equal(withheld.target.valid, known.target.valid)
    assert withheld.frames is not None
    with pytest.raises(InputError, match="rendered"):
        open_dataset(f"clip:{tmp_path}/clips:step=2")


def test_sentences(tmp_path):
    for count in (1, 2):
        encode(tmp_path / f"{count}.mp4", walk(count))
    encode(tmp_path / "still.mp4", walk(1) * 9)
    encode(tmp_path / "good.mp4", walk(5))
    (tmp_path / "12:30.mp4").write_bytes((tmp_path / "good.mp4").read_bytes())
    assert len(open_dataset(f"{tmp_path}/12:30.mp4")) == len(open_dataset(f"clip:{tmp_path}/12:30.mp4:step=1")) == 3
    (tmp_path / "anim.gif").write_bytes(b"GIF89a")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("no film at all")
    Image.new("RGB", (32, 24)).save(tmp_path / "photo.mp4", "JPEG")
    (tmp_path / "page.mp4").write_text("<!DOCTYPE html><html>")
    (tmp_path / "sphere.json").write_text('{"camera": "equirectangular"}')
    (tmp_path / "phone 12:30.json").write_text('{"fov": 70}')
    with_colons = f"{tmp_path}/12:30.mp4:camera={tmp_path}/phone 12:30.json:step=1"
    assert named(with_colons)[1:] == (f"{tmp_path}/12:30.mp4", {"camera": f"{tmp_path}/phone 12:30.json", "step": "1"})
    for name, sentence in {
        "clip:{}/1.mp4": "1 frame in a row, and depth is learned from a frame, the one 1 before",
        "clip:{}/2.mp4": "2 frames in a row",
        "{}/still.mp4": "nothing moves",
        "clip:{}/good.mp4:step=3": "7 in all.* smaller step",
        "clip:{}/good.mp4:step=0": "at least 1",
        "clip:{}/good.mp4:step=many": "are not numbers",
        "clip:{}/good.mp4:fov=200": "below 180",
        "clip:{}/good.mp4:steps=2": "did you mean 'step'",
        "clip:{}/good.mp4:camera={}/sphere.json": "pinhole",
        "clip:{}/empty": "holds no picture",
        "clip:{}/text.mp4": "is not a video",
        "clip:{}/photo.mp4": "photo.mp4 is a JPEG picture, not a video; give MP4",
        "clip:{}/page.mp4": "page.mp4 is a web page, as failed downloads leave, not a video",
        "{}/missing.mp4": "does not exist; give the file",
        "{}/anim.gif": "is a file; give a film",
        "{}/1:30.mp4": "unknown kind of data set",
    }.items():
        with pytest.raises(InputError, match=sentence):
            open_dataset(name.replace("{}", str(tmp_path)))
