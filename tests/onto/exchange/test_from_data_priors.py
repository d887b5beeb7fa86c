"""The published mappings of the paper."""

from __future__ import annotations

import csv
import re
from collections import Counter
from itertools import accumulate
from pathlib import Path

import pytest

from helpers.exchange import LABELS, MASTER, errors, run
from lsu_onto.exchange import ExchangeError, Options, import_


@pytest.fixture
def priors(tmp_path: Path) -> Path:
    folder = tmp_path / "Town Set"
    folder.mkdir()
    (folder / "labels.csv").write_text(LABELS)
    (folder / "master_labels_city.csv").write_text(MASTER)
    return folder


def test_data_priors_relations_are_the_weakest_with_that_set(priors: Path) -> None:
    imported = import_("data-priors", [priors])
    assert errors(imported.text) == []
    rows = dict(
        re.findall(r"^(\w+) +((?:[<~]|->) [^#\n]*?) *(?:#.*)?$", imported.text.split("\nmap ")[1], re.MULTILINE)
    )
    assert rows == {
        "void_class": "-> void",
        "road": "< street",
        "tree_merged": "< green",
        "grass": "~ green void",
        "car": "< car",
        "a_big_thing_odd": "-> void",
        "puddle": "-> void",
        "anything": "-> any",
        "kerb": "-> void",
    }
    assert "dataset Town_Set v1" not in imported.text and "dataset town_set v1" in imported.text
    assert '1  traffic_light "traffic light"' in imported.text
    assert "4,5  car " in imported.text and "-    puddle" in imported.text
    assert "\"a 'big' thing, odd\"" in imported.text


def test_data_priors_reports_every_label_that_goes_astray(priors: Path) -> None:
    imported = import_("data-priors", [priors])
    said = {(Path(f.place[0]).name, *f.place[1:], f.kind) for f in imported.findings}
    labels, master = "labels.csv", "master_labels_city.csv"
    assert said == {
        (labels, 3, 3, "blank"),
        (labels, 7, 3, "duplicate"),
        (labels, 8, 3, "unmentioned"),
        (labels, 9, 10, "value"),
        (labels, 9, 3, "unmentioned"),
        (labels, 11, 8, "duplicate"),
        (labels, 11, 16, "value"),
        (labels, 11, 3, "unmentioned"),
        (master, 1, 1, "source"),
        (master, 2, 10, "blank"),
        (master, 3, 17, "dangling"),
        (master, 4, 36, "duplicate"),
        (master, 5, 20, "dangling"),
    }
    texts = "\n".join(map(str, imported.findings))
    assert (
        "`tree-mergedvoid` is not a class of labels.csv: its edge to `traffic_light` is lost; are `tree-merged` and"
        in texts
    )
    assert "`gras` is not a class of labels.csv: its edge to `car` is lost; did you mean `grass`?" in texts
    for kept in (
        "tree-mergedvoid",
        "`gras`",
        "listed twice, with ids 4, 5",
        "in no row of master_labels_city.csv",
        "twice in the row of `green`",
    ):
        assert re.search(rf"# .*{re.escape(kept)}", imported.text), kept


def test_data_priors_sources(priors: Path) -> None:
    master = priors / "master_labels_city.csv"
    written = import_("data-priors", [master], Options(source_from=(str(master),), version="v3"))
    assert "source city v3" in written.text and "-> city v3" in written.text
    assert "source" not in {f.kind for f in written.findings}
    (priors / "town.tax").write_text("tax 1\nsource town v2\n0 street\n1 Traffic_Light\n2 greens\n3 car\n")
    named = import_("data-priors", [master], Options(source="town", search=(str(priors),)))
    assert errors(named.text, priors) == [] and "-> town v2" in named.text and "\nsource" not in named.text
    lost = next(f for f in named.findings if "`green` is not a class of `town v2`" in f.message)
    assert lost.place[1:] == (4, 3) and lost.help == "did you mean `greens`?"
    assert "`green` is not a class of `town v2`" in named.text
    with pytest.raises(ExchangeError, match="there is no source `twon`; did you mean `town`"):
        import_("data-priors", [master], Options(source="twon", search=(str(priors),)))


