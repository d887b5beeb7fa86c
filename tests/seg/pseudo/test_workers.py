"""Several processes label one dataset: started by torchrun, stopped and killed for real.

Every run is a set of processes that import torch and MMSegmentation, so one run serves several checks.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from helpers.tiny import label_config, save_checkpoint, write_park, write_tax
from lsu_onto import ROW_VOID
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.pseudo.shards import shard
from lsu_seg.runtime.launch import LaunchError, join_ranks

TOOL = Path(__file__).parents[3] / "tools/pseudo_label.py"
ROWS = [0, 1, 2, 3, 4, 5, ROW_VOID]
SIZES = [(48, 80), (48, 80), (80, 48), (72, 56), (72, 56)]
IMAGES = 34

needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds ranks in /proc")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher `teacher.pth` and a dataset `park` of images of several sizes, that no test changes."""
    root = tmp_path_factory.mktemp("world")
    write_tax(root / "tax")
    for i in range(IMAGES):
        write_park(root / "park", {f"{i:02}": ROWS}, size=SIZES[i % len(SIZES)])
    save_checkpoint(root / "teacher.pth")
    return root


def config(world: Path, work: Path) -> Config:
    """Batches of two, and views so large that a run is still at it when the test looks."""
    dataset = dict(taxonomy=str(world / "tax/park.tax"), data_root=str(world / "park"), split="train")
    return label_config(dataset, work, batch_size=2, scales=(1.0, 6.0), confidence=True)


