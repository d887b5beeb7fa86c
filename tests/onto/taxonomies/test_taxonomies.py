"""The shipped taxonomies: facts about the datasets that must not drift, stated apart from the files."""

from __future__ import annotations

import json
from functools import cache

import pytest
from click.testing import CliRunner

from lsu_onto.cli import main
from lsu_onto.lang.parse import parse
from lsu_onto.lang.syntax import Header, Meta
from lsu_onto.library.library import Library
from lsu_onto.library.searchpath import shipped
from lsu_onto.ontology.model import Dataset, Source, TaxClass

FILES = sorted(f for folder in ("sources", "urban", "offroad") for f in (shipped() / folder).glob("*.tax"))

SOURCES = {
    "cityscapes v1": 19,
    "vistas v1": 63,
    "offroad v1": 34,
    "traversability v1": 6,
    "camvid11 v1": 11,
    "ycor v1": 8,
}

# Classes, encoding, splits. GOOSE-Ex, ACDC and KITTI state no class of their own.
DATASETS = {
    "cityscapes v1": (35, "id", "train val test"),
    "kitti v1": (35, "id", "training"),
    "kitti360 v1": (46, "id", "train val"),
    "acdc v1": (35, "id", "train val"),
    "vistas v1.2": (66, "id", "training validation"),
    "vistas v2": (124, "id", "training validation"),
    "bdd100k v1": (20, "id", "train val"),
    "idd v1": (41, "polygons", "train val"),  # the official 40, and `ground`, which is not drawn
    "idd_lite v1": (8, "id", "train val"),  # with what no polygon covers
    "apolloscape v1": (36, "id", " ".join(f"road0{n}_ins_{s}" for n in (1, 2, 3) for s in ("train", "val"))),
    "a2d2 v1": (38, "rgb", "all"),
    "nuimages v1": (26, "rle", "train val mini"),
    "waymo v1": (29, "id16/1000", "training validation"),
    "wilddash2 v1": (81, "panoptic-rgb", "all"),
    "camvid v1": (32, "rgb", "all"),
    "camvid_segnet v1": (12, "id", "train val test"),
    "coco_panoptic v1": (133, "panoptic-rgb", "train val"),
    "ade20k v1": (151, "id", "training validation"),
    "lanes v1": (4, "rgb", "train val"),
    "goose v1": (64, "id", "train val"),
    "goose_ex v1": (64, "id", "train val"),
    "rellis3d v1": (20, "id", "train val test"),
    "rugd v1": (25, "rgb", "train val test"),
    "tas500 v1.1": (24, "rgb", "train val"),
    "ycor v1": (9, "id", "train valid"),
    "freiburg_forest v1": (7, "rgb", "train test"),
    "wildscenes v1": (19, "id", "train val test"),
    "great_outdoors v1": (22, "id", "all"),
}

# Dataset, raw value (its id), official name, first colour.
FACTS = [
    ("cityscapes v1", 7, "road", "#804080"),
    ("cityscapes v1", 26, "car", "#00008e"),
    ("cityscapes v1", 33, "bicycle", "#770b20"),
    ("kitti v1", 21, "vegetation", "#6b8e23"),
    ("kitti360 v1", 11, "building", "#464646"),
    ("kitti360 v1", 35, "gate", "#be9999"),
    ("kitti360 v1", 44, "unknown object", "#202020"),
    ("vistas v1.2", 13, "construction--flat--road", "#804080"),
    ("vistas v1.2", 65, "void--unlabeled", "#000000"),
    ("vistas v2", 21, "construction--flat--road", "#804080"),
    ("vistas v2", 38, "marking--discrete--ambiguous", "#faaa1c"),
    ("vistas v2", 123, "void--unlabeled", "#000000"),
    ("bdd100k v1", 3, "wall", "#66669c"),
    ("bdd100k v1", 4, "fence", "#be9999"),
    ("idd v1", 0, "road", "#804080"),
    ("idd v1", 5, "non-drivable fallback", "#98fb98"),
    ("idd v1", 11, "autorickshaw", "#ffcc36"),
    ("idd v1", 39, "license plate", "#00008e"),
    ("idd_lite v1", 1, "non-drivable", "#98fb98"),
    ("idd_lite v1", 4, "road-side objects", "#dcbe28"),
    ("apolloscape v1", 33, "car", "#00008e"),
    ("apolloscape v1", 161, "car_groups", "#00008e"),
    ("apolloscape v1", 50, "siderwalk", "#c08040"),
    ("a2d2 v1", 0, "Car", "#ff0000"),
    ("a2d2 v1", 50, "RD normal street", "#ff00ff"),
    ("nuimages v1", 17, "vehicle.car", "#ff9e00"),
    ("nuimages v1", 24, "flat.driveable_surface", "#00cfbf"),
    ("nuimages v1", 31, "vehicle.ego", "#fff0f5"),
    ("waymo v1", 14, "construction_cone_pole", "#e69138"),
    ("waymo v1", 20, "road", "#804080"),
    ("wilddash2 v1", 20, "trafficsign", "#dcdc00"),
    ("wilddash2 v1", 60, "mountain", "#40aa40"),
    ("camvid v1", 3, "Bridge", "#008040"),
    ("camvid v1", 30, "Void", "#000000"),
    ("camvid_segnet v1", 4, "pavement", "#3c28de"),
    ("coco_panoptic v1", 13, "stop sign", "#dcdc00"),
    ("coco_panoptic v1", 200, "rug-merged", "#fa8dff"),
    ("ade20k v1", 7, "road", "#8c8c8c"),
    ("ade20k v1", 142, "crt screen", "#7a00ff"),
    ("lanes v1", 2, "lane_mark_solid", "#008000"),
    ("goose v1", 59, "hedge", "#e8d317"),
    ("goose_ex v1", 2, "snow", "#d157a0"),
    ("rellis3d v1", 29, "grass", "#006600"),
    ("rellis3d v1", 32, "water", "#0080ff"),
    ("rellis3d v1", 34, "rubble", "#6e168a"),
    ("rugd v1", 14, "rock-bed", "#666600"),
    ("rugd v1", 21, "rock", "#99ccff"),
    ("tas500 v1.1", 255, "undefined", "#000000"),
    ("ycor v1", 1, "smooth trail", "#b2b099"),
    ("ycor v1", 6, "non-traversable low vegetation", "#00a000"),
    ("freiburg_forest v1", 6, "Obstacle", "#000000"),
    ("wildscenes v1", 3, "mud", "#ffe119"),
    ("wildscenes v1", 8, "tree-foliage", "#d2f53c"),
    ("great_outdoors v1", 35, "mulch", "#8000ff"),
]

