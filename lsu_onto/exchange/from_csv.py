"""Class lists as CSV → `.tax`: what `export --to csv` writes, and `id,name,color,train_id,void,…` lists.

Only `name` is needed. A dataset keeps every row; a source has the classes with a `train_id` (255: none), in that
order, or every row that is not `void`, in the file's order.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from lsu_onto.exchange import skeleton
from lsu_onto.exchange.base import ExchangeError, Finding, Imported, Options
from lsu_onto.exchange.draft import NAME, ClassLine, identifier, identifiers
from lsu_onto.exchange.tables import Cell, Table, colour, number, read_table
from lsu_onto.lang.parse import parse
from lsu_onto.lang.syntax import RESERVED

_ALIAS = re.compile(r'"([^"]*)"|([^;"]+)')
_IDS = re.compile(r"[0-9]{1,9}(\.\.[0-9]{1,9})?(,[0-9]{1,9}(\.\.[0-9]{1,9})?)*")


def read(inputs: list[str], options: Options) -> Imported:
    if len(inputs) != 1:
        raise ExchangeError(f"expected one CSV file, found {len(inputs)}; import one class list at a time")
    classes, findings = class_list(inputs[0], options)
    name = options.name or identifier(Path(inputs[0]).stem.lower())
    text = skeleton.write(classes, name, f"{name}, from {Path(inputs[0]).name}", options)
    return Imported(text, tuple(findings))


def class_list(file: str, options: Options) -> tuple[list[ClassLine], list[Finding]]:
    """The classes of a CSV file, with the relations that it states and no others."""
    table = read_table(file)
    if not table.rows:
        raise ExchangeError(f"{file}: no classes below the header")
    findings: list[Finding] = []
    classes = _classes(table, options, findings)
    if options.kind == "source":
        classes = _channels(table, classes, findings)
    if any(c.relation for c, _ in classes) and not options.source:
        raise ExchangeError(
            f"{file}:1:{table.header[table.need('relation')].place[2]}: there are relations, and"
            " the file does not say to which source; add `--source NAME`"
        )
    unsaid = [k for k in ("encoding", "void") if getattr(options, k) is None]
    if table.column("official") is not None and options.kind == "dataset" and unsaid:
        keys = " and ".join(f"`{k}:`" for k in unsaid)
        findings.append(
            Finding(
                "info",
                "value",
                f"a class list does not say {keys}, nor where files lie",
                (file, 1, 1),
                " ".join(f"`--{k}`" for k in unsaid) + " add them",
            )
        )
    return [c for c, _ in classes], findings


def _error(cell: Cell, message: str) -> ExchangeError:
    file, line, column = cell.place
    return ExchangeError(f"{file}:{line}:{column}: {message}")


def _classes(table: Table, options: Options, findings: list[Finding]) -> list[tuple[ClassLine, tuple[Cell, ...]]]:
    columns = {
        "name": table.need("name"),
        "id": table.column("id", "ids"),
        "official": table.column("official"),
        "colour": table.column("colour", "color"),
        "group": table.column("group", "supercategory"),
        "aliases": table.column("aliases"),
        "relation": table.column("relation"),
        "void": table.column("void"),
        "note": table.column("note", "notes"),
    }
    rows = []
    for row in table.rows:
        beyond = [c for c in row[len(table.header) :] if c.stripped]
        if beyond:
            raise _error(
                beyond[0],
                f"this row has {len(row)} cells, the header {len(table.header)}; put quotes around a cell with commas",
            )
        cells = {k: row[i] for k, i in columns.items() if i is not None and i < len(row)}
        if "name" not in cells or not cells["name"].stripped:
            raise _error(row[0], "this row has no name; write one, or take the row out")
        rows.append((row, cells))
    ours = columns["official"] is not None
    labels = [c["name"].stripped for _, c in rows]
    names = labels if ours else identifiers(labels)
    out: list[tuple[ClassLine, tuple[Cell, ...]]] = []
    seen: dict[str, Cell] = {}
    for (row, cells), label, name in zip(rows, labels, names, strict=True):
        if ours and (not NAME.fullmatch(name) or name in RESERVED):
            raise _error(
                cells["name"],
                f"`{name}` cannot be a name; write `{identifier(name)}` and `{name}` as `official`",
            )
        first = seen.setdefault(label, cells["name"])
        if first is not cells["name"]:
            if ours:
                raise _error(
                    cells["name"],
                    f"`{label}` is already a class, at line {first.place[1]}; rename one of the two",
                )
            findings.append(
                Finding(
                    "warning",
                    "duplicate",
                    f"`{label}` is listed twice; the second is `{name}`",
                    cells["name"].place,
                    f"first at line {first.place[1]}",
                )
            )

        def get(key: str, cells: dict[str, Cell] = cells) -> str:
            return cells[key].stripped if key in cells else ""

        text = get("colour")
        parts = [text] if colour(text) else [c for c in re.split(r"[\s,;]+", text) if c]
        colours = [colour(part) for part in parts]
        if None in colours:
            raise _error(
                cells["colour"],
                f"`{parts[colours.index(None)]}` is not a colour; write `#` and six hexadecimal digits,"
                " or red, green and blue as `244,35,232`",
            )
        notes = [get("note")]
        relation = _relation(cells["relation"], name) if get("relation") and options.kind == "dataset" else ()
        if get("void") == "1":
            notes.append("officially void")
            if options.source and not relation:
                relation = ("-> void",)
        official = cells["official"].text if ours and get("official") else label
        line = ClassLine(
            name,
            _ids(cells.get("id"), len(out)),
            official,
            ",".join(filter(None, colours)),
            tuple(a or b.strip() for a, b in _ALIAS.findall(get("aliases")) if a or b.strip()),
            ".".join(identifier(g) for g in get("group").split(".") if g.strip()),
            relation,
            [n for n in notes if n],
        )
        out.append((line, row))
    return out


def _ids(cell: Cell | None, index: int) -> str:
    text = re.sub(r"\s+", "", cell.text) if cell else str(index)
    if text in ("-", "-1", ""):
        return "-"
    if cell and not _IDS.fullmatch(text):
        raise _error(cell, f"`{cell.stripped}` is not an id; write `7`, `6,7`, `12..14`, or `-` if it is never drawn")
    return text


def _relation(cell: Cell, name: str) -> tuple[str, ...]:
    text = cell.stripped
    if text.startswith(f"{name} "):
        text = text[len(name) :].strip()
    _, problems = parse("", f"tax 1\nx {text}")
    if problems or not re.match(r"[=<>~!-]", text) or "\n" in text:
        help_ = problems[0].help if problems and problems[0].help else "write it as in a `.tax` file: `road < asphalt`"
        raise _error(cell, f"`{cell.stripped}` is not a relation of `{name}`; {help_}")
    return (text,)


def _channels(
    table: Table, classes: list[tuple[ClassLine, tuple[Cell, ...]]], findings: list[Finding]
) -> list[tuple[ClassLine, tuple[Cell, ...]]]:
    at_train, at_void = table.column("train_id", "trainid"), table.column("void")
    kept: dict[int, tuple[ClassLine, tuple[Cell, ...]]] = {}
    for line, row in classes:
        train = str(len(kept)) if at_train is None else ""
        if at_train is not None and at_train < len(row):
            train = row[at_train].stripped
        void = at_train is None and at_void is not None and at_void < len(row) and row[at_void].stripped == "1"
        if number(train) is None or train == "255" or void:
            findings.append(
                Finding(
                    "info",
                    "source",
                    f"`{line.official or line.name}` is no class of the source",
                    row[0].place,
                )
            )
        elif int(train) in kept:
            first = kept[int(train)][0]
            label = line.official or line.name
            if sum((c.official or c.name) == label for c, _ in classes) > 1:
                first.notes.append(f"also `{label}`")  # an alias must be the only one
            else:
                first.aliases = (*first.aliases, label)
            findings.append(
                Finding(
                    "warning",
                    "duplicate",
                    f"`{line.official or line.name}` shares train id {train} with `{first.name}`: it becomes an alias",
                    row[at_train or 0].place,
                )
            )
        else:
            kept[int(train)] = (line, row)
    if not kept:
        raise ExchangeError(f"{table.file}: no row is a class of the source: each is void or has train id 255")
    ordered = [kept[t] for t in sorted(kept)]
    if sorted(kept) != list(range(len(kept))):
        findings.append(
            Finding(
                "warning",
                "source",
                "the train ids have gaps: channels are numbered 0 to K-1 in their order",
                table.header[at_train or 0].place,
            )
        )
    return [(replace(line, ids=str(i)), row) for i, (line, row) in enumerate(ordered)]
