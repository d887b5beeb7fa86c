"""What the report shows of single classes: bars with intervals, and the confusion matrices as numbers of the page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from lsu_seg.evaluation.compare import compare
from lsu_seg.evaluation.errors import EvaluationError
from lsu_seg.evaluation.files import read

BASE = "teacher"


@dataclass(frozen=True)
class Judged:
    """What the models were measured at, and how they differ from the teacher.

    Attributes:
        documents: model → its `evaluation.json`.
        differences: model → `compare` of the teacher and it; empty for the teacher, and where there is no teacher's.
        problems: models whose evaluation cannot be shown, each with the reason.
    """

    documents: dict[str, dict[str, Any]]
    differences: dict[str, dict[str, Any]]
    problems: list[str]


def read_judged(folders: Mapping[str, Path], titles: Mapping[str, str]) -> Judged:
    """Read the evaluations of models. folders: of `lsu-seg evaluate`, by model, the teacher first."""
    out = Judged({}, {}, [])
    for model, folder in folders.items():
        path = folder / "evaluation.json"
        try:
            out.documents[model] = read(path)[0]
            if model != BASE and BASE in out.documents:
                out.differences[model] = compare(folders[BASE] / "evaluation.json", path)
        except EvaluationError as e:
            out.problems.append(f"{titles[model]}: {e}")
    return out


def section(judged: Judged, titles: Mapping[str, str]) -> str:
    """The bars of every dataset and view."""
    parts = [f'<p class="sub note">{escape(problem)}</p>' for problem in judged.problems]
    legend = "".join(f'<span class="key {m}">{escape(titles[m])}</span>' for m in judged.documents)
    parts.append(f'<p class="legend">{legend}</p>' if legend else '<p class="sub note">No model was evaluated.</p>')
    for name, view in _views(judged):
        parts.append(_bars(judged, name, view, titles))
    return "".join(parts)


def _views(judged: Judged) -> list[tuple[str, str]]:
    """Datasets and views that have classes; the dataset's own view only where its classes are not the source's."""
    out = []
    for document in judged.documents.values():
        for name, part in document["sets"].items():
            views = [v for v in ("source", "projected") if v in part["views"]]
            if part["taxonomy"] == document["source"] and "source" in views:
                views = ["source"]
            out += [(name, view) for view in views]
    return list(dict.fromkeys(out))


def _of(judged: Judged, name: str, view: str) -> dict[str, dict[str, Any]]:
    """What each model has there: model → the view's figures."""
    parts = {m: d["sets"].get(name, {}).get("views", {}).get(view) for m, d in judged.documents.items()}
    return {model: part for model, part in parts.items() if part is not None}


def _space(judged: Judged, name: str, view: str) -> str:
    document = next(d for d in judged.documents.values() if name in d["sets"])
    return str(document["source"] if view == "source" else document["sets"][name]["taxonomy"])


def _bars(judged: Judged, name: str, view: str, titles: Mapping[str, str]) -> str:
    views = _of(judged, name, view)
    first = next(iter(views.values()))
    images = next(d["sets"][name]["images"] for d in judged.documents.values() if name in d["sets"])
    pixels = sum(c["truth"] for c in first["classes"]) or 1
    rows, absent = [], []
    for i, one in enumerate(first["classes"]):
        if not one["truth"]:
            absent.append(one["name"])
            continue
        rows.append(_row(judged, name, view, i, one["truth"] / pixels, titles))
    notes = []
    if not rows:
        notes.append("The ground truth of these images has no pixel of these classes, so no class has an IoU.")
    elif images < 2:
        notes.append("One image only: there are no intervals, and nothing can be said to exceed chance.")
    if absent:
        names = " ".join(f'<span data-class="{escape(n)}">{escape(n)}</span>' for n in absent)
        notes.append(f"Not in the ground truth, so without an IoU: {names}")
    lines = "".join(
        f'<p class="sub note absent">{note}</p>' if "data-class" in note else f'<p class="sub note">{note}</p>'
        for note in notes
    )
    head = f"{escape(name)}, in the classes of {escape(_space(judged, name, view))}"
    return (
        f'<section class="bars" data-set="{escape(name)}"><h3>{head}</h3>'
        f'<p class="sub">{images} image{"s" if images != 1 else ""}</p>{"".join(rows)}{lines}</section>'
    )


