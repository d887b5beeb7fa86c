"""The drawn scenes: exact in form, the same for the same seed, every class in every style."""

import numpy as np
import pytest

from lsu_seg.demo.scenes import CLASSES, STYLES, VOID, draw_scene

SCENES = 60
VISIBLE = 15  # pixels of 96 x 192 from which a class counts as present


@pytest.fixture(scope="module", params=STYLES)
def labels(request: pytest.FixtureRequest) -> np.ndarray:
    """Labels of many scenes of one style."""
    style = STYLES[request.param]
    return np.stack([draw_scene(np.random.default_rng(seed), style)[1] for seed in range(SCENES)])


def test_classes_and_styles() -> None:
    assert len(CLASSES) == len(set(CLASSES)) == 15
    assert (CLASSES[0], CLASSES[-1], VOID) == ("road", "bicycle", 255)
    assert list(STYLES) == ["source", "town", "country", "zero_shot"]


@pytest.mark.parametrize("name", STYLES)
@pytest.mark.parametrize("size", [(96, 192), (192, 384), (64, 64), (90, 241), (33, 65)])
def test_shapes_and_dtypes(name: str, size: tuple[int, int]) -> None:
    for seed in range(4):
        image, label = draw_scene(np.random.default_rng(seed), STYLES[name], *size)
        assert (image.shape, image.dtype) == ((*size, 3), np.uint8)
        assert (label.shape, label.dtype) == (size, np.uint8)
        assert len(np.unique(label)) >= 4
        assert image.std() > 10


@pytest.mark.parametrize("name", STYLES)
def test_a_seed_decides_the_scene(name: str) -> None:
    first, again, other = (draw_scene(np.random.default_rng(seed), STYLES[name]) for seed in (7, 7, 8))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[1], other[1])


def test_labels_are_channels_or_void(labels: np.ndarray) -> None:
    assert set(np.unique(labels).tolist()) <= {*range(len(CLASSES)), VOID}


def test_every_class_is_common_enough(labels: np.ndarray) -> None:
    counts = np.stack([np.bincount(label.ravel(), minlength=256)[: len(CLASSES)] for label in labels])
    presence = dict(zip(CLASSES, (counts >= VISIBLE).mean(axis=0), strict=True))
    share = dict(zip(CLASSES, counts.sum(axis=0) / labels.size, strict=True))
    assert {name: value for name, value in presence.items() if value < 0.4} == {}
    assert {name: value for name, value in share.items() if value < 0.003} == {}


def test_things_are_where_they_belong(labels: np.ndarray) -> None:
    road, sky = CLASSES.index("road"), CLASSES.index("sky")
    assert not (labels[:, 70:] == sky).any()
    assert not (labels[:, :25] == road).any()
    assert ((labels == road).mean(axis=(1, 2)) > 0.08).all()


def test_void_is_the_hood_alone(labels: np.ndarray, request: pytest.FixtureRequest) -> None:
    void = labels == VOID
    assert not void[:, :75].any()
    assert void.any() == (STYLES[request.node.callspec.params["labels"]].hood > 0)
