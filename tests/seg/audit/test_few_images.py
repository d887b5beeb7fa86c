"""What an audit says of a dataset of a few images, and of none that its teacher understands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lsu_onto
from lsu_seg.audit.judge import GUESSES, audit, examine
from lsu_seg.audit.pixels import pixels_of
from lsu_seg.audit.text import as_text
from lsu_seg.audit.verdicts import Settings
from tests.helpers.drawn_sample import SOURCE, drawn

MAP = """tax 1
dataset it v1 -> that v1

0 way < road
1 green > grass tree
2 cars < car
3 sky < sky
4 rest -> any
5 noise -> void
"""


@pytest.fixture
def constraint(tmp_path: Path) -> lsu_onto.Constraint:
    source = "".join(f"{i} {name}\n" for i, name in enumerate(SOURCE))
    (tmp_path / "that.tax").write_text(f"tax 1\nsource that v1\n\n{source}")
    (tmp_path / "it.tax").write_text(MAP)
    return lsu_onto.load(tmp_path / "it.tax", "that", [tmp_path])


@pytest.mark.parametrize(("images", "insisted"), [(1, []), (2, [(2,)])])
def test_what_one_image_shows_is_no_contradiction(
    images: int, insisted: list[tuple[int]], constraint: lsu_onto.Constraint
) -> None:
    """In some of the images, the teacher is sure that the cars are sky."""
    sample = drawn(4, 40)
    p, cars = sample.p.copy(), sample.row == 2
    p[cars] = 5
    p[cars, np.where(sample.image[cars] < images, 4, 3)] = 235
    sample = replace(sample, p=p, agree=sample.agree | cars)
    report = audit(sample, constraint)
    found = [f for f in report.contradictions if f.rows == (2,)]
    assert [f.rows for f in found] == insisted
    assert all((f.kind, f.channels, f.images) == ("insisted", (4,), images) for f in found)
    # nor is it without pictures, as the table of docs/audit.md is measured
    findings, *_ = examine(pixels_of(sample), constraint.allowed, np.arange(6), Settings())
    assert [f.rows for f in findings if f.contradiction and f.rows == (2,)] == insisted


def test_a_teacher_that_guesses_has_judged_nothing_and_the_report_says_why(constraint: lsu_onto.Constraint) -> None:
    sample = drawn(8)
    assert audit(sample, constraint).judged
    guessed = replace(sample, p=np.random.default_rng(0).permutation(sample.p))
    report = audit(guessed, constraint)
    assert not report.judged and report.findings == ()
    text = as_text(report)
    assert text.splitlines()[2] == GUESSES and "undecidable at any share" in text
