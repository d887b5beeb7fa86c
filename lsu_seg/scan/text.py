"""A report as text, for terminals and files, and as JSON."""

from __future__ import annotations

import io
import json
import re
import shutil
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lsu_seg.scan.totals import Report

ENVELOPE = 1
_VALUES = 10
_BAR = 24
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def as_json(report: Report) -> str:
    """A versioned envelope: `version`, `counts` and `report` (the fields of `totals.Report`)."""
    counts = {"errors": report.errors, "warnings": report.warnings}
    return json.dumps({"version": ENVELOPE, "counts": counts, "report": asdict(report)}, indent=2)


def as_text(report: Report, colour: bool = False) -> str:
    """The whole report; with `colour`, for a terminal."""
    out = io.StringIO()
    width = shutil.get_terminal_size().columns if colour else 120
    console = Console(
        file=out, force_terminal=colour, width=max(width, 80), highlight=False, soft_wrap=True, markup=False
    )
    console.print(_plain(headline(report), "bold"))
    for line in shares(report):
        console.print(Text(line))
    if report.read:
        console.print()
        console.print(_classes(report))
        if report.source_classes:
            console.print()
            console.print(_source(report))
            unseen = [c.name for c in report.source_classes if not c.decided + c.possible]
            if unseen:
                console.print(Text(f"no pixels of: {' '.join(unseen)}"))
    if report.values:
        console.print()
        console.print(_unlisted(report))
        if report.hint:
            console.print(Text(f"hint: {report.hint}", "bold cyan"))
    for f in report.findings:
        console.print()
        style = {"error": "bold red", "warning": "bold yellow"}.get(f.severity, "bold")
        console.print(Text(f"{f.severity}: {f.title} ({f.count})", style))
        for text in f.examples[: 3 if f.severity == "info" else None]:
            console.print(_plain(f"  {text}"))
        if f.count > len(f.examples):
            console.print(Text(f"  … and {f.count - len(f.examples)} more"))
    console.print()
    console.print(Text(verdict(report), "bold"))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _plain(text: str, style: str = "") -> Text:
    """A text with names of files in it, whose control characters would be commands to a terminal."""
    return Text(_CONTROLS.sub(lambda c: f"\\x{ord(c[0]):02x}", text), style)


def headline(report: Report) -> str:
    splits = ", ".join(s for s in report.splits if s)
    return f"{report.taxonomy} in {report.data_root}{f': {splits}' if splits else ''}"


def shares(report: Report) -> list[str]:
    """Sentences that state how much data there is, and how much of it needs the teacher."""
    lines = [f"{report.pairs} image-label pairs, {report.read} labels read, {report.pixels} pixels"]
    if report.pairs:
        lines[0] += f"; {'all' if report.decoded == report.pairs else report.decoded} images decoded"
    if rest := report.pairs - report.decoded:
        lines.append(
            f"the pixels of the other {rest} images were not decoded: with `--deep`, damage in them is found, too"
        )
    if report.source and report.read:
        images = f"{report.images_needing_teacher} of {report.read} images"
        lines.append(
            f"in {report.source}: {share(report.decided, report.pixels)} decided by the ground truth, "
            f"{share(report.teacher, report.pixels)} need the teacher (in {images}), "
            f"{share(report.void, report.pixels)} void"
            + (f", {share(report.unlisted, report.pixels)} unlisted" if report.unlisted else "")
        )
    return lines


def share(part: int, whole: int) -> str:
    """A percentage that is 0 only for nothing and 100 only for everything.

    >>> share(0, 9), share(1, 10**9), share(10**9 - 1, 10**9), share(1, 3)
    ('0 %', '<0.1 %', '>99.9 %', '33.3 %')
    """
    if part in (0, whole):
        return "100 %" if part else "0 %"
    percent = 100 * part / whole
    return "<0.1 %" if percent < 0.1 else ">99.9 %" if percent > 99.9 else f"{percent:.1f} %"


def verdict(report: Report) -> str:
    if not report.errors:
        return f"no problems{f', {report.warnings} warning(s)' if report.warnings else ''}"
    return f"{report.errors} problem(s), {report.warnings} warning(s)"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(columns):
        table.add_column(
            name, justify="left" if i == 0 or name in ("", "S(d)", "first at", "nearest") else "right", no_wrap=True
        )
    return table


def _classes(report: Report) -> Table:
    table = _table("class", "pixels", "share", "files", "", *(["S(d)"] if report.source else []))
    most = max((c.pixels for c in report.classes), default=0)
    for c in report.classes:
        bar = Text("█" * -(-_BAR * c.pixels // max(most, 1)), c.colour)
        allowed = (
            " ".join(c.allowed) if len(c.allowed) <= 4 else f"{len(c.allowed)} of {len(report.source_classes) + 1}"
        )
        table.add_row(
            Text(c.name),
            str(c.pixels),
            share(c.pixels, report.pixels),
            str(c.files),
            bar,
            *([Text(allowed)] if report.source else []),
        )
    return table


def _source(report: Report) -> Table:
    table = _table(f"class of {report.source}", "decided", "share", "for the teacher", "share")
    for c in report.source_classes:
        if not c.decided + c.possible:
            continue
        cells: list[Any] = [Text(c.name)]
        for n in (c.decided, c.possible):
            cells += [str(n), share(n, report.pixels)]
        table.add_row(*cells)
    return table


def _unlisted(report: Report) -> Table:
    near = any("nearest" in v for v in report.values)
    table = _table("unlisted value", "pixels", "files", *(["nearest"] if near else []), "first at")
    for v in report.values[:_VALUES]:
        nearest = [Text(f"{v['nearest']} {v['class']}, distance {v['distance']}")] if near else []
        table.add_row(
            _plain(v["value"]),
            str(v["pixels"]),
            str(v["files"]),
            *nearest,
            _plain(f"{v['file']} x={v['x']} y={v['y']}"),
        )
    if len(report.values) > _VALUES:
        table.add_row(Text(f"… and {len(report.values) - _VALUES} more"))
    return table
