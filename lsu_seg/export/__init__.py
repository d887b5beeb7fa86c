"""Labelling runs out to other programs, as one dataset."""

FORMATS = ("hf", "folder", "coco-panoptic")
"""Parquet shards for Hugging Face's `datasets`, plain folders, COCO panoptic."""
