"""Corrections as they are kept: of any number of classes, over several workers' records, and after a stop."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from helpers.output_folder import KEYS, MANIFEST, PALETTE, RECORD, arrays
from helpers.tiny import VOID
from lsu_seg.pseudo.corrections import Corrections, Line
from lsu_seg.pseudo.label import Correction, Label
from lsu_seg.pseudo.output import OutputFolder
from lsu_seg.pseudo.records import Records, checksum


@pytest.mark.parametrize(("classes", "void"), [(5, 255), (255, 255), (256, 65535), (300, 65535)])
def test_a_correction_comes_back_as_it_was(tmp_path: Path, classes: int, void: int) -> None:
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, (6, 8))
    labels[0], labels[1, 0] = void, classes - 1
    pixels = rng.random((6, 8)) < 0.5
    (tmp_path / "corrections.jsonl").write_bytes(b"")  # what a kill leaves that comes before the first line
    corrections = Corrections(tmp_path, "source v1", [f"c{i}" for i in range(classes)])
    data = corrections.encode(pixels, labels)
    corrections.keep(Line("a/b", checksum(data), 1, "s", "t", "u", "ann", "now", "cvat"), data)
    for opened in (corrections, Corrections(tmp_path, "source v1", [f"c{i}" for i in range(classes)])):
        found = opened.of("a/b")
        assert found is not None
        assert (found.pixels == pixels).all()
        assert (found.labels[pixels] == labels[pixels]).all()
        assert found.annotation == "u"


def test_corrections_are_certain_in_every_file_of_a_label(tmp_path: Path) -> None:
    key = KEYS[0]
    made = arrays(key)
    folder = OutputFolder(tmp_path, MANIFEST, PALETTE)
    pixels = np.zeros((24, 40), bool)
    pixels[:2] = True
    correction = Correction("0" * 64, pixels, np.where(np.arange(40) < 20, 3, VOID) + np.zeros((24, 1), int))
    allowed = np.ones_like(pixels)
    allowed[1] = False
    folder.write(key, record=RECORD, **made, correction=correction, allowed=allowed)
    folder.close()
    paths = {"label": "{}.png", "confidence": "confidence/{}.png", "soft": "soft/{}.npz"}
    read = {name: (tmp_path / path.format(key)).read_bytes() for name, path in paths.items()}
    label = Label.of(read)
    assert label.labels[0].tolist() == [3] * 20 + [VOID] * 20
    assert (label.labels[1:] == made["labels"][1:]).all()
    assert label.confidence is not None
    assert (label.confidence[0] == 1).all()
    assert label.soft is not None
    classes, shares = label.soft
    assert (classes[0, 0] == label.labels[0]).all()
    assert (classes[1, 0] == VOID).all()
    assert shares[:, 0].tolist() == [[1] * 40, [0] * 40]
    assert (classes[:, 1:] == made["soft"][0][:, 1:]).all()
    assert folder.left_out == {key: 40}
    assert label.files(tmp_path, PALETTE) == read  # what is read is what is written


def test_a_record_that_is_made_anew_counts_whoever_made_the_first(tmp_path: Path) -> None:
    """The last record of a key is that in the last file, and a run with fewer workers has no such file of its own."""
    files = itertools.cycle([{"label": "1" * 64}, {"label": "2" * 64}])
    for rank in (2, 0):
        records = Records(tmp_path, rank)
        records.append({"key": "a", "files": next(files)})
        records.close()
    assert Records(tmp_path, 0).made["a"].label() == "2" * 64
