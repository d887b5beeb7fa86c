"""Metrics: worked by hand, against a naive count, and through mmengine's evaluator on one and on two ranks."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from helpers.counted import PRED, ROWS, SOURCE, WORLD
from helpers.examples import examples
from helpers.forkserver import Server
from helpers.worlds import make_constraint
from lsu_onto import ROW_UNKNOWN, ROW_VOID
from lsu_seg.data.datasets import TaxDataset
from lsu_seg.evaluation.counts import confusion, iou_summary, row_counts
from lsu_seg.evaluation.errors import EvaluationError
from lsu_seg.evaluation.metrics import OntologyIoU
from lsu_seg.evaluation.views import projected_confusion, projection, set_consistency

# Certain columns: car and truck -> vehicle; road -> street. terrain lies inside no class: ambiguous.
V, U = ROW_VOID, ROW_UNKNOWN


def test_confusion_by_hand() -> None:
    pred = torch.tensor([[0, 1, 1], [2, 255, -1]])
    target = torch.tensor([[0, 0, 1], [255, 2, 2]])
    assert confusion(pred, target, 3).tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 2], [0, 0, 1, 0]]


def test_confusion_refuses_what_would_be_dropped_silently() -> None:
    with pytest.raises(ValueError, match=r"2 truth pixels, e\.g\. 7, are neither 0\.\.2 nor 255"):
        confusion(torch.zeros(3), torch.tensor([0, 7, 7]), 3)
    with pytest.raises(ValueError, match="`ignore` is 255, which is one of the 300 classes"):
        confusion(torch.zeros(3), torch.zeros(3), 300)
    with pytest.raises(ValueError, match="shape"):
        confusion(torch.zeros(3), torch.zeros(4), 3)


def test_iou_is_over_classes_present_in_the_truth() -> None:
    """Class 2 is absent but predicted, 3 wholly absent: neither enters as 0 (a defect of the published code)."""
    counts = torch.zeros(5, 5, dtype=torch.int64)
    counts[0, 0], counts[0, 1], counts[0, 2] = 6, 1, 1  # IoU 6 / (8 + 7 - 6)
    counts[1, 1], counts[1, 0], counts[1, 4] = 2, 1, 1  # IoU 2 / (4 + 3 - 2)
    counts[4, 0] = 100  # ignored truth does not make false positives
    summary = iou_summary(counts)
    assert summary["per_class"][:2].tolist() == pytest.approx([6 / 9, 2 / 5])
    assert np.isnan(summary["per_class"][2:]).all()
    assert summary["miou"] == pytest.approx((6 / 9 + 2 / 5) / 2)
    assert summary["accuracy"] == pytest.approx(8 / 12)
    expected = {
        "present": 2,
        "absent": 2,
        "absent_predicted": 1,
        "unscored": 0,
        "pixels": 12,
        "void_truth": 100,
        "void_predicted": 1,
    }
    assert {key: summary[key] for key in expected} == expected


def test_iou_of_nothing_is_nan_and_not_zero() -> None:
    summary = iou_summary(torch.zeros(3, 3, dtype=torch.int64))
    assert math.isnan(summary["miou"])
    assert math.isnan(summary["accuracy"])
    assert summary["absent"] == 2


def test_no_object_predictions_stay_on_their_row() -> None:
    """A defect of the published code: index row * K + K ran over into the next row."""
    assert confusion(torch.tensor([2]), torch.tensor([0]), 2).tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_summing_is_not_averaging() -> None:
    a, b = (
        confusion(torch.tensor([0]), torch.tensor([0]), 1),
        confusion(torch.full((9,), 255), torch.zeros(9), 1),
    )
    assert iou_summary(a + b)["miou"] == pytest.approx(0.1)  # the mean of 1 and 0 would be 0.5


@settings(max_examples=examples(60))
@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_confusion_and_iou_agree_with_a_naive_count(k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pred = rng.choice([*range(k), k, 255], 40)
    target = rng.choice([*range(k), 255], 40)
    counts = confusion(torch.from_numpy(pred), torch.from_numpy(target), k)
    assert counts.sum() == 40
    ious = []
    for c in range(k):
        both = either = here = 0
        for p, t in zip(pred.tolist(), target.tolist(), strict=True):
            if t == 255:
                continue
            here += t == c
            both += p == c and t == c
            either += p == c or t == c
        if here:
            ious.append(both / either)
    summary = iou_summary(counts)
    assert summary["present"] == len(ious)
    assert summary["absent"] == k - len(ious)
    if ious:
        assert summary["miou"] == pytest.approx(sum(ious) / len(ious))


def test_large_counts_stay_exact() -> None:
    counts = torch.zeros(2, 2, dtype=torch.int64)
    counts[0, 0], counts[0, 1] = 2**53 + 1, 2**40
    assert iou_summary(counts)["pixels"] == 2**53 + 1 + 2**40


# --- the dataset's own taxonomy, and the constraint --------------------------------------------------------


def test_projection_goes_through_certain() -> None:
    assert projection(WORLD).tolist() == [0, 5, 1, 1]
    twice = make_constraint(["road"], {"a": "> road", "b": "> road"})
    assert projection(twice).tolist() == [2]  # two classes claim it: ambiguous


#             street        vehicle       gravel   animal  rock  void  unknown


def test_row_counts_by_hand() -> None:
    counts = row_counts(PRED, ROWS, 5, 4)
    assert counts.tolist() == [
        [2, 1, 1, 0, 0],  # street
        [1, 0, 1, 1, 1],  # vehicle
        [1, 1, 1, 0, 0],  # gravel
        [1, 0, 0, 0, 1],  # animal
        [0, 1, 0, 0, 1],  # rock
        [1, 1, 0, 0, 0],  # not annotated
        [0, 0, 1, 0, 0],  # unknown
    ]
    with pytest.raises(ValueError, match=r"rows range over 5\.\.5"):
        row_counts(torch.zeros(1), torch.tensor([5]), 5, 4)


def test_projected_confusion_by_hand() -> None:
    own, ambiguous = projected_confusion(row_counts(PRED, ROWS, 5, 4), WORLD)
    assert own.tolist() == [
        [2, 1, 0, 0, 0, 1],  # street: road twice, car once, terrain implies nothing
        [1, 2, 0, 0, 0, 1],  # vehicle: car and truck are both right
        [1, 1, 0, 0, 0, 1],
        [1, 0, 0, 0, 0, 1],  # animal, a fact: annotated
        [0, 0, 0, 0, 0, 0],  # rock, a decision: ignored
        [1, 1, 0, 0, 0, 3],  # rock 2, void 2, unknown 1
    ]
    assert own.sum() == ROWS.numel()
    assert ambiguous == 2
    summary = iou_summary(own, WORLD.certain.any(1))
    # street 2 / (4 + 5 - 2), vehicle 2 / (4 + 4 - 2); gravel and animal can never be predicted
    assert summary["miou"] == pytest.approx((2 / 7 + 2 / 6) / 2)
    assert summary["unscored"] == 2
    assert summary["absent"] == 1


def test_set_consistency_by_hand() -> None:
    result = set_consistency(row_counts(PRED, ROWS, 5, 4), WORLD)
    # street 2 of 4, vehicle 2 of 4, gravel 2 of 3, animal 1 of 2 (void is right); rock is ignored
    assert result == {"consistency": pytest.approx(7 / 13), "pixels": 13, "void_truth": 4, "unknown": 1}


def test_open_rows_accept_void() -> None:
    world = make_constraint(["road"], {"misc": "~ road void", "any": "any"})
    counts = row_counts(torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1]), 2, 1)
    assert set_consistency(counts, world)["consistency"] == 1


# --- mmengine ----------------------------------------------------------------------------------------------


def data_sample(pred: torch.Tensor, path: str = "a.png", **truth: torch.Tensor) -> SegDataSample:
    sample = SegDataSample(metainfo={"img_path": path, "ori_shape": tuple(pred.shape[-2:])})
    sample.pred_sem_seg = PixelData(data=pred[None])
    for name, value in truth.items():
        setattr(sample, name, PixelData(data=value[None]))
    return sample


def run(metric: OntologyIoU | dict, samples: list, size: int | None = None, **meta: object) -> dict:
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = {"classes": tuple(SOURCE), "constraint": WORLD, **meta}
    for i in range(0, len(samples), 2):  # batches of two
        evaluator.process(samples[i : i + 2])
    return evaluator.evaluate(size or len(samples))


GT = torch.tensor([[0, 0, 255, 1, 2, 2]])
GUESS = torch.tensor([[0, 1, 1, 1, 2, 255]])


@pytest.mark.parametrize("name", ["OntologyIoU", "mmseg.OntologyIoU", "lsu_seg.OntologyIoU"])
def test_evaluator_end_to_end(name: str) -> None:
    rows = [data_sample(PRED, gt_rows=ROWS, gt_sem_seg=torch.full_like(PRED, 255))]
    small = [data_sample(GUESS, "b.png", gt_rows=torch.full_like(GUESS, V), gt_sem_seg=GT)]
    config = {"type": name, "source": "src", "views": ("source", "projected", "set")}
    with DefaultScope.overwrite_default_scope("mmseg"):  # as in a run
        result = run(config, rows + small)
    assert result["source/mIoU"] == pytest.approx((1 / 2 + 1 / 2 + 1 / 2) / 3)
    assert result["source/aAcc"] == pytest.approx(3 / 5)
    assert (result["source/present"], result["source/absent"]) == (3, 1)
    assert (result["source/void_truth"], result["source/void_predicted"]) == (18 + 1, 1)
    assert result["projected/mIoU"] == pytest.approx((2 / 7 + 2 / 6) / 2)
    assert (result["projected/ambiguous"], result["projected/unknown"]) == (2, 1)
    assert (result["projected/void_truth"], result["projected/void_predicted"]) == (4 + 6, 2)
    assert result["projected/unscored"] == 2
    assert result["set/consistency"] == pytest.approx(7 / 13)
    assert (result["set/void_truth"], result["set/unknown"]) == (4 + 6, 1)
    assert all(isinstance(v, float) for v in result.values())


def test_every_pixel_is_somewhere() -> None:
    sample = data_sample(PRED, gt_rows=ROWS, gt_sem_seg=torch.full_like(PRED, 255))
    result = run(OntologyIoU("src", ("source", "projected", "set")), [sample])
    total = PRED.numel()
    assert result["source/pixels"] + result["source/void_truth"] == total
    for view in ("projected", "set"):
        assert result[f"{view}/pixels"] + result[f"{view}/void_truth"] + result[f"{view}/unknown"] == total


def test_the_metric_starts_afresh_after_evaluate() -> None:
    metric = OntologyIoU("src")
    sample = data_sample(GUESS, gt_sem_seg=GT)
    assert run(metric, [sample]) == run(metric, [sample])


def test_images_of_different_size_sum() -> None:
    samples = [data_sample(GUESS, gt_sem_seg=GT), data_sample(GUESS[:, :2], gt_sem_seg=GT[:, :2])]
    assert run(OntologyIoU("src"), samples)["source/pixels"] == 5 + 2


def test_one_rank_has_no_padding() -> None:
    """Nothing is taken away, whatever size says."""
    samples = [data_sample(GUESS, gt_sem_seg=GT)] * 3
    assert run(OntologyIoU("src"), samples, size=2)["source/pixels"] == 15


def test_source_view_needs_no_constraint() -> None:
    result = run(OntologyIoU("src"), [data_sample(GUESS, gt_sem_seg=GT)], constraint=None)
    assert result["source/mIoU"] == pytest.approx(0.5)


def test_the_source_view_alone_has_groups_if_the_dataset_tells_them(tmp_path: Path) -> None:
    meta = TaxDataset("demo_town", str(tmp_path), "val", lazy_init=True).metainfo
    car, truck, road = map(meta["classes"].index, ("car", "truck", "road"))
    sample = data_sample(torch.tensor([[truck, truck, road]]), gt_sem_seg=torch.tensor([[car, truck, road]]))
    metric = OntologyIoU("demo")
    result = run(metric, [sample], **meta | {"constraint": None})
    assert result["groups/IoU.traffic.vehicle"] == 1 and result["source/IoU.car"] == 0
    assert metric.measured is not None and metric.measured.sums["groups"].shape == (1, 3, len(meta["groups"]))
    assert not {key for key in result if key.startswith(("projected", "set"))}
    plain = run(OntologyIoU("demo"), [sample], **meta | {"constraint": None, "groups": {}})
    assert {k: v for k, v in result.items() if not k.startswith("groups")} == plain


def test_the_constraint_is_loaded_by_the_names_in_the_metainfo(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("lsu_onto.load", lambda *names: asked.append(names) or WORLD)
    sample = data_sample(PRED, gt_rows=ROWS)
    names = {"constraint": None, "taxonomy": "field", "source": "src", "paths": ["tax"]}
    assert run(OntologyIoU("src", ("set",)), [sample], **names)["set/consistency"] == pytest.approx(7 / 13)
    assert asked == [("field", "src", ["tax"])]  # once


def test_prefix_is_put_before_the_view() -> None:
    assert "val/source/mIoU" in run(OntologyIoU("src", prefix="val"), [data_sample(GUESS, gt_sem_seg=GT)])


@pytest.mark.parametrize(
    ("views", "meta", "truth", "text"),
    [
        (("set",), {"constraint": None}, {}, "need `taxonomy`"),
        (
            ("source",),
            {"constraint": make_constraint(SOURCE, {"a": "any"}, name="other")},
            {},
            "`other`.*`src`",
        ),
        (("source",), {"constraint": None, "source": "other"}, {}, "`other`.*`src`"),
        (("source",), {"classes": ("a",)}, {}, "metainfo has 1 classes"),
        (("source",), {"classes": None, "constraint": None}, {}, "no `classes`"),
        (("source",), {}, {}, r"^a\.png: the data sample has no `gt_sem_seg`"),
        (("set",), {}, {}, r"^a\.png: the data sample has no `gt_rows`"),
        (("source",), {}, {"gt_sem_seg": torch.full((1, 6), 9)}, r"^a\.png: 6 truth pixels"),
        (("source",), {}, {"gt_sem_seg": torch.zeros(2, 3)}, r"^a\.png: the prediction has shape"),
    ],
)
def test_what_does_not_fit_is_refused(views: tuple, meta: dict, truth: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        run(OntologyIoU("src", views), [data_sample(GUESS, **truth)], **meta)


def test_unknown_view_is_refused() -> None:
    with pytest.raises(ValueError, match="source, projected, set"):
        OntologyIoU("src", ("native",))
    with pytest.raises(ValueError, match="expected some of"):
        OntologyIoU("src", ())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_no_numbers_are_refused(value: float) -> None:
    """Their `argmax` is a class, and would be the right one where the truth is the first."""
    metric = OntologyIoU("src")
    metric.dataset_meta = {"classes": ("a", "b")}
    truth, logits = torch.zeros(1, 2, 2, dtype=torch.int64), torch.zeros(2, 2, 2)
    logits[1] = -math.inf
    sample = {"img_path": "a.png", "pred_sem_seg": {"data": truth}, "gt_sem_seg": {"data": truth}}
    metric.process(None, [sample | {"seg_logits": {"data": logits}}])
    logits[1, 0, 0] = value
    with pytest.raises(EvaluationError, match=r"a\.png: the model's logits hold NaN or Inf at 1 pixel.*; check that"):
        metric.process(None, [sample | {"seg_logits": {"data": logits}}])


RANK = """
import json, sys, torch
import torch.distributed as dist
from lsu_seg.evaluation.metrics import OntologyIoU
dist.init_process_group("gloo")
rank, world, images = dist.get_rank(), dist.get_world_size(), int(sys.argv[1])
metric = OntologyIoU("src")
metric.dataset_meta = {"classes": ("a", "b")}
indices = list(range(images))
indices += indices[: -len(indices) % world]  # as DefaultSampler(round_up=True) pads
for i in indices[rank::world]:
    pred = torch.zeros(1, 1, i + 1, dtype=torch.int64)  # image i has i + 1 pixels
    gt = torch.full_like(pred, i % 2)
    metric.process(None, [{"pred_sem_seg": {"data": pred}, "gt_sem_seg": {"data": gt}}])
print("RESULT" + json.dumps(metric.evaluate(images)))
"""


def test_two_ranks_sum_and_count_padded_images_once(server: Server, tmp_path: Path) -> None:
    """Images of 1, 2, 3 pixels; the sampler gives rank 1 the first image again."""
    ranks = server.ranks(tmp_path, 2, 3, code=RANK)
    assert [rank.wait() for rank in ranks] == [0, 0], [rank.said for rank in ranks]
    results = [json.loads(rank.said.split("RESULT")[1]) for rank in ranks]
    assert results[0] == results[1]
    assert results[0]["source/pixels"] == 6
    assert results[0]["source/mIoU"] == pytest.approx((4 / 6 + 0) / 2)
