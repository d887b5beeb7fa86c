"""Errors of evaluations."""


class EvaluationError(ValueError):
    """Data cannot be evaluated, a file is not an evaluation, or evaluations cannot be compared."""