CITYSCAPES = (
    "road sidewalk building wall fence pole traffic_light traffic_sign vegetation terrain sky person rider"
    " car truck bus train motorcycle bicycle"
)
OFFROAD = (
    "asphalt rough_drivable cobble sidewalk building wall fence pole traffic_light traffic_sign tree"
    " non_drivable_veg crops water high_grass low_grass guard_rail sky person rider car truck bus trailer"
    " caravan on_rails motorcycle bicycle road_marking bridge tunnel rock snow animal"
)


@cache
def shelf() -> dict[str, dict[str, Source | Dataset]]:
    """Everything shipped: kind → "name version" → taxonomy, inherited classes included."""
    library = Library()
    out: dict[str, dict[str, Source | Dataset]] = {"source": {}, "dataset": {}}
    for file in FILES:
        for t in library.declared(str(file)).taxonomies:
            out["source" if isinstance(t, Source) else "dataset"][f"{t.name} {t.version}"] = t
    return out


def names(kind: str, key: str) -> list[str]:
    return [c.name for c in shelf()[kind][key].classes]


def colours(classes: tuple[TaxClass, ...]) -> list[str]:
    return [f"#{x:06x}" for c in classes for x in c.colours]


def test_every_shipped_file_is_sound_and_in_its_canonical_layout() -> None:
    for args in (["validate", "--strict"], ["fmt", "--check"]):
        result = CliRunner().invoke(main, [*args, str(shipped())])
        assert (result.exit_code, result.output) == (0, "")


def test_list_shows_every_dataset_with_its_class_count() -> None:
    rows = json.loads(CliRunner().invoke(main, ["list", "--format", "json"]).output)["taxonomies"]
    counts = {(r["kind"], f"{r['name']} {r['version']}"): r["classes"] for r in rows}
    expected = {("source", k): n for k, n in SOURCES.items()}
    expected |= {("dataset", k): n for k, (n, *_) in DATASETS.items()}
    assert {k: counts.get(k) for k in expected} == expected


@pytest.mark.parametrize("key", DATASETS)
def test_classes_encoding_and_splits(key: str) -> None:
    count, encoding, splits = DATASETS[key]
    t = shelf()["dataset"][key]
    assert (len(t.classes), t.encoding, t.meta["splits"]) == (count, encoding, splits)
    assert "images" in t.meta
    assert ("segments" if encoding == "rle" else "labels") in t.meta


@pytest.mark.parametrize(("key", "value", "official", "colour"), FACTS)
def test_raw_values(key: str, value: int, official: str, colour: str) -> None:
    found = [c for c in shelf()["dataset"][key].classes if any(a <= value <= b for a, b in c.ids)]
    assert [(c.official, colours((c,))[0]) for c in found] == [(official, colour)]