def _row(judged: Judged, name: str, view: str, index: int, share: float, titles: Mapping[str, str]) -> str:
    bars, changes, label, unscored = [], [], "", False
    for model, figures in _of(judged, name, view).items():
        one = figures["classes"][index]
        label, unscored = one["name"], not one.get("scored", True)
        difference = _difference(judged, model, name, view, label)
        state = "" if not difference or not difference["exceeds"] else _direction(difference["difference"])
        if state:
            changes.append(f"{state}:{model}")
        bars.append(_bar(model, titles[model], one, difference, state))
    note = ' <span class="sub">not in the mean: no class of the source implies it</span>' if unscored else ""
    return (
        f'<div class="class" data-class="{escape(label)}" data-changes="{" ".join(changes)}">'
        f'<h4>{escape(label)} <span class="sub">{_percent(share)} % of the pixels</span>{note}</h4>'
        f"<div>{''.join(bars)}</div></div>"
    )


def _difference(judged: Judged, model: str, name: str, view: str, label: str) -> dict[str, Any] | None:
    part = judged.differences.get(model, {}).get("sets", {}).get(name, {}).get("views", {}).get(view, {})
    lines: list[dict[str, Any]] = part.get("classes", [])
    return next((line for line in lines if line["name"] == label), None)


def _direction(difference: float) -> str:
    return "gained" if difference > 0 else "lost"


def _bar(model: str, title: str, one: dict[str, Any], difference: dict[str, Any] | None, state: str) -> str:
    value = one["iou"]
    if value is None:
        return f'<div class="bar {model}"><span class="track"></span><span>no IoU</span></div>'
    low, high = one["interval"]
    known = low is not None and high is not None
    whisker = f'<b style="left:{100 * low:.2f}%;width:{100 * (high - low):.2f}%"></b>' if known else ""
    told = f", 95 % interval {100 * low:.1f} to {100 * high:.1f}" if known else ", no interval"
    upper = one.get("iou_upper")
    more = f" to {100 * upper:.1f}" if upper is not None and upper - value >= 5e-4 else ""
    gain = ""
    if difference and difference["difference"] == difference["difference"]:
        low, high = difference["interval"]
        between = f" [{100 * low:+.1f}, {100 * high:+.1f}]" if low == low else ""
        gain = f' <span class="gain {state}">{100 * difference["difference"]:+.1f}{between}</span>'
    return (
        f'<div class="bar {model}" title="{escape(title)}: {100 * value:.1f}{told}">'
        f'<span class="track"><i style="width:{100 * value:.2f}%"></i>{whisker}</span>'
        f'<span><span class="sr">{escape(title)}: </span>{100 * value:.1f}{more}<span class="sr">{told}</span>{gain}'
        "</span></div>"
    )


def _percent(share: float) -> str:
    value = 100 * share
    return "&lt;0.1" if 0 < value < 0.1 else f"{value:.1f}"


def matrices(judged: Judged, titles: Mapping[str, str]) -> str:
    """The confusion matrices as JSON for a `<script>` of the page; rows as pairs of column and count, without zeros."""
    sets = []
    for name, view in _views(judged):
        views = _of(judged, name, view)
        first = next(iter(views.values()))
        counts = {
            model: [[n for j, count in enumerate(row) if count for n in (j, count)] for row in figures["matrix"][:-1]]
            for model, figures in views.items()
        }
        sets.append(
            {
                "set": name,
                "space": _space(judged, name, view),
                "names": [c["name"] for c in first["classes"]],
                "last": "void" if view == "source" else "void or ambiguous",
                "counts": counts,
            }
        )
    models = {model: titles[model] for model in judged.documents}
    text = json.dumps({"models": models, "sets": sets}, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
