"""`lsu-onto list`."""

from __future__ import annotations

import sys
from typing import Any

import click

from lsu_onto.program import search_path, text_or_json


@click.command(name="list")
@text_or_json
@search_path
def list_(format_: str, **options: Any) -> None:
    """List the taxonomies on the search path: class counts, and the sources that each dataset has a map to.

    \b
    Examples:
      lsu-onto list
      lsu-onto list --path my_taxonomies --format json
    """
    import json
    import shutil

    from lsu_onto.library.catalogue import as_text, catalogue
    from lsu_onto.library.library import Library

    rows = catalogue(Library(options["search"]))
    if format_ == "json":
        click.echo(json.dumps({"version": 2, "taxonomies": rows}, indent=2))
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 1000
    click.echo(as_text(rows, width))