def test_every_file_says_where_it_comes_from() -> None:
    """In its own words, not those of the dataset that it extends."""
    known = {("source", k) for k in SOURCES} | {("dataset", k) for k in DATASETS}
    for file in FILES:
        header, keys = None, set()
        for s in [*parse(str(file), file.read_text(encoding="utf-8"))[0].statements, None]:
            if isinstance(s, Meta):
                keys.add(s.key.text)
            elif s is None or isinstance(s, Header):
                if header in known:
                    assert keys >= {"title", "url", "licence", "confidence", "source-of-labels"}, header
                    known.remove(header)
                header, keys = (s and (s.kind, f"{s.taxon.name.text} {s.taxon.version.text}")), set()
    assert not known


def test_what_nobody_has_read_is_marked() -> None:
    licences = {k: shelf()["dataset"][k].meta["licence"] for k in DATASETS}
    marked = {k for k, licence in licences.items() if "unverified" in licence}
    assert marked == {"kitti v1", "vistas v1.2", "vistas v2", "a2d2 v1", "coco_panoptic v1"}
    assert {k for k, licence in licences.items() if licence == "not found"} == {
        "camvid v1",
        "camvid_segnet v1",
        "lanes v1",
        "rugd v1",
        "freiburg_forest v1",
    }


def test_the_channels_of_the_sources() -> None:
    assert names("source", "traversability v1") == ["smooth", "rough", "bumpy", "forbidden", "obstacle", "sky"]
    assert names("source", "cityscapes v1") == CITYSCAPES.split()
    assert names("source", "offroad v1") == OFFROAD.split()
    offroad = colours(shelf()["source"]["offroad v1"].classes)
    assert len(set(offroad)) == len(offroad) == 34


def test_a_source_and_the_dataset_behind_it_agree() -> None:
    """Cityscapes' train classes are its scored labels, in order; channels of Vistas are its first 63 ids, and those of
    CamVid its first eleven; YCOR's lack its background."""
    labels = shelf()["dataset"]["cityscapes v1"].classes
    scored = [c for c in labels if c.ids and c.group != "void" and "not scored" not in c.note]
    train = shelf()["source"]["cityscapes v1"].classes
    assert [(c.name, c.official, c.colours, c.group) for c in scored] == [
        (c.name, c.official, c.colours, c.group) for c in train
    ]
    for source, dataset, first in (
        ("vistas v1", "vistas v1.2", 0),
        ("camvid11 v1", "camvid_segnet v1", 0),
        ("ycor v1", "ycor v1", 1),
    ):
        channels = shelf()["source"][source].classes
        labels = shelf()["dataset"][dataset].classes[first : first + len(channels)]
        assert [(c.name, c.official, c.colours) for c in channels] == [(c.name, c.official, c.colours) for c in labels]
        assert [c.ids for c in channels] == [tuple((a - first, b - first) for a, b in c.ids) for c in labels]


def test_what_extends_another_has_its_labels() -> None:
    for key, base in (
        ("kitti v1", "cityscapes v1"),
        ("acdc v1", "cityscapes v1"),
        ("goose_ex v1", "goose v1"),
    ):
        assert shelf()["dataset"][key].classes == shelf()["dataset"][base].classes
    assert names("dataset", "kitti360 v1")[:35] == names("dataset", "cityscapes v1")


def test_colours_of_the_files_that_store_colours() -> None:
    """A2D2 has several per class; Freiburg's Void has none."""
    count = {"a2d2 v1": 55, "camvid v1": 32, "rugd v1": 25, "lanes v1": 4, "tas500 v1.1": 24, "freiburg_forest v1": 6}
    for key, expected in count.items():
        found = colours(shelf()["dataset"][key].classes)
        assert len(found) == len(set(found)) == expected, key


def test_what_is_never_drawn() -> None:
    never = {(k, c.name) for k, t in shelf()["dataset"].items() for c in t.classes if not c.ids}
    cityscapes = {(f"{k} v1", "license_plate") for k in ("cityscapes", "kitti", "kitti360", "acdc")}
    assert never == cityscapes | {("idd v1", "ground"), ("freiburg_forest v1", "unlabelled")}


def test_groups() -> None:
    sizes = {
        ("vistas v2", "object.traffic_light"): 6,
        ("vistas v2", "void"): 6,
        ("vistas v1.2", "void"): 3,
        ("coco_panoptic v1", "thing"): 80,
        ("coco_panoptic v1", "stuff"): 53,
        ("goose v1", "other"): 3,
        ("nuimages v1", "vehicle"): 11,
        ("apolloscape v1", "movable_object"): 16,
    }
    assert {k: len(shelf()["dataset"][k[0]].group(k[1])) for k in sizes} == sizes


def test_rugd_is_split_by_its_sequences() -> None:
    meta = shelf()["dataset"]["rugd v1"].meta
    parts = {s: meta[f"split-{s}"].removeprefix("seq = ").split() for s in ("train", "val", "test")}
    assert {s: len(v) for s, v in parts.items()} == {"train": 12, "val": 2, "test": 4}
    assert len({x for v in parts.values() for x in v}) == 18
    assert parts["val"] == ["park-8", "trail-5"]
