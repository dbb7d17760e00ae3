"""The kernels for GPUs: their cases in a process of its own, and that they compile where there is no GPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cyclopean import kernels

CASES = Path(__file__).with_name("splatting_gpu_cases.py")
NEEDS = "Triton is not installed: torch for CUDA on Linux brings it; without a GPU: pip install triton"


@pytest.mark.slow
def test_the_cases_pass_on_a_gpu_or_in_the_interpreter():
    pytest.importorskip("triton", reason=NEEDS)
    environment = os.environ | ({} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"})
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(CASES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=500)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert " passed" in done.stdout


COMPILES = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from cyclopean.kernels import splatting_triton as kernels

def add(kernel, constants, **types):
    types = {name: "constexpr" if name in constants else types.get(name, "*fp32") for name in kernel.arg_names}
    made = triton.compile(ASTSource(kernel, types, constants), target=GPUTarget("cuda", 80, 32))
    assert made.asm["cubin"]
    return made.asm["ptx"]

BLOCK, C = {"BLOCK": 256}, {"C": 3}
size, extent = {"size": "i32"}, {"h": "i32", "w": "i32"}
for whole, canvas, sums in ((False, "*fp32", "add.f32"), (True, "*i64", "add.u64")):
    how = BLOCK | C | {"WHOLE": whole}
    assert sums in add(kernels.scatter, how | {"BORDER": 2}, canvas=canvas, scale="*fp64", **extent)
    add(kernels.divide, how, canvas=canvas, scale="*fp64", **size)
add(kernels.slopes, BLOCK | C, **size)
assert "f64" not in add(kernels.gather, BLOCK | C | {"BORDER": 2}, **extent)
"""


@pytest.mark.slow
def test_they_compile_for_a_gpu_that_is_not_there(tmp_path):
    """To machine code, with its atomic sums of float32 or of whole numbers, and no slow double in between."""
    triton = pytest.importorskip("triton", reason=NEEDS)
    pytest.importorskip("triton.backends.nvidia.compiler", reason=f"Triton {triton.__version__} has no ptxas here")
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET", None)
    command = [sys.executable, "-c", COMPILES]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


def test_what_is_not_on_one_gpu_is_not_for_them():
    image, uv, weight = torch.rand(1, 3, 2, 4), torch.rand(1, 2, 4, 2), torch.rand(1, 1, 2, 4)
    assert not kernels.fits_gpu(image, uv, weight)
    assert not kernels.fits_gpu(image.to("meta"), uv, weight)
    assert kernels.fused_splat(*(t.bfloat16() for t in (image, uv, weight))) is None
