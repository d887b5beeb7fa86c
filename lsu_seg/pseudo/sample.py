"""The sample that a labelling run has kept for an audit."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from lsu_onto import Constraint, open_to_read
from lsu_seg.audit.pieces import Piece, fits, merge, raw_values, read_lines
from lsu_seg.audit.sample import Sample, SampleError, renumbered
from lsu_seg.pseudo.output import MANIFEST
from lsu_seg.pseudo.records import read_records, teachers_label


def read_manifest(root: Path) -> dict[str, Any]:
    """What the labels of an output folder depend on.

    Raises:
        SampleError: it is no output folder.
    """
    try:
        with open_to_read(root / MANIFEST) as file:
            manifest = json.loads(file.read())
        if isinstance(manifest, dict) and isinstance(manifest.get("dataset"), str) and "source" in manifest:
            return manifest
    except (FileNotFoundError, NotADirectoryError):
        raise SampleError(
            f"{root}: no folder of pseudo-labels, because it has no {MANIFEST}; name the `out_dir` of a labelling run"
        ) from None
    except OSError as error:
        raise SampleError(f"{root / MANIFEST}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        pass
    raise SampleError(f"{root / MANIFEST}: not the manifest of a labelling run")


def read_sample(root: str | Path) -> Sample:
    """The sample of a labelling run, finished or not: the same for any number of workers.

    Raises:
        SampleError: it is no folder of a labelling run, or one from before runs kept samples, or it has no label yet.
    """
    root = Path(root)
    if not read_manifest(root).get("constrained", True):
        raise SampleError(
            f"{root}: labels of the teacher alone (`raw_dir`), for which nothing is kept; name the folder of the"
            " constrained labels"
        )
    labels = {record["key"]: teachers_label(record) for record in read_records(root)}
    if not labels and (damaged := _more_than(0, root, "records")):
        raise SampleError(
            f"{root}: no record can be read in {damaged}, which is damaged, or another program's; run the labelling"
            " again: it makes anew what has no record"
        )
    if not labels:
        raise SampleError(f"{root}: no image has been labelled yet")
    names: tuple[list[str], list[str]] | None = None
    lines: dict[str, dict[str, Any]] = {}
    heads = 0
    for line in read_lines(root):
        if "rows" in line:
            heads += 1
            names = line["classes"], line["rows"]
        elif labels.get(line["key"]) == line["label"]:
            lines[line["key"]] = line
    pieces = [piece for line in lines.values() if names and (piece := _piece(line, len(names[0]), len(names[1])))]
    if (names is None or not pieces) and (damaged := _more_than(heads, root, "audit")):
        raise SampleError(
            f"{root}: of its {len(labels)} labels, {damaged} has kept nothing that can be read: it is damaged, or of"
            " other labels; label into another folder"
        )
    if names is None or not pieces:
        raise SampleError(
            f"{root}: its {len(labels)} labels were made before labelling runs kept a sample; label into another folder"
        )
    return merge(names[0], names[1], pieces, len(labels))


def _more_than(lines: int, root: Path, kind: str) -> str:
    """The files of a kind, if more than so many lines are written in them; else nothing."""
    files = sorted(root.glob(f"{kind}-*.jsonl"))
    for path in files:
        with open_to_read(path) as file:
            lines -= sum(1 for line in file if line.strip())
    return " and ".join(path.name for path in files) if lines < 0 else ""


def _piece(line: dict[str, Any], classes: int, rows: int) -> Piece | None:
    """None of a damaged line, which is as good as none."""
    try:
        piece = Piece.of(line)
        return piece if fits(piece, classes, rows) else None
    except (ValueError, KeyError, TypeError, OverflowError, zlib.error):
        return None


def in_rows_of(constraint: Constraint, sample: Sample, root: Path) -> Sample:
    """The sample of the labelling run in `root`, in the rows that its raw values have in a constraint.

    Raises:
        SampleError: the constraint has other classes, or other raw values.
    """
    own = raw_values(constraint)
    heads = [line["values"] for line in read_lines(root) if "rows" in line and isinstance(line.get("values"), list)]
    if not heads or sample.classes != constraint.source_classes or len(own) != len(heads[-1]):
        check_classes(root, sample, constraint)
        return sample  # of a version that did not keep the values
    rows = []
    for name, values in zip(sample.rows_of, heads[-1], strict=True):
        same = [d for d, v in enumerate(own) if v == values and (values or constraint.classes[d] == name)]
        if not same:
            check_classes(root, sample, constraint)
            raise SampleError(
                f"{root}: these labels were made when `{name}` had other raw values than any class of"
                f" `{constraint.dataset}` has; label again into another folder"
            )
        rows.append(same[0])
    return renumbered(sample, np.array(rows, np.intp), constraint.classes)


def check_classes(root: Path, sample: Sample, constraint: Constraint) -> None:
    """Refuse a map of other classes than a sample's.

    Raises:
        SampleError: which classes there are only on one side.
    """
    for kind, name, sampled, mapped in (
        ("classes of the dataset", constraint.dataset, sample.rows_of, constraint.classes),
        ("source classes", constraint.source, sample.classes, constraint.source_classes),
    ):
        if sampled == mapped:
            continue
        lost, new = ([f"`{c}`" for c in a if c not in b][:5] for a, b in ((sampled, mapped), (mapped, sampled)))
        sides = [f"{side} {' '.join(names)}" for side, names in (("they lack", new), ("they also have", lost)) if names]
        raise SampleError(
            f"{root}: these labels have other {kind} than `{name}`: {', '.join(sides) or 'the same in another order'};"
            " name the taxonomy that they were made with, or one of the same classes, with `--taxonomy`"
        )
