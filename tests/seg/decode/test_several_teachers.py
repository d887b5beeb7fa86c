"""Evidence of several teachers, with weights and maps from other sources, worked by hand; the CPU path agrees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from helpers.decoding import problems, tensor_view
from helpers.examples import examples
from lsu_seg.decode import QueryView, View, cpu, reference
from lsu_seg.decode.inputs import Arrays, make_job, rule_of, sets_of
from lsu_seg.decode.soft import top_k

VOID = 255
ROAD, WALK, GRASS, CAR = range(4)
K = 4


def view(*p: float, **settings: object) -> View:
    return View(np.log(np.float32(p)).reshape(-1, 1, 1), **settings)


def goes_to(*rows: set) -> np.ndarray:
    """A map from sets of channels and `"void"`."""
    return np.array([[c in row for c in (*range(K), "void")] for row in rows])


def decided(views: list, row: set, **options: object) -> tuple[int, float]:
    """Label and confidence of one pixel with this S(d), on which both paths agree."""
    rows, allowed = np.zeros((1, 1), np.int16), goes_to(row)
    seen = [tensor_view(v) for v in views]
    wanted = reference.decode(seen, torch.from_numpy(rows), torch.from_numpy(allowed), **options)
    found = cpu.decode(views, rows, allowed, **options)
    assert found.labels[0, 0] == wanted.labels.item()
    assert found.confidence[0, 0] == pytest.approx(wanted.confidence.item(), abs=1e-6)
    return wanted.labels.item(), pytest.approx(wanted.confidence.item(), abs=1e-6)


def test_views_count_by_their_weights() -> None:
    one, other = view(0.7, 0.1, 0.1, 0.1), view(0.2, 0.6, 0.1, 0.1)
    assert decided([one, other], {ROAD, WALK}) == (ROAD, 0.45 / 0.8)
    assert decided([one, replace(other, weight=3)], {ROAD, WALK}) == (WALK, 0.475 / 0.8)
    assert decided([replace(one, weight=2), replace(other, weight=6)], {ROAD, WALK}) == (WALK, 0.475 / 0.8)


def test_each_view_has_its_own_evidence_for_void() -> None:
    """A no-object mass where it has one, else what it gives to classes outside S(d)."""
    with_mass, without = view(0.6, 0.2, 0.1, 0.1, void=np.float32([[0.9]])), view(0.5, 0.1, 0.1, 0.3)
    assert decided([with_mass], {ROAD, WALK, "void"}) == (VOID, 0.9 / 1.7)
    assert decided([without], {ROAD, WALK, "void"}) == (ROAD, 0.5)
    assert decided([with_mass, without], {ROAD, WALK, "void"}) == (VOID, 0.65 / (0.55 + 0.15 + 0.65))
    assert decided([with_mass, without], {ROAD, WALK}) == (ROAD, 0.55 / 0.7)


def test_a_coarse_class_says_nothing_about_which_of_its_parts_it_is() -> None:
    fine = view(0.3, 0.25, 0.25, 0.2)
    coarse = view(0.2, 0.8, to=goes_to({CAR}, {ROAD, WALK, GRASS}))
    assert decided([fine, coarse], {ROAD, WALK, CAR}) == (ROAD, (0.3 + 0.4) / (0.75 + 1))
    assert decided([coarse], {WALK, GRASS}) == (WALK, 0.5)


def test_a_class_is_divided_only_over_what_the_annotation_leaves_of_it() -> None:
    """`ground` is not at a disadvantage because it might be four classes anywhere else."""
    other = view(0.6, 0.4, to=goes_to({ROAD, GRASS, CAR, "void"}, {WALK}))
    assert decided([other], {ROAD, WALK}) == (ROAD, 0.6)
    assert decided([other], {ROAD, GRASS, WALK}) == (WALK, 0.4)


def test_what_may_be_void_is_evidence_for_void_where_the_annotation_leaves_it_open() -> None:
    other = view(0.3, 0.5, 0.2, to=goes_to({ROAD}, {"void"}, {CAR}))
    assert decided([other], {ROAD, WALK, "void"}) == (VOID, 0.7)  # nothing of `car` is left: it counts as outside
    assert decided([other], {ROAD, WALK}) == (ROAD, 1.0)
    with_mass = replace(other, void=np.float32([[0.1]]))
    assert decided([with_mass], {ROAD, WALK, "void"}) == (VOID, 0.6 / 0.9)


def test_masks_of_another_source_go_through_the_map_with_their_classes() -> None:
    masks = QueryView(np.log(np.float32([[0.6, 0.3, 0.1], [0.1, 0.1, 0.8]])), np.zeros((2, 1, 1), np.float32))
    masks = replace(masks, to=goes_to({ROAD, WALK}, {GRASS}))
    assert decided([masks], {ROAD, WALK, GRASS, "void"}) == (VOID, 0.45)  # (0.6 + 0.1) / 2 for road and sidewalk
    assert decided([masks], {WALK, GRASS}) == (WALK, 0.35 / 0.55)


def test_without_any_evidence_the_lowest_channel_is_taken_with_confidence_0() -> None:
    other = view(0.5, 0.5, to=goes_to({CAR}, {"void"}))
    assert decided([other], {WALK, GRASS}) == (WALK, 0.0)
    assert decided([other], {WALK, GRASS}, threshold=0.1) == (VOID, 0.0)
    assert decided([other], {WALK, GRASS, "void"}) == (VOID, 1.0)
    assert decided([other, replace(other, void=np.float32([[0.2]]))], {WALK, GRASS}) == (WALK, 0.0)
    assert decided([other, replace(other, to=None, logits=view(0.1, 0.2, 0.3, 0.4).logits)], {WALK, GRASS})[0] == GRASS
    labels, confidence = reference.decode_unconstrained(
        [tensor_view(view(0.5, 0.5, to=goes_to({"void"}, {"void"})))], (1, 1)
    )
    assert (labels.item(), confidence.item()) == (0, 0.0)
    classes, shares = top_k([tensor_view(other)], np.zeros((1, 1), np.int16), goes_to({WALK, GRASS}), 2)
    assert (classes[:, 0, 0].tolist(), shares[:, 0, 0].tolist()) == ([VOID, VOID], [0, 0])


def test_a_large_region_that_no_teacher_knows_is_not_decoded_pixel_by_pixel() -> None:
    """Each pixel took as long as 300 others. What no channel may be is known from the map alone."""
    other = view(0.5, 0.5, to=goes_to({CAR}, {"void"}))
    allowed = goes_to({WALK, GRASS}, {WALK, GRASS, "void"}, {CAR, GRASS})
    sets = sets_of(allowed, VOID)

    def silent(*views: View | QueryView) -> list[bool]:
        arrays = [Arrays.of(v, sets, 1 / len(views)) for v in views]
        job = make_job(views, arrays, (1, 1), rule_of(arrays, 1, VOID, None), sets, "")
        return job.sets.silent[sets.of_row[1:]].tolist()

    assert silent(other) == [True, False, False]
    assert silent(other, replace(other, to=goes_to({WALK}, {"void"}))) == [False, False, False]
    assert silent(other, view(0.1, 0.2, 0.3, 0.4)) == [False, False, False]
    masks = QueryView(np.zeros((2, 3), np.float32), np.zeros((2, 1, 1), np.float32), to=other.to)
    assert silent(masks, other) == [True, False, False]
    assert silent(replace(masks, to=None, classes=np.zeros((2, K + 1), np.float32))) == [False, False, False]


@settings(max_examples=examples(60))
@given(problems())
def test_a_map_that_only_renames_classes_changes_nothing(problem: tuple) -> None:
    views, rows, allowed = problem
    k = allowed.shape[1] - 1
    plain = [v for v in views if v.to is None]
    if not plain or k > 63:
        return
    order = np.random.default_rng(0).permutation(k)
    to = np.zeros((k, k + 1), bool)
    to[np.arange(k), order] = True
    renamed = [
        replace(v, to=to, classes=np.concatenate([v.classes[:, order], v.classes[:, -1:]], 1))
        if isinstance(v, QueryView)
        else replace(v, to=to, logits=v.logits[order])
        for v in plain
    ]
    one, other = (
        reference.decode([tensor_view(v) for v in some], torch.from_numpy(rows), torch.from_numpy(allowed))
        for some in (plain, renamed)
    )
    torch.testing.assert_close(other.confidence, one.confidence, rtol=1e-6, atol=1e-6)
    differs = (one.labels != other.labels).numpy()
    fast = cpu.decode(renamed, rows, allowed)
    sure = np.take_along_axis(
        np.vstack([allowed, np.arange(k + 1) == k])[rows], np.minimum(fast.labels, k)[..., None].astype(int), 2
    )
    assert sure.all()
    assert not differs.any() or (one.confidence.numpy()[differs] <= 0.5 + 1e-6).all()  # ties, up to rounding
