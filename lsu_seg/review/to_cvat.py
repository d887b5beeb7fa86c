"""CVAT: `labels.json` for a project's raw labels, and `annotations.xml` in the format "CVAT 1.1" with masks."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

import numpy as np
from numpy.typing import NDArray

from lsu_onto import write_atomic
from lsu_seg.review.tasks import Task

IMAGES = "images"
COMMENT = " tasks of `lsu-seg review export` "
"""Tells `annotations.xml` from what CVAT exports."""


def write(root: Path, tasks: Iterable[Task], colours: Mapping[str, str]) -> None:
    """Write the labels, and the annotations of all tasks.

    Raises:
        OSError: the disk's word.
    """
    labels = [{"name": name, "color": colour, "type": "mask", "attributes": []} for name, colour in colours.items()]
    buffer = io.BytesIO()
    xml = XMLGenerator(buffer, "utf-8", short_empty_elements=True)
    xml.startDocument()
    buffer.write(f"<!--{COMMENT}-->\n".encode())
    xml.startElement("annotations", AttributesImpl({}))
    _text(xml, "version", "1.1")
    for tag in ("meta", "task", "labels"):
        xml.startElement(tag, AttributesImpl({}))
    for label in labels:
        xml.startElement("label", AttributesImpl({}))
        for tag in ("name", "color", "type"):
            _text(xml, tag, str(label[tag]))
        _text(xml, "attributes", "")
        xml.endElement("label")
    for tag in ("labels", "task", "meta"):
        xml.endElement(tag)
    images = [
        (task.file, task.labels.shape, [{"label": name, **encode(mask)} for name, mask in task.masks()])
        for task in tasks
    ]
    images.sort(key=lambda image: image[0])  # as CVAT sorts the frames of a task: ids are their places
    for number, (name, (height, width), shapes) in enumerate(images):
        about = {"id": str(number), "name": name, "width": str(width), "height": str(height)}
        xml.characters("\n")
        xml.startElement("image", AttributesImpl(about))
        for shape in shapes:
            xml.characters("\n  ")
            xml.startElement("mask", AttributesImpl({"source": "auto", "occluded": "0", "z_order": "0", **shape}))
            xml.endElement("mask")
        xml.endElement("image")
    xml.endElement("annotations")
    xml.endDocument()
    write_atomic(root / "annotations.xml", buffer.getvalue())
    write_atomic(root / "labels.json", (json.dumps(labels, indent=2, ensure_ascii=False) + "\n").encode())


def _text(xml: XMLGenerator, tag: str, text: str) -> None:
    xml.startElement(tag, AttributesImpl({}))
    xml.characters(text)
    xml.endElement(tag)


def encode(mask: NDArray[np.bool_]) -> dict[str, str]:
    """A mask as CVAT has it: a box, and the lengths of runs in it, row by row, beginning with what is not in the mask.

    >>> encode(np.array([[0, 0, 0], [0, 1, 1], [0, 0, 1]], bool))
    {'rle': '0, 2, 1, 1', 'left': '1', 'top': '1', 'width': '2', 'height': '2'}
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left, bottom, right = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    inside = mask[top:bottom, left:right].ravel()
    edges = np.flatnonzero(np.diff(inside, prepend=False, append=not inside[-1]))
    runs = np.diff(edges, prepend=0)
    box = {"left": left, "top": top, "width": right - left, "height": bottom - top}
    return {"rle": ", ".join(map(str, runs.tolist())), **{key: str(value) for key, value in box.items()}}
