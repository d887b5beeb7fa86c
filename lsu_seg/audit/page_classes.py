"""What is known of each dataset class: what it may be, what the teacher sees in it, and what it looks like."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from lsu_onto import ROW_VOID, ClassPlaces
from lsu_seg.audit import words
from lsu_seg.audit.findings import Report
from lsu_seg.audit.page_findings import coded, tax_line
from lsu_seg.audit.pictures import Pictures
from lsu_seg.gallery import html
from lsu_seg.gallery.gallery import Gallery

_SEEN = 5
_FEW = 12


def sections(report: Report, gallery: Gallery, places: Mapping[str, ClassPlaces], pictures: Pictures | None) -> str:
    """A section per class, and one of what is not annotated, if there are pictures of it."""
    rows = [*range(len(report.classes)), *([ROW_VOID] if ROW_VOID in gallery.crops else [])]
    return "\n".join(_section(report, row, gallery, places, pictures) for row in rows)


def _section(
    report: Report, row: int, gallery: Gallery, places: Mapping[str, ClassPlaces], pictures: Pictures | None
) -> str:
    name = words.row_name(report, row)
    chip = ""
    if pictures is not None and row >= 0:
        chip = f'<span class="chip" style="--c:#{pictures.constraint.palette[row].tobytes().hex()}"></span>'
    crops = gallery.crops.get(row, [])
    shown = html.figures(crops, name) if crops else '<p class="sub">No picture shows it.</p>' * (pictures is not None)
    return (
        f'<section class="class" id="class-{row}" tabindex="-1"><h3>{chip}{escape(name)}</h3>'
        f"{tax_line(name, places)}{_about(report, row)}{shown}</section>"
    )


def _about(report: Report, row: int) -> str:
    lines = [f"may be {words.may_be(report, row)}"]
    if row in report.unseen:
        lines.append(f"not judged: {report.unseen[row]}")
    elif row >= 0:
        seen = ", ".join(
            f"`{words.channel_name(report, c)}` {words.percent(s)}" for c, s in words.seen(report, row, 0.01)[:_SEEN]
        )
        lines.append(f"the teacher sees {seen}" if seen else "the teacher sees nothing in it")
        lines.append(f"{int(report.pixels[row])} pixels were looked at")
    text = "; ".join(lines)
    numbers = [number for number, finding in enumerate(report.findings, 1) if row in finding.rows]
    links = ", ".join(f'<a href="#finding-{number}">{number}</a>' for number in numbers[:_FEW])
    out = f"<p>{coded(text[0].upper() + text[1:])}.{f' See finding {links}.' if numbers else ''}</p>"
    missed = words.undecidable(report, row) if row >= 0 and row not in report.unseen else []
    if missed:
        items = "".join(f"<li>{escape(share)}: {escape(', '.join(names))}</li>" for share, names in missed)
        out += f"<details><summary>What the audit could not have found in it</summary><ul>{items}</ul></details>"
    return out
