"""From a photo, a clip or a panorama to its depth: predictors, their wrappers, metric calibration."""
