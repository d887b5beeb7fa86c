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


# GA-Nav's published groups: dataset, class, level. Where we are wider, the row says so.
LEVELS = {
    "rugd": {
        "smooth": "concrete asphalt",
        "rough": "gravel grass dirt sand mulch",
        "bumpy": "rock rock_bed",
        "forbidden": "water",
        "obstacle": "tree pole vehicle generic_object building log bicycle person fence bush picnic_table bridge",
        "sky": "sky",
    },
    "rellis3d": {
        "smooth": "concrete asphalt",
        "rough": "dirt grass",
        "bumpy": "mud rubble",
        "forbidden": "water bush puddle",
        "obstacle": "tree pole vehicle object building log person fence barrier",
        "sky": "sky",
    },
}
WIDER = {("rugd", "rock"), ("rugd", "bush"), ("rugd", "bridge"), ("rellis3d", "bush")}


@pytest.mark.parametrize("dataset", LEVELS)
def test_traversability_is_as_published(dataset: str) -> None:
    constraint = lsu_onto.load(dataset, "traversability")
    for level, classes in LEVELS[dataset].items():
        for c in classes.split():
            allowed = constraint.names(c)
            assert level in allowed and ((dataset, c) in WIDER) == (len(allowed) > 1), c
    assert constraint.groups["navigable"] == (0, 1, 2) and constraint.groups["blocked"] == (3, 4)


@pytest.mark.parametrize("dataset", DATASETS[:9])
def test_every_off_road_dataset_has_levels(dataset: str) -> None:
    """Water is forbidden, sky is sky, and what is painted on no ground is an obstacle, in each of them."""
    constraint = lsu_onto.load(dataset, "traversability")
    assert constraint.names("sky") == ("sky",)
    expected = {"water": {"forbidden"}, "pole": {"obstacle"}, "building": {"obstacle"}, "person": {"obstacle"}}
    expected |= {"gravel": {"rough"}, "soil": {"rough"}, "dirt": {"rough"}, "concrete": {"smooth"}}
    for c, allowed in expected.items():
        if c in constraint.classes:
            assert set(constraint.names(c)) == allowed, (dataset, c)


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
