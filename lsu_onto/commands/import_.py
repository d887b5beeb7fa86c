"""`lsu-onto import`."""

from __future__ import annotations

from typing import Any

import click

from lsu_onto.commands.arguments import put_taxonomy, refuse_inputs, taxonomy_output
from lsu_onto.exchange import IMPORTS
from lsu_onto.program import search_path, source_option


@click.command(name="import")
@click.argument("inputs", nargs=-1, required=True, metavar="FILE_OR_DIR...")
@click.option("--from", "format_", type=click.Choice(list(IMPORTS)), required=True, help="The format.")
@taxonomy_output
@click.option("--name", help="The taxonomy's name. Default: from the file or folder.")
@click.option("--taxonomy-version", "version", default="v1", show_default=True, metavar="V", help="Its version.")
@click.option(
    "--as",
    "kind",
    type=click.Choice(["dataset", "source"]),
    default="dataset",
    show_default=True,
    help="What a class list becomes (all formats but data-priors).",
)
@source_option("The source taxonomy that the classes are related to, by name.")
@click.option(
    "--source-from",
    "source_from",
    multiple=True,
    type=click.Path(),
    metavar="FILE",
    help="data-priors: write the source section from this mapping file's rows (repeatable).",
)
@click.option("--column", help="mseg: the dataset's column, e.g. `idd-39`.")
@click.option("--encoding", help="How raw values are stored: id, id16, id16/1000, rgb (not sssom).")
@click.option("--void", help="Raw values that mean `not annotated`, e.g. `255` (not sssom).")
@search_path
def import_(inputs: tuple[str, ...], format_: str, output: str | None, **options: Any) -> None:
    """Make a `.tax` file from class lists and mappings of others.

    Labels that match nothing, are listed twice, or are in no mapping are printed with file, line and column, and
    kept as notes in the output.

    \b
    csv          `id,name,color,…` lists, `_classes.csv` of Roboflow, and what
                 `export --to csv` writes
    json         lists of CVAT, Supervisely (meta.json), Mapillary (config.json),
                 nuScenes (category.json), COCO, and `id2label`
    xml          Label Studio's labeling interface, CVAT's annotations.xml
    labelmap     labelmap.txt of CVAT, label_colors.txt of CamVid
    data-priors  a folder, or labels.csv and master_labels_SOURCE.csv files
    mseg         MSeg_master.tsv, with TAXONOMY_names.txt for the raw values
    sssom        a mapping set: the map of a dataset that is on the search path, or
                 a dataset without raw values
    mmseg        module:Class, file.py:Class, or a JSON of classes and palette

    \b
    Examples:
      lsu-onto import --from csv cityscapes.csv --as source -o cityscapes.tax
      lsu-onto import --from csv idd.csv --source cityscapes --void 255 -o idd.tax
      lsu-onto import --from data-priors IDD/master_labels_cityscapes.csv \\
          --source-from IDD/master_labels_cityscapes.csv -o idd.tax
      lsu-onto import --from json project/meta.json --source cityscapes -o project.tax
      lsu-onto import --from mseg MSeg_master.tsv idd-39_names.txt --column idd-39
      lsu-onto import --from sssom rugd.sssom.tsv --source offroad -o rugd_to_offroad.tax
      lsu-onto import --from mmseg mmseg.datasets.cityscapes:CityscapesDataset --as source
    """
    from lsu_onto.exchange import ExchangeError, Options
    from lsu_onto.exchange import import_ as read
    from lsu_onto.library.library import Library
    from lsu_onto.reporting.findings import concise

    _usage(format_, options)
    refuse_inputs(output, [*inputs, *options["source_from"]], options["source"], options["search"])
    imported = read(format_, inputs, Options(**options))
    for finding in imported.findings:
        click.echo(str(finding), err=True)
    # A file that is not sound is written all the same: it is easier to mend than the table that it came from.
    name = output or "imported.tax"
    errors = Library(options["search"]).check(name, imported.text).errors
    put_taxonomy(imported.text, output)
    count = sum(f.severity == "warning" for f in imported.findings)
    if count:
        click.echo(f"{count} warning{'s' * (count != 1)} in what was imported", err=True)
    if errors:
        click.echo(concise(errors, {}), err=True)
        corrections = f"{len(errors)} correction{'s' * (len(errors) != 1)}"
        raise ExchangeError(f"`{name}` needs {corrections}; `lsu-onto validate` shows the places")


_RAW_VALUES = tuple(name for name in IMPORTS if name != "sssom")
_OPTIONS_OF = {"column": ("mseg",), "source_from": ("data-priors",), "encoding": _RAW_VALUES, "void": _RAW_VALUES}
"""Option → the formats that it says something about. With others it would change nothing."""


def _usage(format_: str, options: dict[str, Any]) -> None:
    import re

    from lsu_onto.exchange.draft import name_problem

    for key, formats in _OPTIONS_OF.items():
        if options[key] and format_ not in formats:
            option = "--" + key.replace("_", "-")
            raise click.UsageError(
                f"`{option}` changes nothing with `--from {format_}`: it belongs to {', '.join(formats)}; leave it out"
            )

    name, version = options["name"], options["version"]
    if name is not None and (problem := name_problem(name)):
        raise click.UsageError(problem)
    if not re.fullmatch(r"v\d+(\.\d+)*", version):
        raise click.UsageError(f"`{version}` is not a version such as `v1` or `v2.1`")
