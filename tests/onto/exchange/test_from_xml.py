"""Class lists as XML and as label maps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helpers.class_lists import CVAT_XML, LABEL_STUDIO, LABELMAP
from helpers.exchange import errors, run
from lsu_onto.exchange import Imported, Options, import_


def imported(folder: Path, format_: str, text: str, **options: str) -> Imported:
    (folder / "x.txt").write_text(text)
    found = import_(format_, [folder / "x.txt"], Options(**options))  # type: ignore[arg-type]
    assert errors(found.text) == []
    return found


def classes(found: Imported) -> list[str]:
    return [" ".join(line.split()) for line in found.text.splitlines() if re.match(r"[\d-]", line)]


def test_label_studio(tmp_path: Path) -> None:
    found = imported(tmp_path, "xml", LABEL_STUDIO)
    assert classes(found) == ["0 Road #804080", '1 traffic_light "traffic light" aka tl', "2 Sky"]
    assert [(f.severity, *f.place[1:], f.message[:20]) for f in found.findings] == [
        ("info", 5, 5, "`rgba(255, 0, 0, 0.7"),
        ("warning", 1, 1, "no `id` says the raw"),
    ]
    numbered = LABEL_STUDIO.replace('"Road"', '"Road" category="3"', 1)
    some = imported(tmp_path, "xml", numbered)
    assert "`category` numbers only some of the labels: not used" in [f.message for f in some.findings]
    all_ = numbered.replace('alias="tl"', 'category="4"').replace('"Sky"', '"Sky" category="5"')
    assert [line.split()[0] for line in classes(imported(tmp_path, "xml", all_))] == ["3", "4", "5"]


def test_cvat_and_nothing_behind_its_list(tmp_path: Path) -> None:
    found = imported(tmp_path, "xml", CVAT_XML)
    assert classes(found) == ["0 road #804080", '1 big_car "big car" #00008e']
    assert "encoding: rgb  # a guess" in found.text
    assert "in CVAT's masks, pixels without a label are black" in found.findings[0].message
    endless = CVAT_XML.split("  <image")[0] + "<image>" * 100_000
    assert classes(imported(tmp_path, "xml", endless)) == classes(found)


def test_label_maps(tmp_path: Path) -> None:
    found = imported(tmp_path, "labelmap", LABELMAP)
    assert classes(found) == ["0 background #000000", "1 road #804080", '2 big_car "big car" #00008e']
    assert "encoding: rgb  # a guess" in found.text
    camvid = imported(tmp_path, "labelmap", "64 128 64\tAnimal\n192 0 128\t\tarch way\n\n")
    assert classes(camvid) == ["0 Animal #408040", '1 arch_way "arch way" #c00080']
    rugd = imported(tmp_path, "labelmap", "0 void 0 0 0\n1 dirt 108 64 20\n")
    assert classes(rugd) == ['0 void_class "void" #000000', "1 dirt #6c4014"] and "encoding: id\n" in rugd.text
    voc = imported(tmp_path, "labelmap", "road:::\nsky:::\n")
    assert classes(voc) == ["0 road", "1 sky"] and voc.findings[0].severity == "warning"


@pytest.mark.parametrize(
    ("format_", "text", "message"),
    [
        ("xml", "<View><Label value='a'></View>", ":1:26: not XML: mismatched tag"),
        ("xml", "<View/>", "no labels here; expected Label Studio's"),
        ("xml", "", ":1:1: not XML: no element found"),
        (
            "xml",
            '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
            "txt: this XML declares an entity, which a class list has no need of\n",
        ),
        ("labelmap", "# nothing\n", "no label in this file"),
        ("labelmap", "road:128,64,128::\nsky 70\n", ":2:1: found `sky 70`; expected `label:r,g,b:parts:actions`"),
        ("labelmap", "road:128,64,300::\n", ":1:6: `128,64,300` is not a colour"),
    ],
)
def test_mistakes_have_a_place(tmp_path: Path, format_: str, text: str, message: str) -> None:
    (tmp_path / "x.txt").write_text(text)
    result = run("import", "--from", format_, tmp_path / "x.txt")
    assert result.exit_code == 1 and message in result.stderr, result.stderr
