"""`lsu-onto render`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from lsu_onto.program import OutputPath, search_path, source_option, taxonomy_argument


@click.command()
@taxonomy_argument()
@click.option("-o", "--output", type=OutputPath(dir_okay=False), help="Default: NAME.svg. The suffix sets the format.")
@source_option()
@click.option(
    "--view",
    type=click.Choice(["map", "tree", "matrix"]),
    default="map",
    show_default=True,
    help="The relations, the groups, or the matrix of S(d); an html opens with it.",
)
@search_path
def render(name: str, output: str | None, source: str | None, view: str, **options: Any) -> None:
    """Draw an ontology as svg, png, pdf, html or dot. Needs no `dot` program.

    An html has all three views on one page, with search; pointing at a class
    shows what it may be, and its notes. It opens from disk, without a network.

    \b
    Examples:
      lsu-onto render demo_town
      lsu-onto render field.tax -o field.html
      lsu-onto render field.tax -o field.png --view matrix
      lsu-onto render demo --view tree -o demo.pdf
    """
    from lsu_onto.library.library import Library
    from lsu_onto.render import FORMATS, draw

    library = Library(options["search"])
    target = Path(output or f"{Path(re.sub(r'[.]tax(?= |$)', '', name)).name}.svg")
    if target.suffix.lower()[1:] not in FORMATS:
        raise click.UsageError(
            f"cannot draw `{target}`: the suffix must be one of {', '.join(f'`.{f}`' for f in FORMATS)}"
        )
    draw(library.ontology(name, source), target, view)
    click.echo(target)
