"""What `~` stands for at the beginning of a path."""

from __future__ import annotations

import os
from pathlib import Path


def at_home(path: str | os.PathLike[str]) -> Path:
    """A path with the home of a user in the place of `~` and `~name`.

    Of a user that is not there, or without a home, the path stays as it is, so that the message about it, which says
    that nothing is there, names it. `Path.expanduser` raises a RuntimeError that names no path.

    >>> at_home("~no user is called so/a.pth").as_posix()
    '~no user is called so/a.pth'
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111
