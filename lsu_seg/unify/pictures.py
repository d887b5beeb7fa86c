"""Pictures of labels on the report's page, and the drawing of each ontology."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import lsu_onto
from lsu_onto import Constraint, write_atomic
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.data.transforms import LoadTaxImage
from lsu_seg.label_files import LabelReader
from lsu_seg.label_files.annotation import channel_constraint
from lsu_seg.training.panels import paint

_SHOWN = 4  # pictures per extra dataset
_WIDTH = 420  # of a picture on the page, in pixels


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


def section(shown: Shown, folder: Path) -> str:
    """What the report shows of an extra dataset; its pictures are written into `folder/pictures`."""
    name = escape(shown.name)
    body = _pictures(shown, folder) + _ontology(shown.dataset, folder)
    return f'<section data-set="{name}"><h3>{name}</h3>{body}</section>'


def _pictures(shown: Shown, folder: Path) -> str:
    dataset, c = shown.dataset, shown.dataset.constraint
    own = LabelReader(c, root=dataset.data_root, split=dataset.split)
    channels = LabelReader(channel_constraint(c))
    load = LoadTaxImage().transform
    indices = np.linspace(0, len(dataset) - 1, min(_SHOWN, len(dataset))).astype(int)
    titles = {"raw": "raw teacher", "constrained": "constrained pseudo-label"}
    heads = ["image", f"ground truth, {c.dataset}", *(f"{titles[kind]}, {c.source}" for kind in shown.folders)]
    if shown.learned:
        heads.append(f"what the set-valued student learns, {c.source}; white: one of S(d)")
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
            alt = escape(f"{info['key']}: {heads[column]}")
            cells += f'<td><img loading="lazy" src="pictures/{quote(file.name)}" alt="{alt}"></td>'
        lines.append(f"<tr>{cells}</tr>")
    head = "".join(f'<th scope="col">{escape(h)}</th>' for h in heads)
    table = f'<table class="pictures"><tr>{head}</tr>{"".join(lines)}</table>'
    return f'<div class="scroll" tabindex="0">{table}</div>{_legends(c)}'


def _paint_targets(
    classes: NDArray[np.int64], of_set: NDArray[np.bool_], palette: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """What `TaxDataset.targets` gives: classes in their colours, sets white, void black."""
    hard = np.where(classes < len(palette), classes, -1).astype(np.int16)
    return np.where(of_set[..., None], np.uint8(255), paint(hard, palette))


def _scaled(pixels: NDArray[np.uint8], smooth: bool) -> Image.Image:
    image = Image.fromarray(pixels)
    size = (_WIDTH, max(1, round(image.height * _WIDTH / image.width)))
    return image.resize(size, Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST)


def _legends(c: Constraint) -> str:
    def chips(names: Sequence[str], palette: NDArray[np.uint8]) -> str:
        return " ".join(
            f'<span class="chip"><i style="background:#{colour.tobytes().hex()}"></i>{escape(n)}</span>'
            for n, colour in zip(names, palette, strict=True)
        )

    return (
        f"<p>{escape(c.dataset)}: {chips(c.classes, c.palette)}<br>"
        f"{escape(c.source)}: {chips(c.source_classes, c.source_palette)} "
        '<span class="chip"><i style="background:#000"></i>void</span></p>'
    )


def _ontology(dataset: TaxDataset, folder: Path) -> str:
    file = folder / "pictures" / f"{dataset.constraint.dataset}.svg"
    try:
        lsu_onto.draw(dataset.taxonomy, file, source=dataset.constraint.source, paths=dataset.paths)
    except ValueError as e:  # the page is worth having without the drawing
        return f"<p>The ontology is not drawn here: {escape(str(e))}</p>"
    alt = escape(f"the map of {dataset.constraint.dataset} to {dataset.constraint.source}")
    image = f'<img class="ontology" loading="lazy" src="pictures/{quote(file.name)}" alt="{alt}">'
    return f'<details open><summary>ontology</summary><div class="scroll" tabindex="0">{image}</div></details>'