def test_data_priors_several_mappings_and_none(priors: Path) -> None:
    (priors / "master_labels.csv").write_text("trainId,name,\n0,a,road\n1,b,car\n255,void,void\n")
    (priors / "master_labels_town_set.csv").write_text(",name,\n0,road,road\n255,void,void\n")
    several = import_("data-priors", [priors])
    assert errors(several.text) == []
    assert re.findall(r"^map .*", several.text, re.MULTILINE) == [
        f"map town_set_labels v1 -> {s} v1" for s in ("master", "city", "town_set")
    ]
    with pytest.raises(ExchangeError, match="there are 3 mappings"):
        import_("data-priors", [priors], Options(source="city"))
    only = import_("data-priors", [priors / "labels.csv"])
    assert errors(only.text) == [] and "\nmap" not in only.text


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("master_labels_x.csv", "foo,bar\n0,a\n", "expected an id column and `name`"),
        ("master_labels_x.csv", "id,name\nx,road\n", ":2:1: expected a source id"),
        ("master_labels_x.csv", "id,name\n255,void\n", "no source class"),
        ("labels.csv", "0,nam,id\n", "no column `name`"),
    ],
)
def test_data_priors_errors(priors: Path, name: str, text: str, message: str) -> None:
    (priors / name).write_text(text)
    result = run("import", "--from", "data-priors", priors, "-o", priors / "x.tax")
    assert result.exit_code == 1 and message in result.stderr
    assert not (priors / "x.tax").exists()
    assert "has no `labels.csv`" in run("import", "--from", "data-priors", priors.parent).stderr


def test_import_command_prints_findings_and_the_file_validates(priors: Path) -> None:
    out = priors / "town.tax"
    result = run("import", "--from", "data-priors", priors, "-o", out)
    assert result.exit_code == 0 and f"{priors / 'labels.csv'}:8:3: warning: " in result.stderr
    assert "warnings in what was imported" in result.stderr and result.stdout == ""
    assert run("validate", "--strict", out).exit_code == 0
    assert run("import", "--from", "data-priors", priors, "--name", "4x").exit_code == 2
    assert run("import", "--from", "data-priors", priors, "--taxonomy-version", "2").exit_code == 2


_REFERENCE = ("shared", "reference", "data-priors")
PUBLISHED = next(
    (p.joinpath(*_REFERENCE) for p in Path(__file__).parents if p.joinpath(*_REFERENCE).is_dir()),
    Path("absent"),
)


def cells(path: Path) -> list[tuple[tuple[int, int], int, str]]:
    """Place, index and text of every cell below the header, by the `csv` module; these files have no quotes."""
    out = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        for row in reader:
            starts = accumulate((len(c) + 1 for c in row), initial=1)
            out += [((reader.line_num, at), i, c) for i, (at, c) in enumerate(zip(starts, row, strict=False))]
    return out


def astray(path: Path) -> Counter[tuple[str, int, int, str]]:
    """What a mapping loses, and where: (file, line, column, kind), counted without our importer."""
    labels = path.with_name("labels.csv")
    names = [(place, text) for place, i, text in cells(labels) if i == 1 and text.strip()]
    exact, loose = {n for _, n in names}, {n.strip() for _, n in names}
    out: Counter[tuple[str, int, int, str]] = Counter()
    mentioned: set[str] = set()
    row: tuple[int, set[str]] = (0, set())
    for (line, column), i, text in cells(path):
        if i < 2 or not text.strip():
            continue
        if line != row[0]:
            row = line, set()
        if text.strip() not in loose:
            out["master", line, column, "dangling"] += 1
            continue
        out["master", line, column, "blank"] += text not in exact
        out["master", line, column, "duplicate"] += text.strip() in row[1]
        row[1].add(text.strip())
        mentioned.add(text.strip())
    seen: set[str] = set()
    for (line, column), name in names:
        if name.strip() in seen:
            out["labels", line, column, "duplicate"] += 1
        elif name.strip() not in mentioned:
            out["labels", line, column, "unmentioned"] += 1
        seen.add(name.strip())
    return +out


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published files are not here")
def test_all_published_mappings_import() -> None:
    files = sorted(PUBLISHED.glob("*/master_labels*.csv"))
    assert len(files) == 49
    kinds: Counter[str] = Counter()
    for file in files:
        imported = import_("data-priors", [file], Options(source_from=(str(file),)))
        assert errors(imported.text) == [], file
        said: Counter[tuple[str, int, int, str]] = Counter()
        for f in imported.findings:
            here = "master" if Path(f.place[0]) == file else "labels"
            # Blanks in labels.csv, raw values and colours are not what a mapping loses.
            if f.kind in ("dangling", "unmentioned") or here == "master" or "become one class" in f.message:
                said[here, *f.place[1:], f.kind] += 1
        assert said == astray(file), file
        kinds.update(k for *_, k in said.elements())
    # 209 classes in no row, and 13 labels that match nothing: 6 differ in blanks only, which are mended.
    assert (kinds["unmentioned"], kinds["blank"], kinds["dangling"]) == (209, 6, 7)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published files are not here")
def test_all_published_datasets_import_with_all_their_mappings() -> None:
    for labels in sorted(PUBLISHED.glob("*/labels.csv")):
        assert errors(import_("data-priors", [labels.parent]).text) == [], labels
