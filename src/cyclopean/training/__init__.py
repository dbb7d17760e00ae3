"""Training: one loop for every method, on Lightning Fabric."""

from cyclopean.training.loop import Feed as Feed
from cyclopean.training.loop import MakeOptimizer as MakeOptimizer
from cyclopean.training.loop import Schedule as Schedule
from cyclopean.training.loop import adabound as adabound
from cyclopean.training.loop import adam as adam
from cyclopean.training.loop import adamw as adamw
from cyclopean.training.loop import constant as constant
from cyclopean.training.loop import cosine as cosine
from cyclopean.training.loop import fit as fit
from cyclopean.training.loop import halving as halving
from cyclopean.training.loop import tenth as tenth
