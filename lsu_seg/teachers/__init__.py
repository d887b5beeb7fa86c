"""Teachers: everything that turns images into per-pixel evidence over the source's classes."""

from lsu_seg.teachers.ensemble import EnsembleTeacher
from lsu_seg.teachers.segmentor import Counts, SegmentorTeacher
from lsu_seg.teachers.windows import Band, Views

__all__ = ["Band", "Counts", "EnsembleTeacher", "SegmentorTeacher", "Views"]
