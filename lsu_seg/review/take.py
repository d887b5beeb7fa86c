"""One import: what people corrected in, corrected labels out."""

from __future__ import annotations

import getpass
import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lsu_seg.export.labelled import Item, Run, labelled_items, read_runs
from lsu_seg.label_files import own_pixels, void_index
from lsu_seg.pseudo.corrections import Corrections, Line, inside
from lsu_seg.pseudo.output import OutputFolder, some_of
from lsu_seg.review.doubt import Doubts
from lsu_seg.review.errors import ReviewError
from lsu_seg.review.export import corrections_for
from lsu_seg.review.recognise import read_returned
from lsu_seg.review.returned import Returned, all_outside, painted
from lsu_seg.review.tasks import by_name
from lsu_seg.runtime.progress import track

_SHOWN = 20
"""So many problems are listed."""


class _Spool:
    """Corrections that are not taken yet: in a file without a name, because all of them may not fit into memory.

    Args:
        folder: on the disk that they are for.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by whoever has made this

    def close(self) -> None:
        with suppress(OSError):  # of a full disk, which tries again to write what it had no space for
            self._file.close()

    def put(self, data: bytes) -> tuple[int, int]:
        """Keep the bytes; returns their place."""
        try:
            start = self._file.seek(0, os.SEEK_END)
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._folder)) from error  # writes do not name it
        return start, len(data)

    def get(self, place: tuple[int, int]) -> bytes:
        start, length = place
        self._file.seek(start)
        return self._file.read(length)


class _Taken(NamedTuple):
    """A correction that is not written yet. changed: pixels that differ from what was shown; left_out: of these.

    place: of its bytes in the spool. is_blank: nothing is painted any more on an image on which something was.
    """

    item: Item
    line: Line
    place: tuple[int, int]
    changed: int
    left_out: int
    is_blank: bool


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
        of each image: `dataset`, `key`, the number of pixels that were `changed`, and of those `left_out`; and whether
        it is `blank`: nothing is painted on it any more.

    Raises:
        UserError: see `read_runs`, `labelled_items`, `read_returned`; corrections leave S(d), and the message says
            where; an image or a class is not known; another run is writing to the labels, or has corrected the same
            images meanwhile.
    """
    runs = read_runs(roots, data_roots, paths)
    corrections = {run.root: corrections_for(run) for run in runs}
    with closing(_Spool(runs[0].root)) as spool:
        return _import(path, runs, corrections, spool, by, clip)


def _import(
    path: Path, runs: Sequence[Run], corrections: Mapping[Path, Corrections], spool: _Spool, by: str, clip: bool
) -> list[dict[str, Any]]:
    doubts = {run.root: Doubts(corrections[run.root]) for run in runs}
    names = by_name(list({(i.run.name, i.key): i for i in labelled_items(runs, unfinished=True)}.values()))
    tool, images = read_returned(path)
    taken: dict[str, _Taken] = {}
    problems: list[str] = []
    outside: list[str] = []
    shown = sum(each.shown_images for each in corrections.values())
    for returned in track(images, f"reading {path.name}", shown or len(names)):
        if returned.name in taken:
            problems.append(f"{returned.place}: `{returned.name}` is there twice; leave one of the two out")
            continue
        item = names.get(returned.name)
        if item is None:
            problems.append(
                f"{returned.place}: no image of {', '.join(str(run.root) for run in runs)} has the name"
                f" `{returned.name}`; name all folders that were exported (`--work`), and leave files their names"
            )
            continue
        try:
            one = _take(
                returned, item, corrections[item.run.root], doubts[item.run.root], spool, by, tool, clip, outside
            )
        except ReviewError as error:
            problems.append(str(error))
        else:
            taken[returned.name] = one
    if problems or outside:
        problems += outside
        more = f"\n  … and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ReviewError(
            f"{path}: nothing is taken; problems: {len(problems)}\n  "
            + "\n  ".join(problems[:_SHOWN])
            + f"{more}\n  help: correct them in the tool and export again"
            + ("; or `--clip` leaves out the pixels that the annotation does not allow" if outside else "")
        )
    if not taken:
        raise ReviewError(
            f"{path}: no image in it has been looked at; submit or save them in the tool, and export again"
        )
    if (path / "review.json").is_file() and not any(one.changed for one in taken.values()):
        raise ReviewError(
            f"{path}: these are the tasks of `lsu-seg review export`, and nobody has changed any; name what the tool"
            " has exported"
        )
    by_run = {run.root: [one for one in taken.values() if one.item.run is run] for run in runs}
    with ExitStack() as stack:
        folders = {}
        for run in filter(lambda run: by_run[run.root], runs):  # all are ours before anything is written
            keys = {one.item.key for one in by_run[run.root]}
            manifest, palette = dict(run.manifest), run.constraint.source_palette
            folder = OutputFolder(run.root, manifest, palette, keys=keys, corrections=corrections[run.root])
            folders[run.root] = stack.enter_context(closing(folder))
            _check_unchanged(run, keys, corrections[run.root])
        for root, folder in folders.items():
            try:
                _write(folder, by_run[root], corrections[root], doubts[root], spool)
            except OSError as error:
                where = f"{error.filename or root}: {error.strerror or error}"
                raise ReviewError(f"{where}; the same import goes on from there") from error
    return [
        {
            "dataset": one.item.run.name,
            "key": one.item.key,
            "changed": one.changed,
            "left_out": one.left_out,
            "blank": one.is_blank,
        }
        for one in taken.values()
    ]


