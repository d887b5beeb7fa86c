"""The class lists and mappings of UniBwTAS/data-priors: `labels.csv` and `master_labels_<source>.csv` → `.tax`.

A row of a mapping is: source id, source label, then the dataset's labels that may be that class; the row with
id 255 is void. Such a set states S(d) and no more, so it becomes the weakest statement with that S(d): `<` for one
class, `~` for several, `-> void` for void alone, `-> any` for everything. A class in no row becomes `-> void`:
the published code silently does the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lsu_onto.diagnostics import did_you_mean
from lsu_onto.exchange.base import ExchangeError, Finding, Imported, Options
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
from lsu_onto.exchange.skeleton import need_source, same_name
from lsu_onto.exchange.tables import Cell, number, read_table
from lsu_onto.lang.colours import as_colour
from lsu_onto.library.library import Library

VOID_ID = "255"


@dataclass
class _Label:
    """A class of `labels.csv`; `cells` has one cell for each row that lists it."""

    cells: list[Cell]
    line: ClassLine


@dataclass
class Mapping:
    """A `master_labels_<source>.csv`."""

    path: str
    source: str
    channels: list[tuple[Cell, Cell]]
    """Id and label of each row except the row of void."""
    rows: list[tuple[int | None, tuple[Cell, ...]]]
    """Channel, or None for void, and the dataset's labels."""
    lost: list[str] = field(default_factory=list)


def read(inputs: list[str], options: Options) -> Imported:
    """Import folders, or a `labels.csv` (which may be left out if it lies beside a mapping) and any of its mappings."""
    labels_path, paths = _files(inputs)
    findings: list[Finding] = []
    labels = _labels(labels_path, findings)
    known: dict[str, _Label] = {}
    for label in labels:
        for cell in label.cells:
            known.setdefault(cell.text, label)
    mappings = [read_mapping(p, findings) for p in paths]
    if options.source:
        if len(mappings) > 1:
            raise ExchangeError(
                f"--source names one source, and there are {len(mappings)} mappings; give one mapping file"
            )
        for m in mappings:
            m.source = options.source if options.source_from else need_source(options.source, options.search).name
    name = options.name or identifier(Path(labels_path).resolve().parent.name.lower())
    if any(m.source == name for m in mappings):
        name = f"{name}_labels"
        findings.append(
            Finding(
                "info",
                "name",
                f"the dataset is called `{name}`, as a source has its name",
                (labels_path, 1, 1),
                "`--name` chooses another",
            )
        )
    written = {Path(p).resolve(): read_mapping(p, []) for p in options.source_from}
    sections: list[str] = []
    maps: list[str] = []
    for m in mappings:
        origin = written.get(Path(m.path).resolve())
        if origin is None and len(mappings) == 1 and len(written) == 1:
            origin = next(iter(written.values()))
        version, names, section = _source(m, origin, options, findings)
        sections += section
        maps += _map(m, name, version, names, labels, known, labels_path, options, findings)
    head = [
        f"dataset {name} {options.version}",
        "",
        f"title:    {name}, as listed in {one_line(Path(labels_path).name)}",
    ]
    ids = [int(i) for x in labels for i in x.line.ids.split(",") if i.isdigit()]
    head.append(f"encoding: {options.encoding or ('id16' if max(ids, default=0) > 255 else 'id')}")
    if options.void:
        head.append(f"void:     {options.void}")
    dataset = [*head, "", *class_lines([x.line for x in labels])]
    text = "\n".join(["tax 1", *sections, *dataset, *maps]) + "\n"
    return Imported(text, tuple(sorted(findings, key=lambda f: (f.place[0] != labels_path, f.place))))


