"""Labelling runs out to other programs, as one dataset."""

FORMATS = ("hf", "webdataset", "folder", "coco-panoptic")
"""Parquet shards for Hugging Face's `datasets`, tar shards for `webdataset`, plain folders, COCO panoptic."""
