"""The maps to `offroad`: what pixels of some classes may be, stated apart from the files."""

from __future__ import annotations

import pytest

import lsu_onto
from lsu_onto.library.library import Library

DATASETS = [
    "goose",
    "goose_ex",
    "rellis3d",
    "rugd",
    "tas500",
    "ycor",
    "freiburg_forest",
    "wildscenes",
    "great_outdoors",
    "cityscapes",
    "acdc",
    "kitti",
    "coco_panoptic",
    "vistas v1.2",
]

# Dataset, class, classes that S(d) must have, classes that it must not have.
FACTS = [
    # Errors of the published maps that METHOD names.
    ("rellis3d", "fence", "fence", "pole"),
    ("rellis3d", "vehicle", "car truck", ""),
    ("great_outdoors", "trees", "tree", "water"),
    ("freiburg_forest", "grass", "low_grass high_grass", "snow"),
    ("wildscenes", "mud", "rough_drivable", ""),
    ("tas500", "undefined", "void", ""),
    # A class is left out of none for being unmentioned or unscored.
    ("rellis3d", "dirt", "rough_drivable", "void"),
    ("great_outdoors", "puddle", "water", "void"),
    ("great_outdoors", "gravel", "rough_drivable", "void"),
    ("freiburg_forest", "obstacle", "person building car void", "tree sky water low_grass"),
    ("goose", "trailer", "trailer", "void"),
    ("goose", "traffic_cone", "void", "traffic_sign"),
    # Labels of another's dataset follow its policy.
    ("cityscapes", "terrain", "low_grass sidewalk", "void"),
    ("kitti", "dynamic", "animal void", "person"),
    ("acdc", "road", "asphalt snow", ""),
    ("acdc", "sky", "sky", "snow"),
    ("goose_ex", "heavy_machinery", "void", "truck"),
    ("coco_panoptic", "person", "person rider", "void"),
    ("vistas v1.2", "utility_pole", "pole", "building"),
    ("rugd", "rock", "rock", "rough_drivable"),
    ("ycor", "obstacle", "rock person void", "rough_drivable sky"),
]


@pytest.mark.parametrize(("dataset", "cls", "has", "lacks"), FACTS, ids=[f"{f[0]}-{f[1]}" for f in FACTS])
def test_what_a_pixel_may_be(dataset: str, cls: str, has: str, lacks: str) -> None:
    found = set(lsu_onto.load(dataset, "offroad").names(cls))
    assert found >= set(has.split()), found
    assert not found & set(lacks.split()), found


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_map_speaks_of_every_class(dataset: str) -> None:
    constraint = lsu_onto.load(dataset, "offroad")
    assert constraint.allowed.shape == (len(constraint.classes), 35)
    assert constraint.allowed.any(axis=1).all()


def test_goose_states_all_of_the_source() -> None:
    """The source's classes are GOOSE's, merged: its facts, without the decisions, reach every one."""
    ontology = Library().ontology("goose", "offroad")
    stated = {c for r in ontology.rows if r.decision is None for c in r.meaning(34).channels}
    assert stated == set(range(34))
