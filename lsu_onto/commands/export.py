"""`lsu-onto export`."""

from __future__ import annotations

import click

from lsu_onto.commands.arguments import put
from lsu_onto.exchange import EXPORTS
from lsu_onto.program import OutputPath, search_path, source_option, taxonomy_argument


@click.command()
@taxonomy_argument()
@click.option("--to", "format_", type=click.Choice(list(EXPORTS)), required=True, help="The format.")
@click.option("-o", "--output", type=OutputPath(dir_okay=False), metavar="FILE", help="Default: standard output.")
@source_option()
@search_path
def export(name: str, format_: str, output: str | None, source: str | None, search: tuple[str, ...]) -> None:
    """Write an ontology in another format. NAME is a taxonomy or a `.tax` file.

    \b
    json   both taxonomies and every relation, in a versioned envelope
    csv    one row per dataset class; `import --from csv` reads it back
    sssom  a mapping set: facts as TSV, decisions in its YAML header
    skos   two concept schemes in Turtle; needs the extra [skos]
    mmseg  METAINFO, num_classes, and a label map where S(d) is one class
    md     a page with a table of classes

    \b
    Examples:
      lsu-onto export demo_town --to csv
      lsu-onto export demo_town --to sssom -o town.sssom.tsv
      lsu-onto export field.tax --to md -o field.md
    """
    from lsu_onto.exchange import export as export_
    from lsu_onto.library.library import Library

    put(export_(Library(search).ontology(name, source), format_), output)
