"""Data sets: each yields `Sample`s of batch 1. Names are for the command line (`--data NAME:PATH`)."""

# name -> "module:class"; the class takes the folder of the data set (motorcycle: nothing)
DATASETS = {
    "folder": "cyclopean.data.folder:FolderDataset",
    "kitti_object": "cyclopean.data.kitti_object:KittiObjectDataset",
    "middlebury": "cyclopean.data.middlebury:MiddleburyDataset",
    "motorcycle": "cyclopean.data.motorcycle:MotorcycleDataset",
    "seven_scenes": "cyclopean.data.seven_scenes:SevenScenesDataset",
    "traced": "cyclopean.data.traced:TracedDataset",
}
