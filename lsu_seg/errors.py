"""What a user got wrong. Commands turn these into messages; everything else is a fault of ours."""

from collections.abc import Iterable
from pathlib import Path

from lsu_onto import UserError

__all__ = ["ConfigError", "MissingPackageError", "TeacherError", "UserError", "did_you_mean", "no_file"]


class ConfigError(UserError):
    """A config that cannot be run. The message names the key: what it says, what was expected, what to write."""


class MissingPackageError(UserError, ImportError):
    """A package that is not installed. The message says what needs it, and how to install it."""


class TeacherError(UserError):
    """A model that cannot be a teacher: its files, its settings, or its classes. The message says what to change."""


def no_file(what: str, path: str | Path) -> str:
    """The beginning of a sentence about a path that is not that of a file.

    >>> no_file("config", "nothing.py"), no_file("config", "/")
    ('there is no config `nothing.py`', '`/` is a folder and no config')
    """
    if not Path(path).exists():
        return f"there is no {what} `{path}`"
    return f"`{path}` is a {'folder' if Path(path).is_dir() else 'pipe or a device'} and no {what}"


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """The end of a sentence about a word that is not known: empty where nothing is like it. In a config, numbers and
    tuples can be keys, too.

    >>> did_you_mean("max_iter", ["max_iters", "val_interval"])
    '; did you mean `max_iters`?'
    >>> did_you_mean("colour", ["max_iters"])
    ''
    """
    from rapidfuzz import fuzz, process  # only needed once something is wrong

    hit = process.extractOne(str(word), sorted(known), scorer=fuzz.ratio, score_cutoff=60)
    return f"; did you mean `{hit[0]}`?" if hit else ""
