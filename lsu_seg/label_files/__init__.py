"""Label files → rows of d, and back to files: the only loader of label files. Imports no torch, and Pillow only
when an image is read or written.

Everything that would silently give other numbers than the annotators stored (lossy compression, scaled grey levels,
dropped bits, half-read files, unlisted values) raises `LabelFileError` with the file, what was found, what was expected
and what to do.

`reader.py` is the entry point. `raw.py` gets raw values from images, which `lsu_onto.read_raster` reads exactly, and
`rows.py` maps them to rows. `panoptic.py`, `polygons.py` and `rle.py` read labels that JSON files draw or explain, and
`members.py` finds files inside tables.
"""

from lsu_onto import MAX_PIXELS
from lsu_seg.label_files.errors import LabelFileError, not_what_was_expected
from lsu_seg.label_files.members import SUFFIX, container, list_members, read_bytes, size_and_time
from lsu_seg.label_files.raw import own_pixels, parse_encoding, read_raw
from lsu_seg.label_files.reader import Inspection, LabelReader, LabelRows, segments_path
from lsu_seg.label_files.rle import load_sheets
from lsu_seg.label_files.rows import (
    PALETTES,
    SWAPPED,
    RowTable,
    UnknownValue,
    count_rows,
    hint,
    is_bgr,
    nearest_colour,
    of_each_row,
    other_colour,
    show_value,
    unknown_values,
)
from lsu_seg.label_files.write import VOID16, encode_confidence, encode_labels, void_index, write_labels

__all__ = [
    "MAX_PIXELS",
    "PALETTES",
    "SUFFIX",
    "SWAPPED",
    "VOID16",
    "Inspection",
    "LabelFileError",
    "LabelReader",
    "LabelRows",
    "RowTable",
    "UnknownValue",
    "container",
    "count_rows",
    "encode_confidence",
    "encode_labels",
    "hint",
    "is_bgr",
    "list_members",
    "load_sheets",
    "nearest_colour",
    "not_what_was_expected",
    "of_each_row",
    "other_colour",
    "own_pixels",
    "parse_encoding",
    "read_bytes",
    "read_raw",
    "segments_path",
    "show_value",
    "size_and_time",
    "unknown_values",
    "void_index",
    "write_labels",
]
