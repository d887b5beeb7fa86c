"""Rows that are exchanged, label spaces that have slipped, and files that are paired wrongly."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lsu_seg.audit.files import pairing
from lsu_seg.audit.judge import file_findings
from lsu_seg.audit.learnt import learnt
from lsu_seg.audit.moves import likely_move, refined
from lsu_seg.audit.rows import closed_rows, fits, may_exchange, pair_gains, patterns
from lsu_seg.audit.verdicts import Settings
from tests.helpers.audit_world import ROWS, draw

D = len(ROWS)


def test_fits_are_sums_of_log_odds() -> None:
    world = draw(images=1)
    z = np.random.default_rng(0).normal(size=(D, 8)) * 3
    found = fits(z, world.allowed)
    for d in range(D):
        for r in range(D):
            signs = np.where(world.allowed[r, :8], 1, -1)
            value = -np.log1p(np.exp(-signs * np.clip(z[d], -4, 4))).sum()
            assert found[d, r] == pytest.approx(value)


def test_rows_that_may_be_anything_are_not_compared() -> None:
    allowed = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1]], bool)
    assert closed_rows(allowed).tolist() == [True, True, False, False, False]
    gains = pair_gains(fits(np.zeros((5, 2)), allowed))
    assert not gains[2:].any() and not gains[:, 2:].any()


def test_of_two_rows_of_which_one_alone_fits_better_one_alone_is_wrong() -> None:
    """Row 2 shows what row 0 shows, too: it would gain by an exchange with it, and row 0 would lose."""
    allowed = np.eye(4, 5, dtype=bool)
    z = np.where(allowed[:, :4], 4.0, -4.0)
    z[2] = z[0]
    z[[1, 3]] = z[[3, 1]]
    z[0, 2] = -1.0  # it shows a little of the other, perhaps
    gains, may = pair_gains(fits(z, allowed)), may_exchange(fits(z, allowed))
    assert gains[0, 2] > 2 and not may[0, 2] and not may[2, 0]
    assert may[1, 3] and gains[1, 3] == gains.max() > 10
    z[0, 2] = 3.0  # a teacher to which both look alike
    assert may_exchange(fits(z, allowed))[0, 2]


def test_rows_that_fit_anything_are_not_moved_where_all_others_stay() -> None:
    """A pattern moved them all; the scores move back those that can be told."""
    allowed = np.eye(7, 7, dtype=bool)[[0, 1, 2, 6, 3, 4, 5]]
    allowed[5] = True  # `-> any`; row 3 is void
    z = np.where(allowed[:, :6], 4.0, -4.0)
    pattern = np.array([-1, 0, 1, 2, 3, 4, 5])
    assert refined(pattern, allowed, np.ones(7, bool), True, lambda _: z).tolist() == list(range(7))
    slipped = np.where(allowed[np.maximum(pattern, 0), :6], 4.0, -4.0)
    assert refined(pattern, allowed, np.ones(7, bool), True, lambda _: slipped).tolist() == pattern.tolist()


def test_patterns_are_the_ways_in_which_ids_are_misread() -> None:
    allowed = np.zeros((4, 3), bool)
    allowed[0, 2] = True  # id 0 is unlabelled
    allowed[1:, 0] = True
    ways = [way.tolist() for way in patterns(np.array([0, 7, 8, 11]), allowed)]
    assert [-1, -1, 1, -1] in ways  # 8 means 7
    assert [1, -1, -1, -1] in ways  # trainId 0 means the first class that is trained on
    labels_store_train_ids = [way.tolist() for way in patterns(np.array([0, 1, 2, 3]), allowed)]
    assert [1, 2, 3, -1] in labels_store_train_ids


@pytest.mark.parametrize("seed", range(3))
def test_a_right_map_is_not_moved(seed: int) -> None:
    world = draw(seed=seed)
    move = likely_move(world.pixels, world.allowed, np.ones(D, bool), patterns(np.arange(D), world.allowed))
    assert move.tolist() == list(range(D))


@pytest.mark.parametrize("move", [[2, 1, 0, 3, 4, 5], [1, 2, 3, 4, 5, 0], [0, 3, 5, 2, 1, 4]])
def test_moved_rows_are_found_exactly(move: list[int]) -> None:
    world = draw(bias=np.array([1.5, 0, 0, -1, 0, 0, 0, 0]))
    stated = np.empty_like(world.allowed)
    stated[move] = world.allowed  # the content of row d fits what the map says of row move[d]
    found = likely_move(world.pixels, stated, np.ones(D, bool), patterns(np.arange(D), stated))
    assert (stated[found] == world.allowed)[found >= 0].all()
    assert (found >= 0).sum() >= D - 1


def scenes(images: int, seed: int = 0, classes: int = 4) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels of 36 by 64 points in blocks, and a teacher that is right at two of three points."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(classes, size=(images, 4, 4))
    rows = np.kron(coarse, np.ones((9, 16), np.int64))
    right = rng.random(rows.shape) < 0.66
    best = np.where(right, rows, rng.integers(classes, size=rows.shape))
    return rows, np.stack([best, (best + 1) % classes], -1)


def test_two_exchanged_labels_are_the_first_pair() -> None:
    rows, top = scenes(40)
    clean = pairing(rows, top, 4, 4)
    assert clean is not None and not file_findings(clean, [str(i) for i in range(40)], Settings())
    rows[[3, 17]] = rows[[17, 3]]
    found = pairing(rows, top, 4, 4)
    assert found is not None
    assert found.pairs[0][:2] == (3, 17)
    fit = found.fit
    for i, j, gain, _ in found.pairs:
        assert gain == pytest.approx(fit[i, j] + fit[j, i] - fit[i, i] - fit[j, j])
    [finding] = file_findings(found, [f"image {i}" for i in range(40)], Settings())
    assert (finding.kind, finding.keys) == ("mispaired", ("image 3", "image 17"))


def test_a_shuffled_list_fits_no_image() -> None:
    rows, top = scenes(40)
    found = pairing(rows[np.random.default_rng(1).permutation(40)], top, 4, 4)
    [finding] = file_findings(found, [], Settings())
    assert finding.kind == "shuffled"


@pytest.mark.parametrize("seed", range(4))
def test_a_short_list_of_many_classes_is_seen_to_be_shuffled(seed: int) -> None:
    """What a label teaches about the codes of an image fits that image, if it is tried on it."""
    rows, top = scenes(24, seed, classes=16)
    right, wrong = pairing(rows, top, 16, 16), pairing(np.roll(rows, 1, axis=0), top, 16, 16)
    assert right is not None and right.lift > 3 and not file_findings(right, [str(i) for i in range(24)], Settings())
    assert wrong is not None and abs(wrong.lift) < 0.5
    [finding] = file_findings(wrong, [], Settings())
    assert finding.kind == "shuffled" and finding.expected == pytest.approx(learnt().shuffled(-wrong.order))
    assert finding.expected < file_findings(wrong._replace(lift=wrong.lift + 0.2), [], Settings())[0].expected


@pytest.mark.parametrize("seed", range(2))
def test_a_teacher_that_sees_next_to_nothing_does_not_call_a_list_shuffled(seed: int) -> None:
    """Of the demo's first iterations, say: labels hardly fit, but they fit their own images best."""
    rows, top = scenes(100, seed)
    rng = np.random.default_rng(seed)
    guessed = rng.random(rows.shape) < 0.993
    top = np.where(guessed[..., None], rng.integers(4, size=(100, 1, 1, 1)), top)
    found = pairing(rows, top, 4, 4)
    assert found is not None and 0.2 < found.lift < 0.7
    assert "shuffled" not in {f.kind for f in file_findings(found, [str(i) for i in range(100)], Settings())}
    turned = pairing(np.roll(rows, 1, axis=0), top, 4, 4)
    assert turned is not None and file_findings(turned, [], Settings())[0].kind == "shuffled"


def test_of_few_images_nothing_is_said() -> None:
    rows, top = scenes(23)
    assert pairing(rows, top, 4, 4) is None


def test_labels_that_fit_every_image_say_nothing() -> None:
    rows, top = scenes(40)
    assert pairing(np.zeros_like(rows), top, 4, 4) is None
    assert pairing(np.minimum(rows, 1), top, 4, 4) is None
    assert pairing(rows, np.zeros_like(top), 4, 4) is None
    assert pairing(rows, np.zeros_like(top), 4, 1) is None  # a source of one class


def test_points_that_the_teacher_did_not_see_do_not_count() -> None:
    rows, top = scenes(30)
    partly = top.copy()
    partly[:, :20] = 65535
    found, whole = pairing(rows, partly, 4, 4), pairing(rows[:, 20:], top[:, 20:], 4, 4)
    assert found is not None and whole is not None
    np.testing.assert_allclose(found.fit, whole.fit)


def test_every_part_of_a_long_list_is_compared() -> None:
    rows, top = scenes(450)
    compared = {420, 424}  # of 450 images, 400 are compared, evenly
    rows[[420, 424]] = rows[[424, 420]]
    found = pairing(rows, top, 4, 4)
    assert found is not None and set(found.pairs[0][:2]) == compared
