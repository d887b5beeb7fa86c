"""The decode rule (docs/decoding.md), worked by hand and against a pixel-by-pixel reading of it."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from helpers.examples import examples
from helpers.worlds import make_constraint
from lsu_onto import ROW_UNKNOWN, ROW_VOID
from lsu_seg.decode import DecodeError, View
from lsu_seg.decode.reference import decode, decode_unconstrained

VOID = 255


def log(*p: float) -> Tensor:
    """Logits `[K, 1, 1]` whose softmax is `p`."""
    return torch.tensor(p, dtype=torch.float64).log().reshape(-1, 1, 1)


def sets(num_classes: int, *rows: set) -> Tensor:
    """`allowed` from sets of channels and `"void"`."""
    table = torch.zeros(len(rows), num_classes + 1, dtype=torch.bool)
    for i, row in enumerate(rows):
        for c in row:
            table[i, num_classes if c == "void" else c] = True
    return table


def one(views: list[View] | Tensor, row: set, k: int = 3, **options: object) -> tuple[int, float]:
    """Label and confidence of one pixel with this S(d)."""
    views = views if isinstance(views, list) else [View(views)]
    rows = torch.zeros(1, 1, dtype=torch.int16)
    labels, confidence = decode(views, rows, sets(k, row), **options)
    return labels.item(), pytest.approx(confidence.item(), abs=1e-6)


# --- each step, by hand ------------------------------------------------------------------------------------


def test_1_a_single_class_is_the_output_whatever_the_teacher_says() -> None:
    assert one(log(0.98, 0.01, 0.01), {2}) == (2, 1.0)
    assert one(log(0.98, 0.01, 0.01), {2}, threshold=1.0) == (2, 1.0)
    assert one(log(0.98, 0.01, 0.01), {"void"}) == (VOID, 1.0)


def test_1_pixels_without_annotation_are_void() -> None:
    rows = torch.tensor([[ROW_VOID, 0]])
    labels, confidence = decode([View(log(0.9, 0.05, 0.05))], rows, sets(3, {1}))
    assert labels.tolist() == [[VOID, 1]]
    assert confidence.tolist() == [[1.0, 1.0]]


def test_2_the_best_allowed_class_wins() -> None:
    assert one(log(0.7, 0.1, 0.2), {1, 2}) == (2, 0.2 / 0.3)
    assert one(log(0.7, 0.1, 0.2), {0, 1, 2}) == (0, 0.7)


def test_2_ties_go_to_the_lowest_channel() -> None:
    assert one(log(0.2, 0.4, 0.4), {1, 2}) == (1, 0.5)
    assert one(log(0.4, 0.2, 0.4), {0, 1, 2}) == (0, 0.4)


def test_2_views_are_averaged_as_probabilities_not_as_logits() -> None:
    """p is 0.49005 and 0.105; by mean logits (0.0099 and 0.0447) channel 1 would win."""
    views = [View(log(0.98, 0.01, 0.01)), View(log(0.0001, 0.2, 0.7999))]
    assert one(views, {0, 1}) == (0, 0.49005 / 0.59505)


def test_2_tie_between_views_goes_to_the_lowest_channel() -> None:
    assert one([View(log(0.6, 0.3, 0.1)), View(log(0.3, 0.6, 0.1))], {0, 1}) == (0, 0.5)


def test_2_one_view_is_decided_by_its_logits_where_probabilities_are_equal() -> None:
    """Both allowed probabilities are 0 in any float; the logits still differ."""
    logits = torch.tensor([3e38, -1e30, -0.9e30]).reshape(3, 1, 1)
    assert one(logits, {1, 2})[0] == 2
    near = torch.tensor([0.0, 1e-30, 2e-30]).reshape(3, 1, 1)  # softmax cannot tell them apart
    assert one(near, {0, 1, 2})[0] == 2


def test_3_void_takes_the_residual_and_wins_only_if_it_exceeds_every_class() -> None:
    # S = {0, void}: p(0) = 0.4 against the residual 0.6
    assert one(log(0.4, 0.35, 0.25), {0, "void"}) == (VOID, 0.6)
    assert one(log(0.6, 0.25, 0.15), {0, "void"}) == (0, 0.6)
    # S = {0, 1, void}: 0.4 and 0.3 against 0.3: a sum of classes is not what void is compared with
    assert one(log(0.4, 0.3, 0.3), {0, 1, "void"}) == (0, 0.4)
    assert one(log(0.3, 0.25, 0.45), {0, 1, "void"}) == (VOID, 0.45)


def test_3_void_loses_ties() -> None:
    assert one(torch.zeros(2, 1, 1), {0, "void"}, k=2) == (0, 0.5)


def test_3_unconstrained_rows_have_no_residual() -> None:
    assert one(log(0.2, 0.3, 0.5), {0, 1, 2, "void"}) == (2, 0.5)


def test_3_the_no_object_mass_replaces_the_residual() -> None:
    def views(*masses: float) -> list[View]:
        return [View(log(0.4, 0.35, 0.25), void=torch.full((1, 1), m)) for m in masses]

    assert one(views(0.3), {0, "void"}) == (0, 0.4 / 0.7)
    assert one(views(0.5), {0, "void"}) == (VOID, 0.5 / 0.9)
    assert one(views(0.2, 0.8), {0, "void"}) == (VOID, 0.5 / 0.9)
    assert one(views(0.9), {0, 1}) == (0, 0.4 / 0.75)  # a closed row does not hear of it
    assert one(views(0.0), {0, 1, 2, "void"}) == (0, 0.4)


def test_4_threshold_makes_void_but_keeps_the_confidence() -> None:
    assert one(log(0.7, 0.1, 0.2), {1, 2}, threshold=0.6) == (2, 2 / 3)
    assert one(log(0.7, 0.1, 0.2), {1, 2}, threshold=0.7) == (VOID, 2 / 3)
    assert one(log(0.5, 0.25, 0.25), {1, 2}, threshold=0.5) == (1, 0.5)  # not below


def test_5_all_allowed_underflow_and_the_better_one_still_wins() -> None:
    views = [View(torch.tensor([5000.0, 0.0, 1.0]).reshape(3, 1, 1)) for _ in range(2)]
    assert one(views, {1, 2}) == (2, 1 / (1 + math.exp(-1)))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_5_nan_and_inf_are_errors_that_name_the_image(bad: float) -> None:
    """A defect of the published code: 0/0 became class 0, road."""
    with pytest.raises(DecodeError, match=r"aachen_000.*view 0.*1 NaN or Inf"):
        one(torch.tensor([0.0, bad, 0.0]).reshape(3, 1, 1), {2}, image_name="aachen_000")
    with pytest.raises(DecodeError, match=r"aachen_000.*view 1"):
        decode_unconstrained([View(log(0.5, 0.5)), View(log(0.5, 0.5) + bad)], (1, 1), "aachen_000")
    with pytest.raises(DecodeError, match="no-object mass"):
        one([View(log(0.5, 0.3, 0.2), void=torch.full((1, 1), bad))], {2})


def test_6_an_unlisted_raw_value_never_becomes_a_class() -> None:
    """Likewise: the rows say so, and the decoder refuses."""
    rows = torch.tensor([[0, ROW_UNKNOWN, ROW_UNKNOWN]])
    with pytest.raises(DecodeError, match="b: 2 pixels have a raw value that the taxonomy does not list"):
        decode([View(log(0.5, 0.5))], rows, sets(2, {0}), image_name="b")


def test_a_class_that_allows_nothing_is_an_error_and_not_void() -> None:
    """A defect of the published code: classes that the mapping forgot became void silently."""
    with pytest.raises(DecodeError, match="row 1 of `allowed` allows nothing"):
        decode([View(log(0.5, 0.5))], torch.zeros(1, 1), sets(2, {0}, set()))


def test_a_whole_world() -> None:
    world = make_constraint(
        ["road", "terrain", "car"], {"gravel": "~ road terrain", "vehicle": "> car", "animal": "void", "gap": "any"}
    )
    logits = log(0.5, 0.2, 0.3).expand(3, 1, 5)
    rows = torch.tensor([[0, 1, 2, 3, ROW_VOID]], dtype=torch.int16)
    labels, confidence = decode([View(logits)], rows, torch.from_numpy(world.allowed))
    assert labels.tolist() == [[0, 2, VOID, 0, VOID]]
    assert labels.dtype == torch.uint8
    assert confidence.dtype == torch.float32
    assert confidence[0].tolist() == pytest.approx([0.5 / 0.7, 1, 1, 0.5, 1])


# --- resolution, mirror, types -----------------------------------------------------------------------------


def test_logits_are_upsampled_before_the_softmax() -> None:
    """Between logits (8, 0) and (-1, 0) at x = 0, 1, position 0.25 has 5.75, position 0.75 has 1.25."""
    logits = torch.tensor([[[8.0, -1.0]], [[0.0, 0.0]]])
    _, confidence = decode([View(logits)], torch.zeros(1, 4), sets(2, {0, 1}))
    expected = [1 / (1 + math.exp(-x)) for x in (8.0, 5.75, 1.25)] + [1 - 1 / (1 + math.exp(1.0))]
    assert confidence[0].tolist() == pytest.approx(expected)


def test_the_decision_is_made_at_label_resolution() -> None:
    """A pole one pixel wide survives a teacher at a quarter of the resolution, because S(d) is per pixel."""
    rows = torch.zeros(8, 8, dtype=torch.int16)
    rows[:, 3] = 1
    labels, _ = decode([View(torch.randn(3, 2, 2))], rows, sets(3, {0, 1}, {2}))
    assert (labels[:, 3] == 2).all()
    assert (labels == 2).sum() == 8


def test_mirrored_views_are_mirrored_back_with_their_void() -> None:
    torch.manual_seed(0)
    logits, void = torch.randn(4, 3, 5), torch.rand(3, 5)
    rows = torch.randint(-1, 2, (6, 11))
    allowed = sets(4, {0, 1, 2}, {1, 3, "void"})
    straight = decode([View(logits, void=void)], rows, allowed)
    mirrored = decode([View(logits.flip(-1), flip=True, void=void.flip(-1))], rows, allowed)
    assert torch.equal(straight.labels, mirrored.labels)
    assert torch.allclose(straight.confidence, mirrored.confidence)
    both = decode([View(logits, void=void), View(logits.flip(-1), True, void.flip(-1))], rows, allowed)
    assert torch.equal(straight.labels, both.labels)


def test_views_of_several_resolutions_join() -> None:
    small, large = log(0.2, 0.8), log(0.9, 0.1).expand(2, 4, 4)
    labels, confidence = decode([View(small), View(large)], torch.zeros(2, 2), sets(2, {0, 1}))
    assert labels.tolist() == [[0, 0], [0, 0]]
    assert confidence[0, 0].item() == pytest.approx(0.55)


@pytest.mark.parametrize(("k", "dtype", "void"), [(255, torch.uint8, 255), (256, torch.int32, 65535)])
def test_void_never_shares_a_number_with_a_class(k: int, dtype: torch.dtype, void: int) -> None:
    """A defect of the published code: with 8 bits and 256 classes the last class would be void."""
    rows = torch.tensor([[0, ROW_VOID]])
    labels, _ = decode([View(torch.zeros(k, 1, 1))], rows, sets(k, {k - 1}))
    assert labels.dtype == dtype
    assert labels.tolist() == [[k - 1, void]]


def test_half_precision_teachers_and_int64_rows_work() -> None:
    labels, _ = decode([View(log(0.1, 0.9).bfloat16())], torch.zeros(2, 2, dtype=torch.int64), sets(2, {0, 1}))
    assert labels.tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize(
    ("views", "rows", "allowed", "text"),
    [
        ([], torch.zeros(1, 1), sets(2, {0}), "no teacher view"),
        ([View(torch.zeros(2, 1))], torch.zeros(1, 1), sets(2, {0}), "logits of shape"),
        ([View(log(0.5, 0.5)), View(log(0.3, 0.3, 0.4))], torch.zeros(1, 1), sets(2, {0}), "view 1"),
        ([View(log(0.5, 0.5))], torch.zeros(1, 1), sets(3, {0}), "2 classes"),
        ([View(log(0.5, 0.5))], torch.ones(1, 1), sets(2, {0}), r"rows range over 1\.\.1; .* 1 classes"),
        ([View(log(0.5, 0.5))], torch.full((1, 1), -3), sets(2, {0}), "rows range"),
        ([View(log(0.5, 0.5))], torch.zeros(1, 1, 1), sets(2, {0}), "rows have shape"),
        ([View(log(0.5, 0.5), void=torch.zeros(2, 2))], torch.zeros(1, 1), sets(2, {0}), "no-object mass of shape"),
        ([View(log(0.5, 0.5), void=-torch.ones(1, 1))], torch.zeros(1, 1), sets(2, {0}), "negative"),
        (
            [View(log(0.5, 0.5), weight=math.nan)],
            torch.zeros(1, 1),
            sets(2, {0}),
            "weight nan; expected a number above 0",
        ),
        ([View(log(0.5, 0.5), weight=1e-320)], torch.zeros(1, 1), sets(2, {0}), "weight 1e-320; expected .* 1e-30"),
        ([View(log(0.5, 0.5), weight=math.inf)], torch.zeros(1, 1), sets(2, {0}), "weight inf; expected .* 1e30"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(views: list, rows: Tensor, allowed: Tensor, text: str) -> None:
    with pytest.raises(DecodeError, match=f"^name: .*{text}"):
        decode(views, rows, allowed, image_name="name")


def test_threshold_out_of_range_is_refused() -> None:
    with pytest.raises(DecodeError, match="threshold is 50"):
        one(log(0.5, 0.5), {0, 1}, k=2, threshold=50)


def test_one_small_image_is_fast_enough_for_tests() -> None:
    rows = torch.randint(-1, 20, (96, 192), dtype=torch.int16)
    allowed = torch.rand(20, 16) < 0.2
    allowed[:, 15] |= ~allowed.any(1)
    view = View(torch.randn(15, 24, 48))
    decode([view], rows, allowed)
    start = time.process_time()
    decode([view], rows, allowed)
    assert time.process_time() - start < 1


def test_unconstrained_is_the_plain_argmax() -> None:
    views = [View(log(0.5, 0.3, 0.2)), View(log(0.1, 0.2, 0.7))]
    labels, confidence = decode_unconstrained(views, (2, 2))
    assert labels.tolist() == [[2, 2], [2, 2]]
    assert confidence[0, 0].item() == pytest.approx(0.45)
    assert decode_unconstrained(views[:1], (1, 1)).labels.tolist() == [[0]]


# --- properties --------------------------------------------------------------------------------------------


def sample(maps: np.ndarray, y: int, x: int, height: int, width: int) -> np.ndarray:
    """Bilinear value at one target pixel, centres at half pixels, edges held."""
    h, w = maps.shape[-2:]
    fy = max((y + 0.5) * h / height - 0.5, 0.0)
    fx = max((x + 0.5) * w / width - 0.5, 0.0)
    y0, x0 = min(int(fy), h - 1), min(int(fx), w - 1)
    y1, x1 = min(y0 + 1, h - 1), min(x0 + 1, w - 1)
    ay, ax = fy - y0, fx - x0
    top = maps[..., y0, x0] * (1 - ax) + maps[..., y0, x1] * ax
    bottom = maps[..., y1, x0] * (1 - ax) + maps[..., y1, x1] * ax
    return top * (1 - ay) + bottom * ay


def by_pixel(views: list[View], row: int, allowed: np.ndarray, at: tuple) -> tuple[set[int], float | None]:
    """docs/decoding.md for one pixel, in plain Python: the outputs that rounding leaves open, and the confidence."""
    k = allowed.shape[1] - 1
    if row == ROW_VOID:
        return {k}, 1.0
    members = [c for c in range(k + 1) if allowed[row, c]]
    if len(members) == 1:
        return {members[0]}, 1.0
    p, mass, log_p = np.zeros(k), 0.0, []
    for view in views:
        step = -1 if view.flip else 1
        x = sample(view.logits.double().numpy()[..., ::step], *at)
        e = np.exp(x - x.max())
        p += e / e.sum() / len(views)
        log_p.append(x - x.max() - math.log(e.sum()))
        if view.void is not None:
            mass += float(sample(view.void.double().numpy()[..., ::step], *at)) / len(views)
    classes = [c for c in members if c < k]
    score = {c: float(p[c]) for c in classes}
    if max(score.values()) < 1e-290:  # all underflow: compare logits
        means = {c: float(np.logaddexp.reduce([v[c] for v in log_p])) for c in classes}
        top = max(means.values())
        score = {c: 1e-300 * math.exp(max(m - top, -600)) for c, m in means.items()}
    if k in members:
        score[k] = mass if views[0].void is not None else max(0.0, 1 - sum(score.values()))
    best = max(score.values())
    near = {c for c, s in score.items() if s >= best * (1 - 1e-9)}
    output = min(near)  # ties: the lowest channel, void last
    total = sum(score.values())
    return near, score[output] / total if total > 1e-280 else None


@st.composite
def problems(draw: st.DrawFn, max_k: int = 200, max_d: int = 30) -> tuple:
    """Views, rows and `allowed`, with every kind of row and some extreme logits."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    k, d = draw(st.integers(1, max_k)), draw(st.integers(1, max_d))
    height, width = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    scale = draw(st.sampled_from([0.0, 0.1, 3.0, 50.0, 2000.0, 1e30, 3e38]))
    with_void = draw(st.booleans())
    views = []
    for _ in range(draw(st.integers(1, 4))):
        # Between huge logits, rounding in the interpolation alone decides: nothing to compare.
        h, w = rng.integers(1, 7, 2) if scale < 1e6 else (height, width)
        logits = rng.uniform(-1, 1, (k, h, w))
        if draw(st.booleans()):
            logits = (logits * 2).round() / 2  # few distinct values: many ties
        logits = torch.from_numpy(logits * scale).float()
        void = torch.from_numpy(rng.uniform(0, 1, (h, w))).float() if with_void else None
        views.append(View(logits, bool(rng.integers(2)), void))
    allowed = rng.random((d, k + 1)) < rng.choice([0.02, 0.3, 0.9, 1.0], (d, 1))
    allowed[np.arange(d), rng.integers(0, k + 1, d)] = True  # never empty
    rows = rng.integers(-1, d, (height, width)).astype(np.int16)
    return views, torch.from_numpy(rows), torch.from_numpy(allowed)


