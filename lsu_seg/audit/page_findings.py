"""A finding in HTML: what it says and means, its evidence, the line of the map, and the pictures that show it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from lsu_onto import ClassPlaces
from lsu_seg.audit import words
from lsu_seg.audit.findings import Finding, Report
from lsu_seg.audit.pictures import Panel, Strip
from lsu_seg.gallery import html

_LINKS = 8


def article(
    report: Report, number: int, finding: Finding, strips: Sequence[Strip], places: Mapping[str, ClassPlaces]
) -> str:
    """The finding with this number, counted from 1."""
    kind = "contradiction" if finding.contradiction else "note"
    about = words.WORDS[finding.kind]
    change = words.change(report, finding)
    lines = [line for row in finding.rows[:4] if (line := tax_line(words.row_name(report, row), places))]
    return (
        f'<article class="finding {kind}" id="finding-{number}" data-kind="{finding.kind}" tabindex="-1">'
        f'<h3><a class="number" href="#finding-{number}">{number}</a> <span class="kind">{escape(words.title(finding))}'
        f"</span> {coded(words.sentence(report, finding))}.</h3>"
        f'<p class="meaning"><b>What this means:</b> {escape(about.meaning)}'
        f" <b>What to do:</b> {escape(about.advice)}</p>"
        + (f'<p class="change">{coded(change[0].upper() + change[1:])}.</p>' if change else "")
        + "".join(lines)
        + f'<dl class="facts">{"".join(_facts(finding))}</dl>'
        + "".join(_strip(report, strip) for strip in strips)
        + _links(report, finding)
        + "</article>"
    )


def coded(text: str) -> str:
    """HTML of a sentence, in which names are in backticks.

    >>> coded("`a<b` is ignored")
    '<code>a&lt;b</code> is ignored'
    """
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def tax_line(name: str, places: Mapping[str, ClassPlaces]) -> str:
    """Where the row of a class is written, and the line itself; empty if that is not known."""
    if name not in places:
        return ""
    row = places[name].row
    try:
        line = Path(row.file).read_text(encoding="utf-8").splitlines()[row.line - 1].strip()
    except (OSError, UnicodeDecodeError, IndexError):
        line = ""
    return f'<p class="tax"><span>{escape(f"{row.file}:{row.line}")}</span><code>{escape(line)}</code></p>'


def _facts(finding: Finding) -> list[str]:
    facts = [("share", words.percent(finding.share))] if finding.share is not None else []
    absent = finding.kind in ("never-chosen", "is-void")
    facts += (
        [("images with the class" if absent else "images that show it", str(finding.images))] if finding.images else []
    )
    facts += [("strength (log odds)", f"{finding.score:.1f}")]
    facts += [(name.replace("_", " "), f"{value:.3g}") for name, value in finding.figures.items()]
    facts += [("by chance", words.expected(finding))]
    return [f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts]


def _strip(report: Report, strip: Strip) -> str:
    name = words.row_name(report, strip.row) if strip.row is not None else ""
    what = f", outlined: <code>{escape(name)}</code>, {words.percent(strip.share)} of the image" if name else ""
    # The outline of all panels is in the page once.
    look = f"--ratio:{max(1.0, strip.size[0] / strip.size[1]):.2f}"
    look += f";--outline:url({html.data_uri(strip.outline)})" if strip.outline else ""
    panels = "".join(_panel(panel, strip, name) for panel in strip.panels)
    return (
        f'<div class="strip"><p class="sub" title="{escape(str(strip.path))}">{escape(strip.key)}{what}</p>'
        f'<div class="panels" style="{look}">{panels}</div></div>'
    )


def _panel(panel: Panel, strip: Strip, name: str) -> str:
    inside = " ".join(
        f'<span class="chip" style="--c:{colour}">{escape(found)} {words.percent(share)}</span>'
        for found, colour, share in panel.inside
    )
    line = '<span class="outline"></span>' if strip.outline else ""
    drawn = html.picture(panel.picture, line, strip.size, f"{panel.title} {name}".strip())
    return f"<figure>{drawn}<figcaption><b>{panel.title}</b> {inside}</figcaption></figure>"


def _links(report: Report, finding: Finding) -> str:
    rows = finding.rows[:_LINKS]
    if not rows:
        return ""
    links = ", ".join(f'<a href="#class-{row}">{escape(words.row_name(report, row))}</a>' for row in rows)
    more = f" and {len(finding.rows) - _LINKS} more" if len(finding.rows) > _LINKS else ""
    return f'<p class="sub">More pictures of {links}{more}</p>'
