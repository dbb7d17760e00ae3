"""Data sets: each yields `Sample`s of batch 1. Names are for the command line (`--data NAME:PATH`)."""

# name -> "module:class"; the class takes the folder (motorcycle: nothing)
DATASETS = {
    "folder": "cyclopean.data.folder:FolderDataset",
}
