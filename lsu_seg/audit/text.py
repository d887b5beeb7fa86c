"""An audit as text, for terminals and files."""

from __future__ import annotations

from collections.abc import Mapping

from lsu_onto import ClassPlaces
from lsu_seg.audit import words
from lsu_seg.audit.findings import Finding, Report

_STYLE = {"bad": "1;31", "note": "1;33", "bold": "1", "quiet": "2"}


def as_text(report: Report, places: Mapping[str, ClassPlaces] | None = None, colour: bool = False) -> str:
    """The whole report.

    Args:
        places: where classes are written, as `lsu_onto.places` says it, as far as that is known.
        colour: with the escape codes of a terminal.
    """

    def paint(text: str, style: str) -> str:
        return f"\x1b[{_STYLE[style]}m{text}\x1b[0m" if colour else text

    out = [
        paint(f"{report.dataset} -> {report.source}: {words.verdict(report)}", "bold"),
        words.looked_at(report),
        *report.remarks,
        *filter(None, [words.nothing_found(report)]),
    ]
    for heading, findings, style in (
        ("contradictions", report.contradictions, "bad"),
        ("notes, which a correct map may have too", report.notes, "note"),
    ):
        if findings:
            out += ["", paint(heading, "bold")]
        for number, finding in enumerate(findings, 1):
            head = paint(f"{number}. {words.title(finding)}", style)
            out += [f"{head}: {words.sentence(report, finding)}"]
            out += [f"     {line}" for line in details(report, finding, places or {})]
    out += _undecided(report, paint("what this audit could not have found", "bold"))
    return "\n".join(out) + "\n"


def details(report: Report, finding: Finding, places: Mapping[str, ClassPlaces]) -> list[str]:
    """The lines below a finding: its evidence, its place, what to do."""
    figures = [f"score {finding.score:.1f}", *(f"{name} {value:.3g}" for name, value in finding.figures.items())]
    lines = [f"evidence: {', '.join(figures)}", words.expected(finding)]
    for name in (words.row_name(report, row) for row in finding.rows[:4]):
        if name in places:
            lines.append("--> {0.file}:{0.line}:{0.column}".format(places[name].row))
    lines += [f"see {region.key} at y={region.box[0]} x={region.box[1]}" for region in finding.regions[:2]]
    lines += [change] if (change := words.change(report, finding)) else []
    return [*lines, words.WORDS[finding.kind].advice]


def _undecided(report: Report, heading: str) -> list[str]:
    unseen: dict[str, list[str]] = {}
    for row, why in sorted(report.unseen.items()):
        unseen.setdefault(why, []).append(f"`{words.row_name(report, row)}`")
    lines = [f"  {_some(names)}: not judged: {why}" for why, names in unseen.items()]
    if blind := words.blind_rows(report):
        names = [f"`{words.row_name(report, row)}`" for row in blind]
        lines.append(f"  undecidable at any share: whatever class the map may have forgotten in {_some(names)}")
    for row, name in enumerate(report.classes):
        if row not in report.unseen and row not in blind:
            lines += [
                f"  undecidable {share}{f' of `{name}`' if 'below' in share else f' in `{name}`'}: {_some(missed)}"
                for share, missed in words.undecidable(report, row)
            ]
    return ["", heading, *lines] if lines else []


def _some(names: list[str], most: int = 12) -> str:
    return " ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
