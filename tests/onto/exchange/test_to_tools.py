"""Out to annotation tools and to Hugging Face, and in again with our importers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.exchange import exported, run
from lsu_onto.exchange import CLASS_EXPORTS, Options, export, export_classes, import_
from lsu_onto.library.library import Library
from lsu_onto.ontology.model import Taxonomy

READERS = {"cvat": "json", "labelstudio": "xml"}
ALONE = """\
tax 1
dataset alone v1
encoding: id
0  road   #804080
7  quote  "a 'q' <&>" #4682b4
"""


def again(folder: Path, text: str, reader: str, **options: str) -> Taxonomy:
    file = folder / "labels"
    file.write_text(text, encoding="utf-8")
    imported = import_(reader, [file], Options(name="again", **options))  # type: ignore[arg-type]
    (folder / "again.tax").write_text(imported.text, encoding="utf-8")
    return Library([folder]).alone("again")


@pytest.mark.parametrize("format_", CLASS_EXPORTS)
def test_labels_keep_names_and_colours(tmp_path: Path, format_: str) -> None:
    for name in ("cityscapes", "idd", "rellis3d", "vistas v2", "ade20k"):
        taxonomy = Library().alone(name)
        found = again(tmp_path, export_classes(taxonomy, format_), READERS[format_], encoding="id")
        assert [c.official for c in found.classes] == [c.official for c in taxonomy.classes]
        assert [c.rgb for c in found.classes] == [c.rgb for c in taxonomy.classes]


def test_raw_values_come_back_where_each_class_has_one(tmp_path: Path) -> None:
    (tmp_path / "alone.tax").write_text(ALONE)
    taxonomy = Library().alone(tmp_path / "alone.tax")
    text = export_classes(taxonomy, "labelstudio")
    assert '<Label value="a \'q\' &lt;&amp;&gt;" background="#4682b4" category="7"/>' in text
    assert [c.ids for c in again(tmp_path, text, "xml").classes] == [((0, 0),), ((7, 7),)]
    (tmp_path / "alone.tax").write_text(ALONE.replace("7 ", "7,8 "))  # one number cannot say this
    unnumbered = export_classes(Library().alone(tmp_path / "alone.tax"), "labelstudio")
    assert "category" not in unnumbered
    assert "have not exactly one raw value: a 'q' &lt;&amp;&gt; -->" in unnumbered
    assert len(again(tmp_path, unnumbered, "xml").classes) == 2, "the comment is no label"
    nasty = ALONE.replace("7 ", "7,8 ").replace("a 'q'", "a---\x1b\ufffe-")  # none of which XML can hold there
    (tmp_path / "alone.tax").write_text(nasty, encoding="utf-8")
    text = export_classes(Library().alone(tmp_path / "alone.tax"), "labelstudio")
    assert [c.official for c in again(tmp_path, text, "xml").classes][1].startswith("a---\ufffd\ufffd-")


def test_a_dataset_without_a_map_has_labels(tmp_path: Path) -> None:
    file = tmp_path / "alone.tax"
    file.write_text(ALONE)
    result = run("export", file, "--to", "cvat", "-o", tmp_path / "labels.json")
    assert result.exit_code == 0, result.output
    road, _ = json.loads((tmp_path / "labels.json").read_text())
    assert road == {"name": "road", "color": "#804080", "type": "any", "attributes": []}
    assert run("export", file, "--to", "cvat", "--source", "demo").exit_code == 2
    assert "has no map" in run("export", file, "--to", "hf").output


def test_hugging_face_has_the_channels_of_the_source(rich: Path, tmp_path: Path) -> None:
    text = exported(rich, "hf")
    config = json.loads(text)
    source = Library().ontology(rich).source
    assert config["id2label"] == {str(i): c.name for i, c in enumerate(source.classes)}
    assert config["label2id"] == {c.name: i for i, c in enumerate(source.classes)}
    found = again(tmp_path, export(Library().ontology("idd", "vistas"), "hf"), "json", kind="source")
    assert [c.name for c in found.classes] == [c.name for c in Library().ontology("idd", "vistas").source.classes]


@pytest.mark.parametrize("name", ["idd", "cityscapes", "ade20k"])
def test_label_studio_reads_its_configuration(name: str) -> None:
    interface = pytest.importorskip("label_studio_sdk.label_interface", reason="pip install label-studio-sdk")
    taxonomy = Library().alone(name)
    config = interface.LabelInterface(export_classes(taxonomy, "labelstudio"))
    config.validate()
    (brushes,) = config.controls
    assert brushes.tag == "BrushLabels"
    assert brushes.labels == [c.official for c in taxonomy.classes]
