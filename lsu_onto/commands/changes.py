"""`lsu-onto changes`."""

from __future__ import annotations

import sys
from typing import Any

import click

from lsu_onto.commands.arguments import colours, findings_format, no_file
from lsu_onto.program import Command, search_path


@click.command(cls=Command, refused=2)
@click.argument("file")
@click.option("--against", required=True, metavar="git:REV|FILE", help="The old version: a revision, or a file.")
@findings_format("How changes are printed.")
@search_path
def changes(file: str, against: str, format_: str, **options: Any) -> None:
    """List the breaking changes of a `.tax` file since another version of it.

    \b
    LABEL       a raw value (or a colour that is one) means another class
    CHANNEL     a class of a source moved, came or went: checkpoints break
    CONSTRAINT  S(d) changed, also in an inherited map or by a group: pseudo-labels are stale
    RENAME      a class has a new name, and no alias keeps the old one
    CHAIN       what follows from maps in a row changed: composed maps are stale

    Exit code 0: none, 1: some, or one of the versions has errors, 2: wrong usage, or nothing to compare with. With
    git:REV the other taxonomies of the repository are read as they were at that revision, too.

    \b
    Examples:
      lsu-onto changes field.tax --against git:HEAD
      lsu-onto changes field.tax --against git:origin/main --format github
      lsu-onto changes field.tax --against field_v1.tax
    """
    from lsu_onto.changes.compare import BUCKETS
    from lsu_onto.changes.revisions import changes as compare
    from lsu_onto.reporting.findings import FORMATS

    for path in (file, *([] if against.startswith("git:") else [against])):
        if why := no_file(path):
            raise click.UsageError(why)
    found, texts = compare(file, against, options["search"])
    to_stdout = format_ != "full"
    if found or format_ in ("json", "sarif"):
        click.echo(FORMATS[format_](found, texts, colours() and not to_stdout), err=not to_stdout)
    if found and not to_stdout:
        codes = [BUCKETS.get(d.code) for d in found]
        counts = [f"{codes.count(b)} {b}" for b in BUCKETS.values() if b in codes]
        what = f"breaking changes: {', '.join(counts)}" if counts else "the versions cannot be compared"
        click.echo(f"\n{what}; `lsu-onto explain {found[0].code}` says more", err=True)
    sys.exit(1 if found else 0)
