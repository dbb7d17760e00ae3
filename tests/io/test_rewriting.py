"""Other pictures in the same clip: everything else stays."""

from collections.abc import Iterator
from pathlib import Path

import av
import pytest
import torch

from cyclopean.errors import InputError
from cyclopean.io.video import Still, describe, frames, stills
from cyclopean.io.video_writing import rewrite
from filmed import film, sound_of, times_of, trim, walking

BT709 = {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 1}


def same(clip: Iterator[Still]) -> Iterator[torch.Tensor]:
    for still in clip:
        yield still.image


@pytest.mark.parametrize(
    ("name", "result", "codecs", "details"),
    [
        ("a.mp4", "b.mp4", ("libx264", "aac"), {}),
        ("a.mov", "b.mov", ("libx264", "aac"), {"rotation": 90, "uneven": 300}),
        ("a.mp4", "b.mp4", ("mpeg4", "mp3"), {"rotation": -90}),
        ("a.mkv", "b.mkv", ("libx264", "libopus"), {"colours": BT709}),
        ("a.webm", "b.mkv", ("libvpx", "libopus"), {}),
    ],
)
def test_sound_times_rotation_and_colours_stay(
    tmp_path: Path, name: str, result: str, codecs: tuple[str, str], details: dict
) -> None:
    old, new = tmp_path / name, tmp_path / result
    film(old, walking(10), codecs, **details)
    assert rewrite(old, new, same) == 10
    assert sound_of(new) == sound_of(old)
    assert times_of(new) == pytest.approx(times_of(old), abs=1e-6)
    with av.open(str(old)) as before, av.open(str(new)) as after:
        a, b = next(before.decode(video=0)), next(after.decode(video=0))
        assert (a.rotation, a.width, a.height) == (b.rotation, b.width, b.height)
        assert a.rotation == details.get("rotation", 0)
        if "colours" in details:
            assert (b.colorspace, b.color_primaries, b.color_trc, b.color_range) == (1, 1, 1, 1)
        assert after.metadata["title"] == "a walk"
    for read, made in zip(frames(new), frames(old), strict=True):
        assert float((read - made).abs().mean()) < 0.02


def test_the_pictures_are_those_that_were_given(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", walking(6), rotation=90)

    def marked(clip: Iterator[Still]) -> Iterator[torch.Tensor]:
        for still in clip:
            image = torch.full_like(still.image, still.index / 10)
            image[:, 0, :30] = 1.0  # red on top of the upright picture
            yield image

    rewrite(tmp_path / "a.mp4", tmp_path / "b.mp4", marked)
    for index, image in enumerate(frames(tmp_path / "b.mp4")):
        assert image.shape == (1, 3, 160, 96)
        assert float(image[:, 0, :20].mean()) > 0.9
        assert float(image[:, :, 60:].mean()) == pytest.approx(index / 10, abs=0.03)


def test_a_clip_without_sound(tmp_path: Path) -> None:
    from fractions import Fraction

    from clips import write_video

    write_video(tmp_path / "a.mp4", walking(5), Fraction(25))
    assert rewrite(tmp_path / "a.mp4", tmp_path / "b.mp4", same) == 5
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert not container.streams.audio


def test_headers_and_single_frames(tmp_path: Path) -> None:
    film(tmp_path / "a.mov", walking(12), rotation=90, uneven=300)
    clip = describe(tmp_path / "a.mov")
    assert (clip.count, clip.size) == (12, (160, 96))
    assert clip.seconds == pytest.approx(0.41, abs=0.03)
    at = next(stills(tmp_path / "a.mov", lambda _, seconds: seconds >= 0.1))
    assert (at.index, round(at.seconds, 4)) == (3, 0.1)


def test_a_clip_cut_short_is_one_sentence(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", walking(30))
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"lost its index"):
        rewrite(tmp_path / "cut.mp4", tmp_path / "b.mp4", same)


def test_what_an_edit_list_cuts_out_stays_out(tmp_path: Path) -> None:
    """As of a film that was trimmed on a phone: 40 frames are in it, 16 of them are shown, with the sound of those."""
    whole, trimmed, result = (tmp_path / f"{name}.mp4" for name in ("whole", "trimmed", "result"))
    film(whole, walking(40, step=1))
    trim(whole, trimmed, start=0.5, seconds=16 / 30)
    clip, every = describe(trimmed), list(stills(whole))
    assert (clip.count, round(clip.seconds, 2)) == (16, 0.53)
    assert [round(30 * still.seconds) for still in stills(trimmed)] == list(range(16))
    assert all(torch.equal(a.image, b.image) for a, b in zip(stills(trimmed), every[15:31], strict=True))
    assert rewrite(trimmed, result, same) == 16
    assert times_of(result) == pytest.approx([n / 30 for n in range(16)], abs=1e-3)
    (first, *_), everything = sound_of(result), [data for _, data in sound_of(whole)]
    kept = [data for _, data in sound_of(result)]
    place = everything.index(kept[0])
    assert kept == everything[place : place + len(kept)]
    with av.open(str(result)) as container:
        heard = [float(frame.time) for frame in container.decode(audio=0)]
    assert 0.5 < len(kept) * 1024 / 48000 < 0.6
    assert -0.05 <= first[0] < 0  # what a decoder needs to begin
    assert -0.01 < heard[0] < 0.03
    assert heard[-1] < 16 / 30
