"""The folder of an evaluation: `evaluation.json`, `.npz` with the sums per image, `classes.csv`, pictures, diagrams."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lsu_onto import make_folder, open_to_read, uninterrupted, write_atomic
from lsu_seg.evaluation.document import FORMAT
from lsu_seg.evaluation.errors import EvaluationError
from lsu_seg.evaluation.measured import Measured
from lsu_seg.evaluation.picture import confusion_picture
from lsu_seg.evaluation.reliability_svg import reliability_svg
from lsu_seg.evaluation.stored import problem

COLUMNS = ("set", "view", "class", "iou", "low", "high", "iou_upper", "scored", "hits", "truth", "predicted")


def write(folder: Path, document: dict[str, Any], measured: Mapping[str, Measured]) -> None:
    """Write the folder; the JSON comes last, so that its presence means that the folder is complete."""
    _put(folder, _pictures(document, measured) | _numbers(document, measured))


def write_figures(folder: Path, document: dict[str, Any], measured: Mapping[str, Measured]) -> None:
    """What `write` writes, without the pictures, which are of what the JSON has as numbers."""
    _put(folder, _numbers(document, measured))


def _put(folder: Path, content: Mapping[str, bytes]) -> None:
    make_folder(folder)
    with uninterrupted():  # drawing takes seconds, and Ctrl-C there leaves an earlier evaluation as it was
        for name, data in content.items():
            write_atomic(folder / name, data)


def _numbers(document: dict[str, Any], measured: Mapping[str, Measured]) -> dict[str, bytes]:
    arrays: dict[str, Any] = {}
    for i, m in enumerate(measured.values()):
        arrays[f"keys_{i}"] = np.array(m.keys, dtype=str)
        arrays |= {f"{view}_{i}": sums for view, sums in m.sums.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return {
        "evaluation.npz": buffer.getvalue(),
        "classes.csv": as_csv(document).encode("utf-8", "backslashreplace"),
        "evaluation.json": as_json(document).encode("utf-8", "backslashreplace"),
    }


def _pictures(document: dict[str, Any], measured: Mapping[str, Measured]) -> dict[str, bytes]:
    out = {}
    for name, m in measured.items():
        for view in (v for v in m.views if v != "set"):
            title = f"{name}: truth and prediction, {m.space(view)}"
            last = "void" if view == "source" else "void or ambiguous"
            drawn = confusion_picture(m.matrix(view).numpy(), m.names(view), title, last)
            out[f"confusion_{_safe(name)}_{view}.png"] = drawn
    for name, part in document["sets"].items():
        if reliability := part["views"].get("source", {}).get("reliability"):
            diagram = reliability_svg(reliability, f"{name}: confidence")
            out[f"reliability_{_safe(name)}.svg"] = diagram.encode("utf-8", "backslashreplace")
    return out


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name)


def as_json(value: Any) -> str:
    """JSON with undefined numbers as null and lists of numbers on one line."""
    text = json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False)
    return re.sub(r"\[[\d.,\s\-enul+]*\]", lambda m: re.sub(r"\s+", " ", m[0]), text) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def as_csv(document: dict[str, Any]) -> str:
    """One line per set, view and class, and of the groups of the source; undefined values are empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, part in [*document["sets"].items(), ("(pooled)", document["pooled"])]:
        for view, values in part["views"].items():
            for c in _plain(values.get("classes", [])):
                low, high = c["interval"]
                line = [c["name"], c["iou"], low, high, c.get("iou_upper"), c.get("scored")]
                writer.writerow([name, view, *line, c["hits"], c["truth"], c["predicted"]])
            for g in _plain(values.get("groups", [])):
                line = [g["name"], g["iou"], *g["interval"], None, None, g["hits"], g["truth"], g["predicted"]]
                writer.writerow([name, "groups", *line])
    return out.getvalue()


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """An `evaluation.json`, and the arrays beside it, or None if there are none.

    Raises:
        EvaluationError: the file is not an evaluation, or the arrays belong to another one.
    """
    try:
        with open_to_read(path) as text:
            document = json.loads(text.read().decode())
    except (ValueError, RecursionError, OSError) as e:
        raise EvaluationError(f"{path}: cannot be read as JSON ({e}); expected what `lsu-seg evaluate` wrote") from e
    if not isinstance(document, dict) or document.get("format") != FORMAT or "sets" not in document:
        raise EvaluationError(
            f"{path}: found no evaluation of format {FORMAT}; expected the `evaluation.json` of `lsu-seg evaluate`"
        )
    if where := problem(document):
        raise EvaluationError(
            f"{path}: is not as `lsu-seg evaluate` wrote it: {where}; copy it again from where that came from, or"
            " evaluate again"
        )
    arrays = path.with_suffix(".npz")
    if not arrays.exists():
        return document, None
    advice = (
        f"it has the sums per image of {path.name}; copy it again from where that came from, or evaluate again"
        " (without it, `compare` shows differences without intervals)"
    )
    try:
        # Opened here: np.load leaves a file open that is no archive.
        with open_to_read(arrays) as file, np.load(file, allow_pickle=False) as archive:
            sums = {name: np.asarray(array) for name, array in archive.items()}  # of a damaged one, its bytes
    except MemoryError:
        raise
    except Exception as e:  # numpy, zipfile and zlib raise what they like at damaged bytes
        raise EvaluationError(f"{arrays}: cannot be read ({e}); {advice}") from e
    if not _belongs(document, sums):
        raise EvaluationError(f"{arrays}: is of another evaluation than {path.name}; {advice}")
    return document, sums


def _belongs(document: dict[str, Any], arrays: dict[str, Any]) -> bool:
    """Whether the sums per image add up to the metrics: a folder can contain files of two runs."""
    for i, part in enumerate(document["sets"].values()):
        images = part["images"]
        keys = arrays.get(f"keys_{i}")
        if keys is None or keys.shape != (images,) or keys.dtype.kind != "U":
            return False
        for view, values in part["views"].items():
            shape = (images, 2) if view == "set" else (images, 3, len(values["classes"]))
            sums = arrays.get(f"{view}_{i}")
            if sums is None or sums.shape != shape or sums.dtype.kind != "i":
                return False
            total = sums.sum(0, dtype=np.int64).tolist()
            if view == "set":
                share = total[0] / total[1] if total[1] else None
                if total[1] != values["pixels"] or share != values["consistency"]:
                    return False
            elif total != _figures(values["classes"]):
                return False
            if groups := values.get("groups", []):
                sums = arrays.get(f"groups_{i}")
                if sums is None or sums.shape != (images, 3, len(groups)) or sums.dtype.kind != "i":
                    return False
                if sums.sum(0, dtype=np.int64).tolist() != _figures(groups):
                    return False
    return True


def _figures(classes: list[dict[str, Any]]) -> list[list[int]]:
    return [[c[k] for c in classes] for k in ("hits", "truth", "predicted")]
