"""`lsu-seg pseudo-label` as a process of its own: killed, interrupted, without room, without permission, twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from helpers.folders import check_whole, tree
from helpers.forkserver import Server
from helpers.processes import WRITE, standing_still
from helpers.tiny import label_config, save_checkpoint, write_park, write_tax
from lsu_onto import ROW_VOID
from lsu_seg.pseudo.records import finished
from lsu_seg.pseudo.sample import read_sample

IMAGES = {f"{i:02}": [0, 1, 2, 3, 4, 5, ROW_VOID] for i in range(10)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher `teacher.pth` and a dataset `park`, that no test changes."""
    root = tmp_path_factory.mktemp("world")
    write_tax(root / "tax")
    write_park(root / "park", IMAGES)
    save_checkpoint(root / "teacher.pth")
    return root


def job(world: Path, work: Path, out: Path, checkpoint: Path | None = None, **options: Any) -> list[object]:
    """The arguments of a run that writes all there is to write."""
    dataset = dict(taxonomy=str(world / "tax/park.tax"), data_root=str(world / "park"), split="train")
    cfg = label_config(dataset, work, scales=(1.0, 1.5), confidence=True, soft=3)
    cfg.test_cfg.out_dir = str(out)
    cfg.merge_from_dict(options)
    work.mkdir(parents=True, exist_ok=True)
    cfg.dump(work / "config.py")
    return ["pseudo-label", work / "config.py", checkpoint or world / "teacher.pth"]


