"""`lsu-onto check-maps`."""

from __future__ import annotations

import sys
from typing import Any

import click

from lsu_onto.commands.arguments import colours, findings_format, named_folders, project, tax_files
from lsu_onto.program import search_path


@click.command("check-maps")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@findings_format("How findings are printed.")
@search_path
def check_maps(paths: tuple[str, ...], strict: bool, format_: str, **options: Any) -> None:
    """Find maps that contradict each other: those in files and folders (default: the project), with all others.

    If a dataset has maps to two sources, and one of the sources is related to the other, there are two ways to say what
    a class is. A contradiction is an error (TAX401); that one way allows what the other excludes is a warning (TAX402),
    which `# allow: TAX402` in the note of the row answers. What two of the files declare differently is an error, too
    (TAX110). docs/map-algebra.md says more.

    Silent on success. Exit code 0: no errors, 1: errors (with --strict: or warnings), 2: wrong usage.

    \b
    Examples:
      lsu-onto check-maps taxonomies --strict
      lsu-onto check-maps fleet.tax --path ../ontologies --format json
    """
    from lsu_onto.algebra.agree import disagreements
    from lsu_onto.library.library import Library
    from lsu_onto.reporting.findings import FORMATS

    paths, settings = project(paths)
    files, found = tax_files(paths, settings)
    library = Library([*named_folders(paths), *files, *options["search"]], silenced=settings.silenced)
    found += disagreements(library, dict.fromkeys(files))
    errors = sum(d.severity == "error" for d in found)
    if found or format_ in ("json", "sarif"):
        to_stdout = format_ != "full"
        click.echo(FORMATS[format_](found, library.texts, colours() and not to_stdout), err=not to_stdout)
    if found and format_ == "full":
        counts = [(errors, "error"), (len(found) - errors, "warning")]
        text = " and ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in counts if n)
        click.echo(f"\n{text}; `lsu-onto explain {found[0].code}` says more", err=True)
    sys.exit(1 if errors or (strict and found) else 0)
