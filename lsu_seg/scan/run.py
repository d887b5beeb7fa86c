"""The scan of a dataset, from its name to its report."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

import lsu_onto
from lsu_onto import Constraint, TaxonomyError
from lsu_seg.gallery.candidates import Candidates, Sighting
from lsu_seg.label_files import MAX_PIXELS, LabelFileError, LabelReader
from lsu_seg.layout.pairs import DatasetError, Pair, overlap, survey
from lsu_seg.runtime.progress import progress
from lsu_seg.scan import guess
from lsu_seg.scan.collect import Inspector, Record, Task, cores, inspect_all
from lsu_seg.scan.state import State, default_path, label_space
from lsu_seg.scan.totals import Report, Totals, report

SAMPLE = 64
"""Images of a split that are decoded unless all are: if one in twenty is damaged, this shows it 96 times in 100."""


def load_taxonomy(name: str, source: str | None, paths: Sequence[str] = ()) -> tuple[Constraint, str]:
    """The dataset with a map to a source if there is one, and the reason if there is none.

    Raises:
        TaxonomyError: the dataset does not exist, its classes have errors, or it has no valid map to `source`.
    """
    alone = lsu_onto.load_dataset(name, paths)
    try:
        return lsu_onto.load(name, source, paths), ""
    except TaxonomyError as error:
        if source:
            raise
        if error.diagnostics:
            why = f"the map has {len(error.diagnostics)} error(s), which `lsu-onto validate` shows"
        else:
            why = f"{error}; with `--source`, ambiguous pixels are reported as well"
        return alone, why


def scan(
    name: str,
    data_root: str | Path,
    splits: Sequence[str] = (),
    source: str | None = None,
    *,
    paths: Sequence[str] = (),
    work_dir: str | Path = "work/scan",
    jobs: int = 0,
    fresh: bool = False,
    deep: bool = False,
    unknown_is_void: bool = False,
    max_pixels: int = MAX_PIXELS,
    candidates: Candidates | None = None,
) -> Report:
    """Scan a dataset.

    Args:
        name, source, paths: as for `lsu_onto.load`; the map may be missing or unfinished.
        splits: splits of the taxonomy; empty means all splits that exist.
        work_dir: where records are kept, so that another scan reads only changed files.
        jobs: processes; 0 means one per core.
        deep: decode every image, not only a sample of each split.
        candidates: gets the images that show each class best.

    Raises:
        TaxonomyError: see `load_taxonomy`. WorkerError: a process was killed from outside.
    """
    constraint, why = load_taxonomy(name, source, paths)
    root, totals = Path(data_root), Totals(constraint, unknown_is_void)
    if why:
        totals.find("map", f"nothing is said of ambiguity: {why}")
    pairs: dict[str, list[Pair]] = {}
    for split, missing in _choose(constraint, splits):
        try:
            surveyed = survey(root, constraint.layout, split)
        except (DatasetError, LabelFileError) as error:
            totals.find("absent" if missing else "split", str(error))
            continue
        pairs[split] = surveyed.pairs
        totals.add_survey(surveyed)
    if not pairs and "absent" in totals.findings:  # missing splits are then the problem itself
        lost = totals.findings.pop("absent")
        for text in lost.examples:
            totals.find("split", text)
    for image, first, second in overlap(pairs):
        totals.find("overlap", f"{image} is in `{first}` and in `{second}`")
    total, before = sum(map(len, pairs.values())), 0
    for split, of_split in pairs.items():
        reader = LabelReader(constraint, unknown="keep", max_pixels=max_pixels, root=str(root), split=split)
        try:
            reader.prepare()
        except LabelFileError as error:
            totals.find("label", str(error))
            continue
        path = default_path(Path(work_dir), constraint.dataset, split, root)
        title = f"{constraint.dataset} {split}".strip()
        with State.open(path, label_space(reader), fresh) as state, progress(title, len(of_split)) as advance:
            tasks = _tasks(of_split, deep)
            for number, (pair, record) in enumerate(_records(Inspector(reader), tasks, state, jobs or cores()), before):
                totals.add(pair, record)
                if candidates is not None and "rows" in record and "image" not in record:
                    candidates.add(number / total, record["rows"], Sighting(pair, reader))
                advance()
        before += len(of_split)
    guess.look(totals, paths)
    return report(totals, str(root), list(pairs), total)


def _choose(constraint: Constraint, splits: Sequence[str]) -> list[tuple[str, bool]]:
    """The splits to read, each with whether it may be missing."""
    if splits:
        return [(s, False) for s in splits]
    return [(s, True) for s in constraint.layout.splits] or [("", False)]


def _tasks(pairs: Sequence[Pair], deep: bool) -> list[Task]:
    """What to do for each pair: the images to decode are all, or some from the first to the last."""
    n = len(pairs)
    chosen = range(n) if deep else {i * (n - 1) // max(SAMPLE - 1, 1) for i in range(SAMPLE)}
    return [Task(pair, i in chosen) for i, pair in enumerate(pairs)]


def _records(inspector: Inspector, tasks: Sequence[Task], state: State, jobs: int) -> Generator[tuple[Pair, Record]]:
    """The record of each pair in order, stored or newly read: a stopped scan ends in the same report."""
    todo = [todo for task in tasks if (todo := _rest(task, state.get(task.pair)))]
    new = {task.pair.key for task in todo}
    with closing(inspect_all(inspector, todo, max(1, min(jobs, len(todo) // 4)))) as records:
        for task in tasks:
            pair, kept = task.pair, None if task.pair.key in new else state.get(task.pair)
            if kept is None:
                pair, kept = next(records)
                if "again" not in kept:
                    state.add(pair, kept)
            yield pair, kept


def _rest(task: Task, kept: Record | None) -> Task | None:
    """What is left to do for a pair, given the record of an earlier scan; None if nothing is."""
    if kept is None:
        return task
    if not task.decode or "decoded" in kept or "image" in kept:
        return None
    return task._replace(known=kept)
