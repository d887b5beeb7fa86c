"""The maps to `vistas`: facts that a reader would be surprised to see change, stated apart from the files."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import lsu_onto

# What no class of a dataset may be: all else of the 63 is reached.
UNREACHED = {
    "vistas v1.2": "",
    "vistas v2": "",
    "cityscapes": "",
    "kitti": "",
    "kitti360": "",
    "acdc": "",
    "bdd100k": "",
    "idd": "",
    "idd_lite": "",
    "apolloscape": "",
    "a2d2": "boat cctv_camera",
    "nuimages": "",
    "waymo": "",
    "wilddash2": "",
    "camvid": "",
    "coco_panoptic": "cctv_camera junction_box trash_can",
    "ade20k": "",
    "lanes": "",
    "goose": "",
    "goose_ex": "",
}

# Dataset, class, S(d).
SETS = [
    ("vistas v1.2", "road", "road"),
    ("vistas v1.2", "ego_vehicle", "void"),
    ("vistas v2", "arrow_left", "marking_general"),
    ("cityscapes", "traffic_sign", "traffic_sign_front"),
    ("cityscapes", "rider", "bicyclist motorcyclist other_rider"),
    ("cityscapes", "terrain", "curb sand terrain"),
    ("kitti", "terrain", "curb sand terrain"),
    ("acdc", "terrain", "curb sand snow terrain"),
    ("kitti360", "garage", "building"),
    ("bdd100k", "traffic_sign", "traffic_sign_back traffic_sign_front"),
    ("idd", "autorickshaw", "other_vehicle"),
    ("idd_lite", "far_objects", "bridge building tunnel vegetation"),
    ("apolloscape", "tunnel", "tunnel"),
    ("a2d2", "bicycle", "bicycle bicyclist"),
    ("nuimages", "adult", "person"),
    ("waymo", "lane_marker", "marking_general"),
    ("waymo", "ego_vehicle", "void"),
    ("wilddash2", "tramtrack", "rail_track"),
    ("camvid", "bridge", "bridge"),
    ("coco_panoptic", "pizza", "void"),
    ("goose", "street_light", "pole street_light"),
]


@cache
def constraint(name: str) -> lsu_onto.Constraint:
    return lsu_onto.load(name, source="vistas")


def allowed(name: str, label: str) -> set[str]:
    c = constraint(name)
    names = np.array([*c.source_classes, "void"])
    return set(names[c.allowed[c.classes.index(label)]].tolist())


@pytest.mark.parametrize("name", UNREACHED)
def test_which_classes_a_dataset_can_never_show(name: str) -> None:
    c = constraint(name)
    reached = c.allowed[:, :-1].any(0)
    assert {s for s, r in zip(c.source_classes, reached, strict=True) if not r} == set(UNREACHED[name].split())


@pytest.mark.parametrize(("name", "label", "expected"), SETS)
def test_what_a_pixel_may_be(name: str, label: str, expected: str) -> None:
    assert allowed(name, label) == set(expected.split())


@pytest.mark.parametrize("name", ["cityscapes", "bdd100k", "idd", "waymo", "camvid", "apolloscape", "lanes"])
def test_a_road_holds_what_lies_on_it_and_never_void(name: str) -> None:
    road = allowed(name, "road")
    assert {"road", "crosswalk_plain", "manhole", "pothole", "catch_basin"} <= road
    assert "void" not in road and "sidewalk" not in road


@pytest.mark.parametrize("name", ["cityscapes", "bdd100k", "idd", "waymo"])
def test_predicting_road_implies_road(name: str) -> None:
    c = constraint(name)
    lies_inside = c.certain[:, c.source_classes.index("road")]
    assert [c.classes[d] for d in np.flatnonzero(lies_inside)] == ["road"]
