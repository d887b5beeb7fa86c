"""Teachers: anything that turns images into per-pixel evidence over the source's classes."""

from lsu_seg.teachers.segmentor import SegmentorTeacher, TeacherError

__all__ = ["SegmentorTeacher", "TeacherError"]
