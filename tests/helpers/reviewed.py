"""A labelled dataset that people correct: what a tool would return, made from the tasks that it was given."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from click.testing import CliRunner, Result
from PIL import Image

from helpers.tiny import CLASSES, VOID, label_config, read, save_checkpoint, write_park, write_tax
from lsu_seg.cli import main
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.review import brush, to_cvat

GREEN, SKY = 1, 2
"""Rows of `park`: `green` may be grass or tree, `sky` is sky."""
GRASS, TREE, CAR = 1, 2, 4
Edit = Callable[[np.ndarray], np.ndarray]


@dataclass
class Reviewed:
    """`tax`, `park` and `teacher.pth`, and the pseudo-labels in `labels`. rows: of d, by the stems of the images."""

    root: Path
    rows: dict[str, np.ndarray]

    def label_again(self, **options: Any) -> dict[str, float]:
        dataset = dict(taxonomy=str(self.root / "tax/park.tax"), data_root=str(self.root / "park"), split="train")
        settings = {"confidence": True, "flips": (False,), **options}
        return pseudo_label(label_config(dataset, self.root, **settings), self.root / "teacher.pth", quiet=True)

    def command(self, *line: str | Path, json_: bool = True) -> Result:
        where = ["--data-root", self.root / "park", "--path", self.root / "tax"]
        words = ["review", *line, *where, *(["--format", "json"] if json_ else [])]
        return CliRunner().invoke(main, [str(word) for word in words])

    def export(self, tool: str = "cvat", images: int = 9, name: str = "") -> Path:
        output = self.root / f"tasks-{name or tool}"
        result = self.command("export", self.root / "labels", "--to", tool, "-o", output, "--images", str(images))
        assert result.exit_code == 0, result.output
        return output

    def take(self, returned: Path, *more: str) -> list[dict[str, Any]]:
        result = self.command("import", returned, "--work", self.root / "labels", *more)
        assert result.exit_code == 0, result.output
        images: list[dict[str, Any]] = json.loads(result.stdout)
        return images

    def refused(self, returned: Path, *more: str) -> str:
        result = self.command("import", returned, "--work", self.root / "labels", *more)
        assert result.exit_code == 1, result.output
        return result.output

    def path(self, stem: str, kind: str = "") -> Path:
        return self.root / "labels" / kind / f"labels/train/{stem}.png"

    def label(self, stem: str, kind: str = "") -> np.ndarray:
        return read(self.path(stem, kind)).copy()

    @property
    def corrections(self) -> Path:
        return self.root / "labels.corrections"

    def tree(self) -> dict[str, bytes]:
        """The images of the labels, without the records about them."""
        folder = self.root / "labels"
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def make(root: Path) -> Reviewed:
    write_tax(root / "tax")
    rows = write_park(root / "park", {f"a{i}": [0, 1, 2, 3, 4, 5, -1] for i in range(3)})
    save_checkpoint(root / "teacher.pth")
    world = Reviewed(root, rows)
    assert world.label_again()["images"] == 3
    return world


def copy_of(world: Reviewed, root: Path) -> Reviewed:
    shutil.copytree(world.root, root)
    return Reviewed(root, world.rows)


def corrected(tasks: Path, edits: Mapping[str, Edit]) -> Path:
    """What the tool exports after a person has edited the images of these stems."""
    tool = json.loads((tasks / "review.json").read_text())["tool"]
    return {"cvat": _cvat, "labelstudio": _labelstudio, "fiftyone": _fiftyone}[tool](tasks, edits)


def masks(labels: np.ndarray) -> list[tuple[str, np.ndarray]]:
    return [(CLASSES[c], labels == c) for c in np.unique(labels) if c != VOID]


def _shown(tasks: Path, stem: str) -> np.ndarray:
    return read(tasks.parent / f"labels.corrections/shown/labels/train/{stem}.png").copy()


def _cvat(tasks: Path, edits: Mapping[str, Edit]) -> Path:
    tree = ElementTree.parse(tasks / "annotations.xml")
    for image in tree.getroot().iter("image"):
        stem = image.get("name", "").rpartition("__")[2].partition(".")[0]
        if stem in edits:
            for shape in list(image):
                image.remove(shape)
            for name, mask in masks(edits[stem](_shown(tasks, stem))):
                ElementTree.SubElement(image, "mask", {"label": name, "z_order": "0", **to_cvat.encode(mask)})
    tree.write(tasks / "corrected.xml")
    return tasks / "corrected.xml"


def _labelstudio(tasks: Path, edits: Mapping[str, Edit]) -> Path:
    document = json.loads((tasks / "tasks.json").read_text())
    for number, task in enumerate(document, 1):
        stem = task["data"]["name"].rpartition("__")[2]
        (prediction,) = task.pop("predictions")
        result = prediction["result"]
        if stem in edits:
            brushes = masks(edits[stem](_shown(tasks, stem)))
            result = [brushed(name, mask) for name, mask in brushes]
        who = {"completed_by": {"email": "ann@example.org"}, "updated_at": "2026-01-02T03:04:05Z"}
        task |= {"id": number, "annotations": [{"result": result, "was_cancelled": False, **who}]}
    (tasks / "corrected.json").write_text(json.dumps(document))
    return tasks / "corrected.json"


def brushed(name: str, mask: np.ndarray) -> dict[str, Any]:
    size = {"original_height": mask.shape[0], "original_width": mask.shape[1], "image_rotation": 0}
    value = {"format": "rle", "rle": brush.encode(mask), "brushlabels": [name]}
    return {"type": "brushlabels", "from_name": "label", "to_name": "image", **size, "value": value}


def _fiftyone(tasks: Path, edits: Mapping[str, Edit]) -> Path:
    for stem, edit in edits.items():
        labels = edit(_shown(tasks, stem)).astype(int)
        values = np.where(labels == VOID, 0, labels + 1).astype(np.uint8)
        (path,) = (tasks / "fields/label").glob(f"*__{stem}.png")
        Image.fromarray(values).save(path)
    return tasks
