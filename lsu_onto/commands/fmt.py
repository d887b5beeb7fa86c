"""`lsu-onto fmt`."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from lsu_onto.commands.arguments import colours, named_folders, project, tax_files
from lsu_onto.program import put_data, search_path

if TYPE_CHECKING:
    from lsu_onto.diagnostics import Diagnostic


def _standard_input(name: str) -> tuple[str, Diagnostic | None]:
    from lsu_onto.diagnostics import Diagnostic
    from lsu_onto.library.library import here

    with suppress(OSError, ValueError):  # where it does not block, reading gives nothing
        os.set_blocking(sys.stdin.fileno(), True)
    try:
        return sys.stdin.buffer.read().decode("utf-8"), None
    except OSError as e:
        return "", Diagnostic("TAX001", f"cannot read the standard input: {e.strerror}", here(name))
    except UnicodeDecodeError as e:
        return "", Diagnostic("TAX002", f"not UTF-8 text: found byte 0x{e.object[e.start]:02x}", here(name))


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--check", is_flag=True, help="Write nothing; list the files that would change.")
@click.option("--diff", "diff_", is_flag=True, help="Write nothing; show what would change.")
@search_path
def fmt(paths: tuple[str, ...], check: bool, diff_: bool, **options: Any) -> None:
    """Give `.tax` files and folders of them (default: the project) the canonical layout.

    Only white space moves, and official names in quotes that are used as references become names. Lines that cannot
    be read stay as they are. `-` reads standard input and writes standard output. Exit code 0: done, or nothing to
    do; 1: with --check or --diff a file would change, or a file cannot be read; 2: wrong usage.

    \b
    Examples:
      lsu-onto fmt                      every .tax file below this folder
      lsu-onto fmt --check taxonomies   for CI
      lsu-onto fmt --diff field.tax
      lsu-onto fmt - < field.tax
    """
    from lsu_onto.diagnostics import Diagnostic
    from lsu_onto.files import write_atomic
    from lsu_onto.lang.parse import read
    from lsu_onto.library.formatting import diff, format_file
    from lsu_onto.library.library import Library, here
    from lsu_onto.reporting.findings import full

    if check and diff_:
        raise click.UsageError("--check and --diff exclude each other: --diff checks too")
    if "-" in paths and len(paths) > 1:
        raise click.UsageError("`-` stands alone")
    paths, settings = project(paths)
    library = Library([*named_folders(paths), *options["search"]])
    files, found = (["-"], []) if "-" in paths else tax_files(paths, settings)
    changed = False
    for file in files:
        stdin = file == "-"
        name = "<stdin>" if stdin else file
        text, problem = _standard_input(name) if stdin else read(file)
        if problem:
            found.append(problem)
            continue
        new = format_file(library, file, text)
        found += [d for d in library.check(file).diagnostics if d.code == "TAX005"]
        changed |= new != text
        if diff_ and new != text:
            put_data(diff(name, text, new, colours(sys.stdout)) + "\n")
        elif check and new != text:
            click.echo(name)
        elif stdin and not (check or diff_):
            put_data(new)
        elif new != text and not (check or diff_):
            try:
                write_atomic(file, new.encode())
            except OSError as e:
                found.append(Diagnostic("TAX001", f"cannot write `{file}`: {e.strerror}", here(file)))
            else:
                click.echo(f"formatted {file}")
    if found:
        click.echo(full(found, library.texts, colours()), err=True)
    sys.exit(1 if found or (changed and (check or diff_)) else 0)
