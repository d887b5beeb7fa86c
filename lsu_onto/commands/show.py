"""`lsu-onto show`."""

from __future__ import annotations

import sys
from typing import Any

import click

from lsu_onto.commands.arguments import colours
from lsu_onto.program import search_path, source_option, taxonomy_argument, text_or_json


@click.command()
@taxonomy_argument()
@click.argument("class_", metavar="[CLASS]", required=False)
@source_option()
@text_or_json
@search_path
def show(name: str, class_: str | None, source: str | None, format_: str, **options: Any) -> None:
    """Show what a pixel of each class may be: S(d), relations, notes, statistics.

    Of a source: channel, group, colour and note of its classes; also of a name that is both a source and a dataset with
    several maps. On a terminal long cells go on below themselves;
    elsewhere every class is one line.

    \b
    Examples:
      lsu-onto show demo_town
      lsu-onto show demo_town pavement
      lsu-onto show demo
    """
    import shutil

    from lsu_onto.library.find import SeveralMapsError
    from lsu_onto.library.library import Library
    from lsu_onto.reporting.table import as_json, as_text

    library = Library(options["search"])
    try:
        ontology = library.ontology(name, source)
    except SeveralMapsError as error:
        if error.source is None:
            raise
        ontology = error.source  # whoever asks for the classes of `cityscapes` wants the source's
        click.echo(f"this is the source; {error}", err=True)
    row = _row(ontology, class_)
    if format_ == "json":
        click.echo(as_json(ontology, row))
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    click.echo(as_text(ontology, row, colours(sys.stdout), width))


def _row(ontology: Any, class_: str | None) -> int | None:
    from lsu_onto.diagnostics import suggest
    from lsu_onto.library.library import TaxonomyError

    if class_ is None:
        return None
    names = {**ontology.dataset.by_other_name, **ontology.dataset.by_name}
    if class_ not in names:
        hint = suggest(class_, names, "without CLASS, all are shown")
        raise TaxonomyError(f"`{ontology.dataset.name}` has no class `{class_}`; {hint}")
    return int(names[class_])
