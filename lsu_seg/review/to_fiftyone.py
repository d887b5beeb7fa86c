"""FiftyOne: a folder of `fiftyone.types.FiftyOneDataset`, with masks, their targets, and regions as detections.

The layout is the older one of the two that FiftyOne reads: `samples.json` and `metadata.json` without a database's own
records. In a mask, FiftyOne takes 0 for nothing; values are those of classes plus 1.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_onto import write_atomic
from lsu_seg.label_files import void_index
from lsu_seg.review.tasks import Task

IMAGES = "data"
FIELD = "label"
"""The field of the masks."""


def write(root: Path, tasks: Iterable[Task], colours: Mapping[str, str]) -> None:
    """Write samples, masks and what they mean.

    Raises:
        OSError: the disk's word.
    """
    samples = []
    for task in tasks:
        write_atomic(root / "fields" / FIELD / f"{task.name}.png", _mask(task), sync=False)
        samples.append(_sample(task))
    targets = {str(number): name for number, name in enumerate(colours, 1)}
    colour_scheme = [{"intTarget": number, "color": colour} for number, colour in enumerate(colours.values(), 1)]
    info = {
        "default_mask_targets": targets,
        "mask_targets": {FIELD: targets},
        "default_classes": list(colours),
        "app_config": {"color_scheme": {"default_mask_targets_colors": colour_scheme}},
    }
    metadata = {"name": root.resolve().name, "media_type": "image", "info": info}
    write_atomic(root / "metadata.json", json.dumps(metadata, indent=1).encode())
    write_atomic(root / "samples.json", json.dumps({"samples": samples}, indent=1).encode())


def _mask(task: Task) -> bytes:
    from PIL import Image

    k = task.constraint.num_classes
    values: NDArray[Any] = np.where(task.labels == void_index(k), 0, task.labels.astype(np.int64) + 1)
    buffer = io.BytesIO()
    Image.fromarray(values.astype(np.uint8 if k < 256 else np.uint16)).save(buffer, "PNG")
    return buffer.getvalue()


def _sample(task: Task) -> dict[str, Any]:
    height, width = task.labels.shape
    detections = [
        {
            "_cls": "Detection",
            "label": task.class_of(r.channel),
            "bounding_box": [r.x / width, r.y / height, r.width / width, r.height / height],
            "confidence": r.confidence,
        }
        for r in task.regions
    ]
    return {
        "filepath": f"{IMAGES}/{task.file}",
        "tags": [task.because],
        FIELD: {"_cls": "Segmentation", "mask_path": f"fields/{FIELD}/{task.name}.png"},
        "least_sure": {"_cls": "Detections", "detections": detections},
        "dataset": task.item.run.name,
        "doubt": task.doubt,
        "label_sha256": task.sha256,
    }
