"""What is said of a finding, the same in every format: one plain sentence, the evidence, and what to do."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_seg.audit.findings import KINDS, Finding, Report

_FEW = 4
"""More classes than this are counted and not listed."""


class Words(NamedTuple):
    """What a kind of finding means, and what to do about it."""

    meaning: str
    advice: str


WORDS = {
    "shuffled": Words(
        "Labels fit the images of other labels as well as their own.",
        "Check how images and labels are paired: the patterns or the list in the taxonomy, and the names of the files."
        " If they are right, the teacher sees too little: check that its checkpoint was loaded and fits its config.",
    ),
    "mispaired": Words(
        "Some labels fit each other's image better than their own.",
        "Look at the pictures, and exchange the files, or leave these images out.",
    ),
    "slipped": Words(
        "The rows of many classes fit other classes, all moved in one way: ids that are one off, or of another list.",
        "Compare the ids in the taxonomy with what the label files store: they may be trainIds, or start at 1.",
    ),
    "exchanged": Words(
        "Each of two classes looks like what the other may be.",
        "Look at the pictures, and exchange the ids or the relations of the two classes.",
    ),
    "wrong-row": Words(
        "The teacher sees next to nothing of what the map allows for a class.",
        "Look at the pictures, and write a row that allows what they show.",
    ),
    "insisted": Words(
        "The teacher sees a source class in many pixels for which the map does not allow it.",
        "Look at the pictures. If the teacher is right, allow the source class in this row; if not, leave it.",
    ),
    "void-hides": Words(
        "The map ignores pixels in which the teacher recognises a source class.",
        "If they are worth learning from, relate the class to what the pictures show.",
    ),
    "never-chosen": Words(
        "The map allows a source class that the teacher sees next to nowhere in these pixels. A correct map may have"
        " this: the source class may be rare there, or the teacher may take it for another.",
        "Look at the pictures. Take the source class out of the row if it cannot occur there; if it can, leave it.",
    ),
    "is-void": Words(
        "The teacher is as unsure of these pixels as of things that no source class is made for. They may be such"
        " things, or only look unlike what the teacher was trained on.",
        "Look at the pictures, and allow void if they show something else.",
    ),
}
"""By the kinds of `KINDS`."""


def percent(share: float) -> str:
    """A share for people: 0 only for nothing, 100 only for everything.

    >>> percent(0.834), percent(0.034), percent(0.0001), percent(0), percent(0.9996)
    ('83 %', '3.4 %', '<0.1 %', '0 %', '>99 %')
    """
    value = 100 * share
    if value in (0, 100):
        return f"{value:.0f} %"
    if value < 0.1:
        return "<0.1 %"
    if value > 99:
        return ">99 %"
    return f"{value:.1f} %" if value < 9.95 else f"{value:.0f} %"


def row_name(report: Report, row: int) -> str:
    """The name of a row of d; `void:` for pixels of a value that the taxonomy lists there."""
    return report.classes[row] if row >= 0 else "void:"


def channel_name(report: Report, channel: int) -> str:
    return report.source_classes[channel] if channel < len(report.source_classes) else "void"


def allowed_channels(report: Report, row: int) -> tuple[int, ...]:
    """S(d), as channels; K is void. Of a value in `void:`, void."""
    k = len(report.source_classes)
    return tuple(int(c) for c in np.flatnonzero(report.allowed[row])) if row >= 0 else (k,)


def seen(report: Report, row: int, least: float = 0.005) -> list[tuple[int, float]]:
    """What the teacher sees in a row: channels with their estimated shares, the largest first."""
    if row < 0:
        return []
    shares = report.cells.share[row]
    order = np.argsort(-np.nan_to_num(shares, nan=-1.0), kind="stable")
    return [(int(c), float(shares[c])) for c in order if shares[c] >= least]


def _quoted(names: list[str], word: str = "or") -> str:
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} {word} {quoted[-1]}"


def may_be(report: Report, row: int) -> str:
    """What a class may be, in a few words.

    >>> from types import SimpleNamespace
    >>> r = SimpleNamespace(source_classes=("road", "sky"), allowed=np.array([[True, False, True]]))
    >>> may_be(r, 0)
    '`road` or `void`'
    """
    channels, k = allowed_channels(report, row), len(report.source_classes)
    if len(channels) == k + 1:
        return "anything"
    if len(channels) > _FEW:
        return f"any of {len(channels)} classes"
    return _quoted([channel_name(report, c) for c in channels]) if channels else "nothing"


def sentence(report: Report, finding: Finding) -> str:
    """What was found, in one plain sentence, without its full stop."""
    rows = [f"`{row_name(report, d)}`" for d in finding.rows]
    pixels = f"pixels annotated as {rows[0]}" if rows else ""  # many classes are called as those of the source
    what = [channel_name(report, c) for c in finding.channels]
    images = f" ({finding.images} image{'s' * (finding.images != 1)})" if finding.images else ""
    share = percent(finding.share) if finding.share is not None else ""
    seen_in = f"in {share} of them{images}" if share else f"in them{images}"
    d = finding.rows[0] if finding.rows else -1
    match finding.kind:
        case "shuffled":
            return (
                f"the labels fit their own images no better than other images{images}: the list of files looks shuffled"
            )
        case "mispaired":
            keys = [f"`{key}`" for key in finding.keys]
            pair = " and ".join(keys)
            return f"the labels of {pair} fit each other's image better than their own: the files look exchanged"
        case "slipped":
            moved = [
                f"`{row_name(report, row)}` as {_quoted([channel_name(report, c) for c in channels])}"
                for row, channels in sorted(finding.changes.items())[:3]
                if channels
            ]
            example = f": {', '.join(moved)}{', …' if len(finding.changes) > 3 else ''}" if moved else ""
            return f"the label space looks slipped: {len(rows)} classes look like other classes{example}"
        case "exchanged":
            other = finding.rows[1]
            return (
                f"{rows[0]} and {rows[1]} look exchanged: {rows[0]} looks like {may_be(report, other)}, and {rows[1]}"
                f" like {may_be(report, d)}"
            )
        case "wrong-row":
            outside = [c for c in finding.channels if c not in allowed_channels(report, d)]
            outside = outside or [c for c, _ in seen(report, d, 0.1) if c not in allowed_channels(report, d)][:2]
            sees = f", but {_quoted([channel_name(report, c) for c in outside], 'and')} {seen_in}" if outside else ""
            return f"{pixels} may only be {may_be(report, d)}, and the teacher sees next to nothing of that{sees}"
        case "insisted":
            few = len(allowed_channels(report, d)) <= _FEW
            start = f"{pixels} may {f'only be {may_be(report, d)}' if few else f'not be {_quoted(what)}'}"
            return f"{start}, but the teacher sees {_quoted(what, 'and')} {seen_in}"
        case "void-hides":
            return f"{pixels} are ignored, but the teacher sees {_quoted(what, 'and')} {seen_in}"
        case "never-chosen":
            return f"{pixels} may be {_quoted(what)}, but the teacher sees next to none of that in them{images}"
        case "is-void":
            unsure = "the teacher looks at them as at things that it does not know"
            return f"{pixels} may be {may_be(report, d)}, but {unsure}{images}"
    raise ValueError(finding.kind)


def change(report: Report, finding: Finding) -> str:
    """The proposed change in words; empty if there is none."""
    if not finding.changes:
        return ""
    rows = [
        f"`{row_name(report, row)}` may be {_quoted([channel_name(report, c) for c in channels])}"
        for row, channels in sorted(finding.changes.items())
        if channels
    ]
    shown = "; ".join(rows[:_FEW]) + (f"; and {len(rows) - _FEW} more" if len(rows) > _FEW else "")
    tried = {True: "; under this map, the finding is gone", False: "; under this map, the findings stay", None: ""}
    return f"proposed: {shown}{tried[finding.confirmed]}"


def expected(finding: Finding) -> str:
    what = "contradictions" if finding.contradiction else "notes"
    number = f"{finding.expected:.2f}" if finding.expected >= 0.005 else "less than 0.01"
    return f"a correct map has {number} {what} this strong on average"


def judged_rows(report: Report) -> list[int]:
    """Rows of which enough was seen, and of which the map forbids something."""
    return [d for d, row in enumerate(report.allowed[:, :-1]) if d not in report.unseen and not row.all()]


def _limits(report: Report) -> NDArray[np.float32]:
    """The shares from which on forgotten classes would have been found (`Cells.decidable`), where they can have been
    missed: 0 for what the map allows, which is not forgotten, and for what a finding is about, which was not missed."""
    limits = np.where(report.allowed[:, :-1], np.float32(0), report.cells.decidable)
    for finding in report.findings:
        channels = [c for c in finding.channels if c < limits.shape[1]]
        if len(finding.rows) == 1 and finding.rows[0] >= 0:
            limits[finding.rows[0], channels] = 0
    return limits


def blind_rows(report: Report) -> list[int]:
    """Judged rows in which no class that the map forgot would have been found, however much of it there is."""
    hidden = ~(_limits(report) <= 1)
    return [d for d in judged_rows(report) if (hidden[d] | report.allowed[d, :-1]).all()]


def undecidable(report: Report, row: int) -> list[tuple[str, list[str]]]:
    """What the audit could not have found in a row: a share in words → the source classes that it would miss below it.

    The shares are rounded up to one of four, so that a row takes a few lines.
    """
    limits = _limits(report)[row]
    out: list[tuple[str, list[str]]] = []
    low = 0.05
    for high in (0.12, 0.3, 0.6, 1.0, np.inf):
        names = [report.source_classes[c] for c in np.flatnonzero((limits > low) & (limits <= high))]
        if names:
            out.append((f"below {percent(high)}" if high <= 1 else "at any share", names))
        low = high
    return out


def verdict(report: Report) -> str:
    """The result in one line."""
    if not report.judged:
        return "nothing could be judged"

    def count(n: int, word: str) -> str:
        return f"{n or 'no'} {word}{'s' * (n != 1)}"

    return f"{count(len(report.contradictions), 'contradiction')}, {count(len(report.notes), 'note')}"


def looked_at(report: Report) -> str:
    """How many images and pixels were looked at."""
    images = f"{report.images} image{'s' * (report.images != 1)}"
    of = images if report.sampled == report.images else f"{report.sampled} of {images}"
    return f"{of} and {int(report.pixels.sum())} pixels were looked at"


def nothing_found(report: Report) -> str:
    """What silence is worth, where it is worth little; empty where missing classes would have been found."""
    judged, blind = judged_rows(report), blind_rows(report)
    if not report.judged or 2 * len(blind) <= len(judged):
        return ""
    where = "any class" if len(blind) == len(judged) else f"{len(blind)} of {len(judged)} classes"
    return (
        f"with these images and this teacher, a source class that the map forgot in {where} would hardly be found: no"
        " finding is no proof that the map is right"
    )


def title(finding: Finding) -> str:
    return KINDS[finding.kind].title
