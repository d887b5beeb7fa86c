"""The help of findings that only the names of classes can settle: channels, groups, maps written backwards.

A line that cannot be read has a reading (`lang/explain.py`). Here the names in it are looked up, so that the help does
not lead from an error in form to an error in names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from lsu_onto.diagnostics import Diagnostic, Span
from lsu_onto.lang import fastpath
from lsu_onto.lang import syntax as ast
from lsu_onto.lang.names import identifier
from lsu_onto.ontology.model import Ontology, Source, Taxonomy
from lsu_onto.ontology.resolve import Importer, Resolved
from lsu_onto.ontology.unknown import intended_class, unknown_group

_CONVERSE = {"<": ">", ">": "<", "=": "=", "~": "~", "!": "!"}


class _Place(NamedTuple):
    """The section of a line: its kind as `read_loosely` has it, and its map if there is one."""

    kind: str
    map: Ontology | None


def with_intended_help(
    findings: Iterable[Diagnostic], file: ast.File, resolved: Resolved, importer: Importer
) -> list[Diagnostic]:
    """Findings on a file, with better help where names can be looked up.

    Args:
        findings: all findings on the file.
        file: its syntax tree.
        resolved: what it declares.
        importer: looks up taxonomies that other files declare.
    """
    findings = list(findings)
    if not any(d.code in _CODES for d in findings):
        return findings
    from lsu_onto.lang.explain import diagnostic_of

    places = _Places(file, {o.span: o for o in resolved.ontologies})
    exchanged = dict(_exchanged(findings, file, resolved, importer))
    backwards = dict(_backwards(file, places))
    unread = {u.finding.span: u for u in file.unread.values()}
    declared = {u.reading.text.split()[1] for u in file.unread.values() if u.reading and _header(u.reading.text)}
    reported = {d.span for d in findings}
    out: list[Diagnostic] = []
    settled = set(exchanged)
    """Lines that one finding is about."""
    for d in findings:
        line = d.span.line
        if d.span.file != file.path:
            out.append(d)
            continue
        if d.code == "TAX203" and places.written(d.span) in declared:
            continue
        if line in exchanged:
            out += [exchanged.pop(line)]
        elif d.span in unread and d.code != "TAX010":
            reading = unread[d.span].reading
            if reading and _header(reading.text):
                header = _header_meant(unread[d.span], file, resolved, importer)
                out.append(diagnostic_of(unread[d.span], reading._replace(text=header)))
            else:
                out.append(_unread(unread[d.span], places.of(line)))
        elif d.span in backwards and d.code in ("TAX011", "TAX201"):
            out.append(replace(d, help=backwards[d.span], fix=None))
            if d.code == "TAX011":  # it may stand for all rows of the section
                rows = [s for s in backwards if s not in reported and places.of(s.line) is places.of(line)]
                out += [replace(d, span=s, help=backwards[s], fix=None) for s in rows]
                reported |= set(rows)
        elif d.code in ("TAX008", "TAX011") and (row := _with_colon(d, places)):
            out.append(row)
        elif d.code == "TAX105" and (word := places.written(d.span)) != "void":
            instead = f'{identifier(word)} "{word}"'
            out.append(replace(d, help=f"{d.help}, e.g. `{instead}`"))
        elif d.code == "TAX011" and d.fix and places.of(line).kind == "map":
            out.append(_id_in_row(d, places) or d)
        elif line in settled and d.code in ("TAX110", "TAX201", "TAX202", "TAX203"):
            continue
        elif d.code in ("TAX201", "TAX202", "TAX304", "TAX310"):
            better = _loosely(d, places)
            settled |= {line} if better else set()
            out.append(better or d)
        else:
            out.append(d)
    return out


_CODES = (
    "TAX003",
    "TAX008",
    "TAX006",
    "TAX007",
    "TAX011",
    "TAX105",
    "TAX201",
    "TAX202",
    "TAX203",
    "TAX301",
    "TAX304",
    "TAX310",
)


class _Places:
    """The lines of a file, and the sections that they stand in."""

    def __init__(self, file: ast.File, maps: dict[Span, Ontology]) -> None:
        self.lines = file.text.split("\n")
        self.headers = [
            (s.span.line, _Place(_kind(s), maps.get(s.span))) for s in file.statements if isinstance(s, ast.Header)
        ]
        broken = [n for n, u in file.unread.items() if u.reading and _header(u.reading.text)]
        self.headers = sorted([*self.headers, *((n, _Place("", None)) for n in broken)], key=lambda h: h[0])

    def line(self, number: int) -> str:
        return self.lines[number - 1].removesuffix("\r").rstrip()

    def written(self, span: Span) -> str:
        return self.lines[span.line - 1][span.column - 1 : span.end - 1]

    def of(self, line: int) -> _Place:
        return next((place for n, place in reversed(self.headers) if n <= line), _Place("", None))


def _kind(header: ast.Header) -> str:
    return "mapped" if header.kind == "dataset" and header.target else header.kind


def _header(text: str) -> bool:
    return isinstance(fastpath.statement("", 1, [text]), ast.Header)


# --- lines that could not be read --------------------------------------------------------------------------


def _unread(unread: ast.Unread, place: _Place) -> Diagnostic:
    from lsu_onto.lang.explain import diagnostic_of

    if not unread.reading or not place.map:
        return diagnostic_of(unread)
    listed = _listed(unread, place)
    rule = "targets are separated by spaces" if listed else unread.rule
    read = listed or unread.reading
    reading = _named(_apart(unread, place) or _as_class(unread, place.map) or read, place.map)
    if not isinstance(reading, _Unknown):
        return diagnostic_of(unread._replace(rule=_values(read, place.map) or rule), reading)
    name = reading.taxonomy.name
    help_ = f"`{name}` has no class `{reading.text}`; `lsu-onto show {name}` lists its classes"
    return replace(unread.finding, help=help_, fix=None)


def _apart(unread: ast.Unread, place: _Place) -> ast.Reading | None:
    """The reading of `4 road: asphalt` and `4 road / asphalt`, where classes of the source follow the mark."""
    from lsu_onto.lang.loose import read_loosely

    found = re.match(r"(\s*\d[\d.,]*\s+[^\W\d][\w ]*?)(?:\s*(?:::?|/)\s*|\s+-\s+)(.+)", unread.line)
    if place.kind != "mapped" or not place.map or not found or not _known(_words(found[2]), place.map):
        return None
    return read_loosely(f"{found[1]} : {found[2]}", place.kind)


def _listed(unread: ast.Unread, place: _Place) -> ast.Reading | None:
    """The reading of `4 road = asphalt ; grass`, where a class of the source follows what else would start a note."""
    from lsu_onto.lang.loose import read_loosely

    found = re.match(r"(.*?\S)\s+;\s+([^#]+)(.*)", unread.line)
    if not place.map or not found or not _known(_words(found[2].replace(";", " ")), place.map):
        return None
    return read_loosely(f"{found[1]} {found[2].replace(';', ' ')}{found[3]}", place.kind)


def _words(text: str) -> list[str]:
    """The words of a text without its note."""
    from lsu_onto.lang.tokens import tokens

    return [t.text for t in tokens(re.sub(r"\s+#\s.*", "", text)) if t.kind != "mark"]


def _known(words: list[str], o: Ontology) -> bool:
    """Whether all words may be targets of relations to the source."""
    known = o.source.by_name.keys() | o.source.by_other_name.keys() | {"void", "any"}
    return all(w in known for w in words)


def _as_class(unread: ast.Unread, o: Ontology) -> ast.Reading | None:
    """The reading where the last word, which usually means void, is a class of the source: `-> background`."""
    word = unread.line.split()[-1].strip("\"'") if unread.line.strip() else ""
    if not unread.reading or not unread.reading.text.endswith("-> void") or word not in o.source.by_name:
        return None
    relations = (f"< {word}", "if the class lies inside it"), (f"= {word}", "if it has the same pixels")
    return unread.reading._replace(text=unread.reading.text.replace("-> void", relations[0][0]), choices=relations)


def _values(reading: ast.Reading, o: Ontology) -> str:
    """The classes that numbers and colours in place of names stand for, in words."""
    statement = fastpath.statement("", 1, [reading.text])
    if not isinstance(statement, (ast.Row, ast.ClassLine)):
        return ""
    targets = [t.text for r in statement.relations for t in r.targets if t.kind == "string"]
    words = [(text, "channel", intended_class(text, o.source)) for text in targets]
    if isinstance(statement, ast.Row) and statement.target.kind == "string":
        words.insert(0, (statement.target.text, "id", intended_class(statement.target.text, o.dataset)))
    named = [(text, kind, hit[0]) for text, kind, hit in words if hit and re.fullmatch(r"\d+|#\w+", text)]
    return ", ".join(f"{'colour' if text[0] == '#' else kind} {text} is `{name}`" for text, kind, name in named)


class _Unknown(NamedTuple):
    """A name that stands for no class, and what has none."""

    text: str
    taxonomy: Taxonomy


def _header_meant(unread: ast.Unread, file: ast.File, resolved: Resolved, importer: Importer) -> str:
    """A header, with the source that its lines need, and a version of it that exists."""
    text = unread.reading.text if unread.reading else ""
    line = unread.finding.span.line
    header = fastpath.statement(unread.finding.span.file, line, [text])
    sources = [t for t in resolved.taxonomies if isinstance(t, Source)]
    if not isinstance(header, ast.Header):
        return text
    if not header.target and header.kind == "dataset" and _related(file, line):
        only = sources[0] if len(sources) == 1 else None
        return f"{text} -> {only.name} {only.version}" if only else f"{text} -> SOURCE v1"
    if header.target:
        name, version = header.target.name.text, header.target.version
        versions = [t.version for t in sources if t.name == name]
        if not versions:
            _, problem = importer.taxonomy("source", header.target)
            versions = [problem.fix.text] if problem and problem.fix and problem.code == "TAX204" else []
        if versions and version.text not in versions:
            return text[: version.span.column - 1] + versions[0] + text[version.span.end - 1 :]
    return text


def _related(file: ast.File, line: int) -> bool:
    """Whether the class lines below a header carry relations."""
    for s in file.statements:
        if s.span.line > line and isinstance(s, ast.Header):
            return False
        if s.span.line > line and isinstance(s, ast.ClassLine) and (s.relations or s.decision):
            return True
    return False


def _named(reading: ast.Reading, o: Ontology) -> ast.Reading | _Unknown:
    """A reading with the names of classes in place of what stands for them."""
    text = _with_names(reading.text, o)
    if isinstance(text, _Unknown):
        return text
    choices: list[tuple[str, str]] = []
    for relation, when in reading.choices:
        named = _with_names(f"x {relation}", o, row=False)
        if isinstance(named, _Unknown):
            return named
        choices.append((named[2:], when))
    return _of_groups(reading._replace(text=text, choices=tuple(choices)), o)


def _of_groups(reading: ast.Reading, o: Ontology) -> ast.Reading:
    """Choices for `= @group` and `< @group`, which several classes cannot have."""
    found = re.search(r"(?<=\s)[=<] (@[\w.]+)(?=\s+#\s|$)", reading.text)
    if not found or len(o.source.group(found[1][1:])) < 2:
        return reading
    weaker = re.fullmatch(rf"([>~]) {re.escape(found[1])} void", reading.choices[1][0]) if reading.choices else None
    if weaker:  # it was typed with this operator, which is right for several
        relation = f"{weaker[1]} {found[1]}"
        return reading._replace(text=reading.text.replace(found[0], relation, 1), choices=())
    choices = (f"~ {found[1]}", "if it overlaps them"), (f"> {found[1]}", "if they make up all of it")
    return reading._replace(text=reading.text.replace(found[0], choices[0][0], 1), choices=choices)


def _with_names(text: str, o: Ontology, row: bool = True) -> str | _Unknown:
    from lsu_onto.lang.relations import IGNORED

    line = text.lstrip()
    continues = line[:1] in "=<>~!-" and not line.startswith("- ")
    statement = fastpath.statement("", 1, [f"x {line}" if continues else text])
    if not isinstance(statement, (ast.Row, ast.ClassLine)):
        return text
    shift = len(text) - len(line) - 2 if continues else 0
    edits: list[tuple[Span, str]] = []
    targets = [t for r in statement.relations for t in r.targets]
    targets += statement.decision.minus if statement.decision else ()
    wanted: list[tuple[ast.Target, Taxonomy]] = [(t, o.source) for t in targets]
    if isinstance(statement, ast.Row) and row and not continues:
        wanted.append((statement.target, o.dataset))
    for t, taxonomy in wanted:
        if t.kind == "group" and not taxonomy.group(t.text):
            instead = unknown_group(t, o.source).fix
            if instead is None:
                return _Unknown(f"@{t.text}", taxonomy)
            edits.append((t.span, instead.text))
        if t.kind not in ("name", "string") or t.text in taxonomy.by_name:
            continue
        if t.text in taxonomy.by_other_name:
            edits.append((t.span, taxonomy.classes[taxonomy.by_other_name[t.text]].name))
            continue
        hit = intended_class(t.text, taxonomy) or (
            ("void", "") if t.text.lower() in IGNORED and taxonomy is o.source else None
        )
        if hit is None or (taxonomy is o.dataset and hit[0].startswith("@")):
            return _Unknown(t.text, taxonomy)
        edits.append((t.span, hit[0]))
    for span, name in sorted(edits, reverse=True):
        text = text[: span.column - 1 + shift] + name + text[span.end - 1 + shift :]
    return text


def _leads_on(reading: ast.Reading | None, line: str, place: _Place) -> bool:
    """Whether the right name alone would be the next error: behind `<` there are several, or the row's class is wrong,
    too."""
    if reading is None or place.map is None:
        return False
    named = _named(reading, place.map)
    if isinstance(named, _Unknown):
        return False
    ours, theirs = line.split(), named.text.split()
    return bool(named.choices) or (place.kind == "map" and theirs[0] != ours[0] and theirs[1:] != ours[1:])


# --- names that are words of another language --------------------------------------------------------------


def _loosely(d: Diagnostic, places: _Places) -> Diagnostic | None:
    """The finding on `and`, `not`, `None`, `aka` … among the targets, or on `!` that leaves nothing, with what the
    whole line means."""
    from lsu_onto.lang.explain import diagnostic_of
    from lsu_onto.lang.loose import read_loosely
    from lsu_onto.lang.relations import is_foreign

    line, place = places.line(d.span.line), places.of(d.span.line)
    word = line[d.span.column - 1 : d.span.end - 1]
    foreign = is_foreign(word.strip('"@')) and not (d.fix and d.fix.text.lower() == word.lower())
    without = d.code == "TAX304" or (
        d.code == "TAX310" and word == "void" and re.search(r"[~>].*!|[=<]\s*(?!void\s*(?:#|$))\w+[,\s]", line)
    )
    named_wrongly = d.code in ("TAX201", "TAX202")
    if not place.map or not (named_wrongly or without) or " " in word.strip('"'):
        return None
    source = place.map.source.name
    foreign = foreign or (word == source and d.code == "TAX201")
    body = re.sub(rf"(?<=\s){re.escape(source)}(?:\s+v[\d.]+)?:?\s+(?=\w)", "", line)  # `< mini asphalt`
    following = places.line(d.span.line + 1) if d.span.line < len(places.lines) else ""
    alone = not line[:1].isspace() and not re.match(r"[ \t]+(?:[=<>~!]|->)", following)
    reading = read_loosely(body, place.kind, alone)
    if named_wrongly and not foreign and (d.code == "TAX202" or not _leads_on(reading, line, place)):
        return None
    named = _named(reading, place.map) if reading else None
    if (
        not named
        or isinstance(named, _Unknown)
        or not fastpath.statement("", 1, [f"x {named.text.lstrip()}" if line[:1].isspace() else named.text])
    ):
        return None
    return diagnostic_of(ast.Unread(line, d, "", None), named) if named.text.split() != line.split() else None


def _id_in_row(d: Diagnostic, places: _Places) -> Diagnostic | None:
    """The finding on `0 asphalt` in a map: an id of the dataset, and a class of the source."""
    from lsu_onto.lang.explain import diagnostic_of
    from lsu_onto.lang.loose import read_loosely

    line, place = places.line(d.span.line), places.of(d.span.line)
    if not place.map or places.written(d.span) in place.map.dataset.by_name:
        return None
    reading = read_loosely(line, "map")
    named = _named(reading, place.map) if reading else None
    if not named or isinstance(named, _Unknown):
        return None
    return diagnostic_of(
        ast.Unread(line, replace(d, fix=None), _values(reading, place.map) if reading else "", None), named
    )


def _with_colon(d: Diagnostic, places: _Places) -> Diagnostic | None:
    """The finding on `road: asphalt` in a map, or on a class line of that form."""
    from lsu_onto.lang.explain import diagnostic_of
    from lsu_onto.lang.loose import read_loosely

    line, place = places.line(d.span.line), places.of(d.span.line)
    found = re.match(r"\s*([A-Za-z_]\w*):\s*(.+)", line)
    if not found or not place.map or place.kind not in ("map", "mapped"):
        return None
    words = _words(found[2])
    number = place.kind == "mapped" and all(re.fullmatch(r"\d+(\.\.\d+)?", w) for w in words) and d.code == "TAX011"
    if not number and not _known(words, place.map):
        return None
    reading = read_loosely(line.replace(":", " :", 1), place.kind)
    named = _named(reading, place.map) if reading else None
    if not named or isinstance(named, _Unknown):
        return None
    row = Diagnostic("TAX011", f"`{found[1]}` is not a key", d.span)
    return diagnostic_of(ast.Unread(line, row, "", None), named)


# --- headers with dataset and source exchanged ------------------------------------------------------------


def _exchanged(
    findings: Iterable[Diagnostic], file: ast.File, resolved: Resolved, importer: Importer
) -> Iterator[tuple[int, Diagnostic]]:
    """The headers `dataset SOURCE v1 -> NAME v1`, by line."""
    unknown = {d.span for d in findings if d.code == "TAX203"}
    sources = {(t.name, t.version) for t in resolved.taxonomies if isinstance(t, Source)}
    datasets = {t.name for t in resolved.taxonomies if not isinstance(t, Source)}
    for s in file.statements:
        if not isinstance(s, ast.Header) or not s.target or s.target.name.span not in unknown:
            continue
        left, right = ((t.name.text, t.version.text) for t in (s.taxon, s.target))
        if left in sources or importer.taxonomy("source", s.taxon)[0]:
            written = f"{s.kind} {' '.join(right)} -> {' '.join(left)}"
            help_ = f"`{left[0]}` is a source, which stands behind the arrow: write `{written}`"
            yield s.span.line, Diagnostic("TAX203", f"there is no source `{right[0]}`", s.target.name.span, help_)
        elif right[0] in datasets or importer.taxonomy("dataset", s.target)[0]:
            help_ = f"`{right[0]}` is a dataset; `lsu-onto list` shows the sources"
            yield s.span.line, Diagnostic("TAX203", f"there is no source `{right[0]}`", s.target.name.span, help_)


# --- maps written backwards --------------------------------------------------------------------------------


def _backwards(file: ast.File, places: _Places) -> Iterator[tuple[Span, str]]:
    """The rows that say of a class of the source what it is in the dataset, and what to write instead."""
    rows: list[tuple[ast.Row, Ontology, str]] = []
    parts: dict[tuple[int, str], dict[str, list[str]]] = {}
    for s in file.statements:
        o = places.of(s.span.line).map if isinstance(s, ast.Row) else None
        if not isinstance(s, ast.Row) or o is None:
            continue
        ours, theirs = o.dataset.by_other_name | o.dataset.by_name, o.source.by_other_name | o.source.by_name
        own = o.span == o.dataset.span and o.dataset.span.file == o.span.file
        targets = [(r.op, t.text) for r in s.relations for t in r.targets if t.kind in ("name", "string")]
        named = [(op, text) for op, text in targets if text in ours or (own and text not in theirs)]
        if s.target.text in theirs and s.target.text not in ours and named:
            source = o.source.classes[theirs[s.target.text]].name
            for op, text in named:
                cls = o.dataset.classes[ours[text]].name if text in ours else identifier(text)
                by_operator = parts.setdefault((o.span.line, cls), {})
                by_operator.setdefault(_CONVERSE[op], []).append(source)
            first = named[0][1]
            rows.append((s, o, o.dataset.classes[ours[first]].name if first in ours else identifier(first)))
    for s, o, cls in rows:
        by_operator = parts[o.span.line, cls]
        relation = " ".join(f"{op} {' '.join(names)}" for op, names in by_operator.items())
        only = by_operator.get(">", [])
        help_ = f"`{s.target.text}` is a class of `{o.source.name}`: "
        if len(by_operator) == 1 and len(only) == 1:
            relation = f"> {only[0]} void"
        own = o.span == o.dataset.span and o.dataset.span.file == o.span.file
        if own and cls in o.dataset.by_name:
            declared = o.dataset.classes[o.dataset.by_name[cls]].span.line
            help_ += f"write `{relation}` behind `{cls}` in line {declared}, and take this line out"
        elif own:
            help_ += f"write `4 {cls} {relation}` with the number that label files store"
        else:
            help_ += f"write `{cls} {relation}`"
            help_ += ", one row for all of them" if sum(len(n) for n in by_operator.values()) > 1 else ""
        if relation.endswith(" void"):
            help_ += f"; `= {only[0]}` if `{cls}` is nothing else"
        yield s.span, help_
