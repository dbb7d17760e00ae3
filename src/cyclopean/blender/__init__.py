"""Meshes of your own, rendered as data by Blender: another program, in an environment of its own.

Blender is GPL and its Python module needs a Python and a numpy of its own: nothing here imports it. `inside.py`
is handed to it as a script.
"""
