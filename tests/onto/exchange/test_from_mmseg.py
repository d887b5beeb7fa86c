"""METAINFO of MMSegmentation's datasets."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import lsu_onto
from helpers.exchange import MODULE, errors, run
from lsu_onto.exchange import ExchangeError, Options, import_
from lsu_onto.library.library import Library


@pytest.mark.parametrize("module", ["os", "sys", "zlib"])
def test_a_module_without_a_python_file_is_named(module: str) -> None:
    with pytest.raises(ExchangeError, match=rf"the module `{module}` has no Python file|no class `path`"):
        import_("mmseg", [f"{module}:path"])


def test_mmseg_reads_the_source_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "townpack" / "sets"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "town.py").write_text(MODULE)
    (tmp_path / "odd.py").write_text(f"class Odd:\n    METAINFO = {{0x{'f' * 4000}: ['a']}}\n")
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
        (f"{tmp_path}/odd.py:Odd", "no `classes` here"),
        ("townpack.sets.town:Other", ":6:28: `classes` is computed"),
        ("townpack.sets.town", "which class?"),
        ("townpack.twon:X", "`townpack` has no module"),
        ("townpack./:X", "no module `townpack` here"),
        ("no_such_pack.x:X", "no module `no_such_pack`"),
        (f"{tmp_path}/twon.py:X", "cannot read"),
    ):
        result = run("import", "--from", "mmseg", given)
        assert result.exit_code == 1 and message in result.stderr, result.stderr


@pytest.mark.parametrize(
    ("text", "on"),
    [
        ("class T(CustomDataset):", False),
        ("class T(BaseSegDataset):\n  def __init__(s, suffix='x', reduce_zero_label=True, **k): s.f(**k)", True),
        # as in MMSegmentation 0.x
        (
            "class T(CustomDataset):\n  def __init__(s, **k): super().__init__(img='', reduce_zero_label=True, **k)",
            True,
        ),
        ("class T(CustomDataset):\n  def __init__(s, **k): super(T, s).__init__(reduce_zero_label=True, **k)", True),
        ("class T(Base):\n  def __init__(s, **k): Base.__init__(s, reduce_zero_label=True, **k)", True),
        ("class T(Base):\n  def __init__(s, *, zero=True): super().__init__(reduce_zero_label=zero)", True),
        ("class T(Base):\n  def __init__(s, reduce_zero_label=True): super().__init__(reduce_zero_label=False)", False),
        ("class T(Base):\n  def __init__(s, **k):\n    k.setdefault('reduce_zero_label', True)", True),
        ("class T(Base):\n  def __init__(s, **k):\n    k['reduce_zero_label'] = True", True),
        ("class T(Base):\n  def __init__(s):\n    s.reduce_zero_label = True", True),
        ("class B(CustomDataset):\n  def __init__(s): super().__init__(reduce_zero_label=True)\nclass T(B):", True),
        ("class T(T):", False),
        # what cannot be said
        ("class T(mmseg.ADE20KDataset):", None),
        ("class T(Base):\n  def __init__(s, **k): super().__init__(**k)", None),
        ("class T(Base):\n  def __init__(s, z): super().__init__(reduce_zero_label=z)", None),
        ("class T(Base):\n  def __init__(s, z): super().__init__(reduce_zero_label=s.f(z))", None),
    ],
)
def test_mmseg_finds_reduce_zero_label_wherever_it_is_set(tmp_path: Path, text: str, on: bool | None) -> None:
    file = tmp_path / "t.py"
    file.write_text(f"{text}\n  METAINFO = dict(classes=('road', 'car'))\n")
    imported = import_("mmseg", [f"{file}:T"])
    assert errors(imported.text) == []
    assert re.findall(r"^(\d)  (\w+)$", imported.text, re.MULTILINE) == (
        [("1", "road"), ("2", "car")] if on else [("0", "road"), ("1", "car")]
    )
    assert ("void:     0" in imported.text) == bool(on)
    (kinds,) = [[f.severity for f in imported.findings]]
    assert kinds == {True: ["info"], False: [], None: ["warning"]}[on]
    assert "the file does not say whether `T` sets" in imported.findings[0].message if on is None else True
    source = import_("mmseg", [f"{file}:T"], Options(kind="source"))
    assert "0  road" in source.text and source.findings == ()  # the channels are the same


def test_mmseg_reads_classes_as_version_0_has_them(tmp_path: Path) -> None:
    file = tmp_path / "t.py"
    file.write_text(
        "@DATASETS.register_module()\nclass TownDataset(CustomDataset):\n"
        "    CLASSES = ('road', 'car')\n    PALETTE = [[128, 64, 128], [0, 0, 142]]\n"
        "class Bare(CustomDataset):\n    CLASSES: tuple = ('sky',)\n    PALETTE = None\n"
    )
    (tmp_path / "m.py").write_text("CLASSES = ['road']\n")
    heir = tmp_path / "heir.py"
    heir.write_text("class Night(mmseg.CityscapesDataset): ...\n")
    named = run("import", "--from", "mmseg", f"{heir}:Night")
    assert "`Night` has no METAINFO or CLASSES of its own; give the class that it builds on" in named.stderr
    town = import_("mmseg", [f"{file}:TownDataset"])
    assert "0  road  #804080\n1  car   #00008e\n" in town.text and town.findings == ()
    assert "\n0  sky\n" in import_("mmseg", [f"{file}:Bare"]).text
    assert "\n0  road\n" in import_("mmseg", [tmp_path / "m.py"]).text
    wrong = run("import", "--from", "mmseg", f"{file}:TownDatset")
    assert "no class `TownDatset` with a METAINFO or CLASSES; did you mean `TownDataset`?" in wrong.stderr


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
