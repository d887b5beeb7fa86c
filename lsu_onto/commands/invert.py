"""`lsu-onto invert`."""

from __future__ import annotations

import click

from lsu_onto.commands.arguments import put_taxonomy, refuse_inputs, taxonomy_output
from lsu_onto.program import search_path, source_option, taxonomy_argument


@click.command()
@taxonomy_argument()
@source_option()
@taxonomy_output
@search_path
def invert(name: str, source: str | None, output: str | None, search: tuple[str, ...]) -> None:
    """Write a source's classes in the terms of a dataset: its map backwards.

    The file has the dataset's classes as a source, and the channels of the source as a dataset with a map to it. So
    predictions in the source can be shown or judged in the dataset's classes, where one follows from the other, and
    `compose` leads on to them from other datasets. A source class lies inside one class if the map says so (`>`, `=`);
    others may be void, too, which is whatever the dataset does not annotate. Classes that no row names are listed.

    \b
    Examples:
      lsu-onto invert idd --source vistas -o vistas_in_idd.tax
    """
    from lsu_onto.algebra.channels import inverted
    from lsu_onto.library.library import Library

    library = Library(search)
    ontology = library.ontology(name, source)
    refuse_inputs(output, ontology.files, None, search)
    text, unstated = inverted(library, ontology, output)
    put_taxonomy(text, output)
    if unstated:
        total = len(ontology.source.classes)
        click.echo(f"no row holds {len(unstated)} of {total} classes: {' '.join(unstated)}", err=True)
