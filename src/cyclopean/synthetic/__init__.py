"""Procedural worlds: scenes from a seed, ray-cast through any camera, with exact depth."""

from cyclopean.synthetic.render import render as render
from cyclopean.synthetic.rigs import RIGS as RIGS
from cyclopean.synthetic.rigs import VIEWS as VIEWS
from cyclopean.synthetic.rigs import sample as sample
from cyclopean.synthetic.rigs import samples as samples
from cyclopean.synthetic.scene_types import ALL as ALL
from cyclopean.synthetic.scene_types import FAMILIES as FAMILIES
from cyclopean.synthetic.scene_types import expanded as expanded
from cyclopean.synthetic.scene_types import scene as scene
