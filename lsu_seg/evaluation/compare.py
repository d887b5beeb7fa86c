"""Compare two evaluations on the same datasets: the differences, and whether they exceed the image sampling error."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_seg.evaluation import bootstrap
from lsu_seg.evaluation.errors import EvaluationError
from lsu_seg.evaluation.files import read

_Draws = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Resampled sums of a view, for A and for B."""


def compare(a: Path, b: Path) -> dict[str, Any]:
    """Differences B - A per set and view, of the mean and of each class, with their 95 % intervals.

    If both evaluations have the same images, each resample draws the same images for both (`paired`), so that
    difficulty common to both cancels out. Otherwise the draws are independent. A difference `exceeds` if its interval
    excludes 0.

    The metrics are those of the JSON files; undefined values are NaN. Intervals need the sums per image beside them: if
    a `.npz` is `missing`, intervals are NaN, and `paired` and `exceeds` are None.

    Raises:
        EvaluationError: a file is not an evaluation; source, sets, taxonomies or labels differ.
    """
    (first, arrays_a), (second, arrays_b) = read(a), read(b)
    _same(a, b, "source", first["source"], second["source"])
    _same(a, b, "sets", list(first["sets"]), list(second["sets"]))
    sets, drawn = {}, []
    for i, (name, one) in enumerate(first["sets"].items()):
        other = second["sets"][name]
        for key in ("taxonomy", "taxonomy_sha256"):
            _same(a, b, f"{key} of set `{name}`", one[key], other[key])
        views = [view for view in one["views"] if view in other["views"]]
        _same_classes(a, b, f"`{name}`", views, one, other)
        paired, draws = None, {}
        if arrays_a is not None and arrays_b is not None:
            paired = np.array_equal(arrays_a[f"keys_{i}"], arrays_b[f"keys_{i}"])
            if paired:
                _same_labels(a, b, name, i, views, arrays_a, arrays_b)
            stream = i if paired else i + 1_000_000
            for view in views:
                x, y = arrays_a[f"{view}_{i}"], arrays_b[f"{view}_{i}"]
                draws[view] = bootstrap.resample(x, i), bootstrap.resample(y, stream)
            if f"groups_{i}" in arrays_a and f"groups_{i}" in arrays_b:
                x, y = arrays_a[f"groups_{i}"], arrays_b[f"groups_{i}"]
                draws["groups"] = bootstrap.resample(x, i), bootstrap.resample(y, stream)
        drawn.append(draws)
        sets[name] = {"paired": paired} | _part(one, other, views, draws)
    result = {"a": str(a), "b": str(b), "source": first["source"], "sets": sets}
    if len(sets) > 1:
        one, other = first["pooled"], second["pooled"]
        views = [view for view in one["views"] if view in other["views"]]
        _same_classes(a, b, "the pooled sets", views, one, other)
        # of sets whose groups differ, none are pooled
        grouped = ["groups"] if all("groups" in part["views"].get("source", {}) for part in (one, other)) else []
        total = {v: _sum([d[v] for d in drawn]) for v in [*views, *grouped] if all(v in d for d in drawn)}
        result["pooled"] = _part(one, other, views, total)
    missing = [p.with_suffix(".npz") for p, arrays in ((a, arrays_a), (b, arrays_b)) if arrays is None]
    return result | {"missing": [str(p) for p in missing]}


def _same(a: Path, b: Path, what: str, x: object, y: object) -> None:
    if x != y:
        raise EvaluationError(f"{a} and {b} differ in the {what}: `{x}` and `{y}`; compare what was measured alike")


def _same_classes(a: Path, b: Path, of: str, views: list[str], one: dict[str, Any], other: dict[str, Any]) -> None:
    for view in views:
        names = ([c["name"] for c in part["views"][view].get("classes", [])] for part in (one, other))
        _same(a, b, f"classes of {of}, {view}", *names)


def _same_labels(
    a: Path, b: Path, name: str, i: int, views: list[str], one: dict[str, Any], other: dict[str, Any]
) -> None:
    for view in views:
        x, y = one[f"{view}_{i}"], other[f"{view}_{i}"]
        differ = np.flatnonzero((x[:, 1] != y[:, 1]).reshape(len(x), -1).any(1))
        if len(differ):
            raise EvaluationError(
                f"{a} and {b}: {len(differ)} images of set `{name}`, e.g. `{one[f'keys_{i}'][differ[0]]}`, have other"
                " labels in one than in the other; evaluate both models on the same files"
            )


def _sum(draws: list[_Draws]) -> _Draws:
    return np.sum([x for x, _ in draws], axis=0), np.sum([y for _, y in draws], axis=0)


def _part(one: dict[str, Any], other: dict[str, Any], views: list[str], draws: dict[str, _Draws]) -> dict[str, Any]:
    images = [one["images"], other["images"]]
    pairs = {view: (one["views"][view], other["views"][view]) for view in views}
    return {
        "images": images,
        "views": {
            v: _view(v, *pair, draws.get(v), min(images)) | _groups(v, *pair, draws.get("groups"), min(images))
            for v, pair in pairs.items()
        },
    }


