"""Views and windows: bands of parts, blending, what is skipped, what fits, and what happens when memory runs out."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn
from torch.nn.functional import interpolate

from helpers.examples import examples
from helpers.forkserver import Server
from helpers.tiny import model_config
from lsu_seg.decode import DecodeError, Part, QueryView, View, cpu, reference
from lsu_seg.decode.views import bilinear
from lsu_seg.errors import TeacherError
from lsu_seg.runtime.allocator import keep_freed_memory
from lsu_seg.teachers import Band, SegmentorTeacher, Views
from lsu_seg.teachers.forward import Forward
from lsu_seg.teachers.maps import Maps
from lsu_seg.teachers.memory import Probe, make_plan
from lsu_seg.teachers.resample import scaled_rows

CLASSES = ["road", "grass", "tree", "sky", "car"]
K = len(CLASSES)


class Net(nn.Module):
    """A segmentor at stride 4. `reach`: how many further cells on each side a cell's logits depend on."""

    def __init__(self, reach: int = 2, limit: int | None = None, queries: int = 0) -> None:
        super().__init__()
        init_default_scope("mmseg")
        self.data_preprocessor = MODELS.build(
            dict(type="SegDataPreProcessor", mean=[128.0] * 3, std=[64.0] * 3, size_divisor=32)
        )
        self.limit, self.largest = limit, 0
        torch.manual_seed(0)
        layers: list[nn.Module] = [nn.Conv2d(3, 8, 4, 4)]
        for _ in range(reach):
            layers += [nn.GELU(), nn.Conv2d(8, 8, 3, padding=1)]
        self.body = nn.Sequential(*layers, nn.GELU(), nn.Conv2d(8, queries or K, 1))
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.3)
        if queries:
            self.classes = nn.Parameter(torch.randn(queries, K + 1) * 2)
            self.evidence_of = lambda batch: [QueryView(self.classes, m) for m in self.forward(batch)]

    def forward(self, inputs: torch.Tensor, mode: str = "tensor") -> torch.Tensor:
        pixels = inputs[:, 0].numel()
        self.largest = max(self.largest, pixels)
        if self.limit is not None and pixels > self.limit:
            torch.empty(1 << 60, dtype=torch.uint8)  # what no machine has: a real error of a real allocator
        return self.body(inputs)


