"""What comes back from tools: other shapes, other archives, and what is wrong with them."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lsu_onto
from helpers.reviewed import GRASS, TREE, Reviewed, brushed
from helpers.tiny import CLASSES, VOID
from lsu_seg.review.errors import ReviewError
from lsu_seg.review.recognise import read_returned
from lsu_seg.review.returned import painted
from lsu_seg.review.tasks import name_of

NAME = name_of("park", "labels/train/a1")
SHOWN = np.full((24, 40), GRASS, np.int64)


@pytest.fixture(scope="module")
def tasks(labelled: Reviewed) -> Path:
    return labelled.export("labelstudio")


def label_of(labelled: Reviewed, path: Path) -> np.ndarray:
    """The label that the only image of a file has."""
    constraint = lsu_onto.load("park", "tiny", [str(labelled.root / "tax")])
    _, images = read_returned(path)
    (returned,) = images
    assert returned.name == NAME
    return painted(returned, constraint, SHOWN)


def xml(path: Path, *shapes: str, name: str = f"{NAME}.png") -> Path:
    lines = "".join(shapes)
    path.write_text(f'<annotations><image id="0" name="{name}" width="40" height="24">{lines}</image></annotations>')
    return path


def segmentation_masks(path: Path, colour: tuple[int, int, int], labelmap: str = "tree:107,142,35::\n") -> Path:
    """A zip as CVAT writes it; the upper half is background."""
    pixels = np.zeros((24, 40, 3), np.uint8)
    pixels[12:] = colour
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    with zipfile.ZipFile(path, "w") as archive:
        if labelmap:
            archive.writestr("labelmap.txt", f"# label:color_rgb:parts:actions\nbackground:0,0,0::\n{labelmap}")
        archive.writestr(f"SegmentationClass/{NAME}.png", buffer.getvalue())
        archive.writestr(f"SegmentationObject/{NAME}.png", buffer.getvalue())
        archive.writestr("ImageSets/Segmentation/default.txt", f"{NAME}\n")
    return path


def studio(path: Path, *results: Any, times: int = 1, **more: Any) -> Path:
    annotation = {"result": list(results), "completed_by": 1, **more}
    path.write_text(json.dumps([{"id": 7, "data": {"name": NAME}, "annotations": [annotation]}] * times))
    return path


def test_polygons_are_drawn_in_their_order(labelled: Reviewed, tmp_path: Path) -> None:
    square = '<polygon label="{}" points="4,4;8,4;8,8;4,8" z_order="{}"/>'
    labels = label_of(labelled, xml(tmp_path / "a.xml", square.format("sky", 1), square.format("road", 0)))
    assert np.unique(labels).tolist() == [CLASSES.index("sky"), VOID]
    expected = np.zeros(SHOWN.shape, bool)
    expected[4:8, 4:8] = True
    assert ((labels == CLASSES.index("sky")) == expected).all()
    halves = ['<polygon label="grass" points="0,0;40,0;0,24"/>', '<polygon label="tree" points="40,0;40,24;0,24"/>']
    labels = label_of(labelled, xml(tmp_path / "a.xml", *halves))
    assert np.unique(labels).tolist() == [GRASS, TREE]  # no pixel is left between them


def test_segmentation_masks(labelled: Reviewed, tmp_path: Path) -> None:
    path = segmentation_masks(tmp_path / "masks.zip", (107, 142, 35))
    labels = label_of(labelled, path)
    assert (labels[:12] == VOID).all()
    assert (labels[12:] == TREE).all()
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert (label_of(labelled, tmp_path / "unpacked") == labels).all()
    with pytest.raises(ReviewError, match=r"no class in `labelmap\.txt` has the colour #010203"):
        label_of(labelled, segmentation_masks(path, (1, 2, 3)))
    with pytest.raises(ReviewError, match=r"`road` and `tree` have one colour in labelmap\.txt"):
        label_of(labelled, segmentation_masks(path, (1, 2, 3), labelmap="road:1,2,3::\ntree:1,2,3::\n"))
    with pytest.raises(ReviewError, match=r"no `labelmap\.txt`, which says what colours mean"):
        label_of(labelled, segmentation_masks(path, (1, 2, 3), labelmap=""))


def test_who_paints_over_a_class_need_not_erase_it(labelled: Reviewed, tmp_path: Path) -> None:
    everywhere, some = SHOWN >= 0, np.arange(40) < 7 + 0 * SHOWN
    for brushes in ([("tree", some), ("grass", everywhere)], [("grass", everywhere), ("tree", some)]):
        labels = label_of(labelled, studio(tmp_path / "a.json", *(brushed(name, mask) for name, mask in brushes)))
        assert (labels == np.where(some, TREE, GRASS)).all()


def test_of_several_annotations_the_latest_that_was_submitted_counts(labelled: Reviewed, tmp_path: Path) -> None:
    everywhere = SHOWN >= 0
    path = studio(tmp_path / "a.json", brushed("tree", everywhere), updated_at="2026-02-02")
    (task,) = json.loads(path.read_text())
    task["annotations"] += [
        {"result": [brushed("sky", everywhere)], "updated_at": "2026-01-01"},
        {"result": [], "updated_at": "2026-03-03", "was_cancelled": True},
    ]
    path.write_text(json.dumps([task]))
    assert (label_of(labelled, path) == TREE).all()
    task["annotations"] = []
    path.write_text(json.dumps([task]))
    assert "no image in it has been looked at; submit or save them" in labelled.refused(path)


def test_mistakes_are_refused_and_nothing_is_taken(labelled: Reviewed, tasks: Path, tmp_path: Path) -> None:
    before = labelled.tree()

    def refused(path: Path, *expected: str) -> None:
        message = labelled.refused(path)
        for text in expected:
            assert text in message

    def written(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    refused(written("a.txt", ""), 'expected what the tool exports: from CVAT "CVAT for images 1.1"')
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "expected what the tool exports")
    refused(written("a.zip", "x"), "a.zip: cannot be read (File is not a zip file)")
    damaged = segmentation_masks(tmp_path / "b.zip", (107, 142, 35))
    damaged.write_bytes(damaged.read_bytes().replace(b"tree:107", b"tree:108", 1))
    refused(damaged, "`labelmap.txt` cannot be read (Bad CRC-32")
    refused(written("a.xml", "<annotations><image"), "a.xml: cannot be read (unclosed token")
    refused(written("a.xml", "<mxfile/>"), "its root is `mxfile`; expected `annotations`")
    box = '<box label="tree" xtl="0" ytl="0" xbr="5" ybr="5"/>'
    refused(xml(tmp_path / "a.xml", box), f"image `{NAME}.png`: `tree` is a box; expected masks and polygons")
    mask = '<mask label="{}" rle="0, 4" left="{}" top="0" width="2" height="2"/>'
    refused(xml(tmp_path / "a.xml", mask.format("tree", 39)), "a mask of `tree` is damaged", "reaches out of the image")
    refused(xml(tmp_path / "a.xml", mask.format("tre", 3)), "there is no class `tre` in `tiny`; did you mean `tree`?")
    refused(xml(tmp_path / "a.xml", name="other.png"), "has the name `other`; names must stay those")
    refused(written("a.json", "{"), "cannot be read (", 'export the project from Label Studio as "JSON"')
    refused(written("a.json", '[{"image": "x", "label": []}]'), "no `annotations` and `data`", '"JSON-MIN"')
    polygon = {"type": "polygonlabels", "value": {"points": []}}
    refused(studio(tmp_path / "a.json", polygon), "found a region of `polygonlabels`; expected `brushlabels`")
    brush = brushed("tree", SHOWN > 0)
    cut = {**brush, "value": {**brush["value"], "rle": brush["value"]["rle"][:-9]}}
    refused(studio(tmp_path / "a.json", cut), "its run lengths are cut off")
    refused(studio(tmp_path / "a.json", {**brush, "original_width": 41}), "the image was 41x24")
    for rle in ([], [1.5], "x", [300], brush["value"]["rle"][:4] + [255] * 99):
        refused(studio(tmp_path / "a.json", {**brush, "value": {**brush["value"], "rle": rle}}), "a brush is damaged")
    for points in ("", "1", "1,2;inf,3;4,5", "nan,1;2,3;4,5"):
        polygons = f'<polygon label="tree" points="{points}"/>'
        refused(xml(tmp_path / "a.xml", polygons), "a polygon of `tree` is damaged")
    for field in ("width", "left"):
        wrong = mask.format("tree", 3).replace(f'{field}="', f'{field}="1e999')
        refused(xml(tmp_path / "a.xml", wrong), "a mask of `tree` is damaged")
    tree = json.loads((tasks / "tasks.json").read_text())[0]
    tree["data"]["label_sha256"] = "0" * 64
    tree["annotations"] = [{"result": []}]
    refused(written("a.json", json.dumps([tree])), "was shown with another label, and has been exported again since")
    refused(studio(tmp_path / "a.json", times=2), f"task 7: `{NAME}` is there twice; leave one of the two out")
    assert labelled.tree() == before
    assert not list(labelled.corrections.glob("labels/**/*.png"))


@pytest.mark.parametrize("broken", ["samples.json", "metadata.json"])
def test_a_damaged_folder_of_fiftyone(labelled: Reviewed, tmp_path: Path, broken: str) -> None:
    (tmp_path / "samples.json").write_text(json.dumps({"samples": [{"filepath": f"data/{NAME}.png", "label": {}}]}))
    (tmp_path / "metadata.json").write_text(json.dumps({"default_mask_targets": {"3": "tree"}}))
    assert "its mask cannot be read" in labelled.refused(tmp_path)
    (tmp_path / broken).write_text("{}")
    assert "export the dataset with `dataset.export(DIR, dataset_type=" in labelled.refused(tmp_path)
