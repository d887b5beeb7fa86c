"""Class lists as tables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import lsu_onto
from helpers.exchange import LIST, errors, run
from helpers.tax import SOURCE
from lsu_onto.exchange import Options, import_
from lsu_onto.exchange.tables import read_table

# --- tables -------------------------------------------------------------------------------------------------


def test_cells_know_their_place(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(b'\xef\xbb\xbfa,b\r\n"x ""y"", z",2\r\n\r\n"two\r\nlines",end,\r\n')
    rows = [[(c.text, *c.place[1:]) for c in r] for r in read_table(str(file)).rows]
    assert rows == [
        [('x "y", z', 2, 1), ("2", 2, 14)],
        [("two\nlines", 4, 1), ("end", 5, 8), ("", 5, 12)],
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\n,,\n", "is empty"),
        (b"id,nam\n0,road\n", "no column `name`; found `id`, `nam`; did you mean"),
        (b"id,name\n0,caf\xe9\n", ":2:6: not UTF-8 text: found byte 0xe9"),
        (b"id,name\0\n", "binary"),
        (b'id,name\n0,"road\n', ":2:3: the quote is not closed"),
        (b"id,name\n", "no classes below the header"),
        (b"id,name\nx,road\n", ":2:1: `x` is not an id"),
        (b"id,name\n0,\n", ":2:1: this row has no name"),
        (b"id,name,color\n0,road,red\n", ":2:8: `red` is not a colour"),
        (b"id;name\n0;road\n", "are separated by `;`"),
        (b"id\tname\n0\troad\n", "are separated by tabs"),
        (b"id,name,color\n0,road,128,64,128\n", ":2:12: this row has 5 cells, the header 3; put quotes"),
        (b"name,official\nbig car,x\n", ":2:1: `big car` cannot be a name; write `big_car`"),
        (b"name,official\na,x\na,y\n", ":3:1: `a` is already a class, at line 2"),
        (b"name,relation\nroad,< street\n", "add `--source NAME`"),
        (b"name,relation\nroad,#NAME?\n", ":2:6: `#NAME?` is not a relation of `road`"),
    ],
)
def test_csv_errors_say_where_and_what(tmp_path: Path, data: bytes, message: str) -> None:
    file = tmp_path / "x.csv"
    file.write_bytes(data)
    result = run("import", "--from", "csv", file, "-o", tmp_path / "x.tax")
    assert result.exit_code == 1 and message in result.stderr, result.stderr
    assert not (tmp_path / "x.tax").exists()


def test_csv_reads_colours_as_numbers_and_is_silent_without_warnings(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text('name,color\nroad,"(128, 64, 128)"\nsky,70 130 180\ncar,#00008E #00008f\n')
    result = run("import", "--from", "csv", file)
    assert [re.findall("#[0-9a-f]{6}", line) for line in result.stdout.splitlines()[-3:]] == [
        ["#804080"],
        ["#4682b4"],
        ["#00008e", "#00008f"],
    ]
    assert "warning" not in result.stderr
    folder = run("import", "--from", "csv", tmp_path)
    assert "Is a directory" in folder.stderr and "did you mean" not in folder.stderr


# --- csv ----------------------------------------------------------------------------------------------------


def test_reference_list_becomes_a_dataset_and_a_source(tmp_path: Path) -> None:
    file = tmp_path / "town.csv"
    file.write_text(LIST)
    dataset = import_("csv", [file])
    assert dataset.findings == () and errors(dataset.text) == []
    assert '1  road_way "road way"' in dataset.text and "# the drivable part, all of it" in dataset.text
    assert '-  licence_plate "licence-plate"' in dataset.text and "[ungrouped]\n2  Void" in dataset.text
    source = import_("csv", [file], Options(kind="source"))
    assert errors(source.text) == []
    lines = [line.split()[:2] for line in source.text.splitlines() if line[:1].isdigit()]
    assert lines == [["0", "road_way"], ["1", "car"]]
    assert [f.kind for f in source.findings] == ["source"] * 3


def test_a_label_listed_twice_is_two_classes_that_say_so(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,name\n3,car\n4,car\n")
    imported = import_("csv", [tmp_path / "x.csv"])
    assert errors(imported.text) == [] and '4  car_2  # officially "car"' in imported.text
    assert [f.kind for f in imported.findings] == ["duplicate"]


def test_a_source_makes_proposals_that_can_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "demo.tax").write_text(SOURCE)
    (tmp_path / "town.csv").write_text(LIST)
    out = tmp_path / "town.tax"
    assert (
        run(
            "import",
            "--from",
            "csv",
            tmp_path / "town.csv",
            "--source",
            "demo",
            "-o",
            out,
            "--path",
            tmp_path,
        ).exit_code
        == 0
    )
    c = lsu_onto.load(out)
    assert c.names("car") == ("car",) and c.names("unlabeled") == ("void",)
    assert len(c.names("road_way")) == c.num_classes + 1 and "to do: relate it" in out.read_text()
    wrong = run("import", "--from", "csv", tmp_path / "town.csv", "--source", "dmo", "--path", tmp_path)
    assert wrong.exit_code == 1 and "there is no source `dmo`; did you mean `demo`?" in wrong.stderr


def test_an_import_that_is_not_sound_is_written_and_reported(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,name\n3,road\n3,car\n")
    result = run("import", "--from", "csv", tmp_path / "x.csv", "-o", tmp_path / "x.tax")
    assert result.exit_code == 1 and "TAX103" in result.stderr and (tmp_path / "x.tax").exists()
