"""Diagnostics as text for people and machines. One function per format."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import PurePath
from urllib.parse import quote

from lsu_onto import __version__
from lsu_onto.diagnostics import RULES, Diagnostic, Fix, Span
from lsu_onto.errors import visible

Texts = Mapping[str, str]
"""File → its text, for the excerpts."""

ENVELOPE = 1
"""Version of the JSON format. It rises when a field changes its meaning or is removed."""

_SARIF = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LONG = 2000
"""Longer lines have no colours: each excerpt of one would need all of it."""
_COLOURS = {"error": "1;31", "warning": "1;33", "info": "1;34", "frame": "34", "bold": "1", "help": "36"}


def full(diagnostics: Sequence[Diagnostic], texts: Texts, colour: bool = False) -> str:
    """Findings with excerpts and carets, in the style of rustc."""

    def paint(text: str, style: str) -> str:
        return f"\x1b[{_COLOURS[style]}m{text}\x1b[0m" if colour else text

    def excerpt(text: str, start: int, end: int) -> str:
        if not colour or len(text) > _LONG:
            return text[start:end]
        from lsu_onto.lang.highlight import highlight

        return highlight(text, start, end)

    @cache
    def lines_of(file: str) -> list[str]:
        return texts.get(file, "").removeprefix("\ufeff").split("\n")

    @cache  # a line may have thousands of findings
    def line_of(file: str, number: int) -> str:
        lines = lines_of(file)
        return "".join(c if c.isprintable() else " " for c in lines[number - 1]) if number <= len(lines) else ""

    blocks = []
    for d in diagnostics:
        lines = [paint(f"{d.severity}[{d.code}]", d.severity) + paint(f": {visible(d.message)}", "bold")]
        lines += _excerpt(d.span, "^", "", d.severity, line_of, paint, excerpt)
        for place, label in d.places:
            lines += _excerpt(place, "-", label, "frame", line_of, paint, excerpt)
        if d.help:
            lines.append(paint("     = ", "frame") + paint("help", "help") + f": {visible(d.help)}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _excerpt(
    span: Span,
    mark: str,
    label: str,
    style: str,
    line_of: Callable[[str, int], str],
    paint: Callable[[str, str], str],
    excerpt: Callable[[str, int, int], str],
) -> list[str]:
    out = [paint("  --> ", "frame") + visible(f"{span.file}:{span.line}:{span.column}")]
    text = line_of(span.file, span.line)
    if text and not text.isspace():
        start, end = span.column - 1, max(span.end - 1, span.column)
        cut = max(0, start - 60) if len(text) > 140 else 0
        shown = ("…" if cut else "") + excerpt(text, cut, cut + 140) + ("…" if len(text) > cut + 140 else "")
        pad = " " * (start - cut + bool(cut))
        marks = paint(mark * max(1, min(end, cut + 140) - start), style)
        out.append(paint(f"{span.line:4d} | ", "frame") + shown)
        out.append(paint("     | ", "frame") + pad + marks + (f" {visible(label)}" if label else ""))
    return out


def concise(diagnostics: Sequence[Diagnostic], texts: Texts, colour: bool = False) -> str:
    """One line each: `file:line:column: error[CODE] message; help`."""
    return "\n".join(
        visible(f"{d.span.file}:{d.span.line}:{d.span.column}: {d.severity}[{d.code}] {d.message}")
        + (f"; {visible(d.help)}" if d.help else "")
        for d in diagnostics
    )


def as_json(diagnostics: Sequence[Diagnostic], texts: Texts, colour: bool = False) -> str:
    """A versioned envelope. Lines and columns count from 1; `end` is the column after the last character."""

    def place(s: Span) -> dict[str, object]:
        return {"file": s.file, "line": s.line, "column": s.column, "end": s.end}

    def edit(f: Fix | None) -> dict[str, object] | None:
        return {"title": f.title, "range": place(f.span), "text": f.text, "safe": f.safe} if f else None

    items = [
        {
            "code": d.code,
            "severity": d.severity,
            "title": RULES[d.code].title,
            "message": d.message,
            "range": place(d.span),
            "help": d.help,
            "related": [{"message": label, "range": place(span)} for span, label in d.places],
            "fix": edit(d.fix),
        }
        for d in diagnostics
    ]
    counts = {s: sum(d.severity == s for d in diagnostics) for s in ("error", "warning", "info")}
    return json.dumps({"version": ENVELOPE, "counts": counts, "diagnostics": items}, indent=2)


def github(diagnostics: Sequence[Diagnostic], texts: Texts, colour: bool = False) -> str:
    """Workflow commands of GitHub, which become annotations in a pull request."""
    level = {"error": "error", "warning": "warning", "info": "notice"}

    def line(d: Diagnostic) -> str:
        message = data(visible(d.message + (f" ({d.help})" if d.help else "")))
        file = data(d.span.file).replace(":", "%3A").replace(",", "%2C")
        where = f"file={file},line={d.span.line},col={d.span.column},endColumn={d.span.end}"
        return f"::{level[d.severity]} {where},title={d.code}::{message}"

    def data(text: str) -> str:
        return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    return "\n".join(map(line, diagnostics))


def sarif(diagnostics: Sequence[Diagnostic], texts: Texts, colour: bool = False) -> str:
    """SARIF 2.1.0, for code scanning. Columns count characters."""
    level = {"error": "error", "warning": "warning", "info": "note"}
    codes = sorted({d.code for d in diagnostics})

    def place(s: Span) -> dict[str, dict[str, object]]:
        path = PurePath(s.file)
        uri = path.as_uri() if path.is_absolute() else quote(os.fsencode(path.as_posix()))
        region = {"startLine": s.line, "startColumn": s.column, "endColumn": s.end}
        return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}

    def result(d: Diagnostic) -> dict[str, object]:
        out: dict[str, object] = {
            "ruleId": d.code,
            "ruleIndex": codes.index(d.code),
            "level": level[d.severity],
            "message": {"text": d.message + (f"; {d.help}" if d.help else "")},
            "locations": [place(d.span)],
        }
        if d.places:
            out["relatedLocations"] = [
                {"id": i, **place(span), **({"message": {"text": label}} if label else {})}
                for i, (span, label) in enumerate(d.places)
            ]
        if d.fix:
            physical = place(d.fix.span)["physicalLocation"]
            edit = {"deletedRegion": physical["region"], "insertedContent": {"text": d.fix.text}}
            change = {"artifactLocation": physical["artifactLocation"], "replacements": [edit]}
            out["fixes"] = [{"description": {"text": d.fix.title}, "artifactChanges": [change]}]
        return out

    rules = [
        {
            "id": r.code,
            "shortDescription": {"text": r.title},
            "fullDescription": {"text": r.why},
            "help": {"text": f"{r.why}\n\nbad:\n{r.bad}\n\ngood:\n{r.good}"},
            "defaultConfiguration": {"level": level[r.severity]},
        }
        for r in map(RULES.__getitem__, codes)
    ]
    run = {
        "tool": {"driver": {"name": "lsu-onto", "version": __version__, "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "results": [result(d) for d in diagnostics],
    }
    log = {"$schema": _SARIF, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2)


FORMATS: dict[str, Callable[[Sequence[Diagnostic], Texts, bool], str]] = {
    "full": full,
    "concise": concise,
    "json": as_json,
    "github": github,
    "sarif": sarif,
}
