"""`lsu-onto export`."""

from __future__ import annotations

import click

from lsu_onto.commands.arguments import fail, put, search_path
from lsu_onto.exchange import EXPORTS


@click.command()
@click.argument("name")
@click.option("--to", "format_", type=click.Choice(list(EXPORTS)), required=True, help="The format.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), metavar="FILE", help="Default: standard output.")
@click.option("--source", help="The source taxonomy, where NAME has maps to several.")
@search_path
def export(name: str, format_: str, output: str | None, source: str | None, search: tuple[str, ...]) -> None:
    """Write an ontology in another format. NAME is a taxonomy or a `.tax` file.

    \b
    json   both taxonomies and every relation, in a versioned envelope
    csv    one row per dataset class; `import --from csv` reads it back
    sssom  a mapping set (TSV with a YAML header); facts only, no decisions
    skos   two concept schemes in Turtle; needs the extra [skos]
    mmseg  METAINFO, num_classes, and a label map where S(d) is one class
    md     a page with a table of classes

    \b
    Examples:
      lsu-onto export demo_town --to csv
      lsu-onto export demo_town --to sssom -o town.sssom.tsv
      lsu-onto export field.tax --to md -o field.md
    """
    from lsu_onto.exchange import ExchangeError
    from lsu_onto.exchange import export as export_
    from lsu_onto.library.library import Library, TaxonomyError

    try:
        text = export_(Library(search).ontology(name, source), format_)
    except (TaxonomyError, ExchangeError) as e:
        fail(e)
    put(text, output)
