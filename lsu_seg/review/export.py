"""One export of tasks: labelling runs in, a folder for a tool out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsu_onto import write_atomic
from lsu_seg.errors import UserError
from lsu_seg.export.labelled import Item, Run, labelled_items, read_runs
from lsu_seg.export.orientation import as_stored
from lsu_seg.export.target import target
from lsu_seg.pseudo.corrections import Corrections, corrections_of
from lsu_seg.review import to_cvat, to_fiftyone, to_labelstudio
from lsu_seg.review.choose import choose
from lsu_seg.review.doubt import Doubts, all_doubts, read_label
from lsu_seg.review.errors import ReviewError
from lsu_seg.review.tasks import Task, by_name, class_name, colours, file_of, name_of
from lsu_seg.runtime.progress import progress

_TOOLS = {"cvat": to_cvat, "labelstudio": to_labelstudio, "fiftyone": to_fiftyone}


def corrections_for(run: Run) -> Corrections:
    """What people corrected in the labels of a run.

    Raises:
        ReviewError: these are the teacher's labels alone, which nobody corrects.
    """
    if not run.manifest.get("constrained", True):
        raise ReviewError(
            f"{run.root}: labels of the teacher alone (`raw_dir`), which serve for comparison; name the folder of the"
            " constrained labels"
        )
    c = run.constraint
    return Corrections(corrections_of(run.root), f"{c.source} {c.source_version}", c.source_classes)


def export_tasks(
    roots: Sequence[Path],
    output: Path,
    tool: str,
    data_roots: Mapping[str, Path],
    paths: Sequence[str] = (),
    number: int = 50,
) -> list[dict[str, Any]]:
    """Write the images that the teacher was least sure of as tasks of a tool. A stopped export resumes.

    Args:
        roots: the folders of labels.
        tool: one of `TOOLS`.
        data_roots, paths: as for `read_runs`.
        number: of images, at most. Those that people have looked at come again once the teacher labels them otherwise.

    Returns:
        what `review.json` says of each.

    Raises:
        UserError: see `read_runs`, `labelled_items`, `target`; there is nothing to look at; or the disk refuses to
            write.
    """
    runs = read_runs(roots, data_roots, paths)
    corrections = {run.root: corrections_for(run) for run in runs}
    doubts = {run.root: Doubts(corrections[run.root]) for run in runs}
    items = list({(i.run.name, i.key): i for i in labelled_items(runs, unfinished=True)}.values())
    by_name(items)
    waiting = [item for item in items if not _is_done(item, corrections[item.run.root])]
    try:
        waiting, pixels, doubt = _doubts(runs, waiting, doubts)
        chosen = choose(pixels, doubt, number)
        if not chosen:
            seen = len(items) - len(waiting)
            reasons = [f"people have looked at {seen} of {len(items)} labels"] if seen else []
            if waiting:
                others = "others" if seen else f"{len(items)} labels"
                reasons.append(f"the teacher was sure of every pixel of the {others}")
            labels = ", ".join(str(run.root) for run in runs)
            raise ReviewError(f"{labels}: {', and '.join(reasons)}: there is nothing to look at")
        picked = [waiting[image] for image, _ in chosen]
        with (
            target(output, picked, {"to": tool}),
            progress(f"tasks for {output.resolve().name}", len(chosen)) as advance,
        ):
            documents = []

            def tasks() -> Iterator[Task]:
                for image, channel in chosen:
                    item = waiting[image]
                    share = float(doubt[image].sum()) / max(1, item.noted.pixels)
                    images = output / _TOOLS[tool].IMAGES
                    task = _task(images, item, doubts[item.run.root], channel, round(share, 4))
                    corrections[item.run.root].show(item.key, item.read_label())
                    documents.append(task.document())
                    yield task
                    advance(1)

            _TOOLS[tool].write(output, tasks(), colours(runs[0]))
            write_atomic(output / "review.json", json.dumps({"tool": tool, "images": documents}, indent=1).encode())
    except UserError:
        raise
    except OSError as error:
        where = error.filename or output
        raise ReviewError(f"{where}: {error.strerror or error}; the same command goes on from there") from error
    return documents


def _doubts(
    runs: Sequence[Run], items: Sequence[Item], doubts: Mapping[Path, Doubts]
) -> tuple[list[Item], NDArray[np.int64], NDArray[np.float32]]:
    """The images run by run, with what `all_doubts` knows of all of them."""
    ordered: list[Item] = []
    parts = []
    for run in runs:
        own = [item for item in items if item.run is run]
        ordered += own
        parts.append(all_doubts(run, own, doubts[run.root]))
    return ordered, np.sum([p for p, _ in parts], axis=0), np.concatenate([d for _, d in parts])


def _is_done(item: Item, corrections: Corrections) -> bool:
    """Whether people have looked at what the teacher says of an image now."""
    line = corrections.line(item.key)
    return line is not None and line.teacher == item.noted.teacher.hex()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def _task(images: Path, item: Item, doubts: Doubts, channel: int, doubt: float) -> Task:
    data = item.read_image()
    file, stored = file_of(item, data), as_stored(item.image, data)
    if _size(images / file) != len(stored):  # a power cut may leave an empty file
        write_atomic(images / file, stored, sync=False)  # not links: tools often run elsewhere
    return Task(
        item,
        name_of(item.run.name, item.key),
        file,
        read_label(item),
        item.sums["label"].hex(),
        class_name(item.run.constraint, channel),
        doubts.regions(item),
        doubt,
    )
