"""From findings to a diff: what is tried, what is confirmed, and what only becomes a note.

The audit here is one that is certain of everything: it knows which source class each raw value shows.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lsu_onto
from lsu_onto import Constraint
from lsu_seg.audit.findings import Cells, Finding, Report
from lsu_seg.audit.propose import in_rows_of, moved_rows, propose

SOURCE = "tax 1\nsource mini v1\n" + "".join(
    f"{i} {c}\n" for i, c in enumerate(["road", "grass", "car", "sky", "tree"])
)
TOWN = """dataset town v1 -> mini v1
void: 255
1  way    < road          # drawn
2  lawn   ~ grass tree
3  auto   = car
4  above  = sky
5  other  -> void
"""


def knowing(shown: dict[int, int]) -> Callable[[Constraint], Report]:
    """An audit of rows that show one channel each: row → channel."""

    def audit(c: Constraint) -> Report:
        wrong = [d for d, k in shown.items() if not c.allowed[d, k]]
        findings: list[Finding] = []
        pairs = [(a, b) for a in wrong for b in wrong if a < b and c.allowed[a, shown[b]] and c.allowed[b, shown[a]]]
        if len(wrong) > 2:
            rows = {d: next(np.flatnonzero(s) for s in c.allowed if s[shown[d]]) for d in wrong}
            findings.append(Finding("slipped", tuple(wrong), changes={d: tuple(map(int, s)) for d, s in rows.items()}))
        elif pairs:
            findings.append(Finding("exchanged", pairs[0], images=7, score=9.0))
        else:
            findings += [Finding("insisted", (d,), (shown[d],), share=0.83, images=41, expected=0.012) for d in wrong]
        d, k = len(c.classes), c.num_classes
        cells = Cells(*(np.zeros((d, k), np.float32) for _ in range(3)))
        pixels = np.full(d, 10)
        return Report(
            "town v1", "mini v1", c.classes, c.source_classes, c.allowed, 50, 50, pixels, {}, tuple(findings), cells
        )

    return audit


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    monkeypatch.chdir(tmp_path)

    def make(text: str = TOWN) -> Path:
        Path("town.tax").write_text(SOURCE + text)
        return Path("town.tax")

    return make


def applied(text: str) -> None:
    """Apply a proposal as a user would."""
    Path("it.patch").write_text(text)
    subprocess.run(["git", "apply", "-p0", "it.patch"], check=True, capture_output=True)


def test_exchanged_rows(town: Callable[..., Path]) -> None:
    file = town()
    c = lsu_onto.load(file)
    audit = knowing({0: 0, 1: 1, 2: 3, 3: 2})
    made = propose(audit(c), c, audit, file)
    assert [f.confirmed for f in made.report.findings] == [True]
    assert made.text.splitlines()[3:6] == [
        "# Changes, each confirmed by an audit under the changed map:",
        "#   `auto` and `above` look exchanged: `auto` looks like `sky`, and `above` like `car`: relations exchanged",
        "#",
    ]
    assert "#   CONSTRAINT: `auto` may now be `sky` and may no longer be `car`" in made.text.splitlines()
    assert file.read_text() == SOURCE + TOWN
    applied(made.text)
    assert file.read_text() == SOURCE + TOWN.replace("= car", "< sky").replace("above  = sky", "above  < car")
    assert audit(lsu_onto.load(file)).findings == ()


def test_a_slip_is_renumbered(town: Callable[..., Path]) -> None:
    file = town()
    c = lsu_onto.load(file)
    audit = knowing({0: 1, 1: 2, 2: 3})  # raw 1 shows what lawn is, and so on
    made = propose(audit(c), c, audit, file)
    assert [f.confirmed for f in made.report.findings] == [True]
    applied(made.text)
    new = lsu_onto.load(file)
    assert dict(zip(new.raw.tolist(), new.raw_row.tolist(), strict=True)) == {1: 1, 2: 2, 3: 3, 4: 0, 5: 4, 255: -1}
    assert (new.allowed == c.allowed).all()
    assert in_rows_of(c, new).allowed[0].tolist() == c.allowed[1].tolist()
    assert "ids renumbered" in made.text
    assert "LABEL: raw value 1 was `way` and is `lawn`" in made.text


def test_colours_slip_and_names_do_not(town: Callable[..., Path]) -> None:
    rgb = "dataset town v1 -> mini v1\nencoding: rgb\n1 a #000001 < road\n2 b #000002 < car\n3 c #000003 < sky\n"
    audit = knowing({0: 2, 1: 3, 2: 0})
    file = town(rgb)
    c = lsu_onto.load(file)
    applied(propose(audit(c), c, audit, file).text)
    assert "1 a #000003 < road\n2 b #000001 < car\n3 c #000002 < sky\n" in file.read_text()
    file = town(rgb.replace("rgb", "polygons"))
    c = lsu_onto.load(file)
    applied(propose(audit(c), c, audit, file).text)
    assert "1 a #000001 < car\n2 b #000002 < sky\n3 c #000003 < road\n" in file.read_text()


def test_what_is_not_confirmed_is_a_note(town: Callable[..., Path]) -> None:
    file = town()
    c = lsu_onto.load(file)
    audit = knowing({2: 4, 3: 2})
    exchanged = Finding("exchanged", (2, 3), expected=0.2)
    report = replace(audit(c), findings=(exchanged, *audit(c).findings))
    stubborn: list[Constraint] = []

    def again(new: Constraint) -> Report:
        stubborn.append(new)
        return replace(report, allowed=new.allowed)

    made = propose(report, c, again, file)
    assert len(stubborn) == 1
    assert made.report.findings[0].confirmed is False
    applied(made.text)
    lines = file.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("3  auto"))
    assert lines[at].startswith("3  auto   = car  # audit: `auto` and `above` look exchanged")
    assert lines[at + 1].strip() == (
        "# audit: pixels annotated as `auto` may only be `car`, but the teacher sees `tree` in 83 % of them (41 images)"
        " (expected false alarms 0.01)"
    )
    assert (lsu_onto.load(file).allowed == c.allowed).all()


def test_a_change_that_raises_new_contradictions_is_not_confirmed(town: Callable[..., Path]) -> None:
    file = town()
    c = lsu_onto.load(file)
    audit = knowing({0: 0, 2: 2})
    report = replace(audit(c), findings=(Finding("exchanged", (0, 2)),))
    worse = replace(report, findings=(Finding("insisted", (4,), (1,)),))
    better = replace(report, findings=())
    for again, confirmed in ((audit, False), (lambda _: worse, False), (lambda _: better, True)):
        made = propose(report, c, again, file)
        assert made.report.findings[0].confirmed is confirmed
        assert made.revision is not None
        assert (made.revision.constraint.allowed == c.allowed).all() != confirmed


def test_a_row_is_changed_once(town: Callable[..., Path]) -> None:
    file = town()
    c = lsu_onto.load(file)
    [slipped] = knowing({0: 1, 1: 2, 2: 3})(c).findings
    findings = (slipped, Finding("exchanged", (2, 3)))
    report = replace(knowing({})(c), findings=findings)
    tried: list[Constraint] = []

    def again(new: Constraint) -> Report:
        tried.append(new)
        return replace(report, findings=findings[1:])

    made = propose(report, c, again, file)
    assert [f.confirmed for f in made.report.findings] == [True, None] and len(tried) == 1


def test_files_are_listed_and_nothing_found_is_nothing_changed(town: Callable[..., Path]) -> None:
    file = town()
    c = lsu_onto.load(file)
    audit = knowing({})
    files = (Finding("shuffled", images=9), Finding("mispaired", keys=("a/1", "b/2"), images=2))
    made = propose(replace(audit(c), findings=files), c, audit, file)
    assert made.pairs == (("a/1", "b/2"),)
    assert made.revision is None
    assert "#   a/1\tb/2" in made.text.splitlines()
    assert any("the list of files looks shuffled" in line for line in made.text.splitlines())
    assert propose(audit(c), c, audit, file).text.splitlines()[1:] == ["# No `.tax` file changes."]


def test_ids_of_a_base_are_named_and_not_changed(town: Callable[..., Path]) -> None:
    base = TOWN.replace("dataset town", "dataset base")
    file = town(base + "dataset town v1\nextends base v1\n")
    c = lsu_onto.load("town", paths=[file])
    audit = knowing({0: 1, 1: 2, 2: 3})
    made = propose(audit(c), c, audit, "town", paths=[file])
    assert made.report.findings[0].confirmed is None
    assert "not tried, `lawn` has its ids from town.tax:11, a dataset that `town` extends" in made.text
    applied(made.text)
    assert "# way: audit: the label space looks slipped" in file.read_text()


def test_permutations_of_rows() -> None:
    allowed = np.eye(6, 7, dtype=bool)
    allowed[3] = allowed[1]  # two rows that may be the same
    wanted = {0: allowed[1], 1: allowed[2], 2: allowed[3]}
    assert moved_rows(allowed, wanted).tolist()[:3] == [1, 2, 3]
    assert moved_rows(allowed, {0: ~allowed[0]}) is None
    allowed = np.eye(6, 7, dtype=bool)
    allowed[5] = allowed[3]
    for shift in (1, -1):  # as far as the others
        assert moved_rows(allowed, {1: allowed[1 + shift], 4: allowed[3]}).tolist()[4] == 4 + shift
    rng = np.random.default_rng(3)
    allowed = np.eye(12, 13, dtype=bool)
    for _ in range(20):
        order = rng.permutation(12)
        moved = {d: allowed[order[d]] for d in range(12) if order[d] != d}
        assert moved_rows(allowed, moved).tolist() == order.tolist()
