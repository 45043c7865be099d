"""The stages of training, one file each; a stage is a function of the run that leaves its result in it."""
