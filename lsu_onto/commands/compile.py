"""`lsu-onto compile`."""

from __future__ import annotations

from typing import Any

import click

from lsu_onto.program import OutputPath, search_path, source_option, taxonomy_argument


@click.command(name="compile")
@taxonomy_argument()
@click.option("-o", "--output", required=True, type=OutputPath(".npz", dir_okay=False), help="The `.npz` to write.")
@source_option()
@search_path
def compile_(name: str, output: str, source: str | None, **options: Any) -> None:
    """Compile an ontology to its constraint matrices.

    \b
    Example:
      lsu-onto compile demo_town -o town.npz
      python -c "import lsu_onto; print(lsu_onto.load('town.npz').allowed)"
    """
    from lsu_onto.constraint.matrices import compile_ontology
    from lsu_onto.constraint.npz import save_npz
    from lsu_onto.library.library import Library

    save_npz(compile_ontology(Library(options["search"]).ontology(name, source)), output)
    click.echo(output)
