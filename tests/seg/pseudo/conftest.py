"""Fixtures of the tests of labelling runs."""

from helpers.folders import small_disk  # noqa: F401
