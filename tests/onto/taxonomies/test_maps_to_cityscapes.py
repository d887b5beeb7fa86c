"""The shipped maps to the 19 train classes of Cityscapes: S(d) of the rows that decide most, stated apart."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

import lsu_onto
from lsu_onto.lang.parse import parse
from lsu_onto.lang.syntax import Row
from lsu_onto.library.searchpath import shipped

FILES = sorted((shipped() / "urban" / "to_cityscapes").glob("*.tax"))
INHERITED = ["kitti", "acdc", "goose_ex"]

# What the datasets' instructions say, and what the published sets have wrong.
FACTS = [
    ("cityscapes", "traffic_sign", "traffic_sign"),
    ("cityscapes", "parking", "void"),
    ("kitti360", "garage", "building"),
    ("kitti360", "road", "road"),  # from Cityscapes' own map
    ("bdd100k", "traffic_sign", "traffic_sign void"),
    ("idd", "curb", "sidewalk terrain void"),
    ("idd", "unlabeled", "road void"),
    ("idd_lite", "drivable", "road sidewalk terrain void"),
    ("apolloscape", "rider", "rider motorcycle bicycle"),
    ("apolloscape", "rover", "void"),
    ("a2d2", "curbstone", "sidewalk terrain"),
    ("a2d2", "signal_corpus", "pole traffic_light void"),  # heads of street lamps
    ("nuimages", "bicycle", "rider bicycle"),
    ("nuimages", "wheelchair", "rider void"),
    ("waymo", "car", "car truck"),  # pick-ups
    ("waymo", "cyclist", "rider bicycle"),
    ("waymo", "sign", "traffic_light traffic_sign void"),  # signals for pedestrians, backs
    ("waymo", "ego_vehicle", "void"),
    ("wilddash2", "pothole", "road"),
    ("wilddash2", "trafficsignback", "void"),
    ("camvid", "bicyclist", "rider bicycle"),
    ("camvid_segnet", "tree", "vegetation terrain"),  # grass verges
    ("camvid_segnet", "bicyclist", "rider motorcycle bicycle"),
    ("coco_panoptic", "person", "person rider"),
    ("goose", "soil", "road terrain"),
    ("vistas_v12", "curb", "sidewalk terrain void"),
    ("vistas_v12", "rail_track", "road void"),
    ("vistas_v12", "traffic_sign_back", "void"),
    ("vistas_v2", "garage", "building"),
]


@cache
def constraint(name: str) -> lsu_onto.Constraint:
    file = shipped() / "urban" / "to_cityscapes" / f"{name}.tax"
    return lsu_onto.load(str(file)) if file.exists() else lsu_onto.load(name, source="cityscapes")


def allowed(name: str, cls: str) -> list[str]:
    c = constraint(name)
    return [s for s, a in zip((*c.source_classes, "void"), c.allowed[c.classes.index(cls)], strict=True) if a]


@pytest.mark.parametrize(("name", "cls", "expected"), FACTS)
def test_what_a_pixel_may_be(name: str, cls: str, expected: str) -> None:
    assert allowed(name, cls) == expected.split()


def test_what_is_everything_but() -> None:
    """Everything in `lanes` that is not road, and in nuImages what has no mask, which leaves void."""
    assert {"road"} == {*constraint("lanes").source_classes, "void"} - set(allowed("lanes", "background"))
    objects = {"road", "person", "rider", "car", "truck", "bus", "motorcycle", "bicycle"}
    assert objects == {*constraint("nuimages").source_classes} - set(allowed("nuimages", "background"))


@pytest.mark.parametrize("name", [f.stem for f in FILES] + INHERITED)
def test_source_classes_that_a_dataset_lacks(name: str) -> None:
    c = constraint(name)
    missing = [s for s, reached in zip(c.source_classes, c.allowed.any(0), strict=False) if not reached]
    assert missing == (["train"] if name in ("apolloscape", "ade20k") else [])


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_rows_stand_in_the_order_of_the_dataset(file: Path) -> None:
    rows = [
        s.target.text for s in parse(str(file), file.read_text(encoding="utf-8"))[0].statements if isinstance(s, Row)
    ]
    classes = list(constraint(file.stem).classes)
    assert rows == sorted(rows, key=classes.index)
