"""The HTML page without a browser: one file, inert text, the same bytes, and the Constraint's own facts."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import lsu_onto
from helpers.large import DATASET, SOURCE, large_tax
from helpers.nasty import FIELD, NASTY, nasty
from helpers.tax import TAX
from lsu_onto.cli import main
from lsu_onto.library.library import Library
from lsu_onto.render import VIEWS, draw
from lsu_onto.render.page import page


class Page(HTMLParser):
    """What a browser would see of a page: elements with their attributes, and the text of each view."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: dict[str, str] = {}
        self.where = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "input", "br", "path"):
            self.open.append(tag)
        if tag in ("section", "script", "title"):
            self.where = dict(attrs).get("id") or tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag in ("section", "script", "title"):
            self.where = ""

    def handle_data(self, data: str) -> None:
        self.text[self.where] = self.text.get(self.where, "") + data

    def data(self) -> dict[str, Any]:
        out: dict[str, Any] = json.loads(self.text["data"])
        return out


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("large") / "many.tax"
    file.write_text(large_tax())
    return file


def test_one_file_that_needs_no_other(large: Path) -> None:
    text = page(Library().ontology(large), "map")
    for tag, attributes in Page(text).elements:
        assert tag not in ("link", "img", "iframe", "base", "object", "embed")
        assert not {"src", "href", "srcset", "action"} & set(attributes)
    assert not re.search(r"url\(|@import|https?:|fetch\(|XMLHttp|eval\(|innerHTML", text)


def test_the_same_bytes_and_the_view_to_open_with(tmp_path: Path, large: Path) -> None:
    for view in VIEWS:
        first, again = tmp_path / "a.html", tmp_path / "b.html"
        draw(Library().ontology(large), first, view)
        draw(Library().ontology(large), again, view)
        assert first.read_bytes() == again.read_bytes()
        checked = [a["id"] for t, a in Page(first.read_text()).elements if t == "input" and "checked" in a]
        assert checked == [f"show-{view}"]


@pytest.mark.parametrize("name", ["field", "large", "demo"])
def test_the_data_is_the_constraint(name: str, large: Path) -> None:
    what = {"field": TAX / "ok" / "field.tax", "large": large, "demo": "demo"}[name]
    constraint = lsu_onto.load(what)
    data = Page(page(Library().ontology(what), "map")).data()
    assert [c["name"] for c in data["dataset"]["classes"]] == list(constraint.classes)
    assert [c["name"] for c in data["source"]["classes"]] == list(constraint.source_classes)
    allowed, kind = np.zeros_like(constraint.allowed), np.zeros_like(constraint.kind)
    codes = {"=": 1, "<": 2, ">": 3, "~": 4}
    for d, row in enumerate(data["rows"]):
        allowed[d, row["allowed"]] = True
        for k, symbol in zip(row["allowed"], row["kinds"], strict=True):
            if k < constraint.num_classes:
                kind[d, k] = codes.get(symbol, 0)
    assert np.array_equal(allowed, constraint.allowed)
    assert np.array_equal(kind, constraint.kind)
    assert ["novel" in row["kinds"] for row in data["rows"]] == constraint.novel.tolist()


def test_everything_is_there_without_javascript(large: Path) -> None:
    ontology = Library().ontology(large)
    seen = Page(page(ontology, "tree"))
    names = [c.name for c in (*ontology.dataset.classes, *ontology.source.classes)]
    assert len(names) == DATASET + SOURCE
    for view in VIEWS:
        assert [n for n in names if n not in seen.text[view]] == []
    tree = " ".join(seen.text["tree"].split())
    for words in (
        "~ @nature void ! nature_sky · may be nature_mountain nature_sand",
        "# both, and nothing else",
        "# partly nothing that `wide` knows",
        "-> any · may be everything #",
        "0,1 label_00_x",
        "may be everything but void",
        "! any · may be void",
        '"construction--barrier--guard-rail"',
    ):
        assert words in tree, words
    cells = [a["class"] for t, a in seen.elements if t == "td" and "class" in a]
    assert len(cells) == int(lsu_onto.load(large).allowed.sum())
    lines = [a for t, a in seen.elements if t == "g" and "data-from" in a]
    assert len({(a["data-from"], a["data-to"]) for a in lines}) == len(lines) > 100


def test_hostile_text_is_inert() -> None:
    text = page(nasty(FIELD), "map")
    seen, clean = Page(text), Page(page(FIELD, "map"))
    assert {t for t, _ in seen.elements} == {t for t, _ in clean.elements}  # no element of theirs
    assert sum(t == "script" for t, _ in seen.elements) == 2
    assert not any(name.startswith("on") for _, attributes in seen.elements for name in attributes)
    shown = NASTY.replace("\x01", "\ufffd").replace("\u2028", "\ufffd")
    assert seen.text["tree"].count(shown) > len(FIELD.dataset.classes)
    assert seen.data()["dataset"]["classes"][0]["note"] == NASTY
    policy = next(a["content"] for t, a in seen.elements if t == "meta" and a.get("http-equiv"))
    digest = base64.b64encode(hashlib.sha256(seen.text["script"].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def test_a_source_alone_has_one_side() -> None:
    seen = Page(page(Library().ontology("demo"), "map"))
    assert {a["data-id"][0] for _, a in seen.elements if a.get("data-id")} == {"s"}
    assert seen.text["map"].count("lane_marking") == 1
    assert not any(t == "svg" for t, _ in seen.elements)


def test_command_needs_no_graphviz(tmp_path: Path, large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "graphviz", None)
    target = tmp_path / "many.html"
    start = time.process_time()
    result = CliRunner().invoke(main, ["render", str(large), "-o", str(target), "--view", "matrix"])
    assert (result.exit_code, result.stdout) == (0, f"{target}\n")
    assert time.process_time() - start < 3  # 0.4 s
    assert target.stat().st_size < 400_000


def test_void_stands_above_what_nothing_reaches(tmp_path: Path) -> None:
    for header, tail in (
        ("", ["road", "not a class", "void", "(nothing reaches)", "sky", "car"]),
        ("[g]\n", ["g", "road", "sky", "car", "not a class", "void"]),
    ):
        text = f"tax 1\nsource s v1\n{header}0 sky\n1 car\n2 road\ndataset d v1 -> s v1\n1 way ~ road void\n"
        (tmp_path / "d.tax").write_text(text)
        drawn = page(Library().ontology(tmp_path / "d.tax"), "map")
        right = re.findall(
            r"<li[^>]*>(?:<button[^>]*>)?([^<]+)", drawn.partition("</svg>")[2].partition("</section>")[0]
        )
        assert right == tail
