"""The file of a map that somebody proposes: as strong as its rows can be beside each other."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lsu_onto.errors import UserError
from lsu_onto.exchange.draft import allowed_relation, map_rows
from lsu_onto.exchange.skeleton import need_source
from lsu_onto.lang.fmt import format_text
from lsu_onto.library.library import Library, searched
from lsu_onto.library.names import text_of
from lsu_onto.ontology.model import Dataset, Source
from lsu_onto.starter.by_name import need_dataset

OPERATORS = "=<>~"


@dataclass(frozen=True)
class FirstRow:
    """A row that is proposed.

    Attributes:
        allowed: S(d) as channels, K is void; all of them: `-> any`.
        op: `=`, `<`, `>` or `~`. It is written only where no other row makes it wrong, and `~` otherwise; void alone
            and everything are decisions, which have none.
        notes: what is written behind it.
    """

    allowed: tuple[int, ...]
    op: str = "~"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FirstMap:
    """A map as a file that is not written yet.

    Attributes:
        text: of a `.tax` file with a map and no dataset. relations: of each row, as in the text.
        files: of the dataset and of the source, which `lsu_onto.load` needs among its `paths` if it is elsewhere.
        file: what it is called if nobody says otherwise.
    """

    file: str
    text: str
    relations: tuple[str, ...]
    files: tuple[str, str]

    def next_step(self, file: str, dataset: str | Path, paths: Iterable[str | Path] = ()) -> str:
        """The command that checks the map once it is written.

        Args:
            file: where it is written. dataset, paths: as they were given.
        """
        folder = Path(self.files[0]).resolve().parent
        elsewhere = Path(dataset).is_file() and folder != Path(file).resolve().parent
        folders = [arg for p in [*paths, *([folder] if elsewhere else [])] for arg in ("--path", str(p))]
        return shlex.join(["lsu-onto", "validate", file, *folders])


def first_map(
    dataset: str | Path,
    source: str,
    rows: Sequence[FirstRow],
    about: Iterable[str] = (),
    paths: Iterable[str | Path] = (),
) -> FirstMap:
    """The map of a dataset to a source, in the order of the dataset's classes.

    Args:
        dataset, source, paths: as for `lsu_onto.load`; the dataset need not have a map.
        rows: one for each class. about: lines of comment.

    Raises:
        UserError: there is no such dataset or source, or the file would not be valid.
    """
    if isinstance(about, str):
        raise UserError(f"`about` is {about!r}; expected a list of lines: `[{about!r}]`")
    search = [*map(str, searched(paths))]
    library = Library(search)
    d, s = need_dataset(library, dataset), need_source(text_of(source), tuple(search))
    _refuse_mapped(library, d, s)
    file = str(Path(d.span.file).with_name(f"{d.name}-{s.name}.tax"))
    _need_rows(rows, d, s)
    relations = _relations(rows, s)
    pairs = zip(d.classes, rows, relations, strict=True)
    lines = map_rows([(c.name, r, list(row.notes)) for c, row, r in pairs])
    head = [
        "tax 1",
        *(f"# {line}" for text in about for line in str(text).splitlines()),
        f"map {d.name} {d.version} -> {s.name} {s.version}",
        "",
    ]
    text = format_text(file, "\n".join([*head, *lines]) + "\n")
    # beside the dataset, so that it is found, whatever folder the file is meant for
    folder = [*search, d.span.file, s.span.file]
    problems = Library(folder, {file: text}).check(file, text).errors
    if not problems:
        return FirstMap(Path(file).name, text, tuple(" ".join(r) for r in relations), (d.span.file, s.span.file))
    raise UserError(
        f"a map of `{d.name}` to `{s.name}` cannot be written: {problems[0].message} ({problems[0].code}); mend"
        f" {d.span.file} first, see `lsu-onto validate`"
    )


def _refuse_mapped(library: Library, d: Dataset, s: Source) -> None:
    """Refuse a dataset whose relations to the source have their place already, even an empty one."""
    for e in [*library.entries(Path(d.span.file).parent)]:
        if (e.name, e.version, e.source, e.source_version) == (d.name, d.version, s.name, s.version):
            raise UserError(
                f"`{d.name} {d.version}` already has a map to `{s.name}`, in {e.path}, which is not overwritten; move"
                f" that file away, or, if the map is only the header of a draft, remove `-> {s.name} {s.version}` there"
            )


def _need_rows(rows: Sequence[FirstRow], d: Dataset, s: Source) -> None:
    """Refuse rows that are not one for each class, or that have no such channels: `-1` would be the last one."""
    k = len(s.classes)
    if not isinstance(rows, Sequence) or any(not isinstance(row, FirstRow) for row in rows):
        raise UserError(f"the rows are {rows!r}; expected a `FirstRow` for each class of `{d.name}`")
    if len(rows) != len(d.classes):
        raise UserError(f"found {len(rows)} rows; expected {len(d.classes)}, one for each class of `{d.name}`")
    for c, row in zip(d.classes, rows, strict=True):
        if not isinstance(row.allowed, Collection):
            raise UserError(f"the row of `{c.name}` allows {row.allowed!r}; expected several channels: `(0,)`")
        if wrong := [a for a in row.allowed if not isinstance(a, (int, np.integer)) or not 0 <= a <= k]:
            raise UserError(
                f"the row of `{c.name}` allows {wrong[0]!r}; expected channels of `{s.name}`, 0 to {k - 1}, or {k} for"
                " void"
            )
        decides = {*row.allowed} <= {k} or {*row.allowed} >= {*range(k + 1)}
        if row.op not in OPERATORS and not decides:
            raise UserError(f"the operator of `{c.name}` is {row.op!r}; expected one of {', '.join(OPERATORS)}")
        if isinstance(row.notes, str) or any(not isinstance(note, str) for note in row.notes):
            raise UserError(f"the notes of `{c.name}` are {row.notes!r}; expected several texts: `('a note',)`")


def _relations(rows: Sequence[FirstRow], s: Source) -> list[tuple[str, ...]]:
    """The relations of each row, one string a line."""
    k = len(s.classes)
    channels = [sorted(c for c in row.allowed if c < k) for row in rows]
    weakest = [
        allowed_relation([s.classes[c].name for c in own], k in r.allowed, k)
        for own, r in zip(channels, rows, strict=True)
    ]
    # a decision has none of them to itself, and takes none from others
    owners = Counter(c for own, lines in zip(channels, weakest, strict=True) if lines[0][:2] != "->" for c in own)
    out = []
    for row, own, lines in zip(rows, channels, weakest, strict=True):
        claims = k not in row.allowed and all(owners[c] == 1 for c in own)
        op = row.op if claims else {"=": "<", ">": "~"}.get(row.op, row.op)
        if len(own) == 1 and lines[0][0] == "<":
            lines = (f"{op} {lines[0][2:]}",)
        elif op == ">" and len(own) > 1:
            lines = tuple(line.replace("~", ">", 1) for line in lines)
        out.append(lines)
    return out
