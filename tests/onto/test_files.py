"""How files are written, in both packages."""

from __future__ import annotations

import inspect
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

import lsu_onto
from lsu_onto import make_folder, write_atomic
from lsu_onto.cli import main
from lsu_onto.exchange.tables import read_text
from lsu_onto.files import open_to_read, read_rest, walk


def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_atomic(pipe, b"whole")
    reader.join(10)
    assert read == [b"whole"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    write_atomic(Path(os.devnull), b"whole")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)
    assert [f.name for f in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize("sync", [True, False])
def test_links_are_followed_and_modes_stay(tmp_path: Path, sync: bool) -> None:
    old, link = tmp_path / "old", tmp_path / "link"
    old.write_bytes(b"old")
    old.chmod(0o640)
    link.symlink_to("old")
    write_atomic(link, b"new", sync=sync)
    assert link.is_symlink()
    assert old.read_bytes() == b"new"
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    plain, written = tmp_path / "plain", tmp_path / "written"
    plain.touch()
    write_atomic(written, b"new", sync=sync)
    assert written.stat().st_mode == plain.stat().st_mode, "as any program makes files here"
    assert sorted(f.name for f in tmp_path.iterdir()) == ["link", "old", "plain", "written"]


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    file = tmp_path / ("n" * 255)
    write_atomic(file, b"whole")
    assert file.read_bytes() == b"whole"


def test_a_disk_is_waited_for_unless_it_need_not_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr("os.fsync", lambda fd: (fsync(fd), synced.append(fd)))
    write_atomic(tmp_path / "a", b"", sync=False)
    assert synced == []
    write_atomic(tmp_path / "a", b"")
    assert len(synced) == 1


def test_errors_are_of_the_file_and_leave_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file/below", tmp_path):
        with pytest.raises(OSError, match=r"(Not|Is) a directory") as refused:
            write_atomic(path, b"")
        assert refused.value.filename == str(path)
    assert [f.name for f in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_cannot_be_made_is_named_as_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to("gone")
    (tmp_path / "round").symlink_to("round")
    make_folder(tmp_path)
    for name, said in {
        "file": "Not a directory",
        "file/a/b": "Not a directory",
        "nowhere/a": "No such file or directory",
        "round/a": "Too many levels of symbolic links",
        "n" * 256: "File name too long",
        "/proc/self/new": "No such file or directory",
    }.items():
        with pytest.raises(OSError, match=said) as refused:
            make_folder(tmp_path / name)
        assert refused.value.filename == str(tmp_path / name)
    assert {f.name for f in tmp_path.iterdir()} == {"file", "nowhere", "round"}


def test_a_pipe_that_nothing_reads_from_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lsu_onto.files._READER_S", 0.1)
    os.mkfifo(tmp_path / "pipe.csv")
    done = CliRunner().invoke(main, ["export", "demo", "--to", "csv", "-o", str(tmp_path / "pipe.csv")])
    assert (done.exit_code, done.output) == (
        1,
        f"error: {tmp_path / 'pipe.csv'}: it is a pipe that nothing reads from\n",
    )


def test_a_reader_that_ends_early_is_said_with_the_pipe_s_name() -> None:
    read, write = os.pipe()
    os.close(read)
    done = CliRunner().invoke(main, ["export", "demo", "--to", "csv", "-o", f"/dev/fd/{write}"])
    os.close(write)
    assert (done.exit_code, done.output) == (1, f"error: /dev/fd/{write}: Broken pipe\n")


@pytest.mark.parametrize("digits", [14, 4500])
def test_a_number_that_no_open_file_has(digits: int) -> None:
    name = f"/dev/fd/{'9' * digits}"
    done = CliRunner().invoke(main, ["export", "demo", "--to", "csv", "-o", name])
    assert done.exit_code == 1 and done.output.startswith(f"error: {name}: ")


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_the_file_behind_standard_output_keeps_what_others_wrote(tmp_path: Path, name: str) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    code = f"from lsu_onto import write_atomic; write_atomic({name!r}, b'new\\n')"
    with log.open("ab") as stream:
        subprocess.run([sys.executable, "-c", code], stdout=stream, check=True)
    assert log.read_text() == "before\nnew\n"
    assert [f.name for f in tmp_path.iterdir()] == ["log"]


def test_folders_are_made_and_walked_deeper_than_the_stack(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 200)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 100)
    try:
        make_folder(deep)
        (deep / "a").touch()
        *_, (last, folders, files) = walk(tmp_path, closed=print)
    finally:
        sys.setrecursionlimit(limit)
    assert (Path(last), folders, files) == (deep, [], ["a"])


def test_a_walk_goes_as_that_of_python(tmp_path: Path) -> None:
    for name in ("a/b/c", "a/d", "e/f"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").touch()
    (tmp_path / "a/to_e").symlink_to("../e")
    (tmp_path / "a/nowhere").symlink_to("gone")
    for follow in (False, True):
        walked_here = [tuple(map(sorted, x[1:])) for x in sorted(walk(tmp_path, print, follow))]
        assert walked_here == [tuple(map(sorted, x[1:])) for x in sorted(os.walk(tmp_path, followlinks=follow))]
    walked = []
    for folder, folders, _ in walk(tmp_path, print):
        walked.append(Path(folder).name)
        folders[:] = [f for f in folders if f != "a"]
    assert walked == [tmp_path.name, "e", "f"]


def test_pipes_are_read_where_no_open_returns_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows `os` has no `O_NONBLOCK`, which a module must not need to be imported or to read a file."""
    monkeypatch.setattr("lsu_onto.files._NONBLOCK", 0)
    (tmp_path / "file").write_bytes(b"whole")
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(b"whole"), daemon=True)
    writer.start()
    for name in ("file", "pipe"):
        with open_to_read(tmp_path / name) as file:
            assert file.read() == b"whole"


def test_files_larger_than_the_memory_are_not_read(tmp_path: Path) -> None:
    """Sparse: nothing but its size is on the disk."""
    with (tmp_path / "large.csv").open("wb") as file:
        file.truncate((4 << 30) + 1)
    with open_to_read(tmp_path / "large.csv") as file, pytest.raises(OSError, match="it has more than 4 GB"):
        read_rest(file)
    with pytest.raises(lsu_onto.UserError, match=r"large\.csv.*it has more than 4 GB"):
        read_text(str(tmp_path / "large.csv"))
    with (tmp_path / "large.png").open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.truncate((4 << 30) + 1)
    with pytest.raises(lsu_onto.LabelFileError, match=r"large\.png: found no readable file .it has more than 4 GB"):
        lsu_onto.read_raster(tmp_path / "large.png")
