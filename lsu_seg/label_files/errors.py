"""Errors about unusable label files, in the words of `lsu_onto`'s raster reader."""

from lsu_onto import LabelFileError

__all__ = ["LabelFileError", "not_what_was_expected", "refuse"]

refuse = LabelFileError.of
not_what_was_expected = LabelFileError.by_content
