"""What goes wrong with an evaluation."""

from lsu_seg.errors import UserError


class EvaluationError(UserError):
    """Data that cannot be judged, files that are no evaluation, evaluations that cannot be compared."""
