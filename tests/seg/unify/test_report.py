"""What the report says of a run: curves, bars and matrices; also of runs that lack something, or have failed."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.reported import HOSTILE, counts, judge, log, step, validation
from lsu_seg.unify import curves, report
from lsu_seg.unify.curves import read_curve
from lsu_seg.unify.stages import Stage, run_stages

NAMES = ["road", "tree", HOSTILE]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "work"


def write(work: Path, results: dict[str, Any], trained: list[str] | None = None, **more: Any) -> str:
    results = {"pseudo_labels": {}, "settings": {"seed": 0}, **results}
    page = report.write(work / "report", "demo", results, [], work, trained or ["teacher"], **more)
    return page.read_text()


def judged(work: Path, **models: np.ndarray) -> dict[str, Any]:
    return {name: judge(work / "evaluation" / name, {"val": table}, NAMES) for name, table in models.items()}


def data(page: str) -> Any:
    return json.loads(page.split('id="data">')[1].split("</script>")[0])


# --- curves ----------------------------------------------------------------------------------------------------


def test_a_curve_through_an_interruption(tmp_path: Path) -> None:
    log(tmp_path, "20260101_000000", [step(100, 2.0), step(200, 1.5), validation(200, 0.3), step(300, 9.0), '{"lr": 0'])
    log(tmp_path, "20260102_000000", [step(250, 1.2), step(350, 1.0), validation(400, 0.4)])
    curve = read_curve(tmp_path)
    assert curve.points["loss"] == [(100, 2.0), (200, 1.5), (250, 1.2), (350, 1.0)]
    assert curve.points["miou"] == [(200, 0.3), (400, 0.4)]
    assert curve.problem == ""
    log(tmp_path, "20260103_000000", [step(50, 3.0)])  # begun anew
    assert read_curve(tmp_path).points == {"loss": [(50, 3.0)], "lr": [(50, 0.01)], "miou": []}


def test_validations_after_epochs_are_placed_by_iteration(tmp_path: Path) -> None:
    lines = [step(90, 2.0, epoch=1), validation(1, 0.3), step(180, 1.0, epoch=2), {"mIoU": 45.5, "step": 2}]
    log(tmp_path, "20260101_000000", lines)
    assert read_curve(tmp_path).points["miou"] == [(90, 0.3), (180, 0.455)]


def test_a_loss_that_is_no_number_leaves_a_gap(tmp_path: Path) -> None:
    log(tmp_path, "20260101_000000", [step(1, 2.0), step(2, 1.5), step(3, math.nan), step(4, 1.0)])
    page = curves.section({"teacher": read_curve(tmp_path)}, report.MODELS)
    loss = page.split("<figure")[1]
    assert len(re.findall("<polyline", loss)) == 2 and "nan" not in loss.lower()
    assert "teacher: loss is not a number in places" in page
    assert "no curve of mIoU" in page


def test_a_flat_curve_of_zeros_is_drawn(tmp_path: Path) -> None:
    log(tmp_path, "20260101_000000", [step(1, 0.0, lr=0.0), step(2, 0.0, lr=0.0)])
    assert curves.section({"teacher": read_curve(tmp_path)}, report.MODELS).count("<polyline") == 2


# --- the page --------------------------------------------------------------------------------------------------


def test_bars_say_who_gained_and_lost(work: Path) -> None:
    better, worse = counts(5, 3, 0.8), counts(5, 3, 0.5)
    better[:, 1] = worse[:, 1]  # but of trees
    results = judged(work, teacher=counts(5, 3, 0.6), student_raw=worse, student_constrained=better)
    page = write(work, results, ["teacher", "student_raw", "student_constrained"])
    changes = dict(re.findall(r'data-class="(\w+)" data-changes="([^"]*)"', page))
    assert changes == {
        "road": "lost:student_raw gained:student_constrained",
        "tree": "lost:student_raw lost:student_constrained",
    }
    road = page.split('data-class="road"')[1].split('class="class"')[0]
    first = results["teacher"]["val"]
    assert "43.1<" in road and re.search(r'gain gained">\+\d+\.\d \[\+\d', road)
    assert "33.3 % of the pixels" in road
    assert f"{first['miou']:.1%}" in page
    assert page.count("no log of figures") == 3
    shown = data(page)
    assert shown["models"].keys() == {"teacher", "student_raw", "student_constrained"}
    assert shown["sets"][0]["counts"]["teacher"][0] == [0, 3010, 1, 1990]


def test_confidence_is_drawn_where_it_was_counted(work: Path) -> None:
    table = {"val": counts(5, 3, 0.6)}
    results = {
        "teacher": judge(work / "evaluation/teacher", table, NAMES, (1.0, 2.0)),
        "student_raw": judge(work / "evaluation/student_raw", table, NAMES),
    }
    section = write(work, results).split('<section id="confidence"')[1].split('<section id="curves"')[0]
    assert section.count("<svg") == 1
    assert section.count("error 19.8 %") == 2, "60.2 % are right, and 80 % sure"
    assert "temperature 2:" in section
    without = write(work, judged(work, teacher=counts(2, 3, 0.6)))
    assert "Nothing was counted." in without.split('<section id="confidence"')[1].split('<section id="curves"')[0]


def test_names_cannot_become_a_part_of_the_page(work: Path) -> None:
    page = write(work, judged(work, teacher=counts(2, 3, 0.6)), unfinished=[HOSTILE])
    assert HOSTILE not in page and "<img" not in page
    assert data(page)["sets"][0]["names"][2] == HOSTILE
    assert page.count("</script>") == 2


def test_images_without_labels_have_no_figures(work: Path) -> None:
    results = judged(work, teacher=counts(2, 3, 0.6, present=0), student_set=counts(2, 3, 0.8, present=0))
    page = write(work, results)
    assert "nan" not in re.sub(r"<script>.*", "", page, flags=re.S).lower()
    assert "no pixel of these classes, so no class has an IoU" in page
    assert page.count("undefined</td>") == 2


def test_one_image_and_absent_classes(work: Path) -> None:
    results = judged(work, teacher=counts(1, 3, 0.6, present=1), student_raw=counts(1, 3, 0.8, present=1))
    page = write(work, results)
    assert "One image only" in page
    assert 'Not in the ground truth, so without an IoU: <span data-class="tree">tree</span>' in page
    assert re.findall(r'data-changes="([^"]*)"', page) == [""]
    assert "+20.0<" in page


def test_a_run_without_anything_says_so(work: Path) -> None:
    page = write(work, {})
    for text in ("Nothing was evaluated", "No model was evaluated", "No dataset was labelled", "no log of figures"):
        assert text in page


# --- a run that fails ------------------------------------------------------------------------------------------


def test_a_failed_run_has_a_last_stage_that_never_counts_as_finished(work: Path) -> None:
    def fail(_: Any) -> None:
        raise ValueError("no space")

    def page(text: str) -> Any:
        def action(done: Any) -> str:
            (work / "report/index.html").write_text(f"{text}: {', '.join(done)}")
            return "index.html"

        return action

    def stages(action: Any) -> list[Stage]:
        return [
            Stage("a", work / "a", lambda _: 1, lambda _: 1),
            Stage("b", work / "b", lambda _: 2, action),
            Stage("report", work / "report", lambda _: 3, page("whole"), inputs=("a", "b")),
        ]

    def failed(done: Any, name: str, error: Exception) -> Stage:
        return Stage("report", work / "report", lambda _: [name, str(error)], page(f"{name} {error}"))

    said: list[str] = []
    for _ in range(2):
        with pytest.raises(ValueError, match="no space"):
            run_stages(stages(fail), work, said.append, failed=failed)
        assert said.pop() == "report: index.html shows what was done"
        assert (work / "report/index.html").read_text() == "b no space: a"
    said.clear()
    run_stages(stages(lambda _: 2), work, said.append, failed=failed)
    assert (work / "report/index.html").read_text() == "whole: a, b"
    assert said == ["a: reused"]

    def broken(done: Any, name: str, error: Exception) -> Stage:
        return Stage("report", work / "report", lambda _: 4, lambda _: [][0])

    (work / "b/stage.json").unlink()
    (work / "b").rmdir()
    with pytest.raises(ValueError, match="no space"):
        run_stages(stages(fail), work, said.append, failed=broken)
    assert said[-1] == "report: not written (list index out of range)"
