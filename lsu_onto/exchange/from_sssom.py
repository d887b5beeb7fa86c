"""A mapping set in SSSOM (https://w3id.org/sssom) as a map: a table of mappings below a YAML header in `#` lines.

It may be what `to_sssom` wrote, or anybody's: either side may be the dataset, and classes are known by the last part of
their identifiers or by their labels.
"""

from __future__ import annotations

import re
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsu_onto.diagnostics import suggest
from lsu_onto.exchange.base import ExchangeError, Finding, Imported, Options, Place
from lsu_onto.exchange.draft import ClassLine, class_lines, identifiers, map_rows, one_line
from lsu_onto.exchange.skeleton import need_source
from lsu_onto.exchange.tables import Cell, Table, read_text, table_of
from lsu_onto.exchange.to_skos import PREDICATES
from lsu_onto.exchange.to_sssom import DECIDED, MAY_BE_VOID, PART_VOID, SKOS
from lsu_onto.library.library import Library
from lsu_onto.ontology.model import Dataset, Source, Taxonomy, bare
from lsu_onto.ontology.provenance import JUSTIFICATIONS, MANUAL, Provenance, as_note

_OPERATORS = {predicate: op for op, predicate in PREDICATES.items()}
_TURNED = {"<": ">", ">": "<"}
_NONE = "https://w3id.org/sssom/NoTermFound"
_KNOWN = {"skos": SKOS, "sssom": "https://w3id.org/sssom/", "semapv": "https://w3id.org/semapv/vocab/"}
_DECISION = re.compile(r"(\w+) (-> (?:void|any)\b.*)")


@dataclass(frozen=True)
class _End:
    """One side of a mapping: the whole identifier, its last part, and its label."""

    iri: str
    name: str
    label: str
    place: Place

    @property
    def spellings(self) -> list[str]:
        return [s for s in (self.name, self.label) if s]

    def find(self, t: Taxonomy) -> int | None:
        exact = {**t.by_other_name, **t.by_name}
        found = (exact.get(s, t.by_letters.get(bare(s))) for s in self.spellings)
        return next((c for c in found if c is not None), None)


@dataclass(frozen=True)
class _Mapping:
    subject: _End
    object: _End
    op: str
    about: dict[str, str]
    """The other cells by column."""
    place: Place


@dataclass
class _Row:
    """What is said of a class of the dataset.

    Attributes:
        ops: channel → operator. void: its operator, or empty. novel: whether a mapping says that nothing matches.
        ours: whether `to_sssom` wrote it, which says all.
        about: the other cells of every mapping.
    """

    ops: dict[int, str] = field(default_factory=dict)
    void: str = ""
    novel: bool = False
    ours: bool = False
    about: list[tuple[dict[str, str], Place]] = field(default_factory=list)


def read(inputs: list[str], options: Options) -> Imported:
    """
    Raises:
        ExchangeError: it is no mapping set, or says something that no relation of pixels says.
    """
    if len(inputs) != 1:
        raise ExchangeError(f"sssom: expected one file, not {len(inputs)}")
    if options.kind == "source":
        raise ExchangeError("sssom: a mapping set becomes the map of a dataset; leave out `--as source`")
    (file,) = inputs
    head, table = _read(file)
    findings: list[Finding] = []
    prefixes = _KNOWN | _prefixes(head, file)
    mappings = [*_mappings(table, prefixes, findings)]
    if not mappings:
        raise ExchangeError(f"{file}: there are no mappings; expected one row for each pair of classes")
    library = Library(options.search)
    source, turned = _source(library, mappings, head, options, file)
    if turned:
        mappings = [_Mapping(m.object, m.subject, _TURNED.get(m.op, m.op), m.about, m.place) for m in mappings]
    dataset = _dataset(library, mappings, options)
    decisions = dict(_decisions(head))
    if isinstance(dataset, Dataset):
        names = [c.name for c in dataset.classes]
        labels = names
        rows = _rows(mappings, source, findings, lambda end: _need(end, dataset))
    else:
        ends = {m.subject.iri: m.subject for m in mappings}
        labels = [
            *(e.label or e.name for e in ends.values()),
            *(n for n in decisions if n not in {e.name for e in ends.values()}),
        ]
        names = identifiers([*(e.name or e.label for e in ends.values()), *labels[len(ends) :]])
        index = {iri: i for i, iri in enumerate(ends)}
        rows = _rows(mappings, source, findings, lambda end: index[end.iri])
        why = "the raw values are not in a mapping set, so no class has one; write them in front of the names"
        findings.append(Finding("warning", "value", why, (file, 1, 1)))
    lines = []
    for d, name in enumerate(names):
        if d in rows:
            relation, notes = _relation(name, rows[d], source, findings)
        elif name in decisions:
            relation, notes = (decisions[name],), []
        else:
            relation, notes = ("-> any",), ["TODO: the mapping set does not mention it"]
            findings.append(Finding("warning", "unmentioned", f"no mapping is of `{name}`", (file, 1, 1)))
        lines.append((name, relation, notes))
    arrow = f"-> {source.name} {source.version}"
    if isinstance(dataset, Dataset):
        body = ["tax 1", f"map {dataset.name} {dataset.version} {arrow}", "", *map_rows(lines)]
    else:
        classes = [
            ClassLine(name, official=label, relation=relation, notes=notes)
            for label, (name, relation, notes) in zip(labels, lines, strict=True)
        ]
        title = str(head.get("mapping_set_title") or Path(file).stem)
        body = [
            "tax 1",
            f"dataset {dataset} {options.version} {arrow}",
            "",
            f"title: {one_line(title)}",
            "",
            *class_lines(classes),
        ]
    return Imported("\n".join(body) + "\n", tuple(findings))


