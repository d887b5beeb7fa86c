"""The help of findings that only the names of classes can settle: channels, groups, maps written backwards.

A line that cannot be read has a reading (`lang/explain.py`). Here the names in it are looked up, so that the help does
not lead from an error in form to an error in names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from lsu_onto.diagnostics import Diagnostic
from lsu_onto.lang import fastpath
from lsu_onto.lang import syntax as ast
from lsu_onto.lang.names import identifier
from lsu_onto.ontology.backwards import backward_rows, exchanged_headers
from lsu_onto.ontology.model import Ontology, Source
from lsu_onto.ontology.places import Place, Places, is_header
from lsu_onto.ontology.readings import Unknown, all_known, named_reading, values_in_words, words_of
from lsu_onto.ontology.resolve import Importer, Resolved


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

    places = Places(file, {o.span: o for o in resolved.ontologies})
    exchanged = dict(exchanged_headers(findings, file, resolved, importer))
    backwards = dict(backward_rows(file, places))
    unread = {u.finding.span: u for u in file.unread.values()}
    declared = {u.reading.text.split()[1] for u in file.unread.values() if u.reading and is_header(u.reading.text)}
    reported = {d.span for d in findings}
    meant: dict[int, _Meant] = {}
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
            if reading and is_header(reading.text):
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
            better = _loosely(d, places, meant)
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


# --- lines that could not be read --------------------------------------------------------------------------


def _unread(unread: ast.Unread, place: Place) -> Diagnostic:
    from lsu_onto.lang.explain import diagnostic_of

    if not unread.reading or not place.map:
        return diagnostic_of(unread)
    listed = _listed(unread, place)
    rule = "targets are separated by spaces" if listed else unread.rule
    read = listed or unread.reading
    reading = named_reading(_apart(unread, place) or _as_class(unread, place.map) or read, place.map)
    if not isinstance(reading, Unknown):
        return diagnostic_of(unread._replace(rule=values_in_words(read, place.map) or rule), reading)
    name = reading.taxonomy.name
    help_ = f"`{name}` has no class `{reading.text}`; `lsu-onto show {name}` lists its classes"
    return replace(unread.finding, help=help_, fix=None)


def _apart(unread: ast.Unread, place: Place) -> ast.Reading | None:
    """The reading of `4 road: asphalt` and `4 road / asphalt`, where classes of the source follow the mark."""
    from lsu_onto.lang.loose import read_loosely

    found = re.match(r"(\s*\d[\d.,]*\s+[^\W\d][\w ]*?)(?:\s*(?:::?|/)\s*|\s+-\s+)(.+)", unread.line)
    if place.kind != "mapped" or not place.map or not found or not all_known(words_of(found[2]), place.map):
        return None
    return read_loosely(f"{found[1]} : {found[2]}", place.kind)


def _listed(unread: ast.Unread, place: Place) -> ast.Reading | None:
    """The reading of `4 road = asphalt ; grass`, where a class of the source follows what else would start a note."""
    from lsu_onto.lang.loose import read_loosely

    slashed = place.map and _apart_by_slashes(unread.line, place.map)
    if slashed:
        return read_loosely(slashed, place.kind)
    found = re.match(r"(.*?\S)\s+;\s+([^#]+)(.*)", unread.line)
    if not place.map or not found or not all_known(words_of(found[2].replace(";", " ")), place.map):
        return None
    return read_loosely(f"{found[1]} {found[2].replace(';', ' ')}{found[3]}", place.kind)


def _apart_by_slashes(line: str, o: Ontology) -> str:
    """A line with `asphalt, grass` in place of `asphalt/grass` behind an operator; empty where there is none."""
    name = r"[A-Za-z_]\w*"
    found = re.match(rf"(.*?[=<>~!]\s*)(.*(?<![\w./@]){name}(?:/{name})+(?![\w./]).*)", line)
    if not found:
        return ""
    targets = re.sub(
        rf"(?<![\w./@]){name}(?:/{name})+(?![\w./])",
        lambda m: m[0].replace("/", ", ") if all_known(m[0].split("/"), o) else m[0],
        found[2],
    )
    return found[1] + targets if targets != found[2] else ""


def _as_class(unread: ast.Unread, o: Ontology) -> ast.Reading | None:
    """The reading where the last word, which usually means void, is a class of the source: `-> background`."""
    word = unread.line.split()[-1].strip("\"'") if unread.line.strip() else ""
    if not unread.reading or not unread.reading.text.endswith("-> void") or word not in o.source.by_name:
        return None
    relations = (f"< {word}", "if the class lies inside it"), (f"= {word}", "if it has the same pixels")
    return unread.reading._replace(text=unread.reading.text.replace("-> void", relations[0][0]), choices=relations)


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


def _leads_on(named: ast.Reading, line: str, row: bool) -> bool:
    """Whether the right name alone would be the next error: behind `<` there are several, or the class of a map's row
    is wrong, too."""
    ours, theirs = line.split(), named.text.split()
    return bool(named.choices) or (row and theirs[0] != ours[0] and theirs[1:] != ours[1:])


# --- names that are words of another language --------------------------------------------------------------


class _Meant(NamedTuple):
    """What a whole line means. It is read once: a line may have hundreds of findings."""

    named: ast.Reading | None
    """With the names of classes, and only if it is a line of the language."""
    leads_on: bool


def _meant(number: int, places: Places) -> _Meant:
    from lsu_onto.lang.loose import read_loosely

    line, place = places.line(number), places.of(number)
    if place.map is None:
        return _Meant(None, False)
    name = re.escape(place.map.source.name)
    body = re.sub(rf"(?<=\s){name}(?:\s+v[\d.]+)?:?\s+(?=\w)", "", line)  # `< mini asphalt`
    following = places.line(number + 1) if number < len(places.lines) else ""
    alone = not line[:1].isspace() and not re.match(r"[ \t]+(?:[=<>~!]|->)", following)
    reading = read_loosely(body, place.kind, alone)
    named = named_reading(reading, place.map) if reading else None
    if not named or isinstance(named, Unknown):
        return _Meant(None, False)
    written = f"x {named.text.lstrip()}" if line[:1].isspace() else named.text
    valid = fastpath.statement("", 1, [written]) is not None
    return _Meant(named if valid else None, _leads_on(named, line, place.kind == "map"))


def _loosely(d: Diagnostic, places: Places, meant: dict[int, _Meant]) -> Diagnostic | None:
    """The finding on `and`, `not`, `None`, `aka` … among the targets, or on `!` that leaves nothing, with what the
    whole line means."""
    from lsu_onto.lang.explain import diagnostic_of
    from lsu_onto.lang.mistakes import LONG
    from lsu_onto.lang.relations import is_foreign

    line, place = places.line(d.span.line), places.of(d.span.line)
    if len(line) > LONG:
        return None
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
    if d.span.line not in meant:
        meant[d.span.line] = _meant(d.span.line, places)
    named, leads_on = meant[d.span.line]
    if not named or (named_wrongly and not foreign and (d.code == "TAX202" or not leads_on)):
        return None
    return diagnostic_of(ast.Unread(line, d, "", None), named) if named.text.split() != line.split() else None


def _id_in_row(d: Diagnostic, places: Places) -> Diagnostic | None:
    """The finding on `0 asphalt` in a map: an id of the dataset, and a class of the source."""
    from lsu_onto.lang.explain import diagnostic_of
    from lsu_onto.lang.loose import read_loosely

    line, place = places.line(d.span.line), places.of(d.span.line)
    if not place.map or places.written(d.span) in place.map.dataset.by_name:
        return None
    reading = read_loosely(line, "map")
    named = named_reading(reading, place.map) if reading else None
    if not named or isinstance(named, Unknown):
        return None
    return diagnostic_of(
        ast.Unread(line, replace(d, fix=None), values_in_words(reading, place.map) if reading else "", None), named
    )


def _with_colon(d: Diagnostic, places: Places) -> Diagnostic | None:
    """The finding on `road: asphalt` in a map, or on a class line of that form."""
    from lsu_onto.lang.explain import diagnostic_of
    from lsu_onto.lang.loose import read_loosely

    line, place = places.line(d.span.line), places.of(d.span.line)
    found = re.match(r"\s*([A-Za-z_]\w*):\s*(.+)", line)
    if not found or not place.map or place.kind not in ("map", "mapped"):
        return None
    words = words_of(found[2])
    number = place.kind == "mapped" and all(re.fullmatch(r"\d+(\.\.\d+)?", w) for w in words) and d.code == "TAX011"
    if not number and not all_known(words, place.map):
        return None
    reading = read_loosely(line.replace(":", " :", 1), place.kind)
    named = named_reading(reading, place.map) if reading else None
    if not named or isinstance(named, Unknown):
        return None
    row = Diagnostic("TAX011", f"`{found[1]}` is not a key", d.span)
    return diagnostic_of(ast.Unread(line, row, "", None), named)
