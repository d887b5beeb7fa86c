"""Real files of thirteen datasets, where they are at hand: what `scan` counts and `LabelReader` reads of them.

Each label is read a second time here, with PIL and numpy alone; which raw value is which class is stated from the
datasets' own pages. The files are the owners', lie beside the project, and are never part of it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

import lsu_onto
from lsu_seg.label_files import LabelReader
from lsu_seg.layout.pairs import find_pairs
from lsu_seg.scan.run import scan

_DATA = ("shared", "data", "real")
REAL = next((p.joinpath(*_DATA) for p in Path(__file__).parents if p.joinpath(*_DATA).is_dir()), Path("absent"))
pytestmark = pytest.mark.skipif(
    not REAL.is_dir(), reason="the real files lie in shared/data/real, in a folder around the project; there is none"
)


def grey(path: Path) -> np.ndarray:
    """The numbers that a grey or palette file stores."""
    return np.asarray(Image.open(path)).astype(np.int64)


def colour(path: Path) -> np.ndarray:
    """`0xRRGGBB` of each pixel."""
    return np.asarray(Image.open(path).convert("RGB")).astype(np.int64) @ [1 << 16, 1 << 8, 1]


def coco(path: Path) -> np.ndarray:
    """The category of the segment that each pixel belongs to; 0 without one."""
    document = json.loads((path.parents[1] / "annotations/panoptic_val2017.json").read_text(encoding="utf-8"))
    one = next(a for a in document["annotations"] if a["file_name"] == path.name)
    category = {s["id"]: s["category_id"] for s in one["segments_info"]}
    ids = np.asarray(Image.open(path).convert("RGB")).astype(np.int64) @ [1, 1 << 8, 1 << 16]
    return np.vectorize(lambda i: category.get(i, 0))(ids)


def waymo(path: Path) -> np.ndarray:
    """The type of each pixel of one camera's record."""
    time, camera = path.name.split("_")
    for record in parquet.read_table(path.parent).to_pylist():
        if (record["key.frame_timestamp_micros"], str(record["key.camera_name"])) == (int(time), camera):
            segmentation = "[CameraSegmentationLabelComponent]"
            image = Image.open(io.BytesIO(record[f"{segmentation}.panoptic_label"]))
            types: np.ndarray = np.asarray(image).astype(np.int64) // record[f"{segmentation}.panoptic_label_divisor"]
            return types
    raise AssertionError(f"no record {path.name}")


class Case(NamedTuple):
    """folder: below the data. pairs: so many are there. classes: raw value → the class it is, of those seen most."""

    name: str
    folder: str
    split: str
    pairs: int
    read: Callable[[Path], np.ndarray]
    classes: dict[int, str]


CASES = [
    Case("cityscapes", "cityscapes", "train", 8, grey, {1: "ego_vehicle", 7: "road", 11: "building", 26: "car"}),
    Case("bdd100k", "bdd100k", "train", 16, grey, {0: "road", 8: "vegetation", 13: "car", 255: "unknown"}),
    Case("a2d2", "a2d2", "all", 4, colour, {0xFF00FF: "normal_street", 0x87CEFF: "sky", 0x93FDC2: "nature_object"}),
    Case(
        "idd_lite",
        "idd_lite",
        "train",
        600,
        grey,
        {0: "drivable", 1: "non_drivable", 2: "living_things", 3: "vehicles", 4: "road_side_objects", 5: "far_objects"},
    ),
    Case("camvid_segnet", "../camvid", "val", 40, grey, {0: "sky", 3: "road", 5: "tree", 10: "bicyclist"}),
    Case(
        "rugd", "rugd", "train", 18, colour, {0x006600: "grass", 0x00FF00: "tree", 0x0000FF: "sky", 0xFF8000: "gravel"}
    ),
    Case(
        "ycor", "ycor", "valid", 73, grey, {1: "smooth_trail", 2: "traversable_grass", 7: "high_vegetation", 8: "sky"}
    ),
    Case("waymo", "waymo", "validation", 5, waymo, {2: "car", 19: "building", 20: "road"}),
    Case("vistas v1.2", "vistas_v12", "training", 1, grey, {13: "road", 17: "building", 27: "sky", 45: "pole"}),
    Case("rellis3d", "rellis3d", "train", 1, grey, {3: "grass", 4: "tree", 7: "sky", 19: "bush"}),
    Case("ade20k", "ade20k", "validation", 3, grey, {1: "wall", 2: "building", 3: "sky", 5: "tree"}),
    Case("coco_panoptic", "coco_panoptic", "val", 2, coco, {1: "person", 187: "sky_other_merged", 193: "grass_merged"}),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_counts_and_rows(case: Case, tmp_path: Path) -> None:
    check(case, REAL / case.folder, tmp_path)


def test_the_official_colours_of_camvid(tmp_path: Path) -> None:
    """One frame, here in the folders of the official archives."""
    for folder, file in (
        ("701_StillsRaw_full", "Seq05VD_f05100.png"),
        ("LabeledApproved_full", "Seq05VD_f05100_L.png"),
    ):
        (tmp_path / "data" / folder).mkdir(parents=True)
        (tmp_path / "data" / folder / file).symlink_to(REAL / "camvid32" / file)
    classes = {0x804080: "road", 0x808080: "sky", 0x800000: "building", 0x0000C0: "sidewalk"}
    check(Case("camvid", "", "all", 1, colour, classes), tmp_path / "data", tmp_path)


@pytest.mark.parametrize("kind", [pa.string(), pa.int64()], ids=["text", "number"])
def test_cameras_of_waymo_are_numbers_or_text(kind: pa.DataType, tmp_path: Path) -> None:
    """The labels' table has the cameras in another form than that of the images, which has them as they came."""
    for path in (REAL / "waymo").rglob("*.parquet"):
        table = parquet.read_table(path)
        if path.parent.name == "camera_segmentation":
            at = table.schema.get_field_index("key.camera_name")
            table = table.set_column(at, "key.camera_name", table["key.camera_name"].cast(kind))
        to = tmp_path / "data" / path.relative_to(REAL / "waymo")
        to.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table, to)
    check(next(case for case in CASES if case.name == "waymo"), tmp_path / "data", tmp_path)


def check(case: Case, root: Path, work: Path) -> None:
    """What `scan` counts of a folder, and what `LabelReader` reads of each label, is what is in the files."""
    constraint = lsu_onto.load_dataset(case.name)
    pairs = find_pairs(root, constraint.layout, case.split)
    report = scan(case.name, root, [case.split], work_dir=work / "scan", jobs=1)
    reader = LabelReader(constraint, root=str(root), split=case.split)
    pixels, counts = 0, dict.fromkeys(case.classes.values(), 0)
    for label, raw in values(case, [pair.label for pair in pairs]):
        rows = reader.rows(label)
        for value, name in case.classes.items():
            shown = raw == value
            assert np.array_equal(rows == constraint.classes.index(name), shown), (label, name)
            counts[name] += int(shown.sum())
        pixels += raw.size
    assert (len(pairs), report.pairs, report.read, report.pixels) == (case.pairs, case.pairs, case.pairs, pixels)
    assert {c.name: c.pixels for c in report.classes if c.name in counts} == counts
    assert sum(counts.values()) > pixels / 5 and min(counts.values()) > 0
    assert (report.errors, report.unlisted) == (0, 0)


def values(case: Case, labels: list[Path]) -> Iterator[tuple[Path, np.ndarray]]:
    return ((label, case.read(label)) for label in labels)
