"""Pictures: drawn without a `dot` program, the same bytes every time, and no half files."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from PIL import ImageFont

from helpers.large import DATASET, SOURCE, large_tax
from helpers.tax import TAX
from lsu_onto.cli import main
from lsu_onto.library.library import Library
from lsu_onto.ontology.html import ink
from lsu_onto.ontology.model import Ontology
from lsu_onto.render import FORMATS, VIEWS, RenderError, draw
from lsu_onto.render.diagrams import _EDGES
from lsu_onto.render.engine import _other_process, lay_out
from lsu_onto.render.looks import KINDS, MARKS, edges
from lsu_onto.render.page import _path

FIELD = Library().ontology(TAX / "ok" / "field.tax")
MAGIC = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF", "dot": b"digraph", "html": b"<!DOCTYPE html>"}


@pytest.fixture
def no_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("graphviz")
    pytest.importorskip("pygraphviz")
    monkeypatch.setenv("PATH", "")


def words(svg: Path) -> str:
    return " ".join("".join(e.itertext()) for e in ET.parse(svg).iter() if e.tag.endswith("text"))


@pytest.mark.usefixtures("no_dot")
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("suffix", FORMATS)
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
    classes = tuple(replace(c, official=nasty, note=nasty) for c in FIELD.dataset.classes)
    dataset = replace(FIELD.dataset, classes=classes, meta={"title": nasty})
    odd: Ontology = replace(FIELD, dataset=dataset)
    draw(odd, tmp_path / "a.svg", view)
    assert nasty[:-1] in words(tmp_path / "a.svg").replace("\xa0", " ")


@pytest.mark.usefixtures("no_dot")
@pytest.mark.parametrize("view", VIEWS)
def test_a_source_alone(tmp_path: Path, view: str) -> None:
    demo = Library().ontology("demo")
    draw(demo, tmp_path / "a.svg", view)
    text = words(tmp_path / "a.svg")
    assert text.count("lane_marking") == (2 if view == "matrix" else 1)
    order = [text.rindex(c.name) for c in demo.source.classes]
    assert order == sorted(order)
    assert "→" not in text


class Label(NamedTuple):
    text: str
    left: float
    right: float
    top: float
    bottom: float


def labels(svg: Path) -> tuple[list[Label], float, float]:
    """The texts of a picture as boxes on the page, as wide as in a font like Helvetica, and the page's size."""
    font = ImageFont.load_default(64)  # Pillow's own, some 4 % wider
    root = ET.parse(svg).getroot()
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    move = re.search(
        r"translate\(([\d.]+) ([\d.]+)\)", next(e for e in root if e.tag.endswith("}g")).attrib["transform"]
    )
    assert move
    found = []
    for e in root.iter():
        text = "".join(e.itertext()).strip("\xa0 ") if e.tag.endswith("}text") else ""
        if text:
            x, y, size = (float(e.attrib[k]) for k in ("x", "y", "font-size"))
            raw = "".join(e.itertext())
            indent = 0.28 * size * (len(raw) - len(raw.lstrip("\xa0")))
            across = font.getlength(text) * size / 64
            back = {"middle": across / 2, "end": across}.get(e.attrib.get("text-anchor", ""), 0)
            left = float(move[1]) + x + indent - back
            base = float(move[2]) + y
            found.append(Label(text, left, left + across, base - 0.72 * size, base + 0.1 * size))
    return found, width, height


@pytest.mark.usefixtures("no_dot")
@pytest.mark.parametrize("view", VIEWS)
def test_a_large_ontology_has_no_label_cut_or_on_another(tmp_path: Path, view: str) -> None:
    (tmp_path / "many.tax").write_text(large_tax())
    many = Library().ontology(tmp_path / "many.tax")
    start = time.process_time()
    draw(many, tmp_path / "a.svg", view)
    assert time.process_time() - start < 5  # under 1 s
    found, width, height = labels(tmp_path / "a.svg")
    texts = [label.text for label in found]
    assert [c.name for c in (*many.dataset.classes, *many.source.classes) if texts.count(c.name) != 1] == []
    assert len(many.dataset.classes) == DATASET
    assert len(many.source.classes) == SOURCE
    assert [a for a in found if a.left < 0 or a.top < 0 or a.right > width or a.bottom > height] == []
    assert [
        (a.text, b.text)
        for a, b in combinations(found, 2)
        if a.left < b.right and b.left < a.right and a.top < b.bottom and b.top < a.bottom
    ] == []


def test_kinds_differ_without_colour() -> None:
    shapes = {kind: tuple(sorted((k, v) for k, v in e.items() if k != "color")) for kind, e in _EDGES.items()}
    assert _EDGES["="]["color"].split(":")[1] == "invis"  # two lines: Graphviz has no attribute for it
    assert len(set(shapes.values())) == len(KINDS) == len({k.symbol for k in KINDS.values()})
    bare = {kind for kind in KINDS if _path(kind, 7, 7) == _path("~", 7, 7)}
    assert bare == {"~", "any"}  # dashed and dotted: page.css
    assert len({_path(kind, 7, 7) for kind in KINDS}) == len(KINDS) - 1


