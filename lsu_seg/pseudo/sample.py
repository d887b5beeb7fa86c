"""The sample that a labelling run has kept for an audit."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

from lsu_seg.audit.pieces import Piece, merge, read_lines
from lsu_seg.audit.sample import Sample, SampleError
from lsu_seg.pseudo.output import MANIFEST
from lsu_seg.pseudo.records import read_records


def read_manifest(root: Path) -> dict[str, Any]:
    """What the labels of an output folder depend on.

    Raises:
        SampleError: it is no output folder.
    """
    try:
        manifest = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
        if isinstance(manifest, dict) and isinstance(manifest.get("dataset"), str) and "source" in manifest:
            return manifest
    except OSError as error:
        raise SampleError(
            f"{root}: no folder of pseudo-labels, because it has no {MANIFEST} ({error.strerror}); name the `out_dir`"
            " of a labelling run"
        ) from None
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
    labels = {record["key"]: record["files"].get("label") for record in read_records(root)}
    if not labels:
        raise SampleError(f"{root}: no image has been labelled yet")
    names: tuple[list[str], list[str]] | None = None
    pieces: dict[str, Piece] = {}
    for line in read_lines(root):
        if "rows" in line:
            names = line["classes"], line["rows"]
        elif labels.get(line["key"]) == line["label"]:
            try:
                pieces[line["key"]] = Piece.of(line)
            except (ValueError, KeyError, TypeError, zlib.error):  # a damaged line is as good as none
                continue
    if names is None or not pieces:
        raise SampleError(
            f"{root}: its {len(labels)} labels were made before labelling runs kept a sample; label into another folder"
        )
    return merge(names[0], names[1], pieces.values(), len(labels))