# --- the file -----------------------------------------------------------------------------------------------


def _read(file: str) -> tuple[dict[str, Any], Table]:
    """The header, and the table with the places of the file."""
    import yaml

    lines = read_text(file).replace("\r\n", "\n").split("\n")
    count = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    try:
        head = yaml.safe_load(textwrap.dedent("\n".join(line[1:] for line in lines[:count]))) or {}
        repr(head)  # parts in parts, by references, may be too deep for whoever shows one
    except yaml.YAMLError as e:
        line = getattr(getattr(e, "problem_mark", None), "line", 0) + 1
        raise ExchangeError(f"{file}:{line}:1: the header is not YAML: {getattr(e, 'problem', e)}") from None
    except Exception as e:  # whatever Python raises for values that are no such date, no such number, …
        raise ExchangeError(f"{file}:1:1: the header has a value that YAML cannot read: {e}") from None
    if not isinstance(head, dict):
        raise ExchangeError(f"{file}:1:1: the header is not a list of keys; expected lines such as `# license: …`")
    return head, table_of(file, "\n" * count + "\n".join(lines[count:]), None)


def _prefixes(head: Mapping[str, Any], file: str) -> dict[str, str]:
    stated = head.get("curie_map") or {}
    if not isinstance(stated, dict):
        raise ExchangeError(
            f"{file}:1:1: `curie_map` is `{stated}`; expected prefixes below it, such as `#   skos: {SKOS}`"
        )
    return {str(prefix): str(iri) for prefix, iri in stated.items()}


def _mappings(table: Table, prefixes: Mapping[str, str], findings: list[Finding]) -> Iterator[_Mapping]:
    at = table.need("predicate_id", hint="is this a mapping set in SSSOM?")
    columns: dict[str, int] = {}
    for i, cell in enumerate(table.header):
        if columns.setdefault(cell.stripped, i) != i and cell.stripped:
            file, line, column = cell.place
            raise ExchangeError(f"{file}:{line}:{column}: there are two columns `{cell.stripped}`; take one out")
    for side in ("subject", "object"):
        if f"{side}_label" not in columns:
            table.need(f"{side}_id")
    for row in table.rows:
        cells = {name: row[i] if i < len(row) else Cell("", row[0].place) for name, i in columns.items()}
        predicate = row[at] if at < len(row) else Cell("", row[0].place)
        if cells.get("predicate_modifier", predicate).stripped == "Not":
            what = f"`Not {predicate.stripped}` leaves open how the classes relate; the mapping is left out"
            findings.append(Finding("warning", "unused", what, predicate.place))
            continue
        ends = [_end(cells, side, prefixes, row[0].place) for side in ("subject", "object")]
        texts = {name: cell.stripped for name, cell in cells.items()}
        yield _Mapping(ends[0], ends[1], _operator(predicate, prefixes), texts, row[0].place)


def _end(cells: Mapping[str, Cell], side: str, prefixes: Mapping[str, str], place: Place) -> _End:
    label = cells[f"{side}_label"].stripped if f"{side}_label" in cells else ""
    cell = cells.get(f"{side}_id", Cell("", place))
    iri = _expanded(cell.stripped, prefixes)
    name = re.split(r"[:/#]", iri)[-1]
    if not (name or label):
        file, line, column = cell.place
        raise ExchangeError(f"{file}:{line}:{column}: the mapping has no {side}; fill in `{side}_id`")
    return _End(iri or label, name, label, cell.place)