def test_what_is_ignored_does_not_look_like_what_may_be_void(tmp_path: Path) -> None:
    rows = "1 open > road ~ void\n2 ignored -> void\n3 free -> any\n4 cow ! any\n"
    (tmp_path / "a.tax").write_text(f"tax 1\ndataset a v1 -> demo v1\n{rows}")
    ontology = Library().ontology(tmp_path / "a.tax")
    void = len(ontology.source.classes)
    assert [e.kind for e in edges(ontology) if e.channel == void] == ["void", "ignored", "any", "novel"]
    draw(ontology, tmp_path / "a.svg", "map")
    drawn = (tmp_path / "a.svg").read_text()
    assert all(KINDS[kind].meaning in drawn for kind in ("void", "ignored", "any", "novel"))


@pytest.mark.usefixtures("no_dot")
def test_command(tmp_path: Path) -> None:
    for suffix in ("svg", "png"):
        target = tmp_path / f"town.{suffix}"
        result = CliRunner().invoke(main, ["render", "demo_town", "-o", str(target)])
        assert (result.exit_code, result.stdout) == (0, f"{target}\n")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["town.png", "town.svg"]


CHAIN = """tax 1
source fine v1
0 car
1 road
2 lane
source coarse v1
0 vehicle
1 way
dataset fine v2
0 car
1 road
2 lane
map fine v2 -> fine v1
car = car
road = road
lane = lane
map fine v2 -> coarse v1
car < vehicle
road ~ way void
lane < way
dataset town v1 -> fine v1
0 machine = car
1 street ~ road void
2 rest -> any
"""


def test_maps_in_a_row_are_drawn_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("graphviz")
    monkeypatch.chdir(tmp_path)
    Path("chain.tax").write_text(CHAIN)
    run = CliRunner().invoke
    assert run(main, ["render", "chain.tax town", "fine", "coarse", "-o", "a.dot"]).output == "a.dot\n"
    text = Path("a.dot").read_text()
    lines = [line for line in text.splitlines() if "style=invis" not in line]
    seen = {(m[1], m[2]) for line in lines if (m := re.match(r"\t(\w+) -> (\w+) ", line))}
    # what only a decision reaches leads nowhere: `lane` has no edge to `way`
    assert seen == {("d0", "s0"), ("d1", "s1"), ("d1", "s3"), ("s0", "s1_0"), ("s1", "s1_1"), ("s1", "s1_2")}
    assert "town v1 → fine v1 → coarse v1" in text and "any class, or void" in text
    for args, message in (
        (("coarse",), "the one source of a map is given by --source"),
        (("fine", "coarse", "--source", "fine"), "the one source of a map is given by --source"),
        (("fine", "coarse", "--view", "matrix"), "are drawn in the view `map` only"),
        (("fine", "coarse", "-o", "a.html"), "are drawn in the view `map` only"),
        (("fine", "corse"), "there is no source `corse`; did you mean `coarse`?"),
    ):
        done = run(main, ["render", "chain.tax town", *args])
        assert done.exit_code in (1, 2) and message in done.output, done.output


TRIANGLE = (
    CHAIN.replace("~ road void", "< road")
    + """\
map town v1 -> coarse v1
machine < way  # by way of fine it is a vehicle
street ~ vehicle way  # it cannot be a vehicle by way of fine. allow: TAX402
rest ~ vehicle void
"""
)


def test_a_triangle_has_both_ways_and_marks_where_they_disagree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("graphviz")
    monkeypatch.chdir(tmp_path)
    Path("chain.tax").write_text(TRIANGLE)
    render = ["render", "chain.tax town", "fine", "coarse", "--view", "triangle"]
    assert CliRunner().invoke(main, [*render, "-o", "a.dot"]).output == "a.dot\n"
    text = Path("a.dot").read_text()
    seen = {(m[1], m[2]): m[3] for m in re.finditer(r"\t(\w+) -> (\w+) \[(.*)\]", text) if "=invis" not in m[3]}
    # the map to coarse leads to the left: its source is at the start of an edge, and the arrow there
    assert seen["t1", "d0"].startswith("arrowtail=normal") and "dir=back" in seen["t1", "d0"]
    colours = {look.colour: answered for answered, look in MARKS.items()}
    marks = {ends: colours[c] for ends, look in seen.items() for c in colours if c in look}
    assert marks == {("t1", "d0"): False, ("d0", "s0"): False, ("s0", "s1_0"): False, ("t0", "d1"): True}
    assert "coarse v1 ← town v1 → fine v1 → coarse v1" in text
    assert all(text.count(look.meaning) == 1 for look in MARKS.values())
    for args, message in (
        ([*render[:3], *render[-2:]], "a triangle needs two sources behind the dataset"),
        ([*render, "-o", "a.html"], "a triangle of maps is drawn as svg, png, pdf or dot"),
    ):
        done = CliRunner().invoke(main, args)
        assert done.exit_code in (1, 2) and message in done.output, done.output


