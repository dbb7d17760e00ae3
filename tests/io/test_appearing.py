"""Files appear whole or not at all, and what belongs together stays together."""

import os
import threading
from pathlib import Path

import pytest

from cyclopean.errors import InputError
from cyclopean.io.files import appearing, at_home, is_stream, write_text


def test_files_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"

    def stopped() -> None:
        with appearing(out) as folder:
            (folder / "a.txt").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert list(out.iterdir()) == []
    with appearing(out) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "a.txt").write_text("whole")
        assert [p.name for p in out.iterdir() if not p.name.startswith(".")] == []
    assert [p.name for p in out.iterdir()] == ["deep"]
    assert (out / "deep" / "a.txt").read_text() == "whole"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write to"), appearing(tmp_path / "file" / "out"):
        pass


def test_a_short_write_without_a_number_is_a_full_disk(tmp_path):
    """So says numpy of an array that did not fit; other errors keep what they say."""
    with pytest.raises(InputError, match="240000 requested and 127968 written"), appearing(tmp_path / "out"):
        raise OSError("240000 requested and 127968 written")
    with pytest.raises(OSError, match="broken data stream") as told, appearing(tmp_path / "out"):
        raise OSError("broken data stream when writing image file")  # of an encoder: no fault of the disk
    assert not isinstance(told.value, InputError)
    with pytest.raises(ConnectionError), appearing(tmp_path / "out"):
        raise ConnectionResetError(104, "reset")
    assert not any((tmp_path / "out").iterdir())


@pytest.mark.parametrize(("make", "kind"), [(Path.mkdir, "a folder"), (os.mkfifo, "a pipe or a device")])
def test_what_is_no_file_in_the_place_of_a_result_leaves_nothing(make, kind, tmp_path):
    make(tmp_path / "b.npy")

    def write() -> None:
        with appearing(tmp_path) as folder:
            for name in ("a.json", "b.npy", "c.png"):
                (folder / name).write_text("new")

    with pytest.raises(InputError, match=f"is {kind}, and a result needs its name"):
        write()
    assert [p.name for p in tmp_path.iterdir()] == ["b.npy"]


def test_files_that_belong_together_stay_together(tmp_path):
    """Two writers of one stem: whoever is last, all files are theirs."""

    def write(who: str) -> None:
        for _ in range(20):
            with appearing(tmp_path) as folder:
                for name in ("a.json", "b.npy", "c.png", "d.png"):
                    (folder / name).write_text(who)

    writers = [threading.Thread(target=write, args=(who,)) for who in "xy"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len({path.read_text() for path in tmp_path.iterdir()}) == 1


def test_what_a_killed_process_left_is_swept(tmp_path):
    left, young = tmp_path / ".cyclopean-left", tmp_path / ".cyclopean-young"
    for folder in (left, young):
        folder.mkdir()
    os.utime(left, (0, 0))
    with appearing(tmp_path) as folder:
        os.utime(folder, (0, 0))
        with appearing(tmp_path):  # somebody else's, who must not take ours for left over
            assert folder.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".cyclopean-young"]


def test_a_pipe_takes_text_and_stays_a_pipe(tmp_path):
    """A replaced pipe would leave its reader waiting for ever; /dev/stdout would be gone from the machine."""
    os.mkfifo(tmp_path / "pipe")
    reader, writer = os.pipe()
    for place, opened in ((tmp_path / "pipe", None), (Path(f"/dev/fd/{writer}"), reader)):
        writing = threading.Thread(target=write_text, args=(place, "whole"), daemon=True)
        writing.start()
        with open(place if opened is None else os.dup(opened)) as stream:
            assert stream.read(5) == "whole"
        writing.join()
        assert is_stream(place)
        assert place.exists()
    os.close(reader)
    with pytest.raises(InputError, match=r"cannot write to /dev/fd/\d+ \(Broken pipe\)"):
        write_text(Path(f"/dev/fd/{writer}"), "lost")
    os.close(writer)
    assert not is_stream(tmp_path)
    assert not is_stream(tmp_path / "new")


def test_a_tilde_means_a_home_unless_a_file_has_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert at_home("~/a") == tmp_path / "home" / "a"
    assert at_home("~nobody.mp4") == Path("~nobody.mp4")  # nobody's home
    Path("~").mkdir()
    (Path("~") / "a").touch()
    assert at_home("./~/a") == at_home("~/a") == Path("~/a")
