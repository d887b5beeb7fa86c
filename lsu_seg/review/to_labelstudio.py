"""Label Studio: `labeling.xml` for a project's labeling interface, and `tasks.json` with brushes as predictions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from lsu_onto import __version__, write_atomic
from lsu_seg.review.brush import encode
from lsu_seg.review.tasks import Task

IMAGES = "images"
URL = "/data/local-files/?d=images/"
"""Where Label Studio serves files, if its `LOCAL_FILES_DOCUMENT_ROOT` is the folder of the tasks."""


def write(root: Path, tasks: Iterable[Task], colours: Mapping[str, str]) -> None:
    """Write the labeling interface, and all tasks.

    Raises:
        OSError: the disk's word.
    """
    # The form of `lsu-onto export --to labelstudio`, with a line that says where to look.
    labels = "".join(
        f"    <Label value={quoteattr(name)} background={quoteattr(colour)}/>\n" for name, colour in colours.items()
    )
    interface = (
        "<View>\n"
        '  <Header value="$look" size="5"/>\n'
        '  <Image name="image" value="$image" zoom="true" zoomControl="true"/>\n'
        f'  <BrushLabels name="label" toName="image">\n{labels}  </BrushLabels>\n'
        "</View>\n"
    )
    text = ",\n".join(json.dumps(_task(task)) for task in tasks)
    write_atomic(root / "tasks.json", f"[\n{text}\n]\n".encode())
    write_atomic(root / "labeling.xml", interface.encode())


def _task(task: Task) -> dict[str, Any]:
    height, width = task.labels.shape
    results = [
        {
            "id": f"{number:04d}",
            "type": "brushlabels",
            "from_name": "label",
            "to_name": "image",
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {"format": "rle", "rle": encode(mask), "brushlabels": [name]},
        }
        for number, (name, mask) in enumerate(task.masks())
    ]
    data = {
        "image": f"{URL}{task.file}",
        "look": task.look(),
        "name": task.name,
        "dataset": task.item.run.name,
        "label_sha256": task.sha256,
    }
    prediction = {"model_version": f"lsu-toolkit {__version__}", "score": round(1 - task.doubt, 4), "result": results}
    return {"data": data, "predictions": [prediction]}
