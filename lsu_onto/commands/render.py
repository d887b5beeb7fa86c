"""`lsu-onto render`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from lsu_onto.program import OutputPath, search_path, source_option, taxonomy_argument


@click.command()
@taxonomy_argument()
@click.argument("on", nargs=-1, metavar="[SOURCE SOURCE...]")
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
def render(name: str, on: tuple[str, ...], output: str | None, source: str | None, view: str, **options: Any) -> None:
    """Draw an ontology as svg, png, pdf, html or dot. Needs no `dot` program.

    An html has all three views on one page, with search; pointing at a class
    shows what it may be, and its notes. It opens from disk, without a network.

    With the names of sources behind NAME, the maps in a row are drawn side by side, as `compose` follows them.

    \b
    Examples:
      lsu-onto render demo_town
      lsu-onto render field.tax -o field.html
      lsu-onto render field.tax -o field.png --view matrix
      lsu-onto render demo --view tree -o demo.pdf
      lsu-onto render bdd100k cityscapes offroad -o chain.svg
    """
    from lsu_onto.library.library import Library
    from lsu_onto.render import FORMATS, draw

    library = Library(options["search"])
    target = Path(output or f"{Path(re.sub(r'[.]tax(?= |$)', '', name)).name}.svg")
    if target.suffix.lower()[1:] not in FORMATS:
        raise click.UsageError(
            f"cannot draw `{target}`: the suffix must be one of {', '.join(f'`.{f}`' for f in FORMATS)}"
        )
    if len(on) == 1 or (on and source):
        raise click.UsageError(
            "the one source of a map is given by --source; a chain has a source on the way and a last one"
        )
    first, *chain = _chain(library, (name, *on)) if on else [library.ontology(name, source)]
    draw(first, target, view, chain)
    click.echo(target)


def _chain(library: Any, names: tuple[str, ...]) -> list[Any]:
    """The maps in a row, without those that only say that a dataset has the classes of a source."""
    from lsu_onto.algebra.ways import WayError, is_bridge, way

    steps = way(library, names)
    if any(s.backwards and not is_bridge(s.map) for s in steps):
        raise WayError(
            "a chain through a dataset with other classes than the source cannot be drawn; `compose` writes it"
        )
    return [s.map for s in steps if not s.backwards]
