"""Procedural worlds: scenes from a seed, ray-cast through any camera, with exact depth."""

from cyclopean.synthetic.families import ALL as ALL
from cyclopean.synthetic.families import FAMILIES as FAMILIES
from cyclopean.synthetic.families import expanded as expanded
from cyclopean.synthetic.families import scene as scene
from cyclopean.synthetic.render import render as render
from cyclopean.synthetic.rigs import RIGS as RIGS
from cyclopean.synthetic.rigs import VIEWS as VIEWS
from cyclopean.synthetic.rigs import sample as sample
from cyclopean.synthetic.rigs import samples as samples
