"""Several processes label one dataset: started as by torchrun or Slurm, stopped and killed for real."""

from __future__ import annotations

import json
import shutil
import signal
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger

from helpers.forkserver import Command, Server, need_a_device_per_rank
from helpers.processes import WRITE, free_port, standing_still
from helpers.tiny import label_config, save_checkpoint, write_park, write_tax
from lsu_onto import ROW_VOID
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.pseudo.sample import read_sample
from lsu_seg.pseudo.shards import shard
from lsu_seg.runtime.launch import LaunchError, join_ranks

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
    """Batches of two."""
    dataset = dict(taxonomy=str(world / "tax/park.tax"), data_root=str(world / "park"), split="train")
    return label_config(dataset, work, batch_size=2, scales=(1.0, 1.5), confidence=True)


@pytest.fixture(scope="module")
def alone(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process writes."""
    work = tmp_path_factory.mktemp("alone")
    assert pseudo_label(config(world, work), world / "teacher.pth", quiet=True)["images"] == IMAGES
    files = complete(work)
    assert len(files) == 2 * IMAGES + 1
    return files


def labels(work: Path) -> dict[str, bytes]:
    """Labels and confidence."""
    return {str(f.relative_to(work)): f.read_bytes() for f in (work / "labels").rglob("*.png")}


def complete(work: Path) -> dict[str, bytes]:
    """The files of a finished run, and the sample that it has kept for an audit."""
    read_sample(work / "labels").save(work / "sample.npz")
    return {**labels(work), "sample": (work / "sample.npz").read_bytes()}


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


def start(server: Server, world: Path, work: Path, ranks: int, **options: Any) -> list[Command]:
    work.mkdir(exist_ok=True)
    config(world, work).dump(work / "config.py")
    job = ["pseudo-label", work / "config.py", world / "teacher.pth", "--launcher", "pytorch"]
    return server.ranks(work, ranks, *job, **options)


def finish(ranks: list[Command]) -> None:
    assert [rank.wait() for rank in ranks] == [0] * len(ranks), [rank.said for rank in ranks]


def fourth(rank: int, ranks: int = 2) -> str:
    """Code with which this rank stands still in the middle: after its fourth image."""
    return standing_still(WRITE, sorted(shards(ranks)[rank])[3])


def test_three_write_the_bytes_of_one(server: Server, world: Path, alone: dict[str, bytes], tmp_path: Path) -> None:
    finish(start(server, world, tmp_path, 3))
    assert complete(tmp_path) == alone
    found, wanted = recorded(tmp_path), shards(3)
    assert [set(keys) for keys in found] == wanted
    assert sum(map(len, found)) == IMAGES  # each image once
    assert len({len(keys) for keys in wanted}) > 1  # and shards are uneven


@needs_proc
def test_no_worker_waits_for_another(server: Server, world: Path, alone: dict[str, bytes], tmp_path: Path) -> None:
    """One of two stands still in the middle; the other labels its shard and ends."""
    mine, its = shards(2)
    first, second = ranks = start(server, world, tmp_path, 2, code=fourth(1))
    second.when_still()
    assert first.wait() == 0, first.said
    assert set(recorded(tmp_path)[0]) == mine
    assert len(recorded(tmp_path)[1]) == 4 < len(its)
    second.send(signal.SIGCONT)
    finish(ranks)
    assert complete(tmp_path) == alone
    assert [set(keys) for keys in recorded(tmp_path)] == [mine, its]


@needs_proc
def test_a_killed_worker_leaves_a_resumable_folder(
    server: Server, world: Path, alone: dict[str, bytes], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    first, second = start(server, world, broken, 2, code=fourth(1))
    second.when_still()
    second.send(signal.SIGKILL)
    first.send(signal.SIGTERM)  # as torchrun does then
    assert second.wait() == -signal.SIGKILL
    assert first.wait() in (0, -signal.SIGTERM), first.said
    there = labels(broken)
    assert 0 < len(there) < len(alone)
    assert all(alone[name] == data for name, data in there.items())

    three = shutil.copytree(broken, tmp_path / "three")
    finish(start(server, world, three, 3))
    assert complete(three) == alone
    assert len(recorded(three)) == 3

    left = IMAGES - len({key for keys in recorded(broken) for key in keys})
    resumed = pseudo_label(config(world, broken), world / "teacher.pth", quiet=True)
    assert complete(broken) == alone
    assert resumed["images"] == left


@needs_proc
def test_workers_of_slurm_outlive_the_first(
    server: Server, world: Path, alone: dict[str, bytes], tmp_path: Path
) -> None:
    """Two processes with the variables that srun sets for its tasks; the one that the other found is killed."""
    need_a_device_per_rank(2)
    config(world, tmp_path).dump(tmp_path / "config.py")
    job = ["pseudo-label", tmp_path / "config.py", world / "teacher.pth", "--launcher", "slurm"]
    common = {"SLURM_NTASKS": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    first, second = (
        server.start(
            tmp_path / f"{i}.log",
            *job,
            code=fourth(0),
            env={**common, "SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)},
        )
        for i in (0, 1)
    )
    first.when_still()
    first.send(signal.SIGKILL)
    finish([second])
    assert first.wait() < 0
    mine, its = shards(2)
    found = recorded(tmp_path)
    assert set(found[0]) < mine
    assert set(found[1]) == its
    pseudo_label(config(world, tmp_path), world / "teacher.pth", quiet=True)
    assert complete(tmp_path) == alone


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


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("WORLD_SIZE", "abc", "WORLD_SIZE is `abc`; expected a whole number: have `torchrun` set it"),
        ("LOCAL_RANK", "-1", "LOCAL_RANK is `-1`; expected a whole number"),
        ("RANK", "7", "RANK is 7, and WORLD_SIZE 2; expected a rank from 0 to 1"),
        ("WORLD_SIZE", "0", "RANK is 0, and WORLD_SIZE 0; expected 1 process or more"),
        ("MASTER_PORT", "abc", "MASTER_PORT is `abc`; expected a port, a whole number up to 65535"),
        ("MASTER_PORT", "99999", "MASTER_PORT is `99999`; expected a port"),
    ],
)
def test_ranks_that_no_launcher_sets(variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, right in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, right)
    monkeypatch.setenv(variable, value)
    with pytest.raises(LaunchError, match=said):
        join_ranks("pytorch")


def test_processes_that_cannot_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "nothing")
    said = r"the processes cannot meet at MASTER_ADDR=127\.0\.0\.1, MASTER_PORT=\d+: .*nothing"
    with pytest.raises(LaunchError, match=said):
        join_ranks("pytorch")


def test_a_local_rank_that_is_no_number_is_refused_as_such(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(MMLogger, "_instance_dict", OrderedDict())  # as in a process that has logged nothing
    labelling = config(world, tmp_path)
    labelling.launcher = "pytorch"
    with pytest.raises(LaunchError, match="LOCAL_RANK is `x`; expected a whole number: have `torchrun` set it"):
        pseudo_label(labelling, str(world / "teacher.pth"))


@pytest.mark.parametrize("value", ["x", "-1", "", "1.5"])
def test_a_local_rank_without_a_launcher(
    value: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mmengine's logger reads it whoever set it."""
    monkeypatch.setenv("LOCAL_RANK", value)
    with pytest.raises(LaunchError, match=f"LOCAL_RANK is `{value}`; expected a whole number: .*`unset LOCAL_RANK`"):
        pseudo_label(config(world, tmp_path), str(world / "teacher.pth"))


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
