"""`lsu-onto validate`."""

from __future__ import annotations

import sys
from typing import Any

import click

from lsu_onto.commands.arguments import colours, findings_format, named_folders, on_terminal, tax_files
from lsu_onto.program import search_path


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@findings_format("How findings are printed.")
@search_path
def validate(paths: tuple[str, ...], strict: bool, format_: str, **options: Any) -> None:
    """Check `.tax` files and folders of them (default: this folder).

    Names are looked up in the folders that are given here first, then in --path, then in the shipped taxonomies.
    Silent on success. Exit code 0: no errors, 1: errors (with --strict: or warnings), 2: wrong usage.
    `json` also lists infos.

    \b
    Examples:
      lsu-onto validate field.tax
      lsu-onto validate taxonomies --strict --format github
    """
    from lsu_onto.library.library import Library
    from lsu_onto.reporting.findings import FORMATS

    library = Library([*named_folders(paths), *options["search"]])
    files, found = tax_files(paths)
    with on_terminal("files", len(files)) as advance:
        for file in files:
            found += library.check(file).diagnostics
            found += [each.problem for each in library.inherited_maps(file) if each.problem]
            advance()
    for file in files:
        imported = {f for o in library.check(file).resolved.ontologies for f in o.files} - set(files)
        found += [d for f in sorted(imported) for d in library.check(f).errors]
    shown = [d for d in dict.fromkeys(found) if format_ == "json" or d.severity != "info"]
    errors = sum(d.severity == "error" for d in shown)
    warnings = sum(d.severity == "warning" for d in shown)
    if shown or format_ in ("json", "sarif"):
        to_stdout = format_ != "full"
        text = FORMATS[format_](shown, library.texts, colours() and not to_stdout)
        click.echo(text, err=not to_stdout)
    if format_ == "full" and (errors or warnings):
        counts = [f"{n} {word}{'s' * (n != 1)}" for n, word in ((errors, "error"), (warnings, "warning")) if n]
        first = next(d for d in shown if d.severity == ("error" if errors else "warning"))
        where = f" in {len(files)} file{'s' * (len(files) != 1)}" if files else ""
        click.echo(f"\n{' and '.join(counts)}{where}; `lsu-onto explain {first.code}` says more", err=True)
    sys.exit(1 if errors or (strict and warnings) else 0)
