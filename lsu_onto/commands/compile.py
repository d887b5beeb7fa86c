"""`lsu-onto compile`."""

from __future__ import annotations

import sys
from typing import Any

import click

from lsu_onto.commands.arguments import search_path, user_errors


@click.command(name="compile")
@click.argument("name")
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="The `.npz` to write.")
@click.option("--source", help="The source taxonomy, where NAME has maps to several.")
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

    if not output.endswith(".npz"):
        raise click.UsageError(f"the output must end in `.npz`, not `{output}`")
    ontology = user_errors(lambda: Library(options["search"]).ontology(name, source))
    try:
        save_npz(compile_ontology(ontology), output)
    except OSError as e:
        click.echo(f"error: cannot write `{output}`: {e.strerror}", err=True)
        sys.exit(1)
    click.echo(output)
