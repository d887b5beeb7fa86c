"""`lsu-onto suggest`."""

from __future__ import annotations

import click

from lsu_onto.program import first_map_options, need_new, put_new_map, taxonomy_argument


@click.command()
@taxonomy_argument()
@first_map_options(required=True)
def suggest(name: str, source: str, output: str | None, format_: str, search: tuple[str, ...]) -> None:
    """Write a first map of a dataset, from what its classes are called.

    NAME is a dataset that has no map to the source yet. The names, official labels, aliases and groups of its classes
    are compared with those of the source, and with what the maps of other datasets on the search path say of such
    names. Each row says why it is as it is, and how certain. Rows that are not certain get everything that may be in
    them, and a note with TODO. It is a draft: read every row. `lsu-seg suggest` also asks a teacher what the pictures
    show.

    \b
    Examples:
      lsu-onto suggest mydata.tax --source cityscapes
      lsu-onto suggest mydata.tax --source cityscapes --path my_taxonomies -o -
      lsu-onto suggest mydata.tax --source cityscapes --format json > rows.json
    """
    from lsu_onto.starter.suggest import suggest_map

    need_new(output or "", format_)
    suggested = suggest_map(name, source, search)
    file = output or suggested.made.file
    need_new(file, format_)
    report = suggested.as_json(file) if format_ == "json" else suggested.as_text()
    put_new_map(suggested.made.text, report, file, format_, suggested.made.next_step(file, name, search))
