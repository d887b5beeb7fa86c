"""The formats, read and written by the tools' own packages. None is needed otherwise: each may be missing."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from helpers.reviewed import GREEN, TREE, Reviewed
from helpers.tiny import CLASSES, VOID


def needs(package: str) -> pytest.MarkDecorator:
    """Skip where a package is missing, before anything is labelled."""
    return pytest.mark.skipif(find_spec(package) is None, reason=f"pip install {package.replace('_', '-')}")


def stem_of(name: str) -> str:
    return name.rpartition("__")[2].partition(".")[0]


@needs("datumaro")
def test_datumaro_reads_what_cvat_would_and_we_read_what_it_writes(world: Reviewed) -> None:
    import datumaro as dm

    tasks = world.export("cvat")
    dataset = dm.Dataset.import_from(str(tasks), "cvat")
    assert [label.name for label in dataset.categories()[dm.AnnotationType.label]] == CLASSES
    items = []
    for item in dataset:
        stem, labels = stem_of(item.id), np.full((24, 40), VOID)
        for annotation in item.annotations:
            labels[annotation.image.astype(bool)] = annotation.label
        assert (labels == world.label(stem)).all()
        painted = np.where(world.rows[stem] == GREEN, TREE, labels)
        masks = [dm.Mask(image=painted == c, label=int(c)) for c in np.unique(painted) if c != VOID]
        items.append(item.wrap(annotations=masks))
    before = {stem: world.label(stem) for stem in world.rows}
    edited = dm.Dataset.from_iterable(items, categories=dataset.categories())
    edited.export(str(world.root / "cvat"), "cvat", save_media=False)
    colours = {each["name"]: each["color"] for each in json.loads((tasks / "labels.json").read_text())}
    label_map = {name: [list(bytes.fromhex(colour[1:])), [], []] for name, colour in colours.items()}
    label_map = {"background": [[0, 0, 0], [], []], **label_map}
    # As CVAT's "Segmentation mask 1.1" does it.
    edited.export(
        str(world.root / "voc"), "voc_segmentation", save_media=False, apply_colormap=True, label_map=label_map
    )
    for folder in ("cvat", "voc"):
        world.take(world.root / folder)
        for stem, rows in world.rows.items():
            assert (world.label(stem) == np.where(rows == GREEN, TREE, before[stem])).all()


@needs("label_studio_sdk")
def test_label_studio_reads_our_brushes_and_we_read_its(world: Reviewed) -> None:
    from label_studio_sdk.converter import brush
    from label_studio_sdk.label_interface import LabelInterface

    tasks = world.export("labelstudio")
    interface = LabelInterface((tasks / "labeling.xml").read_text())
    document = json.loads((tasks / "tasks.json").read_text())
    before = {stem: world.label(stem) for stem in world.rows}
    for task in document:
        assert interface.validate_task({"data": task["data"]})
        stem, labels = stem_of(task["data"]["name"]), np.full((24, 40), VOID)
        (prediction,) = task.pop("predictions")
        assert interface.validate_prediction(prediction, return_errors=True) == []
        for result in prediction["result"]:
            mask = brush.decode_rle(result["value"]["rle"]).reshape(24, 40, 4)[:, :, 3]
            labels[mask > 0] = CLASSES.index(result["value"]["brushlabels"][0])
        assert (labels == before[stem]).all()
        painted = np.where(world.rows[stem] == GREEN, TREE, labels)
        results = [
            {**prediction["result"][0], "id": CLASSES[c]}
            | {"value": {"format": "rle", "brushlabels": [CLASSES[c]], "rle": rle}}
            for c in np.unique(painted)
            if c != VOID
            for rle in [brush.mask2rle(((painted == c) * 255).astype(np.uint8))]
        ]
        task["annotations"] = [{"result": results}]
        assert interface.validate_annotation(task["annotations"][0])
    (world.root / "export.json").write_text(json.dumps(document))
    world.take(world.root / "export.json")
    for stem, rows in world.rows.items():
        assert (world.label(stem) == np.where(rows == GREEN, TREE, before[stem])).all()


@needs("fiftyone")
def test_fiftyone_imports_our_folder_and_we_read_its_masks(world: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own importer. A dataset of its own would need its database, which not every machine has."""
    monkeypatch.setitem(os.environ, "FIFTYONE_DO_NOT_TRACK", "true")
    fo = pytest.importorskip("fiftyone")  # ignores what it warns of
    import fiftyone.utils.data as foud
    from bson import json_util

    tasks = world.export("fiftyone")
    outer = foud.FiftyOneDatasetImporter(str(tasks))
    assert outer._is_legacy_format_data()
    samples = []
    before = {stem: world.label(stem) for stem in world.rows}
    with outer._to_legacy_importer() as importer:
        info = importer.get_dataset_info()
        assert list(info["default_mask_targets"].values()) == CLASSES
        for sample in importer:
            stem = stem_of(Path(sample.filepath).stem)
            values = np.where(before[stem] == VOID, 0, before[stem].astype(int) + 1)
            assert (sample["label"].get_mask() == values).all()
            assert sample["least_sure"].detections[0].label in [*CLASSES, "void"]
            painted = np.where(world.rows[stem] == GREEN, TREE + 1, values).astype(np.uint8)
            label = json.loads(json_util.dumps(fo.Segmentation(mask=painted).to_dict()))
            samples.append({"filepath": f"data/{Path(sample.filepath).name}", "label": label})
    (tasks / "samples.json").write_text(json.dumps({"samples": samples}))
    (tasks / "metadata.json").write_text(json.dumps({"default_mask_targets": info["default_mask_targets"]}))
    world.take(tasks)
    for stem, rows in world.rows.items():
        assert (world.label(stem) == np.where(rows == GREEN, TREE, before[stem])).all()
