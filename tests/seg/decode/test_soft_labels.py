"""Soft labels: the best few classes of every pixel."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from lsu_seg.decode import View, cpu, reference
from lsu_seg.decode.soft import top_k
from lsu_seg.decode.views import Part, bilinear


def evidence(seed: int, k: int, size: tuple[int, int], count: int, scale: float = 4.0) -> list[View]:
    rng = np.random.default_rng(seed)
    shape = [(k, -(-size[0] // (2 + i)), -(-size[1] // (2 + i))) for i in range(count)]
    return [
        View(torch.from_numpy((scale * rng.standard_normal(s)).astype(np.float32)), bool(i % 2))
        for i, s in enumerate(shape)
    ]


def with_mass(views: list[View], seed: int) -> list[View]:
    rng = np.random.default_rng(seed)
    return [View(v.logits, v.flip, torch.from_numpy(rng.random(v.logits.shape[1:], np.float32))) for v in views]


def some_rows(seed: int, k: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """`[H, W]` rows, -1 among them, and `[D, K+1]`: {0}, {void}, closed, open, everything."""
    rng = np.random.default_rng(seed)
    allowed = rng.random((5, k + 1)) < 0.5
    allowed[:, 1] = True
    allowed[0], allowed[0, 0] = False, True
    allowed[1], allowed[1, k] = False, True
    allowed[2, k], allowed[3, k], allowed[4] = False, True, True
    return rng.integers(-1, 5, size).astype(np.int16), allowed


@pytest.mark.parametrize(("k", "count", "mass"), [(5, 1, False), (5, 3, False), (7, 2, True), (300, 1, False)])
def test_soft_labels_are_the_best_of_the_allowed(k: int, count: int, mass: bool) -> None:
    size = (13, 22)
    views, (rows, allowed) = evidence(k, k, size, count), some_rows(k, k, size)
    views = with_mass(views, k) if mass else views
    void = 255 if k <= 255 else 65535
    classes, shares = top_k(views, rows, allowed, k + 3)
    assert classes.shape == shares.shape == (k + 3, *size)
    assert classes.dtype == (np.uint8 if k <= 255 else np.uint16)
    table = np.vstack([allowed, np.arange(k + 1) == k])[rows]  # [H, W, K+1]; -1 is the last
    assert np.allclose(shares.sum(0), 1, atol=1e-5)
    assert (np.diff(shares, axis=0) <= 0).all()
    # Every class of S(d) once, nothing else, and void as padding with no share.
    channel = np.where(classes == void, k, classes).astype(int)
    shared = shares > 0
    for y, x in itertools.product(*map(range, size)):
        got = channel[shared[:, y, x], y, x].tolist()
        assert len(set(got)) == len(got)
        assert set(got) <= set(np.flatnonzero(table[y, x]).tolist())
        assert len(got) == table[y, x].sum() or mass or table[y, x].all() or table[y, x, k]
    assert (classes[~shared] == void).all()
    # The first is the decoder's label, its share the confidence, but for ties in float32.
    for decoded in (
        cpu.decode(views, rows, allowed),
        reference.decode(views, torch.from_numpy(rows), torch.from_numpy(allowed)),
    ):
        labels, confidence = np.asarray(decoded.labels), np.asarray(decoded.confidence)
        tie = shares[0] - shares[1] < 1e-4
        assert tie.mean() < 0.05
        assert np.array_equal(classes[0][~tie], labels[~tie])
        assert np.abs(shares[0] - confidence)[~tie].max() < 1e-4


def test_a_smaller_k_is_the_beginning_of_a_larger(k: int = 6) -> None:
    size = (9, 30)
    views, (rows, allowed) = evidence(1, k, size, 2), some_rows(1, k, size)
    classes, shares = top_k(views, rows, allowed, k + 1)
    for few in (1, 2, 4):
        less = top_k(views, rows, allowed, few)
        assert np.array_equal(less[0], classes[:few])
        assert np.array_equal(less[1], shares[:few])
    closed = np.isin(rows, [0, 1, 2, -1])
    assert (shares[:3].sum(0)[closed] <= 1 + 1e-6).all()


def test_teachers_that_are_very_sure_still_leave_shares(k: int = 5) -> None:
    """Where only what is nearly impossible is allowed, its members share what there is."""
    size = (4, 6)
    logits = torch.zeros(k, *size)
    logits[0], logits[1], logits[2] = 600, 1, 0
    allowed = np.array([[False, True, True, False, False, False]])
    classes, shares = top_k([View(logits)] * 2, np.zeros(size, np.int16), allowed, 2)
    assert (classes[0] == 1).all() and (classes[1] == 2).all()
    assert np.allclose(shares[0], 1 / (1 + np.exp(-1)), atol=1e-6)


@pytest.mark.parametrize("heights", [(1,) * 13, (5, 8), (13,)])
@pytest.mark.parametrize("aligned", [False, True])
def test_soft_labels_do_not_depend_on_bands(heights: tuple[int, ...], aligned: bool, k: int = 5) -> None:
    size = (13, 22)
    views, (rows, allowed) = with_mass(evidence(3, k, size, 3), 3), some_rows(3, k, size)
    for view in views:
        view.align_corners = aligned
    whole, top, bands = top_k(views, rows, allowed, 3), 0, []
    for height in heights:
        parts = []
        for view in views:
            full = view.logits.shape[1]
            upper, _ = bilinear(full, size[0], aligned)
            first, last = int(upper[top]), min(int(upper[top + height - 1]) + 2, full)
            part = Part(first, full, top, size[0])
            parts.append(View(view.logits[:, first:last], view.flip, view.void[first:last], part, aligned))
        bands.append(top_k(parts, rows[top : top + height], allowed, 3))
        top += height
    assert np.array_equal(np.concatenate([b[0] for b in bands], 1), whole[0])
    assert np.allclose(np.concatenate([b[1] for b in bands], 1), whole[1], atol=1e-6)


def test_a_tall_image_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoder of soft labels takes some rows at a time; which, does not show."""
    size = (40, 12)
    views, (rows, allowed) = evidence(4, 5, size, 2), some_rows(4, 5, size)
    whole = top_k(views, rows, allowed, 2)
    monkeypatch.setattr("lsu_seg.decode.soft._PIXELS", 36)
    pieces = top_k(views, rows, allowed, 2)
    assert np.array_equal(pieces[0], whole[0])
    assert np.allclose(pieces[1], whole[1], atol=1e-6)
