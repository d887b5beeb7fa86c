"""Class lists as tables → `.tax`: what `export --to csv` writes, and `id,name,color,train_id,void,…` lists.

Only `name` is needed. A dataset keeps every row. A source has the classes with a `train_id` (255: none), or else with
an `id`, in the order of these numbers; if the list has neither, every row that is not void, in the file's order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from lsu_onto.diagnostics import suggest
from lsu_onto.exchange import skeleton
from lsu_onto.exchange.base import ExchangeError, Finding, Imported, Options
from lsu_onto.exchange.columns import IDS, NO_ID, VOID, Columns, are_numbers, columns, ids, numbers, shown
from lsu_onto.exchange.draft import NAME, ClassLine, identifier, identifiers
from lsu_onto.exchange.tables import Cell, Table, number, read_table
from lsu_onto.lang.colours import as_colour
from lsu_onto.lang.parse import parse
from lsu_onto.lang.syntax import RESERVED
from lsu_onto.library.library import Library
from lsu_onto.ontology.model import NAMED, Source

_ALIAS = re.compile(r'"([^"]*)"|([^;"]+)')
_YES = ("1", "true", "yes", "y", "t", "x", "void", "ignore", "ignored")
_NO = ("", "0", "false", "no", "n", "f", "-", "none")


@dataclass(frozen=True)
class ClassList:
    """The classes of a table, with the relations that it states and no others.

    `encoding` is what the list itself says of it (`rgb`, where colours are the only raw values), else empty; `why` is
    the note of a guess.
    """

    classes: list[ClassLine]
    findings: list[Finding]
    encoding: str
    why: str


_Row = tuple[Cell, ...]


def read(inputs: list[str], options: Options) -> Imported:
    return imported(read_table(one(inputs), None), options)


def one(inputs: list[str]) -> str:
    if len(inputs) != 1:
        raise ExchangeError(f"expected one class list, found {len(inputs)} files; import one at a time")
    return inputs[0]


def imported(
    table: Table, options: Options, keys: tuple[str, ...] = (), findings: tuple[Finding, ...] = ()
) -> Imported:
    """A class list as a `.tax` file, with further keys, and after further findings."""
    found = class_list(table, options)
    file = Path(table.file)
    name = options.name or identifier(file.stem.lower())
    options = replace(options, encoding=options.encoding or found.encoding)
    text = skeleton.write(found.classes, name, f"{name}, from {file.name}", options, found.why, keys)
    return Imported(text, (*findings, *found.findings))


def class_list(table: Table, options: Options) -> ClassList:
    """The classes of a table.

    Raises:
        ExchangeError: it is not a class list, or it does not say which of its columns holds the raw values.
    """
    source = skeleton.need_source(options.source, options.search) if options.source else None
    known = columns(table, source)
    if not table.rows:
        raise ExchangeError(f"{table.file}: no classes below the header")
    findings: list[Finding] = []
    encoding, why = _values(table, known, options, findings)
    classes = _classes(table, known, options, source, findings)
    if options.kind == "source":
        classes = _channels(table, known, classes, findings)
    if any(c.relation for c, _ in classes) and not source:
        raise ExchangeError(
            f"{table.file}:1:{table.header[table.need('relation')].place[2]}: there are relations, and"
            " the file does not say to which source; add `--source NAME`"
        )
    unsaid = [k for k in ("encoding", "void") if getattr(options, k) is None]
    if "official" in known.places and options.kind == "dataset" and unsaid:
        keys = " and ".join(f"`{k}:`" for k in unsaid)
        findings.append(
            Finding(
                "info",
                "value",
                f"a class list does not say {keys}, nor where files lie",
                (table.file, 1, 1),
                " and ".join(f"`--{k}`" for k in unsaid) + (" add them" if len(unsaid) > 1 else " adds it"),
            )
        )
    _unused(table, known, options, source, findings)
    return ClassList([c for c, _ in classes], findings, encoding, why)


def _error(cell: Cell, message: str) -> ExchangeError:
    file, line, column = cell.place
    return ExchangeError(f"{file}:{line}:{column}: {message}")


# --- what the columns are -------------------------------------------------------------------------------------


def _spare(known: Columns, options: Options) -> list[int]:
    """The columns that this import does not read."""
    unread = [known.places[r] for r in (("train",) if options.kind == "dataset" else ()) if r in known.places]
    if options.kind == "source" and "train" in known.places and "id" in known.places:
        unread.append(known.places["id"])
    return sorted([*known.unused, *unread])


def _values(table: Table, known: Columns, options: Options, findings: list[Finding]) -> tuple[str, str]:
    """The encoding that the list itself says, and the note of a guess. Refuses where raw values would be made up."""
    if "id" in known.places or (options.kind == "source" and "train" in known.places):
        return "", ""
    if options.encoding in (*NAMED, "rgb") and options.kind == "dataset":
        return "", ""  # the raw values are names or colours
    candidates = numbers(table, _spare(known, options))
    if candidates:
        raise ExchangeError(
            f"{table.file}:1:{table.header[candidates[0]].place[2]}: no `id` says which raw value a class has,"
            f" and {shown(table, candidates)} may be it; rename what label files store to `id`, or add it"
        )
    place = (table.file, 1, 1)
    if options.kind == "source":
        what = "no `train_id` or `id`: channels are numbered in the file's order"
        findings.append(Finding("info", "value", what, place))
        return "", ""
    shades = [_colours(row, known) for row in table.rows]
    values = ",".join(shades).split(",")
    if not options.encoding and all(shades) and len(set(values)) == len(values):
        what = "no `id`, and all colours differ: they are taken for the raw values, `encoding: rgb`"
        findings.append(Finding("info", "value", what, place, "if label files store numbers, add these as `id`"))
        return "rgb", "a guess: the list has colours and no ids"
    what = "no `id` says the raw values: they are a guess, 0 to N-1 in the file's order"
    findings.append(Finding("warning", "value", what, place, "add what label files store as `id`"))
    return "", "a guess: the list has no ids, and these count its rows"


def _unused(table: Table, known: Columns, options: Options, source: Source | None, findings: list[Finding]) -> None:
    spare = _spare(known, options)
    if not spare:
        return
    hint = "" if source else _sources_hint(table, spare, options)
    if source and known.no_channels:
        which = f"the numbers of {shown(table, known.no_channels)}" if len(spare) > 1 else "its numbers"
        channels = f"the channels of `{source.name} {source.version}`, 0 to {len(source.classes) - 1}"
        hint = f"{which} go beyond {channels}: write names"
    what = f"not used: {shown(table, spare)}"
    findings.append(Finding("info", "unused", what, table.header[spare[0]].place, hint or None))


def _sources_hint(table: Table, spare: list[int], options: Options) -> str:
    """What to write so that a column with the name of a source becomes relations."""
    sources = {e.name for e in Library(options.search).entries() if e.kind == "source"}
    named = [s for s in sorted(sources) for i in spare if identifier(table.header[i].stripped).lower() == s.lower()]
    return f"`--source {named[0]}` makes `{named[0]}` a first guess of relations" if named else ""


def _joined(row: _Row, places: tuple[int, ...]) -> str:
    return " ".join(row[i].stripped for i in places if i < len(row)).strip()


# --- classes --------------------------------------------------------------------------------------------------


def _classes(
    table: Table, known: Columns, options: Options, source: Source | None, findings: list[Finding]
) -> list[tuple[ClassLine, _Row]]:
    for row in table.rows:
        beyond = [c for c in row[len(table.header) :] if c.stripped]
        if beyond:
            separator = {"\t": "tabs", ";": "`;`"}.get(table.delimiter, "commas")
            raise _error(
                beyond[0],
                f"this row has {len(row)} cells, the header {len(table.header)};"
                f" put quotes around a cell with {separator}",
            )
        if known.cell(row, "name") is None:
            raise _error(row[0], "this row has no name; write one, or take the row out")
    ours = "official" in known.places
    labels = [known.text(row, "name") for row in table.rows]
    names = labels if ours else identifiers(labels)
    guesses = _Guesses(table, known, source, findings) if source and options.kind == "dataset" else None
    out: list[tuple[ClassLine, _Row]] = []
    seen: dict[str, Cell] = {}
    for row, label, name in zip(table.rows, labels, names, strict=True):
        cell = row[known.places["name"]]
        if ours and (not NAME.fullmatch(name) or name in RESERVED):
            raise _error(cell, f"`{name}` cannot be a name; write `{identifier(name)}` and `{name}` as `official`")
        first = seen.setdefault(label, cell)
        if first is not cell:
            if ours:
                raise _error(cell, f"`{label}` is already a class, at line {first.place[1]}; rename one of the two")
            findings.append(
                Finding(
                    "warning",
                    "duplicate",
                    f"`{label}` is listed twice; the second is `{name}`",
                    cell.place,
                    f"first at line {first.place[1]}",
                )
            )
        notes = [known.text(row, "note")]
        relation: tuple[str, ...] = ()
        if (stated := known.cell(row, "relation")) and options.kind == "dataset":
            relation = _relation(stated, name)
        elif guesses:
            relation = guesses.relation(row, name, notes)
        if _is_void(known.cell(row, "void")):
            notes.append("officially void")
            if options.source and not relation:
                relation = ("-> void",)
        official = known.cell(row, "official") if ours else None
        line = ClassLine(
            name,
            _ids(row, known, len(out), findings),
            official.text if official else label,
            _colours(row, known),
            tuple(a or b.strip() for a, b in _ALIAS.findall(known.text(row, "aliases")) if a or b.strip()),
            ".".join(identifier(g) for g in known.text(row, "group").split(".") if g.strip()),
            relation,
            [n for n in notes if n],
        )
        out.append((line, row))
    return out


def _ids(row: _Row, known: Columns, index: int, findings: list[Finding]) -> str:
    if "id" not in known.places:
        return str(index)
    cell = known.cell(row, "id")
    text = ids(cell.text) if cell else ""
    if not text:
        what = f"`{known.text(row, 'name')}` has no id: it is written as never drawn (`-`)"
        findings.append(Finding("warning", "value", what, row[0].place))
    if text in NO_ID:
        return "-"
    if cell and not IDS.fullmatch(text):
        raise _error(cell, f"`{cell.stripped}` is not an id; write `7`, `6,7`, `12..14`, or `-` if it is never drawn")
    return text


def _colours(row: _Row, known: Columns) -> str:
    text = _joined(row, known.colour)
    parts = [c for c in re.split(r"[\s,;]+", text) if c] if "#" in text else [text]
    colours = [as_colour(part) for part in parts if part]
    if None in colours:
        raise _error(
            row[known.colour[0]],
            f"`{parts[colours.index(None)]}` is not a colour; write `#` and six hexadecimal digits,"
            " or red, green and blue as `244,35,232`",
        )
    return ",".join(filter(None, colours))


def _is_void(cell: Cell | None) -> bool:
    text = cell.stripped.lower() if cell else ""
    if cell and text not in (*_YES, *_NO):
        raise _error(cell, f"`{cell.stripped}` does not say whether the class is void; write `1` or `0`")
    return text in _YES


def _relation(cell: Cell, name: str) -> tuple[str, ...]:
    text = cell.stripped
    if text.startswith(f"{name} "):
        text = text[len(name) :].strip()
    _, problems = parse("", f"tax 1\nx {text}")
    if problems or not re.match(r"[=<>~!-]", text) or "\n" in text:
        help_ = problems[0].help if problems and problems[0].help else "write it as in a `.tax` file: `road < asphalt`"
        raise _error(cell, f"`{cell.stripped}` is not a relation of `{name}`; {help_}")
    return (text,)


class _Guesses:
    """The column with the source's name: a first guess of relations, the weakest that its cells allow."""

    def __init__(self, table: Table, known: Columns, source: Source, findings: list[Finding]) -> None:
        self.known, self.source, self.findings = known, source, findings
        self.names = skeleton.same_name(source)
        at = known.places.get("guess")
        self.header = table.header[at].stripped if at is not None else ""
        self.are_channels = at is not None and are_numbers(table, at)

    def relation(self, row: _Row, name: str, notes: list[str]) -> tuple[str, ...]:
        """The relation of a row. Adds a note that says where it is from."""
        cell = self.known.cell(row, "guess")
        if cell is None:
            return ()
        if re.match(r"[=<>~!]|->", cell.stripped):
            return _relation(cell, name)
        targets: list[str] = []
        for part in [cell.stripped] if self._target(cell.stripped) else re.split(r"[,;|/]", cell.stripped):
            target = self._target(part.strip())
            if target is None:
                self._report(cell, part.strip())
                notes.append(f"`{self.header}` says `{part.strip()}`, which is not a class of {self.source.name}")
                return ()
            targets.append(target)
        notes.append(f"a guess: `{self.header}` says `{cell.stripped}`")
        if targets == ["void"]:
            return ("-> void",)
        return (f"< {targets[0]}" if len(targets) == 1 else f"~ {' '.join(dict.fromkeys(targets))}",)

    def _target(self, text: str) -> str | None:
        channel = number(text) if self.are_channels else None
        if channel is not None and channel < len(self.source.classes):
            return self.source.classes[channel].name
        return self.names.get(identifier(text).lower()) or ("void" if text.lower() in VOID else None)

    def _report(self, cell: Cell, part: str) -> None:
        close = suggest(part, [c.name for c in self.source.classes])
        what = f"`{part}` is not a class of `{self.source.name} {self.source.version}`: the guess is not used"
        self.findings.append(Finding("warning", "dangling", what, cell.place, close))


