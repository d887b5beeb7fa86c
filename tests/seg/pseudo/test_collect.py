"""What a labelling run keeps for an audit, against the teacher's evidence and the labels."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import lsu_onto
from helpers.tiny import label_config, read, save_checkpoint, write_park, write_tax
from lsu_onto import ROW_VOID
from lsu_seg.audit.draw import per_image
from lsu_seg.audit.sample import SampleError
from lsu_seg.pseudo.run import pseudo_label
from lsu_seg.pseudo.sample import read_sample
from lsu_seg.runtime.lines import LineFile

IMAGES = {f"{i:02}": [0, 1, 2, 3, 4, 5, ROW_VOID] for i in range(6)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    write_tax(root / "tax")
    save_checkpoint(root / "teacher.pth")
    return root


def run(world: Path, work: Path, **options: object) -> dict[str, np.ndarray]:
    """Label the park anew, and return its rows by key."""
    rows = write_park(work / "park", IMAGES)
    dataset = dict(taxonomy=str(world / "tax/park.tax"), data_root=str(work / "park"), split="train")
    cfg = label_config(dataset, work, **options)
    pseudo_label(cfg, world / "teacher.pth", quiet=True)
    return {f"labels/train/{stem}": r for stem, r in rows.items()}


def test_a_sample_says_what_label_and_teacher_say(world: Path, tmp_path: Path) -> None:
    rows = run(world, tmp_path, scales=(1.0, 1.5))
    sample = read_sample(tmp_path / "labels")
    assert list(sample.keys) == sorted(rows)
    assert sample.images == len(rows) and not sample.unasked.any()
    assert sample.p.shape == (len(sample.row), len(sample.classes))
    assert np.abs(sample.p.astype(int).sum(1) - 255).max() <= len(sample.classes)
    for i, key in enumerate(sample.keys):
        here = sample.image == i
        y, x = sample.place[here].T
        assert (rows[key][y, x] == sample.row[here]).all()
        assert len({*zip(y.tolist(), x.tolist(), strict=True)}) == here.sum()  # no pixel twice
        for row in np.unique(rows[key]):
            of_row = here & (sample.row == row)
            pixels = np.count_nonzero(rows[key] == row)
            assert of_row.sum() == min(per_image(len(rows)), pixels)
            assert sample.weight[of_row].sum() == pytest.approx(pixels)
            assert sample.pixels[i, row] == pixels  # the last column is ROW_VOID, which is -1
    assert sample.grid_row.shape == sample.grid_top.shape[:3] == (len(rows), 36, 64)
    assert (sample.grid_top[..., 0] < len(sample.classes)).all()
    # In closed rows that leave a choice, the label is the class of S(d) with the largest p, but for ties of 8 bits.
    park = lsu_onto.load(world / "tax/park.tax")
    chosen = 0
    for i, (row, (y, x)) in enumerate(zip(sample.row.tolist(), sample.place.tolist(), strict=True)):
        if row != ROW_VOID and park.relabel[row] < 0 and not park.allowed[row, -1]:
            label = read(tmp_path / "labels" / f"{sample.keys[sample.image[i]]}.png")[y, x]
            assert sample.p[i, label] >= sample.p[i, park.allowed[row, :-1]].max() - 1
            chosen += 1
    assert chosen > 100


def test_a_piece_of_another_label_does_not_count(world: Path, tmp_path: Path) -> None:
    run(world, tmp_path)
    out = tmp_path / "labels"
    before = read_sample(out)
    lines = (out / "audit-0.jsonl").read_text().splitlines()
    stale = json.loads(lines[1]) | {"label": "0" * 64, "size": [1, 1]}
    damaged = [json.dumps(json.loads(lines[1]) | change) for change in ({"drawn": 3}, {"key": []}, {"p": "?"})]
    (out / "audit-0.jsonl").write_text("\n".join([*damaged, *lines, json.dumps(stale), "[]", lines[2][:40]]))
    assert (read_sample(out).p == before.p).all()
    assert (read_sample(out).size == before.size).all()
    run(world, tmp_path)  # goes on in the folder
    assert (read_sample(out).p == before.p).all()


def test_folders_without_a_sample_are_told_apart(world: Path, tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="no folder of pseudo-labels"):
        read_sample(tmp_path)
    run(world, tmp_path)
    (tmp_path / "labels/audit-0.jsonl").unlink()
    with pytest.raises(SampleError, match="before labelling runs kept a sample"):
        read_sample(tmp_path / "labels")


@pytest.fixture(scope="module")
def labelled(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("labelled")
    run(world, work)
    return work / "labels"


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("records-0.jsonl", "", "no image has been labelled yet"),
        ("records-0.jsonl", "# a page\n", "no record can be read in records-0.jsonl, which is damaged, or another"),
        ("audit-0.jsonl", "# a page\n", "of its 6 labels, audit-0.jsonl has kept nothing that can be read"),
        ("audit-0.jsonl", "", "its 6 labels were made before labelling runs kept a sample"),
    ],
)
def test_what_is_damaged_is_not_said_to_be_missing(
    labelled: Path, tmp_path: Path, file: str, text: str, said: str
) -> None:
    shutil.copytree(labelled, tmp_path / "labels")
    (tmp_path / "labels" / file).write_text(text)
    with pytest.raises(SampleError, match=said):
        read_sample(tmp_path / "labels")


@pytest.mark.parametrize("file", ["manifest.json", "records-0.jsonl", "audit-0.jsonl"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(labelled: Path, tmp_path: Path, file: str) -> None:
    shutil.copytree(labelled, tmp_path / "labels")
    (tmp_path / "labels" / file).unlink()
    os.mkfifo(tmp_path / "labels" / file)
    with pytest.raises((SampleError, OSError), match="it is a pipe"):
        read_sample(tmp_path / "labels")
    with pytest.raises(OSError, match="it is a pipe or a device"):
        LineFile(tmp_path / "labels" / file)
