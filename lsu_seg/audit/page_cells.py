"""The table of all pairs of dataset class and source class, as a heat map."""

from __future__ import annotations

from html import escape

import numpy as np

from lsu_seg.audit import words
from lsu_seg.audit.findings import Report


def table(report: Report) -> str:
    """A row per dataset class, a column per source class, and void last. The title of a cell has its figures."""
    names = [*report.source_classes, "void"]
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in names)
    findings = _findings(report)
    body = "\n".join(_row(report, row, findings) for row in range(len(report.classes)))
    return f"<table><thead><tr><td></td>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _findings(report: Report) -> dict[tuple[int, int], int]:
    """(row, channel) → the number of the first finding about it."""
    out: dict[tuple[int, int], int] = {}
    for number, finding in enumerate(report.findings, 1):
        if len(finding.rows) == 1:
            for channel in finding.channels:
                out.setdefault((finding.rows[0], channel), number)
    return out


def _row(report: Report, row: int, findings: dict[tuple[int, int], int]) -> str:
    cells = "".join(
        _cell(report, row, channel, findings.get((row, channel), 0)) for channel in range(len(report.source_classes))
    )
    void = "allowed" if report.allowed[row, -1] else ""
    tip = f"{report.classes[row]} / void: {'allowed' if void else 'not allowed'} by the map"
    last = f'<td class="{void}" title="{escape(tip)}"></td>'
    name = escape(report.classes[row])
    return f'<tr><th scope="row"><a href="#class-{row}">{name}</a></th>{cells}{last}</tr>'


def _cell(report: Report, row: int, channel: int, number: int) -> str:
    share, score, limit = (
        float(a[row, channel]) for a in (report.cells.share, report.cells.score, report.cells.decidable)
    )
    allowed = bool(report.allowed[row, channel])
    # What the map allows cannot be forgotten, and what was found could be.
    undecidable = row in report.unseen or not (allowed or number or limit <= 1)
    look = " ".join(["allowed"] * allowed + ["undecidable"] * undecidable + ["about"] * bool(number))
    sees = "nothing was seen of it" if np.isnan(share) else f"the teacher sees {words.percent(share)} of it so"
    misses = (
        "" if allowed or number else f"; had the map forgotten it, it would be found from {words.percent(limit)} on"
    )
    misses = "; had the map forgotten it, the audit would not have found it" if undecidable else misses
    tip = f"{report.classes[row]} / {report.source_classes[channel]}: {'allowed' if allowed else 'not allowed'} by the"
    tip += f" map; {sees}{misses}"
    tip += f"; score {score:.1f}" if np.isfinite(score) else ""
    tip += f"; see finding {number}" if number else ""
    heat = f' style="--s:{np.sqrt(share):.2f}"' if share >= 0.001 else ""
    inner = f'<a href="#finding-{number}" aria-label="finding {number}"></a>' if number else ""
    return f'<td class="{look}"{heat} title="{escape(tip)}">{inner}</td>'
