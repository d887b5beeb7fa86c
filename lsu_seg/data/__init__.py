"""Datasets, transforms and samplers for MMSegmentation configs."""
