"""One function per training run; its arguments are its flags. Nothing heavy is imported before one is called."""

RECIPES = {
    "deep3d": ("cyclopean.recipes.deep3d:deep3d", "the right view selected out of shifted left ones (Xie et al. 2016)"),
    "deep3ds": ("cyclopean.recipes.deep3d:deep3ds", "the same with smoothness (Godard et al. 2017, supplement)"),
    "monodepth": ("cyclopean.recipes.monodepth:monodepth", "stereo pairs, no depth labels (Godard et al. 2017)"),
    "supervised": ("cyclopean.recipes.supervised:supervised", "true depth of worlds, the directly supervised twin"),
}
