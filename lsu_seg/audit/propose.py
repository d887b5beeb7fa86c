"""An audit's findings → a diff of the `.tax` files: what is confirmed as changes, everything else as notes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import lsu_onto
from lsu_onto import Constraint, Revision
from lsu_seg.audit import words
from lsu_seg.audit.findings import Finding, Report

AuditAgain = Callable[[Constraint], Report]
"""Audits the same sample under another constraint, whose rows are those of the sample, in its order."""

CHANGED = ("slipped", "exchanged")
"""The kinds that become changes of a map. `mispaired` becomes a list of files; all other kinds become notes."""


@dataclass(frozen=True)
class Change:
    """Arguments of `lsu_onto.rewrite`: the new S(d) and the new raw values of classes, by name."""

    rows: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ids: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __or__(self, other: Change) -> Change:
        return Change(self.rows | other.rows, self.ids | other.ids)


@dataclass(frozen=True)
class Proposal:
    """What an audit proposes. Nothing is applied.

    Attributes:
        report: the report, in which `Finding.confirmed` says what became of each change that was tried.
        revision: the changed files; None if no file changes.
        pairs: keys of images whose labels belong to each other's image.
        text: all of it, as a file for `patch -p0` or `git apply -p0`.
    """

    report: Report
    revision: Revision | None
    pairs: tuple[tuple[str, ...], ...]
    text: str


def propose(
    report: Report,
    constraint: Constraint,
    audit_again: AuditAgain,
    name: str | Path,
    source: str | None = None,
    paths: Iterable[str | Path] = (),
) -> Proposal:
    """Propose changes of a map.

    The changes of exchanged rows and slipped label spaces are tried one after the other, the gravest first, each on top
    of those before it. A change is kept if the audit under the changed files no longer has its finding, and no new
    contradiction.

    Args:
        report: what the audit found under `constraint`.
        constraint: as `lsu_onto.load(name, source, paths)` returned it.
        audit_again: audits the sample once more. A raw value keeps its row there, whatever class it then belongs to.
        name, source, paths: where the map is, as for `lsu_onto.load`.

    Raises:
        UserError: the map cannot be rewritten at all: it is a source, or a compiled `.npz`.
    """
    paths = list(paths)
    latest, compiled, total = report, constraint, Change()
    confirmed: dict[int, bool] = {}
    applied: list[str] = []
    refused: dict[int, str] = {}
    for i, finding in enumerate(report.findings):
        if finding.kind not in CHANGED or not _has(latest, finding):
            continue  # an earlier change has settled it
        change = change_for(finding, constraint, {*total.rows, *total.ids})
        if change is None:
            continue
        candidate = total | change
        try:
            revision = lsu_onto.rewrite(name, source, paths, rows=candidate.rows, ids=candidate.ids)
        except lsu_onto.UserError as error:
            refused[i] = str(error).splitlines()[0]
            continue
        again = audit_again(in_rows_of(constraint, revision.constraint))
        confirmed[i] = not _has(again, finding) and _contradictions(again) <= _contradictions(latest)
        if confirmed[i]:
            latest, compiled, total = again, revision.constraint, candidate
            how = "ids renumbered" if change.ids else "relations exchanged"
            applied.append(f"{words.sentence(report, finding)}: {how}")
    tried = {_key(f): confirmed.get(i) for i, f in enumerate(report.findings)}
    findings = tuple(replace(f, confirmed=tried[_key(f)]) for f in report.findings)
    latest = replace(
        latest,
        classes=tuple(compiled.classes[d] for d in new_rows(constraint, compiled)),
        findings=tuple(replace(f, confirmed=tried.get(_key(f))) for f in latest.findings),
    )
    notes: dict[str, list[str]] = {}
    for finding in latest.findings:
        if finding.rows and finding.rows[0] >= 0:
            notes.setdefault(latest.classes[finding.rows[0]], []).append(note(latest, finding))
    revision = lsu_onto.rewrite(name, source, paths, rows=total.rows, ids=total.ids, notes=notes)
    pairs = tuple(f.keys for f in report.findings if f.kind == "mispaired" and f.keys)
    why_not = [f"{words.sentence(report, report.findings[i])}: not tried, {why}" for i, why in refused.items()]
    text = "\n".join([*_head(report, latest, revision, applied, why_not, pairs), revision.diff()])
    return Proposal(replace(report, findings=findings), revision if revision.after else None, pairs, text)


# --- changes ------------------------------------------------------------------------------------------------


def change_for(finding: Finding, constraint: Constraint, taken: Iterable[str] = ()) -> Change | None:
    """The change that a finding proposes; None if there is none, or if it touches classes of another one (`taken`)."""
    wanted = {d: _allowed(constraint, channels) for d, channels in finding.changes.items()}
    if not wanted and finding.kind == "exchanged" and len(finding.rows) == 2:
        a, b = finding.rows
        wanted = {a: constraint.allowed[b], b: constraint.allowed[a]}
    if not wanted or min(wanted) < 0:
        return None
    change = _renumbered(constraint, wanted) if finding.kind == "slipped" else None
    if change is None:
        names = (*constraint.source_classes, "void")
        rows = {constraint.classes[d]: tuple(names[c] for c in np.flatnonzero(s)) for d, s in wanted.items()}
        change = Change(rows=rows)
    return None if {*change.rows, *change.ids} & {*taken} else change


def _allowed(constraint: Constraint, channels: Iterable[int]) -> NDArray[np.bool_]:
    out = np.zeros(constraint.allowed.shape[1], bool)
    out[list(channels)] = True
    return out


def _renumbered(constraint: Constraint, wanted: Mapping[int, NDArray[np.bool_]]) -> Change | None:
    """The raw values of rows given to those classes whose S(d) they look like; None if there are no such classes."""
    moves = moved_rows(constraint.allowed, wanted)
    if moves is None or constraint.raw_names:  # names are not ids that may have slipped
        return None
    raw = [tuple(int(v) for v in constraint.raw[constraint.raw_row == d]) for d in range(len(constraint.classes))]
    return Change(ids={constraint.classes[new]: raw[d] for d, new in enumerate(moves.tolist()) if d != new})


def moved_rows(allowed: NDArray[np.bool_], wanted: Mapping[int, NDArray[np.bool_]]) -> NDArray[np.intp] | None:
    """The permutation of the rows of d that gives each row in `wanted` a row with the S(d) that it wants.

    Of several, it is the one that moves most rows by the same number and that leaves most others in place: a linear
    assignment (Kuhn 1955).

    Args:
        allowed: `[D, K+1]`. wanted: row → S(d) as bool `[K+1]`.

    Returns:
        For each row the row that its pixels belong to, `[D]`; None if there is no such permutation.

    >>> allowed = np.eye(4, dtype=bool)
    >>> moved_rows(allowed, {0: allowed[1], 1: allowed[2], 2: allowed[3]}).tolist()
    [1, 2, 3, 0]
    """
    from scipy.optimize import linear_sum_assignment

    rows = len(allowed)
    at = sorted(wanted)
    fits = (np.array([wanted[d] for d in at])[:, None] == allowed[None]).all(2)
    shift = np.arange(rows)[None] - np.array(at)[:, None]
    shifts, counts = np.unique(shift[fits], return_counts=True)
    usual = shifts[counts.argmax()] if len(shifts) else 0
    cost = 1.0 - np.eye(rows)
    cost[at] = np.where(fits, 0.0, 4.0 * rows) + (shift != usual) / 4
    _, moves = linear_sum_assignment(cost)
    return None if not fits[np.arange(len(at)), moves[at]].all() else moves


def new_rows(before: Constraint, after: Constraint) -> NDArray[np.intp]:
    """For each row of `before`, the row of `after` that its raw values have; the class of the name, if it has none."""
    rows = np.array([after.classes.index(c) for c in before.classes], np.intp)
    now = dict(zip(_values(after), after.raw_row.tolist(), strict=True))
    for value, d in zip(_values(before), before.raw_row.tolist(), strict=True):
        if d >= 0 and now.get(value, -1) >= 0:
            rows[d] = now[value]
    return rows


def _values(constraint: Constraint) -> Iterable[int | str]:
    return constraint.raw_names or constraint.raw.tolist()


def in_rows_of(before: Constraint, after: Constraint) -> Constraint:
    """`before`, with what `after` says of its raw values: rows of a sample stay what they are if ids move."""
    rows = new_rows(before, after)
    return replace(
        before,
        allowed=after.allowed[rows],
        kind=after.kind[rows],
        certain=after.certain[rows],
        relabel=after.relabel[rows],
        novel=after.novel[rows],
    )


def _key(finding: Finding) -> tuple[object, ...]:
    return finding.kind, frozenset(finding.rows), finding.channels, finding.keys


def _contradictions(report: Report) -> set[tuple[object, ...]]:
    return {_key(f) for f in report.contradictions}


def _has(report: Report, finding: Finding) -> bool:
    """Whether a report has a finding of this kind on any of these rows."""
    rows = set(finding.rows)
    return any(f.kind == finding.kind and not rows.isdisjoint(f.rows) for f in report.findings)


# --- words --------------------------------------------------------------------------------------------------


def note(report: Report, finding: Finding) -> str:
    """A finding as a note in a `.tax` file."""
    number = f"{finding.expected:.2f}" if finding.expected >= 0.005 else "below 0.01"
    proposed = words.change(report, finding)
    more = f"; {proposed}" if proposed else ""
    return f"audit: {words.sentence(report, finding)} (expected false alarms {number}){more}"


def _head(
    report: Report,
    latest: Report,
    revision: Revision,
    applied: list[str],
    refused: list[str],
    pairs: tuple[tuple[str, ...], ...],
) -> Iterator[str]:
    """The lines in front of the diff, which `patch` and `git apply` skip."""
    yield f"# {report.dataset} -> {report.source}: what the audit proposes. Nothing is applied yet."
    if revision.after:
        yield f"# To apply it, in {revision.root()}: patch -p0 < FILE, or git apply -p0 FILE"
    else:
        yield "# No `.tax` file changes."
    yield from _listed("Changes, each confirmed by an audit under the changed map", applied)
    yield from _listed("Changes that cannot be written", refused)
    yield from _listed("What the changes break, as `lsu-onto changes` says it", revision.breaks)
    yield from _listed(
        "Files paired wrongly: the labels in each line belong to each other's image. Exchange them, or leave them out",
        ["\t".join(keys) for keys in pairs],
    )
    others = [f for f in latest.findings if f.kind != "mispaired" and (not f.rows or f.rows[0] < 0)]
    yield from _listed("Not about one row", [note(latest, f).removeprefix("audit: ") for f in others])


def _listed(title: str, lines: Iterable[str]) -> list[str]:
    lines = list(lines)
    return ["#", f"# {title}:", *(f"#   {' '.join(line.split(chr(10)))}" for line in lines)] if lines else []
