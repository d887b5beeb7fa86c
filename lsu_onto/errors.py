"""The base of every refusal, here and in `lsu_seg`."""

from __future__ import annotations


class UserError(ValueError):
    """A mistake of the user: the message says where, what was found, what was expected, and what to do.

    Commands print it and exit with 1; any other exception that reaches them is a fault of the toolkit.
    """

    __module__ = "lsu_onto"  # where users import it from, and what a traceback shows
