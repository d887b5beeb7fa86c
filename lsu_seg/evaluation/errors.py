"""What goes wrong with an evaluation."""


class EvaluationError(ValueError):
    """Data that cannot be judged, files that are no evaluation, evaluations that cannot be compared."""
