"""A second eye for a picture with depth: views, pairs, and pairs as one picture. Names for commands stand here."""

EYES = ("left", "right", "both")
LAYOUTS = {  # and what follows the stem of their files
    "sbs": "_sbs",
    "half-sbs": "_half_sbs",
    "anaglyph": "_anaglyph",
    "mpo": "_stereo",
    "left": "_left",
    "right": "_right",
}
PARALLAX = 2.0  # percent of the picture's width between what is nearest and farthest
CONVERGE = 0.33  # of the range of depth, from the nearest: what is there is on the screen