def _expanded(curie: str, prefixes: Mapping[str, str]) -> str:
    prefix, colon, local = curie.partition(":")
    return prefixes[prefix] + local if colon and prefix in prefixes else curie


def _operator(predicate: Cell, prefixes: Mapping[str, str]) -> str:
    iri = _expanded(predicate.stripped, prefixes)
    name = iri.removeprefix(SKOS)
    if iri.startswith(SKOS) and name in _OPERATORS:
        return _OPERATORS[name]
    file, line, column = predicate.place
    expected = ", ".join(f"skos:{p}" for p in _OPERATORS)
    help_ = f"expected one of {expected}"
    if name == "closeMatch":
        help_ += "; a close match may be any of these: decide which"
    raise ExchangeError(f"{file}:{line}:{column}: `{predicate.stripped}` does not say how pixels relate; {help_}")


# --- which side is which ------------------------------------------------------------------------------------


def _source(
    library: Library, mappings: list[_Mapping], head: Mapping[str, Any], options: Options, file: str
) -> tuple[Source, bool]:
    """The source, and whether it is on the subjects' side."""
    given = options.source or _stated(library, mappings, head)
    if not given:
        raise ExchangeError(f"{file}: nothing says which source the classes are related to; name it with --source")
    source = need_source(given, options.search)
    known = [sum(getattr(m, side).find(source) is not None for m in mappings) for side in ("object", "subject")]
    if not any(known) and not any(m.object.iri == _NONE for m in mappings):
        sides = [
            f"`{getattr(mappings[0], side).name or getattr(mappings[0], side).label}`" for side in ("subject", "object")
        ]
        raise ExchangeError(
            f"{file}: neither {sides[0]} nor {sides[1]}, nor any other of its classes, is one of `{source.name}"
            f" {source.version}`; name the right source with --source"
        )
    ours = _of_ours(mappings[0].subject.iri)
    return source, ours[0] == "source" if ours else known[1] > known[0]


def _stated(library: Library, mappings: list[_Mapping], head: Mapping[str, Any]) -> str | None:
    """The source that identifiers of ours, or the header, name."""
    for m in mappings:
        for end in (m.object, m.subject):
            ours = _of_ours(end.iri)
            if ours and ours[0] == "source":
                return f"{ours[1]} {ours[2]}"
    sources = {e.name for e in library.entries() if e.kind == "source"}
    cells = [m.about.get(key, "") for m in mappings[:1] for key in ("object_source", "subject_source")]
    stated = [*cells, *(str(head.get(key, "")) for key in ("object_source", "subject_source"))]
    return next((s for s in (text.rstrip(":/#").rpartition("/")[2] for text in stated) if s in sources), None)


def _of_ours(iri: str) -> tuple[str, str, str] | None:
    """Kind, name and version in an identifier that `to_sssom` wrote."""
    m = re.fullmatch(r"urn:lsu:(dataset|source):(\w+):(v[\d.]+):.*", iri)
    return (m[1], m[2], m[3]) if m else None


def _dataset(library: Library, mappings: list[_Mapping], options: Options) -> Dataset | str:
    """The dataset on the search path, or else the name of a new one."""
    ours = next((found for m in mappings if (found := _of_ours(m.subject.iri)) and found[0] == "dataset"), None)
    version = options.version if options.name or not ours else ours[2]
    name = options.name or (ours[1] if ours else "")
    if not name:
        parts = re.split(r"[:/#]", mappings[0].subject.iri)
        name = next((identifiers([p])[0] for p in reversed(parts[:-1]) if p), "")
    for e in library.entries():
        if (e.kind, e.name, e.version) == ("dataset", name, version):
            taxonomy = library.alone(f"{name} {version}")
            return taxonomy if isinstance(taxonomy, Dataset) else name
    return name or "imported"


# --- what it says -------------------------------------------------------------------------------------------


def _need(end: _End, t: Taxonomy) -> int:
    found = end.find(t)
    if found is not None:
        return found
    file, line, column = end.place
    word = end.label or end.name
    hint = suggest(word, [*t.by_other_name, *t.by_name], f"`lsu-onto show {t.name}` lists its classes")
    raise ExchangeError(f"{file}:{line}:{column}: `{word}` is not a class of `{t.name} {t.version}`; {hint}")


