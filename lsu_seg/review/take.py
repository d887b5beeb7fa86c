"""One import: what people corrected in, corrected labels out."""

from __future__ import annotations

import getpass
import hashlib
import io
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsu_seg.export.labelled import Item, Run, labelled_items, read_runs
from lsu_seg.label_files import container
from lsu_seg.pseudo.corrections import Corrections, Line, inside
from lsu_seg.pseudo.output import OutputFolder, file_sha256
from lsu_seg.review.doubt import Doubts
from lsu_seg.review.errors import ReviewError
from lsu_seg.review.export import corrections_for
from lsu_seg.review.recognise import read_returned
from lsu_seg.review.returned import Returned, all_outside, painted
from lsu_seg.review.tasks import by_name
from lsu_seg.runtime.progress import track

_SHOWN = 20
"""So many problems are listed."""


class _Taken(NamedTuple):
    """A correction that is not written yet. changed: pixels that differ from what was shown; left_out: of these."""

    item: Item
    line: Line
    data: bytes
    changed: int
    left_out: int


def import_corrections(
    path: Path,
    roots: Sequence[Path],
    data_roots: Mapping[str, Path],
    paths: Sequence[str] = (),
    by: str = "",
    clip: bool = False,
) -> list[dict[str, Any]]:
    """Take what people corrected: all of it, or nothing. The same import twice changes nothing.

    Args:
        path: the file or folder that a tool has exported.
        roots, data_roots, paths: as for `export_tasks`.
        by: who corrected, where the tool does not say.
        clip: leave out the pixels that the annotation does not allow; otherwise, these are refused.

    Returns:
        of each image: `dataset`, `key`, and the number of pixels that were `changed`, and of those `left_out`.

    Raises:
        UserError: see `read_runs`, `labelled_items`, `read_returned`; corrections leave S(d), and the message says
            where; an image or a class is not known; another run is writing to the labels.
    """
    runs = read_runs(roots, data_roots, paths)
    corrections = {run.root: corrections_for(run) for run in runs}
    doubts = {run.root: Doubts(corrections[run.root]) for run in runs}
    names = by_name(list({(i.run.name, i.key): i for i in labelled_items(runs, unfinished=True)}.values()))
    tool, images = read_returned(path)
    taken: dict[str, _Taken] = {}
    problems: list[str] = []
    shown = sum(each.shown_images for each in corrections.values())
    for returned in track(images, f"reading {path.name}", shown or len(names)):
        if returned.name in taken:
            problems.append(f"{returned.place}: `{returned.name}` is there twice; leave one of the two out")
            continue
        item = names.get(returned.name)
        if item is None:
            problems.append(
                f"{returned.place}: no image of {', '.join(str(root) for root in roots)} has the name"
                f" `{returned.name}`; names must stay those of `lsu-seg review export`"
            )
            continue
        try:
            one = _take(returned, item, corrections[item.run.root], doubts[item.run.root], by, tool, clip, problems)
        except ReviewError as error:
            problems.append(str(error))
        else:
            taken[returned.name] = one
    if problems:
        more = f"\n  … and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ReviewError(
            f"{path}: nothing is taken, because {len(problems)} corrections cannot be:\n  "
            + "\n  ".join(problems[:_SHOWN])
            + f"{more}\n  help: correct them in the tool and export again"
            + ("" if clip else "; or `--clip` leaves out the pixels that the annotation does not allow")
        )
    if not taken:
        raise ReviewError(
            f"{path}: no image in it has been looked at; submit or save them in the tool, and export again"
        )
    for run in runs:
        own = [one for one in taken.values() if one.item.run is run]
        if own:
            _write(run, own, corrections[run.root], doubts[run.root])
    return [
        {"dataset": one.item.run.name, "key": one.item.key, "changed": one.changed, "left_out": one.left_out}
        for one in taken.values()
    ]


def _take(
    returned: Returned,
    item: Item,
    corrections: Corrections,
    doubts: Doubts,
    by: str,
    tool: str,
    clip: bool,
    problems: list[str],
) -> _Taken:
    """What is corrected in an image. What leaves S(d) is added to `problems`."""
    constraint = item.run.constraint
    digest, data = corrections.shown(item.key) or (item.sums["label"].hex(), item.read_label())
    if returned.shown not in ("", digest):
        raise ReviewError(
            f"{returned.place}: `{item.key}` was shown with another label, and has been exported again since; take what"
            " was corrected in the latest export"
        )
    shown = _decode(data)
    labels = painted(returned, constraint, shown)
    changed = labels != shown
    rows = doubts.annotation(item).load(str(item.own))[1]
    if rows.shape != shown.shape:
        raise ReviewError(
            f"{returned.place}: `{item.own}` is {rows.shape[1]}x{rows.shape[0]} by now, and the label that was shown"
            f" {shown.shape[1]}x{shown.shape[0]}; run the labelling again, and export again"
        )
    wrong = changed & ~inside(constraint, rows, labels)
    if wrong.any() and not clip:
        problems += [f"{item.run.name} {item.key} {o.sentence(constraint)}" for o in all_outside(rows, labels, wrong)]
    pixels = changed & ~wrong
    line, earlier = corrections.line(item.key), corrections.of(item.key)
    if line is not None and earlier is not None and earlier.pixels.shape == pixels.shape:
        kept = earlier.pixels & ~pixels
        if line.shown == digest:  # of the same export: what was not in it then is taken back unless it came again
            kept &= earlier.labels == shown
        labels = np.where(kept, earlier.labels, labels)
        pixels |= kept
    data = corrections.encode(pixels, labels)
    about = Line(
        key=item.key,
        file=hashlib.sha256(data).hexdigest(),
        pixels=int(np.count_nonzero(pixels)),
        shown=digest,
        teacher=item.noted.teacher.hex(),
        annotation=file_sha256(container(item.own)),
        by=returned.by or by or _user(),
        time=returned.time or datetime.now(UTC).isoformat(timespec="seconds"),
        tool=tool,
    )
    return _Taken(item, about, data, int(np.count_nonzero(changed)), int(np.count_nonzero(wrong)))


def _write(run: Run, taken: Sequence[_Taken], corrections: Corrections, doubts: Doubts) -> None:
    """Keep corrections, and put them on top of the labels."""
    c = run.constraint
    keys = {one.item.key for one in taken}
    folder = OutputFolder(run.root, dict(run.manifest), c.source_palette, keys=keys, corrections=corrections)
    with closing(folder):
        for one in track(taken, f"corrections of {run.name}", len(taken)):
            corrections.keep(one.line, one.data)
            correction = corrections.of(one.item.key)
            assert correction is not None  # it was kept just now
            rows = doubts.annotation(one.item).load(str(one.item.own))[1]
            folder.correct(one.item.key, correction, inside(c, rows, correction.labels))


def _decode(data: bytes) -> NDArray[np.int64]:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(data))).astype(np.int64)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name, in a container
        return ""
