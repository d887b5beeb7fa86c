"""`lsu-seg export-dataset`."""

from __future__ import annotations

from pathlib import Path

import click

from lsu_onto.program import Command, FolderPath, search_path
from lsu_seg.commands.arguments import Output
from lsu_seg.export import FORMATS


def _data_roots(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, Path]:
    roots: dict[str, Path] = {}
    for value in values:
        name, equals, folder = value.partition("=")
        if not equals or Path(value).is_dir():
            name, folder = "", value
        if not Path(folder).is_dir():
            raise click.BadParameter(f"there is no folder `{folder}`")
        if name in roots:
            raise click.BadParameter(f"{f'`{name}`' if name else 'a folder for all datasets'} is given twice")
        roots[name] = Path(folder)
    return roots


data_roots_option = click.option(
    "--data-root",
    "data_roots",
    multiple=True,
    required=True,
    callback=_data_roots,
    metavar="[NAME=]DIR",
    help="Folder of the dataset NAME, or of all that are not named (repeatable).",
)


@click.command(
    name="export-dataset",
    cls=Command,
    interrupted="what is written is kept, and the same command resumes after it",
)
@click.argument("labels", nargs=-1, required=True, metavar="LABELS...", type=FolderPath(exists=True))
@click.option("--to", "format_", type=click.Choice(FORMATS), required=True, help="The format.")
@data_roots_option
@click.option("-o", "--output", type=Output(file_okay=False), required=True, metavar="DIR", help="Folder to write to.")
@click.option(
    "--copy", is_flag=True, help="Copy images and labels instead of linking to them; `hf` and `webdataset` always do."
)
@click.option(
    "--unfinished", is_flag=True, help="Also export runs that are not finished: the images that they have labelled."
)
@search_path
def export_dataset(
    labels: tuple[str, ...],
    format_: str,
    data_roots: dict[str, Path],
    output: str,
    copy: bool,
    unfinished: bool,
    search: tuple[str, ...],
) -> None:
    """Write labelled datasets as one dataset for other programs. A stopped export resumes.

    LABELS are output folders of `lsu-seg pseudo-label`, or folders that hold some, such as the work folder of `unify`.
    All have the classes of one source.

    \b
    hf             Parquet shards for `datasets.load_dataset`, with a dataset card; needs the extra [parquet]
    webdataset     tar shards for `webdataset`
    folder         images/, labels/ and confidence/ as links, classes.json
    coco-panoptic  a JSON and PNGs of segments, each class of an image one segment

    \b
    Examples:
      lsu-seg export-dataset out/idd --data-root data/idd --to hf -o export/idd
      lsu-seg export-dataset out/idd out/acdc --data-root idd=data/idd --data-root acdc=data/acdc --to folder -o union
    """
    from lsu_seg.export.run import export_dataset as export
    from lsu_seg.pseudo.audited import labelling_runs

    roots = list(dict.fromkeys(run for folder in labels for run in labelling_runs(Path(folder))))
    count = export(roots, Path(output), format_, data_roots, search, copy, unfinished)
    click.echo(f"{count} image{'s' * (count != 1)} in {output}")