def _groups(view: str, one: dict[str, Any], other: dict[str, Any], draws: _Draws | None, images: int) -> dict[str, Any]:
    """The groups of the source, if both evaluations have the same."""
    groups = [part.get("groups", []) for part in (one, other)]
    members = [[(g["name"], g.get("classes")) for g in part] for part in groups]
    if view != "source" or not members[0] or members[0] != members[1]:
        return {}
    one, other = ({"miou": None, "classes": part} for part in groups)
    return {"groups": _view(view, one, other, draws, images)["classes"]}


def _view(view: str, one: dict[str, Any], other: dict[str, Any], draws: _Draws | None, images: int) -> dict[str, Any]:
    def interval(figure: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> NDArray[np.float64]:
        if draws is None:
            return np.full((2, 1), np.nan)
        return bootstrap.interval(figure(draws[1]) - figure(draws[0]), images)

    if view == "set":
        low, high = interval(_share).flat
        return _line("set consistency", one["consistency"], other["consistency"], (low, high))
    scored = np.array([c.get("scored", True) for c in one["classes"]])
    low, high = interval(lambda sums: bootstrap.mean(bootstrap.iou(sums), scored)).flat
    mean = _line("mIoU", one["miou"], other["miou"], (low, high))
    low, high = np.broadcast_to(interval(bootstrap.iou), (2, len(scored)))
    lines = [
        _line(c["name"], c["iou"], d["iou"], (low[i], high[i]))
        for i, (c, d) in enumerate(zip(one["classes"], other["classes"], strict=True))
        if c["iou"] is not None or d["iou"] is not None
    ]
    return mean | {"classes": lines}


def _share(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    hits, pixels = sums.T
    share: NDArray[np.float64] = np.divide(hits, pixels, out=np.full(len(hits), np.nan), where=pixels > 0)
    return share


def _line(name: str, a: float | None, b: float | None, interval: Iterable[float]) -> dict[str, Any]:
    a, b = (math.nan if x is None else x for x in (a, b))
    low, high = map(float, interval)
    return {
        "name": name,
        "a": a,
        "b": b,
        "difference": b - a,
        "interval": [low, high],
        "exceeds": None if math.isnan(low) else low > 0 or high < 0,
    }


def as_text(result: dict[str, Any]) -> str:
    """A table per set and view, in percent; `*` marks differences whose interval excludes 0."""
    out = [f"A {result['a']}", f"B {result['b']}"]
    pooled = {"pooled": result["pooled"]} if "pooled" in result else {}
    for name, part in (result["sets"] | pooled).items():
        n, m = part["images"]
        pairing = {True: ", paired", False: ", other ones: not paired", None: ""}[part.get("paired")]
        count = f"{n} images" if n == m else f"{n} and {m} images"
        tables: dict[str, list[str]] = {}
        for view, values in part["views"].items():
            tables[view] = _table(values, bool(result["missing"]))
            title = f"{name}, {view} ({count}{pairing})"
            if view == "projected" and tables[view] == tables.get("source"):
                out += ["", f"{title}: as in source"]  # a dataset in the source taxonomy
            else:
                out += ["", title, *tables[view]]
            if values.get("groups"):
                out += ["", f"{name}, groups of {result['source']}", *_table(values["groups"], bool(result["missing"]))]
    end = "percent; * exceeds what other images would make of it (95 %, bootstrap over images)"
    if result["missing"]:
        missing = " and ".join(result["missing"])
        end = (
            f"no intervals: {missing} {'is' if len(result['missing']) == 1 else 'are'} missing, the sums per image that"
            " `lsu-seg evaluate` writes; put them beside the JSON and compare again"
        )
    return "\n".join([*out, "", end])


def _table(values: dict[str, Any] | list[dict[str, Any]], bare: bool) -> list[str]:
    """The lines of a view, or of groups. bare: no intervals."""
    lines = values if isinstance(values, list) else [values, *values.get("classes", [])]
    width = max(len(line["name"]) for line in lines)
    out = [f"  {'':{width}} {'A':>6} {'B':>6} {'B-A':>6}" + ("" if bare else "  95 %")]
    for line in lines:
        low, high = line["interval"]
        cells = " ".join(_percent(line[k], "") for k in ("a", "b"))
        between = "" if math.isnan(low) else f"  [{100 * low:+.1f}, {100 * high:+.1f}]"
        mark = "  *" if line["exceeds"] else ""
        out.append(f"  {line['name']:{width}} {cells} {_percent(line['difference'], '+')}{between}{mark}")
    return out


def _percent(value: float, sign: str) -> str:
    return f"{'-':>6}" if math.isnan(value) else f"{100 * value:{sign}6.1f}"
