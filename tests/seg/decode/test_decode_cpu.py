"""The CPU decoder against the reference: equal but for float32's rounding, inside S(d), the same bytes always."""

from __future__ import annotations

import math
import multiprocessing
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import lsu_onto
from helpers.decoding import gaps, problems, tensor_view
from helpers.examples import examples
from lsu_onto import ROW_UNKNOWN, ROW_VOID
from lsu_seg.cli import main
from lsu_seg.decode import DecodeError, QueryView, View, _on_cpu, cpu, decode_arrays, reference


@settings(max_examples=examples(150))
@given(problems(), st.sampled_from([None, 0.0, 0.5, 1.0]))
def test_equals_the_reference(problem: tuple, threshold: float | None) -> None:
    views, rows, allowed = problem
    k = allowed.shape[1] - 1
    wanted = reference.decode(
        [tensor_view(v) for v in views], torch.from_numpy(rows), torch.from_numpy(allowed), threshold
    )
    found = cpu.decode(views, rows, allowed, threshold, threads=1)
    void = 255 if k <= 255 else 65535
    assert found.labels.dtype == (np.uint8 if k <= 255 else np.uint16)
    assert found.confidence.dtype == np.float32

    labels = np.where(found.labels == void, k, found.labels.astype(np.int64))
    table = np.vstack([allowed, np.arange(k + 1) == k])
    in_set = np.take_along_axis(table[rows], labels[..., None], 2)[..., 0]
    overruled = (labels == k) & (found.confidence < (threshold or 0))
    assert (in_set | overruled).all()
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()

    gap, tolerance = gaps(views, rows, allowed)
    clear = gap > tolerance
    sure = wanted.confidence.numpy()
    assert (np.abs(found.confidence - sure)[clear] <= 2 * tolerance[clear]).all()
    if threshold is not None:
        clear &= np.abs(sure - threshold) > 2 * tolerance
    assert np.array_equal(found.labels[clear], wanted.labels.numpy()[clear])

    again = cpu.decode(views, rows, allowed, threshold, threads=2)
    assert again.labels.tobytes() == found.labels.tobytes()
    assert again.confidence.tobytes() == found.confidence.tobytes()


