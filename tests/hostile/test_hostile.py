"""Two thousand spoiled files, read in a process that is watched; ten thousand by `python -m benchmarks hostile`."""

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.hostile import GOOD, READ, outcomes
from benchmarks.hostile_kinds import KINDS

INPUTS = 2000


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
