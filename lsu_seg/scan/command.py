"""The command. Its imports are local, so that `--help` starts fast; torch is not among them."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.argument("taxonomy")
@click.option(
    "--data-root", required=True, type=click.Path(exists=True, file_okay=False), help="Folder of the dataset."
)
@click.option("--split", "splits", multiple=True, help="Split to read (repeatable).  [default: all that are there]")
@click.option("--source", help="Source taxonomy, where there are maps to several.")
@click.option(
    "--path",
    "search",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    help="Folder with taxonomies, before the shipped ones (repeatable).",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Of what is printed.",
)
@click.option("--html", type=click.Path(dir_okay=False), help="Also write a page there.")
@click.option(
    "--unknown",
    type=click.Choice(["error", "void"]),
    default="error",
    show_default=True,
    help="What values are that the taxonomy does not list.",
)
@click.option("--jobs", type=click.IntRange(1), help="Processes.  [default: one per core]")
@click.option("--max-pixels", type=click.IntRange(1), help="Refuse larger labels.  [default: 2^29]")
@click.option(
    "--work-dir",
    default="work/scan",
    show_default=True,
    help="Folder of what was read: a further scan reads only what has changed.",
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
    jobs: int | None,
    max_pixels: int | None,
    work_dir: str,
    fresh: bool,
) -> None:
    """Look through a dataset before any GPU is touched: what is missing, damaged, or not what TAXONOMY says.

    Exits with 0 if there is no problem (warnings do not count), 1 if there are some, 2 if it was called wrongly. A
    scan that was stopped goes on where it was.

    \b
    Examples:
      lsu-seg scan cityscapes --data-root data/cityscapes --split train
      lsu-seg scan mydata.tax --data-root data/mydata --html scan.html
      lsu-seg scan idd --data-root data/idd --source cityscapes --format json > scan.json
    """
    from lsu_onto import TaxonomyError
    from lsu_seg.encodings import MAX_PIXELS, write_atomic
    from lsu_seg.scan import run
    from lsu_seg.scan.collect import WorkerError
    from lsu_seg.scan.page import page
    from lsu_seg.scan.text import as_json, as_text

    if html and not Path(html).absolute().parent.is_dir():
        raise click.UsageError(f"`--html {html}`: there is no such folder")
    try:
        constraint, _ = run.load_taxonomy(taxonomy, source, search)
        for split in splits:
            known = constraint.layout.splits
            if known and split not in known:
                raise click.UsageError(f"there is no split `{split}`; the taxonomy has {', '.join(known)}")
        report = run.scan(
            taxonomy,
            data_root,
            splits,
            source,
            paths=search,
            work_dir=work_dir,
            jobs=jobs or 0,
            fresh=fresh,
            unknown_is_void=unknown == "void",
            max_pixels=max_pixels or MAX_PIXELS,
        )
        if html:
            write_atomic(html, page(report).encode())
    except TaxonomyError as error:
        _stop(2, str(error))
    except WorkerError as error:
        _stop(1, str(error))
    except OSError as error:
        _stop(1, f"{error.filename or 'input or output'}: {error.strerror or error}")
    except KeyboardInterrupt:
        _stop(130, "interrupted; what was read is kept, and the same command goes on after it")
    click.echo(as_json(report) if format_ == "json" else as_text(report, sys.stdout.isatty()).rstrip("\n"))
    sys.exit(1 if report.errors else 0)


def _stop(code: int, text: str) -> None:
    click.echo(f"error: {text}", err=True)
    sys.exit(code)
