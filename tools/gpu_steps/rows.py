"""One line of the check's table, and how times are taken."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch


class Size(NamedTuple):
    """How much a step does: on a GPU, or just enough for every line of code to run (`--cpu`)."""

    device: str
    seconds: float

    @property
    def full(self) -> bool:
        return self.device == "cuda"

    def of(self, full: Any, small: Any) -> Any:
        return full if self.full else small


@dataclass(frozen=True)
class Row:
    """A measurement, or a comparison that holds or does not.

    Attributes:
        what: in words. value, unit: what was measured. baseline, baseline_value: what it is compared with, same unit.
        ratio: as the aim counts it. aim: "≥ 0.6" or "≤ 1.05". equal: whether what must be equal was; None: a figure.
    """

    what: str
    value: float | str
    unit: str = ""
    baseline: str = ""
    baseline_value: float | None = None
    ratio: float | None = None
    aim: str = ""
    equal: bool | None = None


Add = Callable[[Row], None]


def writer(file: Path, size: Size) -> Add:
    """Appends rows to `file`, a line of JSON each, so that what was measured outlives whatever comes after it.

    Aims are for a GPU.
    """

    def add(row: Row) -> None:
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(asdict(row if size.full else replace(row, aim="")), ensure_ascii=False) + "\n")

    return add


def sync() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def wall_ms(run: Callable[[], object], repeats: int) -> float:
    """Median milliseconds from the call to the device's end of it, after one call that compiles and allocates, as none
    does without a GPU."""
    if torch.cuda.is_available():
        run()
    times = []
    for _ in range(repeats):
        sync()
        began = time.perf_counter()
        run()
        sync()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


class Busy(NamedTuple):
    """Milliseconds of the device: of the whole stretch, and of those in which it worked."""

    wall: float
    busy: float


def device_ms(run: Callable[[], object], repeats: int = 1) -> Busy:
    """How long the device takes for `run`, per call, without the gaps between its kernels and copies.

    Without a GPU, both figures are the wall time.
    """
    if not torch.cuda.is_available():
        wall = wall_ms(run, repeats)
        return Busy(wall, wall)
    run()
    sync()
    began = time.perf_counter()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA], acc_events=True) as profiler:
        for _ in range(repeats):
            run()
        sync()
        wall = 1000 * (time.perf_counter() - began)
    assert profiler.profiler is not None and profiler.profiler.kineto_results is not None
    events = [
        (e.start_ns(), e.start_ns() + e.duration_ns())
        for e in profiler.profiler.kineto_results.events()
        if e.device_type() == torch.autograd.DeviceType.CUDA
    ]
    if not events:
        raise RuntimeError("the profiler has seen nothing of the GPU: CUPTI is missing, or may not be used here")
    return Busy(wall / repeats, _union(events) / 1e6 / repeats)


def _union(stretches: list[tuple[int, int]]) -> int:
    """The length of the union of stretches.

    >>> _union([(0, 4), (2, 5), (9, 10)])
    6
    """
    total, end = 0, -1
    for first, last in sorted(stretches):
        total += max(0, last - max(first, end))
        end = max(end, last)
    return total