def test_what_cannot_be_drawn_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RenderError, match=r"`\.svg`, `\.png`, `\.pdf`, `\.html`, `\.dot`"):
        draw(FIELD, tmp_path / "a.jpg", "map")
    with pytest.raises(RenderError, match="`map`, `tree`, `matrix`"):
        draw(FIELD, tmp_path / "a.svg", "pie")
    with pytest.raises(RenderError, match="Not a directory"):
        draw(FIELD, Path("/dev/null/a.dot"), "map")
    with monkeypatch.context() as patch, pytest.raises(RenderError, match=r"too large for a `\.svg`.*; write `\.html`"):
        patch.setattr("lsu_onto.render.diagrams.MAX_CELLS", 3)
        draw(FIELD, tmp_path / "a.svg", "matrix")
    (tmp_path / "folder.dot").mkdir()
    with pytest.raises(RenderError, match="Is a directory"):
        draw(FIELD, tmp_path / "folder.dot", "map")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.dot"]


@pytest.mark.parametrize("missing", ["graphviz", "pygraphviz"])
def test_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    pytest.importorskip("graphviz")
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RenderError, match=r"pip install '.\[render\]'"):
        draw(FIELD, tmp_path / "a.svg", "map")


@pytest.mark.usefixtures("no_dot")
def test_graphviz_s_own_errors_are_not_lost() -> None:
    with pytest.raises(RenderError, match="Graphviz failed: Error: syntax error in line 1"):
        lay_out('digraph {a [label=<<table><tr><td><font color="red"></font></td></tr></table>>]}', "svg")
    with pytest.raises(RenderError, match=r"Graphviz failed: .*a very long name or note\? an `\.html` has room"):
        lay_out(f"digraph {{{'a' * 100_000}}}", "svg")


@pytest.mark.usefixtures("no_dot")
def test_an_error_that_python_tells_when_it_starts_is_none_of_graphviz(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import nosuchmodule\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert b"<svg" in lay_out("digraph {a}", "svg")


@pytest.mark.usefixtures("no_dot")
@pytest.mark.parametrize(
    ("variables", "suffix", "said"),
    [
        ({"PANGOCAIRO_BACKEND": "nonsense"}, "png", "it was ended by signal"),  # GLib aborts
        ({"SOURCE_DATE_EPOCH": "x"}, "pdf", "it ended with 1; .*SOURCE_DATE_EPOCH"),  # Cairo exits
    ],
)
def test_the_libraries_of_graphviz_do_not_end_the_program(
    variables: dict[str, str], suffix: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RenderError, match=f"Graphviz failed: {said}"):
        lay_out("digraph {a}", suffix)


@pytest.mark.usefixtures("no_dot")
def test_a_long_layout_says_what_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """2,000 classes took minutes without a word, deaf to Ctrl-C."""
    monkeypatch.setattr("lsu_onto.render.engine._LOOK_S", 0.01)
    monkeypatch.setattr("lsu_onto.progress.AFTER_S", 0.05)
    draw(FIELD, tmp_path / "b.svg", "map")
    assert "Graphviz is at work (an `.html` needs none), for " in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="a program there is no script")
@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo Error: no wand >&2; exit 1", "`dot` failed: Error: no wand"),
        ("kill -9 $$", "`dot` failed: it was ended by signal 9"),
        ("exit 0", "`dot` failed: it wrote nothing"),
    ],
)
def test_a_dot_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str) -> None:
    (tmp_path / "dot").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "dot").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RenderError, match=said):
        lay_out("digraph {a}" * 100_000, "svg")  # more than a pipe holds


def test_a_machine_without_fonts(tmp_path: Path) -> None:
    pytest.importorskip("pygraphviz")
    (tmp_path / "fonts.conf").write_text('<?xml version="1.0"?><fontconfig></fontconfig>')
    command = [sys.executable, "-m", "lsu_onto.cli", "render", "demo_town", "-o"]
    root = str(Path(__file__).parents[3])
    bare = {"PATH": "", "PYTHONPATH": root, "FONTCONFIG_FILE": str(tmp_path / "fonts.conf")}
    run = [
        subprocess.run([*command, str(tmp_path / f"a.{s}")], env=bare, capture_output=True, text=True)
        for s in ("png", "svg")
    ]
    assert [r.returncode for r in run] == [1, 0]
    assert "install some" in run[0].stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.svg", "fonts.conf"]


def test_text_is_readable_on_its_colour() -> None:
    assert [ink(c) for c in ((0, 0, 0), (255, 255, 255), (0, 0, 142), (107, 142, 35), None)] == [
        "#ffffff",
        "#000000",
        "#ffffff",
        "#000000",
        "#000000",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="no alarm there")
def test_an_engine_that_reads_late_gets_all_of_a_large_diagram(monkeypatch: pytest.MonkeyPatch) -> None:
    """subprocess forgets the rest where its time runs out before all is written, and both would wait for ever."""
    monkeypatch.setattr("lsu_onto.render.engine._LOOK_S", 0.05)
    code = "import signal, sys, time; signal.alarm(30); time.sleep(0.5); print(len(sys.stdin.read()))"
    data, _ = _other_process([sys.executable, "-c", code], "a" * 300_000, "it failed")
    assert data.strip() == b"300000"