@settings(max_examples=examples(150))
@given(problems())
def test_equals_the_pixel_by_pixel_reading(problem: tuple) -> None:
    views, rows, allowed = problem
    k = allowed.shape[1] - 1
    labels, confidence = decode(views, rows, allowed)
    height, width = rows.shape
    for y in range(height):
        for x in range(width):
            near, share = by_pixel(views, int(rows[y, x]), allowed.numpy(), (y, x, height, width))
            label = labels[y, x].item()
            assert (k if label == VOID else label) in near
            if share is not None:
                assert confidence[y, x].item() == pytest.approx(share, rel=1e-5, abs=1e-6)


@settings(max_examples=examples(150))
@given(problems(), st.sampled_from([None, 0.0, 0.5, 1.0]))
def test_output_lies_in_the_allowed_set_and_confidence_in_0_to_1(problem: tuple, threshold: float | None) -> None:
    views, rows, allowed = problem
    k, d = allowed.shape[1] - 1, len(allowed)
    labels, confidence = decode(views, rows, allowed, threshold)
    labels = torch.where(labels == VOID, k, labels.long())
    pixel_set = torch.cat([allowed, sets(k, {"void"})])[torch.where(rows == ROW_VOID, d, rows.long())]
    inside = pixel_set.gather(2, labels[..., None])[..., 0]
    low = (labels == k) & (confidence <= threshold) if threshold is not None else torch.zeros_like(inside)
    assert (inside | low).all()
    assert ((confidence >= 0) & (confidence <= 1)).all()
    single = pixel_set.sum(2) == 1
    assert (confidence[single] == 1).all()
    assert inside[single].all()
    again = decode(views, rows, allowed, threshold)
    assert torch.equal(again.confidence, confidence)


@settings(max_examples=examples(50))
@given(problems(max_k=20))
def test_with_every_class_allowed_it_is_the_raw_teacher(problem: tuple) -> None:
    views, rows, _ = problem
    k = views[0].logits.shape[0]
    everything = torch.ones(1, k + 1, dtype=torch.bool)
    everything[0, k] = False
    labels, _ = decode(views, torch.zeros_like(rows), everything)
    assert torch.equal(labels, decode_unconstrained(views, tuple(rows.shape)).labels)
