"""Fused loops for what torch can only do by way of index tensors. Each has a readable twin, its reference in tests."""

from cyclopean.kernels.splatting import Splat as Splat
from cyclopean.kernels.splatting import fits as fits
