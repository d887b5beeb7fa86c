"""A function over many items in several processes: the same results and errors as in one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.forkserver import Server
from helpers.tiny import write_park, write_tax
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.label_files import LabelFileError
from lsu_seg.runtime import side_by_side as module
from lsu_seg.runtime.processes import ProcessError
from lsu_seg.runtime.side_by_side import side_by_side


class OddError(Exception):
    """Cannot be unpickled: it needs two arguments."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(f"{number} {text}")


def square(number: int) -> tuple[int, int]:
    if number == 7:
        raise OddError(number, "is odd")
    return number**2, os.getpid()


def test_results_are_in_order_and_made_elsewhere() -> None:
    before = torch.get_rng_state()
    numbers = [n for n in range(40) if n != 7]
    results = list(side_by_side(square, numbers, processes=2))
    assert [value for value, _ in results] == [n**2 for n in numbers]
    assert len({process for _, process in results} - {os.getpid()}) == 2
    assert torch.equal(torch.get_rng_state(), before), "a training has the same random numbers"
    assert {process for _, process in side_by_side(square, numbers)} == {os.getpid()}, "few items"


def test_an_error_is_that_of_the_item() -> None:
    results = side_by_side(square, [1, 2, 7, 3], processes=2)
    assert [next(results)[0] for _ in range(2)] == [1, 4]
    with pytest.raises(OddError, match=r"^7 is odd$"):
        next(results)


def ends(number: int) -> int:
    os._exit(3)


def test_a_process_that_ends_is_an_error_that_says_so() -> None:
    with pytest.raises(ProcessError, match="ended without a result"):
        list(side_by_side(ends, [1, 2], processes=2))


INTERRUPTED = """
import multiprocessing, os, signal, time
import torch
from lsu_seg.runtime.side_by_side import side_by_side

torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL = 3600  # so long does torch wait for a process that does not end
results = side_by_side(abs, range(1000), processes=2)
first = next(results)
for process in multiprocessing.active_children():
    os.kill(process.pid, signal.SIGINT)
assert [first, *results] == list(range(1000))
assert not multiprocessing.active_children()
results = side_by_side(lambda n: time.sleep(3600 * n), [0] * 9 + [1] * 9, processes=2)  # a process may be busy
next(results)
print("done", flush=True)
"""


def test_the_processes_of_work_that_is_interrupted_end_with_it(libraries: Server, tmp_path: Path) -> None:
    """Where it was stopped between two results, the generator lives on in the traceback."""
    command = libraries.start(tmp_path / "log", code=INTERRUPTED)
    assert (command.wait(), command.said) == (0, "done\n")


class Nested(torch.utils.data.Dataset[int]):
    """Works on many items in a worker of a DataLoader, as a dataset does that is first used there."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        return sum(side_by_side(abs, range(200)))


def test_a_worker_of_a_loader_works_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cores", lambda: 4)
    loader = torch.utils.data.DataLoader(Nested(), None, num_workers=1, multiprocessing_context="fork")
    assert list(loader) == [sum(range(200))]


def test_labels_are_counted_by_several_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_park(tmp_path, {stem: [0, 1, 2, 3, 4, 5, -1] for stem in "abcd"})
    dataset = TaxDataset(write_tax(tmp_path / "tax"), str(tmp_path), "train", threshold=1.0)
    alone = dataset.class_counts()
    monkeypatch.setattr(module, "_FEWEST", 1)
    monkeypatch.setattr(module, "cores", lambda: 4)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    np.testing.assert_array_equal(dataset.class_counts(), alone)
    assert alone.sum(1).tolist() == [24 * 40] * 4 and (alone.sum(0)[[0, 3, 5, 6]] > 0).all()
    (tmp_path / "labels/train/c.png").write_bytes(b"no image")
    with pytest.raises(LabelFileError, match=r"c\.png"):
        dataset.class_counts()
