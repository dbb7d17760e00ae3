"""cyclopean: depth from one eye, learned from two."""

__version__ = "0.1.0"
