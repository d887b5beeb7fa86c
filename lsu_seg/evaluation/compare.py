"""Two evaluations on the same datasets: what differs, and by more than other images would make it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lsu_seg.evaluation import bootstrap
from lsu_seg.evaluation.files import EvaluationError, read


def compare(a: Path, b: Path) -> dict[str, Any]:
    """Differences B - A per set and view, of the mean and of each class, with their 95 % interval.

    Where both have the same images, each resample draws the same images for both (`paired`): what makes an image hard
    for both cancels out. Else they are drawn independently. A difference `exceeds` if its interval leaves 0 out.

    Raises:
        EvaluationError: no evaluations; other source, sets, taxonomies or labels.
    """
    (first, arrays_a), (second, arrays_b) = read(a), read(b)
    _same(a, b, "source", first["source"], second["source"])
    _same(a, b, "sets", list(first["sets"]), list(second["sets"]))
    sets = {}
    for i, (name, one) in enumerate(first["sets"].items()):
        other = second["sets"][name]
        for key in ("taxonomy", "taxonomy_sha256"):
            _same(a, b, f"{key} of set `{name}`", one[key], other[key])
        paired = np.array_equal(arrays_a[f"keys_{i}"], arrays_b[f"keys_{i}"])
        views = {}
        for view in one["views"]:
            if view not in other["views"]:
                continue
            x, y = arrays_a[f"{view}_{i}"], arrays_b[f"{view}_{i}"]
            names = [c["name"] for c in one["views"][view].get("classes", [])]
            _same(
                a,
                b,
                f"classes of `{name}`, {view}",
                names,
                [c["name"] for c in other["views"][view].get("classes", [])],
            )
            if paired:
                differ = np.flatnonzero((x[:, 1] != y[:, 1]).reshape(len(x), -1).any(1))
                if len(differ):
                    key = arrays_a[f"keys_{i}"][differ[0]]
                    raise EvaluationError(
                        f"{a} and {b}: {len(differ)} images of set `{name}`, e.g. `{key}`, have other labels in one"
                        " than in the other; evaluate both models on the same files"
                    )
            draws = bootstrap.resample(x, i), bootstrap.resample(y, i if paired else i + 1_000_000)
            views[view] = _view(view, one["views"][view], x, y, *draws)
        sets[name] = {
            "paired": paired,
            "images": [len(arrays_a[f"keys_{i}"]), len(arrays_b[f"keys_{i}"])],
            "views": views,
        }
    return {"a": str(a), "b": str(b), "source": first["source"], "sets": sets}


def _same(a: Path, b: Path, what: str, x: Any, y: Any) -> None:
    if x != y:
        raise EvaluationError(
            f"{a} and {b} differ in the {what}: `{x}` and `{y}`; compare what was measured alike"
        )


def _view(view: str, one: dict[str, Any], x: Any, y: Any, draws_x: Any, draws_y: Any) -> dict[str, Any]:
    images = min(len(x), len(y))
    sums = x.sum(0, dtype=np.float64), y.sum(0, dtype=np.float64)
    if view == "set":
        a, b = (s[0] / s[1] if s[1] else np.nan for s in sums)
        with np.errstate(invalid="ignore", divide="ignore"):
            gap = draws_y[:, 0] / draws_y[:, 1] - draws_x[:, 0] / draws_x[:, 1]
        return _line("set consistency", a, b, bootstrap.interval(gap, images))
    scored = np.array([c.get("scored", True) for c in one["classes"]])
    per_a, per_b = bootstrap.iou(sums[0]), bootstrap.iou(sums[1])
    per_x, per_y = bootstrap.iou(draws_x), bootstrap.iou(draws_y)
    mean = _line(
        "mIoU",
        bootstrap.mean(per_a, scored),
        bootstrap.mean(per_b, scored),
        bootstrap.interval(bootstrap.mean(per_y, scored) - bootstrap.mean(per_x, scored), images),
    )
    low, high = bootstrap.interval(per_y - per_x, images)
    lines = [_line(c["name"], per_a[i], per_b[i], (low[i], high[i])) for i, c in enumerate(one["classes"])]
    return mean | {"classes": [line for line in lines if np.isfinite([line["a"], line["b"]]).any()]}


def _line(name: str, a: Any, b: Any, interval: Any) -> dict[str, Any]:
    low, high = map(float, interval)
    return {
        "name": name,
        "a": float(a),
        "b": float(b),
        "difference": float(b) - float(a),
        "interval": [low, high],
        "exceeds": bool(low > 0 or high < 0),
    }


def as_text(result: dict[str, Any]) -> str:
    """A table per set and view, in percent; `*` marks differences that exceed their interval."""
    out = [f"A {result['a']}", f"B {result['b']}"]
    for name, part in result["sets"].items():
        n, m = part["images"]
        how = f"{n} images, paired" if part["paired"] else f"{n} and {m} images, other ones: not paired"
        for view, values in part["views"].items():
            lines = [values, *values.get("classes", [])]
            width = max(len(line["name"]) for line in lines)
            out += ["", f"{name}, {view} ({how})", f"  {'':{width}} {'A':>6} {'B':>6} {'B-A':>6}  95 %"]
            for line in lines:
                low, high = line["interval"]
                cells = " ".join(f"{100 * line[k]:6.1f}" for k in ("a", "b"))
                mark = "  *" if line["exceeds"] else ""
                out.append(
                    f"  {line['name']:{width}} {cells} {100 * line['difference']:+6.1f}"
                    f"  [{100 * low:+.1f}, {100 * high:+.1f}]{mark}"
                )
    return "\n".join([*out, "", "* exceeds what other images would make of it (95 %, bootstrap over images)"])
