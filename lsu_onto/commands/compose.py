"""`lsu-onto compose`."""

from __future__ import annotations

import click

from lsu_onto.commands.arguments import put_taxonomy, refuse_inputs, taxonomy_output
from lsu_onto.program import search_path, taxonomy_argument


@click.command()
@taxonomy_argument("names", nargs=-1, required=True, metavar="DATASET SOURCE SOURCE...")
@taxonomy_output
@search_path
def compose(names: tuple[str, ...], output: str | None, search: tuple[str, ...]) -> None:
    """Write the map that follows from maps in a row: of a dataset to the last source, by way of those between.

    S(d) is as tight as the maps allow and never tighter: what is void on the way may be any class that no other one
    claims whole. Decisions stay: `-> void` and `-> any` of the dataset's own row, and `-> void` where all that a class
    may be is ignored on the way. The note of each row says through which classes it came.

    The step from one source to the next is a dataset that has all classes of the former, each by `=`; to choose one,
    name it between the two. docs/map-algebra.md says more.

    \b
    Examples:
      lsu-onto compose idd vistas cityscapes -o idd_to_cityscapes.tax
      lsu-onto compose bdd100k cityscapes vistas@v1 vistas@v1.2 offroad
    """
    from lsu_onto.algebra.compose import compose as compose_
    from lsu_onto.algebra.ways import way
    from lsu_onto.library.library import Library

    if len(names) < 3:
        raise click.UsageError("name a dataset, at least one source on the way, and the source that the map leads to")
    library = Library(search)
    steps = way(library, names)
    refuse_inputs(output, {f for s in steps for f in s.map.files}, None, search)
    put_taxonomy(compose_(library, steps), output)
