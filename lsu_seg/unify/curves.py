"""Training curves of the stages, from what mmengine has logged, as pictures that need no script."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from lsu_onto import open_to_read
from lsu_seg.runtime.lines import read_line

FIGURES = {"loss": "loss", "lr": "learning rate", "miou": "mIoU on the validation set, in percent"}
_WIDTH, _HEIGHT = 360, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 10, 30
_TICKS = 4
_FEW = 12  # with up to this many points, each is marked; a single one would show no line

Points = list[tuple[int, float]]


@dataclass
class Curve:
    """What a training has logged: points (iteration, value) of each of `FIGURES`.

    Attributes:
        problem: why there are none.
    """

    points: dict[str, Points] = field(default_factory=lambda: {name: [] for name in FIGURES})
    problem: str = ""


def read_curve(folder: Path) -> Curve:
    """The curve of a training in its work folder, through all interruptions: what was trained again counts once."""
    logs = sorted(folder.glob("*/vis_data/scalars.json"))
    curve = Curve()
    for log in logs:
        run = Curve()
        _read(log, run)
        begins = min((points[0][0] for points in run.points.values() if points), default=None)
        for name, points in run.points.items():
            kept = [p for p in curve.points[name] if begins is None or p[0] < begins]
            curve.points[name] = kept + points
    if not logs:
        curve.problem = "no log of figures (mmengine's LocalVisBackend writes it)"
    elif not any(curve.points.values()):
        curve.problem = "the log has no figures: the training was shorter than the logger's interval"
    return curve


def _read(log: Path, curve: Curve) -> None:
    epochs: dict[int, int] = {}
    for line in _lines(log):
        iteration, step = line.get("iter"), line.get("step")
        if isinstance(iteration, int):
            if isinstance(line.get("epoch"), int):
                epochs[line["epoch"]] = iteration
            for name in ("loss", "lr"):
                _add(curve.points[name], iteration, line.get(name))
        elif isinstance(step, int):  # a validation; with epochs, mmengine counts it by them
            value = line.get("source/mIoU")
            if value is None and isinstance(line.get("mIoU"), (int, float)):
                value = line["mIoU"] / 100  # of MMSegmentation's IoUMetric
            _add(curve.points["miou"], epochs.get(step, step) if epochs else step, value)


def _add(points: Points, iteration: int, value: Any) -> None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        points.append((iteration, float(value)))


def _lines(log: Path) -> Iterator[dict[str, Any]]:
    with open_to_read(log) as file:
        for line in file.read().decode("utf-8", "replace").splitlines():
            try:
                value = read_line(line)
            except ValueError:
                continue  # cut off where the training was killed
            if isinstance(value, dict):
                yield value


def section(curves: Mapping[str, Curve], titles: Mapping[str, str]) -> str:
    """A chart of each figure, with a line per stage; then which stages have none, and why."""
    charts = [
        _chart(name, {s: c.points[name] for s, c in curves.items() if c.points[name]}, titles) for name in FIGURES
    ]
    notes = [f"{titles[stage]}: {curve.problem}." for stage, curve in curves.items() if curve.problem]
    for stage, curve in curves.items():
        lost = [name for name in ("loss", "lr") if any(not math.isfinite(v) for _, v in curve.points[name])]
        notes += [f"{titles[stage]}: {FIGURES[name]} is not a number in places: the line has gaps." for name in lost]
    if not any(curve.points["miou"] for curve in curves.values()) and any(charts):
        notes.append("No training has logged a validation, so there is no curve of mIoU.")
    lines = "".join(f'<p class="sub note">{escape(note)}</p>' for note in notes)
    return f'<div class="charts">{"".join(charts)}</div>{lines}'


def _chart(name: str, series: Mapping[str, Points], titles: Mapping[str, str]) -> str:
    scale = 100 if name == "miou" else 1
    lines = {s: [(x, y * scale) for x, y in points] for s, points in series.items()}
    finite = [(x, y) for points in lines.values() for x, y in points if math.isfinite(y)]
    if not finite:
        return ""
    top, last = max(y for _, y in finite), max(x for x, _ in finite)
    low = min(0.0, *(y for _, y in finite))
    ys, xs = _ticks(low, top), _ticks(0, last)
    high = max(top, ys[-1], low + 1e-12)
    wide = _WIDTH - _LEFT - _RIGHT

    def at_x(x: float) -> float:
        return _LEFT + wide * x / (last or 1)

    def at_y(y: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * (y - low) / (high - low)

    parts = [
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at_y(y):.1f}" y2="{at_y(y):.1f}"/>'
        f'<text x="{_LEFT - 5}" y="{at_y(y) + 4:.1f}" text-anchor="end">{y:g}</text>'
        for y in ys
    ]
    parts += [f'<text x="{at_x(x):.1f}" y="{_HEIGHT - 12}" text-anchor="middle">{x:g}</text>' for x in xs]
    parts.append(f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 1}" text-anchor="end">iteration</text>')
    for stage, points in lines.items():
        for piece in _pieces(points):
            where = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in piece)
            parts.append(f'<polyline class="line {stage}" points="{where}"/>')
            if len(piece) <= _FEW:
                parts += [f'<circle class="{stage}" cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="2.5"/>' for x, y in piece]
    parts.append(f'<line class="cursor" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" x1="-9" x2="-9"/>')
    data = {
        "left": _LEFT,
        "width": wide,
        "last": last or 1,
        "lines": [[titles[s], [[x, float(f"{y:.4g}")] for x, y in p if math.isfinite(y)]] for s, p in lines.items()],
    }
    summary = escape(_summary(name, lines, titles))
    return (
        f'<figure class="chart"><figcaption>{escape(FIGURES[name])}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" tabindex="0" role="img" aria-label="{summary}"'
        f' data-chart="{escape(json.dumps(data))}">{"".join(parts)}</svg><output aria-live="polite"></output></figure>'
    )


def _summary(name: str, lines: Mapping[str, Points], titles: Mapping[str, str]) -> str:
    parts = []
    for stage, points in lines.items():
        finite = [p for p in points if math.isfinite(p[1])]
        if finite:
            (x, y), (end, value) = finite[0], finite[-1]
            begins = f"{y:.3g} at iteration {x}, " if len(finite) > 1 else ""
            parts.append(f"{titles[stage]}: {begins}{value:.3g} at iteration {end}")
    return f"{FIGURES[name]} by iteration. {'; '.join(parts)}"


def _pieces(points: Points) -> Iterator[Points]:
    """The stretches of a line between values that are not numbers."""
    piece: Points = []
    for point in [*points, (0, math.nan)]:
        if math.isfinite(point[1]):
            piece.append(point)
        elif piece:
            yield piece
            piece = []


def _ticks(low: float, high: float) -> Sequence[float]:
    """A few round numbers over a range.

    >>> _ticks(0, 700), _ticks(0, 0.019)
    ([0, 200, 400, 600], [0.0, 0.005, 0.01, 0.015])
    """
    step = _round_up((high - low) / _TICKS) if high > low else 1.0
    first = math.ceil(low / step - 1e-9)
    out: Iterable[float] = (step * i for i in range(first, math.floor(high / step + 1e-9) + 1))
    return [int(x) if step >= 1 else round(x, 12) for x in out]


def _round_up(step: float) -> float:
    """The next of 1, 2, 5, 10, …"""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * f for f in (1, 2, 5, 10) if power * f >= step * (1 - 1e-9))
