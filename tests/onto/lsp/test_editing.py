"""A library whose files change under it gives what a fresh one would."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsu_onto.library.library import Library

SOURCE = "tax 1\nsource ground v1\n0 road\n1 grass\n"
DATASET = "tax 1\ndataset track v1\n1 way\n2 verge\n"
MAP = "tax 1\nmap track v1 -> ground v1\nway < road\nverge < grass\n"
PLUS = "tax 1\ndataset track v2 -> ground v1\nextends track v1\n1 way < road\n3 lawn < grass\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"ground": SOURCE, "track": DATASET, "map": MAP, "plus": PLUS}.items():
        (tmp_path / f"{name}.tax").write_text(text)
    return tmp_path


EDITS = [
    ("ground.tax", SOURCE.replace("grass", "lawn")),
    ("ground.tax", SOURCE.replace("0 road", "0 road aka street")),
    ("track.tax", DATASET.replace("2 verge", "2 kerb")),
    ("track.tax", DATASET + "4 hedge\n"),
    ("track.tax", DATASET.replace("track v1", "track v3")),
    ("plus.tax", PLUS.replace("< grass", "< gras")),
    ("map.tax", MAP.replace("ground", "grund")),
    ("new.tax", SOURCE.replace("ground", "grund")),
    ("track.tax", "tax 1\n"),
    ("ground.tax", None),
    ("track.tax", None),
    ("new.tax", None),
]


def test_after_every_edit_all_files_have_the_findings_of_a_fresh_library(folder: Path) -> None:
    library = Library()
    paths = [str(folder / name) for name in ("ground.tax", "track.tax", "map.tax", "plus.tax")]
    texts: dict[str | Path, str] = {}
    for name, text in EDITS:
        path = str(folder / name)
        library.edit(path, text)
        if text is None:
            texts.pop(path)
        else:
            texts[path] = text
        for p in paths:
            assert library.check(p).diagnostics == Library(texts=texts).check(p).diagnostics, (name, text, p)


def test_what_does_not_use_the_file_is_kept(folder: Path) -> None:
    library = Library()
    before = {n: library.check(folder / f"{n}.tax") for n in ("ground", "track", "map", "plus")}
    library.edit(folder / "map.tax", MAP + "# a note\n")
    library.edit(folder / "map.tax", MAP + "# another note\n")
    after = {n: library.check(folder / f"{n}.tax") for n in before}
    assert {n for n in before if after[n] is not before[n]} == {"map", "plus"}  # which has its rows
    library.edit(folder / "track.tax", DATASET + "# a note\n")
    now = {n: library.check(folder / f"{n}.tax") for n in before}
    assert {n for n in before if now[n] is not after[n]} == {"track", "map", "plus"}


def test_a_file_that_changed_on_disk(folder: Path) -> None:
    library = Library()
    assert library.check(folder / "map.tax").errors == []
    (folder / "ground.tax").write_text(SOURCE.replace("grass", "lawn"))
    assert library.check(folder / "map.tax").errors == []
    library.forget(folder / "ground.tax")
    assert [d.code for d in library.check(folder / "map.tax").errors] == ["TAX201"]
