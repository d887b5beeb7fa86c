"""`lsu-onto docs`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "-o",
    "--output",
    default="docs/errors",
    show_default=True,
    type=click.Path(file_okay=False),
    help="Folder.",
)
def docs(output: str) -> None:
    """Write a Markdown page for every diagnostic, and an index.

    \b
    Example:
      lsu-onto docs -o docs/errors
    """
    from lsu_onto.reporting.error_pages import error_pages

    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in error_pages().items():
        (folder / name).write_text(text, encoding="utf-8")
    click.echo(output)
