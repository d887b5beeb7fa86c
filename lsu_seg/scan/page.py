"""A report as a self-contained HTML page: no network, no script. Pictures are in it."""

from __future__ import annotations

from html import escape

from lsu_seg.gallery import html
from lsu_seg.gallery.gallery import Gallery
from lsu_seg.scan.text import headline, share, shares, verdict
from lsu_seg.scan.totals import Report

_VALUES = 50


def page(report: Report, gallery: Gallery | None = None) -> str:
    """The page. The same report always gives the same text.

    Args:
        gallery: what the dataset's classes look like.
    """
    parts = [f"<p>{'<br>'.join(map(escape, shares(report)))}</p>", _ambiguity(report), _findings(report)]
    if report.values:
        parts.append(_values(report))
    if report.read:
        parts.append(_classes(report))
    if report.read and report.source_classes:
        parts.append(_source(report))
    if gallery is not None and (gallery.crops or gallery.problems):
        parts.append(_gallery(report, gallery))
    return _PAGE.format(
        title=escape(headline(report)),
        verdict=escape(verdict(report)),
        state="bad" if report.errors else "good",
        body="\n".join(parts),
        gallery=html.STYLE,
    )


def _ambiguity(report: Report) -> str:
    if not (report.source and report.pixels):
        return ""
    parts = (
        ("decided", report.decided, "#2a7f62"),
        ("need the teacher", report.teacher, "#e0a030"),
        ("void", report.void, "#888"),
        ("unlisted", report.unlisted, "#c0392b"),
    )
    bars = "".join(
        f'<i style="width:{100 * n / report.pixels:.3f}%;background:{colour}"'
        f' title="{name}: {n} px, {share(n, report.pixels)}"></i>'
        for name, n, colour in parts
        if n
    )
    keys = " ".join(
        f'<span class="chip"><i style="background:{colour}"></i>{name} {share(n, report.pixels)}</span>'
        for name, n, colour in parts
    )
    return f'<h2>Ambiguity</h2><div class="stack">{bars}</div><p>{keys}</p>'


def _findings(report: Report) -> str:
    out = ["<h2>Findings</h2>"]
    for f in report.findings:
        more = f"<li>… and {f.count - len(f.examples)} more</li>" if f.count > len(f.examples) else ""
        items = "".join(f"<li>{escape(text)}</li>" for text in f.examples)
        out.append(
            f'<details class="{f.severity}"{" open" if f.severity == "error" else ""}><summary><b>{f.severity}</b>'
            f" {escape(f.title)} ({f.count})</summary><ul>{items}{more}</ul></details>"
        )
    return "\n".join(out if report.findings else [*out, "<p>None.</p>"])


def _values(report: Report) -> str:
    rows = []
    for v in report.values[:_VALUES]:
        chip = _chip(v["value"]) if v["value"].startswith("#") else ""
        near = f"{_chip(v['nearest'])}{escape(v['class'])}, distance {v['distance']}" if "nearest" in v else ""
        rows.append(
            f"<tr><td>{chip}{escape(v['value'])}</td><td>{v['pixels']}</td><td>{v['files']}</td>"
            f"<td>{near}</td><td>{escape(v['file'])} x={v['x']} y={v['y']}</td></tr>"
        )
    if len(report.values) > _VALUES:
        rows.append(f"<tr><td>… and {len(report.values) - _VALUES} more</td></tr>")
    head = "<tr><th>value</th><th>pixels</th><th>files</th><th>nearest</th><th>first at</th></tr>"
    hint = f"<p><b>hint:</b> {escape(report.hint)}</p>" if report.hint else ""
    return f"<h2>Unlisted values</h2>{hint}<table>{head}{''.join(rows)}</table>"


