"""Reliability: counted as by hand, and drawn."""

from __future__ import annotations

import json
import math
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from lsu_seg.evaluation import confidence as module
from lsu_seg.evaluation.confidence import as_document, bins_of, count_confidence
from lsu_seg.evaluation.files import as_json
from lsu_seg.evaluation.reliability_svg import reliability_svg
from lsu_seg.teachers.reliability import calibration_error

NAMES = ("road", "a<b>", "sky")
LOGITS = torch.randn(3, 9, 14, generator=torch.Generator().manual_seed(2)) * 3
TARGET = torch.randint(0, 4, (9, 14), generator=torch.Generator().manual_seed(3))
TARGET[TARGET == 3] = 255


def by_hand(p: np.ndarray) -> np.ndarray:
    """float `[K, 15, 3]`, pixel by pixel. p: `[K, H, W]`."""
    bins = np.zeros((3, 15, 3))
    for y, x in np.ndindex(p.shape[1:]):
        if TARGET[y, x] == 255:
            continue
        label = int(p[:, y, x].argmax())
        sure = p[label, y, x]
        bins[label, min(14, max(0, math.ceil(sure * 15) - 1))] += 1, label == TARGET[y, x], sure
    return bins


@pytest.mark.parametrize("at_once", [40, 1 << 23])
def test_counts_are_those_by_hand_in_any_bands(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", at_once)
    counts = count_confidence(LOGITS, LOGITS.argmax(0), TARGET.byte(), (1.0, 2.0))
    for t, found in zip((1.0, 2.0), bins_of(counts), strict=True):
        np.testing.assert_allclose(found, by_hand((LOGITS.double() / t).softmax(0).numpy()), atol=1e-5)


def test_evidence_of_masks_is_normalised() -> None:
    shares = LOGITS.sigmoid()
    counts = count_confidence(shares, shares.argmax(0), TARGET, (1.0,), are_shares=True)
    np.testing.assert_allclose(bins_of(counts)[0], by_hand((shares / shares.sum(0)).double().numpy()), atol=1e-5)


def test_the_document_says_how_far_confidence_is_off() -> None:
    counts = count_confidence(LOGITS, LOGITS.argmax(0), TARGET, (1.0, 2.5)) * 300  # enough pixels of each class
    found = json.loads(as_json(as_document(counts, NAMES, (1.0, 2.5))))
    bins = by_hand(LOGITS.double().softmax(0).numpy()) * 300
    assert found["temperature"] == 2.5
    assert found["before"]["pixels"] == bins[..., 0].sum()
    assert found["before"]["ece"] == pytest.approx(calibration_error(bins.sum(0)))
    assert found["before"]["accuracy"] == pytest.approx(bins[..., 1].sum() / bins[..., 0].sum())
    large = [i for i in range(3) if bins[i, :, 0].sum() >= 10_000]
    assert list(found["before"]["classes"]) == [NAMES[i] for i in large]
    assert found["before"]["bins"]["accuracy"][0] is None, "nothing is less sure than one third"
    assert found["after"]["confidence"] < found["before"]["confidence"]


@pytest.mark.parametrize("temperatures", [(1.0,), (1.0, 2.5)])
def test_the_diagram_is_drawn(temperatures: tuple[float, ...]) -> None:
    counts = count_confidence(LOGITS, LOGITS.argmax(0), TARGET, temperatures)
    svg = ElementTree.fromstring(reliability_svg(as_document(counts, NAMES, temperatures), 'town <"&> 1'))
    texts = ["".join(t.itertext()) for t in svg.findall(".//{*}text")]
    assert texts[0] == 'town <"&> 1'
    assert [t.partition(":")[0] for t in texts if t.startswith("temperature")] == [
        f"temperature {t:g}" for t in temperatures
    ]
    filled = sum(int((bins.sum(0)[:, 0] > 0).sum()) for bins in bins_of(counts))
    assert sum(r.get("class") == "right" for r in svg.findall(".//{*}rect")) == filled
    assert all(float(r.get("height")) >= 0 for r in svg.findall(".//{*}rect"))


def test_without_a_pixel_it_says_so() -> None:
    empty = as_document(torch.zeros(1, 3, 15, 3, dtype=torch.int64), NAMES, (1.0,))
    assert "no pixel with ground truth" in reliability_svg(json.loads(as_json(empty)), "x")
    assert "no pixel with ground truth" in reliability_svg(empty, "x")
