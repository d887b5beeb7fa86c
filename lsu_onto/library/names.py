"""From what a user typed to the taxonomy that is meant: its name, or the file that it stands for."""

from __future__ import annotations

import os
import re
from pathlib import Path

from lsu_onto.errors import UserError
from lsu_onto.library.searchpath import Entry
from lsu_onto.library.workspace import Workspace
from lsu_onto.ontology.model import Taxonomy

_AT = re.compile(r"(\w+)@(v[\d.]+)")
_FILE = re.compile(r"(.*\.tax)(?:[ \t]+(\S.*))?", re.DOTALL)


def is_called(t: Entry | Taxonomy, name: str) -> bool:
    """Whether it has this name, or this name and version."""
    return name.startswith(t.name) and name in (t.name, f"{t.name} {t.version}")


def file_and_name(name: str) -> tuple[str, str]:
    """The file that is meant, and which of its taxonomies: `field.tax`, `fleet.tax v2`, `fleet.tax fleet v2`."""
    behind = _FILE.fullmatch(name)
    return (behind[1], behind[2] or "") if behind else ("", name)


def text_of(name: object, what: str = "source") -> str:
    """A name or a path that a caller in Python gives, as text.

    Raises:
        UserError: it is neither; a list, say.
    """
    if not isinstance(name, (str, os.PathLike)):
        raise UserError(f"`{what}` is {name!r}; expected the name of a source taxonomy, or a `.tax` file")
    return os.fspath(name)


def spaced(name: str) -> str:
    """The name as a header has it: `vistas@v2`, which a shell needs no quotes for, is `vistas v2`.

    >>> spaced("vistas@v1.2"), spaced("a@b.tax")
    ('vistas v1.2', 'a@b.tax')
    """
    match = _AT.fullmatch(name)
    return f"{match[1]} {match[2]}" if match else name


def resolve_name(workspace: Workspace, name: str) -> tuple[Workspace, str]:
    """Where to look a name up, and what it stands for.

    What the search path declares comes first. Then comes the current folder, without its subfolders: it never changes
    the meaning of a name that has one. A name that nothing declares may be that of a file, without its suffix.

    Returns:
        The workspace, or one that also searches the current folder; and a name that is declared there, the path of a
            `.tax` file, or the name as it was given.
    """
    name = spaced(name)
    if file_and_name(name)[0] or any(is_called(e, name) for e in workspace.search.entries()):
        return workspace, name
    workspace = Workspace(workspace.search.roots, workspace.edited, here=Path())
    entries = list(workspace.search.entries())
    if any(is_called(e, name) for e in entries):
        return workspace, name
    of_file = {f"{e.name} {e.version}": str(e.path) for e in entries if e.path.stem == name}
    if len(of_file) == 1:
        return workspace, next(iter(of_file))
    path = next(iter(of_file.values()), f"{name}.tax")
    return workspace, path if os.path.isfile(path) else name  # noqa: PTH113 (a name may be too long for a path)