def _classes(report: Report) -> str:
    most = max(c.pixels for c in report.classes) or 1
    rows = "".join(
        f"<tr{'' if c.pixels else ' class=none'}><td>{escape(c.name)}</td>"
        f'<td class="bar"><i style="width:{100 * c.pixels / most:.3f}%;background:{c.colour}"></i></td>'
        f"<td>{c.pixels}</td><td>{share(c.pixels, report.pixels)}</td><td>{c.files}</td>"
        f"<td>{escape(' '.join(c.allowed))}</td></tr>"
        for c in report.classes
    )
    titles = ("class", "", "pixels", "share", "files", "S(d)" if report.source else "")
    head = f"<tr>{''.join(f'<th>{title}</th>' for title in titles)}</tr>"
    return f"<h2>Classes of {escape(report.taxonomy)}</h2><table>{head}{rows}</table>"


def _source(report: Report) -> str:
    most = max(c.decided + c.possible for c in report.source_classes) or 1
    rows = "".join(
        f'<tr{"" if c.decided + c.possible else " class=none"}><td>{escape(c.name)}</td><td class="bar">'
        f'<i style="width:{100 * c.decided / most:.3f}%;background:{c.colour}"></i>'
        f'<i class="maybe" style="width:{100 * c.possible / most:.3f}%;background-color:{c.colour}"></i></td>'
        f"<td>{c.decided}</td><td>{c.possible}</td></tr>"
        for c in report.source_classes
    )
    head = "<tr><th>class</th><th></th><th>decided</th><th>for the teacher</th></tr>"
    return (
        f"<h2>Classes of {escape(report.source)}</h2><p>Striped: pixels that the teacher may give to the class; one"
        f" pixel may count for several.</p><table>{head}{rows}</table>"
    )


def _gallery(report: Report, gallery: Gallery) -> str:
    shown = []
    for row, c in enumerate(report.classes):
        if row in gallery.crops:
            allowed = f", may be {' '.join(c.allowed)}" if c.allowed else ""
            about = f"{share(c.pixels, report.pixels)} of all pixels, in {c.files} of {report.read} images{allowed}"
            shown.append(
                f'<h3 id="class-{row}">{_chip(c.colour)}{escape(c.name)} <small>{escape(about)}</small></h3>'
                f"{html.figures(gallery.crops[row], c.name)}"
            )
    lost = "".join(f"<li>{escape(text)}</li>" for text in gallery.problems)
    problems = f"<p>Images that could not be shown:</p><ul>{lost}</ul>" if lost else ""
    return (
        "<h2>What the classes look like</h2><p>From all over the dataset, images with much of the class, cut out"
        ' around its largest part, with <span class="outlined">this outline</span> just outside of it. Below'
        " each is its image, and the share of the image that is of the class. Point at a picture to take the outline"
        f" off.</p>{problems}{''.join(shown)}"
    )


def _chip(colour: str) -> str:
    return f'<span class="chip"><i style="background:{escape(colour)}"></i></span>'


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1200px; padding: 0 1rem; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; }}
th, td {{ text-align: right; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #8883; white-space: nowrap; }}
th:first-child, td:first-child, td:last-child, th:last-child {{ text-align: left; }}
td:last-child {{ white-space: normal; min-width: 14rem; overflow-wrap: anywhere; }}
h1 {{ overflow-wrap: anywhere; }}
.bar {{ min-width: clamp(5rem, 25vw, 20rem); text-align: left; }}
.bar i {{ display: inline-block; height: .9em; vertical-align: -.1em; }}
.maybe {{ background-image: repeating-linear-gradient(45deg, #fff9 0 4px, #0000 4px 8px); }}
.stack {{ display: flex; height: 1.4em; }}
.chip {{ white-space: nowrap; margin-right: .6em; }}
.chip i {{ display: inline-block; width: .9em; height: .9em; margin-right: .3em; vertical-align: -.1em;
  border: 1px solid #8886; }}
.none {{ opacity: .5; }}
li {{ overflow-wrap: anywhere; }}
.error b, .bad {{ color: #c0392b; }} .warning b {{ color: #b8860b; }} .good {{ color: #2a7f62; }}
h3 {{ margin-bottom: .3em; }} h3 small {{ font-weight: normal; }}
{gallery}</style>
<h1>{title}</h1>
<p class="{state}"><b>{verdict}</b></p>
{body}
</html>
"""
