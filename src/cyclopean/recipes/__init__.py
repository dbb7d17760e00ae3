"""One function per training run; its arguments are its flags. Nothing heavy is imported before one is called."""

# What papers say, as flags: `--published` stands for them. The optimiser and the augmentations are the recipes' own.
_MONODEPTH = "--size 256x512 --batch-size 8 --epochs 50 --learning-rate 1e-4 --schedule halving"
PUBLISHED = {
    "deep3d": _MONODEPTH,  # as Monodepth's comparison has it
    "deep3ds": _MONODEPTH,
    "monodepth": _MONODEPTH,
    "monodepth2": "--size 192x640 --batch-size 12 --epochs 20 --learning-rate 1e-4 --schedule tenth",
    "coordnet": "--size 256x512 --batch-size 16 --epochs 30 --learning-rate 1e-4",
}
RECIPES = {
    "naive": ("cyclopean.recipes.naive:naive", "stereo pairs; paints the right view, no disparity inside"),
    "deep3d": ("cyclopean.recipes.deep3d:deep3d", "stereo pairs; selects among shifted views (Xie et al. 2016)"),
    "deep3ds": ("cyclopean.recipes.deep3d:deep3ds", "the same, smooth (Godard et al. 2017, supplement)"),
    "garg": ("cyclopean.recipes.garg:garg", "stereo pairs; a linearised warp, coarse to fine (Garg et al. 2016)"),
    "monodepth": ("cyclopean.recipes.monodepth:monodepth", "stereo pairs, no depth labels (Godard et al. 2017)"),
    "trinocular": ("cyclopean.recipes.trinocular:trinocular", "stereo pairs as two of three (Poggi et al. 2018)"),
    "monodepth2": ("cyclopean.recipes.monodepth2:monodepth2", "pairs and other posed views (Godard et al. 2019)"),
    "coordnet": ("cyclopean.recipes.coordnet:coordnet", "panoramas above or beside each other (Zioulis et al. 2019)"),
    "panorama": ("cyclopean.recipes.panorama:panorama", "panoramas with views above and beside; the bundled model"),
    "supervised": ("cyclopean.recipes.supervised:supervised", "true depth of worlds, the directly supervised twin"),
}
