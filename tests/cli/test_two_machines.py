"""Two machines with a network between them, as far as one machine can be two: network namespaces, each with its own
address, loopback and processes, joined by a cable. `torchrun` on each trains; one dies; both go on where they were."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cyclopean.data.shards import Sharding, write_index
from cyclopean.synthetic.folder import RenderJob, write

ADDRESSES = ("10.231.17.1", "10.231.17.2")


@contextmanager
def cable() -> Iterator[tuple[str, str]]:
    """Yield the names of two network namespaces that reach each other; skip where they cannot be made."""
    names = tuple(f"cyclopean{os.getpid()}{end}" for end in "ab")

    def ip(*words: str) -> bool:
        return subprocess.run(["ip", *words], capture_output=True, check=False).returncode == 0

    try:
        if not all(ip("netns", "add", name) for name in names):
            pytest.skip("network namespaces need Linux and its administrator")
        ends = [f"c{os.getpid() % 100000}{end}" for end in "ab"]
        assert ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for name, end, address in zip(names, ends, ADDRESSES, strict=True):
            assert ip("link", "set", end, "netns", name)
            assert ip("-n", name, "link", "set", end, "name", "cable")
            assert ip("-n", name, "addr", "add", f"{address}/24", "dev", "cable")
            assert ip("-n", name, "link", "set", "cable", "up")
            assert ip("-n", name, "link", "set", "lo", "up")
        yield names
    except FileNotFoundError:
        pytest.skip("network namespaces need the command ip")
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def machines(names: tuple[str, str], out: Path, port: int, *words: object) -> list[subprocess.Popen[str]]:
    """Start the same training on both machines; gloo is told which network card to use, as on real ones."""
    quick = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "cable"}
    launched = []
    for rank, name in enumerate(names):
        command = ["ip", "netns", "exec", name, sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
        command += ["--node-rank", str(rank), "--nproc-per-node", "1", "--master-addr", ADDRESSES[0]]
        command += ["--master-port", str(port), "-m", "cyclopean", "train", "monodepth", *map(str, words)]
        command += ["--devices", "1", "--nodes", "2", "--out", str(out)]
        launched.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=quick, start_new_session=True))
    return launched


def ended(launched: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """Wait for both machines; return exit codes and what they printed."""
    try:
        said = [machine.communicate(timeout=240)[1] for machine in launched]
    finally:
        for machine in launched:
            if machine.poll() is None:
                os.killpg(machine.pid, signal.SIGKILL)
    return [(machine.returncode, text) for machine, text in zip(launched, said, strict=True)]


@pytest.mark.slow
def test_one_of_two_machines_dies_and_the_run_goes_on(tmp_path):
    for _ in write(RenderJob(("room",), "stereo", 0, 8, (32, 64)), tmp_path / "pairs"):
        pass
    pack = Sharding(str(tmp_path / "pairs"), tmp_path / "shards", 3, None).load()
    assert [pack(number) for number in range(3)] == [[], [], []]
    write_index(tmp_path / "shards", 3, {})
    words = ["--data", f"shards:{tmp_path / 'shards'}", "--network", "compact", "--width", "0.05", "--size", "32x64"]
    words += ["--batch-size", "1", "--workers", "1", "--steps", "60", "--save-every", "0.001", "--report-every", "1"]
    with cable() as names:
        whole = ended(machines(names, tmp_path / "whole", 29571, *words))
        assert [code for code, _ in whole] == [0, 0], whole
        launched = machines(names, tmp_path / "cut", 29572, *words)
        log = tmp_path / "cut" / "log.jsonl"
        while not (log.exists() and len(log.read_text().splitlines()) > 5):
            assert all(machine.poll() is None for machine in launched)
            time.sleep(0.02)
        subprocess.run(
            ["sh", "-c", f"kill -9 $(ip netns pids {names[1]})"], check=True
        )  # the whole machine, launcher and readers of data
        first, second = ended(launched)
        assert first[0] != 0, "the other machine ends too, and waits for nobody"
        assert second[0] == -signal.SIGKILL
        assert 5 < len(log.read_text().splitlines()) < 60
        again = ended(machines(names, tmp_path / "cut", 29573, *words, "--resume"))
        assert [code for code, _ in again] == [0, 0], again
    ours, theirs = (load_file(tmp_path / run / "last" / "model.safetensors") for run in ("cut", "whole"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
