"""`lsu-onto docs`."""

from __future__ import annotations

from pathlib import Path

import click

from lsu_onto.program import OutputPath


@click.command()
@click.option(
    "-o",
    "--output",
    default="docs/errors",
    show_default=True,
    type=OutputPath(file_okay=False),
    help="Folder.",
)
def docs(output: str) -> None:
    """Write a Markdown page for every diagnostic, and an index.

    \b
    Example:
      lsu-onto docs -o docs/errors
    """
    from lsu_onto.exchange import write_text
    from lsu_onto.files import make_folder
    from lsu_onto.reporting.error_pages import error_pages

    folder = Path(output)
    make_folder(folder)
    for name, text in error_pages().items():
        write_text(folder / name, text)
    click.echo(output)
