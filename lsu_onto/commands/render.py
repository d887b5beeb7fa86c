"""`lsu-onto render`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsu_onto.program import OutputPath, search_path, source_option, taxonomy_argument

if TYPE_CHECKING:
    from lsu_onto.algebra.facts import Step
    from lsu_onto.library.library import Library
    from lsu_onto.render.looks import Triangle


@click.command()
@taxonomy_argument()
@click.argument("on", nargs=-1, metavar="[SOURCE SOURCE...]")
@click.option("-o", "--output", type=OutputPath(dir_okay=False), help="Default: NAME.svg. The suffix sets the format.")
@source_option()
@click.option(
    "--view",
    type=click.Choice(["map", "tree", "matrix", "triangle"]),
    default="map",
    show_default=True,
    help="The relations, the groups, or the matrix of S(d); an html opens with it. For triangle see above.",
)
@search_path
def render(name: str, on: tuple[str, ...], output: str | None, source: str | None, view: str, **options: Any) -> None:
    """Draw an ontology as svg, png, pdf, html or dot. Needs no `dot` program.

    An html has all three views on one page, with search; pointing at a class
    shows what it may be, and its notes. It opens from disk, without a network.

    With the names of sources behind NAME, the maps in a row are drawn side by side, as `compose` follows them. With
    `--view triangle`, the dataset's own map to the last source is drawn too, on the other side, and where one way
    excludes what the other says, as `check-maps` finds it, the lines are marked.

    \b
    Examples:
      lsu-onto render demo_town
      lsu-onto render field.tax -o field.html
      lsu-onto render field.tax -o field.png --view matrix
      lsu-onto render demo --view tree -o demo.pdf
      lsu-onto render bdd100k cityscapes offroad -o chain.svg
      lsu-onto render bdd100k vistas cityscapes --view triangle -o triangle.svg
    """
    from lsu_onto.library.library import Library
    from lsu_onto.render import FORMATS, draw

    library = Library(options["search"])
    target = Path(output or f"{Path(re.sub(r'[.]tax(?= |$)', '', name)).name}.svg")
    if target.suffix.lower()[1:] not in FORMATS:
        raise click.UsageError(
            f"cannot draw `{target}`: the suffix must be one of {', '.join(f'`.{f}`' for f in FORMATS)}"
        )
    if view == "triangle" and (len(on) != 2 or source):
        raise click.UsageError("a triangle needs two sources behind the dataset: the one on the way, and the last one")
    if len(on) == 1 or (on and source):
        raise click.UsageError(
            "the one source of a map is given by --source; a chain has a source on the way and a last one"
        )
    if view == "triangle":
        steps = _steps(library, (name, *on))
        draw(steps[0].map, target, "map", [steps[-1].map], _triangle(library, name, steps))
    else:
        maps = [s.map for s in _steps(library, (name, *on)) if not s.backwards] if on else []
        first, *chain = maps or [library.ontology(name, source)]
        draw(first, target, view, chain)
    click.echo(target)


def _steps(library: Library, names: tuple[str, ...]) -> list[Step]:
    """The maps in a row. Those that are walked backwards only say that a dataset has the classes of a source."""
    from lsu_onto.algebra.ways import WayError, is_bridge, way

    steps = way(library, names)
    if any(s.backwards and not is_bridge(s.map) for s in steps):
        raise WayError(
            "a chain through a dataset with other classes than the source cannot be drawn; `compose` writes it"
        )
    return steps


def _triangle(library: Library, name: str, steps: list[Step]) -> Triangle:
    """The map from the dataset straight to the last source, and what the maps exclude of each other."""
    from lsu_onto.algebra.agree import marked
    from lsu_onto.render.looks import Triangle

    first, bridge, last = (s.map for s in steps)
    direct = library.ontology(name, f"{last.source.name} {last.source.version}")
    of_first, of_last, of_direct, _ = marked(library, [first, last, direct, bridge])
    return Triangle(direct, [of_first, of_last, of_direct])
