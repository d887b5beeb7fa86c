"""What a notebook shows of a map."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

import lsu_onto
from helpers.large import DATASET, large_tax
from helpers.nasty import NASTY
from helpers.tax import Compile
from lsu_onto.library.library import Library
from lsu_onto.ontology.html import Row, table


def cells(html: str) -> list[list[str]]:
    """The words of each row. It is well-formed, so nothing in it ends an element too early."""
    rows = ElementTree.fromstring(html).iter("tr")
    return [["".join(cell.itertext()) for cell in row] for row in rows]


def test_a_map_as_its_file_says_it() -> None:
    o = Library().ontology("demo_town", "demo")
    html = o._repr_html_()
    assert "demo_town v1 → demo v1" in html
    head, first, second, *rest = cells(html)
    assert head == ["class", "relation", "a pixel of it may be"]
    assert first == ["drivable", "> road lane_marking", "road lane_marking"]
    assert second == ["pavement", "> sidewalk ~ grass", "sidewalk grass"] and len(rest) == 6
    assert "background:#805080;color:#ffffff" in html and "<style" not in html and "<script" not in html


def test_compiled_arrays(compiled: Compile) -> None:
    c = compiled(
        "1 a = sky\n2 b ~ road sidewalk void\n3 c ! any\n4 d -> void\n5 e -> any ! sky\n6 f -> any\n7 g > car ~ truck"
    )
    assert cells(c._repr_html_())[1:] == [
        ["a", "=", "sky"],
        ["b", "~", "road sidewalk void"],
        ["c", "! any", "void"],
        ["d", "-> void", "void"],
        ["e", "-> any", "road sidewalk car truck void"],
        ["f", "-> any", "road sidewalk car truck sky void"],
        ["g", "> ~", "car truck"],
    ]


def test_what_is_shorter_is_said() -> None:
    names = [f"c{k}" for k in range(15)]
    rows = [
        Row("a", None, "", [*names, "void"]),
        Row("b", None, "", [*names[:13], "void"]),
        Row("c", None, "", names[:11]),
    ]
    shown = [line[2] for line in cells(table("t", rows, dict.fromkeys(names)))[1:]]
    assert shown == ["everything", "everything but c13 c14", "everything but c11 c12 c13 c14 void"]


def test_a_source_and_a_dataset_alone() -> None:
    for html in (Library().ontology("demo")._repr_html_(), lsu_onto.load("demo")._repr_html_()):
        assert cells(html)[1][::2] == ["road", "road"]
    alone = lsu_onto.load_dataset("demo_town")._repr_html_()
    assert cells(alone)[1] == ["drivable", "", ""] and "→" not in alone


@pytest.mark.parametrize("vistas", [True, False])
def test_it_stays_small(vistas: bool, tmp_path) -> None:
    if vistas:
        html = lsu_onto.load("vistas v2", source="vistas")._repr_html_()
        assert len(cells(html)) == 125
    else:
        (tmp_path / "large.tax").write_text(large_tax())
        html = Library().ontology(tmp_path / "large.tax")._repr_html_()
        assert len(cells(html)) == DATASET + 1
    assert len(html.encode()) < 200_000
    names = [f"class_{i:03}" * 12 for i in range(200)]
    html = table("large", (Row(n, (1, 2, 3), f"~ {' '.join(names)}", names[:100]) for n in names), dict.fromkeys(names))
    assert len(html.encode()) < 200_000
    *shown, last = cells(html)[1:]
    assert last == [f"… and {200 - len(shown)} more classes"]
    assert shown[0][2].endswith(" … and 90 more") and all(len(word) <= 60 for word in shown[0][0].split())


def test_hostile_text_is_text() -> None:
    html = table(NASTY, [Row(NASTY, None, NASTY, [NASTY])], {NASTY: None})
    assert re.findall(r"<(script|img|!)", html) == []
    assert cells(html)[1][0].startswith("</script><script>window.hit = 1")
