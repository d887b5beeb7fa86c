"""The report of a `unify` run: a table for the terminal and a page with pictures."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

import lsu_onto
from lsu_onto import Constraint, write_atomic
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.data.transforms import LoadTaxImage
from lsu_seg.label_files import LabelReader
from lsu_seg.label_files.annotation import channel_constraint
from lsu_seg.training.panels import paint

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
_SHOWN = 4  # pictures per extra dataset
_WIDTH = 420  # of a picture on the page, in pixels


# --- figures -----------------------------------------------------------------------------------------------


def rows(results: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of models: mIoU in percent, and the difference from the teacher."""
    sets = list(results["teacher"])
    out = []
    for model, title in _models(results).items():
        line = [title]
        for name in sets:
            miou, base = results[model][name]["miou"], results["teacher"][name]["miou"]
            line.append(f"{miou:.1%}" + (f" ({(miou - base) * 100:+.1f})" if model != "teacher" else ""))
        out.append(line)
    return ["mIoU", *sets], out


def _models(results: dict[str, Any]) -> dict[str, str]:
    return {model: title for model, title in MODELS.items() if model in results}


def view_rows(results: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the other two views: the dataset's own taxonomy (lower to upper), and consistency."""
    sets = [n for n, m in results["teacher"].items() if "set/consistency" in m]
    out = []
    for model, title in _models(results).items():
        line = [title]
        for name in sets:
            m = results[model][name]
            low, high = m["projected/mIoU"], m["projected/mIoU_upper"]
            line.append(f"{low:.1%}" if high - low < 5e-4 else f"{low:.1%} to {high:.1%}")
            line.append(f"{m['set/consistency']:.1%}")
        out.append(line)
    head = [text for n in sets for text in (f"{n}: mIoU in its taxonomy", f"{n}: pixels in S(d)")]
    return ["other views", *head], out


def group_rows(results: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the IoU of the source's groups, with intervals; only the header if it has none."""
    models = _models(results)
    body = []
    for name, figures in results["teacher"].items():
        for group in (g["name"] for g in figures.get("groups", [])):
            found = [{g["name"]: g for g in results[m][name].get("groups", [])}.get(group) for m in models]
            body.append([f"{name}: {group}", *(_with_interval(g) if g else "" for g in found)])
    return ["IoU of a group", *(models.values() if body else ())], body


def _with_interval(group: dict[str, Any]) -> str:
    low, high = group["interval"]
    return f"{group['iou']:.1%}" + (f" [{100 * low:.1f}, {100 * high:.1f}]" if np.isfinite([low, high]).all() else "")


def label_rows(results: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of pseudo-labels."""
    scores = results["pseudo_labels"]
    names = list(scores["constrained"])
    out = [[f"{kind} pseudo-labels", *(f"{scores[kind][n]['miou']:.1%}" for n in names)] for kind in scores]
    return ["mIoU of the labels", *names], out


def table(results: dict[str, Any]) -> str:
    """The tables as text."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=120)
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


@dataclass(frozen=True)
class Shown:
    """An extra dataset, and what was made of its labels.

    Attributes:
        folders: of pseudo-labels, by kind.
        learned: the dataset as the set-valued student has it, if there is one.
    """

    name: str
    dataset: TaxDataset
    folders: dict[str, Path]
    learned: TaxDataset | None


def write(folder: Path, title: str, results: dict[str, Any], datasets: Sequence[Shown]) -> Path:
    """Write `index.html` into a folder, with its pictures beside it; returns its path."""
    lsu_onto.make_folder(folder / "pictures")
    tables = (rows, view_rows, group_rows, label_rows)
    parts = [_grid(*each(results)) for each in tables]
    for shown in datasets:
        parts += [f"<h2>{html.escape(shown.name)}</h2>", _pictures(shown, folder), _ontology(shown.dataset, folder)]
    page = _PAGE.format(
        title=html.escape(f"{title}: label-space unification"),
        intro="What the ground truth allows, the teacher decides: raw teacher against constrained pseudo-labels.",
        body="\n".join(parts),
        settings=html.escape(str(results["settings"])),
    )
    write_atomic(folder / "index.html", page.encode("utf-8", "backslashreplace"))
    return folder / "index.html"


def _grid(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    if len(header) == 1:
        return ""
    head = "".join(f"<th>{html.escape(h)}</th>" for h in header)
    lines = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in line) + "</tr>" for line in body)
    return f"<table><tr>{head}</tr>{lines}</table>"


def _pictures(shown: Shown, folder: Path) -> str:
    dataset, c = shown.dataset, shown.dataset.constraint
    own = LabelReader(c, root=dataset.data_root, split=dataset.split)
    channels = LabelReader(channel_constraint(c))
    load = LoadTaxImage().transform
    indices = np.linspace(0, len(dataset) - 1, min(_SHOWN, len(dataset))).astype(int)
    lines = []
    for number, i in enumerate(indices):
        info = dataset.get_data_info(int(i))
        image = load(info | {"image_bits": c.layout.image_bits})["img"][..., ::-1]  # as the models see it
        rows = own.rows(info["seg_map_path"])
        columns = [image, paint(rows, c.palette)]
        for labels in shown.folders.values():
            columns.append(paint(channels.rows(labels / f"{info['key']}.png"), c.source_palette))
        if shown.learned:
            columns.append(_paint_targets(*shown.learned.targets(int(i)), c.source_palette))
        cells = ""
        for column, pixels in enumerate(columns):
            file = folder / "pictures" / f"{shown.name}_{number}_{column}.png"
            buffer = io.BytesIO()
            _scaled(pixels, smooth=column == 0).save(buffer, "PNG")
            write_atomic(file, buffer.getvalue())
            cells += f'<td><img src="pictures/{file.name}" alt=""></td>'
        lines.append(f"<tr>{cells}</tr>")
    titles = {"raw": "raw teacher", "constrained": "constrained pseudo-label"}
    heads = ["image", f"ground truth, {c.dataset}", *(f"{titles[kind]}, {c.source}" for kind in shown.folders)]
    if shown.learned:
        heads.append(f"what the set-valued student learns, {c.source}; white: one of S(d)")
    head = "".join(f"<th>{html.escape(h)}</th>" for h in heads)
    return f'<table class="pictures"><tr>{head}</tr>{"".join(lines)}</table>{_legends(c)}'


def _paint_targets(
    classes: NDArray[np.int64], of_set: NDArray[np.bool_], palette: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """What `TaxDataset.targets` gives: classes in their colours, sets white, void black."""
    hard = np.where(classes < len(palette), classes, -1).astype(np.int16)
    return np.where(of_set[..., None], np.uint8(255), paint(hard, palette))


def _scaled(pixels: NDArray[np.uint8], smooth: bool) -> Image.Image:
    image = Image.fromarray(pixels)
    size = (_WIDTH, round(image.height * _WIDTH / image.width))
    return image.resize(size, Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST)


def _legends(c: Constraint) -> str:
    def chips(names: Sequence[str], palette: NDArray[np.uint8]) -> str:
        return " ".join(
            f'<span class="chip"><i style="background:#{colour.tobytes().hex()}"></i>{html.escape(n)}</span>'
            for n, colour in zip(names, palette, strict=True)
        )

    return (
        f"<p>{html.escape(c.dataset)}: {chips(c.classes, c.palette)}<br>"
        f"{html.escape(c.source)}: {chips(c.source_classes, c.source_palette)} "
        '<span class="chip"><i style="background:#000"></i>void</span></p>'
    )


def _ontology(dataset: TaxDataset, folder: Path) -> str:
    file = folder / "pictures" / f"{dataset.constraint.dataset}.svg"
    try:
        lsu_onto.draw(dataset.taxonomy, file, source=dataset.constraint.source, paths=dataset.paths)
    except ValueError as e:  # the page is worth having without the drawing
        return f"<p>The ontology is not drawn here: {html.escape(str(e))}</p>"
    image = f'<img class="ontology" src="pictures/{file.name}" alt="ontology">'
    return f"<details open><summary>ontology</summary>{image}</details>"


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1800px; padding: 0 1rem; color: #222; }}
table {{ border-collapse: collapse; margin: 1rem 0; }}
th, td {{ text-align: right; padding: .25rem .9rem; border-bottom: 1px solid #ddd; }}
th:first-child, td:first-child {{ text-align: left; padding-left: 0; }}
.pictures th, .pictures td {{ text-align: left; border: 0; padding: .2rem .4rem .2rem 0; }}
.pictures img {{ width: 100%; display: block; }}
.chip {{ white-space: nowrap; margin-right: .6em; }}
.chip i {{ display: inline-block; width: .9em; height: .9em; margin-right: .3em; vertical-align: -.1em;
  border: 1px solid #0003; }}
.ontology {{ max-width: 100%; }}
footer {{ color: #777; margin-top: 3rem; }}
</style>
<h1>{title}</h1>
<p>{intro}</p>
{body}
<footer>{settings}</footer>
</html>
"""
