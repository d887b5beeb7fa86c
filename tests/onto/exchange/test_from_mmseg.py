"""METAINFO of MMSegmentation's datasets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lsu_onto
from helpers.exchange import MODULE, errors, run
from lsu_onto.exchange import Options, import_
from lsu_onto.library.library import Library


def test_mmseg_reads_the_source_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "townpack" / "sets"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "town.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    by_module = import_("mmseg", ["townpack.sets.town:TownDataset"])
    assert by_module.text == import_("mmseg", [f"{package / 'town.py'}:TownDataset"]).text
    assert errors(by_module.text) == [] and by_module.text.startswith("tax 1\ndataset town v1\n")
    assert '2  big_car "big car"  #00008e' in by_module.text and "void:     0" in by_module.text
    assert "plus 1" in by_module.findings[0].message
    source = import_("mmseg", ["townpack.sets.town:TownDataset"], Options(kind="source"))
    assert errors(source.text) == [] and "\n0  road" in source.text
    for given, message in (
        ("townpack.sets.town:TownDatset", "did you mean `TownDataset`"),
        ("townpack.sets.town:Other", ":6:28: `classes` is computed"),
        ("townpack.sets.town", "which class?"),
        ("townpack.twon:X", "`townpack` has no module"),
        ("no_such_pack.x:X", "no module `no_such_pack`"),
        (f"{tmp_path}/twon.py:X", "cannot read"),
    ):
        result = run("import", "--from", "mmseg", given)
        assert result.exit_code == 1 and message in result.stderr, result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"classes": ["road"],', ":1:22: not JSON"),
        ("[]", "no `classes` here"),
        ('{"classes": []}', "not a list of names"),
        ('{"classes": ["a"], "palette": [[0, 0, 300]]}', "not a list of `[r, g, b]`"),
        ('{"classes": ["a"], "palette": [[0, 0, 0], [1, 1, 1]]}', "1 classes and 2 colours"),
    ],
)
def test_mmseg_json_errors(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "m.json").write_text(text)
    result = run("import", "--from", "mmseg", tmp_path / "m.json")
    assert result.exit_code == 1 and message in result.stderr


def test_mmseg_json_round_trip(tmp_path: Path) -> None:
    o = Library().ontology("demo")
    classes = [c.name for c in o.source.classes]
    (tmp_path / "m.json").write_text(json.dumps({"classes": classes, "palette": [c.rgb for c in o.source.classes]}))
    imported = import_("mmseg", [tmp_path / "m.json"], Options(kind="source", name="again"))
    (tmp_path / "m.tax").write_text(imported.text)
    again = lsu_onto.load("again", paths=[tmp_path])
    assert again.source_classes == tuple(classes)
    assert (again.source_palette == lsu_onto.load("demo").source_palette).all()