def _files(inputs: list[str]) -> tuple[str, list[str]]:
    labels: dict[str, None] = {}
    mappings: dict[str, None] = {}
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            if not (path / "labels.csv").is_file():
                raise ExchangeError(f"`{given}` has no `labels.csv`; give a folder with one, or the files themselves")
            labels[str(path / "labels.csv")] = None
            mappings.update((str(p), None) for p in sorted(path.glob("master_labels*.csv")))
        elif path.name.startswith("master_labels"):
            mappings[given] = None
            beside = path.with_name("labels.csv")
            if beside.is_file() and not any(Path(i).name == "labels.csv" for i in inputs):
                labels[str(beside)] = None
        else:
            labels[given] = None
    if len(labels) != 1:
        listed = ", ".join(f"`{p}`" for p in labels) or "none"
        raise ExchangeError(f"expected one `labels.csv`, found {listed}; give one dataset at a time")
    return next(iter(labels)), list(mappings)


def _labels(path: str, findings: list[Finding]) -> list[_Label]:
    table = read_table(path)
    at_name, at_id = table.need("name"), table.need("id")
    at_colour, at_group, at_group_id = (
        table.column("color", "colour"),
        table.column("category"),
        table.column("categoryid"),
    )
    labels: dict[str, _Label] = {}
    owner: dict[str, str] = {}
    blanks: list[Cell] = []

    def get(row: tuple[Cell, ...], index: int | None) -> str:
        return row[index].stripped if index is not None and index < len(row) else ""

    for row in table.rows:
        if not get(row, at_name):
            findings.append(Finding("warning", "value", "this row has no name: left out", row[0].place))
            continue
        cell, notes = row[at_name], []
        if cell.text != cell.stripped:
            blanks.append(cell)
        id_ = get(row, at_id)
        if number(id_) is None:
            findings.append(
                Finding(
                    "info" if id_ == "-1" else "warning",
                    "value",
                    f"`{id_}` is not a raw value: `{cell.stripped}` is written as never drawn (`-`)",
                    row[min(at_id, len(row) - 1)].place,
                )
            )
            id_ = "-"
        elif str(int(id_)) in owner:
            id_ = str(int(id_))
            findings.append(
                Finding(
                    "warning",
                    "duplicate",
                    f"id {id_} already belongs to `{owner[id_]}`: `{cell.stripped}` is written as never drawn (`-`)",
                    row[at_id].place,
                )
            )
            notes.append(f"the list gives it id {id_}, which is `{owner[id_]}`")
            id_ = "-"
        else:
            id_ = str(int(id_))
            owner[id_] = cell.stripped
        colour_text = get(row, at_colour)
        colour = as_colour(colour_text) or ""
        if colour_text and not colour:
            findings.append(
                Finding(
                    "warning",
                    "value",
                    f"`{colour_text}` is not a colour: left out",
                    row[at_colour or 0].place,
                    "a colour is `#` and six hexadecimal digits",
                )
            )
        if cell.stripped in labels:
            first = labels[cell.stripped]
            file, line, _ = first.cells[0].place
            ids = [i for i in (first.line.ids, id_) if i != "-"]
            findings.append(
                Finding(
                    "warning",
                    "duplicate",
                    f"`{cell.stripped}` is listed twice: both ids ({', '.join(ids)}) become one class",
                    cell.place,
                    f"first at {Path(file).name}:{line}; is one of the two mislabelled?",
                )
            )
            first.cells.append(cell)
            first.line.ids = ",".join(ids) or "-"
            first.line.notes.append(f"listed twice, with ids {', '.join(ids)}")
            continue
        # Elsewhere in these files, `x` marks a column; a category counts only if it has an id.
        group = identifier(get(row, at_group)) if get(row, at_group) and get(row, at_group_id) else ""
        labels[cell.stripped] = _Label([cell], ClassLine("", id_, cell.stripped, colour, group=group, notes=notes))
    if not labels:
        raise ExchangeError(f"{path}: no classes below the header")
    if blanks:
        findings.append(
            Finding(
                "info",
                "blank",
                f"`{blanks[0].text}`"
                + (f" and {len(blanks) - 1} more labels have" if len(blanks) > 1 else " has")
                + " a blank at an end, which is left out",
                blanks[0].place,
            )
        )
    for label, name in zip(labels.values(), identifiers(list(labels)), strict=True):
        label.line.name = name
    return list(labels.values())


