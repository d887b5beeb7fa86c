"""`lsu-seg scan`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lsu_onto.program import (
    Command,
    FolderPath,
    OutputPath,
    search_path,
    source_option,
    taxonomy_argument,
    text_or_json,
)
from lsu_seg.commands.arguments import UNKNOWN, Output, say_written


@click.command(cls=Command, refused=2, interrupted="what was read is kept, and the same command goes on after it")
@taxonomy_argument("taxonomy")
@click.option("--data-root", required=True, type=FolderPath(exists=True), help="Folder of the dataset.")
@click.option(
    "--split",
    "splits",
    multiple=True,
    callback=lambda _, __, values: tuple(dict.fromkeys(",".join(values).replace(",", " ").split())),
    help="Split to read, or several: train,val (repeatable).  [default: all that are there]",
)
@source_option()
@search_path
@text_or_json
@click.option(
    "--html", type=Output(".html", dir_okay=False), help="Also write an HTML page with pictures of each class."
)
@click.option(
    "--unknown",
    type=UNKNOWN,
    default="error",
    show_default=True,
    help="What to do with raw values that the taxonomy does not list.",
)
@click.option("--deep", is_flag=True, help="Decode every image, not only 64 of each split.")
@click.option("--jobs", type=click.IntRange(1), help="Processes.  [default: one per core]")
@click.option("--max-pixels", type=click.IntRange(1), help="Refuse larger labels.  [default: 2^29]")
@click.option(
    "--work-dir",
    type=OutputPath(),
    default="work/scan",
    show_default=True,
    help="Folder for what was read, so that a further scan reads only what has changed.",
)
@click.option("--fresh", is_flag=True, help="Read everything again.")
def scan(
    taxonomy: str,
    data_root: str,
    splits: tuple[str, ...],
    source: str | None,
    search: tuple[str, ...],
    format_: str,
    html: str | None,
    unknown: str,
    deep: bool,
    jobs: int | None,
    max_pixels: int | None,
    work_dir: str,
    fresh: bool,
) -> None:
    """Look through a dataset before any GPU is touched: what is missing, damaged, or not what TAXONOMY says.

    Exits with 0 if there is no problem (warnings do not count), 1 if there are some, 2 if it could not run. A
    stopped scan resumes.

    \b
    Examples:
      lsu-seg scan cityscapes --data-root data/cityscapes --split train
      lsu-seg scan mydata.tax --data-root data/mydata --html scan.html
      lsu-seg scan idd --data-root data/idd --source cityscapes --format json > scan.json
    """
    from lsu_onto import write_atomic
    from lsu_seg.gallery.candidates import Candidates
    from lsu_seg.gallery.gallery import make_gallery
    from lsu_seg.label_files import MAX_PIXELS
    from lsu_seg.pseudo.errors import check_output
    from lsu_seg.scan import run
    from lsu_seg.scan.page import page
    from lsu_seg.scan.text import as_json, as_text

    if html and not _is_device(Path(html)):
        check_output(Path(html).resolve().parent, {})  # now, and not after the scan
    constraint, _ = run.load_taxonomy(taxonomy, source, search)
    for split in splits:
        known = constraint.layout.splits
        if known and split not in known:
            raise click.UsageError(f"there is no split `{split}`; the taxonomy has {', '.join(known)}")
    candidates = Candidates() if html else None
    report = run.scan(
        taxonomy,
        data_root,
        splits,
        source,
        paths=search,
        work_dir=work_dir,
        jobs=jobs or 0,
        fresh=fresh,
        deep=deep,
        unknown_is_void=unknown == "void",
        max_pixels=max_pixels or MAX_PIXELS,
        candidates=candidates,
    )
    if html and candidates is not None:
        write_atomic(html, page(report, make_gallery(candidates)).encode("utf-8", "backslashreplace"))
    click.echo(as_json(report) if format_ == "json" else as_text(report, sys.stdout.isatty()).rstrip("\n"))
    say_written(html, err=format_ == "json")
    sys.exit(1 if report.errors else 0)


def _is_device(path: Path) -> bool:
    """Whether it is a device or a pipe, such as `/dev/stdout`: in its folder, nothing is made."""
    return path.exists() and not path.is_file()
