"""Clips whose pixels are not square: what the model sees, discs of blur, depth, and single frames."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from torch import Tensor

from cyclopean.defocus.lens import Lens
from cyclopean.defocus.video import Keyframe
from cyclopean.inference.clip import refocus_clip
from cyclopean.inference.clip_pipeline import clip_notes, predict_clip
from cyclopean.inference.refocus_pipeline import RefocusOptions, refocus_photo
from cyclopean.io.depthmap import read_depth
from cyclopean.io.image import Photo, read_photo, resize
from cyclopean.io.result_names import Target
from cyclopean.io.video import describe, frames
from cyclopean.io.video_frames import square_size
from cyclopean.sample import View
from filmed import blue_is_near, texture

H, W = 96, 160


def dots() -> np.ndarray:
    """A far wall with one bright dot, and a near square with texture; blue is depth."""
    grey, blue = np.full((H, W), 0.1, np.float32), np.full((H, W), 0.25, np.float32)
    grey[46:50, 116:120] = 1
    grey[20:70, 10:50] = texture(50, 40, 1)
    blue[20:70, 10:50] = 0.75
    blue[46:50, 116:120] = 0.45
    return np.stack([grey, grey, blue], -1)


def encode(
    path: Path,
    aspect: Fraction,
    rotation: int = 0,
    colours: dict[str, int] | None = None,
    size: tuple[int, int] = (H, W),
) -> None:
    with av.open(str(path), "w") as container:
        shape = f"{aspect.numerator}/{aspect.denominator}"
        track = container.add_stream("libx264", rate=10, options={"crf": "4", "x264-params": f"sar={shape}"})
        (track.height, track.width), track.pix_fmt = size, "yuv444p"
        track.codec_context.sample_aspect_ratio = aspect
        for name, value in (colours or {}).items():
            setattr(track.codec_context, name, value)
        if rotation:
            track.set_display_rotation(rotation)
        pixels = np.ascontiguousarray((dots()[: size[0], : size[1]] * 255).round().astype(np.uint8))
        for _ in range(4):
            container.mux(track.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(track.encode(None))


def spread(image: Tensor, axis: int) -> float:
    """The standard deviation, along an axis, of the light around the dot."""
    light = (image[0, 0, 24:72, 94:142] - 0.11).clamp(min=0).numpy() ** 2.2
    return float(np.sqrt((light.sum(1 - axis) * (np.arange(48) - 23.5) ** 2).sum() / light.sum()))


def test_pixels_are_square_for_models_and_discs_and_single_frames(tmp_path: Path) -> None:
    """Of wider and narrower pixels, upright and turned; what is in focus stays as it was."""
    shapes: list[float] = []

    def see(_method: object, view: View) -> Tensor:
        shapes.append(view.seen.shape[-1] / view.seen.shape[-2])
        return 0.25 + 0.5 * (view.seen[:, 2:3] > 0.6)

    predictor = replace(blue_is_near(), infer=see)
    path, result, out = tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / "out"
    for aspect, rotation in ((Fraction(2), 0), (Fraction(1, 2), 0), (Fraction(16, 9), 90), (Fraction(1, 9), 0)):
        shapes.clear()
        encode(path, aspect, rotation)
        shown = Fraction(1) if aspect < Fraction(1, 4) else 1 / aspect if rotation else aspect  # 1:9 is a mistake
        clip = describe(path)
        h, w = clip.size
        assert (clip.aspect, clip.remarks) == (shown, ())
        refocus_clip(path, result, [Keyframe(0, (30, 45) if not rotation else (0.5, 0.8))], predictor, Lens(amount=2.0))
        before, after = next(frames(path)), next(frames(result))
        if not rotation:
            assert float((after - before)[..., 30:60, 15:45].abs().mean()) < 4.2 / 255, aspect  # as of square pixels
            down, across = (np.sqrt(spread(after, axis) ** 2 - spread(before, axis) ** 2) for axis in (0, 1))
            assert down > 1, "it is blurred"
            assert across * float(shown) == pytest.approx(down, rel=0.1), aspect
        predict_clip(path, Target(out, "a", overwrite=True), predictor, ["npy"])
        assert describe(out / "a_disp.mp4").size == (h, w)
        assert describe(out / "a_disp.mp4").aspect == shown
        depth = read_depth(out / "a_disp" / "000000_disp.npy").inverse_depth[0, 0]
        near = float((depth > 0.6).float().mean())
        assert near == pytest.approx(50 * 40 / (H * W), rel=0.1)
        predictor(Photo(resize(before, square_size((h, w), shown))))
        assert set(shapes) == {shapes[-1]}, (aspect, rotation)
        options = RefocusOptions(at=(0.5, 0.5), frame=0.1, lens=Lens(amount=0.0))
        photo = refocus_photo(path, Target(out, "p", overwrite=True), lambda _: predictor, options, {})
        square = read_photo(photo.paths[0])
        assert square.size == square_size((h, w), shown)
        assert any("are not square" in note for note in photo.notes) == (shown != 1)
        small = resize(square.image, (h, w))
        assert float((small - before).abs().mean()) < 3 / 255


def test_a_single_frame_keeps_the_notes_of_its_clip(tmp_path: Path) -> None:
    """Of what is lost when pictures are read, and not of how videos are written."""
    bright = {"color_primaries": 9, "color_trc": 18, "colorspace": 9}
    encode(tmp_path / "hlg.mp4", Fraction(1), colours=bright)
    encode(tmp_path / "odd.mp4", Fraction(1), size=(H - 1, W - 1))
    options = RefocusOptions(at=(0.5, 0.5), frame=0.1, lens=Lens(amount=0.0))
    for name, words in (("hlg", ["high dynamic range (HLG)", "taken as a photo"]), ("odd", ["taken as a photo"])):
        path = tmp_path / f"{name}.mp4"
        notes = refocus_photo(path, Target(tmp_path, "p"), lambda _: blue_is_near(), options, {}).notes
        assert [word in note for word, note in zip(words, notes, strict=False)] == [True] * len(words), notes
        assert not any("videos are written" in note for note in notes)
    assert "videos are written with even sizes" in clip_notes(tmp_path / "odd.mp4")[0]


def test_pixels_that_change_their_shape_inside_a_film(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As between the parts of a broadcast: single frames are shown in their own; of a whole film it is said."""
    parts = []
    for aspect in (Fraction(16, 15), Fraction(4, 5)):
        with av.open(str(tmp_path / "part.m2v"), "w", format="mpeg2video") as container:
            track = container.add_stream("mpeg2video", rate=25)
            (track.height, track.width), track.pix_fmt = (H, W), "yuv420p"
            track.codec_context.sample_aspect_ratio = aspect
            for _ in range(8):
                container.mux(track.encode(av.VideoFrame.from_ndarray((dots() * 255).round().astype(np.uint8))))
            container.mux(track.encode(None))
        parts.append((tmp_path / "part.m2v").read_bytes())
    path, options = tmp_path / "joined.m2v", RefocusOptions(at=(0.5, 0.5), lens=Lens(amount=0.0))
    path.write_bytes(b"".join(parts))
    for seconds, aspect in ((0.1, Fraction(16, 15)), (0.5, Fraction(4, 5))):
        target = Target(tmp_path, "p", overwrite=True)
        photo = refocus_photo(path, target, lambda _: blue_is_near(), replace(options, frame=seconds), {})
        assert read_photo(photo.paths[0]).size == square_size((H, W), aspect)
    assert not caplog.messages
    predict_clip(path, Target(tmp_path, "joined"), blue_is_near(), ["npy"])
    (said,) = caplog.messages
    assert "160x96 with pixels of 4:5) are scaled to the 160x96 with pixels of 16:15 of the first" in said
    assert "squeezes those of another shape; cut the clip there" in said
