"""What all formats share: findings, options, and atomic writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lsu_onto.errors import UserError, visible
from lsu_onto.files import as_bytes, write_atomic

Place = tuple[str, int, int]
"""File, line, column; both count from 1."""


class ExchangeError(UserError):
    """Something cannot be imported or exported. The message says where, what was found and what to do."""


@dataclass(frozen=True)
class Finding:
    """Something in an imported file that a person should look at. Nothing is dropped without a finding."""

    severity: Literal["warning", "info"]
    kind: str
    """`dangling`, `blank`, `duplicate`, `unmentioned`, `unused`, `value`, `source` or `name`."""
    message: str
    place: Place
    help: str | None = None

    def __str__(self) -> str:
        file, line, column = self.place
        what = f"{file}:{line}:{column}: {self.severity}: {self.message}"
        return visible(f"{what}; {self.help}" if self.help else what)


@dataclass(frozen=True)
class Imported:
    """`.tax` text, and the findings in the order of the files."""

    text: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Options:
    """Facts that the files do not contain.

    Attributes:
        name, version: the taxonomy's; the name defaults to the file's or folder's.
        source: the source taxonomy's name on the search path.
        source_from: mapping files (`data-priors`) whose rows become `source` sections.
        kind: what a plain class list becomes.
        encoding, void: the dataset's keys.
        column: the column of an MSeg table.
        search: folders searched before the shipped taxonomies.
    """

    name: str | None = None
    version: str = "v1"
    source: str | None = None
    source_from: tuple[str, ...] = ()
    kind: Literal["dataset", "source"] = "dataset"
    encoding: str | None = None
    void: str | None = None
    column: str | None = None
    search: tuple[str, ...] = ()


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file, whole or not at all."""
    write_atomic(path, as_bytes(text), sync=False)
