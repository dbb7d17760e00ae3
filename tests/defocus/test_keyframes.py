"""Keys of a clip: their file, bad files as one sentence, and the way from one to the next."""

import json
from pathlib import Path

import pytest

from cyclopean.defocus.video import EXAMPLE, Keyframe, between, check_keyframes, eased, read_keyframes
from cyclopean.errors import InputError


def test_the_example_is_read(tmp_path: Path) -> None:
    (tmp_path / "focus.json").write_text(EXAMPLE)
    assert read_keyframes(tmp_path / "focus.json") == (Keyframe(0, (0.3, 0.5)), Keyframe(2, (0.7, 0.5), 2.0, True))


BAD_FILES = (
    ("time 0", "is not readable JSON"),
    ('{"time": 0, "point": [1, 2]}', "holds no list of keys"),
    ("[]", "holds no list of keys"),
    ("[3]", "key 1 is 3"),
    ('[{"time": 0, "pont": [1, 2]}]', "did you mean 'point'"),
    ('[{"point": [1, 2]}]', "key 1 has no time"),
    ('[{"time": 1}]', "key 1 has no point"),
    ('[{"time": 0, "point": [1]}]', r"the point is \[1\]; give two numbers"),
    ('[{"time": 0, "point": ["left", 1]}]', "give two numbers"),
    ('[{"time": -1, "point": [1, 2]}]', "the time is -1"),
    ('[{"time": NaN, "point": [1, 2]}]', "the time is NaN"),
    ('[{"time": 0, "point": [1, 2], "amount": "much"}]', 'the amount is "much"'),
    ('[{"time": 0, "point": [1, 2], "track": 1}]', "track is 1; give true or false"),
    ('[{"time": 2, "point": [1, 2]}, {"time": 1, "point": [1, 2]}]', "key 2: its time 1 is not after 2"),
    ('[{"time": 1, "point": [1, 2]}, {"time": 1, "point": [1, 2]}]', "is not after 1"),
)


def test_bad_files_are_one_sentence(tmp_path: Path) -> None:
    for text, sentence in BAD_FILES:
        (tmp_path / "focus.json").write_text(text)
        with pytest.raises(InputError, match=sentence) as error:
            read_keyframes(tmp_path / "focus.json")
        assert "\n" not in str(error.value), text
        assert "focus.json" in str(error.value), text


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        read_keyframes(tmp_path / "gone.json")
    (tmp_path / "photo.json").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(InputError, match="holds no text"):
        read_keyframes(tmp_path / "photo.json")


def test_keys_outside_the_clip() -> None:
    keys = (Keyframe(0, (0.5, 0.5)), Keyframe(3, (200, 40)))
    check_keyframes(keys, (50, 300), 3.0)
    with pytest.raises(InputError, match=r"key 2 is at 3 s, but the clip ends at 2\.9 s"):
        check_keyframes(keys, (50, 300), 2.9)
    with pytest.raises(InputError, match="key 2: the point 200 40 lies outside the picture, which is 100x50"):
        check_keyframes(keys, (50, 100), 3.0)
    with pytest.raises(InputError, match="mixes a fraction with pixels"):
        check_keyframes((Keyframe(0, (0.5, 20)),), (50, 100), 3.0)


def test_the_way_between_keys() -> None:
    keys = tuple(Keyframe(time, (1, 2)) for time in (1.0, 3.0, 4.0))
    assert between(keys, 0.0) == (0, 0.0)
    assert between(keys, 2.0) == (0, 0.5)
    assert between(keys, 3.0) == (1, 0.0)
    assert between(keys, 9.0) == (2, 0.0)
    parts = [eased(k / 100) for k in range(101)]
    assert parts == sorted(parts)
    assert (parts[0], parts[100]) == (0, 1)
    assert parts[1] < 0.001
    assert 1 - parts[99] < 0.001
    assert json.loads(EXAMPLE)
