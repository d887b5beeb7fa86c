"""`lsu-onto init`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsu_onto.commands.arguments import refuse_inputs
from lsu_onto.errors import UserError
from lsu_onto.program import FolderPath, OutputPath, search_path, source_option

if TYPE_CHECKING:
    from lsu_onto.ontology.model import Source
    from lsu_onto.starter.guess_layout import GuessedLayout


@click.command()
@click.argument("argument", metavar="[NAME]", required=False)
@click.option("--name", help="The same as NAME. Default: from the CSV file or the folder.")
@source_option("The source taxonomy that the classes will be related to.")
@click.option("--from-csv", metavar="FILE", help="A class list: `id,name,color,…`; only `name` is needed.")
@click.option(
    "--from-labels",
    multiple=True,
    metavar="DIR_OR_GLOB",
    help="Label files, PNG or TIFF (repeatable). Needs Pillow: the extra [labels].",
)
@click.option(
    "--data-root",
    type=FolderPath(exists=True),
    metavar="DIR",
    help="The dataset's folder: guess `images:`, `labels:` and `splits:`. Alone, its labels are read as well.",
)
@click.option(
    "--encoding",
    default="auto",
    show_default=True,
    metavar="ENCODING",
    help="How files store classes: id, id16, id16/1000, instance-ids, rgb …; auto: look at the files.",
)
@click.option("-o", "--output", metavar="FILE", type=OutputPath(".tax", dir_okay=False), help="Default: NAME.tax.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@search_path
def init(argument: str | None, name: str | None, from_labels: tuple[str, ...], **options: Any) -> None:
    """Begin a `.tax` file: a commented one, or the classes of a CSV list or of label files.

    No relation is made up: each class is marked TODO, and `lsu-onto validate` asks for those that are open. What was
    guessed (encoding, void) says so in its note. Exit code 0: written, 1: not, or some files could not be read.

    \b
    Examples:
      lsu-onto init mydata --source cityscapes
      lsu-onto init mydata --source cityscapes --from-csv classes.csv
      lsu-onto init mydata --source cityscapes --from-labels data/labels
      lsu-onto init mydata --source cityscapes --data-root data
      lsu-onto init mydata --from-labels 'data/**/*_labelIds.png' --encoding id
    """
    if argument and name and argument != name:
        raise click.UsageError(f"the name is given twice, `{argument}` and `{name}`")
    if options["from_csv"] and from_labels:
        raise click.UsageError("--from-csv and --from-labels exclude each other; the values go into the CSV as `id`")
    name = _name(argument or name, options["from_csv"], from_labels)
    target = Path(options["output"] or f"{name}.tax")
    if target.exists() and not options["force"]:
        raise UserError(f"`{target}` is there already; take another name with -o, or replace it with --force")
    refuse_inputs(str(target), filter(None, [options["from_csv"]]), options["source"], options["search"])
    refused = _make(name, target, from_labels, **options)
    if refused:
        raise UserError(
            f"{len(refused)} file{'s' * (len(refused) != 1)} could not be read, so that values may be missing:\n"
            + "\n".join(refused[:5])
            + ("\n…" if len(refused) > 5 else "")
        )


def _name(name: str | None, csv: str | None, labels: tuple[str, ...]) -> str:
    from lsu_onto.exchange.draft import identifier, name_problem

    if name is None:
        folder = Path(labels[0]) if len(labels) == 1 and Path(labels[0]).is_dir() else None
        if csv is None and folder is None:
            raise click.UsageError("the dataset needs a name: `lsu-onto init NAME …`")
        return identifier(Path(csv).stem.lower() if csv else folder.resolve().name.lower() if folder else "")
    if problem := name_problem(name):
        raise click.UsageError(problem)
    return name


def _make(name: str, target: Path, labels: tuple[str, ...], **options: Any) -> list[str]:
    """Write the file and say what comes next; returns the label files that could not be read."""
    from lsu_onto.exchange.skeleton import need_source
    from lsu_onto.files import as_bytes, write_atomic
    from lsu_onto.starter.draft_file import from_csv, from_labels, starter

    source = need_source(options["source"], options["search"]) if options["source"] else None
    encoding, refused, summary = options["encoding"], [], "a commented file to fill in"
    _check_encoding(encoding)
    layout = _layout(options["data_root"])
    places = layout.keys() if layout else []
    if options["from_csv"]:
        stated = None if encoding == "auto" else encoding
        text, found = from_csv(options["from_csv"], name, source, stated, options["search"], places)
        for line in found:
            click.echo(line, err=True)
        summary = f"the classes of {options['from_csv']}"
    elif labels or layout:
        from lsu_onto.starter.guess import guess_storage
        from lsu_onto.starter.label_values import find, scan

        files, others = (layout.label_files, 0) if layout and not labels else find(labels)
        scanned = scan(files)
        storage = guess_storage(scanned, encoding)
        text, refused = from_labels(storage, name, source, places), scanned.refused
        void = f", void {storage.void}" if storage.void else ", no void value"
        summary = f"{len(storage.values)} classes in {scanned.files} label files, encoding {storage.encoding}{void}"
        if others:
            what = "1 file that is" if others == 1 else f"{others} files that are"
            click.echo(f"passed over {what} neither PNG nor TIFF", err=True)
    else:
        text = starter(name, source, "id" if encoding == "auto" else encoding)
    write_atomic(target, as_bytes(text))
    _next(target, text, summary, source, options["search"])
    if layout:
        click.echo(
            f"  lsu-seg scan {target} --data-root {options['data_root']}   what the files hold, and what is wrong"
        )
    return refused


def _layout(root: str | None) -> GuessedLayout | None:
    if root is None:
        return None
    from lsu_onto.starter.guess_layout import guess_layout

    return guess_layout(root)


def _check_encoding(encoding: str) -> None:
    import re

    from lsu_onto.ontology.keys import ENCODINGS

    if encoding not in ("auto", *ENCODINGS) and not re.fullmatch(r"id16/[1-9]\d{0,4}", encoding):
        known = ", ".join(f"`{e}`" for e in ENCODINGS)
        raise click.UsageError(f"`{encoding}` is no encoding; known are {known}, and `auto`")


_ASKED = ("TAX301", "TAX012")
"""With which `validate` asks for what is marked TODO."""


def _next(target: Path, text: str, summary: str, source: Source | None, search: tuple[str, ...]) -> None:
    from lsu_onto.library.library import Library
    from lsu_onto.reporting.findings import concise
    from lsu_onto.starter.draft_file import TODO

    if source and Library(search).source(f"{source.name} {source.version}") is None:
        search = (*search, str(Path(source.span.file).parent))  # it was given by its path
    path = "".join(f" --path {p}" for p in search)
    todo = text.count(f"{TODO}:")
    wrong = [d for d in Library(search).check(str(target), text).errors if d.code not in _ASKED]
    if wrong:  # relations of a list
        click.echo(concise(wrong, {}), err=True)
    click.echo(f"wrote {target}: {summary}")
    click.echo("next:")
    click.echo(f"  open it, and settle what is marked {TODO} ({todo}) or called a guess")
    if source:
        click.echo(f"  lsu-onto validate {target}{path}   asks for each class that is not related yet")
        click.echo(f"  lsu-onto show {target}{path}       what a pixel of each class may be then")
    else:
        click.echo(f"  lsu-onto validate {target}{path}   silent when all is well")
