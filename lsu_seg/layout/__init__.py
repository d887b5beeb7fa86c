"""Pairs images with labels and reports what is wrong with a dataset's folder. Imports no torch."""
