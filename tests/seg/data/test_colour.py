"""RandAugment's colours: every operation, and how strong they are."""

from __future__ import annotations

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS

from lsu_seg.data.colour import OPERATIONS
from lsu_seg.layout.pairs import DatasetError


def jitter(**options: object) -> object:
    init_default_scope("mmseg")
    return TRANSFORMS.build(dict(type="RandAugmentColour", **options))


@pytest.fixture
def image() -> np.ndarray:
    ramp = np.linspace(40, 200, 32)
    return np.stack([ramp[:, None] * np.ones(24), ramp[::-1, None] * np.ones(24), np.full((32, 24), 90)], -1).astype(
        np.uint8
    )


def test_operations_change_colours_by_their_strength(image: np.ndarray) -> None:
    for name, operation in OPERATIONS.items():
        weak, strong = (np.asarray(operation(image, strength, 1), float) for strength in (0.0, 1.0))
        assert weak.shape == strong.shape == image.shape
        changes = np.abs(weak - image).mean(), np.abs(strong - image).mean()
        if name in ("identity", "auto_contrast", "equalize"):  # without a strength
            assert changes[0] == changes[1] and (changes[0] > 0) == (name != "identity")
        else:
            assert changes[0] < 2 < changes[1] or (name == "sharpness" and changes[0] < changes[1]), name
    darker, brighter = (OPERATIONS["brightness"](image, 0.5, sign).mean() for sign in (-1, 1))
    assert darker < image.mean() < brighter


def test_labels_and_type_stay(image: np.ndarray) -> None:
    np.random.seed(0)
    transform, before = jitter(num_ops=3, magnitude=20), image.copy()
    target = np.zeros((32, 24), np.uint16)
    results = [transform({"img": image, "gt_seg_map": target}) for _ in range(30)]  # type: ignore[operator]
    assert (image == before).all()
    assert all(r["img"].dtype == np.uint8 and r["img"].shape == image.shape for r in results)
    assert all(r["img"].flags.c_contiguous and r["gt_seg_map"] is target for r in results)
    assert len({r["img"].tobytes() for r in results}) > 20
    assert (jitter(num_ops=0)({"img": image})["img"] == image).all()  # type: ignore[operator]


def test_what_is_refused() -> None:
    for options in (dict(magnitude=31), dict(magnitude=9.5), dict(num_ops=-1), dict(num_ops=True)):
        with pytest.raises(DatasetError, match=r"of a RandAugmentColour is .*; expected a whole number, 0 to"):
            jitter(**options)
