"""Compiled loops over labels: what numpy and Pillow give, and no access beyond a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import lsu_onto
from helpers.examples import examples
from lsu_onto import LabelValueError
from lsu_onto.raster import loops
from lsu_seg.label_files import LabelReader, count_rows, of_each_row

pytest.importorskip("numba")


def both_ways(function: Callable[..., Any], *args: Any) -> list[Any]:
    """The results without and with compiled loops."""
    out = []
    for done in (0, loops.WORTH):
        with mock.patch.object(loops._Work, "done", done):
            assert (lsu_onto.compiled_loops(0) is None) == (done == 0)
            out.append(function(*args))
    return out


@settings(max_examples=examples(60))
@given(st.integers(0, 99), st.integers(1, 9), st.integers(1, 30), st.sampled_from([1, 7, 300]), st.booleans())
def test_rows_are_counted_and_looked_up(seed: int, height: int, width: int, classes: int, runs: bool) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(-3, classes, (height, width)).astype(np.int16)
    if runs:
        rows[:, width // 3 :] = rows[0, 0]
    plain, compiled = both_ways(count_rows, rows, classes)
    assert compiled.tolist() == plain.tolist() == np.bincount(rows[rows >= 0], minlength=classes).tolist()
    known = np.maximum(rows, -1)
    for dtype in (np.uint8, np.uint16, np.int64):
        table = rng.integers(0, 256, classes + 1).astype(dtype)
        plain, compiled = both_ways(of_each_row, table, known)
        assert compiled.dtype == plain.dtype == dtype
        assert compiled.tolist() == plain.tolist() == table[known].tolist()
        for wrong in (np.full_like(rows, -2), np.full_like(rows, classes)):
            for done in (0, loops.WORTH):
                with (
                    mock.patch.object(loops._Work, "done", done),
                    pytest.raises(LabelValueError, match="which is void"),
                ):
                    of_each_row(table, wrong)
    every_second = known[:, ::2]
    assert np.array_equal(*both_ways(of_each_row, table.astype(np.uint8), every_second))


@pytest.mark.parametrize("encoding", ["id", "id16", "id16/1000", "instance-ids", "rgb"])
def test_labels_have_the_same_rows_and_unlisted_values(encoding: str, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 6, (7, 5)).repeat(9, 0).repeat(9, 1).astype(np.uint16)
    stored = {
        "id": values.astype(np.uint8),
        "id16": values,
        "id16/1000": values * 1000 + 7,
        "instance-ids": np.where((values % 2 == 1) | (values == 0), values, values * 1000 + 3).astype(np.uint16),
        "rgb": np.stack([values * 20, values, values * 3], -1).astype(np.uint8),
    }[encoding]
    Image.fromarray(stored).save(tmp_path / "a.png")
    lines = [f"{i}  c{i}  #{i * 20:02x}{i:02x}{i * 3:02x}  -> any" for i in range(5)]  # the last value is not listed
    head = ["tax 1", "dataset town v1 -> demo v1", f"encoding: {encoding}"]
    (tmp_path / "town.tax").write_text("\n".join([*head, *lines, ""]))
    reader = LabelReader(lsu_onto.load(tmp_path / "town.tax"), unknown="keep")
    plain, compiled = both_ways(reader.inspect, tmp_path / "a.png")
    assert np.array_equal(compiled.rows, np.where(values < 5, values, -2).astype(np.int16))
    assert np.array_equal(compiled.rows, plain.rows)
    assert np.array_equal(compiled.raw, plain.raw)
    assert compiled.unknown == plain.unknown


def test_a_value_that_the_table_lacks_is_an_error() -> None:
    with mock.patch.object(loops._Work, "done", loops.WORTH):
        compiled = lsu_onto.compiled_loops(0)
    assert compiled is not None
    with pytest.raises(IndexError, match="the value 5 in a table of 3"):
        compiled.look_up(np.zeros(3, np.int16), np.array([1, 5], np.uint16))
