"""Pictures: drawn without a `dot` program, the same bytes every time, and no half files."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import TAX

from lsu_onto.cli import main
from lsu_onto.library import Library
from lsu_onto.model import Ontology
from lsu_onto.render import VIEWS, RenderError, _ink, draw

FIELD = Library().ontology(TAX / "ok" / "field.tax")
MAGIC = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF", "dot": b"digraph"}


@pytest.fixture
def no_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("graphviz")
    pytest.importorskip("pygraphviz")
    monkeypatch.setenv("PATH", "")


def words(svg: Path) -> str:
    return " ".join("".join(e.itertext()) for e in ET.parse(svg).iter() if e.tag.endswith("text"))


@pytest.mark.usefixtures("no_dot")
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("suffix", MAGIC)
def test_every_view_in_every_format(tmp_path: Path, view: str, suffix: str) -> None:
    first, again = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    draw(FIELD, first, view)
    draw(FIELD, again, view)
    assert first.read_bytes().startswith(MAGIC[suffix])
    assert first.read_bytes() == again.read_bytes()


@pytest.mark.usefixtures("no_dot")
def test_the_map_names_every_class_and_legend(tmp_path: Path) -> None:
    draw(FIELD, tmp_path / "a.svg", "map")
    text = words(tmp_path / "a.svg")
    for name in (*FIELD.dataset.by_name, *FIELD.source.by_name, "pick-up", "void", "field v2 → town v1"):
        assert name in text
    for meaning in ("the same pixels", "overlaps it", "no source class", "unconstrained"):
        assert meaning in text


@pytest.mark.usefixtures("no_dot")
@pytest.mark.parametrize("view", VIEWS)
def test_names_are_escaped(tmp_path: Path, view: str) -> None:
    nasty = r"""<b>&amp; \N %s \x01 ü" -> {a|b}</b>""" + "\x01"
    classes = tuple(c.model_copy(update={"official": nasty, "note": nasty}) for c in FIELD.dataset.classes)
    dataset = FIELD.dataset.model_copy(update={"classes": classes, "meta": {"title": nasty}})
    odd: Ontology = FIELD.model_copy(update={"dataset": dataset})
    draw(odd, tmp_path / "a.svg", view)
    assert nasty[:-1] in words(tmp_path / "a.svg").replace("\xa0", " ")


@pytest.mark.usefixtures("no_dot")
def test_a_source_alone_is_drawn_once(tmp_path: Path) -> None:
    draw(Library().ontology("demo"), tmp_path / "a.svg", "tree")
    assert words(tmp_path / "a.svg").count("lane_marking") == 1


@pytest.mark.usefixtures("no_dot")
def test_command(tmp_path: Path) -> None:
    for suffix in ("svg", "png"):
        target = tmp_path / f"town.{suffix}"
        result = CliRunner().invoke(main, ["render", "demo_town", "-o", str(target)])
        assert (result.exit_code, result.stdout) == (0, f"{target}\n")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["town.png", "town.svg"]


def test_what_cannot_be_drawn_or_written(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match=r"`\.svg`, `\.png`, `\.pdf`, `\.dot`"):
        draw(FIELD, tmp_path / "a.jpg", "map")
    with pytest.raises(RenderError, match="`map`, `tree`, `matrix`"):
        draw(FIELD, tmp_path / "a.svg", "pie")
    with pytest.raises(RenderError, match="No such file"):
        draw(FIELD, tmp_path / "no" / "a.dot", "map")
    (tmp_path / "folder.dot").mkdir()
    with pytest.raises(RenderError, match="Is a directory"):
        draw(FIELD, tmp_path / "folder.dot", "map")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.dot"]


@pytest.mark.parametrize("missing", ["graphviz", "pygraphviz"])
def test_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    pytest.importorskip("graphviz")
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RenderError, match=r"pip install 'lsu-toolkit\[render\]'"):
        draw(FIELD, tmp_path / "a.svg", "map")


def test_text_is_readable_on_its_colour() -> None:
    assert [_ink(c) for c in ((0, 0, 0), (255, 255, 255), (0, 0, 142), (107, 142, 35), None)] == [
        "#ffffff", "#000000", "#ffffff", "#000000", "#000000"
    ]  # fmt: skip