def _rows(mappings: Iterable[_Mapping], source: Source, findings: list[Finding], of: Any) -> dict[int, _Row]:
    rows: dict[int, _Row] = defaultdict(_Row)
    for m in mappings:
        if m.subject.iri == _NONE:
            what = f"nothing is a match of `{m.object.label or m.object.name}`, which is a fact about the source"
            findings.append(Finding("info", "unused", what, m.place))
            continue
        row = rows[of(m.subject)]
        row.about.append((m.about, m.place))
        row.ours = bool(_of_ours(m.subject.iri))
        if m.object.iri == _NONE:
            row.novel = True
            continue
        channel = _need(m.object, source)
        if row.ops.setdefault(channel, m.op) != m.op:
            file, line, column = m.place
            what = f"`{m.subject.label or m.subject.name}` and `{source.classes[channel].name}`"
            raise ExchangeError(
                f"{file}:{line}:{column}: another mapping relates {what} by `{row.ops[channel]}`, this one by `{m.op}`;"
                " only one of them can be true"
            )
        other = m.about.get("other", "")
        if other.startswith(PART_VOID) and other[len(PART_VOID) :] in (">", "~"):
            row.void = other[len(PART_VOID) :]
    return rows


def _relation(name: str, row: _Row, source: Source, findings: list[Finding]) -> tuple[tuple[str, ...], list[str]]:
    """The relations of a row, one per line, and its notes."""
    notes = _notes(name, row, findings)
    if not row.ops:
        return ("! any",), notes
    if row.novel:
        what = f"one mapping says that nothing matches `{name}`, and others say what does; the others count"
        findings.append(Finding("warning", "value", what, row.about[0][1]))
    ops = dict(row.ops)
    if len(ops) + bool(row.void) > 1 and any(op in "=<" for op in ops.values()):
        classes = ", ".join(f"`{op} {source.classes[c].name}`" for c, op in ops.items())
        what = f"`{name}` cannot be {classes} at once, as classes of a source share no pixels; written as `~`"
        findings.append(Finding("warning", "value", what, row.about[0][1]))
        ops = {c: "~" if op in "=<" else op for c, op in ops.items()}
    if len(ops) == 1 and not row.void and not row.ours and (op := next(iter(ops.values()))) in "~>":
        row.void = op
        what = f"`{name}` has only a part in common with one class; what else it is, is not said, so it may be void"
        findings.append(Finding("info", "value", what, row.about[0][1]))
    lines = []
    for op in "=<>~":
        targets = [source.classes[c].name for c in sorted(ops) if ops[c] == op] + ["void"] * (row.void == op)
        if targets:
            lines.append(f"{op} {' '.join(targets)}")
    return tuple(lines), notes


def _notes(name: str, row: _Row, findings: list[Finding]) -> list[str]:
    authors: dict[str, None] = {}
    numbers, hows = [], dict[str, None]()
    remarks: dict[str, None] = {}
    for about, place in row.about:
        for key in ("author_id", "author_label"):
            authors |= dict.fromkeys(re.sub("[,;]", "", a).strip() for a in about.get(key, "").split("|") if a.strip())
        text = about.get("confidence", "")
        if re.fullmatch(r"(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", text, re.IGNORECASE | re.ASCII) and float(text) <= 1:
            numbers.append(float(text))
        elif text:
            what = f"`{text}` is no confidence of `{name}`; expected a number from 0 to 1"
            findings.append(Finding("warning", "value", what, place))
        how = about.get("mapping_justification", "").removeprefix("semapv:") or MANUAL
        if how not in JUSTIFICATIONS:
            what = f"`{how}` is no term for how a mapping came about; taken for UnspecifiedMatching"
            findings.append(Finding("warning", "value", what, place))
            how = "UnspecifiedMatching"
        hows[how] = None
        remark = about.get("comment", "")
        remarks[remark.removeprefix(MAY_BE_VOID).removeprefix("; ") if row.void else remark] = None
    how = next(iter(hows)) if len(hows) == 1 else "CompositeMatching"
    origin = Provenance(tuple(authors), min(numbers, default=None), how)
    return [as_note(origin), *remarks]


def _decisions(head: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Class → the decision that `to_sssom` wrote in the header."""
    other = str(head.get("other") or "")
    if other.startswith(DECIDED):
        for part in other[len(DECIDED) :].split("; "):
            if m := _DECISION.fullmatch(part.strip()):
                yield m[1], m[2]
