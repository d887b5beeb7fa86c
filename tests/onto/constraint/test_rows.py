"""`Constraint.rows`: arrays that other code has read, of any integer type, exactly."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import lsu_onto
from helpers.tax import TAX, Compile
from helpers.worlds import make_constraint
from lsu_onto import ROW_UNKNOWN, ROW_VOID, LabelValueError

INTEGERS = [np.dtype(f"{order}{sign}{size}") for order in "<>" for sign in "iu" for size in (1, 2, 4, 8)]


@given(st.data())
def test_rows_equal_a_dictionary(data: st.DataObject) -> None:
    """Values between, below and above those that are listed, in every integer type, in either byte order."""
    listed = data.draw(st.dictionaries(st.integers(0, 300), st.integers(-1, 2), max_size=12))
    keys = sorted(listed)
    c = make_constraint(["road", "sky", "car"], {"a": "= road", "b": "= sky", "c": "= car"})
    object.__setattr__(c, "raw", np.array(keys, np.uint32))
    object.__setattr__(c, "raw_row", np.array([listed[k] for k in keys], np.int16))
    dtype = data.draw(st.sampled_from([np.dtype(bool), *INTEGERS]))
    values = data.draw(hnp.arrays(dtype, hnp.array_shapes(max_dims=2), elements=hnp.from_dtype(dtype)))
    expected = [listed.get(int(v), ROW_UNKNOWN) for v in values.ravel()]
    rows = c.rows(values, unknown="keep")
    assert (rows.dtype, rows.shape, rows.ravel().tolist()) == (np.int16, values.shape, expected)
    void = [ROW_VOID if r == ROW_UNKNOWN else r for r in expected]
    assert c.rows(values, unknown="void").ravel().tolist() == void
    if ROW_UNKNOWN in expected:
        with pytest.raises(LabelValueError):
            c.rows(values)
    else:
        assert c.rows(values).ravel().tolist() == expected


@pytest.mark.parametrize(
    ("encoding", "stored", "rows"),
    [
        ("id", [0, 1, 2, 60], [0, 1, -2, -1]),
        ("id16/1000", [999, 1000, 1999, 2000, 60_000], [0, 1, 1, -2, -1]),
        ("id16/300", [299, 300, 600, -1], [0, 1, -2, -2]),
        ("instance-ids", [1, 1000, 1999, 60, 2, -5], [1, 1, 1, -1, -2, -2]),
    ],
)
def test_packed_values_are_divided(compiled: Compile, encoding: str, stored: list[int], rows: list[int]) -> None:
    c = compiled("0 a = car\n1 b = sky\n", f"encoding: {encoding}\nvoid: 60")
    assert c.rows(np.array([stored]), unknown="keep").tolist() == [rows]
    small = np.array([[s for s in stored if 0 <= s < 256]], np.uint8)
    assert c.rows(small, unknown="keep").tolist() == [[r for s, r in zip(stored, rows, strict=True) if 0 <= s < 256]]


def test_colours(compiled: Compile) -> None:
    c = compiled("0 a #010203 = car\n1 b #ffffff = sky\n", "encoding: rgb\nvoid: #000000")
    image = np.array([[[1, 2, 3], [255, 255, 255], [0, 0, 0]]], np.uint8)
    assert c.rows(image).tolist() == [[0, 1, -1]]
    for same in (image.astype(np.int64), image[None][0], np.asfortranarray(image), image.tolist()):
        assert c.rows(same).tolist() == [[0, 1, -1]]
    assert c.rows(np.stack([image, image])).shape == (2, 1, 3)
    with pytest.raises(LabelValueError, match="red and blue are exchanged, as OpenCV reads them"):
        c.rows(image[..., ::-1])
    with pytest.raises(LabelValueError, match=r"#010204 in 1 of them, first at \[0, 0\]; add them"):
        c.rows(np.array([[[1, 2, 4]]], np.uint8))


REFUSED = [
    ("encoding: rgb", np.zeros((4, 5), int), "(4, 5); expected [H, W, 3], R first, .* `palette[array]`"),
    ("encoding: rgb", np.zeros((4, 5, 4), int), "leave the alpha channel out"),
    ("encoding: rgb", np.zeros((3, 4, 5), int), "put the channels last"),
    ("encoding: rgb", np.full((4, 5, 3), 256), "found colours from 0 to 256; expected 0 to 255"),
    ("", np.zeros((4, 5, 3), np.uint8), "a colour image; expected [H, W] under `encoding: id`"),
    ("", np.zeros((4, 5)), "found an array of float64; expected whole numbers"),
    ("", np.array([["road"]]), "found an array of <U4; expected whole numbers"),
    ("", np.ma.masked_array([[0, 1]], [[0, 1]]), "its pixels a value of `void:` first: `labels.filled(255)`"),
    ("", np.array([[2, -1], [-1, 2**40]]), "3 pixels with values that `town v1` does not list: -1 in 2 of them"),
]


@pytest.mark.parametrize(("keys", "array", "message"), REFUSED)
def test_an_array_that_is_no_label_image_is_refused(
    compiled: Compile, keys: str, array: np.ndarray, message: str
) -> None:
    with pytest.raises(LabelValueError, match=re.escape(message).replace(r"\.\*", ".*")):
        compiled("2 a #010203 = car\n", keys).rows(array)


def test_labels_that_are_names_or_segments_are_refused_with_the_way() -> None:
    paths = [TAX / "ok"]
    with pytest.raises(LabelValueError, match="are names, not an array"):
        lsu_onto.load("polygons", source="shore", paths=paths).rows(np.zeros((2, 2), int))
    panoptic = lsu_onto.load("panoptic", source="shore", paths=paths)
    with pytest.raises(LabelValueError, match="give the array of category ids"):
        panoptic.rows(np.zeros((2, 2, 3), np.uint8))
    assert panoptic.rows([[0, 7, 200]]).tolist() == [[-1, 0, 1]]


def test_what_was_looked_up_is_not_sent_to_workers() -> None:
    c = lsu_onto.load_dataset("camvid")
    before = len(pickle.dumps(c))
    c.rows(np.zeros((1, 1, 3), np.uint8))
    assert len(pickle.dumps(c)) == before
    again = pickle.loads(pickle.dumps(c))
    assert again == c and again.rows(np.zeros((1, 1, 3), np.uint8)).shape == (1, 1)


def test_large_category_ids_take_no_large_table(compiled: Compile) -> None:
    c = compiled("1 a = car\n", "void: 255")
    object.__setattr__(c, "raw", np.array([1, 2**32 - 1], np.uint32))
    values = np.array([[0, 1, 2**32 - 1, 2**32]])
    assert c.rows(values, unknown="keep").tolist() == [[ROW_UNKNOWN, 0, ROW_VOID, ROW_UNKNOWN]]
    assert c._row_table.dense is None


@pytest.mark.parametrize("unknown", ["Void", "ignore", ""])
def test_unknown_is_one_of_three(compiled: Compile, unknown: str) -> None:
    with pytest.raises(LabelValueError, match="'error', 'void' or 'keep'"):
        compiled("1 a = car\n").rows([[1]], unknown=unknown)
