"""An audit as one HTML file, which needs no network and can be read by someone who has never seen the project.

Everything is written here and can be read without JavaScript; `page.js` adds search, filter, keys and figures of the
table under the pointer.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path

from lsu_onto import ClassPlaces, write_atomic
from lsu_seg.audit import words
from lsu_seg.audit.findings import KINDS, Report
from lsu_seg.audit.page_cells import table
from lsu_seg.audit.page_classes import sections
from lsu_seg.audit.page_findings import article, coded
from lsu_seg.audit.pictures import Pictures, Strip, candidates, make_strips
from lsu_seg.audit.sample import Sample
from lsu_seg.gallery import html
from lsu_seg.gallery.gallery import BUDGET, Gallery, make_gallery


def write_page(
    report: Report,
    sample: Sample,
    pictures: Pictures | None,
    path: str | Path,
    places: Mapping[str, ClassPlaces] | None = None,
) -> None:
    """Write the page.

    Args:
        pictures: where images and labels are; without them, the page has none.
        places: where classes are written, as `lsu_onto.places` says it, as far as that is known.

    Raises:
        OSError: the file cannot be written.
    """
    gallery: Gallery = Gallery()
    strips: dict[int, list[Strip]] = {}
    problems: list[str] = []
    if pictures is not None:
        strips, problems = make_strips(pictures, sample, report.findings, BUDGET // 2)
        gallery = make_gallery(candidates(pictures, sample), budget=BUDGET // 2)
        problems = list(dict.fromkeys([*pictures.problems, *pictures.missing(sample), *problems, *gallery.problems]))
    text = as_html(report, strips, gallery, problems, places or {}, pictures)
    write_atomic(Path(path), text.encode("utf-8", "backslashreplace"))


def as_html(
    report: Report,
    strips: Mapping[int, list[Strip]],
    gallery: Gallery,
    problems: list[str],
    places: Mapping[str, ClassPlaces],
    pictures: Pictures | None,
) -> str:
    """The page. The same input gives the same text."""
    script = _resource("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    findings = [
        article(report, number, finding, strips.get(number - 1, []), places)
        for number, finding in enumerate(report.findings, 1)
    ]
    split = len(report.contradictions)
    silence = words.nothing_found(report)
    parts = {
        "hash": f"sha256-{digest}",  # no script but ours runs, whatever a class or a file is called
        "title": escape(f"Audit of {report.dataset} → {report.source}"),
        "verdict": escape(words.verdict(report)),
        "state": "bad" if report.contradictions else "good" if report.judged and not silence else "",
        "looked": f"{words.looked_at(report)}.",
        "dataset": escape(report.dataset),
        "source": escape(report.source),
        "style": html.STYLE + _resource("page.css"),
        "script": script,
        "kinds": _kinds(report),
        "remarks": _list("What the audit could not do", [*report.remarks, *filter(None, [silence])]),
        "problems": _list("Images or labels that could not be opened", problems),
        "contradictions": _overview(report, 0, split) + "\n".join(findings[:split]) or '<p class="sub">None.</p>',
        "notes": _overview(report, split, len(findings)) + "\n".join(findings[split:]) or '<p class="sub">None.</p>',
        "table": table(report),
        "settings": _settings(report),
        "classes": sections(report, gallery, places, pictures),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda m: parts[m[1]], _resource("page.html"))


def _overview(report: Report, start: int, end: int) -> str:
    """A line for each finding of a list, which leads to it; nothing where one glance shows them all."""
    if end - start < 3:
        return ""
    lines = (
        f'<li value="{number}"><a href="#finding-{number}">{escape(words.title(report.findings[number - 1]))}</a>: '
        f"{coded(words.sentence(report, report.findings[number - 1]))}</li>"
        for number in range(start + 1, end + 1)
    )
    return f'<ol class="overview">{"".join(lines)}</ol>'


def _resource(name: str) -> str:
    return (files("lsu_seg.audit") / name).read_text(encoding="utf-8")


def _kinds(report: Report) -> str:
    """The kinds that occur, as options of a list."""
    counts = {kind: sum(f.kind == kind for f in report.findings) for kind in KINDS}
    return "".join(
        f'<option value="{kind}">{escape(KINDS[kind].title)} ({count})</option>'
        for kind, count in counts.items()
        if count
    )


def _settings(report: Report) -> str:
    lines = "".join(
        f"<div><dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(json.dumps(value))}</dd></div>"
        for name, value in report.settings.items()
    )
    return f'<details class="sub"><summary>Settings</summary><dl class="facts">{lines}</dl></details>' if lines else ""


def _list(title: str, lines: list[str]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{coded(line)}</li>" for line in lines)
    return f'<details class="problems" open><summary>{title} ({len(lines)})</summary><ul>{items}</ul></details>'
