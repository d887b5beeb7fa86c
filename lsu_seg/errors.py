"""What a user got wrong. Commands turn these into messages; everything else is a fault of ours."""

from lsu_onto import UserError

__all__ = ["ConfigError", "TeacherError", "UserError"]


class ConfigError(UserError):
    """A config that cannot be run. The message names what is missing."""


class TeacherError(UserError):
    """A model that cannot be a teacher: its files, its settings, or its classes. The message says what to change."""
