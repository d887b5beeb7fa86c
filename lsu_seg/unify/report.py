"""The report of a `unify` run: a table for the terminal and a page that needs no network."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import lsu_onto
from lsu_onto import write_atomic
from lsu_seg.unify import classes, confidence, curves, pictures
from lsu_seg.unify.pictures import Shown

STUDENTS = {
    "student_raw": "student, raw labels",
    "student_constrained": "student, constrained labels",
    "student_set": "student, set-valued labels",
}
MODELS = {
    "teacher": "teacher",
    **STUDENTS,
    **{f"{model}_averaged": f"{title}, averaged with the teacher" for model, title in STUDENTS.items()},
}

# --- figures -----------------------------------------------------------------------------------------------


def rows(results: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of models: mIoU in percent, and the difference from the teacher."""
    sets = _sets(results)
    out = []
    for model, title in _models(results).items():
        line = [title]
        for name in sets:
            miou = _figure(results, model, name, "miou")
            gain = (miou - _figure(results, classes.BASE, name, "miou")) * 100
            line.append(_percent(miou) + (f" ({gain:+.1f})" if model != classes.BASE and not math.isnan(gain) else ""))
        out.append(line)
    return ["mIoU", *sets], out


def _models(results: dict[str, Any]) -> dict[str, str]:
    return {model: title for model, title in MODELS.items() if model in results}


def _sets(results: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for model in _models(results) for name in results[model]))


def _figure(results: Mapping[str, Any], model: str, name: str, key: str) -> float:
    """NaN where it is undefined, as the mIoU of images without a label is, or was not measured."""
    value = results.get(model, {}).get(name, {}).get(key)
    return math.nan if value is None else float(value)


def _percent(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.1%}"


def view_rows(results: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the other two views: the dataset's own taxonomy (lower to upper), and consistency."""
    models = _models(results)
    sets = [n for n in _sets(results) if any("set/consistency" in results[m].get(n, {}) for m in models)]
    out = []
    for model, title in models.items():
        line = [title]
        for name in sets:
            low, high = (_figure(results, model, name, f"projected/{key}") for key in ("mIoU", "mIoU_upper"))
            line.append(f"{_percent(low)} to {_percent(high)}" if high - low >= 5e-4 else _percent(low))
            line.append(_percent(_figure(results, model, name, "set/consistency")))
        out.append(line)
    head = [text for n in sets for text in (f"{n}: mIoU in its taxonomy", f"{n}: pixels in S(d)")]
    return ["other views", *head], out


def group_rows(results: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the IoU of the source's groups, with intervals; only the header if it has none."""
    models = _models(results)
    body = []
    for name in _sets(results):
        groups = {m: {g["name"]: g for g in results[m].get(name, {}).get("groups", [])} for m in models}
        for group in dict.fromkeys(g for of_model in groups.values() for g in of_model):
            of_group = [groups[m].get(group) for m in models]
            body.append([f"{name}: {group}", *(_with_interval(g) if g else "" for g in of_group)])
    return ["IoU of a group", *(models.values() if body else ())], body


def _with_interval(group: dict[str, Any]) -> str:
    low, high = (math.nan if x is None else x for x in group["interval"])
    return f"{group['iou']:.1%}" + (f" [{100 * low:.1f}, {100 * high:.1f}]" if math.isfinite(low + high) else "")


def label_rows(results: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of pseudo-labels."""
    scores = results["pseudo_labels"]
    names = list(next(iter(scores.values()), {}))
    out = [[f"{kind} pseudo-labels", *(_percent(_label(scores[kind][n])) for n in names)] for kind in scores]
    return ["mIoU of the labels", *names], out


def _label(score: dict[str, Any]) -> float:
    return math.nan if score["miou"] is None else float(score["miou"])


def table(results: dict[str, Any]) -> str:
    """The tables as text."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=120, markup=False)
    for header, body in (label_rows(results), rows(results), view_rows(results), group_rows(results)):
        if len(header) == 1:
            continue
        grid = Table(*header, show_edge=False)
        for column in grid.columns[1:]:
            column.justify = "right"
        for line in body:
            grid.add_row(*line)
        console.print(grid)
        console.print()
    return buffer.getvalue().rstrip()


# --- page --------------------------------------------------------------------------------------------------


def write(
    folder: Path,
    title: str,
    results: dict[str, Any],
    datasets: Sequence[Shown],
    work: Path,
    trained: Sequence[str],
    unfinished: Sequence[str] = (),
) -> Path:
    """Write `index.html` into a folder, with its pictures beside it; returns its path.

    Args:
        results: what `results.json` holds; of a run that failed, what there is.
        work: the folder of the run, with the logs of its trainings and the evaluations of its models.
        trained: the models whose trainings belong to this run.
        unfinished: what failed, and what is missing for that.
    """
    lsu_onto.make_folder(folder / "pictures")
    models = _models(results)
    judged = classes.read_judged({model: work / "evaluation" / model for model in models}, MODELS)
    logged = {name: curves.read_curve(work / name) for name in trained}
    sets = dict.fromkeys([*(name for model in models for name in results[model]), *(shown.name for shown in datasets)])
    script = _resource("page.js")
    parts = {
        "hash": f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        "title": escape(f"{title}: label-space unification"),
        "style": _resource("page.css"),
        "script": script,
        "unfinished": _unfinished(unfinished),
        "sets": "".join(f'<option value="{escape(name)}">{escape(name)}</option>' for name in sets),
        "changes": _changes([model for model in models if model != classes.BASE]),
        "tables": "".join(_grid(*each(results)) for each in (rows, view_rows, group_rows, label_rows))
        or '<p class="sub note">Nothing was evaluated.</p>',
        "bars": classes.section(judged, MODELS),
        "confidence": confidence.section(judged, MODELS),
        "legend": "".join(f'<span class="key {name}">{escape(MODELS[name])}</span>' for name in trained),
        "curves": curves.section(logged, MODELS),
        "labels": "".join(pictures.section(shown, folder) for shown in datasets)
        or '<p class="sub note">No dataset was labelled.</p>',
        "settings": escape(", ".join(f"{key} {value}" for key, value in results["settings"].items())),
        "data": classes.matrices(judged, MODELS),
    }
    page = re.sub(r"\{\{(\w+)\}\}", lambda m: parts[m[1]], _resource("page.html"))
    write_atomic(folder / "index.html", page.encode("utf-8", "backslashreplace"))
    return folder / "index.html"


def _resource(name: str) -> str:
    return (files("lsu_seg.unify") / name).read_text(encoding="utf-8")


def _unfinished(lines: Sequence[str]) -> str:
    if not lines:
        return ""
    body = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return f'<div class="unfinished"><p><b>This run is not finished.</b></p>{body}</div>'


def _changes(students: Sequence[str]) -> str:
    """The options of the filter: which students gained or lost against the teacher."""
    out = ""
    for state, word in (("gained", "gained"), ("lost", "lost")):
        out += f'<option value="{state}">{word}: any student</option>' if students else ""
        out += "".join(f'<option value="{state}:{m}">{word}: {escape(MODELS[m])}</option>' for m in students)
    return out


def _grid(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    if len(header) == 1:
        return ""
    head = "".join(f'<th scope="col">{escape(h)}</th>' for h in header)
    lines = "".join(
        f'<tr><th scope="row">{escape(line[0])}</th>' + "".join(f"<td>{escape(c)}</td>" for c in line[1:]) + "</tr>"
        for line in body
    )
    # A box that scrolls takes the focus, so that the arrow keys scroll it.
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'
