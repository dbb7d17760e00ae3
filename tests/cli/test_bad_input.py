"""Bad input to every command: one sentence on the error stream, exit code 2, no traceback, and nothing written."""

import json
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clips import write_video
from cyclopean.cli import main
from cyclopean.methods.monodepth import Monodepth
from cyclopean.training import checkpoint

TRAIN = "train monodepth --data pairs --size 128x128 --width 0.05 --accelerator cpu --workers 0 --steps 1"
LONG = f"{'k' * 251}.png"  # as long as names may be on most disks: those of results are longer
FOCUS = "refocus good.png --at 0.5 0.5 --depth ok.npy"

WORDS = {  # what is typed -> a part of what is said
    # files that are none, or not what they are taken for
    "predict": "no photo was given",
    "predict nowhere.png": "there is no file nowhere.png",
    "predict pointer.jpg": "pointer of Git LFS to a file that was not fetched; run: git lfs pull.",
    "predict pointer.mp4": "pointer.mp4 is only a pointer of Git LFS",
    "refocus good.png --at 0.5 0.5 --depth pointer.npy": "pointer.npy is only a pointer of Git LFS",
    "predict good.png --model pointing": "model.safetensors is only a pointer of Git LFS",
    f"{FOCUS} --matte pointer.jpg": "pointer.jpg is only a pointer of Git LFS",
    f"{FOCUS} --matte dark.png": "they go from 0 to 0.196, where white is 1",
    "predict empty": "holds no photos",
    "predict text.png": "text.png is not a picture",
    "predict zero.png": "zero.png",
    "predict cut.jpg": "cut.jpg",
    "predict huge.png": "400 megapixels",
    "predict text.mp4": "text.mp4",
    "refocus text.png --at 0.5 0.5": "text.png is not a picture",
    "refocus zero.mp4 --at 0.5 0.5": "zero.mp4",
    "refocus cut.mp4 --at 0.5 0.5": "cut.mp4",
    "refocus good.png --at 0.5 0.5 --depth text.npy": "text.npy",
    "refocus good.png --at 0.5 0.5 --depth pickled.npy": "pickled.npy",
    "refocus good.png --at 0.5 0.5 --depth unknown.npy": "unknown.npy",
    "refocus good.png --at 0.5 0.5 --depth small.npy": "5x5",
    f"{FOCUS} --matte text.png": "text.png",
    "check file": "file",
    "check empty": "empty",
    "bench lens empty": "empty",
    "bench robust empty": "empty",
    "bench stereo results --real nowhere": "nowhere",
    "bench stereo results --real middlebury:a,middlebury:b": "one of each",
    "evaluate --data empty": "empty",
    "evaluate --data pairs --predictions empty --kind disparity": "empty",
    "evaluate --compare broken.json list.json": "broken.json",
    "render-mesh text.glb results --blender nowhere": "nowhere",
    "render street results --pictures empty": "holds no picture",
    # places that cannot be written
    "predict good.png --out file/x": "cannot write to file/x",
    f"{FOCUS} --out file": "cannot write to file: it is a file; give a folder",
    f"predict {LONG}": "kkk_disp.png': its 260 bytes are too long for this disk",
    f"refocus {LONG} --at 0.5 0.5": "kkk_defocus.png': its 263 bytes are too long for this disk",
    f"{TRAIN} --out file/x": "cannot write to file/x",
    "render street file/x --count 1": "cannot write to file/x",
    "bench stereo file/x": "cannot write to file/x",
    "bench sphere file/x": "cannot write to file/x",
    "bench video file/x": "cannot write to file/x",
    # models
    "predict good.png --model foreign": "has no model.safetensors",
    "predict good.png --model corrupt": "damaged or no safetensors file",
    "refocus good.png --at 0.5 0.5 --model foreign": "has no model.safetensors",
    "refocus good.png --at 0.5 0.5 --model corrupt": "damaged or no safetensors file",
    "evaluate --data motorcycle --model foreign": "has no model.safetensors",
    "evaluate --data motorcycle --model corrupt": "damaged or no safetensors file",
    "predict good.png --model empty": "has no config.json",
    f"{TRAIN} --out results --init foreign": "not a model of cyclopean",
    # pairs
    "predict good.png --model two": "give the right one too: --right PHOTO",
    "predict good.png --right other.png": "takes one picture",
    "predict good.png --right nowhere.png --model two": "there is no file nowhere.png",
    "predict good.png --right text.png --model two": "text.png is not a picture",
    "predict good.png --right wide.png --model two": "left and right need one size",
    "predict good.png --right other.png --model two --flip-average": "no --flip-average",
    "predict good.png --right other.png --model two --uncertainty 2": "is not known",
    "predict good.png other.png --right wide.png": "belongs to one photo",
    "predict clip.mp4 --right other.png --model two": "is a video",
    "predict clip.mp4 --camera equirectangular": "extract the frames",
    "predict clip.mp4 --camera top-bottom": "--camera top-bottom is for panoramas",
    "predict clip.mp4 --via-cube": "clip.mp4 is a video, whose frames are taken for ordinary pictures, and --via-cube",
    "refocus clip.mp4 --at 0.5 0.5 --camera equirectangular": "extract the frames",
    # panoramas that are none
    "predict good.png --via-cube": "good.png is 64x48 and not recognised as a panorama",
    "predict wide.png --via-cube": "leave out --via-cube",
    "predict wide.png --via-cube --camera pinhole": "leave out --via-cube",
    "predict wide.png --via-cube --camera equirectangular": "pad it to the whole",
    # keys of a clip
    "refocus clip.mp4 --keys broken.json": "is not readable JSON",
    "refocus clip.mp4 --keys list.json": "holds no list of keys",
    "refocus clip.mp4 --keys one.json": "one.json, key 1",
    "refocus clip.mp4 --keys nan.json": "nan.json, key 1",
    "refocus clip.mp4 --keys misspelt.json": "misspelt.json, key 1",
    "refocus clip.mp4 --keys nowhere.json": "there is no file nowhere.json",
    "refocus clip.mp4 --at 0.5 0.5 --keys list.json": "--keys and --at",
    # names, the nearest suggested
    "predct good.png": "did you mean 'predict'",
    "predict good.png --vai-cube": "did you mean '--via-cube'",
    "predict good.png --save pgn16": "did you mean 'png16'",
    "predict good.png --camera equirectanglar": "did you mean 'equirectangular'",
    "predict good.png --view htm": "did you mean 'html'",
    "predict good.png --device gpu": "'gpu' cannot be used",
    "predict good.png --device meta": "'meta' cannot be used",
    f"{FOCUS} --method gausian": "did you mean 'gaussian'",
    "predict good.png --resume": "unknown flag '--resume'; cyclopean predict --help lists all flags",
    "train panorma": "did you mean 'panorama'",
    "train panorama --world stret --out results": "did you mean 'street'",
    f"{TRAIN} --out results --mask insde": "did you mean 'inside'",
    "evaluate --data pairs --protocol sphericl": "did you mean 'spherical'",
    "evaluate --data kiti_raw:pairs": "did you mean 'kitti_raw'",
    "render stret results": "did you mean 'street'",
    "render street results --rig sphre": "did you mean 'sphere'",
    "render-mesh text.glb results --light bakd": "did you mean 'baked'",
    "bench robst": "did you mean 'robust'",
    "bench stereo results --rows monodpeth": "monodpeth",
    "bench sphere results --budget smal": "did you mean 'small'",
    "bench video results --rows spimmo": "did you mean 'spimo'",
    # numbers that mean nothing
    "predict good.png --size 0x0": "--size 0x0",
    "predict good.png --size 100000x100000": "1e+04 megapixels",
    "predict good.png --max-megapixels nan": "the limit is nan",
    "predict good.png --uncertainty 1": "give at least 2 looks",
    "refocus good.png --at nan nan --depth ok.npy": "nan",
    "refocus good.png --at 900 900 --depth ok.npy": "900",
    f"{FOCUS} --amount nan": "amount is nan",
    f"{FOCUS} --highlights -1": "highlights",
    f"{FOCUS} --range nan": "nan",
    f"{FOCUS} --f-number 0": "f-number is 0",
    f"{FOCUS} --f-number 2 --focus-distance nan": "focus distance is nan",
    f"{FOCUS} --shape polygon:2": "polygon:2",
    "refocus clip.mp4 --at 0.5 0.5 --smooth nan": "nan",
    f"{TRAIN} --out results --width nan": "width is nan",
    f"{TRAIN} --out results --width -1": "width is -1",
    f"{TRAIN} --out results --learning-rate inf": "learning-rate is inf",
    f"{TRAIN} --out results --smoothness inf": "smoothness is inf",
    f"{TRAIN} --out results --clip nan": "clip-grad-norm is nan",
    f"{TRAIN} --out results --flip nan": "flip is nan",
    f"{TRAIN} --out results --factors 0": "0 factors",
    "train monodepth --world street --items 0 --out results": "items is 0",
    "evaluate --data pairs --limit 0": "0",
    "evaluate --data pairs --factor nan": "nan",
    "check pairs --items 0": "--items is 0",
    "render street results --count 0": "--count 0",
    "render street results --count 99999999999": "--count 99999999999 is too many",
    "render street results --baseline nan": "--baseline nan",
    "render street results --field-of-view nan": "--field-of-view nan",
    "render street results --rig sphere --size 64x64": "twice as wide",
    "render-mesh text.glb results --unit nan": "--unit nan",
    "render-mesh text.glb results --baseline -1": "--baseline -1",
    "bench stereo results --workers -1": "--workers -1",
    "app --no-browser --port 99999999": "99999999",
}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pictures(root: Path, random: np.random.Generator) -> None:
    sizes = {"good.png": (48, 64), "other.png": (48, 64), "good.jpg": (48, 64), "wide.png": (48, 80)}
    sizes |= {LONG: (48, 64)}
    sizes |= {f"pairs/{side}/{k}.png": (48, 64) for side in ("left", "right") for k in range(2)}
    for name, (h, w) in sizes.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (h, w, 3), dtype=np.uint8)).save(root / name)
    (root / "pairs" / "calibration.json").write_text(json.dumps({"focal": [0.9, 1.2], "baseline_m": 0.1}))
    head = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    (root / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    Image.fromarray(np.linspace(0, 50, 48, dtype=np.uint8)[:, None].repeat(64, 1)).save(root / "dark.png")
    (root / "cut.jpg").write_bytes((root / "good.jpg").read_bytes()[:700])
    write_video(root / "clip.mp4", [torch.rand(1, 3, 48, 64) for _ in range(6)], Fraction(5))
    (root / "cut.mp4").write_bytes((root / "clip.mp4").read_bytes()[:1000])


def arrays(root: Path, random: np.random.Generator) -> None:
    np.save(root / "ok.npy", random.random((48, 64), dtype=np.float32))
    np.save(root / "small.npy", np.ones((5, 5), np.float32))
    np.save(root / "unknown.npy", np.full((48, 64), np.nan, np.float32))
    np.save(root / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)


def texts(root: Path) -> None:
    keys = {
        "broken": "{", "list": "[]", "one": '[{"time": 0, "point": [0.5]}]',
        "nan": '[{"time": NaN, "point": [0.5, 0.5]}]', "misspelt": '[{"time": 0, "pont": [0.5, 0.5]}]',
    }  # fmt: skip
    others = dict.fromkeys(("text.png", "text.mp4", "text.npy", "text.glb", "file"), "hello")
    empty = {"zero.png": "", "zero.mp4": ""}
    for name, content in ({f"{name}.json": text for name, text in keys.items()} | others | empty).items():
        (root / name).write_text(content)


def models(root: Path) -> None:
    card = {"input_size": [128, 128], "licence": "CC0-1.0"}
    checkpoint.save(root / "two", Monodepth(width=0.05, variant="stereo"), card)
    for name, content in (("foreign", {"model_type": "dpt"}), ("corrupt", {"method": "monodepth", "arguments": {}})):
        (root / name).mkdir()
        (root / name / "config.json").write_text(json.dumps(content))
    (root / "corrupt" / "model.safetensors").write_bytes(b"xx")
    (root / "empty").mkdir()
    checkpoint.save(root / "pointing", Monodepth(width=0.05), card)
    for name in ("pointer.jpg", "pointer.mp4", "pointer.npy", "pointing/model.safetensors"):
        (root / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 7012345\n")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, random = tmp_path_factory.mktemp("place"), np.random.default_rng(0)
    pictures(root, random)
    arrays(root, random)
    texts(root)
    models(root)
    return root


def held(root: Path) -> dict[str, int]:
    """Every file's size, every folder."""
    return {str(path): path.stat().st_size if path.is_file() else -1 for path in root.rglob("*")}


def test_bad_input_is_one_sentence_and_nothing_is_written(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    before, wrong = held(place), []
    for words, sentence in WORDS.items():
        code: object
        try:
            code = main(words.split())
        except SystemExit as end:
            code = end.code
        except Exception as error:
            code = repr(error)
        said = capsys.readouterr().err
        told = [line for line in said.strip().splitlines() if not line.startswith("cyclopean train: loading ")]
        if code != 2 or sentence not in said or len(told) != 1 or held(place) != before:
            wrong.append(f"{words}: {code}, {said}; new files {sorted(set(held(place)) - set(before))}")
            before = held(place)
    assert not wrong, "\n".join(wrong)
