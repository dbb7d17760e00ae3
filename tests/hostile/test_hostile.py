"""Two thousand spoiled files, read in a process that is watched; ten thousand by `python -m benchmarks hostile`."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from benchmarks.hostile import GOOD, READ, outcomes
from benchmarks.hostile_kinds import KINDS

INPUTS = 2000
SEED = 1084  # by which every reader of `misbehaving.py` has its turn, those that take long once


@pytest.mark.slow
def test_spoiled_files_are_read_or_refused_by_one_sentence(tmp_path):
    counts, wrong = Counter(), []
    for outcome in outcomes(INPUTS, 1, tmp_path):
        counts[outcome.kind, outcome.what] += 1
        if outcome.what not in GOOD:
            wrong.append(f"{outcome.kind} {outcome.index}: {outcome.what} ({outcome.kept})")
    assert not wrong, "\n".join(wrong)
    assert sum(counts.values()) == INPUTS
    # A kind of which nothing is read any more is spoiled by its own making.
    assert not [kind for kind in KINDS if not counts[kind, READ]]


@pytest.mark.slow
def test_the_watch_sees_what_no_reader_may_do(tmp_path):
    script = Path(__file__).with_name("misbehaving.py")
    run = subprocess.run([sys.executable, script, tmp_path, str(SEED)], capture_output=True, text=True, check=True)
    seen = dict(line.split(" ", 1) for line in run.stdout.splitlines())
    expected = {
        **{"connects": "socket.connect", "starts": "subprocess.Popen", "writes": "outside", "raises": "KeyError at"},
        **{"speaks": "no short sentence", "dies": "the process died", "sleeps": "took", "hangs": "hang", "reads": READ},
    }
    if Path("/proc/self/clear_refs").exists():
        expected["takes"] = " GB"
    assert {kind: words for kind, words in expected.items() if words not in seen.get(kind, "")} == {}, run.stdout