# --- channels -------------------------------------------------------------------------------------------------


def _channels(
    table: Table, known: Columns, classes: list[tuple[ClassLine, _Row]], findings: list[Finding]
) -> list[tuple[ClassLine, _Row]]:
    role = next((r for r in ("train", "id") if r in known.places), None)
    what = {"train": "train id", "id": "id"}.get(role or "", "")
    kept: dict[int, tuple[ClassLine, _Row]] = {}
    for line, row in classes:
        channel = _first(known.text(row, role)) if role else len(kept)
        place = row[known.places[role]].place if role and known.places[role] < len(row) else row[0].place
        label = line.official or line.name
        if channel in (None, 255) or (role != "train" and _is_void(known.cell(row, "void"))):
            findings.append(Finding("info", "source", f"`{label}` is not a class of the source", row[0].place))
        elif channel in kept:
            first = kept[channel][0]
            if sum((c.official or c.name) == label for c, _ in classes) > 1:
                first.notes.append(f"also `{label}`")  # an alias must be the only one
            else:
                first.aliases = (*first.aliases, label)
            findings.append(
                Finding(
                    "warning",
                    "duplicate",
                    f"`{label}` shares {what} {channel} with `{first.name}`: it becomes an alias",
                    place,
                )
            )
        else:
            kept[channel] = (line, row)
    if not kept:
        raise ExchangeError(f"{table.file}: no row is a class of the source: each is void or has no number below 255")
    if sorted(kept) != list(range(len(kept))):
        findings.append(
            Finding(
                "warning",
                "source",
                f"the {what}s are not 0 to K-1: channels are numbered in their order",
                table.header[known.places[role or "name"]].place,
            )
        )
    return [(replace(kept[n][0], ids=str(i)), kept[n][1]) for i, n in enumerate(sorted(kept))]


def _first(text: str) -> int | None:
    """The first number of an id such as `6,7`."""
    return number(re.split("[,.]", ids(text))[0])