@pytest.fixture(scope="module")
def unbroken(world: Path, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("unbroken")
    code, said = server.run(work / "log.txt", *job(world, work, work / "labels"))
    assert code == 0, said
    assert finished(work / "labels") == {f"labels/train/{stem}" for stem in IMAGES}
    return work / "labels"


def labelled(out: Path) -> int:
    return len(list((out / "labels/train").glob("*.png")))


# --- killed ------------------------------------------------------------------------------------------------


SIGNALS = [signal.SIGKILL, signal.SIGINT, signal.SIGTERM]


def interrupted(
    server: Server, arguments: list[object], log: Path, out: Path, numbers: list[int], rng: random.Random
) -> list[int]:
    """Stop a run by each signal, at random moments; returns how many labels were there each time."""
    there, killed = [], False
    for number in numbers:
        run = server.start(log, *arguments)
        goal = labelled(out) + rng.randrange(4)
        # It speaks when its checkpoint is loaded; its first moments are the next test's.
        run.when(lambda run=run, goal=goal: bool(run.said) and labelled(out) >= goal)
        time.sleep(rng.random() * 0.02)
        run.send(number)
        code = run.wait()
        there.append(labelled(out))
        stopped = 130 if number == signal.SIGINT else -number
        assert code == stopped or (code == 0 and there[-1] == len(IMAGES)), (code, run.said)
        # After the end of its work, while it exits, Python reports an interruption as it likes.
        assert code == 0 or "Traceback" not in run.said
        # Ctrl-C cleans up; a kill cannot, and the next run does once it has the folder.
        killed |= code < 0
        check_whole(out, leftovers=killed)
    return there


def a_round(
    server: Server, world: Path, unbroken: Path, tmp_path: Path, numbers: list[int], rng: random.Random
) -> None:
    arguments, log, out = job(world, tmp_path, tmp_path / "labels"), tmp_path / "log.txt", tmp_path / "labels"
    there = interrupted(server, arguments, log, out, numbers, rng)
    assert there == sorted(there)
    code, said = server.run(log, *arguments)
    assert code == 0, said
    assert tree(out) == tree(unbroken)
    assert finished(out) == finished(unbroken)
    sampled = tmp_path / "sampled.npz", tmp_path / "sampled_unbroken.npz"
    for folder, file in zip((out, unbroken), sampled, strict=True):
        read_sample(folder).save(file)
    assert sampled[0].read_bytes() == sampled[1].read_bytes()


@pytest.mark.parametrize("number", SIGNALS)
def test_stopped_at_some_moment(server: Server, world: Path, unbroken: Path, tmp_path: Path, number: int) -> None:
    a_round(server, world, unbroken, tmp_path, [number], random.Random(number))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_stopped_three_times_at_any_moment(
    server: Server, world: Path, unbroken: Path, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    a_round(server, world, unbroken, tmp_path, rng.sample(SIGNALS, 3), rng)


def test_ctrl_c_of_the_real_command(world: Path, unbroken: Path, tmp_path: Path) -> None:
    """Not through the server: from the interpreter's start on, while it still imports."""
    command = [sys.executable, "-m", "lsu_seg.cli", *map(str, job(world, tmp_path, tmp_path / "labels"))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    maps = Path(f"/proc/{process.pid}/maps")
    while process.poll() is None and "libtorch" not in maps.read_text():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 130, said
    assert "the same command goes on after them" in said and "Traceback" not in said


# --- no room -----------------------------------------------------------------------------------------------


def test_a_disk_that_fills_up(
    server: Server,
    world: Path,
    unbroken: Path,
    tmp_path: Path,
    small_disk: Any,
) -> None:
    out = small_disk(16)
    arguments, log = job(world, tmp_path, out), tmp_path / "log.txt"
    code, said = server.run(log, *arguments)
    assert code == 1
    (error,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert error.startswith(f"error: {out}/") and "the disk is full" in error
    assert error.endswith("make room and run the same command again, it goes on from there")
    assert "Traceback" not in said
    assert 2 < labelled(out) < len(IMAGES)
    check_whole(out)
    small_disk(64)
    code, said = server.run(log, *arguments)
    assert code == 0, said
    assert tree(out) == tree(unbroken)


# --- no permission: before the checkpoint, which is none, is opened ----------------------------------------


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_permission(server: Server, world: Path, tmp_path: Path, there: bool) -> None:
    (tmp_path / "closed").mkdir()
    out = tmp_path / "closed" if there else tmp_path / "closed/labels"
    arguments = job(world, tmp_path, out, checkpoint=tmp_path / "none.pth")
    (tmp_path / "closed").chmod(0o555)
    code, said = server.run(tmp_path / "log.txt", *arguments, unprivileged=True)
    assert (code, said) == (
        1,
        f"error: {out}: cannot write there (Permission denied); choose another output folder\n",
    )
    (tmp_path / "closed").chmod(0o755)
    code, said = server.run(tmp_path / "log.txt", *arguments, unprivileged=True)
    assert code == 1 and "there is no checkpoint" in said


def test_a_file_in_place_of_the_folder(server: Server, world: Path, tmp_path: Path) -> None:
    (tmp_path / "labels").write_text("text")
    arguments = job(world, tmp_path, tmp_path / "labels", checkpoint=tmp_path / "none.pth")
    code, said = server.run(tmp_path / "log.txt", *arguments)
    assert code == 1 and said.startswith(f"error: {tmp_path / 'labels'}: cannot write there (Not a directory)")


# --- twice -------------------------------------------------------------------------------------------------


def test_a_second_run_waits_for_nobody_and_is_refused(
    server: Server, world: Path, unbroken: Path, tmp_path: Path
) -> None:
    out = tmp_path / "labels"
    arguments = job(world, tmp_path, out)
    first = server.start(tmp_path / "first.txt", *arguments, code=standing_still(WRITE, "labels/train/03"))
    first.when_still()  # it holds the folder, as long as this test likes
    code, said = server.run(tmp_path / "second.txt", *arguments)
    assert code == 1
    assert f"error: {out}: another run is writing there; wait for it, or choose another folder" in said
    first.send(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    code, said = server.run(tmp_path / "second.txt", *arguments)
    assert code == 0, said
    assert tree(out) == tree(unbroken)
