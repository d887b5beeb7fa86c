"""What fits into memory, and what happens when memory runs out: smaller pieces, and the same result."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from helpers.forkserver import Server
from helpers.windows import ALL, CLASSES, K, Net, bands, decoded, image
from lsu_seg.decode import View, cpu
from lsu_seg.errors import TeacherError
from lsu_seg.runtime.allocator import keep_freed_memory
from lsu_seg.teachers import SegmentorTeacher, Views
from lsu_seg.teachers.forward import Forward
from lsu_seg.teachers.memory import Probe, make_plan


def test_windows_are_used_where_whole_images_do_not_fit() -> None:
    probe = Probe((4, 4), 124, 124)
    views = Views(scales=(0.5, 0.75, 1, 1.25, 1.5, 1.75))
    small, large = (
        make_plan(views, probe, (512, 1024), (512, 1024)),
        make_plan(views, probe, (3000, 4000), (3000, 4000)),
    )
    assert small.window is None
    assert small.together >= 2
    assert large.window is not None
    assert large.bytes < 2 << 30
    assert "12 views of whole images take 7.2 GiB" in large.words
    assert f"windows of {large.window[0]} x {large.window[1]} pixels" in large.words
    assert make_plan(Views(memory=None), probe, (3000, 4000), (3000, 4000)).window is None
    asked = make_plan(Views(window=(512, 1024)), probe, (512, 1024), (512, 1024))
    assert asked.window == (512, 1024)
    with pytest.raises(TeacherError, match=r"images of 3000 x 4000 pixels: .* set memory=\d") as refused:
        make_plan(Views(scales=views.scales, memory=0.3), probe, (3000, 4000), (3000, 4000))
    enough = float(str(refused.value).split("set memory=")[1].split(",")[0])
    assert make_plan(Views(scales=views.scales, memory=enough), probe, (3000, 4000), (3000, 4000)).window == (
        64,
        64,
    )


@pytest.mark.parametrize("mode", [dict(memory=None), dict(window=(320, 352))])
@pytest.mark.parametrize("queries", [0, 6])
def test_out_of_memory_means_smaller_pieces_and_the_same_result(mode: dict, queries: int) -> None:
    """Net(3) sees 14 pixels around its cell, and the least halo is 32."""
    picture, rows = image(300, 340), np.zeros((300, 340), np.int16)
    roomy, tight = Net(reach=3, queries=queries), Net(reach=3, queries=queries, limit=200 * 200)
    roomy.align_corners = tight.align_corners = "window" in mode  # type: ignore[assignment]
    options = dict(scales=(1.0, 1.5), flips=(False, True), **mode)
    wanted = bands(roomy, picture, **options)
    found = bands(tight, picture, **options)
    assert not any(b.out_of_memory for b in wanted)
    assert all(b.out_of_memory for b in found)
    assert [len(b.views) for b in found] == [4] * len(found)
    if not queries:
        for a, b in zip(wanted, found, strict=True):
            for seen, again in zip(a.views, b.views, strict=True):
                assert (seen.logits - again.logits).abs().max() < 1e-4
    labels, sure = decoded(wanted, rows, ALL)
    again, sure_again = decoded(found, rows, ALL)
    assert (labels != again).mean() < (0.03 if queries else 1e-4)
    assert np.abs(sure - sure_again).mean() < (0.02 if queries else 1e-5)


def test_a_batch_that_does_not_fit_is_seen_one_by_one() -> None:
    net = Net(limit=64 * 64)
    batch = torch.stack([image(64, 64, n).float() for n in range(3)])
    forward = Forward(net, (64, 64))
    with torch.no_grad():
        for maps, item in zip(forward(batch), batch, strict=True):
            assert torch.equal(maps.values, net(item[None])[0])
    assert forward.out_of_memory


def test_the_next_image_is_tried_as_planned_again() -> None:
    net = Net(limit=100 * 100)
    teacher = SegmentorTeacher(net.eval(), CLASSES, Views(memory=None))
    assert [b.out_of_memory for _, b in teacher.evidence([image(128, 128)], None, [(128, 128)])] == [True]
    net.limit = None
    assert [b.out_of_memory for _, b in teacher.evidence([image(128, 128)], None, [(128, 128)])] == [False]
    assert (teacher.counts.images, teacher.counts.out_of_memory) == (2, 1)


def test_a_model_that_never_fits_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(TeacherError, match=r"of an image of 96 x 128 pixels.*smaller model"):
        bands(Net(limit=64), image(96, 128), memory=None)


def test_too_little_memory_for_the_image_itself() -> None:
    huge = torch.zeros(3, 1, 1, dtype=torch.uint8).expand(3, 1 << 20, 1 << 20)
    with pytest.raises(TeacherError, match=r"beside the model, with images of 1048576 x 1048576 pixels: set `memory`"):
        bands(Net(), huge, label=(64, 64), memory=None)


def test_other_errors_of_a_model_are_not_taken_for_memory() -> None:
    net = Net()
    net.body = nn.Sequential(nn.Conv2d(4, K, 1))
    with pytest.raises(RuntimeError, match="channels"):
        bands(net, image(64, 64), memory=None)


IN_CHILD = """
import json, sys
sys.path.insert(0, {folder!r})
import torch
torch.set_num_threads(1)
import test_memory
print(json.dumps(test_memory.{function}()))
"""


@pytest.fixture
def child(server: Server, tmp_path: Path) -> Callable[[str], Any]:
    """What a function of this file returns in a process of its own."""

    def run(function: str) -> Any:
        source = IN_CHILD.format(folder=str(Path(__file__).parent), function=function)
        code, said = server.run(tmp_path / "log.txt", code=source)
        assert code == 0, said
        return json.loads(said.splitlines()[-1])

    return run


def under_a_limit() -> dict[str, Any]:
    """A model whose features of the whole image do not fit what the process may have."""
    import resource

    net = Net(reach=1).eval()
    net.body = nn.Sequential(nn.Conv2d(3, 128, 4, 2, 1), nn.ReLU(), nn.Conv2d(128, K, 2, 2))
    picture, rows = image(768, 1024), np.zeros((768, 1024), np.int16)
    wanted = decoded(bands(net, picture, memory=None, flips=(False,)), rows, ALL)[0]
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (150 << 20), resource.RLIM_INFINITY))
    found = bands(net, picture, memory=None, flips=(False,))
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    labels = decoded(found, rows, ALL)[0]
    return {"pieces": found[0].out_of_memory, "differ": float((labels != wanted).mean())}


@pytest.mark.skipif(sys.platform != "linux", reason="limits")
def test_real_memory_that_really_runs_out(child: Callable[[str], Any]) -> None:
    result = child("under_a_limit")
    assert result["pieces"]
    assert result["differ"] < 1e-4


def twelve_views() -> dict[str, Any]:
    """A 4000 x 3000 image, 124 classes, 12 views: bytes at the peak, beyond the model with one window."""
    import resource
    import time

    keep_freed_memory()  # as every run of the engine does
    classes = [f"c{i}" for i in range(124)]
    net = Net(reach=0).eval()
    net.body = nn.Sequential(nn.Conv2d(3, 124, 4, 4))
    picture, rows = image(3000, 4000), np.zeros((3000, 4000), np.int16)
    rows[:, 40:] = -1  # most is decided, or this would be a test of the decoder's speed
    allowed = np.arange(125)[None] < 3
    cpu.decode([View(np.zeros((124, 2, 2), np.float32))] * 2, rows[:8, :8], allowed)  # compiles
    teacher = SegmentorTeacher(net, classes, Views(scales=(0.5, 0.75, 1.0, 1.25, 1.5, 1.75)))
    plan = teacher.plan((3000, 4000), (3000, 4000))
    with torch.no_grad():
        net(torch.zeros(1, 3, *(plan.window or (0, 0))))

    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

    before, start, views, height = peak(), time.monotonic(), set(), 0
    for _, band in teacher.evidence([picture], None, [(3000, 4000)]):
        cpu.decode(band.views, rows[band.top : band.bottom], allowed)
        views.add(len(band.views))
        height += band.bottom - band.top
    used = peak() - before
    return {
        "GiB": used / 2**30,
        "plan": plan.bytes / 2**30,
        "window": plan.window,
        "views": sorted(views),
        "rows": height,
        "windows": teacher.counts.windows,
        "seconds": time.monotonic() - start,
    }


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss")
def test_a_large_image_with_many_classes_and_views_stays_within_its_budget(child: Callable[[str], Any]) -> None:
    result = child("twelve_views")
    print(result)
    assert result["views"] == [12]
    assert result["rows"] == 3000
    assert result["GiB"] < 2
    assert result["GiB"] < result["plan"]
