"""What the judges found, as plain values and as Markdown: figures with intervals, differences, and classes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lsu_seg.evaluation.compare import compare
from lsu_seg.evaluation.files import read

VIEWS = {"bdd100k": "source", "camvid_val": "projected", "a2d2": "source", "cityscapes": "source"}
"""Set → the view that judges it: CamVid's val split in its eleven classes, the others in Cityscapes' nineteen."""
AGAINST = ("teacher", "raw")


def results(
    work: Path,
    seeds: Sequence[int],
    names: Sequence[str],
    views: Mapping[str, str] = VIEWS,
    against: Sequence[str] = AGAINST,
) -> dict[str, Any]:
    """Model → seed → set → mIoU, its interval, the IoU of each class, and the differences from others.

    Args:
        names: the models; where `teacher` is none of them, all seeds have the one in `work/teacher`.
        views: like VIEWS. against: the models that the others are compared with.
    """
    paths = {} if "teacher" in names else {"teacher": {"": work / "teacher/evaluation/evaluation.json"}}
    for name in names:
        paths[name] = {str(s): work / f"seed{s}/{name}/judged/evaluation/evaluation.json" for s in seeds}
    models: dict[str, Any] = {}
    for name, of_seeds in paths.items():
        models[name] = {seed: _figures(path, views) for seed, path in of_seeds.items()}
        if name == "teacher":
            continue
        for seed, path in of_seeds.items():
            for other in against:
                before = paths.get(other, {}).get(seed, paths.get(other, {}).get(""))
                if before is None or other == name:
                    continue
                for key, part in compare(before, path)["sets"].items():
                    line = part["views"][views[key]]
                    kept = ("difference", "interval", "exceeds")
                    models[name][seed][key][f"against_{other}"] = _plain({k: line[k] for k in kept})
    return {"settings": {"seeds": list(seeds)}, "models": models}


def _plain(value: Any) -> Any:
    """Without NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _figures(path: Path, views: Mapping[str, str]) -> dict[str, Any]:
    found, _ = read(path)
    out = {}
    for key, view in views.items():
        part = found["sets"][key]["views"][view]
        out[key] = {
            "miou": part["miou"],
            "interval": part["interval"],
            "classes": {c["name"]: c["iou"] for c in part["classes"] if c["iou"] is not None},
            "pixels": {c["name"]: c["truth"] for c in part["classes"] if c["truth"]},
        }
        if "set" in found["sets"][key]["views"]:
            out[key]["consistency"] = found["sets"][key]["views"]["set"]["consistency"]
    return out


def page(results: dict[str, Any]) -> str:
    """The results in Markdown: a table of figures and differences, and one of classes for each judge."""
    models = results["models"]
    views = list(next(iter(models["teacher"].values())))
    against = dict.fromkeys(
        key.removeprefix("against_")
        for seeds in models.values()
        for figures in next(iter(seeds.values())).values()
        for key in figures
        if key.startswith("against_")
    )
    parts = [_figure_table(models, views), _difference_table(models, views, list(against))]
    parts += [f"IoU on {key}\n\n{_class_table(models, key)}" for key in views]
    return "\n\n".join(parts) + "\n"


def _figure_table(models: dict[str, Any], views: Sequence[str]) -> str:
    rows = [["mIoU, mean of the seeds [95 % over images, first seed]", *views]]
    for name, seeds in models.items():
        first = next(iter(seeds.values()))
        cells = []
        for key in views:
            mean = statistics.mean(100 * s[key]["miou"] for s in seeds.values())
            low, high = first[key]["interval"]
            interval = "" if low is None else f" [{100 * low:.0f}, {100 * high:.0f}]"
            each = ", ".join(f"{100 * s[key]['miou']:.1f}" for s in seeds.values())
            cells.append(f"{mean:.1f}{interval}" + (f" ({each})" if len(seeds) > 1 else ""))
        rows.append([name, *cells])
    return _table(rows)


def _difference_table(models: dict[str, Any], views: Sequence[str], against: Sequence[str]) -> str:
    rows = [["against", "model", *views]]
    for other in against:
        for name, seeds in models.items():
            lines = {key: [s[key].get(f"against_{other}") for s in seeds.values()] for key in views}
            if any(line is None for of_set in lines.values() for line in of_set):
                continue
            rows.append([other, name, *(" ".join(map(_difference, of_set)) for of_set in lines.values())])
    return _table(rows)


def _difference(line: dict[str, Any]) -> str:
    """`+1.2*`: the star, if the interval over images excludes 0."""
    return f"{100 * line['difference']:+.1f}{'*' if line['exceeds'] else ''}"


def _class_table(models: dict[str, Any], key: str) -> str:
    classes = list(next(iter(models["teacher"].values()))[key]["classes"])
    rows = [["", *classes]]
    for name, seeds in models.items():
        means = [statistics.mean(100 * s[key]["classes"].get(c, 0.0) for s in seeds.values()) for c in classes]
        rows.append([name, *(f"{m:.0f}" for m in means)])
    return _table(rows)


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|---" + "|---:" * (len(rows[0]) - 1) + "|", *body])
