"""The data side of a config: datasets, transforms and samplers of MMSegmentation."""