def _take(
    returned: Returned,
    item: Item,
    corrections: Corrections,
    doubts: Doubts,
    spool: _Spool,
    by: str,
    tool: str,
    clip: bool,
    outside: list[str],
) -> _Taken:
    """What is corrected in an image. What leaves S(d) is added to `outside`."""
    constraint = item.run.constraint
    digest, data = corrections.shown(item.key) or (item.sums["label"].hex(), item.read_label())
    if not digest.startswith(returned.shown):
        raise ReviewError(
            f"{returned.place}: `{item.key}` was shown with another label than that of the latest export; take what was"
            " corrected in the tasks of that one"
        )
    shown = own_pixels(item.label, data).astype(np.int64)
    labels = painted(returned, constraint, shown)
    changed = labels != shown
    is_blank = bool(changed.any() and (labels == void_index(constraint.num_classes)).all())
    rows = doubts.annotation(item).load(str(item.own))[1]
    if rows.shape != shown.shape:
        raise ReviewError(
            f"{returned.place}: `{item.own}` is {rows.shape[1]}x{rows.shape[0]} by now, and the label that was shown"
            f" {shown.shape[1]}x{shown.shape[0]}; run the labelling again, and export again"
        )
    wrong = changed & ~inside(constraint, rows, labels)
    if wrong.any() and not clip:
        outside += [f"{item.run.name} {item.key} {o.sentence(constraint)}" for o in all_outside(rows, labels, wrong)]
    pixels = changed & ~wrong
    line, earlier = corrections.in_place(item.key)
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
        annotation=doubts.annotation_sha256(item),
        by=returned.by or by or _user(),
        time=returned.time or datetime.now(UTC).isoformat(timespec="seconds"),
        tool=tool,
    )
    return _Taken(item, about, spool.put(data), int(np.count_nonzero(changed)), int(np.count_nonzero(wrong)), is_blank)


def _check_unchanged(run: Run, keys: Iterable[str], corrections: Corrections) -> None:
    """Check that the corrections of some images are still those that new ones were put on top of.

    Raises:
        ReviewError: another import has replaced some.
    """
    now = corrections_for(run)
    if changed := sorted(key for key in keys if now.line(key) != corrections.line(key)):
        raise ReviewError(
            f"{run.root}: another import has corrected some of these images meanwhile ({some_of(changed)}); nothing is"
            " taken: import again"
        )


def _write(
    folder: OutputFolder, taken: Sequence[_Taken], corrections: Corrections, doubts: Doubts, spool: _Spool
) -> None:
    """Keep corrections, and put them on top of the labels."""
    run = taken[0].item.run
    for one in track(taken, f"corrections of {run.name}", len(taken)):
        corrections.keep(one.line, spool.get(one.place))
        correction = corrections.of(one.item.key)
        assert correction is not None  # it was kept just now
        rows = doubts.annotation(one.item).load(str(one.item.own))[1]
        folder.correct(one.item.key, correction, inside(run.constraint, rows, correction.labels))


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name, in a container
        return ""
