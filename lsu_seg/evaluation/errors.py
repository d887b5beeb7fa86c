"""Errors of evaluations."""

from lsu_seg.errors import UserError


class EvaluationError(UserError):
    """Data cannot be evaluated, a file is not an evaluation, or evaluations cannot be compared."""
