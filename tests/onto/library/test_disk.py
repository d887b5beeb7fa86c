"""Which files of a library have changed on the disk."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from lsu_onto.library.disk import Disk
from lsu_onto.library.library import Library

SOURCE = "tax 1\nsource s v1\n0 road\n"
MAP = "tax 1\ndataset d v1 -> s v1\n1 way < road\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "s.tax").write_text(SOURCE)
    (tmp_path / "d.tax").write_text(MAP)
    time.sleep(0.03)  # else they might have been written after the first look: clocks of file systems are coarse
    return tmp_path


def test_files_that_change_appear_and_disappear(folder: Path) -> None:
    library = Library([folder])
    disk = Disk(library)
    disk.look()
    assert library.check(folder / "d.tax").errors == [] and disk.look() == []
    (folder / "s.tax").write_text(SOURCE.replace("road", "street"))
    assert disk.look() == [str(folder / "s.tax")] and disk.look() == []
    assert [d.code for d in library.check(folder / "d.tax").errors] == ["TAX201"]
    (folder / "s.tax").unlink()
    assert disk.look() == [str(folder / "s.tax")]
    assert [d.code for d in library.check(folder / "d.tax").errors] == ["TAX203"]
    (folder / "below").mkdir()
    (folder / "below/new.tax").write_text(SOURCE)
    assert disk.look() == [str(folder / "below/new.tax")]
    assert library.check(folder / "d.tax").errors == []


def test_a_rename_in_place_of_a_file_of_the_same_size_and_age(folder: Path) -> None:
    disk = Disk(Library([folder]))
    disk.look()
    file, new = folder / "s.tax", folder / "4913"
    age = file.stat().st_mtime_ns
    new.write_text(SOURCE.replace("road", "raod"))
    os.utime(new, ns=(age, age))
    new.replace(file)
    assert (file.stat().st_mtime_ns, file.stat().st_size) == (age, len(SOURCE))
    assert disk.look() == [str(file)]


def test_what_lies_beside_a_file_that_was_read(folder: Path) -> None:
    library = Library()
    disk = Disk(library)
    disk.look()
    library.check(folder / "d.tax")
    assert disk.look() == [], "seen for the first time, and not changed"
    (folder / "other.tax").write_text(MAP)
    assert disk.look() == [str(folder / "other.tax")]

    disk = Disk(Library(), [str(folder / "later.tax")])
    disk.look()
    (folder / "later.tax").write_text(MAP)
    assert disk.look() == [str(folder / "later.tax")]


def test_what_changed_while_it_was_read_for_the_first_time(folder: Path) -> None:
    library = Library()
    disk = Disk(library)
    disk.look()
    library.check(folder / "d.tax")
    (folder / "s.tax").write_text(SOURCE.replace("road", "street"))
    assert disk.look() == [str(folder / "s.tax")]
    assert [d.code for d in library.check(folder / "d.tax").errors] == ["TAX201"]


def test_waiting_costs_no_time_of_the_processor(folder: Path) -> None:
    others = [str(folder / "pyproject.toml")]
    disk = Disk(Library([folder]))
    disk.look(others)
    timer = threading.Timer(0.8, lambda: Path(others[0]).write_text("[tool.lsu-onto]\n"))
    began = time.process_time()
    timer.start()
    assert disk.wait(others) == others
    assert time.process_time() - began < 0.4