def read_mapping(path: str, findings: list[Finding]) -> Mapping:
    """The cells of a mapping with their places. Whatever deserves a second look is added to `findings`."""
    table = read_table(path)
    if len(table.header) < 2 or table.header[1].stripped.lower() != "name":
        have = ", ".join(f"`{c.stripped}`" for c in table.header[:3])
        raise ExchangeError(
            f"{path}:1:1: the header starts with {have}, expected an id column and `name`;"
            " is this a `master_labels_<source>.csv`?"
        )
    channels: list[tuple[Cell, Cell]] = []
    rows: list[tuple[int | None, tuple[Cell, ...]]] = []
    for row in table.rows:
        if len(row) < 2 or number(row[0].stripped) is None or not row[1].stripped:
            file, line, column = row[0].place
            raise ExchangeError(
                f"{file}:{line}:{column}: expected a source id and a source label, found"
                f" `{','.join(c.text for c in row[:2])}`; write them, or take the row out"
            )
        cells = tuple(c for c in row[2:] if c.stripped)
        if row[0].stripped == VOID_ID:
            rows.append((None, cells))
            continue
        if int(row[0].stripped) != len(channels):
            findings.append(
                Finding(
                    "warning",
                    "source",
                    f"`{row[1].stripped}` has id {row[0].stripped}, expected"
                    f" {len(channels)}: channels are numbered 0 to K-1 in the file's order",
                    row[0].place,
                )
            )
        rows.append((len(channels), cells))
        channels.append((row[0], row[1]))
    if not channels:
        raise ExchangeError(f"{path}: there is no source class below the header")
    stem = Path(path).stem.removeprefix("master_labels").strip("_")
    return Mapping(path, identifier(stem.lower()) if stem else "master", channels, rows)


def _source(
    m: Mapping, origin: Mapping | None, options: Options, findings: list[Finding]
) -> tuple[str, list[str | None], list[str]]:
    """Version, the name of each channel of the mapping (None: not in the source), and a section to write."""
    labels = [c.stripped for _, c in m.channels]
    if origin is None:
        name = options.source
        t = need_source(name, options.search) if name else Library(options.search).source(m.source)
        if t:
            names_of = same_name(t)
            hits = [
                t.classes[t.by_other_name[x]].name if x in t.by_other_name else names_of.get(identifier(x).lower())
                for x in labels
            ]
            for (_, cell), hit in zip(m.channels, hits, strict=True):
                if hit is None:
                    close = did_you_mean(cell.stripped, [*t.by_other_name, *t.by_name])
                    what = f"`{cell.stripped}` is not a class of `{t.name} {t.version}`: what it maps is lost"
                    other = f"`--source-from {m.path}` writes the source as this file has it"
                    _add_lost(
                        m,
                        Finding(
                            "warning", "dangling", what, cell.place, f"did you mean `{close}`?" if close else other
                        ),
                        findings,
                    )
            return t.version, hits, []
        findings.append(
            Finding(
                "info",
                "source",
                f"no source `{m.source}` on the search path: its section is written from this file",
                (m.path, 1, 1),
                "`--path DIR` adds a folder, `--source NAME` names another",
            )
        )
    cells = (origin or m).channels
    official = [c.stripped for _, c in cells]
    names = identifiers(official)
    lines = []
    seen: dict[str, Cell] = {}
    for i, ((_, cell), name) in enumerate(zip(cells, names, strict=True)):
        first = seen.setdefault(cell.stripped, cell)
        if first is not cell:
            findings.append(
                Finding(
                    "warning",
                    "duplicate",
                    f"source class `{cell.stripped}` is listed twice; the second is `{name}`",
                    cell.place,
                    f"first at line {first.place[1]}",
                )
            )
        lines.append(ClassLine(name, str(i), cell.stripped))
    by_label = dict(zip(reversed(official), reversed(names), strict=True))
    if origin is None or Path(origin.path).resolve() == Path(m.path).resolve():
        here: list[str | None] = list(names)
    else:
        here = [by_label.get(x) for x in labels]
        for (_, cell), hit in zip(m.channels, here, strict=True):
            if hit is None:
                close = did_you_mean(cell.stripped, official)
                _add_lost(
                    m,
                    Finding(
                        "warning",
                        "dangling",
                        f"`{cell.stripped}` is not a class of `{origin.path}`: what it maps is lost",
                        cell.place,
                        f"did you mean `{close}`?" if close else None,
                    ),
                    findings,
                )
    title = f"title: The classes of {one_line(Path((origin or m).path).name)}"
    return (
        options.version,
        here,
        [f"source {m.source} {options.version}", "", title, "", *class_lines(lines), ""],
    )