def image(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Smooth, so that views of several scales see much the same; uint8 [3, H, W]."""
    noise = torch.rand(1, 3, height // 32 + 2, width // 32 + 2, generator=torch.Generator().manual_seed(seed))
    return (interpolate(noise, (height, width), mode="bicubic")[0] * 255).clamp(0, 255).to(torch.uint8)


def bands(net: Net, picture: torch.Tensor, needed: Any = None, label: Any = None, **views: Any) -> list[Band]:
    teacher = SegmentorTeacher(net.eval(), CLASSES, Views(**views))
    label = label or (picture.shape[1], picture.shape[2])
    return [band for _, band in teacher.evidence([picture], [needed], [label])]


def decoded(found: list[Band], rows: np.ndarray, allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, sure = np.full(rows.shape, 254, np.uint8), np.zeros(rows.shape, np.float32)
    for top, bottom, views, _ in found:
        labels[top:bottom], sure[top:bottom] = cpu.decode(views, rows[top:bottom], allowed)
    return labels, sure


ALL = np.ones((1, K + 1), bool)
"""One class of the dataset, that may be anything."""
FLIPPED = dict(scales=(0.5, 1.0, 1.75), flips=(False, True))


# --- parts of views ----------------------------------------------------------------------------------------


def part_of(view: View | QueryView, top: int, bottom: int, height: int, more: int) -> View | QueryView:
    """The rows of a whole view that the label rows read, and `more` on both sides."""
    maps = view.masks if isinstance(view, QueryView) else view.logits
    n = maps.shape[1]
    first, _ = bilinear(n, height, view.align_corners)
    a, b = max(0, first[top] - more), min(first[bottom - 1] + 2 + more, n)
    part = Part(int(a), n, top, height)
    if isinstance(view, QueryView):
        return replace(view, masks=maps[:, a:b], part=part)
    return replace(view, logits=maps[:, a:b], void=None if view.void is None else view.void[a:b], part=part)


@settings(max_examples=examples(60))
@given(st.integers(0, 2**32 - 1), st.sampled_from(["plain", "mass", "query"]), st.sampled_from([1, 2, 3]))
def test_a_view_decodes_the_same_in_parts(seed: int, form: str, count: int) -> None:
    rng = np.random.default_rng(seed)
    k, height, width = int(rng.integers(1, 9)), int(rng.integers(1, 60)), int(rng.integers(1, 60))
    views: list[View | QueryView] = []
    for _ in range(count):
        n, h, w = int(rng.integers(1, 6)), *rng.integers(1, 40, 2)
        if rng.integers(2) and not height % 4:
            h = height // 4
        maps = torch.from_numpy(rng.normal(0, 3, (n if form == "query" else k, h, w)).astype(np.float32))
        flip, aligned = bool(rng.integers(2)), bool(rng.integers(2))
        if form == "query":
            classes = torch.from_numpy(rng.normal(0, 3, (n, k + 1)).astype(np.float32))
            views.append(QueryView(classes, maps, flip, None, aligned))
        else:
            mass = torch.from_numpy(rng.random((h, w)).astype(np.float32)) if form == "mass" else None
            views.append(View(maps, flip, mass, None, aligned))
    allowed = rng.random((3, k + 1)) < 0.6
    allowed[:, 0] = True
    rows = np.repeat(rng.integers(-1, 3, (height, -(-width // 5))), 5, 1)[:, :width].astype(np.int16)
    cuts = sorted({0, height, *rng.integers(0, height + 1, 3).tolist()})
    whole = cpu.decode(views, rows, allowed)
    wanted = reference.decode(views, torch.from_numpy(rows), torch.from_numpy(allowed))
    for top, bottom in itertools.pairwise(cuts):
        here = [part_of(v, top, bottom, height, int(rng.integers(3))) for v in views]
        found = cpu.decode(here, rows[top:bottom], allowed)
        assert found.labels.tobytes() == whole.labels[top:bottom].tobytes()
        assert found.confidence.tobytes() == whole.confidence[top:bottom].tobytes()
        found = reference.decode(here, torch.from_numpy(rows[top:bottom]), torch.from_numpy(allowed))
        assert torch.equal(found.labels, wanted.labels[top:bottom])
        assert torch.allclose(found.confidence, wanted.confidence[top:bottom], atol=1e-6)


@pytest.mark.parametrize("part", [Part(0, 8, 12, 32), Part(2, 8, 0, 32), Part(7, 8, 28, 32), Part(0, 8, 0, 3)])
def test_a_part_that_does_not_cover_its_label_rows_is_refused(part: Part) -> None:
    view = View(np.zeros((2, 2, 4), np.float32), part=part)
    rows = np.zeros((8, 16), np.int16)
    with pytest.raises(DecodeError, match=r"a\.png: view 0 has rows .* which do not cover the label rows"):
        cpu.decode([view], rows, ALL[:, :3], image_name="a.png")
    tensors = View(torch.zeros(2, 2, 4), part=part)
    with pytest.raises(DecodeError, match="do not cover"):
        reference.decode([tensors], torch.from_numpy(rows), torch.from_numpy(ALL[:, :3]))


# --- windows -----------------------------------------------------------------------------------------------

TWICE = [(queries, overlap, False) for queries in (0, 7) for overlap in (0, 0.25, 0.6)]


@pytest.mark.parametrize(("queries", "overlap", "aligned"), [(0, 0, True), (0, 0.6, True), *TWICE])
def test_windows_of_a_model_that_sees_only_its_cell_are_the_whole(queries: int, overlap: float, aligned: bool) -> None:
    """Where a window's edge changes nothing, windows change nothing: every scale, flip, size and cut lies right."""
    net, picture = Net(reach=0, queries=queries), image(200, 330)
    net.align_corners = aligned  # type: ignore[assignment]
    rows = np.zeros((180, 300), np.int16)
    [whole] = bands(net, picture, label=rows.shape, memory=None, **FLIPPED)
    found = bands(net, picture, label=rows.shape, window=(64, 96), overlap=overlap, **FLIPPED)
    assert len(found) > 3
    assert [b.top for b in found] == [0, *(b.bottom for b in found[:-1])]
    assert found[-1].bottom == 180
    assert all(view.align_corners == aligned for band in [whole, *found] for view in band.views)
    labels, sure = decoded([whole], rows, ALL)
    again, sure_again = decoded(found, rows, ALL)
    # Queries are merged at stride 4 and then interpolated, not the other way round.
    assert np.abs(sure - sure_again).max() < (0.02 if queries else 1e-4)
    assert (labels != again).mean() < (0.02 if queries else 1e-4)


def test_scaled_rows_are_those_of_the_scaled_image() -> None:
    picture = image(150, 210)[None].float()
    for size in [(64, 96), (288, 416), (150, 210), (160, 96), (96, 448)]:
        whole = scaled_rows(picture, size, 0, size[0])
        assert torch.equal(scaled_rows(picture, size, 13, 50), whole[:, :, 13:50])
        if (size[0] > 150) == (size[1] > 210):
            wanted = interpolate(picture, size, mode="bilinear", antialias=size[0] < 150)
            assert (whole - wanted).abs().max() < 1e-3  # of 255


def test_blending_fades_from_one_window_to_the_next() -> None:
    """A model that gives every window its own constant: the seam is a ramp, nowhere a step."""

    class Counter(Net):
        def forward(self, inputs: torch.Tensor, mode: str = "tensor") -> torch.Tensor:
            level = inputs.mean((1, 2, 3), keepdim=True)
            return level.expand(-1, K, inputs.shape[2] // 4, inputs.shape[3] // 4)

    picture = torch.zeros(3, 64, 224, dtype=torch.uint8)
    picture[:, :, 112:] = 255
    found = bands(Counter(), picture, window=(64, 128), overlap=0.25, flips=(False,))
    line = torch.cat([band.views[0].logits[0] for band in found])[0]
    assert line[:24].unique().numel() == line[-24:].unique().numel() == 1
    steps = line[:-1] - line[1:]
    assert (steps[23:32] < 0).all()
    assert steps.abs().max() < (line[-1] - line[0]).abs() / 7


@settings(max_examples=examples(15))
@given(st.integers(0, 2**32 - 1))
def test_skipped_windows_change_no_needed_pixel(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = (int(n) for n in rng.integers(60, 260, 2))
    net, picture = Net(reach=2), image(height, width, seed % 1000)
    net.align_corners = bool(seed % 2)  # type: ignore[assignment]
    factor = rng.choice([0.3, 1.0, 2.7])  # of label to image
    needed = np.zeros((int((height - 7) * factor), int((width + 5) * factor)), bool)
    for _ in range(rng.integers(1, 4)):
        y, x = rng.integers(0, needed.shape[0]), rng.integers(0, needed.shape[1])
        needed[y : y + rng.integers(1, 40), x : x + rng.integers(1, 40)] = True
    rows = np.where(needed, 0, -1).astype(np.int16)
    # One at a time: how many windows go through the model together may show in the last bits.
    options: dict[str, Any] = dict(window=(64, 64), overlap=float(rng.choice([0, 0.3])), scales=(1.0, 1.6))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lsu_seg.teachers.sliding._PIXELS", 1)
        kept = bands(net, picture, needed, needed.shape, keep_windows=True, **options)
        found = bands(net, picture, needed, needed.shape, **options)
    assert {(b.top, b.bottom) for b in kept} >= {(b.top, b.bottom) for b in found}
    left_out = np.ones(len(rows), bool)
    for band in found:
        left_out[band.top : band.bottom] = False
    assert not needed[left_out].any()
    for a, b in zip(decoded(kept, rows, ALL), decoded(found, rows, ALL), strict=True):
        assert a[~left_out].tobytes() == b[~left_out].tobytes()


def test_windows_without_a_needed_pixel_are_not_computed() -> None:
    picture, needed = image(256, 512), np.zeros((256, 512), bool)
    needed[200:210, 300:310] = True
    teacher = SegmentorTeacher(Net().eval(), CLASSES, Views(window=(64, 64), overlap=0))
    found = [b for _, b in teacher.evidence([picture], [needed], [(256, 512)])]
    assert (teacher.counts.images, teacher.counts.windows, teacher.counts.skipped) == (1, 64, 62)
    assert all(needed[b.top : b.bottom].any() for b in found)
    teacher = SegmentorTeacher(Net().eval(), CLASSES, Views(window=(64, 64), overlap=0, keep_windows=True))
    kept = [b for _, b in teacher.evidence([picture], [needed], [(256, 512)])]
    assert sum(b.bottom - b.top for b in kept) == 256
    assert (teacher.counts.windows, teacher.counts.skipped) == (64, 0)


def test_a_window_as_large_as_the_image_is_the_whole_image() -> None:
    for net in (Net(), Net(queries=7)):
        rows = np.zeros((100, 140), np.int16)
        whole = decoded(bands(net, image(100, 140), memory=None), rows, ALL)
        found = decoded(bands(net, image(100, 140), window=(512, 512), memory=1e-3), rows, ALL)
        assert [a.tobytes() for a in whole] == [a.tobytes() for a in found]


def test_labels_do_not_depend_on_how_many_bands_there_are() -> None:
    net, picture = Net(), image(300, 260)
    rows = np.zeros((300, 260), np.int16)
    some = bands(net, picture, window=(96, 96), memory=2, **FLIPPED)
    many = bands(net, picture, window=(96, 96), memory=1e-6, **FLIPPED)
    assert len(many) > len(some)
    assert [a.tobytes() for a in decoded(some, rows, ALL)] == [a.tobytes() for a in decoded(many, rows, ALL)]


def test_a_batch_is_the_images_one_by_one() -> None:
    """In whole-image mode a budget decides how many of a batch are there at once; in windows each is alone."""
    pictures = [image(96, 128, n) for n in range(3)]
    rows = np.zeros((96, 128), np.int16)
    for options in (dict(memory=None), dict(memory=2), dict(window=(64, 64))):
        teacher = SegmentorTeacher(Net().eval(), CLASSES, Views(**options))
        found: dict[int, list[Band]] = {}
        for i, band in teacher.evidence(pictures, None, [(96, 128)] * 3):
            found.setdefault(i, []).append(band)
        for i, picture in enumerate(pictures):
            alone = decoded(bands(Net(), picture, **options), rows, ALL)[0]
            assert (decoded(found[i], rows, ALL)[0] != alone).mean() < 1e-3


def test_queries_merged_by_class_decode_as_they_do() -> None:
    """At the masks' own resolution there is no difference but rounding, no-object mass and all."""
    generator = torch.Generator().manual_seed(0)
    views = [
        QueryView(torch.randn(9, K + 1, generator=generator) * 3, torch.randn(9, 20, 30, generator=generator) * s)
        for s in (1.0, 4.0, 30.0)
    ]
    merged = [Maps.of(view).by_class().view(flip=False) for view in views]
    rows = np.zeros((20, 30), np.int16)
    for count in (1, 3):
        labels, sure = cpu.decode(views[:count], rows, ALL)
        again, sure_again = cpu.decode(merged[:count], rows, ALL)
        assert np.array_equal(labels, again)
        assert np.abs(sure - sure_again).max() < 1e-5
    assert {*range(K), 255} >= set(np.unique(labels).tolist()) > {255}


def test_a_no_object_mass_goes_through_windows() -> None:
    net = Net(reach=0)
    net.evidence_of = lambda batch: [View(x, void=x[0].sigmoid()) for x in net(batch)]  # type: ignore[assignment]
    rows = np.zeros((128, 160), np.int16)
    whole = decoded(bands(net, image(128, 160), memory=None), rows, ALL)
    found = decoded(bands(net, image(128, 160), window=(64, 64)), rows, ALL)
    assert 255 in whole[0]
    assert (whole[0] != found[0]).mean() < 1e-3


def test_a_segmentor_of_mmseg_in_windows() -> None:
    """A UNet as it comes from a config, stride 1: windows differ from the whole only near their edges."""
    init_default_scope("mmseg")
    torch.manual_seed(0)
    model = MODELS.build(model_config()).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    picture, rows = image(192, 256), np.zeros((192, 256), np.int16)
    whole, some, many = (
        decoded(bands(model, picture, **options), rows, ALL)[0]
        for options in (dict(memory=None), dict(window=(96, 96)), dict(window=(96, 96), overlap=0.6))
    )
    assert len(np.unique(whole)) > 2
    assert (some != whole).mean() < 0.05
    assert (many != whole).mean() < 0.05


def test_a_model_whose_values_lie_on_no_grid_cannot_be_put_together() -> None:
    net = Net()
    net.body = nn.Sequential(nn.Conv2d(3, K, 14, 14))
    with pytest.raises(TeacherError, match=r"9 x 9 values for a window of 128 x 128 pixels.*memory=None"):
        bands(net, image(300, 300), window=(128, 128))
    assert len(bands(net, image(300, 300), memory=None)) == 1


# --- memory ------------------------------------------------------------------------------------------------


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
import test_windows
print(json.dumps(test_windows.{function}()))
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


# --- settings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings_", "text"),
    [
        (dict(scales=()), "give no view"),
        (dict(flips=()), "give no view"),
        (dict(scales=(0.0,)), "expected positive numbers"),
        (dict(scales=("a",)), "scales are numbers"),
        (dict(scales=(1, 1)), "names? a view twice"),
        (dict(window=(500, 512)), "multiples of 32"),
        (dict(window=512), "window is"),
        (dict(overlap=1), r"expected 0\.\.0\.9"),
        (dict(memory=0), "expected GiB"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings_: dict, text: str) -> None:
    with pytest.raises(TeacherError, match=text):
        Views(**settings_)


def test_settings_come_from_a_config_and_go_into_a_manifest() -> None:
    views = Views(scales=[0.5, 1], flips=[0, 1], window=[512, 1024])  # type: ignore[arg-type]
    assert json.loads(json.dumps(views.manifest())) == {
        "scales": [0.5, 1.0],
        "flips": [False, True],
        "window": [512, 1024],
        "overlap": 0.25,
        "memory": 2.0,
        "keep_windows": False,
    }
    assert views == Views(scales=(0.5, 1.0), window=(512, 1024))
