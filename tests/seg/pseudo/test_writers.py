"""Who may write to an output folder: the workers of one run, and nobody else."""

from __future__ import annotations

import json
import multiprocessing
import os
import select
import signal
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from helpers.folders import tree
from helpers.output_folder import MANIFEST, PALETTE, fill
from helpers.processes import wait_until
from lsu_seg.pseudo.errors import OutputError
from lsu_seg.pseudo.output import OutputFolder
from lsu_seg.pseudo.records import read_records
from lsu_seg.runtime.lock import lock

FORK = multiprocessing.get_context("fork")


def test_the_next_worker_enters_while_records_are_read(tmp_path: Path) -> None:
    pipe = tmp_path / "records-9.jsonl"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool, pipe.open("r+b", buffering=0) as writer:
        writer.write(b"\n")
        reading = pool.submit(OutputFolder, tmp_path, MANIFEST, PALETTE, run="a")
        wait_until(lambda: reading.done() or not select.select([writer], [], [], 0)[0])  # it reads now
        with (tmp_path / ".lock/entry").open("r+b") as entry:
            assert lock(entry.fileno())
        assert not reading.done()
        writer.close()
        reading.result().close()


def test_records_are_not_read_as_a_whole(tmp_path: Path) -> None:
    line = json.dumps({"key": "train/a", "files": {"label": "0" * 64}})
    (tmp_path / "records-0.jsonl").write_text(f"{line}\n" * 20_000)
    tracemalloc.start()
    assert sum(1 for _ in read_records(tmp_path)) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000


class Holder:
    """Another process that has the folder open."""

    def __init__(self, root: Path, child: bool = False, **options: Any) -> None:
        self._ours, its = FORK.Pipe()

        def body() -> None:
            try:
                folder = OutputFolder(root, MANIFEST, PALETTE, **options)
            except OutputError as error:
                return its.send(str(error))
            pid = os.fork() if child else -1
            if pid == 0:
                time.sleep(600)
                os._exit(0)
            its.send(pid)
            its.recv()
            folder.close()

        self.process = FORK.Process(target=body)
        self.process.start()

    def said(self) -> Any:
        """A refusal; or where it got in, the child's process id or -1."""
        assert self._ours.poll(600)
        return self._ours.recv()

    def leave(self) -> None:
        self._ours.send("enough")
        self.process.join(600)
        assert self.process.exitcode == 0

    def kill(self) -> None:
        os.kill(self.process.pid or 0, signal.SIGKILL)
        self.process.join()  # with a time limit it would wait for the process's children, too
        assert self.process.exitcode == -signal.SIGKILL


def test_only_one_run_at_a_time(tmp_path: Path) -> None:
    first = Holder(tmp_path)
    assert first.said() == -1
    with pytest.raises(OutputError, match="another run is writing there; wait for it, or choose another folder"):
        fill(tmp_path)
    first.leave()
    assert fill(tmp_path) == (4, 0)
    killed = Holder(tmp_path)
    assert killed.said() == -1
    with pytest.raises(OutputError, match="another run"):
        fill(tmp_path)
    killed.kill()
    assert fill(tmp_path) == (0, 0)


def test_workers_of_one_run_get_in_at_the_same_moment(tmp_path: Path) -> None:
    for number in range(3):
        workers = [Holder(tmp_path, rank=rank, run=f"run {number}") for rank in range(3)]
        assert [w.said() for w in workers] == [-1, -1, -1]
        for worker in workers:
            with pytest.raises(OutputError, match="another run"):
                fill(tmp_path, run="stranger")
            worker.kill() if number == 1 else worker.leave()
    assert fill(tmp_path, run="stranger") == (4, 0)


def test_strangers_at_the_same_moment(tmp_path: Path) -> None:
    strangers = [Holder(tmp_path, run=f"{i}") for i in range(4)]
    said = [s.said() for s in strangers]
    assert said.count(-1) == 1
    assert sum("another run is writing there" in str(s) for s in said) == 3
    strangers[said.index(-1)].leave()


def test_a_forked_child_does_not_keep_the_folder(tmp_path: Path) -> None:
    """As the processes of a DataLoader do, that outlive a killed run for a while."""
    parent = Holder(tmp_path, child=True)
    child = parent.said()
    try:
        parent.kill()
        os.kill(child, 0)
        assert fill(tmp_path) == (4, 0)
    finally:
        os.kill(child, signal.SIGKILL)


def test_leftovers_of_a_killed_run_are_removed(unbroken: Path, tmp_path: Path) -> None:
    killed = Holder(tmp_path, run="killed")
    assert killed.said() == -1
    (tmp_path / "train").mkdir()
    for folder in (tmp_path, tmp_path / "train"):
        (folder / f".{killed.process.pid:x}-0a1b2c3d.tmp").write_bytes(b"half")
    killed.kill()
    assert fill(tmp_path) == (4, 0)
    assert tree(tmp_path) == tree(unbroken)
