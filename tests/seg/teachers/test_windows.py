"""Views and windows: bands of parts, blending, what is skipped, and which settings make sense."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
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
from helpers.tiny import model_config
from helpers.windows import ALL, CLASSES, FLIPPED, K, Net, bands, decoded, image
from lsu_seg.decode import DecodeError, Part, QueryView, View, cpu, reference
from lsu_seg.decode.views import bilinear
from lsu_seg.errors import TeacherError
from lsu_seg.teachers import Band, SegmentorTeacher, Views
from lsu_seg.teachers.maps import Maps
from lsu_seg.teachers.resample import scaled_rows

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


# --- settings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings_", "text"),
    [
        (dict(scales=()), "give no view"),
        (dict(flips=()), "give no view"),
        (dict(scales=(0.0,)), "expected positive numbers"),
        (dict(scales=("a",)), r"scales are \('a',\); expected positive numbers in a list, such as \[0.5, 1"),
        (dict(scales="12"), "scales are '12'; expected positive numbers in a list"),
        (dict(scales=(50, 100)), r"scales are \(50.0, 100.0\); expected .*; each from 0.01 to 10"),
        (dict(scales=(1e-9,)), "each from 0.01 to 10"),
        (dict(scales=0.5), "scales are 0.5; expected positive numbers in a list"),
        (dict(scales=(10**400,)), "scales are .*; expected positive numbers in a list"),
        (dict(flips=["false"]), r"flips are \['false'\]; expected a list of true and false: "),
        (dict(scales=(1, 1)), "names? a view twice"),
        (dict(window=(500, 512)), "multiples of 32"),
        (dict(window=(32, 1 << 25)), r"window is \(32, 33554432\); expected .*, none above 1048576"),
        (dict(window=512), r"window is 512; expected \(height, width\), multiples of 32, such as \(512, 512\)"),
        (dict(window=(64.5, 64)), r"window is \(64.5, 64\); expected"),
        (dict(overlap=None), "overlap is None; expected"),
        (dict(keep_windows="no"), "keep_windows is 'no'; expected true or false"),
        (dict(overlap=1), r"expected 0\.\.0\.9"),
        (dict(memory=0), "expected GiB"),
        (dict(memory=float("inf")), "memory is inf; expected GiB for the views' evidence, such as 2, or None"),
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
