"""The MSeg master table → `.tax`: one row per universal class, one column per dataset.

A cell holds the dataset's classes that are this universal class, several as `{A, B}`; the row `unlabeled` is void.
Like every published set, a cell states S(d) and no more. The table has no raw values: they are the line numbers of
`<taxonomy>_names.txt`, which is given as a second file. Without it, classes are written as never drawn (`-`).
"""

from __future__ import annotations

from pathlib import Path

from lsu_onto.diagnostics import did_you_mean, suggest
from lsu_onto.exchange.base import ExchangeError, Finding, Imported, Options, Place
from lsu_onto.exchange.draft import (
    ClassLine,
    allowed_relation,
    class_lines,
    identifier,
    identifiers,
    map_rows,
    note,
    one_line,
)
from lsu_onto.exchange.tables import Cell, Table, read_table, read_text

VOID = "unlabeled"


def read(inputs: list[str], options: Options) -> Imported:
    """Import one column (`--column idd-39`) with the universal source, or (`--as source`) the source alone."""
    tables = [i for i in inputs if not i.endswith("_names.txt")]
    names_files = [i for i in inputs if i.endswith("_names.txt")]
    if len(tables) != 1 or len(names_files) > 1:
        raise ExchangeError("expected the MSeg master table, and at most one `<taxonomy>_names.txt`")
    table = read_table(tables[0], "\t", quotes=False)
    universal = table.need("universal")
    findings: list[Finding] = []
    source, channels = _universal(table, universal, options, findings)
    if options.kind == "source":
        return Imported("\n".join(["tax 1", *source]) + "\n", tuple(findings))
    at = _column(table, universal, options.column)
    label = table.header[at].stripped
    allowed, places, remarks = _cells(table, at, channels, findings)
    lost: list[str] = []
    ids = dict.fromkeys(allowed, "-")
    if names_files:
        ids, places = _numbered(names_files[0], ids, places, remarks, lost, table, findings)
    else:
        findings.append(
            Finding(
                "warning",
                "value",
                "the table has no raw values: every class is written as never drawn (`-`)",
                table.header[at].place,
                f"give `{label}_names.txt` (MSeg's dataset_lists) as a second file",
            )
        )
    name = options.name or identifier(label.lower())
    classes = [ClassLine(n, ids[o], o) for o, n in zip(ids, identifiers(list(ids)), strict=True)]
    total = len(set(channels.values()) - {"void"})
    rows = []
    for c in classes:
        targets = list(allowed.get(c.official, {}))
        notes = remarks.get(c.official, [])
        if c.official not in allowed:
            findings.append(
                Finding(
                    "warning",
                    "unmentioned",
                    f"`{c.official}` is in no row of `{label}`: written as `-> void`",
                    places[c.official],
                    "relate it to a class if it has one",
                )
            )
            notes = [*notes, f"in no row of {Path(table.file).name}"]
        rows.append((c.name, allowed_relation([t for t in targets if t != "void"], "void" in targets, total), notes))
    high = max((int(i) for i in ids.values() if i.isdigit()), default=0)
    head = [
        f"dataset {name} {options.version}",
        "",
        f"title:    {one_line(label)} of MSeg",
        f"encoding: {options.encoding or ('id16' if high > 255 else 'id')}",
    ]
    head += [f"void:     {options.void}"] if options.void else []
    text = [
        "tax 1",
        *source,
        *head,
        "",
        *class_lines(classes),
        "",
        f"map {name} {options.version} -> mseg v1",
        "",
        *map_rows(rows),
        *lost,
    ]
    return Imported("\n".join(text) + "\n", tuple(findings))


def _universal(table: Table, at: int, options: Options, findings: list[Finding]) -> tuple[list[str], dict[int, str]]:
    """The source's section, and what each row of the table stands for."""
    group_at = table.column("parent category")
    rows = [(i, r[at]) for i, r in enumerate(table.rows) if at < len(r) and r[at].stripped]
    for i, r in enumerate(table.rows):
        if at >= len(r) or not r[at].stripped:
            findings.append(Finding("warning", "value", "this row has no universal class", table.rows[i][0].place))
    real = [(i, c) for i, c in rows if c.stripped != VOID]
    if not real:
        raise ExchangeError(f"{table.file}: the column `universal` is empty")
    names = identifiers([c.stripped for _, c in real])
    channels = {i: "void" for i, c in rows if c.stripped == VOID}
    lines = []
    seen: dict[str, Cell] = {}
    for channel, ((i, cell), name) in enumerate(zip(real, names, strict=True)):
        channels[i] = name
        first = seen.setdefault(cell.stripped, cell)
        if first is not cell:
            findings.append(
                Finding(
                    "warning",
                    "duplicate",
                    f"universal class `{cell.stripped}` is listed twice; the second is `{name}`",
                    cell.place,
                    f"first at line {first.place[1]}",
                )
            )
        row = table.rows[i]
        group = row[group_at].stripped if group_at is not None and group_at < len(row) else ""
        lines.append(ClassLine(name, str(channel), cell.stripped, group=identifier(group) if group else ""))
    version = "v1" if options.kind == "dataset" else options.version
    name = options.name if options.kind == "source" and options.name else "mseg"
    return [
        f"source {name} {version}",
        "",
        "title: MSeg's universal classes",
        "",
        *class_lines(lines),
        "",
    ], channels


