"""A library whose files change under it gives what a fresh one would."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lsu_onto.library.library import Library
from lsu_onto.lsp.session import Session
from lsu_onto.lsp.symbols import occurrences, references

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


def seconds(run: Callable[[], object]) -> float:
    """Of processor time, at best."""
    times = []
    for _ in range(5):
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    return min(times)


def test_what_is_asked_of_a_place_takes_time_in_proportion_to_the_file(tmp_path: Path) -> None:
    took = []
    for n in (500, 4000):
        path = str(tmp_path / f"{n}.tax")
        source = "".join(f"{i} s{i}\n" for i in range(n))
        dataset = "".join(f"- d{i} aka a{i} ~ s{i} s{(i + 1) % n} void\n" for i in range(n))
        library = Library(texts={path: f"tax 1\nsource s v1\n[g]\n{source}dataset d v1 -> s v1\n{dataset}"})
        analysis = library.check(path)
        line = n + n // 2
        first, *_, target = occurrences(library, analysis, line)
        assert [first.symbol.name, target.symbol.name] == [f"d{n // 2 - 5}", f"s{n // 2 - 4}"]
        found = references(library, analysis, target.symbol)
        assert [o.span.line for o in found] == [n // 2, line, line + 1]

        def again(library: Library = library, path: str = path, analysis=analysis, target=target) -> None:
            library.workspace.forget(path)
            references(library, analysis, target.symbol)

        took.append((seconds(lambda a=analysis, x=library, i=line: occurrences(x, a, i)), seconds(again)))
    for small, large in zip(*took, strict=True):
        assert large < 30 * small + 0.01, took  # 8 times as much; what is quadratic takes 64 times


def test_the_lines_of_a_text_are_split_once(folder: Path) -> None:
    session, path = Session([folder]), str(folder / "track.tax")
    lines = session.lines(path)
    assert lines == DATASET.split("\n") and session.lines(path) is lines
    session.edit(path, "file:///track", "\ufefftax 1\n")
    assert session.lines(path) == ["tax 1", ""]
