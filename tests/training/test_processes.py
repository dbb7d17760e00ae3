"""Training with several processes and machines: as one with a larger batch, and one sentence for what goes wrong."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training_parts import lines, run, train, weights

PARTS = Path(__file__).parent / "training_parts.py"


@pytest.mark.slow
def test_two_processes_are_one_with_a_double_batch(tmp_path):
    """Gradients agree: plain gradient descent ends at the same weights. Losses are float32 on both under bfloat16."""
    train(run(tmp_path / "one", batch_size=4, steps=4), n=7)
    for name, precision in (("two", "float32"), ("half", "bfloat16")):
        command = [sys.executable, str(PARTS), str(tmp_path / name), "2", "2", precision, "1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
    torch.testing.assert_close(weights(tmp_path / "two"), weights(tmp_path / "one"), rtol=1e-5, atol=1e-6)
    for rank in (0, 1):
        seen = json.loads((tmp_path / "half" / f"seen{rank}.json").read_text())
        assert seen == ["torch.bfloat16", "torch.float32"]


@pytest.mark.slow
def test_what_one_process_cannot_read_stops_all_with_one_sentence(tmp_path):
    """The sixth item of seven is with one of the two processes; the other would wait for it."""
    command = [sys.executable, str(PARTS), str(tmp_path / "out"), "2", "1", "float32", "1", "broken"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done.stderr
    said = [line for line in done.stderr.splitlines() if line and not line.startswith(CHATTER)]
    assert said == ["sorry: item 5 is damaged."]


# What launchers say, and what C++ says where threads of the process group outlive it.
CHATTER = (
    "step ",
    "Initializing distributed",
    "-----",
    "distributed_backend",
    "All distributed processes",
    "terminate called",
)


LAUNCHERS = {
    "torchrun": "torch.distributed.run --nnodes 2 --node-rank {rank} --nproc-per-node 1 --master-addr 127.0.0.1 "
    "--master-port {port}",
    "fabric run": "lightning_fabric.cli --strategy ddp --accelerator cpu --devices 1 --num-nodes 2 --node-rank {rank} "
    "--main-address 127.0.0.1 --main-port {port}",
}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_machines_are_one_with_a_double_batch(launcher, tmp_path):
    """One launcher for each machine, as people would start them; here both are this machine."""
    train(run(tmp_path / "one", batch_size=4, steps=4), n=7)
    port = free_port()
    arguments = [str(PARTS), str(tmp_path / "two"), "1", "2", "float32", "2"]
    commands = [[sys.executable, "-m", *LAUNCHERS[launcher].format(rank=k, port=port).split()] for k in (0, 1)]
    machines = [subprocess.Popen([*c, *arguments], stderr=subprocess.PIPE, text=True) for c in commands]
    try:
        said = [machine.communicate(timeout=300)[1] for machine in machines]
    finally:
        for machine in machines:
            machine.kill()
    assert [machine.returncode for machine in machines] == [0, 0], said
    torch.testing.assert_close(weights(tmp_path / "two"), weights(tmp_path / "one"), rtol=1e-5, atol=1e-6)
    assert {path.name for path in (tmp_path / "two").glob("seen*")} == {"seen0.json", "seen1.json"}
    assert [line["step"] for line in lines(tmp_path / "two")] == [1, 2, 3, 4]


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]
