"""The kernels of the sweep for GPUs: their cases in a process of its own, and that they compile where there is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kernels.test_splatting_gpu import NEEDS

CASES = Path(__file__).with_name("sweeping_gpu_cases.py")


@pytest.mark.slow
def test_the_cases_pass_on_a_gpu_or_in_the_interpreter():
    pytest.importorskip("triton", reason=NEEDS)
    environment = os.environ | ({} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"})
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(CASES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=500)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert " passed" in done.stdout


COMPILES = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from cyclopean.kernels import sweeping_triton as kernels

WHOLE = ("h", "w", "pixels")
STEPS = {"render": {"C": 4, "ROOM": 4}, "differentiate": {"C": 4, "ROOM": 4, "WANTED": False}, "cover": {}}
for step, constants in STEPS.items():
    constants |= {"N": 33, "BENT": True, "BLOCK": 128}
    kernel = getattr(kernels, step)
    kinds = {name: "i32" for name in WHOLE} | {"margin": "fp32"} | {name: "constexpr" for name in constants}
    types = {name: kinds.get(name, "*fp32") for name in kernel.arg_names}
    made = triton.compile(ASTSource(kernel, types, constants), target=GPUTarget("cuda", 80, 32))
    assert made.asm["cubin"]
    assert "f64" not in made.asm["ptx"], step
"""


@pytest.mark.slow
def test_they_compile_for_a_gpu_that_is_not_there(tmp_path):
    """To machine code, with no slow double in between."""
    triton = pytest.importorskip("triton", reason=NEEDS)
    pytest.importorskip("triton.backends.nvidia.compiler", reason=f"Triton {triton.__version__} has no ptxas here")
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET", None)
    command = [sys.executable, "-c", COMPILES]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
