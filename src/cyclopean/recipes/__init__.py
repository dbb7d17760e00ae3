"""One function per training run; its arguments are its flags. Nothing heavy is imported before one is called."""

RECIPES = {
    "monodepth": ("cyclopean.recipes.monodepth:monodepth", "stereo pairs, no depth labels (Godard et al. 2017)"),
    "supervised": ("cyclopean.recipes.supervised:supervised", "true depth of worlds, the directly supervised twin"),
}