def _add_lost(m: Mapping, finding: Finding, findings: list[Finding]) -> None:
    """Add a finding that no class of the dataset can carry as its note."""
    findings.append(finding)
    _, line, column = finding.place
    m.lost.append(note(f"{Path(m.path).name}:{line}:{column}: {finding.message}", finding.help or ""))


def _map(
    m: Mapping,
    name: str,
    version: str,
    channels: list[str | None],
    labels: list[_Label],
    known: dict[str, _Label],
    labels_path: str,
    options: Options,
    findings: list[Finding],
) -> list[str]:
    allowed: dict[int, dict[str, None]] = {id(x): {} for x in labels}
    remarks: dict[int, list[str]] = {id(x): [] for x in labels}
    mentioned: set[int] = set()
    stripped = {x.line.official: x for x in labels}
    file = Path(m.path).name
    for channel, cells in m.rows:
        seen: dict[int, Cell] = {}
        target = "void" if channel is None else channels[channel]
        for cell in cells:
            _, line, column = cell.place
            label = known.get(cell.text)
            if label is None and cell.stripped in stripped:
                label = stripped[cell.stripped]
                findings.append(
                    Finding(
                        "warning",
                        "blank",
                        f"`{cell.text}` is `{label.cells[0].text}` in"
                        f" {Path(labels_path).name}: they differ in blanks only, and are read as one",
                        cell.place,
                        "the published code loses this edge",
                    )
                )
                remarks[id(label)].append(f"`{target}` read from `{cell.text}` at {file}:{line}:{column}")
            if label is None:
                _add_lost(
                    m,
                    Finding(
                        "warning",
                        "dangling",
                        f"`{cell.text}` is not a class of {Path(labels_path).name}: its edge to `{target}` is lost",
                        cell.place,
                        _guess(cell.stripped, stripped),
                    ),
                    findings,
                )
                continue
            mentioned.add(id(label))
            if id(label) in seen:
                findings.append(
                    Finding(
                        "warning",
                        "duplicate",
                        f"`{cell.stripped}` stands twice in this row; the second adds nothing",
                        cell.place,
                        f"first at column {seen[id(label)].place[2]}",
                    )
                )
                remarks[id(label)].append(f"twice in the row of `{target}` at {file}:{line}")
            seen.setdefault(id(label), cell)
            if target is not None:
                allowed[id(label)][target] = None
    rows = []
    total = len(channels)
    for label in labels:
        targets = list(allowed[id(label)])
        notes = remarks[id(label)]
        if id(label) not in mentioned:
            findings.append(
                Finding(
                    "warning",
                    "unmentioned",
                    f"`{label.line.official}` is in no row of {file}: written as `-> void`",
                    label.cells[0].place,
                    "relate it to a class if it has one",
                )
            )
            notes.append(f"in no row of {file}")
        elif not targets:
            notes.append(f"all its rows in {file} are lost")
        relation = allowed_relation([t for t in targets if t != "void"], "void" in targets, total)
        rows.append((label.line.name, relation, notes))
    head = ["", f"map {name} {options.version} -> {m.source} {version}", ""]
    return [*head, *map_rows(rows), *m.lost]


def _guess(text: str, labels: dict[str, _Label]) -> str:
    for i in range(1, len(text)):
        left, right = text[:i].strip(), text[i:].strip()
        if (left in labels and right in {*labels, "void"}) or (right in labels and left == "void"):
            return f"are `{left}` and `{right}` two cells?"
    close = did_you_mean(text, labels)
    return f"did you mean `{close}`?" if close else "no label there is like it: correct the cell, or take it out"