@pytest.fixture(scope="module")
def alone(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process writes."""
    work = tmp_path_factory.mktemp("alone")
    assert pseudo_label(config(world, work), world / "teacher.pth", quiet=True)["images"] == IMAGES
    files = labels(work)
    assert len(files) == 2 * IMAGES
    return files


def labels(work: Path) -> dict[str, bytes]:
    """Labels and confidence."""
    return {str(f.relative_to(work)): f.read_bytes() for f in (work / "labels").rglob("*.png")}


def recorded(work: Path) -> list[list[str]]:
    """The keys in each rank's record file."""
    files = sorted((work / "labels").glob("records-*.jsonl"))
    return [[json.loads(line)["key"] for line in f.read_text().splitlines()] for f in files]


def shards(ranks: int) -> list[set[str]]:
    """The keys of each rank, from the rule alone."""
    keys = [f"labels/train/{i:02}" for i in range(IMAGES)]
    wanted: list[set[str]] = [set() for _ in range(ranks)]
    for i, key in enumerate(keys):
        wanted[shard(keys[i - i % 2], ranks)].add(key)
    return wanted


@contextmanager
def torchrun(world: Path, work: Path, ranks: int) -> Iterator[subprocess.Popen[str]]:
    work.mkdir(exist_ok=True)
    config(world, work).dump(work / "config.py")
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    job = [str(TOOL), str(work / "config.py"), str(world / "teacher.pth"), "--launcher", "pytorch"]
    with (work / "output").open("w") as output:
        process = subprocess.Popen([*run, *job], stdout=output, stderr=output, text=True)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(60)


def finish(process: subprocess.Popen[str], work: Path) -> None:
    assert process.wait(900) == 0, (work / "output").read_text()


def wait_for(what: Callable[[], Any], process: subprocess.Popen[str], work: Path) -> Any:
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        if found := what():
            return found
        assert process.poll() is None, (work / "output").read_text()
        time.sleep(0.005)
    raise AssertionError(f"waited too long; the run's output:\n{(work / 'output').read_text()}")


def both_at_work(work: Path) -> Callable[[], bool]:
    files = [work / f"labels/records-{rank}.jsonl" for rank in (0, 1)]
    return lambda: all(f.exists() and f.stat().st_size for f in files)


def pid_of(rank: int, torchrun: int) -> int:
    children = Path(f"/proc/{torchrun}/task/{torchrun}/children").read_text().split()
    for child in map(int, children):
        if f"RANK={rank}".encode() in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            return child
    raise AssertionError(f"no process of rank {rank} among {children}")


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_three_write_the_bytes_of_one(world: Path, alone: dict[str, bytes], tmp_path: Path) -> None:
    with torchrun(world, tmp_path, 3) as process:
        finish(process, tmp_path)
    assert labels(tmp_path) == alone
    found, wanted = recorded(tmp_path), shards(3)
    assert [set(keys) for keys in found] == wanted
    assert sum(map(len, found)) == IMAGES  # each image once
    assert len({len(keys) for keys in wanted}) > 1  # and shards are uneven


@needs_proc
def test_no_worker_waits_for_another(world: Path, alone: dict[str, bytes], tmp_path: Path) -> None:
    """One of two stands still in the middle; the other labels its shard and ends."""
    mine, its = shards(2)
    with torchrun(world, tmp_path, 2) as process:
        wait_for(both_at_work(tmp_path), process, tmp_path)
        first, second = pid_of(0, process.pid), pid_of(1, process.pid)
        os.kill(second, signal.SIGSTOP)
        try:
            stopped = len(recorded(tmp_path)[1])
            assert 0 < stopped < len(its)
            wait_for(lambda: ended(first), process, tmp_path)
            assert set(recorded(tmp_path)[0]) == mine
            assert len(recorded(tmp_path)[1]) == stopped
        finally:
            os.kill(second, signal.SIGCONT)
        finish(process, tmp_path)
    assert labels(tmp_path) == alone
    assert [set(keys) for keys in recorded(tmp_path)] == [mine, its]


@pytest.mark.slow
@needs_proc
def test_a_killed_worker_leaves_a_resumable_folder(world: Path, alone: dict[str, bytes], tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    with torchrun(world, broken, 2) as process:
        wait_for(both_at_work(broken), process, broken)
        os.kill(pid_of(1, process.pid), signal.SIGKILL)
        assert process.wait(900) != 0
    there = labels(broken)
    assert 0 < len(there) < len(alone)
    assert all(alone[name] == data for name, data in there.items())

    three = shutil.copytree(broken, tmp_path / "three")
    with torchrun(world, three, 3) as process:
        finish(process, three)
    assert labels(three) == alone
    assert len(recorded(three)) == 3

    left = IMAGES - len({key for keys in recorded(broken) for key in keys})
    resumed = pseudo_label(config(world, broken), world / "teacher.pth", quiet=True)
    assert labels(broken) == alone
    assert resumed["images"] == left


@pytest.mark.slow
def test_workers_of_slurm_outlive_the_first(world: Path, alone: dict[str, bytes], tmp_path: Path) -> None:
    """Two processes with the variables that srun sets for its tasks; the one that the other found is killed."""
    config(world, tmp_path).dump(tmp_path / "config.py")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    job = [str(TOOL), str(tmp_path / "config.py"), str(world / "teacher.pth"), "--launcher", "slurm"]
    common = {"SLURM_NTASKS": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    with (tmp_path / "output").open("w") as output:
        first, second = (
            subprocess.Popen(
                [sys.executable, *job],
                env=os.environ | common | {"SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)},
                stdout=output,
                stderr=output,
                text=True,
            )
            for i in (0, 1)
        )
        try:
            wait_for(both_at_work(tmp_path), first, tmp_path)
        finally:
            first.kill()
        finish(second, tmp_path)
    assert first.wait() < 0
    mine, its = shards(2)
    found = recorded(tmp_path)
    assert set(found[0]) < mine
    assert set(found[1]) == its
    pseudo_label(config(world, tmp_path), world / "teacher.pth", quiet=True)
    assert labels(tmp_path) == alone


@pytest.mark.parametrize(
    ("launcher", "variable", "program"),
    [
        ("pytorch", "RANK", "torchrun"),
        ("slurm", "SLURM_PROCID", "srun"),
        ("mpi", "OMPI_COMM_WORLD_RANK", "mpirun"),
    ],
)
def test_a_launcher_that_started_nothing(
    launcher: str, variable: str, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(LaunchError, match=f"`{program}` started, and {variable} is not set: put `{program} "):
        join_ranks(launcher)


def test_torchrun_and_nobody_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process would do everything, and all write the same files."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "1")
    join_ranks("none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(LaunchError, match=r"torchrun started 2 processes.*add `--launcher pytorch`"):
        join_ranks("none")


def test_slurm_without_a_first_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "SLURM_PROCID": "0",
        "SLURM_NTASKS": "1",
        "SLURM_LOCALID": "0",
        "PATH": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(LaunchError, match="set MASTER_ADDR in the batch script"):
        join_ranks("slurm")
