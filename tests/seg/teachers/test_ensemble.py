"""Bands of several teachers, merged: the labels of all of their views, whatever bands each of them has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.examples import examples
from helpers.windows import CLASSES, K, Net, image
from lsu_seg.decode import cpu
from lsu_seg.teachers import EnsembleTeacher, SegmentorTeacher, Views

_NETS = [Net(1).eval(), Net(0).eval(), Net(0, queries=3).eval()]


def several(looks: list[dict]) -> tuple[list[SegmentorTeacher], EnsembleTeacher]:
    teachers = [SegmentorTeacher(net, CLASSES, Views(**look)) for net, look in zip(_NETS, looks, strict=False)]
    weights = [1.0, 2.0, 0.5]

    def placed(weight: float) -> Any:
        return lambda views: [replace(view, weight=weight / len(views)) for view in views]

    return teachers, EnsembleTeacher({str(i): (t, placed(w)) for i, (t, w) in enumerate(zip(teachers, weights))})  # noqa: B905


@settings(max_examples=examples(12), deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_labels_are_those_of_all_views(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = (int(32 * n) for n in rng.integers(1, 5, 2))
    pictures = [image(height, width, i) for i in range(int(rng.integers(1, 3)))]
    label = (int(rng.integers(1, 90)), int(rng.integers(1, 90)))
    looks = [
        dict(
            flips=(False,) if rng.integers(2) else (False, True),
            window=(32, 32 * int(rng.integers(1, 3))) if rng.integers(2) else None,
        )
        for _ in range(int(rng.integers(1, 4)))
    ]
    needed = [rng.random(label) < rng.choice([0.002, 0.1, 1.0]) for _ in pictures]
    _, ensemble = several(looks)
    rows, allowed = np.zeros(label, np.int16), np.arange(K + 1)[None] < K
    found = [np.full(label, 254, np.uint8) for _ in pictures]
    for i, band in ensemble.evidence(pictures, needed, [label] * len(pictures)):
        at = slice(band.top, band.bottom)
        assert (found[i][at] == 254).all()  # no row comes twice
        found[i][at] = cpu.decode(band.views, rows[at], allowed).labels
        assert band.missing is None or len(band.missing) == len(band.views)
    for i, picture in enumerate(pictures):
        alone, together = several(looks)
        whole = [[band for _, band in t.evidence([picture], None, [label])] for t in alone]
        wanted = np.concatenate(
            [
                cpu.decode(b.views, rows[b.top : b.bottom], allowed).labels
                for _, b in together.evidence([picture], None, [label])
            ]
        )
        np.testing.assert_array_equal(found[i][needed[i]], wanted[needed[i]])
        if all(len(bands) == 1 for bands in whole):
            weights = [1.0, 2.0, 0.5]
            views = [
                replace(v, weight=w / len(b[0].views)) for w, b in zip(weights, whole, strict=False) for v in b[0].views
            ]
            np.testing.assert_array_equal(wanted, cpu.decode(views, rows, allowed).labels)


def test_each_teacher_has_its_own_clock_and_counts() -> None:
    _, ensemble = several([dict(window=(32, 32)), dict()])
    assert ensemble.may_skip((64, 64), (64, 64))
    needed = np.zeros((64, 64), bool)
    needed[:8, :8] = True
    bands = list(ensemble.evidence([image(64, 64)], [needed], [(64, 64)]))
    assert bands
    assert (ensemble.counts.images, ensemble.counts.windows > ensemble.counts.skipped > 0) == (1, True)
    assert all(seconds > 0 for seconds in ensemble.seconds().values())
    assert not several([dict(window=(32, 32), keep_windows=True), dict()])[1].may_skip((64, 64), (64, 64))