def _column(table: Table, universal: int, name: str | None) -> int:
    known = [c.stripped for c in table.header[:universal] if c.stripped and c.stripped.lower() != "parent category"]
    after = [c.stripped for c in table.header[universal + 1 :] if c.stripped]
    if name is None:
        raise ExchangeError(
            f"{table.file}: which dataset? add `--column` with one of {', '.join(f'`{k}`' for k in known)},"
            " or `--as source` for the universal classes alone"
        )
    index = table.column(name.lower())
    if index is None:
        hint = suggest(name, [*known, *after], f"there are {', '.join(f'`{k}`' for k in known)}")
        raise ExchangeError(f"{table.file}:1:1: there is no column `{name}`; {hint}")
    return index


def _cells(
    table: Table, at: int, channels: dict[int, str], findings: list[Finding]
) -> tuple[dict[str, dict[str, None]], dict[str, Place], dict[str, list[str]]]:
    allowed: dict[str, dict[str, None]] = {}
    places: dict[str, Place] = {}
    remarks: dict[str, list[str]] = {}
    for i, row in enumerate(table.rows):
        if at >= len(row) or not row[at].stripped:
            continue
        cell = row[at]
        file, line, column = cell.place
        inside = cell.stripped
        if inside.startswith("{") != inside.endswith("}"):
            raise ExchangeError(f"{file}:{line}:{column}: `{inside}` has one brace; write `{{A, B}}`")
        names = [n.strip() for n in inside.strip("{}").split(",")] if inside.startswith("{") else [inside]
        for name in filter(None, names):
            offset = max(cell.text.find(name), 0)
            places.setdefault(name, (file, line, column + offset))
            target = channels.get(i)
            if names.count(name) > 1:
                remarks.setdefault(name, []).append(f"twice in one cell, line {line}")
                findings.append(
                    Finding("warning", "duplicate", f"`{name}` stands twice in this cell", (file, line, column))
                )
            sets = allowed.setdefault(name, {})
            if target:
                sets[target] = None
            else:
                findings.append(
                    Finding(
                        "warning",
                        "dangling",
                        f"`{name}` stands in a row without a universal class: its edge is lost",
                        places[name],
                    )
                )
                remarks.setdefault(name, []).append(f"an edge lost at line {line}, which has no universal class")
    if not allowed:
        raise ExchangeError(
            f"{table.file}:1:{table.header[at].place[2]}: the column `{table.header[at].stripped}` is empty"
        )
    return allowed, places, remarks


def _numbered(
    path: str,
    ids: dict[str, str],
    places: dict[str, Place],
    remarks: dict[str, list[str]],
    lost: list[str],
    table: Table,
    findings: list[Finding],
) -> tuple[dict[str, str], dict[str, Place]]:
    """Ids from the line numbers of a names file. A class that only one of the two files has becomes a finding."""
    listed = [line.strip() for line in read_text(path).splitlines()]
    while listed and not listed[-1]:
        listed.pop()
    out: dict[str, str] = {}
    where: dict[str, Place] = {}
    for i, name in enumerate(listed):
        if name in out:
            findings.append(
                Finding(
                    "warning",
                    "duplicate",
                    f"`{name}` is listed twice: both ids become one class",
                    (path, i + 1, 1),
                )
            )
            remarks.setdefault(name, []).append(f"listed twice, with ids {out[name]}, {i}")
            out[name] += f",{i}"
        elif name:
            out[name] = str(i)
            where[name] = (path, i + 1, 1)
    for name in ids:
        if name not in out:
            file, line, column = places[name]
            close = did_you_mean(name, out)
            findings.append(
                Finding(
                    "warning",
                    "dangling",
                    f"`{name}` is not a class of {Path(path).name}: its edge is lost",
                    places[name],
                    f"did you mean `{close}`?" if close else None,
                )
            )
            lost.append(note(f"{Path(file).name}:{line}:{column}: `{name}` is not a class of {Path(path).name}"))
    return out, where
