"""Errors of a review."""

from lsu_seg.errors import UserError


class ReviewError(UserError):
    """Tasks that cannot be written, or what came back that cannot be taken. The message says what to do."""
