"""Class lists as tables."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

import lsu_onto
from helpers.exchange import LIST, errors, run
from helpers.tax import SOURCE
from lsu_onto.exchange import Options, import_
from lsu_onto.exchange.draft import identifiers
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
    ("text", "lines"),
    [
        # ADE20K's objectInfo150, as csv and txt
        ("Idx,Ratio,Train,Name\n1,0.1,116,wall\n2,0.2,64,building;edifice\n", ["1 wall", "2 building_edifice"]),
        ("Idx\tRatio\tName\n1\t0.1\twall\n2\t0.2\tsky, air\n", ["1 wall", "2 sky_air"]),
        ("Pixel Value, Class\n0, background\n3, road\n", ["0 background", "3 road"]),  # Roboflow's _classes.csv
        ("class_id;name\n7;road\n", ["7 road"]),
        ("class_name,label_key,has_instance,hex\nroad,7,0,#804080\n", ["7 road #804080"]),  # GOOSE
        ("label,name\n7,road\n", ["7 road"]),
        ("class_id,name,value\n7.0,road,0.3\n9.0,sky,0.7\n", ["7 road", "9 sky"]),  # floats, as of pandas
        ("label,id\nroad,7\n", ["7 road"]),
        ("label,class\nroad,7\n", ["7 road"]),
        ("index,value,name\n7,7,road\n", ["7 road"]),  # two that agree
        ("index,id,name\n0,7,road\n", ["7 road"]),
        ("id\tname\n0\troad\n", ["0 road"]),
        ("sep=;\nid;name\n0;road\n", ["0 road"]),  # Excel
        ("id;name;color\n4;road;1,2,3\n", ["4 road #010203"]),
        ("id,name,R,G,B\n4,road,1,2,3\n", ["4 road #010203"]),
        ('id,name,Color_Code (R,G,B),Color_Code(hex),Color\n4,road,"(1, 2, 3)",#010203,\n', ["4 road #010203"]),
        ("id,name,color,hex\n4,road,red,#ff0000\n", ["4 road #ff0000"]),
        ("id,category,supercategory\n4,road,flat\n", ["4 road"]),
    ],
)
def test_raw_values_and_colours_are_found_under_the_names_that_lists_give_them(
    tmp_path: Path, text: str, lines: list[str]
) -> None:
    (tmp_path / "x.csv").write_text(text)
    imported = import_("csv", [tmp_path / "x.csv"])
    body = imported.text.split("encoding: id\n")[1]
    assert [re.sub(r' +("[^"]*" *)?', " ", line).strip() for line in body.splitlines() if line[:1].isdigit()] == lines
    assert "warning" not in {f.severity for f in imported.findings}


def test_a_list_without_raw_values_says_what_stands_for_them(tmp_path: Path) -> None:
    def imported(text: str, **options: str) -> tuple[str, list[str]]:
        (tmp_path / "x.csv").write_text(text)
        found = import_("csv", [tmp_path / "x.csv"], Options(**options))  # type: ignore[arg-type]
        assert errors(found.text) == []
        return found.text, [f"{f.severity}: {f.message}" for f in found.findings]

    camvid = "name,r,g,b\nAnimal,64,128,64\nVoid,0,0,0\n"
    text, (finding,) = imported(camvid)
    assert "encoding: rgb  # a guess: the list has colours and no ids" in text and "1  Void    #000000" in text
    assert finding.startswith("info: no `id`, and all colours differ")
    assert imported(camvid, encoding="rgb")[1] == []
    text, (finding,) = imported(camvid, encoding="id")
    assert "encoding: id  # a guess: the list has no ids, and these count its rows" in text
    assert finding.startswith("warning: no `id` says the raw values: they are a guess, 0 to N-1")
    assert imported("name\nroad\nsky\n")[1] == [finding]
    assert imported("name,color\nroad,#010203\nsky,#010203\n")[1] == [finding]
    assert imported("name\nroad\n", encoding="polygons")[1] == []  # the raw values are the names
    text, findings = imported("name\nsky\nroad\n", kind="source")
    assert "0  sky" in text and findings == ["info: no `train_id` or `id`: channels are numbered in the file's order"]


def test_a_class_without_an_id_is_reported(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,name\n1,road\n,sky\n-1,plate\n-,rail\n")
    found = import_("csv", [tmp_path / "x.csv"])
    assert re.findall(r"^([\d-]) +(\w+)$", found.text, re.MULTILINE) == [
        ("1", "road"),
        ("-", "sky"),
        ("-", "plate"),
        ("-", "rail"),
    ]
    assert [(f.severity, f.place[1], f.message) for f in found.findings] == [
        ("warning", 3, "`sky` has no id: it is written as never drawn (`-`)")
    ]


def test_columns_that_are_not_used_are_named(tmp_path: Path) -> None:
    (tmp_path / "demo.tax").write_text(SOURCE)
    (tmp_path / "x.csv").write_text("id,name,pixels,demo,train_id\n7,asphalt,40,road,0\n")
    args = ["import", "--from", "csv", tmp_path / "x.csv", "--path", tmp_path]
    plain = run(*args)
    assert ":1:9: info: not used: `pixels`, `demo`, `train_id`; `--source demo` makes" in plain.stderr
    related = run(*args, "--source", "demo")
    assert ":1:9: info: not used: `pixels`, `train_id`\n" in related.stderr
    assert "asphalt  < road  # a guess: `demo` says `road`" in related.stdout


def test_a_column_with_the_name_of_the_source_is_a_first_guess(tmp_path: Path) -> None:
    (tmp_path / "demo.tax").write_text(SOURCE)
    cells = {
        "road": "< road",
        "Road | side-walk": "-> any",
        "road/sidewalk;void": "~ road sidewalk void",
        "void": "-> void",
        "": "-> any",
        "~ car truck": "~ car truck",
        "raod": "-> any",
    }
    rows = "".join(f'{i},c{i},"{cell}"\n' for i, cell in enumerate(cells))
    options = Options(source="demo", search=(str(tmp_path),))

    def relations(header: str, rows: str) -> tuple[list[str], list[str]]:
        (tmp_path / "x.csv").write_text(f"id,name,{header}\n{rows}")
        found = import_("csv", [tmp_path / "x.csv"], options)
        assert errors(found.text, tmp_path) == []
        lines = re.findall(r"^\d+ +\w+ +([^#\n]*?) *(?:#|$)", found.text, re.MULTILINE)
        return lines, [f"{f.place[1]}: {f.message}; {f.help}" for f in found.findings]

    for header in ("Demo", "demo v1", "to_demo", "demo_class"):
        lines, findings = relations(header, rows)
        assert lines == list(cells.values())
        assert findings == [
            "3: `side-walk` is not a class of `demo v1`: the guess is not used; did you mean `sidewalk`?",
            "8: `raod` is not a class of `demo v1`: the guess is not used; did you mean `road`?",
        ]
    assert relations("demo", "0,a,0\n1,b,4\n2,c,255\n3,d,-1\n") == (["< road", "< sky", "-> void", "-> void"], [])
    for header in ("demo_id", "to demo id"):  # ids of its label files, or its channels?
        assert relations(header, "0,a,0\n1,b,4\n") == (["-> any"] * 2, [f"1: not used: `{header}`; None"])
    lines, findings = relations("demo", "0,a,1\n1,b,23\n")  # 23 shows that 1 is no channel either
    assert lines == ["-> any", "-> any"]
    assert findings == ["1: not used: `demo`; its numbers go beyond the channels of `demo v1`, 0 to 4: write names"]


def test_words_for_void_are_those_of_the_language_unless_the_source_has_such_a_class(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,name,demo\n0,a,Unlabeled\n1,b,background\n2,c,65535\n3,d,none\n")

    def relations() -> list[str]:
        text = import_("csv", [tmp_path / "x.csv"], Options(source="demo", search=(str(tmp_path),))).text
        return re.findall(r"^\d+ +\w+ +([^#\n]*?) *(?:#|$)", text, re.MULTILINE)

    (tmp_path / "demo.tax").write_text(SOURCE)
    assert relations() == ["-> void", "-> void", "-> void", "-> any"]  # `none`: void, or no class of the source?
    (tmp_path / "demo.tax").write_text(SOURCE + "5  background\n")
    assert relations() == ["-> void", "< background", "-> void", "-> any"]


@pytest.mark.parametrize("yes", ["1", "True", "TRUE", "yes", "y", "x"])
@pytest.mark.parametrize("no", ["0", "False", "no", "", "-"])
def test_void_is_said_in_several_words(tmp_path: Path, yes: str, no: str) -> None:
    (tmp_path / "demo.tax").write_text(SOURCE)
    (tmp_path / "x.csv").write_text(f"id,name,void\n0,road,{no}\n1,rest,{yes}\n")
    text = import_("csv", [tmp_path / "x.csv"], Options(source="demo", search=(str(tmp_path),))).text
    assert re.search(r"^0 +road +< road", text, re.MULTILINE) and re.search(r"^1 +rest +-> void", text, re.MULTILINE)


def test_the_ids_of_a_source_are_its_channels(tmp_path: Path) -> None:
    def channels(text: str) -> tuple[list[str], list[str]]:
        (tmp_path / "x.csv").write_text(text)
        found = import_("csv", [tmp_path / "x.csv"], Options(kind="source"))
        assert errors(found.text) == []
        lines = [" ".join(line.split()) for line in found.text.splitlines() if line[:1].isdigit()]
        return lines, [f.message for f in found.findings]

    assert channels("id,name\n2,sky\n0,road\n1,tree\n") == (["0 road", "1 tree", "2 sky"], [])
    gaps = "the ids are not 0 to K-1: channels are numbered in their order"
    assert channels("id,name\n8,sky\n7,road\n") == (["0 road", "1 sky"], [gaps])
    lines, findings = channels("id,name,void\n1,sky,no\n0,road,no\n2,rest,yes\n255,none,\n-1,x,\n")
    assert lines == ["0 road", "1 sky"]
    assert findings == [f"`{n}` is not a class of the source" for n in ("rest", "none", "x")]
    assert channels("id,name,train_id\n7,sky,1\n8,road,0\n") == (["0 road", "1 sky"], ["not used: `id`"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\n,,\n", "is empty"),
        (b"id,nam\n0,road\n", "no column `name`; found `id`, `nam`; did you mean"),
        (b"ID;Klasse\n0;Weg\n", "found `ID`, `Klasse`; what holds the names must be called `name`"),
        (
            b"road\nsky\n",
            ":1:1: the header has no column `name`; found `road`; what holds the names must be called `name`; if",
        ),
        (b"id,name\n0,caf\xe9\n", ":2:6: not UTF-8 text: found byte 0xe9"),
        (b"id,name\0\n", "binary"),
        (b'id,name\n0,"road\n', ":2:3: the quote is not closed"),
        (b"id,name\n", "no classes below the header"),
        (b"id,name\nx,road\n", ":2:1: `x` is not an id"),
        (b"class_id,name\n1,road\nx,sky\n3,tree\n", ":3:1: `x` is not an id"),
        (b"id,name\n0,\n", ":2:1: this row has no name"),
        (b"id,name,color\n0,road,red\n", ":2:8: `red` is not a colour"),
        (b"id,name,r,g,b\n0,road,1,2,300\n", ":2:8: `1 2 300` is not a colour"),
        (b"id,name,void\n0,road,perhaps\n", ":2:8: `perhaps` does not say whether the class is void"),
        (b"0,road,128,64,128\n1,sky,70,130,180\n", ":1:1: this line is a class, and a header is missing; put one"),
        (b"0,road,128,64,128\n", "such as `id,name,r,g,b`"),
        (b"Animal\t64 128 64\n", "such as `name\tcolor`"),
        (b"class_id,value,name\n1,7,road\n", ":1:1: `class_id`, `value` differ"),
        (
            b"name,kitti\nroad,7\nsky,8\n",
            ":1:6: no `id` says which raw value a class has, and `kitti` may be it",
        ),
        (b"name,trainId\nroad,0\nx,255\ny,255\n", "and `trainId` may be it; rename what label files store"),
        (b",name\n0,road\n1,sky\n", "and number 1 may be it"),
        (
            b"id;name;color\n0;road;1;2\n",
            ":2:10: this row has 4 cells, the header 3; put quotes around a cell with `;`",
        ),
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
    rows = ['1,road,"(128, 64, 128)"', "2,sky,70 130 180", "3,car,#00008E #00008f", "4,bus,0x00003C"]
    rows += ['5,pole,"rgb(153,153,153)"', "6,wall,#678"]
    file.write_text("\n".join(["id,name,color", *rows]))
    result = run("import", "--from", "csv", file)
    assert [re.findall("#[0-9a-f]{6}", line) for line in result.stdout.splitlines()[-6:]] == [
        ["#804080"],
        ["#4682b4"],
        ["#00008e", "#00008f"],
        ["#00003c"],
        ["#999999"],
        ["#667788"],
    ]
    assert "warning" not in result.stderr
    folder = run("import", "--from", "csv", tmp_path)
    assert "Is a directory" in folder.stderr and "did you mean" not in folder.stderr


# --- csv ----------------------------------------------------------------------------------------------------


def test_names_of_long_lists_take_no_time() -> None:
    labels = [f"leaf {n}" for n in range(15_000)] + ["leaf"] * 15_000
    start = time.process_time()
    names = identifiers(labels)
    assert time.process_time() - start < 5, "minutes, where each is compared with all"
    assert len(set(names)) == len(labels) and names[-1] == "leaf_29998"


def test_reference_list_becomes_a_dataset_and_a_source(tmp_path: Path) -> None:
    file = tmp_path / "town.csv"
    file.write_text(LIST)
    dataset = import_("csv", [file])
    assert [f.message for f in dataset.findings] == ["not used: `train_id`, `instances`"]
    assert errors(dataset.text) == []
    assert '1  road_way "road way"' in dataset.text and "# the drivable part, all of it" in dataset.text
    assert '-  licence_plate "licence-plate"' in dataset.text and "[ungrouped]\n2  Void" in dataset.text
    source = import_("csv", [file], Options(kind="source"))
    assert errors(source.text) == []
    lines = [line.split()[:2] for line in source.text.splitlines() if line[:1].isdigit()]
    assert lines == [["0", "road_way"], ["1", "car"]]
    assert [f.kind for f in source.findings] == ["source"] * 3 + ["unused"]


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
    assert len(c.names("road_way")) == c.num_classes + 1 and "TODO: relate it" in out.read_text()
    wrong = run("import", "--from", "csv", tmp_path / "town.csv", "--source", "dmo", "--path", tmp_path)
    assert wrong.exit_code == 1 and "there is no source `dmo`; did you mean `demo`?" in wrong.stderr


@pytest.mark.parametrize(
    "source", ["demo", "demo@v1", "demo v1", "FOLDER/two.tax demo", "FOLDER/two.tax v1", "one.tax"]
)
def test_a_source_is_named_as_any_taxonomy(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "two.tax").write_text(SOURCE + "source other v2\n0 sky\n")
    (tmp_path / "one.tax").write_text(SOURCE)
    (tmp_path / "x.csv").write_text("id,name\n7,road\n")
    monkeypatch.chdir(tmp_path)
    given = source.replace("FOLDER", str(tmp_path / "lib"))
    imported = run("import", "--from", "csv", "x.csv", "--source", given, "--path", "lib")
    assert imported.exit_code == 0 and "dataset x v1 -> demo v1\n" in imported.stdout, imported.stderr
    assert re.search("^7 +road +< road", imported.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("demo@v3", "there is no source `demo@v3`; found `demo v1`"),
        ("lib/two.tax", '`lib/two.tax` stands for `demo v1`, `other v2`; name one, e.g. `"lib/two.tax v1"`'),
        ("lib/two.tax v3", "`lib/two.tax` has no source `v3`; it declares `demo v1`, `other v2`"),
        ("x.tax", "`x.tax` has no source; it declares `x v1`"),
        ("no.tax", "cannot read `no.tax`"),
    ],
)
def test_what_is_no_source_says_why(source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "two.tax").write_text(SOURCE + "source other v2\n0 sky\n")
    (tmp_path / "x.tax").write_text("tax 1\ndataset x v1\nencoding: id\n0 road\n")
    (tmp_path / "x.csv").write_text("id,name\n7,road\n")
    monkeypatch.chdir(tmp_path)
    result = run("import", "--from", "csv", "x.csv", "--source", source, "--path", "lib")
    assert result.exit_code == 1 and message in result.stderr, result.stderr


def test_an_import_that_is_not_sound_is_written_and_reported(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,name\n3,road\n3,car\n")
    result = run("import", "--from", "csv", tmp_path / "x.csv", "-o", tmp_path / "x.tax")
    assert result.exit_code == 1 and "TAX103" in result.stderr and (tmp_path / "x.tax").exists()
