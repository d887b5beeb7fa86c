"""The statistics of the audit, against plain loops and against what the drawn teacher was made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from lsu_seg.audit import adapt as adapting
from lsu_seg.audit.adapt import Adaptation, adapt
from lsu_seg.audit.pixels import PER_IMAGE, PER_ROW, pixels_of, redraw
from lsu_seg.audit.presence import FEATURES, admixture, components, opinion, presence, prior, shares
from lsu_seg.audit.sample import Sample
from tests.helpers.audit_world import ROWS, draw

SAME = Adaptation(1.0, np.zeros(8))


def test_an_adapted_teacher_no_longer_has_the_bias() -> None:
    bias = np.array([3.0, 0, 0, -2, 0, 0, 0, 0])
    world = draw(bias=bias)
    fitted = adapt(world.pixels, world.allowed[:, :-1])
    before = (world.pixels.p.argmax(1) == world.classes).mean()
    after = (fitted(world.pixels.p).argmax(1) == world.classes).mean()
    assert after > before + 0.05
    assert fitted.offset[0] < -1 < 1 < fitted.offset[3]


def test_a_map_that_binds_nothing_leaves_the_teacher_as_it_is() -> None:
    world = draw()
    fitted = adapt(world.pixels, np.ones((len(ROWS), 8), bool))
    assert (fitted.scale, fitted.offset.tolist()) == (1.0, [0.0] * 8)
    np.testing.assert_allclose(fitted(world.pixels.p), world.pixels.p, atol=1e-3)


def test_the_gradient_of_the_fit_is_that_of_its_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    import scipy.optimize

    seen = []

    def keep(loss, x, **_):  # type: ignore[no-untyped-def]
        seen.append(loss)
        return scipy.optimize.OptimizeResult(x=x)

    monkeypatch.setattr(scipy.optimize, "minimize", keep)
    world = draw(images=3)
    adapt(world.pixels, world.allowed[:, :-1])
    theta = np.random.default_rng(0).normal(size=9) * 0.3
    numeric = approx_fprime(theta, lambda t: seen[0](t)[0], 1e-3)
    np.testing.assert_allclose(seen[0](theta)[1], numeric, atol=2e-3)


def test_a_sum_by_product_is_the_sum() -> None:
    x = np.random.default_rng(0).random((50, 19), np.float32)
    np.testing.assert_allclose(adapting.total(x)[:, 0], x.sum(1), rtol=1e-5)


def test_means_of_rows_are_weighted_means() -> None:
    world = draw(images=5)
    o = opinion(world.pixels, world.allowed, SAME)
    mean = o.mean(o.q)
    for d in range(len(ROWS)):
        at = o.pixels.row == d
        np.testing.assert_allclose(mean[d], np.average(o.q[at], axis=0, weights=o.weight[at]), rtol=1e-4)
    assert (mean[len(ROWS)] == 0).all()  # no value of `void:` was sampled


def test_shares_are_those_of_the_classes() -> None:
    world = draw(images=60, content={1: (1, 2, 2, 2), 2: (3, 6)})
    o = opinion(world.pixels, world.allowed, SAME)
    ratio = (o.q / prior(o).astype(np.float32)).astype(np.float32)
    found = shares(o, ratio, np.ones_like(o.allowed))
    for d in range(len(ROWS)):
        true = np.bincount(world.classes[world.pixels.row == d], minlength=8) / (world.pixels.row == d).sum()
        assert np.abs(found[d] - true).max() < 0.12


def test_an_admixture_gains_where_a_class_is_missing_and_nowhere_else() -> None:
    world = draw(content={2: (3, 6)})
    o = opinion(world.pixels, world.allowed, SAME)
    ratio = (o.q / prior(o).astype(np.float32)).astype(np.float32)
    bound, free = shares(o, ratio, o.allowed), shares(o, ratio, np.ones_like(o.allowed))
    alpha, gain = admixture(o, ratio, bound, free)
    outside = ~o.allowed[: len(ROWS)]
    best = np.unravel_index(np.where(outside, gain[: len(ROWS)], -1).argmax(), outside.shape)
    assert best == (2, 6)
    assert 0.2 < alpha[2, 6] < 0.8


def test_components_are_learnt_from_other_rows() -> None:
    world = draw(rows=((0, 1), (0, 2), (3,)), k=4)
    component = components(opinion(world.pixels, world.allowed, Adaptation(1.0, np.zeros(4))))
    np.testing.assert_allclose(component.sum(2), 1, rtol=1e-6)
    best = component.reshape(4, 4, 4, -1).sum(3)
    assert (best.argmax(2)[:3] == np.arange(4)).all()


def test_features_have_a_name_each_and_are_finite() -> None:
    world = draw(images=4)
    found = presence(opinion(world.pixels, world.allowed, SAME))
    assert found.features.shape == (len(ROWS) + 1, 8, len(FEATURES))
    assert np.isfinite(found.features).all()
    assert np.isfinite(found.familiar).all()


def test_what_is_drawn_anew_stands_for_as_many_pixels() -> None:
    world = draw(images=200, per_image=12)
    pixels, at = redraw(world.pixels, world.pixels.row % 2, 2, np.random.default_rng(0))
    assert (pixels.p == world.pixels.p[at]).all()
    for d in range(2):
        assert pixels.weight[pixels.row == d].sum() == pytest.approx((world.pixels.row % 2 == d).sum(), rel=0.01)
        assert (pixels.row == d).sum() == PER_ROW
    _, count = np.unique(pixels.row * 1000 + pixels.image, return_counts=True)
    assert count.max() <= PER_IMAGE


def test_of_an_image_pixels_are_drawn_by_what_they_stand_for() -> None:
    world = draw(rows=((0,),), k=2, images=100, per_image=2 * PER_IMAGE)
    heavy = np.arange(len(world.pixels.row)) % 2 == 0
    weight = np.where(heavy, 50, 1).astype(np.float32)
    _, at = redraw(replace(world.pixels, weight=weight), world.pixels.row, 1, np.random.default_rng(0))
    assert heavy[at].mean() > 0.9


def test_pixels_below_the_rows_are_dropped() -> None:
    world = draw(images=3)
    pixels, _ = redraw(world.pixels, np.where(world.pixels.row == 1, -2, world.pixels.row), 6, np.random.default_rng(0))
    assert 1 not in pixels.row and len(pixels.row) == 5 * 3 * 8


def test_crumbs_beside_no_object_are_not_certainty() -> None:
    sample = Sample(
        classes=("a", "b", "c", "d"),
        rows_of=("x",),
        p=np.array([[1, 0, 0, 0], [200, 5, 0, 0], [0, 0, 0, 0]], np.uint8),
        void=np.array([254, 50, 0], np.uint8),
        row=np.zeros(3, np.int16),
        agree=np.ones(3, bool),
        image=np.zeros(3, np.int32),
        place=np.zeros((3, 2), np.uint16),
        weight=np.ones(3, np.float32),
        keys=("i",),
        size=np.array([[4, 4]], np.int32),
        pixels=np.array([[3, 0]]),
        grid_image=np.zeros(0, np.int32),
        grid_row=np.zeros((0, 36, 64), np.int16),
        grid_top=np.zeros((0, 36, 64, 2), np.uint16),
        images=1,
        unasked=np.zeros(2, np.int64),
    )
    p = pixels_of(sample).p
    assert len(p) == 2  # of the last, the teacher saw nothing
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    assert p[0].max() < 0.26 and p[1].argmax() == 0 and p[1].max() > 0.8
