"""`lsu-onto validate`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from lsu_onto.commands.arguments import colours, findings_format, named_folders, on_terminal, tax_files
from lsu_onto.program import put_data, search_path

if TYPE_CHECKING:
    from lsu_onto.diagnostics import Diagnostic
    from lsu_onto.library.fixing import Fixed


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@click.option("--fix", "fix_", is_flag=True, help="Change the files: apply the fixes after which they mean the same.")
@click.option("--unsafe-fixes", is_flag=True, help="With --fix or --diff: also fixes that guess or decide something.")
@click.option("--diff", "diff_", is_flag=True, help="Write nothing; show what --fix would change.")
@findings_format("How findings are printed.")
@search_path
def validate(
    paths: tuple[str, ...], strict: bool, fix_: bool, unsafe_fixes: bool, diff_: bool, format_: str, **options: Any
) -> None:
    """Check `.tax` files and folders of them (default: this folder).

    Names are looked up in the folders that are given here first, then in --path, then in the shipped taxonomies.
    Silent on success. Exit code 0: no errors (with --diff: and nothing would change), 1: errors (with --strict: or
    warnings), 2: wrong usage. `json` also lists infos.

    \b
    Examples:
      lsu-onto validate field.tax
      lsu-onto validate field.tax --diff --unsafe-fixes
      lsu-onto validate field.tax --fix
      lsu-onto validate taxonomies --strict --format github
    """
    from lsu_onto.library.fixing import findings, fix, write
    from lsu_onto.library.formatting import diff
    from lsu_onto.library.library import Library
    from lsu_onto.reporting.findings import FORMATS

    if unsafe_fixes and not (fix_ or diff_):
        raise click.UsageError("--unsafe-fixes says which fixes --fix applies, or --diff shows: add one of them")
    if diff_ and format_ != "full":
        raise click.UsageError("--diff prints a diff and no findings: leave --format out")
    folders = [*named_folders(paths), *options["search"]]
    library = Library(folders)
    files, problems = tax_files(paths)
    with on_terminal("files", len(files)) as advance:
        found = findings(library, files, advance)
    fixed = None
    if fix_ or diff_:
        with on_terminal("fixes", None) as advance:
            fixed = fix(library, files, unsafe_fixes, advance)
    if fixed and diff_:
        for file, (old, new) in fixed.texts.items():
            put_data(diff(file, old, new, colours(sys.stdout)) + "\n")
        found = findings(library, files)
    elif fixed and fixed.texts:
        problems += write(library, fixed)
        library = Library(folders)  # anew, because the old one may know a file by a second name, as it was
        with on_terminal("files", len(files)) as advance:
            found = findings(library, files, advance)
    found = list(dict.fromkeys([*problems, *found]))
    shown = [d for d in found if format_ == "json" or d.severity != "info"]
    errors = sum(d.severity == "error" for d in shown)
    warnings = sum(d.severity == "warning" for d in shown)
    if (shown or format_ in ("json", "sarif")) and not diff_:  # the lines of what is left are not those on the disk
        to_stdout = format_ != "full"
        text = FORMATS[format_](shown, library.texts, colours() and not to_stdout)
        click.echo(text, err=not to_stdout)
    if format_ == "full" and (errors or warnings) and not diff_:
        first = next(d for d in shown if d.severity == ("error" if errors else "warning"))
        where = f" in {_counted(len(files), 'file')}" if files else ""
        counts = [_counted(n, word) for n, word in ((errors, "error"), (warnings, "warning")) if n]
        click.echo(f"\n{' and '.join(counts)}{where}; `lsu-onto explain {first.code}` says more", err=True)
        if not fixed and (offer := _offer(shown)):
            click.echo(offer, err=True)
    if fixed:
        click.echo(_report(fixed, errors + warnings, diff_), nl=False, err=True)
    sys.exit(1 if errors or (strict and warnings) or (diff_ and fixed and fixed.texts) else 0)


def _report(fixed: Fixed, left: int, diff_: bool) -> str:
    """What was fixed, and which fixes were not taken; empty if there was nothing to fix."""
    lines = [
        f"{d.span.file}:{d.span.line}:{d.span.column}: not fixed [{d.code}]: to {d.fix.title} would lead to more errors"
        for d in fixed.undone
        if d.fix
    ]
    if fixed.texts:
        what = f"{_counted(sum(fixed.count.values()), 'finding')} in {_counted(len(fixed.texts), 'file')}"
        lines.append(
            f"would fix {what}; {left or 'none'} would be left"
            if diff_
            else f"fixed {what}; {left or 'none'} {'are' if left > 1 else 'is'} left"
        )
    elif left:
        lines.append(f"nothing to fix; {_counted(left, 'finding')} {'are' if left > 1 else 'is'} left")
    return "".join(f"{line}\n" for line in lines)


def _offer(found: Iterable[Diagnostic]) -> str:
    """How many findings have a fix, and how to apply them; empty if none has."""
    fixes = [d.fix for d in found if d.fix]
    safe = sum(f.safe for f in fixes)
    ways = [("--fix", safe)] * (safe > 0) + [("--fix --unsafe-fixes", len(fixes))] * (len(fixes) > safe)
    return ", ".join(f"`{options}` fixes {n}" for options, n in ways)


def _counted(n: int, word: str) -> str:
    return f"{n} {word}{'s' * (n != 1)}"
