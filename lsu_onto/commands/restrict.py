"""`lsu-onto restrict`."""

from __future__ import annotations

import click

from lsu_onto.commands.arguments import put_taxonomy, refuse_inputs, taxonomy_output
from lsu_onto.program import search_path, taxonomy_argument


@click.command()
@taxonomy_argument("source")
@click.argument("classes", nargs=-1, metavar="[CLASS|@GROUP]...")
@click.option("--groups", is_flag=True, help="Groups become classes: those that are named, or all outermost ones.")
@click.option("--name", help="The new source's name. Default: SOURCE_part, or SOURCE_groups.")
@taxonomy_output
@search_path
def restrict(
    source: str, classes: tuple[str, ...], groups: bool, name: str | None, output: str | None, search: tuple[str, ...]
) -> None:
    """Write a smaller source: some classes of another one, or its groups, with the map from the full one.

    The map starts at a dataset whose labels are the channels of the full source, so that predictions can be shown or
    judged in the smaller one, and `compose` leads to it from any dataset with a map to the full one.

    \b
    Examples:
      lsu-onto restrict cityscapes person rider @vehicle -o traffic.tax
      lsu-onto restrict cityscapes --groups -o coarse.tax
    """
    from lsu_onto.algebra.channels import is_taken, restricted
    from lsu_onto.exchange.draft import name_problem
    from lsu_onto.exchange.skeleton import need_source
    from lsu_onto.library.library import Library

    if not classes and not groups:
        raise click.UsageError("name the classes and @groups to keep, or write --groups")
    full = need_source(source, search)
    name = name or f"{full.name}_{'groups' if groups else 'part'}"
    if problem := name_problem(name):
        raise click.UsageError(problem)
    if name == full.name:
        raise click.UsageError(f"`{name}` is the full source; give the new one a name of its own with --name")
    library = Library(search)
    if is_taken(library, name, "v1", output):
        raise click.UsageError(f"there is a source `{name} v1` already; give the new one a name of its own with --name")
    refuse_inputs(output, [full.span.file], None, search)
    put_taxonomy(restricted(library, full, classes, groups, name), output)
