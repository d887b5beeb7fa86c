"""The refusal of a taxonomy."""

from __future__ import annotations

from collections.abc import Sequence

from lsu_onto.diagnostics import Diagnostic
from lsu_onto.errors import UserError


class TaxonomyError(UserError):
    """A taxonomy that was asked for does not exist or has errors. The message is the full report."""

    __module__ = "lsu_onto"  # where users import it from, and what a traceback shows

    def __init__(self, message: str, diagnostics: Sequence[Diagnostic] = ()) -> None:
        super().__init__(message)
        self.diagnostics = tuple(diagnostics)
