"""What is said of a file that must not be used, in the words of `lsu_onto`'s reader of rasters."""

from lsu_onto import LabelFileError

__all__ = ["LabelFileError", "not_what_was_expected", "refuse"]

refuse = LabelFileError.of
not_what_was_expected = LabelFileError.by_content
