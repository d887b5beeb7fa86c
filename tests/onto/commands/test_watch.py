"""`lsu-onto validate --watch`, in a process of its own, as somebody edits the files."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from helpers.processes import wait_until
from helpers.tax import save
from lsu_onto.cli import main
from lsu_onto.commands.arguments import project
from lsu_onto.library.disk import Disk

SOURCE = "tax 1\nsource s v1\n0 road\n"
MAP = "tax 1\ndataset d v1 -> s v1\n1 way < road\n"
END = "watching for changes; Ctrl-C ends\n"


class Watch:
    """The command, and what it has printed."""

    def __init__(self, folder: Path, *args: str, log: Path | None = None) -> None:
        self.log = log or folder / "log"
        self.rounds = 0
        with self.log.open("wb") as file:
            command = [sys.executable, "-m", "lsu_onto", "validate", "--watch", *args]
            self.process = subprocess.Popen(command, cwd=folder, stdout=file, stderr=file)

    def next(self) -> str:
        """What the next round printed."""
        self.rounds += 1
        wait_until(lambda: self.log.read_text().count(END) >= self.rounds or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text()
        return self.log.read_text().split(END)[self.rounds - 1]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait() == 130
        assert self.log.read_text().endswith(f"{END}interrupted\n")
        assert self.log.read_text().count(END) == self.rounds, "nothing was checked without a change"


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Watch]]:
    started: list[Watch] = []

    def start(*args: str) -> Watch:
        started.append(Watch(tmp_path, *args))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()


def test_a_session(tmp_path: Path, watch: Callable[..., Watch]) -> None:
    (tmp_path / "maps").mkdir()
    (tmp_path / "s.tax").write_text(SOURCE)
    (tmp_path / "maps/d.tax").write_text(MAP.replace("<", "~"))
    running = watch("--path", ".", "maps")
    first = running.next()
    assert first.startswith("[") and "] checking\n\nwarning[TAX305]: " in first
    assert "1 warning in 1 file; `lsu-onto explain TAX305` says more\n" in first

    save(tmp_path / "s.tax", SOURCE.replace("road", "street"))
    dependent = running.next()
    assert "] s.tax changed\n\nerror[TAX201]: " in dependent and "--> maps/d.tax:3:9" in dependent

    save(tmp_path / "s.tax", SOURCE)
    running.next()
    save(tmp_path / "pyproject.toml", '[tool.lsu-onto]\nignore = ["TAX305"]\n')
    assert "] pyproject.toml changed\n\nno problems in 1 file\n" in running.next()

    odd = tmp_path / "maps/e\n\x1b[31m.tax"
    save(odd, MAP.replace("dataset d", "dataset e").replace("road", "rood"))
    assert "did you mean `road`?" in running.next()
    odd.unlink()
    assert "] maps/e\\n\\x1b[31m.tax changed\n\nno problems in 1 file\n" in running.next()
    running.stop()


def test_settings_that_are_wrong_for_a_while(tmp_path: Path, watch: Callable[..., Watch]) -> None:
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps/s.tax").write_text(SOURCE)
    (tmp_path / "pyproject.toml").write_text('[tool.lsu-onto]\npaths = ["maps"]\n')
    running = watch()
    running.next()
    save(tmp_path / "pyproject.toml", '[tool.lsu-onto]\npaths = ["maps"]\nignor = []\n')
    assert "] pyproject.toml changed\n\nerror: " in (wrong := running.next())
    assert "pyproject.toml:3: [tool.lsu-onto]: there is no setting `ignor`; did you mean `ignore`?\n" in wrong
    (tmp_path / "maps").rename(tmp_path / "taxonomies")
    assert "there is no setting `ignor`" in running.next()
    save(tmp_path / "pyproject.toml", '[tool.lsu-onto]\npaths = ["taxonomies"]\n')
    assert "] pyproject.toml changed\n\nno problems in 1 file\n" in running.next()
    (tmp_path / "taxonomies").rename(tmp_path / "maps")
    assert "`taxonomies` of `paths` is not a folder" in running.next()
    (tmp_path / "maps").rename(tmp_path / "taxonomies")
    assert "no problems in 1 file\n" in running.next()
    running.stop()


def test_settings_that_are_saved_while_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "s.tax").write_text(SOURCE)
    file = tmp_path / "pyproject.toml"
    file.write_text("[tool.lsu-onto]\n")

    def saved(paths: tuple[str, ...]) -> Any:
        out = project(paths)
        if "ignor" not in file.read_text():
            save(file, "[tool.lsu-onto]\nignor = []\n")
        return out

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lsu_onto.commands.validate.project", saved)
    monkeypatch.setattr(Disk, "wait", end)
    assert "there is no setting `ignor`" in CliRunner().invoke(main, ["validate", "--watch"]).stderr


def test_a_folder_that_is_removed_while_it_is_watched(tmp_path: Path, watch: Callable[..., Watch]) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here/s.tax").write_text(SOURCE)
    running = Watch(tmp_path / "here", log=tmp_path / "log")
    running.next()
    shutil.rmtree(tmp_path / "here")
    assert running.process.wait() == 1
    assert running.log.read_text().endswith(
        "error: the current folder has been removed, or is on a disk that is gone: `cd` to another\n"
    )


def test_a_file_by_name_that_comes_and_goes(tmp_path: Path, watch: Callable[..., Watch]) -> None:
    (tmp_path / "s.tax").write_text(SOURCE)
    running = watch("d.tax", "--format", "concise")
    assert "error[TAX001] there is no file or folder `d.tax`" in running.next()
    save(tmp_path / "d.tax", MAP)
    assert "] d.tax changed\n\nno problems in 1 file\n" in running.next()
    (tmp_path / "d.tax").unlink()
    assert "error[TAX001] there is no file" in running.next()
    running.stop()


def test_a_terminal_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "s.tax").write_text(SOURCE)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "lsu_onto", "validate", "--watch"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=theirs) as process:
        os.close(theirs)
        text = b""
        while END.strip().encode() not in text:
            text += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        os.close(ours)
    assert text.startswith(b"\x1b[2J\x1b[3J\x1b[H[") and b"no problems in 1 file" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fix"], "--watch changes no files"),
        (["--diff"], "--watch changes no files"),
        (["--format", "json"], "not as `json`"),
    ],
)
def test_what_does_not_go_together(options: list[str], message: str) -> None:
    done = CliRunner().invoke(main, ["validate", "--watch", *options])
    assert done.exit_code == 2 and message in done.stderr
