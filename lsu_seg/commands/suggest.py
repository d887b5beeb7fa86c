"""`lsu-seg suggest`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsu_onto.program import Command, FolderPath, first_map_options, need_new, put_new_map, taxonomy_argument
from lsu_seg.commands.arguments import ask_options, set_option

if TYPE_CHECKING:
    from lsu_onto import FirstMap, NameOdds
    from lsu_seg.audit.sample import Sample


@click.command(cls=Command, interrupted="what the teacher was asked is kept, and the same command goes on after it")
@taxonomy_argument("target", metavar="NAME | OUT_DIR")
@click.option("--data-root", type=FolderPath(exists=True), help="Folder of the dataset.")
@ask_options
@set_option()
@first_map_options(required=False)
def suggest(
    target: str,
    source: str | None,
    output: str | None,
    format_: str,
    search: tuple[str, ...],
    **asking: Any,
) -> None:
    """Write a first map of a dataset, from what a teacher sees in each class and from what the classes are called.

    NAME is a dataset that has no map to the source yet. Names are compared as by `lsu-onto suggest`; without a
    teacher, nothing else is. Uncertain rows get everything that may be in them, and a note with TODO; each row says why
    it is as it is. It is a draft: read it, and then check it with `lsu-seg audit`.

    OUT_DIR is a labelling run of such a dataset, whose sample is used.

    \b
    Examples:
      lsu-seg suggest mydata.tax --source cityscapes
      lsu-seg suggest mydata.tax --source cityscapes --data-root data --teacher segformer.py --checkpoint segformer.pth
      lsu-seg suggest mydata.tax --source cityscapes -o -
    """
    import lsu_onto
    from lsu_seg.audit.suggest import seen_as_json
    from lsu_seg.audit.suggest import suggest as suggested

    need_new(output or "", format_)
    asking = {key: value for key, value in asking.items() if value}
    sample: Sample | None = None
    if is_run := Path(target).is_dir() and "teacher" not in asking:
        sample, target, source = _of_run(Path(target), source)
    _check_options(asking, is_run)
    if source is None:
        raise click.UsageError("--source is missing: the taxonomy that the classes are related to")
    names = lsu_onto.by_name(target, source, search)
    everything = lsu_onto.FirstRow(tuple(range(len(names.source_classes) + 1)))
    empty = lsu_onto.first_map(target, source, [everything] * len(names.classes), [], search)
    file = output or empty.file
    _check_new(file, format_)
    if sample is not None:
        _check_classes(sample, names)
    elif "teacher" in asking:
        sample = _ask(names, empty, search, **asking)
    if sample is None:
        drawn, more = lsu_onto.suggest_map(target, source, search, names), []
    else:
        rows, sight = suggested(sample, names)
        drawn = lsu_onto.suggest_map(target, source, search, names, rows, "names and what a teacher sees")
        more = seen_as_json(sight, names)
    report = drawn.as_json(file, more) if format_ == "json" else drawn.as_text()
    put_new_map(drawn.made.text, report, file, format_, drawn.made.next_step(file, target, search))


def _check_options(asking: dict[str, Any], is_run: bool) -> None:
    if "teacher" in asking and "data_root" not in asking:
        raise click.UsageError("--data-root is missing: the folder of the dataset")
    if asking and "teacher" not in asking:
        option = next(iter(asking)).replace("_", "-").replace("options", "set")
        why = "labels in a folder are as they are" if is_run else "without one, names alone are compared"
        raise click.UsageError(f"`--{option}` belongs to a teacher, who is asked with --teacher …; {why}")


def _check_new(file: str, format_: str) -> None:
    from lsu_seg.pseudo.errors import check_output

    need_new(file, format_)
    if file != "-":
        check_output(Path(file).resolve().parent, {})  # now, and not after the teacher was asked


def _of_run(root: Path, source: str | None) -> tuple[Sample, str, str]:
    """The sample of a labelling run, its dataset, and the source."""
    from lsu_seg.pseudo.sample import read_manifest, read_sample

    manifest = read_manifest(root)
    return read_sample(root), str(manifest["dataset"]), source or str(manifest["source"])


def _check_classes(sample: Sample, names: NameOdds) -> None:
    from lsu_seg.audit.sample import SampleError

    if (sample.rows_of, sample.classes) != (names.classes, names.source_classes):
        raise SampleError(
            f"the labels are of other classes than `{names.dataset}` and `{names.source}` have; label them anew, or"
            " name the taxonomies that they were made with"
        )


def _ask(
    names: NameOdds,
    empty: FirstMap,
    search: tuple[str, ...],
    data_root: str,
    work_dir: str = "work/audit",
    **asking: Any,
) -> Sample:
    """What the teacher says under a map that allows everything. An audit of the map to come reads it again."""
    import tempfile

    import lsu_onto
    from lsu_seg.pseudo.sampling import drawn_sample

    with tempfile.TemporaryDirectory() as folder:  # in `work_dir`, a search path would find it beside the map to come
        file = Path(folder) / "any.tax"
        lsu_onto.write_atomic(file, empty.text.encode("utf-8", "backslashreplace"))
        paths = [*search, *empty.files]
        asked = drawn_sample(Path(work_dir), str(file), names.source, paths, data_root, **asking)
    return asked.sample
