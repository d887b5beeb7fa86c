"""Pseudo-labelling: the loop, its output folder and manifest."""
