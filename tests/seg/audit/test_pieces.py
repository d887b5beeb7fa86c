"""How the pieces of images become a sample, and how its rows are numbered anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lsu_onto import ROW_VOID
from lsu_seg.audit import pieces
from lsu_seg.audit.draw import lots
from lsu_seg.audit.pieces import Piece, merge
from lsu_seg.audit.sample import GRID, Sample, renumbered

ROWS = ("x", "y")
KEYS = [f"image {i}" for i in range(9)]


def piece(key: str) -> Piece:
    """Two of ten pixels of the first row, one of four of void; the teacher was not asked of the second row."""
    arrays = {
        "p": np.full((3, 2), 100, np.uint8),
        "agree": np.ones(3, bool),
        "place": np.arange(6, dtype=np.uint16).reshape(3, 2),
        "grid_row": np.zeros(GRID, np.int16),
        "grid_top": np.zeros((*GRID, 2), np.uint16),
    }
    return Piece(key, (8, 8), (10, 50, 4), {0: 2, len(ROWS): 1}, (1,), arrays)


@pytest.fixture
def sample(monkeypatch: pytest.MonkeyPatch) -> Sample:
    """Of 900 images, nine of which have a piece, where three are drawn for each row, and two for the grids."""
    monkeypatch.setattr(pieces, "IMAGES", 3)
    monkeypatch.setattr(pieces, "GRIDS", 2)
    return merge(("a", "b"), ROWS, map(piece, KEYS), 900)


def test_the_images_with_the_smallest_lots_are_drawn(sample: Sample) -> None:
    def smallest(place: int, number: int) -> set[str]:
        return set(sorted(KEYS, key=lambda key: lots(key, len(ROWS))[place])[:number])

    for row, place in ((0, 0), (ROW_VOID, 2)):
        assert {sample.keys[i] for i in sample.image[sample.row == row]} == smallest(place, 3) != set(KEYS[:3])
    assert {sample.keys[i] for i in sample.grid_image} == smallest(3, 2)


def test_pixels_stand_for_those_that_were_not_drawn(sample: Sample) -> None:
    assert sample.weight[sample.row == 0].tolist() == [5.0] * 6
    assert sample.weight[sample.row == ROW_VOID].tolist() == [4.0] * 3
    assert sample.unasked.tolist() == [0, 900, 0]  # as in each of the images with a grid


def test_rows_are_numbered_anew(sample: Sample) -> None:
    rows = np.array([0, 1, 2, ROW_VOID, 1], np.int16)
    grid = np.resize(rows, (1, *GRID))
    before = replace(sample, rows_of=("x", "y", "z"), row=rows, grid_row=grid)
    before = replace(before, pixels=np.arange(8).reshape(2, 4), unasked=np.arange(4))
    after = renumbered(before, np.array([1, 2, 0]), ("z", "x", "y"))
    names = [*after.rows_of, "void"]
    assert [names[r] for r in after.row] == ["x", "y", "z", "void", "y"]
    assert (after.grid_row == np.resize(after.row, (1, *GRID))).all()
    assert after.pixels.tolist() == [[2, 0, 1, 3], [6, 4, 5, 7]]
    assert after.unasked.tolist() == [2, 0, 1, 3]