@pytest.mark.parametrize("classes", [15, 256])
def test_without_numba_the_reference_decodes_and_says_how_slow_it_is(
    classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    allowed = rng.random((4, classes + 1)) < 0.5
    names = tuple(f"c{i}" for i in range(classes))
    world = replace(lsu_onto.load("demo_town", source="demo"), allowed=allowed, source_classes=names)
    logits, rows = rng.standard_normal((classes, 3, 5)).astype(np.float32), rng.integers(-1, 4, (12, 20))
    masks = QueryView(rng.standard_normal((7, classes + 1), np.float32), rng.standard_normal((7, 3, 5), np.float32))
    inputs = [logits, [View(logits), View(logits[:, :, ::-1], flip=True)], [masks]]
    for array in (logits, masks.masks):
        array.flags.writeable = False  # as a memory map is
    fast = [decode_arrays(views, rows, world, 0.1) for views in inputs]

    monkeypatch.setitem(sys.modules, "lsu_seg.decode.cpu", None)
    monkeypatch.delattr("lsu_seg.decode.cpu")
    _on_cpu.cache_clear()
    with pytest.warns(UserWarning, match="decoded by the reference in torch, hundreds of times slower"):
        slow = [decode_arrays(views, rows, world, 0.1) for views in inputs]
    with pytest.raises(DecodeError, match=r"rows range over 0\.\.4; the dataset has 4 classes"):
        decode_arrays(logits, np.arange(5)[None], world)
    _on_cpu.cache_clear()
    for a, b in zip(fast, slow, strict=True):
        assert a.labels.dtype == b.labels.dtype == (np.uint8 if classes < 256 else np.uint16)
        assert np.array_equal(a.labels, b.labels)
        assert np.allclose(a.confidence, b.confidence, atol=1e-5)


def closed(k: int, *members: int) -> np.ndarray:
    row = np.zeros((1, k + 1), bool)
    row[0, list(members)] = True
    return row


def test_ties_go_to_the_lowest_channel_at_every_pixel_of_a_run() -> None:
    """Equal logits stay equal through the interpolation, whichever loop handles the pixel."""
    one = np.random.default_rng(0).standard_normal((1, 5, 70)).astype(np.float32)
    for width in (70, 280, 560, 333, 3):
        labels, confidence = cpu.decode(
            [View(np.repeat(one, 4, 0))], np.zeros((9, width), np.int16), closed(4, 1, 2, 3)
        )
        assert (labels == 1).all()
        assert np.allclose(confidence, 1 / 3)


@pytest.mark.parametrize("width", [1, 2, 8, 9, 13, 31, 33, 249, 250, 251, 252, 253, 254, 503, 4 * 131])
def test_a_run_of_any_length_is_decoded_to_its_last_pixel_and_no_further(width: int) -> None:
    """At the ends of vectors and of tiles; beside it runs of one possible output, which must stay as they are."""
    rng = np.random.default_rng(width)
    k, allowed = 5, np.vstack([closed(5, 1, 2, 3), closed(5, 4), closed(5, 0, 2, 5)])
    for before in (0, 1, 2, 5):
        full = -(-(width + before + 3) // 4) * 4
        for row in (0, 2):
            rows = np.full((4, full), 1, np.int16)
            rows[:, before : before + width] = row
            view = View(rng.standard_normal((k, 1, full // 4)).astype(np.float32))
            labels, confidence = cpu.decode([view], rows, allowed)
            wanted = reference.decode([tensor_view(view)], torch.from_numpy(rows), torch.from_numpy(allowed))
            assert np.array_equal(labels, wanted.labels.numpy())
            assert np.allclose(confidence, wanted.confidence.numpy(), atol=3e-6)


def test_short_runs_of_many_sets_and_more_pixels_than_a_tile_has() -> None:
    """Noise: a row's pixels of one set are decoded together, wherever they are."""
    rng = np.random.default_rng(3)
    k, d = 20, 6
    allowed = rng.random((d, k + 1)) < 0.4
    allowed[:, 3] = True
    rows = rng.integers(-1, d, (16, 2400)).astype(np.int16)
    for views in (
        [View(rng.standard_normal((k, 4, 600)).astype(np.float32), flip=True)],
        [View(rng.standard_normal((k, 3, 77)).astype(np.float32), flip) for flip in (True, False)],
    ):
        labels, confidence = cpu.decode(views, rows, allowed)
        seen = [tensor_view(v) for v in views]
        wanted = reference.decode(seen, torch.from_numpy(rows), torch.from_numpy(allowed))
        gap, tolerance = gaps(views, rows, allowed)
        clear = gap > tolerance
        assert clear.mean() > 0.9
        assert np.array_equal(labels[clear], wanted.labels.numpy()[clear])
        assert np.allclose(confidence, wanted.confidence.numpy(), atol=1e-5)


def test_where_each_sample_has_another_best_by_far_the_pixels_between_are_decided_by_logits() -> None:
    """At stride 4 shares are relative to the best of each sample, and between these none may be left."""
    logits = np.zeros((3, 1, 12), np.float32)
    logits[0, 0, ::2], logits[1, 0, 1::2], logits[2] = 3000, 3001, 1100
    labels, confidence = cpu.decode([View(logits)], np.zeros((4, 48), np.int16), closed(3, 0, 1, 2))
    wanted = reference.decode([tensor_view(View(logits))], torch.zeros(4, 48), torch.from_numpy(closed(3, 0, 1, 2)))
    assert np.array_equal(labels, wanted.labels.numpy())
    assert np.allclose(confidence, wanted.confidence.numpy(), atol=1e-5)


def test_views_that_leave_no_float32_probability_are_decided_in_float64() -> None:
    logits = np.array([5000, 0, 1], np.float32).reshape(3, 1, 1)
    labels, confidence = cpu.decode([View(logits), View(logits)], np.zeros((2, 2), np.int16), closed(3, 1, 2))
    assert (labels == 2).all()
    assert confidence[0, 0] == pytest.approx(1 / (1 + math.exp(-1)))
    masks = QueryView(np.array([[0, 3, 0.0], [3, 0, 0]], np.float32), np.full((2, 1, 1), -300, np.float32))
    wanted = reference.decode(
        [tensor_view(masks)], torch.zeros(1, 1), torch.from_numpy(closed(2, 0, 1)), image_name="a"
    )
    labels, confidence = cpu.decode([masks], np.zeros((1, 1), np.int16), closed(2, 0, 1))
    assert labels[0, 0] == wanted.labels[0, 0]
    assert confidence[0, 0] == pytest.approx(wanted.confidence[0, 0].item(), abs=1e-6)


def test_a_query_view_by_hand() -> None:
    """Two queries, two classes: sums over queries of class probability times mask, no-object among them."""
    p = np.array([[0.7, 0.1, 0.2], [0.1, 0.3, 0.6]])
    m = np.array([0.9, 0.4])
    view = QueryView(np.log(p).astype(np.float32), np.log(m / (1 - m)).astype(np.float32).reshape(2, 1, 1))
    evidence = (p * m[:, None]).sum(0)  # 0.67, 0.21, 0.42
    for allowed, label, share in (
        (closed(2, 0, 1), 0, evidence[0] / evidence[:2].sum()),
        (closed(2, 1, 2), 255, evidence[2] / evidence[1:].sum()),
        (closed(2, 0, 2), 0, evidence[0] / (evidence[0] + evidence[2])),
    ):
        for decode in (reference.decode, cpu.decode):
            seen = tensor_view(view)
            labels, confidence = decode([seen], torch.zeros(1, 1, dtype=torch.int16), torch.from_numpy(allowed))
            assert labels.item() == label
            assert confidence.item() == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", [(0, 0, 0), (1, 7, 9), (2, 3, 4)])
def test_nan_and_inf_are_found_wherever_they_are(bad: float, where: tuple) -> None:
    """In channels, too, that no pixel asks for."""
    logits = np.zeros((3, 8, 10), np.float32)
    logits[where] = bad
    fine = View(np.zeros((3, 2, 2), np.float32))
    rows = np.zeros((32, 40), np.int16)
    with pytest.raises(DecodeError, match=r"aachen: .*logits \(view 1\) hold 1 NaN or Inf"):
        cpu.decode([fine, View(logits)], rows, closed(3, 0), image_name="aachen")
    with pytest.raises(DecodeError, match=r"aachen: .*mask logits \(view 0\)"):
        cpu.decode([QueryView(np.zeros((3, 3), np.float32), logits)], rows, closed(2, 0), image_name="aachen")


@pytest.mark.parametrize(
    ("views", "rows", "allowed", "text"),
    [
        ([], np.zeros((1, 1)), closed(2, 0), "no teacher view"),
        ([View(np.zeros((2, 1)))], np.zeros((1, 1)), closed(2, 0), "logits of shape"),
        ([View(np.zeros((2, 1, 1)))], np.zeros((1, 1)), closed(3, 0), "2 classes"),
        ([View(np.zeros((2, 1, 1)))], np.zeros((1, 1)), closed(2), "row 0 of `allowed` allows nothing"),
        ([View(np.zeros((2, 1, 1)))], np.ones((1, 1), np.int16), closed(2, 0), r"rows range over 1\.\.1"),
        ([View(np.zeros((2, 1, 1)))], np.full((1, 1), 70000), closed(2, 0), r"rows range over 70000"),
        ([View(np.zeros((2, 1, 1)))], np.full((2, 3), ROW_UNKNOWN, np.int16), closed(2, 0), "6 pixels have a raw"),
        ([View(np.zeros((2, 1, 1)))], np.zeros((1, 1, 1), np.int16), closed(2, 0), "rows have shape"),
        ([View(np.zeros((2, 1, 1)), void=np.full((1, 1), -1.0))], np.zeros((1, 1)), closed(2, 0), "negative"),
        ([View(np.zeros((2, 1, 1)), void=np.full((1, 1), np.nan))], np.zeros((1, 1)), closed(2, 0), "mass"),
        ([QueryView(np.zeros((3, 3)), np.zeros((2, 1, 1)))], np.zeros((1, 1)), closed(2, 0), "mask logits of shape"),
        ([QueryView(np.full((1, 3), np.nan), np.zeros((1, 1, 1)))], np.zeros((1, 1)), closed(2, 0), "class logits"),
        ([View(np.zeros((2, 1, 1)), weight=0)], np.zeros((1, 1)), closed(2, 0), "view 0 has weight 0; expected"),
        ([View(np.zeros((2, 1, 1)), weight="2")], np.zeros((1, 1)), closed(2, 0), "view 0 has weight '2'; expected"),
        (
            [View(np.zeros((2, 1, 1)), to=[[True] * 3])],
            np.zeros((1, 1)),
            closed(2, 0),
            "a list as its map `to`;",
        ),
        ([View(np.zeros(()))], np.zeros((1, 1)), closed(2, 0), r"logits of shape \(\); expected \(K, h, w\)"),
        ([View([[[1.0]]])], np.zeros((1, 1)), closed(2, 0), "view 0 has a list as `logits`; expected a float tensor"),
        (
            [View(np.zeros((2, 1, 1))), View(np.zeros((4, 1, 1)), to=np.ones((4, 2), bool))],
            np.zeros((1, 1)),
            closed(2, 0),
            r"view 1 has a map bool \(4, 2\); expected bool \(C, 3\)",
        ),
        (
            [View(np.zeros((2, 1, 1)), to=np.ones((4, 3), bool))],
            np.zeros((1, 1)),
            closed(2, 0),
            r"view 0 has logits of shape \(2, 1, 1\); expected \(4, h, w\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(views: list, rows: np.ndarray, allowed: np.ndarray, text: str) -> None:
    with pytest.raises(DecodeError, match=f"^name: .*{text}"):
        cpu.decode(views, rows, allowed, image_name="name")


def test_other_types_and_strides_of_arrays_are_taken() -> None:
    logits = np.random.default_rng(1).standard_normal((4, 6, 3))
    rows = np.array([[0, ROW_VOID, 0]] * 2)
    wanted = cpu.decode(
        [View(np.ascontiguousarray(logits.transpose(2, 0, 1), np.float32))],
        rows.astype(np.int16),
        closed(3, 0, 2),
    )
    for view in (
        View(logits.transpose(2, 0, 1)),
        View(torch.from_numpy(logits).permute(2, 0, 1).requires_grad_()),
    ):
        found = cpu.decode([view], torch.from_numpy(rows), torch.from_numpy(closed(3, 0, 2)))
        assert found.labels.tobytes() == wanted.labels.tobytes()
        assert found.confidence.tobytes() == wanted.confidence.tobytes()
    assert cpu.decode([View(logits)], np.zeros((0, 5), np.int16), closed(4, 0)).labels.shape == (0, 5)


def in_child(queue: multiprocessing.Queue) -> None:
    queue.put(
        cpu.decode(
            [View(np.zeros((2, 4, 4), np.float32))], np.zeros((64, 16), np.int16), closed(2, 0, 1), threads=2
        ).labels.sum()
    )


@pytest.mark.skipif(sys.platform != "linux", reason="fork")
def test_a_forked_process_decodes_too() -> None:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    in_child(queue)  # the parent has threads now
    child = context.Process(target=in_child, args=(queue,))
    child.start()
    assert [queue.get(timeout=600), queue.get(timeout=600)] == [0, 0]
    child.join(600)
    assert child.exitcode == 0


def test_importing_the_package_compiles_and_loads_nothing() -> None:
    code = "import lsu_seg.decode, sys; print([m for m in ('torch', 'numba') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "[]"


def test_the_command_writes_a_pseudo_label(tmp_path: Path) -> None:
    logits = np.zeros((15, 2, 2), np.float32)
    logits[1, :, 1] = 5  # lane_marking
    np.save(tmp_path / "a.npy", logits)
    Image.fromarray(np.zeros((4, 8), np.uint8) + 1).save(tmp_path / "a.png")  # drivable
    out = tmp_path / "new" / "out.png"
    args = [
        "decode",
        "demo_town",
        "--source",
        "demo",
        str(tmp_path / "a.png"),
        str(tmp_path / "a.npy"),
        "-o",
        str(out),
    ]
    assert CliRunner().invoke(main, args).exit_code == 0
    assert set(np.unique(np.asarray(Image.open(out)))) == {0, 1}
    before = (tmp_path / "a.png").read_bytes()
    for lost in ("a.png", "a.npy", "a.jpg"):  # the inputs, and a suffix that would belie the file
        assert CliRunner().invoke(main, [*args[:-1], str(tmp_path / lost)]).exit_code == 1
    assert (tmp_path / "a.png").read_bytes() == before
    (tmp_path / "a.npy").write_bytes(b"no array")
    refused = CliRunner().invoke(main, args)
    assert refused.exit_code == 1
    assert "a.npy: not a `.npy` file" in refused.output
