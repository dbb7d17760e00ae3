"""Procedural worlds: scenes from a seed, ray-cast through any camera, with exact depth."""

from cyclopean.worlds.families import ALL as ALL
from cyclopean.worlds.families import FAMILIES as FAMILIES
from cyclopean.worlds.families import expanded as expanded
from cyclopean.worlds.families import scene as scene
from cyclopean.worlds.render import render as render
from cyclopean.worlds.rigs import RIGS as RIGS
from cyclopean.worlds.rigs import VIEWS as VIEWS
from cyclopean.worlds.rigs import sample as sample
from cyclopean.worlds.rigs import samples as samples
